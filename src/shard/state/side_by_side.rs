//! Runs one piece of work for each of many things, a few at a time, as tasks of the shard.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;

use kolk_io::door::Io;

use crate::state::bell::Bell;

struct Shared<T, W> {
    things: RefCell<VecDeque<T>>,
    work: W,
    running: Cell<usize>,
    done: Bell,
}

/// Works on every thing, at most `tasks` at a time; returns when all are done. What was begun goes on when
/// this future is dropped.
pub(crate) async fn side_by_side<I: Io, T: 'static, F: Future<Output = ()> + 'static>(
    io: &I,
    things: Vec<T>,
    tasks: usize,
    work: impl Fn(T) -> F + 'static,
) {
    let tasks = tasks.min(things.len());
    let shared = Rc::new(Shared {
        things: RefCell::new(things.into()),
        work,
        running: Cell::new(tasks),
        done: Bell::default(),
    });
    for _ in 0..tasks {
        let own = Rc::clone(&shared);
        io.spawn(async move {
            loop {
                let next = own.things.borrow_mut().pop_front();
                let Some(thing) = next else { break };
                (own.work)(thing).await;
            }
            own.running.set(own.running.get() - 1);
            own.done.ring();
        });
    }
    shared.done.until(|| (shared.running.get() == 0).then_some(())).await;
}
