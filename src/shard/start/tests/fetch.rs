//! Fetching from one shard and from several, at once and after a wait.

use kolk_io::error::Op;
use kolk_io::sim::{Fault, FaultKind};

use super::*;

const LONG: Duration = Duration::from_secs(30);

/// Starts a fetch in a task of its own; its answer and the time it took come later.
fn fetching(
    node: &Rc<Node>,
    shard: u16,
    op: FetchOp,
) -> kolk_io::wait::Completion<(Vec<FetchedSlot>, Duration)> {
    let done = kolk_io::wait::Completion::new();
    let (later, own, started) = (done.clone(), Rc::clone(node), node.io.now());
    let answer = node.shard(shard).fetch(op);
    node.io.spawn(async move {
        let slots = answer.await;
        later.complete((slots, own.io.now() - started));
    });
    done
}

#[test]
fn what_is_there_is_answered_at_once_in_the_order_asked() {
    check(4, |node| async move {
        let topic = node.create("web", 8).await;
        for partition in 0..8 {
            produce(node.shard(0), at(topic, partition), &[&partition.to_string()]).await.unwrap();
        }
        for shard in &node.shards {
            let slots: Vec<_> = [3, 0, 7, 5].map(|partition| (at(topic, partition), 0)).into();
            let answer = shard.fetch(fetch_op(&slots, LONG)).await;
            let found: Vec<_> = answer.iter().map(|slot| texts(slot)[0].1.clone()).collect();
            assert_eq!(found, ["3", "0", "7", "5"]);
            for slot in &answer {
                let marks = slot.marks.unwrap();
                assert_eq!((marks.log_start.get(), marks.high_watermark.get()), (0, 1));
            }
        }
    });
}

#[test]
fn a_partition_that_is_named_again_is_refused_and_the_rest_is_read() {
    check(3, |node| async move {
        let topic = node.create("web", 4).await;
        for partition in 0..4 {
            let texts = [format!("{partition}/0"), format!("{partition}/1")];
            for text in &texts {
                produce(node.shard(0), at(topic, partition), &[text]).await.unwrap();
            }
        }
        for named in [vec![(0, 1), (0, 0)], vec![(3, 0), (1, 1), (3, 1), (1, 1), (2, 0), (3, 0)]] {
            let slots: Vec<_> =
                named.iter().map(|(partition, offset)| (at(topic, *partition), *offset)).collect();
            for shard in 0..3 {
                let (answer, took) = fetching(&node, shard, fetch_op(&slots, LONG)).await;
                assert!(took < Duration::from_secs(1), "{took:?}");
                assert_eq!(answer.len(), named.len());
                for (place, (slot, (partition, offset))) in answer.iter().zip(&named).enumerate() {
                    if named[..place].iter().any(|(before, _)| before == partition) {
                        let refusal = slot.result.as_ref().unwrap_err();
                        assert_eq!(refusal.code, ErrorCode::InvalidRequest);
                    } else {
                        assert_eq!(texts(slot)[0].1, format!("{partition}/{offset}"));
                    }
                }
            }
        }
        assert_eq!(node.waiting(), 0);
    });
}

#[test]
fn a_waiting_fetch_ends_when_a_record_comes() {
    check(3, |node| async move {
        let topic = node.create("web", 6).await;
        // Own partition, another shard's, several shards'.
        for slots in [vec![0], vec![1], vec![2], vec![0, 3], vec![0, 1, 2, 3, 4, 5]] {
            let wanted: Vec<_> =
                slots.iter().map(|partition| (at(topic, *partition), u64::MAX)).collect();
            for shard in 0..3 {
                let mut ends = Vec::new();
                for (partition, _) in &wanted {
                    let listed =
                        node.shard(shard).list_offset(*partition, crate::request::OffsetPlace::End);
                    ends.push((*partition, listed.await.unwrap().offset.unwrap().get()));
                }
                let answer = fetching(&node, shard, fetch_op(&ends, LONG));
                node.io.sleep(Duration::from_millis(50)).await;
                let last = ends.last().unwrap().0;
                produce(node.shard(1), last, &["news"]).await.unwrap();
                let (answer, took) = answer.await;
                assert_eq!(texts(answer.last().unwrap())[0].1, "news", "{slots:?}");
                assert!(took < Duration::from_secs(1), "{slots:?} took {took:?}");
            }
        }
        node.io.sleep(Duration::from_secs(60)).await;
        assert_eq!(node.waiting(), 0);
    });
}

