//! Half a gibibyte for everything: producers that do not wait and consumers that do not read fill the sockets, not the memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kolk_model::compression::Compression;

use crate::broker::{KOLK, Place};
use crate::kafka_wire::{self, batch};
use crate::machine::Absent;
use crate::machine::control_group::ControlGroup;
use crate::no_space::workshop;
use crate::scribe::{Answer, Scribe, create};

const MIB: u64 = 1 << 20;
const LIMIT: u64 = 512 * MIB;
const FLOODS: usize = 16;
const STUCK: usize = 60;
const FLOOD_BYTES: usize = 900_000;
const LOAD: Duration = Duration::from_secs(8);
const RECORD_BYTES: usize = 1_000;

/// Sends appends as fast as the socket takes them and reads answers only to throw them away.
fn producer(place: &Place, topic: &str, stop: &AtomicBool, sent: &AtomicU64) {
    let mut stream = TcpStream::connect(place.kafka()).expect("the Kafka door is open");
    stream.set_write_timeout(Some(Duration::from_millis(200))).expect("a socket");
    let mut answers = stream.try_clone().expect("a descriptor is left");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut chunk = [0; 4_096];
            while answers.read(&mut chunk).is_ok_and(|count| count > 0) {}
        });
        let value = vec![b'f'; FLOOD_BYTES];
        let batch = batch(&[&value], None, Compression::None);
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            let index = number % 2;
            number += 1;
            let request = kafka_wire::produce(topic, index, batch.clone());
            let frame = kafka_wire::frame(9, number, &request);
            let mut rest = &frame[..];
            while !rest.is_empty() && !stop.load(Ordering::Relaxed) {
                match stream.write(rest) {
                    Ok(count) => rest = &rest[count..],
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    // A client that asks too much may be cut off.
                    Err(_) => return,
                }
            }
            sent.fetch_add(1, Ordering::Relaxed);
        }
        drop(stream.shutdown(std::net::Shutdown::Both));
    });
}

/// Asks for everything, many times, and reads nothing.
fn stuck(place: &Place, topic: &str) -> TcpStream {
    let mut stream = TcpStream::connect(place.kafka()).expect("the Kafka door is open");
    stream.set_write_timeout(Some(Duration::from_secs(1))).expect("a socket");
    for number in 0..50 {
        let request = kafka_wire::fetch(topic, number % 2, 0);
        if stream.write_all(&kafka_wire::frame(11, number, &request)).is_err() {
            break;
        }
    }
    stream
}

pub(crate) fn flood() -> Result<(), Absent> {
    let shop = workshop("memory");
    let group = ControlGroup::new("memory", ("memory", "memory"))?;
    let limit = LIMIT.to_string();
    group.set(("memory.limit_in_bytes", &limit), ("memory.max", &limit))?;
    // The launcher goes into the group and becomes the broker.
    let enter = format!("echo $$ > {} && exec \"$@\"", group.processes().display());
    let launcher = ["sh", "-c", &enter, "sh"];
    let place = Place::launched(shop.path().join("place"), &launcher, Path::new(KOLK));
    std::fs::create_dir_all(place.folder()).expect("the target folder is writable");
    let mut broker = place.start_with(2, &["--set", "connections_per_address_max=10000"]);
    create(
        place.kafka(),
        "flood",
        &[("retention.bytes", "100000000"), ("retention.ms", "-1"), ("segment.bytes", "16777216")],
    );
    create(place.kafka(), "web", &[]);
    let mut scribe = Scribe::new(place.kafka(), "web", 0, RECORD_BYTES);
    scribe.write_all(10);
    let (stop, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut peak = 0;
    std::thread::scope(|scope| {
        for _ in 0..FLOODS {
            scope.spawn(|| producer(&place, "flood", &stop, &sent));
        }
        std::thread::sleep(Duration::from_millis(500));
        let consumers: Vec<_> = (0..STUCK).map(|_| stuck(&place, "flood")).collect();
        let begun = Instant::now();
        let mut refused = 0;
        while begun.elapsed() < LOAD && broker.runs() {
            refused += usize::from(scribe.write() != Answer::Acknowledged);
            peak = peak.max(broker.memory_bytes());
        }
        stop.store(true, Ordering::Relaxed);
        assert!(broker.runs(), "the broker was ended:\n{}", broker.log());
        let count = scribe.count();
        eprintln!(
            "{} appends of {FLOOD_BYTES} bytes sent, {} MiB at most; beside them {count} records, \
             {refused} refused, the slowest after {:?}",
            sent.load(Ordering::Relaxed),
            peak / MIB,
            scribe.slowest
        );
        drop(consumers);
    });
    assert!(sent.load(Ordering::Relaxed) > 100, "that was no flood");
    assert!(peak < LIMIT, "{} MiB", peak / MIB);
    scribe.write_again(Duration::from_secs(10));
    scribe.check();
    broker.kill();
    let broker = place.start(2);
    scribe.check();
    broker.stop();
    Ok(())
}
