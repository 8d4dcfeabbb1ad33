//! Segment files kept open. Descriptors are had on demand: a shard with more partitions than descriptors opens and closes as
//! it goes. Writes in flight hold their own clone, so closing here never takes a file from under one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use kolk_io::door::{Io, OpenMode};
use kolk_io::error::IoError;
use kolk_model::ids::TopicPartition;
use kolk_model::offset::Offset;

use crate::log::{SegmentVersion, log_dir, segment_name};
use crate::shard_log::Shard;

/// Compaction puts other files in the place of segments: each has a version of its own.
type Key = (TopicPartition, Offset, SegmentVersion);

struct Opened<F> {
    file: F,
    used: u64,
}

/// The open segment files of one shard.
pub(crate) struct OpenFiles<I: Io> {
    files: RefCell<BTreeMap<Key, Opened<I::File>>>,
    /// Files by the time of their last use.
    by_use: RefCell<BTreeMap<u64, Key>>,
    clock: Cell<u64>,
    count_max: usize,
}

impl<I: Io> OpenFiles<I> {
    pub(crate) fn new(count_max: usize) -> Self {
        Self {
            files: RefCell::new(BTreeMap::new()),
            by_use: RefCell::new(BTreeMap::new()),
            clock: Cell::new(0),
            count_max: count_max.max(1),
        }
    }

    /// The segment's file, opened for reading and writing if it is not yet.
    ///
    /// # Errors
    /// The disk's; [`IoError::NotFound`] if the segment does not exist.
    pub(crate) async fn open(
        &self,
        shard: &Rc<Shard<I>>,
        log: TopicPartition,
        (base, version): (Offset, SegmentVersion),
    ) -> Result<I::File, IoError> {
        if let Some(file) = self.get((log, base, version)) {
            return Ok(file);
        }
        let path = shard.dir.join(log_dir(log)).join(segment_name(base));
        let file = shard.io.open(&path, OpenMode::ReadWrite).await?;
        self.put(log, (base, version), file.clone());
        shard.metrics.log.open_files.set(kolk_layout::field::bytes(self.files.borrow().len()));
        Ok(file)
    }

    fn get(&self, key: Key) -> Option<I::File> {
        let mut files = self.files.borrow_mut();
        let opened = files.get_mut(&key)?;
        let now = self.tick();
        let mut by_use = self.by_use.borrow_mut();
        by_use.remove(&opened.used);
        by_use.insert(now, key);
        opened.used = now;
        Some(opened.file.clone())
    }

    fn tick(&self) -> u64 {
        let now = self.clock.get() + 1;
        self.clock.set(now);
        now
    }

    /// Keeps a file that was just created or opened.
    pub(crate) fn put(
        &self,
        log: TopicPartition,
        (base, version): (Offset, SegmentVersion),
        file: I::File,
    ) {
        let used = self.tick();
        let key = (log, base, version);
        if let Some(before) = self.files.borrow_mut().insert(key, Opened { file, used }) {
            self.by_use.borrow_mut().remove(&before.used);
        }
        self.by_use.borrow_mut().insert(used, key);
        while self.files.borrow().len() > self.count_max {
            let Some((_, oldest)) = self.by_use.borrow_mut().pop_first() else { break };
            self.files.borrow_mut().remove(&oldest);
        }
    }

    /// Lets go of one segment's file, in all its versions.
    pub(crate) fn close(&self, log: TopicPartition, base: Offset) {
        let range = (log, base, SegmentVersion::FIRST)..=(log, base, SegmentVersion::LAST);
        let keys: Vec<Key> = self.files.borrow().range(range).map(|(key, _)| *key).collect();
        for key in keys {
            if let Some(opened) = self.files.borrow_mut().remove(&key) {
                self.by_use.borrow_mut().remove(&opened.used);
            }
        }
    }

    /// Lets go of all files.
    pub(crate) fn close_all(&self) {
        self.files.borrow_mut().clear();
        self.by_use.borrow_mut().clear();
    }
}
