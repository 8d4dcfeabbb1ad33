//! Large requests, some in flight all the time: how much a broker can take.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use kolk_machine::latency::Times;
use kolk_model::durability::AckLevel;
use kolk_native::reply::{Reply, ReplyFrame};
use kolk_native::request::CorrelationId;

use super::meter::{Limit, Meter, Stage, Throughput};
use super::{Target, produce_request};
use crate::error::{BenchError, Outcome};
use crate::load::batches::{BatchShape, build};
use crate::load::topology::DoorPartitions;
use crate::load::wire::{Wait, Wire};

/// Room for acknowledgements.
const REPLY_BYTES: usize = 64 * 1024;

/// What to produce, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProducePlan {
    pub(crate) shape: BatchShape,
    /// Batches for each partition of a request.
    pub(crate) batches_per_request: usize,
    /// Partitions that one request has batches for.
    pub(crate) partitions_per_request: usize,
    /// Requests in flight on a connection.
    pub(crate) in_flight: usize,
    pub(crate) durability: AckLevel,
    pub(crate) warmup: Limit,
    pub(crate) limit: Limit,
}

/// What was produced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Produced {
    pub(crate) measured: Throughput,
    /// Bytes of batches acknowledged in all, warm-up and rest included.
    pub(crate) bytes_total: u64,
    /// Records, likewise.
    pub(crate) records_total: u64,
}

/// Puts the load on; the topic must exist.
pub(crate) fn run(target: &Target<'_>, plan: &ProducePlan) -> Outcome<Produced> {
    let shares = target.shares()?;
    let meter = Meter::new(plan.warmup, plan.limit).watching(target.pid);
    let all = target.in_threads(&shares, |share| Connection::open(share, plan)?.drive(&meter))?;
    let mut times = Times::new()?;
    for own in &all {
        times.add(own);
    }
    meter.end(Instant::now());
    let measured = meter.throughput(times.summary());
    let (bytes_total, records_total) = (meter.bytes_total(), meter.records_total());
    Ok(Produced { measured, bytes_total, records_total })
}

/// The request for some partitions, encoded once. Requests of a connection are told apart by their first partition alone.
struct Stream {
    front: Bytes,
    payload: Bytes,
    records: u64,
    sent: VecDeque<Instant>,
}

struct Connection {
    wire: Wire,
    streams: Vec<Stream>,
    in_flight: usize,
    in_flight_max: usize,
    turn: usize,
}

impl Connection {
    fn open(share: &DoorPartitions, plan: &ProducePlan) -> Outcome<Self> {
        let mut wire = Wire::connect(&share.address, REPLY_BYTES)?;
        let mut streams = Vec::new();
        let together = share.partitions.chunks(plan.partitions_per_request.max(1));
        for (number, partitions) in (0_u64..).zip(together) {
            let (mut batches, mut records) = (Vec::new(), 0);
            for id in partitions {
                let (own, count) = own_batches(plan, u64::from(id.partition.get()))?;
                batches.push((*id, own));
                records += count;
            }
            let request = produce_request(batches, plan.durability);
            let (front, parts) = wire.encode(CorrelationId::new(number), &request)?;
            // One piece: many small ones would cost the load generator more than the broker.
            let payload = match <[Bytes; 1]>::try_from(parts) {
                Ok([one]) => one,
                Err(parts) => parts.concat().into(),
            };
            streams.push(Stream { front, payload, records, sent: VecDeque::new() });
        }
        let in_flight_max = plan.in_flight.max(1);
        Ok(Self { wire, streams, in_flight: 0, in_flight_max, turn: 0 })
    }

    fn drive(mut self, meter: &Meter) -> Outcome<Times> {
        let mut times = Times::new()?;
        let mut stage = Stage::Warmup;
        while stage != Stage::Over || self.in_flight > 0 {
            if stage != Stage::Over {
                self.send()?;
            }
            let mut reply = self.wire.next_reply(Wait::Block)?;
            let now = Instant::now();
            let (mut requests, mut records, mut bytes) = (0, 0, 0);
            while let Some(frame) = reply {
                let (stream, sent) = self.acknowledged(&frame)?;
                drop(frame);
                requests += 1;
                records += stream.records;
                bytes += stream.payload.len() as u64;
                if stage == Stage::Measured {
                    times.record(now.saturating_duration_since(sent));
                }
                reply = self.wire.buffered_reply()?;
            }
            stage = meter.add(requests, records, bytes, now);
        }
        Ok(times)
    }

    /// Fills the window with one write, partitions in turn.
    fn send(&mut self) -> Outcome<()> {
        let now = Instant::now();
        let mut parts = Vec::with_capacity(2 * (self.in_flight_max - self.in_flight));
        while self.in_flight < self.in_flight_max {
            self.turn = if self.turn + 1 < self.streams.len() { self.turn + 1 } else { 0 };
            let Some(stream) = self.streams.get_mut(self.turn) else { break };
            stream.sent.push_back(now);
            // Cheap: a reference count each.
            parts.push(stream.front.clone());
            parts.push(stream.payload.clone());
            self.in_flight += 1;
        }
        self.wire.send(&parts)
    }

    fn acknowledged(&mut self, frame: &ReplyFrame) -> Outcome<(&Stream, Instant)> {
        check(frame)?;
        let number = usize::try_from(frame.correlation.get()).unwrap_or(usize::MAX);
        let wrong = || BenchError::Workload(format!("reply {number} was not asked for"));
        let stream = self.streams.get_mut(number).ok_or_else(wrong)?;
        let sent = stream.sent.pop_front().ok_or_else(wrong)?;
        self.in_flight -= 1;
        Ok((stream, sent))
    }
}

/// One partition's part of a request, and how many records that is.
fn own_batches(plan: &ProducePlan, seed: u64) -> Outcome<(Bytes, u64)> {
    let (mut bytes, mut records) = (BytesMut::new(), 0);
    for n in 0..plan.batches_per_request.max(1) {
        let batch = build(plan.shape, seed << 32 | n as u64)?;
        bytes.extend_from_slice(&batch.bytes);
        records += batch.records;
    }
    Ok((bytes.freeze(), records))
}

/// Makes sure that a reply acknowledges all that was sent.
pub(super) fn check(frame: &ReplyFrame) -> Outcome<()> {
    match &frame.reply {
        Reply::Produce(reply) if reply.partitions.is_empty() => {
            Err(BenchError::refused("produce", "not answered"))
        }
        Reply::Produce(reply) => match reply.partitions.iter().find_map(|one| one.as_ref().err()) {
            Some(refusal) => Err(BenchError::refused("produce", refusal)),
            None => Ok(()),
        },
        Reply::Refused(refusal) => Err(BenchError::refused("produce", refusal)),
        other => Err(BenchError::refused("produce", format!("{other:?}"))),
    }
}
