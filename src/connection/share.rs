//! How the connections of one shard share what their replies may hold in memory.

use std::cell::Cell;
use std::rc::Rc;

/// Payload bytes a fetch is granted at least, so that everybody gets on.
pub(crate) const FETCH_GRANT_BYTES_MIN: usize = 64 << 10;

/// The reply bytes of one shard. Cloning gives the same share.
///
/// A fetch that waits for records holds no memory, so it reserves none; but all that wait may be answered
/// at once. So each gets an equal part of what is left when it begins: n fetches that ask for
/// everything get at most `bytes_max` × (1 + 1/2 + … + 1/n) together, plus [`FETCH_GRANT_BYTES_MIN`] each.
#[derive(Clone)]
pub(crate) struct OutputShare(Rc<Shared>);

struct Shared {
    bytes_max: usize,
    fetches: Cell<usize>,
    queued_bytes: Cell<usize>,
}

impl OutputShare {
    /// A share of `bytes_max` bytes.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self(Rc::new(Shared { bytes_max, fetches: Cell::new(0), queued_bytes: Cell::new(0) }))
    }

    /// Begins a fetch that would like `asked` bytes; returns what it gets.
    pub(crate) fn begin_fetch(&self, asked: usize) -> usize {
        let fetches = self.0.fetches.get() + 1;
        self.0.fetches.set(fetches);
        let left = self.0.bytes_max.saturating_sub(self.0.queued_bytes.get());
        let part = left.checked_div(fetches).unwrap_or(left);
        asked.min(part).max(FETCH_GRANT_BYTES_MIN)
    }

    /// Ends a fetch.
    pub(crate) fn end_fetch(&self) {
        self.0.fetches.set(self.0.fetches.get() - 1);
    }

    /// Reply bytes became ready to send.
    pub(crate) fn add_queued(&self, bytes: usize) {
        self.0.queued_bytes.set(self.0.queued_bytes.get() + bytes);
    }

    /// Reply bytes were sent or dropped.
    pub(crate) fn remove_queued(&self, bytes: usize) {
        self.0.queued_bytes.set(self.0.queued_bytes.get() - bytes);
    }

    /// Reply bytes ready and not sent.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.0.queued_bytes.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fetches_share_what_is_left() {
        let share = OutputShare::new(8 << 20);
        assert_eq!(share.begin_fetch(50 << 20), 8 << 20);
        assert_eq!(share.begin_fetch(50 << 20), 4 << 20);
        assert_eq!(share.begin_fetch(1 << 20), 1 << 20);
        share.add_queued(4 << 20);
        assert_eq!(share.begin_fetch(50 << 20), 1 << 20);
        share.end_fetch();
        share.end_fetch();
        share.end_fetch();
        share.remove_queued(4 << 20);
        assert_eq!(share.begin_fetch(50 << 20), 4 << 20);
    }

    #[test]
    fn nobody_gets_nothing() {
        let share = OutputShare::new(1 << 20);
        share.add_queued(2 << 20);
        assert_eq!(share.begin_fetch(50 << 20), FETCH_GRANT_BYTES_MIN);
        assert_eq!(share.queued_bytes(), 2 << 20);
    }
}
