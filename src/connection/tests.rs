//! Connections on a real executor and real sockets, with the simplest wire there is.

pub(crate) mod poll_once;

use std::cell::Cell;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kolk_io::door::{Io as _, Net as _};
use kolk_io::net::bind;
use kolk_io::uring::shard::{ShardHandle, ShardSpec, spawn_shard};
use kolk_metric::net::CloseReason;
use kolk_metric::shard::{MetricsSnapshot, ShardMetrics, Value};
use kolk_shard::request::CrowdLimits;

use crate::accept::accept;
use crate::budget::Charge;
use crate::connections::{ConnectionLimits, Connections};
use crate::outbox::{Outbox, OutboxLimits, Reply, Then};
use crate::pace::PaceLimits;
use crate::wire::{Refused, Wire};

/// A frame is a byte that says how many follow. `q` makes the broker stop; `w` waits until waiting is over;
/// `p` followed by n asks for n KiB; all else is sent back.
struct Echo {
    quit: Rc<Cell<bool>>,
}

impl Wire for Echo {
    fn frame_bytes(&self, start: &[u8]) -> Result<Option<usize>, Refused> {
        match start.first() {
            Some(0) => Err(Refused {
                reason: CloseReason::BadFrame,
                detail: "empty".into(),
                reply: Some(Bytes::from_static(b"empty")),
            }),
            first => Ok(first.map(|length| usize::from(*length) + 1)),
        }
    }

    fn submit(&mut self, frame: BytesMut, charge: Charge, outbox: &Outbox) -> Result<(), Refused> {
        let frame = frame.freeze();
        let bytes = charge.bytes();
        let reply = |payload| Reply { head: frame.clone(), payload, charge, then: Then::Continue };
        match &frame[1..] {
            b"w" => {
                let is_over = outbox.is_waiting_over();
                let mut reply = Some(reply(Vec::new()));
                let wait = std::future::poll_fn(move |_| match is_over.get() {
                    true => std::task::Poll::Ready(reply.take().unwrap()),
                    false => std::task::Poll::Pending,
                });
                outbox.submit_unordered(bytes, Box::pin(wait));
            }
            [b'p', kib] => {
                let payload = vec![Bytes::from(vec![b'.'; usize::from(*kib) << 10])];
                outbox.submit_ready(reply(payload));
            }
            other => {
                self.quit.set(self.quit.get() || other == b"q");
                let reply = reply(Vec::new());
                outbox.submit_ordered(bytes, Box::pin(async move { reply }));
            }
        }
        Ok(())
    }
}

const LIMITS: ConnectionLimits = ConnectionLimits {
    crowd: CrowdLimits { clients_max: 8, same_address_max: 8 },
    pace: PaceLimits {
        frame_stall: Duration::from_secs(1),
        frame_stall_contended: Duration::from_secs(1),
        frame_bytes_per_second_min: 1,
        write_stall: Duration::from_secs(1),
        write_stall_contended: Duration::from_secs(1),
        write_stall_holding: Duration::from_secs(1),
        write_bytes_per_second_min: 1,
        write_bytes_per_second_min_contended: 1,
        idle: Duration::from_secs(60),
        drain: Duration::from_secs(5),
    },
    outbox: OutboxLimits { requests_max: 64, request_bytes_max: 1 << 20, reply_bytes_max: 1 << 20 },
    request_bytes_max: 1 << 20,
    reply_bytes_max: 8 << 20,
};

struct Broker {
    address: SocketAddr,
    thread: ShardHandle<MetricsSnapshot>,
}

