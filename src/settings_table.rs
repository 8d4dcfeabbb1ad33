//! Every setting there is, with its documentation. The file, the environment and the flags are read by this
//! table, and `kolk config` prints it: a setting that is not here does not exist.

use std::path::PathBuf;

use kolk_serve::settings::ServeSettings;
use kolk_shard::group::MigrationPolicy;

use crate::config::{Config, HostAndPort, OnOff};
use crate::setting::{
    Setting, ValueError, bytes, count, not_a, number, parsed, setting, size, time,
};

/// Shown and accepted for "let the broker choose".
const AUTO: &str = "auto";

/// Shown and accepted for a door that is closed.
const OFF: &str = "off";

/// Every setting, in the order in which it is shown.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    NODE.iter().chain(CONNECTIONS).chain(KAFKA).chain(GROUPS).chain(STORAGE)
}

/// The node itself: where it is, what it listens on, what it runs on, what it logs.
static NODE: &[Setting] = &[
    setting!(
        "data",
        "a path",
        "The data directory; created when absent.",
        |config| config.data,
        |text| path(text),
        |value| value.display().to_string()
    ),
    count!("node.id", 0..=1_000_000, "The broker's number in its cluster.", |config| config
        .node_id),
    setting!(
        "listen",
        "an IP address; 0.0.0.0 or :: for all",
        "The address to listen on, all doors.",
        |config| config.listen,
        |text| parsed(text, "an IP address"),
        |value| value.to_string()
    ),
    setting!(
        "advertise",
        "a host name or address, or auto",
        "The host that clients are told. auto: the address each connected to.",
        |config| config.advertise,
        |text| automatic(text, host),
        |value| shown(value.as_ref())
    ),
    count!(
        "native.port",
        0..=65_535,
        "The common door of the native wire. 0: a free port.",
        |config| config.native_port
    ),
    count!(
        "native.shard_port",
        0..=65_535,
        "The native door of shard 0; shard n has this port + n. 0: free ports.",
        |config| config.native_shard_port
    ),
    setting!(
        "kafka.port",
        "0 to 65535, or off",
        "The Kafka node door: the node as one broker. 0: a free port. off: closed.",
        |config| config.kafka_port,
        |text| switched(text),
        |value| value.map_or_else(|| OFF.to_owned(), |port| port.to_string())
    ),
    setting!(
        "kafka.advertise",
        "HOST or HOST:PORT, or auto",
        "Where Kafka clients are told to find the node door. auto: as advertise, else the address each connected to; the port listened on.",
        |config| config.kafka_advertise,
        |text| automatic(text, host_and_port),
        |value| shown(value.as_ref())
    ),
    setting!(
        "kafka.shard_door",
        "on or off",
        "Whether the Kafka shard doors are open: every shard as a broker of its own, which saves the hop between cores.",
        |config| config.kafka_shard_door,
        |text| on_off(text),
        |value| value.to_string()
    ),
    setting!(
        "kafka.shard_port",
        "0 to 65535",
        "The Kafka door of shard 0; shard n has this port + n. 0: free ports. kafka.shard_door = off closes them.",
        |config| config.kafka_shard_port,
        |text| shard_port(text),
        |value| value.to_string()
    ),
    setting!(
        "kafka.shard_advertise",
        "HOST or HOST:PORT, or auto",
        "Where Kafka clients are told to find the shard doors; the port is shard 0's. auto: as kafka.advertise.",
        |config| config.kafka_shard_advertise,
        |text| automatic(text, host_and_port),
        |value| shown(value.as_ref())
    ),
    count!(
        "http.port",
        0..=65_535,
        "Metrics, health and readiness over HTTP. 0: a free port.",
        |config| config.http_port
    ),
    setting!(
        "cores",
        "a list as taskset -c takes it, such as 0-3,5, or auto",
        "The CPU cores to run on, one shard each. auto: all that the process may use.",
        |config| config.cores,
        |text| automatic(text, |text| text.parse().map_err(other)),
        |value| shown(value.as_ref())
    ),
    setting!(
        "shards",
        "1 to 512, or auto",
        "The number of shards. More than cores run unpinned. auto: one a core.",
        |config| config.shards,
        |text| automatic(text, |text| number(text, &(1..=512))),
        |value| shown(value.as_ref())
    ),
    setting!(
        "runtime",
        "ring or glommio",
        "What runs the tasks of a shard: our own loop on io_uring, or glommio beside the same ring (slower, decision 0001).",
        |config| config.runtime,
        |text| text.parse().map_err(other),
        |value| value.to_string()
    ),
    count!(
        "spin_us",
        0..=1_000_000,
        "Microseconds that a shard looks for work before it sleeps. A wake-up costs more than most requests: with more than the time between requests answers come sooner, and each shard keeps its core busy for as long. For brokers with cores of their own.",
        |config| config.spin_us
    ),
    setting!(
        "memory_bytes_max",
        "67108864 to 17592186044416, or auto",
        "Bytes of record batches that all shards together hold in memory, tails and read caches. auto: a quarter of the machine's or the container's memory, at most 1 GiB.",
        |config| config.memory_bytes_max,
        |text| automatic(text, |text| bytes(text, &(67_108_864..=17_592_186_044_416))),
        |value| shown(value.as_ref())
    ),
    setting!(
        "accept_loss",
        "true or false",
        "Start although a file that the last run named is missing: what it held is lost.",
        |config| config.accept_loss,
        |text| parsed(text, "true or false"),
        |value| value.to_string()
    ),
    setting!(
        "log_format",
        "human or json",
        "How the log on standard error is written.",
        |config| config.log_format,
        |text| text.parse().map_err(other),
        |value| value.to_string()
    ),
    setting!(
        "log_level",
        "error, warn, info, debug, trace, or target=level parts separated by commas",
        "What is logged.",
        |config| config.log_level,
        |text| match crate::logging::filter(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => Err(not_a(text, "a level or a list of target=level")),
        },
        |value| value.clone()
    ),
];

