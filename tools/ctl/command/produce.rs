//! `kolk produce`: a line a record.

mod feed;
mod input;
mod key;
mod ledger;
pub(crate) mod lines;
mod pace;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use indicatif::ProgressBar;
use kolk_client::admin::{Admin, NewTopic};
use kolk_client::producer::settings::ProducerSettings;
use kolk_inspect::text::size;
use kolk_model::compression::Compression;
use kolk_model::durability::AckLevel;
use kolk_model::limits::MESSAGE_BYTES_MAX;
use serde::Serialize;

use crate::answer::{Answer, Counted, grouped, note, print, progress};
use crate::command::topic::{exists, partition_count, select};
use crate::error::CtlError;
use crate::global::Global;
use crate::session::{Session, name_and_value};
use crate::size::bytes;
use crate::stop::Stop;

use feed::Feed;
use input::{Input, Source};
use key::KeyPattern;

const EXAMPLES: &str = "\
Examples:
  kolk produce web --create=8 --file access.log         a line a record; 8 partitions if it is new
  kolk produce web -f access.log --key-regex '^(\\S+)'    the first word is the key
  tail -F app.log | kolk produce logs -H host=web-1     lines as they come
  kolk produce web -f access.log --rate 1000            1,000 records a second

Records with a key go to the partition that Kafka's clients would choose, others fill the
partitions in turn. A line stays whole, with or without a key. The command ends when every
record is acknowledged, or at the first that is not; then it names the line. Ctrl-C and SIGTERM
end the reading: what was read from a pipe is sent all the same. A second one ends at once.";

/// Arguments of `kolk produce`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: String,

    /// Create the topic first unless it exists, with so many partitions or the broker's default.
    #[arg(
        long,
        value_name = "PARTITIONS",
        num_args = 0..=1,
        require_equals = true,
        value_parser = partition_count()
    )]
    create: Option<Option<u32>>,

    /// Read lines from this file; - is standard input, and the default.
    #[arg(short, long, value_name = "FILE", default_value = "-", hide_default_value = true)]
    file: PathBuf,

    /// Group 1 of this pattern is a line's key; a line that does not match has none.
    #[arg(short, long, value_name = "REGEX")]
    key_regex: Option<KeyPattern>,

    /// Put all records into this partition.
    #[arg(short, long, value_name = "PARTITION")]
    partition: Option<u32>,

    /// A header of every record.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE", value_parser = name_and_value)]
    headers: Vec<(String, String)>,

    /// Records a second; as fast as possible without it.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,

    /// What an acknowledgement waits for: topic (its own setting), none, process-crash or power-loss.
    #[arg(long, value_name = "LEVEL", default_value = "topic")]
    durability: AckLevel,

    /// How batches are compressed: none, gzip, snappy, lz4 or zstd.
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none")]
    compression: Compression,

    /// How long a record waits for others to share its batch, in ms.
    #[arg(long, value_name = "MS", default_value_t = 5)]
    linger_ms: u64,

    /// Bytes of a batch before compression, 1024 to 1048588.
    #[arg(long, value_name = "BYTES", default_value = "256KiB", value_parser = batch_bytes)]
    batch_bytes: usize,

    /// Requests in flight on a connection, 1 to 1000.
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 5,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000)
    )]
    in_flight: usize,

    /// How long a record may take until it is acknowledged, retries included, in ms.
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 120_000,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    delivery_timeout_ms: u64,
}

/// Bytes of a batch, as clap parses them.
fn batch_bytes(text: &str) -> Result<usize, String> {
    bytes(text, &(1024..=MESSAGE_BYTES_MAX as usize))
}

/// Runs the command.
pub(crate) fn run(args: &Args, global: &Global) -> Result<(), CtlError> {
    let source = Source::open(&args.file)?;
    let session = Session::open(global)?;
    let bar = bar(args, global, source.bytes);
    let produced = session.run(async {
        prepare(&session.admin(), args).await?;
        let _watch = session.watch(global, &bar);
        send((args, global), &session, source, &bar).await
    })?;
    bar.finish_and_clear();
    print(global, &produced)
}