#[test]
fn a_fetch_that_nothing_comes_for_ends_after_its_wait() {
    check(3, |node| async move {
        let topic = node.create("web", 3).await;
        for slots in [vec![0], vec![1], vec![0, 1, 2]] {
            let wanted: Vec<_> = slots.iter().map(|partition| (at(topic, *partition), 0)).collect();
            let wait = Duration::from_millis(700);
            let (answer, took) = fetching(&node, 0, fetch_op(&wanted, wait)).await;
            assert_eq!(answer.len(), slots.len());
            assert!(answer.iter().all(|slot| texts(slot).is_empty() && slot.marks.is_some()));
            assert!(took >= wait && took < wait * 2, "{took:?}");
        }
        node.io.sleep(Duration::from_millis(50)).await;
        assert_eq!(node.waiting(), 0);
    });
}

#[test]
fn a_fetch_waits_for_its_bytes_over_all_partitions() {
    check(3, |node| async move {
        let topic = node.create("web", 3).await;
        // Larger than a run of the index, so that the log counts them exactly.
        let text = "x".repeat(5_000);
        for slots in [vec![0], vec![1], vec![0, 1], vec![0, 1, 2]] {
            let mut wanted = Vec::new();
            for partition in &slots {
                let id = at(topic, *partition);
                let end = node.shard(0).list_offset(id, crate::request::OffsetPlace::End).await;
                wanted.push((id, end.unwrap().offset.unwrap().get()));
            }
            let op = FetchOp { bytes_min: 25_000, ..fetch_op(&wanted, LONG) };
            let answer = fetching(&node, 0, op);
            let mut appended = 0;
            while appended < 5 {
                node.io.sleep(Duration::from_millis(20)).await;
                let partition = slots[appended % slots.len()];
                produce(node.shard(2), at(topic, partition), &[&text]).await.unwrap();
                appended += 1;
            }
            let (answer, took) = answer.await;
            let bytes: usize =
                answer.iter().flat_map(|slot| slot.result.as_ref().unwrap()).map(Bytes::len).sum();
            assert!(bytes >= 25_000, "{slots:?}: {bytes}");
            assert!(took < Duration::from_secs(2), "{slots:?} took {took:?}");
            assert!(took >= Duration::from_millis(100), "{slots:?} took {took:?}");
        }
        node.io.sleep(Duration::from_millis(50)).await;
        assert_eq!(node.waiting(), 0);
    });
}

#[test]
fn an_error_in_one_partition_is_told_at_once() {
    check(3, |node| async move {
        let topic = node.create("web", 3).await;
        produce(node.shard(0), at(topic, 1), &["a"]).await.unwrap();
        for bad in 0..3 {
            let mut wanted: Vec<_> = (0..3).map(|partition| (at(topic, partition), 0)).collect();
            wanted[bad].1 = 99;
            let op = FetchOp { bytes_min: 1 << 20, ..fetch_op(&wanted, LONG) };
            let (answer, took) = fetching(&node, 0, op).await;
            assert!(took < Duration::from_secs(1), "{took:?}");
            for (place, slot) in answer.iter().enumerate() {
                let expected = (place == bad).then_some(ErrorCode::OffsetOutOfRange);
                assert_eq!(slot.result.as_ref().err().map(|refusal| refusal.code), expected);
            }
        }
        let nowhere = at(topic, 77);
        let (answer, _) = fetching(&node, 0, fetch_op(&[(nowhere, 0)], LONG)).await;
        assert_eq!(answer[0].result.as_ref().unwrap_err().code, ErrorCode::UnknownTopicOrPartition);
        assert!(answer[0].marks.is_none());
    });
}

#[test]
fn an_answer_keeps_its_bound_but_for_the_first_batch() {
    check(3, |node| async move {
        let topic = node.create("web", 4).await;
        let text = "x".repeat(1_000);
        for partition in 0..4 {
            for _ in 0..5 {
                produce(node.shard(0), at(topic, partition), &[&text]).await.unwrap();
            }
        }
        let one = text_batch(&[&text]).len() as u64;
        let wanted: Vec<_> = (0..3).map(|partition| (at(topic, partition), 0)).collect();
        for (bytes_max, expected) in [
            (1, [1, 0, 0]),
            (one, [1, 0, 0]),
            (3 * one + 10, [3, 0, 0]),
            (7 * one, [5, 2, 0]),
            (20 * one, [5, 5, 5]),
        ] {
            let op = FetchOp { bytes_max, ..fetch_op(&wanted, LONG) };
            let answer = node.shard(1).fetch(op).await;
            let found: Vec<_> = answer.iter().map(|slot| texts(slot).len()).collect();
            assert!(
                found[0] == expected[0]
                    && found.iter().sum::<usize>() as u64 * one <= bytes_max.max(one),
                "{bytes_max}: {found:?}"
            );
        }
        // Of one shard's partitions the bound is exact.
        let op = FetchOp {
            bytes_max: 7 * one,
            ..fetch_op(&[(at(topic, 0), 0), (at(topic, 3), 0)], LONG)
        };
        let answer = node.shard(1).fetch(op).await;
        let found: Vec<_> = answer.iter().map(|slot| texts(slot).len()).collect();
        assert_eq!(found, [5, 2]);
    });
}

