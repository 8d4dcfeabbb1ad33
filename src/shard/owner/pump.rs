//! The task that hears what happened to the logs and lets their partitions act on it.

use std::rc::Rc;

use kolk_io::door::Io;
use kolk_log::shard_log::LogEvent;
use kolk_model::ids::TopicPartition;
use kolk_partition::effect::Effect;
use kolk_partition::error::PartitionError;

use crate::message::{PartitionNews, Standing};
use crate::request::Refusal;
use crate::state::ShardState;

/// Events taken before other tasks get their turn.
const TURN_EVENTS: usize = 128;

/// Runs as long as the shard.
pub(crate) async fn run<I: Io>(state: Rc<ShardState<I>>) {
    let (mut events, mut effects) = (Vec::new(), Vec::new());
    loop {
        state.storage.next_events(&mut events).await;
        for (taken, event) in events.drain(..).enumerate() {
            if taken % TURN_EVENTS == TURN_EVENTS - 1 {
                state.io.yield_now().await;
            }
            take(&state, event, &mut effects);
            state.deliver(&mut effects);
        }
    }
}

fn take<I: Io>(state: &ShardState<I>, event: LogEvent, effects: &mut Vec<Effect>) {
    match event {
        LogEvent::Advanced(id) => {
            if let Some(hosted) = state.hosted.borrow().get(&id) {
                hosted.borrow_mut().advance(effects);
            }
        }
        LogEvent::Unblocked(id) => {
            if let Some(hosted) = state.hosted.borrow().get(&id) {
                hosted.borrow_mut().unblocked(state.wall_clock(), effects);
            }
        }
        LogEvent::Fenced(id) => fence(state, id, effects),
        LogEvent::JournalFailed => {
            tracing::error!(shard = %state.id, "journal failed: the shard only reads until the broker is restarted");
            for (_, hosted) in state.all_hosted() {
                hosted.borrow_mut().failed(effects);
            }
        }
    }
}

fn fence<I: Io>(state: &ShardState<I>, id: TopicPartition, effects: &mut Vec<Effect>) {
    let Ok(hosted) = state.partition(id) else { return };
    hosted.borrow_mut().failed(effects);
    let damage = hosted.borrow().log().damage();
    if let Some(damage) = damage {
        let refusal = Refusal::from(PartitionError::Damaged(Box::new(damage)));
        state.spread(&PartitionNews { partition: id, standing: Standing::Offline(refusal) });
    }
}
