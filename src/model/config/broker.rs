//! The settings of a broker under Kafka's names: defaults of topics and what groups heed, which change while it runs,
//! and what it was started with otherwise, which is described only.

use crate::config::definition::{Change, Definition, Rule, ValueType};
use crate::config::topic::table::default_of_topics;

/// In the order of the names.
pub(crate) const BROKER: &[Definition] = &[
    start("advertised.listeners", ValueType::List, "", "The addresses that clients are told."),
    start(
        "auto.create.topics.enable",
        ValueType::Boolean,
        "true",
        "Whether a topic that a client asks for is created.",
    ),
    stored("background.threads", ValueType::Int, "10"),
    start("broker.id", ValueType::Int, "0", "The node's number in its cluster, as node.id."),
    start("broker.rack", ValueType::String, "", "Where the node stands."),
    default_of_topics("compression.gzip.level"),
    default_of_topics("compression.lz4.level"),
    default_of_topics("compression.type"),
    default_of_topics("compression.zstd.level"),
    start(
        "connections.max.idle.ms",
        ValueType::Long,
        "600000",
        "Milliseconds without a request after which a connection is closed.",
    ),
    start(
        "default.replication.factor",
        ValueType::Int,
        "1",
        "Replicas of a topic that is created without a number; counts nodes.",
    ),
    start("delete.topic.enable", ValueType::Boolean, "true", "Whether topics can be deleted."),
    throttle(
        "follower.replication.throttled.rate",
        "Bytes a second at which throttled followers catch up. Stored and described.",
    ),
    live(
        "group.consumer.heartbeat.interval.ms",
        ValueType::Int,
        "5000",
        Rule::Between(5_000, 15_000),
        "Milliseconds between two heartbeats of a member under the consumer protocol, where its group says nothing else.",
    ),
    live(
        "group.consumer.max.size",
        ValueType::Int,
        "2147483647",
        Rule::AtLeast(1),
        "Members that a group of the consumer protocol may have.",
    ),
    live(
        "group.consumer.migration.policy",
        ValueType::String,
        "bidirectional",
        Rule::OneOf(&["disabled", "upgrade", "downgrade", "bidirectional"]),
        "Which way a group with members may go from one protocol to the other.",
    ),
    live(
        "group.consumer.session.timeout.ms",
        ValueType::Int,
        "45000",
        Rule::Between(45_000, 60_000),
        "Milliseconds without a heartbeat after which a member under the consumer protocol is removed, where its group says nothing else.",
    ),
    live(
        "group.initial.rebalance.delay.ms",
        ValueType::Int,
        "3000",
        Rule::Between(0, 300_000),
        "Milliseconds that an empty group waits for more members before its first rebalance.",
    ),
    live(
        "group.max.session.timeout.ms",
        ValueType::Int,
        "1800000",
        Rule::Between(1, 86_400_000),
        "The longest session timeout that a member may ask for, in milliseconds.",
    ),
    live(
        "group.max.size",
        ValueType::Int,
        "2147483647",
        Rule::AtLeast(1),
        "Members that a classic group may have.",
    ),
    live(
        "group.min.session.timeout.ms",
        ValueType::Int,
        "6000",
        Rule::Between(1, 1_800_000),
        "The shortest session timeout that a member may ask for, in milliseconds.",
    ),
    default_of_topics("kolk.durability"),
    throttle(
        "leader.replication.throttled.rate",
        "Bytes a second at which throttled replicas are served. Stored and described.",
    ),
    start("listeners", ValueType::List, "", "The addresses listened on."),
    stored("log.cleaner.backoff.ms", ValueType::Long, "15000"),
    stored("log.cleaner.dedupe.buffer.size", ValueType::Long, "134217728"),
    default_of_topics("log.cleaner.delete.retention.ms"),
    start("log.cleaner.enable", ValueType::Boolean, "true", "Whether topics are compacted."),
    stored("log.cleaner.io.buffer.load.factor", ValueType::Double, "0.9"),
    stored("log.cleaner.io.buffer.size", ValueType::Int, "524288"),
    stored("log.cleaner.io.max.bytes.per.second", ValueType::Double, "1.7976931348623157E308"),
    default_of_topics("log.cleaner.max.compaction.lag.ms"),
    default_of_topics("log.cleaner.min.cleanable.ratio"),
    default_of_topics("log.cleaner.min.compaction.lag.ms"),
    stored("log.cleaner.threads", ValueType::Int, "1"),
    default_of_topics("log.cleanup.policy"),
    start("log.dir", ValueType::String, "", "The data directory."),
    start("log.dirs", ValueType::String, "", "The data directory."),
    default_of_topics("log.flush.interval.messages"),
    default_of_topics("log.flush.interval.ms"),
    default_of_topics("log.index.interval.bytes"),
    default_of_topics("log.index.size.max.bytes"),
    default_of_topics("log.local.retention.bytes"),
    default_of_topics("log.local.retention.ms"),
    default_of_topics("log.message.timestamp.after.max.ms"),
    default_of_topics("log.message.timestamp.before.max.ms"),
    default_of_topics("log.message.timestamp.type"),
    default_of_topics("log.preallocate"),
    default_of_topics("log.retention.bytes"),
    start(
        "log.retention.check.interval.ms",
        ValueType::Long,
        "5000",
        "Milliseconds between two passes of housekeeping.",
    ),
    start(
        "log.retention.hours",
        ValueType::Int,
        "168",
        "The default of retention.ms in hours; log.retention.ms wins.",
    ),
    default_of_topics("log.retention.ms"),
    default_of_topics("log.roll.jitter.ms"),
    default_of_topics("log.roll.ms"),
    default_of_topics("log.segment.bytes"),
    default_of_topics("log.segment.delete.delay.ms"),
    stored("max.connection.creation.rate", ValueType::Int, "2147483647"),
    start("max.connections", ValueType::Int, "2147483647", "Connections of the node."),
    start(
        "max.connections.per.ip",
        ValueType::Int,
        "2147483647",
        "Connections of one address to the node.",
    ),
    stored("max.connections.per.ip.overrides", ValueType::String, ""),
    default_of_topics("message.max.bytes"),
    stored("metric.reporters", ValueType::List, ""),
    default_of_topics("min.insync.replicas"),
    start("node.id", ValueType::Int, "0", "The node's number in its cluster."),
    stored("num.io.threads", ValueType::Int, "8"),
    stored("num.network.threads", ValueType::Int, "3"),
    start(
        "num.partitions",
        ValueType::Int,
        "1",
        "Partitions of a topic that is created without a number.",
    ),
    stored("num.recovery.threads.per.data.dir", ValueType::Int, "2"),
    stored("num.replica.fetchers", ValueType::Int, "1"),
    live(
        "offset.metadata.max.bytes",
        ValueType::Int,
        "4096",
        Rule::Between(0, 65_535),
        "Bytes of the text stored with a committed offset.",
    ),
    live(
        "offsets.retention.check.interval.ms",
        ValueType::Long,
        "600000",
        Rule::Between(1_000, 86_400_000),
        "Milliseconds between two searches for offsets that are kept no longer.",
    ),
    live(
        "offsets.retention.minutes",
        ValueType::Int,
        "10080",
        Rule::AtLeast(1),
        "Minutes that offsets of a group without members are kept.",
    ),
    start(
        "offsets.topic.num.partitions",
        ValueType::Int,
        "50",
        "Partitions of __consumer_offsets.",
    ),
    start(
        "offsets.topic.replication.factor",
        ValueType::Int,
        "1",
        "Replicas of __consumer_offsets; counts nodes.",
    ),
    start("process.roles", ValueType::List, "broker,controller", "What the node does."),
    start(
        "producer.id.expiration.ms",
        ValueType::Int,
        "86400000",
        "Milliseconds after a producer's last append to a partition until it is forgotten there.",
    ),
    stored("remote.fetch.max.wait.ms", ValueType::Int, "500"),
    stored("remote.list.offsets.request.timeout.ms", ValueType::Long, "30000"),
    stored("remote.log.index.file.cache.total.size.bytes", ValueType::Long, "1073741824"),
    stored("remote.log.manager.copier.thread.pool.size", ValueType::Int, "10"),
    stored("remote.log.manager.copy.max.bytes.per.second", ValueType::Long, "9223372036854775807"),
    stored("remote.log.manager.expiration.thread.pool.size", ValueType::Int, "10"),
    stored("remote.log.manager.fetch.max.bytes.per.second", ValueType::Long, "9223372036854775807"),
    stored("remote.log.reader.threads", ValueType::Int, "10"),
    throttle(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        "Bytes a second at which replicas move between directories. Stored and described.",
    ),
    stored("sasl.kerberos.min.time.before.relogin", ValueType::Long, "60000"),
    stored("sasl.kerberos.ticket.renew.jitter", ValueType::Double, "0.05"),
    stored("sasl.kerberos.ticket.renew.window.factor", ValueType::Double, "0.8"),
    stored("sasl.login.refresh.window.factor", ValueType::Double, "0.8"),
    stored("sasl.login.refresh.window.jitter", ValueType::Double, "0.05"),
    start(
        "socket.request.max.bytes",
        ValueType::Int,
        "104857600",
        "Bytes of one frame after its length field.",
    ),
    stored("transaction.partition.verification.enable", ValueType::Boolean, "true"),
    start(
        "transaction.state.log.replication.factor",
        ValueType::Int,
        "1",
        "Replicas of the log of transactions; counts nodes.",
    ),
    default_of_topics("unclean.leader.election.enable"),
];

