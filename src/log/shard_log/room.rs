//! Logs that lack room on the disk: counted while they do, told of once, and tried again where nobody appends, so that whoever
//! makes room sees that it is enough.

use std::rc::Rc;
use std::time::Duration;

use kolk_io::door::Io;

use crate::log::{Log, LogState, Phase};
use crate::shard_log::Shard;

/// How often a log that lacks room is tried again without an append. As long as that goes on nothing is told anew: a disk that
/// is almost full refuses one append and takes the next.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// What room is wanted for, the greater want last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Want {
    /// The active segment is to grow to this position.
    Growth { upto: u64 },
    /// The active segment is to end, and the next one to begin.
    Roll,
}

impl<I: Io> Log<I> {
    /// Notes that the log lacks room. The next append is refused for it, unless nobody waited and it was known.
    pub(crate) fn found_no_room(&self, state: &mut LogState, want: Want) {
        if !matches!(state.phase, Phase::Open | Phase::Rolling) {
            return;
        }
        let known = state.without_room.is_some();
        if !known {
            self.inner.shard.metrics.log.without_room.inc();
            tell_and_watch(self);
        }
        state.without_room = state.without_room.max(Some(want));
        state.storage_full |= state.refused_busy || !known;
    }

    /// Notes that there was room for this much, and so for all that is less.
    pub(crate) fn found_room(&self, state: &mut LogState, want: Want) {
        state.storage_full = false;
        if state.without_room <= Some(want) {
            self.wants_no_room(state);
        }
    }

    /// Takes the log off the count: it has room, or takes no appends any more.
    pub(crate) fn wants_no_room(&self, state: &mut LogState) {
        if state.without_room.take().is_some() {
            self.inner.shard.metrics.log.without_room.dec();
        }
    }

    /// Tries once more what found no room; tells whether there is some now.
    async fn finds_room(&self) -> bool {
        {
            let state = &mut *self.inner.state.borrow_mut();
            match state.without_room.filter(|_| state.phase == Phase::Open) {
                Some(Want::Growth { upto }) => self.allocate(state, upto),
                Some(Want::Roll) => self.start_roll(state),
                None => {}
            }
        }
        let ended = || {
            let state = self.inner.state.borrow();
            (!state.writer.allocating && state.phase != Phase::Rolling).then_some(())
        };
        self.inner.moved.until(ended).await;
        self.inner.state.borrow().without_room.is_none()
    }
}

/// Tells of a shard's first log that lacks room, and begins to look after all of them.
fn tell_and_watch<I: Io>(log: &Log<I>) {
    let shard = &log.inner.shard;
    if shard.room_watched.replace(true) {
        return;
    }
    tracing::warn!(
        shard = %shard.journal.identity.shard,
        log = %log.id(),
        folder = %log.dir().display(),
        "no room on the disk for appends: make room or delete a topic, then they go on without a restart"
    );
    let shard = Rc::clone(shard);
    shard.io.clone().spawn(async move { watch(&shard).await });
}

/// Lives until no log lacks room.
async fn watch<I: Io>(shard: &Shard<I>) {
    let journal = &shard.journal;
    loop {
        shard.io.sleep(TRIED_AGAIN_AFTER).await;
        if journal.failed() || journal.groups_ended() || journal.stopping() {
            break;
        }
        let lacking = lacking(shard);
        if lacking.is_empty() {
            tracing::info!(shard = %journal.identity.shard, "there is room on the disk for appends again");
            break;
        }
        for log in lacking {
            // One disk has them all: where one finds no room the others are spared.
            if !log.finds_room().await {
                break;
            }
        }
    }
    shard.room_watched.set(false);
}

fn lacking<I: Io>(shard: &Shard<I>) -> Vec<Log<I>> {
    let lacks = |log: &&Log<I>| log.inner.state.borrow().without_room.is_some();
    shard.logs.borrow().values().filter(lacks).cloned().collect()
}
