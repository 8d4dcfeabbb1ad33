//! The two halves of a connection: one reads frames and begins requests, one sends replies.

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::{Buf, Bytes};
use kolk_io::door::{Net, SEND_PARTS_MAX, Stream};
use kolk_io::error::IoError;
use kolk_metric::net::CloseReason;

use crate::budget::Charge;
use crate::connections::{Connection, Connections, Standing};
use crate::outbox::{Reply, Room, Sending, Then, Turn};
use crate::receive::ReceiveBuffer;
use crate::wire::{Refused, Wire};

/// Bytes that one half moves before it lets others run.
const RUN_BYTES_MAX: usize = 4 << 20;

/// Frames taken in before others run.
const RUN_FRAMES_MAX: usize = 256;

/// Serves one accepted connection until it ends.
pub(crate) async fn run<N: Net, W: Wire>(
    connections: Connections<N>,
    stream: N::Stream,
    peer: SocketAddr,
    wire: W,
) {
    let Some(connection) = connections.admit(stream, peer) else {
        return;
    };
    let sender = Sender { connections: connections.clone(), connection: Rc::clone(&connection) };
    connections.io().spawn(sender.run());
    let mut receiver = Receiver {
        receive: ReceiveBuffer::new(connections.pool()),
        connections,
        connection,
        wire,
        admitted: None,
        standing: Standing::Stranger,
        is_drained: true,
        run: RunLength::default(),
    };
    let end = receiver.run().await;
    receiver.end(end);
}

/// Why the receiving half ended.
enum End {
    /// The client sends no more.
    ByClient,
    /// It is decided already: no more requests are taken in.
    Decided,
    Refused(Refused),
    Broken(CloseReason),
}

/// Why a socket that can't be used any more was closed: many clients end by resetting the connection.
fn broken(error: &IoError) -> CloseReason {
    let kind = match error {
        IoError::Os { errno, .. } => std::io::Error::from_raw_os_error(*errno).kind(),
        _ => return CloseReason::SocketError,
    };
    match kind {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => CloseReason::ByClient,
        _ => CloseReason::SocketError,
    }
}

struct Receiver<N: Net, W> {
    connections: Connections<N>,
    connection: Rc<Connection<N>>,
    wire: W,
    receive: ReceiveBuffer,
    /// The frame at the start of the buffer: its whole length, and its charge.
    admitted: Option<(usize, Charge)>,
    standing: Standing,
    /// Whether the last read took all the socket had.
    is_drained: bool,
    run: RunLength,
}

impl<N: Net, W: Wire> Receiver<N, W> {
    async fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.take_frames().await {
                return end;
            }
            if let Err(end) = self.read().await {
                return end;
            }
        }
    }

    /// Submits every whole frame received.
    async fn take_frames(&mut self) -> Result<(), End> {
        loop {
            if self.admitted.is_none() {
                let bytes = self.wire.frame_bytes(self.receive.received()).map_err(End::Refused)?;
                let Some(bytes) = bytes else { break };
                let charge = self.admit(bytes).await.ok_or(End::Decided)?;
                self.admitted = Some((bytes, charge));
            }
            let received = self.receive.received().len();
            let whole = self.admitted.take_if(|(bytes, _)| *bytes <= received);
            let Some((bytes, charge)) = whole else { break };
            let frame = self.receive.take_frame(bytes);
            {
                let mut pace = self.connection.pace.borrow_mut();
                pace.no_frame();
                pace.request_taken(self.connections.io().now());
            }
            // What was inflated to be checked is work like what was received, and may be far more.
            let inflated = &self.connections.metrics().copies.decompress;
            let before = inflated.get();
            self.wire.submit(frame, charge, &self.connection.outbox).map_err(End::Refused)?;
            let inflated = usize::try_from(inflated.get() - before).unwrap_or(usize::MAX);
            self.standing = Standing::Known;
            if self.run.is_over(bytes.saturating_add(inflated)) {
                self.connections.io().yield_now().await;
            }
        }
        let received = self.receive.received().len();
        if received > 0 {
            let now = self.connections.io().now();
            self.connection.pace.borrow_mut().frame_open(now, received);
        }
        Ok(())
    }

    /// Waits until a frame of `bytes` bytes may be taken in: that is the back-pressure, for the socket is
    /// not read meanwhile. `None` when no frame ever will.
    async fn admit(&self, bytes: usize) -> Option<Charge> {
        let outbox = &self.connection.outbox;
        let budget = self.connections.budget_for(bytes, self.standing);
        let mut acquire = pin!(budget.acquire(bytes));
        let mut is_paused = false;
        poll_fn(|context| {
            let free = match outbox.poll_room(bytes, context) {
                Poll::Ready(Room::Closed) => return Poll::Ready(None),
                Poll::Ready(Room::Free) => acquire.as_mut().poll(context).map(Some),
                Poll::Pending => Poll::Pending,
            };
            if free.is_pending() {
                outbox.watch_end(context);
            }
            if free.is_pending() && !is_paused {
                is_paused = true;
                self.connection.pace.borrow_mut().no_frame();
                self.connections.metrics().net.read_pauses.inc();
            }
            free
        })
        .await
    }

    /// Waits for bytes and reads them.
    async fn read(&mut self) -> Result<(), End> {
        let Self { connection, connections, receive, .. } = self;
        if self.is_drained {
            receive.park();
            let readable = connection.stream.readable().await;
            readable.map_err(|error| End::Broken(broken(&error)))?;
        }
        if !connection.outbox.is_open() {
            return Err(End::Decided);
        }
        let room = receive.make_room(self.admitted.as_ref().map(|(bytes, _)| *bytes));
        connections.metrics().copies.receive.add_len(room.copied_bytes);
        let (buffer, read) = connection.stream.recv(receive.lend(), room.read_bytes_max).await;
        receive.put_back(buffer);
        match read {
            Ok(0) => Err(End::ByClient),
            Ok(bytes) => {
                connections.metrics().net.bytes_in.add_len(bytes);
                self.is_drained = bytes < room.read_bytes_max;
                Ok(())
            }
            Err(error) => Err(End::Broken(broken(&error))),
        }
    }

    fn end(&self, end: End) {
        let Self { connection, connections, .. } = self;
        match end {
            End::Decided => {}
            End::Broken(reason) => return connection.close(reason),
            End::ByClient => connection.decide(CloseReason::ByClient),
            End::Refused(Refused { reason, detail, reply }) => {
                self.log_refused(reason, &detail);
                connection.decide(reason);
                if let Some(head) = reply {
                    let charge = connections.no_charge();
                    let last = Reply { head, payload: Vec::new(), charge, then: Then::Close };
                    connection.outbox.end_input_with(last);
                }
            }
        }
        connection.pace.borrow_mut().drain(connections.io().now());
        connection.outbox.end_input();
    }

    fn log_refused(&self, reason: CloseReason, detail: &str) {
        let Connection { peer, id, .. } = &*self.connection;
        self.connections.gate().warn(|| {
            tracing::warn!(%peer, connection = id, reason = reason.name(), %detail, "request refused");
        });
    }
}

