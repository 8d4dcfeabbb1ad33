//! A producer of one partition. An idempotent one numbers its batches and sends them again until they are answered, over as many
//! lives of the broker as that takes; another sends each batch once.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use kolk_io::door::Io;
use kolk_model::batch::ProducerStamp;
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::durability::{AckLevel, Durability};
use kolk_model::error::ErrorCode;
use kolk_model::ids::Sequence;
use kolk_model::offset::Offset;
use kolk_model::records::Header;
use kolk_model::time::TimestampMs;
use kolk_shard::request::{AssignedProducer, ProduceOp, Produced, Refusal};
use kolk_shard::shard::Shard;

use crate::outside::ledger::Promise;
use crate::outside::record::{HEADER, RecordId};
use crate::outside::{Outside, Place};
use crate::run::broker::Broker;
use crate::scenario::{Producers, Scenario};
use crate::verdict::{demand, violated};

/// Batches that a partition remembers of a producer.
const WINDOW: usize = 5;

/// A producer's state.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) number: u32,
    pub(crate) place: Place,
    pub(crate) of: Producers,
    levels: Vec<AckLevel>,
    identity: Option<AssignedProducer>,
    sequence: u32,
    records: u64,
    unanswered: VecDeque<Batch>,
    /// The last batches that were answered, oldest first, with their base offsets.
    pub(crate) window: VecDeque<(Batch, u64)>,
    /// Batches that were answered.
    pub(crate) answered: u64,
    /// Where a conditional producer believes the log to end.
    expected: Option<u64>,
}

/// A batch as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) ids: Vec<RecordId>,
    pub(crate) bytes: Bytes,
    pub(crate) wait: AckLevel,
}

impl Lane {
    /// The producers of a scenario.
    pub(crate) fn all(scenario: &Scenario) -> Vec<Self> {
        let mut lanes = Vec::new();
        for of in &scenario.producer {
            let topic = scenario.topic_place(&of.topic);
            let partitions = scenario.topic.get(topic).map_or(1, |topic| topic.partitions);
            for nth in 0..of.count {
                lanes.push(Self {
                    number: u32::try_from(lanes.len()).unwrap_or(u32::MAX),
                    place: (topic, nth % partitions),
                    of: of.clone(),
                    levels: of.levels().unwrap_or_default(),
                    identity: None,
                    sequence: 0,
                    records: 0,
                    unanswered: VecDeque::new(),
                    window: VecDeque::new(),
                    answered: 0,
                    expected: None,
                });
            }
        }
        lanes
    }

    /// Batches that were sent, perhaps, and not answered.
    pub(crate) fn unanswered_count(&self) -> usize {
        self.unanswered.len()
    }

    /// Whether the last batch that was answered lies below the log start.
    fn ends_below(&self, start: u64) -> bool {
        let last = self.window.back();
        last.is_some_and(|(batch, base)| base + batch.ids.len() as u64 <= start)
    }

    /// Records that were answered are gone, as they were allowed to: a real producer asks for another id then.
    pub(crate) fn lost(&mut self) {
        self.identity = None;
        self.unanswered.clear();
        self.window.clear();
    }

    /// Makes the next batch.
    fn make(&mut self, outside: &Outside, now: TimestampMs) -> Batch {
        let topic = outside.scenario.topic.get(self.place.0);
        let keys = topic.and_then(|topic| topic.keys);
        let tombstones = topic.map_or(0, |topic| topic.tombstone_percent);
        let of = &self.of;
        let (levels, count, large) = (&self.levels, self.levels.len(), of.large_percent);
        let (wait, records, bytes) = outside.draw(|chance| {
            let wait = levels.get(chance.index(count)).copied().unwrap_or_default();
            if chance.percent(large) {
                (wait, 1, chance.between(1_000, of.value_bytes_max))
            } else {
                (wait, chance.between(1, 4), chance.between(20, 900.min(of.value_bytes_max)))
            }
        });
        let mut builder = BatchBuilder::new();
        let mut ids = Vec::new();
        for _ in 0..records {
            let id = RecordId { lane: self.number, number: self.records };
            self.records += 1;
            let key = keys.map(|keys| id.key(keys));
            let added = if id.is_tombstone(tombstones) {
                let name = id.value(0);
                builder.append(now, key.as_deref(), None, &[Header::new(HEADER, &name)])
            } else {
                let value = id.value(usize::try_from(bytes).unwrap_or(0));
                builder.append(now, key.as_deref(), Some(&value), &[])
            };
            if added.is_ok() {
                ids.push(id);
            }
        }
        if let Some(AssignedProducer { id, epoch }) = self.identity.filter(|_| of.idempotent) {
            let base_sequence = Sequence::new(self.sequence);
            builder.set_producer(ProducerStamp { id, epoch, base_sequence });
            self.sequence += u32::try_from(ids.len()).unwrap_or(0);
        }
        let bytes = builder.build(Compression::None).unwrap_or_default();
        Batch { ids, bytes, wait }
    }
}

