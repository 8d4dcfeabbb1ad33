//! One file on its own: what can be said of it without the rest, or with as little of it as need be.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use kolk_layout::field;
use kolk_layout::journal::current::Current;
use kolk_layout::journal::group::JournalIdentity;
use kolk_layout::journal::snapshot::{Snapshot, SnapshotError, SnapshotKind};
use kolk_layout::segment::compacted::CHECKPOINT_NAME;
use kolk_layout::segment::scan::Offsets;
use kolk_log::log::segment_name;
use kolk_log::recovery::history::{FoundGroup, find_groups};
use kolk_model::ids::ShardId;
use kolk_model::offset::Offset;
use kolk_partition::producer_snapshot;

use crate::error::InspectError;
use crate::inspection::content::Content;
use crate::inspection::directory::{CURRENT, decode_catalogue, decode_current};
use crate::inspection::log_check::{FoundIndex, read_index, read_point};
use crate::inspection::segment_walk::{Place, WalkFault, first_nonzero, walk};
use crate::inspection::shard_journal::headers;
use crate::report::{
    EpochReport, Finding, JournalReport, Kind, PartitionReport, Report, SegmentReport,
};
use crate::watch::Watch;

/// `meta/CURRENT`.
pub(crate) fn current(path: &Path) -> Result<Report, InspectError> {
    let mut report = Report::new(path, Kind::Current);
    if let Some(current) = decode_current(&read(path)?, &mut report)? {
        let (generation, shards) = (current.generation, current.shards);
        report.journal = Some(JournalReport { generation, shards, ..JournalReport::default() });
    }
    Ok(report.close())
}

/// `meta/catalogue`.
pub(crate) fn catalogue(path: &Path) -> Result<Report, InspectError> {
    let mut report = Report::new(path, Kind::Catalogue);
    decode_catalogue(&read(path)?, &mut report)?;
    Ok(report.close())
}

/// `producer.snapshot`.
pub(crate) fn producers(path: &Path) -> Result<Report, InspectError> {
    let mut report = Report::new(path, Kind::ProducerSnapshot);
    match producer_snapshot::decode(&read(path)?) {
        Ok(_) => {}
        Err(error @ producer_snapshot::SnapshotError::Newer { .. }) => {
            return Err(InspectError::Newer { file: shown(path), reason: error.to_string() });
        }
        Err(error) => report.damaged(shown(path), 0, error),
    }
    Ok(report.close())
}

/// A segment outside a data directory: where its log ends is not known, so zeros at its end are taken for room that
/// was allocated ahead.
pub(crate) fn segment(
    path: &Path,
    base: Offset,
    watch: &mut dyn Watch,
) -> Result<Report, InspectError> {
    let mut report = Report::new(path, Kind::Segment);
    let content = Content::open(path, &[])?;
    if !content.has_file() {
        return Err(InspectError::NotFound { path: path.to_owned() });
    }
    let file = shown(path);
    let offsets = offsets_beside(path, base, &mut report)?;
    let end = content.file_bytes();
    let mut place = Place { topic: "", partition: 0, base, end, offsets, epochs: &[] };
    watch.bytes_planned(place.end);
    let mut walked = walk(&content, place, None, watch);
    if let Err(WalkFault::Segment(position, _)) = &walked {
        let position = *position;
        let rest = first_nonzero(&content, position).map_err(WalkFault::from);
        if matches!(rest, Ok(None)) {
            let room = place.end - position;
            report.warn(format!("{room} bytes after position {position} are allocated and empty"));
            place.end = position;
            walked = walk(&content, place, None, &mut crate::watch::Silent);
        }
    }
    match walked {
        Ok(walked) => {
            let segment = SegmentReport {
                base_offset: base.get(),
                next_offset: walked.next_offset.get(),
                bytes: place.end,
                journal_bytes: 0,
                batches: walked.batches,
                records: walked.records,
                max_timestamp: walked.max_timestamp,
                index: false,
            };
            report.partitions.push(alone(segment));
        }
        Err(WalkFault::Output(error)) => return Err(error.into()),
        Err(WalkFault::Segment(position, reason)) => {
            report.damaged(file, position, reason);
            let hint = "inspect the data directory to know where its log ends";
            report.warn(format!("a segment on its own may end anywhere after a crash; {hint}"));
        }
    }
    Ok(report.close())
}

/// What the compaction checkpoint beside the file says of its segment, if there is one.
fn offsets_beside(path: &Path, base: Offset, report: &mut Report) -> Result<Offsets, InspectError> {
    let path = path.with_file_name(CHECKPOINT_NAME);
    match read_point(&path)? {
        Ok(point) => Ok(point.offsets_of(base)),
        Err(reason) => {
            report.damaged(shown(&path), 0, reason);
            Ok(Offsets::Contiguous)
        }
    }
}

fn alone(segment: SegmentReport) -> PartitionReport {
    PartitionReport {
        topic: String::new(),
        topic_id: String::new(),
        partition: 0,
        whole: true,
        log_start: segment.base_offset,
        log_end: segment.next_offset,
        bytes: segment.bytes,
        batches: segment.batches,
        records: segment.records,
        segments: vec![segment],
        epochs: Vec::new(),
    }
}

