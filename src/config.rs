//! The broker's whole configuration as typed values. Each crate owns its part; here they are joined.

use kolk_io::uring::shard::Runtime;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::str::FromStr;

use kolk_io::host::limits::memory_bytes;
use kolk_serve::settings::ServeSettings;
use kolk_shard::settings::ShardSettings;

use crate::core_plan::CoreList;

/// Everything that can be configured. [`Config::default`] is what runs without any file, variable or flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The data directory; created when absent. Default: `./kolk-data`.
    pub data: PathBuf,
    /// The broker's number in its cluster. Default: 0. Range: 0 to 1,000,000.
    pub node_id: u32,
    /// The address to listen on, all doors. Default: 127.0.0.1.
    pub listen: IpAddr,
    /// The host name or address that clients are told. Default: the address each connected to.
    pub advertise: Option<String>,
    /// The common door of the native wire. 0 takes a free port. Default: 9640.
    pub native_port: u16,
    /// The native door of shard 0; shard n has this port + n. 0 takes free ports. Default: 28640.
    pub native_shard_port: u16,
    /// The Kafka node door: the node as one broker. 0 takes a free port, none closes it. Default: 9092.
    pub kafka_port: Option<u16>,
    /// The host, and the port if another is reached there, that clients of the Kafka node door are told.
    /// Default: as `advertise`; where that is not set either, the address each connected to.
    pub kafka_advertise: Option<HostAndPort>,
    /// Whether the Kafka shard doors are open: every shard as a broker of its own. Default: on.
    pub kafka_shard_door: OnOff,
    /// The Kafka door of shard 0; shard n has this port + n. 0 takes free ports. Default: 28092.
    pub kafka_shard_port: u16,
    /// As `kafka_advertise`, for the shard doors; the port is that of shard 0.
    pub kafka_shard_advertise: Option<HostAndPort>,
    /// Metrics and health over HTTP. 0 takes a free port. Default: 9644.
    pub http_port: u16,
    /// The cores to run on, as `taskset -c` writes them. Default: all that the process may use.
    pub cores: Option<CoreList>,
    /// The number of shards; more than cores run unpinned. Default: one a core. Range: 1 to 512.
    pub shards: Option<u16>,
    /// What runs the tasks of a shard. Default: ring.
    pub runtime: Runtime,
    /// Microseconds that a shard looks for work before it sleeps; on glommio only where it is pinned. Default: 0.
    /// Range: 0 to 1,000,000.
    pub spin_us: u64,
    /// Bytes of record batches held in memory by all shards together. Default: a quarter of the machine's
    /// or the container's memory, at most 1 GiB. Range: 64 MiB to 16 TiB.
    pub memory_bytes_max: Option<u64>,
    /// Starts although a file that the last run named is missing; what it held is lost. Default: no.
    pub accept_loss: bool,
    /// How the log on standard error is written. Default: human.
    pub log_format: LogFormat,
    /// What is logged: a level, or `target=level` parts separated by commas. Default: info.
    pub log_level: String,
    /// Connections.
    pub serve: ServeSettings,
    /// Shards and their storage. `produce_bytes_max` and `log.memory_bytes_max` follow from the others,
    /// see [`Config::shard_settings`].
    pub shard: ShardSettings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./kolk-data"),
            node_id: 0,
            listen: IpAddr::V4(Ipv4Addr::LOCALHOST),
            advertise: None,
            native_port: 9640,
            native_shard_port: 28640,
            kafka_port: Some(9092),
            kafka_advertise: None,
            kafka_shard_door: OnOff::On,
            kafka_shard_port: 28092,
            kafka_shard_advertise: None,
            http_port: 9644,
            cores: None,
            shards: None,
            runtime: Runtime::Ring,
            spin_us: 0,
            memory_bytes_max: None,
            accept_loss: false,
            log_format: LogFormat::Human,
            log_level: "info".to_owned(),
            serve: ServeSettings::default(),
            shard: ShardSettings::default(),
        }
    }
}

impl Config {
    /// The settings of each of `shards` shards, with what follows from the node's: its part of the memory, and
    /// as many bytes of produce requests as its connections may hold.
    #[must_use]
    pub fn shard_settings(&self, shards: u16) -> ShardSettings {
        let memory = self.memory_bytes_max.unwrap_or_else(default_memory_bytes);
        let mut settings = self.shard.clone();
        settings.log.memory_bytes_max = memory / u64::from(shards.max(1));
        let requests = self.serve.shard_request_bytes_max;
        settings.produce_bytes_max = u64::try_from(requests).unwrap_or(u64::MAX);
        settings
    }

    /// Refuses two doors on one port, also where one is in the row of the shards' doors. The kernel tells too late: it lets
    /// two sockets bind one port, and refuses the second when both listen. A port of 0 is any that is free, and so
    /// nobody's; a row that goes beyond the last port is refused when it is bound.
    ///
    /// # Errors
    /// The first two doors that ask for one port.
    pub fn check_ports(&self, shards: u16) -> Result<(), SamePort> {
        let mut taken = BTreeMap::new();
        for asked in self.doors(shards).into_iter().filter(|asked| asked.port != 0) {
            let port = asked.port;
            if let Some(Asked { door, setting, .. }) = taken.remove(&port) {
                return Err(SamePort {
                    first: door,
                    first_setting: setting,
                    second: asked.door,
                    second_setting: asked.setting,
                    port,
                });
            }
            taken.insert(port, asked);
        }
        Ok(())
    }

