//! One kind of load against a broker that runs already.

#[cfg(feature = "kafka")]
pub(crate) mod kafka;

use std::time::{Duration, Instant};

use kolk_machine::cores::CoreList;
use kolk_model::compression::Compression;
use kolk_model::durability::AckLevel;
use serde_json::json;

use crate::error::{BenchError, Outcome};
use crate::load::acks::{self, AckPlan};
use crate::load::batches::BatchShape;
use crate::load::fetch::{self, AtEnd, FetchPlan};
use crate::load::idle::{self, IdlePlan};
use crate::load::kafka_door;
use crate::load::open_loop::{self, OpenLoopPlan};
use crate::load::produce::{self, ProducePlan};
use crate::load::topology;
use crate::load::{Limit, Target, Throughput};

/// Which broker, which topic, how many threads.
#[derive(Debug, clap::Args)]
struct Where {
    /// The broker.
    #[arg(
        short,
        long,
        env = "KOLK_BROKERS",
        default_value = "127.0.0.1:9640",
        value_name = "HOST:PORT"
    )]
    broker: String,
    /// The topic.
    #[arg(long, default_value = "kolk-bench")]
    topic: String,
    /// Connections, and threads, for each of the broker's shards.
    #[arg(short, long, default_value_t = 1)]
    connections: usize,
    /// Keep the load on these cores, such as 0,2-3.
    #[arg(long, value_name = "LIST")]
    cores: Option<CoreList>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Where {
    fn target(&self) -> Target<'_> {
        let Self { broker, topic, connections, cores, .. } = self;
        let cores = cores.as_ref().map_or(&[][..], CoreList::cores);
        Target { broker, topic, connections: *connections, cores, pid: None }
    }

    /// Makes the topic unless it is there, and says whether it shall go afterwards.
    fn create(&self, topic: &TopicOptions) -> Outcome<()> {
        let settings: Vec<(&str, &str)> =
            topic.settings.iter().filter_map(|setting| setting.split_once('=')).collect();
        topology::create_topic(&self.broker, &self.topic, topic.partitions, &settings)
    }

    fn print(&self, name: &str, result: &Throughput) {
        if self.json {
            let answer = json!({
                "load": name,
                "seconds": result.seconds,
                "requests": result.requests,
                "records": result.records,
                "bytes": result.bytes,
                "requests_per_second": result.requests_per_second(),
                "records_per_second": result.records_per_second(),
                "bytes_per_second": result.bytes_per_second(),
                "latency": result.latency,
            });
            println!("{answer}");
            return;
        }
        println!(
            "{name}: {:.1} MB/s, {:.0} records/s, {:.0} requests/s in {:.2} s",
            result.bytes_per_second() / 1e6,
            result.records_per_second(),
            result.requests_per_second(),
            result.seconds,
        );
        println!("requests: {}", result.latency);
    }
}

/// The topic, if it must be made.
#[derive(Debug, clap::Args)]
struct TopicOptions {
    /// Partitions of the topic if it does not exist yet.
    #[arg(short, long, default_value_t = 4)]
    partitions: u32,
    /// A setting of the topic if it does not exist yet, such as kolk.durability=process-crash.
    #[arg(long = "config", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Delete the topic afterwards.
    #[arg(long)]
    delete: bool,
}

/// How long.
#[derive(Debug, clap::Args)]
struct HowLong {
    /// Time measured.
    #[arg(short, long, default_value = "10s", value_parser = time, value_name = "TIME")]
    duration: Duration,
    /// Time before that does not count.
    #[arg(long, default_value = "1s", value_parser = time, value_name = "TIME")]
    warmup: Duration,
}

impl HowLong {
    const fn warmup(&self) -> Limit {
        Limit::Time(self.warmup)
    }

    const fn limit(&self) -> Limit {
        Limit::Time(self.duration)
    }
}

/// Arguments of `kolk-bench produce`.
#[derive(Debug, clap::Args)]
pub(crate) struct ProduceArgs {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    topic: TopicOptions,
    #[command(flatten)]
    time: HowLong,
    /// Bytes of a record's value.
    #[arg(long, default_value = "1024", value_parser = bytes, value_name = "BYTES")]
    record_bytes: usize,
    /// Bytes of a batch.
    #[arg(long, default_value = "256KiB", value_parser = bytes, value_name = "BYTES")]
    batch_bytes: usize,
    /// Batches of a request.
    #[arg(long, default_value_t = 1)]
    batches: usize,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 16)]
    in_flight: usize,
    /// What an acknowledgement waits for: topic, none, process-crash or power-loss.
    #[arg(long, default_value = "topic")]
    durability: AckLevel,
    /// How batches are compressed: none, gzip, snappy, lz4 or zstd.
    #[arg(long, default_value = "none")]
    compression: Compression,
    /// Send the same batches to this Kafka door of the broker, one a request.
    #[arg(long, value_name = "HOST:PORT")]
    kafka_door: Option<String>,
    /// Check that a topic that was empty holds as many records as were acknowledged.
    #[arg(long)]
    count: bool,
}