/// Connections.
static CONNECTIONS: &[Setting] = &[
    count!(
        "max.connections",
        1..=1_000_000,
        "Connections of the node, on all doors of both wires. Beyond: closed at once and counted.",
        |config| config.serve.connections_max
    ),
    count!(
        "connections_per_address_max",
        1..=1_000_000,
        "Of these, connections from one address. Beyond: closed at once and counted.",
        |config| config.serve.connections_per_address_max
    ),
    time!(
        "connections.max.idle.ms",
        1_000..=86_400_000,
        "Milliseconds without a request after which a connection is closed.",
        |config| config.serve.connection_idle
    ),
    size!(
        "socket.request.max.bytes",
        65_536..=1_073_741_824,
        "Bytes of one frame after its length field. Beyond: the connection is closed.",
        |config| config.serve.frame_bytes_max
    ),
    count!(
        "connection_requests_max",
        1..=65_536,
        "Requests of one connection without a reply. Beyond: its socket is not read.",
        |config| config.serve.connection_requests_max
    ),
    size!(
        "connection_request_bytes_max",
        65_536..=1_073_741_824,
        "Bytes of the frames of one connection's requests without an answer. Beyond: the socket is not read.",
        |config| config.serve.connection_request_bytes_max
    ),
    size!(
        "connection_reply_bytes_max",
        65_536..=1_073_741_824,
        "Bytes of replies of one connection that are ready and not sent. Beyond: the socket is not read.",
        |config| config.serve.connection_reply_bytes_max
    ),
    size!(
        "shard_request_bytes_max",
        1_048_576..=68_719_476_736,
        "Bytes of request frames that all connections of a shard hold, at least socket.request.max.bytes: half of it frames of at most a sixteenth of it, half larger ones. Beyond: connections wait in turn.",
        |config| config.serve.shard_request_bytes_max
    ),
    size!(
        "shard_reply_bytes_max",
        1_048_576..=68_719_476_736,
        "Bytes of replies that all connections of a shard hold; shared out among the fetches under way.",
        |config| config.serve.shard_reply_bytes_max
    ),
    time!(
        "frame_stall_ms",
        1_000..=3_600_000,
        "Milliseconds without a byte of a begun frame after which the connection is closed.",
        |config| config.serve.frame_stall
    ),
    time!(
        "write_stall_ms",
        1_000..=3_600_000,
        "Milliseconds in which a client reads none of its replies after which the connection is closed; 30 s at most while such replies hold half of shard_reply_bytes_max, 5 s while other connections wait for room in shard_request_bytes_max that its own requests take. Who reads, but less than 1 KiB a second beyond that time, 16 KiB while memory is short, is closed too.",
        |config| config.serve.write_stall
    ),
    time!(
        "drain_ms",
        100..=4_000,
        "Milliseconds for replies still owed when a client has ended its side, or the broker stops.",
        |config| config.serve.drain
    ),
];

