//! Topics come, change and go, on all shards at once and for ever.

use kolk_io::error::Op;
use kolk_io::sim::{Fault, SimDisk};

use super::*;
use crate::request::{
    AddPartitionsOp, AlterBrokerOp, AlterGroupOp, AlterTopicOp, BrokerScope, ConfigChange,
    OffsetPlace,
};

fn more(topic: TopicId, partitions: u32) -> AddPartitionsOp {
    AddPartitionsOp { topic, partitions, intent: Intent::Carry }
}

fn set(name: &str, value: &str) -> ConfigChange {
    ConfigChange::Set { name: name.to_owned(), value: value.to_owned() }
}

type Scene = fn(Rc<Node>) -> std::pin::Pin<Box<dyn Future<Output = ()>>>;

/// Runs scenes one after the other on one disk, each in a life of its own that ends with a power cut.
fn lives(seed: u64, scenes: &[(u16, Scene)]) {
    let mut disk = SimDisk::new();
    for (shards, scene) in scenes {
        let sim = Sim::with_disk(disk, seed);
        let (shards, scene) = (*shards, *scene);
        sim.run(move |io| async move { scene(Rc::new(Node::start(io, shards).await)).await });
        disk = sim.crash();
    }
}

#[test]
fn a_created_topic_is_known_and_served_everywhere_when_it_is_answered() {
    check(4, |node| async move {
        let topic = node.create("web", 9).await;
        for shard in &node.shards {
            let metadata = shard.metadata();
            let found = metadata.topic_named("web").unwrap();
            assert_eq!((found.id, found.partitions), (topic, 9));
            assert_eq!(metadata.topics_by_name().count(), 1);
            assert_eq!(metadata.cluster(), node.report.cluster);
            produce(shard, at(topic, 8), &["x"]).await.unwrap();
        }
    });
}

#[test]
fn clients_hear_of_a_topic_only_when_every_shard_takes_its_records() {
    check(4, |node| async move {
        let (told, own) = (kolk_io::wait::Completion::new(), Rc::clone(&node));
        let created = told.clone();
        node.io.spawn(async move { created.complete(own.create("web", 9).await) });
        let mut told = std::pin::pin!(told);
        let mut seen = 0;
        let topic = loop {
            let found = node.shards.iter().map(|shard| shard.metadata()).find_map(|metadata| {
                let topic = metadata.topic_named("web")?;
                metadata.is_everywhere(topic.id).then_some(topic.id)
            });
            if let Some(topic) = found {
                seen += 1;
                for shard in &node.shards {
                    for partition in 0..9 {
                        produce(shard, at(topic, partition), &["x"]).await.unwrap();
                    }
                }
            }
            let polled =
                std::future::poll_fn(|context| std::task::Poll::Ready(told.as_mut().poll(context)));
            if let std::task::Poll::Ready(topic) = polled.await {
                break topic;
            }
            node.io.yield_now().await;
        };
        assert!(seen > 0, "some shard told before the creator was answered");
        assert!(node.shards.iter().all(|shard| shard.metadata().is_everywhere(topic)));
    });
}

#[test]
fn a_topic_that_can_not_be_is_refused_with_its_code() {
    check(2, |node| async move {
        node.create("web.log", 1).await;
        for (name, partitions, expected) in [
            ("web.log", 1, ErrorCode::TopicAlreadyExists),
            ("web_log", 1, ErrorCode::InvalidTopic),
            ("other", 0, ErrorCode::InvalidPartitions),
            ("other", 2_000_000, ErrorCode::InvalidPartitions),
            // More logs than the journal has room for.
            ("other", 3_000, ErrorCode::PolicyViolation),
        ] {
            let refused = node.create_with(name, partitions, Overrides::topic()).await;
            assert_eq!(code(refused), expected, "{name} {partitions}");
            for shard in &node.shards {
                assert_eq!(shard.metadata().topics().len(), 1, "{name} {partitions}");
            }
        }
        node.create("other", 1).await;
    });
}

