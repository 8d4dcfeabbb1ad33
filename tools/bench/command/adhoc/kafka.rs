//! `kolk-bench kafka`: produce and consume through librdkafka against any broker that speaks Kafka. Apart, and behind a
//! feature, because the client is a C library.

mod client;
mod count;

use std::time::Duration;

use kolk_driver::driver::{ClientPlan, Place};
use kolk_driver::protocol::{self, Protocol};
use serde_json::json;

use crate::error::Outcome;
use client::{Client, Topic};

/// Arguments of `kolk-bench kafka`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The broker's Kafka door.
    #[arg(short, long, value_name = "HOST:PORT")]
    broker: String,
    /// The broker's process on this machine: its processor time is counted.
    #[arg(long)]
    pid: u32,
    /// The topic; it must not exist yet.
    #[arg(long, default_value = "kolk-bench")]
    topic: String,
    /// Partitions of the topic.
    #[arg(short, long, default_value_t = 4)]
    partitions: u32,
    /// A setting of the topic, such as flush.messages=1.
    #[arg(long = "config", value_name = "NAME=VALUE")]
    settings: Vec<String>,
    /// Bytes of a record's value, at least 8.
    #[arg(long, default_value_t = 1024)]
    record_bytes: usize,
    /// The client's batch.size.
    #[arg(long, default_value_t = 262_144)]
    batch_bytes: u32,
    /// The client's linger.ms.
    #[arg(long, default_value_t = 5)]
    linger_ms: u32,
    /// Bytes of values before the measured part, unless a fifth of the time has gone.
    #[arg(long, default_value_t = 128 << 20)]
    warmup_bytes: u64,
    /// Bytes of values measured at most.
    #[arg(long, default_value_t = 1 << 30)]
    bytes: u64,
    /// Seconds of producing at most.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
}

/// Produces, checks that all of it is there, consumes all of it; prints JSON.
pub(crate) fn run(args: &Args) -> Outcome<()> {
    let topic = Topic { name: &args.topic, partitions: args.partitions };
    let client = Client { broker: &args.broker, pid: args.pid, topic };
    let settings = args.settings.iter().filter_map(|setting| setting.split_once('='));
    let place = Place {
        address: args.broker.clone(),
        topic: args.topic.clone(),
        partitions: args.partitions,
        topic_settings: settings.map(|(name, value)| (name.into(), value.into())).collect(),
    };
    protocol::open(Protocol::Kafka, place, ClientPlan::default())?.create()?;
    let (produced, records) = client.produce(&client::ProducePlan {
        record_bytes: args.record_bytes,
        batch_bytes: args.batch_bytes,
        linger_ms: args.linger_ms,
        warmup_bytes: args.warmup_bytes,
        bytes: args.bytes,
        time: Duration::from_secs(args.seconds),
    })?;
    client.expect_records(records)?;
    let consumed = client.consume(records)?;
    println!("{}", json!({ "records": records, "produce": produced, "consume": consumed }));
    Ok(())
}
