//! One log of a data directory: its segments, each to the end that the journal gives it, their indexes, and what lies
//! beside them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kolk_layout::segment::compacted::{
    CHECKPOINT_NAME, CheckpointError, CompactionPoint, swap_name,
};
use kolk_layout::segment::index::{IndexError, SegmentIndex};
use kolk_log::log::{index_name, log_dir, parse_segment_name, segment_name};
use kolk_log::recovery::replay::{Piece, Replayed};
use kolk_model::ids::TopicPartition;
use kolk_model::offset::Offset;
use kolk_partition::producer_snapshot;

use crate::error::InspectError;
use crate::inspection::content::Content;
use crate::inspection::segment_walk::{Place, WalkFault, walk};
use crate::report::{EpochReport, Finding, PartitionReport, Report, SegmentReport};
use crate::watch::Watch;

/// A log to check.
pub(crate) struct Target<'a> {
    pub(crate) data: &'a Path,
    pub(crate) id: TopicPartition,
    /// The topic's name; its id where the name is unknown.
    pub(crate) topic: String,
    pub(crate) log: &'a Replayed,
    /// Only this segment.
    pub(crate) segment: Option<Offset>,
}

/// A segment as the next start would leave it.
struct Expected<'a> {
    base: Offset,
    end: u64,
    next_offset: Offset,
    pieces: &'a [Piece],
    /// Whether the file may be absent: the journal holds all of it.
    may_be_absent: bool,
}

/// Checks the log; what it finds goes to the report.
pub(crate) fn check(
    target: &Target<'_>,
    watch: &mut dyn Watch,
    report: &mut Report,
) -> Result<(), InspectError> {
    let mut check = Check {
        target,
        dir: log_dir(target.id),
        label: label(target),
        point: CompactionPoint::default(),
    };
    check.read_point(report)?;
    let found = check.report_of(watch, report)?;
    report.partitions.push(found);
    Ok(())
}

fn label(target: &Target<'_>) -> String {
    format!("{}/{}", target.topic, target.id.partition)
}

struct Check<'a> {
    target: &'a Target<'a>,
    /// Relative to the data directory.
    dir: String,
    label: String,
    /// How far compaction has come.
    point: CompactionPoint,
}

