//! Applying a journal's history to its snapshot, in memory: for every log, what must stand in its segments and where it ends.
//! Pure; `recovery` writes the result.

use std::collections::BTreeMap;

use bytes::Bytes;
use kolk_model::ids::{LeaderEpoch, TopicPartition};
use kolk_model::offset::{FilePosition, Offset};

use crate::error::Damage;
use crate::recovery::history::{History, Step};
use kolk_layout::field::{bytes, index, page_floor};
use kolk_layout::journal::group::{Record, RecordBytes, RecordKind};
use kolk_layout::journal::snapshot::{EpochStart, LogSnapshot};

/// Bytes that belong into a segment, from a page boundary on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where they start, a multiple of the page.
    pub start: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Piece {
    /// Position after the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + bytes(self.bytes.len())
    }
}

/// A segment that the journal touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    /// Its base offset.
    pub base: Offset,
    /// What to write into it; between the pieces the segment is right already.
    pub pieces: Vec<Piece>,
    /// Bytes the journal speaks for.
    pub covered: u64,
    /// End of the last whole batch.
    pub end: u64,
    /// True if the journal tells of its creation: then a missing file is no damage.
    pub created: bool,
}

impl Touched {
    const fn new(base: Offset) -> Self {
        Self { base, pieces: Vec::new(), covered: 0, end: 0, created: true }
    }

    /// Redo: bytes continue where the journal had come to.
    fn redo(&mut self, from: u64, payload: &[u8]) -> Result<(), String> {
        if from != self.covered {
            return Err(format!("redo at {from}, expected {}", self.covered));
        }
        match self.pieces.last_mut().filter(|piece| piece.end() == from) {
            Some(piece) => piece.bytes.extend_from_slice(payload),
            None if page_floor(from) == from => {
                self.pieces.push(Piece { start: from, bytes: payload.to_vec() });
            }
            None => return Err(format!("redo at {from} lacks the start of its page")),
        }
        self.covered += bytes(payload.len());
        Ok(())
    }

    /// Extent: the pages are in the segment; what the journal had of them is the same and not needed.
    fn extent(&mut self, from: u64, to: u64) -> Result<(), String> {
        if from > self.covered || to < self.covered || page_floor(from) != from {
            return Err(format!("extent {from}..{to}, expected {}", self.covered));
        }
        for piece in &mut self.pieces {
            piece.bytes.truncate(index(from.saturating_sub(piece.start)));
        }
        self.pieces.retain(|piece| !piece.bytes.is_empty());
        self.covered = to;
        Ok(())
    }
}

/// One log after replay.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// Epoch of the run that is replayed.
    pub epoch: LeaderEpoch,
    /// Epochs with records.
    pub epochs: Vec<EpochStart>,
    /// First readable offset.
    pub log_start: Offset,
    /// Segments that were rolled in this history, oldest first.
    pub finished: Vec<Touched>,
    /// The active segment.
    pub active: Touched,
    /// Offset after the last record.
    pub next_offset: Offset,
    /// Why it is offline.
    pub damage: Option<Damage>,
    /// The last group that speaks of it.
    last_group: u64,
}

impl Replayed {
    fn created(segment: Offset) -> Self {
        Self {
            epoch: LeaderEpoch::new(0),
            epochs: Vec::new(),
            log_start: segment,
            finished: Vec::new(),
            active: Touched::new(segment),
            next_offset: segment,
            damage: None,
            last_group: 0,
        }
    }

    fn of_snapshot(log: LogSnapshot, file: &str) -> Self {
        let piece = Piece { start: log.flushed.get(), bytes: log.tail };
        let damage = log.damage.map(|reason| Damage::Corrupt {
            file: file.to_owned(),
            position: FilePosition::ZERO,
            reason,
        });
        let active = Touched {
            base: log.segment,
            covered: log.covered.get(),
            end: log.end.get(),
            pieces: if piece.bytes.is_empty() { Vec::new() } else { vec![piece] },
            created: false,
        };
        Self {
            epoch: log.epoch,
            epochs: log.epochs,
            log_start: log.log_start,
            finished: Vec::new(),
            active,
            next_offset: log.next_offset,
            damage,
            last_group: 0,
        }
    }

