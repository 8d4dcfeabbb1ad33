//! One blocking connection on the native wire, as cheap as it gets: a vectored write a send, a large read a receive, and
//! the receive buffer used over and over.
#![allow(unsafe_code, reason = "receives into memory that nobody zeroed; see the one block")]

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kolk_native::PROTOCOL_VERSION;
use kolk_native::encoder::Encoder;
use kolk_native::frame::{FrameDecoder, FrameLimits};
use kolk_native::reply::{self, Reply, ReplyFrame};
use kolk_native::request::{CorrelationId, Hello, Request};
use rustix::net::RecvFlags;

use crate::error::{BenchError, Outcome};

/// Free room for a receive between large frames.
const ROOM_BYTES: usize = 64 * 1024;
/// How long a broker may be silent while something is expected of it.
const SILENCE: Duration = Duration::from_secs(60);

/// Whether a receive may sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Until something comes.
    Block,
    /// Not at all.
    Poll,
}

/// A connection to one door of the broker.
pub(crate) struct Wire {
    stream: TcpStream,
    address: String,
    encoder: Encoder,
    decoder: FrameDecoder,
    received: BytesMut,
}

impl Wire {
    /// Connects and says hello. `frame_bytes` is the size of the replies to come, for the receive buffer.
    pub(crate) fn connect(address: &str, frame_bytes: usize) -> Outcome<Self> {
        let fault = |source| BenchError::Socket { address: address.to_owned(), source };
        let stream = TcpStream::connect(address).map_err(fault)?;
        stream.set_nodelay(true).map_err(fault)?;
        stream.set_read_timeout(Some(SILENCE)).map_err(fault)?;
        let mut wire = Self {
            stream,
            address: address.to_owned(),
            encoder: Encoder::new(),
            decoder: FrameDecoder::new(FrameLimits::REPLY),
            received: BytesMut::with_capacity(2 * frame_bytes + ROOM_BYTES),
        };
        let hello = Request::Hello(Hello {
            protocol_version: PROTOCOL_VERSION,
            features: 0,
            client_id: "kolk-bench".to_owned(),
            wants_producer_id: false,
        });
        match wire.call(&hello)? {
            Reply::Hello(hello) if hello.protocol_version == PROTOCOL_VERSION => Ok(wire),
            other => Err(wire.protocol(format!("hello was answered with {other:?}"))),
        }
    }

    /// One request and its reply, with nothing else in flight.
    pub(crate) fn call(&mut self, request: &Request) -> Outcome<Reply> {
        let (front, payload) = self.encode(CorrelationId::new(0), request)?;
        self.send(std::iter::once(&front).chain(&payload))?;
        match self.next_reply(Wait::Block)? {
            Some(ReplyFrame { reply: Reply::Refused(refusal), .. }) => {
                Err(BenchError::refused(format!("{:?}", request.kind()), refusal))
            }
            Some(frame) => Ok(frame.reply),
            None => Err(self.protocol("no reply".to_owned())),
        }
    }

    /// A frame's bytes up to its payload, and the payload.
    pub(crate) fn encode(
        &mut self,
        correlation: CorrelationId,
        request: &Request,
    ) -> Outcome<(Bytes, Vec<Bytes>)> {
        let mut front = BytesMut::new();
        let payload = self.encoder.request(correlation, request, &mut front);
        let payload = payload.map_err(|error| self.protocol(error.to_string()))?;
        Ok((front.freeze(), payload))
    }

    /// Writes these bytes one behind the other.
    pub(crate) fn send<'a>(&mut self, parts: impl IntoIterator<Item = &'a Bytes>) -> Outcome<()> {
        let mut slices: Vec<IoSlice<'_>> =
            parts.into_iter().map(|part| IoSlice::new(part)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            match self.stream.write_vectored(rest) {
                Ok(0) => return Err(self.broken(io::ErrorKind::WriteZero.into())),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(error)),
            }
        }
        Ok(())
    }

    /// Writes bytes that are frames.
    pub(crate) fn send_bytes(&mut self, frames: &[u8]) -> Outcome<()> {
        (&self.stream).write_all(frames).map_err(|error| self.broken(error))
    }

    /// The next reply; `None` if waiting was not allowed and none is there. Drop it before the next call: its memory is
    /// the receive buffer's.
    pub(crate) fn next_reply(&mut self, wait: Wait) -> Outcome<Option<ReplyFrame>> {
        loop {
            if let Some(reply) = self.buffered_reply()? {
                return Ok(Some(reply));
            }
            if !self.receive(wait)? {
                return Ok(None);
            }
        }
    }

    /// A reply that was received already.
    pub(crate) fn buffered_reply(&mut self) -> Outcome<Option<ReplyFrame>> {
        let frame = self.decoder.decode(&mut self.received);
        let Some(frame) = frame.map_err(|error| self.protocol(error.to_string()))? else {
            return Ok(None);
        };
        let reply = reply::decode(&frame).map_err(|error| self.protocol(error.to_string()))?;
        Ok(Some(reply))
    }

    /// Receives what is there; false if nothing is and waiting was not allowed.
    fn receive(&mut self, wait: Wait) -> Outcome<bool> {
        let whole = self.decoder.frame_bytes(&self.received);
        let whole = whole.map_err(|error| self.protocol(error.to_string()))?;
        // Not beyond a large frame: what is read of the next one would have to be moved.
        let missing = whole.map_or(0, |whole| whole - self.received.len());
        let room = missing.max(ROOM_BYTES);
        self.received.reserve(room);
        let flags = match wait {
            Wait::Block => RecvFlags::empty(),
            Wait::Poll => RecvFlags::DONTWAIT,
        };
        let before = self.received.len();
        let spare = self.received.spare_capacity_mut();
        let target = spare.get_mut(..room).unwrap_or_default();
        let count = match rustix::net::recv(&self.stream, target, flags) {
            Ok(((filled, _), _)) => filled.len(),
            Err(rustix::io::Errno::INTR) => return Ok(true),
            Err(rustix::io::Errno::AGAIN) if wait == Wait::Poll => return Ok(false),
            Err(error) => return Err(self.broken(error.into())),
        };
        if count == 0 {
            return Err(self.broken(io::ErrorKind::UnexpectedEof.into()));
        }
        // SAFETY: recv has filled the first `count` bytes of the spare capacity, which begins at `before`.
        unsafe { self.received.set_len(before + count) };
        Ok(true)
    }

    pub(crate) fn protocol(&self, reason: String) -> BenchError {
        BenchError::Protocol { address: self.address.clone(), reason }
    }

    fn broken(&self, source: io::Error) -> BenchError {
        BenchError::Socket { address: self.address.clone(), source }
    }
}
