//! Which segments a pass looks at, and which of them become one.

use kolk_io::door::Io;
use kolk_model::batch::compacted::need::{CompactionNeed, CompactionRules, NO_LAG};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::error::LogError;
use crate::log::Log;
use crate::log::append::SEGMENT_BYTES_MAX;

/// A sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) base: Offset,
    pub(super) next_offset: Offset,
    pub(super) bytes: u64,
}

/// What a pass works on.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// All segments below `upto`, oldest first.
    pub(super) sources: Vec<Source>,
    pub(super) first_dirty: Offset,
    pub(super) upto: Offset,
    pub(super) need: CompactionNeed,
}

impl<I: Io> Log<I> {
    /// The segments that may be compacted; `None` if none of them is dirty.
    pub(super) async fn plan(
        &self,
        rules: &CompactionRules,
        now: TimestampMs,
        below: Offset,
    ) -> Result<Option<Plan>, LogError> {
        self.readable()?;
        let (mut sources, clean_below) = {
            let state = self.inner.state.borrow();
            let sealed = state.segments.iter().take(state.segments.len() - 1);
            let sources = sealed
                .map(|s| Source { base: s.base, next_offset: s.next_offset, bytes: s.end })
                .take_while(|source| source.next_offset <= below);
            (sources.collect::<Vec<_>>(), state.compacted.clean_below)
        };
        let Some(first) = sources.first().map(|source| source.base) else { return Ok(None) };
        let first_dirty = clean_below.max(first);
        if rules.lag_ms_min > 0 {
            let limit = now.saturating_back(rules.lag_ms_min);
            self.cut_recent(&mut sources, first_dirty, limit).await?;
        }
        let dirty = |source: &&Source| source.next_offset > first_dirty;
        let Some(oldest) = sources.iter().find(dirty).copied() else { return Ok(None) };
        let overdue = rules.lag_ms_max < NO_LAG && {
            let limit = now.saturating_back(rules.lag_ms_max);
            let index = self.index_of(oldest.base).await?;
            index.runs().get(0).is_some_and(|run| run.max_timestamp < limit)
        };
        let dirty_bytes = sources.iter().filter(dirty).map(|source| source.bytes).sum();
        let all: u64 = sources.iter().map(|source| source.bytes).sum();
        let need = CompactionNeed { clean_bytes: all - dirty_bytes, dirty_bytes, overdue };
        let upto = sources.last().map_or(first_dirty, |source| source.next_offset);
        Ok(Some(Plan { sources, first_dirty, upto, need }))
    }

    /// Takes away the first dirty segment with a record newer than `limit`, and all behind it.
    async fn cut_recent(
        &self,
        sources: &mut Vec<Source>,
        first_dirty: Offset,
        limit: TimestampMs,
    ) -> Result<(), LogError> {
        for (at, source) in sources.iter().enumerate() {
            if source.next_offset <= first_dirty {
                continue;
            }
            let newest = self.index_of(source.base).await?.max_timestamp();
            if newest.is_some_and(|newest| newest > limit) {
                sources.truncate(at);
                break;
            }
        }
        Ok(())
    }
}

impl Plan {
    /// Neighbours that become one segment each: as many as fit, by what they have now. Only up to the segment in which the map
    /// of keys ends.
    pub(super) fn groups(&self, map_end: Offset, segment_bytes: u64) -> Vec<Vec<Source>> {
        let bytes_max = segment_bytes.min(SEGMENT_BYTES_MAX);
        let mut groups: Vec<Vec<Source>> = Vec::new();
        let (mut bytes, mut base) = (0, Offset::ZERO);
        for source in self.sources.iter().filter(|source| source.base < map_end) {
            let span = source.next_offset.count_since(base);
            let fits = bytes + source.bytes <= bytes_max && span <= u64::from(u32::MAX);
            match groups.last_mut().filter(|_| fits) {
                Some(group) => group.push(*source),
                None => {
                    groups.push(vec![*source]);
                    (bytes, base) = (0, source.base);
                }
            }
            bytes += source.bytes;
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_that_fit_become_one() {
        let source = |base: u64, next: u64, bytes| Source {
            base: Offset::new(base),
            next_offset: Offset::new(next),
            bytes,
        };
        let far = u64::from(u32::MAX);
        let plan = Plan {
            sources: vec![
                source(0, 10, 60),
                source(10, 20, 30),
                source(20, 30, 30),
                source(30, 40, 200),
                source(40, 50, 10),
                source(50, 60 + far, 10),
                source(60 + far, 70 + far, 10),
            ],
            first_dirty: Offset::ZERO,
            upto: Offset::new(70 + far),
            need: CompactionNeed { clean_bytes: 0, dirty_bytes: 1, overdue: false },
        };
        let bases = |map_end: u64| -> Vec<Vec<u64>> {
            let groups = plan.groups(Offset::new(map_end), 100);
            groups.iter().map(|group| group.iter().map(|s| s.base.get()).collect()).collect()
        };
        let all = vec![vec![0, 10], vec![20], vec![30], vec![40], vec![50], vec![60 + far]];
        assert_eq!(bases(70 + far), all);
        assert_eq!(bases(25), vec![vec![0, 10], vec![20]]);
        assert_eq!(bases(20), vec![vec![0, 10]]);
    }
}
