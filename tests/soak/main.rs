//! A broker with 2,000 partitions under everything at once for minutes: producers, group consumers, retention, compaction, rolls,
//! checkpoints. What it takes of the machine must stay within bounds that are stated here. Apart from the other tests because
//! of its length: `cargo xtask soak --minutes N`, which leaves figures and a graph below `perf/run/`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a test drives the real world and may fail loudly"
)]
#![allow(dead_code, reason = "files of the other tests, of which not all is used here")]

mod graph;

#[path = "../integration/broker.rs"]
mod broker;
#[path = "../integration/random.rs"]
mod random;

use std::fmt::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kolk_client::admin::NewTopic;
use kolk_client::client::Client;
use kolk_client::consumer::Position;
use kolk_client::consumer::group::settings::GroupSettings;
use kolk_client::producer::Record;
use kolk_client::producer::settings::ProducerSettings;
use kolk_model::ids::PartitionId;

use broker::{Broker, Place};
use graph::{Panel, draw};
use random::Random;

const MIB: u64 = 1 << 20;
const MINUTES_DEFAULT: u64 = 30;
const SHARDS: u16 = 2;
/// Topics, partitions of each, and what they are set to: 2,000 partitions.
const TOPICS: [(&str, u32, &[(&str, &str)]); 6] = [
    ("events-0", 450, RETIRED),
    ("events-1", 450, RETIRED),
    ("events-2", 450, RETIRED),
    ("events-3", 450, RETIRED),
    ("state-0", 100, COMPACTED),
    ("state-1", 100, COMPACTED),
];
const RETENTION_BYTES: u64 = 131_072;
const SEGMENT_BYTES: u64 = 65_536;
const RETIRED: &[(&str, &str)] = &[("segment.bytes", "65536"), ("retention.bytes", "131072")];
const COMPACTED: &[(&str, &str)] = &[
    ("segment.bytes", "65536"),
    ("cleanup.policy", "compact"),
    ("min.cleanable.dirty.ratio", "0.3"),
];
const PARTITIONS: u64 = 2_000;
/// Keys of a compacted partition.
const KEYS: usize = 40;
const JOURNAL_FILE_BYTES: u64 = 8 * MIB;
const JOURNAL_FILES: u64 = 8;
const OPEN_FILES: u64 = 300;
const SETTINGS: [&str; 14] = [
    "--set",
    "journal_file_bytes=8388608",
    "--set",
    "journal_files=8",
    "--set",
    "open_files_max=300",
    "--set",
    "log.retention.check.interval.ms=1000",
    "--set",
    "log.cleaner.backoff.ms=1000",
    "--set",
    "memory_bytes_max=268435456",
    "--set",
    "offsets.topic.num.partitions=10",
];
/// The bounds. Memory: what was given for records, and as much again for everything else.
const MEMORY_MAX: u64 = 512 * MIB;
/// Segments, journals, sockets, and some to spare.
const DESCRIPTORS_MAX: u64 = OPEN_FILES * 2 + 200;
/// Journals, and of each partition what retention keeps, the segment that is written and one that waits for a pass, rounded up to
/// blocks, with their indexes.
const DISK_MAX: u64 = 2 * JOURNAL_FILES * JOURNAL_FILE_BYTES
    + PARTITIONS * (RETENTION_BYTES + 3 * SEGMENT_BYTES + 32_768);
/// Live bytes of the journals: back-pressure begins at 90 %.
const JOURNAL_MAX: u64 = 2 * JOURNAL_FILES * JOURNAL_FILE_BYTES / 10 * 95 / 10;
/// By how much memory of the last quarter may exceed that of the second.
const GROWTH_MAX: f64 = 1.3;
const PRODUCERS: u64 = 4;
const PRODUCED: Duration = Duration::from_secs(60);
const SAMPLE: Duration = Duration::from_secs(1);

/// What was seen at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    seconds: f64,
    memory: f64,
    descriptors: f64,
    disk: f64,
    /// Of `disk`, what the journals take.
    journal_disk: f64,
    journal: f64,
    records: f64,
}

/// Counts of the load.
#[derive(Default)]
struct Load {
    produced: AtomicU64,
    consumed: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
}

