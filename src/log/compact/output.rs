//! Writing the segment that takes the place of others: under a name of its own until the swap, whole pages at a time, cut to its
//! exact length and synced.

use std::rc::Rc;

use kolk_io::buf::AlignedBuf;
use kolk_io::door::{File, Io, OpenMode};
use kolk_model::batch::BatchView;
use kolk_model::offset::Offset;

use crate::error::LogError;
use crate::log::Log;
use kolk_layout::field::{bytes, bytes32, index, page_floor};
use kolk_layout::segment::compacted::swap_name;
use kolk_layout::segment::index::{IndexedBatch, SegmentIndex};

/// Bytes collected for one write.
const WRITE_BYTES: usize = 1 << 20;

/// A segment being written.
pub(super) struct Output<I: Io> {
    base: Offset,
    file: I::File,
    /// Where `pending` begins, a multiple of the page.
    position: u64,
    pending: Vec<u8>,
    index: SegmentIndex,
}

/// A segment that is whole and durable under its temporary name.
pub(super) struct Finished<F> {
    pub(super) file: F,
    pub(super) bytes: u64,
    pub(super) index: Rc<SegmentIndex>,
}

impl<I: Io> Output<I> {
    pub(super) async fn create(log: &Log<I>, base: Offset) -> Result<Self, LogError> {
        discard(log, base).await;
        let path = log.dir().join(swap_name(base));
        let file = log.inner.shard.io.open(&path, OpenMode::CreateNew).await?;
        let interval = log.inner.state.borrow().config.index_interval_bytes;
        let index = SegmentIndex::new(base, interval);
        Ok(Self { base, file, position: 0, pending: Vec::new(), index })
    }

    /// Adds a whole batch.
    pub(super) fn push(&mut self, batch: &[u8]) {
        let Ok((view, length)) = BatchView::parse(batch) else {
            unreachable!("a batch that was parsed or built before");
        };
        assert_eq!(length, batch.len(), "one batch at a time");
        let head = view.head();
        let indexed = IndexedBatch {
            head: &head,
            bytes: bytes32(length),
            base_offset: view.base_offset(),
            max_timestamp: view.max_timestamp(),
        };
        self.index.push(&indexed, view.next_offset());
        self.pending.extend_from_slice(batch);
    }

    /// Writes the whole pages collected if they are many; returns how many bytes.
    ///
    /// # Errors
    /// The disk's.
    pub(super) async fn flush(&mut self) -> Result<u64, LogError> {
        if self.pending.len() < WRITE_BYTES {
            return Ok(0);
        }
        let whole = index(page_floor(bytes(self.pending.len())));
        let rest = self.pending.split_off(whole);
        let pages = std::mem::replace(&mut self.pending, rest);
        let written = bytes(pages.len());
        self.file.write_at(self.position, &[AlignedBuf::from_bytes(&pages).into_slice()]).await?;
        self.position += written;
        Ok(written)
    }

    /// Writes the rest and makes all of it durable, name included.
    ///
    /// # Errors
    /// The disk's.
    pub(super) async fn finish(self, log: &Log<I>) -> Result<Finished<I::File>, LogError> {
        let end = self.position + bytes(self.pending.len());
        assert_eq!(end, self.index.covered(), "the index of {} speaks for all of it", self.base);
        if !self.pending.is_empty() {
            let pages = AlignedBuf::from_bytes(&self.pending).into_slice();
            self.file.write_at(self.position, &[pages]).await?;
        }
        self.file.truncate(end).await?;
        self.file.sync().await?;
        log.inner.shard.io.sync_dir(&log.dir()).await?;
        log.inner.shard.metrics.log.compaction_written_bytes.add(end);
        Ok(Finished { file: self.file, bytes: end, index: Rc::new(self.index) })
    }
}

/// Removes what a pass that was given up has left; the next start would, too.
pub(super) async fn discard<I: Io>(log: &Log<I>, base: Offset) {
    let path = log.dir().join(swap_name(base));
    if let Err(error) = log.inner.shard.io.remove_file_if_there(&path).await {
        tracing::warn!(log = %log.id(), %error, "unfinished compacted segment not removed");
    }
}
