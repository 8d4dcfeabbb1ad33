//! Small programs over the lock-free code of kolk-io, run through every order of their events. A value or a wake that is lost
//! shows as a wrong count or as threads that all wait for ever, with the order that led there.
#![allow(dead_code, reason = "the files under test hold more than the models call")]

#[path = "../../src/io/channel.rs"]
mod channel;
#[path = "../../src/io/uring/runtime/incoming.rs"]
mod incoming;
mod sync;

use std::sync::atomic::{AtomicU64, Ordering};

use loom::future::block_on;
use loom::sync::{Arc, Notify};
use loom::thread;

use channel::{Closed, pair};
use incoming::Incoming;

fn main() {
    explore("values pass a full channel in order", values_pass_a_full_channel_in_order);
    explore("a sender that goes ends the stream", a_sender_that_goes_ends_the_stream);
    explore("a receiver that goes wakes the sender", a_receiver_that_goes_wakes_the_sender);
    explore("an executor hears what two threads push", an_executor_hears_what_is_pushed);
}

fn explore(name: &str, model: fn()) {
    static ORDERS: AtomicU64 = AtomicU64::new(0);
    ORDERS.store(0, Ordering::Relaxed);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        ORDERS.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("{name}: {} orders", ORDERS.load(Ordering::Relaxed));
}

fn values_pass_a_full_channel_in_order() {
    let (sender, receiver) = pair(1);
    let sending = thread::spawn(move || {
        block_on(async {
            for value in 0..2 {
                assert_eq!(sender.send(value).await, Ok(()));
            }
        });
        // Kept until both were taken, so that only the values wake the receiver.
        sender
    });
    for value in 0..2 {
        assert_eq!(block_on(receiver.recv()), Some(value));
    }
    drop(sending.join().expect("the sender ends"));
}

fn a_sender_that_goes_ends_the_stream() {
    let (sender, receiver) = pair(2);
    let sending = thread::spawn(move || {
        assert!(sender.try_send(1).is_ok());
        drop(sender);
    });
    assert_eq!(block_on(receiver.recv()), Some(1));
    assert_eq!(block_on(receiver.recv()), None);
    sending.join().expect("the sender ends");
}

fn a_receiver_that_goes_wakes_the_sender() {
    let (sender, receiver) = pair(1);
    assert!(sender.try_send(1).is_ok());
    let receiving = thread::spawn(move || drop(receiver));
    // Room made by the drop may be taken before the sender sees that nobody reads any more.
    let sent = block_on(sender.send(2));
    assert!(matches!(sent, Ok(()) | Err(Closed(2))));
    receiving.join().expect("the receiver ends");
    assert_eq!(block_on(sender.send(3)), Err(Closed(3)));
}

fn an_executor_hears_what_is_pushed() {
    let (incoming, eventfd) = (Arc::new(Incoming::new()), Arc::new(Notify::new()));
    let pushing: Vec<_> = (0..2)
        .map(|value| {
            let (incoming, eventfd) = (Arc::clone(&incoming), Arc::clone(&eventfd));
            thread::spawn(move || {
                if incoming.push(value) {
                    eventfd.notify();
                }
            })
        })
        .collect();
    let mut taken = 0;
    while taken < 2 {
        if incoming.pop().is_some() {
            taken += 1;
        } else if incoming.fall_asleep() {
            eventfd.wait();
            incoming.wake_up();
        }
    }
    assert!(incoming.is_empty());
    for thread in pushing {
        thread.join().expect("it ends");
    }
}