#[test]
fn a_fetch_that_is_dropped_stops_waiting_everywhere() {
    check(3, |node| async move {
        let topic = node.create("web", 3).await;
        for slots in [vec![0], vec![1], vec![0, 1, 2]] {
            let wanted: Vec<_> = slots.iter().map(|partition| (at(topic, *partition), 0)).collect();
            let mut answer = Box::pin(node.shard(0).fetch(fetch_op(&wanted, LONG)));
            let mut over = Box::pin(node.io.sleep(Duration::from_millis(100)));
            std::future::poll_fn(|cx| {
                assert!(answer.as_mut().poll(cx).is_pending());
                over.as_mut().poll(cx)
            })
            .await;
            assert!(node.waiting() > 0);
            drop(answer);
            node.io.sleep(Duration::from_millis(100)).await;
            assert_eq!(node.waiting(), 0, "{slots:?}");
            for shard in &node.shards {
                for (id, hosted) in shard.state.all_hosted() {
                    assert_eq!(hosted.borrow().fetches_waiting(), 0, "{id}");
                }
            }
        }
    });
}

#[test]
fn many_consumers_of_one_partition_all_wake() {
    check(2, |node| async move {
        let topic = node.create("web", 1).await;
        let answers: Vec<_> = (0..100)
            .map(|n| fetching(&node, n % 2, fetch_op(&[(at(topic, 0), 0)], LONG)))
            .collect();
        node.io.sleep(Duration::from_millis(50)).await;
        produce(node.shard(0), at(topic, 0), &["all"]).await.unwrap();
        for answer in answers {
            let (slots, took) = answer.await;
            assert_eq!(texts(&slots[0])[0].1, "all");
            assert!(took < Duration::from_secs(1));
        }
    });
}

#[test]
fn a_fetch_without_partitions_is_answered_at_once() {
    check(2, |node| async move {
        let (answer, took) = fetching(&node, 0, fetch_op(&[], LONG)).await;
        assert!(answer.is_empty() && took < Duration::from_secs(1));
    });
}

/// A machine whose shard 0 is asked for a partition of its own that is empty, and for one of shard 1 whose records are on
/// disk alone.
fn cold_at_another_shard(seed: u64) -> (Sim, Rc<Node>, FetchOp) {
    let owned = |node: &Node, topic, shard| {
        let owner = |partition| node.shard(0).state.placement.owner(at(topic, partition)).get();
        at(topic, (0..8).find(|partition| owner(*partition) == shard).unwrap())
    };
    let sim = Sim::new(seed);
    let topic = sim.run(move |io| async move {
        let node = Node::start(io, 2).await;
        let topic = node.create("web", 8).await;
        for _ in 0..3 {
            let id = owned(&node, topic, 1);
            produce(node.shard(0), id, &[&"x".repeat(3_000)]).await.unwrap();
        }
        node.stop().await;
        topic
    });
    let sim = Sim::with_disk(sim.kill(), seed);
    let node = sim.run(|io| async move { Rc::new(Node::start(io, 2).await) });
    let slots = [(owned(&node, topic, 0), 0), (owned(&node, topic, 1), 0)];
    (sim, node, fetch_op(&slots, Duration::from_secs(20)))
}

/// Far more than a fetch that asks each shard a few times needs, and housekeeping beside it.
const STEPS_MAX: u64 = 20_000;

#[test]
fn a_fetch_does_not_spin_while_a_shard_is_late() {
    for seed in 0..3 {
        let (sim, node, op) = cold_at_another_shard(seed);
        sim.inject(Fault::eio(Op::Read, "topics/").with_kind(FaultKind::Hang).for_ever());
        let wait = op.wait_max;
        let fetched = sim.run_steps(STEPS_MAX, move |_| fetching(&node, 0, op));
        let (answer, took) = fetched.expect("it asks again and again");
        assert!(answer.iter().all(|slot| texts(slot).is_empty()));
        assert!(took >= wait && took < wait * 2, "{took:?}");
    }
}

#[test]
fn a_fetch_goes_on_when_a_late_shard_has_answered() {
    for seed in 0..3 {
        let (sim, node, op) = cold_at_another_shard(seed);
        // A read takes from 200 ms to 1.7 s.
        sim.slow_down(10_000);
        let fetched = sim.run_steps(STEPS_MAX, move |_| fetching(&node, 0, op));
        let (answer, took) = fetched.expect("it asks again and again");
        assert!(!texts(&answer[1]).is_empty());
        assert!(took > Duration::from_millis(100) && took < LONG, "{took:?}");
    }
}
