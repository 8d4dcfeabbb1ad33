//! One connection: requests go out in the order of the calls, each reply finds its caller. Apart because
//! producer, consumer and admin all talk through it.
//!
//! A caller writes to the socket itself if it has room, so a request costs no hop to another task; what
//! does not fit is left to the writing task. Replies are read by the reading task.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use kolk_model::map::Map;
use kolk_native::PROTOCOL_VERSION;
use kolk_native::encoder::Encoder;
use kolk_native::frame::{FrameDecoder, FrameLimits};
use kolk_native::reply::{self, HelloReply, Reply};
use kolk_native::request::{CorrelationId, Hello, Request};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::error::{ClientError, Greeting};
use crate::settings::ClientSettings;

#[allow(clippy::disallowed_types, reason = "callers of any thread write to one socket")]
type Mutex<T> = std::sync::Mutex<T>;

/// Takes one request's outcome. Runs in the reading task: it must not block.
pub(crate) type Sink = Box<dyn FnOnce(Result<Reply, ClientError>) + Send>;

/// Slices given to one write call.
const WRITE_SLICES_MAX: usize = 64;

/// How often unanswered requests are looked at.
const DEADLINE_TICK: Duration = Duration::from_millis(250);

/// One connection to one door. Dropping it closes the socket; requests in flight fail.
pub(crate) struct Connection {
    shared: Arc<Shared>,
    hello: HelloReply,
    tasks: [AbortHandle; 2],
}

struct Shared {
    stream: TcpStream,
    address: Arc<str>,
    state: Mutex<State>,
    /// Something is left to write.
    unwritten: Notify,
}

struct State {
    encoder: Encoder,
    front: BytesMut,
    /// What the socket had no room for.
    queue: VecDeque<Bytes>,
    pending: Map<CorrelationId, Pending>,
    correlation: u64,
    failure: Option<ClientError>,
}

struct Pending {
    sink: Sink,
    sent: Instant,
    timeout: Duration,
}

impl Connection {
    /// Connects and says hello.
    pub(crate) async fn open(
        address: &Arc<str>,
        settings: &ClientSettings,
    ) -> Result<Self, ClientError> {
        let limit = settings.connect_timeout;
        let opening = Self::dial(address, settings);
        let timed_out = |_| ClientError::Disconnected {
            address: Arc::clone(address),
            reason: Arc::from(format!("it did not answer within {limit:?}")),
        };
        tokio::time::timeout(limit, opening).await.map_err(timed_out)?
    }

    async fn dial(address: &Arc<str>, settings: &ClientSettings) -> Result<Self, ClientError> {
        let broken = |error: io::Error| ClientError::disconnected(address, &error);
        let stream = TcpStream::connect(&**address).await.map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let mut encoder = Encoder::new();
        let (hello, received) = greet(&stream, &mut encoder, address, settings).await?;
        let state = State {
            encoder,
            front: BytesMut::new(),
            queue: VecDeque::new(),
            pending: Map::new(),
            correlation: 1,
            failure: None,
        };
        let (address, unwritten) = (Arc::clone(address), Notify::new());
        let shared = Arc::new(Shared { stream, address, state: Mutex::new(state), unwritten });
        let reader = tokio::spawn(read_replies(Arc::clone(&shared), received));
        let writer = tokio::spawn(write_rest(Arc::clone(&shared)));
        let tasks = [reader.abort_handle(), writer.abort_handle()];
        Ok(Self { shared, hello, tasks })
    }

    /// What the broker said of itself.
    pub(crate) fn hello(&self) -> &HelloReply {
        &self.hello
    }

    /// Whether requests may still be answered.
    pub(crate) fn is_open(&self) -> bool {
        self.shared.state().failure.is_none()
    }

    /// Sends a request; `sink` is called once, whatever happens, perhaps before this returns. Without an
    /// answer after `timeout` the connection is given up.
    pub(crate) fn submit(&self, request: &Request, timeout: Duration, sink: Sink) {
        match self.shared.submit(request, timeout, sink) {
            Ok(()) => {}
            Err(NotSent::Refused(sink, error)) => sink(Err(error)),
            Err(NotSent::Broken(error)) => {
                self.shared.fail(&ClientError::disconnected(&self.shared.address, &error));
            }
        }
    }

