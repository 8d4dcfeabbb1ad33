//! Every setting of a topic, under Kafka's name, with Kafka's type and default. Apart so that the table is only
//! a table.
//!
//! Names, types, defaults and ranges are those of Kafka 4.2 (its documentation's topic settings), but for:
//! `segment.bytes` takes 64 KiB and more, `min.insync.replicas` 1 alone, and `kolk.durability` is ours.

use crate::config::definition::{Change, Definition, Rule, ValueType};

/// In the order of the names.
pub(crate) const TOPIC: &[Definition] = &[
    Definition {
        rule: Rule::EachOf(&["compact", "delete"]),
        ..row(
            "cleanup.policy",
            ValueType::List,
            "delete",
            Some("log.cleanup.policy"),
            "How old records go: delete (by retention), compact (only the newest of each key is kept), both, or empty: not at all.",
        )
    },
    Definition {
        rule: Rule::BetweenOr(1, 9, -1),
        ..row(
            "compression.gzip.level",
            ValueType::Int,
            "-1",
            Some("compression.gzip.level"),
            "The level of gzip. Stored and described, not applied: batches stay as their producers compressed them.",
        )
    },
    Definition {
        rule: Rule::Between(1, 17),
        ..row(
            "compression.lz4.level",
            ValueType::Int,
            "9",
            Some("compression.lz4.level"),
            "The level of lz4. Stored and described, not applied.",
        )
    },
    Definition {
        rule: Rule::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        ..row(
            "compression.type",
            ValueType::String,
            "producer",
            Some("compression.type"),
            "The codec wished for. Stored and described, not applied: batches stay as their producers compressed them.",
        )
    },
    Definition {
        rule: Rule::Between(-131_072, 22),
        ..row(
            "compression.zstd.level",
            ValueType::Int,
            "3",
            Some("compression.zstd.level"),
            "The level of zstd. Stored and described, not applied.",
        )
    },
    Definition {
        rule: Rule::AtLeast(0),
        ..row(
            "delete.retention.ms",
            ValueType::Long,
            "86400000",
            Some("log.cleaner.delete.retention.ms"),
            "Milliseconds that compaction keeps a tombstone, so that readers can see it.",
        )
    },
    Definition {
        rule: Rule::AtLeast(0),
        ..row(
            "file.delete.delay.ms",
            ValueType::Long,
            "60000",
            Some("log.segment.delete.delay.ms"),
            "Milliseconds between dropping a segment and removing its file. Stored and described, not applied: readers hold what they read.",
        )
    },
    Definition {
        rule: Rule::AtLeast(1),
        ..row(
            "flush.messages",
            ValueType::Long,
            LONG_MAX,
            Some("log.flush.interval.messages"),
            "Records after which Kafka syncs a log. Stored and described, not applied: kolk.durability says what an acknowledgement survives.",
        )
    },
    Definition {
        rule: Rule::AtLeast(0),
        ..row(
            "flush.ms",
            ValueType::Long,
            LONG_MAX,
            Some("log.flush.interval.ms"),
            "Milliseconds after which Kafka syncs a log. Stored and described, not applied: see kolk.durability.",
        )
    },
    Definition {
        rule: Rule::Replicas,
        ..row(
            "follower.replication.throttled.replicas",
            ValueType::List,
            "",
            None,
            "Replicas whose catching up is throttled, as partition:broker, or *. Stored and described.",
        )
    },
    Definition {
        rule: Rule::AtLeast(0),
        ..row(
            "index.interval.bytes",
            ValueType::Int,
            "4096",
            Some("log.index.interval.bytes"),
            "Bytes of log between two entries of a segment's index; less than 512 counts as 512, more than 16 MiB as that.",
        )
    },
    Definition {
        rule: Rule::OneOf(&["power-loss", "process-crash"]),
        ..row(
            "kolk.durability",
            ValueType::String,
            "power-loss",
            Some("kolk.durability"),
            "What acknowledged records survive: power-loss (synced before the acknowledgement) or process-crash (written to the kernel).",
        )
    },
    Definition {
        rule: Rule::Replicas,
        ..row(
            "leader.replication.throttled.replicas",
            ValueType::List,
            "",
            None,
            "Replicas that are served throttled, as partition:broker, or *. Stored and described.",
        )
    },
    Definition {
        rule: Rule::AtLeast(-2),
        ..row(
            "local.retention.bytes",
            ValueType::Long,
            "-2",
            Some("log.local.retention.bytes"),
            "Bytes kept on local disks when older ones are tiered; -2 = as retention.bytes. Stored and described.",
        )
    },
    Definition {
        rule: Rule::AtLeast(-2),
        ..row(
            "local.retention.ms",
            ValueType::Long,
            "-2",
            Some("log.local.retention.ms"),
            "Milliseconds kept on local disks when older records are tiered; -2 = as retention.ms. Stored and described.",
        )
    },
    Definition {
        rule: Rule::AtLeast(1),
        ..row(
            "max.compaction.lag.ms",
            ValueType::Long,
            LONG_MAX,
            Some("log.cleaner.max.compaction.lag.ms"),
            "Milliseconds after which a record of a compacted topic must have been looked at by compaction.",
        )
    },
    Definition {
        rule: Rule::AtLeast(0),
        ..row(
            "max.message.bytes",
            ValueType::Int,
            "1048588",
            Some("message.max.bytes"),
            "The largest record batch accepted, in bytes with its header; more than 67,108,863 counts as that.",
        )
    },
    Definition {
        rule: Rule::AtLeast(0),
        ..row(
            "message.timestamp.after.max.ms",
            ValueType::Long,
            "3600000",
            Some("log.message.timestamp.after.max.ms"),
            "Milliseconds that a record's timestamp may lie ahead of the broker's clock; beyond, the batch is refused (CreateTime only).",
        )
    },
    Definition {
        rule: Rule::AtLeast(0),
        ..row(
            "message.timestamp.before.max.ms",
            ValueType::Long,
            LONG_MAX,
            Some("log.message.timestamp.before.max.ms"),
            "Milliseconds that a record's timestamp may lie behind the broker's clock; beyond, the batch is refused (CreateTime only).",
        )
    },
    Definition {
        rule: Rule::OneOf(&["CreateTime", "LogAppendTime"]),
        ..row(
            "message.timestamp.type",
            ValueType::String,
            "CreateTime",
            Some("log.message.timestamp.type"),
            "Who sets timestamps: CreateTime (the producer) or LogAppendTime (the broker).",
        )
    },
    Definition {
        rule: Rule::Ratio,
        ..row(
            "min.cleanable.dirty.ratio",
            ValueType::Double,
            "0.5",
            Some("log.cleaner.min.cleanable.ratio"),
            "The part of a log, by bytes, that must have come since its last compaction before it is compacted again.",
        )
    },
    Definition {
        rule: Rule::AtLeast(0),
        ..row(
            "min.compaction.lag.ms",
            ValueType::Long,
            "0",
            Some("log.cleaner.min.compaction.lag.ms"),
            "Milliseconds that a record is safe from compaction.",
        )
    },
    Definition {
        rule: Rule::OneReplica,
        ..row(
            "min.insync.replicas",
            ValueType::Int,
            "1",
            Some("min.insync.replicas"),
            "How many replicas must have a record before it is acknowledged: 1, as there is one. More, set by an earlier release, counts as 1.",
        )
    },
    row(
        "preallocate",
        ValueType::Boolean,
        "false",
        Some("log.preallocate"),
        "Whether a segment's file is allocated whole. Stored and described, not applied: files grow ahead of the writes.",
    ),
    row(
        "remote.log.copy.disable",
        ValueType::Boolean,
        "false",
        None,
        "Whether a tiered topic copies nothing any more. Stored and described.",
    ),
    row(
        "remote.log.delete.on.disable",
        ValueType::Boolean,
        "false",
        None,
        "Whether tiered records go when tiering is switched off. Stored and described.",
    ),
    Definition {
        rule: Rule::Only("false"),
        ..row(
            "remote.storage.enable",
            ValueType::Boolean,
            "false",
            None,
            "Whether old segments go to object storage; this broker has none.",
        )
    },
    row(
        "retention.bytes",
        ValueType::Long,
        "-1",
        Some("log.retention.bytes"),
        "The oldest segments are deleted while a partition is larger than this; negative = never.",
    ),
    Definition {
        rule: Rule::AtLeast(-1),
        ..row(
            "retention.ms",
            ValueType::Long,
            WEEK_MS,
            Some("log.retention.ms"),
            "Segments whose newest record is older than this are deleted; -1 = never.",
        )
    },
    Definition {
        rule: Rule::Between(65_536, i32::MAX as i64),
        ..row(
            "segment.bytes",
            ValueType::Int,
            "1073741824",
            Some("log.segment.bytes"),
            "A segment that would grow beyond this many bytes is closed and another begun.",
        )
    },
    Definition {
        rule: Rule::AtLeast(4),
        ..row(
            "segment.index.bytes",
            ValueType::Int,
            "10485760",
            Some("log.index.size.max.bytes"),
            "The largest index of a segment. Stored and described, not applied: an index grows with its segment.",
        )
    },
    Definition {
        rule: Rule::AtLeast(0),
        ..row(
            "segment.jitter.ms",
            ValueType::Long,
            "0",
            Some("log.roll.jitter.ms"),
            "Milliseconds by which segments may be closed early, at random. Stored and described.",
        )
    },
    Definition {
        rule: Rule::AtLeast(1),
        ..row(
            "segment.ms",
            ValueType::Long,
            WEEK_MS,
            Some("log.roll.ms"),
            "A segment older than this many milliseconds is closed, full or not.",
        )
    },
    row(
        "unclean.leader.election.enable",
        ValueType::Boolean,
        "false",
        Some("unclean.leader.election.enable"),
        "Whether a replica that lags may lead when no other is left. Stored and described.",
    ),
];