/// The producer's task of one life.
pub(crate) async fn run(broker: &Broker, outside: &Outside, lane: usize) {
    let Some(place) = outside.lanes.get(lane).map(|lane| lane.borrow().place) else { return };
    loop {
        let shard = broker.connect();
        broker.io.sleep(outside.some_us(outside.scenario.network.delay_us_max)).await;
        if !identify(outside, lane, &shard).await {
            broker.io.sleep(Duration::from_millis(5)).await;
            continue;
        }
        if !learn_end(outside, lane, &shard).await {
            broker.io.sleep(Duration::from_millis(5)).await;
            continue;
        }
        while outside.still.get() {
            broker.io.sleep(Duration::from_millis(1)).await;
        }
        let batches = next_round(broker, outside, lane, place);
        let well = round(broker, outside, lane, &shard, batches).await;
        let think_us = outside.lanes.get(lane).map_or(0, |lane| lane.borrow().of.think_us_max);
        let wait =
            if well { outside.some_us(think_us) } else { outside.some_us(20_000 + think_us) };
        broker.io.sleep(wait).await;
    }
}

/// Asks for a producer id where one is needed.
async fn identify(outside: &Outside, lane: usize, shard: &Shard<kolk_io::sim::SimIo>) -> bool {
    let Some(own) = outside.lanes.get(lane) else { return false };
    if !own.borrow().of.idempotent || own.borrow().identity.is_some() {
        return true;
    }
    match shard.assign_producer_id().await {
        Ok(assigned) => {
            outside.trace.note(format_args!("lane {lane} is producer {}", assigned.id));
            let mut own = own.borrow_mut();
            own.identity = Some(assigned);
            own.sequence = 0;
            true
        }
        Err(_) => false,
    }
}

/// Asks where the log ends, for a conditional producer that does not know.
async fn learn_end(outside: &Outside, lane: usize, shard: &Shard<kolk_io::sim::SimIo>) -> bool {
    let Some(own) = outside.lanes.get(lane) else { return false };
    if !own.borrow().of.conditional || own.borrow().expected.is_some() {
        return true;
    }
    let place = own.borrow().place;
    let Some(partition) = outside.partition(place) else { return false };
    let Ok(described) = shard.describe_topic(partition.topic).await else { return false };
    let of = described.partitions.iter().find(|state| state.partition == partition.partition);
    let end = of.and_then(|state| state.marks).map(|marks| marks.log_end.get());
    own.borrow_mut().expected = end;
    end.is_some()
}

/// What to send now: all that is not answered yet, topped up; what is sent once is forgotten at once.
fn next_round(broker: &Broker, outside: &Outside, lane: usize, place: Place) -> Vec<Batch> {
    let Some(own) = outside.lanes.get(lane) else { return Vec::new() };
    let mut own = own.borrow_mut();
    let own = &mut *own;
    let in_flight = outside.draw(|chance| chance.between(1, own.of.in_flight));
    let now = outside.time(&broker.io);
    while (own.unanswered.len() as u64) < in_flight {
        let batch = own.make(outside, now);
        outside.with_book(place, |book| batch.ids.iter().for_each(|id| book.send(*id, now)));
        own.unanswered.push_back(batch);
    }
    if own.of.idempotent {
        own.unanswered.iter().cloned().collect()
    } else {
        own.unanswered.drain(..).collect()
    }
}