#[test]
fn a_validated_topic_does_not_exist() {
    check(2, |node| async move {
        let op = |name: &str, partitions| CreateTopicOp {
            name: TopicName::new(name).unwrap(),
            partitions,
            config: Overrides::topic(),
            intent: Intent::Validate,
        };
        let validated = node.shard(1).create_topic(op("web", None)).await.unwrap();
        assert_eq!((validated.id, validated.partitions), (TopicId::ZERO, 1));
        assert!(node.shard(0).metadata().topic_named("web").is_none());
        node.create("web", 1).await;
        let refused = node.shard(1).create_topic(op("web", Some(3))).await;
        assert_eq!(code(refused), ErrorCode::TopicAlreadyExists);
    });
}

#[test]
fn many_topics_at_once_are_each_created_once() {
    check(3, |node| async move {
        let done: Vec<_> = (0..40)
            .map(|n| {
                let done = kolk_io::wait::Completion::new();
                let (later, own) = (done.clone(), Rc::clone(&node));
                node.io.spawn(async move {
                    let op = CreateTopicOp {
                        name: TopicName::new(&format!("t{}", n / 2)).unwrap(),
                        partitions: Some(2),
                        config: Overrides::topic(),
                        intent: Intent::Carry,
                    };
                    later.complete(own.shard(n % 3).create_topic(op).await.is_ok());
                });
                done
            })
            .collect();
        let mut created = 0;
        for done in done {
            created += usize::from(done.await);
        }
        assert_eq!(created, 20, "of two requests for a name one is refused");
        for shard in &node.shards {
            assert_eq!(shard.metadata().topics().len(), 20);
        }
    });
}

#[test]
fn a_deleted_topic_is_gone_for_all_and_for_ever() {
    for seed in 0..3 {
        lives(
            seed,
            &[
                (3, |node| {
                    Box::pin(async move {
                        let topic = node.create("web", 6).await;
                        for partition in 0..6 {
                            produce(node.shard(0), at(topic, partition), &["old"]).await.unwrap();
                        }
                        let wanted: Vec<_> = (0..6).map(|p| (at(topic, p), 1)).collect();
                        let waiting =
                            node.shard(1).fetch(fetch_op(&wanted, Duration::from_secs(60)));
                        let started = node.io.now();
                        let own = Rc::clone(&node);
                        node.io.spawn(async move {
                            own.shard(2).delete_topic(topic).await.unwrap();
                        });
                        let answer = waiting.await;
                        assert!(node.io.now() - started < Duration::from_secs(1));
                        assert!(answer.iter().any(|slot| slot.result.is_err()));
                        node.io.sleep(Duration::from_secs(1)).await;
                        let refused = node.shard(0).delete_topic(topic).await;
                        assert_eq!(code(refused), ErrorCode::UnknownTopicOrPartition);
                        for shard in &node.shards {
                            assert!(shard.metadata().topic_named("web").is_none());
                            let refused = produce(shard, at(topic, 0), &["x"]).await;
                            assert_eq!(code(refused), ErrorCode::UnknownTopicId);
                        }
                        let topics = node.io.list_dir(Path::new("/d/topics")).await.unwrap();
                        assert!(topics.is_empty(), "{topics:?}");
                        let again = node.create("web", 2).await;
                        assert_ne!(again, topic);
                        assert!(read_all(node.shard(0), at(again, 0)).await.is_empty());
                        produce(node.shard(0), at(again, 0), &["new"]).await.unwrap();
                    })
                }),
                (2, |node| {
                    Box::pin(async move {
                        let topic = node.shard(1).metadata().topic_named("web").unwrap().id;
                        assert_eq!(node.shard(1).metadata().topics().len(), 1);
                        // The journals that named the deleted topic are replayed: nothing of it is left.
                        let file = node.io.read_file(Path::new("/d/meta/catalogue"), 1 << 20).await;
                        let catalogue = Catalogue::decode(&file.unwrap().unwrap()).unwrap();
                        assert_eq!((catalogue.run().get(), catalogue.tombstones().len()), (2, 0));
                        assert_eq!(node.report.run, 2);
                        let read = read_all(node.shard(1), at(topic, 0)).await;
                        assert_eq!(read, [(0, "new".to_owned())]);
                    })
                }),
            ],
        );
    }
}

