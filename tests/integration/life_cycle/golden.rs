//! Data directories that an earlier release wrote (`tests/data/write-directory`): read whole, on any number of shards. And what
//! a newer release wrote, which is left as it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use kolk_layout::journal::current::Current;
use kolk_layout::journal::group::{GROUP_HEADER_BYTES, GROUP_MAGIC};
use kolk_layout::journal::snapshot::SNAPSHOT_HEADER_BYTES;
use kolk_model::checksum::{crc32c, crc32c_append};

use crate::broker::command::{inspect, kolk_ok};
use crate::broker::{Broker, Place};

/// Ended by a clean stop and by SIGKILL: the latter has records in its journal alone.
const STOPPED: &str = "directory-1-stopped.tar.gz";
const KILLED: &str = "directory-1-killed.tar.gz";
/// What their catalogues say, as `kolk inspect` puts it.
const STOPPED_CATALOGUE: &str =
    "cluster 79f4c557df7a9243697c5fa008d5bcca, run 1: 4 topics, 8 partitions";
const KILLED_CATALOGUE: &str =
    "cluster b0be95b872c6aabbf77c0037c6c64d4e, run 1: 4 topics, 8 partitions";
/// A version that no release has.
const NEWER: u32 = 99;

fn place_with(archive: &str, name: &str) -> Place {
    let place = Place::new(name, 3);
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(archive);
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(&archive).arg("-C").arg(place.folder());
    let done = tar.status().expect("tar is on the path");
    assert!(done.success(), "{}: {done}", archive.display());
    place
}

fn start(place: &Place, shards: u16) -> Broker<'_> {
    // Offsets that were committed when the directory was written must not be too old today.
    place.start_with(shards, &["--set", "offsets.retention.minutes=2147483647"])
}

fn lines(from: usize, to: usize, text: &str) -> String {
    (from..to).map(|n| format!("{text} {n} and what a line of a log has besides\n")).collect()
}

fn consumed(place: &Place, topic: &str, arguments: &[&str]) -> String {
    let command = ["consume", topic, "--from", "beginning", "--exit"];
    let out = kolk_ok(place, &[&command[..], arguments].concat());
    String::from_utf8(out).expect("records of this test are text")
}

/// Every record of the directory, with its offset.
fn check_records(place: &Place) {
    assert!(consumed(place, "plain", &["-p", "0"]) == lines(0, 5_000, "plain"), "plain, 0");
    assert!(consumed(place, "plain", &["-p", "1"]) == lines(0, 120, "plain"), "plain, 1");
    assert!(consumed(place, "shared", &[]) == lines(0, 60, "shared"), "shared");
    let offsets = consumed(place, "plain", &["-p", "0", "--format", "%o\n"]);
    assert!(offsets == (0..5_000).map(|n| format!("{n}\n")).collect::<String>(), "offsets");
    // Three rounds were written; what the later ones superseded may be gone, and the last of them is not.
    let keyed = consumed(place, "keyed", &["--format", "%o %k %s\n"]);
    let newest: BTreeMap<usize, &str> = keyed
        .lines()
        .map(|line| line.split_once(' ').expect("an offset and a record"))
        .map(|(offset, record)| (offset.parse().expect("an offset"), record))
        .collect();
    for n in 0..1_000 {
        let record = format!("key-{n} key-{n} round-3");
        assert_eq!(newest.get(&(2_000 + n)), Some(&record.as_str()), "key-{n}");
    }
    let topics = String::from_utf8(kolk_ok(place, &["topic", "list"])).expect("text");
    assert!(!topics.contains("deleted"), "a deleted topic came back:\n{topics}");
}

fn check_directory(archive: &str, catalogue: &str, name: &str) {
    let place = place_with(archive, name);
    let (code, said) = inspect(&place.data());
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(catalogue), "not {catalogue}:\n{said}");
    for shards in [3, 1] {
        let broker = start(&place, shards);
        check_records(&place);
        broker.stop();
    }
    let broker = start(&place, 2);
    let group = ["consume", "shared", "--group", "readers", "--count", "20"];
    let rest = String::from_utf8(kolk_ok(&place, &group)).expect("text");
    assert!(rest == lines(40, 60, "shared"), "the group goes on at 40:\n{rest}");
    broker.stop();
    let (code, said) = inspect(&place.data());
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_directory_of_version_1_is_read_whole_after_a_clean_stop() {
    check_directory(STOPPED, STOPPED_CATALOGUE, "golden-stopped");
}

#[test]
fn a_directory_of_version_1_is_read_whole_after_a_kill() {
    check_directory(KILLED, KILLED_CATALOGUE, "golden-killed");
}

/// All files and folders below the data directory; of files their bytes. The lock says who has it, and nothing else.
fn tree(data: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a data directory").flatten() {
            let path = entry.path();
            let name = path.strip_prefix(data).expect("below it").to_owned();
            if path.is_dir() {
                found.insert(name, None);
                folders.push(path);
            } else if name != Path::new("meta/LOCK") {
                found.insert(name, Some(std::fs::read(&path).expect("a file of it")));
            }
        }
    }
    found
}

