//! The command line: `serve`, `config` and `quickstart` here, the rest in `kolk-ctl`.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use kolk_ctl::exit::Exit;
use kolk_ctl::global::Global;
use kolk_io::host::signal::Signals;

use crate::broker::{Broker, VERSION};
use crate::config_show;
use crate::config_sources::Effective;
use crate::logging;
use crate::quickstart;
use crate::serve_args::ServeArgs;

const EXAMPLES: &str = "\
Examples:
  kolk quickstart                             a broker, a stream through it and back, with figures
  kolk serve --data /var/lib/kolk             a broker on all cores
  kolk topic create web --partitions 8        a topic
  kolk produce web --file access.log          a record a line
  kolk consume web --from beginning --exit    all of them back";

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
            config_show::as_json(&effective).map_err(|error| error.to_string())
        } else {
            Ok(config_show::as_toml(&effective))
        }
    });
    match shown {
        Ok(text) => {
            // A reader that has seen enough is no failure.
            let _closed = writeln!(std::io::stdout(), "{}", text.trim_end());
            Exit::Ok.into()
        }
        Err(error) => fail(Exit::Usage, &error),
    }
}

/// Says what went wrong where people look, and gives the exit code.
pub(crate) fn fail(exit: Exit, error: &dyn Display) -> ExitCode {
    let _closed = writeln!(std::io::stderr(), "kolk: {error}");
    exit.into()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