/// No bar where somebody types lines: it would write over them.
fn bar(args: &Args, global: &Global, total: u64) -> ProgressBar {
    let typed = args.file.as_os_str() == "-" && io::stdin().is_terminal();
    if typed { ProgressBar::hidden() } else { progress(global, Counted::Bytes, total, "producing") }
}

fn settings(args: &Args) -> ProducerSettings {
    let mut settings = ProducerSettings::default();
    settings.linger = Duration::from_millis(args.linger_ms);
    settings.batch_bytes = args.batch_bytes;
    settings.in_flight_max = args.in_flight;
    settings.compression = args.compression;
    settings.durability = args.durability;
    settings.delivery_timeout = Duration::from_millis(args.delivery_timeout_ms);
    settings
}

/// Makes the topic if that was asked for, and looks whether it and the partition exist before the first line is read.
async fn prepare(admin: &Admin, args: &Args) -> Result<(), CtlError> {
    if let Some(partitions) = args.create {
        let topic = NewTopic::named(args.topic.as_str());
        let topic = partitions.map_or(topic.clone(), |count| topic.partitions(count));
        match admin.create_topic(topic).await {
            Err(error) if exists(&error) => {}
            created => drop(created?),
        }
    }
    let named: Vec<u32> = args.partition.into_iter().collect();
    select(admin, &args.topic, &named).await.map(drop)
}

/// Sends every line, or those until somebody stops it, and waits until they are acknowledged.
async fn send(
    (args, global): (&Args, &Global),
    session: &Session,
    source: Source,
    bar: &ProgressBar,
) -> Result<Produced, CtlError> {
    let producer = session.client().producer(settings(args))?;
    let stop = Stop::listen()?;
    let (is_stopped, asking) = (stop.asking(), stop.asking());
    let input = Input::start(source)?;
    let mut feed = Feed::new(args, &producer, bar);
    let work = async {
        let fed = feed.run(input, asking).await;
        // Whatever went wrong: what the producer has taken is on its way.
        let (closed, ()) = tokio::join!(producer.close(), feed.ledger.settled());
        (fed, closed)
    };
    let first =
        || note(global, bar, "stopping: what was read is sent; a second signal ends at once");
    let outcome = stop.around(first, work).await;
    let (acknowledged, taken) = (feed.ledger.acknowledged(), feed.ledger.lines());
    let Some((fed, closed)) = outcome else {
        return Err(CtlError::Stopped { acknowledged, taken });
    };
    let at = |lines: String, error: CtlError| {
        let source = Box::new(error);
        Err(CtlError::Lines { lines, acknowledged, taken, source })
    };
    if let Some(failure) = feed.ledger.failure() {
        return at(failure.to_string(), session.failure(failure.error.clone()));
    }
    if let Err(source) = fed {
        let broken = CtlError::Stream { what: "reading lines", source };
        return at(format!("line {}", taken + 1), broken);
    }
    closed.map_err(|error| session.failure(error))?;
    if is_stopped.is_asked() {
        note(global, bar, &format!("stopped after line {taken}"));
    }
    let (bytes, seconds) = (feed.bytes(), feed.seconds());
    Ok(Produced { topic: args.topic.clone(), records: acknowledged, bytes, seconds })
}

/// What was sent and acknowledged.
#[derive(Serialize)]
struct Produced {
    topic: String,
    records: u64,
    /// Of values.
    bytes: u64,
    seconds: f64,
}

impl Answer for Produced {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let (records, topic, seconds) = (grouped(self.records), &self.topic, self.seconds);
        writeln!(out, "{records} records ({}) to {topic} in {seconds:.2} s", size(self.bytes))
    }
}
