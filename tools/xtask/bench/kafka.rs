//! `cargo xtask bench kafka`: one Kafka client against kolk by both doors and against Kafka itself, interleaved, and kolk's
//! Kafka door against its native one.

mod peer;
mod table;

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{Machine, unwritable};
use crate::bench::brokers::kafka::Jars;
use crate::options::Options;
use crate::repo::{self, Repo};
use crate::step::Failure;

use peer::{Door, Peer};
use table::Round;

const ROUNDS: u32 = 5;
const ROUNDS_QUICK: u32 = 2;
const GIB: f64 = (1_u64 << 30) as f64;

/// What is played.
#[derive(Debug)]
struct Workload {
    name: &'static str,
    partitions: u32,
    record_bytes: u32,
    batch_bytes: u32,
    linger_ms: u32,
    /// Bytes of values measured at most, and before those.
    bytes: u64,
    warmup_bytes: u64,
    /// Whether Java's consumer reads it too.
    java: bool,
}

const WORKLOADS: [Workload; 2] = [
    Workload {
        name: "1KBx4",
        partitions: 4,
        record_bytes: 1024,
        batch_bytes: 256 << 10,
        linger_ms: 5,
        bytes: 1 << 30,
        warmup_bytes: 256 << 20,
        java: true,
    },
    // With less time to linger a batch would hold two records, and Kafka would flush for each of them.
    Workload {
        name: "200Bx1000",
        partitions: 1_000,
        record_bytes: 200,
        batch_bytes: 256 << 10,
        linger_ms: 50,
        bytes: 384 << 20,
        warmup_bytes: 64 << 20,
        java: false,
    },
];

/// A broker and how it is to be durable.
#[derive(Debug)]
struct Contender {
    name: &'static str,
    /// `None`: Kafka.
    door: Option<Door>,
    /// Setting of the topic.
    setting: Option<&'static str>,
}

/// kolk's default is to flush before it answers.
const CONTENDERS: [Contender; 6] = [
    Contender { name: "kolk-node", door: Some(Door::Node), setting: None },
    Contender { name: "kafka", door: None, setting: None },
    Contender { name: "kolk-shard", door: Some(Door::Shard), setting: None },
    Contender { name: "kafka-flush", door: None, setting: Some("flush.messages=1") },
    Contender {
        name: "kolk-node-process-crash",
        door: Some(Door::Node),
        setting: Some("kolk.durability=process-crash"),
    },
    Contender {
        name: "kolk-shard-process-crash",
        door: Some(Door::Shard),
        setting: Some("kolk.durability=process-crash"),
    },
];

const SECONDS: u32 = 8;
const SECONDS_QUICK: u32 = 2;
/// A quick run moves so much less.
const QUICK_PART: u64 = 4;
/// Bytes of a request where the doors are compared.
const DOORS_BATCH: &str = "262144";

struct Lab<'a> {
    repo: &'a Repo,
    release: PathBuf,
    scratch: PathBuf,
    jars: Jars,
    quick: bool,
}

/// Builds, fetches Kafka, measures, writes `perf/run/<date>-<machine>-kafka/`.
pub(crate) fn bench(repo: &Repo, options: &Options) -> Result<(), Failure> {
    let workloads: Vec<&Workload> = WORKLOADS
        .iter()
        .filter(|one| options.workload.as_deref().is_none_or(|name| name == one.name))
        .collect();
    if workloads.is_empty() {
        let names = WORKLOADS.map(|workload| workload.name).join(" or ");
        return Err(Failure::new("there is no such workload", names));
    }
    let binaries = ["build", "--release", "--package", "kolk", "--package", "kolk-bench"];
    repo::run(repo.cargo(&binaries).args(["--features", "kolk-bench/kafka"]))?;
    let scratch = repo.target.join("bench/kafka");
    std::fs::create_dir_all(&scratch).map_err(|e| unwritable(&scratch, &e))?;
    let jars = Jars::fetch(repo)?;
    let release = repo.target.join("release");
    let lab = Lab { repo, release, scratch, jars, quick: options.quick };
    let count = options.rounds.unwrap_or(if options.quick { ROUNDS_QUICK } else { ROUNDS }).max(1);
    let (mut rounds, mut raw) = (Vec::new(), Vec::new());
    for number in 1..=count {
        println!("round {number} of {count}");
        let (round, answers) = lab.round(&workloads, number)?;
        rounds.push(round);
        raw.push(answers);
    }
    lab.write(&workloads, &rounds, &raw)
}

