//! Counting clients over all shards.

use std::future::Future;
use std::net::IpAddr;
use std::rc::Rc;

use kolk_io::door::Io;

use crate::message::{Reply, Request};
use crate::metadata::CONTROLLER;
use crate::request::{CrowdLimits, Crowded};
use crate::shard::{Shard, ask};
use crate::state::{NOBODY, ShardState};

/// A client that counts. Dropping it counts it out.
pub struct Entry<I: Io> {
    state: Rc<ShardState<I>>,
    address: IpAddr,
}

impl<I: Io> Shard<I> {
    /// Counts a client in, over all shards of the node. `Err` when there are too many; `Ok(None)` when that is
    /// not known, because the shard that counts does not answer.
    ///
    /// To be waited for to its end: a future that is dropped may leave its client counted for ever.
    pub fn enter(
        &self,
        address: IpAddr,
        limits: CrowdLimits,
    ) -> impl Future<Output = Result<Option<Entry<I>>, Crowded>> + use<I> {
        let state = Rc::clone(&self.state);
        async move {
            let entered = if state.id == CONTROLLER {
                state.census.borrow_mut().enter(address, limits)
            } else {
                match ask(&state, CONTROLLER, Request::Enter { address, limits }).await {
                    Ok(Reply::Entered(entered)) => entered,
                    _ => return Ok(None),
                }
            };
            entered.map(|()| Some(Entry { state, address }))
        }
    }
}

impl<I: Io> Drop for Entry<I> {
    fn drop(&mut self) {
        let Self { state, address } = self;
        if state.id == CONTROLLER {
            state.census.borrow_mut().leave(*address);
        } else {
            state.ask(CONTROLLER, NOBODY, Request::Leave { address: *address });
        }
    }
}
