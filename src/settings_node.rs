//! The settings of the node itself: where it is, what it listens on, what it runs on, what it logs.

use std::path::PathBuf;

use crate::setting::{Setting, ValueError, bytes, count, not_a, number, parsed, setting};

/// Shown and accepted for "let the broker choose".
const AUTO: &str = "auto";

/// The settings, in the order in which they are shown.
pub(crate) static SETTINGS: &[Setting] = &[
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
        "The host that clients are told. auto: the address listened on, or this machine's host name where that is all addresses.",
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
        "memory_bytes_max",
        "67108864 to 17592186044416, or auto",
        "Bytes of record batches that all shards together hold in memory, tails and read caches. auto: a quarter of the machine's or the container's memory.",
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
        |text| Ok::<_, ValueError>(text.to_owned()),
        |value| value.clone()
    ),
];

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
