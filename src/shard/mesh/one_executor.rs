//! The mesh between shards that share one executor: for simulated runs of a node with many shards.

use std::rc::Rc;

use kolk_io::door::Io;
use kolk_model::ids::ShardId;

use crate::owner::inbox::{take_answers, take_calls};
use crate::shard::Shard;
use crate::state::ShardState;

/// Connects the shards of one node with each other. They must be given in order, all on this executor.
pub fn connect<I: Io>(shards: &[Shard<I>]) {
    for from in shards {
        for to in shards.iter().filter(|to| to.state.id != from.state.id) {
            let (from, to) = (&from.state, &to.state);
            from.io.spawn(carry_calls(Rc::clone(from), Rc::clone(to)));
            from.io.spawn(carry_answers(Rc::clone(from), Rc::clone(to)));
        }
    }
}

async fn carry_calls<I: Io>(from: Rc<ShardState<I>>, to: Rc<ShardState<I>>) {
    let Some(lanes) = from.lanes.get(index(to.id)) else { return };
    while let Some(calls) = lanes.requests.take().await {
        from.metrics.requests.mesh_batches.inc();
        take_calls(&to, from.id, calls);
    }
}

async fn carry_answers<I: Io>(from: Rc<ShardState<I>>, to: Rc<ShardState<I>>) {
    let Some(lanes) = from.lanes.get(index(to.id)) else { return };
    while let Some(answers) = lanes.replies.take().await {
        from.metrics.requests.mesh_batches.inc();
        take_answers(&to, answers);
    }
}

fn index(shard: ShardId) -> usize {
    usize::from(shard.get())
}
