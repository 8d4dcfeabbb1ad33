//! The files of one shard's journal: all of them exist from the start of a run; each is filled with zeros before its first use
//! and used again once a snapshot contains everything in it.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use kolk_io::buf::AlignedBuf;
use kolk_io::door::{File, Io, OpenMode};
use kolk_io::error::IoError;

use crate::settings::LogSettings;
use crate::shard_log::Shard;
use crate::signal::Signal;
use kolk_layout::field::index;
use kolk_layout::journal::journal_name;

/// Bytes of zeros written at a time.
const ZERO_BYTES: u64 = 1 << 20;
/// Bytes of cached writes after which the kernel is asked to write them back.
const WRITE_BACK_BYTES: u64 = 256 << 10;

/// How long a file that could not be prepared is left alone.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// Never written: has no blocks yet.
    Empty,
    /// Being filled with zeros.
    Preparing,
    /// Ready to take groups.
    Ready,
    /// Takes groups now.
    Current,
    /// Holds groups up to this sequence.
    Full { last: u64, bytes: u64 },
}

struct JournalFile<F> {
    file: Option<Handles<F>>,
    state: Use,
}

/// The same file twice.
#[derive(Clone)]
struct Handles<F> {
    direct: F,
    cached: F,
}

/// Where the next group goes.
pub(crate) struct Slot<F> {
    pub(crate) file: F,
    pub(crate) cached: F,
    pub(crate) position: u64,
}

pub(crate) struct JournalFiles<I: Io> {
    dir: PathBuf,
    file_bytes: u64,
    files: RefCell<Vec<JournalFile<I::File>>>,
    position: Cell<u64>,
    /// Bytes of groups in the full files: every append asks for it.
    full_bytes: Cell<u64>,
    /// End of the current file's cached writes that the kernel was asked to write back.
    written_back: Cell<u64>,
    /// A group waits for the next file.
    awaited: Cell<bool>,
    /// The next file found no room on the disk while a group waited for it.
    without_room: Cell<bool>,
    changed: Signal,
}

impl<I: Io> JournalFiles<I> {
    /// Takes over the files that recovery created; the first one is ready.
    pub(crate) async fn open(io: &I, dir: &Path, settings: &LogSettings) -> Result<Self, IoError> {
        let empty = |_| JournalFile { file: None, state: Use::Empty };
        let mut files: Vec<_> = (0..settings.journal_files).map(empty).collect();
        if let Some(first) = files.first_mut() {
            first.file = Some(open_twice(io, &dir.join(journal_name(0))).await?);
            first.state = Use::Current;
        }
        Ok(Self {
            dir: dir.to_path_buf(),
            file_bytes: settings.journal_file_bytes,
            files: RefCell::new(files),
            position: Cell::new(0),
            full_bytes: Cell::new(0),
            written_back: Cell::new(0),
            awaited: Cell::new(false),
            without_room: Cell::new(false),
            changed: Signal::default(),
        })
    }

    /// Bytes of groups that replay would need.
    pub(crate) const fn live_bytes(&self) -> u64 {
        self.full_bytes.get() + self.position.get()
    }

    /// Reserves room for a group of `bytes` in the current file; `None` if it is full.
    pub(crate) fn reserve(&self, bytes: u64) -> Option<Slot<I::File>> {
        let position = self.position.get();
        if position + bytes > self.file_bytes {
            return None;
        }
        let files = self.files.borrow();
        let current = files.iter().find(|file| file.state == Use::Current)?;
        let Handles { direct, cached } = current.file.clone()?;
        self.position.set(position + bytes);
        Some(Slot { file: direct, cached, position })
    }

    /// A cached write to the slot is complete. The kernel is asked in time to write back what came so: neither the sync before
    /// a switch of files nor that of another log's group shall find much to write.
    pub(crate) fn cached(&self, slot: &Slot<I::File>, end: u64) {
        let from = self.written_back.get();
        if end - from >= WRITE_BACK_BYTES {
            slot.cached.begin_write_back(from, end - from);
            self.written_back.set(end);
        }
    }

    /// The file that takes groups now.
    pub(crate) fn current(&self) -> Option<I::File> {
        let files = self.files.borrow();
        let current = files.iter().find(|file| file.state == Use::Current)?;
        current.file.as_ref().map(|file| file.direct.clone())
    }

    /// Goes on to the next file, which must be ready; the caller has synced the old one. `last` is the last group in it.
    fn switch(&self, last: u64) -> bool {
        let mut files = self.files.borrow_mut();
        let Some(next) = files.iter().position(|file| file.state == Use::Ready) else {
            return false;
        };
        let bytes = self.position.replace(0);
        self.written_back.set(0);
        for (number, file) in files.iter_mut().enumerate() {
            if file.state == Use::Current {
                file.state = Use::Full { last, bytes };
                self.full_bytes.set(self.full_bytes.get() + bytes);
            }
            if number == next {
                file.state = Use::Current;
            }
        }
        true
    }