/// The Kafka wire.
static KAFKA: &[Setting] = &[
    setting!(
        "auto.create.topics.enable",
        "true or false",
        "Whether a topic that a Kafka client asks for comes into being.",
        |config| config.serve.kafka.auto_create_topics,
        |text| parsed(text, "true or false"),
        |value| value.to_string()
    ),
    count!(
        "max.incremental.fetch.session.cache.slots",
        0..=1_000_000,
        "Fetch sessions of one Kafka door on one shard. Beyond: consumers are served without one.",
        |config| config.serve.kafka.fetch_sessions_max
    ),
];

/// Consumer groups.
static GROUPS: &[Setting] = &[
    count!(
        "group.initial.rebalance.delay.ms",
        0..=300_000,
        "Milliseconds that an empty group waits for more members after the first one.",
        |config| config.shard.group.initial_rebalance_delay_ms
    ),
    count!(
        "group.min.session.timeout.ms",
        1..=1_800_000,
        "The shortest session timeout, in milliseconds, that a member may ask for.",
        |config| config.shard.group.session_timeout_ms_min
    ),
    count!(
        "group.max.session.timeout.ms",
        1..=86_400_000,
        "The longest session timeout, in milliseconds, that a member may ask for.",
        |config| config.shard.group.session_timeout_ms_max
    ),
    count!(
        "group.max.size",
        1..=2_147_483_647,
        "Members that a group may have. Beyond: joining is refused.",
        |config| config.shard.group.group_size_max
    ),
    count!(
        "group.consumer.max.size",
        1..=2_147_483_647,
        "Members that a group of the consumer protocol may have. Beyond: joining is refused.",
        |config| config.shard.group.consumer_group_size_max
    ),
    setting!(
        "group.consumer.migration.policy",
        POLICIES,
        "Which way a group with members may go from one protocol to the other: up to the consumer protocol when the first member of it joins, down when the last one is gone.",
        |config| config.shard.group.migration,
        |text| MigrationPolicy::from_name(text).ok_or_else(|| not_a(text, POLICIES)),
        |value| value.name().to_owned()
    ),
    count!(
        "offset.metadata.max.bytes",
        0..=65_535,
        "Bytes of the text beside a committed offset. Beyond: that offset is refused.",
        |config| config.shard.group.offset_metadata_bytes_max
    ),
    setting!(
        "offsets.retention.minutes",
        "1 to 2147483647",
        "Minutes that offsets of a group without members are kept.",
        |config| config.shard.group.offsets_retention_ms,
        |text| number(text, &(1..=2_147_483_647_u64)).map(|minutes| minutes * MINUTE_MS),
        |value| (value / MINUTE_MS).to_string()
    ),
    count!(
        "offsets.retention.check.interval.ms",
        1_000..=86_400_000,
        "Milliseconds between two searches for offsets that are kept no longer.",
        |config| config.shard.group.offsets_retention_check_interval_ms
    ),
    count!(
        "offsets.topic.num.partitions",
        1..=1_000,
        "Partitions of __consumer_offsets when it is created.",
        |config| config.shard.offsets_topic_partitions
    ),
];

