//! The world outside of the broker: it outlives every life of it and remembers what it was told.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::sim::SimIo;
use kolk_io::time::WallClock;
use kolk_model::ids::{PartitionId, TopicId, TopicPartition};
use kolk_model::time::TimestampMs;

use crate::chance::Chance;
use crate::check::{acknowledged, offsets};
use crate::client::churn;
use crate::client::groups::Groups;
use crate::client::producer::Lane;
use crate::outside::ledger::{Book, Promise};
use crate::outside::record::RecordId;
use crate::scenario::Scenario;
use crate::trace::{Telling, Trace};

pub(crate) mod ledger;
pub(crate) mod record;

/// A partition by the place of its topic in the scenario.
pub(crate) type Place = (usize, u32);

/// Everything that clients know.
pub(crate) struct Outside {
    pub(crate) scenario: Scenario,
    pub(crate) trace: Trace,
    /// Files whose operations are told.
    pub(crate) files: Option<String>,
    chance: RefCell<Chance>,
    /// The topics that were answered, by place in the scenario.
    pub(crate) topics: RefCell<BTreeMap<usize, TopicId>>,
    pub(crate) books: RefCell<BTreeMap<Place, Book>>,
    pub(crate) lanes: Vec<RefCell<Lane>>,
    /// Where each reader goes on.
    pub(crate) positions: RefCell<BTreeMap<(Place, u32), u64>>,
    pub(crate) groups: Groups,
    pub(crate) churn: RefCell<churn::Topics>,
    /// Disk faults are in force, or were: what is refused for that is no violation.
    pub(crate) faults: Cell<bool>,
    /// A good copy of something may be gone.
    pub(crate) excuse: RefCell<Option<String>>,
    /// What partitions with a limit of bytes were told to keep.
    pub(crate) kept: RefCell<BTreeMap<Place, u64>>,
    /// Producers are to send nothing for a while.
    pub(crate) still: Cell<bool>,
    /// How far the machine's wall clock is ahead of the right time, in ns.
    pub(crate) clock_ahead_ns: Cell<i64>,
    /// Records that were acknowledged.
    pub(crate) acknowledged: Cell<u64>,
    /// Records that readers have seen.
    pub(crate) read: Cell<u64>,
}

impl Outside {
    pub(crate) fn new(scenario: &Scenario, seed: u64, telling: &Telling) -> Self {
        let mut books = BTreeMap::new();
        for (place, topic) in scenario.topic.iter().enumerate() {
            for partition in 0..topic.partitions {
                books.insert((place, partition), Book::new(place, partition, topic));
            }
        }
        Self {
            lanes: Lane::all(scenario).into_iter().map(RefCell::new).collect(),
            scenario: scenario.clone(),
            trace: Trace::new(telling.events),
            files: telling.files.clone(),
            chance: RefCell::new(Chance::new(seed ^ 0x0c11_e475)),
            topics: RefCell::default(),
            books: RefCell::new(books),
            positions: RefCell::default(),
            groups: Groups::default(),
            churn: RefCell::default(),
            faults: Cell::new(false),
            excuse: RefCell::default(),
            kept: RefCell::default(),
            still: Cell::new(false),
            clock_ahead_ns: Cell::new(0),
            acknowledged: Cell::new(0),
            read: Cell::new(0),
        }
    }

    /// Draws.
    pub(crate) fn draw<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.chance.borrow_mut())
    }

    /// What a clock that is right shows.
    pub(crate) fn time(&self, io: &SimIo) -> TimestampMs {
        let ns = io.wall_clock().as_ns().saturating_add_signed(-self.clock_ahead_ns.get());
        TimestampMs::new(WallClock::new(ns).as_ms())
    }

    /// Some time, up to so many microseconds.
    pub(crate) fn some_us(&self, us_max: u64) -> Duration {
        Duration::from_micros(self.draw(|chance| chance.between(0, us_max)))
    }

    /// The partition as the broker names it, once its topic exists.
    pub(crate) fn partition(&self, place: Place) -> Option<TopicPartition> {
        let topic = self.topics.borrow().get(&place.0).copied()?;
        Some(TopicPartition::new(topic, PartitionId::new(place.1)))
    }

    pub(crate) fn with_book<T>(&self, place: Place, act: impl FnOnce(&mut Book) -> T) -> T {
        let mut books = self.books.borrow_mut();
        let topic = self.scenario.topic.get(place.0);
        let book = books.entry(place).or_insert_with(|| {
            let topic = topic.unwrap_or_else(|| unreachable!("places are those of the scenario"));
            Book::new(place.0, place.1, topic)
        });
        act(book)
    }

    /// Records were acknowledged from `base` on.
    pub(crate) fn acknowledge(&self, place: Place, base: u64, ids: &[RecordId], promise: Promise) {
        self.with_book(place, |book| {
            for (offset, id) in (base..).zip(ids) {
                offsets::stands(book, offset, *id, promise);
            }
            if promise >= book.visible {
                book.shown_below = book.shown_below.max(base + ids.len() as u64);
            }
        });
        self.acknowledged.set(self.acknowledged.get() + ids.len() as u64);
    }

    /// A life has ended in a way that records survive which have been promised `owed`.
    pub(crate) fn ended(&self, owed: Promise) {
        for book in self.books.borrow_mut().values_mut() {
            book.owed = book.owed.max(owed);
            book.seen = false;
        }
    }

    /// A broker has started and says where a log lies `now`; what was promised less than is owed may be gone.
    pub(crate) fn restarted(&self, place: Place, (start, end): (u64, u64), now: TimestampMs) {
        let lost = self.with_book(place, |book| {
            crate::check::watermarks::started(book, start, now);
            let owed = std::mem::replace(&mut book.owed, Promise::Nothing);
            let lost = acknowledged::restarted(book, end, owed);
            book.seen = true;
            book.raise_start(start);
            lost
        });
        for lane in lost {
            if let Some(lane) = usize::try_from(lane).ok().and_then(|lane| self.lanes.get(lane)) {
                lane.borrow_mut().lost();
            }
        }
        for ((of, _), position) in self.positions.borrow_mut().iter_mut() {
            if *of == place {
                *position = (*position).min(end);
            }
        }
    }

    /// Whether anything may be missed aloud.
    pub(crate) fn is_excused(&self) -> bool {
        self.books.borrow().values().any(|book| book.excuse.is_some())
    }

    /// Lets everything be missed, aloud.
    pub(crate) fn excuse_all(&self, why: &str) {
        *self.excuse.borrow_mut() = Some(why.to_owned());
        for book in self.books.borrow_mut().values_mut() {
            book.excuse.get_or_insert_with(|| why.to_owned());
        }
    }
}