impl Check<'_> {
    fn report_of(
        &self,
        watch: &mut dyn Watch,
        report: &mut Report,
    ) -> Result<PartitionReport, InspectError> {
        let before = report.damage.len();
        let log = self.target.log;
        let files = self.segment_files()?;
        if let Some(damage) = &log.damage {
            let reason = format!("the log is offline: {damage}");
            self.damaged(report, &self.dir, 0, reason);
        }
        let expected = self.expected(&files, report);
        watch.bytes_planned(expected.iter().map(|segment| segment.end).sum());
        let mut segments = Vec::new();
        for segment in &expected {
            segments.extend(self.segment(segment, watch, report)?);
        }
        self.producers(report)?;
        let id = self.target.id;
        Ok(PartitionReport {
            topic: self.target.topic.clone(),
            topic_id: id.topic.to_string(),
            partition: id.partition.get(),
            whole: report.damage.len() == before,
            log_start: log.log_start.get(),
            log_end: log.next_offset.get(),
            bytes: segments.iter().map(|segment| segment.bytes).sum(),
            batches: segments.iter().map(|segment| segment.batches).sum(),
            records: segments.iter().map(|segment| segment.records).sum(),
            segments,
            epochs: epochs(log),
        })
    }

    fn damaged(&self, report: &mut Report, file: &str, position: u64, reason: String) {
        let (file, log) = (file.to_owned(), Some(self.label.clone()));
        report.damage.push(Finding { file, position, log, reason });
    }

    fn path(&self, name: &str) -> PathBuf {
        self.target.data.join(&self.dir).join(name)
    }

    fn read_point(&mut self, report: &mut Report) -> Result<(), InspectError> {
        match read_point(&self.path(CHECKPOINT_NAME))? {
            Ok(point) => self.point = point,
            Err(reason) => {
                self.damaged(report, &format!("{}/{CHECKPOINT_NAME}", self.dir), 0, reason);
            }
        }
        Ok(())
    }

    /// The name of a segment's file: a start gives that of a swap, which compaction had decided, its own.
    fn file_of(&self, base: Offset) -> String {
        let waiting = swap_name(base);
        let swaps = self.point.swap.is_some_and(|swap| swap.base == base);
        if swaps && self.path(&waiting).exists() { waiting } else { segment_name(base) }
    }

    /// Sizes of the segment files by base offset, as a start would leave them.
    fn segment_files(&self) -> Result<BTreeMap<Offset, u64>, InspectError> {
        let dir = self.target.data.join(&self.dir);
        let entries = match std::fs::read_dir(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(BTreeMap::new());
            }
            entries => entries.map_err(|error| InspectError::io(&dir, error))?,
        };
        let mut files = BTreeMap::new();
        for entry in entries {
            let entry = entry.map_err(|error| InspectError::io(&dir, error))?;
            let base = entry.file_name().to_str().and_then(parse_segment_name);
            if let Some(base) = base {
                let size = entry.metadata().map_err(|error| InspectError::io(&dir, error))?.len();
                files.insert(base, size);
            }
        }
        if let Some(swap) = self.point.swap {
            files.retain(|base, _| *base <= swap.base || *base >= swap.next_offset);
            let path = self.path(&self.file_of(swap.base));
            if let Ok(about) = std::fs::metadata(&path) {
                files.insert(swap.base, about.len());
            }
        }
        Ok(files)
    }

    /// The segments that must be there, oldest first.
    fn expected(&self, files: &BTreeMap<Offset, u64>, report: &mut Report) -> Vec<Expected<'_>> {
        let log = self.target.log;
        // What compaction has looked at is whole whatever the journal remembers of it.
        let finished = log.finished.iter().filter(|t| t.base >= self.point.rising_below);
        let touched = || finished.clone().chain([&log.active]);
        let first_touched = touched().next().map_or(log.active.base, |touched| touched.base);
        let sealed = files.range(..first_touched);
        let next = files.range(..first_touched).skip(1).map(|(base, _)| *base);
        let sealed = sealed.zip(next.chain([first_touched]));
        let mut expected: Vec<Expected<'_>> = sealed
            .map(|((base, bytes), next_offset)| Expected {
                base: *base,
                end: *bytes,
                next_offset,
                pieces: &[],
                may_be_absent: false,
            })
            .collect();
        // The journal of a damaged log does not say where its touched segments end.
        if log.damage.is_none() {
            let bases = touched().skip(1).map(|touched| touched.base).chain([log.next_offset]);
            for (touched, next_offset) in touched().zip(bases) {
                let retired = touched.base < log.log_start && touched.base < log.active.base;
                if retired && !files.contains_key(&touched.base) {
                    continue;
                }
                expected.push(Expected {
                    base: touched.base,
                    end: touched.end,
                    next_offset,
                    pieces: &touched.pieces,
                    may_be_absent: touched.created,
                });
            }
            for (base, _) in files.range(log.active.base.next()..) {
                let name = format!("{}/{}", self.dir, segment_name(*base));
                report.warn(format!("{name} was never part of the log; the next start removes it"));
            }
        }
        let first = expected.first().map_or(first_touched, |segment| segment.base);
        if first > log.log_start {
            let file = format!("{}/{}", self.dir, segment_name(first));
            let start = log.log_start;
            let reason = format!("the segments before it are missing; the log starts at {start}");
            self.damaged(report, &file, 0, reason);
        }
        expected.retain(|segment| self.target.segment.is_none_or(|only| only == segment.base));
        expected
    }

    fn segment(
        &self,
        expected: &Expected<'_>,
        watch: &mut dyn Watch,
        report: &mut Report,
    ) -> Result<Option<SegmentReport>, InspectError> {
        let name = self.file_of(expected.base);
        let file = format!("{}/{name}", self.dir);
        let content = Content::open(&self.path(&name), expected.pieces)?;
        if !content.has_file() && !expected.may_be_absent {
            self.damaged(report, &file, 0, "the segment is missing".to_owned());
            return Ok(None);
        }
        let index_file = format!("{}/{}", self.dir, index_name(expected.base));
        let swaps = self.point.swap.is_some_and(|swap| swap.base == expected.base);
        let index = match read_index(&self.path(&index_name(expected.base)), expected.base)? {
            // A start makes it again.
            _ if swaps => None,
            FoundIndex::Whole(index) => Some(index),
            FoundIndex::Absent => None,
            FoundIndex::Damaged(reason) => {
                self.damaged(report, &index_file, 0, rebuilt(&reason));
                None
            }
        };
        let place = Place {
            topic: &self.target.topic,
            partition: self.target.id.partition.get(),
            base: expected.base,
            end: expected.end,
            offsets: self.point.offsets_of(expected.base),
            epochs: &self.target.log.epochs,
        };
        let walked = match walk(&content, place, index.as_ref(), watch) {
            Ok(walked) => walked,
            Err(WalkFault::Output(error)) => return Err(error.into()),
            Err(WalkFault::Segment(position, reason)) => {
                self.damaged(report, &file, position, reason);
                return Ok(None);
            }
        };
        if let Some(reason) = &walked.index_fault {
            self.damaged(report, &index_file, 0, rebuilt(reason));
        }
        if walked.next_offset != expected.next_offset {
            let (found, wanted) = (walked.next_offset, expected.next_offset);
            let reason = format!("the segment ends at offset {found}, its log goes on at {wanted}");
            self.damaged(report, &file, expected.end, reason);
        }
        Ok(Some(SegmentReport {
            base_offset: expected.base.get(),
            next_offset: walked.next_offset.get(),
            bytes: expected.end,
            journal_bytes: content.journal_bytes(expected.end),
            batches: walked.batches,
            records: walked.records,
            max_timestamp: walked.max_timestamp,
            index: index.is_some(),
        }))
    }

    fn producers(&self, report: &mut Report) -> Result<(), InspectError> {
        let name = "producer.snapshot";
        let path = self.path(name);
        let Some(content) = read_if_there(&path)? else { return Ok(()) };
        let file = format!("{}/{name}", self.dir);
        match producer_snapshot::decode(&content) {
            Ok(found) if found.point.partition != self.target.id => {
                let reason = format!("it is that of {}", found.point.partition);
                self.damaged(report, &file, 0, reason);
            }
            Ok(found) if found.point.offset > self.target.log.next_offset => {
                report.warn(format!("{file} speaks of records that the log lost; it is not used"));
            }
            Ok(_) => {}
            Err(producer_snapshot::SnapshotError::Newer { .. }) => {
                report.warn(format!("{file} was written by a newer kolk; it is not used"));
            }
            Err(error) => self.damaged(report, &file, 0, rebuilt(&error.to_string())),
        }
        Ok(())
    }
}

