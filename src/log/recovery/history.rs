//! Reading one shard's journal of an earlier run: the newer whole snapshot, then the groups after it, as far as the chain
//! reaches. Tells a torn end from rot. STORAGE.md rules 5, 6 and 9.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use kolk_io::door::{File, Io, OpenMode};

use crate::error::{LogError, RecoveryError};
use crate::flaw::{self, Flaw};
use kolk_layout::field::{PAGE_BYTES, index};
use kolk_layout::journal::group::{
    GROUP_HEADER_BYTES, GroupError, GroupHeader, JournalIdentity, RecordBytes, parse_header,
    parse_records,
};
use kolk_layout::journal::snapshot::{Snapshot, SnapshotError, SnapshotKind};
use kolk_layout::journal::{SNAPSHOT_NAMES, journal_dir, journal_name};

/// A snapshot larger than this is refused: 16,384 logs with a page each are 80 MiB.
const SNAPSHOT_BYTES_MAX: usize = 4 << 30;

/// A group found in a journal file.
#[derive(Clone, Debug)]
pub struct FoundGroup {
    /// Its header.
    pub header: GroupHeader,
    /// Its records; `None` if the directory is damaged.
    pub records: Option<Vec<RecordBytes>>,
}

impl FoundGroup {
    fn whole(&self) -> bool {
        let payloads =
            |records: &Vec<RecordBytes>| records.iter().all(|record| record.payload.is_some());
        self.records.as_ref().is_some_and(payloads)
    }
}

/// What a group of the accepted chain says.
#[derive(Clone, Debug)]
pub enum Step {
    /// Records in order; a payload of `None` is rot in a group that was acknowledged.
    Records(u64, Vec<RecordBytes>),
    /// Acknowledged groups whose records are unknown, from the first to the last. One step however many they are: what a damaged
    /// number claims must not cost memory.
    Lost {
        /// Sequence of the first.
        first: u64,
        /// Sequence of the last.
        last: u64,
    },
}

/// One shard's journal, read.
#[derive(Clone, Debug)]
pub struct History {
    /// Where the groups start from.
    pub snapshot: Snapshot,
    /// The accepted groups after it.
    pub steps: Vec<Step>,
    /// Groups after the last accepted one, never acknowledged.
    pub torn: usize,
}

/// Finds the groups in the bytes of one journal file. Zeros, old groups of a recycled file and rot are stepped over page by
/// page.
///
/// # Errors
/// [`GroupError::VersionNewer`].
pub fn find_groups(
    identity: JournalIdentity,
    file: &Bytes,
    found: &mut BTreeMap<u64, FoundGroup>,
) -> Result<(), GroupError> {
    let mut position = 0;
    while let Some(rest) = file.get(position..).filter(|rest| rest.len() >= GROUP_HEADER_BYTES) {
        let step = match parse_header(identity, rest) {
            Ok(header) => {
                let total = index(header.total_bytes);
                let group = file.slice(position..file.len().min(position + total));
                let records = parse_records(&header, &group).ok();
                found.insert(header.sequence, FoundGroup { header, records });
                total
            }
            Err(GroupError::VersionNewer { found }) => {
                return Err(GroupError::VersionNewer { found });
            }
            Err(_) => index(PAGE_BYTES),
        };
        position += step;
    }
    Ok(())
}

/// Follows the chain of groups from a snapshot.
#[must_use]
pub fn follow(snapshot: Snapshot, mut found: BTreeMap<u64, FoundGroup>) -> History {
    let first = snapshot.sequence.saturating_add(1);
    let mut found = found.split_off(&first);
    // What a later group knew to be synced was acknowledged: it may be damaged, but it is not a torn end.
    let synced = found.values().map(|group| group.header.durable_sequence).max().unwrap_or(0);
    let mut steps = Vec::new();
    let mut previous = Some(snapshot.checksum);
    let mut sequence = first;
    let torn = loop {
        let group = found.remove(&sequence);
        let present = usize::from(group.is_some());
        let group =
            group.filter(|group| previous.is_none_or(|sum| sum == group.header.previous_checksum));
        let acknowledged = sequence <= synced;
        match group {
            Some(group) if group.whole() || (acknowledged && group.records.is_some()) => {
                previous = Some(group.header.checksum);
                steps.push(Step::Records(sequence, group.records.unwrap_or_default()));
            }
            _ if acknowledged => {
                previous = None;
                let next = found.keys().next().map_or(synced, |next| next.saturating_sub(1));
                let last = next.min(synced);
                steps.push(Step::Lost { first: sequence, last });
                sequence = last;
            }
            _ => break found.len() + present,
        }
        let Some(next) = sequence.checked_add(1) else { break found.len() };
        sequence = next;
    };
    History { snapshot, steps, torn }
}