#[test]
fn settings_change_while_the_topic_is_used_and_stay_changed() {
    for seed in 0..3 {
        lives(
            seed,
            &[
                (3, |node| {
                    Box::pin(async move {
                        let topic = node.create("web", 3).await;
                        let long = "x".repeat(400);
                        for partition in 0..3 {
                            produce(node.shard(0), at(topic, partition), &[&long]).await.unwrap();
                        }
                        let changes =
                            vec![set("max.message.bytes", "300"), set("retention.ms", "-1")];
                        node.shard(2)
                            .alter_topic(AlterTopicOp { topic, changes, intent: Intent::Carry })
                            .await
                            .unwrap();
                        for partition in 0..3 {
                            let refused =
                                produce(node.shard(0), at(topic, partition), &[&long]).await;
                            assert_eq!(code(refused), ErrorCode::MessageTooLarge);
                        }
                        let changes = vec![set("retention.ms", "7"), set("nonsense", "1")];
                        let refused = node
                            .shard(1)
                            .alter_topic(AlterTopicOp { topic, changes, intent: Intent::Carry })
                            .await;
                        assert_eq!(code(refused), ErrorCode::InvalidConfig);
                    })
                }),
                (1, |node| {
                    Box::pin(async move {
                        let metadata = node.shard(0).metadata();
                        let config = metadata.topic_named("web").unwrap().config;
                        assert_eq!((config.message_bytes_max, config.retention_ms), (300, None));
                    })
                }),
            ],
        );
    }
}

#[test]
fn a_brokers_setting_is_in_force_for_every_topic_and_survives_a_restart() {
    for seed in 0..3 {
        lives(
            seed,
            &[
                (3, |node| {
                    Box::pin(async move {
                        let topic = node.create("web", 3).await;
                        let long = "x".repeat(400);
                        let alter = |scope, changes, intent| {
                            node.shard(2).alter_broker(AlterBrokerOp { scope, changes, intent })
                        };
                        let changes = || vec![set("message.max.bytes", "300")];
                        alter(BrokerScope::Cluster, changes(), Intent::Validate).await.unwrap();
                        produce(node.shard(0), at(topic, 0), &[&long]).await.unwrap();
                        alter(BrokerScope::Cluster, changes(), Intent::Carry).await.unwrap();
                        for partition in 0..3 {
                            let refused =
                                produce(node.shard(0), at(topic, partition), &[&long]).await;
                            assert_eq!(code(refused), ErrorCode::MessageTooLarge);
                        }
                        let refused =
                            alter(BrokerScope::Node, vec![set("node.id", "9")], Intent::Carry)
                                .await;
                        assert_eq!(code(refused), ErrorCode::InvalidRequest);
                        let name = "consumer.session.timeout.ms";
                        let (group, intent) = ("g".to_owned(), Intent::Carry);
                        let changes = vec![set(name, "50000")];
                        let op = AlterGroupOp { group, changes, intent };
                        node.shard(1).alter_group(op).await.unwrap();
                        for shard in &node.shards {
                            let config = shard.metadata().group_config("g");
                            assert_eq!(config.consumer_session_timeout_ms, 50_000);
                        }
                    })
                }),
                (2, |node| {
                    Box::pin(async move {
                        let metadata = node.shard(1).metadata();
                        let topic = metadata.topic_named("web").unwrap();
                        assert_eq!(topic.config.message_bytes_max, 300);
                        let config = metadata.group_config("g");
                        assert_eq!(config.consumer_session_timeout_ms, 50_000);
                        let long = "x".repeat(400);
                        let refused = produce(node.shard(0), at(topic.id, 0), &[&long]).await;
                        assert_eq!(code(refused), ErrorCode::MessageTooLarge);
                    })
                }),
            ],
        );
    }
}

