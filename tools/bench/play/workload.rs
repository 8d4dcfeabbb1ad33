//! A workload of `compare` and `rate-sweep`: what is written and read, how fast, and for how long. One TOML file each in
//! `perf/workload/`.

use std::path::Path;

use kolk_driver::driver::ClientPlan;
use kolk_model::durability::Durability;
use serde::Deserialize;

use super::bodies::BodyShape;
use super::lanes::Keys;
use super::record::STAMP_BYTES;
use super::schedule::{Arrivals, Burst};
use crate::error::{BenchError, Outcome};

/// Most of whatever there are several of: each has a thread.
const WORKERS_MAX: u32 = 256;

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
    /// One number, or several that are played one after the other.
    partitions: OneOrMany,
    /// Bytes of a value, its stamp included.
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
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(u32),
    Many(Vec<u32>),
}

/// How records are written.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProducePart {
    /// Clients, each with connections and a thread of its own.
    #[serde(default = "one")]
    pub(crate) producers: u32,
    /// Records a second over all of them, outside bursts. Without it the loop is closed: as many as the broker takes.
    pub(crate) rate: Option<f64>,
    #[serde(default)]
    pub(crate) arrivals: Arrivals,
    pub(crate) burst: Option<Burst>,
    /// Records of one producer that may be on their way.
    pub(crate) in_flight: u32,
    /// The measure ends when so many bytes were sent since it began, should that be before its time.
    #[serde(default = "no_limit")]
    pub(crate) bytes_max: u64,
    /// Appends only where the partition ends as the producer expects, one at a time.
    #[serde(default)]
    pub(crate) conditional: bool,
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

/// One thing to play: a workload with one number of partitions.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Empty, or what tells it from its workload's other cases.
    pub(crate) name: String,
    pub(crate) partitions: u32,
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
        workload.check().map_err(str::to_owned)?;
        Ok(workload)
    }

    fn check(&self) -> Result<(), &'static str> {
        let ProducePart { producers, rate, in_flight, burst, conditional, .. } = self.produce;
        let readers = self.consume.groups.saturating_mul(self.consume.consumers);
        if self.record_bytes < STAMP_BYTES {
            return Err("record_bytes is less than the 24 bytes of a record's stamp");
        }
        if producers == 0 || producers > WORKERS_MAX || readers > WORKERS_MAX {
            return Err("1 to 256 producers and at most 256 consumers are possible");
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
        if self.partitions().contains(&0) || self.consume.consumers == 0 {
            return Err("partitions and consumers must be more than 0");
        }
        if conditional && in_flight != 1 {
            return Err("conditional appends are made one at a time: in_flight = 1");
        }
        Ok(())
    }

    fn partitions(&self) -> Vec<u32> {
        match &self.partitions {
            OneOrMany::One(count) => vec![*count],
            OneOrMany::Many(counts) => counts.clone(),
        }
    }

    /// What is played, one after the other.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let all = self.partitions();
        let named = all.len() > 1;
        all.into_iter()
            .map(|partitions| Case {
                name: if named { format!("partitions={partitions}") } else { String::new() },
                partitions,
                workload: self.clone(),
            })
            .collect()
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
            "many-partitions",
            "messaging",
            "metrics",
        ];
        assert_eq!(names, expected);
    }

    const SMALL: &str = "
        name = 'small'
        about = 'a test'
        durability = 'power-loss'
        partitions = [1, 8]
        record_bytes = 100
        body = { shape = 'mixed', compressible = 0.5 }
        produce = { in_flight = 4, rate = 100.0 }
        time = { warmup_seconds = 1, seconds = 8 }
    ";

    #[test]
    fn a_list_of_partitions_makes_a_case_each() {
        let workload = Workload::parse(SMALL).unwrap();
        let cases = workload.cases();
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["partitions=1", "partitions=8"]);
        assert_eq!((workload.consume.groups, workload.produce.producers), (1, 1));
        let mut short = workload;
        short.shorten(4.0);
        assert!((short.time.seconds - 2.0).abs() < 1e-9);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (from, to) in [
            ("record_bytes = 100", "record_bytes = 23"),
            ("in_flight = 4", "in_flight = 0"),
            ("rate = 100.0", "rate = 0"),
            ("in_flight = 4", "in_flight = 4, producers = 257"),
            ("in_flight = 4", "in_flight = 4, conditional = true"),
            ("power-loss", "power"),
            ("[1, 8]", "[0]"),
            ("about", "abuot"),
            ("rate = 100.0", "rate = 1, burst = { every_seconds = 1, seconds = 2, factor = 2 }"),
        ] {
            let text = SMALL.replace(from, to);
            assert_ne!(text, SMALL);
            assert!(Workload::parse(&text).is_err(), "{to} was accepted");
        }
    }
}
