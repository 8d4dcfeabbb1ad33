//! `kill -9` under load, again and again, judged by a ledger kept outside the broker.

mod churn;
mod compaction;
mod kafka_load;
mod ledger;
mod load;
mod reader;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kolk_client::admin::NewTopic;
use kolk_client::client::Client;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::broker::command::inspect;
use crate::broker::{Broker, Place};
use crate::random::Random;
use churn::Churn;
use kafka_load::KafkaWriter;
use ledger::{Found, Ledger};
use load::{Fate, TOPICS, Writer};

const ROUNDS_VARIABLE: &str = "KOLK_CRASH_ROUNDS";
const SEED_VARIABLE: &str = "KOLK_CRASH_SEED";
/// Rounds where nobody asks for more: `cargo xtask crash` does.
const ROUNDS_DEFAULT: u32 = 2;
/// Rounds on one data directory; then a fresh one, so that reading all of it stays quick.
const ROUNDS_OF_A_PLACE: u32 = 10;
/// What must have happened under load, or the kills hit nothing that matters.
const REACHED: [&str; 6] = [
    "kolk_log_rolls_total",
    "kolk_log_direct_writes_total",
    "kolk_journal_groups_total",
    "kolk_journal_checkpoints_total",
    "kolk_log_segments_deleted_total",
    "kolk_compaction_segments_replaced_total",
];
/// Where a kill is not to come at any moment but right after one of these has moved, this is how long it waits for that.
const AIM_WAIT: Duration = Duration::from_secs(2);
/// Until everything that was in flight must be settled after a restart, on a busy machine.
const SETTLE_WAIT: Duration = Duration::from_secs(40);
const SHARDS_MAX: u16 = 8;
/// A checkpoint, a roll and a recycled journal file every few hundred milliseconds.
const SMALL: [&str; 10] = [
    "--set",
    "journal_file_bytes=1048576",
    "--set",
    "journal_files=3",
    "--set",
    "journal_group_bytes_max=524288",
    "--set",
    "log.retention.check.interval.ms=100",
    "--set",
    "log.cleaner.backoff.ms=100",
];

/// One data directory, its load and its ledger.
struct Siege<'a> {
    place: &'a Place,
    runtime: Runtime,
    client: Client,
    writers: Vec<Writer>,
    kafka_writers: Vec<KafkaWriter>,
    churn: Option<Churn>,
    ledger: Ledger,
    random: Random,
    kills: u32,
    given_up: usize,
    /// How the last broker was started, for the message of a failure.
    started: String,
    /// What the load has driven the brokers to, summed over their lives.
    reached: [f64; REACHED.len()],
}

impl<'a> Siege<'a> {
    fn new(place: &'a Place, mut random: Random) -> Self {
        let client = Client::new(&place.address()).expect("an address");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("two threads");
        let writers = runtime.block_on(async { load::writers(&client, &mut random) });
        let kafka_writers = kafka_load::writers(place.kafka(), &mut random);
        let seeded = Random::seeded(random.next());
        let churn = Some(runtime.block_on(async { Churn::new(&client, seeded) }));
        let (ledger, reached) = (Ledger::default(), [0.0; REACHED.len()]);
        let started = String::new();
        Self {
            place,
            runtime,
            client,
            writers,
            kafka_writers,
            churn,
            ledger,
            random,
            kills: 0,
            given_up: 0,
            started,
            reached,
        }
    }

    fn begin(&mut self) {
        let broker = self.place.start_with(2, &SMALL);
        let admin = self.client.admin();
        for topic in &TOPICS {
            let mut wanted = NewTopic::named(topic.name).partitions(topic.partitions);
            for (name, value) in topic.settings {
                wanted = wanted.setting(*name, *value);
            }
            self.runtime.block_on(admin.create_topic(wanted)).expect("a fresh broker");
        }
        broker.stop();
    }