#[test]
fn added_partitions_are_served_at_once_and_their_epoch_is_known() {
    for seed in 0..3 {
        lives(
            seed,
            &[
                (2, |node| {
                    Box::pin(async move {
                        node.create("web", 2).await;
                    })
                }),
                (3, |node| {
                    Box::pin(async move {
                        let topic = node.shard(0).metadata().topic_named("web").unwrap().id;
                        let refused = node.shard(1).add_partitions(more(topic, 2)).await;
                        assert_eq!(code(refused), ErrorCode::InvalidPartitions);
                        node.shard(1).add_partitions(more(topic, 7)).await.unwrap();
                        for partition in 0..7 {
                            produce(node.shard(2), at(topic, partition), &["x"]).await.unwrap();
                        }
                        for shard in &node.shards {
                            let metadata = shard.metadata();
                            let found = metadata.topic(topic).unwrap();
                            let epochs: Vec<_> = (0..7)
                                .map(|n| metadata.leader_epoch(found, PartitionId::new(n)).get())
                                .collect();
                            assert_eq!(epochs, [1, 1, 0, 0, 0, 0, 0]);
                        }
                        let description = node.shard(1).describe_topic(topic).await.unwrap();
                        for (n, partition) in (0..).zip(&description.partitions) {
                            assert_eq!(partition.partition.get(), n);
                            assert_eq!(partition.leader_epoch.get(), u32::from(n < 2));
                            assert_eq!(partition.marks.unwrap().high_watermark.get(), 1);
                            assert!(partition.size_bytes > 0 && partition.refusal.is_none());
                        }
                    })
                }),
            ],
        );
    }
}

#[test]
fn a_trimmed_log_starts_later_for_good() {
    for seed in 0..3 {
        lives(
            seed,
            &[
                (2, |node| {
                    Box::pin(async move {
                        let topic = node.create("web", 2).await;
                        for partition in 0..2 {
                            let id = at(topic, partition);
                            produce(node.shard(0), id, &["a", "b", "c", "d"]).await.unwrap();
                            let refused = node.shard(0).trim(id, Some(Offset::new(5))).await;
                            assert_eq!(code(refused), ErrorCode::OffsetOutOfRange);
                            let start = node.shard(0).trim(id, Some(Offset::new(3))).await.unwrap();
                            assert_eq!(start.get(), 3);
                            let start = node.shard(0).trim(id, Some(Offset::new(1))).await.unwrap();
                            assert_eq!(start.get(), 3, "trimming never brings records back");
                        }
                    })
                }),
                (3, |node| {
                    Box::pin(async move {
                        let topic = node.shard(0).metadata().topic_named("web").unwrap().id;
                        for partition in 0..2 {
                            let id = at(topic, partition);
                            let place = |place| node.shard(2).list_offset(id, place);
                            let begin = place(OffsetPlace::Beginning).await.unwrap().offset;
                            let end = place(OffsetPlace::End).await.unwrap().offset;
                            assert_eq!((begin, end), (Some(Offset::new(3)), Some(Offset::new(4))));
                            let answer =
                                node.shard(2).fetch(fetch_op(&[(id, 0)], Duration::ZERO)).await;
                            let refusal = answer[0].result.as_ref().unwrap_err();
                            assert_eq!(refusal.code, ErrorCode::OffsetOutOfRange);
                            let start = node.shard(0).trim(id, None).await.unwrap();
                            assert_eq!(start.get(), 4);
                        }
                    })
                }),
            ],
        );
    }
}

#[test]
fn records_that_are_only_in_the_kernel_are_made_durable_before_they_are_trimmed_past() {
    check(2, |node| async move {
        let config = overrides(&[("kolk.durability", "process-crash")]);
        let topic = node.create_with("web", 2, config).await.unwrap();
        for partition in 0..2 {
            produce(node.shard(0), at(topic, partition), &["a", "b"]).await.unwrap();
            let start = node.shard(0).trim(at(topic, partition), None).await.unwrap();
            assert_eq!(start.get(), 2);
        }
    });
}

#[test]
fn offsets_are_found_by_time() {
    check(2, |node| async move {
        let topic = node.create("web", 2).await;
        for partition in 0..2 {
            let id = at(topic, partition);
            for time in [10, 30, 20, 40] {
                let mut builder = BatchBuilder::new();
                builder.append(TimestampMs::new(time), None, Some(b"x"), &[]).unwrap();
                let batch = builder.build(Compression::None).unwrap();
                node.shard(0).produce(produce_op(id, batch)).await.unwrap();
            }
            for (time, expected) in
                [(0, Some((0, 10))), (11, Some((1, 30))), (40, Some((3, 40))), (41, None)]
            {
                let place = OffsetPlace::Timestamp(TimestampMs::new(time));
                let listed = node.shard(1).list_offset(id, place).await.unwrap();
                let found =
                    listed.offset.map(|offset| (offset.get(), listed.timestamp.unwrap().get()));
                assert_eq!(found, expected, "at {time}");
            }
        }
    });
}