const POLICIES: &str = "disabled, upgrade, downgrade or bidirectional";

const MINUTE_MS: u64 = 60_000;

/// Shards and their storage.
static STORAGE: &[Setting] = &[
    count!(
        "num.partitions",
        1..=100_000,
        "Partitions of a topic that is created without a number.",
        |config| config.shard.partitions_default
    ),
    count!(
        "log.retention.check.interval.ms",
        100..=3_600_000,
        "Milliseconds between two passes of housekeeping: retention, saved producers, segments by age.",
        |config| config.shard.housekeeping_ms
    ),
    count!(
        "log.cleaner.backoff.ms",
        100..=3_600_000,
        "Milliseconds between two looks for logs to compact.",
        |config| config.shard.compaction_ms
    ),
    size!(
        "log.cleaner.dedupe.buffer.size",
        65_536..=4_294_967_296,
        "Bytes of memory a shard may use for the newest offsets of keys while it compacts a log; more keys take several passes.",
        |config| config.shard.log.compact_map_bytes_max
    ),
    size!(
        "log.cleaner.io.max.bytes.per.second",
        65_536..=68_719_476_736,
        "Bytes a second that compaction of a shard may read and write.",
        |config| config.shard.log.compact_bytes_per_second_max
    ),
    count!(
        "producer.id.expiration.ms",
        1_000..=31_536_000_000,
        "Milliseconds after a producer's last append to a partition until it is forgotten there.",
        |config| config.shard.producer_expiration_ms
    ),
    size!(
        "batch_decompressed_bytes_max",
        65_536..=1_073_741_824,
        "Bytes that the records of one compressed batch may inflate to. Beyond: refused.",
        |config| config.shard.partition.batch_decompressed_bytes_max
    ),
    size!(
        "journal_file_bytes",
        1_048_576..=1_073_741_824,
        "Bytes of one journal file, a multiple of 4096.",
        |config| config.shard.log.journal_file_bytes
    ),
    count!(
        "journal_files",
        3..=1_024,
        "Journal files a shard may fill before it must have been checkpointed. Logs of a shard are limited to their bytes / 32768.",
        |config| config.shard.log.journal_files
    ),
    size!(
        "journal_group_bytes_max",
        65_536..=536_870_912,
        "Most payload bytes of one commit group, at most half a journal file.",
        |config| config.shard.log.group_bytes_max
    ),
    size!(
        "direct_append_bytes_min",
        8_192..=16_777_216,
        "Pending bytes of one log from which they go straight to the segment instead of the journal.",
        |config| config.shard.log.direct_append_bytes_min
    ),
    count!("direct_writes_max", 1..=64, "Direct writes of one log in flight.", |config| config
        .shard
        .log
        .direct_writes_max),
    size!(
        "read_bytes",
        65_536..=16_777_216,
        "Bytes read from disk at a time for a consumer that is behind.",
        |config| config.shard.log.read_bytes
    ),
    count!(
        "read_ahead",
        0..=64,
        "Reads kept in flight ahead of a consumer that reads a log in order.",
        |config| config.shard.log.read_ahead
    ),
    count!(
        "open_files_max",
        16..=1_048_576,
        "Segment files that a shard keeps open; others are opened when they are needed.",
        |config| config.shard.log.open_files_max
    ),
    size!(
        "allocate_bytes_max",
        65_536..=1_073_741_824,
        "Most bytes allocated on disk at once ahead of a log's end.",
        |config| config.shard.log.allocate_bytes_max
    ),
    count!(
        "shard_waiters_max",
        1_024..=16_777_216,
        "Requests that may wait for an answer on one shard; three quarters of them may be fetches. Beyond: refused as overloaded.",
        |config| config.shard.waiters_max
    ),
    count!(
        "mesh_slots",
        2..=65_536,
        "Messages in flight between two shards in each direction; each carries many requests.",
        |config| config.shard.mesh_slots
    ),
];

