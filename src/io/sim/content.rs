//! One file's bytes: what a read sees, and what a power cut leaves.
//!
//! The unit is the 512-byte sector. Every write or change of length gets a sequence number; until
//! a sync covers it, it is pending, and a power cut keeps any subset of what is pending, down to
//! single sectors of one write.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::chance::Chance;

/// What a disk writes whole or not at all.
pub(super) const SECTOR_BYTES: u64 = 512;

/// An empty sector.
const ZEROS: [u8; 512] = [0; 512];

/// Order of changes on one disk; larger is later.
pub(super) type Sequence = u64;

/// A file's bytes and the history that is not durable yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    len: u64,
    /// Sectors a read sees; an absent one is zeros.
    visible: BTreeMap<u64, Bytes>,
    durable_len: u64,
    durable: BTreeMap<u64, Bytes>,
    pending: BTreeMap<u64, Vec<Version>>,
    pending_len: Vec<Length>,
}

/// One write's bytes of one sector. Empty bytes are zeros.
#[derive(Clone, Debug)]
struct Version {
    sequence: Sequence,
    bytes: Bytes,
    certainty: Certainty,
    origin: Origin,
}

/// What made a version of a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    Write,
    /// The zeros behind a shorter end: the file system's own doing.
    Cut,
}

/// What becomes of sectors that are being written when the power goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sectors {
    /// Each is as before or as written.
    #[default]
    Whole,
    /// Some are neither: a page whose writing was interrupted may hold anything.
    Shorn,
}

#[derive(Clone, Debug)]
struct Length {
    sequence: Sequence,
    bytes: u64,
    /// It took bytes away. A change that only lengthened the file has nothing to cut, whatever came behind its end since.
    cuts: bool,
    certainty: Certainty,
}

/// Whether a later sync can still make a change durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Certainty {
    /// The next successful sync covers it.
    Waiting,
    /// A sync that covered it failed: it may be on the disk, no later sync says so.
    Doubtful,
}

impl Content {
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Returns the bytes from `position`, at most `bytes` and at most to the end of the file.
    pub(super) fn read(&self, position: u64, bytes: usize) -> Vec<u8> {
        let end = self.len.min(position.saturating_add(bytes as u64));
        let mut out = Vec::with_capacity(bytes);
        let mut at = position;
        while at < end {
            let sector = at / SECTOR_BYTES;
            let from = index(at % SECTOR_BYTES);
            let until = index((end - sector * SECTOR_BYTES).min(SECTOR_BYTES));
            match self.visible.get(&sector).and_then(|found| found.get(from..until)) {
                Some(found) => out.extend_from_slice(found),
                None => out.resize(out.len() + until - from, 0),
            }
            at = sector * SECTOR_BYTES + until as u64;
        }
        out
    }

    /// Writes whole sectors at `position` and lengthens the file if they end behind it.
    pub(super) fn write(&mut self, sequence: Sequence, position: u64, bytes: &Bytes) {
        let sectors = bytes.len() as u64 / SECTOR_BYTES;
        for nth in 0..sectors {
            let version = (sequence, Origin::Write);
            self.write_sector(version, position / SECTOR_BYTES + nth, part(bytes, nth));
        }
        let end = position + sectors * SECTOR_BYTES;
        if end > self.len {
            self.push_len(sequence, end);
        }
    }

    /// Writes a random subset of the sectors, as a write does that was interrupted.
    pub(super) fn write_torn(
        &mut self,
        sequence: Sequence,
        position: u64,
        bytes: &Bytes,
        chance: &mut Chance,
    ) {
        for nth in 0..bytes.len() as u64 / SECTOR_BYTES {
            if chance.percent(50) {
                let at = position + nth * SECTOR_BYTES;
                self.write(sequence, at, &part(bytes, nth));
            }
        }
    }

    /// Cuts the file or lengthens it with zeros.
    pub(super) fn set_len(&mut self, sequence: Sequence, bytes: u64) {
        if bytes < self.len {
            let partial = bytes / SECTOR_BYTES;
            let kept = index(bytes % SECTOR_BYTES);
            if let Some(sector) = self.visible.get(&partial).filter(|_| kept > 0) {
                let mut zeroed = sector.to_vec();
                zeroed.iter_mut().skip(kept).for_each(|byte| *byte = 0);
                self.write_sector((sequence, Origin::Cut), partial, zeroed.into());
            }
            drop(self.visible.split_off(&bytes.div_ceil(SECTOR_BYTES)));
        }
        if bytes != self.len {
            self.push_len(sequence, bytes);
        }
    }

