//! Whole nodes through power cuts, kills and clean stops, with other numbers of shards.

use std::collections::BTreeMap;

use kolk_io::sim::SimDisk;

use super::*;

/// What producers were told, kept outside the machine: partition, then offset, then text.
type Ledger = Rc<RefCell<BTreeMap<(u32, u64), String>>>;

/// One producer: sends batches of one text with sequences, repeats those without an answer.
async fn send_texts(node: Rc<Node>, topic: TopicId, producer: u64, life: u64, ledger: Ledger) {
    let partition = u32::try_from(producer % 5).unwrap();
    let shard = node.shard(u16::try_from(producer % node.shards.len() as u64).unwrap());
    let sent = Rc::clone(&ledger);
    // Where the last life's answered batches end is where this one goes on: their texts say so.
    let prefix = format!("p{producer}-");
    let done = sent.borrow().values().filter(|text| text.starts_with(&prefix)).count();
    for n in done as u64.. {
        let text = format!("{prefix}{n}");
        let sequence = u32::try_from(n).unwrap();
        let op = produce_op(at(topic, partition), batch_of(producer, sequence, &[&text]));
        match shard.produce(op).await {
            Ok(produced) => {
                let place = (partition, produced.base_offset.get());
                let before = ledger.borrow_mut().insert(place, text.clone());
                assert!(before.is_none_or(|before| before == text), "life {life}: offset reused");
            }
            Err(refusal) => panic!("life {life}: {refusal}"),
        }
        if n % 7 == 0 {
            node.io.sleep(Duration::from_micros(producer * 130)).await;
        }
    }
}

async fn verify(node: &Node, topic: TopicId, ledger: &Ledger, life: u64) {
    let mut texts_seen = BTreeMap::new();
    for partition in 0..5 {
        let reader = node.shard(u16::try_from(life % node.shards.len() as u64).unwrap());
        let found = read_all(reader, at(topic, partition)).await;
        for (place, (offset, text)) in (0..).zip(&found) {
            assert_eq!(*offset, place, "life {life}, partition {partition}: a gap");
            let twice = texts_seen.insert(text.clone(), (partition, *offset));
            assert!(twice.is_none(), "life {life}: {text} is there twice");
        }
    }
    for ((partition, offset), text) in ledger.borrow().iter() {
        let found = texts_seen.get(text);
        assert_eq!(found, Some(&(*partition, *offset)), "life {life}: {text} was acknowledged");
    }
}

/// Every acknowledged record is there, in order, once, after each of several lives.
fn check_lives(seed: u64, end: fn(Sim) -> SimDisk) {
    let ledger = Ledger::default();
    let mut disk = SimDisk::new();
    for life in 0..5 {
        let sim = Sim::with_disk(disk, seed * 10 + life);
        let shards = u16::try_from(1 + (seed + life * 3) % 4).unwrap();
        let told = Rc::clone(&ledger);
        let (node, topic) = sim.run(move |io| async move {
            let node = Rc::new(Node::start(io, shards).await);
            let existing = node.shard(0).metadata().topic_named("web").map(|topic| topic.id);
            let topic = match existing {
                Some(topic) => topic,
                None => node.create("web", 5).await,
            };
            verify(&node, topic, &told, life).await;
            (node, topic)
        });
        for producer in 1..9 {
            let (own, told) = (Rc::clone(&node), Rc::clone(&ledger));
            let task = send_texts(own, topic, producer, life, told);
            sim.io().spawn(task);
        }
        drop(node);
        let steps = 500 + (seed * 7_919 + life * 104_729) % 6_000;
        let never = sim.run_steps(steps, |_| std::future::pending::<()>());
        assert!(never.is_none());
        disk = end(sim);
    }
    let told = Rc::clone(&ledger);
    Sim::with_disk(disk, seed).run(move |io| async move {
        let node = Node::start(io, 3).await;
        let topic = node.shard(0).metadata().topic_named("web").unwrap().id;
        verify(&node, topic, &told, 99).await;
    });
    assert!(ledger.borrow().len() > 100, "only {} records", ledger.borrow().len());
}

