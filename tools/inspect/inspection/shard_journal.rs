//! The journal of one shard: read, judged, and replayed in memory. Says more than the broker's own recovery does,
//! which needs to know whether to go on and not which byte is at fault.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kolk_layout::field::{PAGE_BYTES, bytes, index};
use kolk_layout::journal::current::Current;
use kolk_layout::journal::group::{GROUP_HEADER_BYTES, JournalIdentity, parse_header};
use kolk_layout::journal::snapshot::{Snapshot, SnapshotError, SnapshotKind};
use kolk_layout::journal::{SNAPSHOT_NAMES, journal_dir, journal_name};
use kolk_log::recovery::history::{FoundGroup, History, Step, find_groups, follow};
use kolk_log::recovery::replay::{ReplayCounts, Replayed, replay};
use kolk_model::ids::{ShardId, TopicPartition};

use crate::error::InspectError;
use crate::report::{JournalReport, Report};

/// The logs of one shard as the next start would find them.
pub(crate) type Logs = BTreeMap<TopicPartition, Replayed>;

/// Where a group stands.
#[derive(Clone, Debug)]
struct GroupPlace {
    file: String,
    position: u64,
    bytes: u64,
}

struct ShardJournal<'a> {
    data: &'a Path,
    dir: PathBuf,
    identity: JournalIdentity,
    places: BTreeMap<u64, GroupPlace>,
    low_water: u64,
}

/// Reads the journal of `shard`; damage goes to the report. `None` if nothing can be replayed from it.
pub(crate) fn read(
    data: &Path,
    current: &Current,
    shard: ShardId,
    report: &mut Report,
) -> Result<Option<Logs>, InspectError> {
    let identity = current.identity(shard);
    let dir = journal_dir(data, identity);
    let places = BTreeMap::new();
    let mut journal = ShardJournal { data, dir, identity, places, low_water: 0 };
    let Some((snapshot, unread_slot)) = journal.snapshot(report)? else { return Ok(None) };
    let taken = snapshot.sequence;
    let stopped = snapshot.kind == SnapshotKind::CleanStop;
    let mut found = BTreeMap::new();
    for number in 0..current.files {
        journal.groups(&journal_name(number), stopped, &mut found, report)?;
    }
    if let Some(slot) = unread_slot {
        let file = journal.name(slot);
        if journal.low_water > taken + 1 {
            report.damaged(file, 0, "the slot is damaged, and later groups relied on it");
        } else {
            let other = "the other slot and the groups after it have everything";
            report.warn(format!("{file} is not whole, as after a checkpoint cut short; {other}"));
        }
    }
    let beyond = found.range(taken + 1..).count();
    let history = follow(snapshot, found);
    let accepted = history.steps.iter().filter(|step| matches!(step, Step::Records(..))).count();
    journal.judge(&history, report);
    let mut logs = Logs::new();
    let mut counts = ReplayCounts::default();
    let name = relative(data, &journal.dir);
    replay(history, &name, &mut logs, &mut counts);
    let totals = report.journal.get_or_insert_with(JournalReport::default);
    totals.shards_stopped_cleanly += u16::from(stopped);
    totals.groups += counts.groups;
    totals.records += counts.records;
    totals.payload_bytes += counts.payload_bytes;
    totals.torn_groups += bytes(beyond.saturating_sub(accepted));
    totals.logs += bytes(logs.len());
    Ok(Some(logs))
}

