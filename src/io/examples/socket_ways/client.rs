//! The other side: blocking clients, and one epoll loop for many connections.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use crate::samples::micros_since;

/// Bytes of a request, and of its reply.
pub(crate) const REQUEST_BYTES: usize = 128;

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server listens");
    stream.set_nodelay(true).expect("an option");
    stream
}

/// One blocking client; microseconds of each round trip.
pub(crate) fn ask(stream: &mut TcpStream, total: u64) -> (Vec<f64>, Duration) {
    let mut bytes = [7; REQUEST_BYTES];
    let mut latencies = Vec::with_capacity(total as usize);
    let begun = Instant::now();
    for _ in 0..total {
        let start = Instant::now();
        stream.write_all(&bytes).expect("sent");
        stream.read_exact(&mut bytes).expect("received");
        latencies.push(micros_since(start));
    }
    (latencies, begun.elapsed())
}

struct Asker {
    stream: TcpStream,
    asked: Instant,
    missing: usize,
}

/// One request under way on each connection, `total` together.
pub(crate) fn ask_on_all(streams: Vec<TcpStream>, total: u64) -> (Vec<f64>, Duration) {
    // SAFETY: a call without pointers.
    let epoll = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    assert!(epoll >= 0, "an epoll");
    let mut askers: Vec<Asker> = Vec::new();
    for (nth, stream) in streams.into_iter().enumerate() {
        stream.set_nonblocking(true).expect("an option");
        watch(epoll, stream.as_raw_fd(), nth as u64);
        askers.push(Asker { stream, asked: Instant::now(), missing: 0 });
    }
    let mut latencies = Vec::with_capacity(total as usize);
    let begun = Instant::now();
    let mut left = total;
    for asker in &mut askers {
        asker.ask_next(&mut left);
    }
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; 256];
    while (latencies.len() as u64) < total {
        // SAFETY: the kernel fills at most as many events as it is told there is room for.
        let got = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), 256, -1) };
        for event in &events[..usize::try_from(got).unwrap_or(0)] {
            let asker = &mut askers[event.u64 as usize];
            if asker.take_answer() {
                latencies.push(micros_since(asker.asked));
                asker.ask_next(&mut left);
            }
        }
    }
    let elapsed = begun.elapsed();
    // SAFETY: the descriptor is this function's.
    unsafe { libc::close(epoll) };
    (latencies, elapsed)
}

fn watch(epoll: RawFd, fd: RawFd, nth: u64) {
    let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: nth };
    // SAFETY: the event is memory of this frame.
    let added = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
    assert_eq!(added, 0, "room in the epoll");
}

impl Asker {
    fn ask_next(&mut self, left: &mut u64) {
        if *left == 0 {
            return;
        }
        *left -= 1;
        self.missing = REQUEST_BYTES;
        self.asked = Instant::now();
        self.stream.write_all(&[7; REQUEST_BYTES]).expect("room for one request");
    }

    /// Whether the answer is whole now.
    fn take_answer(&mut self) -> bool {
        // The server may close while others still wait for their last answer.
        if self.missing == 0 {
            return false;
        }
        let mut bytes = [0; REQUEST_BYTES];
        match self.stream.read(&mut bytes[..self.missing]) {
            Ok(0) => panic!("the server has gone"),
            Ok(got) => self.missing -= got,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}"),
        }
        self.missing == 0
    }
}

/// Writes `total` bytes in pieces until all are taken.
pub(crate) fn pour(mut stream: TcpStream, piece: usize, total: u64) {
    let bytes = vec![3; piece];
    for _ in 0..total / piece as u64 {
        stream.write_all(&bytes).expect("sent");
    }
}

/// Reads until `total` bytes have come.
pub(crate) fn drain(mut stream: TcpStream, total: u64) {
    let mut bytes = vec![0; 1 << 20];
    let mut got = 0;
    while got < total {
        got += stream.read(&mut bytes).expect("received") as u64;
    }
}
