//! What the broker may ask of its machine: an ordinary user's limits, few descriptors, little disk,
//! little processor time for an append.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::broker::command::{inspect, kolk_ok};
use crate::broker::{KOLK, Place};
use crate::wire::{Wire, batch};

const MEMLOCK: &str = "--memlock=8388608:8388608";
/// `nobody` and `nogroup` on Debian; no entry of either is needed.
const ORDINARY_USER: u32 = 65_534;
const DESCRIPTORS: &str = "--nofile=1024:1024";
/// More are asked for by `cargo xtask wide`: the client alone takes half a minute for 10,000 in a debug build.
const PARTITIONS: usize = 2_000;
const PARTITIONS_VARIABLE: &str = "KOLK_WIDE_PARTITIONS";
/// So many that every partition gets one, by their keys' hashes.
const LINES_EACH: usize = 16;
const STOP_MAX: Duration = Duration::from_secs(10);
const MIB: u64 = 1 << 20;
/// Two records a partition take one page in the journal and one in the segment, once it is stopped.
const DISK_MAX: u64 = 512 * MIB;
const APPENDS: u32 = 300;
/// The bound that the guard of `io` has for the same append; a debug build pays for its own checks.
const APPEND_CPU_MAX: Duration =
    Duration::from_micros(if cfg!(debug_assertions) { 2_000 } else { 500 });

/// Bytes of disk below a folder, as `du` counts.
fn disk_bytes(folder: &Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).expect("a data directory").flatten() {
        let about = entry.metadata().expect("an entry");
        bytes += about.blocks() * 512;
        if about.is_dir() {
            bytes += disk_bytes(&entry.path());
        }
    }
    bytes
}

/// A folder that every user may enter; the target folder may lie below a home of root's.
fn open_folder() -> PathBuf {
    let folder = PathBuf::from(format!("/var/tmp/kolk-ordinary-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("/var/tmp is writable");
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&folder, mode).expect("the test's own folder");
    folder
}

fn check_serves(place: &Place) {
    let file = place.folder().join("small");
    std::fs::write(&file, "one\ntwo\n").expect("the test's folder is writable");
    kolk_ok(place, &["produce", "web", "--create=4", "--file", &file.to_string_lossy()]);
    let back = kolk_ok(place, &["consume", "web", "--from", "beginning", "--exit"]);
    assert_eq!(back.len(), 8, "{}", String::from_utf8_lossy(&back));
}

#[test]
fn an_ordinary_user_with_eight_mib_of_locked_memory_can_run_a_broker() {
    let folder = open_folder();
    let program = folder.join("kolk");
    std::fs::copy(KOLK, &program).expect("the test's folder is writable");
    let user = std::fs::metadata(&folder).expect("the test's own folder").uid();
    let id = |option: &str| format!("--{option}={ORDINARY_USER}");
    let (user_id, group_id) = (id("reuid"), id("regid"));
    let mut launcher = vec!["prlimit", MEMLOCK, "--"];
    if user == 0 {
        launcher.extend(["setpriv", &user_id, &group_id, "--clear-groups", "--"]);
        let data = folder.join("data");
        std::fs::create_dir(&data).expect("the test's own folder");
        std::os::unix::fs::chown(&data, Some(ORDINARY_USER), Some(ORDINARY_USER)).expect("as root");
    }
    let place = Place::launched(folder, &launcher, &program);
    let broker = place.start(2);
    check_serves(&place);
    broker.stop();
}

#[test]
fn many_partitions_need_neither_as_many_descriptors_nor_much_disk() {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("many-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    let place = Place::launched(folder, &["prlimit", DESCRIPTORS, "--"], Path::new(KOLK));
    let wanted = std::env::var(PARTITIONS_VARIABLE).ok().and_then(|count| count.parse().ok());
    let partitions: usize = wanted.unwrap_or(PARTITIONS);
    let broker = place.start(2);
    let lines: String = (0..partitions * LINES_EACH).map(|n| format!("{n}\n")).collect();
    let file = place.folder().join("lines");
    std::fs::write(&file, &lines).expect("the test's folder is writable");
    let create = format!("--create={partitions}");
    let file = file.to_string_lossy();
    kolk_ok(&place, &["produce", "wide", &create, "--key-regex", r"^(\S+)", "--file", &file]);
    let check_read = |when: &str| {
        let format = ["--format", "%p %s\n"];
        let back = kolk_ok(
            &place,
            &[&["consume", "wide", "--from", "beginning", "--exit"], &format[..]].concat(),
        );
        let back = String::from_utf8(back).expect("numbers");
        let (places, values): (BTreeSet<&str>, BTreeSet<&str>) =
            back.lines().filter_map(|line| line.split_once(' ')).unzip();
        assert_eq!(places.len(), partitions, "{when}: partitions with a record");
        assert!(
            values == lines.lines().collect() && back.lines().count() == values.len(),
            "{when}"
        );
        let disk = disk_bytes(&place.data());
        eprintln!("{when}: {} MiB on disk for {partitions} partitions", disk / MIB);
        assert!(disk < DISK_MAX, "{when}: {} MiB on disk", disk / MIB);
    };
    check_read("straight after");
    // Every partition has a page that is in the journal alone.
    let (status, took) = broker.terminate(STOP_MAX);
    eprintln!("stopped in {took:?}");
    assert!(status.success(), "{status} after {took:?}");
    let broker = place.start(1);
    check_read("after a restart");
    broker.kill();
    let (code, said) = inspect(&place.data());
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_small_durable_append_costs_little_processor_time() {
    let place = Place::new("append", 1);
    let broker = place.start(1);
    let mut wire = Wire::greeted(&place);
    let topic = wire.create_topic("web");
    let value = [b'x'; 128];
    let before = broker.cpu();
    for _ in 0..APPENDS {
        wire.produce(topic, batch(&[&value])).expect("a good batch");
    }
    let each = (broker.cpu() - before) / APPENDS;
    eprintln!("{each:?} of processor time for each of {APPENDS} durable appends");
    assert!(each < APPEND_CPU_MAX, "{each:?} for one append");
    broker.stop();
}
