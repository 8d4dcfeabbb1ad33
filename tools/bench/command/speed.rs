//! `kolk-bench run`: every phase of a workload against a broker of its own, and one JSON object of measures.

mod workload;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kolk_machine::cores;
use kolk_model::compression::Compression;
use kolk_model::durability::AckLevel;
use serde_json::{Value, json};

use self::workload::{
    AckPhase, ColdFetchPhase, HotFetchPhase, IdlePhase, Length, ProducePhase, Workload,
};
use crate::error::{BenchError, Outcome};
use crate::lab::broker::metrics::Counters;
use crate::lab::broker::{Broker, BrokerPlan};
use crate::load::acks::{self, AckPlan};
use crate::load::batches::BatchShape;
use crate::load::fetch::{self, AtEnd, FetchPlan};
use crate::load::produce::{self, ProducePlan};
use crate::load::topology;
use crate::load::{Limit, Target};

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
/// Requests in flight and bytes of a batch while records are only put there to be read.
const FILL_IN_FLIGHT: usize = 16;

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
        details: BTreeMap::new(),
    };
    let played = speed.play(&workload);
    // The data goes in any case; after a failure the broker's log stays.
    speed.clean(played.is_ok());
    played?;
    speed.print(&workload.name, args);
    Ok(())
}

struct Speed {
    kolk: PathBuf,
    scratch: PathBuf,
    length: Length,
    broker_cores: Vec<usize>,
    load_cores: Vec<usize>,
    measures: BTreeMap<&'static str, f64>,
    details: BTreeMap<&'static str, Value>,
}