    fn apply(&mut self, record: &Record, payload: &Bytes) -> Result<(), String> {
        match record.kind {
            RecordKind::Create => Ok(()),
            RecordKind::LogStart => {
                self.log_start = self.log_start.max(record.next_offset);
                Ok(())
            }
            RecordKind::Roll => self.roll(record.segment),
            RecordKind::Redo | RecordKind::Extent => {
                if record.segment != self.active.base {
                    return Err(format!(
                        "segment {}, active is {}",
                        record.segment, self.active.base
                    ));
                }
                let (from, to) = (record.from.get(), record.to.get());
                match record.kind {
                    RecordKind::Redo => self.active.redo(from, payload)?,
                    _ => self.active.extent(from, to)?,
                }
                self.advance(record)
            }
        }
    }

    fn advance(&mut self, record: &Record) -> Result<(), String> {
        let back = record.end.get() < self.active.end || record.next_offset < self.next_offset;
        if back || record.end.get() > self.active.covered {
            return Err(format!("end {} at offset {}", record.end, record.next_offset));
        }
        if record.next_offset > self.next_offset
            && self.epochs.last().is_none_or(|last| last.epoch < self.epoch)
        {
            self.epochs.push(EpochStart { epoch: self.epoch, start: self.next_offset });
        }
        self.active.end = record.end.get();
        self.next_offset = record.next_offset;
        Ok(())
    }

    fn roll(&mut self, segment: Offset) -> Result<(), String> {
        if segment == self.active.base {
            return Ok(());
        }
        if segment != self.next_offset || self.active.covered != self.active.end {
            return Err(format!("roll to {segment}, the log ends at {}", self.next_offset));
        }
        let finished = std::mem::replace(&mut self.active, Touched::new(segment));
        self.finished.push(finished);
        Ok(())
    }
}

/// What replay counted, for the log line at start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplayCounts {
    /// Groups accepted.
    pub groups: u64,
    /// Records applied.
    pub records: u64,
    /// Payload bytes applied.
    pub payload_bytes: u64,
    /// Groups at the end that were torn and never acknowledged.
    pub torn_groups: u64,
}

/// Applies one shard's history; `file` names its journal in damage reports.
pub fn replay(
    history: History,
    file: &str,
    logs: &mut BTreeMap<TopicPartition, Replayed>,
    counts: &mut ReplayCounts,
) {
    let mut own: BTreeMap<TopicPartition, Replayed> = BTreeMap::new();
    for log in history.snapshot.logs {
        own.insert(log.id, Replayed::of_snapshot(log, file));
    }
    let mut lost = None;
    counts.torn_groups += bytes(history.torn);
    for step in history.steps {
        match step {
            Step::Lost { last, .. } => lost = Some(last),
            Step::Records(sequence, records) => {
                counts.groups += 1;
                for record in records {
                    counts.records += 1;
                    counts.payload_bytes += bytes(record.payload.as_ref().map_or(0, Bytes::len));
                    apply(&mut own, &record, sequence, file);
                }
            }
        }
    }
    if let Some(lost) = lost {
        let silent = |log: &&mut Replayed| log.last_group < lost && log.damage.is_none();
        for log in own.values_mut().filter(silent) {
            let reason = format!("group {lost} is damaged and may have held records of this log");
            log.damage = Some(journal_damage(file, 0, reason));
        }
    }
    logs.append(&mut own);
}

fn apply(
    logs: &mut BTreeMap<TopicPartition, Replayed>,
    found: &RecordBytes,
    sequence: u64,
    file: &str,
) {
    let record = &found.record;
    let created = record.kind == RecordKind::Create;
    if created {
        logs.entry(record.log).or_insert_with(|| Replayed::created(record.segment));
    }
    let Some(log) = logs.get_mut(&record.log) else {
        // Deleted while the group was being built: a snapshot before it had dropped the log.
        return;
    };
    if log.damage.is_some() {
        return;
    }
    log.last_group = sequence;
    let applied = match &found.payload {
        Some(payload) => log.apply(record, payload),
        None => Err("payload does not match its checksum".to_owned()),
    };
    if let Err(reason) = applied {
        let reason = format!("group {sequence}: {reason}");
        log.damage = Some(journal_damage(file, record.from.get(), reason));
    }
}

fn journal_damage(file: &str, position: u64, reason: String) -> Damage {
    Damage::Corrupt { file: file.to_owned(), position: FilePosition::new(position), reason }
}
