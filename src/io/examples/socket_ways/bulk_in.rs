//! A stream of 256 KiB frames into the server, each of which must lie in contiguous memory to be looked at.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

use io_uring::opcode;
use io_uring::types::Fd;

use crate::client;
use crate::provided::{GROUP, Pages, Paging, Provided};
use crate::ring::{Answer, Turning, Work, receive_now};
use crate::samples::{Sample, Spent, micros_since, pin, thread_cpu};
use crate::{ROUNDS, Scene, Way};

const FRAME_BYTES: usize = 256 << 10;
const TOTAL_BYTES: u64 = 96 << 20;
/// Frames taken in turn, as requests under way hold those before.
const FRAMES: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receive {
    /// A poll whenever the socket is drained, then plain calls.
    Poll,
    PollMulti,
    /// A receive on the ring into the frame, answered when there is something.
    Ring,
    /// A receive on the ring into the frame, answered when the frame is whole.
    RingWhole,
    /// One receive that goes on, a provided buffer an answer, copied into the frame.
    Multi(Buffers),
    /// The same with many buffers an answer.
    MultiBundle(Buffers),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Buffers {
    count: u16,
    bytes_each: usize,
}

const SMALL: Buffers = Buffers { count: 256, bytes_each: 16 << 10 };
const LARGE: Buffers = Buffers { count: 32, bytes_each: 128 << 10 };

pub(crate) fn scene() -> Scene {
    let way = |name: &str, receive, paging| Way {
        name: name.to_owned(),
        run: Box::new(move || round(receive, paging)),
    };
    let ways = vec![
        way("poll, recv (today)", Receive::Poll, Paging::Small),
        way("poll, recv; huge pages", Receive::Poll, Paging::Huge),
        way("multishot poll, recv", Receive::PollMulti, Paging::Small),
        way("ring recv into the frame", Receive::Ring, Paging::Small),
        way("ring recv of the whole frame", Receive::RingWhole, Paging::Small),
        way("multishot recv, 256 x 16 KiB, copy", Receive::Multi(SMALL), Paging::Small),
        way("multishot recv, 32 x 128 KiB, copy", Receive::Multi(LARGE), Paging::Small),
        way("bundles, 256 x 16 KiB, copy", Receive::MultiBundle(SMALL), Paging::Small),
    ];
    Scene { name: "bulk-in: 256 KiB frames", rounds: ROUNDS, ways }
}

fn round(receive: Receive, paging: Paging) -> Sample {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (ready, is_ready) = sync_channel(1);
    let server = std::thread::spawn(move || {
        pin(1);
        let (stream, _) = listener.accept().expect("a client");
        Taker::new(receive, paging, stream).take_all(&ready)
    });
    pin(0);
    let stream = client::connect(address);
    is_ready.recv().expect("a server");
    client::pour(stream, FRAME_BYTES, TOTAL_BYTES);
    let mut sample = server.join().expect("a result");
    sample.bytes = TOTAL_BYTES;
    sample
}

struct Taker {
    receive: Receive,
    ring: Turning,
    frames: Pages,
    provided: Option<Provided>,
    stream: TcpStream,
    /// The frame that is filled, and how far.
    frame: usize,
    got: usize,
    begun: Instant,
    latencies: Vec<f64>,
    /// What was read of the frames, so that they are looked at.
    sum: u64,
}

impl Taker {
    fn new(receive: Receive, paging: Paging, stream: TcpStream) -> Self {
        let ring = Turning::new(Work::Soon, &[]);
        let provided = match receive {
            Receive::Multi(buffers) | Receive::MultiBundle(buffers) => {
                Some(Provided::new(&ring, buffers.count, buffers.bytes_each))
            }
            _ => None,
        };
        let frames = Pages::new(FRAMES * FRAME_BYTES, paging);
        let (begun, latencies) = (Instant::now(), Vec::new());
        Self { receive, ring, frames, provided, stream, frame: 0, got: 0, begun, latencies, sum: 0 }
    }

    fn take_all(mut self, ready: &SyncSender<()>) -> Sample {
        self.arm();
        self.ring.enter(0);
        ready.send(()).expect("a client");
        let (begun, calls, cpu) = (Instant::now(), self.ring.calls, thread_cpu());
        self.begun = begun;
        let mut answers = Vec::new();
        while (self.latencies.len() as u64) < TOTAL_BYTES / FRAME_BYTES as u64 {
            self.ring.enter(1);
            self.ring.answers(&mut answers);
            answers.drain(..).for_each(|answer| self.answer(answer));
            if let Some(provided) = &mut self.provided {
                provided.publish();
            }
        }
        let spent = Spent { cpu: thread_cpu() - cpu, calls: self.ring.calls - calls };
        assert!(self.sum > 0, "frames hold something");
        Sample::new(self.latencies, begun.elapsed(), spent)
    }

    /// The rest of the frame that is filled.
    fn room(&mut self) -> &mut [u8] {
        let start = self.frame * FRAME_BYTES;
        &mut self.frames.bytes_mut()[start + self.got..start + FRAME_BYTES]
    }

    fn arm(&mut self) {
        let socket: RawFd = self.stream.as_raw_fd();
        let fd = Fd(socket);
        let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
        let room = self.room();
        let (start, len) = (room.as_mut_ptr(), room.len() as u32);
        let entry = match self.receive {
            Receive::Poll => opcode::PollAdd::new(fd, events).build(),
            Receive::PollMulti => opcode::PollAdd::new(fd, events).multi(true).build(),
            Receive::Ring => opcode::Recv::new(fd, start, len).build(),
            Receive::RingWhole => {
                opcode::Recv::new(fd, start, len).flags(libc::MSG_WAITALL).build()
            }
            Receive::Multi(_) => opcode::RecvMulti::new(fd, GROUP).build(),
            Receive::MultiBundle(_) => opcode::RecvMultiBundle::new(fd, GROUP).build(),
        };
        // SAFETY: the frames outlive the ring, which is dropped before them.
        unsafe { self.ring.push(&entry) };
    }

    fn answer(&mut self, answer: Answer) {
        if answer.result == 0 {
            // The end: the client has poured all.
            return;
        }
        assert!(answer.result > 0 || answer.result == -libc::ENOBUFS, "{}", answer.result);
        let got = usize::try_from(answer.result).unwrap_or(0);
        match self.receive {
            Receive::Poll | Receive::PollMulti => self.receive_until_drained(),
            Receive::Ring | Receive::RingWhole => self.advance(got),
            Receive::Multi(_) | Receive::MultiBundle(_) => self.copy_in(answer, got),
        }
        if !answer.more() {
            self.arm();
        }
    }

    /// A read that is shorter than its room has drained the socket.
    fn receive_until_drained(&mut self) {
        loop {
            let socket = self.stream.as_raw_fd();
            let room = self.room();
            let wanted = room.len();
            let got = receive_now(socket, room).unwrap_or(0);
            self.ring.calls += 1;
            self.advance(got);
            if got < wanted {
                return;
            }
        }
    }

    fn copy_in(&mut self, answer: Answer, got: usize) {
        let Some(mut id) = answer.buffer() else { return };
        let Some(mut provided) = self.provided.take() else { return };
        let mut left = got;
        while left > 0 {
            let len = left.min(provided.bytes_each());
            let mut bytes = provided.bytes(id, len);
            while !bytes.is_empty() {
                let room = self.room();
                let (now, later) = bytes.split_at(bytes.len().min(room.len()));
                room[..now.len()].copy_from_slice(now);
                self.advance(now.len());
                bytes = later;
            }
            provided.put(id);
            id = provided.next(id);
            left -= len;
        }
        self.provided = Some(provided);
    }

    /// Notes `got` bytes more; looks at the frame once it is whole.
    fn advance(&mut self, got: usize) {
        self.got += got;
        if self.got < FRAME_BYTES {
            return;
        }
        let start = self.frame * FRAME_BYTES;
        let (words, _) = self.frames.bytes()[start..start + FRAME_BYTES].as_chunks::<8>();
        let sum = words.iter().map(|word| u64::from_le_bytes(*word)).fold(0, u64::wrapping_add);
        self.sum |= sum;
        self.latencies.push(micros_since(self.begun));
        self.begun = Instant::now();
        self.got = 0;
        self.frame = (self.frame + 1) % FRAMES;
    }
}
