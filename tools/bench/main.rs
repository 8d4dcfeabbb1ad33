//! The load generator, in two halves.
//!
//! `compare` and `rate-sweep` (`report`, `lab`, `play`) play workloads against brokers of any kind, each through the
//! client that its users take (`kolk-driver`), and verify every record.
//!
//! `run` and the single loads (`load`) measure what kolk can do. A client that measures that must cost less than what it
//! measures: no runtime and no tasks, threads with blocking sockets, frames that are encoded once and sent many times, no
//! allocation and no hashing per request.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks")]
#![allow(
    clippy::disallowed_methods,
    reason = "a load generator runs on the real machine: clocks, files, processes, threads"
)]

mod command;

mod report;

mod lab;
mod play;

mod load;

mod error;

use std::process::ExitCode;

use clap::Parser;

use command::{adhoc, compare, rate_sweep, speed};

/// Measures what a broker can do.
#[derive(Debug, Parser)]
#[command(name = "kolk-bench", version, after_help = EXAMPLES, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  kolk-bench compare -b kolk,kolk-kafka,kafka,nats -w messaging --rounds 5 --out target/messaging
  kolk-bench rate-sweep -b kolk -w messaging --p99-ms 5
  kolk-bench run perf/workload/speed.toml --kolk target/release/kolk --scratch target/bench --quick
  kolk-bench produce -b 127.0.0.1:9640 -p 8 --record-bytes 1024 --batch-bytes 256KiB -d 10s
  kolk-bench fetch   -b 127.0.0.1:9640 --topic bench --verify
  kolk-bench latency -b 127.0.0.1:9640 --rate 5000 -d 30s      open loop: late answers count from when they were due
  kolk-bench acks    -b 127.0.0.1:9640 -p 256 --record-bytes 128
  kolk-bench idle    -b 127.0.0.1:9640 -p 64 --kafka-door 127.0.0.1:9092 --pid $(pidof kolk)";

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Play a workload against several brokers in turn, and write a result and a page.
    Compare(compare::Args),
    /// Find the highest rate at which p99 stays under a bound.
    RateSweep(rate_sweep::Args),
    /// Write the page of a result again.
    Report(compare::ReportArgs),
    /// Play a workload file: start a broker, measure, stop it.
    Run(speed::Args),
    /// Produce as fast as the broker takes it.
    Produce(adhoc::ProduceArgs),
    /// Fetch a topic from its beginning as fast as the broker gives it.
    Fetch(adhoc::FetchArgs),
    /// Measure how long single small records take to be acknowledged.
    Latency(adhoc::LatencyArgs),
    /// Count acknowledgements with one small record in flight in each partition.
    Acks(adhoc::AcksArgs),
    /// Measure what consumers cost the broker to whom nothing comes, at one of its Kafka doors.
    Idle(adhoc::IdleArgs),
    /// Produce and consume through librdkafka, against any broker that speaks Kafka.
    #[cfg(feature = "kafka")]
    Kafka(adhoc::kafka::Args),
}

fn main() -> ExitCode {
    kolk_machine::descriptors::raise();
    let outcome = match Cli::parse().command {
        Command::Compare(args) => compare::run(&args),
        Command::RateSweep(args) => rate_sweep::run(&args),
        Command::Report(args) => compare::report(&args),
        Command::Run(args) => speed::run(&args),
        Command::Produce(args) => adhoc::produce(&args),
        Command::Fetch(args) => adhoc::fetch(&args),
        Command::Latency(args) => adhoc::latency(&args),
        Command::Acks(args) => adhoc::acks(&args),
        Command::Idle(args) => adhoc::idle(&args),
        #[cfg(feature = "kafka")]
        Command::Kafka(args) => adhoc::kafka::run(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
