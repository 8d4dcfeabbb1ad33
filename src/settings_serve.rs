//! The settings of connections.

use crate::setting::{Setting, count, size, time};

/// The settings, in the order in which they are shown.
pub(crate) static SETTINGS: &[Setting] = &[
    count!(
        "max.connections",
        1..=1_000_000,
        "Connections of the node; each shard takes its equal part, rounded up. Beyond: closed at once and counted.",
        |config| config.serve.connections_max
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
        "Bytes of the frames of those requests. Beyond: the socket is not read.",
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
        "Bytes of request frames that all connections of a shard hold, at least socket.request.max.bytes. Beyond: connections wait in turn.",
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
        "Milliseconds in which a client reads none of its replies after which the connection is closed.",
        |config| config.serve.write_stall
    ),
    time!(
        "drain_ms",
        100..=4_000,
        "Milliseconds for replies still owed when a client has ended its side, or the broker stops.",
        |config| config.serve.drain
    ),
];