    /// Load, kill, perhaps more kills during recovery, restart with another number of shards, all of it while the
    /// writers go on; then everything is read and judged.
    fn round(&mut self) -> Result<(), String> {
        let broker = self.start();
        let stop = Arc::new(AtomicBool::new(false));
        let writing: Vec<_> = std::mem::take(&mut self.writers)
            .into_iter()
            .map(|mut writer| {
                let stop = Arc::clone(&stop);
                self.runtime.spawn(async move { (writer.write(stop).await, writer) })
            })
            .collect();
        let kafka_writing: Vec<_> = std::mem::take(&mut self.kafka_writers)
            .into_iter()
            .map(|mut writer| {
                let stop = Arc::clone(&stop);
                self.runtime.spawn_blocking(move || (writer.write(&stop), writer))
            })
            .collect();
        let mut churn = self.churn.take().expect("it comes back at the end of each round");
        let churning = {
            let stop = Arc::clone(&stop);
            self.runtime.spawn(async move {
                churn.churn(stop).await;
                churn
            })
        };
        self.sleep_below(1_500);
        self.aim();
        for (sum, name) in self.reached.iter_mut().zip(REACHED) {
            *sum += self.place.metric(name).ok_or_else(|| format!("no {name} in /metrics"))?;
        }
        broker.kill();
        self.kills += 1;
        self.inspect_whole()?;
        for _ in 0..self.random.below(3) {
            let (shards, settings) = (self.shards(), self.settings());
            let starting = self.place.spawn(shards, &borrowed(&settings));
            self.sleep_below(250);
            starting.kill();
            self.kills += 1;
        }
        let broker = self.start();
        self.sleep_below(200);
        stop.store(true, Ordering::Relaxed);
        for writer in writing {
            let (fates, writer) = self.settled(writer, &broker)?;
            self.writers.push(writer);
            self.enter(fates);
        }
        for writer in kafka_writing {
            let (fates, writer) = self.settled(writer, &broker)?;
            self.kafka_writers.push(writer);
            self.enter(fates.map_err(|fault| format!("{fault}\nthe log:\n{}", broker.log()))?);
        }
        self.churn = Some(self.runtime.block_on(churning).map_err(|e| e.to_string())?);
        let judged = self.judge();
        self.end(broker, judged)
    }

    /// Waits for a writer's end.
    fn settled<T>(&self, mut writer: JoinHandle<T>, broker: &Broker<'_>) -> Result<T, String> {
        let settled = async { tokio::time::timeout(SETTLE_WAIT, &mut writer).await };
        let Ok(settled) = self.runtime.block_on(settled) else {
            let (_, metrics) = self.place.http("/metrics").unwrap_or_default();
            let log = broker.log();
            return Err(format!(
                "no answer for {SETTLE_WAIT:?}:\n{metrics}\nthe broker's log:\n{log}"
            ));
        };
        settled.map_err(|error| error.to_string())
    }

    /// Every second time waits until the broker has just done one of the rarer things, so that the kill comes amid the rest of it.
    fn aim(&mut self) {
        if self.random.below(2) == 0 {
            return;
        }
        let aim = REACHED[self.random.below(REACHED.len())];
        let (begun, before) = (Instant::now(), self.place.metric(aim));
        while begun.elapsed() < AIM_WAIT && self.place.metric(aim) <= before {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_micros(self.random.next() % 3_000));
    }

    /// Another kill, now idle, or a clean stop; after a violation the broker is left to the message.
    fn end(&mut self, broker: Broker<'_>, judged: Result<(), String>) -> Result<(), String> {
        judged.map_err(|fault| format!("{fault}\nthe broker's log:\n{}", broker.log()))?;
        if self.random.below(3) == 0 {
            broker.stop();
        } else {
            broker.kill();
            self.kills += 1;
        }
        self.inspect_whole()
    }

    fn enter(&mut self, fates: Vec<Fate>) {
        for fate in fates {
            match fate {
                Fate::Acknowledged(stamp, offset) => self.ledger.acknowledged(stamp, offset),
                Fate::Unpromised => {}
                Fate::Failed(stamp, why) => {
                    if self.given_up < 5 {
                        eprintln!("  {stamp} was given up: {why}");
                    }
                    self.given_up += 1;
                }
            }
        }
    }

