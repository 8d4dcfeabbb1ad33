//! A workload of `compare` and `rate-sweep`: what is written and read, how fast, and for how long. One TOML file each in
//! `perf/workload/`.

mod growth;

use std::path::Path;

use kolk_driver::driver::ClientPlan;
use kolk_model::durability::Durability;
use serde::Deserialize;

use self::growth::Growth;
use super::bodies::BodyShape;
use super::lanes::{self, Keys, Share};
use super::record::{RECORD_BYTES_MIN, SHORT_LANES_MAX, SHORT_SECONDS_MAX, is_short};
use super::schedule::{Arrivals, Burst};
use crate::error::{BenchError, Outcome};

/// Most of whatever there are several of: each has a thread.
const WORKERS_MAX: u32 = 256;
/// Most clients of all producers together, which share their threads.
const CONNECTIONS_MAX: u32 = 20_000;

/// A workload.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workload {
    pub(crate) name: String,
    /// What it stands for, in a sentence.
    pub(crate) about: String,
    /// `power-loss` or `process-crash`.
    #[serde(deserialize_with = "durability")]
    pub(crate) durability: Durability,
    pub(crate) partitions: u32,
    /// Bytes of a value, its stamp included; at least 10.
    pub(crate) record_bytes: usize,
    pub(crate) body: BodyShape,
    pub(crate) keys: Option<Keys>,
    pub(crate) produce: ProducePart,
    #[serde(default)]
    pub(crate) consume: ConsumePart,
    /// What is there before the measure begins.
    pub(crate) fill: Option<FillPart>,
    #[serde(default)]
    pub(crate) client: ClientPlan,
    pub(crate) time: TimePart,
    #[serde(default)]
    pub(crate) broker: BrokerPart,
    /// What is played in several sizes, if anything is.
    grow: Option<Growth>,
}

/// How records are written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProducePart {
    /// Threads, each with clients of its own.
    #[serde(default = "one")]
    pub(crate) producers: u32,
    /// Clients of all producers together, each with connections of its own, between which records take turns. Without it a
    /// producer has one; where there are fewer than producers, so many of these play.
    pub(crate) connections: Option<u32>,
    /// Records a second over all of them, outside bursts. Without it the loop is closed: as many as the broker takes.
    pub(crate) rate: Option<f64>,
    #[serde(default)]
    pub(crate) arrivals: Arrivals,
    pub(crate) burst: Option<Burst>,
    /// Records of one producer that may be on their way.
    pub(crate) in_flight: u32,
    /// Bytes of them, should that be less; one record may always be.
    #[serde(default = "no_limit")]
    pub(crate) in_flight_bytes: u64,
    /// The measure ends when so many bytes were sent since it began, should that be before its time.
    #[serde(default = "no_limit")]
    pub(crate) bytes_max: u64,
    /// Appends only where the partition ends as the producer expects, one at a time.
    #[serde(default)]
    pub(crate) conditional: bool,
}

impl ProducePart {
    /// Clients of all producers together.
    pub(crate) fn clients(&self) -> u32 {
        self.connections.unwrap_or(self.producers)
    }

    /// Producers that have a client.
    pub(crate) fn threads(&self) -> u32 {
        self.producers.min(self.clients())
    }

    /// Records of so many bytes that one producer may have on their way.
    pub(crate) fn room(&self, record_bytes: usize) -> u32 {
        let by_bytes = (self.in_flight_bytes / record_bytes.max(1) as u64).max(1);
        u32::try_from(by_bytes).unwrap_or(u32::MAX).min(self.in_flight)
    }
}

/// How they are read.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsumePart {
    /// Groups, each of which reads everything.
    pub(crate) groups: u32,
    /// Consumers of a group: partition n belongs to consumer n modulo this.
    #[serde(default = "one")]
    pub(crate) consumers: u32,
}

impl Default for ConsumePart {
    fn default() -> Self {
        Self { groups: 1, consumers: 1 }
    }
}

/// What is there before.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FillPart {
    pub(crate) bytes: u64,
    pub(crate) in_flight: u32,
    /// Write back and drop the kernel's page cache before the measure.
    #[serde(default)]
    pub(crate) cold: bool,
}

/// For how long.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimePart {
    pub(crate) warmup_seconds: f64,
    pub(crate) seconds: f64,
    /// Without a record for so long after the last acknowledgement, what has not been read is lost.
    #[serde(default = "patience")]
    pub(crate) silence_seconds: f64,
}

/// What a broker is told that kolk-bench starts itself.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BrokerPart {
    /// kolk's `memory_bytes_max`.
    pub(crate) memory_bytes_max: Option<u64>,
}

/// One thing to play: a workload in which nothing grows any more.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Empty, or what tells it from its workload's other cases: `AXIS=STEP`.
    pub(crate) name: String,
    pub(crate) workload: Workload,
}

