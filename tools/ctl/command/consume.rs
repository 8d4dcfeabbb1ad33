//! `kolk consume`: records out, byte for byte.

pub mod format;
pub mod place;

mod group;
mod json_line;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use indicatif::ProgressBar;
use kolk_client::consumer::fetched::FetchedRecords;
use kolk_client::consumer::settings::ConsumerSettings;
use kolk_client::consumer::{Consumer, Position};
use kolk_model::ids::PartitionId;
use kolk_model::map::Map;
use kolk_model::offset::Offset;

use crate::answer::{Counted, progress};
use crate::command::topic::select;
use crate::error::CtlError;
use crate::global::Global;
use crate::session::Session;

use format::{Format, Origin};
use place::{Place, resolve};

const EXAMPLES: &str = "\
Examples:
  kolk consume web                                    what comes from now on
  kolk consume web --from beginning --exit > copy     everything there is, as it was written
  kolk consume web --from -10 -n 10                   10 of the last 10 of each partition
  kolk consume web --from 15m --format '%T %k %s\\n'   the last quarter of an hour
  kolk consume web -p 0 --from 4711 -n 1 --json       one record
  kolk consume web --group billing                    a share of it, on from where billing is

Places: beginning, end, an offset (4711), the last records (-10), a time (2026-11-23,
2026-11-23T08:00:00Z, @1700000000000 in ms) or an age (90s, 15m, 2h, 7days).

Tokens of --format, as in kcat: %s value, %S its length, %R its length as 4 bytes, %k key,
%K its length, %o offset, %p partition, %t topic, %T timestamp in ms, %h headers, %% a per
cent sign. \\n \\r \\t \\0 \\\\ \\xNN are bytes.

Records of one partition come in order, those of several as they arrive.

With --group the partitions are shared among all that name the group, Kafka's clients among
them. Reading goes on where the group has committed; --from says where it begins without that.
What was printed is committed every 5 seconds and at the end.";

/// Arguments of `kolk consume`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: String,

    /// Where to begin: beginning, end, an offset, -COUNT, a time or an age.
    #[arg(long, value_name = "PLACE", default_value = "end", allow_hyphen_values = true)]
    from: Place,

    /// Only these partitions.
    #[arg(short, long, value_name = "PARTITION,…", value_delimiter = ',')]
    partition: Vec<u32>,

    /// Share the partitions with the other members of this group, and go on where it has committed.
    #[arg(short, long, value_name = "GROUP", conflicts_with = "partition")]
    group: Option<String>,

    /// Stop after so many records.
    #[arg(short = 'n', long, value_name = "COUNT")]
    count: Option<u64>,

    /// Stop at the end offsets seen at the start.
    #[arg(short, long)]
    exit: bool,

    /// How a record is printed.
    #[arg(short, long, value_name = "FORMAT", conflicts_with = "json")]
    format: Option<Format>,
}

/// Bytes collected before they are written.
const OUT_BYTES: usize = 256 * 1024;
/// Bytes fetched at a time from a partition, and kept ahead.
const PARTITION_BYTES: u32 = 4 << 20;
const PREFETCH_BYTES: usize = 32 << 20;

/// Runs the command.
pub(crate) fn run(args: &Args, global: &Global) -> Result<(), CtlError> {
    let session = Session::open(global)?;
    let format = args.format.clone().unwrap_or_default();
    let shape = if global.json { Shape::Json } else { Shape::Format(format) };
    if let Some(group) = &args.group {
        return session.run(group::run((&session, global), args, group, shape));
    }
    session.run(async {
        let partitions = select(&session.admin(), &args.topic, &args.partition).await?;
        let admin = session.admin();
        let begins = resolve(&admin, &args.topic, &partitions, args.from).await?;
        let ends = if args.exit {
            Some(resolve(&admin, &args.topic, &partitions, Place::End).await?)
        } else {
            None
        };
        let mut settings = ConsumerSettings::default();
        settings.partition_bytes_max = PARTITION_BYTES;
        settings.bytes_max = 4 * PARTITION_BYTES;
        settings.prefetch_bytes_max = PREFETCH_BYTES;
        let mut consumer = session.client().consumer(settings)?;
        let mut out = Output::new(shape, args.count)?;
        let mut rest = Rest::default();
        for (number, (partition, begin)) in partitions.iter().zip(&begins).enumerate() {
            let end = ends.as_ref().and_then(|ends| ends.get(number)).copied();
            if rest.add(*partition, *begin, end) {
                consumer.assign(&args.topic, *partition, Position::Offset(*begin))?;
            }
        }
        out.bar = bar(global, &rest);
        let _watch = session.watch(global, &out.bar);
        read(&args.topic, &mut consumer, &mut rest, &mut out).await
    })
}

