//! Payload bytes copied in user space, by site: what makes "one copy in, none out" a figure.

use crate::family::domain;

domain! {
    /// Payload bytes one shard copied in user space.
    pub struct CopyMetrics {
        /// Bytes copied from a produce request into a log's tail.
        tail: Counter::new => "kolk_payload_copy_bytes_total" ["site" = "tail"]
            "Payload bytes copied in user space, by site.",
        /// Bytes copied from a tail into a journal group.
        journal: Counter::new => "kolk_payload_copy_bytes_total" ["site" = "journal"]
            "Payload bytes copied in user space, by site.",
        /// Bytes of produce payload copied to hand it to another core.
        forward: Counter::new => "kolk_payload_copy_bytes_total" ["site" = "forward"]
            "Payload bytes copied in user space, by site.",
        /// Bytes of fetched payload copied to hand them to another core.
        fetch_forward: Counter::new => "kolk_payload_copy_bytes_total" ["site" = "fetch_forward"]
            "Payload bytes copied in user space, by site.",
        /// Bytes copied because a produce frame did not arrive in one buffer.
        receive: Counter::new => "kolk_payload_copy_bytes_total" ["site" = "receive"]
            "Payload bytes copied in user space, by site.",
        /// Bytes copied to patch or rebuild batches (append time, compaction).
        rebuild: Counter::new => "kolk_payload_copy_bytes_total" ["site" = "rebuild"]
            "Payload bytes copied in user space, by site.",
        /// Bytes a compressed batch unfolded to while it was verified; counted, not kept.
        decompress: Counter::new => "kolk_payload_decompressed_bytes_total",
    }
}
