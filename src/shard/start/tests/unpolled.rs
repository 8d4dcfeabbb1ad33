//! Requests that are begun and then looked at no more, as those behind a reply that the client does not read:
//! nobody else waits for them.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use kolk_coord::group::ids::GroupId;

use super::*;

/// Begins a request as a connection does.
fn begin<T>(request: Pin<&mut impl Future<Output = T>>) {
    assert!(request.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// What a request gives that gets a few seconds.
async fn soon<T>(io: &SimIo, what: &str, request: impl Future<Output = T>) -> T {
    let (mut request, mut over) = (pin!(request), pin!(io.sleep(Duration::from_secs(10))));
    std::future::poll_fn(|cx| {
        if let Poll::Ready(value) = request.as_mut().poll(cx) {
            return Poll::Ready(value);
        }
        assert!(over.as_mut().poll(cx).is_pending(), "{what} waits for a request of another");
        Poll::Pending
    })
    .await
}

#[test]
fn one_who_asks_for_producer_ids_holds_up_nobody() {
    check(2, |node| async move {
        for shard in &node.shards {
            let mut first = Box::pin(shard.assign_producer_id());
            begin(first.as_mut());
            let other = soon(&node.io, "a producer", shard.assign_producer_id()).await.unwrap();
            assert_ne!(soon(&node.io, "the first", first).await.unwrap(), other);
        }
    });
}

#[test]
fn one_who_needs_the_offsets_topic_first_holds_up_nobody() {
    check(2, |node| async move {
        let group = GroupId::new("g");
        for shard in &node.shards {
            let mut first = Box::pin(shard.find_group(&group));
            let begun = first.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(begun.is_pending(), shard.id() == CONTROLLER);
            let other = soon(&node.io, "a member", shard.find_group(&group)).await.unwrap();
            assert!(usize::from(other.get()) < node.shards.len());
        }
    });
}

/// A log of many segments, and a trim of all of it that is looked at until the first segment is given up.
async fn trimming(
    node: &Node,
) -> (TopicPartition, Pin<Box<dyn Future<Output = Result<Offset, Refusal>>>>) {
    let topic = node.create_with("web", 1, overrides(&[("segment.bytes", "65536")])).await;
    let id = at(topic.unwrap(), 0);
    fill(node, id, 60).await;
    let log = node.shard(0).state.partition(id).unwrap().borrow().log().clone();
    let segments = log.segment_count();
    assert!(segments > 5, "{segments} segments");
    let mut trim = Box::pin(node.shard(0).trim(id, None));
    while log.segment_count() == segments {
        begin(trim.as_mut());
        node.io.yield_now().await;
    }
    (id, trim)
}

async fn fill(node: &Node, id: TopicPartition, records: usize) {
    let text = "x".repeat(10_000);
    for _ in 0..records {
        produce(node.shard(0), id, &[&text]).await.unwrap();
    }
}

/// The segments of a partition's log: as the log knows them, and as files.
async fn segments(node: &Node, id: TopicPartition) -> (usize, usize) {
    let log = node.shard(0).state.partition(id).unwrap().borrow().log().clone();
    let dir = Path::new(DIR).join("topics").join(id.topic.to_string());
    let dir = dir.join(id.partition.to_string());
    let files = node.io.list_dir(&dir).await.unwrap();
    (log.segment_count(), files.iter().filter(|file| file.name.ends_with(".log")).count())
}

#[test]
fn one_who_trims_a_log_holds_up_no_append() {
    check(1, |node| async move {
        let (id, trim) = trimming(&node).await;
        soon(&node.io, "an append", fill(&node, id, 30)).await;
        assert_eq!(trim.await.unwrap(), Offset::new(60));
    });
}

#[test]
fn a_trim_goes_on_when_nobody_waits_for_it_any_more() {
    check(1, |node| async move {
        let (id, trim) = trimming(&node).await;
        drop(trim);
        node.io.sleep(Duration::from_secs(10)).await;
        assert_eq!(segments(&node, id).await, (1, 1));
    });
}
