//! A node on real executors: threads, io_uring, a directory on disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tempfile::TempDir;

use kolk_io::uring::shard::{ShardSpec, spawn_shard};
use kolk_io::uring::uring_io::UringIo;

use super::*;
use crate::mesh::Seat;

/// A directory where direct I/O works: beside the test's own binary, never on a memory file system.
fn directory() -> TempDir {
    let binary = std::env::current_exe().unwrap();
    tempfile::tempdir_in(binary.parent().unwrap()).unwrap()
}

/// What each shard does, and what it gives back before it stops.
type Scene<T> = fn(Shard<UringIo>) -> std::pin::Pin<Box<dyn Future<Output = T>>>;

/// Runs a node of `shards` executors over a directory; gives what each shard's scene gave.
fn run_node<T: Send + 'static>(dir: &Path, shards: u16, scene: Scene<T>) -> Vec<T> {
    let path = dir.to_path_buf();
    let recovered = spawn_shard(ShardSpec::new("recover"), move |io| async move {
        let log = settings().log;
        let plan = StartPlan { dir: &path, shards, log: &log, boot: 1, accept_loss: false };
        recover(&io, &plan).await.unwrap()
    })
    .unwrap()
    .join()
    .unwrap();
    let ended = Arc::new(AtomicU16::new(0));
    let start = |(part, seat): (ShardPart, Seat)| {
        let ended = Arc::clone(&ended);
        let name = format!("shard-{}", part.shard());
        spawn_shard(ShardSpec::new(&name), move |io| async move {
            let metrics = Rc::new(ShardMetrics::new(part.shard().get()));
            let shard = Shard::open(io, part, settings(), metrics).await.unwrap();
            seat.connect(&shard);
            let found = in_time(shard.io().clone(), scene(shard.clone())).await;
            // A shard that is gone answers nobody: as in a broker all of them stop together.
            ended.fetch_add(1, Ordering::Relaxed);
            while ended.load(Ordering::Relaxed) < shards {
                shard.io().sleep(Duration::from_millis(1)).await;
            }
            shard.stop().await.unwrap();
            found
        })
        .unwrap()
    };
    let running: Vec<_> = recovered.parts.into_iter().zip(seats(shards, 8)).map(start).collect();
    running.into_iter().map(|shard| shard.join().unwrap()).collect()
}

/// A shard that waits for another one, which a failed assertion has ended, must not hang the test.
async fn in_time<T>(io: UringIo, scene: impl Future<Output = T>) -> T {
    let mut scene = std::pin::pin!(scene);
    let mut over = std::pin::pin!(io.sleep(Duration::from_mins(2)));
    std::future::poll_fn(|cx| {
        assert!(over.as_mut().poll(cx).is_pending(), "a shard waits for ever");
        scene.as_mut().poll(cx)
    })
    .await
}

const RECORDS: u64 = 400;

/// Waits until the topic that shard 0 creates is known here and all its owners have their logs.
async fn topic_on(shard: &Shard<UringIo>) -> TopicId {
    if shard.id() == CONTROLLER && shard.metadata().topic_named("web").is_none() {
        let op = CreateTopicOp {
            name: TopicName::new("web").unwrap(),
            partitions: Some(6),
            config: Overrides::topic(),
            intent: Intent::Carry,
        };
        shard.create_topic(op).await.unwrap();
    }
    loop {
        let found = shard.metadata().topic_named("web").map(|topic| topic.id);
        if let Some(topic) = found {
            let description = shard.describe_topic(topic).await.unwrap();
            if description.partitions.iter().all(|partition| partition.refusal.is_none()) {
                return topic;
            }
        }
        shard.io().sleep(Duration::from_millis(1)).await;
    }
}

/// From each shard, produces to every partition and reads everything back, its own records and the others'.
fn mixed(shard: Shard<UringIo>) -> std::pin::Pin<Box<dyn Future<Output = (u64, u64)>>> {
    Box::pin(async move {
        let topic = topic_on(&shard).await;
        let mut waiting = VecDeque::new();
        for n in 0..RECORDS {
            let partition = u32::try_from(n % 6).unwrap();
            let batch = text_batch(&[&format!("{}-{n}", shard.id())]);
            let produced = shard.produce(produce_op(at(topic, partition), batch));
            waiting.push_back(async move { produced.await.unwrap() });
            if waiting.len() == 50 {
                waiting.pop_front().unwrap().await;
            }
        }
        for produced in waiting {
            produced.await;
        }
        let mut read = 0;
        let expected = RECORDS * 3;
        let mut next = [0; 6];
        while read < expected {
            let wanted: Vec<_> =
                (0..6u32).zip(next).map(|(p, offset)| (at(topic, p), offset)).collect();
            let answer = shard.fetch(fetch_op(&wanted, Duration::from_secs(10))).await;
            for (slot, next) in answer.iter().zip(&mut next) {
                for (offset, _) in texts(slot) {
                    if offset < *next {
                        continue;
                    }
                    assert_eq!(offset, *next, "a gap");
                    *next += 1;
                    read += 1;
                }
            }
        }
        let requests = &shard.metrics().requests;
        (requests.forwarded(), requests.mesh_batches.get())
    })
}

/// Counts the records of every partition.
fn count(shard: Shard<UringIo>) -> std::pin::Pin<Box<dyn Future<Output = u64>>> {
    Box::pin(async move {
        let topic = topic_on(&shard).await;
        let mut ends = 0;
        for partition in 0..6 {
            let listed = shard.list_offset(at(topic, partition), crate::request::OffsetPlace::End);
            ends += listed.await.unwrap().offset.unwrap().get();
        }
        ends
    })
}

#[test]
fn three_executors_serve_each_others_partitions_and_a_fourth_joins_later() {
    let dir = directory();
    for (forwarded, batches) in run_node(dir.path(), 3, mixed) {
        assert!(forwarded >= RECORDS / 2, "{forwarded} requests forwarded");
        assert!(batches > 0);
    }
    assert_eq!(run_node(dir.path(), 4, count), [RECORDS * 3; 4]);
}