/// Runs `kolk-bench produce`.
pub(crate) fn produce(args: &ProduceArgs) -> Outcome<()> {
    args.at.create(&args.topic)?;
    let (record_bytes, batch_bytes) = (args.record_bytes, args.batch_bytes);
    let plan = ProducePlan {
        shape: BatchShape { record_bytes, batch_bytes, compression: args.compression },
        batches_per_request: args.batches,
        partitions_per_request: 1,
        in_flight: args.in_flight,
        durability: args.durability,
        warmup: args.time.warmup(),
        limit: args.time.limit(),
    };
    let target = args.at.target();
    let produced = match &args.kafka_door {
        Some(door) => kafka_door::run(&target, door, args.topic.partitions, &plan)?,
        None => produce::run(&target, &plan)?,
    };
    if args.count {
        let (held, records) =
            (topology::records(target.broker, target.topic)?, produced.records_total);
        if held != records {
            let what = format!("{held} records are there, {records} were acknowledged");
            return Err(BenchError::refused("count", what));
        }
    }
    args.at.print("produce", &produced.measured);
    clean(&args.at, &args.topic)
}

/// Arguments of `kolk-bench fetch`.
#[derive(Debug, clap::Args)]
pub(crate) struct FetchArgs {
    #[command(flatten)]
    at: Where,
    /// Bytes asked for at a time.
    #[arg(long, default_value = "4MiB", value_parser = bytes, value_name = "BYTES")]
    fetch_bytes: usize,
    /// Begin again at the end of a partition, for so long; else every partition is read once.
    #[arg(short, long, value_parser = time, value_name = "TIME")]
    duration: Option<Duration>,
    /// Check every batch's checksum.
    #[arg(long)]
    verify: bool,
}

/// Runs `kolk-bench fetch`.
pub(crate) fn fetch(args: &FetchArgs) -> Outcome<()> {
    let fetch_bytes = u32::try_from(args.fetch_bytes).unwrap_or(u32::MAX);
    let (at_end, limit) = match args.duration {
        Some(duration) => (AtEnd::Again, Limit::Time(duration)),
        None => (AtEnd::Leave, Limit::Bytes(u64::MAX)),
    };
    let warmup = Limit::Bytes(0);
    let plan = FetchPlan { fetch_bytes, at_end, verify: args.verify, warmup, limit };
    let fetched = fetch::run(&args.at.target(), &plan)?;
    args.at.print("fetch", &fetched);
    Ok(())
}

/// Arguments of `kolk-bench latency`.
#[derive(Debug, clap::Args)]
pub(crate) struct LatencyArgs {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    topic: TopicOptions,
    #[command(flatten)]
    time: HowLong,
    /// Bytes of a record's value.
    #[arg(long, default_value = "128", value_parser = bytes, value_name = "BYTES")]
    record_bytes: usize,
    /// Records a second, sent whether or not the broker keeps up. Without it: the next record as soon as the one before is
    /// acknowledged, in each partition.
    #[arg(short, long)]
    rate: Option<u32>,
    /// What an acknowledgement waits for: topic, none, process-crash or power-loss.
    #[arg(long, default_value = "topic")]
    durability: AckLevel,
}

/// Runs `kolk-bench latency`.
pub(crate) fn latency(args: &LatencyArgs) -> Outcome<()> {
    args.at.create(&args.topic)?;
    let shape = small(args.record_bytes);
    let (warmup, limit) = (args.time.warmup(), args.time.limit());
    let durability = args.durability;
    let result = match args.rate {
        Some(rate) => {
            let since = Instant::now();
            let plan = OpenLoopPlan { shape, durability, rate, warmup, limit, since };
            open_loop::run(&args.at.target(), &plan)?.measured
        }
        None => {
            let plan = AckPlan { shape, durability, warmup, limit };
            acks::run(&args.at.target(), &plan)?.measured
        }
    };
    args.at.print("latency", &result);
    clean(&args.at, &args.topic)
}

/// Arguments of `kolk-bench acks`.
#[derive(Debug, clap::Args)]
pub(crate) struct AcksArgs {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    topic: TopicOptions,
    #[command(flatten)]
    time: HowLong,
    /// Bytes of a record's value.
    #[arg(long, default_value = "128", value_parser = bytes, value_name = "BYTES")]
    record_bytes: usize,
    /// What an acknowledgement waits for: topic, none, process-crash or power-loss.
    #[arg(long, default_value = "topic")]
    durability: AckLevel,
}

