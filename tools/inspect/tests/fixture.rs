//! A small data directory made with the broker's own encoders.

use std::path::{Path, PathBuf};

use kolk_coord::catalogue::Catalogue;
use kolk_coord::command::{Command, Event, NewTopic};
use kolk_coord::topic::ClusterId;
use kolk_layout::journal::current::Current;
use kolk_layout::journal::group::{GroupBuilder, GroupPlace, JournalIdentity, Record, RecordKind};
use kolk_layout::journal::journal_dir;
use kolk_layout::journal::snapshot::{EpochStart, LogSnapshot, Snapshot, SnapshotKind};
use kolk_layout::segment::index::SegmentIndex;
use kolk_layout::segment::scan::{Offsets, Scan};
use kolk_log::log::{index_name, log_dir, segment_name};
use kolk_model::batch::{BatchView, HEAD_BYTES, stamp_head};
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::checksum::crc32c;
use kolk_model::compression::Compression;
use kolk_model::config::overrides::Overrides;
use kolk_model::ids::{LeaderEpoch, PartitionId, ShardId, TopicId, TopicName, TopicPartition};
use kolk_model::offset::{FilePosition, Offset};
use kolk_model::time::TimestampMs;

pub(super) const FILES: u16 = 3;
const PAGE: usize = 4096;

/// Topic `web`: partition 0 has a sealed segment and a tail in the snapshot and the journal, partition 1 was created in
/// the journal and has no file, after a kill that left a torn group.
pub(super) struct Fixture {
    pub(super) dir: tempfile::TempDir,
    pub(super) topic: TopicId,
    pub(super) identity: JournalIdentity,
    /// Positions of the groups in `0.journal`; the last one is the torn group's.
    pub(super) groups: Vec<usize>,
}

/// A batch of `count` records as it stands in a log.
pub(super) fn batch(base: u64, count: u64, epoch: u32, codec: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for n in 0..count {
        let value = format!("record {:03} of the log", base + n);
        let time = TimestampMs::new(1_700_000_000_000 + (base + n).cast_signed());
        builder.append(time, Some(b"key"), Some(value.as_bytes()), &[]).unwrap();
    }
    let built = builder.build(codec).unwrap();
    let (view, _) = BatchView::parse(&built).unwrap();
    let head = stamp_head(&view, Offset::new(base), LeaderEpoch::new(epoch));
    let mut bytes = built.to_vec();
    bytes[..HEAD_BYTES].copy_from_slice(&head);
    bytes
}

pub(super) fn index_of(base: u64, segment: &[u8]) -> SegmentIndex {
    let mut index = SegmentIndex::new(Offset::new(base), 512);
    let mut scan = Scan::new(0, Offset::new(base)).with_offsets(Offsets::Rising);
    scan.batches(segment, |batch, next| index.push(batch, next)).unwrap();
    index
}

