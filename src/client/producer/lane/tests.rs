//! A lane against a broker in memory that loses, refuses and reorders at random: every record is written
//! once and in order, and every caller learns the truth.

use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::ids::{ProducerEpoch, ProducerId};
use kolk_model::map::Map;
use kolk_model::offset::Offset;
use kolk_model::records::Records;
use kolk_model::time::TimestampMs;

use super::*;
use crate::fake;

const PAUSE: Duration = Duration::from_millis(10);

fn batch(values: &[u32]) -> Batch {
    let mut builder = BatchBuilder::new();
    for value in values {
        let value = value.to_be_bytes();
        builder.append(TimestampMs::new(0), None, Some(&value), &[]).unwrap();
    }
    let bytes = builder.build_unsealed(Compression::None).unwrap();
    Batch::new(bytes, BatchCell::new(fake::partition(0), Arc::default()), Instant::now(), None)
}

fn producer(id: u64) -> AssignedProducer {
    AssignedProducer { id: ProducerId::new(id), epoch: ProducerEpoch::new(0) }
}

fn refusal(code: ErrorCode) -> Outcome {
    Outcome::Refused(ClientError::refused(code, ""))
}

fn written(base: u64) -> Outcome {
    Outcome::Written(Produced {
        base_offset: Offset::new(base),
        next_offset: Offset::new(base + 1),
        log_start: Offset::ZERO,
        append_time_ns: 0,
        duplicate: false,
    })
}

fn send(lane: &mut Lane, now: Instant) -> (Ticket, Sequence) {
    match lane.step(now) {
        Step::Send(ticket, bytes) => {
            let (view, _) = BatchView::parse(&bytes).unwrap();
            view.verify_crc().unwrap();
            (ticket, view.base_sequence().unwrap())
        }
        step => panic!("{step:?}"),
    }
}

fn ready_lane(batches: u32) -> Lane {
    let mut lane = Lane::new(true);
    for n in 0..batches {
        lane.push(batch(&[n, n]));
    }
    assert!(matches!(lane.step(Instant::now()), Step::NeedsProducer));
    lane.set_producer(producer(1));
    lane
}

/// A lane whose producer id the broker knows, with so many batches.
fn known_lane(batches: u32) -> Lane {
    let now = Instant::now();
    let mut lane = ready_lane(batches + 1);
    let (first, _) = send(&mut lane, now);
    assert!(lane.settle(first, written(0), now, PAUSE).is_none());
    lane
}

#[test]
fn a_producer_id_that_the_broker_may_not_know_has_one_batch_in_flight() {
    let now = Instant::now();
    let mut lane = ready_lane(3);
    let first = send(&mut lane, now);
    assert!(matches!(lane.step(now), Step::Wait), "the broker would take any sequence");
    lane.settle(first.0, refusal(ErrorCode::Overloaded), now, PAUSE);
    let later = now + PAUSE;
    assert_eq!(send(&mut lane, later), first);
    assert!(matches!(lane.step(later), Step::Wait));
    lane.settle(first.0, written(0), later, PAUSE);
    let sent: Vec<_> = (0..2).map(|_| send(&mut lane, later)).collect();
    // With another id it begins again.
    lane.settle(sent[0].0, refusal(ErrorCode::UnknownProducerId), later, PAUSE);
    lane.settle(sent[1].0, refusal(ErrorCode::OutOfOrderSequence), later, PAUSE);
    let later = later + PAUSE;
    assert!(matches!(lane.step(later), Step::NeedsProducer));
    lane.set_producer(producer(2));
    assert_eq!(send(&mut lane, later).0, sent[0].0);
    assert!(matches!(lane.step(later), Step::Wait));
}

#[test]
fn batches_are_numbered_in_order_and_five_fly() {
    let now = Instant::now();
    let mut lane = known_lane(7);
    for n in 0..5 {
        assert_eq!(send(&mut lane, now).1, Sequence::new(2 + 2 * n));
    }
    assert!(matches!(lane.step(now), Step::Wait));
    assert!(lane.settle(Ticket(1), written(0), now, PAUSE).is_none());
    assert_eq!(send(&mut lane, now), (Ticket(6), Sequence::new(12)));
    // One that is slow holds back those far behind it, however many in between are done.
    for n in 3..6 {
        lane.settle(Ticket(n), written(0), now, PAUSE);
    }
    assert!(matches!(lane.step(now), Step::Wait));
    lane.settle(Ticket(2), written(0), now, PAUSE);
    assert_eq!(send(&mut lane, now).0, Ticket(7));
}

