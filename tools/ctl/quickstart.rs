//! The client's side of `kolk quickstart`: a stream in, everything out again, checked, with figures. The root starts the
//! broker and stops it.

mod checksum;
mod page_views;
mod sides;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use kolk_client::admin::NewTopic;
use kolk_inspect::text::size;
use serde::Serialize;

use crate::answer::{Answer, duration, grouped, print};
use crate::command::conclude;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::global::Global;
use crate::session::Session;

use sides::Side;

const EXAMPLES: &str = "\
Examples:
  kolk quickstart                        a broker and a million page views, then try for yourself
  kolk quickstart --input access.log     your own lines instead
  kolk quickstart --exit --json          figures for a script";

/// Arguments of `kolk quickstart`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Send the lines of this file instead of generated page views.
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,

    /// How many page views to generate.
    #[arg(long, value_name = "COUNT", default_value_t = 1_000_000, conflicts_with = "input")]
    pub records: u64,

    /// Stop the broker when all is read back, instead of leaving it up to be tried.
    #[arg(long)]
    pub exit: bool,
}

/// The broker that the root has started.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Its native door, HOST:PORT.
    pub brokers: String,
    /// Its Kafka door, if it has one.
    pub kafka: Option<SocketAddr>,
    /// Its HTTP door, if it has one.
    pub http: Option<SocketAddr>,
    /// Its data directory.
    pub data_dir: PathBuf,
    /// How many shards it has.
    pub shards: u16,
}

/// The topic that is made.
const TOPIC: &str = "page-views";
/// Partitions for each shard: enough that each shard gets some whatever the topic's id.
const PARTITIONS_A_SHARD: u32 = 2;

/// Plays the stream and reads it back; blocks until done. The broker stays as it is.
pub fn run(options: &Options, global: &Global, broker: &Broker) -> ExitCode {
    let outcome = play(options, global, broker).and_then(|shown| {
        print(global, &shown)?;
        Ok(Exit::Ok)
    });
    conclude(outcome, global)
}

fn play(options: &Options, global: &Global, broker: &Broker) -> Result<Shown, CtlError> {
    let session = Session::to(&broker.brokers)?;
    let partitions = u32::from(broker.shards.max(1)) * PARTITIONS_A_SHARD;
    let (produced, consumed) = session.run(async {
        let topic = NewTopic::named(TOPIC).partitions(partitions);
        session.admin().create_topic(topic).await?;
        let produced = sides::produce(session.client(), options, global, TOPIC).await?;
        let consumed =
            sides::consume(session.client(), global, (TOPIC, partitions), &produced).await?;
        Ok::<_, CtlError>((produced, consumed))
    })?;
    if produced.sum != consumed.sum {
        let (sent, read) = (produced.sum, consumed.sum);
        let what = format!(
            "read back {} records with checksum {:016x}, sent were {} with {:016x}",
            read.records, read.checksum, sent.records, sent.checksum
        );
        return Err(CtlError::Mismatch { what });
    }
    Ok(Shown::new(options, broker, partitions, &[produced, consumed]))
}

/// The result as it is printed.
#[derive(Serialize)]
struct Shown {
    topic: &'static str,
    partitions: u32,
    shards: u16,
    records: u64,
    /// Of keys and values.
    bytes: u64,
    checksum: String,
    verified: bool,
    produce: Figures,
    consume: Figures,
    brokers: String,
    http: Option<String>,
    kafka: Option<String>,
    data_dir: String,
    #[serde(skip)]
    stays: bool,
}