    fn doors(&self, shards: u16) -> Vec<Asked> {
        let one =
            |name: &str, setting, port| Asked { door: format!("the {name} door"), setting, port };
        let row = |name: &'static str, setting, first: u16| {
            (0..shards).map_while(move |shard| {
                let door = format!("the {name} door of shard {shard}");
                let port = if first == 0 { 0 } else { first.checked_add(shard)? };
                Some(Asked { door, setting, port })
            })
        };
        let mut doors = vec![one("native", "native.port", self.native_port)];
        doors.extend(self.kafka_port.map(|port| one("Kafka", "kafka.port", port)));
        doors.push(one("HTTP", "http.port", self.http_port));
        doors.extend(row("native", "native.shard_port", self.native_shard_port));
        if self.kafka_shard_door == OnOff::On {
            doors.extend(row("Kafka", "kafka.shard_port", self.kafka_shard_port));
        }
        doors
    }
}

/// A door that asks for a port.
struct Asked {
    door: String,
    setting: &'static str,
    port: u16,
}

/// Two doors that ask for one port. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{first} ({first_setting}) and {second} ({second_setting}) can't both listen on port {port}; set one of them to another"
)]
pub struct SamePort {
    /// One door.
    pub first: String,
    /// The setting that gives its port.
    pub first_setting: &'static str,
    /// The other door.
    pub second: String,
    /// The setting that gives its port.
    pub second_setting: &'static str,
    /// The port that both ask for.
    pub port: u16,
}

/// Something that is there or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOff {
    /// It is there.
    On,
    /// It is not.
    Off,
}

impl fmt::Display for OnOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

/// Where clients are told to find a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAndPort {
    /// A host name or address.
    pub host: String,
    /// The port, if it is not the one listened on.
    pub port: Option<u16>,
}

impl fmt::Display for HostAndPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.port, self.host.contains(':')) {
            (None, _) => f.pad(&self.host),
            (Some(port), false) => write!(f, "{}:{port}", self.host),
            (Some(port), true) => write!(f, "[{}]:{port}", self.host),
        }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// The name in files and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no log format. The operator's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a log format: human and json are known")]
pub struct LogFormatError {
    /// What was given.
    pub text: String,
}

impl FromStr for LogFormat {
    type Err = LogFormatError;

    fn from_str(text: &str) -> Result<Self, LogFormatError> {
        match text {
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(LogFormatError { text: text.to_owned() }),
        }
    }
}

/// The part of the memory taken: one in this many.
const PART: u64 = 4;

/// Taken at least, whatever the machine says.
pub const MEMORY_BYTES_MIN: u64 = 64 << 20;

/// Taken at most by default. Memory that was never touched costs up to 0.6 s of CPU a GiB at its first use (page faults, zeroing; more
/// where a hypervisor backs it only then), so a larger default slows the first minutes of every run; perf/BUDGET.md.
pub const MEMORY_BYTES_DEFAULT_MAX: u64 = 1 << 30;

/// Returns the bytes of record batches to hold in memory by default, all shards together.
#[must_use]
pub fn default_memory_bytes() -> u64 {
    part_of(memory_bytes())
}

const fn part_of(machine_bytes: u64) -> u64 {
    let part = machine_bytes / PART;
    if part < MEMORY_BYTES_MIN {
        MEMORY_BYTES_MIN
    } else if part > MEMORY_BYTES_DEFAULT_MAX {
        MEMORY_BYTES_DEFAULT_MAX
    } else {
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_is_taken_and_never_too_little_or_too_much() {
        assert_eq!(part_of(2 << 30), 512 << 20);
        assert_eq!(part_of(64 << 30), MEMORY_BYTES_DEFAULT_MAX);
        assert_eq!(part_of(128 << 20), MEMORY_BYTES_MIN);
        assert!(default_memory_bytes() >= MEMORY_BYTES_MIN);
    }

    fn check_refused(config: &Config, shards: u16, words: &[&str]) {
        let refused = config.check_ports(shards).unwrap_err().to_string();
        for word in words {
            assert!(refused.contains(word), "'{word}' is not in: {refused}");
        }
    }

    #[test]
    fn two_doors_on_one_port_are_refused_with_both_settings() {
        let default = Config::default();
        assert_eq!(default.check_ports(512), Ok(()));
        let kafka = Config { kafka_port: Some(9640), ..default.clone() };
        check_refused(&kafka, 1, &["native.port", "kafka.port", "9640"]);
        let http = Config { http_port: 28_641, ..default.clone() };
        check_refused(&http, 2, &["http.port", "native.shard_port", "shard 1", "28641"]);
        assert_eq!(http.check_ports(1), Ok(()));
        let row = Config { kafka_shard_port: 28_639, ..default };
        check_refused(&row, 2, &["native.shard_port", "kafka.shard_port", "28640"]);
    }

    #[test]
    fn free_ports_and_closed_doors_are_in_nobodys_way() {
        let free = Config {
            native_port: 0,
            native_shard_port: 0,
            kafka_port: Some(0),
            kafka_shard_port: 0,
            http_port: 0,
            ..Config::default()
        };
        assert_eq!(free.check_ports(512), Ok(()));
        let closed = Config {
            kafka_port: None,
            kafka_shard_door: OnOff::Off,
            kafka_shard_port: 28_640,
            ..Config::default()
        };
        assert_eq!(closed.check_ports(4), Ok(()));
        let beyond = Config { native_shard_port: 65_535, ..Config::default() };
        assert_eq!(beyond.check_ports(4), Ok(()));
    }
}
