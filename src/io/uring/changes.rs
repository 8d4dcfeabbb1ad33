//! Which changes of an open file are durable, so that a durable write knows what else it owes.
//!
//! A write flagged as synchronous (RWF_DSYNC) answers for itself alone: on a device with forced
//! unit access no flush happens, and earlier writes stay in the device's cache. It may stand for
//! "write, then sync the file" only when nothing else is waiting for a sync.

use std::cell::Cell;

/// Counts of one open file. A change that failed, or whose end nobody saw, stays open for ever.
#[derive(Debug, Default)]
pub(super) struct Changes {
    begun: Cell<u64>,
    ended: Cell<u64>,
    /// Every change up to this one is durable; `None` until the first sync, since what was done
    /// before the file was opened is not known.
    durable: Cell<Option<u64>>,
}

/// A change that has begun, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change(u64);

impl Changes {
    /// Notes a change that is on its way to the kernel.
    pub(super) fn begin(&self) -> Change {
        self.begun.set(self.begun.get() + 1);
        Change(self.begun.get())
    }

    /// Notes that a change is complete in the kernel, durable or not.
    pub(super) fn end(&self) {
        self.ended.set(self.ended.get() + 1);
    }

    /// Returns what a sync that begins now covers: everything, unless a change is under way.
    pub(super) fn covered(&self) -> Option<Change> {
        self.at_rest().then_some(Change(self.begun.get()))
    }

    /// Notes that a sync which covered everything up to a change has succeeded.
    pub(super) fn synced(&self, covered: Option<Change>) {
        self.durable.set(self.durable.get().max(covered.map(|change| change.0)));
    }

    /// Notes that a change made itself durable, and with it what came before it.
    pub(super) fn ended_durable(&self, change: Change) {
        self.end();
        if self.durable.get() == Some(change.0 - 1) {
            self.durable.set(Some(change.0));
        }
    }

    /// Tells whether nothing waits for a sync.
    pub(super) fn all_durable(&self) -> bool {
        self.at_rest() && self.durable.get() == Some(self.begun.get())
    }

    fn at_rest(&self) -> bool {
        self.begun.get() == self.ended.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opened_file_owes_a_sync_for_what_is_not_known() {
        let changes = Changes::default();
        assert!(!changes.all_durable());
        changes.synced(changes.covered());
        assert!(changes.all_durable());
    }

    #[test]
    fn durable_writes_follow_each_other_until_a_plain_one_comes() {
        let changes = Changes::default();
        changes.synced(changes.covered());
        let first = changes.begin();
        assert!(!changes.all_durable(), "under way");
        changes.ended_durable(first);
        assert!(changes.all_durable());
        changes.begin();
        changes.end();
        assert!(!changes.all_durable());
        // A durable write now would not cover the plain one.
        let later = changes.begin();
        changes.ended_durable(later);
        assert!(!changes.all_durable());
        changes.synced(changes.covered());
        assert!(changes.all_durable());
    }

    #[test]
    fn a_sync_covers_nothing_that_was_under_way() {
        let changes = Changes::default();
        changes.begin();
        let covered = changes.covered();
        changes.end();
        changes.synced(covered);
        assert!(!changes.all_durable());
    }

    #[test]
    fn a_change_that_never_ended_keeps_the_file_in_debt() {
        let changes = Changes::default();
        changes.begin();
        let later = changes.begin();
        changes.ended_durable(later);
        changes.synced(changes.covered());
        assert!(!changes.all_durable());
    }
}
