//! What the world outside knows of each partition: what was sent, what was answered, what was read. It outlives the broker.

use std::collections::{BTreeMap, BTreeSet};

use kolk_model::time::TimestampMs;

use crate::outside::record::RecordId;
use crate::scenario::Topic;

/// What a record has been promised to survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Promise {
    /// Nothing: its offset was told, no more.
    Nothing,
    /// The end of the process.
    ProcessCrash,
    /// A power cut as well.
    PowerLoss,
}

/// What is known to stand at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) id: RecordId,
    pub(crate) promise: Promise,
}

/// What became of a record that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// When it was made, by a clock that is right.
    pub(crate) at: TimestampMs,
    /// Where it stands, if that is known.
    pub(crate) place: Option<u64>,
    /// It was refused: it may not be there.
    pub(crate) refused: bool,
}

/// One partition.
#[derive(Clone, Debug)]
pub(crate) struct Book {
    pub(crate) topic: usize,
    pub(crate) partition: u32,
    /// What a record is promised once a reader has seen it.
    pub(crate) visible: Promise,
    /// Different keys, where compaction takes records away.
    pub(crate) keys: Option<u64>,
    /// Tombstones in a hundred records, and how long each stays at least, in ms.
    pub(crate) tombstone_percent: u64,
    pub(crate) tombstones_ms: i64,
    /// Offsets at which compaction was seen to have left nothing.
    pub(crate) gone: BTreeSet<u64>,
    /// Whether retention takes records away.
    pub(crate) forgets: bool,
    /// How long it keeps them at least, in ms, where nothing but their age ends them.
    pub(crate) keeps_ms: Option<i64>,
    /// Whether there is ever more than the segment that is written to.
    pub(crate) rolls: bool,
    pub(crate) facts: BTreeMap<u64, Fact>,
    pub(crate) sent: BTreeMap<RecordId, Sent>,
    /// The log start that was answered or read: it never falls.
    pub(crate) start: u64,
    /// The highest log start that anybody asked for.
    pub(crate) start_asked: u64,
    /// Everything below was answered at the topic's level, so that a reader must be shown it.
    pub(crate) shown_below: u64,
    /// What has to have been promised to a record, so that it is there when the log is seen the next time.
    pub(crate) owed: Promise,
    /// The log was seen in this life: it is not offline.
    pub(crate) seen: bool,
    /// Why a good copy of something may be gone, if that is so: then it may be missed aloud.
    pub(crate) excuse: Option<String>,
}

impl Book {
    pub(crate) fn new(topic: usize, partition: u32, of: &Topic) -> Self {
        let visible =
            if of.is_process_crash() { Promise::ProcessCrash } else { Promise::PowerLoss };
        Self {
            topic,
            partition,
            visible,
            keys: if of.compacts() { of.keys } else { None },
            tombstone_percent: if of.compacts() { of.tombstone_percent } else { 0 },
            tombstones_ms: of.tombstones_ms(),
            gone: BTreeSet::new(),
            forgets: of.forgets(),
            keeps_ms: of.keeps_ms(),
            rolls: of.rolls(),
            facts: BTreeMap::new(),
            sent: BTreeMap::new(),
            start: 0,
            start_asked: 0,
            shown_below: 0,
            owed: Promise::Nothing,
            seen: false,
            excuse: None,
        }
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> String {
        format!("topic {} partition {}", self.topic, self.partition)
    }

    /// A record is about to be sent.
    pub(crate) fn send(&mut self, id: RecordId, at: TimestampMs) {
        self.sent.entry(id).or_insert(Sent { at, place: None, refused: false });
    }

    /// A record was refused for good.
    pub(crate) fn refuse(&mut self, id: RecordId) {
        if let Some(sent) = self.sent.get_mut(&id) {
            sent.refused = true;
        }
    }

    /// Forgets what stood at `end` and behind; tells whose records those were.
    pub(crate) fn cut(&mut self, end: u64) -> BTreeSet<u32> {
        let gone = self.facts.split_off(&end);
        // Nothing was left there, and what comes there now is something else.
        self.gone.split_off(&end);
        for fact in gone.values() {
            // Nobody has it under way any more, so it must not come back either.
            if let Some(sent) = self.sent.get_mut(&fact.id) {
                (sent.place, sent.refused) = (None, true);
            }
        }
        self.shown_below = self.shown_below.min(end);
        gone.values().map(|fact| fact.id.lane).collect()
    }

    /// Forgets what stood below the log start.
    pub(crate) fn raise_start(&mut self, start: u64) {
        self.start = self.start.max(start);
        self.facts = self.facts.split_off(&self.start);
    }
}
