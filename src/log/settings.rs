//! What the storage engine can be told. The root joins it with everything else.

/// Settings of one shard's storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Bytes of one journal file. Default: 32 MiB. Range: 1 MiB – 1 GiB, a multiple of 4 KiB. Restart.
    pub journal_file_bytes: u64,
    /// Journal files a shard may fill before it must have been checkpointed. Default: 16. Range: 3 – 1024. Restart.
    pub journal_files: u16,
    /// Bytes of a journal group, its directory of records included, from which no further log is taken into it. Default: 4 MiB.
    /// Range: 64 KiB – half a journal file. Restart.
    pub group_bytes_max: usize,
    /// Pending bytes of one log from which they go to the segment instead of the journal; half of `group_bytes_max` where
    /// that is less. Default: 64 KiB. Range: 8 KiB – 16 MiB. Restart.
    pub direct_append_bytes_min: u64,
    /// Direct writes of one log in flight. Default: 4. Range: 1 – 64. Restart.
    pub direct_writes_max: usize,
    /// Bytes of tails and read caches the shard keeps in memory. Default: a share of the machine, set by the root.
    pub memory_bytes_max: u64,
    /// Bytes read from disk at a time for a consumer that is behind. Default: 1 MiB. Range: 64 KiB – 16 MiB. Restart.
    pub read_bytes: u64,
    /// Reads kept in flight ahead of a consumer that reads a log in order. Default: 8. Range: 0 – 64. Restart.
    pub read_ahead: usize,
    /// Segment files kept open by the shard. Default: 1,024, less where the process may open fewer. Restart.
    pub open_files_max: usize,
    /// Most bytes allocated at once ahead of a log's end. Default: 64 MiB. Range: 64 KiB – 1 GiB. Restart.
    pub allocate_bytes_max: u64,
    /// How long a clean stop may spend writing last pages, in milliseconds; what is left stays safe in the snapshot.
    /// Default: 5,000. Restart.
    pub stop_write_ms_max: u64,
    /// Bytes of memory for the newest offsets of keys while a log is compacted; more keys take several passes. Default: 32 MiB.
    /// Range: 64 KiB – 4 GiB. Restart.
    pub compact_map_bytes_max: u64,
    /// Bytes a second that compaction may read and write. Default: 64 MiB. Range: 64 KiB – 64 GiB. Restart.
    pub compact_bytes_per_second_max: u64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            journal_file_bytes: 32 << 20,
            journal_files: 16,
            group_bytes_max: 4 << 20,
            direct_append_bytes_min: 64 << 10,
            direct_writes_max: 4,
            memory_bytes_max: 1 << 30,
            read_bytes: 1 << 20,
            read_ahead: 8,
            open_files_max: 1024,
            allocate_bytes_max: 64 << 20,
            stop_write_ms_max: 5_000,
            compact_map_bytes_max: 32 << 20,
            compact_bytes_per_second_max: 64 << 20,
        }
    }
}

impl LogSettings {
    /// Bytes that the journal of one shard may hold.
    #[must_use]
    pub const fn journal_bytes(&self) -> u64 {
        self.journal_file_bytes * self.journal_files as u64
    }

    /// Pending bytes of one log from which they are no redo record. A group takes whole records until it has `group_bytes_max`,
    /// which is at most half a journal file: with this bound on the last of them every group fits into a file.
    #[must_use]
    pub const fn redo_bytes_max(&self) -> u64 {
        let half_group = self.group_bytes_max as u64 / 2;
        if self.direct_append_bytes_min < half_group {
            self.direct_append_bytes_min
        } else {
            half_group
        }
    }

    /// Journalled pages of one log that are worth a write of their own before the next checkpoint: 512 KiB, less where the journal
    /// is so small that a checkpoint would come first. A direct write takes all that are not issued along: so few hardly slow it.
    #[must_use]
    pub const fn lazy_bytes_min(&self) -> u64 {
        let share = self.journal_bytes() / 16;
        if share < 512 << 10 { share } else { 512 << 10 }
    }

    /// Logs one shard may have: each must find room for eight pages in the journal.
    #[must_use]
    pub const fn logs_max(&self) -> u64 {
        self.journal_bytes() / (8 * 4096)
    }
}

/// Settings of one log, from its topic's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Segments are rolled before they would grow beyond this many bytes.
    pub segment_bytes: u64,
    /// Bytes of batches one index entry speaks for.
    pub index_interval_bytes: u32,
    /// Whether every append waits for stable storage.
    pub sync: SyncPolicy,
}

/// When bytes of a log are synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Each group commit that holds bytes of the log ends with a sync.
    EachGroup,
    /// Only when an append asks for it, and at checkpoints.
    OnDemand,
}
