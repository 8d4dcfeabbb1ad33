//! The two sides of the stream: what goes in and what comes out, each counted, summed and timed.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use kolk_client::client::Client;
use kolk_client::consumer::Position;
use kolk_client::consumer::settings::ConsumerSettings;
use kolk_client::producer::settings::ProducerSettings;
use kolk_client::producer::{Producer, Record};
use kolk_model::ids::PartitionId;
use kolk_model::map::Map;
use kolk_model::offset::Offset;

use super::Options;
use super::checksum::RecordSum;
use super::page_views::PageViews;
use crate::answer::{Counted, progress};
use crate::command::consume::place::{Place, resolve, timestamp};
use crate::command::produce::lines::Lines;
use crate::error::CtlError;
use crate::global::Global;

#[allow(clippy::disallowed_types, reason = "acknowledgements come back on the client's threads")]
type Mutex<T> = std::sync::Mutex<T>;

/// One record in so many is timed from the call to its acknowledgement.
const TIMED_ONE_IN: u64 = 61;
/// Bytes on the way to the broker: enough to keep it busy, few enough that records do not wait long.
const BUFFER_BYTES: usize = 4 << 20;
const BATCH_BYTES: usize = 128 << 10;
/// Times beyond this count as this.
const NS_MAX: u64 = 60_000_000_000;
/// A bar is moved after so many records.
const BAR_EVERY: u64 = 8192;

/// What one side did.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) sum: RecordSum,
    pub(super) seconds: f64,
    pub(super) latency: Histogram<u64>,
}

fn times() -> Result<Histogram<u64>, CtlError> {
    Histogram::new_with_bounds(1, NS_MAX, 3)
        .map_err(|error| CtlError::Mismatch { what: format!("histogram: {error}") })
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).clamp(1, NS_MAX)
}

/// A record on its way in.
struct Sent<'a> {
    key: Option<&'a [u8]>,
    value: &'a [u8],
}

/// Where the records come from.
enum Source {
    Generated { views: PageViews, left: u64 },
    Lines(Lines<File>),
}

impl Source {
    fn open(options: &Options) -> Result<Self, CtlError> {
        let Some(path) = &options.input else {
            let now = timestamp(std::time::SystemTime::now()).get().cast_unsigned();
            return Ok(Self::Generated { views: PageViews::new(1, now), left: options.records });
        };
        let fault = |source| CtlError::File { path: path.clone(), source };
        Ok(Self::Lines(Lines::new(File::open(Path::new(path)).map_err(fault)?)))
    }

    fn next(&mut self) -> Result<Option<Sent<'_>>, CtlError> {
        match self {
            Self::Generated { left: 0, .. } => Ok(None),
            Self::Generated { views, left } => {
                *left -= 1;
                let view = views.next();
                Ok(Some(Sent { key: Some(view.key), value: view.value }))
            }
            Self::Lines(lines) => {
                let broken = |source| CtlError::Stream { what: "reading lines", source };
                Ok(lines.next().map_err(broken)?.map(|value| Sent { key: None, value }))
            }
        }
    }
}

/// Sends the stream and waits until all of it is acknowledged.
pub(super) async fn produce(
    client: &Client,
    options: &Options,
    global: &Global,
    topic: &str,
) -> Result<Side, CtlError> {
    let mut source = Source::open(options)?;
    let total = if options.input.is_some() { 0 } else { options.records };
    let bar = progress(global, Counted::Records, total, "producing");
    let mut settings = ProducerSettings::default();
    settings.linger = Duration::from_millis(1);
    settings.batch_bytes = BATCH_BYTES;
    settings.buffer_bytes_max = BUFFER_BYTES;
    let producer = client.producer(settings)?;
    let latency = Arc::new(Mutex::new(times()?));
    let mut sum = RecordSum::default();
    let begin = Instant::now();
    while let Some(Sent { key, value }) = source.next()? {
        sum.add(key, value);
        let record = Record::to(topic).value(value);
        let record = key.map_or(record, |key| record.key(key));
        if sum.records.is_multiple_of(TIMED_ONE_IN) {
            timed(&producer, record, &latency).await?;
        } else {
            producer.push(record).await?;
        }
        if sum.records.is_multiple_of(BAR_EVERY) {
            bar.set_position(sum.records);
        }
    }
    producer.close().await?;
    let seconds = begin.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let latency = latency.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Side { sum, seconds, latency })
}

/// Sends a record whose acknowledgement is timed on the side.
async fn timed(
    producer: &Producer,
    record: Record<'_>,
    latency: &Arc<Mutex<Histogram<u64>>>,
) -> Result<(), CtlError> {
    let begin = Instant::now();
    let delivery = producer.enqueue(record).await?;
    let latency = Arc::clone(latency);
    tokio::spawn(async move {
        // A failure is reported by close.
        if delivery.await.is_ok() {
            let mut latency = latency.lock().unwrap_or_else(PoisonError::into_inner);
            latency.saturating_record(nanoseconds(begin.elapsed()));
        }
    });
    Ok(())
}

/// Reads every partition from its beginning to its end.
pub(super) async fn consume(
    client: &Client,
    global: &Global,
    (topic, partitions): (&str, u32),
    produced: &Side,
) -> Result<Side, CtlError> {
    let bar = progress(global, Counted::Records, produced.sum.records, "consuming");
    let mut settings = ConsumerSettings::default();
    settings.partition_bytes_max = 4 << 20;
    settings.bytes_max = 16 << 20;
    settings.prefetch_bytes_max = 32 << 20;
    let mut consumer = client.consumer(settings)?;
    let all: Vec<PartitionId> = (0..partitions).map(PartitionId::new).collect();
    let ends = resolve(&client.admin(), topic, &all, Place::End).await?;
    let begin = Instant::now();
    // Partitions with records, each with the next offset and the end.
    let mut rest: Map<PartitionId, (Offset, Offset)> = Map::new();
    for (partition, end) in all.into_iter().zip(ends).filter(|(_, end)| *end > Offset::ZERO) {
        rest.insert(partition, (Offset::ZERO, end));
        consumer.assign(topic, partition, Position::Beginning)?;
    }
    let mut latency = times()?;
    let mut sum = RecordSum::default();
    while rest.values().any(|(next, end)| next < end) {
        let asked = Instant::now();
        let fetched = consumer.next_records().await?;
        latency.saturating_record(nanoseconds(asked.elapsed()));
        let Some((expected, _)) = rest.get_mut(&fetched.partition()) else { continue };
        for record in &fetched {
            let record = record?;
            if record.offset != *expected {
                let (partition, found) = (fetched.partition(), record.offset);
                let what = format!("partition {partition} has offset {found} after {expected}");
                return Err(CtlError::Mismatch { what });
            }
            *expected = record.offset.next();
            sum.add(record.key, record.value.unwrap_or_default());
        }
        bar.set_position(sum.records);
    }
    let seconds = begin.elapsed().as_secs_f64();
    bar.finish_and_clear();
    Ok(Side { sum, seconds, latency })
}