#[test]
fn acknowledged_records_survive_power_cuts_once_and_in_order() {
    for seed in 0..6 {
        check_lives(seed, Sim::crash);
    }
}

#[test]
fn acknowledged_records_survive_kills_once_and_in_order() {
    for seed in 0..4 {
        check_lives(seed, Sim::kill);
    }
}

#[test]
fn equal_seeds_give_equal_lives() {
    let run = |seed| {
        let sim = Sim::new(seed);
        sim.run(|io| async move {
            let node = Node::start(io, 3).await;
            let topic = node.create("web", 5).await;
            for partition in 0..5 {
                produce(node.shard(1), at(topic, partition), &["x"]).await.unwrap();
            }
            node.stop().await;
        });
        sim.fingerprint()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

#[test]
fn a_crash_while_topics_are_made_leaves_each_whole_or_absent() {
    for seed in 0..40 {
        let sim = Sim::new(seed);
        let answered: Rc<RefCell<Vec<String>>> = Rc::default();
        let told = Rc::clone(&answered);
        let ended = sim.run_steps(300 + seed * 23, |io| async move {
            let node = Node::start(io, 3).await;
            for n in 0..30 {
                let name = format!("t{n}");
                node.create(&name, 4).await;
                told.borrow_mut().push(name);
            }
        });
        let disk = if seed % 2 == 0 { sim.crash() } else { sim.kill() };
        let answered = answered.borrow().clone();
        Sim::with_disk(disk, seed).run(move |io| async move {
            let node = Node::start(io, 2).await;
            let metadata = node.shard(1).metadata();
            for name in &answered {
                assert!(metadata.topic_named(name).is_some(), "{name} was answered, {ended:?}");
            }
            for topic in metadata.topics() {
                for partition in 0..4 {
                    produce(node.shard(0), at(topic.id, partition), &["x"]).await.unwrap();
                }
            }
        });
    }
}

#[test]
fn a_clean_stop_answers_what_is_in_flight_and_refuses_the_rest() {
    check(3, |node| async move {
        let topic = node.create("web", 6).await;
        let answers: Vec<_> = (0..60u32)
            .map(|n| {
                let op = produce_op(at(topic, n % 6), text_batch(&[&n.to_string()]));
                node.shard(u16::try_from(n % 3).unwrap()).produce(op)
            })
            .collect();
        let wanted: Vec<_> = (0..6).map(|partition| (at(topic, partition), 10)).collect();
        let op = FetchOp { bytes_min: 1 << 20, ..fetch_op(&wanted, Duration::from_secs(3_600)) };
        let waiting = node.shard(0).fetch(op);
        let started = node.io.now();
        let collected = kolk_io::wait::Completion::new();
        let later = collected.clone();
        node.io.spawn(async move {
            let mut results = Vec::new();
            for answer in answers {
                results.push(answer.await);
            }
            later.complete((results, waiting.await));
        });
        node.stop().await;
        let (results, fetched) = collected.await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        assert_eq!(fetched.len(), 6);
        assert!(node.io.now() - started < Duration::from_secs(2));
        for shard in &node.shards {
            assert!(!shard.is_open());
            assert_eq!(code(produce(shard, at(topic, 0), &["x"]).await), ErrorCode::ShuttingDown);
            let answer = shard.fetch(fetch_op(&[(at(topic, 0), 0)], Duration::ZERO)).await;
            assert_eq!(answer[0].result.as_ref().unwrap_err().code, ErrorCode::ShuttingDown);
            assert_eq!(code(shard.delete_topic(topic).await), ErrorCode::ShuttingDown);
            assert_eq!(code(shard.describe_topic(topic).await), ErrorCode::ShuttingDown);
        }
    });
}

#[test]
fn after_a_clean_stop_producers_come_from_snapshots_and_nothing_is_replayed() {
    let sim = Sim::new(3);
    sim.run(|io| async move {
        let node = Node::start(io, 3).await;
        let topic = node.create("web", 6).await;
        // Less is read from the log as fast, and has no snapshot.
        let text = "x".repeat(20_000);
        for partition in 0..6 {
            for n in 0..4 {
                let op = produce_op(at(topic, partition), batch_of(7, n, &[&text]));
                node.shard(0).produce(op).await.unwrap();
            }
        }
        node.stop().await;
    });
    let sim = Sim::with_disk(sim.kill(), 4);
    let (node, topic) = sim.run(|io| async move {
        let node = Node::start(io, 2).await;
        let topic = node.shard(0).metadata().topic_named("web").unwrap().id;
        (node, topic)
    });
    sim.run(move |_| async move {
        assert_eq!((node.report.groups, node.report.partitions), (0, 6));
        for partition in 0..6 {
            let op = produce_op(at(topic, partition), batch_of(7, 3, &["x"]));
            assert!(node.shard(1).produce(op).await.unwrap().duplicate);
        }
    });
    assert_eq!(sim.count(kolk_io::error::Op::Read, "producer.snapshot"), 6);
    let reads = sim.count(kolk_io::error::Op::Read, ".log");
    assert!(reads <= 6, "{reads} reads: more than the run in which memory begins");
}

#[test]
fn a_missing_or_damaged_catalogue_stops_the_start() {
    let sim = Sim::new(3);
    sim.run(|io| async move {
        let node = Node::start(io, 1).await;
        let topic = node.create("web", 1).await;
        produce(node.shard(0), at(topic, 0), &["x"]).await.unwrap();
    });
    let disk = sim.crash();
    let start = |damage: fn(&mut SimDisk, &SimIo)| {
        let mut disk = disk.clone();
        let rotten = Sim::with_disk(SimDisk::new(), 1);
        damage(&mut disk, &rotten.io());
        Sim::with_disk(disk, 3).run(|io| async move {
            let log = settings().log;
            let plan = StartPlan {
                dir: Path::new(DIR),
                shards: 1,
                log: &log,
                boot: 1,
                accept_loss: false,
            };
            recover(&io, &plan).await.map(|recovered| recovered.report.topics)
        })
    };
    assert_eq!(start(|_, _| ()).unwrap(), 1);
    let rotten = start(|disk, _| assert!(disk.rot("/d/meta/catalogue", 70, 1)));
    assert!(matches!(rotten, Err(StartError::Catalogue { .. })), "{rotten:?}");

    let sim = Sim::with_disk(disk, 3);
    let missing = sim.run(|io| async move {
        io.remove_file(Path::new("/d/meta/catalogue")).await.unwrap();
        let log = settings().log;
        let plan =
            StartPlan { dir: Path::new(DIR), shards: 1, log: &log, boot: 1, accept_loss: false };
        recover(&io, &plan).await.map(|recovered| recovered.report.topics)
    });
    assert!(matches!(missing, Err(StartError::Log(_))), "{missing:?}");
}

/// The first start writes the catalogue last: where it is, journals were, and they may be all that holds a record.
#[test]
fn a_catalogue_without_its_journals_stops_the_start() {
    let sim = Sim::new(4);
    sim.run(|io| async move {
        let node = Node::start(io, 1).await;
        let topic = node.create("web", 1).await;
        produce(node.shard(0), at(topic, 0), &["in the journal alone"]).await.unwrap();
    });
    let sim = Sim::with_disk(sim.crash(), 4);
    let missing = sim.run(|io| async move {
        io.remove_file(Path::new("/d/meta/CURRENT")).await.unwrap();
        let log = settings().log;
        let plan =
            StartPlan { dir: Path::new(DIR), shards: 1, log: &log, boot: 1, accept_loss: false };
        recover(&io, &plan).await.map(|recovered| recovered.report.generation)
    });
    let said = missing.map_err(|error| error.to_string());
    assert_eq!(said, Err("meta/CURRENT is missing beside a catalogue; restore it".to_owned()));
    let journals = sim.with_disk_mut(|disk| disk.files());
    assert!(journals.iter().any(|name| name.contains("journal/1/0")), "{journals:?}");
}