    /// Sends a request now and waits for its reply. The request is on its way even if the future is
    /// dropped.
    pub(crate) fn call(
        &self,
        request: &Request,
        timeout: Duration,
    ) -> impl Future<Output = Result<Reply, ClientError>> + use<> {
        let (send, receive) = oneshot::channel();
        let sink = Box::new(move |outcome| {
            // Nobody waits any more: then nobody misses it.
            let _unwanted = send.send(outcome);
        });
        self.submit(request, timeout, sink);
        async move {
            let closed = ClientError::Closed { what: "the connection was closed" };
            match receive.await.unwrap_or(Err(closed))? {
                Reply::Refused(refusal) => Err(refusal.into()),
                reply => Ok(reply),
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.shared.fail(&ClientError::Closed { what: "the connection was closed" });
    }
}

/// Why a request did not leave.
enum NotSent {
    /// It was not accepted; its sink is given back.
    Refused(Sink, ClientError),
    /// The socket is broken; its sink waits with the others.
    Broken(io::Error),
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing that runs under the lock panics half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, request: &Request, timeout: Duration, sink: Sink) -> Result<(), NotSent> {
        let mut guard = self.state();
        let state = &mut *guard;
        if let Some(error) = &state.failure {
            return Err(NotSent::Refused(sink, error.clone()));
        }
        let correlation = CorrelationId::new(state.correlation);
        state.correlation += 1;
        let payload = match state.encoder.request(correlation, request, &mut state.front) {
            Ok(payload) => payload,
            Err(error) => {
                return Err(NotSent::Refused(sink, ClientError::protocol(&self.address, error)));
            }
        };
        let pending = Pending { sink, sent: Instant::now(), timeout };
        state.pending.insert(correlation, pending);
        let idle = state.queue.is_empty();
        state.queue.push_back(state.front.split().freeze());
        state.queue.extend(payload);
        // While something is queued the writing task is at it.
        if idle && !self.write(&mut state.queue).map_err(NotSent::Broken)? {
            self.unwritten.notify_one();
        }
        Ok(())
    }

    /// Writes until the queue is empty (true) or the socket has no room (false).
    fn write(&self, queue: &mut VecDeque<Bytes>) -> io::Result<bool> {
        while !queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES_MAX];
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(queue.iter()) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            let slices = slices.get(..count).unwrap_or_default();
            match self.stream.try_write_vectored(slices) {
                Ok(written) => advance(queue, written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Ends the connection: everybody who waits gets the error.
    fn fail(&self, error: &ClientError) {
        let pending = {
            let mut state = self.state();
            if state.failure.is_some() {
                return;
            }
            state.failure = Some(error.clone());
            state.queue.clear();
            std::mem::take(&mut state.pending)
        };
        for (_, pending) in pending {
            (pending.sink)(Err(error.clone()));
        }
    }

    fn take_pending(&self, correlation: CorrelationId) -> Option<Sink> {
        self.state().pending.remove(&correlation).map(|pending| pending.sink)
    }

    /// The limit of a request that was not answered in time. Long polls make replies overtake each other,
    /// so all are looked at; a connection has few in flight.
    fn overdue(&self, now: Instant) -> Option<Duration> {
        let state = self.state();
        let mut pending = state.pending.values();
        pending.find(|one| now.duration_since(one.sent) > one.timeout).map(|one| one.timeout)
    }
}

/// Drops `written` bytes from the front of the queue.
fn advance(queue: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(front) = queue.front_mut() {
        if front.len() > written {
            front.advance(written);
            return;
        }
        written -= front.len();
        queue.pop_front();
    }
}

/// Says hello on a fresh socket and reads the answer; gives what was received behind it, too.
async fn greet(
    stream: &TcpStream,
    encoder: &mut Encoder,
    address: &Arc<str>,
    settings: &ClientSettings,
) -> Result<(HelloReply, BytesMut), ClientError> {
    let broken = |error: io::Error| match error.kind() {
        // A peer that closes while it has bytes left to read resets the connection.
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => {
            ClientError::NotNative { address: Arc::clone(address), answer: Greeting::Closed }
        }
        _ => ClientError::disconnected(address, &error),
    };
    let hello = Request::Hello(Hello {
        protocol_version: PROTOCOL_VERSION,
        features: 0,
        client_id: settings.client_id.clone(),
        wants_producer_id: false,
    });
    let mut out = BytesMut::new();
    let wrong = |fault: &dyn ToString| ClientError::protocol(address, fault.to_string());
    encoder.request(CorrelationId::new(0), &hello, &mut out).map_err(|e| wrong(&e))?;
    while !out.is_empty() {
        stream.writable().await.map_err(broken)?;
        match stream.try_write(&out) {
            Ok(written) => out.advance(written),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(broken(error)),
        }
    }
    let decoder = FrameDecoder::new(FrameLimits::HELLO);
    let mut received = BytesMut::new();
    let frame = loop {
        let decoded = decoder.decode(&mut received);
        let stranger = |_| {
            let is_http = received.starts_with(b"HTTP");
            let answer = if is_http { Greeting::Http } else { Greeting::Unknown };
            ClientError::NotNative { address: Arc::clone(address), answer }
        };
        if let Some(frame) = decoded.map_err(stranger)? {
            break frame;
        }
        receive(stream, &decoder, &mut received).await.map_err(broken)?;
    };
    match reply::decode(&frame).map_err(|e| wrong(&e))?.reply {
        Reply::Hello(hello) if hello.protocol_version == PROTOCOL_VERSION => Ok((hello, received)),
        Reply::Hello(hello) => {
            Err(wrong(&format!("it wants protocol version {}", hello.protocol_version)))
        }
        Reply::Refused(refusal) => Err(refusal.into()),
        _ => Err(wrong(&"it answered something else than hello")),
    }
}

/// Waits for bytes and appends them; the end of the stream is an error.
async fn receive(
    stream: &TcpStream,
    decoder: &FrameDecoder,
    received: &mut BytesMut,
) -> io::Result<()> {
    loop {
        stream.readable().await?;
        decoder.reserve(received);
        match stream.try_read_buf(received) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// The reading task: hands out replies until the connection ends.
async fn read_replies(shared: Arc<Shared>, mut received: BytesMut) {
    let decoder = FrameDecoder::new(FrameLimits::REPLY);
    let mut tick = tokio::time::interval(DEADLINE_TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let error = loop {
        if let Err(error) = hand_out(&shared, &decoder, &mut received) {
            break error;
        }
        tokio::select! {
            outcome = receive(&shared.stream, &decoder, &mut received) => {
                if let Err(error) = outcome {
                    break ClientError::disconnected(&shared.address, &error);
                }
            }
            now = tick.tick() => {
                if let Some(limit) = shared.overdue(now) {
                    break ClientError::TimedOut { what: "the broker's answer", limit };
                }
            }
        }
    };
    shared.fail(&error);
}

/// Gives every whole reply to its caller.
fn hand_out(
    shared: &Shared,
    decoder: &FrameDecoder,
    received: &mut BytesMut,
) -> Result<(), ClientError> {
    let wrong = |fault: &dyn ToString| ClientError::protocol(&shared.address, fault.to_string());
    while let Some(frame) = decoder.decode(received).map_err(|e| wrong(&e))? {
        let frame = reply::decode(&frame).map_err(|e| wrong(&e))?;
        match shared.take_pending(frame.correlation) {
            Some(sink) => sink(Ok(frame.reply)),
            None => return Err(wrong(&"it answered what was not asked")),
        }
    }
    Ok(())
}

/// The writing task: sends what callers could not.
async fn write_rest(shared: Arc<Shared>) {
    let error = loop {
        shared.unwritten.notified().await;
        if let Err(error) = write_queue(&shared).await {
            break error;
        }
    };
    shared.fail(&ClientError::disconnected(&shared.address, &error));
}

async fn write_queue(shared: &Shared) -> io::Result<()> {
    loop {
        let written = shared.write(&mut shared.state().queue)?;
        if written {
            return Ok(());
        }
        shared.stream.writable().await?;
    }
}

#[cfg(test)]
mod tests;
