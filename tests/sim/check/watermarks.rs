//! High watermark and log start never fall, the one is never below the other, and what was acknowledged at the topic's level is
//! shown to every reader that asks afterwards.

use kolk_model::time::TimestampMs;
use kolk_shard::request::Watermarks;

use crate::check::retention;
use crate::outside::ledger::Book;
use crate::verdict::demand;

const NAME: &str = "watermarks";

/// What one reader was told last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Followed {
    start: u64,
    high: u64,
    end: u64,
}

impl Followed {
    /// Takes down what the next answer, which came `now`, says; `shown_below` is where acknowledged records ended when the question
    /// was asked.
    pub(crate) fn follow(
        &mut self,
        book: &mut Book,
        marks: Watermarks,
        shown_below: u64,
        now: TimestampMs,
    ) {
        if book.excuse.is_some() {
            return;
        }
        let (start, high) = (marks.log_start.get(), marks.high_watermark.get());
        let end = marks.log_end.get();
        let name = book.name();
        demand(NAME, start <= high && high <= end, || format!("{name}: {marks:?}"));
        let before = *self;
        let rises = before.start <= start && before.high <= high && before.end <= end;
        demand(NAME, rises, || format!("{name}: {marks:?} after {before:?}"));
        demand(NAME, high >= shown_below, || {
            format!("{name}: {marks:?}, records below {shown_below} were acknowledged before")
        });
        started(book, start, now);
        book.raise_start(start);
        *self = Self { start, high, end };
    }
}

/// The log starts where it was asked to or where retention has brought it, and never lower than it was said to be.
pub(crate) fn started(book: &Book, start: u64, now: TimestampMs) {
    if book.excuse.is_some() {
        return;
    }
    let name = book.name();
    demand(NAME, start >= book.start, || {
        format!("{name}: starts at {start}, {} was promised", book.start)
    });
    demand(NAME, start <= book.start_asked || book.forgets, || {
        format!("{name}: starts at {start}, at most {} was asked for", book.start_asked)
    });
    retention::given_up(book, start, now);
}
