//! Finding the first record at or after a time.

use kolk_io::door::Io;
use kolk_model::batch;
use kolk_model::compression::{Compression, decompress};
use kolk_model::limits;
use kolk_model::offset::Offset;
use kolk_model::records::Records;
use kolk_model::time::TimestampMs;

use crate::error::LogError;
use crate::log::Log;

/// A record found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOffset {
    /// The record's timestamp.
    pub timestamp: TimestampMs,
    /// The record's offset.
    pub offset: Offset,
}

impl<I: Io> Log<I> {
    /// The first record below `end` whose timestamp is at or after `time`.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub async fn offset_for_timestamp(
        &self,
        time: TimestampMs,
        end: Offset,
    ) -> Result<Option<TimedOffset>, LogError> {
        let mut at = self.log_start();
        while let Some((base, next)) = self.segment_with_time(time, at) {
            let index = match self.index_of(base).await {
                // Retention or compaction took the segment meanwhile: there is another one now.
                Err(LogError::OffsetOutOfRange { .. }) => continue,
                index => index?,
            };
            let before = std::mem::replace(&mut at, next);
            let Some(run) = index.run_of_time(time).and_then(|run| index.runs().get(run)) else {
                continue;
            };
            let from = index.run_offset(run).max(before).max(self.log_start());
            if let Some(found) = self.scan_for_time(time, from, end).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The latest timestamp of any record of the log, also of those not visible yet; `None` if there is no record.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub async fn max_timestamp(&self) -> Result<Option<TimestampMs>, LogError> {
        let mut latest = None;
        let mut at = self.log_start();
        let any = TimestampMs::new(i64::MIN);
        while let Some((base, next)) = self.segment_with_time(latest.unwrap_or(any), at) {
            let known = {
                let state = self.inner.state.borrow();
                state.segment_of(base).and_then(|at| state.segments.get(at)?.max_timestamp)
            };
            let own = match known {
                Some(known) => Some(known),
                None => match self.index_of(base).await {
                    // Retention or compaction took the segment meanwhile: there is another one now.
                    Err(LogError::OffsetOutOfRange { .. }) => continue,
                    index => index?.max_timestamp(),
                },
            };
            latest = latest.max(own);
            at = next;
        }
        Ok(latest)
    }

    /// The first segment that reaches beyond `at` and may hold a record of that time: its base and the offset after it.
    fn segment_with_time(&self, time: TimestampMs, at: Offset) -> Option<(Offset, Offset)> {
        let state = self.inner.state.borrow();
        let late = |known: Option<TimestampMs>| known.is_none_or(|max| max >= time);
        let mut segments = state.segments.iter().filter(|segment| segment.end > 0);
        let found = segments.find(|s| s.next_offset > at && late(s.max_timestamp))?;
        Some((found.base, found.next_offset))
    }

    async fn scan_for_time(
        &self,
        time: TimestampMs,
        mut from: Offset,
        end: Offset,
    ) -> Result<Option<TimedOffset>, LogError> {
        while from < end {
            let read = self.read(from, end, self.inner.shard.settings.read_bytes).await?;
            let joined = read.concat();
            let before = from;
            for view in batch::batches(&joined).map_while(Result::ok) {
                from = view.next_offset();
                if view.max_timestamp() < time {
                    continue;
                }
                let cap = limits::BATCH_DECOMPRESSED_BYTES_MAX;
                let plain = match view.compression() {
                    Compression::None => None,
                    _ => {
                        // A batch may be far larger than it looks, and many may claim times that they do not have.
                        self.inner.shard.io.yield_now().await;
                        decompress(&view, cap).ok()
                    }
                };
                let records = match &plain {
                    Some(plain) => Records::of_plain(&view, plain),
                    None => Records::of_plain(&view, view.records_bytes()),
                };
                let start = self.log_start();
                let found = records
                    .map_while(Result::ok)
                    .find(|record| record.timestamp >= time && record.offset >= start);
                if let Some(record) = found {
                    return Ok(Some(TimedOffset {
                        timestamp: record.timestamp,
                        offset: record.offset,
                    }));
                }
            }
            if from == before {
                break;
            }
        }
        Ok(None)
    }
}
