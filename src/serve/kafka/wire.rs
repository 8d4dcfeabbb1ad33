//! The Kafka wire on a connection: from frames to handlers.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::BytesMut;
use kolk_io::door::Net;
use kolk_kafka::api::ApiKey;
use kolk_kafka::frame::{FrameDecoder, FrameError, HeaderError, RequestHeader};
use kolk_kafka::wire::{Reader, Version};
use kolk_metric::net::CloseReason;

use super::door::Door;
use super::fetch_session::OwnSessions;
use super::handler::{self, api_versions};
use super::session::{Call, Session};
use kolk_connection::budget::Charge;
use kolk_connection::outbox::Outbox;
use kolk_connection::wire::{Refused, Wire};

/// The Kafka half of a connection.
pub(crate) struct KafkaWire<N: Net> {
    decoder: FrameDecoder,
    session: Rc<Session<N>>,
}

impl<N: Net> KafkaWire<N> {
    /// A connection from `peer` that came in at `local`.
    pub(crate) fn new(door: Rc<Door<N>>, local: SocketAddr, peer: SocketAddr) -> Self {
        let decoder = FrameDecoder::new(door.frame_bytes_max);
        let fetch_sessions = OwnSessions::new(&door.fetch_sessions);
        let session = Session { door, local: local.ip(), peer, fetch_sessions };
        Self { decoder, session: Rc::new(session) }
    }

    fn begin(
        &self,
        header: RequestHeader,
        reader: &mut Reader<'_>,
        charge: Charge,
        outbox: &Outbox,
    ) -> Result<(), Refused> {
        let (api, version, bytes) = (header.api, header.version, charge.bytes());
        let call = Call::new(&self.session, &header, charge, outbox);
        let reply = handler::begin(call, reader)
            .map_err(|error| damaged(format!("{} v{}: {error}", api.name(), version.get())))?;
        outbox.begin_in_order(bytes, reply);
        Ok(())
    }

    /// A version of `ApiVersions` that is not known is answered in version 0, from which every client learns
    /// what is (KIP-511).
    fn answer_unknown_version(
        &self,
        refused: HeaderError,
        charge: Charge,
        outbox: &Outbox,
    ) -> Result<(), Refused> {
        match refused {
            HeaderError::UnsupportedVersion {
                api: api @ ApiKey::ApiVersions,
                correlation_id,
                ..
            } => {
                let version = Version::new(0);
                let header = RequestHeader { api, version, correlation_id, client_id: None };
                let bytes = charge.bytes();
                let call = Call::new(&self.session, &header, charge, outbox);
                let reply = call.answer(&api_versions::unknown_version());
                outbox.begin_in_order(bytes, Box::pin(std::future::ready(reply)));
                Ok(())
            }
            other => Err(damaged(other.to_string())),
        }
    }
}

impl<N: Net> Wire for KafkaWire<N> {
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
        let mut reader = Reader::new(&frame);
        match RequestHeader::decode(&mut reader) {
            Ok(header) => self.begin(header, &mut reader, charge, outbox),
            Err(error) => self.answer_unknown_version(error, charge, outbox),
        }
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
