//! Compacted topics: the shard finds what to compact by itself, and producers notice nothing of it.

use kolk_io::door::Io;
use kolk_model::batch::ProducerStamp;

use super::*;
use crate::request::OffsetPlace;

const SETTINGS: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "65536"),
    ("min.cleanable.dirty.ratio", "0.2"),
    ("delete.retention.ms", "60000"),
];

fn config(more: &[(&str, &str)]) -> Overrides {
    overrides(&[&SETTINGS[..], more].concat())
}

fn keyed(io: &SimIo, records: &[(&str, Option<&[u8]>)], producer: Option<(u64, u32)>) -> Bytes {
    let mut builder = BatchBuilder::new();
    let now = TimestampMs::new(io.wall_clock().as_ms());
    for (key, value) in records {
        builder.append(now, Some(key.as_bytes()), *value, &[]).unwrap();
    }
    if let Some((id, sequence)) = producer {
        builder.set_producer(ProducerStamp {
            id: ProducerId::new(id),
            epoch: ProducerEpoch::new(0),
            base_sequence: Sequence::new(sequence),
        });
    }
    builder.build(Compression::None).unwrap()
}

/// Keys and values as a consumer sees them from the beginning, newest last.
async fn read_keys(node: &Node, partition: TopicPartition) -> Vec<(String, Option<usize>)> {
    let listed = node.shard(0).list_offset(partition, OffsetPlace::Beginning).await;
    let (mut from, mut found) = (listed.unwrap().offset.unwrap().get(), Vec::new());
    loop {
        let answer = node.shard(0).fetch(fetch_op(&[(partition, from)], Duration::ZERO)).await;
        let read = answer[0].result.as_ref().unwrap().concat();
        if read.is_empty() {
            return found;
        }
        for batch in batches(&read) {
            let batch = batch.unwrap();
            from = batch.next_offset().get();
            for record in kolk_model::records::Records::of(&batch).unwrap() {
                let record = record.unwrap();
                let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                found.push((key, record.value.map(<[u8]>::len)));
            }
        }
    }
}

async fn fill(node: &Node, partition: TopicPartition, rounds: usize) {
    for round in 0..rounds {
        for key in ["a", "b", "c"] {
            let value = vec![b'x'; 3_000 + round];
            let batch = keyed(&node.io, &[(key, Some(&value))], None);
            node.shard(1).produce(produce_op(partition, batch)).await.unwrap();
        }
    }
}

#[test]
fn old_records_of_a_key_go_by_themselves() {
    check(2, |node| async move {
        let topic = node.create_with("web", 1, config(&[])).await.unwrap();
        let partition = at(topic, 0);
        fill(&node, partition, 60).await;
        let gone = keyed(&node.io, &[("b", None)], None);
        node.shard(0).produce(produce_op(partition, gone)).await.unwrap();
        fill(&node, partition, 1).await;
        assert_eq!(read_keys(&node, partition).await.len(), 184);
        node.io.sleep(Duration::from_secs(40)).await;
        let left = read_keys(&node, partition).await;
        assert!(left.len() < 70, "{} records are left", left.len());
        for key in ["a", "b", "c"] {
            let newest = left.iter().rfind(|(found, _)| found == key);
            assert_eq!(newest, Some(&(key.to_owned(), Some(3_000))));
        }
    });
}

#[test]
fn compact_and_delete_does_both() {
    check(2, |node| async move {
        let more = [("cleanup.policy", "compact,delete"), ("retention.ms", "90000")];
        let topic = node.create_with("web", 1, config(&more)).await.unwrap();
        let partition = at(topic, 0);
        fill(&node, partition, 60).await;
        node.io.sleep(Duration::from_secs(40)).await;
        assert!(read_keys(&node, partition).await.len() < 70);
        node.io.sleep(Duration::from_secs(80)).await;
        fill(&node, partition, 8).await;
        node.io.sleep(Duration::from_secs(20)).await;
        let listed = node.shard(0).list_offset(partition, OffsetPlace::Beginning).await;
        assert!(listed.unwrap().offset.unwrap().get() > 100, "old segments are deleted");
        assert!(read_keys(&node, partition).await.len() >= 3);
    });
}

#[test]
fn a_topic_that_is_not_compacted_keeps_everything() {
    check(2, |node| async move {
        let topic = node.create_with("web", 1, config(&[("cleanup.policy", "delete")])).await;
        let partition = at(topic.unwrap(), 0);
        fill(&node, partition, 40).await;
        node.io.sleep(Duration::from_secs(60)).await;
        assert_eq!(read_keys(&node, partition).await.len(), 120);
    });
}

#[test]
fn sequences_survive_compaction_and_a_kill() {
    for seed in 0..6 {
        let sim = Sim::new(seed);
        sim.run(|io| async move {
            let node = Node::start(io, 2).await;
            let topic = node.create_with("web", 1, config(&[])).await.unwrap();
            for sequence in 0..7 {
                let batch = keyed(&node.io, &[("p", Some(&[1; 100]))], Some((7, sequence)));
                node.shard(0).produce(produce_op(at(topic, 0), batch)).await.unwrap();
            }
            fill(&node, at(topic, 0), 60).await;
            let batch = keyed(&node.io, &[("p", Some(&[2; 100]))], None);
            node.shard(0).produce(produce_op(at(topic, 0), batch)).await.unwrap();
            node.io.sleep(Duration::from_secs(40)).await;
            assert!(read_keys(&node, at(topic, 0)).await.len() < 70);
            // Without a snapshot the log alone tells the next run.
            let owner = node.shard(node.shard(0).metadata().owner(at(topic, 0)).get());
            let log = owner.state.partition(at(topic, 0)).unwrap().borrow().log().clone();
            let snapshot = log.dir().join("producer.snapshot");
            drop(node.io.remove_file(&snapshot).await);
            node.io.sync_dir(&log.dir()).await.unwrap();
        });
        let sim = Sim::with_disk(sim.kill(), seed);
        sim.run(|io| async move {
            let node = Node::start(io, 1).await;
            let topic = node.shard(0).metadata().topic_named("web").unwrap().id;
            let send = |sequence| {
                let batch = keyed(&node.io, &[("p", Some(&[1; 100]))], Some((7, sequence)));
                node.shard(0).produce(produce_op(at(topic, 0), batch))
            };
            for sequence in 2..7 {
                let again = send(sequence).await.unwrap();
                assert_eq!((again.duplicate, again.base_offset.get()), (true, u64::from(sequence)));
            }
            assert_eq!(code(send(9).await), ErrorCode::OutOfOrderSequence);
            assert!(!send(7).await.unwrap().duplicate);
        });
    }
}