const fn one() -> u32 {
    1
}

const fn patience() -> f64 {
    20.0
}

const fn no_limit() -> u64 {
    u64::MAX
}

fn durability<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Durability, D::Error> {
    let text = String::deserialize(from)?;
    parse_durability(&text).ok_or_else(|| {
        serde::de::Error::custom(format!("'{text}' is neither power-loss nor process-crash"))
    })
}

/// The level of this name.
pub(crate) fn parse_durability(text: &str) -> Option<Durability> {
    [Durability::PowerLoss, Durability::ProcessCrash].into_iter().find(|one| one.name() == text)
}

impl Workload {
    /// Reads a file; gives its text too, which the report shows.
    pub(crate) fn read(path: &Path) -> Outcome<(Self, String)> {
        let text = std::fs::read_to_string(path).map_err(|error| BenchError::file(path, error))?;
        let workload = Self::parse(&text);
        let said = |error| BenchError::Workload(format!("{}: {error}", path.display()));
        Ok((workload.map_err(said)?, text))
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let workload: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if workload.grow.as_ref().is_some_and(|grow| !grow.grows()) {
            return Err("there must be steps, each larger than the one before".to_owned());
        }
        for case in workload.cases() {
            case.workload
                .check()
                .map_err(|why| format!("{} {why}", case.name).trim().to_owned())?;
        }
        Ok(workload)
    }