impl Broker {
    fn start(limits: ConnectionLimits) -> Self {
        let socket = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = socket.local_address();
        let (listening, is_listening) = mpsc::channel();
        let thread = spawn_shard(ShardSpec::new("serve-test"), move |io| async move {
            let metrics = Rc::new(ShardMetrics::new(0));
            let connections = Connections::new(io.clone(), Rc::clone(&metrics), limits);
            let quit = Rc::new(Cell::new(false));
            let listener = io.listen(socket).unwrap();
            let wire = {
                let quit = Rc::clone(&quit);
                move |_: &_, _: SocketAddr| Echo { quit: Rc::clone(&quit) }
            };
            io.spawn(accept(connections.clone(), listener, wire));
            io.spawn(connections.clone().sweep());
            listening.send(()).unwrap();
            while !quit.get() {
                io.sleep(Duration::from_millis(2)).await;
            }
            connections.stop().await;
            metrics.snapshot()
        })
        .unwrap();
        is_listening.recv_timeout(Duration::from_secs(20)).unwrap();
        Self { address, thread }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    /// Asks the broker to stop; gives what it counted.
    fn stop(self) -> MetricsSnapshot {
        self.connect().write_all(b"\x01q").unwrap();
        self.thread.join().unwrap()
    }
}

/// Reads until the broker closes the connection, and says how many bytes came.
fn read_to_end(stream: &mut TcpStream) -> usize {
    let mut bytes = Vec::new();
    // A reset is an end too: the broker closed with requests of ours unread.
    let _reset = stream.read_to_end(&mut bytes);
    bytes.len()
}

fn closed(metrics: &MetricsSnapshot, reason: CloseReason) -> u64 {
    metrics
        .series()
        .filter(|(family, _, label, _)| {
            *family == "kolk_connections_closed_total"
                && label.is_some_and(|label| label.value == reason.name())
        })
        .map(|(_, _, _, value)| match value {
            Value::Counter(count) => *count,
            _ => 0,
        })
        .sum()
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let broker = Broker::start(LIMITS);
    let mut client = broker.connect();
    let mut sent = Vec::new();
    for round in 0..2_000_u16 {
        let text = format!("request {round}");
        sent.push(u8::try_from(text.len()).unwrap());
        sent.extend_from_slice(text.as_bytes());
    }
    let mut writing = client.try_clone().unwrap();
    let bytes = sent.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || writing.write_all(&bytes).unwrap());
        let mut read = vec![0; sent.len()];
        client.read_exact(&mut read).unwrap();
        assert!(read == sent, "the replies are not the requests in order");
    });
    let metrics = broker.stop();
    assert_eq!(metrics.total("kolk_net_sent_bytes_total"), sent.len() as u64 + 2);
    assert_eq!(metrics.total("kolk_connections"), 0);
}

#[test]
fn requests_of_many_connections_are_answered_to_their_own() {
    let broker = Broker::start(LIMITS);
    std::thread::scope(|scope| {
        for number in b'0'..b'6' {
            let mut client = broker.connect();
            scope.spawn(move || {
                for _ in 0..200 {
                    client.write_all(&[2, b'x', number]).unwrap();
                    let mut reply = [0; 3];
                    client.read_exact(&mut reply).unwrap();
                    assert_eq!(reply, [2, b'x', number]);
                }
            });
        }
    });
    let metrics = broker.stop();
    assert_eq!(metrics.total("kolk_connections_accepted_total"), 7);
}

#[test]
fn a_client_that_ends_its_side_gets_the_replies_owed() {
    let broker = Broker::start(LIMITS);
    let mut client = broker.connect();
    client.write_all(b"\x01a\x01b\x01c").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut read = Vec::new();
    client.read_to_end(&mut read).unwrap();
    assert_eq!(read, b"\x01a\x01b\x01c");
    assert!(closed(&broker.stop(), CloseReason::ByClient) >= 1);
}

#[test]
fn half_a_frame_is_closed_and_others_go_on() {
    let broker = Broker::start(LIMITS);
    let mut stalled = broker.connect();
    stalled.write_all(b"\x05ab").unwrap();
    assert_eq!(read_to_end(&mut stalled), 0);
    let mut other = broker.connect();
    other.write_all(b"\x01a").unwrap();
    let mut reply = [0; 2];
    other.read_exact(&mut reply).unwrap();
    assert_eq!(closed(&broker.stop(), CloseReason::FrameStalled), 1);
}

#[test]
fn a_client_that_never_reads_is_closed_and_holds_little() {
    let broker = Broker::start(LIMITS);
    let mut greedy = broker.connect();
    greedy.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    // Asks for far more than socket buffers take, until the broker has had enough.
    while greedy.write_all(b"\x02p\xff").is_ok() {}
    let metrics = broker.stop();
    assert_eq!(closed(&metrics, CloseReason::WriteStalled), 1);
    assert!(metrics.total("kolk_connection_held_bytes") <= 2 << 20);
    assert!(metrics.total("kolk_connection_read_pauses_total") >= 1);
}

