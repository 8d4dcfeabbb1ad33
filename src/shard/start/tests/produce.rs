//! Producing from any shard to any partition.

use super::*;

#[test]
fn every_shard_produces_to_every_partition() {
    check(4, |node| async move {
        let topic = node.create("web", 8).await;
        for partition in 0..8 {
            for (base, shard) in (0..).zip(&node.shards) {
                let text = format!("{partition}/{base}");
                let produced = produce(shard, at(topic, partition), &[&text]).await.unwrap();
                assert_eq!(produced.base_offset.get(), base);
            }
        }
        for partition in 0..8 {
            let read = read_all(node.shard(3), at(topic, partition)).await;
            let expected: Vec<_> =
                (0..4).map(|base| (base, format!("{partition}/{base}"))).collect();
            assert_eq!(read, expected);
        }
        for shard in &node.shards {
            let requests = &shard.metrics().requests;
            assert_eq!((requests.own.get() >= 2, requests.forwarded() >= 6), (true, true));
        }
        assert_eq!(node.waiting(), 0, "somebody still waits");
    });
}

#[test]
fn requests_of_one_shard_to_one_partition_keep_their_order_and_share_messages() {
    check(3, |node| async move {
        let topic = node.create("web", 3).await;
        for partition in 0..3 {
            let answers: Vec<_> = (0..50)
                .map(|n| {
                    let text = n.to_string();
                    node.shard(0).produce(produce_op(at(topic, partition), text_batch(&[&text])))
                })
                .collect();
            for (n, answer) in (0..).zip(answers) {
                assert_eq!(answer.await.unwrap().base_offset.get(), n);
            }
        }
        let requests = &node.shard(0).metrics().requests;
        assert_eq!((requests.own.get(), requests.forwarded()), (50, 100));
        let batches = requests.mesh_batches.get();
        assert!(batches < 20, "{batches} messages for 100 requests made in two turns");
    });
}

#[test]
fn partitions_that_do_not_exist_are_refused_wherever_they_would_be() {
    check(3, |node| async move {
        let topic = node.create("web", 3).await;
        for partition in 3..6 {
            let refused = produce(node.shard(1), at(topic, partition), &["x"]).await;
            assert_eq!(code(refused), ErrorCode::UnknownTopicOrPartition);
            let other = at(TopicId::from_random(1, 1), partition);
            assert_eq!(
                code(produce(node.shard(1), other, &["x"]).await),
                ErrorCode::UnknownTopicId
            );
        }
        assert_eq!(node.waiting(), 0);
    });
}

#[test]
fn a_refusal_crosses_the_mesh_with_all_it_says() {
    check(2, |node| async move {
        let topic = node.create("web", 2).await;
        for partition in 0..2 {
            produce(node.shard(0), at(topic, partition), &["a", "b"]).await.unwrap();
            let op = ProduceOp {
                expected_next_offset: Some(Offset::new(7)),
                ..produce_op(at(topic, partition), text_batch(&["x"]))
            };
            let refusal = node.shard(0).produce(op).await.unwrap_err();
            assert_eq!(refusal.code, ErrorCode::WrongNextOffset);
            assert_eq!(refusal.end_offset, Some(Offset::new(2)));
            assert!(refusal.detail.contains('7'), "{refusal}");
        }
    });
}

#[test]
fn a_retry_through_another_shard_is_a_duplicate() {
    check(3, |node| async move {
        let topic = node.create("web", 1).await;
        for (n, shard) in (0..).zip(&node.shards) {
            let batch = batch_of(5, 0, &["once"]);
            let produced = shard.produce(produce_op(at(topic, 0), batch)).await.unwrap();
            assert_eq!((produced.base_offset.get(), produced.duplicate), (0, n > 0));
        }
    });
}

#[test]
fn bytes_beyond_the_budget_are_refused_or_waited_for() {
    Sim::new(1).run(|io| async move {
        let settings = ShardSettings { produce_bytes_max: 1_000, ..settings() };
        let node = Node::start_with(io, 2, settings).await;
        let topic = node.create("web", 2).await;
        for partition in 0..2 {
            let text = "x".repeat(800);
            let op = || produce_op(at(topic, partition), text_batch(&[&text]));
            let first = node.shard(0).produce(op());
            assert_eq!(code(node.shard(0).produce(op()).await), ErrorCode::Overloaded);
            let room = node.shard(0).produce_room(800);
            first.await.unwrap();
            room.await;
            node.shard(0).produce(op()).await.unwrap();
        }
    });
}

