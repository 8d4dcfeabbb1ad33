//! What groups give to the outside: records to append, answers that wait for them, and times to be woken at.

use std::collections::BTreeSet;

use bytes::Bytes;

use kolk_model::time::TimestampMs;

use crate::group::answer::GroupAnswer;
use crate::group::ids::{GroupId, MemberId};
use crate::group::record::Record;
use crate::group::settings::GroupSettings;

/// When something happens, by both clocks, with some chance for new ids. The host reads them; nothing here does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The monotonic clock, in ms since any start.
    pub now_ms: u64,
    /// The wall clock.
    pub wall: TimestampMs,
    /// Whether anything may be forgotten by it.
    pub trust: WallTrust,
    /// A number that nobody can guess and no other moment has.
    pub random: u128,
}

/// Whether the host believes its wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WallTrust {
    /// It does.
    Believed,
    /// The clock has jumped: nothing is old because of it.
    Doubted,
}

/// The host's name for a request that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What came of requests and of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Records to append, in this order, before any later ones.
    pub records: Vec<Record>,
    /// How many records of this coordinator, counted from its start and with those above, have to be durable
    /// before the answers are given: so no answer tells of what a crash could undo.
    pub after: u64,
    /// Whom to answer what.
    pub answers: Vec<(Ticket, GroupAnswer)>,
}

/// Whether something is done, or was begun and has to be asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// It is done.
    Done,
    /// It would have taken too many records at once. To be asked again after these are appended.
    More,
}

/// Bytes of records that wait to be appended. Beyond: nothing that writes is begun before they are taken, so that what one
/// go holds in memory is this and the records of one more request.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// What a record takes beside key and value: two handles and their counts.
const RECORD_BYTES: usize = 96;

/// Something that happens at a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Offsets are looked through for old ones.
    Expiry,
    /// A classic group waits no longer for members to join.
    Join(GroupId),
    /// A classic group waits no longer for members to ask for their assignment.
    Sync(GroupId),
    /// A member may have been silent for too long.
    Session(GroupId, MemberId),
    /// A consumer may not have given up in time what it must.
    Revoke(GroupId, MemberId),
    /// A classic member of a consumer group was asked to join again and has not.
    Rejoin(GroupId, MemberId),
    /// A classic member of a consumer group has joined and not asked for its assignment.
    Resync(GroupId, MemberId),
}

/// Where a coordinator's groups put what they give.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) settings: GroupSettings,
    pub(super) moment: Moment,
    records: Vec<Record>,
    /// Bytes of these.
    bytes: usize,
    answers: Vec<(Ticket, GroupAnswer)>,
    written: u64,
    timers: BTreeSet<(u64, Timer)>,
}

impl Desk {
    pub(super) const fn new(settings: GroupSettings) -> Self {
        Self {
            settings,
            moment: Moment {
                now_ms: 0,
                wall: TimestampMs::NONE,
                trust: WallTrust::Doubted,
                random: 0,
            },
            records: Vec::new(),
            bytes: 0,
            answers: Vec::new(),
            written: 0,
            timers: BTreeSet::new(),
        }
    }

    pub(super) fn write(&mut self, record: Record) {
        self.bytes += record.key.len() + record.value.as_ref().map_or(0, Bytes::len) + RECORD_BYTES;
        self.records.push(record);
        self.written += 1;
    }

    /// Whether so much waits to be appended that nothing more is to be begun.
    pub(super) const fn is_full(&self) -> bool {
        self.bytes >= WAITING_BYTES_MAX
    }

    pub(super) fn answer(&mut self, ticket: Ticket, answer: GroupAnswer) {
        self.answers.push((ticket, answer));
    }

    /// Sets or moves a timer; `at` is where its time is kept.
    pub(super) fn set_timer(&mut self, at: &mut Option<u64>, deadline_ms: u64, timer: Timer) {
        if let Some(before) = at.replace(deadline_ms) {
            self.timers.remove(&(before, timer.clone()));
        }
        self.timers.insert((deadline_ms, timer));
    }

    /// Ends a timer.
    pub(super) fn end_timer(&mut self, at: &mut Option<u64>, timer: Timer) {
        if let Some(before) = at.take() {
            self.timers.remove(&(before, timer));
        }
    }

    /// Takes the next timer that is due.
    pub(super) fn take_due(&mut self) -> Option<Timer> {
        let (due_ms, _) = self.timers.first()?;
        if *due_ms > self.moment.now_ms {
            None
        } else {
            self.timers.pop_first().map(|(_, timer)| timer)
        }
    }

    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.timers.first().map(|(due_ms, _)| *due_ms)
    }

    pub(super) fn timer_count(&self) -> usize {
        self.timers.len()
    }

    /// So many ms from now.
    pub(super) const fn after_ms(&self, ms: u64) -> u64 {
        self.moment.now_ms.saturating_add(ms)
    }

    /// How many records were written so far.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn take_effects(&mut self) -> Effects {
        self.bytes = 0;
        Effects {
            records: std::mem::take(&mut self.records),
            after: self.written,
            answers: std::mem::take(&mut self.answers),
        }
    }

    /// A new member's id: what the client calls itself, and 32 hex digits that nobody can guess.
    pub(super) fn new_member_id(&mut self, prefix: &str) -> MemberId {
        let random = self.moment.random;
        // The next id of this moment differs from this one.
        self.moment.random = random.wrapping_add(1);
        let hex = format!("{random:032x}");
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        MemberId::from(format!(
            "{prefix}-{}-{}-{}-{}-{}",
            part(0, 8),
            part(8, 12),
            part(12, 16),
            part(16, 20),
            part(20, 32)
        ))
    }
}
