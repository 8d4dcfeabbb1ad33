//! What an inspection says of a directory that a kill left behind, and of every way to harm it.

mod fixture;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use kolk_layout::journal::snapshot::{Snapshot, SnapshotKind};
use kolk_layout::segment::compacted::{CHECKPOINT_NAME, CompactionPoint, Swap};
use kolk_layout::segment::index::{IndexedBatch, SegmentIndex};
use kolk_layout::segment::scan::{Offsets, Scan};
use kolk_model::ids::PartitionId;
use kolk_model::offset::Offset;

use crate::error::InspectError;
use crate::inspection::{Selection, inspect};
use crate::report::{Finding, Kind, Report};
use crate::watch::{FoundBatch, Silent, Watch};
use crate::{json, text};

use fixture::Fixture;

fn look(path: &Path) -> Report {
    inspect(path, &Selection::default(), &mut Silent).unwrap()
}

fn whole(fixture: &Fixture) -> Report {
    let report = look(fixture.dir.path());
    assert_eq!(report.damage, []);
    assert!(report.whole);
    report
}

/// Inspects the directory and expects one finding in the file, with this position and word.
fn check_damage(fixture: &Fixture, file: &str, position: u64, word: &str) -> Report {
    let report = look(fixture.dir.path());
    assert!(!report.whole);
    let fits = |finding: &Finding| {
        finding.file == file && finding.position == position && finding.reason.contains(word)
    };
    assert!(report.damage.iter().any(fits), "{file} at {position}: {:?}", report.damage);
    report
}

#[test]
fn after_a_kill_a_directory_is_whole_and_the_journal_is_counted_in() {
    let report = whole(&Fixture::new());
    let journal = report.journal.unwrap();
    assert_eq!((journal.generation, journal.groups, journal.torn_groups), (4, 2, 1));
    let [web0, web1] = &report.partitions[..] else { panic!("{:?}", report.partitions) };
    assert_eq!((web0.log_start, web0.log_end, web0.records, web0.batches), (5, 60, 60, 6));
    assert_eq!(web0.segments.len(), 2);
    assert!(web0.segments[0].index && !web0.segments[1].index);
    assert_eq!(web0.epochs.len(), 3, "{:?}", web0.epochs);
    assert_eq!((web1.log_end, web1.records, web1.segments[0].journal_bytes), (3, 3, web1.bytes));
}

#[test]
fn an_inspection_changes_nothing() {
    fn files(dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else {
                found.insert(path.display().to_string(), std::fs::read(&path).unwrap());
            }
        }
    }
    let fixture = Fixture::new();
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    files(fixture.dir.path(), &mut before);
    whole(&fixture);
    files(fixture.dir.path(), &mut after);
    assert_eq!(before, after);
}

#[test]
fn a_flipped_byte_of_a_segment_names_the_batch_and_spares_the_other_log() {
    let fixture = Fixture::new();
    let segment = fixture.of_log("00000000000000000000.log");
    let batch = fixture::batch(0, 10, 0, kolk_model::compression::Compression::None).len();
    fixture.flip(&segment, batch + 100);
    let report = check_damage(&fixture, &segment, batch as u64, "crc");
    assert!(!report.partitions[0].whole && report.partitions[1].whole);
    assert_eq!(report.damage[0].log.as_deref(), Some("web/0"));
}

#[test]
fn a_head_byte_that_no_crc_covers_is_found() {
    let fixture = Fixture::new();
    let segment = fixture.of_log("00000000000000000000.log");
    // The lowest byte of the first batch's leader epoch; the batches after it fall back.
    fixture.flip(&segment, 15);
    let report = look(fixture.dir.path());
    assert_eq!(report.damage.len(), 1, "{:?}", report.damage);
    assert_eq!(report.damage[0].file, segment);
    // The last batch's: no batch follows whose epoch would fall, but the log knows who wrote when.
    let fixture = Fixture::new();
    let content = std::fs::read(fixture.path(&segment)).unwrap();
    fixture.flip(&segment, content.len() / 4 * 3 + 15);
    let report = look(fixture.dir.path());
    assert!(report.damage[0].reason.contains("leader epoch"), "{:?}", report.damage);
}

