//! The command line: `serve`, `config` and `quickstart` here, the rest in `kolk-ctl`.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use kolk_ctl::exit::Exit;
use kolk_ctl::global::Global;
use kolk_io::host::signal::Signals;

use crate::broker::{Broker, VERSION};
use crate::effective_config::{self, CONFIG_VARIABLE, ConfigError, Effective, FlagValue};
use crate::logging;
use crate::quickstart;

const EXAMPLES: &str = "\
Examples:
  kolk quickstart                             a broker, a stream through it and back, with figures
  kolk serve --data /var/lib/kolk             a broker on all cores
  kolk topic create web --partitions 8        a topic
  kolk produce web --file access.log          a record a line
  kolk consume web --from beginning --exit    all of them back
  kcat -b localhost:9092 -C -t web -e         the same by a Kafka client";

const SERVE_EXAMPLES: &str = "\
Examples:
  kolk serve                                          on this machine, data in ./kolk-data
  kolk serve --listen 0.0.0.0 --data /var/lib/kolk    for others
  kolk serve --cores 0-3 --memory-bytes-max 8GiB      four shards
  kolk serve --set max.connections=1000               any setting, see kolk config
  KOLK_LOG_FORMAT=json kolk serve                     settings from the environment";

const CONFIG_EXAMPLES: &str = "\
Examples:
  kolk config > kolk.toml                  a file with every setting, to be edited
  kolk config --config kolk.toml --json    what would be in force";

/// An event-streaming broker: every core a shard, durable by default.
#[derive(Debug, Parser)]
#[command(name = "kolk", version = VERSION, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker until SIGTERM or Ctrl-C.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<ServeArgs>),
    /// Show the effective configuration with its documentation; runs nothing.
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(Box<ServeArgs>),
    /// Start a broker for trying out, send a stream through it and read it back.
    Quickstart(quickstart::Args),
    #[command(flatten)]
    Client(kolk_ctl::command::Command),
}

/// Runs the command line `arguments`, the first of which is the program's name. Blocks until done.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, on standard output and with code 0.
            let _closed = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2).into();
        }
    };
    match cli.command {
        Command::Serve(args) => serve(&args),
        Command::Config(args) => config(&args, &cli.global),
        Command::Quickstart(args) => quickstart::run(&args, &cli.global),
        Command::Client(command) => kolk_ctl::command::run(&command, &cli.global, Cli::command),
    }
}

fn serve(args: &ServeArgs) -> ExitCode {
    let Effective { config, .. } = match args.effective() {
        Ok(effective) => effective,
        Err(error) => return fail(Exit::Usage, &error),
    };
    if let Err(error) = logging::set_up(config.log_format, &config.log_level) {
        return fail(Exit::Usage, &error);
    }
    logging::abort_on_panic();
    // Before any thread is started: they must not take the signals.
    let signals = match Signals::block() {
        Ok(signals) => signals,
        Err(error) => return fail(Exit::Failed, &error),
    };
    let broker = match Broker::start(&config) {
        Ok(broker) => broker,
        Err(error) => {
            for line in error.to_string().lines() {
                tracing::error!("{line}");
            }
            return Exit::Failed.into();
        }
    };
    let signal = signals.wait();
    tracing::info!(?signal, "asked to stop");
    match broker.stop() {
        Ok(()) => Exit::Ok.into(),
        Err(_) => Exit::Failed.into(),
    }
}

fn config(args: &ServeArgs, global: &Global) -> ExitCode {
    let shown = args.effective().map_err(|error| error.to_string()).and_then(|effective| {
        if global.json {
            effective_config::as_json(&effective).map_err(|error| error.to_string())
        } else {
            Ok(effective_config::as_toml(&effective))
        }
    });
    let text = match shown {
        Ok(text) => text,
        Err(error) => return fail(Exit::Usage, &error),
    };
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        // A reader that has seen enough is no failure.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            fail(Exit::Failed, &format!("standard output: {error}"))
        }
        Ok(()) | Err(_) => Exit::Ok.into(),
    }
}

/// Says what went wrong where people look, and gives the exit code.
pub(crate) fn fail(exit: Exit, error: &dyn Display) -> ExitCode {
    let _closed = writeln!(std::io::stderr(), "kolk: {error}");
    exit.into()
}

