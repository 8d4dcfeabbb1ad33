//! A file on the ring: each operation one submission.
#![allow(unsafe_code, reason = "submissions point to memory that the table of operations holds")]

use std::future::Future;
use std::rc::Rc;

use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, FsyncFlags};

use super::at_once::AtOnce;
use super::kernel::clock;
use super::ring::{Descriptor, Finished, Held, HeldMemory, InFlight, Ring, to_result};
use crate::buf::{AlignedBuf, AlignedSlice, PAGE_BYTES};
use crate::door::{File, WRITE_SLICES_MAX, WriteSyncTiming, assert_aligned};
use crate::error::{IoError, Op};

/// An open file of one executor. Cloning shares the descriptor.
#[derive(Clone)]
pub struct UringFile {
    open: Rc<Open>,
}

struct Open {
    descriptor: Rc<Descriptor>,
    ring: Rc<Ring>,
    /// Set for a cached file of an executor that spins.
    at_once: Option<Rc<AtOnce>>,
}

impl UringFile {
    pub(super) fn new(
        descriptor: Rc<Descriptor>,
        ring: Rc<Ring>,
        at_once: Option<Rc<AtOnce>>,
    ) -> Self {
        Self { open: Rc::new(Open { descriptor, ring, at_once }) }
    }

    fn fd(&self) -> Fd {
        Fd(self.open.descriptor.raw())
    }

    fn held(&self, memory: HeldMemory) -> Held {
        let descriptor = Some(Rc::clone(&self.open.descriptor));
        Held { descriptor, memory, ..Held::default() }
    }

    fn error(&self, op: Op, errno: i32) -> IoError {
        IoError::from_errno(op, errno, self.open.descriptor.name())
    }

    /// Starts an operation that needs no memory.
    fn start_plain(&self, entry: Entry) -> InFlight {
        // SAFETY: the descriptor is held; there is no memory.
        unsafe { self.open.ring.start(self.held(HeldMemory::None), |_| entry) }
    }

    async fn finish_plain(self, op: Op, started: InFlight) -> Result<(), IoError> {
        let finished = started.await.ok_or(IoError::ExecutorGone)?;
        finished.result().map(drop).map_err(|errno| self.error(op, errno))
    }

    fn start_read(&self, position: u64, buf: AlignedBuf, filled: usize, bytes: usize) -> InFlight {
        let (fd, length) = (self.fd(), length_of(bytes - filled));
        let held = self.held(HeldMemory::Read(buf));
        // SAFETY: the memory is in `held` and has `bytes` bytes, of which `filled` are left out.
        unsafe {
            self.open.ring.start(held, |held| {
                let HeldMemory::Read(buf) = &mut held.memory else {
                    unreachable!("a read holds its buffer")
                };
                // No overflow: the buffer was made for `bytes`.
                let start = buf.start().wrapping_add(filled);
                opcode::Read::new(fd, start, length).offset(position + filled as u64).build()
            })
        }
    }

    /// Takes the buffer back; reads on after a short read, until the end of the file.
    async fn finish_read(
        self,
        position: u64,
        bytes: usize,
        started: InFlight,
    ) -> Result<AlignedBuf, IoError> {
        let (mut started, mut filled) = (started, 0);
        loop {
            let finished = started.await.ok_or(IoError::ExecutorGone)?;
            let read = finished.result().map_err(|errno| self.error(Op::Read, errno))?;
            let HeldMemory::Read(mut buf) = finished.held.memory else {
                unreachable!("a read gives its buffer back")
            };
            filled += usize::try_from(read).unwrap_or(usize::MAX);
            // A read that ends inside a page has met the end of the file.
            if read == 0 || filled == bytes || !filled.is_multiple_of(PAGE_BYTES) {
                buf.set_filled(filled);
                return Ok(buf);
            }
            started = self.start_read(position, buf, filled, bytes);
        }
    }

