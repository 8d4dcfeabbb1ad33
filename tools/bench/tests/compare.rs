//! `kolk-bench compare` as it is called, against the real broker: what it starts, measures, verifies and leaves behind.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test drives the real world and may fail loudly"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// The broker's program: beside this one's, built if it is not there.
fn kolk() -> PathBuf {
    let bench = Path::new(env!("CARGO_BIN_EXE_kolk-bench"));
    let kolk = bench.with_file_name("kolk");
    if !kolk.is_file() {
        let cargo = std::env::var_os("CARGO").unwrap();
        let mut build = Command::new(cargo);
        build.args(["build", "--package", "kolk", "--bin", "kolk"]);
        assert!(build.status().unwrap().success(), "the broker could not be built");
    }
    kolk
}

fn compare(folder: &Path, workload: &str, more: &[&str]) -> Output {
    let file = folder.join("workload.toml");
    std::fs::write(&file, workload).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kolk-bench"));
    command.arg("compare").arg("--workload").arg(&file).args(["--rounds", "1"]);
    command.arg("--out").arg(folder.join("out")).arg("--scratch").arg(folder.join("scratch"));
    command.arg("--kolk").arg(kolk()).args(["--limit-seconds", "0"]).args(more);
    command.output().unwrap()
}

fn result(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("out/result.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Below the target folder: the system's temporary folder may be memory.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}

const SMALL: &str = "
    name = 'small'
    about = 'a test'
    durability = 'power-loss'
    partitions = 3
    record_bytes = 100
    body = { shape = 'json' }
    keys = { count = 50, zipf = 0.9 }
    produce = { producers = 2, rate = 400.0, arrivals = 'poisson', in_flight = 1000 }
    consume = { groups = 2, consumers = 2 }
    time = { warmup_seconds = 0.5, seconds = 2 }
";

#[test]
fn both_durabilities_are_played_verified_and_written() {
    let folder = folder();
    let done = compare(folder.path(), SMALL, &["--brokers", "kolk,kolk@process-crash"]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let result = result(folder.path());
    let cells = result["rounds"][0]["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 2, "{said}");
    for cell in cells {
        let played = &cell["result"]["played"];
        let verdict = &played["verdict"];
        let (acknowledged, read) = (verdict["acknowledged"].as_u64(), verdict["read"].as_u64());
        // Two groups; 2.5 s of 400 a second each, by chance.
        assert!((1_600..=2_400).contains(&acknowledged.unwrap()), "{verdict}");
        assert_eq!(acknowledged, read, "{verdict}");
        assert!(played["acknowledged"]["latency"]["p50_ns"].as_u64().unwrap() > 10_000);
        assert!(played["usage"]["broker_cpu_seconds"].as_f64().unwrap() > 0.0);
        assert!(played["usage"]["broker_memory_bytes_max"].as_u64().unwrap() > 1 << 20);
    }
    let levels: Vec<&str> = result["contenders"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|one| one["durability"].as_str())
        .collect();
    assert_eq!(levels, ["power-loss", "process-crash"]);
    let settings = result["contenders"][1]["configuration"].to_string();
    assert!(settings.contains("process-crash") && settings.contains("native.port"), "{settings}");
    assert!(!settings.contains(&folder.path().display().to_string()), "folders of this machine");
    let page = std::fs::read_to_string(folder.path().join("out/report.html")).unwrap();
    assert!(page.contains("verdict good") && page.contains("<svg"));
    let left = std::fs::read_dir(folder.path().join("scratch")).unwrap().count();
    assert_eq!(left, 0, "data and logs are deleted");
}

#[test]
fn brokers_and_load_generator_are_kept_on_the_cores_that_are_named() {
    let folder = folder();
    let allowed = allowed_cores("/proc/self/status");
    let (broker, load) = (allowed[0].to_string(), allowed[allowed.len() - 1].to_string());
    let placed = ["--broker-cores", &broker, "--load-cores", &load];
    // A peer that notes on which cores it was started and stopped, and is none.
    let (script, notes) = (folder.path().join("peer"), folder.path().join("notes"));
    let note = format!(
        "grep Cpus_allowed_list /proc/$$/status >> {}\necho '{{\"address\":\"127.0.0.1:1\",\"pid\":1,\"data\":\"/\",\"version\":\"1\",\"configuration\":[]}}'\n",
        notes.display()
    );
    std::fs::write(&script, note).unwrap();
    let peers = format!("sh {}", script.display());
    let arguments = ["--brokers", "kolk,rabbitmq@process-crash", "--peers", &peers];
    // So few on their way that each producer works on its own thread.
    let few = SMALL.replace("in_flight = 1000", "in_flight = 4");
    let done = compare(folder.path(), &few, &[&arguments[..], &placed[..]].concat());
    let said = String::from_utf8_lossy(&done.stderr);
    let result = result(folder.path());
    let verdict = &result["rounds"][0]["cells"][0]["result"]["played"]["verdict"];
    assert!(verdict["acknowledged"].as_u64() > Some(1_000), "{said}");
    assert_eq!(verdict["acknowledged"], verdict["read"], "{said}");
    assert!(result["rounds"][0]["cells"][1]["result"]["failed"].is_string(), "{said}");
    assert_eq!(result["placement"]["broker"].to_string(), format!("[{broker}]"));
    assert_eq!(result["placement"]["load"].to_string(), format!("[{load}]"));
    let page = std::fs::read_to_string(folder.path().join("out/report.html")).unwrap();
    let words = format!("brokers on cores {broker}, load generator on cores {load}");
    assert!(page.contains(&words), "{words}");
    let notes = std::fs::read_to_string(notes).unwrap();
    let noted: Vec<&str> =
        notes.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(noted, [&broker, &load], "up, down");
}

/// Those of a process, by the kernel's list such as `0,2-3`.
fn allowed_cores(status: &str) -> Vec<usize> {
    let text = std::fs::read_to_string(status).unwrap();
    let list = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap();
    let ranges = list.trim().split(',').map(|part| part.split_once('-').unwrap_or((part, part)));
    let ends = ranges.map(|(first, last)| (first.parse().unwrap(), last.parse().unwrap()));
    ends.flat_map(|(first, last): (usize, usize)| first..=last).collect()
}

#[test]
fn cores_that_can_not_be_kept_to_are_refused_before_anything_starts() {
    let folder = folder();
    let check = |more: &[&str], why: &str| {
        let done = compare(folder.path(), SMALL, &[&["--brokers", "rabbitmq"], more].concat());
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && said.contains(why), "{more:?}: {said}");
        assert!(!folder.path().join("out").exists());
    };
    let external = ["--external", "rabbitmq=127.0.0.1:1", "--broker-cores", "0"];
    check(&external, "a broker that runs already stays where it is");
    check(&["--load-cores", "1023"], "core 1023 is not among those");
    check(&["--broker-cores", "1-0"], "no list of cores");
}

#[test]
fn writers_of_one_aggregate_conflict_and_no_event_is_lost() {
    let folder = folder();
    let workload = SMALL
        .replace("partitions = 3", "partitions = 2")
        .replace("keys = { count = 50, zipf = 0.9 }", "")
        .replace(
            "producers = 2, rate = 400.0, arrivals = 'poisson', in_flight = 1000",
            "producers = 3, in_flight = 1, conditional = true",
        );
    let done = compare(folder.path(), &workload, &["--brokers", "kolk,rabbitmq"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let result = result(folder.path());
    let cells = result["rounds"][0]["cells"].as_array().unwrap();
    let played = &cells[0]["result"]["played"];
    assert!(played["conflicts"].as_u64().unwrap() > 0, "three writers on two partitions");
    assert_eq!(played["verdict"]["lost"], 0, "{}", played["verdict"]);
    assert!(played["verdict"]["read"].as_u64().unwrap() > 0);
    assert!(cells[1]["result"]["unsupported"].is_string(), "{}", cells[1]);
}

#[test]
fn each_step_of_what_grows_is_played_down_to_the_smallest_record_and_up_to_many_connections() {
    let folder = folder();
    let check = |axis: &str, steps: [u64; 2]| {
        let workload = SMALL.replace(
            "rate = 400.0, arrivals = 'poisson', in_flight = 1000",
            "in_flight = 500, in_flight_bytes = 4000000",
        );
        let workload = workload.replace("seconds = 2", "seconds = 1").replace("keys =", "#");
        let grow = format!("{workload}\ngrow = {{ axis = '{axis}', steps = {steps:?} }}");
        let done = compare(folder.path(), &grow, &["--brokers", "kolk"]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let result = result(folder.path());
        let cells = result["rounds"][0]["cells"].as_array().unwrap();
        for (cell, step) in cells.iter().zip(steps) {
            assert_eq!(cell["case"], format!("{axis}={step}"));
            let played = &cell["result"]["played"];
            let (verdict, acknowledged) = (&played["verdict"], &played["acknowledged"]);
            assert_eq!(verdict["acknowledged"], verdict["read"], "{verdict}");
            assert!(acknowledged["records"].as_u64().unwrap() > 0, "{verdict}");
            if axis == "record-bytes" {
                assert_eq!(acknowledged["bytes"], acknowledged["records"].as_u64().unwrap() * step);
            }
        }
        assert_eq!(cells.len(), 2);
        let page = std::fs::read_to_string(folder.path().join("out/report.html")).unwrap();
        assert!(page.contains("<h2>Over ") && page.contains("verdict good"));
    };
    check("record-bytes", [10, 1 << 20]);
    check("connections", [1, 300]);
}

#[test]
fn a_broker_that_is_not_there_fails_the_comparison_and_says_so() {
    let folder = folder();
    let nobody = ["--brokers", "rabbitmq@process-crash", "--external", "rabbitmq=127.0.0.1:1"];
    let done = compare(folder.path(), SMALL, &nobody);
    assert_eq!(done.status.code(), Some(1));
    let cell = &result(folder.path())["rounds"][0]["cells"][0]["result"];
    assert!(cell["failed"].as_str().unwrap().contains("127.0.0.1:1"), "{cell}");
    let page = std::fs::read_to_string(folder.path().join("out/report.html")).unwrap();
    assert!(page.contains("verdict bad") && page.contains("failed: 127.0.0.1:1"));
}

#[test]
fn what_cannot_be_played_is_refused_and_says_what_can() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let refused = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kolk-bench"));
        let output = command.current_dir(&root).args(words).output().unwrap();
        assert!(!output.status.success(), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let compare = ["compare", "-b", "kolk", "-o", "/nowhere", "-w"];
    let said = refused(&[&compare[..], &["bulky"]].concat());
    assert!(said.contains("'bulky'"), "{said}");
    assert!(said.contains("activity, bulk, catch-up"), "{said}");
    assert!(!said.contains("spikes"), "that one is for `run`: {said}");
    let said = refused(&[&compare[..], &["bulk", "--shorten", "0"]].concat());
    assert!(said.contains("--shorten 0"), "{said}");
    let said = refused(&[&compare[..], &["bulk", "--rounds", "0"]].concat());
    assert!(said.contains("--rounds"), "{said}");
    let sweep = ["rate-sweep", "-b", "kolk", "-w", "messaging", "--from", "9", "--to", "8"];
    let said = refused(&sweep);
    assert!(said.contains("--from 9 --to 8"), "{said}");
}
