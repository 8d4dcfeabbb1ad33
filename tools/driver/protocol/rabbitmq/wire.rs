//! RabbitMQ's stream protocol, as much of it as a producer and a consumer need (deps/rabbitmq_stream/docs/PROTOCOL.adoc of
//! RabbitMQ). Numbers are big-endian, a frame begins with its length.

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;

use crate::error::{DriverError, Outcome};

/// Commands.
pub(super) const PUBLISH: u16 = 2;
pub(super) const CONFIRM: u16 = 3;
pub(super) const PUBLISH_ERROR: u16 = 4;
pub(super) const DELIVER: u16 = 8;
pub(super) const CREDIT: u16 = 9;
const DECLARE_PUBLISHER: u16 = 1;
const SUBSCRIBE: u16 = 7;
const CREATE: u16 = 13;
const DELETE: u16 = 14;
const PEER_PROPERTIES: u16 = 17;
const SASL_HANDSHAKE: u16 = 18;
const SASL_AUTHENTICATE: u16 = 19;
const TUNE: u16 = 20;
const OPEN: u16 = 21;
/// The bit that makes a command a response.
const RESPONSE: u16 = 0x8000;
const OK: u16 = 1;
const VERSION: u16 = 1;
/// Longest frame that is taken.
const FRAME_BYTES_MAX: usize = 16 << 20;
const RECEIVE_BYTES: usize = 256 << 10;
/// What every fresh server lets in from this machine.
const USER: &[u8] = b"\0guest\0guest";
/// Bytes of a chunk before its entries.
const CHUNK_HEAD_BYTES: usize = 48;

/// Bytes that grow at their end.
#[derive(Debug, Default)]
pub(super) struct Out(Vec<u8>);

impl Out {
    pub(super) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(super) fn u16(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        let mut out = self.u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
        out.0.extend_from_slice(text.as_bytes());
        out
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let mut out = self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        out.0.extend_from_slice(bytes);
        out
    }

    /// A frame of a command, with what was put in behind its version.
    pub(super) fn frame(self, command: u16) -> Vec<u8> {
        let bytes = u32::try_from(self.0.len() + 4).unwrap_or(u32::MAX);
        let mut frame = Vec::with_capacity(self.0.len() + 8);
        frame.extend_from_slice(&bytes.to_be_bytes());
        frame.extend_from_slice(&command.to_be_bytes());
        frame.extend_from_slice(&VERSION.to_be_bytes());
        frame.extend_from_slice(&self.0);
        frame
    }
}

/// Bytes that are read from their begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct In<'a>(pub(super) &'a [u8]);

impl<'a> In<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(first)
    }
}

/// One frame that came: its command and what is behind the version.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) command: u16,
    pub(super) body: Vec<u8>,
}

/// A connection that is open. Reading and writing may go on two threads.
pub(super) struct Connection {
    pub(super) reader: BufReader<TcpStream>,
    pub(super) writer: TcpStream,
    address: String,
    correlation: u32,
}

impl Connection {
    /// Connects and logs in.
    pub(super) fn open(address: &str) -> Outcome<Self> {
        let fault = |source| DriverError::Socket { address: address.to_owned(), source };
        let writer = TcpStream::connect(address).map_err(fault)?;
        writer.set_nodelay(true).map_err(fault)?;
        let reader = writer.try_clone().map_err(fault)?;
        let reader = BufReader::with_capacity(RECEIVE_BYTES, reader);
        let mut own = Self { reader, writer, address: address.to_owned(), correlation: 0 };
        own.call(PEER_PROPERTIES, Out::default().u32(0))?;
        own.call(SASL_HANDSHAKE, Out::default())?;
        own.call(SASL_AUTHENTICATE, Out::default().text("PLAIN").bytes(USER))?;
        let tune = own.next()?;
        if tune.command != TUNE {
            return Err(DriverError::refused("log in", format!("frame {} came", tune.command)));
        }
        // The server's frames, and no heartbeats: a silent connection is told by the run itself.
        let frame_bytes_max = In(&tune.body).u32().unwrap_or(0);
        own.send(&Out::default().u32(frame_bytes_max).u32(0).frame(TUNE))?;
        own.call(OPEN, Out::default().text("/"))?;
        Ok(own)
    }

    /// One command and its response, with nothing else on its way but deliveries, which are dropped.
    fn call(&mut self, command: u16, content: Out) -> Outcome<()> {
        self.correlation += 1;
        let mut body = Out::default().u32(self.correlation);
        body.0.extend_from_slice(&content.0);
        self.send(&body.frame(command))?;
        loop {
            let frame = self.next()?;
            if frame.command != command | RESPONSE {
                continue;
            }
            let mut body = In(&frame.body);
            return match (body.u32(), body.u16()) {
                (Some(_), Some(OK)) => Ok(()),
                (_, code) => Err(DriverError::refused(
                    format!("command {command}"),
                    format!("code {code:?}"),
                )),
            };
        }
    }