impl Lab<'_> {
    /// Every cell once; every other round in the opposite order.
    fn round(&self, workloads: &[&Workload], number: u32) -> Result<(Round, Value), Failure> {
        let mut round = Round::new();
        let mut answers = Vec::new();
        for workload in workloads {
            let mut contenders: Vec<&Contender> = CONTENDERS.iter().collect();
            if number.is_multiple_of(2) {
                contenders.reverse();
            }
            for contender in contenders {
                let answer = self.cell(workload, contender)?;
                let name = format!("{}/{}", workload.name, contender.name);
                take(&mut round, &name, &answer);
                println!("  {name}: {}", said(&round, &name));
                answers.push(json!({ "cell": name, "answer": answer }));
            }
        }
        // The first broker after files were deleted is slower, whichever door it is asked by.
        self.door("native")?;
        let doors = ["native", "kafka"];
        let order = if number.is_multiple_of(2) { [1, 0] } else { [0, 1] };
        for door in order.into_iter().filter_map(|index: usize| doors.get(index).copied()) {
            let answer = self.door(door)?;
            let name = format!("{}/{door}", table::DOORS);
            take(&mut round, &name, &answer);
            println!("  {name}: {}", said(&round, &name));
            answers.push(json!({ "cell": name, "answer": answer }));
        }
        Ok((round, Value::Array(answers)))
    }

    /// A fresh broker, produced to, counted, consumed from.
    fn cell(&self, workload: &Workload, contender: &Contender) -> Result<Value, Failure> {
        let peer = match contender.door {
            Some(door) => Peer::kolk(&self.release.join("kolk"), &self.scratch, door, &[])?,
            None => Peer::kafka(self.repo, &self.jars, &self.scratch)?,
        };
        let part = if self.quick { QUICK_PART } else { 1 };
        let mut command = self.repo.command(self.release.join("kolk-bench"));
        command.args(["kafka", "--broker", &peer.kafka, "--topic", workload.name]);
        let seconds = if self.quick { SECONDS_QUICK } else { SECONDS };
        for (option, number) in [
            ("--pid", u64::from(peer.pid())),
            ("--partitions", u64::from(workload.partitions)),
            ("--record-bytes", u64::from(workload.record_bytes)),
            ("--batch-bytes", u64::from(workload.batch_bytes)),
            ("--linger-ms", u64::from(workload.linger_ms)),
            ("--warmup-bytes", workload.warmup_bytes / part),
            ("--bytes", workload.bytes / part),
            ("--seconds", u64::from(seconds)),
        ] {
            command.arg(option).arg(number.to_string());
        }
        if let Some(setting) = contender.setting {
            command.args(["--config", setting]);
        }
        let mut answer = json(&repo::output(&mut command)?)?;
        let defaults = contender.setting.is_none();
        if let (true, true, Some(object)) = (workload.java, defaults, answer.as_object_mut()) {
            let records = object.get("records").and_then(Value::as_u64).unwrap_or_default();
            object.insert("java".to_owned(), self.java(&peer, workload, records)?);
        }
        peer.stop()?;
        Ok(answer)
    }

    /// Kafka's own consumer, in Java, over the same records.
    fn java(&self, peer: &Peer, workload: &Workload, records: u64) -> Result<Value, Failure> {
        let class = "org.apache.kafka.tools.ConsumerPerformance";
        let mut java = self.jars.java(&["-Xmx512m"], class);
        java.args(["--bootstrap-server", &peer.kafka, "--topic", workload.name]);
        java.args(["--num-records", &records.to_string(), "--timeout", "30000", "--hide-header"]);
        let before = peer.cpu_seconds();
        let text = repo::output(&mut java)?;
        let cpu = peer.cpu_seconds() - before;
        let (bytes, read, rate) = performance(&text).ok_or_else(|| {
            Failure::new(format!("ConsumerPerformance said {text}"), "run it by hand")
        })?;
        if read != records {
            return Err(Failure::new(format!("Java read {read} of {records} records"), ""));
        }
        Ok(json!({ "bytes": bytes, "bytes_per_second": rate, "server_cpu_seconds": cpu }))
    }

    /// One shard, whole batches of one size, one request each: by the native door or by Kafka's.
    fn door(&self, door: &str) -> Result<Value, Failure> {
        let options = ["--shards", "1", "--cores", "0"];
        let peer = Peer::kolk(&self.release.join("kolk"), &self.scratch, Door::Node, &options)?;
        let mut command = self.repo.command(self.release.join("kolk-bench"));
        command.args([
            "produce",
            "--json",
            "--count",
            "--partitions",
            "4",
            "--batch-bytes",
            DOORS_BATCH,
        ]);
        command.args(["--warmup", "0s", "--broker", &peer.native, "--cores", "1"]);
        command.args(["--duration", if self.quick { "2s" } else { "5s" }]);
        if door == "kafka" {
            command.args(["--kafka-door", &peer.kafka]);
        }
        let before = peer.cpu_seconds();
        let mut answer = json(&repo::output(&mut command)?)?;
        let cpu = peer.cpu_seconds() - before;
        if let Some(object) = answer.as_object_mut() {
            object.insert("server_cpu_seconds".to_owned(), cpu.into());
        }
        peer.stop()?;
        Ok(json!({ "produce": answer }))
    }

    fn write(
        &self,
        workloads: &[&Workload],
        rounds: &[Round],
        raw: &[Value],
    ) -> Result<(), Failure> {
        let machine = Machine::look(self.repo);
        let folder = format!("perf/run/{}-{}-kafka", machine.date, machine.name);
        let folder = self.repo.root.join(folder);
        std::fs::create_dir_all(&folder).map_err(|e| unwritable(&folder, &e))?;
        let names: Vec<&str> = workloads.iter().map(|workload| workload.name).collect();
        let tables = table::markdown(rounds, &names, &CONTENDERS.map(|contender| contender.name));
        let result = json!({
            "machine": machine.to_json(),
            "java": java_version(),
            "quick": self.quick,
            "workloads": workloads.iter().map(|workload| format!("{workload:?}")).collect::<Vec<_>>(),
            "ratios": table::to_json(rounds, &names),
            "rounds": raw,
        });
        let readme = format!(
            "# kafka, {}\n\n{}\n{}\n\n{tables}",
            machine.date,
            machine.sentence("cargo xtask bench kafka"),
            method(rounds.len()),
        );
        for (file, text) in [("result.json", format!("{result:#}\n")), ("README.md", readme)] {
            let path = folder.join(file);
            std::fs::write(&path, text).map_err(|e| unwritable(&path, &e))?;
        }
        println!("\n{tables}\nwritten to {}", folder.display());
        Ok(())
    }
}

