//! Giving up the oldest records: by time, by size, or because somebody said so. The log start is durable before a file goes.

use kolk_io::door::Io;
use kolk_io::wait::Completion;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::error::LogError;
use crate::log::{Log, LogState, Segment, index_name, segment_name};

/// How much a log may keep. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Segments whose newest record is older than this are given up.
    pub before: Option<TimestampMs>,
    /// The oldest segments are given up while the others have at least this many bytes.
    pub bytes_max: Option<u64>,
}

impl<I: Io> Log<I> {
    /// Raises the log start to `start` (nothing happens if it is there already); durable when this returns. Segments that lie
    /// below it whole are deleted. Once it was polled it is carried out to its end, also where the future is dropped.
    ///
    /// # Errors
    /// [`LogError::OffsetOutOfRange`] above the log's durable end; [`LogError::Offline`], [`LogError::JournalFailed`],
    /// [`LogError::Io`] (then the records are gone and their files go at the next start).
    pub async fn set_log_start(&self, start: Offset) -> Result<(), LogError> {
        self.readable()?;
        {
            let mut state = self.inner.state.borrow_mut();
            let state = &mut *state;
            if start > state.writer.durable.offset {
                return Err(self.out_of_range(state, start));
            }
            if start > state.log_start.max(state.log_start_unsaved.unwrap_or(Offset::ZERO)) {
                state.log_start_unsaved = Some(start);
                self.mark_dirty(state);
            }
        }
        let (log, ended) = (self.clone(), Completion::new());
        let told = ended.clone();
        self.inner.shard.io.spawn(async move { told.complete(log.drop_segments().await) });
        ended.await
    }

    /// Waits until the journal holds, durably, all that was said about this log besides its bytes.
    pub(crate) async fn controls_safe(&self) -> Result<(), LogError> {
        self.controls_safe_and(|_| true).await
    }

    async fn controls_safe_and(&self, also: impl Fn(&LogState) -> bool) -> Result<(), LogError> {
        self.inner
            .moved
            .until(|| {
                let state = self.inner.state.borrow();
                if self.inner.shard.journal.failed() {
                    return Some(Err(LogError::JournalFailed));
                }
                if let Err(error) = self.readable_state(&state) {
                    return Some(Err(error));
                }
                (state.controls_settled() && also(&state)).then_some(Ok(()))
            })
            .await
    }

    /// Deletes the files of segments that lie below the log start, once that is durable. So must be the roll that made the last
    /// of them a sealed one, each time anew: a start without it takes that segment for the active one.
    async fn drop_segments(&self) -> Result<(), LogError> {
        let shard = &self.inner.shard;
        loop {
            self.controls_safe_and(|state| !state.swapping).await?;
            let dropped = {
                let mut state = self.inner.state.borrow_mut();
                if oldest_is_below_start(&state) { state.segments.pop_front() } else { None }
            };
            let Some(mut segment) = dropped else { return Ok(()) };
            shard.memory_given_back(segment.tail.forget_all());
            shard.open_files.close(self.id(), segment.base);
            shard.reads.forget_log(self.id());
            let _turn = self.index_turn().await;
            // The index first: a start knows a log by its segments.
            for name in [index_name(segment.base), segment_name(segment.base)] {
                shard.io.remove_file_if_there(&self.dir().join(name)).await?;
            }
            shard.metrics.log.segments_deleted.inc();
        }
    }

    /// Gives up what `retention` no longer allows; never the active segment. Returns the log start after it.
    ///
    /// # Errors
    /// As [`Log::set_log_start`].
    pub async fn apply_retention(&self, retention: Retention) -> Result<Offset, LogError> {
        self.readable()?;
        let mut start = self.log_start();
        let mut at = start;
        while let Some((base, next)) = self.oldest_sealed(at) {
            at = next;
            if retention.bytes_max.is_some_and(|max| self.bytes_from(next) >= max) {
                start = next;
                continue;
            }
            let Some(before) = retention.before else { break };
            match self.newest_of(base).await? {
                // None of its records says when it was made. It goes with the first segment behind it that is too old.
                Some(max) if max < TimestampMs::new(0) => {}
                Some(max) if max < before => start = next,
                _ => break,
            }
        }
        if start > self.log_start() {
            self.set_log_start(start).await?;
        } else if self.has_segments_to_drop() {
            self.drop_segments().await?;
        }
        Ok(start)
    }

    /// Whether a sealed segment lies below the log start whole: it was trimmed to its end while it was active.
    #[must_use]
    pub fn has_segments_to_drop(&self) -> bool {
        oldest_is_below_start(&self.inner.state.borrow())
    }

    /// The sealed segment that holds `start`, if the one after it is not empty of meaning: its base and its end offset.
    fn oldest_sealed(&self, start: Offset) -> Option<(Offset, Offset)> {
        let state = self.inner.state.borrow();
        let at = state.segment_of(start)?;
        let segment = state.segments.get(at)?;
        (at + 1 < state.segments.len()).then_some((segment.base, segment.next_offset))
    }

    fn bytes_from(&self, offset: Offset) -> u64 {
        let state = self.inner.state.borrow();
        state
            .segments
            .iter()
            .filter(|segment| segment.base >= offset)
            .map(|segment| segment.end)
            .sum()
    }

    async fn newest_of(&self, base: Offset) -> Result<Option<TimestampMs>, LogError> {
        let known = {
            let state = self.inner.state.borrow();
            state.segments.iter().find(|segment| segment.base == base).and_then(|s| s.max_timestamp)
        };
        match known {
            Some(known) => Ok(Some(known)),
            None => match self.index_of(base).await {
                // Compaction has replaced the segment: the next pass looks at the new one.
                Err(LogError::OffsetOutOfRange { .. }) => Ok(None),
                index => Ok(index?.max_timestamp()),
            },
        }
    }
}

fn oldest_is_below_start(state: &LogState) -> bool {
    let below = |segment: &Segment| segment.next_offset <= state.log_start;
    state.segments.len() > 1 && state.segments.front().is_some_and(below)
}
