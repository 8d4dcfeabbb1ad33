//! The traits that stand between the broker and the world.
//!
//! `uring` answers with the kernel, `sim` with a seeded model of it. Nothing above this crate
//! opens a file, reads a clock or draws a random number in another way.
//!
//! Common to all operations:
//! - Operations of a [`File`] start at the call, in call order; the future only waits. Operations
//!   of [`Io`] on paths start at the call or when the future is first polled.
//! - Every future may be dropped at any time. The operation then still runs to its end (its
//!   buffers and paths live until the kernel has answered), only its result is lost.
//! - Handles and futures belong to the executor (shard) they came from and do not leave it.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::buf::{AlignedBuf, AlignedSlice};
use crate::error::{IoError, Op};
use crate::net::BoundSocket;
use crate::time::{Monotonic, WallClock};

mod compound;

/// The unit of direct I/O in bytes: positions, lengths and memory are multiples of it.
pub use crate::buf::PAGE_BYTES;

/// One executor's way to disks, time and chance. Cloning is cheap and gives the same executor.
pub trait Io: Clone + 'static {
    /// An open file of this executor.
    type File: File;

    /// Returns the monotonic clock's reading.
    fn now(&self) -> Monotonic;

    /// Returns the wall clock's reading.
    fn wall_clock(&self) -> WallClock;

    /// Returns 64 random bits: from the kernel, or from the simulation's seed.
    fn random_u64(&self) -> u64;

    /// Whether a flaw of this name was planted. Storage asks where it keeps a rule that a crash puts to the test, so that a
    /// simulation can break it and show that this is noticed. On a real machine the answer is a constant no, and the
    /// compiler takes such places out.
    #[inline]
    fn has_flaw(&self, _name: &'static str) -> bool {
        false
    }

    /// Starts a task on this executor: it is first polled after the caller has yielded, and runs
    /// until it ends or the executor does.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// Waits for at least `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + use<Self>;

    /// Lets every other runnable task of the executor run once.
    fn yield_now(&self) -> impl Future<Output = ()> + use<Self>;

    /// Opens a file, for direct I/O in all modes but one; the descriptor is not inherited by child processes.
    ///
    /// A created file is durable only after [`Io::sync_dir`] of its directory.
    fn open(
        &self,
        path: &Path,
        how: OpenMode,
    ) -> impl Future<Output = Result<Self::File, IoError>> + use<Self>;

    /// Lists a directory, sorted by name, without `.` and `..`.
    ///
    /// Names that are not UTF-8 are left out: the broker writes none.
    fn list_dir(
        &self,
        path: &Path,
    ) -> impl Future<Output = Result<Vec<DirEntry>, IoError>> + use<Self>;

    /// Creates one directory in an existing one; durable after [`Io::sync_dir`] of the latter.
    fn create_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<Self>;

    /// Makes a directory's entries durable: what was created, renamed or removed in it before.
    fn sync_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<Self>;

    /// Renames a file, replacing what `to` named; durable after [`Io::sync_dir`].
    fn rename(
        &self,
        from: &Path,
        to: &Path,
    ) -> impl Future<Output = Result<(), IoError>> + use<Self>;

    /// Removes a file's name; its blocks are freed when the last handle is closed.
    fn remove_file(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<Self>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<Self>;

    /// Returns the space of the file system that holds `path`.
    fn space(&self, path: &Path) -> impl Future<Output = Result<Space, IoError>> + use<Self>;

    /// As [`Io::remove_file`]; absent is not an error.
    fn remove_file_if_there(
        &self,
        path: &Path,
    ) -> impl Future<Output = Result<(), IoError>> + use<Self> {
        compound::remove_file_if_there(self.clone(), path.to_path_buf())
    }

    /// Creates a directory and those above it that are missing. Not durable by itself: the
    /// caller syncs the directories it needs.
    fn create_dir_all(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<Self> {
        compound::create_dir_all(self.clone(), path.to_path_buf())
    }

    /// Removes a directory and everything in it. Absent is not an error.
    fn remove_dir_all(&self, path: &Path) -> impl Future<Output = Result<(), IoError>> + use<Self> {
        compound::remove_dir_all(self.clone(), path.to_path_buf())
    }

    /// Reads a small metadata file whole; `None` when it does not exist.
    ///
    /// More than `bytes_max` bytes are refused with [`IoError::TooLarge`].
    fn read_file(
        &self,
        path: &Path,
        bytes_max: usize,
    ) -> impl Future<Output = Result<Option<Vec<u8>>, IoError>> + use<Self> {
        compound::read_file(self.clone(), path.to_path_buf(), bytes_max)
    }

    /// Replaces a small metadata file: a temporary file beside it is written and synced, renamed
    /// over it, and the directory synced. A crash leaves the former file or this one.
    ///
    /// Not for two writers of one path at a time.
    fn write_file_atomic(
        &self,
        path: &Path,
        bytes: &[u8],
    ) -> impl Future<Output = Result<(), IoError>> + use<Self> {
        compound::write_file_atomic(self.clone(), path.to_path_buf(), AlignedBuf::from_bytes(bytes))
    }
}

/// An open file, read and written directly: no page cache is involved, unless it was opened [`OpenMode::Cached`].
///
/// A clone is the same descriptor, which is closed with the last of them.
#[expect(clippy::len_without_is_empty, reason = "the length is asked of the kernel")]
pub trait File: Clone + 'static {
    /// Reads `bytes` bytes from `position`, both multiples of [`PAGE_BYTES`].
    ///
    /// The buffer's length is what was really read: it is shorter only at the end of the file.
    fn read_at(
        &self,
        position: u64,
        bytes: usize,
    ) -> impl Future<Output = Result<AlignedBuf, IoError>> + use<Self>;

    /// Writes the slices one behind the other at `position`, a multiple of [`PAGE_BYTES`]; at
    /// most [`WRITE_SLICES_MAX`] slices. Their memory is kept until the write has ended, also when the future is dropped.
    ///
    /// Complete means complete in the kernel, not durable. Less than all of it is
    /// [`IoError::ShortWrite`] and is not tried again.
    fn write_at(
        &self,
        position: u64,
        pages: &[AlignedSlice],
    ) -> impl Future<Output = Result<(), IoError>> + use<Self>;

    /// Writes as [`File::write_at`] and, only if all of it was written, makes the file's data
    /// durable: one submission.
    ///
    /// It covers this write and all that were complete at the call, through this handle, its clones and
    /// cached ones, and what was complete when the file was opened.
    fn write_and_sync_at(
        &self,
        position: u64,
        pages: &[AlignedSlice],
    ) -> impl Future<Output = Result<WriteSyncTiming, IoError>> + use<Self>;

    /// Makes durable what was written before the call: data and the length (fdatasync).
    ///
    /// After an error what is durable is unknown, for good: a second sync proves nothing.
    fn sync(&self) -> impl Future<Output = Result<(), IoError>> + use<Self>;

    /// Asks the kernel to begin writing to the disk what of these bytes is in the page cache alone, so that a later sync finds
    /// little to do. Waits for nothing and promises nothing; what goes wrong, the sync tells.
    fn begin_write_back(&self, position: u64, bytes: u64);

    /// Reserves blocks for `bytes` bytes from `from` and makes the file at least that long
    /// (fallocate without KEEP_SIZE). Reserved blocks read as zeros.
    fn allocate(
        &self,
        from: u64,
        bytes: u64,
    ) -> impl Future<Output = Result<(), IoError>> + use<Self>;

    /// Cuts the file, or extends it with zeros, to `bytes` bytes.
    fn truncate(&self, bytes: u64) -> impl Future<Output = Result<(), IoError>> + use<Self>;

    /// Returns the file's length in bytes.
    fn len(&self) -> impl Future<Output = Result<u64, IoError>> + use<Self>;

    /// Gives this handle back and, if it was the last one, waits for the descriptor's close.
    ///
    /// Dropping the handle closes as well, on the executor's own time.
    fn close(self) -> impl Future<Output = Result<(), IoError>> + use<Self>;
}

