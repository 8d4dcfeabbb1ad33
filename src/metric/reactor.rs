//! How late one shard's executor runs.

use crate::family::domain;

domain! {
    /// One executor's punctuality.
    pub struct ReactorMetrics {
        /// How much later than asked the ticker's timer ran.
        lag_ns: Histogram::latency => "kolk_reactor_lag_seconds",
        /// Operations in flight on the shard's own ring.
        ring_in_flight: Gauge::new => "kolk_reactor_ring_in_flight",
        /// Submission system calls of the shard's own ring.
        ring_submits: Counter::new => "kolk_reactor_ring_submits_total",
    }
}
