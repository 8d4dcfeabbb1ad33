//! A wall clock that jumps by a month, forwards and back: what is kept by time stays, and who is heard of by a monotonic clock lives.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kolk_kafka::message::{heartbeat, join_group, sync_group};
use kolk_model::batch::batches;

use crate::broker::{KOLK, Place};
use crate::kafka_wire::KafkaWire;
use crate::machine::Absent;
use crate::no_space::workshop;
use crate::scribe::{Scribe, create};

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
const HOUR_MS: &str = "3600000";
const RECORD_BYTES: usize = 5_000;
/// Several segments of 64 KiB.
const RECORDS: usize = 80;
const SESSION_MS: i32 = 6_000;
/// Many passes of retention.
const PASSES: Duration = Duration::from_secs(3);
const DAY_MS: i64 = 86_400_000;
/// What the broker says of it.
const JUMPED: &str = "the wall clock jumped by more than an hour";
const AGREE: &str = "wall and monotonic clock agree again";
const OFTEN: [&str; 4] =
    ["--set", "log.retention.check.interval.ms=100", "--set", "group.initial.rebalance.delay.ms=0"];

/// A member of a classic group.
struct Member {
    wire: KafkaWire,
    id: String,
    generation: i32,
}

impl Member {
    fn join(place: &Place) -> Self {
        let mut wire = KafkaWire::open(place.kafka());
        let protocol =
            join_group::RequestProtocol { name: "range".to_owned(), metadata: Bytes::new() };
        let mut request = join_group::Request {
            group_id: "clock".to_owned(),
            session_timeout_ms: SESSION_MS,
            rebalance_timeout_ms: SESSION_MS,
            protocol_type: "consumer".to_owned(),
            protocols: vec![protocol],
            ..Default::default()
        };
        let begun = Instant::now();
        let joined = loop {
            let joined: join_group::Response = wire.call(5, &request);
            if joined.error_code == 0 {
                break joined;
            }
            // The first answer gives an id; before that the group's topic may have to come into being.
            assert!(begun.elapsed() < Duration::from_secs(20), "{joined:?}");
            request.member_id = joined.member_id;
            std::thread::sleep(Duration::from_millis(20));
        };
        let assignment = sync_group::RequestAssignment {
            member_id: joined.member_id.clone(),
            assignment: Bytes::from_static(b"all"),
        };
        let request = sync_group::Request {
            group_id: "clock".to_owned(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            assignments: vec![assignment],
            ..Default::default()
        };
        let synced: sync_group::Response = wire.call(3, &request);
        assert_eq!(synced.error_code, 0, "{synced:?}");
        Self { wire, id: joined.member_id, generation: joined.generation_id }
    }

    fn check_alive(&mut self, when: &str) {
        let request = heartbeat::Request {
            group_id: "clock".to_owned(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: None,
        };
        let answer: heartbeat::Response = self.wire.call(3, &request);
        assert_eq!(answer.error_code, 0, "{when}: the session ended");
    }
}

/// The time that the broker stamps on a record, in ms.
fn broker_time(place: &Place, scribe: &mut Scribe) -> i64 {
    scribe.write_all(1);
    let mut wire = KafkaWire::open(place.kafka());
    let mut next = 0;
    let mut newest = 0;
    loop {
        let part = wire.fetch("aged", 0, next);
        for view in batches(&part.records.unwrap_or_default()) {
            let view = view.expect("whole batches");
            newest = view.max_timestamp().get();
            next = view.next_offset().to_wire();
        }
        if next >= part.high_watermark {
            return newest;
        }
    }
}

pub(crate) fn jumps() -> Result<(), Absent> {
    if !Path::new(LIBRARY).exists() {
        return Err(Absent(format!("no {LIBRARY} (Debian's faketime)")));
    }
    let shop = workshop("clock");
    let dial = shop.path().join("dial");
    std::fs::write(&dial, "+0").expect("the test's own folder");
    let (library, file) =
        (format!("LD_PRELOAD={LIBRARY}"), format!("FAKETIME_TIMESTAMP_FILE={}", dial.display()));
    let launcher =
        ["env", &library, &file, "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"];
    let place = Place::launched(shop.path().join("place"), &launcher, Path::new(KOLK));
    std::fs::create_dir_all(place.folder()).expect("the test's own folder");
    let broker = place.start_with(2, &OFTEN);
    let aged = |keep_ms| {
        [
            ("message.timestamp.type", "LogAppendTime"),
            ("retention.ms", keep_ms),
            ("segment.bytes", "65536"),
        ]
    };
    create(place.kafka(), "aged", &aged(HOUR_MS));
    create(place.kafka(), "short", &aged("1"));
    let mut scribe = Scribe::new(place.kafka(), "aged", 0, RECORD_BYTES);
    scribe.write_all(RECORDS);
    // Retention by time works at all.
    let mut short = Scribe::new(place.kafka(), "short", 0, RECORD_BYTES);
    short.write_all(RECORDS);
    let begun = Instant::now();
    while place.metric("kolk_log_segments_deleted_total").unwrap_or_default() < 1.0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "retention deletes nothing at all");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut member = Member::join(&place);
    let start = broker_time(&place, &mut scribe);
    // What is stamped does not go back with the clock: it would be forgotten as soon as that is set right.
    for (jump, days, said) in [("+30d", 30, JUMPED), ("-30d", 0, JUMPED), ("+0", 0, AGREE)] {
        let before = broker.log().matches(said).count();
        std::fs::write(&dial, jump).expect("the test's own folder");
        let begun = Instant::now();
        while begun.elapsed() < PASSES {
            member.check_alive(jump);
            std::thread::sleep(Duration::from_millis(100));
        }
        let moved = broker_time(&place, &mut scribe) - start;
        assert!((moved - days * DAY_MS).abs() < DAY_MS, "{jump}: the clock moved by {moved} ms");
        assert!(broker.log().matches(said).count() > before, "{jump}: nothing was said of it");
        scribe.write_all(5);
        scribe.check();
    }
    broker.kill();
    let broker = place.start_with(2, &OFTEN);
    scribe.check();
    broker.stop();
    Ok(())
}