    /// Makes durable every change up to and including `until` that is not in doubt.
    pub(super) fn sync(&mut self, until: Sequence) {
        let covered = |sequence, certainty| sequence <= until && certainty == Certainty::Waiting;
        let Self { durable, pending, pending_len, durable_len, .. } = self;
        if let Some(last) =
            pending_len.iter().rposition(|length| covered(length.sequence, length.certainty))
        {
            for length in pending_len.drain(..=last) {
                // A doubtful length before a sure one is overtaken by it.
                shorten(durable, pending, &length);
                *durable_len = length.bytes;
            }
        }
        pending.retain(|sector, versions| {
            let last = versions.iter().rposition(|found| covered(found.sequence, found.certainty));
            if let Some(last) = last
                && let Some(version) = versions.drain(..=last).next_back()
            {
                place(durable, *sector, version.bytes);
            }
            !versions.is_empty()
        });
    }

    /// Puts every change up to `until` in doubt: the sync that covered them has failed.
    pub(super) fn fail_sync(&mut self, until: Sequence) {
        for version in self.pending.values_mut().flatten().filter(|v| v.sequence <= until) {
            version.certainty = Certainty::Doubtful;
        }
        for length in self.pending_len.iter_mut().filter(|length| length.sequence <= until) {
            length.certainty = Certainty::Doubtful;
        }
    }

    /// Cuts the power: keeps a random subset of what is pending and forgets the rest.
    pub(super) fn crash(&mut self, mood: Mood, sectors: Sectors, chance: &mut Chance) {
        let Self { durable, pending, durable_len, .. } = self;
        // Changes of length are metadata, which file systems journal in order: a prefix is kept.
        let kept = mood.prefix(self.pending_len.len(), chance);
        for length in std::mem::take(&mut self.pending_len).into_iter().take(kept) {
            shorten(durable, pending, &length);
            *durable_len = length.bytes;
        }
        let mut fates: BTreeMap<Sequence, Mood> = BTreeMap::new();
        for (sector, versions) in std::mem::take(pending) {
            for version in versions {
                let fate = *fates.entry(version.sequence).or_insert_with(|| mood.of_write(chance));
                if fate.keeps(chance) {
                    place(durable, sector, version.bytes);
                } else if sectors == Sectors::Shorn
                    && version.origin == Origin::Write
                    && fate.is_torn()
                    && chance.percent(30)
                {
                    let noise = std::iter::repeat_with(|| chance.next().to_le_bytes());
                    let noise: Vec<u8> = noise.take(index(SECTOR_BYTES) / 8).flatten().collect();
                    place(durable, sector, noise.into());
                }
            }
        }
        drop(durable.split_off(&durable_len.div_ceil(SECTOR_BYTES)));
        self.clear_behind_the_end();
        self.len = self.durable_len;
        self.visible = self.durable.clone();
    }

    /// Flips bits in place, visible and durable alike: rot that no write explains.
    pub(super) fn rot(&mut self, position: u64, mask: u8) {
        let sector = position / SECTOR_BYTES;
        let mut bytes = self.read(sector * SECTOR_BYTES, index(SECTOR_BYTES));
        bytes.resize(index(SECTOR_BYTES), 0);
        if let Some(byte) = bytes.get_mut(index(position % SECTOR_BYTES)) {
            *byte ^= mask;
        }
        let bytes = Bytes::from(bytes);
        self.pending.remove(&sector);
        place(&mut self.durable, sector, bytes.clone());
        place(&mut self.visible, sector, bytes);
    }

    fn write_sector(&mut self, of: (Sequence, Origin), sector: u64, bytes: Bytes) {
        let zero = is_zero(&bytes);
        let was_zero = !self.visible.contains_key(&sector)
            && !self.durable.contains_key(&sector)
            && !self.pending.contains_key(&sector);
        if zero && was_zero {
            return;
        }
        let bytes = if zero { Bytes::new() } else { bytes };
        place(&mut self.visible, sector, bytes.clone());
        let (sequence, origin) = of;
        let version = Version { sequence, bytes, certainty: Certainty::Waiting, origin };
        self.pending.entry(sector).or_default().push(version);
    }

    fn push_len(&mut self, sequence: Sequence, bytes: u64) {
        let cuts = bytes < self.len;
        self.len = bytes;
        self.pending_len.push(Length { sequence, bytes, cuts, certainty: Certainty::Waiting });
    }

