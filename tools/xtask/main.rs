//! The project's own chores, one word each: what a developer types and what `.ci/run` calls.
//! Apart from every other crate so that it compiles in seconds and runs while the rest is broken.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "chores run on the real machine: clocks, files, processes"
)]

mod bench;
mod check;
mod judges;
mod suite;

mod arrows;
mod rules;
mod schema;
mod tools;

mod options;
mod repo;
mod step;

use std::process::ExitCode;

use options::Options;
use repo::Repo;
use step::{Failure, Outcome};

const HELP: &str = "\
cargo xtask COMMAND

  check [STEP…]     reads only: rules, arrows, generated code, fmt, clippy, docs, tests
                    (with names: only those steps)
  fix [--clippy]    writes: formats, regenerates code, optionally clippy --fix
  test              install, check, a short crash loop, the faults, the judges; the last
                    line is 'N passed, N failed'
  crash [--rounds N] [--seed S] [--release]
                    kill -9 under load, restart, compare with the ledger of acknowledged records
  sim [--seeds N] [--first-seed N] [--seed S] [--scenario FILE] [--canaries] [--release]
                    whole brokers on a simulated machine, each seed twice (tests/sim)
  rot [--rounds N] [--seed S] [--release]
                    N single bits of data directories flipped: harmless, or found and never served
  faults [--release] [NAME…]
                    real faults of disk, memory, network and clock (tests/faults); wants root
  powercut [--rounds N]
                    cuts the power of a guest machine under load, N times; wants qemu and nbdkit
  soak [--minutes N]
                    2,000 partitions under everything at once within stated bounds, writes perf/run/
  wide [--release]  10,000 partitions within 1,024 descriptors, stopped, started again, read back
  fuzz [--minutes N] [TARGET…]
                    tests/fuzz by coverage, 15 minutes a target; needs cargo-fuzz
  loom              the lock-free code through every order of its events (tests/loom)
  sanitize [CRATE…] the crates with unsafe code under AddressSanitizer
  judges [--release] [NAME…]
                    other people's clients and suites against the broker (tests/peers)
  bench [--quick] [--rounds N] [--workload NAME]
                    measures this machine's limits and the broker in one run of at least five rounds, writes perf/run/;
                    with the workload spikes: ten minutes at half load, one round
  bench --guard [--update] [NAME…]
                    instructions and allocations of the hot paths against perf/guard.json
  bench kafka [--quick] [--rounds N] [--workload NAME]
                    one Kafka client against both doors of kolk and against Apache Kafka
  brokers up NAME [--durability process-crash|power-loss]
                    installs and starts kafka, nats, rabbitmq or redis on loopback and prints where it is
  brokers down [NAME…]
                    stops what up has started and deletes its data; without a word: which are up
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let done = Options::parse(arguments).and_then(|options| dispatch(&command, &options));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask {command}: {failure}");
            // `test` ends with its count as the very last line of standard output.
            if let Some(totals) = failure.totals() {
                println!("{totals}");
            }
            ExitCode::FAILURE
        }
    }
}

fn print(outcome: Outcome) {
    match outcome {
        Outcome::Passed(what) | Outcome::Skipped(what) => println!("{what}"),
        Outcome::Tested(totals) => println!("{totals}"),
    }
}

fn dispatch(command: &str, options: &Options) -> Result<(), Failure> {
    match command {
        "check" => check::check(&Repo::find()?, options).map(|_| ()),
        "fix" => check::fix(&Repo::find()?, options),
        "test" => suite::test(&Repo::find()?, options),
        "crash" => suite::crash::crash(&Repo::find()?, options).map(|_| ()),
        "sim" => suite::sim::sim(&Repo::find()?, options).map(|_| ()),
        "rot" => suite::crash::rot(&Repo::find()?, options).map(print),
        "faults" => suite::faults::faults(&Repo::find()?, options).map(print),
        "powercut" => suite::faults::powercut(&Repo::find()?, options).map(print),
        "soak" => suite::faults::soak(&Repo::find()?, options).map(print),
        "wide" => suite::crash::wide(&Repo::find()?, options).map(|_| ()),
        "fuzz" => suite::fuzz::fuzz(&Repo::find()?, options).map(print),
        "loom" => suite::memory::loom(&Repo::find()?, options).map(print),
        "sanitize" => suite::memory::sanitize(&Repo::find()?, options).map(print),
        "judges" => judges::judges(&Repo::find()?, options).map(|_| ()),
        "brokers" => bench::brokers::brokers(&Repo::find()?, options),
        "bench" if options.guard => bench::guard::guard(&Repo::find()?, options).map(print),
        "bench" => bench::bench(&Repo::find()?, options),
        "" | "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(Failure::new(format!("there is no command '{other}'"), "cargo xtask help")),
    }
}