    fn judge(&mut self) -> Result<(), String> {
        if let Some(churn) = &self.churn {
            self.runtime.block_on(churn.judge())?;
        }
        for (number, topic) in (0..).zip(&TOPICS) {
            let found = self.runtime.block_on(reader::read_whole(&self.client, topic))?;
            for partition in 0..topic.partitions {
                let nothing = Found::default();
                let found = found.get(&partition).unwrap_or(&nothing);
                self.ledger.judge((number, partition), topic.keep, found)?;
            }
        }
        Ok(())
    }

    fn inspect_whole(&self) -> Result<(), String> {
        match inspect(&self.place.data()) {
            (Some(0), _) => Ok(()),
            (code, said) => Err(format!("kolk inspect ended with {code:?}:\n{said}")),
        }
    }

    fn report(&self, round: u32, took: Duration) {
        let (records, churned) = (self.ledger.count(), self.churn.as_ref().map_or(0, Churn::count));
        let (kills, given_up) = (self.kills, self.given_up);
        let [rolls, direct, groups, checkpoints, deleted, replaced] = self.reached;
        eprintln!(
            "round {round}: {kills} kills, {records} records acknowledged, {given_up} given up, \
             {churned} topics made or deleted; {rolls} rolls, {direct} direct writes, \
             {groups} groups, {checkpoints} checkpoints, {deleted} segments deleted and {replaced} \
             compacted; {took:.1?}"
        );
    }

    fn shards(&mut self) -> u16 {
        1 + u16::try_from(self.random.below(usize::from(SHARDS_MAX))).expect("few shards")
    }

    fn start(&mut self) -> Broker<'a> {
        let (shards, settings) = (self.shards(), self.settings());
        self.started = format!("{shards} shards, {}", settings.join(" "));
        self.place.start_with(shards, &borrowed(&settings))
    }

    fn settings(&mut self) -> Vec<String> {
        // The last of them sends nearly everything through the journal, which then goes round quickly.
        let direct = ["8192", "65536", "16777216"];
        let direct = direct[self.random.below(direct.len())];
        let mut settings = SMALL.map(str::to_owned).to_vec();
        settings.extend(["--set".to_owned(), format!("direct_append_bytes_min={direct}")]);
        let runtime = if self.random.below(4) == 0 { "glommio" } else { "ring" };
        settings.extend(["--set".to_owned(), format!("runtime={runtime}")]);
        settings
    }

    fn sleep_below(&mut self, milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(self.random.next() % milliseconds));
    }
}

fn borrowed(settings: &[String]) -> Vec<&str> {
    settings.iter().map(String::as_str).collect()
}

#[test]
fn every_acknowledged_record_survives_kill_nine() {
    let mut random = Random::from_environment(SEED_VARIABLE);
    let rounds = std::env::var(ROUNDS_VARIABLE).ok().and_then(|text| text.parse().ok());
    let rounds = rounds.unwrap_or(ROUNDS_DEFAULT);
    eprintln!("{SEED_VARIABLE}={} {ROUNDS_VARIABLE}={rounds}", random.seed());
    let mut done = 0;
    while done < rounds {
        let place = Place::new("crash", SHARDS_MAX);
        let mut siege = Siege::new(&place, Random::seeded(random.next()));
        siege.begin();
        let rounds_here = ROUNDS_OF_A_PLACE.min(rounds - done);
        for _ in 0..rounds_here {
            done += 1;
            let begin = Instant::now();
            if let Err(fault) = siege.round() {
                let (seed, started) = (random.seed(), &siege.started);
                panic!("round {done} of {SEED_VARIABLE}={seed}, {started}: {fault}");
            }
            siege.report(done, begin.elapsed());
        }
        for (sum, name) in siege.reached.into_iter().zip(REACHED) {
            let enough = sum > 0.0 || rounds_here < ROUNDS_OF_A_PLACE;
            assert!(enough, "the load of {rounds_here} rounds caused no {name}");
        }
    }
}