const LONG_MAX: &str = "9223372036854775807";
const WEEK_MS: &str = "604800000";

const fn row(
    name: &'static str,
    value_type: ValueType,
    default: &'static str,
    broker_name: Option<&'static str>,
    doc: &'static str,
) -> Definition {
    let (rule, change) = (Rule::Any, Change::Live);
    Definition { name, value_type, default, rule, change, broker_name, doc }
}

/// The broker's setting that gives a topic's setting its default.
///
/// # Panics
/// At compile time, when no topic's setting has it.
#[expect(clippy::panic, reason = "it is called in constants only")]
pub(crate) const fn default_of_topics(broker_name: &'static str) -> Definition {
    let mut rest = TOPIC;
    while let [row, after @ ..] = rest {
        if let Some(name) = row.broker_name
            && same(name.as_bytes(), broker_name.as_bytes())
        {
            return Definition { name, broker_name: None, ..*row };
        }
        rest = after;
    }
    panic!("no setting of a topic has its default there")
}

const fn same(mut left: &[u8], mut right: &[u8]) -> bool {
    while let ([a, left_rest @ ..], [b, right_rest @ ..]) = (left, right) {
        if *a != *b {
            return false;
        }
        (left, right) = (left_rest, right_rest);
    }
    left.is_empty() && right.is_empty()
}