async fn produce(client: Client, number: u64, load: Arc<Load>) {
    let mut settings = ProducerSettings::default();
    settings.delivery_timeout = PRODUCED;
    let producer = client.producer(settings).expect("settings in their ranges");
    let mut random = Random::seeded(number);
    let mut last = None;
    while !load.stop.load(Ordering::Relaxed) {
        for _ in 0..20 {
            let (name, partitions, _) = TOPICS[random.below(TOPICS.len())];
            let partitions = usize::try_from(partitions).expect("64-bit");
            let partition = u32::try_from(random.below(partitions)).expect("few partitions");
            let key = format!("key-{}", random.below(KEYS)).into_bytes();
            let value = vec![b'v'; 100 + random.below(4_000)];
            let record = Record::to(name).partition(PartitionId::new(partition));
            match producer.enqueue(record.key(&key).value(&value)).await {
                Ok(delivery) => last = Some(delivery),
                Err(_) => _ = load.failed.fetch_add(1, Ordering::Relaxed),
            }
        }
        // One of twenty is waited for: all of them are settled in their order.
        let settled = match last.take() {
            Some(delivery) => delivery.await.is_ok(),
            None => false,
        };
        let counter = if settled { &load.produced } else { &load.failed };
        counter.fetch_add(20, Ordering::Relaxed);
    }
}

async fn consume(client: Client, group: &'static str, topic: &'static str, load: Arc<Load>) {
    let mut settings = GroupSettings::new(group);
    settings.start = Position::Beginning;
    settings.auto_commit_interval = Some(Duration::from_secs(1));
    let mut consumer = client.group_consumer(settings).expect("settings in their ranges");
    consumer.subscribe(&[topic]).expect("a topic's name");
    while !load.stop.load(Ordering::Relaxed) {
        let next = tokio::time::timeout(Duration::from_secs(1), consumer.next_records()).await;
        if let Ok(Ok(records)) = next {
            let count = (&records).into_iter().count();
            load.consumed.fetch_add(u64::try_from(count).expect("64-bit"), Ordering::Relaxed);
        }
    }
    drop(consumer.close().await);
}

fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => about.blocks() * 512 + disk_bytes(&entry.path()),
        Ok(about) => about.blocks() * 512,
        // Retention was quicker.
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

fn sample(place: &Place, broker: &Broker<'_>, begun: Instant, load: &Load) -> Sample {
    Sample {
        seconds: begun.elapsed().as_secs_f64(),
        memory: broker.memory_bytes() as f64,
        descriptors: broker.descriptors() as f64,
        disk: disk_bytes(&place.data()) as f64,
        journal_disk: disk_bytes(&place.data().join("journal")) as f64,
        journal: place.metric("kolk_journal_live_bytes").unwrap_or_default(),
        records: load.produced.load(Ordering::Relaxed) as f64,
    }
}

/// What went beyond its bound.
fn faults(samples: &[Sample]) -> Vec<String> {
    type Series = fn(&Sample) -> f64;
    let bounds: [(&str, Series, u64); 4] = [
        ("memory", |s| s.memory, MEMORY_MAX),
        ("descriptors", |s| s.descriptors, DESCRIPTORS_MAX),
        ("disk", |s| s.disk, DISK_MAX),
        ("journal", |s| s.journal, JOURNAL_MAX),
    ];
    let mut found = Vec::new();
    for (name, series, bound) in bounds {
        let most = samples.iter().map(series).fold(0.0, f64::max);
        println!("{name}: {most:.0} at most, the bound is {bound}");
        if most > bound as f64 {
            found.push(format!("{name} reached {most:.0}, the bound is {bound}"));
        }
    }
    let quarter = samples.len() / 4;
    let mean = |part: &[Sample]| part.iter().map(|s| s.memory).sum::<f64>() / part.len() as f64;
    if quarter > 10 {
        let (second, last) = (&samples[quarter..2 * quarter], &samples[3 * quarter..]);
        let growth = mean(last) / mean(second);
        println!("memory of the last quarter to that of the second: {growth:.2}");
        if growth > GROWTH_MAX {
            found.push(format!("memory grows: {growth:.2} times"));
        }
    }
    found
}

fn set_up(place: &Place, runtime: &tokio::runtime::Runtime) {
    let admin = Client::new(&place.address()).expect("an address").admin();
    for (name, partitions, settings) in TOPICS {
        let mut topic = NewTopic::named(name).partitions(partitions);
        for (setting, value) in settings {
            topic = topic.setting(*setting, *value);
        }
        runtime.block_on(admin.create_topic(topic)).expect("a fresh broker");
    }
}