/// One executor's way to the network, beside everything of [`Io`].
pub trait Net: Io {
    /// A listening socket of this executor.
    type Listener: Listener<Stream = Self::Stream>;
    /// A connection of this executor.
    type Stream: Stream;

    /// Starts listening. Several executors may listen on clones of one socket: the kernel then
    /// wakes one of those that accept.
    ///
    /// # Errors
    /// The kernel's refusal, with the address.
    fn listen(&self, socket: BoundSocket) -> Result<Self::Listener, IoError>;
}

/// A listening socket; closed when dropped.
pub trait Listener: 'static {
    /// The connections it makes.
    type Stream;

    /// Returns the address it listens on.
    fn local_address(&self) -> SocketAddr;

    /// Waits for a connection and returns it with the peer's address. Dropping the future loses no
    /// descriptor: a connection that was just taken is closed.
    ///
    /// An error is of this one attempt, a lack of descriptors for example; accepting may go on.
    fn accept(
        &self,
    ) -> impl Future<Output = Result<(Self::Stream, SocketAddr), IoError>> + use<Self>;
}

/// A connection. A clone is the same one, which is closed with the last of them.
///
/// At most one task waits to read and one to write at a time; the last to ask is woken.
pub trait Stream: Clone + 'static {
    /// Waits until there is something to receive, the end included. Holds no buffer meanwhile:
    /// this is how an idle connection waits.
    fn readable(&self) -> impl Future<Output = Result<(), IoError>> + use<Self>;

    /// Receives at most `bytes_max` bytes behind those in `into`, inside its capacity, which must
    /// have room; waits if there is nothing. 0 bytes mean that the peer sends no more.
    fn recv(
        &self,
        into: BytesMut,
        bytes_max: usize,
    ) -> impl Future<Output = (BytesMut, Result<usize, IoError>)> + use<Self>;

    /// Sends the parts one behind the other with one gather send of at most [`SEND_PARTS_MAX`]
    /// parts; waits if there is no room. Returns the bytes sent, at least 1 unless there are none,
    /// and the parts unchanged: the caller removes what was sent and calls again, and yields now
    /// and then.
    fn send(
        &self,
        parts: Vec<Bytes>,
    ) -> impl Future<Output = (Vec<Bytes>, Result<usize, IoError>)> + use<Self>;

    /// Returns the address that the client connected to.
    ///
    /// # Errors
    /// The kernel's refusal.
    fn local_address(&self) -> Result<SocketAddr, IoError>;

    /// Ends both directions: whoever waits to read or write wakes up. May be called again.
    fn shutdown(&self);
}

