//! Many small producers: in each partition one record in flight, the next as soon as it is acknowledged.

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use kolk_machine::latency::Times;
use kolk_model::durability::AckLevel;
use kolk_native::request::CorrelationId;

use super::meter::{Limit, Meter, Stage, Throughput};
use super::produce::check;
use super::{Target, produce_request};
use crate::error::{BenchError, Outcome};
use crate::load::batches::{BatchShape, build};
use crate::load::topology::DoorPartitions;
use crate::load::wire::{Wait, Wire};

/// Room for acknowledgements.
const REPLY_BYTES: usize = 64 * 1024;

/// What to send, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AckPlan {
    pub(crate) shape: BatchShape,
    pub(crate) durability: AckLevel,
    pub(crate) warmup: Limit,
    pub(crate) limit: Limit,
}

/// What was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) measured: Throughput,
    /// Bytes of batches acknowledged in all.
    pub(crate) bytes_total: u64,
    /// Bytes of a request as it is sent, frame and all.
    pub(crate) frame_bytes: usize,
}

/// Puts the load on; the topic must exist.
pub(crate) fn run(target: &Target<'_>, plan: &AckPlan) -> Outcome<Acknowledged> {
    let shares = target.shares()?;
    let meter = Meter::new(plan.warmup, plan.limit).watching(target.pid);
    let all = target.in_threads(&shares, |share| {
        let connection = Connection::open(share, plan)?;
        let frame_bytes = connection.requests.first().map_or(0, |request| request.frame.len());
        connection.drive(&meter).map(|times| (times, frame_bytes))
    })?;
    let (mut times, mut frame_bytes) = (Times::new()?, 0);
    for (own, bytes) in &all {
        times.add(own);
        frame_bytes = frame_bytes.max(*bytes);
    }
    meter.end(Instant::now());
    let measured = meter.throughput(times.summary());
    Ok(Acknowledged { measured, bytes_total: meter.bytes_total(), frame_bytes })
}

/// A partition's whole request, encoded once, and when it was last sent.
pub(super) struct Request {
    pub(super) frame: Bytes,
    pub(super) payload_bytes: u64,
    pub(super) records: u64,
    sent: Instant,
}

/// Encodes one request for each partition of a share; the correlation id is its place.
pub(super) fn requests(
    wire: &mut Wire,
    share: &DoorPartitions,
    shape: BatchShape,
    durability: AckLevel,
) -> Outcome<Vec<Request>> {
    let now = Instant::now();
    let mut requests = Vec::new();
    for (number, id) in (0_u64..).zip(&share.partitions) {
        let batch = build(shape, number)?;
        let request = produce_request([(*id, batch.bytes)], durability);
        let (front, payload) = wire.encode(CorrelationId::new(number), &request)?;
        let mut frame = BytesMut::from(front);
        let payload_bytes = payload.iter().map(|part| part.len() as u64).sum();
        for part in payload {
            frame.extend_from_slice(&part);
        }
        let (frame, records) = (frame.freeze(), batch.records);
        requests.push(Request { frame, payload_bytes, records, sent: now });
    }
    Ok(requests)
}

struct Connection {
    wire: Wire,
    requests: Vec<Request>,
}

impl Connection {
    fn open(share: &DoorPartitions, plan: &AckPlan) -> Outcome<Self> {
        let mut wire = Wire::connect(&share.address, REPLY_BYTES)?;
        let requests = requests(&mut wire, share, plan.shape, plan.durability)?;
        Ok(Self { wire, requests })
    }

    fn drive(mut self, meter: &Meter) -> Outcome<Times> {
        let mut times = Times::new()?;
        let mut stage = Stage::Warmup;
        let mut out = Vec::new();
        let now = Instant::now();
        for request in &mut self.requests {
            request.sent = now;
            out.extend_from_slice(&request.frame);
        }
        let mut in_flight = self.requests.len();
        while in_flight > 0 {
            self.wire.send_bytes(&out)?;
            out.clear();
            let mut reply = self.wire.next_reply(Wait::Block)?;
            let now = Instant::now();
            let (mut replies, mut records, mut bytes) = (0, 0, 0);
            while let Some(frame) = reply {
                check(&frame)?;
                let number = usize::try_from(frame.correlation.get()).unwrap_or(usize::MAX);
                drop(frame);
                let wrong = || BenchError::Workload(format!("reply {number} was not asked for"));
                let request = self.requests.get_mut(number).ok_or_else(wrong)?;
                replies += 1;
                records += request.records;
                bytes += request.payload_bytes;
                if stage == Stage::Measured {
                    times.record(now.saturating_duration_since(request.sent));
                }
                if stage == Stage::Over {
                    in_flight -= 1;
                } else {
                    request.sent = now;
                    out.extend_from_slice(&request.frame);
                }
                reply = self.wire.buffered_reply()?;
            }
            stage = meter.add(replies, records, bytes, now);
        }
        Ok(times)
    }
}
