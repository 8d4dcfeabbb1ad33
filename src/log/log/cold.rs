//! Reading from disk: direct reads of whole index runs, each checked before it is served, and reads ahead of a consumer that
//! goes through the log in order.

use bytes::Bytes;
use kolk_io::door::{File, Io};
use kolk_io::wait::Completion;
use kolk_model::checksum::{crc32c, crc32c_append};
use kolk_model::offset::{FilePosition, Offset};

use crate::error::{Damage, LogError};
use crate::log::Log;
use crate::log::read::{Place, cut, total};
use crate::log::tail::is_small_part;
use crate::shard_log::read_cache::{Window, WindowKey};
use kolk_layout::field::{bytes, index, page_ceil, page_floor};
use kolk_layout::segment::index::{Run, SegmentIndex};
use kolk_layout::segment::scan::{Offsets, Scan, ScanError, Scanned};

impl<I: Io> Log<I> {
    pub(crate) async fn read_cold(
        &self,
        (place, mut run): (Place<I::File>, usize),
        (from, end): (Offset, Offset),
        bytes_max: u64,
    ) -> Result<Vec<Bytes>, LogError> {
        let mut out: Vec<Bytes> = Vec::new();
        let mut next = from;
        while let Some(window) = self.window_of(&place, run) {
            self.read_ahead(&place, window);
            let (window, read) = self.window_bytes(&place, window).await?;
            let left = bytes_max.saturating_sub(bytes(total(&out)));
            let piece = cut(&read, next, end, left);
            let fits = out.is_empty() || bytes(piece.len()) <= left;
            run = window.end_run();
            let following = place.index.runs().get(run).map(|run| place.index.run_offset(run));
            let Some(following) = following else {
                let piece = Some(piece).filter(|piece| fits && !piece.is_empty());
                out.extend(piece.map(|piece| unpinned(piece, read.len())));
                break;
            };
            if piece.is_empty() && out.is_empty() && following < end && following > next {
                // The window lies before a gap that compaction left: the next batch is behind it.
                next = following;
                continue;
            }
            if piece.is_empty() || !fits {
                break;
            }
            let to_the_end = piece.as_ptr_range().end == read.as_ptr_range().end;
            out.push(unpinned(piece, read.len()));
            next = following;
            if !to_the_end || next >= end || bytes(total(&out)) >= bytes_max {
                break;
            }
        }
        Ok(out)
    }

    /// The window that holds `run`: a known one, or that which starts there. `None` for a run that may have grown since the place
    /// was taken: where it ends the place's index does not know.
    fn window_of(&self, place: &Place<I::File>, run: usize) -> Option<Window> {
        if run >= place.closed_runs {
            return None;
        }
        let key = self.key(place, run);
        let bytes_max = self.inner.shard.settings.read_bytes;
        self.inner.shard.reads.find(key).or_else(|| self.window_at(place, run, bytes_max))
    }

    /// The runs from `first_run` on that are read together, about `bytes_max`. In the active segment only closed runs that are on disk.
    pub(crate) fn window_at(
        &self,
        place: &Place<I::File>,
        first_run: usize,
        bytes_max: u64,
    ) -> Option<Window> {
        let on_disk = {
            let state = self.inner.state.borrow();
            if state.active().base == place.segment { state.evictable() } else { u64::MAX }
        };
        let mut closed = place.index.runs().range(first_run..place.closed_runs);
        let first = closed.next().filter(|run| run.end() <= on_disk)?;
        let limit = (first.position + bytes_max).min(on_disk);
        Some(Window { first_run, runs: 1 + closed.take_while(|run| run.end() <= limit).count() })
    }

    /// If the consumer reads in order, starts reading what comes next.
    fn read_ahead(&self, place: &Place<I::File>, window: Window) {
        let last = self.inner.state.borrow_mut().cold.replace((place.segment, window));
        let in_order = window.first_run == 0
            || last.is_some_and(|(segment, last)| {
                let follows = last.end_run() == window.first_run;
                segment == place.segment && (follows || last.first_run == window.first_run)
            });
        if !in_order {
            return;
        }
        let mut next = window.end_run();
        for _ in 0..self.inner.shard.settings.read_ahead {
            let Some(window) = self.window_of(place, next) else { break };
            next = window.end_run();
            if self.inner.shard.reads.knows(self.key(place, window.first_run)) {
                continue;
            }
            if self.begin_window(place, window).is_none() {
                break;
            }
        }
    }

    /// Begins to read a window; `None` if it is known, or if enough are being read. In a task of its own: others wait for the
    /// window, and whoever wanted it first may go away, or be polled no more while his client reads nothing.
    fn begin_window(
        &self,
        place: &Place<I::File>,
        window: Window,
    ) -> Option<Completion<Result<Bytes, LogError>>> {
        let key = self.key(place, window.first_run);
        if !self.inner.shard.reads.begin(key, window) {
            return None;
        }
        let (log, place) = (self.clone(), place.clone());
        let read = Completion::new();
        let ended = read.clone();
        self.inner.shard.io.spawn(async move {
            let read = log.read_window(&place, window).await;
            log.inner.shard.reads.end(key, read.as_ref().ok().cloned());
            ended.complete(read);
        });
        Some(read)
    }