    /// Waits for a ready file and goes on to it; false if the run ends first.
    pub(crate) async fn next(&self, shard: &Rc<Shard<I>>, last: u64) -> bool {
        let journal = &shard.journal;
        let ready = self
            .changed
            .until(|| {
                if journal.failed() || journal.stopping() {
                    return Some(false);
                }
                if self.switch(last) {
                    return Some(true);
                }
                self.awaited.set(true);
                self.prepare(shard);
                journal.want_checkpoint();
                None
            })
            .await;
        self.awaited.set(false);
        if self.without_room.replace(false) {
            journal.show_room(&shard.metrics);
        }
        ready
    }

    /// True while a group waits for a file that found no room on the disk.
    pub(crate) const fn lacks_room(&self) -> bool {
        self.without_room.get()
    }

    /// Files whose groups a snapshot up to `sequence` contains are ready again.
    pub(crate) fn free(&self, sequence: u64) {
        for file in self.files.borrow_mut().iter_mut() {
            if let Use::Full { last, bytes } = file.state
                && last <= sequence
            {
                file.state = Use::Ready;
                self.full_bytes.set(self.full_bytes.get() - bytes);
            }
        }
        self.changed.notify();
    }

    /// Starts filling a file with zeros if none is ready or on its way.
    pub(crate) fn prepare(&self, shard: &Rc<Shard<I>>) {
        let number = {
            let mut files = self.files.borrow_mut();
            if files.iter().any(|file| matches!(file.state, Use::Ready | Use::Preparing)) {
                return;
            }
            let Some(number) = files.iter().position(|file| file.state == Use::Empty) else {
                return;
            };
            if let Some(file) = files.get_mut(number) {
                file.state = Use::Preparing;
            }
            number
        };
        let shard = Rc::clone(shard);
        shard.io.clone().spawn(async move { shard.journal.files.fill(&shard, number).await });
    }

    async fn fill(&self, shard: &Rc<Shard<I>>, number: usize) {
        let name = journal_name(u16::try_from(number).unwrap_or(u16::MAX));
        let filled = self.make(&shard.io, &self.dir.join(name)).await;
        if let Err(error) = &filled {
            // A full disk: tried again with the next group, or at once where one waits.
            tracing::warn!(%error, "journal file could not be prepared");
            if error.is_no_space() && self.awaited.get() {
                self.without_room.set(true);
                shard.journal.show_room(&shard.metrics);
            }
            shard.io.sleep(TRIED_AGAIN_AFTER).await;
        }
        if let Some(file) = self.files.borrow_mut().get_mut(number) {
            file.state = if filled.is_ok() { Use::Ready } else { Use::Empty };
            file.file = filled.ok();
        }
        self.changed.notify();
    }

    async fn make(&self, io: &I, path: &Path) -> Result<Handles<I::File>, IoError> {
        zero_file(io, path, self.file_bytes).await?;
        open_twice(io, path).await
    }

    /// True if the current file is filled far enough that the next one should be on its way.
    pub(crate) fn wants_next(&self) -> bool {
        self.position.get() > self.file_bytes / 4
    }
}

async fn open_twice<I: Io>(io: &I, path: &Path) -> Result<Handles<I::File>, IoError> {
    let direct = io.open(path, OpenMode::ReadWrite).await?;
    Ok(Handles { direct, cached: io.open(path, OpenMode::Cached).await? })
}

/// Makes a file of zeros that is durable whole: writes into blocks that were written before need no metadata. It gets its name
/// last, and an earlier file of that name is replaced: where an earlier attempt failed at its sync, what that one was to make durable is
/// lost for good, and no later sync of the same file brings it back.
///
/// # Errors
/// The disk's.
pub(crate) async fn zero_file<I: Io>(io: &I, path: &Path, bytes: u64) -> Result<(), IoError> {
    let temporary = path.with_extension("journal.tmp");
    io.remove_file_if_there(&temporary).await?;
    let file = io.open(&temporary, OpenMode::CreateNew).await?;
    file.allocate(0, bytes).await?;
    let zeros = AlignedBuf::new(index(ZERO_BYTES.min(bytes))).into_slice();
    let mut position = 0;
    while position < bytes {
        let now = ZERO_BYTES.min(bytes - position);
        let pages = if now == ZERO_BYTES.min(bytes) {
            zeros.clone()
        } else {
            AlignedBuf::new(index(now)).into_slice()
        };
        file.write_at(position, &[pages]).await?;
        position += now;
    }
    file.sync().await?;
    file.close().await?;
    io.rename(&temporary, path).await?;
    if let Some(dir) = path.parent() {
        io.sync_dir(dir).await?;
    }
    Ok(())
}