#[test]
fn who_reads_nothing_does_not_keep_the_memory_that_others_wait_for() {
    let minute = Duration::from_secs(60);
    let pace = PaceLimits { write_stall: minute, write_stall_contended: minute, ..LIMITS.pace };
    let outbox = OutboxLimits { requests_max: 1 << 10, reply_bytes_max: 64 << 20, ..LIMITS.outbox };
    // Half of it is for frames of the usual size, which are 64 bytes at most then.
    let limits = ConnectionLimits { pace, outbox, request_bytes_max: 1 << 10, ..LIMITS };
    let broker = Broker::start(ConnectionLimits { reply_bytes_max: 1 << 30, ..limits });
    let mut greedy = broker.connect();
    for _ in 0..128 {
        greedy.write_all(b"\x02p\xff").unwrap();
    }
    let mut reply = [0; 64];
    greedy.read_exact(&mut reply).unwrap();
    let frame = [[63].as_slice(), &[b'x'; 63]].concat();
    let mut other = broker.connect();
    // Until it is closed, and the other one is answered all the same.
    while greedy.write_all(&frame).is_ok() {
        other.write_all(&frame).unwrap();
        other.read_exact(&mut reply).unwrap();
    }
    let metrics = broker.stop();
    assert_eq!(closed(&metrics, CloseReason::WriteStalled), 1);
}

#[test]
fn a_frame_that_is_none_is_answered_and_closed() {
    let broker = Broker::start(LIMITS);
    let mut client = broker.connect();
    client.write_all(b"\x01a\x00\x01b").unwrap();
    let mut read = Vec::new();
    let _reset = client.read_to_end(&mut read);
    assert_eq!(read, b"\x01aempty");
    assert_eq!(closed(&broker.stop(), CloseReason::BadFrame), 1);
}

#[test]
fn connections_beyond_the_limit_are_refused() {
    let crowd = CrowdLimits { clients_max: 2, ..LIMITS.crowd };
    let broker = Broker::start(ConnectionLimits { crowd, ..LIMITS });
    let mut first = broker.connect();
    let mut second = broker.connect();
    for client in [&mut first, &mut second] {
        client.write_all(b"\x01a").unwrap();
        client.read_exact(&mut [0; 2]).unwrap();
    }
    assert_eq!(read_to_end(&mut broker.connect()), 0);
    first.shutdown(Shutdown::Both).unwrap();
    // Its place is free once the broker has seen the end.
    while read_to_end_of_echo(&broker) != 2 {}
    let metrics = {
        drop(second);
        broker.stop_when_free()
    };
    assert!(closed(&metrics, CloseReason::TooManyConnections) >= 1);
}

/// Connects, sends one frame and reads what comes.
fn read_to_end_of_echo(broker: &Broker) -> usize {
    let mut client = broker.connect();
    let _refused = client.write_all(b"\x01a");
    let _ended = client.shutdown(Shutdown::Write);
    read_to_end(&mut client)
}

impl Broker {
    /// As [`Broker::stop`], trying again while there are too many connections.
    fn stop_when_free(self) -> MetricsSnapshot {
        loop {
            let mut client = self.connect();
            let _refused = client.write_all(b"\x01q");
            if read_to_end(&mut client) == 2 {
                return self.thread.join().unwrap();
            }
        }
    }
}

#[test]
fn a_stop_answers_what_waits_and_ends_idle_connections() {
    let broker = Broker::start(LIMITS);
    let mut idle = broker.connect();
    let mut waiting = broker.connect();
    waiting.write_all(b"\x01w\x01a").unwrap();
    let mut reply = [0; 2];
    waiting.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"\x01a", "what waits holds up nobody");
    let metrics = broker.stop();
    let mut rest = Vec::new();
    waiting.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x01w");
    assert_eq!(read_to_end(&mut idle), 0);
    assert!(closed(&metrics, CloseReason::ShuttingDown) >= 2);
}