fn method(rounds: usize) -> String {
    format!(
        "Medians of {rounds} interleaved rounds, each ratio taken within its round. A fresh broker for every cell, data on the same disk, \
         none of the processes pinned; {}. One librdkafka client: acks=all, no compression, batch.size 256 KiB, linger 5 ms (1 KB × 4 partitions) \
         and 50 ms (200 B × 1,000 partitions), values counted alone. Apache Kafka 4.3.1, one node, defaults, 1 GiB heap (`perf/peer/kafka`), \
         `kafka-flush` with flush.messages=1; kolk with its defaults, which flush before they answer. Producing ends at a size or after a time, \
         whichever comes first; then the partitions' ends are added up, and every record is read once and in order. \
         Server CPU is user and system time of the broker's process: what the kernel's own threads write back later is not in it.",
        java_version(),
    )
}

/// What `java -version` calls itself.
fn java_version() -> String {
    let said = Command::new("java").arg("-version").output().map(|output| output.stderr);
    let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
    said.lines().next().unwrap_or("java unknown").to_owned()
}

/// Puts the figures of an answer into the round.
fn take(round: &mut Round, name: &str, answer: &Value) {
    for phase in ["produce", "consume", "java"] {
        let number = |field: &str| answer.get(phase)?.get(field)?.as_f64();
        let mut put = |measure: &str, figure: Option<f64>| {
            if let Some(figure) = figure.filter(|figure| figure.is_finite()) {
                round.insert(format!("{name}/{phase}/{measure}"), figure);
            }
        };
        put(table::RATE, number(table::RATE));
        let gib = number("bytes").map(|bytes| bytes / GIB);
        put(table::CPU, number("server_cpu_seconds").zip(gib).map(|(cpu, gib)| cpu / gib));
        let client = number("client_cpu_seconds").zip(number("seconds"));
        put(table::CLIENT, client.map(|(cpu, seconds)| cpu / seconds));
    }
}