#[test]
fn a_full_lane_asks_for_no_further_batch() {
    let now = Instant::now();
    let mut lane = known_lane(5);
    for _ in 0..5 {
        send(&mut lane, now);
    }
    assert!(matches!(lane.step(now), Step::Wait));
    lane.settle(Ticket(1), written(0), now, PAUSE);
    assert!(matches!(lane.step(now), Step::Empty));
}

#[test]
fn what_comes_back_leaves_again_in_its_old_order_with_its_old_numbers() {
    let now = Instant::now();
    let mut lane = known_lane(4);
    let sent: Vec<_> = (0..3).map(|_| send(&mut lane, now)).collect();
    lane.settle(sent[1].0, Outcome::Lost, now, PAUSE);
    assert!(matches!(lane.step(now), Step::Wait), "nothing leaves before all are back");
    lane.settle(sent[2].0, refusal(ErrorCode::OutOfOrderSequence), now, PAUSE);
    lane.settle(sent[0].0, refusal(ErrorCode::NotLeaderOrFollower), now, PAUSE);
    assert!(matches!(lane.step(now), Step::Pause(at) if at == now + PAUSE));
    let later = now + PAUSE;
    for expected in sent {
        assert_eq!(send(&mut lane, later), expected);
    }
    assert_eq!(send(&mut lane, later), (Ticket(4), Sequence::new(8)));
}

#[test]
fn a_gap_before_the_oldest_batch_needs_another_producer_id() {
    let now = Instant::now();
    let mut lane = known_lane(3);
    let sent: Vec<_> = (0..2).map(|_| send(&mut lane, now)).collect();
    lane.settle(sent[0].0, refusal(ErrorCode::UnknownProducerId), now, PAUSE);
    lane.settle(sent[1].0, refusal(ErrorCode::OutOfOrderSequence), now, PAUSE);
    let later = now + PAUSE;
    assert!(matches!(lane.step(later), Step::NeedsProducer));
    lane.set_producer(producer(2));
    for n in 0..3 {
        let Step::Send(ticket, bytes) = lane.step(later) else { panic!("nothing to send") };
        let (view, _) = BatchView::parse(&bytes).unwrap();
        assert_eq!(view.producer_id(), Some(ProducerId::new(2)));
        assert_eq!(view.base_sequence(), Some(Sequence::new(2 * n)));
        assert_eq!(ticket, Ticket(u64::from(1 + n)));
        lane.settle(ticket, written(0), later, PAUSE);
    }
}

#[test]
fn a_batch_refused_for_good_fails_alone_and_leaves_no_gap() {
    let now = Instant::now();
    let mut lane = ready_lane(2);
    let (ticket, sequence) = send(&mut lane, now);
    let cell = Arc::clone(lane.cells().next().unwrap());
    let error = lane.settle(ticket, refusal(ErrorCode::MessageTooLarge), now, PAUSE).unwrap();
    assert_eq!(error.code(), Some(ErrorCode::MessageTooLarge));
    cell.complete(Err(ClientError::Closed { what: "too late" }));
    assert_eq!(send(&mut lane, now), (Ticket(1), sequence), "its numbers are used again");
}

#[test]
fn old_batches_that_are_not_in_flight_are_given_up() {
    let now = Instant::now();
    let mut lane = known_lane(2);
    send(&mut lane, now);
    let error = ClientError::Closed { what: "old" };
    lane.expire(now - Duration::from_secs(9), &error);
    assert_eq!(lane.waiting.len(), 1);
    lane.expire(Instant::now() + Duration::from_secs(1), &error);
    assert!(lane.waiting.is_empty());
    assert!(matches!(lane.step(now), Step::Empty));
    assert_eq!(lane.cells().count(), 1);
}

#[test]
fn without_idempotence_nothing_is_numbered() {
    let mut lane = Lane::new(false);
    lane.push(batch(&[1]));
    let Step::Send(_, bytes) = lane.step(Instant::now()) else { panic!("nothing to send") };
    let (view, _) = BatchView::parse(&bytes).unwrap();
    view.verify_crc().unwrap();
    assert_eq!(view.producer_id(), None);
}

/// A broker's memory of one partition.
#[derive(Default)]
struct Model {
    log: Vec<u32>,
    windows: Map<ProducerId, VecDeque<(Sequence, u32, u64)>>,
}