/// Reads the journal of one shard of an earlier run. Makes durable what it accepts before anybody relies on it.
///
/// # Errors
/// [`RecoveryError`] as the rules demand, [`LogError::Io`].
pub(crate) async fn read<I: Io>(
    io: &I,
    dir: &Path,
    identity: JournalIdentity,
    files: u16,
    accept_loss: bool,
) -> Result<History, LogError> {
    let journal = journal_dir(dir, identity);
    let (snapshot, other_damaged) = read_snapshot(io, dir, &journal, identity, accept_loss).await?;
    let mut found = BTreeMap::new();
    for number in 0..files {
        let path = journal.join(journal_name(number));
        let file = match io.open(&path, OpenMode::ReadWrite).await {
            Err(error) if error.is_not_found() && accept_loss => {
                tracing::error!(path = %path.display(), "journal file is missing, its records are lost as accepted");
                continue;
            }
            Err(error) if error.is_not_found() => {
                return Err(RecoveryError::FileMissing { path: relative(dir, &path) }.into());
            }
            file => file?,
        };
        let len = file.len().await?;
        if len > 0 && snapshot.kind == SnapshotKind::Running {
            file.sync().await?;
            let read = file.read_at(0, index(len.next_multiple_of(PAGE_BYTES))).await?.freeze();
            find_groups(identity, &read, &mut found).map_err(|error| RecoveryError::Newer {
                what: format!("{} ({error})", relative(dir, &path)),
            })?;
        }
        file.close().await?;
    }
    if Flaw::TornGroupAccepted.is_in(io) {
        flaw::accept_torn(&mut found);
    }
    let history = follow(snapshot, found);
    if let Some((from, to)) = gap_at_the_start(&history.steps)
        && other_damaged
        && !accept_loss
    {
        return Err(RecoveryError::Gap { shard: identity.shard, from, to }.into());
    }
    Ok(history)
}

/// The groups that are lost before the first one that is not.
fn gap_at_the_start(steps: &[Step]) -> Option<(u64, u64)> {
    let lost = steps.iter().map_while(|step| match step {
        Step::Lost { first, last } => Some((*first, *last)),
        Step::Records(..) => None,
    });
    lost.reduce(|(from, _), (_, to)| (from, to))
}

/// The newer readable slot; also says whether the other one was written and can't be read.
async fn read_snapshot<I: Io>(
    io: &I,
    dir: &Path,
    journal: &Path,
    identity: JournalIdentity,
    accept_loss: bool,
) -> Result<(Snapshot, bool), LogError> {
    let mut best: Option<Snapshot> = None;
    let (mut damaged, mut reason) = (false, String::new());
    for name in SNAPSHOT_NAMES {
        let path = journal.join(name);
        let Some(slot) = io.read_file(&path, SNAPSHOT_BYTES_MAX).await? else {
            if accept_loss {
                continue;
            }
            return Err(RecoveryError::FileMissing { path: relative(dir, &path) }.into());
        };
        match Snapshot::decode(identity, &slot) {
            Ok(found) => {
                // Where no group came after a checkpoint, a clean stop's says the same and more.
                let rank = |one: &Snapshot| (one.sequence, one.kind == SnapshotKind::CleanStop);
                if best.as_ref().is_none_or(|best| rank(best) <= rank(&found)) {
                    best = Some(found);
                }
            }
            Err(error @ SnapshotError::VersionNewer { .. }) => {
                let what = format!("{} ({error})", relative(dir, &path));
                return Err(RecoveryError::Newer { what }.into());
            }
            Err(error) => {
                damaged |= !slot.is_empty();
                reason = format!("{name}: {error}");
            }
        }
    }
    match best {
        Some(best) => Ok((best, damaged)),
        None => Err(RecoveryError::SnapshotMissing { shard: identity.shard, reason }.into()),
    }
}

pub(crate) fn relative(dir: &Path, path: &Path) -> String {
    path.strip_prefix(dir).unwrap_or(path).display().to_string()
}
