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