struct Sender<N: Net> {
    connections: Connections<N>,
    connection: Rc<Connection<N>>,
}

impl<N: Net> Sender<N> {
    async fn run(self) {
        let outbox = &self.connection.outbox;
        let mut run = RunLength::default();
        while let Turn::Send(mut sending) = poll_fn(|context| outbox.poll_turn(context)).await {
            let then = sending.then;
            let sent = self.send(&mut sending).await;
            if let Err(error) = &sent {
                self.connection.close(broken(error));
            }
            let bytes = outbox.sent(sending);
            if let Then::CloseFor(reason) = then {
                self.connection.decide(reason);
            }
            if then != Then::Continue || sent.is_err() {
                break;
            }
            if run.is_over(bytes) {
                self.connections.io().yield_now().await;
            }
        }
        outbox.abort();
        self.connection.stream.shutdown();
        self.connections.remove(&self.connection);
    }

    async fn send(&self, sending: &mut Sending) -> Result<(), IoError> {
        let Self { connection, connections } = self;
        let io = connections.io();
        let mut parts = std::mem::take(&mut sending.parts);
        connection.pace.borrow_mut().write_begins(io.now());
        while !parts.is_empty() {
            let later = parts.split_off(parts.len().min(SEND_PARTS_MAX));
            let (mut left, sent) = connection.stream.send(parts).await;
            let sent = sent?;
            connections.metrics().net.bytes_out.add_len(sent);
            connection.pace.borrow_mut().write_moved(io.now(), sent);
            advance(&mut left, sent);
            left.extend(later);
            parts = left;
        }
        // Empty, and with its memory.
        sending.parts = parts;
        let now = io.now();
        let mut pace = connection.pace.borrow_mut();
        pace.write_done(now);
        for _ in 0..sending.replies {
            pace.reply_sent(now);
        }
        Ok(())
    }
}

/// Removes the first `sent` bytes, and parts that are empty.
fn advance(parts: &mut Vec<Bytes>, sent: usize) {
    let mut left = sent;
    let whole = parts
        .iter()
        .take_while(|part| {
            let is_sent = part.len() <= left;
            if is_sent {
                left -= part.len();
            }
            is_sent
        })
        .count();
    parts.drain(..whole);
    if let Some(first) = parts.first_mut() {
        first.advance(left);
    }
}

/// What a half has moved since it last let others run.
#[derive(Default)]
struct RunLength {
    bytes: usize,
    frames: usize,
}

impl RunLength {
    /// Adds a step of `bytes` bytes; says whether it is time to let others run.
    fn is_over(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        self.frames += 1;
        let is_over = self.bytes >= RUN_BYTES_MAX || self.frames >= RUN_FRAMES_MAX;
        if is_over {
            *self = Self::default();
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_send_leaves_the_rest_in_order() {
        let parts = || vec![Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"de")];
        for (sent, expected) in [(0, "abc||de"), (2, "c||de"), (3, "de"), (4, "e"), (5, "")] {
            let mut left = parts();
            advance(&mut left, sent);
            let text: Vec<_> =
                left.iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
            assert_eq!(text.join("|"), expected, "{sent} bytes sent");
        }
    }

    #[test]
    fn others_run_after_a_bounded_run() {
        let mut run = RunLength::default();
        assert!(run.is_over(RUN_BYTES_MAX));
        assert!(!run.is_over(RUN_BYTES_MAX - 1));
        assert!(run.is_over(1));
        assert!((1..RUN_FRAMES_MAX).all(|_| !run.is_over(1)));
        assert!(run.is_over(1));
    }
}