#[test]
fn every_flipped_byte_of_the_index_is_found() {
    let fixture = Fixture::new();
    let index = fixture.of_log("00000000000000000000.index");
    let len = std::fs::read(fixture.path(&index)).unwrap().len();
    for position in 0..len {
        fixture.flip(&index, position);
        // The bytes of the version may say that it is newer instead.
        match inspect(fixture.dir.path(), &Selection::default(), &mut Silent) {
            Ok(report) => assert_eq!(report.damage[0].file, index, "byte {position}"),
            Err(error) => assert!(matches!(error, InspectError::Newer { .. }), "{error}"),
        }
        fixture.flip(&index, position);
    }
}

#[test]
fn an_index_that_tells_of_more_than_the_log_has_is_damaged() {
    let fixture = Fixture::new();
    let long: Vec<u8> = (4..7)
        .flat_map(|n| fixture::batch(n * 10, 10, 1, kolk_model::compression::Compression::None))
        .collect();
    let name = fixture.of_log("00000000000000000040.index");
    fixture.write(&name, &fixture::index_of(40, &long).encode());
    check_damage(&fixture, &name, 0, "the index tells of");
}

#[test]
fn bytes_above_a_logs_end_are_nobodys_business() {
    let fixture = Fixture::new();
    let active = fixture.of_log("00000000000000000040.log");
    let mut content = std::fs::read(fixture.path(&active)).unwrap();
    content[8192..].fill(0xa5);
    fixture.write(&active, &content);
    whole(&fixture);
    fixture.write(&fixture.of_log("00000000000000000099.log"), &[1, 2, 3]);
    assert!(whole(&fixture).warnings.iter().any(|warning| warning.contains("never part")));
}

#[test]
fn a_missing_segment_is_damage_unless_the_journal_holds_it() {
    let fixture = Fixture::new();
    let active = fixture.of_log("00000000000000000040.log");
    std::fs::remove_file(fixture.path(&active)).unwrap();
    check_damage(&fixture, &active, 0, "missing");
    let sealed = fixture.of_log("00000000000000000000.log");
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path(&sealed)).unwrap();
    check_damage(&fixture, &active, 0, "segments before it");
}

#[test]
fn a_segment_cut_short_is_found_where_it_ends() {
    let fixture = Fixture::new();
    let sealed = fixture.of_log("00000000000000000000.log");
    let content = std::fs::read(fixture.path(&sealed)).unwrap();
    fixture.write(&sealed, &content[..content.len() - 10]);
    check_damage(&fixture, &sealed, content.len() as u64 / 4 * 3, "inside a batch");
}

#[test]
fn rot_in_an_acknowledged_group_is_damage_and_a_torn_last_one_is_not() {
    let fixture = Fixture::new();
    let journal = fixture.journal_file("0.journal");
    // Payload, directory and header of the first group, which the second one knew to be synced.
    for at in [400, 100, 20] {
        fixture.flip(&journal, at);
        check_damage(&fixture, &journal, 0, "group 11");
        fixture.flip(&journal, at);
    }
    fixture.flip(&journal, fixture.groups[2] + 90);
    whole(&fixture);
}

#[test]
fn a_rotten_catalogue_or_current_is_named() {
    for name in ["meta/catalogue", "meta/CURRENT"] {
        let fixture = Fixture::new();
        fixture.flip(name, 21);
        check_damage(&fixture, name, 0, "");
    }
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path("meta/CURRENT")).unwrap();
    check_damage(&fixture, "meta/CURRENT", 0, "missing");
}

