//! What was read from disk for consumers that are behind, and what is being read ahead of them. Bounded in bytes; the oldest
//! goes first.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use kolk_model::ids::TopicPartition;
use kolk_model::offset::Offset;

use crate::log::SegmentVersion;
use crate::signal::Signal;
use kolk_layout::field::bytes;

/// Whole runs of one segment that are read in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) first_run: usize,
    pub(crate) runs: usize,
}

impl Window {
    /// Number of the run after the last.
    pub(crate) const fn end_run(self) -> usize {
        self.first_run + self.runs
    }
}

/// Names a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WindowKey {
    pub(crate) log: TopicPartition,
    pub(crate) segment: Offset,
    pub(crate) version: SegmentVersion,
    pub(crate) first_run: usize,
}

struct Entry {
    window: Window,
    read: Option<Bytes>,
}

#[derive(Default)]
struct Entries {
    windows: BTreeMap<WindowKey, Entry>,
    /// Ready windows in the order they were read.
    order: VecDeque<WindowKey>,
    bytes: u64,
    in_flight: usize,
}

/// The windows of one shard.
pub(crate) struct ReadCache {
    entries: RefCell<Entries>,
    bytes_max: u64,
    in_flight_max: usize,
    read: Signal,
}

impl ReadCache {
    pub(crate) fn new(bytes_max: u64, in_flight_max: usize) -> Self {
        let entries = RefCell::new(Entries::default());
        Self { entries, bytes_max, in_flight_max, read: Signal::default() }
    }

    /// The known window that holds run `key.first_run`.
    pub(crate) fn find(&self, key: WindowKey) -> Option<Window> {
        let entries = self.entries.borrow();
        let (found, entry) = entries.windows.range(..=key).next_back()?;
        let same = WindowKey { first_run: key.first_run, ..*found } == key;
        (same && entry.window.end_run() > key.first_run).then_some(entry.window)
    }

    pub(crate) fn knows(&self, key: WindowKey) -> bool {
        self.entries.borrow().windows.contains_key(&key)
    }

    /// Notes that a window is being read; false if enough are, and then nothing is noted.
    pub(crate) fn begin(&self, key: WindowKey, window: Window) -> bool {
        let mut entries = self.entries.borrow_mut();
        if entries.in_flight >= self.in_flight_max || entries.windows.contains_key(&key) {
            return false;
        }
        entries.in_flight += 1;
        entries.windows.insert(key, Entry { window, read: None });
        true
    }

    /// The window was read, or could not be.
    pub(crate) fn end(&self, key: WindowKey, read: Option<Bytes>) {
        let mut entries = self.entries.borrow_mut();
        let entries_ = &mut *entries;
        entries_.in_flight -= 1;
        match (read, entries_.windows.get_mut(&key)) {
            (Some(read), Some(entry)) => {
                entries_.bytes += bytes(read.len());
                entry.read = Some(read);
                entries_.order.push_back(key);
            }
            _ => {
                entries_.windows.remove(&key);
            }
        }
        while entries_.bytes > self.bytes_max {
            let Some(oldest) = entries_.order.pop_front() else { break };
            forget(entries_, oldest);
        }
        drop(entries);
        self.read.notify();
    }

    /// The window and its bytes, waiting for a read in flight; `None` if it is not here.
    pub(crate) async fn get(&self, key: WindowKey) -> Option<(Window, Bytes)> {
        self.read
            .until(|| match self.entries.borrow().windows.get(&key) {
                Some(Entry { read: None, .. }) => None,
                Some(Entry { window, read: Some(read) }) => Some(Some((*window, read.clone()))),
                None => Some(None),
            })
            .await
    }

    /// Forgets everything read of a log: it was deleted, or its segments were.
    pub(crate) fn forget_log(&self, log: TopicPartition) {
        let mut entries = self.entries.borrow_mut();
        let ready: Vec<WindowKey> =
            entries.order.iter().copied().filter(|key| key.log == log).collect();
        entries.order.retain(|key| key.log != log);
        for key in ready {
            forget(&mut entries, key);
        }
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.borrow().bytes
    }
}

fn forget(entries: &mut Entries, key: WindowKey) {
    if let Some(Entry { read: Some(read), .. }) = entries.windows.remove(&key) {
        entries.bytes -= bytes(read.len());
    }
}
