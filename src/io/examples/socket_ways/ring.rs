//! One thread's ring, set up as the private ring is, with its system calls counted.

use std::os::fd::RawFd;

use io_uring::IoUring;
use io_uring::squeue::Entry;

/// When the kernel works answers out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// At any system call of ours: as the private ring does.
    Soon,
    /// Only when the ring is entered (DEFER_TASKRUN): decision 0001 says why the private ring does not.
    AtEnter,
}

/// A ring and the calls that its thread has made, those beside the ring included.
pub(crate) struct Turning {
    uring: IoUring,
    pub(crate) calls: u64,
}

/// An answer of the kernel.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    pub(crate) token: u64,
    pub(crate) result: i32,
    pub(crate) flags: u32,
}

impl Answer {
    /// Whether the submission goes on answering.
    pub(crate) fn more(self) -> bool {
        io_uring::cqueue::more(self.flags)
    }

    pub(crate) fn buffer(self) -> Option<u16> {
        io_uring::cqueue::buffer_select(self.flags)
    }
}

impl Turning {
    pub(crate) fn new(work: Work, files: &[RawFd]) -> Self {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(8192);
        match work {
            Work::Soon => builder.setup_coop_taskrun().setup_taskrun_flag(),
            Work::AtEnter => builder.setup_single_issuer().setup_defer_taskrun(),
        };
        let uring = builder.build(1024).expect("a kernel with these rings");
        if !files.is_empty() {
            uring.submitter().register_files(files).expect("room for the files");
        }
        Self { uring, calls: 0 }
    }

    pub(crate) const fn uring(&self) -> &IoUring {
        &self.uring
    }

    /// # Safety
    /// What the entry points to must live until it is answered.
    pub(crate) unsafe fn push(&mut self, entry: &Entry) {
        // SAFETY: the caller's promise.
        while unsafe { self.uring.submission().push(entry) }.is_err() {
            self.calls += 1;
            self.uring.submit().expect("the kernel takes submissions");
        }
    }

    /// Gives the kernel what was pushed and sleeps until `answers` are there; 0 does not sleep.
    pub(crate) fn enter(&mut self, answers: usize) {
        let wait = if self.uring.completion().is_empty() { answers } else { 0 };
        let submission = self.uring.submission();
        let idle = submission.is_empty() && !submission.taskrun();
        drop(submission);
        if wait == 0 && idle {
            return;
        }
        self.calls += 1;
        match self.uring.submit_and_wait(wait) {
            Err(error) if error.raw_os_error() != Some(libc::EINTR) => panic!("enter: {error}"),
            _ => {}
        }
    }

    pub(crate) fn answers(&mut self, into: &mut Vec<Answer>) {
        into.extend(self.uring.completion().map(|entry| Answer {
            token: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }
}

/// Receives what is there without waiting; `None` when there is nothing.
pub(crate) fn receive_now(fd: RawFd, into: &mut [u8]) -> Option<usize> {
    // SAFETY: the memory is the slice's.
    let got = unsafe { libc::recv(fd, into.as_mut_ptr().cast(), into.len(), libc::MSG_DONTWAIT) };
    usize::try_from(got).ok().or_else(would_block)
}

/// Sends with a gather send of one part, as the private ring's streams do.
pub(crate) fn send_message_now(fd: RawFd, bytes: &[u8]) -> Option<usize> {
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let message = std::mem::MaybeUninit::<libc::msghdr>::zeroed();
    // SAFETY: zeroes are a valid message.
    let mut message = unsafe { message.assume_init() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    // SAFETY: the message names `part`, which names `bytes`; a send only reads them.
    let sent = unsafe { libc::sendmsg(fd, &raw const message, SEND_FLAGS) };
    usize::try_from(sent).ok().or_else(would_block)
}

pub(crate) fn send_now(fd: RawFd, bytes: &[u8]) -> Option<usize> {
    // SAFETY: a send only reads the slice.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), SEND_FLAGS) };
    usize::try_from(sent).ok().or_else(would_block)
}

const SEND_FLAGS: libc::c_int = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

fn would_block() -> Option<usize> {
    let error = std::io::Error::last_os_error();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
    None
}