/// An index, compared with the segment beside it if that is there.
pub(crate) fn index(path: &Path, base: Offset) -> Result<Report, InspectError> {
    let mut report = Report::new(path, Kind::Index);
    let index = match read_index(path, base)? {
        FoundIndex::Absent => return Err(InspectError::NotFound { path: path.to_owned() }),
        FoundIndex::Damaged(reason) => {
            report.damaged(shown(path), 0, reason);
            return Ok(report.close());
        }
        FoundIndex::Whole(index) => index,
    };
    let segment = path.with_file_name(segment_name(base));
    let content = Content::open(&segment, &[])?;
    if !content.has_file() {
        report.warn(format!("{} is not beside it to be compared", shown(&segment)));
        return Ok(report.close());
    }
    let offsets = offsets_beside(path, base, &mut report)?;
    let end = index.covered();
    let place = Place { topic: "", partition: 0, base, end, offsets, epochs: &[] };
    match walk(&content, place, Some(&index), &mut crate::watch::Silent) {
        Ok(walked) => {
            if let Some(reason) = walked.index_fault {
                report.damaged(shown(path), 0, reason);
            }
        }
        Err(WalkFault::Output(error)) => return Err(error.into()),
        Err(WalkFault::Segment(position, reason)) => {
            report.damaged(shown(&segment), position, reason);
        }
    }
    Ok(report.close())
}

/// A file of the journal of `shard`.
pub(crate) fn journal(path: &Path, identity: JournalIdentity) -> Result<Report, InspectError> {
    let mut report = Report::new(path, Kind::Journal);
    let content = Bytes::from(read(path)?);
    let mut found: BTreeMap<u64, FoundGroup> = BTreeMap::new();
    find_groups(identity, &content, &mut found)
        .map_err(|error| InspectError::Newer { file: shown(path), reason: error.to_string() })?;
    let places: BTreeMap<u64, u64> =
        headers(identity, &content).map(|(position, sequence, _)| (sequence, position)).collect();
    let synced = found.values().map(|group| group.header.durable_sequence).max().unwrap_or(0);
    let mut totals =
        JournalReport { generation: identity.generation, shards: 1, ..JournalReport::default() };
    for (sequence, group) in &found {
        let records = group.records.as_deref();
        let whole = records.is_some_and(|all| all.iter().all(|record| record.payload.is_some()));
        totals.groups += 1;
        for record in records.unwrap_or_default() {
            totals.records += 1;
            totals.payload_bytes += field::bytes(record.payload.as_ref().map_or(0, Bytes::len));
        }
        if !whole && *sequence <= synced {
            let position = places.get(sequence).copied().unwrap_or(0);
            let reason = format!("group {sequence} does not match its checksums");
            report.damaged(shown(path), position, reason);
        } else if !whole {
            totals.torn_groups += 1;
        }
    }
    report.journal = Some(totals);
    Ok(report.close())
}

/// A snapshot slot of the journal of a shard.
pub(crate) fn snapshot(path: &Path, identity: JournalIdentity) -> Result<Report, InspectError> {
    let mut report = Report::new(path, Kind::Snapshot);
    let content = read(path)?;
    match Snapshot::decode(identity, &content) {
        Ok(snapshot) => {
            let stopped = snapshot.kind == SnapshotKind::CleanStop;
            report.journal = Some(JournalReport {
                generation: identity.generation,
                shards: 1,
                shards_stopped_cleanly: u16::from(stopped),
                logs: field::bytes(snapshot.logs.len()),
                ..JournalReport::default()
            });
            for log in &snapshot.logs {
                if let Some(reason) = &log.damage {
                    let (file, log) = (shown(path), Some(log.id.to_string()));
                    let reason = format!("the log is offline: {reason}");
                    report.damage.push(Finding { file, position: 0, log, reason });
                }
                report.partitions.push(partition_of(log));
            }
        }
        Err(error @ SnapshotError::VersionNewer { .. }) => {
            return Err(InspectError::Newer { file: shown(path), reason: error.to_string() });
        }
        Err(_) if content.iter().all(|byte| *byte == 0) => {
            report.warn("the slot is empty, as the second one is until the first checkpoint");
        }
        Err(error) => report.damaged(shown(path), 0, error),
    }
    Ok(report.close())
}

fn partition_of(log: &kolk_layout::journal::snapshot::LogSnapshot) -> PartitionReport {
    PartitionReport {
        topic: log.id.topic.to_string(),
        topic_id: log.id.topic.to_string(),
        partition: log.id.partition.get(),
        whole: log.damage.is_none(),
        log_start: log.log_start.get(),
        log_end: log.next_offset.get(),
        bytes: log.end.get(),
        batches: 0,
        records: 0,
        segments: Vec::new(),
        epochs: log
            .epochs
            .iter()
            .map(|epoch| EpochReport { epoch: epoch.epoch.get(), start_offset: epoch.start.get() })
            .collect(),
    }
}

/// What binds `journal/<generation>/<shard>/<file>` of `data` to its run; `None` if the file is of another run.
pub(crate) fn identity(data: &Path, path: &Path) -> Result<Option<JournalIdentity>, InspectError> {
    let mut names =
        path.ancestors().skip(1).map(|dir| dir.file_name().and_then(|name| name.to_str()));
    let mut number = || names.next().flatten().and_then(|name| name.parse::<u64>().ok());
    let (shard, generation) = (number(), number());
    let content = read(&data.join(CURRENT))?;
    let Ok(current) = Current::decode(&content) else { return Ok(None) };
    let shard = shard.and_then(|shard| u16::try_from(shard).ok());
    let live = generation == Some(current.generation);
    Ok(shard.filter(|_| live).map(|shard| current.identity(ShardId::new(shard))))
}

fn read(path: &Path) -> Result<Vec<u8>, InspectError> {
    std::fs::read(path).map_err(|error| InspectError::io(path, error))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