    /// One region is held as it is; several need lists, of them and of where they are.
    fn hold_pages(&self, position: u64, pages: &[AlignedSlice]) -> (u64, Held) {
        assert!(pages.len() <= WRITE_SLICES_MAX, "{} slices in one write", pages.len());
        let wanted = pages.iter().map(|page| page.len() as u64).sum();
        assert_aligned(Op::Write, position, wanted);
        let memory = match pages {
            [one] => HeldMemory::Write(one.clone()),
            many => {
                let iovec = |page: &AlignedSlice| libc::iovec {
                    iov_base: page.as_ptr().cast_mut().cast(),
                    iov_len: page.len(),
                };
                HeldMemory::Gather {
                    pages: many.to_vec(),
                    iovecs: many.iter().map(iovec).collect(),
                }
            }
        };
        (wanted, self.held(memory))
    }

    fn write_at_once(&self, position: u64, pages: &[AlignedSlice]) -> Option<i32> {
        let [page] = pages else { return None };
        self.open.at_once.as_ref()?.write(&self.open.descriptor, position, page)
    }

    fn check_written(&self, wanted: u64, result: i32) -> Result<(), IoError> {
        let written = to_result(result).map_err(|errno| self.error(Op::Write, errno))?;
        if u64::from(written) == wanted {
            return Ok(());
        }
        let path = self.open.descriptor.name().to_path_buf();
        Err(IoError::ShortWrite { path, wanted, written: written.into() })
    }

    fn check_pair(&self, wanted: u64, finished: &Finished) -> Result<(), IoError> {
        self.check_written(wanted, finished.outcome.first.unwrap_or(-libc::ECANCELED))?;
        finished.result().map(drop).map_err(|errno| self.error(Op::Sync, errno))
    }
}

impl File for UringFile {
    fn read_at(
        &self,
        position: u64,
        bytes: usize,
    ) -> impl Future<Output = Result<AlignedBuf, IoError>> + use<> {
        assert_aligned(Op::Read, position, bytes as u64);
        let started = self.start_read(position, AlignedBuf::with_capacity(bytes), 0, bytes);
        self.clone().finish_read(position, bytes, started)
    }

    fn write_at(
        &self,
        position: u64,
        pages: &[AlignedSlice],
    ) -> impl Future<Output = Result<(), IoError>> + use<> {
        let (wanted, held) = self.hold_pages(position, pages);
        let fd = self.fd();
        let started = if let Some(result) = self.write_at_once(position, pages) {
            Err(result)
        } else {
            // SAFETY: the pages are in `held`, and their iovecs.
            Ok(unsafe { self.open.ring.start(held, |held| write_entry(fd, position, held)) })
        };
        let file = self.clone();
        async move {
            let result = match started {
                Ok(started) => {
                    let finished = started.await.ok_or(IoError::ExecutorGone)?;
                    finished.outcome.last.unwrap_or(-libc::ECANCELED)
                }
                Err(result) => result,
            };
            file.check_written(wanted, result)
        }
    }

    /// Not RWF_DSYNC, though that is quicker on a quiet machine: decision 0001.
    fn write_and_sync_at(
        &self,
        position: u64,
        pages: &[AlignedSlice],
    ) -> impl Future<Output = Result<WriteSyncTiming, IoError>> + use<> {
        let begin = clock::now();
        let (wanted, held) = self.hold_pages(position, pages);
        let fd = self.fd();
        // SAFETY: the pages are in `held`, and their iovecs.
        let started = unsafe {
            self.open
                .ring
                .start_linked(held, |held| [write_entry(fd, position, held), sync_entry(fd)])
        };
        let file = self.clone();
        async move {
            let finished = started.await.ok_or(IoError::ExecutorGone)?;
            file.check_pair(wanted, &finished)?;
            let end = clock::now().as_ns();
            let written_at = finished.outcome.first_at;
            Ok(WriteSyncTiming {
                total_ns: end.saturating_sub(begin.as_ns()),
                fdatasync_ns: written_at.map(|written| end.saturating_sub(written.as_ns())),
            })
        }
    }

    fn sync(&self) -> impl Future<Output = Result<(), IoError>> + use<> {
        let started = self.start_plain(sync_entry(self.fd()));
        self.clone().finish_plain(Op::Sync, started)
    }

    fn begin_write_back(&self, position: u64, bytes: u64) {
        let length = u32::try_from(bytes).unwrap_or(u32::MAX);
        let entry = opcode::SyncFileRange::new(self.fd(), length)
            .offset(position)
            .flags(libc::SYNC_FILE_RANGE_WRITE)
            .build();
        drop(self.start_plain(entry));
    }

