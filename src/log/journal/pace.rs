//! How many journalled bytes are on their way to the segments at a time. A disk that gets them all at once lets every commit wait
//! until it is through: with half a journal of pages that was a tenth of a second. So a log's pages go as soon as they make a
//! good write, one piece of one log at a time, and a checkpoint finds little to do. What it does find goes in pieces as well, and
//! faster the more the journal has taken since it began: appends shall not meet the journal's end before a checkpoint frees it.

use std::cell::Cell;

use crate::signal::Signal;

/// On their way in any case: what a commit beside them has to wait for.
pub(crate) const PIECE_BYTES: u64 = 1 << 20;
/// A checkpoint lets one byte more go for so many that came since it began.
const BYTES_FOR_ONE: u64 = 4;

/// The pace of one shard.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    under_way: Cell<u64>,
    ended: Signal,
}

impl Pace {
    /// Takes `wanted` bytes if nothing else is under way; false if something is.
    pub(crate) fn take_alone(&self, wanted: u64) -> bool {
        let alone = self.under_way.get() == 0;
        if alone {
            self.under_way.set(wanted);
        }
        alone
    }

    /// Waits until some of `wanted` bytes may go, and takes them. `came` says how many bytes the journal has taken since the
    /// checkpoint began, `None` that somebody waits for its end.
    pub(crate) async fn take(&self, wanted: u64, came: impl Fn() -> Option<u64>) -> u64 {
        self.ended
            .until(|| {
                let taken = wanted.min(room(self.under_way.get(), came()));
                self.under_way.set(self.under_way.get() + taken);
                (taken > 0).then_some(taken)
            })
            .await
    }

    /// So many bytes have arrived, or do not go.
    pub(crate) fn give_back(&self, taken: u64) {
        self.under_way.set(self.under_way.get() - taken);
        self.ended.notify();
    }
}

/// Bytes that may go beside those under way: none, or as many as a piece has and more.
fn room(under_way: u64, came: Option<u64>) -> u64 {
    let Some(came) = came else { return u64::MAX };
    let most = PIECE_BYTES + came / BYTES_FOR_ONE / PIECE_BYTES * PIECE_BYTES;
    let room = most.saturating_sub(under_way);
    if room < PIECE_BYTES { 0 } else { room }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn pieces_go_one_at_a_time_and_more_of_them_the_more_comes_meanwhile() {
        assert_eq!(room(0, Some(0)), PIECE_BYTES);
        assert_eq!(room(1, Some(0)), 0, "too little to be worth a write");
        assert_eq!(room(PIECE_BYTES, Some(0)), 0);
        assert_eq!(room(PIECE_BYTES, Some(4 << 20)), PIECE_BYTES);
        assert_eq!(room(PIECE_BYTES, Some(40 << 20)), 10 << 20);
        assert_eq!(room(100 << 20, None), u64::MAX, "somebody waits");
    }

    #[test]
    fn nobody_goes_beside_a_piece_but_a_checkpoint_in_a_hurry() {
        let pace = Pace::default();
        assert!(pace.take_alone(PIECE_BYTES));
        assert!(!pace.take_alone(4096));
        let mut context = Context::from_waker(Waker::noop());
        let mut calm = pin!(pace.take(8 << 20, || Some(0)));
        assert!(calm.as_mut().poll(&mut context).is_pending());
        let mut hurried = pin!(pace.take(8 << 20, || None));
        assert_eq!(hurried.as_mut().poll(&mut context), Poll::Ready(8 << 20));
        pace.give_back(8 << 20);
        assert!(calm.as_mut().poll(&mut context).is_pending(), "the piece is still on its way");
        pace.give_back(PIECE_BYTES);
        assert_eq!(calm.as_mut().poll(&mut context), Poll::Ready(PIECE_BYTES), "a piece at a time");
    }
}