    /// Zeroes what the last durable sector holds behind the end of the file.
    fn clear_behind_the_end(&mut self) {
        let partial = self.durable_len / SECTOR_BYTES;
        let kept = index(self.durable_len % SECTOR_BYTES);
        if let Some(sector) = self.durable.get(&partial) {
            let mut zeroed = sector.to_vec();
            zeroed.iter_mut().skip(kept).for_each(|byte| *byte = 0);
            place(&mut self.durable, partial, zeroed.into());
        }
    }
}

/// How much of what is pending a power cut keeps: chance in a hundred.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mood(u64);

impl Mood {
    /// Draws the mood of one power cut: nothing, little, half, most or all is kept.
    pub(super) fn draw(chance: &mut Chance) -> Self {
        Self([0, 10, 50, 90, 100].get(chance.index(5)).copied().unwrap_or(50))
    }

    pub(super) const fn keeps(self, chance: &mut Chance) -> bool {
        chance.percent(self.0)
    }

    const fn is_torn(self) -> bool {
        self.0 == 50
    }

    /// Draws how many of `count` ordered changes are kept.
    pub(super) fn prefix(self, count: usize, chance: &mut Chance) -> usize {
        match self.0 {
            0 => 0,
            100 => count,
            _ => chance.index(count + 1),
        }
    }

    /// Draws the fate of one write: whole, absent, or torn.
    fn of_write(self, chance: &mut Chance) -> Self {
        match chance.below(3) {
            0 => Self(50),
            _ if self.keeps(chance) => Self(100),
            _ => Self(0),
        }
    }
}

/// Forgets what a change of length cut off, of all that was written before it.
fn shorten(
    durable: &mut BTreeMap<u64, Bytes>,
    pending: &mut BTreeMap<u64, Vec<Version>>,
    length: &Length,
) {
    if !length.cuts {
        return;
    }
    let first_cut = length.bytes.div_ceil(SECTOR_BYTES);
    drop(durable.split_off(&first_cut));
    for (_, versions) in pending.range_mut(first_cut..) {
        versions.retain(|version| version.sequence >= length.sequence);
    }
    pending.retain(|_, versions| !versions.is_empty());
}

/// Stores a sector; empty bytes are zeros and are not stored.
fn place(sectors: &mut BTreeMap<u64, Bytes>, sector: u64, bytes: Bytes) {
    if is_zero(&bytes) {
        sectors.remove(&sector);
    } else {
        sectors.insert(sector, bytes);
    }
}

/// Tells whether a sector, or nothing, is all zeros. One comparison of memory: the simulator asks this more often than anything.
fn is_zero(bytes: &[u8]) -> bool {
    ZEROS.get(..bytes.len()) == Some(bytes)
}

/// Returns the `nth` sector of a write.
fn part(bytes: &Bytes, nth: u64) -> Bytes {
    let from = index(nth * SECTOR_BYTES);
    bytes.slice(from..from + index(SECTOR_BYTES))
}

