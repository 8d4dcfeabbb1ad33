//! The command line as users and scripts meet it: what is accepted, what is refused, and how a command ends. What needs a
//! broker is tested beside the broker, in `tests/integration`.

use std::path::Path;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::command::{Command, inspect};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::global::Global;
use crate::{answer, quickstart};

/// The root's parser, without what is or starts a broker.
#[derive(Debug, Parser)]
#[command(name = "kolk")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Words,
}

#[derive(Debug, clap::Subcommand)]
enum Words {
    #[command(flatten)]
    Ctl(Command),
    Quickstart(quickstart::Options),
}

/// Splits at spaces; what stands in single quotes is one word.
fn words(line: &str) -> Vec<String> {
    let mut words = vec!["kolk".to_owned()];
    for (number, part) in line.split('\'').enumerate() {
        if number % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(words(line))
}

#[test]
fn the_parser_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_explains_itself_with_examples() {
    fn check(command: &clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        assert!(command.get_about().is_some() || path == " kolk", "{path} has no description");
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{path}: {} is not explained",
                argument.get_id()
            );
        }
        if command.has_subcommands() {
            for sub in command.get_subcommands() {
                check(sub, &path);
            }
        } else {
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(
                examples.starts_with("Examples:\n  kolk") || examples.contains("  until kolk"),
                "{path}"
            );
            assert!(examples.contains(path.trim()), "{path} is not among its examples");
            // Where no terminal says how wide it is, clap breaks lines at 100.
            let wide = examples.lines().find(|line| line.chars().count() > 98);
            assert_eq!(wide, None, "{path}");
        }
    }
    let mut cli = Cli::command();
    cli.build();
    let mut cli = cli.clone();
    cli = cli.disable_help_subcommand(true);
    for sub in cli.get_subcommands().filter(|sub| sub.get_name() != "help") {
        if sub.has_subcommands() {
            for leaf in sub.get_subcommands().filter(|leaf| leaf.get_name() != "help") {
                check(leaf, &format!("kolk {}", sub.get_name()));
            }
        } else {
            check(sub, "kolk");
        }
    }
}

