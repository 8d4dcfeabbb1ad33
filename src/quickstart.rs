//! `kolk quickstart`: a broker in this process, on free ports and in a directory of its own; the client's side
//! is in `kolk-ctl`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use kolk_ctl::exit::Exit;
use kolk_ctl::global::Global;
use kolk_ctl::quickstart::{Broker as ClientSide, Options};
use kolk_io::host::signal::{Signals, Stop};

use crate::broker::{Broker, BrokerHandle};
use crate::command_line::{ServeArgs, fail};
use crate::effective_config::{ConfigError, Effective, FlagValue};
use crate::logging;

/// What a shell sees of a process that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// Set by those who want more than warnings of the broker's log between the figures.
const LOG_LEVEL_VARIABLE: &str = "KOLK_LOG_LEVEL";

/// Arguments of `kolk quickstart`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    options: Options,

    /// CPU cores to run on, as taskset -c: 0-3,5 [default: all allowed]
    #[arg(long, value_name = "LIST")]
    cores: Option<String>,

    /// Number of shards [default: one a core]
    #[arg(long, value_name = "N")]
    shards: Option<String>,
}

/// Runs the quickstart. Blocks until it is over or, without `--exit`, until it is told to stop.
pub(crate) fn run(args: &Args, global: &Global) -> ExitCode {
    let data = data_directory();
    let code = run_in(&data, args, global);
    match std::fs::remove_dir_all(&data) {
        Err(error) if data.exists() => {
            fail(Exit::Failed, &format!("{} is left behind: {error}", data.display()))
        }
        _ => code,
    }
}

fn run_in(data: &Path, args: &Args, global: &Global) -> ExitCode {
    let Effective { config, .. } = match effective(data, args) {
        Ok(effective) => effective,
        Err(error) => return fail(Exit::Usage, &error),
    };
    if let Err(error) = logging::set_up(config.log_format, &config.log_level) {
        return fail(Exit::Usage, &error);
    }
    logging::abort_on_panic();
    let stop = match StopWatch::start(data) {
        Ok(stop) => stop,
        Err(error) => return fail(Exit::Failed, &error),
    };
    let broker = match Broker::start(&config) {
        Ok(broker) => broker,
        Err(error) => return fail(Exit::Failed, &error),
    };
    let code = kolk_ctl::quickstart::run(&args.options, global, &client_side(&broker, data));
    if !args.options.exit && code == ExitCode::SUCCESS {
        stop.wait();
    }
    match broker.stop() {
        Ok(()) => code,
        Err(error) => fail(Exit::Failed, &error),
    }
}

/// The configuration as everywhere, but in a directory of its own and on free ports.
fn effective(data: &Path, args: &Args) -> Result<Effective, ConfigError> {
    let own = |key: &str, text: &str| FlagValue {
        key: key.to_owned(),
        flag: "quickstart".to_owned(),
        text: text.to_owned(),
    };
    let mut flags = ServeArgs {
        cores: args.cores.clone(),
        shards: args.shards.clone(),
        ..ServeArgs::default()
    }
    .flags();
    flags.push(own("data", &data.display().to_string()));
    let ports = ["native.port", "native.shard_port", "kafka.port", "kafka.shard_port", "http.port"];
    flags.extend(ports.map(|key| own(key, "0")));
    if std::env::var_os(LOG_LEVEL_VARIABLE).is_none() {
        flags.push(own("log_level", "warn"));
    }
    let environment = std::env::vars_os()
        .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
    Effective::join(None, environment, &flags)
}

fn client_side(broker: &BrokerHandle, data: &Path) -> ClientSide {
    let addresses = broker.addresses();
    ClientSide {
        brokers: addresses.native.to_string(),
        kafka: addresses.kafka,
        http: Some(addresses.http),
        data_dir: data.to_owned(),
        shards: u16::try_from(addresses.native_shards.len()).unwrap_or(u16::MAX),
    }
}

/// A directory that does not exist yet: below `target` in a checkout, else where we are. Never in `/tmp`,
/// which may be memory and takes no direct I/O then.
fn data_directory() -> PathBuf {
    let target = Path::new("target");
    let parent = if target.is_dir() { target } else { Path::new(".") };
    let name = |number: u32| parent.join(format!("kolk-quickstart-{number}"));
    (std::process::id()..).map(name).find(|dir| !dir.exists()).unwrap_or_else(|| name(0))
}

/// Takes Ctrl-C and SIGTERM: while the figures are made the process ends at once, its directory removed;
/// afterwards the broker stops as it should.
struct StopWatch {
    stopped: mpsc::Receiver<Stop>,
    is_waiting: Arc<AtomicBool>,
}

impl StopWatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "no shard: it waits for a signal while the main thread runs the client"
    )]
    fn start(data: &Path) -> std::io::Result<Self> {
        // Before any thread is started: they must not take the signals.
        let signals = Signals::block()?;
        let (stop, stopped) = mpsc::channel();
        let is_waiting = Arc::new(AtomicBool::new(false));
        let (waits, data) = (Arc::clone(&is_waiting), data.to_owned());
        std::thread::Builder::new().name("kolk-signals".to_owned()).spawn(move || {
            let signal = signals.wait();
            if !waits.load(Ordering::Acquire) {
                let _left_behind = std::fs::remove_dir_all(&data);
                std::process::exit(INTERRUPTED);
            }
            // Nobody listens any more: the process is ending anyway.
            let _ending = stop.send(signal);
        })?;
        Ok(Self { stopped, is_waiting })
    }

    /// Blocks until a signal comes.
    fn wait(&self) {
        self.is_waiting.store(true, Ordering::Release);
        // The sender lives as long as no signal came.
        let _stop = self.stopped.recv();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quickstart_has_its_own_directory_and_free_ports() {
        let args = Args {
            options: Options { input: None, records: 1, exit: true },
            cores: None,
            shards: Some("3".to_owned()),
        };
        let data = data_directory();
        assert!(!data.exists());
        let config = effective(&data, &args).unwrap().config;
        assert_eq!(config.data, data);
        assert_eq!((config.native_port, config.native_shard_port, config.http_port), (0, 0, 0));
        assert_eq!((config.kafka_port, config.kafka_shard_port), (Some(0), 0));
        assert_eq!(config.shards, Some(3));
    }
}
