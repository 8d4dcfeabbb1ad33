//! Ten thousand clients that are connected and say little: each costs little, and the one that works notices nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kolk_kafka::message::api_versions;

use crate::broker::Place;
use crate::kafka_wire;
use crate::machine::{Absent, run};
use crate::scribe::{Scribe, create};

const MIB: u64 = 1 << 20;
const CLIENTS: usize = 10_000;
/// This process's and the broker's.
const DESCRIPTORS: u64 = 10_500;
const RECORD_BYTES: usize = 500;
const MEMORY_EACH_MAX: u64 = 24 * 1024;
/// An append beside them.
const APPEND_MAX: Duration = Duration::from_secs(2);

pub(crate) fn ten_thousand() -> Result<(), Absent> {
    let limit = run("sh", &["-c", "ulimit -Hn"])?;
    if limit.parse().is_ok_and(|limit: u64| limit < DESCRIPTORS) {
        return Err(Absent(format!("only {limit} descriptors")));
    }
    run("prlimit", &["--pid", &std::process::id().to_string(), &format!("--nofile={limit}:")])?;
    let place = Place::new("connections", 2);
    let many = ["--set", "max.connections=12000", "--set", "connections_per_address_max=12000"];
    let broker = place.start_with(2, &many);
    create(place.kafka(), "web", &[]);
    let mut scribe = Scribe::new(place.kafka(), "web", 0, RECORD_BYTES);
    scribe.write_all(20);
    let (memory, descriptors) = (broker.memory_bytes(), broker.descriptors());
    let begun = Instant::now();
    let hello = kafka_wire::frame(3, 1, &api_versions::Request::default());
    let mut clients = Vec::with_capacity(CLIENTS);
    for number in 0..CLIENTS {
        let mut client = TcpStream::connect(place.kafka()).expect("room for one more");
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
        client.write_all(&hello).expect("a socket");
        let mut length = [0; 4];
        client.read_exact(&mut length).expect("an answer to each client");
        clients.push(client);
        if number % 1_000 == 0 {
            scribe.write_all(1);
        }
    }
    eprintln!("{CLIENTS} clients after {:?}", begun.elapsed());
    scribe.slowest = Duration::ZERO;
    scribe.write_all(200);
    assert!(scribe.slowest < APPEND_MAX, "{:?}", scribe.slowest);
    let open = broker.descriptors() - descriptors;
    assert!(open >= CLIENTS, "{open} descriptors more: not all are connected");
    let each = broker.memory_bytes().saturating_sub(memory) / 10_000;
    eprintln!("{each} bytes for each; the slowest append in {:?}", scribe.slowest);
    assert!(each < MEMORY_EACH_MAX, "{each} bytes for each");
    drop(clients);
    let begun = Instant::now();
    while broker.descriptors() > descriptors + 50 {
        assert!(begun.elapsed() < Duration::from_secs(20), "clients left and stay open");
        std::thread::sleep(Duration::from_millis(50));
    }
    scribe.check();
    let memory = broker.memory_bytes() / MIB;
    eprintln!("{memory} MiB after they left");
    broker.stop();
    Ok(())
}