    fn allocate(&self, from: u64, bytes: u64) -> impl Future<Output = Result<(), IoError>> + use<> {
        let entry = opcode::Fallocate::new(self.fd(), bytes).offset(from).build();
        let started = self.start_plain(entry);
        self.clone().finish_plain(Op::Allocate, started)
    }

    fn truncate(&self, bytes: u64) -> impl Future<Output = Result<(), IoError>> + use<> {
        let started = if self.open.ring.features().ftruncate {
            Ok(self.start_plain(opcode::Ftruncate::new(self.fd(), bytes).build()))
        } else {
            Err(truncate_now(&self.open.descriptor, bytes))
        };
        let file = self.clone();
        async move {
            match started {
                Ok(started) => file.finish_plain(Op::Truncate, started).await,
                Err(done) => done.map_err(|errno| file.error(Op::Truncate, errno)),
            }
        }
    }

    /// Answered from the inode in memory: a ring would send it to a worker thread.
    fn len(&self) -> impl Future<Output = Result<u64, IoError>> + use<> {
        let length = length_now(&self.open.descriptor).map_err(|errno| self.error(Op::Stat, errno));
        std::future::ready(length)
    }

    fn close(self) -> impl Future<Output = Result<(), IoError>> + use<> {
        let last = Rc::into_inner(self.open);
        async move {
            let Some(Open { descriptor, ring, .. }) = last else { return Ok(()) };
            // An operation whose future was dropped may still hold it, and closes it then.
            let Some(descriptor) = Rc::into_inner(descriptor) else { return Ok(()) };
            let (fd, name) = descriptor.into_parts();
            close_on_ring(&ring, fd)
                .await
                .map_err(|errno| IoError::from_errno(Op::Close, errno, &name))
        }
    }
}

/// Closes in a worker thread: the last close of an unlinked segment frees all its blocks.
async fn close_on_ring(ring: &Rc<Ring>, fd: std::os::fd::OwnedFd) -> Result<(), i32> {
    use std::os::fd::{AsRawFd, IntoRawFd};
    let entry = opcode::Close::new(Fd(fd.as_raw_fd())).build().flags(Flags::ASYNC);
    if ring.is_closed() {
        return Ok(());
    }
    // From here on the submission owns the descriptor.
    let _owned_by_the_submission = fd.into_raw_fd();
    // SAFETY: the descriptor has no other owner; there is no memory.
    let started = unsafe { ring.start(Held::default(), |_| entry) };
    match started.await {
        Some(finished) => finished.result().map(drop),
        None => Ok(()),
    }
}

fn write_entry(fd: Fd, position: u64, held: &Held) -> Entry {
    match &held.memory {
        HeldMemory::Write(one) => {
            let length = length_of(one.len());
            opcode::Write::new(fd, one.as_ptr(), length).offset(position).build()
        }
        HeldMemory::Gather { iovecs, .. } => {
            let count = length_of(iovecs.len());
            opcode::Writev::new(fd, iovecs.as_ptr(), count).offset(position).build()
        }
        _ => unreachable!("a write holds its pages"),
    }
}

fn sync_entry(fd: Fd) -> Entry {
    opcode::Fsync::new(fd).flags(FsyncFlags::DATASYNC).build()
}

/// Narrows a length that was checked to be at most 2 GiB.
fn length_of(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn truncate_now(open: &Descriptor, bytes: u64) -> Result<(), i32> {
    let length = libc::off_t::try_from(bytes).map_err(|_| libc::EFBIG)?;
    // SAFETY: a call without pointers on a descriptor that is open.
    match unsafe { libc::ftruncate(open.raw(), length) } {
        0 => Ok(()),
        _ => Err(last_errno()),
    }
}

fn length_now(open: &Descriptor) -> Result<u64, i32> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` is memory of this frame, large enough.
    if unsafe { libc::fstat(open.raw(), stat.as_mut_ptr()) } != 0 {
        return Err(last_errno());
    }
    // SAFETY: the call has succeeded and filled it.
    let stat = unsafe { stat.assume_init() };
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
}

fn last_errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)
}