/// What no range of one setting can say: how settings must fit together.
///
/// # Errors
/// The key at fault, and why.
pub(crate) fn check_together(config: &Config) -> Result<(), (&'static str, ValueError)> {
    let ServeSettings { frame_bytes_max, shard_request_bytes_max, .. } = config.serve;
    if shard_request_bytes_max < frame_bytes_max {
        let detail = format!(
            "{shard_request_bytes_max} is less than socket.request.max.bytes ({frame_bytes_max})"
        );
        return Err(("shard_request_bytes_max", ValueError::Other(detail)));
    }
    let (journal_file_bytes, group_bytes_max) =
        (config.shard.log.journal_file_bytes, config.shard.log.group_bytes_max);
    if !journal_file_bytes.is_multiple_of(4_096) {
        let detail = format!("{journal_file_bytes} is no multiple of 4096");
        return Err(("journal_file_bytes", ValueError::Other(detail)));
    }
    if u64::try_from(group_bytes_max).is_ok_and(|bytes| bytes > journal_file_bytes / 2) {
        let detail = format!(
            "{group_bytes_max} is more than half of journal_file_bytes ({journal_file_bytes})"
        );
        return Err(("journal_group_bytes_max", ValueError::Other(detail)));
    }
    Ok(())
}

fn automatic<T>(
    text: &str,
    read: impl FnOnce(&str) -> Result<T, ValueError>,
) -> Result<Option<T>, ValueError> {
    if text == AUTO { Ok(None) } else { read(text).map(Some) }
}

fn shown(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| AUTO.to_owned(), ToString::to_string)
}

fn other(error: impl std::error::Error) -> ValueError {
    ValueError::Other(error.to_string())
}

fn switched(text: &str) -> Result<Option<u16>, ValueError> {
    if text == OFF { Ok(None) } else { number(text, &(0..=u16::MAX)).map(Some) }
}

/// A port of doors that another setting closes, so that their port may stay in a file.
fn shard_port(text: &str) -> Result<u16, ValueError> {
    if text == OFF {
        let detail = "'off' is not a port; kafka.shard_door = off closes the shard doors";
        return Err(ValueError::Other(detail.to_owned()));
    }
    number(text, &(0..=u16::MAX))
}

fn on_off(text: &str) -> Result<OnOff, ValueError> {
    match text {
        "on" => Ok(OnOff::On),
        OFF => Ok(OnOff::Off),
        _ => Err(not_a(text, "on or off")),
    }
}

/// A host, with a port behind a colon if wanted; an IPv6 address with a port is written `[address]:port`.
fn host_and_port(text: &str) -> Result<HostAndPort, ValueError> {
    let (name, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some((name, port)) => (name, Some(port)),
        None => match text.split_once(':') {
            Some((name, port)) if !port.contains(':') => (name, Some(port)),
            _ => (text, None),
        },
    };
    let port = port.map(|port| number(port, &(1..=u16::MAX))).transpose()?;
    Ok(HostAndPort { host: host(name)?, port })
}

fn path(text: &str) -> Result<PathBuf, ValueError> {
    if text.is_empty() { Err(not_a(text, "a path")) } else { Ok(PathBuf::from(text)) }
}

