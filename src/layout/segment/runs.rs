//! The runs of an index, in chunks that never change once they are full: a copy shares them, so that a reader that holds the
//! index of the active segment costs the next append a small chunk and not megabytes.

use std::rc::Rc;

use crate::segment::index::Run;

/// Runs of a full chunk, 10 KB.
const CHUNK_RUNS: usize = 256;

/// Runs in order. Cloning costs the last chunk and a pointer for each full one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    full: Vec<Rc<[Run]>>,
    /// The newest runs; empty only if there is none at all.
    open: Vec<Run>,
}

impl Runs {
    /// No runs.
    #[must_use]
    pub const fn new() -> Self {
        Self { full: Vec::new(), open: Vec::new() }
    }

    pub(super) fn push(&mut self, run: Run) {
        if self.open.len() == CHUNK_RUNS {
            self.full.push(std::mem::take(&mut self.open).into());
        }
        self.open.push(run);
    }

    pub(super) fn last_mut(&mut self) -> Option<&mut Run> {
        self.open.last_mut()
    }

    /// The first `count` runs.
    pub(super) fn first(&self, count: usize) -> Self {
        let full = count.saturating_sub(1) / CHUNK_RUNS;
        let full = self.full.get(..full).unwrap_or(&self.full).to_vec();
        let open = self.range(full.len() * CHUNK_RUNS..count).copied().collect();
        Self { full, open }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.full.len() * CHUNK_RUNS + self.open.len()
    }

    /// True if there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn chunk(&self, number: usize) -> &[Run] {
        self.full.get(number).map_or(self.open.as_slice(), |chunk| chunk)
    }

    /// Run number `at`.
    #[must_use]
    pub fn get(&self, at: usize) -> Option<&Run> {
        let number = (at / CHUNK_RUNS).min(self.full.len());
        self.chunk(number).get(at - number * CHUNK_RUNS)
    }

    /// The newest run.
    #[must_use]
    pub fn last(&self) -> Option<&Run> {
        self.open.last()
    }

    /// The runs of a range of numbers; those beyond the last are left out.
    pub fn range(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = &Run> {
        range.map_while(|at| self.get(at))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Run> {
        self.range(0..self.len())
    }

    /// How many runs at the start `below` is true of; it must not become true again after it was false.
    #[must_use]
    pub fn partition_point(&self, below: impl Fn(&Run) -> bool) -> usize {
        let number = self.full.partition_point(|chunk| chunk.last().is_some_and(&below));
        number * CHUNK_RUNS + self.chunk(number).partition_point(below)
    }
}

#[cfg(test)]
mod tests {
    use kolk_model::time::TimestampMs;

    use super::*;

    fn runs(count: u32) -> Runs {
        let mut runs = Runs::new();
        for n in 0..count {
            runs.push(Run {
                position: u64::from(n) * 10,
                bytes: 10,
                offset_delta: n,
                max_timestamp: TimestampMs::new(0),
                heads_checksum: 0,
                batch_count: 1,
            });
        }
        runs
    }

    #[test]
    fn runs_are_found_in_every_chunk() {
        for count in [0, 1, 255, 256, 257, 512, 1_000] {
            let runs = runs(count);
            assert_eq!((runs.len(), runs.is_empty()), (count as usize, count == 0));
            assert!(runs.iter().map(|run| run.offset_delta).eq(0..count));
            for at in 0..=count {
                let below = |run: &Run| run.offset_delta < at;
                assert_eq!(runs.partition_point(below), at as usize, "{at} of {count}");
                let found = runs.get(at as usize).map(|run| run.offset_delta);
                assert_eq!(found, (at < count).then_some(at));
                let mut first = runs.first(at as usize);
                assert!(first.iter().map(|run| run.offset_delta).eq(0..at));
                assert_eq!(first.last_mut().map(|run| run.offset_delta), at.checked_sub(1));
            }
        }
    }

    #[test]
    fn a_copy_shares_every_full_chunk() {
        let mut runs = runs(100_000);
        let copy = runs.clone();
        runs.last_mut().unwrap().bytes = 11;
        assert_eq!(copy.last().unwrap().bytes, 10);
        assert!(runs.open.len() <= CHUNK_RUNS);
        assert!(runs.full.iter().zip(&copy.full).all(|(a, b)| Rc::ptr_eq(a, b)));
    }
}