/// One side's figures.
#[derive(Clone, Copy, Debug, Serialize)]
struct Figures {
    seconds: f64,
    records_per_second: f64,
    bytes_per_second: f64,
    latency_p50_ns: u64,
    latency_p90_ns: u64,
    latency_p99_ns: u64,
    latency_p999_ns: u64,
    latency_max_ns: u64,
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "53 bits are precise enough for a rate")]
    fn of(side: &Side) -> Self {
        let seconds = side.seconds.max(f64::MIN_POSITIVE);
        let at = |quantile| side.latency.value_at_quantile(quantile);
        Self {
            seconds: side.seconds,
            records_per_second: side.sum.records as f64 / seconds,
            bytes_per_second: side.sum.bytes as f64 / seconds,
            latency_p50_ns: at(0.5),
            latency_p90_ns: at(0.9),
            latency_p99_ns: at(0.99),
            latency_p999_ns: at(0.999),
            latency_max_ns: side.latency.max(),
        }
    }

    fn text(&self, out: &mut dyn Write, what: &str, measured: &str) -> io::Result<()> {
        let (records, bytes) = (whole(self.records_per_second), whole(self.bytes_per_second));
        let (records, bytes) = (grouped(records), size(bytes));
        writeln!(out, "{what}  {records} records/s, {bytes}/s, in {:.2} s", self.seconds)?;
        let times =
            [self.latency_p50_ns, self.latency_p90_ns, self.latency_p99_ns, self.latency_max_ns];
        let [p50, p90, p99, max] = times.map(duration);
        writeln!(out, "          {measured}: p50 {p50}, p90 {p90}, p99 {p99}, max {max}")
    }
}

/// A rate without its fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is positive, and far below what 64 bits hold"
)]
const fn whole(rate: f64) -> u64 {
    rate as u64
}

impl Shown {
    fn new(
        options: &Options,
        broker: &Broker,
        partitions: u32,
        [produced, consumed]: &[Side; 2],
    ) -> Self {
        Self {
            topic: TOPIC,
            partitions,
            shards: broker.shards,
            records: consumed.sum.records,
            bytes: consumed.sum.bytes,
            checksum: format!("{:016x}", consumed.sum.checksum),
            verified: true,
            produce: Figures::of(produced),
            consume: Figures::of(consumed),
            brokers: broker.brokers.clone(),
            http: broker.http.map(|address| address.to_string()),
            kafka: broker.kafka.map(|address| address.to_string()),
            data_dir: broker.data_dir.display().to_string(),
            stays: !options.exit,
        }
    }
}

impl Answer for Shown {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (records, bytes) = (grouped(self.records), size(self.bytes));
        let (partitions, shards) = (self.partitions, self.shards);
        writeln!(
            out,
            "{records} records ({bytes}) through {partitions} partitions on {shards} shards"
        )?;
        self.produce.text(out, "produce", "acknowledged after")?;
        self.consume.text(out, "consume", "waited for a fetch")?;
        let checksum = &self.checksum;
        writeln!(out, "verify   every record came back: {records}, checksum {checksum}")?;
        if self.stays { self.try_next(out) } else { Ok(()) }
    }
}

impl Shown {
    fn try_next(&self, out: &mut dyn Write) -> io::Result<()> {
        let (brokers, topic) = (&self.brokers, self.topic);
        writeln!(out, "\nThe broker stays up (Ctrl-C ends it); its data is in {}.", self.data_dir)?;
        writeln!(out, "Try next, in another terminal:")?;
        writeln!(out, "  export KOLK_BROKERS={brokers}")?;
        writeln!(out, "  kolk topic describe {topic}")?;
        writeln!(
            out,
            "  kolk consume {topic} --from beginning --count 3 --format '%p/%o %k %s\\n'"
        )?;
        writeln!(out, "  kolk consume {topic}")?;
        writeln!(out, "  echo hello | kolk produce {topic}")?;
        if let Some(http) = &self.http {
            writeln!(out, "  curl http://{http}/metrics")?;
        }
        if let Some(kafka) = &self.kafka {
            writeln!(out, "  kcat -b {kafka} -L")?;
            writeln!(out, "  kcat -b {kafka} -C -t {topic} -o beginning -c 3")?;
        }
        Ok(())
    }
}