fn host(text: &str) -> Result<String, ValueError> {
    let is_host = !text.is_empty()
        && text.len() <= 253
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':'));
    if is_host { Ok(text.to_owned()) } else { Err(not_a(text, "a host name or address")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_reads_back() {
        let default = Config::default();
        for setting in settings() {
            let mut config = Config::default();
            let set = (setting.set)(&mut config, &setting.default());
            assert_eq!(set, Ok(()), "{}", setting.key);
            assert_eq!(config, default, "{}", setting.key);
        }
    }

    #[test]
    fn keys_and_environment_names_are_unlike() {
        for (position, setting) in settings().enumerate() {
            for other in settings().take(position) {
                assert_ne!(setting.key, other.key);
                assert_ne!(setting.environment_name(), other.environment_name());
                let nested =
                    |longer: &str, shorter: &str| longer.starts_with(&format!("{shorter}."));
                assert!(!nested(setting.key, other.key), "{} is a table in TOML", other.key);
                assert!(!nested(other.key, setting.key), "{} is a table in TOML", setting.key);
            }
        }
    }

    #[test]
    fn every_setting_is_documented() {
        for setting in settings() {
            assert!(setting.meaning.ends_with('.'), "{}", setting.key);
            assert!(!setting.range.is_empty(), "{}", setting.key);
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let cases = [
            ("shards", "0"),
            ("shards", "513"),
            ("cores", "3-1"),
            ("listen", "here"),
            ("data", ""),
            ("log_format", "xml"),
            ("advertise", "a b"),
            ("native.port", "65536"),
            ("kafka.port", "on"),
            ("kafka.shard_door", "yes"),
            ("kafka.advertise", "kolk:0"),
            ("kafka.advertise", "a b:1"),
            ("connections.max.idle.ms", "1"),
            ("socket.request.max.bytes", "2GiB"),
            ("memory_bytes_max", "1MiB"),
            ("accept_loss", "maybe"),
        ];
        for (key, text) in cases {
            let setting = settings().find(|setting| setting.key == key).unwrap();
            assert!((setting.set)(&mut Config::default(), text).is_err(), "{key} = {text}");
        }
    }

    #[test]
    fn a_door_may_be_closed_and_found_elsewhere() {
        let cases = [
            ("kafka.port", "off"),
            ("kafka.port", "0"),
            ("kafka.shard_door", "off"),
            ("kafka.advertise", "kolk.example"),
            ("kafka.advertise", "kolk.example:19092"),
            ("kafka.shard_advertise", "[fe80::1]:28092"),
            ("kafka.shard_advertise", "fe80::1"),
        ];
        for (key, text) in cases {
            let setting = settings().find(|setting| setting.key == key).unwrap();
            let mut config = Config::default();
            assert_eq!((setting.set)(&mut config, text), Ok(()), "{key} = {text}");
            assert_eq!(setting.value(&config), text, "{key}");
        }
    }

    #[test]
    fn off_as_the_port_of_the_shard_doors_is_refused_with_what_closes_them() {
        let setting = settings().find(|setting| setting.key == "kafka.shard_port").unwrap();
        let mut config = Config::default();
        let refused = (setting.set)(&mut config, "off").unwrap_err().to_string();
        assert!(refused.contains("kafka.shard_door = off"), "{refused}");
        assert_eq!(config, Config::default());
    }

    #[test]
    fn the_largest_frame_must_fit_the_shards_budget() {
        let mut config = Config::default();
        assert_eq!(check_together(&config), Ok(()));
        config.serve.shard_request_bytes_max = config.serve.frame_bytes_max - 1;
        assert_eq!(check_together(&config).unwrap_err().0, "shard_request_bytes_max");
    }

    #[test]
    fn journal_groups_must_fit_their_files() {
        let mut config = Config::default();
        config.shard.log.journal_file_bytes = (1 << 20) + 1;
        assert_eq!(check_together(&config).unwrap_err().0, "journal_file_bytes");
        config.shard.log.journal_file_bytes = 1 << 20;
        assert_eq!(check_together(&config).unwrap_err().0, "journal_group_bytes_max");
    }
}