/// One line for who watches.
fn said(round: &Round, name: &str) -> String {
    let figure = |phase: &str, measure: &str| round.get(&format!("{name}/{phase}/{measure}"));
    let phases = table::PHASES.iter().filter_map(|phase| {
        let (rate, cpu) = (figure(phase, table::RATE)? / 1e6, figure(phase, table::CPU)?);
        Some(format!("{phase} {rate:.0} MB/s at {cpu:.2} CPU s/GiB"))
    });
    phases.collect::<Vec<_>>().join(", ")
}

/// Bytes, records and bytes a second of ConsumerPerformance's line: begin, end, MB, MB/s, records, records/s, ms of joining
/// the group, ms of fetching, MB/s and records/s of the latter.
fn performance(text: &str) -> Option<(f64, u64, f64)> {
    let line = text.lines().rev().find(|line| line.matches(',').count() >= 5)?;
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    let mib = f64::from(1 << 20);
    Some((number(2)? * mib, fields.get(4)?.parse().ok()?, number(8)? * mib))
}

fn json(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text)
        .map_err(|e| Failure::new(format!("kolk-bench: {e}"), "run it by hand"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_consumer_is_understood() {
        let text = "2026-11-23 06:00:00:000, 2026-11-23 06:00:02:000, 1000.0000, 500.0000, \
                    1024000, 512000.0, 300, 1700, 588.2, 602352.9\n";
        let mib = f64::from(1 << 20);
        assert_eq!(performance(text), Some((1000.0 * mib, 1_024_000, 588.2 * mib)));
        assert_eq!(performance("no such topic\n"), None);
    }

    #[test]
    fn processor_time_is_given_per_gib() {
        let answer = json!({ "produce": {
            "bytes": 1_u64 << 31, "seconds": 4.0, "bytes_per_second": 5e8,
            "server_cpu_seconds": 3.0, "client_cpu_seconds": 2.0,
        }});
        let mut round = Round::new();
        take(&mut round, "w/kafka", &answer);
        let figure = |measure: &str| round.get(&format!("w/kafka/produce/{measure}")).copied();
        assert_eq!((figure(table::CPU), figure(table::CLIENT)), (Some(1.5), Some(0.5)));
        assert_eq!(said(&round, "w/kafka"), "produce 500 MB/s at 1.50 CPU s/GiB");
    }
}