impl Fixture {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (catalogue, topic) = catalogue();
        let identity = JournalIdentity { generation: 4, shard: ShardId::new(0), seed: 77 };
        let mut fixture = Self { dir, topic, identity, groups: Vec::new() };
        fixture.write("meta/catalogue", &catalogue.encode());
        let current = Current { generation: 4, seed: 77, shards: 1, files: FILES };
        fixture.write("meta/CURRENT", &current.encode());
        fixture.write("meta/LOCK", b"");
        fixture.journal();
        fixture
    }

    /// Sealed: offsets 0..40. Active: 40..50 in the snapshot's tail, 50..60 in the journal.
    fn journal(&mut self) {
        let log = self.log(0);
        let sealed: Vec<u8> =
            (0..4).flat_map(|n| batch(n * 10, 10, 0, Compression::None)).collect();
        self.write(&format!("{}/{}", log_dir(log), segment_name(Offset::ZERO)), &sealed);
        let index = index_of(0, &sealed).encode();
        self.write(&format!("{}/{}", log_dir(log), index_name(Offset::ZERO)), &index);
        let active = segment_name(Offset::new(40));
        // Allocated ahead and never written.
        self.write(&format!("{}/{active}", log_dir(log)), &vec![0; 16 * PAGE]);
        let tail = batch(40, 10, 1, Compression::Zstd);
        let snapshot = self.snapshot(log, tail.clone());
        self.write_journal("snapshot.a", &snapshot.encode(self.identity));
        self.write_journal("snapshot.b", &[]);
        let mut file = Vec::new();
        let more = batch(50, 10, 2, Compression::None);
        let from = tail.len() as u64;
        let append = redo(log, 40, from, &more, 60);
        let checksum = self.group(&mut file, place(11, 10, 900), &[(append, more)]);
        let other = self.log(1);
        let create = Record {
            log: other,
            kind: RecordKind::Create,
            segment: Offset::ZERO,
            from: FilePosition::ZERO,
            to: FilePosition::ZERO,
            end: FilePosition::ZERO,
            next_offset: Offset::ZERO,
        };
        let first = batch(0, 3, 0, Compression::Lz4);
        let redo_first = redo(other, 0, 0, &first, 3);
        let records = [(create, Vec::new()), (redo_first, first.clone())];
        let checksum = self.group(&mut file, place(12, 11, checksum), &records);
        let second = batch(3, 3, 0, Compression::None);
        let torn = redo(other, 0, first.len() as u64, &second, 6);
        self.group(&mut file, place(13, 11, checksum), &[(torn, second)]);
        let last = *self.groups.last().unwrap();
        file.truncate(last + 100);
        file.resize(64 * PAGE, 0);
        self.write_journal("0.journal", &file);
        self.write_journal("1.journal", &[]);
        self.write_journal("2.journal", &[]);
    }

    fn snapshot(&self, log: TopicPartition, tail: Vec<u8>) -> Snapshot {
        let end = FilePosition::new(tail.len() as u64);
        let epochs = [(0, 0), (1, 40)].map(|(epoch, start)| EpochStart {
            epoch: LeaderEpoch::new(epoch),
            start: Offset::new(start),
        });
        let entry = LogSnapshot {
            id: log,
            epoch: LeaderEpoch::new(2),
            log_start: Offset::new(5),
            segment: Offset::new(40),
            flushed: FilePosition::ZERO,
            end,
            covered: end,
            next_offset: Offset::new(50),
            epochs: epochs.to_vec(),
            damage: None,
            tail,
        };
        Snapshot {
            sequence: 10,
            checksum: 900,
            kind: SnapshotKind::Running,
            boot: 1,
            logs: vec![entry],
        }
    }

    fn group(
        &mut self,
        file: &mut Vec<u8>,
        place: GroupPlace,
        records: &[(Record, Vec<u8>)],
    ) -> u32 {
        let mut builder = GroupBuilder::default();
        for (record, payload) in records {
            builder.push(record, payload.len(), crc32c(payload));
        }
        let (head, checksum) = builder.head(self.identity, place);
        self.groups.push(file.len());
        file.extend_from_slice(head);
        for (_, payload) in records {
            file.extend_from_slice(payload);
        }
        file.resize(file.len().next_multiple_of(PAGE), 0);
        checksum
    }

    pub(super) fn log(&self, partition: u32) -> TopicPartition {
        TopicPartition::new(self.topic, PartitionId::new(partition))
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file of partition 0.
    pub(super) fn of_log(&self, name: &str) -> String {
        format!("{}/{name}", log_dir(self.log(0)))
    }

    pub(super) fn journal_file(&self, name: &str) -> String {
        let dir = journal_dir(Path::new(""), self.identity);
        dir.join(name).display().to_string()
    }

    pub(super) fn write_journal(&self, name: &str, content: &[u8]) {
        self.write(&self.journal_file(name), content);
    }

    pub(super) fn write(&self, name: &str, content: &[u8]) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Changes one byte of a file.
    pub(super) fn flip(&self, name: &str, position: usize) {
        let mut content = std::fs::read(self.path(name)).unwrap();
        content[position] ^= 0x10;
        self.write(name, &content);
    }
}

fn place(sequence: u64, durable_sequence: u64, previous_checksum: u32) -> GroupPlace {
    GroupPlace { sequence, durable_sequence, low_water: 11, previous_checksum }
}

/// A redo record that carries `payload` at `from` and moves the log to `next_offset`.
pub(super) fn redo(
    log: TopicPartition,
    segment: u64,
    from: u64,
    payload: &[u8],
    next_offset: u64,
) -> Record {
    let to = FilePosition::new(from + payload.len() as u64);
    Record {
        log,
        kind: RecordKind::Redo,
        segment: Offset::new(segment),
        from: FilePosition::new(from),
        to,
        end: to,
        next_offset: Offset::new(next_offset),
    }
}

fn catalogue() -> (Catalogue, TopicId) {
    let mut catalogue = Catalogue::new(ClusterId::new(9));
    catalogue.apply(Command::BeginRun).unwrap();
    let new = NewTopic {
        name: TopicName::new("web").unwrap(),
        partitions: 2,
        config: Overrides::topic(),
        random: 3,
        now: TimestampMs::new(0),
    };
    let events = catalogue.apply(Command::CreateTopic(new)).unwrap();
    match &events[0] {
        Event::TopicCreated { topic } => (catalogue.clone(), topic.id),
        other => panic!("{other:?}"),
    }
}