impl Speed {
    fn play(&mut self, workload: &Workload) -> Outcome<()> {
        let memory = workload.produce.as_ref().map(|produce| produce.memory_bytes_max);
        let shared = workload.produce.is_some()
            || workload.hot_fetch.is_some()
            || workload.acks.is_some()
            || workload.ack.is_some();
        if shared {
            let broker = self.start("hot", memory)?;
            if let Some(phase) = &workload.ack {
                self.ack(&broker, phase)?;
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
            broker.stop()?;
            self.remove("hot");
        }
        if let Some(phase) = &workload.cold_fetch {
            self.cold_fetch(phase)?;
            self.remove("cold");
        }
        if let Some(phase) = &workload.idle {
            self.idle(phase)?;
        }
        Ok(())
    }

    fn start(&self, data: &str, memory_bytes_max: Option<u64>) -> Outcome<Broker> {
        let cores = Some(cores::list(&self.broker_cores));
        let (program, scratch) = (self.kolk.as_path(), self.scratch.as_path());
        Broker::start(&BrokerPlan { program, scratch, data, cores, memory_bytes_max })
    }

    fn target<'a>(&'a self, broker: &'a Broker, topic: &'a str) -> Target<'a> {
        Target { broker: broker.native(), topic, connections: 1, cores: &self.load_cores }
    }

    fn say(&self, what: &str) {
        eprintln!("  {what}");
    }

    fn produce(&mut self, broker: &Broker, phase: &ProducePhase) -> Outcome<()> {
        self.say("produce");
        topology::create_topic(broker.native(), "produce", phase.partitions, &[])?;
        let bytes = self.length.pick(phase.bytes, phase.quick_bytes);
        let plan = ProducePlan {
            shape: shape(phase.record_bytes, phase.batch_bytes),
            batches_per_request: 1,
            in_flight: phase.in_flight,
            durability: AckLevel::PowerLoss,
            warmup: Limit::Bytes(phase.warmup_bytes),
            limit: Limit::Bytes(bytes),
        };
        let before = broker.counters()?;
        let produced = produce::run(&self.target(broker, "produce"), &plan)?;
        let copies = copies(&before, &broker.counters()?)?;
        self.put("produce_bytes_per_second", produced.measured.bytes_per_second());
        self.put("copies_per_byte_direct", copies / float(produced.bytes_total));
        self.detail("produce", &produced.measured);
        topology::delete_topic(broker.native(), "produce")
    }

    fn hot_fetch(&mut self, broker: &Broker, phase: &HotFetchPhase) -> Outcome<()> {
        self.say("fetch from memory");
        let shape = shape(phase.record_bytes, phase.batch_bytes);
        self.fill(broker, "hot", phase.partitions, (shape, phase.bytes))?;
        let seconds = self.length.pick(phase.seconds, phase.quick_seconds);
        let plan = FetchPlan {
            fetch_bytes: phase.fetch_bytes,
            at_end: AtEnd::Again,
            verify: false,
            warmup: Limit::Bytes(phase.bytes),
            limit: Limit::Time(Duration::from_secs(seconds)),
        };
        let before = broker.counters()?;
        let fetched = fetch::run(&self.target(broker, "hot"), &plan)?;
        let copies = copies(&before, &broker.counters()?)?;
        self.put("hot_fetch_bytes_per_second", fetched.bytes_per_second());
        // The warm-up copied nothing else, so the quotient can only be too large.
        self.put("copies_per_byte_fetched", copies / float(fetched.bytes));
        self.detail("hot_fetch", &fetched);
        topology::delete_topic(broker.native(), "hot")
    }

    fn cold_fetch(&mut self, phase: &ColdFetchPhase) -> Outcome<()> {
        self.say("fetch from disk");
        let memory = Some(phase.memory_bytes_max);
        let bytes = self.length.pick(phase.bytes, phase.quick_bytes);
        let broker = self.start("cold", memory)?;
        let shape = shape(phase.record_bytes, phase.batch_bytes);
        self.fill(&broker, "cold", phase.partitions, (shape, bytes))?;
        broker.stop()?;
        // A fresh broker holds nothing in memory, and it never used the page cache.
        let broker = self.start("cold", memory)?;
        let plan = FetchPlan {
            fetch_bytes: phase.fetch_bytes,
            at_end: AtEnd::Leave,
            verify: false,
            warmup: Limit::Bytes(0),
            limit: Limit::Bytes(u64::MAX),
        };
        let fetched = fetch::run(&self.target(&broker, "cold"), &plan)?;
        self.put("cold_fetch_bytes_per_second", fetched.bytes_per_second());
        self.detail("cold_fetch", &fetched);
        broker.stop()
    }

    /// Puts records there to be read.
    fn fill(
        &self,
        broker: &Broker,
        topic: &str,
        partitions: u32,
        (shape, bytes): (BatchShape, u64),
    ) -> Outcome<()> {
        topology::create_topic(broker.native(), topic, partitions, &[])?;
        let plan = ProducePlan {
            shape,
            batches_per_request: 1,
            in_flight: FILL_IN_FLIGHT,
            durability: AckLevel::Topic,
            warmup: Limit::Bytes(0),
            limit: Limit::Bytes(bytes),
        };
        produce::run(&self.target(broker, topic), &plan).map(drop)
    }

    fn acks(&mut self, broker: &Broker, phase: &AckPhase) -> Outcome<()> {
        self.say("acknowledgements");
        let before = broker.counters()?;
        let (acknowledged, after) = self.small_records(broker, "acks", phase)?;
        let groups = after.grown(&before, "kolk_journal_groups_total", "")?;
        let fdatasyncs = after.grown(&before, "kolk_journal_fdatasyncs_total", "")?;
        self.put("acks_per_second", acknowledged.measured.requests_per_second());
        self.put("fdatasyncs_per_group", if groups > 0.0 { fdatasyncs / groups } else { 0.0 });
        let copies = copies(&before, &after)?;
        self.put("copies_per_byte_journal", copies / float(acknowledged.bytes_total));
        self.detail("acks", &acknowledged.measured);
        Ok(())
    }

    fn ack(&mut self, broker: &Broker, phase: &AckPhase) -> Outcome<()> {
        self.say("latency of one acknowledgement");
        let (acknowledged, _) = self.small_records(broker, "ack", phase)?;
        self.put("ack_p50_ns", float(acknowledged.measured.latency.p50_ns));
        self.detail("ack", &acknowledged.measured);
        Ok(())
    }

    fn small_records(
        &self,
        broker: &Broker,
        topic: &str,
        phase: &AckPhase,
    ) -> Outcome<(acks::Acknowledged, Counters)> {
        topology::create_topic(broker.native(), topic, phase.partitions, &[])?;
        let seconds = self.length.pick(phase.seconds, phase.quick_seconds);
        let plan = AckPlan {
            shape: shape(phase.record_bytes, 1),
            durability: AckLevel::PowerLoss,
            warmup: Limit::Time(Duration::from_secs(phase.warmup_seconds)),
            limit: Limit::Time(Duration::from_secs(seconds)),
        };
        let acknowledged = acks::run(&self.target(broker, topic), &plan)?;
        let after = broker.counters()?;
        topology::delete_topic(broker.native(), topic)?;
        Ok((acknowledged, after))
    }

    fn idle(&mut self, phase: &IdlePhase) -> Outcome<()> {
        self.say("idle");
        let (program, scratch) = (self.kolk.as_path(), self.scratch.as_path());
        let plan =
            BrokerPlan { program, scratch, data: "idle", cores: None, memory_bytes_max: None };
        let broker = Broker::start(&plan)?;
        // What starting left to do is not idleness.
        std::thread::sleep(Duration::from_secs(1));
        let seconds = self.length.pick(phase.seconds, phase.quick_seconds).max(5);
        let before = cores::processor_time(broker.pid())?;
        std::thread::sleep(Duration::from_secs(seconds));
        let used = cores::processor_time(broker.pid())?.saturating_sub(before);
        self.put("idle_core_share", used.as_secs_f64() / float(seconds));
        broker.stop()
    }

    fn put(&mut self, measure: &'static str, value: f64) {
        self.measures.insert(measure, value);
    }

    fn detail(&mut self, phase: &'static str, value: &crate::load::Throughput) {
        self.details.insert(phase, json!(value));
    }

    fn remove(&self, data: &str) {
        // Only room on the disk is lost if this fails.
        drop(std::fs::remove_dir_all(self.scratch.join(data)));
    }

    fn clean(&self, everything: bool) {
        for data in ["hot", "cold", "idle"] {
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
                "details": self.details,
            });
            println!("{answer}");
            return;
        }
        for (measure, value) in &self.measures {
            println!("{measure:30} {value:.3}");
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