#[test]
fn a_topic_that_the_catalogue_does_not_know_is_damage() {
    let fixture = Fixture::new();
    std::fs::remove_file(fixture.path("meta/catalogue")).unwrap();
    check_damage(&fixture, "meta/catalogue", 0, "not in it");
}

#[test]
fn the_only_snapshot_must_be_readable() {
    let fixture = Fixture::new();
    let slot = fixture.journal_file("snapshot.a");
    fixture.flip(&slot, 100);
    check_damage(&fixture, &slot, 0, "no snapshot");
    std::fs::remove_file(fixture.path(&slot)).unwrap();
    check_damage(&fixture, &slot, 0, "missing");
}

#[test]
fn a_second_slot_cut_short_is_noted_and_one_that_groups_relied_on_is_damage() {
    let fixture = Fixture::new();
    let slot = fixture.journal_file("snapshot.b");
    let newer = Snapshot {
        sequence: 12,
        checksum: 0,
        kind: SnapshotKind::Running,
        boot: 1,
        logs: Vec::new(),
    };
    let mut bytes = newer.encode(fixture.identity);
    bytes[40] ^= 1;
    fixture.write(&slot, &bytes);
    assert!(whole(&fixture).warnings[0].contains("snapshot.b"));
    // The groups say that everything below 11 stands in a snapshot; the older slot ends at 9.
    let older = Snapshot { sequence: 9, ..newer };
    fixture.write_journal("snapshot.a", &older.encode(fixture.identity));
    check_damage(&fixture, &slot, 0, "relied on it");
}

#[test]
fn a_missing_journal_file_is_damage() {
    let fixture = Fixture::new();
    let name = fixture.journal_file("2.journal");
    std::fs::remove_file(fixture.path(&name)).unwrap();
    check_damage(&fixture, &name, 0, "missing");
}

#[test]
fn parts_of_a_directory_are_checked_with_its_journal() {
    let fixture = Fixture::new();
    let segment = look(&fixture.path(&fixture.of_log("00000000000000000040.log")));
    assert_eq!((segment.kind, segment.whole), (Kind::Segment, true));
    assert_eq!(segment.partitions[0].records, 20);
    let partition = look(&fixture.path(&format!("topics/{}/0", fixture.topic)));
    assert_eq!((partition.partitions.len(), partition.partitions[0].records), (1, 60));
    let selection =
        Selection { topic: Some("web".to_owned()), partition: Some(PartitionId::new(1)) };
    let selected = inspect(fixture.dir.path(), &selection, &mut Silent).unwrap();
    assert_eq!(selected.partitions[0].partition, 1);
}

#[test]
fn single_files_are_recognised() {
    let fixture = Fixture::new();
    let cases = [
        ("meta/CURRENT".to_owned(), Kind::Current),
        ("meta/catalogue".to_owned(), Kind::Catalogue),
        (fixture.journal_file("0.journal"), Kind::Journal),
        (fixture.journal_file("snapshot.a"), Kind::Snapshot),
        (fixture.journal_file("snapshot.b"), Kind::Snapshot),
        (fixture.of_log("00000000000000000000.index"), Kind::Index),
    ];
    for (name, kind) in cases {
        let report = look(&fixture.path(&name));
        assert_eq!((report.kind, report.whole), (kind, true), "{name}");
    }
    let journal = look(&fixture.path(&fixture.journal_file("0.journal"))).journal.unwrap();
    assert_eq!((journal.groups, journal.torn_groups), (3, 1));
}

#[test]
fn a_segment_on_its_own_may_have_room_at_its_end_but_no_rot() {
    let alone = tempfile::tempdir().unwrap();
    let path = alone.path().join("00000000000000000007.log");
    let mut bytes = fixture::batch(7, 5, 0, kolk_model::compression::Compression::Snappy);
    let end = bytes.len();
    bytes.resize(end + 9_000, 0);
    std::fs::write(&path, &bytes).unwrap();
    let report = look(&path);
    assert!(report.whole, "{:?}", report.damage);
    assert_eq!((report.partitions[0].log_end, report.partitions[0].bytes), (12, end as u64));
    bytes[end + 8_000] = 1;
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(look(&path).damage[0].position, end as u64);
}

