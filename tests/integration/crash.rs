//! `kill -9` under load, again and again, judged by a ledger kept outside the broker.

mod ledger;
mod load;
mod reader;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kolk_client::admin::NewTopic;
use kolk_client::client::Client;
use tokio::runtime::Runtime;

use crate::broker::{Broker, Place};
use crate::command::inspect;
use crate::random::Random;
use ledger::Ledger;
use load::{Fate, TOPICS, Writer};

const ROUNDS_VARIABLE: &str = "KOLK_CRASH_ROUNDS";
const SEED_VARIABLE: &str = "KOLK_CRASH_SEED";
/// Rounds where nobody asks for more: `cargo xtask crash` does.
const ROUNDS_DEFAULT: u32 = 3;
/// Rounds on one data directory; then a fresh one, so that reading all of it stays quick.
const ROUNDS_OF_A_PLACE: u32 = 10;
const SHARDS_MAX: u16 = 8;
/// A checkpoint, a roll and a recycled journal file every few hundred milliseconds.
const SMALL: [&str; 8] = [
    "--set",
    "journal_file_bytes=1048576",
    "--set",
    "journal_files=4",
    "--set",
    "journal_group_bytes_max=262144",
    "--set",
    "log.retention.check.interval.ms=100",
];

/// One data directory, its load and its ledger.
struct Siege<'a> {
    place: &'a Place,
    runtime: Runtime,
    client: Client,
    writers: Vec<Writer>,
    ledger: Ledger,
    random: Random,
    kills: u32,
    given_up: usize,
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
        let ledger = Ledger::default();
        Self { place, runtime, client, writers, ledger, random, kills: 0, given_up: 0 }
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
        self.sleep_below(1_500);
        broker.kill();
        self.kills += 1;
        self.inspect_whole()?;
        for _ in 0..self.random.below(3) {
            let (shards, settings) = (self.shards(), self.settings());
            let starting = self.place.spawn(shards, &settings);
            self.sleep_below(250);
            starting.kill();
            self.kills += 1;
        }
        let broker = self.start();
        self.sleep_below(200);
        stop.store(true, Ordering::Relaxed);
        for writer in writing {
            let (fates, writer) = self.runtime.block_on(writer).map_err(|e| e.to_string())?;
            self.writers.push(writer);
            self.enter(fates);
        }
        let judged = self.judge();
        self.end(broker, judged)
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
        for (number, topic) in (0..).zip(&TOPICS) {
            let found = self.runtime.block_on(reader::read_whole(&self.client, topic))?;
            for partition in 0..topic.partitions {
                let records = found.get(&partition).map_or(&[][..], Vec::as_slice);
                self.ledger.judge(number, partition, records)?;
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

    fn shards(&mut self) -> u16 {
        1 + u16::try_from(self.random.below(usize::from(SHARDS_MAX))).expect("few shards")
    }

    fn start(&mut self) -> Broker<'a> {
        let (shards, settings) = (self.shards(), self.settings());
        self.place.start_with(shards, &settings)
    }

    fn settings(&mut self) -> Vec<&'static str> {
        let direct = ["direct_append_bytes_min=8192", "direct_append_bytes_min=65536"];
        let mut settings = SMALL.to_vec();
        settings.extend(["--set", direct[self.random.below(direct.len())]]);
        settings
    }

    fn sleep_below(&mut self, milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(self.random.next() % milliseconds));
    }
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
        for _ in 0..ROUNDS_OF_A_PLACE.min(rounds - done) {
            done += 1;
            let begin = Instant::now();
            if let Err(fault) = siege.round() {
                panic!("round {done} of {SEED_VARIABLE}={}: {fault}", random.seed());
            }
            let (count, kills, given_up) = (siege.ledger.count(), siege.kills, siege.given_up);
            eprintln!(
                "round {done}: {count} acknowledged records, {kills} kills, {given_up} given up, {:?}",
                begin.elapsed()
            );
        }
    }
}
