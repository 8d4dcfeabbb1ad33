//! What is measured and what it has to be: the rows of each table, by the names that `kolk-bench run` gives.

/// What a measure has to be, given its limit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// At least this many times the limit.
    Times(f64),
    /// At most this many times the limit.
    AtMostTimes(f64),
    /// Exactly this figure; counters do not vary.
    Exactly(f64),
    /// At most this figure, whatever the machine.
    AtMostFigure(f64),
    /// At least this figure, whatever the machine.
    AtLeastFigure(f64),
}

/// What a measure is compared with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Against {
    /// Its target is a figure.
    Nothing,
    /// What the machine can do.
    Limit { name: &'static str, title: &'static str },
    /// Another measure of the same round.
    Measure { name: &'static str, title: &'static str },
}

impl Against {
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Limit { title, .. } | Self::Measure { title, .. } => title,
        }
    }
}

/// A row of a table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) measure: &'static str,
    pub(super) title: &'static str,
    pub(super) against: Against,
    pub(super) target: Target,
}

/// The table of a workload.
#[derive(Debug)]
pub(in super::super) struct Table {
    pub(super) rows: &'static [Row],
    /// Whether a row needs iperf3 or fio.
    pub(in super::super) needs_tools: bool,
    /// Unless more are asked for; a table's medians are of at least five.
    pub(in super::super) rounds_min: u32,
}

impl Table {
    /// The table that shows what a workload measures; one of no table of its own has that of `speed`.
    pub(in super::super) const fn of(workload: &str) -> Self {
        match workload.as_bytes() {
            // One round of it is twenty minutes, and a tail of ten.
            b"spikes" => Self { rows: &SPIKES, needs_tools: false, rounds_min: 1 },
            _ => Self { rows: &SPEED, needs_tools: true, rounds_min: 5 },
        }
    }
}

const STREAM: Against =
    Against::Limit { name: "iperf3_bytes_per_second", title: "iperf3, one stream, 256 KiB" };