#[test]
fn what_makes_sense_is_accepted() {
    for line in [
        "topic create web",
        "topic create web metrics -p 8 -c retention.ms=1 -c kolk.durability=process-crash",
        "topic create web --if-not-exists --dry-run --json",
        "topic list -b a:1,b:2",
        "topic describe web metrics",
        "topic delete web --if-exists",
        "topic delete __consumer_offsets --force",
        "topic alter web --set retention.ms=1 --reset segment.ms",
        "topic alter web --reset segment.ms",
        "topic add-partitions web 16",
        "topic trim web",
        "topic trim web --before -10 -p 0,1",
        "topic trim web --before 2026-11-01",
        "consume web --group billing --from beginning --exit",
        "group list --json",
        "group describe billing ops",
        "group delete billing --if-exists",
        "group reset billing web --to -10 -p 0,1 --dry-run",
        "group reset billing web --to 2026-11-23",
        "cluster info --json",
        "--brokers x:1 cluster health",
        "produce web",
        "produce web --create",
        "produce web --create=8 --file access.log",
        r"produce web -f access.log --key-regex '^(\S+)' -p 3 -H a=b -H c= --rate 1000",
        "produce web --delivery-timeout-ms 5000",
        "produce web --batch-bytes 512KiB",
        "produce web --durability power-loss -z zstd --linger-ms 0 --batch-bytes 65536 --in-flight 1",
        "consume web",
        "consume web --from beginning --exit",
        "consume web --from -10 --count 3 -p 0 -p 1",
        r"consume web --from 15m --format '%t/%p@%o %T %k %s\n'",
        "consume web --from @1700000000000 -n 1 --json",
        "inspect kolk-data --records --topic web -p 1 --json",
        "completions bash",
        "quickstart --exit --json",
        "quickstart --input access.log",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_as_usage() {
    for line in [
        "",
        "topic",
        "topic create",
        "topic create web -p many",
        "topic create web -p 0",
        "topic add-partitions web 0",
        "topic create web -c retention.ms",
        "topic create web -c =1",
        "topic alter web",
        "topic add-partitions web",
        "topic trim web --before someday",
        "topics list",
        "produce",
        "produce web --create 8",
        "produce web --create=many",
        "produce web --create=0",
        "produce web --key-regex '('",
        "produce web --key-regex '^x'",
        "produce web --rate 0",
        "produce web --delivery-timeout-ms 0",
        "produce web --batch-bytes 4MiB",
        "produce web --batch-bytes 1000",
        "produce web --in-flight 0",
        "produce web --in-flight 1001",
        "produce web --durability fsync",
        "produce web --compression brotli",
        "produce web -H novalue",
        "consume",
        "consume web --from nowhere",
        "consume web --format '%q'",
        "consume web --format '%s' --json",
        "consume web --count -1",
        "consume web --group billing -p 0",
        "group describe",
        "group reset billing web",
        "group reset billing --to end",
        "group reset billing web --to nowhere",
        "inspect",
        "completions tcl",
        "quickstart --records some",
        "quickstart --records 5 --input access.log",
    ] {
        let error = match parse(line) {
            Err(error) => error,
            Ok(cli) => panic!("{line} was accepted: {cli:?}"),
        };
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{line}");
        let helps = matches!(
            error.kind(),
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand
        );
        assert!(helps || error.to_string().starts_with("error: "), "{line}: {error}");
    }
}

#[test]
fn a_number_out_of_its_range_is_refused_with_flag_and_range() {
    for (line, flag, range) in [
        ("produce web --batch-bytes 4MiB", "--batch-bytes", "1024 to 1048588"),
        ("produce web --in-flight 1001", "--in-flight", "1..=1000"),
        ("topic create web -p 0", "--partitions", "1..=100000"),
    ] {
        let error = parse(line).unwrap_err().to_string();
        assert!(error.contains(flag) && error.contains(range), "{line}: {error}");
    }
}

#[test]
fn options_stand_before_or_behind_the_command() {
    for line in ["-b x:1 --json topic list", "topic list --json -b x:1"] {
        let global = parse(line).unwrap().global;
        assert_eq!((global.brokers.as_str(), global.json), ("x:1", true), "{line}");
    }
}

fn outcome(line: &str) -> Result<Exit, CtlError> {
    let cli = parse(line).unwrap();
    let Words::Ctl(command) = cli.command else { panic!("{line} starts a broker") };
    match &command {
        Command::Inspect(args) => inspect::run(args, &cli.global),
        Command::Topic(command) => crate::command::topic::run(command, &cli.global),
        Command::Group(command) => crate::command::group::run(command, &cli.global),
        Command::Cluster(command) => crate::command::cluster::run(*command, &cli.global),
        Command::Produce(args) => {
            crate::command::produce::run(args, &cli.global).map(|()| Exit::Ok)
        }
        Command::Consume(args) => {
            crate::command::consume::run(args, &cli.global).map(|()| Exit::Ok)
        }
        Command::Completions(_) => panic!("{line} prints"),
    }
}

#[test]
fn where_nobody_listens_commands_say_so_and_how_to_start_a_broker() {
    // Bound and not listened on: a connection is refused, and nobody else gets the port.
    let held = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    drop(held);
    for line in ["topic list", "cluster health", "consume web", "produce web -f /dev/null"] {
        let error = outcome(&format!("{line} -b 127.0.0.1:{port}")).unwrap_err();
        assert_eq!(error.exit(), Exit::Unreachable, "{line}: {error}");
        assert!(error.to_string().contains("kolk serve"), "{line}: {error}");
    }
}

#[test]
fn an_address_that_is_none_is_a_usage_error() {
    let error = outcome("topic list -b nowhere").unwrap_err();
    assert_eq!(error.exit(), Exit::Usage, "{error}");
}

#[test]
fn topics_of_the_broker_are_not_deleted_by_the_way() {
    // Nobody is asked: no broker listens there.
    let error = outcome("topic delete web __consumer_offsets -b 127.0.0.1:1").unwrap_err();
    assert_eq!(error.exit(), Exit::Usage, "{error}");
    assert!(error.to_string().contains("--force"), "{error}");
    let error = outcome("topic delete __consumer_offsets --force -b 127.0.0.1:1").unwrap_err();
    assert_eq!(error.exit(), Exit::Unreachable, "{error}");
}

#[test]
fn a_file_that_is_not_there_is_not_found() {
    let error = outcome("produce web -f /nonexistent/lines").unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound, "{error}");
    let error = outcome("inspect /nonexistent/data").unwrap_err();
    assert_eq!(error.exit(), Exit::NotFound, "{error}");
}

#[test]
fn inspecting_damage_ends_with_its_own_code() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write("meta/CURRENT", b"not what it was");
    let shown = |path: &Path| outcome(&format!("inspect {}", path.display()));
    assert_eq!(shown(dir.path()).unwrap(), Exit::Damaged);
    assert_eq!(shown(&dir.path().join("meta/CURRENT")).unwrap(), Exit::Damaged);
    let other = tempfile::tempdir().unwrap();
    assert_eq!(shown(other.path()).unwrap_err().exit(), Exit::Failed);
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let mut script = Vec::new();
        let generator: clap_complete::Shell = shell.parse().unwrap();
        clap_complete::generate(generator, &mut Cli::command(), "kolk", &mut script);
        let script = String::from_utf8(script).unwrap();
        for word in ["add-partitions", "consume", "quickstart", "--key-regex"] {
            assert!(script.contains(word.trim_start_matches('-')), "{shell} lacks {word}");
        }
    }
}

#[test]
fn documented_exit_codes_are_the_real_ones() {
    let page = include_str!("JSON.md");
    for exit in
        [Exit::Ok, Exit::Failed, Exit::Usage, Exit::NotFound, Exit::Damaged, Exit::Unreachable]
    {
        let row = format!("| {} | `{}` |", exit.code(), exit.name());
        assert!(page.contains(&row), "{row}");
    }
    assert_eq!(answer::grouped(1000), "1,000");
}
