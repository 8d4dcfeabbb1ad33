//! Housekeeping: what goes by itself, what is saved by itself, and what a clock that jumps must not do.

use kolk_io::time::WallClock;

use super::*;
use crate::request::OffsetPlace;

/// Appends records of 10 KB with the time of the wall clock.
async fn fill(node: &Node, topic: TopicId, records: usize) {
    let value = vec![b'x'; 10_000];
    for _ in 0..records {
        let mut builder = BatchBuilder::new();
        let now = TimestampMs::new(node.io.wall_clock().as_ms());
        builder.append(now, Some(b"key"), Some(&value), &[]).unwrap();
        let batch = builder.build(Compression::None).unwrap();
        node.shard(0).produce(produce_op(at(topic, 0), batch)).await.unwrap();
    }
}

async fn log_start(node: &Node, topic: TopicId) -> u64 {
    let listed = node.shard(0).list_offset(at(topic, 0), OffsetPlace::Beginning).await;
    listed.unwrap().offset.unwrap().get()
}

#[test]
fn the_oldest_segments_go_by_size() {
    check(2, |node| async move {
        let config = overrides(&[("segment.bytes", "65536"), ("retention.bytes", "150000")]);
        let topic = node.create_with("web", 1, config).await.unwrap();
        fill(&node, topic, 60).await;
        node.io.sleep(Duration::from_secs(5)).await;
        let start = log_start(&node, topic).await;
        assert!((36..=48).contains(&start), "log starts at {start} of 60");
        let description = node.shard(1).describe_topic(topic).await.unwrap();
        assert!(description.partitions[0].size_bytes <= 230_000, "{description:?}");
    });
}

#[test]
fn the_oldest_segments_go_by_age_and_the_active_one_is_closed_for_it() {
    check(2, |node| async move {
        let config = overrides(&[("retention.ms", "60000"), ("segment.ms", "20000")]);
        let topic = node.create_with("web", 1, config).await.unwrap();
        fill(&node, topic, 5).await;
        node.io.sleep(Duration::from_secs(50)).await;
        assert_eq!(log_start(&node, topic).await, 0);
        node.io.sleep(Duration::from_secs(40)).await;
        assert_eq!(log_start(&node, topic).await, 5, "all records are older than a minute");
        fill(&node, topic, 1).await;
    });
}

#[test]
fn a_clock_that_runs_ahead_deletes_nothing() {
    for seed in 0..3 {
        let sim = Sim::new(seed);
        let (node, topic) = sim.run(|io| async move {
            let node = Rc::new(Node::start(io, 2).await);
            let config = overrides(&[("segment.bytes", "65536")]);
            let topic = node.create_with("web", 1, config).await.unwrap();
            fill(&node, topic, 30).await;
            node.io.sleep(Duration::from_secs(5)).await;
            (node, topic)
        });
        let now = sim.io().wall_clock();
        let year = 365 * 24 * 3_600 * 1_000_000_000;
        sim.set_wall_clock(WallClock::new(now.as_ns() + year));
        sim.run(move |_| async move {
            node.io.sleep(Duration::from_mins(10)).await;
            assert_eq!(log_start(&node, topic).await, 0);
        });
    }
}

#[test]
fn a_clock_that_jumps_between_two_runs_deletes_nothing_until_it_has_run_evenly_for_an_hour() {
    for seed in 0..3 {
        let sim = Sim::new(seed);
        let (node, topic) = sim.run(|io| async move {
            let node = Node::start(io, 2).await;
            let config = overrides(&[("segment.bytes", "65536"), ("retention.ms", "60000")]);
            let topic = node.create_with("web", 1, config).await.unwrap();
            fill(&node, topic, 30).await;
            (node, topic)
        });
        let now = sim.io().wall_clock();
        drop(node);
        let sim = Sim::with_disk(sim.kill(), seed);
        let two_hours = 2 * 3_600 * 1_000_000_000;
        sim.set_wall_clock(WallClock::new(now.as_ns() + two_hours));
        sim.run(move |io| async move {
            let node = Node::start(io, 1).await;
            node.io.sleep(Duration::from_mins(55)).await;
            assert_eq!(log_start(&node, topic).await, 0);
            node.io.sleep(Duration::from_mins(10)).await;
            assert!(log_start(&node, topic).await > 0, "the clock was set right, after all");
        });
    }
}

#[test]
fn a_restart_within_the_hour_goes_on_with_retention_by_time() {
    let sim = Sim::new(4);
    let topic = sim.run(|io| async move {
        let node = Node::start(io, 2).await;
        let config = overrides(&[("segment.bytes", "65536"), ("retention.ms", "60000")]);
        let topic = node.create_with("web", 1, config).await.unwrap();
        node.io.sleep(Duration::from_hours(5)).await;
        fill(&node, topic, 30).await;
        topic
    });
    let now = sim.io().wall_clock();
    let sim = Sim::with_disk(sim.kill(), 5);
    let half_an_hour = 30 * 60 * 1_000_000_000;
    sim.set_wall_clock(WallClock::new(now.as_ns() + half_an_hour));
    sim.run(move |io| async move {
        let node = Node::start(io, 1).await;
        node.io.sleep(Duration::from_secs(20)).await;
        assert!(log_start(&node, topic).await > 0);
    });
}

