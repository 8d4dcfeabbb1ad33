//! The end of a run: everything taken in is answered, and nothing can hold it up for ever.

use kolk_io::error::Op;
use kolk_io::sim::{Fault, FaultKind};
use kolk_io::wait::Completion;

use super::*;
use crate::shard::StopError;

#[test]
fn a_start_that_only_lacks_room_says_so_and_helps_once_there_is_some() {
    for (errno, lacks_room) in [(28, true), (5, false)] {
        let sim = Sim::new(1);
        sim.inject(Fault::eio(Op::Allocate, "/journal/").with_kind(FaultKind::Errno(errno)));
        sim.run(move |io| async move {
            let log = &settings().log;
            let dir = Path::new(DIR);
            let plan = StartPlan { dir, shards: 1, log, boot: 1, accept_loss: false };
            let refused = recover(&io, &plan).await.unwrap_err();
            let path = refused.no_room().and_then(IoError::path);
            assert_eq!(path.is_some(), lacks_room, "{refused}");
            assert!(path.is_none_or(|path| path.starts_with("/d/journal/1/0")), "{refused}");
            Node::start(io, 1).await.stop().await;
        });
    }
}

#[test]
fn a_stop_right_after_appends_that_nobody_waits_for_comes_to_rest() {
    for seed in 0..10 {
        Sim::new(seed).run(move |io| async move {
            let node = Node::start(io, 2).await;
            let config = overrides(&[("kolk.durability", "process-crash")]);
            let topic = node.create_with("web", 2, config).await.unwrap();
            let text = "x".repeat(1_000);
            for n in 0..(seed * 150) {
                let op = ProduceOp {
                    wait: AckLevel::None,
                    ..produce_op(at(topic, 0), text_batch(&[&text]))
                };
                node.shard(u16::try_from(n % 2).unwrap()).produce(op).await.unwrap();
                if n % 64 == 63 {
                    node.io.yield_now().await;
                }
            }
            let started = node.io.now();
            node.stop().await;
            assert!(node.io.now() - started < Duration::from_secs(5), "seed {seed}");
        });
    }
}

/// A client that sends what it likes until the shard stops: sizes around the direct path's threshold, every level, rolls.
async fn restless(node: Rc<Node>, topic: TopicId, number: u64, ended: Rc<RefCell<usize>>) {
    let shard = node.shard(u16::try_from(number % 3).unwrap()).clone();
    for n in 0.. {
        let chance = node.io.random_u64();
        let bytes = [10, 400, 3_000, 9_000, 40_000][usize::try_from(chance % 5).unwrap()];
        let wait = [AckLevel::None, AckLevel::ProcessCrash, AckLevel::Topic, AckLevel::PowerLoss]
            [usize::try_from(chance / 5 % 4).unwrap()];
        let partition = u32::try_from(number % 8).unwrap();
        let batches = text_batch(&[&"x".repeat(bytes)]);
        let op = ProduceOp { wait, ..produce_op(at(topic, partition), batches) };
        match shard.produce(op).await {
            Ok(_) => {}
            Err(refusal) => {
                assert_eq!(refusal.code, ErrorCode::ShuttingDown, "request {n}: {refusal}");
                break;
            }
        }
        if chance.is_multiple_of(3) {
            // A long poll, as a connection that goes away leaves it behind.
            let fetch = shard.fetch(fetch_op(&[(at(topic, partition), 0)], Duration::from_mins(5)));
            if chance.is_multiple_of(2) { drop(fetch) } else { drop(fetch.await) }
        }
    }
    *ended.borrow_mut() += 1;
}

#[test]
fn a_stop_under_load_with_a_tiny_journal_answers_every_request() {
    for seed in 0..24_u64 {
        let turn = usize::try_from(seed).unwrap();
        Sim::new(seed).run(move |io| async move {
            let mut settings = settings();
            settings.log.journal_file_bytes = 256 << 10;
            settings.log.journal_files = 3;
            settings.log.group_bytes_max = 128 << 10;
            settings.log.direct_append_bytes_min = [8 << 10, 64 << 10, 16 << 20][turn % 3];
            settings.log.memory_bytes_max = 1 << 20;
            let node = Rc::new(Node::start_with(io, 3, settings).await);
            let level = ["process-crash", "power-loss"][turn / 3 % 2];
            let entries = [("kolk.durability", level), ("segment.bytes", "65536")];
            let config = overrides(&entries);
            let topic = node.create_with("web", 8, config).await.unwrap();
            let ended: Rc<RefCell<usize>> = Rc::default();
            for number in 0..40 {
                let client = restless(Rc::clone(&node), topic, number, Rc::clone(&ended));
                node.io.spawn(client);
            }
            node.io.sleep(Duration::from_millis(20 + seed * 7)).await;
            let started = node.io.now();
            node.stop().await;
            assert!(node.io.now() - started < Duration::from_secs(2), "seed {seed}: slow");
            node.io.sleep(Duration::from_millis(10)).await;
            assert_eq!(*ended.borrow(), 40, "seed {seed}: requests without an answer");
            let left: usize = node.shards.iter().map(|shard| shard.state.in_flight()).sum();
            assert_eq!(left, 0, "seed {seed}");
        });
    }
}

#[test]
fn a_disk_that_hangs_ends_a_stop_all_the_same() {
    for (op, path) in [(Op::Sync, "journal"), (Op::Write, "journal"), (Op::Sync, "topics")] {
        let sim = Sim::new(3);
        let node = sim.run(|io| async move {
            let node = Rc::new(Node::start(io, 2).await);
            let topic = node.create("web", 4).await;
            for partition in 0..4 {
                produce(node.shard(0), at(topic, partition), &["x"]).await.unwrap();
            }
            node
        });
        sim.inject(Fault::eio(op, path).with_kind(FaultKind::Hang).for_ever());
        sim.run(move |io| async move {
            let started = io.now();
            let stopped: Vec<_> = node.shards.iter().map(Shard::stop).collect();
            let mut ends = Vec::new();
            for stop in stopped {
                let done = Completion::new();
                let later = done.clone();
                io.spawn(async move { later.complete(stop.await) });
                ends.push(done);
            }
            let mut outcomes = Vec::new();
            for end in ends {
                outcomes.push(end.await);
            }
            let limit = Duration::from_millis(settings().stop_ms_max + 10);
            assert!(io.now() - started < limit, "{op} {path}: {:?}", io.now() - started);
            let hung =
                |outcome: &Result<(), StopError>| matches!(outcome, Err(StopError::TooLong { .. }));
            assert!(outcomes.iter().all(hung), "{op} {path}: {outcomes:?}");
        });
    }
}