/// A bar only where records go elsewhere and their number is known.
fn bar(global: &Global, rest: &Rest) -> ProgressBar {
    match rest.records {
        Some(records) if !io::stdout().is_terminal() => {
            progress(global, Counted::Records, records, "consuming")
        }
        _ => ProgressBar::hidden(),
    }
}

async fn read(
    topic: &str,
    consumer: &mut Consumer,
    rest: &mut Rest,
    out: &mut Output,
) -> Result<(), CtlError> {
    while !rest.is_done() && !out.is_full() {
        let fetched = consumer.next_records().await?;
        let end = rest.end(fetched.partition());
        out.records(&fetched, end)?;
        if rest.reached(fetched.partition(), fetched.next_offset()) {
            consumer.unassign(topic, fetched.partition());
        }
    }
    out.bar.finish_and_clear();
    out.flush()
}

/// The partitions that are still read, each with the offset to stop at.
#[derive(Debug, Default)]
struct Rest {
    ends: Map<PartitionId, Option<Offset>>,
    /// How many records there are in all; `None` without ends.
    records: Option<u64>,
}

impl Rest {
    /// Adds a partition; false if it has nothing to read.
    fn add(&mut self, partition: PartitionId, begin: Offset, end: Option<Offset>) -> bool {
        if let Some(end) = end {
            *self.records.get_or_insert(0) += end.count_since(begin);
            if begin >= end {
                return false;
            }
        }
        self.ends.insert(partition, end);
        true
    }

    fn end(&self, partition: PartitionId) -> Option<Offset> {
        self.ends.get(&partition).copied().flatten()
    }

    /// Whether a partition is done with, now that everything below `next` was seen.
    fn reached(&mut self, partition: PartitionId, next: Offset) -> bool {
        let done = self.end(partition).is_some_and(|end| next >= end);
        if done {
            self.ends.remove(&partition);
        }
        done
    }

    fn is_done(&self) -> bool {
        self.ends.is_empty()
    }
}

/// What a record becomes.
enum Shape {
    Format(Format),
    Json,
}

/// Standard output with a buffer of its own: the standard library's would look for line feeds.
struct Output {
    shape: Shape,
    file: File,
    buffer: Vec<u8>,
    /// Records that may still be written.
    left: Option<u64>,
    bar: ProgressBar,
}

impl Output {
    fn new(shape: Shape, left: Option<u64>) -> Result<Self, CtlError> {
        let own = io::stdout().as_fd().try_clone_to_owned().map_err(CtlError::output)?;
        let buffer = Vec::with_capacity(2 * OUT_BYTES);
        Ok(Self { shape, file: File::from(own), buffer, left, bar: ProgressBar::hidden() })
    }

    fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// Writes the records below `end`, as many as are wanted. Gives the first that was not, if it stopped early.
    fn records(
        &mut self,
        fetched: &FetchedRecords,
        end: Option<Offset>,
    ) -> Result<Option<Offset>, CtlError> {
        let topic = fetched.topic().as_str();
        let origin = Origin { topic, partition: fetched.partition().get() };
        let (mut written, mut left_out) = (0, None);
        for record in fetched {
            let record = record?;
            if end.is_some_and(|end| record.offset >= end) || self.is_full() {
                left_out = Some(record.offset);
                break;
            }
            match &self.shape {
                Shape::Format(format) => format.write(origin, &record, &mut self.buffer),
                Shape::Json => json_line::write(origin, &record, &mut self.buffer)?,
            }
            if self.buffer.len() >= OUT_BYTES {
                self.flush()?;
            }
            if let Some(left) = &mut self.left {
                *left -= 1;
            }
            written += 1;
        }
        self.bar.inc(written);
        // Whoever reads along shall not wait for more records to fill the buffer.
        self.flush()?;
        Ok(left_out)
    }

    fn flush(&mut self) -> Result<(), CtlError> {
        let written = self.file.write_all(&self.buffer).map_err(CtlError::output);
        self.buffer.clear();
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_read_to_their_ends_and_empty_ones_not_at_all() {
        let (zero, one) = (PartitionId::new(0), PartitionId::new(1));
        let mut rest = Rest::default();
        assert!(rest.add(zero, Offset::new(5), Some(Offset::new(9))));
        assert!(!rest.add(one, Offset::new(7), Some(Offset::new(7))));
        assert_eq!(rest.records, Some(4));
        assert!(!rest.reached(zero, Offset::new(8)));
        assert!(rest.reached(zero, Offset::new(12)));
        assert!(rest.is_done());
    }

    #[test]
    fn without_ends_reading_goes_on() {
        let mut rest = Rest::default();
        assert!(rest.add(PartitionId::new(0), Offset::ZERO, None));
        assert!(!rest.reached(PartitionId::new(0), Offset::MAX));
        assert!(!rest.is_done() && rest.records.is_none());
    }
}
