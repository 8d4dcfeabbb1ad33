//! A whole play against a broker of this file: what the schedule promises, and what the verdict sees.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kolk_driver::ack::AckSink;
use kolk_driver::driver::{Labour, Outgoing, Producer};
use kolk_driver::error::Outcome;

use super::produce::labour;
use super::workload::Workload;
use super::*;

/// What the broker does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Fault {
    #[default]
    None,
    /// Answers nobody for half a second, once.
    Stalls,
    /// Takes 20 ms for each record.
    Slow,
    Loses,
    Repeats,
    Reorders,
    Rots,
}

/// What producer and consumer share: the records on their way, and whether the last was sent.
#[derive(Clone, Default)]
struct Log {
    #[expect(clippy::disallowed_types, reason = "a broker in memory")]
    records: Arc<std::sync::Mutex<VecDeque<Vec<u8>>>>,
    ended: Arc<AtomicBool>,
}

struct Fake {
    fault: Fault,
    log: Log,
    /// Records of each client, as they were opened.
    #[expect(clippy::disallowed_types, reason = "a broker in memory")]
    sent: std::sync::Mutex<Vec<Arc<AtomicU64>>>,
}

struct FakeProducer {
    fault: Fault,
    log: Log,
    acks: AckSink,
    count: u64,
    sent: Arc<AtomicU64>,
}

struct FakeConsumer(Log);

