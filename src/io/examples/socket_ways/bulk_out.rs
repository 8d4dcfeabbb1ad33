//! Pieces of memory sent to a client that takes all it can get: what a large fetch answer is.

use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use io_uring::opcode;
use io_uring::squeue::Entry;
use io_uring::types::Fd;

use crate::client;
use crate::provided::{Pages, Paging};
use crate::ring::{Turning, Work, send_message_now, send_now};
use crate::samples::{Sample, Spent, micros_since, pin, thread_cpu};
use crate::{ROUNDS, Scene, Way};

const TOTAL_BYTES: u64 = 96 << 20;
/// Pieces sent in turn. A piece without a copy is not free before the kernel says so.
const PIECES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Send {
    Now,
    MessageNow,
    /// On the ring, the kernel goes on until the piece is taken.
    Ring,
    Zero,
    /// From registered memory.
    ZeroRegistered,
}

pub(crate) fn scenes() -> Vec<Scene> {
    let scene = |name, piece| {
        let way = |name: &str, send, paging| Way {
            name: name.to_owned(),
            run: Box::new(move || round(send, paging, piece)),
        };
        let ways = vec![
            way("sendmsg (today)", Send::MessageNow, Paging::Small),
            way("sendmsg, huge pages", Send::MessageNow, Paging::Huge),
            way("send", Send::Now, Paging::Small),
            way("ring send", Send::Ring, Paging::Small),
            way("ring send without a copy", Send::Zero, Paging::Small),
            way("the same, huge pages", Send::Zero, Paging::Huge),
            way("the same, registered memory", Send::ZeroRegistered, Paging::Small),
            way("the same, registered huge pages", Send::ZeroRegistered, Paging::Huge),
        ];
        Scene { name, rounds: ROUNDS, ways }
    };
    vec![
        scene("bulk-out-256: 256 KiB pieces", 256 << 10),
        scene("bulk-out-1024: 1 MiB pieces", 1 << 20),
    ]
}

fn round(send: Send, paging: Paging, piece: usize) -> Sample {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = std::thread::spawn(move || {
        pin(1);
        let (stream, _) = listener.accept().expect("a client");
        stream.set_nodelay(true).expect("an option");
        Giver::new(send, paging, piece, stream).give_all()
    });
    pin(0);
    client::drain(client::connect(address), TOTAL_BYTES);
    server.join().expect("a result")
}

struct Giver {
    send: Send,
    piece: usize,
    ring: Turning,
    memory: Pages,
    stream: TcpStream,
    /// Bytes of the current piece that the kernel has taken.
    taken: usize,
    /// Sends whose memory the kernel may still read, by piece.
    reading: [u32; PIECES],
    copied: u64,
    released: u64,
}

/// Token bits: the piece, then what was asked.
const POLLING: u64 = 1;

impl Giver {
    fn new(send: Send, paging: Paging, piece: usize, stream: TcpStream) -> Self {
        let ring = Turning::new(Work::Soon, &[]);
        let mut memory = Pages::new(PIECES * piece, paging);
        if send == Send::ZeroRegistered {
            let start = memory.bytes_mut().as_mut_ptr().cast();
            let all = libc::iovec { iov_base: start, iov_len: PIECES * piece };
            // SAFETY: the memory outlives the ring.
            let registered = unsafe { ring.uring().submitter().register_buffers(&[all]) };
            registered.expect("room to lock the memory");
        }
        let reading = [0; PIECES];
        Self { send, piece, ring, memory, stream, taken: 0, reading, copied: 0, released: 0 }
    }

    fn give_all(mut self) -> Sample {
        let (begun, calls, cpu) = (Instant::now(), self.ring.calls, thread_cpu());
        let mut latencies = Vec::new();
        for nth in 0..TOTAL_BYTES as usize / self.piece {
            let start = Instant::now();
            let slot = nth % PIECES;
            while self.reading[slot] > 0 {
                self.turn();
            }
            self.taken = 0;
            while self.taken < self.piece {
                self.go_on(slot);
            }
            latencies.push(micros_since(start));
        }
        while self.reading.iter().any(|reading| *reading > 0) {
            self.turn();
        }
        let spent = Spent { cpu: thread_cpu() - cpu, calls: self.ring.calls - calls };
        let mut sample = Sample::new(latencies, begun.elapsed(), spent);
        sample.bytes = TOTAL_BYTES;
        if self.released > 0 {
            sample.note = format!("copied after all: {} of {}", self.copied, self.released);
        }
        sample
    }

    fn go_on(&mut self, slot: usize) {
        let socket = self.stream.as_raw_fd();
        let (start, end) = (slot * self.piece + self.taken, (slot + 1) * self.piece);
        let bytes = &self.memory.bytes()[start..end];
        let (address, len) = (bytes.as_ptr(), bytes.len() as u32);
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL;
        let zero = opcode::SendZc::new(Fd(socket), address, len).flags(flags);
        let zero = zero.zc_flags(REPORT_USAGE);
        let entry: Entry = match self.send {
            Send::Now | Send::MessageNow => {
                let call = if self.send == Send::Now { send_now } else { send_message_now };
                self.ring.calls += 1;
                if let Some(sent) = call(socket, bytes) {
                    self.taken += sent;
                    return;
                }
                let poll = opcode::PollAdd::new(Fd(socket), libc::POLLOUT as u32).build();
                return self.push_and_wait(slot, poll.user_data(POLLING));
            }
            Send::Ring => opcode::Send::new(Fd(socket), address, len).flags(flags).build(),
            Send::Zero => zero.build(),
            Send::ZeroRegistered => zero.buf_index(Some(0)).build(),
        };
        self.push_and_wait(slot, entry.user_data((slot as u64) << 1));
    }

    /// Waits until this entry has given its result; memory may be read longer.
    fn push_and_wait(&mut self, slot: usize, entry: Entry) {
        // SAFETY: the memory outlives the ring.
        unsafe { self.ring.push(&entry) };
        self.reading[slot] += 1;
        while !self.turn() {}
    }

    /// Tells whether a result was among the answers.
    fn turn(&mut self) -> bool {
        let mut answers = Vec::new();
        self.ring.enter(1);
        self.ring.answers(&mut answers);
        let mut has_result = false;
        for answer in answers {
            let slot = (answer.token >> 1) as usize;
            if io_uring::cqueue::notif(answer.flags) {
                self.released += 1;
                self.copied += u64::from(answer.result.cast_unsigned() & USAGE_COPIED != 0);
                self.reading[slot] -= 1;
                continue;
            }
            has_result = true;
            assert!(answer.result > 0, "{}", answer.result);
            if answer.token & 1 == POLLING {
                self.reading.fill(0);
                continue;
            }
            self.taken += answer.result as usize;
            self.reading[slot] -= u32::from(!answer.more());
        }
        has_result
    }
}

/// `IORING_SEND_ZC_REPORT_USAGE`.
const REPORT_USAGE: u16 = 8;
/// `IORING_NOTIF_USAGE_ZC_COPIED`.
const USAGE_COPIED: u32 = 1 << 31;