const SPEED: [Row; 18] = [
    Row {
        measure: "produce_bytes_per_second",
        title: "durable produce, 1 KB records, 256 KiB batches, 4 partitions (B/s)",
        against: STREAM,
        target: Target::Times(0.7),
    },
    Row {
        measure: "produce_bytes_per_second",
        title: "the same beside the disk (B/s)",
        against: Against::Limit {
            name: "fio_write_bytes_per_second",
            title: "fio direct write into 4 files, 1 MiB, qd 4 each, fdatasync after every 4",
        },
        target: Target::Times(0.7),
    },
    Row {
        measure: "produce_bytes_per_second",
        title: "the same beside the disk with new blocks, as a log that grows has them (B/s)",
        against: Against::Limit {
            name: "fio_write_new_bytes_per_second",
            title: "the same fio into files that were allocated and never written",
        },
        target: Target::Times(0.7),
    },
    Row {
        measure: "hot_fetch_bytes_per_second",
        title: "fetch from memory, same records (B/s)",
        against: STREAM,
        target: Target::Times(0.85),
    },
    Row {
        measure: "cold_fetch_bytes_per_second",
        title: "fetch from disk, more than the memory budget (B/s)",
        against: Against::Limit {
            name: "fio_read_bytes_per_second",
            title: "fio direct read, 1 MiB, qd 8",
        },
        target: Target::Times(0.9),
    },
    Row {
        measure: "cpu_seconds_per_gib",
        title: "the broker's CPU for a GiB produced and fetched from memory (s)",
        against: Against::Limit {
            name: "floor_cpu_seconds_per_gib",
            title: "a plain thread: receive, crc32c, copy, direct write; send",
        },
        target: Target::AtMostTimes(1.3),
    },
    Row {
        measure: "many_partitions_bytes_per_second",
        title: "durable produce, 200 B records, 1,000 partitions (B/s)",
        against: Against::Measure {
            name: "few_partitions_bytes_per_second",
            title: "the same bytes in flight over 4 partitions",
        },
        target: Target::Times(0.7),
    },
    Row {
        measure: "acks_per_second",
        title: "durable acks, 128-byte records, 256 partitions, one in flight each (1/s)",
        against: Against::Limit {
            name: "raw_commits_per_second",
            title: "4 KiB write + fdatasync, qd 1",
        },
        target: Target::Times(10.0),
    },
    Row {
        measure: "fdatasyncs_per_group",
        title: "journal fdatasyncs per commit group",
        against: Against::Nothing,
        target: Target::Exactly(1.0),
    },
    Row {
        measure: "ack_p50_ns",
        title: "durable ack, one 128-byte record at a time, p50 (ns)",
        against: Against::Limit {
            name: "raw_commit_p50_ns",
            title: "4 KiB write + fdatasync, p50",
        },
        target: Target::AtMostTimes(2.0),
    },
    Row {
        measure: "ack_p99_ns",
        title: "the same, p99 (ns)",
        against: Against::Limit {
            name: "raw_commit_p99_ns",
            title: "4 KiB write + fdatasync, p99",
        },
        target: Target::AtMostTimes(2.0),
    },
    Row {
        measure: "spinning_ack_p50_ns",
        title: "the same with spin_us=2500: the shard looks for work before it sleeps, p50 (ns)",
        against: Against::Limit {
            name: "spinning_raw_commit_p50_ns",
            title: "4 KiB write + fdatasync beside it, p50",
        },
        target: Target::AtMostTimes(2.0),
    },
    Row {
        measure: "spinning_ack_p99_ns",
        title: "the same with spin_us=2500, p99 (ns)",
        against: Against::Limit {
            name: "spinning_raw_commit_p99_ns",
            title: "4 KiB write + fdatasync beside it, p99",
        },
        target: Target::AtMostTimes(2.0),
    },
    Row {
        measure: "crash_ack_p50_ns",
        title: "ack that survives the process, one 128-byte record at a time, p50 (ns)",
        against: Against::Limit {
            name: "runtime_round_trip_p50_ns",
            title: "frames of that size echoed by the same runtime, p50",
        },
        target: Target::AtMostTimes(3.0),
    },
    Row {
        measure: "copies_per_byte_direct",
        title: "user-space copies of a produced byte, direct path",
        against: Against::Nothing,
        target: Target::Exactly(1.0),
    },
    Row {
        measure: "copies_per_byte_journal",
        title: "user-space copies of a produced byte, journal path",
        against: Against::Nothing,
        target: Target::Exactly(2.0),
    },
    Row {
        measure: "copies_per_byte_fetched",
        title: "user-space copies of a byte fetched on the owning core",
        against: Against::Nothing,
        target: Target::Exactly(0.0),
    },
    Row {
        measure: "idle_core_share",
        title: "idle broker (share of one core)",
        against: Against::Nothing,
        target: Target::AtMostFigure(0.01),
    },
];

/// Rarer than this, and the worst seconds have to do with it.
const CHANCE_MIN: f64 = 0.01;

const SPIKES: [Row; 3] = [
    Row {
        measure: "tail_ratio",
        title: "durable acks at half load, p99.99 / p50",
        against: Against::Limit {
            name: "raw_commit_tail_ratio",
            title: "4 KiB write + fdatasync at half load, p99.99 / p50",
        },
        target: Target::AtMostTimes(2.0),
    },
    Row {
        measure: "roll_spikes_chance",
        title: "chance that so many of the worst 1 % of seconds have a segment roll",
        against: Against::Nothing,
        target: Target::AtLeastFigure(CHANCE_MIN),
    },
    Row {
        measure: "recycle_spikes_chance",
        title: "the same with a recycle of journal files",
        against: Against::Nothing,
        target: Target::AtLeastFigure(CHANCE_MIN),
    },
];