#[test]
fn a_batch_behind_one_that_was_refused_on_the_way_is_not_stored_before_it() {
    Sim::new(1).run(|io| async move {
        let settings = ShardSettings { produce_bytes_max: 1_000, ..settings() };
        let node = Node::start_with(io, 2, settings).await;
        let topic = node.create("web", 2).await;
        for partition in 0..2 {
            let large = produce_op(at(topic, partition), text_batch(&[&"x".repeat(900)]));
            let send = |sequence, text| {
                let batch = batch_of(5, sequence, &[text]);
                node.shard(0).produce(produce_op(at(topic, partition), batch))
            };
            let full = node.shard(0).produce(large);
            assert_eq!(code(send(0, "first").await), ErrorCode::Overloaded);
            full.await.unwrap();
            assert_eq!(code(send(1, "second").await), ErrorCode::OutOfOrderSequence);
            assert_eq!(send(0, "first").await.unwrap().base_offset.get(), 1);
            assert_eq!(send(1, "second").await.unwrap().base_offset.get(), 2);
        }
        assert_eq!(node.waiting(), 0);
        assert!(node.shards.iter().flat_map(|s| &s.state.lanes).all(|l| l.turned_away.used() == 0));
    });
}

#[test]
fn bytes_of_a_client_that_went_away_count_until_they_are_answered() {
    Sim::new(1).run(|io| async move {
        let settings = ShardSettings { produce_bytes_max: 1_000, ..settings() };
        let node = Node::start_with(io, 2, settings).await;
        let topic = node.create("web", 2).await;
        for partition in 0..2 {
            let text = "x".repeat(800);
            let op = || produce_op(at(topic, partition), text_batch(&[&text]));
            drop(node.shard(0).produce(op()));
            assert_eq!(code(node.shard(0).produce(op()).await), ErrorCode::Overloaded);
            node.shard(0).produce_room(800).await;
            node.shard(0).produce(op()).await.unwrap();
            assert_eq!(read_all(node.shard(0), at(topic, partition)).await.len(), 2);
        }
        assert_eq!((node.waiting(), node.shard(0).state.budget.used()), (0, 0));
    });
}

#[test]
fn more_waiting_requests_than_allowed_are_refused() {
    Sim::new(1).run(|io| async move {
        let node = Node::start_with(io, 2, settings()).await;
        let topic = node.create("web", 2).await;
        node.stop().await;
        let settings = ShardSettings { waiters_max: 8, ..self::settings() };
        let node = Node::start_with(node.io.clone(), 2, settings).await;
        for partition in 0..2 {
            let answers: Vec<_> = (0..20)
                .map(|_| {
                    node.shard(0).produce(produce_op(at(topic, partition), text_batch(&["x"])))
                })
                .collect();
            let (mut taken, mut refused) = (0, 0);
            for answer in answers {
                match answer.await {
                    Ok(_) => taken += 1,
                    Err(refusal) => {
                        assert_eq!(refusal.code, ErrorCode::Overloaded);
                        refused += 1;
                    }
                }
            }
            assert_eq!((taken, refused), (8, 12));
        }
        assert_eq!(node.waiting(), 0);
    });
}

#[test]
fn a_dropped_request_is_carried_out_and_leaves_nothing_behind() {
    check(2, |node| async move {
        let topic = node.create("web", 2).await;
        for partition in 0..2 {
            drop(node.shard(0).produce(produce_op(at(topic, partition), text_batch(&["dropped"]))));
            produce(node.shard(0), at(topic, partition), &["kept"]).await.unwrap();
            let read = read_all(node.shard(0), at(topic, partition)).await;
            assert_eq!(read, [(0, "dropped".to_owned()), (1, "kept".to_owned())]);
        }
        assert_eq!(node.waiting(), 0);
        assert_eq!(node.shard(0).state.budget.used(), 0);
    });
}