#[test]
fn a_topic_that_finds_no_room_is_not_created_and_can_be_later() {
    for seed in 0..3 {
        let sim = Sim::new(seed);
        let node = sim.run(|io| async move { Rc::new(Node::start(io, 2).await) });
        let fault = Fault::eio(Op::Open, "topics").with_kind(kolk_io::sim::FaultKind::Errno(28));
        sim.inject(fault.after(3).for_ever());
        let own = Rc::clone(&node);
        sim.run(move |_| async move {
            let refused = own.create_with("web", 8, Overrides::topic()).await;
            assert_eq!(code(refused), ErrorCode::StorageFull);
            for shard in &own.shards {
                assert!(shard.metadata().topic_named("web").is_none());
            }
        });
        sim.clear_faults();
        sim.run(move |_| async move {
            let topic = node.create("web", 8).await;
            produce(node.shard(0), at(topic, 7), &["x"]).await.unwrap();
        });
    }
}

#[test]
fn a_catalogue_that_finds_no_room_refuses_and_recovers() {
    let sim = Sim::new(1);
    let node = sim.run(|io| async move { Rc::new(Node::start(io, 2).await) });
    let full = Fault::eio(Op::Write, "catalogue").with_kind(kolk_io::sim::FaultKind::Errno(28));
    sim.inject(full.for_ever());
    let own = Rc::clone(&node);
    sim.run(move |_| async move {
        let refused = own.create_with("web", 2, Overrides::topic()).await;
        assert_eq!(code(refused), ErrorCode::StorageFull);
        assert_eq!(code(own.shard(1).assign_producer_id().await), ErrorCode::StorageFull);
    });
    sim.clear_faults();
    sim.run(move |_| async move {
        node.create("web", 2).await;
        node.shard(1).assign_producer_id().await.unwrap();
    });
}

#[test]
fn a_catalogue_in_doubt_is_changed_no_more_and_the_rest_serves_on() {
    for seed in 0..3 {
        let sim = Sim::new(seed);
        let node = sim.run(|io| async move {
            let node = Rc::new(Node::start(io, 2).await);
            node.create("before", 2).await;
            node
        });
        sim.inject(Fault::eio(Op::SyncDir, "meta"));
        sim.run(move |_| async move {
            let refused = node.create_with("doubt", 2, Overrides::topic()).await;
            assert_eq!(code(refused), ErrorCode::KafkaStorageError);
            let refused = node.create_with("after", 2, Overrides::topic()).await;
            assert_eq!(code(refused), ErrorCode::KafkaStorageError);
            let topic = node.shard(0).metadata().topic_named("before").unwrap().id;
            produce(node.shard(0), at(topic, 1), &["x"]).await.unwrap();
        });
        Sim::with_disk(sim.crash(), seed).run(|io| async move {
            let node = Node::start(io, 2).await;
            // Either catalogue may be there, each whole.
            let names = node.shard(0).metadata().topics().len();
            assert!((1..=2).contains(&names));
            if let Some(topic) = node.shard(0).metadata().topic_named("doubt") {
                produce(node.shard(0), at(topic.id, 1), &["x"]).await.unwrap();
            }
            node.create("after", 2).await;
        });
    }
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut disk = SimDisk::new();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..4 {
        let sim = Sim::with_disk(disk, seed);
        let given = sim.run(|io| async move {
            let node = Node::start(io, 3).await;
            let mut given = Vec::new();
            for round in 0..1_100 {
                let assigned = node.shard(round % 3).assign_producer_id().await.unwrap();
                given.push(assigned.id.get());
            }
            given
        });
        for id in given {
            assert!(seen.insert(id), "id {id} came twice");
        }
        disk = sim.crash();
    }
}

