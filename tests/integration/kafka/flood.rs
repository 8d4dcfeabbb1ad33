//! Thousands of connects a second at the Kafka doors, by strangers who say nothing, too little or something else: who works
//! beside them goes on, memory stays bounded, and the log says why they were closed without being filled.

use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kolk_model::compression::Compression;

use super::wire::{KafkaWire, batch};
use crate::broker::{Broker, Place};

const MIB: u64 = 1 << 20;
const SHARDS: u16 = 2;
const THREADS: u64 = 4;
const STRANGERS: u64 = 15_000;
const STRANGERS_PER_SECOND: u64 = 5_000;
/// Connections that a thread keeps open, the youngest ones.
const KEPT: usize = 100;
/// What each stranger in turn says.
const SAYINGS: [&[u8]; 5] = [
    b"",
    b"GET / HTTP/1.1\r\nHost: kolk\r\n\r\n",
    &[0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3],
    &[0, 0, 1, 0, 0, 3, 0, 9, 0, 0],
    b"\xff\x00\xa5 is no frame of anything",
];
/// Of these, the ones that the broker closes itself.
const REFUSED_OF_SAYINGS: u64 = 3;
/// What `log_gate` lets through a second, of each shard.
const LINES_PER_SECOND_MAX: u64 = 20;
const MEMORY_GROWTH_MAX: u64 = 128 * MIB;
/// What a round trip may take beside the flood: two cores, a debug build, and other tests.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(5);
const SETTLED_WAIT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(100);

/// Connects when it is this thread's turn and says its part; gives how many connects failed.
fn flood(place: &Place, thread: u64) -> u64 {
    let doors = [place.kafka(), place.kafka_shard(0), place.kafka_shard(1)];
    let mut kept = VecDeque::new();
    let mut failed = 0;
    let begin = Instant::now();
    for number in (thread..STRANGERS).step_by(usize::try_from(THREADS).expect("few")) {
        let due = Duration::from_secs(1) * u32::try_from(number).expect("few")
            / u32::try_from(STRANGERS_PER_SECOND).expect("few");
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
        let index = usize::try_from(number).expect("64 bits");
        let Ok(mut stream) = TcpStream::connect(doors[index % doors.len()]) else {
            failed += 1;
            continue;
        };
        // The broker may have closed it already.
        drop(stream.write_all(SAYINGS[index % SAYINGS.len()]));
        kept.push_back(stream);
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }
    failed
}

/// Produces and fetches in turn until the flood is over; gives the number of turns and how long the longest took.
fn work(place: &Place, over: &AtomicBool) -> (i64, Duration) {
    let mut wire = KafkaWire::open(place.kafka());
    let (mut turns, mut longest) = (0, Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let part = wire.produce("web", 0, batch(&[b"beside"], None, Compression::None));
        assert_eq!((part.error_code, part.base_offset), (0, turns));
        let part = wire.fetch("web", 0, turns);
        assert_eq!((part.error_code, part.high_watermark), (0, turns + 1));
        turns += 1;
        longest = longest.max(begin.elapsed());
    }
    (turns, longest)
}

/// Waits until no more connections are open than there were.
fn check_settles(place: &Place, connections: f64) {
    let begin = Instant::now();
    while place.metric("kolk_connections").expect("a gauge") > connections {
        assert!(begin.elapsed() < SETTLED_WAIT, "connections are left");
        std::thread::sleep(POLL);
    }
}

/// Some of the refused have a line with the reason, the others are counted, none is said twice.
fn check_log(broker: &Broker<'_>, refused: u64, seconds: u64) {
    let log = broker.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("peer")).collect();
    for reason in ["HTTP", "TLS", "bytes"] {
        assert!(lines.iter().any(|line| line.contains(reason)), "{reason}: {lines:?}");
    }
    let held_back: u64 = log.lines().filter_map(held_back).sum();
    let logged = u64::try_from(lines.len()).expect("few");
    eprintln!("{logged} lines, {held_back} held back");
    assert!(logged <= u64::from(SHARDS) * LINES_PER_SECOND_MAX * (seconds + 2), "{logged} lines");
    assert_eq!(logged + held_back, refused, "each refused one is logged or counted, once");
}

/// The number in a line that says how many were held back.
fn held_back(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("held_back")?;
    let digits = rest.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    digits.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[test]
fn a_flood_of_strangers_hurts_nobody_and_does_not_fill_the_log() {
    let place = Place::new("kafka-flood", SHARDS);
    let mut broker = place.start(SHARDS);
    KafkaWire::open(place.kafka()).topic("web");
    let (before, connections) = (broker.memory_bytes(), place.metric("kolk_connections"));
    let (over, most) = (AtomicBool::new(false), AtomicU64::new(before));
    let begin = Instant::now();
    let (failed, worked, took) = std::thread::scope(|scope| {
        let worker = scope.spawn(|| work(&place, &over));
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(broker.memory_bytes(), Ordering::Relaxed);
                std::thread::sleep(POLL);
            }
        });
        let place = &place;
        let floods: Vec<_> =
            (0..THREADS).map(|thread| scope.spawn(move || flood(place, thread))).collect();
        let failed: u64 = floods.into_iter().map(|flood| flood.join().expect("a flood")).sum();
        let took = begin.elapsed();
        over.store(true, Ordering::Relaxed);
        (failed, worker.join().expect("who works beside"), took)
    });
    assert!(broker.runs(), "the flood ended the broker");
    assert_eq!(failed, 0, "connects refused by the kernel");
    let (turns, longest) = worked;
    let growth = most.into_inner().saturating_sub(before);
    eprintln!(
        "{STRANGERS} connects in {took:?}; beside them {turns} round trips, the longest {longest:?}; {} MiB, {} MiB more at most",
        before / MIB,
        growth / MIB
    );
    assert!(turns > 0 && longest < ROUND_TRIP_MAX, "{turns} round trips, one of {longest:?}");
    assert!(growth <= MEMORY_GROWTH_MAX, "memory grew by {} MiB", growth / MIB);
    check_settles(&place, connections.expect("a gauge"));
    let refused = STRANGERS / SAYINGS.len() as u64 * REFUSED_OF_SAYINGS;
    // The gate counts what it holds back when its second is over.
    let told = Instant::now();
    while broker.log().lines().filter_map(held_back).count() == 0
        || told.elapsed() < Duration::from_millis(2_200)
    {
        assert!(told.elapsed() < SETTLED_WAIT, "nothing was held back");
        std::thread::sleep(POLL);
    }
    check_log(&broker, refused, begin.elapsed().as_secs());
    broker.stop();
}