#[test]
fn what_is_not_ours_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("notes.txt");
    std::fs::write(&other, "x").unwrap();
    let journal = dir.path().join("0.journal");
    std::fs::write(&journal, "x").unwrap();
    let refused = |path: &Path| inspect(path, &Selection::default(), &mut Silent).unwrap_err();
    assert!(matches!(refused(dir.path()), InspectError::NotOurs { .. }));
    assert!(matches!(refused(&other), InspectError::NotOurs { .. }));
    assert!(matches!(refused(&journal), InspectError::NeedsDirectory { .. }));
    assert!(matches!(refused(&dir.path().join("gone")), InspectError::NotFound { .. }));
}

#[test]
fn a_running_broker_is_noticed() {
    let fixture = Fixture::new();
    let lock = std::fs::File::open(fixture.path("meta/LOCK")).unwrap();
    lock.lock().unwrap();
    assert!(look(fixture.dir.path()).broker_running);
    lock.unlock().unwrap();
    assert!(!look(fixture.dir.path()).broker_running);
}

/// Keeps what is shown.
#[derive(Default)]
struct Shown {
    text: Vec<u8>,
    json: Vec<u8>,
    planned: u64,
    read: u64,
}

impl Watch for Shown {
    fn bytes_planned(&mut self, bytes: u64) {
        self.planned += bytes;
    }

    fn bytes_read(&mut self, bytes: u64) {
        self.read += bytes;
    }

    fn wants_batches(&self) -> bool {
        true
    }

    fn batch(&mut self, batch: &FoundBatch<'_>) -> io::Result<()> {
        text::batch(&mut self.text, batch)?;
        json::batch(&mut self.json, batch)
    }
}

#[test]
fn batches_and_records_are_shown_as_text_and_as_json() {
    let fixture = Fixture::new();
    let mut shown = Shown::default();
    let report = inspect(fixture.dir.path(), &Selection::default(), &mut shown).unwrap();
    let text = String::from_utf8(shown.text).unwrap();
    assert_eq!(text.lines().count(), 7 + 63, "{text}");
    assert!(text.contains("web/0 segment 40 position 0: offsets 40..50, 10 records"), "{text}");
    assert!(
        text.contains("41 2023-11-14T22:13:20.041Z key \"key\" value \"record 041 of the log\"")
    );
    assert_eq!(shown.planned, shown.read);
    let lines: Vec<serde_json::Value> =
        shown.json.split(|b| *b == b'\n').filter_map(|l| serde_json::from_slice(l).ok()).collect();
    assert_eq!(lines.len(), 7);
    assert_eq!(lines[4]["batch"]["compression"], "zstd");
    assert_eq!(lines[4]["batch"]["records"][9]["value"], "record 049 of the log");
    let mut summary = Vec::new();
    text::report(&mut summary, &report).unwrap();
    let summary = String::from_utf8(summary).unwrap();
    assert!(summary.trim_end().ends_with(": whole"), "{summary}");
    let mut line = Vec::new();
    json::report(&mut line, &report).unwrap();
    let line: serde_json::Value = serde_json::from_slice(&line).unwrap();
    assert_eq!((&line["kind"], &line["whole"]), (&"data-directory".into(), &true.into()));
}

#[test]
fn sizes_and_times_read_well() {
    let sizes = [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_572_864, "1.5 MiB")];
    for (bytes, shown) in sizes {
        assert_eq!(text::size(bytes), shown);
    }
    assert_eq!(text::size(u64::MAX), "16777215.9 TiB");
    let time = |ms| text::time(kolk_model::time::TimestampMs::new(ms));
    assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
    assert_eq!((time(-1), time(i64::MAX)), ("-1".to_owned(), i64::MAX.to_string()));
}

