//! The memory budget of one shard.

use crate::family::domain;

domain! {
    /// One shard's memory budget.
    pub struct MemoryMetrics {
        /// Bytes of record batches and buffers this shard may hold.
        budget_bytes: Gauge::new => "kolk_memory_budget_bytes",
        /// Bytes of the budget in use.
        used_bytes: Gauge::new => "kolk_memory_used_bytes",
        /// Bytes of produce requests in flight on the shard's connections.
        produce_bytes: Gauge::new => "kolk_produce_in_flight_bytes",
    }
}
