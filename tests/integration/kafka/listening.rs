//! Where a broker listens, where it tells clients to find it, and how many may come.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use kolk_kafka::message::{find_coordinator, metadata};

use super::wire::KafkaWire;
use crate::broker::Place;

const CLOSED_WAIT: Duration = Duration::from_secs(10);

/// The brokers of the door that a client has connected to: id, host, port.
fn brokers(wire: &mut KafkaWire) -> Vec<(i32, String, i32)> {
    let request = metadata::Request { topics: None, ..Default::default() };
    let response: metadata::Response = wire.call(12, &request);
    response.brokers.into_iter().map(|broker| (broker.node_id, broker.host, broker.port)).collect()
}

/// The broker that coordinates a group.
fn coordinator(wire: &mut KafkaWire) -> (i32, String, i32) {
    let request = find_coordinator::Request {
        coordinator_keys: vec!["ops".to_owned()],
        ..Default::default()
    };
    loop {
        let response: find_coordinator::Response = wire.call(4, &request);
        let told = &response.coordinators[0];
        // The offsets topic may be just coming into being.
        if told.error_code == 0 {
            return (told.node_id, told.host.clone(), told.port);
        }
        assert_eq!(told.error_code, 15, "{told:?}");
    }
}

fn port(address: SocketAddr) -> i32 {
    i32::from(address.port())
}

#[test]
fn clients_of_both_address_families_are_told_the_address_they_came_to() {
    let place = Place::new("kafka-families", 2);
    // A name for all doors would be told instead: where all addresses are listened on, none is.
    let broker = place.start_with(2, &["--listen", "::"]);
    let families = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    for ip in families {
        let at = |address: SocketAddr| SocketAddr::new(ip, address.port());
        let node = vec![(0, ip.to_string(), port(place.kafka()))];
        assert_eq!(brokers(&mut KafkaWire::open(at(place.kafka()))), node, "{ip}");
        let doors = [place.kafka_shard(0), place.kafka_shard(1)];
        let shards: Vec<_> =
            (1..).zip(doors).map(|(id, door)| (id, ip.to_string(), port(door))).collect();
        for door in doors {
            let mut wire = KafkaWire::open(at(door));
            assert_eq!(brokers(&mut wire), shards, "{ip}");
            assert!(shards.contains(&coordinator(&mut wire)), "{ip}");
        }
    }
    broker.stop();
}

#[test]
fn each_door_is_advertised_under_its_own_name() {
    let place = Place::new("kafka-advertised", 2);
    let advertise = [
        "--set",
        "kafka.advertise=node.example:9999",
        "--set",
        "kafka.shard_advertise=shards.example:7000",
    ];
    let broker = place.start_with(2, &advertise);
    let node = (0, "node.example".to_owned(), 9_999);
    let shards: Vec<_> = (0..2).map(|n| (n + 1, "shards.example".to_owned(), 7_000 + n)).collect();
    let mut wire = KafkaWire::open(place.kafka());
    assert_eq!(brokers(&mut wire), std::slice::from_ref(&node));
    assert_eq!(coordinator(&mut wire), node);
    for shard in 0..2 {
        let mut wire = KafkaWire::open(place.kafka_shard(shard));
        assert_eq!(brokers(&mut wire), shards);
        assert!(shards.contains(&coordinator(&mut wire)));
    }
    broker.stop();
}

/// Whether the broker ends a connection that says nothing, within a while.
fn is_ended(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(CLOSED_WAIT)).expect("a socket");
    matches!(stream.read(&mut [0]), Ok(0)) || stream.take_error().is_ok_and(|error| error.is_some())
}

/// Whether a connection stays open. It asks for a topic that there is not yet: the answer is behind the one to the question
/// whether there is room, until which all others may be answered.
fn comes_in(door: SocketAddr, topic: &str) -> bool {
    let topic = metadata::RequestTopic { name: Some(topic.to_owned()), ..Default::default() };
    let request = metadata::Request { topics: Some(vec![topic]), ..Default::default() };
    KafkaWire::open(door).try_call::<_, metadata::Response>(12, &request).is_some()
}

#[test]
fn connections_count_over_all_doors_and_shards() {
    const CAP: usize = 6;
    for setting in ["max.connections", "connections_per_address_max"] {
        let place = Place::new("kafka-caps", 4);
        let broker = place.start_with(4, &["--set", &format!("{setting}={CAP}")]);
        let shards = (0..4).map(|shard| place.kafka_shard(shard));
        let doors: Vec<_> = shards.chain([place.kafka(), place.native()]).collect();
        assert_eq!(doors.len(), CAP);
        let mut open: Vec<_> = doors.iter().map(|door| KafkaWire::open(*door)).collect();
        for (number, wire) in open[..CAP - 1].iter_mut().enumerate() {
            // Goes the same way as the question whether there is room, behind it.
            wire.topic(&format!("first-{number}"));
        }
        for door in &doors {
            let mut one_more = TcpStream::connect(door).expect("the kernel takes it");
            assert!(is_ended(&mut one_more), "{setting} at {door}");
        }
        // One of another shard makes room.
        drop(open.swap_remove(0));
        let begin = Instant::now();
        for number in 0.. {
            if comes_in(doors[3], &format!("room-{number}")) {
                break;
            }
            assert!(begin.elapsed() < CLOSED_WAIT, "{setting}: nobody comes in any more");
        }
        brokers(&mut open[1]);
        broker.stop();
    }
}

#[test]
fn an_idle_connection_is_closed_on_every_door_and_a_busy_one_is_not() {
    let place = Place::new("kafka-idle", 2);
    let broker = place.start_with(2, &["--set", "connections.max.idle.ms=1500"]);
    for door in [place.kafka(), place.kafka_shard(0), place.kafka_shard(1)] {
        let mut busy = KafkaWire::open(door);
        let mut idle = KafkaWire::open(door);
        brokers(&mut idle);
        let idle = std::thread::spawn(move || is_ended(&mut idle.stream));
        let begin = Instant::now();
        while !idle.is_finished() {
            brokers(&mut busy);
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(idle.join().expect("it reads"), "{door}: still open");
        assert!(begin.elapsed() >= Duration::from_secs(1), "{door}: {:?}", begin.elapsed());
        brokers(&mut busy);
    }
    broker.stop();
}
