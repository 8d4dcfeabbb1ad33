//! HTTP on a connection.

use std::borrow::Cow;
use std::rc::Rc;

use bytes::BytesMut;
use kolk_http::request::{self, HttpRefusal};
use kolk_http::response;
use kolk_io::door::Io;
use kolk_metric::net::CloseReason;
use kolk_metric::requests::Call;
use kolk_metric::shard::ShardMetrics;

use super::resources::Resources;
use kolk_connection::budget::Charge;
use kolk_connection::outbox::{Outbox, Reply, Then};
use kolk_connection::wire::{Refused, Wire};

/// HTTP's half of a connection. Requests are answered in order, as HTTP/1.1 asks.
pub(crate) struct HttpWire<I: Io> {
    pub(crate) io: I,
    pub(crate) metrics: Rc<ShardMetrics>,
    pub(crate) resources: Rc<Resources>,
}

impl<I: Io> Wire for HttpWire<I> {
    fn frame_bytes(&self, start: &[u8]) -> Result<Option<usize>, Refused> {
        match request::parse(start) {
            Ok(parsed) => Ok(parsed.map(|(_, bytes)| bytes)),
            Err(refusal) => Err(refused(refusal)),
        }
    }

    fn submit(&mut self, frame: BytesMut, charge: Charge, outbox: &Outbox) -> Result<(), Refused> {
        let Some((request, _)) = request::parse(&frame).map_err(refused)? else {
            return Err(refused(HttpRefusal::Malformed));
        };
        let Self { io, metrics, resources } = self;
        let (io, metrics, resources) = (io.clone(), Rc::clone(metrics), Rc::clone(resources));
        let begun = io.now();
        let frame_bytes = charge.bytes();
        let reply = async move {
            let answer = resources.answer(&request.path).await;
            let counts = metrics.requests.call(Call::Http);
            counts.answered.inc();
            if answer.status != response::Status::Ok {
                counts.refused.inc();
            }
            counts.latency_ns.record_ns(io.now().as_ns() - begun.as_ns());
            let then = if request.keep_alive { Then::Continue } else { Then::Close };
            let (head, payload) = response::encode(&request, answer);
            Reply { head, payload, charge, then }
        };
        outbox.submit_ordered(frame_bytes, Box::pin(reply));
        Ok(())
    }
}

fn refused(refusal: HttpRefusal) -> Refused {
    let reason = match refusal {
        HttpRefusal::HeadTooLarge | HttpRefusal::TargetTooLong => CloseReason::FrameTooLarge,
        _ => CloseReason::BadFrame,
    };
    let reply = Some(response::encode_refusal(refusal));
    Refused { reason, detail: Cow::Owned(refusal.to_string()), reply }
}
