//! Reading from the beginning, a request in flight for each partition: how much a broker can give.

use std::time::Instant;

use kolk_machine::latency::Times;
use kolk_model::batch::batches;
use kolk_model::ids::TopicPartition;
use kolk_model::offset::Offset;
use kolk_native::reply::{Reply, ReplyFrame};
use kolk_native::request::{CorrelationId, Fetch, FetchPartition, Request};

use super::Target;
use super::meter::{Limit, Meter, Stage, Throughput};
use crate::error::{BenchError, Outcome};
use crate::load::topology::{DoorPartitions, bounds};
use crate::load::wire::{Wait, Wire};

/// What to do at the end of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// Leave it; the run is over when all are left.
    Leave,
    /// Begin again.
    Again,
}

/// What to fetch, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FetchPlan {
    /// Bytes asked for at a time.
    pub(crate) fetch_bytes: u32,
    pub(crate) at_end: AtEnd,
    /// Whether every batch's checksum is checked.
    pub(crate) verify: bool,
    pub(crate) warmup: Limit,
    pub(crate) limit: Limit,
}

/// Puts the load on.
pub(crate) fn run(target: &Target<'_>, plan: &FetchPlan) -> Outcome<Throughput> {
    let shares = target.shares()?;
    let meter = Meter::new(plan.warmup, plan.limit).watching(target.pid);
    let all = target.in_threads(&shares, |share| Connection::open(share, plan)?.drive(&meter))?;
    let mut times = Times::new()?;
    for own in &all {
        times.add(own);
    }
    meter.end(Instant::now());
    Ok(meter.throughput(times.summary()))
}

/// One partition on its way from begin to end.
struct Reader {
    id: TopicPartition,
    begin: Offset,
    end: Offset,
    next: Offset,
    asked: Instant,
}

struct Connection<'a> {
    plan: &'a FetchPlan,
    wire: Wire,
    readers: Vec<Reader>,
    in_flight: usize,
}

/// What a reply brought.
struct Brought {
    records: u64,
    bytes: u64,
    asked: Instant,
    reader: usize,
}

impl<'a> Connection<'a> {
    fn open(share: &DoorPartitions, plan: &'a FetchPlan) -> Outcome<Self> {
        let room = usize::try_from(plan.fetch_bytes).unwrap_or(usize::MAX);
        let mut wire = Wire::connect(&share.address, room)?;
        let bounds = bounds(&mut wire, &share.partitions)?;
        let asked = Instant::now();
        let reader = |(id, (begin, end)): (&TopicPartition, (Offset, Offset))| Reader {
            id: *id,
            begin,
            end,
            next: begin,
            asked,
        };
        let readers = share.partitions.iter().zip(bounds).map(reader);
        let readers = readers.filter(|reader| reader.begin < reader.end).collect();
        Ok(Self { plan, wire, readers, in_flight: 0 })
    }

    fn drive(mut self, meter: &Meter) -> Outcome<Times> {
        let mut times = Times::new()?;
        let mut stage = Stage::Warmup;
        for reader in 0..self.readers.len() {
            self.ask(reader)?;
        }
        while self.in_flight > 0 {
            let Some(frame) = self.wire.next_reply(Wait::Block)? else { continue };
            let brought = self.take(&frame)?;
            drop(frame);
            if stage != Stage::Over {
                self.ask(brought.reader)?;
            }
            let now = Instant::now();
            if stage == Stage::Measured {
                times.record(now.saturating_duration_since(brought.asked));
            }
            stage = meter.add(1, brought.records, brought.bytes, now);
        }
        Ok(times)
    }

    /// Asks for a partition's next bytes unless it is at its end and shall be left.
    fn ask(&mut self, number: usize) -> Outcome<()> {
        let Some(reader) = self.readers.get_mut(number) else { return Ok(()) };
        if reader.next >= reader.end {
            match self.plan.at_end {
                AtEnd::Leave => return Ok(()),
                AtEnd::Again => reader.next = reader.begin,
            }
        }
        reader.asked = Instant::now();
        let bytes_max = self.plan.fetch_bytes;
        let one = FetchPartition { id: reader.id, offset: reader.next, bytes_max };
        let partitions = vec![one];
        let fetch = Fetch { wait_ms_max: 1_000, bytes_min: 1, bytes_max, partitions };
        let (front, _) =
            self.wire.encode(CorrelationId::new(number as u64), &Request::Fetch(fetch))?;
        self.in_flight += 1;
        self.wire.send([&front])
    }

    fn take(&mut self, frame: &ReplyFrame) -> Outcome<Brought> {
        self.in_flight -= 1;
        let number = usize::try_from(frame.correlation.get()).unwrap_or(usize::MAX);
        let fetched = match &frame.reply {
            Reply::Fetch(reply) => reply.partitions.first(),
            Reply::Refused(refusal) => return Err(BenchError::refused("fetch", refusal)),
            other => return Err(BenchError::refused("fetch", format!("{other:?}"))),
        };
        let (Some(reader), Some(fetched)) = (self.readers.get_mut(number), fetched) else {
            return Err(BenchError::Workload(format!("reply {number} was not asked for")));
        };
        let slices = match &fetched.batches {
            Ok(slices) => slices,
            Err(refusal) => return Err(BenchError::refused("fetch", refusal)),
        };
        let mut brought = Brought { records: 0, bytes: 0, asked: reader.asked, reader: number };
        // After decoding there is at most one slice, and it holds whole batches.
        for slice in slices {
            brought.bytes += slice.len() as u64;
            for batch in batches(slice) {
                let damaged = |error| BenchError::refused("batch", error);
                let batch = batch.map_err(damaged)?;
                if self.plan.verify {
                    batch.verify_crc().map_err(damaged)?;
                }
                brought.records += u64::from(batch.record_count());
                reader.next = batch.next_offset();
            }
        }
        Ok(brought)
    }
}
