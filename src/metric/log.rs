//! What the logs of one shard count: appends, segment writes and reads from disk.

use crate::family::domain;

domain! {
    /// Counts of all logs of one shard.
    pub struct LogMetrics {
        /// Record batches appended.
        appends: Counter::new => "kolk_log_appends_total",
        /// Bytes of record batches appended.
        append_bytes: Counter::new => "kolk_log_append_bytes_total",
        /// Writes that went straight to a segment.
        direct_writes: Counter::new => "kolk_log_direct_writes_total",
        /// Bytes of batches that went straight to a segment.
        direct_bytes: Counter::new => "kolk_log_direct_bytes_total",
        /// Fdatasync calls on segments.
        segment_fdatasyncs: Counter::new => "kolk_log_segment_fdatasyncs_total",
        /// Reads of segments from disk.
        cold_reads: Counter::new => "kolk_log_cold_reads_total",
        /// Bytes of segments read from disk.
        cold_read_bytes: Counter::new => "kolk_log_cold_read_bytes_total",
        /// Fetches answered by a read that was already under way or done ahead.
        read_ahead_hits: Counter::new => "kolk_log_read_ahead_hits_total",
        /// Bytes of record batches held in memory, tails included.
        cache_bytes: Gauge::new => "kolk_log_cache_bytes",
        /// Logs taken offline by damage or a disk error.
        fenced_logs: Gauge::new => "kolk_log_fenced",
        /// Logs whose appends find no room on the disk.
        without_room: Gauge::new => "kolk_log_without_room",
        /// Segment and index files open.
        open_files: Gauge::new => "kolk_log_open_files",
        /// Segments rolled.
        rolls: Counter::new => "kolk_log_rolls_total",
        /// Segments deleted by retention, trim or topic deletion.
        segments_deleted: Counter::new => "kolk_log_segments_deleted_total",
        /// Compaction passes that came to their end.
        compactions: Counter::new => "kolk_compaction_passes_total",
        /// Bytes of segments that compaction read.
        compaction_read_bytes: Counter::new => "kolk_compaction_read_bytes_total",
        /// Bytes of segments that compaction wrote.
        compaction_written_bytes: Counter::new => "kolk_compaction_written_bytes_total",
        /// Segments that compaction replaced.
        compaction_segments_replaced: Counter::new => "kolk_compaction_segments_replaced_total",
        /// Records that compaction removed, tombstones included.
        compaction_records_removed: Counter::new => "kolk_compaction_records_removed_total",
        /// Tombstones that compaction removed because their time was over.
        compaction_tombstones_removed: Counter::new => "kolk_compaction_tombstones_removed_total",
        /// Appends that had to wait because memory or journal space was used up.
        appends_waited: Counter::new => "kolk_log_appends_waited_total",
        /// Appends refused because the disk had no room.
        appends_without_room: Counter::new => "kolk_log_appends_without_room_total",
    }
}
