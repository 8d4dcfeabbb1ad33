//! `kolk-bench run`: every phase of a workload against a broker of its own, and one JSON object of measures.

mod bulk;
mod partitions;
mod small;
mod spikes;

mod workload;

use std::collections::BTreeMap;
use std::path::PathBuf;

use kolk_machine::cores;
use kolk_model::compression::Compression;
use serde::Serialize;
use serde_json::{Value, json};

use self::workload::{Length, Workload};
use crate::error::{BenchError, Outcome};
use crate::lab::broker::metrics::Counters;
use crate::lab::broker::{Broker, BrokerPlan};
use crate::load::Target;
use crate::load::batches::BatchShape;

/// Arguments of `kolk-bench run`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workload file.
    workload: PathBuf,
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
    /// The broker's program.
    #[arg(long, default_value = "target/release/kolk")]
    kolk: PathBuf,
    /// Where data directories and logs go. What the run makes there it deletes again.
    #[arg(long, default_value = "target/bench")]
    scratch: PathBuf,
    /// Measure for a shorter time.
    #[arg(long)]
    quick: bool,
}

/// The counter of payload copies.
const COPIES: &str = "kolk_payload_copy_bytes_total";

/// Plays the workload.
pub(crate) fn run(args: &Args) -> Outcome<()> {
    let workload = Workload::read(&args.workload)?;
    let length = if args.quick { Length::Quick } else { Length::Full };
    let kolk = args.kolk.canonicalize().map_err(|error| BenchError::file(&args.kolk, error))?;
    let scratch = args.scratch.join(format!("kolk-bench-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).map_err(|error| BenchError::file(&scratch, error))?;
    let (broker_cores, load_cores) = cores::split(&cores::cores());
    let mut speed = Speed {
        kolk,
        scratch,
        length,
        broker_cores,
        load_cores,
        measures: BTreeMap::new(),
        limits: BTreeMap::new(),
        notes: Vec::new(),
        details: BTreeMap::new(),
    };
    let played = speed.play(&workload);
    // The data goes in any case; after a failure the broker's log stays.
    speed.clean(played.is_ok());
    played?;
    speed.print(&workload.name, args);
    Ok(())
}

/// A run, and what it has come to so far.
struct Speed {
    kolk: PathBuf,
    scratch: PathBuf,
    length: Length,
    broker_cores: Vec<usize>,
    load_cores: Vec<usize>,
    measures: BTreeMap<&'static str, f64>,
    /// What the machine can do without a broker, measured beside the phase that it is the limit of.
    limits: BTreeMap<&'static str, f64>,
    /// Sentences for the reader.
    notes: Vec<String>,
    details: BTreeMap<&'static str, Value>,
}

impl Speed {
    fn play(&mut self, workload: &Workload) -> Outcome<()> {
        let memory = workload.produce.as_ref().map(|produce| produce.memory_bytes_max);
        if let Some(phase) = &workload.floor {
            self.floor(phase)?;
        }
        let shared = workload.produce.is_some()
            || workload.hot_fetch.is_some()
            || workload.acks.is_some()
            || workload.ack.is_some()
            || workload.crash_ack.is_some()
            || workload.partitions.is_some();
        if shared {
            let broker = self.start("hot", memory)?;
            if let Some(phase) = &workload.ack {
                self.ack(&broker, phase)?;
            }
            if let Some(phase) = &workload.crash_ack {
                self.crash_ack(&broker, phase)?;
            }
            if let Some(phase) = &workload.acks {
                self.acks(&broker, phase)?;
            }
            if let Some(phase) = &workload.hot_fetch {
                self.hot_fetch(&broker, phase)?;
            }
            if let Some(phase) = &workload.produce {
                self.produce(&broker, phase)?;
            }
            if let Some(phase) = &workload.partitions {
                self.partitions(&broker, phase)?;
            }
            broker.stop()?;
            self.remove("hot");
        }
        if let Some(phase) = &workload.spinning_ack {
            self.spinning_ack(phase)?;
            self.remove("spinning");
        }
        if let Some(phase) = &workload.cold_fetch {
            self.cold_fetch(phase)?;
            self.remove("cold");
        }
        if let Some(phase) = &workload.spikes {
            self.spikes(phase)?;
            self.remove("spikes");
        }
        if let Some(phase) = &workload.idle {
            self.idle(phase)?;
        }
        Ok(())
    }

    fn start(&self, data: &str, memory_bytes_max: Option<u64>) -> Outcome<Broker> {
        self.start_with(data, memory_bytes_max, &[])
    }

    fn start_with(
        &self,
        data: &str,
        memory_bytes_max: Option<u64>,
        settings: &[String],
    ) -> Outcome<Broker> {
        let cores = Some(cores::list(&self.broker_cores));
        let (program, scratch) = (self.kolk.as_path(), self.scratch.as_path());
        Broker::start(&BrokerPlan { program, scratch, data, cores, settings, memory_bytes_max })
    }

    fn target<'a>(&'a self, broker: &'a Broker, topic: &'a str) -> Target<'a> {
        let (cores, pid) = (self.load_cores.as_slice(), Some(broker.pid()));
        Target { broker: broker.native(), topic, connections: 1, cores, pid }
    }

    fn say(&self, what: &str) {
        eprintln!("  {what}");
    }

    fn put(&mut self, measure: &'static str, value: f64) {
        self.measures.insert(measure, value);
    }

    fn limit(&mut self, limit: &'static str, value: f64) {
        self.limits.insert(limit, value);
    }

    fn note(&mut self, text: String) {
        self.say(&text);
        self.notes.push(text);
    }

    fn detail(&mut self, phase: &'static str, value: &impl Serialize) {
        self.details.insert(phase, json!(value));
    }

    fn remove(&self, data: &str) {
        // Only room on the disk is lost if this fails.
        drop(std::fs::remove_dir_all(self.scratch.join(data)));
    }

    fn clean(&self, everything: bool) {
        for data in ["hot", "spinning", "cold", "spikes", "idle"] {
            self.remove(data);
        }
        if everything {
            drop(std::fs::remove_dir_all(&self.scratch));
        }
    }

    fn print(&self, name: &str, args: &Args) {
        if args.json {
            let answer = json!({
                "workload": name,
                "quick": self.length == Length::Quick,
                "broker_cores": self.broker_cores,
                "load_cores": self.load_cores,
                "measures": self.measures,
                "limits": self.limits,
                "notes": self.notes,
                "details": self.details,
            });
            println!("{answer}");
            return;
        }
        for (name, value) in &self.measures {
            println!("{name:35} {value:.3}");
        }
        for (name, value) in &self.limits {
            println!("limit: {name:28} {value:.3}");
        }
    }
}

fn shape(record_bytes: usize, batch_bytes: usize) -> BatchShape {
    BatchShape { record_bytes, batch_bytes, compression: Compression::None }
}

/// Payload bytes copied between two moments.
fn copies(before: &Counters, after: &Counters) -> Outcome<f64> {
    after.grown(before, COPIES, "")
}

#[expect(clippy::cast_precision_loss, reason = "53 bits are precise enough for a figure")]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn the_command_line_is_what_the_bench_chore_calls() {
        use clap::Parser;
        let line = "kolk-bench run speed.toml --json --kolk kolk --scratch s --quick";
        let cli = crate::Cli::try_parse_from(line.split(' ')).unwrap();
        let crate::Command::Run(args) = cli.command else { panic!("not run") };
        assert!(args.json && args.quick);
        assert_eq!(
            (args.kolk.as_path(), args.scratch.as_path()),
            (Path::new("kolk"), Path::new("s"))
        );
    }
}
