//! Requests of 128 bytes and replies of as many, on one connection and on many.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::mpsc::{SyncSender, sync_channel};

use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::Fd;

use crate::client::{self, REQUEST_BYTES};
use crate::provided::{GROUP, Provided};
use crate::ring::{Answer, Turning, Work, receive_now, send_message_now};
use crate::samples::{Sample, Spent, pin, thread_cpu};
use crate::{ROUNDS, ROUNDS_FEW, Scene, Way};

/// How bytes get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receive {
    /// A poll for each request, then a plain call.
    Poll,
    /// One poll that goes on, then a plain call.
    PollMulti,
    /// A receive on the ring into the connection's own buffer, tried at once.
    Ring,
    /// The same, not tried before the socket can be read.
    RingPollFirst,
    /// A receive for each request into a provided buffer, copied out.
    Select,
    /// One receive that goes on, into provided buffers, copied out.
    Multi,
}

/// How replies get out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    /// A plain call, at once.
    Now,
    /// With the next enter.
    Ring,
    /// With the next enter, answered only when it fails. Nobody hears when the bytes may go, so no broker can send like
    /// this: it shows what answers cost.
    RingQuiet,
}

#[derive(Clone, Copy, Debug)]
struct Kind {
    receive: Receive,
    reply: Reply,
    registered: bool,
    work: Work,
}

const TODAY: Kind =
    Kind { receive: Receive::Poll, reply: Reply::Now, registered: false, work: Work::Soon };

const KINDS: [(&str, Kind); 14] = [
    ("poll, recv, sendmsg (today)", TODAY),
    ("poll, recv, sendmsg; fixed files", Kind { registered: true, ..TODAY }),
    ("poll, recv; ring send", Kind { reply: Reply::Ring, ..TODAY }),
    ("multishot poll, recv, sendmsg", Kind { receive: Receive::PollMulti, ..TODAY }),
    ("ring recv, own buffer; sendmsg", Kind { receive: Receive::Ring, ..TODAY }),
    ("ring recv, poll first; sendmsg", Kind { receive: Receive::RingPollFirst, ..TODAY }),
    ("ring recv, provided buffer; sendmsg", Kind { receive: Receive::Select, ..TODAY }),
    ("multishot recv; sendmsg", Kind { receive: Receive::Multi, ..TODAY }),
    (
        "multishot recv; sendmsg; fixed files",
        Kind { receive: Receive::Multi, registered: true, ..TODAY },
    ),
    ("multishot recv; ring send", Kind { receive: Receive::Multi, reply: Reply::Ring, ..TODAY }),
    (
        "multishot recv; ring send; fixed files",
        Kind { receive: Receive::Multi, reply: Reply::Ring, registered: true, ..TODAY },
    ),
    (
        "multishot recv; quiet ring send (bound)",
        Kind { receive: Receive::Multi, reply: Reply::RingQuiet, ..TODAY },
    ),
    ("poll, recv, sendmsg; work at enter", Kind { work: Work::AtEnter, ..TODAY }),
    (
        "multishot recv; ring send; work at enter",
        Kind { receive: Receive::Multi, reply: Reply::Ring, work: Work::AtEnter, ..TODAY },
    ),
];

pub(crate) fn scenes() -> Vec<Scene> {
    let scene = |name, connections, total| {
        let ways = KINDS.map(|(name, kind)| Way {
            name: name.to_owned(),
            run: Box::new(move || round(kind, connections, total)),
        });
        let rounds = if connections < 1000 { ROUNDS } else { ROUNDS_FEW };
        Scene { name, rounds, ways: ways.into() }
    };
    vec![
        scene("echo-1: 128 B, one blocking client", 1, 3_000),
        scene("echo-64: 128 B, 64 connections", 64, 12_000),
        scene("echo-1000: 128 B, 1,000 connections", 1000, 8_000),
    ]
}

fn round(kind: Kind, connections: usize, total: u64) -> Sample {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let (ready, is_ready) = sync_channel(1);
    let server = std::thread::spawn(move || {
        pin(1);
        let accept = |_| {
            let (stream, _) = listener.accept().expect("a client");
            stream.set_nodelay(true).expect("an option");
            Connection { stream, room: Box::new([0; 4096]), got: 0, reply: Box::new([0; 128]) }
        };
        let connections: Vec<_> = (0..connections).map(accept).collect();
        Server::new(kind, connections).serve(total, &ready)
    });
    // One client and the server take turns anyway: on one core nothing is measured of how a sleeping core is woken.
    pin(usize::from(connections == 1));
    let mut streams: Vec<TcpStream> = (0..connections).map(|_| client::connect(address)).collect();
    is_ready.recv().expect("a server");
    let (latencies, elapsed) = match &mut *streams {
        [one] => client::ask(one, total),
        _ => client::ask_on_all(streams, total),
    };
    Sample::new(latencies, elapsed, server.join().expect("a result"))
}

struct Connection {
    stream: TcpStream,
    room: Box<[u8; 4096]>,
    got: usize,
    reply: Box<[u8; REQUEST_BYTES]>,
}

struct Server {
    kind: Kind,
    ring: Turning,
    /// After the ring: dropped when the kernel has let go of them.
    connections: Vec<Connection>,
    provided: Option<Provided>,
    served: u64,
}

/// Token bits: the connection, then what was asked.
const RECEIVING: u64 = 0;
const SENDING: u64 = 1;