#[test]
fn a_compacted_topic_keeps_its_segments() {
    check(1, |node| async move {
        let config = overrides(&[
            ("cleanup.policy", "compact"),
            ("segment.bytes", "65536"),
            ("retention.bytes", "1"),
        ]);
        let topic = node.create_with("web", 1, config).await.unwrap();
        fill(&node, topic, 30).await;
        node.io.sleep(Duration::from_secs(5)).await;
        assert_eq!(log_start(&node, topic).await, 0);
    });
}

#[test]
fn a_trimmed_segment_goes_once_it_is_closed_whatever_the_cleanup_policy() {
    for policy in ["delete", "compact"] {
        check(1, move |node| async move {
            let config = overrides(&[
                ("cleanup.policy", policy),
                ("retention.ms", "-1"),
                ("segment.ms", "20000"),
            ]);
            let topic = node.create_with("web", 1, config).await.unwrap();
            fill(&node, topic, 5).await;
            node.shard(0).trim(at(topic, 0), None).await.unwrap();
            node.io.sleep(Duration::from_secs(50)).await;
            let description = node.shard(0).describe_topic(topic).await.unwrap();
            let partition = &description.partitions[0];
            assert_eq!((partition.segments, partition.size_bytes), (1, 0), "{policy}");
        });
    }
}

#[test]
fn producers_that_are_idle_for_long_are_forgotten() {
    Sim::new(2).run(|io| async move {
        let settings = ShardSettings { producer_expiration_ms: 60_000, ..settings() };
        let node = Node::start_with(io, 2, settings).await;
        let topic = node.create("web", 1).await;
        let send = |producer, sequence| {
            let batch = batch_of(producer, sequence, &["x"]);
            node.shard(0).produce(produce_op(at(topic, 0), batch))
        };
        send(1, 0).await.unwrap();
        send(2, 0).await.unwrap();
        node.io.sleep(Duration::from_secs(40)).await;
        send(2, 1).await.unwrap();
        node.io.sleep(Duration::from_secs(40)).await;
        assert!(send(2, 1).await.unwrap().duplicate);
        // Forgotten, so it may begin anywhere, as Kafka allows.
        assert!(!send(1, 17).await.unwrap().duplicate);
        assert_eq!(code(send(2, 9).await), ErrorCode::OutOfOrderSequence);
    });
}

#[test]
fn a_producer_is_not_forgotten_for_a_clock_that_was_behind_when_it_appended() {
    let sim = Sim::new(6);
    let (node, topic) = sim.run(|io| async move {
        let node = Rc::new(Node::start(io, 2).await);
        let topic = node.create("web", 1).await;
        node.io.sleep(Duration::from_secs(5)).await;
        (node, topic)
    });
    let send = |node: &Node, topic| {
        node.shard(0).produce(produce_op(at(topic, 0), batch_of(1, 0, &["x"])))
    };
    let right = sim.io().wall_clock();
    let month = 30 * 24 * 3_600 * 1_000_000_000;
    sim.set_wall_clock(WallClock::new(right.as_ns() - month));
    let behind = Rc::clone(&node);
    sim.run(move |_| async move {
        assert!(!send(&behind, topic).await.unwrap().duplicate);
        behind.io.sleep(Duration::from_secs(10)).await;
    });
    sim.set_wall_clock(right);
    sim.run(move |_| async move {
        node.io.sleep(Duration::from_secs(10)).await;
        assert!(send(&node, topic).await.unwrap().duplicate);
    });
}

#[test]
fn producers_are_saved_now_and_then_so_that_a_crash_costs_little_reading() {
    let sim = Sim::new(5);
    sim.run(|io| async move {
        let settings = ShardSettings { producer_save_ms: 10_000, ..settings() };
        let node = Node::start_with(io, 2, settings).await;
        let topic = node.create("web", 1).await;
        let batch = batch_of(1, 0, &["x"]);
        node.shard(0).produce(produce_op(at(topic, 0), batch)).await.unwrap();
        let owner = node.shard(node.shard(0).metadata().owner(at(topic, 0)).get());
        let log = owner.state.partition(at(topic, 0)).unwrap().borrow().log().clone();
        let path = log.dir().join("producer.snapshot");
        node.io.sleep(Duration::from_secs(8)).await;
        let early = node.io.read_file(&path, 4_096).await.unwrap();
        assert!(early.is_none(), "the first one is no more urgent than a later one");
        node.io.sleep(Duration::from_secs(15)).await;
        let bytes = node.io.read_file(&path, 4_096).await.unwrap().unwrap();
        let snapshot = kolk_partition::producer_snapshot::decode(&bytes).unwrap();
        assert_eq!((snapshot.point.offset.get(), snapshot.states.len()), (1, 1));
    });
}