    fn check(&self) -> Result<(), &'static str> {
        let ProducePart { producers, rate, in_flight, burst, conditional, .. } = self.produce;
        let readers = self.consume.groups.saturating_mul(self.consume.consumers);
        if self.record_bytes < RECORD_BYTES_MIN {
            return Err("record_bytes is less than the 10 bytes of the shortest stamp");
        }
        if producers == 0 || producers > WORKERS_MAX || readers > WORKERS_MAX {
            return Err("1 to 256 producers and at most 256 consumers are possible");
        }
        if !(1..=CONNECTIONS_MAX).contains(&self.produce.clients()) {
            return Err("1 to 20,000 connections are possible");
        }
        if in_flight == 0 || rate.is_some_and(|rate| rate <= 0.0) {
            return Err("in_flight and rate must be more than 0");
        }
        if burst.is_some_and(|burst| burst.seconds <= 0.0 || burst.every_seconds < burst.seconds) {
            return Err("a burst must end before the next one begins");
        }
        if self.time.seconds <= 0.0 || self.time.warmup_seconds < 0.0 {
            return Err("seconds must be more than 0");
        }
        if self.partitions == 0 || self.consume.consumers == 0 {
            return Err("partitions and consumers must be more than 0");
        }
        if conditional && (in_flight != 1 || self.produce.connections.is_some()) {
            return Err(
                "conditional appends are made one at a time: in_flight = 1, no connections",
            );
        }
        let too_many = lanes::count(self.keys, self.share(0)) > SHORT_LANES_MAX;
        let too_long = self.time.warmup_seconds + self.time.seconds > SHORT_SECONDS_MAX;
        if is_short(self.record_bytes) && (too_many || too_long) {
            return Err(
                "records of less than 24 bytes are for 65,536 keys or pairs of producer and \
                        partition, and for 70 minutes",
            );
        }
        Ok(())
    }

    /// What a producer has of the clients and partitions.
    pub(crate) fn share(&self, producer: u32) -> Share {
        let (producers, clients) = (self.produce.threads(), self.produce.clients());
        Share { producer, producers, clients, partitions: self.partitions }
    }

    /// What is played, one after the other.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let case = |(name, workload)| Case { name, workload };
        match &self.grow {
            Some(grow) => grow.steps(self).map(case).collect(),
            None => vec![case((String::new(), self.clone()))],
        }
    }

    /// Divides times and amounts, to see whether all works.
    pub(crate) fn shorten(&mut self, factor: f64) {
        self.time.warmup_seconds = (self.time.warmup_seconds / factor).max(0.5);
        self.time.seconds = (self.time.seconds / factor).max(1.0);
        let part =
            |bytes: u64| kolk_driver::clock::whole(kolk_driver::clock::float(bytes) / factor);
        if let Some(fill) = &mut self.fill {
            fill.bytes = part(fill.bytes);
        }
        if self.produce.bytes_max != u64::MAX {
            self.produce.bytes_max = part(self.produce.bytes_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_of_the_folder_is_whole() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../perf/workload");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // What `kolk-bench run` plays is another kind of file.
            if ["speed.toml", "spikes.toml"].contains(&path.file_name().unwrap().to_str().unwrap())
            {
                continue;
            }
            let (workload, _) = Workload::read(&path).unwrap();
            assert_eq!(path.file_stem().unwrap().to_str().unwrap(), workload.name);
            names.push(workload.name);
        }
        names.sort();
        let expected = [
            "activity",
            "bulk",
            "catch-up",
            "event-sourcing",
            "fan-out",
            "grow-connections",
            "grow-consumers",
            "grow-partitions",
            "grow-record-bytes",
            "messaging",
            "metrics",
        ];
        assert_eq!(names, expected);
    }

    const SMALL: &str = "
        name = 'small'
        about = 'a test'
        durability = 'power-loss'
        partitions = 8
        record_bytes = 100
        body = { shape = 'mixed', compressible = 0.5 }
        produce = { in_flight = 4, rate = 100.0 }
        time = { warmup_seconds = 1, seconds = 8 }
    ";

    /// The name of each case, and a figure of its workload.
    fn grown(axis: &str, figure: fn(&Workload) -> u32) -> Vec<(String, u32)> {
        let text = format!("{SMALL}\ngrow = {{ axis = '{axis}', steps = [10, 80] }}");
        let cases = Workload::parse(&text).unwrap().cases();
        cases.into_iter().map(|case| (case.name, figure(&case.workload))).collect()
    }

    #[test]
    fn each_step_of_an_axis_is_a_case_and_nothing_else_changes() {
        let named = |axis: &str| [(format!("{axis}=10"), 10), (format!("{axis}=80"), 80)];
        assert_eq!(grown("partitions", |one| one.partitions), named("partitions"));
        assert_eq!(grown("connections", |one| one.produce.clients()), named("connections"));
        let bytes = grown("record-bytes", |one| u32::try_from(one.record_bytes).unwrap());
        assert_eq!(bytes, named("record-bytes"));
        assert_eq!(grown("consumers", |one| one.consume.consumers), named("consumers"));
        let steady = grown("connections", |one| one.partitions);
        assert_eq!(steady, [("connections=10".to_owned(), 8), ("connections=80".to_owned(), 8)]);
        let plain = Workload::parse(SMALL).unwrap().cases();
        assert_eq!((plain.len(), plain[0].name.as_str()), (1, ""));
    }

    #[test]
    fn what_is_left_out_has_a_default_and_times_can_be_shortened() {
        let mut workload = Workload::parse(SMALL).unwrap();
        assert_eq!((workload.consume.groups, workload.produce.producers), (1, 1));
        assert_eq!((workload.produce.clients(), workload.produce.room(1 << 30)), (1, 4));
        workload.shorten(4.0);
        assert!((workload.time.seconds - 2.0).abs() < 1e-9);
    }

    #[test]
    fn producers_share_clients_and_large_records_leave_room_for_fewer() {
        let text =
            SMALL.replace("in_flight = 4", "in_flight = 50, in_flight_bytes = 1000, producers = 4");
        let mut produce = Workload::parse(&text).unwrap().produce;
        for (connections, threads, own) in [(1, 1, 1), (3, 3, 1), (5, 4, 2), (5_000, 4, 1_250)] {
            produce.connections = Some(connections);
            let share =
                Share { producer: 0, producers: threads, clients: connections, partitions: 8 };
            assert_eq!((produce.threads(), share.own_clients()), (threads, own));
        }
        assert_eq!([10, 100, 1_000_000].map(|bytes| produce.room(bytes)), [50, 10, 1]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (from, to) in [
            ("record_bytes = 100", "record_bytes = 9"),
            ("record_bytes = 100", "record_bytes = 23\nkeys = { count = 65537 }"),
            (
                "record_bytes = 100",
                "record_bytes = 100\ngrow = { axis = 'partitions', steps = [] }",
            ),
            (
                "record_bytes = 100",
                "record_bytes = 100\ngrow = { axis = 'partitions', steps = [2, 2] }",
            ),
            (
                "record_bytes = 100",
                "record_bytes = 100\ngrow = { axis = 'record-bytes', steps = [9, 10] }",
            ),
            (
                "record_bytes = 100",
                "record_bytes = 100\ngrow = { axis = 'shards', steps = [1, 2] }",
            ),
            ("in_flight = 4", "in_flight = 0"),
            ("rate = 100.0", "rate = 0"),
            ("in_flight = 4", "in_flight = 4, producers = 257"),
            ("in_flight = 4", "in_flight = 4, conditional = true"),
            ("in_flight = 4", "in_flight = 1, conditional = true, connections = 1"),
            ("in_flight = 4", "in_flight = 4, connections = 20001"),
            ("in_flight = 4", "in_flight = 4, connections = 0"),
            ("power-loss", "power"),
            ("partitions = 8", "partitions = 0"),
            ("about", "abuot"),
            ("rate = 100.0", "rate = 1, burst = { every_seconds = 1, seconds = 2, factor = 2 }"),
        ] {
            let text = SMALL.replace(from, to);
            assert_ne!(text, SMALL);
            assert!(Workload::parse(&text).is_err(), "{to} was accepted");
        }
    }
}