impl Server {
    fn new(kind: Kind, connections: Vec<Connection>) -> Self {
        let files: Vec<RawFd> = connections.iter().map(|one| one.stream.as_raw_fd()).collect();
        let ring = Turning::new(kind.work, if kind.registered { &files } else { &[] });
        let provides = matches!(kind.receive, Receive::Select | Receive::Multi);
        let provided = provides.then(|| Provided::new(&ring, 1024, 4096));
        Self { kind, ring, connections, provided, served: 0 }
    }

    fn serve(mut self, total: u64, ready: &SyncSender<()>) -> Spent {
        (0..self.connections.len()).for_each(|nth| self.arm(nth));
        self.ring.enter(0);
        ready.send(()).expect("a client");
        let (calls, cpu) = (self.ring.calls, thread_cpu());
        let mut answers = Vec::new();
        while self.served < total {
            self.ring.enter(1);
            self.ring.answers(&mut answers);
            answers.drain(..).for_each(|answer| self.answer(answer));
            if let Some(provided) = &mut self.provided {
                provided.publish();
            }
        }
        self.ring.enter(0);
        Spent { cpu: thread_cpu() - cpu, calls: self.ring.calls - calls }
    }

    /// Where an entry's descriptor is its place in the table, says so.
    fn fd(&self, nth: usize) -> Fd {
        Fd(if self.kind.registered { nth as i32 } else { self.raw(nth) })
    }

    fn raw(&self, nth: usize) -> RawFd {
        self.connections[nth].stream.as_raw_fd()
    }

    fn push(&mut self, nth: usize, asks: u64, entry: Entry, flags: Flags) {
        let fixed = if self.kind.registered { Flags::FIXED_FILE } else { Flags::empty() };
        let entry = entry.flags(fixed | flags).user_data(((nth as u64) << 1) | asks);
        // SAFETY: entries point to boxes of connections, which outlive the ring.
        unsafe { self.ring.push(&entry) };
    }

    fn arm(&mut self, nth: usize) {
        let fd = self.fd(nth);
        let events = (libc::POLLIN | libc::POLLRDHUP) as u32;
        let connection = &mut self.connections[nth];
        let room = &mut connection.room[connection.got..];
        let (start, len) = (room.as_mut_ptr(), room.len() as u32);
        let receive = opcode::Recv::new(fd, start, len);
        let mut flags = Flags::empty();
        let entry = match self.kind.receive {
            Receive::Poll => opcode::PollAdd::new(fd, events).build(),
            Receive::PollMulti => opcode::PollAdd::new(fd, events).multi(true).build(),
            Receive::Ring => receive.build(),
            Receive::RingPollFirst => receive.ioprio(POLL_FIRST).build(),
            Receive::Select => {
                flags = Flags::BUFFER_SELECT;
                let receive = opcode::Recv::new(fd, std::ptr::null_mut(), 0);
                receive.buf_group(GROUP).ioprio(POLL_FIRST).build()
            }
            Receive::Multi => opcode::RecvMulti::new(fd, GROUP).build(),
        };
        self.push(nth, RECEIVING, entry, flags);
    }

    fn answer(&mut self, answer: Answer) {
        let nth = (answer.token >> 1) as usize;
        if answer.token & 1 == SENDING {
            assert_eq!(answer.result, REQUEST_BYTES as i32, "a reply fits the socket");
            return;
        }
        assert!(answer.result > 0 || answer.result == -libc::ENOBUFS, "{}", answer.result);
        let got = usize::try_from(answer.result).unwrap_or(0);
        let connection = &mut self.connections[nth];
        match self.kind.receive {
            Receive::Poll | Receive::PollMulti => {
                self.ring.calls += 1;
                let room = &mut connection.room[connection.got..];
                let got = receive_now(connection.stream.as_raw_fd(), room).unwrap_or(0);
                connection.got += got;
            }
            Receive::Ring | Receive::RingPollFirst => connection.got += got,
            Receive::Select | Receive::Multi => {
                if let (Some(id), Some(provided)) = (answer.buffer(), &mut self.provided) {
                    let room = &mut connection.room[connection.got..connection.got + got];
                    room.copy_from_slice(provided.bytes(id, got));
                    connection.got += got;
                    provided.put(id);
                }
            }
        }
        self.reply(nth);
        if !answer.more() {
            self.arm(nth);
        }
    }

    fn reply(&mut self, nth: usize) {
        let connection = &mut self.connections[nth];
        if connection.got < REQUEST_BYTES {
            return;
        }
        connection.got -= REQUEST_BYTES;
        connection.reply.copy_from_slice(&connection.room[..REQUEST_BYTES]);
        self.served += 1;
        if self.kind.reply == Reply::Now {
            self.ring.calls += 1;
            let sent = send_message_now(connection.stream.as_raw_fd(), &*connection.reply);
            assert_eq!(sent, Some(REQUEST_BYTES), "a reply fits the socket");
            return;
        }
        let start = connection.reply.as_ptr();
        let fd = self.fd(nth);
        let entry = opcode::Send::new(fd, start, REQUEST_BYTES as u32);
        let entry = entry.flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL).build();
        let quiet = self.kind.reply == Reply::RingQuiet;
        self.push(nth, SENDING, entry, if quiet { Flags::SKIP_SUCCESS } else { Flags::empty() });
    }
}

/// Not tried before the socket can be read: `IORING_RECVSEND_POLL_FIRST`.
pub(crate) const POLL_FIRST: u16 = 1;
