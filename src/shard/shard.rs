//! A shard as a connection sees it. A cheap handle; it and its futures live on the shard's core. Every
//! request goes to the shard that owns the partition: directly if that is this one, else over the mesh.

use std::future::Future;
use std::rc::Rc;

use kolk_io::door::Io;
use kolk_io::wait::Completion;
use kolk_metric::shard::ShardMetrics;
use kolk_model::error::ErrorCode;
use kolk_model::ids::ShardId;

use crate::message::{Reply, Request};
use crate::metadata::Metadata;
use crate::request::Refusal;
use crate::settings::ShardSettings;
use crate::state::ShardState;
use crate::state::waiters::Waiting;

mod admin;
mod census;
mod fetch;
mod group;
mod lookup;
mod produce;
mod stop;

pub use census::Entry;
pub use fetch::Fetching;
pub use group::GroupsOf;
pub use produce::Producing;
pub use stop::StopError;

/// One shard.
pub struct Shard<I: Io> {
    pub(crate) state: Rc<ShardState<I>>,
}

impl<I: Io> Clone for Shard<I> {
    fn clone(&self) -> Self {
        Self { state: Rc::clone(&self.state) }
    }
}

impl<I: Io> Shard<I> {
    /// Which shard this is.
    #[must_use]
    pub fn id(&self) -> ShardId {
        self.state.id
    }

    /// The executor's door.
    #[must_use]
    pub fn io(&self) -> &I {
        &self.state.io
    }

    /// What the shard counts.
    #[must_use]
    pub fn metrics(&self) -> &Rc<ShardMetrics> {
        &self.state.metrics
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &ShardSettings {
        &self.state.settings
    }

    /// Which topics exist and who owns their partitions, as of now.
    #[must_use]
    pub fn metadata(&self) -> Rc<Metadata> {
        Rc::clone(&self.state.metadata.borrow())
    }

    /// Waits until a produce request of so many bytes has room. Takes nothing: ask just before, in a loop
    /// with [`Shard::produce`] where a refusal would be wrong.
    pub fn produce_room(&self, bytes: u64) -> impl Future<Output = ()> + use<I> {
        let budget = Rc::clone(&self.state.budget);
        async move { budget.room(bytes).await }
    }
}

/// Asks another shard something, now; the future waits for the reply.
fn ask<I: Io>(
    state: &ShardState<I>,
    shard: ShardId,
    request: Request,
) -> impl Future<Output = Result<Reply, Refusal>> + use<I> {
    let waiting = state.waiters.open_local().map(|waiter| {
        state.ask(shard, waiter, request);
        Waiting::new(&state.waiters, waiter)
    });
    async move { waiting?.await.ok_or_else(wrong_reply) }
}

/// Carries out what others wait for, in a task of its own. A connection polls none of its requests while its client reads
/// nothing, and drops them when it goes: neither may hold others up. Goes on when the returned future is dropped.
fn apart<I: Io, T: 'static>(io: &I, work: impl Future<Output = T> + 'static) -> Completion<T> {
    let done = Completion::new();
    let told = done.clone();
    io.spawn(async move { told.complete(work.await) });
    done
}

/// A reply of another kind than the request's: a bug, told rather than panicked over.
#[cold]
fn wrong_reply() -> Refusal {
    Refusal::new(ErrorCode::UnknownServerError, "an answer of another kind came")
}
