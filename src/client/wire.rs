//! A bare connection for load generators and probes: blocking, one request after the other or many in
//! flight, frames encoded once and sent often. Apart because it has none of what makes the others
//! comfortable: no retries, no metadata, no tasks.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kolk_native::PROTOCOL_VERSION;
use kolk_native::encoder::Encoder;
use kolk_native::frame::{FrameDecoder, FrameLimits};
use kolk_native::reply::{self, HelloReply, Reply, ReplyFrame};
use kolk_native::request::{CorrelationId, Hello, Request};

use crate::error::ClientError;

/// One blocking connection.
///
/// ```no_run
/// use kolk_client::wire::WireConnection;
/// use kolk_native::request::Request;
///
/// # fn example() -> Result<(), kolk_client::error::ClientError> {
/// let mut connection = WireConnection::connect("127.0.0.1:9640", "probe")?;
/// let reply = connection.call(&Request::Stats)?;
/// println!("{reply:?}");
/// # Ok(())
/// # }
/// ```
pub struct WireConnection {
    stream: TcpStream,
    address: Arc<str>,
    encoder: Encoder,
    decoder: FrameDecoder,
    received: BytesMut,
    correlation: u64,
    hello: HelloReply,
}

/// A request as bytes. Its correlation id is part of it, so that sending it twice gives two replies of the
/// same number.
#[derive(Clone, Debug)]
pub struct EncodedRequest {
    /// What its reply will say.
    pub correlation: CorrelationId,
    slices: Vec<Bytes>,
}

impl EncodedRequest {
    /// Bytes on the wire.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        self.slices.iter().map(Bytes::len).sum()
    }
}

/// Bytes that are asked of the socket at once.
const READ_BYTES: usize = 256 * 1024;

impl WireConnection {
    /// Connects and says hello.
    ///
    /// # Errors
    /// [`ClientError::Disconnected`] or [`ClientError::Protocol`].
    pub fn connect(address: &str, client_id: &str) -> Result<Self, ClientError> {
        let name: Arc<str> = Arc::from(address);
        let broken = |error: io::Error| ClientError::disconnected(&name, &error);
        let stream = TcpStream::connect(address).map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        let mut connection = Self {
            stream,
            address: Arc::clone(&name),
            encoder: Encoder::new(),
            decoder: FrameDecoder::new(FrameLimits::REPLY),
            received: BytesMut::new(),
            correlation: 0,
            hello: HelloReply::default(),
        };
        let hello = Request::Hello(Hello {
            protocol_version: PROTOCOL_VERSION,
            features: 0,
            client_id: client_id.to_owned(),
            wants_producer_id: false,
        });
        match connection.call(&hello)? {
            Reply::Hello(hello) => connection.hello = hello,
            _ => return Err(ClientError::protocol(&name, "it answered something else than hello")),
        }
        Ok(connection)
    }

    /// What the broker said of itself.
    #[must_use]
    pub const fn hello(&self) -> &HelloReply {
        &self.hello
    }

    /// How long a read or write may block; `None` = for ever, as at the beginning.
    ///
    /// # Errors
    /// The operating system refuses, for a duration of zero.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> Result<(), ClientError> {
        let set = self.stream.set_read_timeout(timeout);
        set.and_then(|()| self.stream.set_write_timeout(timeout)).map_err(|e| self.broken(&e))
    }

    /// Sends a request and waits for the next reply, which is its own if no other is in flight.
    ///
    /// # Errors
    /// The connection broke, or the broker refused the request as a whole.
    pub fn call(&mut self, request: &Request) -> Result<Reply, ClientError> {
        let encoded = self.encode(request)?;
        self.send(&encoded)?;
        let frame = self.receive()?;
        if frame.correlation != encoded.correlation {
            return Err(ClientError::protocol(&self.address, "it answered what was not asked"));
        }
        match frame.reply {
            Reply::Refused(refusal) => Err(refusal.into()),
            reply => Ok(reply),
        }
    }

    /// Makes a request into bytes, under the connection's next correlation id. Payload is shared.
    ///
    /// # Errors
    /// [`ClientError::Protocol`] if it is larger than a frame.
    pub fn encode(&mut self, request: &Request) -> Result<EncodedRequest, ClientError> {
        self.correlation += 1;
        let correlation = CorrelationId::new(self.correlation);
        let mut front = BytesMut::new();
        let payload = self.encoder.request(correlation, request, &mut front);
        let payload = payload.map_err(|error| ClientError::protocol(&self.address, error))?;
        let mut slices = vec![front.freeze()];
        slices.extend(payload);
        Ok(EncodedRequest { correlation, slices })
    }

    /// Writes a request; blocks while the socket has no room.
    ///
    /// # Errors
    /// [`ClientError::Disconnected`].
    pub fn send(&mut self, request: &EncodedRequest) -> Result<(), ClientError> {
        let mut slices: Vec<_> = request.slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let mut rest = &mut slices[..];
        while !rest.is_empty() {
            match self.stream.write_vectored(rest) {
                Ok(0) => return Err(self.broken(&io::ErrorKind::WriteZero.into())),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.broken(&error)),
            }
        }
        Ok(())
    }

    /// Waits for the next reply. Refusals are replies here.
    ///
    /// # Errors
    /// [`ClientError::Disconnected`] or [`ClientError::Protocol`].
    pub fn receive(&mut self) -> Result<ReplyFrame, ClientError> {
        loop {
            let cut = self.decoder.decode(&mut self.received);
            if let Some(frame) = cut.map_err(|e| ClientError::protocol(&self.address, e))? {
                return reply::decode(&frame).map_err(|e| ClientError::protocol(&self.address, e));
            }
            self.fill()?;
        }
    }

    /// Appends what the socket has, at least one byte.
    fn fill(&mut self) -> Result<(), ClientError> {
        self.decoder.reserve(&mut self.received);
        let filled = self.received.len();
        let room = (self.received.capacity() - filled).clamp(1, READ_BYTES);
        // Safe code can't read into uninitialised memory; clearing costs less than a tenth of receiving.
        self.received.put_bytes(0, room);
        let place = self.received.get_mut(filled..).unwrap_or_default();
        let read = loop {
            match self.stream.read(place) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.received.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(self.broken(&io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(self.broken(&error)),
        }
    }

    fn broken(&self, error: &io::Error) -> ClientError {
        ClientError::disconnected(&self.address, error)
    }
}

impl std::fmt::Debug for WireConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WireConnection").field("address", &self.address).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