#[test]
fn all_shards_tell_what_they_count() {
    check(3, |node| async move {
        let topic = node.create("web", 6).await;
        for partition in 0..6 {
            produce(node.shard(1), at(topic, partition), &["x"]).await.unwrap();
        }
        let stats = node.shard(1).describe_stats().await.unwrap();
        let shards: Vec<_> =
            stats.snapshots.iter().map(kolk_metric::shard::MetricsSnapshot::shard).collect();
        assert_eq!(shards, [0, 1, 2]);
        let appends: u64 = stats.snapshots.iter().map(|s| s.total("kolk_log_appends_total")).sum();
        assert_eq!(appends, 6);
        let rows: Vec<_> =
            stats.partitions.iter().map(|row| (row.partition, row.high_watermark)).collect();
        assert_eq!(rows, (0..6).map(|partition| (partition, 1)).collect::<Vec<_>>());
        assert!(stats.partitions.iter().all(|row| row.topic == "web" && row.offline == 0));
    });
}

#[test]
fn a_damaged_partition_is_offline_on_every_shard_and_alone() {
    let sim = Sim::new(4);
    sim.run(|io| async move {
        let node = Node::start(io, 2).await;
        let topic = node.create("web", 4).await;
        for partition in 0..4 {
            for _ in 0..3 {
                produce(node.shard(0), at(topic, partition), &[&"x".repeat(3_000)]).await.unwrap();
            }
        }
        node.stop().await;
    });
    let mut disk = sim.kill();
    let files = disk.files();
    let log = files.iter().find(|path| path.ends_with("/1/00000000000000000000.log")).unwrap();
    assert!(disk.rot(log, 5_000, 8));
    Sim::with_disk(disk, 5).run(|io| async move {
        let node = Node::start(io, 2).await;
        let topic = node.shard(0).metadata().topic_named("web").unwrap().id;
        let answer = node.shard(0).fetch(fetch_op(&[(at(topic, 1), 1)], Duration::ZERO)).await;
        assert_eq!(answer[0].result.as_ref().unwrap_err().code, ErrorCode::PartitionDamaged);
        node.io.sleep(Duration::from_millis(100)).await;
        for shard in &node.shards {
            for partition in 0..4 {
                let offline =
                    shard.metadata().offline(at(topic, partition)).map(|refusal| refusal.code);
                assert_eq!(offline, (partition == 1).then_some(ErrorCode::PartitionDamaged));
                let produced = produce(shard, at(topic, partition), &["x"]).await;
                assert_eq!(produced.is_err(), partition == 1, "{produced:?}");
            }
        }
    });
}

#[test]
fn a_partition_that_is_created_late_goes_with_its_topic() {
    let mut created = 0;
    for step in 0..60 {
        let sim = Sim::new(step);
        let node = sim.run(|io| async move { Rc::new(Node::start(io, 1).await) });
        let own = Rc::clone(&node);
        let topic = sim.run(move |_| async move { own.create("web", 1).await });
        let full = kolk_io::sim::FaultKind::Errno(28);
        sim.inject(Fault::eio(Op::Open, "/1/").with_kind(full).for_ever());
        let own = Rc::clone(&node);
        let started = sim.run(move |io| async move {
            let refused = own.shard(0).add_partitions(more(topic, 2)).await;
            assert_eq!(code(refused), ErrorCode::StorageFull);
            io.now()
        });
        sim.clear_faults();
        let own = Rc::clone(&node);
        let in_time = sim.run(move |io| async move {
            // Housekeeping begins to create what is missing, and the topic goes meanwhile.
            let missing = || own.shard(0).state.missing.borrow().contains_key(&at(topic, 1));
            while own.shard(0).state.storage.log(at(topic, 1)).is_none() && missing() {
                assert!(io.now() < started + Duration::from_secs(5));
                io.sleep(Duration::from_micros(1 + step)).await;
            }
            let in_time = missing();
            own.shard(0).delete_topic(topic).await.unwrap();
            io.sleep(Duration::from_secs(3)).await;
            in_time
        });
        created += u32::from(in_time);
        sim.run(move |_| async move {
            let state = &node.shard(0).state;
            assert!(state.storage.log(at(topic, 1)).is_none(), "step {step}: it lives on");
            assert!(state.hosted.borrow().is_empty() && state.missing.borrow().is_empty());
        });
        let files = sim.with_disk_mut(|disk| disk.files());
        assert!(files.iter().all(|name| !name.starts_with("/d/topics/")), "{files:?}");
    }
    assert!(created > 10, "the topic went in time in {created} of 60 runs");
}
