//! What a shard's journal counts: group commits, their size, and the time of each step.

use crate::family::domain;

domain! {
    /// Counts of one shard's journal.
    pub struct JournalMetrics {
        /// Commit groups written to the journal.
        groups: Counter::new => "kolk_journal_groups_total",
        /// Bytes of a commit group as written, padding included.
        group_bytes: Histogram::bytes => "kolk_journal_group_bytes",
        /// Redo and extent records of a commit group.
        group_records: Histogram::count => "kolk_journal_group_records",
        /// Time from a group's submission until its bytes were in the kernel.
        write_ns: Histogram::latency => "kolk_journal_write_seconds",
        /// Time of a durable group commit: write and fdatasync, submitted as one.
        commit_ns: Histogram::latency => "kolk_journal_commit_seconds",
        /// Time of a journal fdatasync.
        fdatasync_ns: Histogram::latency => "kolk_journal_fdatasync_seconds",
        /// Fdatasync calls on journal files; one a durable group.
        fdatasyncs: Counter::new => "kolk_journal_fdatasyncs_total",
        /// Bytes of the journal that a recovery would still need.
        live_bytes: Gauge::new => "kolk_journal_live_bytes",
        /// Bytes the journal's files hold in all.
        capacity_bytes: Gauge::new => "kolk_journal_capacity_bytes",
        /// Checkpoints completed.
        checkpoints: Counter::new => "kolk_journal_checkpoints_total",
        /// Time of a checkpoint.
        checkpoint_ns: Histogram::latency => "kolk_journal_checkpoint_seconds",
        /// 1 while the journal waits for room on the disk, for its next file or for a snapshot, else 0.
        without_room: Gauge::new => "kolk_journal_without_room",
        /// 1 once a journal error made this shard read-only, else 0.
        failed: Gauge::new => "kolk_journal_failed",
    }
}