/// Writes a compacted segment of the offsets 0..40 with a gap, under `name`, and the checkpoint.
fn compact(fixture: &Fixture, name: &str, point: CompactionPoint) -> Vec<u8> {
    let none = kolk_model::compression::Compression::None;
    let left = [fixture::batch(10, 10, 0, none), fixture::batch(30, 10, 0, none)].concat();
    std::fs::write(fixture.dir.path().join(fixture.of_log(name)), &left).unwrap();
    let file = fixture.dir.path().join(fixture.of_log(CHECKPOINT_NAME));
    std::fs::write(file, point.encode()).unwrap();
    left
}

#[test]
fn a_compacted_segment_is_whole_where_the_checkpoint_says_so() {
    let fixture = Fixture::new();
    let segment = "00000000000000000000.log";
    let below = Offset::new(40);
    let point = CompactionPoint { clean_below: below, rising_below: below, swap: None };
    let left = compact(&fixture, segment, point);
    std::fs::remove_file(fixture.dir.path().join(fixture.of_log("00000000000000000000.index")))
        .unwrap();
    let report = whole(&fixture);
    let log = &report.partitions[0];
    assert_eq!((log.segments[0].records, log.segments[0].bytes), (20, left.len() as u64));
    let alone = look(&fixture.dir.path().join(fixture.of_log(segment)));
    assert!(alone.whole, "{:?}", alone.damage);
    compact(&fixture, segment, CompactionPoint::default());
    check_damage(&fixture, &fixture.of_log(segment), 0, "base offset 10, expected 0");
    fixture.flip(&fixture.of_log(CHECKPOINT_NAME), 20);
    check_damage(&fixture, &fixture.of_log(CHECKPOINT_NAME), 0, "damaged");
}

/// As the broker takes it: it is the segment that does not match, and its partition goes offline.
#[test]
fn a_wrong_offset_in_a_compacted_segment_is_not_its_indexs_fault() {
    let fixture = Fixture::new();
    let name = "00000000000000000000.log";
    let below = Offset::new(40);
    let point = CompactionPoint { clean_below: below, rising_below: below, swap: None };
    let left = compact(&fixture, name, point);
    let index = fixture::index_of(0, &left);
    fixture.write(&fixture.of_log("00000000000000000000.index"), &index.encode());
    whole(&fixture);
    let segment = fixture.of_log(name);
    let mut bytes = left.clone();
    bytes[7] += 1;
    fixture.write(&segment, &bytes);
    let report = check_damage(&fixture, &segment, 0, "head bytes");
    assert!(report.damage.iter().all(|finding| finding.file == segment), "{:?}", report.damage);
    // An index that is whole and tells of something else.
    fixture.write(&segment, &left);
    let mut other = SegmentIndex::new(Offset::ZERO, 512);
    let mut batches = Scan::new(0, Offset::ZERO).with_offsets(Offsets::Rising);
    let nine = Offset::new(9);
    let told = batches.batches(&left, |batch, next| {
        other.push(&IndexedBatch { base_offset: nine, ..*batch }, next);
    });
    told.unwrap();
    fixture.write(&fixture.of_log("00000000000000000000.index"), &other.encode());
    check_damage(&fixture, &fixture.of_log("00000000000000000000.index"), 0, "another offset");
}

#[test]
fn a_swap_that_a_crash_interrupted_counts_as_done() {
    let fixture = Fixture::new();
    let next_offset = Offset::new(40);
    let none = kolk_model::compression::Compression::None;
    let bytes = 2 * fixture::batch(10, 10, 0, none).len() as u64;
    let swap = Some(Swap { base: Offset::ZERO, next_offset, bytes });
    let point = CompactionPoint { clean_below: Offset::ZERO, rising_below: next_offset, swap };
    compact(&fixture, "00000000000000000000.swap", point);
    let report = whole(&fixture);
    assert_eq!(report.partitions[0].segments[0].records, 20);
}