/// Sends batches in order over one connection, which may break; tells whether all went well.
async fn round(
    broker: &Broker,
    outside: &Outside,
    lane: usize,
    shard: &Shard<kolk_io::sim::SimIo>,
    batches: Vec<Batch>,
) -> bool {
    let Some(own) = outside.lanes.get(lane) else { return false };
    let Some(partition) = outside.partition(own.borrow().place) else { return false };
    let idempotent = own.borrow().of.idempotent;
    let network = outside.scenario.network;
    let mut answers = Vec::new();
    // One behind the other: where the first is refused, so are the others.
    let mut expected = own.borrow_mut().expected.take();
    for batch in batches {
        let op = ProduceOp {
            partition,
            batches: batch.bytes.clone(),
            wait: batch.wait,
            expected_next_offset: expected.map(Offset::new),
        };
        let count = batch.ids.len() as u64;
        answers.push((batch, expected, shard.produce(op)));
        expected = expected.map(|end| end + count);
    }
    let breaks = outside
        .draw(|chance| chance.percent(network.break_percent).then(|| chance.index(answers.len())));
    let mut well = true;
    for (nth, (batch, expected, answer)) in answers.into_iter().enumerate() {
        if breaks == Some(nth) {
            outside.trace.note(format_args!("lane {lane} loses its connection"));
            return false;
        }
        let answer = answer.await;
        broker.io.sleep(outside.some_us(network.delay_us_max)).await;
        match answer {
            Ok(produced) => {
                let base = produced.base_offset.get();
                demand("conditional", expected.is_none_or(|expected| expected == base), || {
                    format!("lane {lane}: appended at {base}, only at {expected:?} it was to be")
                });
                accept(outside, lane, &batch, produced);
            }
            Err(refusal) => {
                refuse(outside, lane, &batch, &refusal, nth == 0);
                well = false;
                if idempotent {
                    return false;
                }
            }
        }
    }
    if well {
        own.borrow_mut().expected = expected;
    }
    well || !own.borrow().of.conditional
}

/// A batch was answered with its offset.
fn accept(outside: &Outside, lane: usize, batch: &Batch, produced: Produced) {
    let Some(own) = outside.lanes.get(lane) else { return };
    let mut own = own.borrow_mut();
    let base = produced.base_offset.get();
    let visible = outside.with_book(own.place, |book| book.visible);
    let promise = match batch.wait.resolve(durability(visible)) {
        None => Promise::Nothing,
        Some(Durability::ProcessCrash) => Promise::ProcessCrash,
        Some(Durability::PowerLoss) => Promise::PowerLoss,
    };
    outside.trace.note(format_args!(
        "lane {lane}: {} batch of {} at {base} ({promise:?}{})",
        batch.wait,
        batch.ids.len(),
        if produced.duplicate { ", again" } else { "" },
    ));
    outside.with_book(own.place, |book| book.raise_start(produced.log_start.get()));
    outside.acknowledge(own.place, base, &batch.ids, promise);
    own.answered += 1;
    if own.of.idempotent {
        own.unanswered.pop_front();
        own.window.push_back((batch.clone(), base));
        if own.window.len() > WINDOW {
            own.window.pop_front();
        }
    }
}

pub(crate) const fn durability(visible: Promise) -> Durability {
    match visible {
        Promise::PowerLoss => Durability::PowerLoss,
        Promise::Nothing | Promise::ProcessCrash => Durability::ProcessCrash,
    }
}

/// A batch was refused. `first`: nothing of this producer was under way before it.
fn refuse(outside: &Outside, lane: usize, batch: &Batch, refusal: &Refusal, first: bool) {
    let Some(own) = outside.lanes.get(lane) else { return };
    let (place, idempotent) = (own.borrow().place, own.borrow().of.idempotent);
    outside.trace.note(format_args!("lane {lane}: {}", refusal.code));
    let (excused, start) = outside.with_book(place, |book| (book.excuse.is_some(), book.start));
    match refusal.code {
        ErrorCode::ShuttingDown | ErrorCode::Overloaded => {}
        // Another writer came first.
        ErrorCode::WrongNextOffset if own.borrow().of.conditional => {}
        // What came before it was refused for another reason.
        ErrorCode::OutOfOrderSequence if !first => {}
        // A producer that the partition does not know may begin anywhere: its first batch was refused, for want of room, and a
        // smaller one behind it was not. As with Kafka, it needs another id then.
        ErrorCode::OutOfOrderSequence if outside.faults.get() && own.borrow().window.is_empty() => {
            own.borrow_mut().lost();
            return;
        }
        // All that it was answered for was given up, so what it sends again may have been stored and given up, too: a start knows no
        // more of it then.
        ErrorCode::OutOfOrderSequence if own.borrow().ends_below(start) => {
            own.borrow_mut().lost();
            return;
        }
        ErrorCode::StorageFull
        | ErrorCode::OutcomeUnknown
        | ErrorCode::JournalFailed
        | ErrorCode::KafkaStorageError
        | ErrorCode::PartitionDamaged
            if outside.faults.get() || excused => {}
        code => violated("refusals", format!("lane {lane} at {place:?}: {code}: {refusal}")),
    }
    let unsure = matches!(refusal.code, ErrorCode::OutcomeUnknown | ErrorCode::KafkaStorageError);
    if !idempotent && !unsure {
        outside.with_book(place, |book| batch.ids.iter().for_each(|id| book.refuse(*id)));
    }
}