/// Flags of every command that needs the broker's configuration. Every other setting has a key, see
/// `kolk config`.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Configuration file (TOML); under the environment, under the flags.
    #[arg(long, value_name = "FILE", env = CONFIG_VARIABLE)]
    pub config: Option<PathBuf>,

    /// Data directory [default: ./kolk-data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,

    /// Address to listen on [default: 127.0.0.1]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,

    /// Host that clients are told [default: the address each connected to]
    #[arg(long, value_name = "HOST")]
    pub advertise: Option<String>,

    /// Port of the native door [default: 9640]
    #[arg(long, value_name = "PORT")]
    pub native_port: Option<String>,

    /// Port of shard 0's own native door; shard n has this + n [default: 28640]
    #[arg(long, value_name = "PORT")]
    pub native_shard_port: Option<String>,

    /// Port of the Kafka door, or off [default: 9092]
    #[arg(long, value_name = "PORT")]
    pub kafka_port: Option<String>,

    /// Port of shard 0's own Kafka door; shard n has this + n [default: 28092]
    #[arg(long, value_name = "PORT")]
    pub kafka_shard_port: Option<String>,

    /// Port of metrics and health [default: 9644]
    #[arg(long, value_name = "PORT")]
    pub http_port: Option<String>,

    /// CPU cores to run on, as taskset -c: 0-3,5 [default: all allowed]
    #[arg(long, value_name = "LIST")]
    pub cores: Option<String>,

    /// Number of shards; more than cores run unpinned [default: one a core]
    #[arg(long, value_name = "N")]
    pub shards: Option<String>,

    /// Memory for record batches, all shards together: 2GiB [default: a quarter of the machine's, at most 1GiB]
    #[arg(long, value_name = "BYTES")]
    pub memory_bytes_max: Option<String>,

    /// Node id [default: 0]
    #[arg(long, value_name = "N")]
    pub node_id: Option<String>,

    /// Start although files that the last run named are missing: what they held is lost
    #[arg(long)]
    pub accept_loss: bool,

    /// How the log is written: human or json [default: human]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,

    /// What is logged: a level, or target=level,… [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// Any setting by its key; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub set: Vec<(String, String)>,
}

impl ServeArgs {
    /// The configuration from file, environment and these flags.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn effective(&self) -> Result<Effective, ConfigError> {
        let environment = std::env::vars_os()
            .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)));
        Effective::join(self.config.as_deref(), environment, &self.flags())
    }

    /// The flags that were given, as settings.
    #[must_use]
    pub fn flags(&self) -> Vec<FlagValue> {
        let named = [
            ("data", "--data", &self.data),
            ("listen", "--listen", &self.listen),
            ("advertise", "--advertise", &self.advertise),
            ("native.port", "--native-port", &self.native_port),
            ("native.shard_port", "--native-shard-port", &self.native_shard_port),
            ("kafka.port", "--kafka-port", &self.kafka_port),
            ("kafka.shard_port", "--kafka-shard-port", &self.kafka_shard_port),
            ("http.port", "--http-port", &self.http_port),
            ("cores", "--cores", &self.cores),
            ("shards", "--shards", &self.shards),
            ("memory_bytes_max", "--memory-bytes-max", &self.memory_bytes_max),
            ("node.id", "--node-id", &self.node_id),
            ("log_format", "--log-format", &self.log_format),
            ("log_level", "--log-level", &self.log_level),
        ];
        let mut flags: Vec<_> = named
            .into_iter()
            .filter_map(|(key, flag, text)| Some(flag_value(key, flag, text.as_ref()?)))
            .collect();
        if self.accept_loss {
            flags.push(flag_value("accept_loss", "--accept-loss", "true"));
        }
        flags.extend(self.set.iter().map(|(key, text)| flag_value(key, "--set", text)));
        flags
    }
}

fn flag_value(key: &str, flag: &str, text: &str) -> FlagValue {
    FlagValue { key: key.to_owned(), flag: flag.to_owned(), text: text.to_owned() }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings_table::settings;

    fn exit_code(line: &str) -> ExitCode {
        run(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_parser_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_use_is_told_by_code_2() {
        let usage = ExitCode::from(Exit::Usage);
        for line in ["kolk", "kolk frobnicate", "kolk serve --shards many", "kolk config --set a=b"]
        {
            assert_eq!(exit_code(line), usage, "{line}");
        }
    }

    #[test]
    fn config_and_help_succeed() {
        for line in ["kolk --help", "kolk --version", "kolk config --json", "kolk config"] {
            assert_eq!(exit_code(line), ExitCode::SUCCESS, "{line}");
        }
    }

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        args: ServeArgs,
    }

    fn parse(line: &str) -> ServeArgs {
        Flags::try_parse_from(format!("kolk {line}").split_whitespace()).unwrap().args
    }

    #[test]
    fn every_flag_sets_a_setting_that_exists() {
        let args = parse(
            "--data d --listen 127.0.0.1 --advertise h --native-port 1 --native-shard-port 2 --http-port 3 \
             --kafka-port 5 --kafka-shard-port 6 \
             --cores 0 --shards 1 --memory-bytes-max 1GiB --node-id 4 --accept-loss --log-format json \
             --log-level warn --set max.connections=5",
        );
        let flags = args.flags();
        assert_eq!(flags.len(), 16);
        for flag in &flags {
            assert!(settings().any(|setting| setting.key == flag.key), "{flag:?}");
        }
        let config = Effective::join(None, [], &flags).unwrap().config;
        assert_eq!(config.serve.connections_max, 5);
        assert_eq!((config.native_port, config.native_shard_port, config.http_port), (1, 2, 3));
        assert_eq!((config.kafka_port, config.kafka_shard_port), (Some(5), 6));
        assert!(config.accept_loss);
    }

    #[test]
    fn no_flag_changes_nothing() {
        assert_eq!(parse("").flags(), []);
    }

    #[test]
    fn a_setting_without_a_value_is_refused() {
        for line in ["--set shards", "--set =1"] {
            assert!(Flags::try_parse_from(format!("kolk {line}").split_whitespace()).is_err());
        }
    }
}