impl Model {
    fn append(&mut self, bytes: &[u8]) -> Outcome {
        let (view, _) = BatchView::parse(bytes).unwrap();
        let (id, sequence) = (view.producer_id().unwrap(), view.base_sequence().unwrap());
        // As the real one: a producer that it does not know may begin anywhere.
        let window = self.windows.entry(id).or_default();
        if let Some(known) = window.iter().find(|known| known.0 == sequence) {
            return written(known.2);
        }
        let expected = window.back().map_or(sequence, |last| last.0.advance(last.1));
        if expected != sequence {
            return refusal(ErrorCode::OutOfOrderSequence);
        }
        let base = self.log.len() as u64;
        window.push_back((sequence, view.record_count(), base));
        if window.len() > LANE_IN_FLIGHT_MAX {
            window.pop_front();
        }
        for record in Records::of(&view).unwrap() {
            let value = record.unwrap().value.unwrap();
            self.log.push(u32::from_be_bytes(value.try_into().unwrap()));
        }
        written(base)
    }
}

/// A seeded generator (xorshift64, Marsaglia 2003).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

/// A lane, a broker, and a network between them that loses and delays.
struct World {
    dice: Dice,
    lane: Lane,
    model: Model,
    now: Instant,
    wire: VecDeque<(Ticket, Bytes)>,
    back: Vec<(Ticket, Outcome)>,
    cells: Vec<(Vec<u32>, Arc<BatchCell>)>,
    next_value: u32,
    producer_ids: u64,
    rejected: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            lane: Lane::new(true),
            model: Model::default(),
            now: Instant::now(),
            wire: VecDeque::new(),
            back: Vec::new(),
            cells: Vec::new(),
            next_value: 0,
            producer_ids: 0,
            rejected: 0,
        }
    }

    /// One step of each; false when all is done.
    fn turn(&mut self) -> bool {
        let quiet = self.next_value >= 60;
        if !quiet && self.dice.below(3) == 0 {
            let count = u32::try_from(1 + self.dice.below(3)).unwrap();
            let values: Vec<_> = (self.next_value..self.next_value + count).collect();
            let one = batch(&values);
            self.cells.push((values, Arc::clone(&one.cell)));
            self.lane.push(one);
            self.next_value += count;
        }
        match self.lane.step(self.now) {
            Step::Send(ticket, bytes) => self.wire.push_back((ticket, bytes)),
            Step::NeedsProducer => {
                self.producer_ids += 1;
                self.lane.set_producer(producer(self.producer_ids));
            }
            Step::Pause(at) => self.now = at,
            Step::Empty if quiet && self.wire.is_empty() && self.back.is_empty() => return false,
            Step::Empty | Step::Wait => {}
        }
        // The broker takes requests in order, but its answers may be lost or late.
        if self.dice.below(2) == 0
            && let Some((ticket, bytes)) = self.wire.pop_front()
        {
            let outcome = self.broker(&bytes);
            self.back.push((ticket, outcome));
        }
        if !self.back.is_empty() && self.dice.below(2) == 0 {
            let place = self.dice.below(self.back.len());
            let (ticket, outcome) = self.back.remove(place);
            self.lane.settle(ticket, outcome, self.now, PAUSE);
        }
        true
    }

    fn broker(&mut self, bytes: &[u8]) -> Outcome {
        match self.dice.below(12) {
            0 => refusal(ErrorCode::NotLeaderOrFollower),
            1 => Outcome::Lost,
            2 => {
                self.model.append(bytes);
                Outcome::Lost
            }
            3 if self.dice.below(4) == 0 => {
                self.rejected += 1;
                refusal(ErrorCode::InvalidRecord)
            }
            _ => self.model.append(bytes),
        }
    }
}

#[test]
fn every_record_is_written_once_and_in_order_whatever_goes_wrong() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for seed in 0..3000 {
        println!("seed {seed}");
        let mut world = World::new(seed);
        let mut turns = 0;
        while world.turn() {
            turns += 1;
            assert!(turns < 100_000, "seed {seed} does not end");
        }
        let log = world.model.log;
        assert!(log.windows(2).all(|pair| pair[0] < pair[1]), "seed {seed}: {log:?}");
        for (values, cell) in world.cells {
            match runtime.block_on(cell.wait()) {
                Ok(written) => {
                    let at = usize::try_from(written.base_offset.get()).unwrap();
                    assert_eq!(log[at..at + values.len()], values, "seed {seed}");
                }
                // What was refused for good may have been written by an attempt whose answer was lost.
                Err(_) => assert!(world.rejected > 0, "seed {seed}"),
            }
        }
        if world.rejected == 0 {
            assert_eq!(log.len(), world.next_value as usize, "seed {seed}");
        }
    }
}