    pub(super) fn create(&mut self, stream: &str) -> Outcome<()> {
        self.call(CREATE, Out::default().text(stream).u32(0))
    }

    pub(super) fn delete(&mut self, stream: &str) -> Outcome<()> {
        self.call(DELETE, Out::default().text(stream))
    }

    /// Without a name there is no de-duplication, so that publishing ids are free.
    pub(super) fn declare_publisher(&mut self, id: u8, stream: &str) -> Outcome<()> {
        self.call(DECLARE_PUBLISHER, Out::default().u8(id).text("").text(stream))
    }

    /// From the first record on, so many chunks ahead. The response comes among the deliveries: [`subscribed`].
    pub(super) fn subscribe(&mut self, id: u8, stream: &str, credit: u16) -> Outcome<()> {
        let first = 1;
        let content = Out::default().u8(id).text(stream).u16(first).u16(credit).u32(0);
        self.correlation += 1;
        let mut body = Out::default().u32(self.correlation);
        body.0.extend_from_slice(&content.0);
        self.send(&body.frame(SUBSCRIBE))
    }

    pub(super) fn send(&mut self, frames: &[u8]) -> Outcome<()> {
        let address = &self.address;
        let fault = |source| DriverError::Socket { address: address.clone(), source };
        self.writer.write_all(frames).map_err(fault)
    }

    pub(super) fn next(&mut self) -> Outcome<Frame> {
        let address = &self.address;
        let fault = |source| DriverError::Socket { address: address.clone(), source };
        read_frame(&mut self.reader).map_err(fault)
    }
}

/// The next frame.
pub(super) fn read_frame(reader: &mut impl Read) -> std::io::Result<Frame> {
    let mut head = [0; 8];
    reader.read_exact(&mut head)?;
    let mut fields = In(&head);
    let (bytes, command) = (fields.u32().unwrap_or(0), fields.u16().unwrap_or(0));
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if !(4..=FRAME_BYTES_MAX + CHUNK_HEAD_BYTES).contains(&bytes) {
        return Err(std::io::Error::other(format!("a frame of {bytes} bytes")));
    }
    let mut body = vec![0; bytes - 4];
    reader.read_exact(&mut body)?;
    Ok(Frame { command, body })
}

/// The code behind the correlation id of the response to a subscription; `None` for another frame.
pub(super) fn subscribed(frame: &Frame) -> Option<Result<(), u16>> {
    let mut body = In(&frame.body);
    let code = (frame.command == SUBSCRIBE | RESPONSE).then(|| (body.u32(), body.u16()).1)??;
    Some(if code == OK { Ok(()) } else { Err(code) })
}

/// The entries of a delivered chunk, and its subscription; `None` if it makes no sense, or has batches within.
pub(super) fn chunk<'a>(body: &'a [u8], each: &mut dyn FnMut(&'a [u8])) -> Option<u8> {
    let mut body = In(body);
    let subscription = body.u8()?;
    let mut head = In(body.bytes(CHUNK_HEAD_BYTES)?);
    let (_magic, kind, entries) = (head.u8()?, head.u8()?, head.u16()?);
    let user = 0;
    for _ in 0..if kind == user { entries } else { 0 } {
        let size = body.u32()?;
        // The highest bit would say that the entry is itself a batch, which this client never sends.
        if size >> 31 != 0 {
            return None;
        }
        each(body.bytes(usize::try_from(size).ok()?)?);
    }
    Some(subscription)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let written = Out::default().u8(7).u16(8).u32(9).text("ab").frame(PUBLISH);
        assert_eq!(written.get(..4), Some(&[0, 0, 0, 15][..]));
        let frame = read_frame(&mut written.as_slice()).unwrap();
        let mut body = In(&frame.body);
        assert_eq!(
            (frame.command, body.u8(), body.u16(), body.u32()),
            (2, Some(7), Some(8), Some(9))
        );
        assert_eq!((body.u16(), body.bytes(2), body.u8()), (Some(2), Some(&b"ab"[..]), None));
        assert!(read_frame(&mut [0, 0, 0, 1, 0, 0, 0, 0].as_slice()).is_err());
    }

    #[test]
    fn entries_of_a_chunk_are_found_and_nonsense_is_not() {
        let mut out = Out::default().u8(3).u8(0x50).u8(0).u16(2);
        out.0.extend_from_slice(&[0; CHUNK_HEAD_BYTES - 4]);
        let body = out.bytes(b"one").bytes(b"three").0;
        let mut entries = Vec::new();
        assert_eq!(chunk(&body, &mut |entry| entries.push(entry.to_vec())), Some(3));
        assert_eq!(entries, [b"one".to_vec(), b"three".to_vec()]);
        assert_eq!(chunk(&body[..body.len() - 1], &mut |_| {}), None);
    }
}