fn write_run(samples: &[Sample], minutes: u64, load: &Load) {
    let text = |program: &str, word: &str| {
        let output = Command::new(program).arg(word).output().expect("an ordinary program");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let name = format!("{}-{}-{cores}c-soak", text("date", "+%F"), text("uname", "-n"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("perf/run").join(name);
    std::fs::create_dir_all(&folder).expect("the checkout is writable");
    let mut rows =
        "seconds,memory_bytes,descriptors,disk_bytes,journal_disk_bytes,journal_live_bytes,records\n".to_owned();
    for s in samples.iter().step_by(5) {
        let Sample { seconds, memory, descriptors, disk, journal_disk, journal, records } = s;
        writeln!(
            rows,
            "{seconds:.0},{memory:.0},{descriptors:.0},{disk:.0},{journal_disk:.0},{journal:.0},{records:.0}"
        )
        .expect("a string takes all");
    }
    std::fs::write(folder.join("samples.csv"), rows).expect("the checkout is writable");
    let line = |value: fn(&Sample) -> f64| samples.iter().map(|s| (s.seconds, value(s))).collect();
    let mib = |bytes: u64| bytes as f64 / MIB as f64;
    let panels = [
        Panel {
            title: "memory, MiB",
            points: line(|s| s.memory / MIB as f64),
            bound: mib(MEMORY_MAX),
        },
        Panel {
            title: "descriptors",
            points: line(|s| s.descriptors),
            bound: DESCRIPTORS_MAX as f64,
        },
        Panel { title: "disk, MiB", points: line(|s| s.disk / MIB as f64), bound: mib(DISK_MAX) },
        Panel {
            title: "of it the journals, MiB",
            points: line(|s| s.journal_disk / MIB as f64),
            bound: mib(2 * JOURNAL_FILES * JOURNAL_FILE_BYTES),
        },
        Panel {
            title: "live journal, MiB",
            points: line(|s| s.journal / MIB as f64),
            bound: mib(JOURNAL_MAX),
        },
    ];
    let produced = load.produced.load(Ordering::Relaxed);
    let consumed = load.consumed.load(Ordering::Relaxed);
    let title = format!(
        "{PARTITIONS} partitions for {minutes} minutes: {produced} records produced, {consumed} consumed"
    );
    std::fs::write(folder.join("soak.svg"), draw(&title, &panels))
        .expect("the checkout is writable");
    let readme = format!(
        "# Soak\n\n`cargo xtask soak --minutes {minutes}`, release build, {SHARDS} shards, {cores} cores. {title}. The bounds are those of \
         `tests/soak`; [soak.svg](soak.svg) draws them dashed, [samples.csv](samples.csv) has every fifth sample.\n"
    );
    std::fs::write(folder.join("README.md"), readme).expect("the checkout is writable");
    println!("{}", folder.display());
}

fn main() -> ExitCode {
    let minutes = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let minutes: u64 = minutes.unwrap_or(MINUTES_DEFAULT);
    let place = Place::new("soak", SHARDS);
    let mut broker = place.start_with(SHARDS, &SETTINGS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("two threads");
    set_up(&place, &runtime);
    let load = Arc::new(Load::default());
    let client = || Client::new(&place.address()).expect("an address");
    let mut tasks = Vec::new();
    for number in 0..PRODUCERS {
        tasks.push(runtime.spawn(produce(client(), number, Arc::clone(&load))));
    }
    for (group, topic) in
        [("a", "events-0"), ("a", "events-1"), ("b", "events-0"), ("c", "state-0")]
    {
        tasks.push(runtime.spawn(consume(client(), group, topic, Arc::clone(&load))));
    }
    let begun = Instant::now();
    let mut samples = Vec::new();
    while begun.elapsed() < Duration::from_secs(60 * minutes) {
        std::thread::sleep(SAMPLE);
        assert!(broker.runs(), "the broker ended:\n{}", broker.log());
        samples.push(sample(&place, &broker, begun, &load));
    }
    load.stop.store(true, Ordering::Relaxed);
    for task in tasks {
        drop(runtime.block_on(async { tokio::time::timeout(PRODUCED, task).await }));
    }
    let metric = |name| place.metric(name).unwrap_or_default();
    let counted = [
        "kolk_log_rolls_total",
        "kolk_log_segments_deleted_total",
        "kolk_compaction_segments_replaced_total",
        "kolk_journal_checkpoints_total",
    ]
    .map(|name| (name, metric(name)));
    println!("{counted:?}");
    let mut found = faults(&samples);
    found.extend(
        counted.iter().filter(|(_, count)| *count == 0.0).map(|(name, _)| format!("no {name}")),
    );
    let (failed, consumed) =
        (load.failed.load(Ordering::Relaxed), load.consumed.load(Ordering::Relaxed));
    if failed > 0 || consumed == 0 {
        found.push(format!("{failed} records were not taken, {consumed} consumed"));
    }
    write_run(&samples, minutes, &load);
    broker.stop();
    let whole = broker::command::inspect(&place.data());
    if whole.0 != Some(0) {
        found.push(format!("kolk inspect: {}", whole.1));
    }
    for fault in &found {
        println!("FAILED: {fault}");
    }
    let failed = usize::from(!found.is_empty());
    println!(
        "test result: {}. {} passed; {failed} failed",
        if failed == 0 { "ok" } else { "FAILED" },
        1 - failed
    );
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