/// A setting that is read at the start.
const fn start(
    name: &'static str,
    value_type: ValueType,
    default: &'static str,
    doc: &'static str,
) -> Definition {
    let (rule, change, broker_name) = (Rule::Any, Change::AtRestart, None);
    Definition { name, value_type, default, rule, change, broker_name, doc }
}

/// A setting that is read at the start and heeded whenever it changes.
const fn live(
    name: &'static str,
    value_type: ValueType,
    default: &'static str,
    rule: Rule,
    doc: &'static str,
) -> Definition {
    let (change, broker_name) = (Change::Live, None);
    Definition { name, value_type, default, rule, change, broker_name, doc }
}

/// A setting of Kafka's that changes nothing here: what it is about this broker does not have, or not yet.
const fn stored(name: &'static str, value_type: ValueType, default: &'static str) -> Definition {
    let doc = "Kafka's. Stored and described, not applied: this broker has nothing of the kind.";
    let (rule, change, broker_name) = (Rule::Any, Change::Live, None);
    Definition { name, value_type, default, rule, change, broker_name, doc }
}

const fn throttle(name: &'static str, doc: &'static str) -> Definition {
    let default = "9223372036854775807";
    let (value_type, rule) = (ValueType::Long, Rule::AtLeast(0));
    let (change, broker_name) = (Change::Live, None);
    Definition { name, value_type, default, rule, change, broker_name, doc }
}
