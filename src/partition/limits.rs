//! The bounds of one partition, each with its default and what happens beyond it.

use kolk_model::limits::{BATCH_DECOMPRESSED_BYTES_MAX, INFLATION_JUSTIFIED};

/// The bounds of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionLimits {
    /// Record batches of one append. Default: 4,096. Beyond: refused.
    pub append_batches_max: usize,
    /// Bytes that the records of one compressed batch may inflate to. Default: 64 MiB. Beyond: refused.
    pub batch_decompressed_bytes_max: usize,
    /// Bytes that all batches of one append may inflate to, for each of their own bytes and beyond what one batch may.
    /// Default: 16, which is more than most records compress by. Beyond: refused. Many small batches that inflate to
    /// much would keep the core for minutes.
    pub append_inflation_max: usize,
    /// Idempotent producers remembered. Default: 16,384. Beyond: those idle longest are forgotten.
    pub producers_max: usize,
    /// Appends that wait while the log prepares room. Default: 4,096. Beyond: refused as overloaded.
    pub appends_waiting_max: usize,
    /// Bytes of those appends. Default: 64 MiB; one append is always taken. Beyond: refused as overloaded.
    pub appends_waiting_bytes_max: usize,
    /// Fetches that wait for records. Default: 16,384. Beyond: refused as overloaded.
    pub fetches_waiting_max: usize,
}

impl PartitionLimits {
    /// The default of each.
    pub const DEFAULT: Self = Self {
        append_batches_max: 4096,
        batch_decompressed_bytes_max: BATCH_DECOMPRESSED_BYTES_MAX,
        append_inflation_max: INFLATION_JUSTIFIED,
        producers_max: 16_384,
        appends_waiting_max: 4096,
        appends_waiting_bytes_max: 64 << 20,
        fetches_waiting_max: 16_384,
    };
}

impl Default for PartitionLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
