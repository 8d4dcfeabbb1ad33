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
        let bases: Vec<Offset> = {
            let state = self.inner.state.borrow();
            let late = |known: Option<TimestampMs>| known.is_none_or(|max| max >= time);
            let segments = state.segments.iter().filter(|segment| segment.end > 0);
            segments
                .filter(|segment| late(segment.max_timestamp))
                .map(|segment| segment.base)
                .collect()
        };
        for base in bases {
            let index = match self.index_of(base).await {
                // Retention took the segment meanwhile.
                Err(LogError::OffsetOutOfRange { .. }) => continue,
                index => index?,
            };
            let Some(run) = index.run_of_time(time).and_then(|run| index.runs().get(run)) else {
                continue;
            };
            let from = index.run_offset(run).max(self.log_start());
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
        let segments: Vec<(Offset, Option<TimestampMs>)> = {
            let state = self.inner.state.borrow();
            let segments = state.segments.iter().filter(|segment| segment.end > 0);
            segments.map(|segment| (segment.base, segment.max_timestamp)).collect()
        };
        let mut latest = None;
        for (base, known) in segments {
            let own = match known {
                Some(known) => Some(known),
                None => match self.index_of(base).await {
                    // Retention took the segment meanwhile.
                    Err(LogError::OffsetOutOfRange { .. }) => None,
                    index => index?.max_timestamp(),
                },
            };
            latest = latest.max(own);
        }
        Ok(latest)
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
                    _ => decompress(&view, cap).ok(),
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