impl Driver for Fake {
    fn configuration(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn create(&self) -> Outcome<()> {
        Ok(())
    }

    fn delete(&self) -> Outcome<()> {
        Ok(())
    }

    fn producer(&self, acks: AckSink, _labour: Labour) -> Outcome<Box<dyn Producer>> {
        let (log, sent) = (self.log.clone(), Arc::new(AtomicU64::new(0)));
        self.sent.lock().unwrap().push(Arc::clone(&sent));
        Ok(Box::new(FakeProducer { fault: self.fault, log, acks, count: 0, sent }))
    }

    fn consumer(&self, _name: &str, _partitions: &[u32]) -> Outcome<Box<dyn Consumer>> {
        Ok(Box::new(FakeConsumer(self.log.clone())))
    }
}

impl Producer for FakeProducer {
    fn send(&mut self, record: &Outgoing<'_>) -> Outcome<()> {
        self.count += 1;
        self.sent.fetch_add(1, Ordering::Relaxed);
        let mut value = record.value.to_vec();
        let mut log = self.log.records.lock().unwrap();
        let struck = self.count == 50;
        match self.fault {
            Fault::Loses if struck => {}
            Fault::Repeats if struck => {
                log.push_back(value.clone());
                log.push_back(value);
            }
            Fault::Reorders if struck => {
                // The record before is still there: the consumer leaves the last one.
                let at = log.len();
                log.push_back(value);
                log.swap(at - 1, at);
            }
            Fault::Rots if struck => {
                *value.last_mut().unwrap() ^= 1;
                log.push_back(value);
            }
            _ => log.push_back(value),
        }
        drop(log);
        if self.fault == Fault::Stalls && struck {
            std::thread::sleep(Duration::from_millis(500));
        }
        if self.fault == Fault::Slow {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.acks.acknowledged(record.intended);
        Ok(())
    }

    fn finish(&mut self) -> Outcome<()> {
        self.log.ended.store(true, Ordering::Release);
        Ok(())
    }
}

impl Consumer for FakeConsumer {
    fn poll(&mut self, _wait: Duration, each: &mut dyn FnMut(&[u8])) -> Outcome<()> {
        let left = usize::from(!self.0.ended.load(Ordering::Acquire));
        let ready = {
            let mut records = self.0.records.lock().unwrap();
            let count = records.len().saturating_sub(left);
            records.drain(..count).collect::<Vec<_>>()
        };
        if ready.is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        ready.iter().for_each(|value| each(value));
        Ok(())
    }
}

fn play_with(fault: Fault, produce: &str) -> Played {
    let fake = Fake { fault, log: Log::default(), sent: Vec::new().into() };
    play_at(&fake, 1, produce)
}

fn play_at(fake: &Fake, partitions: u32, produce: &str) -> Played {
    let text = format!(
        "
        name = 'fake'
        about = 'a test'
        durability = 'process-crash'
        partitions = {partitions}
        record_bytes = 64
        body = {{ shape = 'mixed', compressible = 0.5 }}
        produce = {{ {produce} }}
        time = {{ warmup_seconds = 0.1, seconds = 1.0, silence_seconds = 0.5 }}
        "
    );
    let cases = Workload::parse(&text).unwrap().cases();
    play(fake, &cases[0], &Watched::default()).unwrap()
}

const OPEN: &str = "rate = 200.0, in_flight = 1000";

#[test]
fn a_stall_is_charged_to_every_record_that_was_due_meanwhile() {
    let calm = play_with(Fault::None, OPEN).acknowledged;
    assert!((180..=200).contains(&calm.latency.count), "{}", calm.latency);
    assert!(calm.latency.p50_ns < 50_000_000, "{}", calm.latency);
    let stalled = play_with(Fault::Stalls, OPEN).acknowledged;
    // Half a second of 200 a second: about 100 of 200 were due while it lasted, one of them was being sent.
    assert!((180..=200).contains(&stalled.latency.count), "{}", stalled.latency);
    let late: u64 =
        stalled.histogram.0.iter().filter(|one| one.0 > 100_000_000).map(|one| one.1).sum();
    assert!((60..=110).contains(&late), "{late} were late: {}", stalled.latency);
    assert!(stalled.latency.p90_ns > 300_000_000, "{}", stalled.latency);
}

#[test]
fn a_broker_that_never_keeps_up_is_charged_for_what_it_left_unsent() {
    let played = play_with(Fault::Slow, OPEN);
    assert!(played.unsent > 120, "{} of 220 unsent at 50 a second", played.unsent);
    for measured in [&played.acknowledged, played.consumed.as_ref().unwrap()] {
        let latency = measured.latency;
        assert!((195..=200).contains(&latency.count), "all that was due counts: {latency}");
        assert!(latency.p50_ns > 300_000_000, "{latency}");
    }
    assert!(played.verdict.is_clean(), "{}", played.verdict);
}

#[test]
fn a_closed_loop_is_as_fast_as_its_broker() {
    let played = play_with(Fault::None, "in_flight = 1, bytes_max = 64000");
    assert!(played.verdict.is_clean(), "{}", played.verdict);
    assert!(
        played.verdict.acknowledged > 1_000,
        "those of the warm-up besides: {}",
        played.verdict
    );
    // The last one of the warm-up may be acknowledged within the window.
    assert!((1_000..=1_001).contains(&played.acknowledged.records));
    assert!(played.seconds < 0.9, "the window ended with its bytes: {}", played.seconds);
}

#[test]
fn clients_are_connected_before_the_measure_and_take_turns() {
    let fake = Fake { fault: Fault::None, log: Log::default(), sent: Vec::new().into() };
    let produce = "producers = 2, connections = 50, rate = 10.0, in_flight = 1000";
    let played = play_at(&fake, 3, produce);
    assert!(played.verdict.is_clean(), "{}", played.verdict);
    let sent: Vec<u64> =
        fake.sent.lock().unwrap().iter().map(|one| one.load(Ordering::Relaxed)).collect();
    // One record each, and 11 that were due.
    assert_eq!((sent.len(), sent.iter().min(), sent.iter().max()), (50, Some(&1), Some(&2)));
    assert_eq!(sent.iter().sum::<u64>(), played.verdict.acknowledged);
    assert!((9..=10).contains(&played.acknowledged.latency.count), "greetings have no latency");
    let alone = "producers = 4, connections = 1, rate = 10.0, in_flight = 1000";
    let fake = Fake { fault: Fault::None, log: Log::default(), sent: Vec::new().into() };
    assert!(play_at(&fake, 3, alone).verdict.is_clean());
    assert_eq!(fake.sent.lock().unwrap().len(), 1, "one connection is one producer");
}

#[test]
fn a_client_works_on_its_producers_thread_if_it_is_the_only_one_and_has_little_on_its_way() {
    let of = |clients, in_flight_max| labour(clients, in_flight_max);
    assert_eq!([of(1, 1), of(1, 16)], [Labour::Caller; 2]);
    assert_eq!([of(1, 17), of(2, 1), of(1, u32::MAX)], [Labour::Background; 3]);
}

#[test]
fn producers_share_what_a_broker_bears() {
    assert_eq!([share_of(10_000, 4, 50_000), share_of(u32::MAX, 4, 50_000)], [2_500, 50_000]);
    assert_eq!([share_of(10_000, 4, 7), share_of(2, 4, 7), share_of(10, 0, 50)], [7, 1, 10]);
}

#[test]
fn what_was_filled_in_before_is_read_and_not_measured_as_latency() {
    let text = "rate = 200.0, in_flight = 1000 }\n        fill = { bytes = 6400, in_flight = 10";
    let played = play_with(Fault::None, text);
    let verdict = played.verdict;
    assert!(
        verdict.is_clean() && verdict.acknowledged >= 300,
        "100 before and 220 at 200/s: {verdict}"
    );
    let count = played.consumed.unwrap().latency.count;
    assert!(count <= 200, "{count} have a latency");
}

#[test]
fn what_a_broker_does_wrong_is_in_the_verdict() {
    let clean = play_with(Fault::None, OPEN).verdict;
    assert!(clean.is_clean() && clean.acknowledged > 200, "{clean}");
    let verdict = |fault| {
        let verdict = play_with(fault, OPEN).verdict;
        assert!(!verdict.is_clean(), "{fault:?}: {verdict}");
        (verdict.lost, verdict.duplicated, verdict.reordered, verdict.corrupt)
    };
    assert_eq!(verdict(Fault::Repeats), (0, 1, 0, 0));
    assert_eq!(verdict(Fault::Reorders), (0, 0, 1, 0));
    assert_eq!(verdict(Fault::Rots), (1, 0, 0, 1));
    assert_eq!(verdict(Fault::Loses), (1, 0, 0, 0));
}
