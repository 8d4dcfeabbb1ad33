//! The native wire on a connection: from frames to calls.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::BytesMut;
use kolk_io::door::Net;
use kolk_metric::net::CloseReason;
use kolk_model::error::ErrorCode;
use kolk_native::PROTOCOL_VERSION;
use kolk_native::frame::{FrameDecoder, FrameError, FrameLimits};
use kolk_native::reply::{Refusal, Reply};
use kolk_native::request::{self, CorrelationId, Hello, Request, RequestError, RequestFrame};
use kolk_shard::group::request::Client;

use super::calls::{Calls, Received};
use kolk_connection::budget::Charge;
use kolk_connection::outbox::Outbox;
use kolk_connection::wire::{Refused, Wire};

/// The native half of a connection.
pub(crate) struct NativeWire<N: Net> {
    decoder: FrameDecoder,
    calls: Rc<Calls<N>>,
    /// The host that this client is told.
    host: Rc<str>,
    /// The client, as groups show their members.
    client: Rc<Client>,
    frame_bytes_max: usize,
    greeting: Greeting,
}

/// Whether the client has said hello, which comes before all else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    Awaited,
    Done,
}

impl<N: Net> NativeWire<N> {
    /// A connection on which nothing was said yet.
    pub(crate) fn new(
        calls: Rc<Calls<N>>,
        host: Rc<str>,
        peer: SocketAddr,
        frame_bytes_max: usize,
    ) -> Self {
        // A stranger may send little; what is allowed grows with the hello.
        let decoder = FrameDecoder::new(FrameLimits::HELLO);
        let at = format!("/{}", peer.ip().to_canonical());
        let client = Rc::new(Client { id: String::new(), host: at });
        Self { decoder, calls, host, client, frame_bytes_max, greeting: Greeting::Awaited }
    }

    /// The reply that ends the connection before the first call: an old or a foreign client is told why.
    fn turn_away(&self, correlation: CorrelationId, code: ErrorCode, detail: String) -> Refused {
        let mut refusal = Reply::Refused(Refusal::new(code, detail.clone()));
        let (head, _) = self.calls.write(correlation, &mut refusal);
        Refused { reason: CloseReason::BadFrame, detail: Cow::Owned(detail), reply: Some(head) }
    }

    fn greet(&mut self, correlation: CorrelationId, hello: &Hello) -> Result<u16, Refused> {
        if hello.protocol_version == 0 {
            let detail =
                format!("version 0 does not exist; this broker speaks 1 to {PROTOCOL_VERSION}");
            return Err(self.turn_away(correlation, ErrorCode::UnsupportedVersion, detail));
        }
        self.greeting = Greeting::Done;
        let at = self.client.host.clone();
        self.client = Rc::new(Client { id: hello.client_id.clone(), host: at });
        let bytes_max = self.frame_bytes_max;
        self.decoder = FrameDecoder::new(FrameLimits { bytes_max, ..FrameLimits::REQUEST });
        Ok(hello.protocol_version.min(PROTOCOL_VERSION))
    }
}

impl<N: Net> Wire for NativeWire<N> {
    fn frame_bytes(&self, start: &[u8]) -> Result<Option<usize>, Refused> {
        self.decoder.frame_bytes(start).map_err(|error| no_frame(&error))
    }

    fn submit(
        &mut self,
        mut frame: BytesMut,
        charge: Charge,
        outbox: &Outbox,
    ) -> Result<(), Refused> {
        let Some(frame) = self.decoder.decode(&mut frame).map_err(|error| no_frame(&error))? else {
            return Err(damaged("the frame is shorter than it says"));
        };
        let mut spare = self.calls.lists.partitions.take();
        let decoded = request::decode_into(&frame, &mut spare);
        self.calls.lists.partitions.give(spare);
        let RequestFrame { correlation, request } = match decoded {
            Ok(decoded) => decoded,
            Err(RequestError::Refused { correlation, code, detail }) => {
                self.calls.refuse(correlation, Refusal::new(code, detail), charge, outbox);
                return Ok(());
            }
            Err(error) => return Err(damaged(error.to_string())),
        };
        let version = match (&request, self.greeting) {
            (Request::Hello(hello), _) => self.greet(correlation, hello)?,
            (_, Greeting::Done) => PROTOCOL_VERSION,
            (_, Greeting::Awaited) => {
                let detail = "hello must be a connection's first request".to_owned();
                return Err(self.turn_away(correlation, ErrorCode::InvalidRequest, detail));
            }
        };
        let host = Rc::clone(&self.host);
        let client = Rc::clone(&self.client);
        let received = Received { correlation, charge, version, host, client };
        Rc::clone(&self.calls).begin(received, request, outbox);
        Ok(())
    }
}

fn no_frame(error: &FrameError) -> Refused {
    let reason = match error {
        FrameError::TooLarge { .. } => CloseReason::FrameTooLarge,
        _ => CloseReason::BadFrame,
    };
    Refused { reason, detail: Cow::Owned(error.to_string()), reply: None }
}

fn damaged(detail: impl Into<Cow<'static, str>>) -> Refused {
    Refused { reason: CloseReason::BadFrame, detail: detail.into(), reply: None }
}
