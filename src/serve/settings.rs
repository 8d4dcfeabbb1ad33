//! What can be configured about connections.

use std::time::Duration;

use kolk_model::limits;

/// Settings of all listeners and connections. All take effect at a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeSettings {
    /// Connections of the node, on all doors of both wires. Beyond: closed at once and counted. Default:
    /// 20,000. Range: 1 to 1,000,000.
    pub connections_max: u32,
    /// Of these, connections from one address. Beyond: as above. Default: 1,000,000. Range: 1 to 1,000,000.
    pub connections_per_address_max: u32,
    /// Time without a request after which a connection is closed (Kafka's
    /// `connections.max.idle.ms`). Default: 10 minutes. Range: 1 s to 1 day.
    pub connection_idle: Duration,
    /// Bytes of one frame after its length field. Beyond: the connection is closed. Default: 100 MiB.
    /// Range: 64 KiB to 1 GiB.
    pub frame_bytes_max: usize,
    /// Requests of one connection without a reply. Beyond: its socket is not read. Default: 1,024.
    /// Range: 1 to 65,536.
    pub connection_requests_max: usize,
    /// Bytes of the frames of one connection's requests without an answer. Beyond: the socket is not read. Default:
    /// 32 MiB. Range: 64 KiB to 1 GiB.
    pub connection_request_bytes_max: usize,
    /// Bytes of replies of one connection that are ready and not sent. Beyond: the socket is not read.
    /// Default: 64 MiB. Range: 64 KiB to 1 GiB.
    pub connection_reply_bytes_max: usize,
    /// Bytes of request frames that all connections of a shard hold: half of it frames of at most a sixteenth of
    /// it, half larger ones and those that a connection begins with. Beyond: connections wait in turn.
    /// Default: 128 MiB. Range: 1 MiB to 64 GiB, at least `frame_bytes_max`.
    pub shard_request_bytes_max: usize,
    /// Bytes of replies that all connections of a shard hold; shared out among the fetches under way.
    /// Default: 256 MiB. Range: 1 MiB to 64 GiB.
    pub shard_reply_bytes_max: usize,
    /// Time without a byte of a begun frame after which the connection is closed. Default: 30 s.
    /// Range: 1 s to 1 hour.
    pub frame_stall: Duration,
    /// Time in which the client reads none of its replies after which the connection is closed; 30 s at most
    /// while such replies hold half of `shard_reply_bytes_max`, 5 s while other connections wait for room in
    /// `shard_request_bytes_max` that its own requests take. Who reads, but in this time and beyond less than 1 KiB a
    /// second, 16 KiB while memory is short, is closed too. Default: 5 minutes, as long as a Kafka consumer
    /// may think about its records. Range: 1 s to 1 hour.
    pub write_stall: Duration,
    /// Time for replies still owed when the client has ended its side, or the broker stops. Default:
    /// 3 s. Range: 100 ms to 4 s, for a stop takes less than 10 s in all.
    pub drain: Duration,
    /// The Kafka wire.
    pub kafka: KafkaSettings,
}

/// Settings of the Kafka wire. All take effect at a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Whether a topic that a client asks for comes into being (Kafka's `auto.create.topics.enable`).
    /// Default: yes.
    pub auto_create_topics: bool,
    /// Fetch sessions of one door on one shard (Kafka's `max.incremental.fetch.session.cache.slots`).
    /// Beyond: consumers are served without one. Default: 1,000. Range: 0 to 1,000,000.
    pub fetch_sessions_max: usize,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self { auto_create_topics: true, fetch_sessions_max: 1_000 }
    }
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connections_per_address_max: 1_000_000,
            connection_idle: Duration::from_secs(600),
            frame_bytes_max: limits::FRAME_BYTES_MAX,
            connection_requests_max: limits::CONNECTION_REQUESTS_MAX,
            connection_request_bytes_max: 32 << 20,
            connection_reply_bytes_max: 64 << 20,
            shard_request_bytes_max: 128 << 20,
            shard_reply_bytes_max: 256 << 20,
            frame_stall: Duration::from_secs(30),
            write_stall: Duration::from_secs(300),
            drain: Duration::from_secs(3),
            kafka: KafkaSettings::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_frame_of_the_largest_size_fits_the_shards_budget() {
        let settings = ServeSettings::default();
        assert!(settings.shard_request_bytes_max >= settings.frame_bytes_max);
    }
}