/// Most parts of one gather send: the kernel's IOV_MAX.
pub const SEND_PARTS_MAX: usize = 1024;

/// Most slices of one write: the kernel's IOV_MAX.
pub const WRITE_SLICES_MAX: usize = 1024;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpenMode {
    /// An existing file, for reads alone.
    ReadOnly,
    /// An existing file, for reads and writes.
    ReadWrite,
    /// A file that must not exist yet, for reads and writes.
    CreateNew,
    /// A file that is created when absent, for reads and writes; it is not truncated.
    CreateOrOpen,
    /// An existing file, for writes through the kernel's page cache: they wait for no disk, and survive the process but not the
    /// machine until a sync of the file, through whichever handle.
    Cached,
}

/// What a directory holds under one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name inside the directory.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// The file's length in bytes; 0 for a directory.
    pub bytes: u64,
}

/// Room on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that this user may still write.
    pub free_bytes: u64,
    /// Bytes of the whole file system.
    pub total_bytes: u64,
}

/// Where the time of one durable write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteSyncTiming {
    /// From the call to the completion of both, in nanoseconds.
    pub total_ns: u64,
    /// The fdatasync's share in nanoseconds, where the end of the write was seen.
    pub fdatasync_ns: Option<u64>,
}

/// Asserts what every direct transfer must keep: alignment of position and length.
pub(crate) fn assert_aligned(op: Op, position: u64, bytes: u64) {
    let page = PAGE_BYTES as u64;
    assert!(position.is_multiple_of(page), "{op} at {position}: not a multiple of {page}");
    assert!(bytes.is_multiple_of(page), "{op} of {bytes} bytes: not a multiple of {page}");
    assert!(bytes <= i32::MAX as u64, "{op} of {bytes} bytes: the kernel takes 2 GiB at most");
}
