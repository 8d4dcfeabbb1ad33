//! Reading a sealed segment from its first batch to its last, past the read cache: what compaction reads no consumer wants.

use bytes::Bytes;
use kolk_io::door::Io;

use super::plan::Source;
use super::{Pace, TURN_BYTES};
use crate::error::LogError;
use crate::log::Log;
use crate::log::read::Place;
use kolk_layout::field::bytes;

/// A segment being read.
pub(super) struct SourceReader<I: Io> {
    place: Place<I::File>,
    next_run: usize,
}

impl<I: Io> SourceReader<I> {
    /// Opens a segment of a plan.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] if retention took it meanwhile.
    pub(super) async fn open(log: &Log<I>, source: &Source) -> Result<Self, LogError> {
        match log.place(source.base).await? {
            Some(place) => Ok(Self { place, next_run: 0 }),
            None => Err(log.out_of_range(&log.inner.state.borrow(), source.base)),
        }
    }

    /// The next whole batches, checked; `None` at the end. Waits for its turn first.
    ///
    /// # Errors
    /// As [`Log::read`]; [`LogError::NoSuchLog`] once the log is closed.
    pub(super) async fn next(
        &mut self,
        log: &Log<I>,
        pace: &mut Pace<I>,
    ) -> Result<Option<Bytes>, LogError> {
        pace.wait().await;
        log.readable()?;
        let Some(window) = log.window_at(&self.place, self.next_run, TURN_BYTES) else {
            return Ok(None);
        };
        let read = log.read_window(&self.place, window).await?;
        self.next_run = window.end_run();
        pace.passed(bytes(read.len()));
        log.inner.shard.metrics.log.compaction_read_bytes.add(bytes(read.len()));
        Ok(Some(read))
    }
}