/// Runs `kolk-bench acks`.
pub(crate) fn acks(args: &AcksArgs) -> Outcome<()> {
    args.at.create(&args.topic)?;
    let plan = AckPlan {
        shape: small(args.record_bytes),
        durability: args.durability,
        warmup: args.time.warmup(),
        limit: args.time.limit(),
    };
    let acknowledged = acks::run(&args.at.target(), &plan)?;
    args.at.print("acks", &acknowledged.measured);
    clean(&args.at, &args.topic)
}

/// Arguments of `kolk-bench idle`.
#[derive(Debug, clap::Args)]
pub(crate) struct IdleArgs {
    #[command(flatten)]
    at: Where,
    #[command(flatten)]
    topic: TopicOptions,
    #[command(flatten)]
    time: HowLong,
    /// The Kafka door: the node's, or a shard's.
    #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
    kafka_door: String,
    /// The broker's process on this machine.
    #[arg(long)]
    pid: u32,
    /// Consumers.
    #[arg(long, default_value_t = 1_000)]
    consumers: usize,
    /// Partitions that each of them reads.
    #[arg(long, default_value_t = 8)]
    each: usize,
    /// How long a fetch waits for records: a consumer's fetch.max.wait.ms.
    #[arg(long, default_value = "500ms", value_parser = time, value_name = "TIME")]
    wait: Duration,
}

/// Runs `kolk-bench idle`.
pub(crate) fn idle(args: &IdleArgs) -> Outcome<()> {
    args.at.create(&args.topic)?;
    if let Some(cores) = &args.at.cores {
        kolk_machine::cores::pin(cores.cores());
    }
    let idleness = idle::run(&IdlePlan {
        door: &args.kafka_door,
        topic: &args.at.topic,
        consumers: args.consumers,
        each: args.each,
        wait: args.wait,
        warmup: args.time.warmup,
        time: args.time.duration,
        pid: args.pid,
    })?;
    if args.at.json {
        println!("{}", json!({ "load": "idle", "result": idleness }));
    } else {
        println!(
            "idle: {} connections, {:.0} answers/s, {:.1} % of a core, {:.1} µs an answer, in {:.2} s",
            idleness.connections,
            idleness.answers_per_second(),
            idleness.server_core_share * 100.0,
            idleness.server_cpu_us_per_answer,
            idleness.seconds,
        );
    }
    clean(&args.at, &args.topic)
}

const fn small(record_bytes: usize) -> BatchShape {
    BatchShape { record_bytes, batch_bytes: 1, compression: Compression::None }
}

fn clean(at: &Where, topic: &TopicOptions) -> Outcome<()> {
    if topic.delete { topology::delete_topic(&at.broker, &at.topic) } else { Ok(()) }
}

/// `500ms`, `10s`, `2m`, or seconds.
fn time(text: &str) -> Result<Duration, BenchError> {
    let (number, ms) = match text {
        _ if text.ends_with("ms") => (text.trim_end_matches("ms"), 1),
        _ if text.ends_with('s') => (text.trim_end_matches('s'), 1_000),
        _ if text.ends_with('m') => (text.trim_end_matches('m'), 60_000),
        _ => (text, 1_000),
    };
    let number: u64 = number.parse().map_err(|_| no(text, "a time: 500ms, 10s, 2m"))?;
    Ok(Duration::from_millis(number.saturating_mul(ms)))
}

/// `1024`, `64KiB`, `1MiB`.
fn bytes(text: &str) -> Result<usize, BenchError> {
    let (number, scale) = match text {
        _ if text.ends_with("KiB") => (text.trim_end_matches("KiB"), 1 << 10),
        _ if text.ends_with("MiB") => (text.trim_end_matches("MiB"), 1 << 20),
        _ => (text, 1),
    };
    let number: usize = number.parse().map_err(|_| no(text, "a size: 1024, 64KiB, 1MiB"))?;
    Ok(number.saturating_mul(scale))
}

fn no(text: &str, expected: &str) -> BenchError {
    BenchError::Workload(format!("'{text}' is not {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_units() {
        assert_eq!(time("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(
            (time("10s").unwrap(), time("3").unwrap()),
            (Duration::from_secs(10), Duration::from_secs(3))
        );
        assert_eq!((bytes("64KiB").unwrap(), bytes("7").unwrap()), (65_536, 7));
        assert!(time("soon").is_err() && bytes("64KB").is_err());
    }
}
