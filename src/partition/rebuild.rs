//! The producers of a partition after a start: from the snapshot, then from the log behind it. Apart
//! because it is the one thing here that reads, and runs beside everything else.

use bytes::Bytes;

use kolk_io::door::Io;
use kolk_log::error::LogError;
use kolk_log::log::Log;
use kolk_model::batch::batches;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::error::PartitionError;
use crate::producer_snapshot::{ProducerSnapshot, SnapshotError, bytes_max, decode};
use crate::producers::{ProducerBatch, Producers};
use crate::saving::{SNAPSHOT_NAME, epoch_before};

/// Bytes of log read at once.
const READ_BYTES: u64 = 1 << 20;

/// The producers of a log, as of an offset.
#[derive(Debug)]
pub struct LoadedProducers {
    /// Each producer's state.
    pub producers: Producers,
    /// The snapshot that was used, by its offset; `None` if the log was read from its start.
    pub snapshot: Option<Offset>,
    /// Whether a newer kolk's snapshot lies there: it is left alone.
    pub foreign: bool,
}

/// Reads the producers that the batches below `end` leave behind. `now` becomes the time of the last
/// append of those that are read from the log: a producer lives longer by a restart, never shorter.
///
/// # Errors
/// When the log can't be read. A snapshot that can't be used is not an error: it is passed over with a warning.
pub async fn load_producers<I: Io>(
    io: &I,
    log: &Log<I>,
    end: Offset,
    producers_max: usize,
    now: TimestampMs,
) -> Result<LoadedProducers, PartitionError> {
    let mut producers = Producers::new(producers_max);
    let (snapshot, foreign) = match usable_snapshot(io, log, end, producers_max).await {
        Found::Usable(snapshot) => (Some(snapshot), false),
        Found::Foreign => (None, true),
        Found::Nothing => (None, false),
    };
    let mut used = snapshot.as_ref().map(|snapshot| snapshot.point.offset);
    for (id, state) in snapshot.into_iter().flat_map(|snapshot| snapshot.states) {
        producers.restore(id, state);
    }
    let mut from = used.unwrap_or(Offset::ZERO);
    loop {
        let start = log.log_start();
        if from < start {
            // Batches were given up unread, before the start or meanwhile: what came last of a producer known so far may be
            // among them, and its next one would be refused for ever. All that is known so far is of records that are gone.
            producers = Producers::new(producers_max);
            (from, used) = (start, None);
        }
        if from >= end {
            return Ok(LoadedProducers { producers, snapshot: used, foreign });
        }
        let slices = match log.read(from, end, READ_BYTES).await {
            Err(LogError::OffsetOutOfRange { .. }) if from < log.log_start() => continue,
            slices => slices?,
        };
        let before = from;
        for batch in batches(&joined(slices)) {
            let batch = batch?;
            from = batch.next_offset();
            if let Some(head) = ProducerBatch::of(&batch) {
                producers.record(&head, batch.base_offset(), now);
            }
        }
        assert!(from > before, "log {} gave nothing at {before}, below {end}", log.id());
        io.yield_now().await;
    }
}

/// A batch may lie across two slices.
fn joined(mut slices: Vec<Bytes>) -> Bytes {
    match slices.as_mut_slice() {
        [only] => std::mem::take(only),
        several => several.concat().into(),
    }
}

/// What lies beside the segments.
enum Found {
    Usable(ProducerSnapshot),
    /// A newer kolk's.
    Foreign,
    /// None, or one that does not fit.
    Nothing,
}

async fn usable_snapshot<I: Io>(io: &I, log: &Log<I>, end: Offset, producers_max: usize) -> Found {
    let path = log.dir().join(SNAPSHOT_NAME);
    let bytes = match io.read_file(&path, bytes_max(producers_max)).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Found::Nothing,
        Err(error) => {
            tracing::warn!(log = %log.id(), %error, "producer snapshot not read, reading the log instead");
            return Found::Nothing;
        }
    };
    let snapshot = match decode(&bytes) {
        Ok(snapshot) => snapshot,
        Err(error @ SnapshotError::Newer { .. }) => {
            let file = path.display();
            tracing::warn!(%file, %error, "producer snapshot left alone, reading the log instead");
            return Found::Foreign;
        }
        Err(error) => {
            tracing::warn!(log = %log.id(), %error, "producer snapshot not used, reading the log instead");
            return Found::Nothing;
        }
    };
    let point = &snapshot.point;
    let fits = point.partition == log.id()
        && point.offset <= end
        && (point.offset <= log.log_start()
            || epoch_before(log, point.offset) == Some(point.epoch));
    if !fits {
        tracing::warn!(log = %log.id(), offset = %point.offset, "producer snapshot of another log, reading the log instead");
        return Found::Nothing;
    }
    Found::Usable(snapshot)
}