    fn key(&self, place: &Place<I::File>, first_run: usize) -> WindowKey {
        let (segment, version) = (place.segment, place.version);
        WindowKey { log: self.id(), segment, version, first_run }
    }

    /// The bytes of a window, or of the one that others read from the same run on.
    async fn window_bytes(
        &self,
        place: &Place<I::File>,
        window: Window,
    ) -> Result<(Window, Bytes), LogError> {
        let key = self.key(place, window.first_run);
        let reads = &self.inner.shard.reads;
        if let Some(found) = reads.get(key).await {
            self.inner.shard.metrics.log.read_ahead_hits.inc();
            return Ok(found);
        }
        // Whoever began to read it and failed may have known more runs than this index.
        let runs = window.end_run().min(place.closed_runs).saturating_sub(window.first_run);
        let window = Window { runs, ..window };
        let read = match self.begin_window(place, window) {
            Some(read) => read.await,
            None => self.read_window(place, window).await,
        };
        Ok((window, read?))
    }

    /// Reads and checks the runs of a window.
    pub(crate) async fn read_window(
        &self,
        place: &Place<I::File>,
        window: Window,
    ) -> Result<Bytes, LogError> {
        let runs = place.index.runs().range(window.first_run..window.end_run());
        let runs: Vec<Run> = runs.copied().collect();
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
            return Ok(Bytes::new());
        };
        let (from, to) = (page_floor(first.position), page_ceil(last.end()));
        let metrics = &self.inner.shard.metrics.log;
        metrics.cold_reads.inc();
        metrics.cold_read_bytes.add(to - from);
        let read = match place.file.read_at(from, index(to - from)).await {
            Ok(read) => read.freeze(),
            Err(error) => {
                let damage = self.device(place.segment, &error);
                self.fence(damage.clone());
                return Err(LogError::Offline { id: self.id(), damage });
            }
        };
        let skip = index(first.position - from);
        let end = index(last.end() - from);
        let whole = if read.len() >= end { read.slice(skip..end) } else { Bytes::new() };
        match check((&place.index, place.offsets), &runs, &whole) {
            Ok(()) => Ok(whole),
            Err((position, reason)) => {
                let file = self.file_name(place.segment);
                let damage = Damage::Corrupt { file, position, reason };
                self.fence(damage.clone());
                Err(LogError::Offline { id: self.id(), damage })
            }
        }
    }

    /// A segment file that is gone: retention took it while we read, or somebody else did.
    pub(crate) fn vanished(&self, base: Offset) -> LogError {
        {
            let state = self.inner.state.borrow();
            if state.segments.iter().all(|segment| segment.base != base) {
                return self.out_of_range(&state, base);
            }
        }
        let reason = "the segment is missing".to_owned();
        let file = self.file_name(base);
        let damage = Damage::Corrupt { file, position: FilePosition::ZERO, reason };
        self.fence(damage.clone());
        LogError::Offline { id: self.id(), damage }
    }
}

/// A piece of a window as a reader may keep it.
fn unpinned(piece: Bytes, window_bytes: usize) -> Bytes {
    if is_small_part(piece.len(), window_bytes) { Bytes::copy_from_slice(&piece) } else { piece }
}

/// Checks every batch of `runs` and their heads against the index.
pub(crate) fn check(
    (index_, offsets): (&SegmentIndex, Offsets),
    runs: &[Run],
    read: &Bytes,
) -> Result<(), (FilePosition, String)> {
    let start = runs.first().map_or(0, |run| run.position);
    for run in runs {
        let from = index(run.position - start);
        let Some(piece) = read.get(from..from + index(u64::from(run.bytes))) else {
            return Err((FilePosition::new(run.position), "the segment ends early".to_owned()));
        };
        let mut heads = None;
        let scan = Scan::new(run.position, index_.run_offset(run));
        let mut scan = scan.with_offsets(offsets);
        let scanned = scan.batches(piece, |batch, _| {
            heads = Some(
                heads.map_or_else(|| crc32c(batch.head), |sum| crc32c_append(sum, batch.head)),
            );
        });
        match scanned {
            // It is the batch whose epoch falls that is seen, and may be one before it that is at fault.
            Err(error @ ScanError::Epoch { .. }) => {
                return Err((FilePosition::new(run.position), error.to_string()));
            }
            Err(error) => return Err((error.position(), error.to_string())),
            Ok(Scanned::Consumed(consumed)) if consumed != u64::from(run.bytes) => {
                return Err((
                    scan.position(),
                    "a batch does not end where the index says".to_owned(),
                ));
            }
            Ok(Scanned::Consumed(_)) if heads != Some(run.heads_checksum) => {
                return Err((
                    FilePosition::new(run.position),
                    "batch heads do not match the index".to_owned(),
                ));
            }
            Ok(Scanned::Consumed(_)) => {}
        }
    }
    Ok(())
}