fn rebuilt(reason: &str) -> String {
    format!("{reason}; the broker rebuilds it from the segments")
}

fn epochs(log: &Replayed) -> Vec<EpochReport> {
    let epoch = |e: &kolk_layout::journal::snapshot::EpochStart| EpochReport {
        epoch: e.epoch.get(),
        start_offset: e.start.get(),
    };
    log.epochs.iter().map(epoch).collect()
}

/// An index file, if there is one.
pub(crate) enum FoundIndex {
    Absent,
    Whole(SegmentIndex),
    Damaged(String),
}

/// Reads the index file at `path` of the segment that starts at `base`.
pub(crate) fn read_index(path: &Path, base: Offset) -> Result<FoundIndex, InspectError> {
    let Some(content) = read_if_there(path)? else { return Ok(FoundIndex::Absent) };
    match SegmentIndex::decode(base, &content) {
        Ok(index) => Ok(FoundIndex::Whole(index)),
        Err(error @ IndexError::VersionNewer { .. }) => {
            let file = path.display().to_string();
            Err(InspectError::Newer { file, reason: error.to_string() })
        }
        Err(error) => Ok(FoundIndex::Damaged(error.to_string())),
    }
}

/// The compaction checkpoint at `path`; a log that has none was never compacted. Inside, why it can't be used.
pub(crate) fn read_point(path: &Path) -> Result<Result<CompactionPoint, String>, InspectError> {
    let Some(content) = read_if_there(path)? else { return Ok(Ok(CompactionPoint::default())) };
    match CompactionPoint::decode(&content) {
        Err(error @ CheckpointError::VersionNewer { .. }) => {
            let file = path.display().to_string();
            Err(InspectError::Newer { file, reason: error.to_string() })
        }
        point => Ok(point.map_err(|error| error.to_string())),
    }
}

/// A whole file, or `None` if it does not exist.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, InspectError> {
    match std::fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(InspectError::io(path, error)),
    }
}
