//! When a log is worth compacting: what its topic asks for, and what there is.

/// A lag that is no limit, as Kafka writes it.
pub const NO_LAG: u64 = i64::MAX.unsigned_abs();

/// What a topic asks of its compaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionRules {
    /// Share of not yet compacted bytes from which a pass is worth it, in millionths (`min.cleanable.dirty.ratio`).
    pub dirty_ppm_min: u32,
    /// How long a tombstone stays after the pass that saw it first (`delete.retention.ms`).
    pub delete_retention_ms: u64,
    /// Segments with a newer record than this stay as they are (`min.compaction.lag.ms`).
    pub lag_ms_min: u64,
    /// A log whose oldest not yet compacted record is older is due whatever its share (`max.compaction.lag.ms`).
    pub lag_ms_max: u64,
}

/// How much a log has to compact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionNeed {
    /// Bytes of segments that were compacted.
    pub clean_bytes: u64,
    /// Bytes of segments that may be, and were not or not to their end.
    pub dirty_bytes: u64,
    /// The oldest of them has waited longer than the topic allows.
    pub overdue: bool,
}

impl CompactionNeed {
    /// The share of dirty bytes, in millionths.
    #[must_use]
    pub fn dirty_ppm(&self) -> u32 {
        let all = u128::from(self.clean_bytes) + u128::from(self.dirty_bytes);
        u32::try_from(u128::from(self.dirty_bytes) * 1_000_000 / all.max(1)).unwrap_or(1_000_000)
    }

    /// Whether a pass is worth it by the topic's rules.
    #[must_use]
    pub fn is_due(&self, rules: &CompactionRules) -> bool {
        self.overdue || self.dirty_ppm() > rules.dirty_ppm_min
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_due_by_its_share_or_its_age() {
        let rules = CompactionRules {
            dirty_ppm_min: 500_000,
            delete_retention_ms: 0,
            lag_ms_min: 0,
            lag_ms_max: NO_LAG,
        };
        let need = |clean_bytes, dirty_bytes, overdue| CompactionNeed {
            clean_bytes,
            dirty_bytes,
            overdue,
        };
        assert!(!need(50, 50, false).is_due(&rules));
        assert!(need(49, 50, false).is_due(&rules));
        assert!(need(99, 1, true).is_due(&rules));
        assert_eq!(need(0, 0, false).dirty_ppm(), 0);
    }
}