impl ShardJournal<'_> {
    fn name(&self, file: &str) -> String {
        relative(self.data, &self.dir.join(file))
    }

    /// The newer readable snapshot, and the name of a slot that holds something unreadable.
    fn snapshot(
        &self,
        report: &mut Report,
    ) -> Result<Option<(Snapshot, Option<&'static str>)>, InspectError> {
        let mut best: Option<Snapshot> = None;
        let mut unread = None;
        for slot in SNAPSHOT_NAMES {
            let file = self.name(slot);
            let path = self.dir.join(slot);
            let content = match std::fs::read(&path) {
                Ok(content) => content,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    report.damaged(file, 0, "meta/CURRENT names the file and it is missing");
                    continue;
                }
                Err(error) => return Err(InspectError::io(&path, error)),
            };
            match Snapshot::decode(self.identity, &content) {
                Ok(found) => {
                    if best.as_ref().is_none_or(|best| best.sequence <= found.sequence) {
                        best = Some(found);
                    }
                }
                Err(error @ SnapshotError::VersionNewer { .. }) => {
                    return Err(InspectError::Newer { file, reason: error.to_string() });
                }
                // A slot is allocated before it is first written.
                Err(_) if content.iter().all(|byte| *byte == 0) => {}
                Err(_) => unread = Some(slot),
            }
        }
        let Some(best) = best else {
            let slot = unread.unwrap_or(SNAPSHOT_NAMES[0]);
            let shard = self.identity.shard;
            let reason = format!("no snapshot of shard {shard} can be read: its logs are unknown");
            report.damaged(self.name(slot), 0, reason);
            return Ok(None);
        };
        Ok(Some((best, unread)))
    }

    /// Finds the groups of one file and remembers where they stand.
    fn groups(
        &mut self,
        file: &str,
        stopped: bool,
        found: &mut BTreeMap<u64, FoundGroup>,
        report: &mut Report,
    ) -> Result<(), InspectError> {
        let path = self.dir.join(file);
        let name = self.name(file);
        let content = match std::fs::read(&path) {
            Ok(content) => Bytes::from(content),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                report.damaged(name, 0, "meta/CURRENT names the file and it is missing");
                return Ok(());
            }
            Err(error) => return Err(InspectError::io(&path, error)),
        };
        if stopped {
            return Ok(());
        }
        find_groups(self.identity, &content, found).map_err(|error| InspectError::Newer {
            file: name.clone(),
            reason: error.to_string(),
        })?;
        for (position, sequence, total) in headers(self.identity, &content) {
            let place = GroupPlace { file: name.clone(), position, bytes: total };
            self.places.insert(sequence, place);
        }
        let low = found.values().map(|group| group.header.low_water).max().unwrap_or(0);
        self.low_water = self.low_water.max(low);
        Ok(())
    }

    /// Says which acknowledged groups are harmed.
    fn judge(&self, history: &History, report: &mut Report) {
        let mut lost: Vec<u64> = Vec::new();
        for step in &history.steps {
            match step {
                Step::Lost { first, last } => lost.extend([*first, *last]),
                Step::Records(sequence, records) => {
                    let harmed = records.iter().filter(|record| record.payload.is_none());
                    for record in harmed {
                        let place = self.place(*sequence);
                        let log = record.record.log;
                        let reason =
                            format!("group {sequence}: bytes of {log} do not match their checksum");
                        report.damaged(place.file, place.position, reason);
                    }
                }
            }
        }
        if let (Some(from), Some(to)) = (lost.first(), lost.last()) {
            let place = self.place(*from);
            let which =
                if from == to { format!("{from} is") } else { format!("{from} to {to} are") };
            let reason =
                format!("group {which} damaged or missing, and a later group relied on it");
            report.damaged(place.file, place.position, reason);
        }
    }

    /// Where a group stands, or should: behind the one before it.
    fn place(&self, sequence: u64) -> GroupPlace {
        if let Some(place) = self.places.get(&sequence) {
            return place.clone();
        }
        let before = sequence.checked_sub(1).and_then(|before| self.places.get(&before)).cloned();
        before.map_or_else(
            || GroupPlace { file: self.name(&journal_name(0)), position: 0, bytes: 0 },
            |before| GroupPlace { position: before.position + before.bytes, ..before },
        )
    }
}

/// Position, sequence and length of every group header in a journal file.
pub(crate) fn headers(
    identity: JournalIdentity,
    file: &[u8],
) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
    let mut position = 0;
    std::iter::from_fn(move || {
        loop {
            let rest = file.get(position..).filter(|rest| rest.len() >= GROUP_HEADER_BYTES)?;
            let at = position;
            let Ok(header) = parse_header(identity, rest) else {
                position += index(PAGE_BYTES);
                continue;
            };
            position += index(header.total_bytes);
            return Some((bytes(at), header.sequence, header.total_bytes));
        }
    })
}

/// A path as the report names it: below the data directory.
pub(crate) fn relative(data: &Path, path: &Path) -> String {
    path.strip_prefix(data).unwrap_or(path).display().to_string()
}