/// The first file whose path holds all of the words, in order of names.
fn file_with(place: &Place, words: &[&str]) -> PathBuf {
    let files = tree(&place.data());
    let found = files.iter().find(|(name, bytes)| {
        let name = name.display().to_string();
        bytes.as_ref().is_some_and(|bytes| !bytes.is_empty())
            && words.iter().all(|word| name.contains(word))
    });
    found.unwrap_or_else(|| panic!("no {words:?} in {:?}", files.keys())).0.clone()
}

/// How a format says its version and what then stands for its checksum.
#[derive(Clone, Copy, Debug)]
enum Format {
    /// Two bytes behind the magic, checksum over all before it at the end.
    Short,
    /// Four bytes behind a magic of eight; their checksum leaves itself out.
    Long,
    /// As `Short`, with the checksum at the end of a header of so many bytes.
    Headed(usize),
    /// The first group of a journal.
    Group,
}

fn make_newer(place: &Place, file: &Path, format: Format) {
    let path = place.data().join(file);
    let mut bytes = std::fs::read(&path).expect("a file of the directory");
    let version = NEWER.to_le_bytes();
    match format {
        Format::Short => {
            bytes[4..6].copy_from_slice(&version[..2]);
            let end = bytes.len() - 4;
            let checksum = crc32c(&bytes[..end]);
            bytes[end..].copy_from_slice(&checksum.to_le_bytes());
        }
        Format::Long => {
            bytes[8..12].copy_from_slice(&version);
            let checksum = crc32c_append(crc32c(&bytes[..12]), &bytes[16..]);
            bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
        }
        Format::Headed(length) => {
            bytes[4..6].copy_from_slice(&version[..2]);
            let checksum = crc32c(&bytes[..length - 4]);
            bytes[length - 4..length].copy_from_slice(&checksum.to_le_bytes());
        }
        Format::Group => {
            let current = std::fs::read(place.data().join("meta/CURRENT")).expect("CURRENT");
            let current = Current::decode(&current).expect("a whole CURRENT");
            assert_eq!(bytes[..4], GROUP_MAGIC.to_le_bytes(), "a group begins the file");
            bytes[4..6].copy_from_slice(&version[..2]);
            let seed = crc32c(&current.seed.to_le_bytes());
            let seed = crc32c_append(seed, &current.generation.to_le_bytes());
            let seed = crc32c_append(seed, &bytes[6..8]);
            let checksum = crc32c_append(seed, &bytes[..GROUP_HEADER_BYTES - 4]);
            bytes[GROUP_HEADER_BYTES - 4..GROUP_HEADER_BYTES]
                .copy_from_slice(&checksum.to_le_bytes());
        }
    }
    std::fs::write(&path, bytes).expect("a file of the directory");
}

#[test]
fn a_start_refuses_what_a_newer_release_wrote_and_touches_nothing() {
    let place = place_with(KILLED, "newer");
    for (words, format) in [
        (&["meta/CURRENT"][..], Format::Short),
        (&["meta/catalogue"], Format::Long),
        (&["snapshot.a"], Format::Headed(SNAPSHOT_HEADER_BYTES)),
        (&["0.journal"], Format::Group),
        (&["compaction.checkpoint"], Format::Short),
    ] {
        let file = file_with(&place, words);
        let whole = std::fs::read(place.data().join(&file)).expect("a file of the directory");
        make_newer(&place, &file, format);
        let before = tree(&place.data());
        let refused = place.try_start(2, &[]).err();
        let refused = refused.unwrap_or_else(|| panic!("a newer {} was accepted", file.display()));
        assert!(!refused.status.success(), "{}: {}", file.display(), refused.log);
        let named = refused.log.contains(&file.display().to_string());
        assert!(named, "the log names no {}:\n{}", file.display(), refused.log);
        assert!(refused.log.contains(&NEWER.to_string()), "no version:\n{}", refused.log);
        let after = tree(&place.data());
        let touched: Vec<_> = before
            .keys()
            .chain(after.keys())
            .filter(|name| before.get(*name) != after.get(*name))
            .collect();
        assert!(touched.is_empty(), "{}: touched {touched:?}", file.display());
        let (code, said) = inspect(&place.data());
        assert!(code != Some(0) && said.contains(&NEWER.to_string()), "{code:?}: {said}");
        std::fs::write(place.data().join(&file), whole).expect("a file of the directory");
    }
    let broker = start(&place, 2);
    check_records(&place);
    broker.stop();
}

/// What only saves time does not stop a start: it is passed over, named in the log, and left alone.
#[test]
fn newer_caches_are_passed_over_and_left_alone() {
    let place = place_with(KILLED, "newer-caches");
    let index = file_with(&place, &["1199.index"]);
    let producers = file_with(&place, &["/0/producer.snapshot"]);
    make_newer(&place, &index, Format::Headed(48));
    make_newer(&place, &producers, Format::Long);
    let bytes = |file: &Path| std::fs::read(place.data().join(file)).expect("it is still there");
    let before = (bytes(&index), bytes(&producers));
    for round in 1..=2 {
        let broker = start(&place, 2);
        check_records(&place);
        let log = broker.log();
        for file in [&index, &producers] {
            let named = log.lines().any(|line| {
                line.contains(&file.display().to_string()) && line.contains(&NEWER.to_string())
            });
            assert!(named, "round {round}: the log names no {}:\n{log}", file.display());
        }
        broker.stop();
        assert!(before == (bytes(&index), bytes(&producers)), "round {round}: written over");
    }
}