/// Narrows a byte count of at most one write; writes are far below 4 GiB.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sectors(byte: u8, count: usize) -> Bytes {
        Bytes::from(vec![byte; count * 512])
    }

    fn crashed(content: &Content, seed: u64) -> Content {
        let mut chance = Chance::new(seed);
        let mut left = content.clone();
        left.crash(Mood::draw(&mut chance), Sectors::Whole, &mut chance);
        left
    }

    #[test]
    fn a_shorn_sector_is_neither_as_before_nor_as_written_and_a_synced_one_is_not_shorn() {
        let mut content = Content::default();
        content.write(1, 0, &sectors(1, 8));
        content.sync(1);
        content.write(2, 2048, &sectors(2, 4));
        let mut shorn = 0;
        for seed in 0..200 {
            let mut chance = Chance::new(seed);
            let mut left = content.clone();
            left.crash(Mood::draw(&mut chance), Sectors::Shorn, &mut chance);
            assert_eq!(left.read(0, 2048), vec![1; 2048], "seed {seed}");
            let sectors = left.read(2048, 2048);
            let whole = |sector: &&[u8]| **sector == [1; 512] || **sector == [2; 512];
            shorn += sectors.chunks(512).filter(|sector| !whole(sector)).count();
        }
        assert!(shorn > 20, "{shorn} of 800");
    }

    #[test]
    fn synced_bytes_survive_every_crash() {
        let mut content = Content::default();
        content.write(1, 0, &sectors(1, 8));
        content.sync(1);
        content.write(2, 2048, &sectors(2, 8));
        for seed in 0..200 {
            let left = crashed(&content, seed);
            assert!(left.len() == 4096 || left.len() == 6144, "seed {seed}");
            assert_eq!(left.read(0, 2048), vec![1; 2048], "seed {seed}");
        }
    }

    #[test]
    fn a_write_that_was_not_synced_may_be_kept_lost_or_torn() {
        let mut content = Content::default();
        content.write(1, 0, &sectors(1, 8));
        content.sync(1);
        content.write(2, 0, &sectors(2, 8));
        let mut seen = [false; 3];
        for seed in 0..200 {
            let left = crashed(&content, seed).read(0, 4096);
            let new = left.iter().filter(|byte| **byte == 2).count();
            let kind = if new == 0 { 0 } else { 1 + usize::from(new < 4096) };
            seen[kind] = true;
            assert_eq!(new % 512, 0);
        }
        assert_eq!(seen, [true; 3]);
    }

    #[test]
    fn a_sync_does_not_cover_what_was_completed_after_it_began() {
        let mut content = Content::default();
        content.write(1, 0, &sectors(1, 1));
        content.write(2, 512, &sectors(2, 1));
        content.sync(1);
        let lost = (0..200).any(|seed| crashed(&content, seed).read(512, 512) != vec![2; 512]);
        assert!(lost);
    }

    #[test]
    fn a_failed_sync_leaves_doubt_that_no_later_sync_lifts() {
        let mut content = Content::default();
        content.write(1, 0, &sectors(0, 8));
        content.sync(1);
        content.write(2, 0, &sectors(2, 1));
        content.fail_sync(2);
        content.write(3, 512, &sectors(3, 1));
        content.sync(3);
        let (mut kept, mut lost) = (0, 0);
        for seed in 0..200 {
            let left = crashed(&content, seed);
            assert_eq!(left.read(512, 512), vec![3; 512]);
            if left.read(0, 512) == vec![2; 512] { kept += 1 } else { lost += 1 }
        }
        assert!(kept > 0 && lost > 0);
        // A new write of the same sector is another matter.
        content.write(4, 0, &sectors(4, 1));
        content.sync(4);
        assert!((0..50).all(|seed| crashed(&content, seed).read(0, 512) == vec![4; 512]));
    }

    #[test]
    fn a_doubtful_growth_takes_nothing_that_was_synced_behind_it() {
        let mut content = Content::default();
        content.write(1, 0, &sectors(1, 1));
        content.write(2, SECTOR_BYTES, &sectors(1, 7));
        content.fail_sync(2);
        content.write(3, 4 * SECTOR_BYTES, &sectors(3, 1));
        content.sync(3);
        content.write(4, 8 * SECTOR_BYTES, &sectors(4, 1));
        content.sync(4);
        for seed in 0..20 {
            let content = crashed(&content, seed);
            assert_eq!(content.len(), 9 * SECTOR_BYTES);
            assert_eq!(content.read(4 * SECTOR_BYTES, 512).first(), Some(&3), "seed {seed}");
        }
    }

    #[test]
    fn a_cut_and_regrown_file_reads_zeros_behind_the_cut() {
        let mut content = Content::default();
        content.write(1, 0, &sectors(1, 8));
        content.sync(1);
        content.set_len(2, 700);
        content.set_len(3, 4096);
        content.sync(3);
        let read = content.read(0, 4096);
        assert_eq!(read[..700], [1; 700]);
        assert_eq!(read[700..], [0; 3396]);
        for seed in 0..50 {
            assert_eq!(crashed(&content, seed).read(0, 4096), read);
        }
    }

    #[test]
    fn a_cut_that_was_not_synced_may_come_back() {
        let mut content = Content::default();
        content.write(1, 0, &sectors(1, 8));
        content.sync(1);
        content.set_len(2, 512);
        let lengths: Vec<u64> = (0..100).map(|seed| crashed(&content, seed).len()).collect();
        assert!(lengths.contains(&512) && lengths.contains(&4096));
        assert!(lengths.iter().all(|len| [512, 4096].contains(len)));
    }

    #[test]
    fn rot_changes_one_byte_for_good() {
        let mut content = Content::default();
        content.write(1, 0, &sectors(1, 2));
        content.sync(1);
        content.rot(600, 0x80);
        let left = crashed(&content, 1).read(0, 1024);
        assert_eq!(left[600], 0x81);
        assert_eq!(left.iter().filter(|byte| **byte == 1).count(), 1023);
    }
}
