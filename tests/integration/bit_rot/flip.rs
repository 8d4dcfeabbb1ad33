//! One bit of one file of a data directory, chosen by chance: every kind of file gets its share, however small it is.

use std::fmt;
use std::path::{Path, PathBuf};

use kolk_model::batch::HEADER_BYTES;

use crate::random::Random;

/// Bytes of a batch before its checksum that the checksum does not cover.
const HEAD_BYTES: usize = 17;
const PAGE: usize = 4_096;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Segment,
    Index,
    Journal,
    Snapshot,
    Current,
    Catalogue,
    Checkpoint,
    Producers,
}

/// How many of so many flips hit a kind.
const SHARES: [(Kind, usize); 8] = [
    (Kind::Segment, 8),
    (Kind::Index, 4),
    (Kind::Journal, 5),
    (Kind::Snapshot, 3),
    (Kind::Current, 1),
    (Kind::Catalogue, 2),
    (Kind::Checkpoint, 1),
    (Kind::Producers, 1),
];

impl Kind {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("log") => return Some(Self::Segment),
            Some("index") => return Some(Self::Index),
            Some("journal") => return Some(Self::Journal),
            _ => {}
        }
        match name {
            "snapshot.a" | "snapshot.b" => Some(Self::Snapshot),
            "CURRENT" => Some(Self::Current),
            "catalogue" => Some(Self::Catalogue),
            "compaction.checkpoint" => Some(Self::Checkpoint),
            "producer.snapshot" => Some(Self::Producers),
            _ => None,
        }
    }
}

/// A bit of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flip {
    /// What the file is.
    pub(crate) kind: Kind,
    /// The file, relative to the data directory.
    pub(crate) file: PathBuf,
    /// The byte.
    pub(crate) position: usize,
    bit: u8,
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bit {} of byte {} of {}", self.bit, self.position, self.file.display())
    }
}

impl Flip {
    /// Chooses a bit of a file below `data`.
    pub(crate) fn choose(data: &Path, random: &mut Random) -> Self {
        let files = files(data);
        let of_kind = |kind| files.iter().filter(move |file| Kind::of(file) == Some(kind));
        let there: Vec<_> =
            SHARES.into_iter().filter(|(kind, _)| of_kind(*kind).next().is_some()).collect();
        let mut left = random.below(there.iter().map(|(_, share)| share).sum());
        let chosen = there.into_iter().find(|(_, share)| {
            let found = left < *share;
            left = left.saturating_sub(*share);
            found
        });
        let (kind, _) = chosen.expect("the shares add up");
        let candidates: Vec<_> = of_kind(kind).collect();
        let file = candidates[random.below(candidates.len())].clone();
        let content = std::fs::read(data.join(&file)).expect("a file of the data directory");
        let position = match kind {
            Kind::Segment if random.below(3) == 0 => head_byte(&content, random),
            Kind::Journal | Kind::Snapshot if random.below(5) > 0 => used_byte(&content, random),
            _ => random.below(content.len()),
        };
        let bit = u8::try_from(random.below(8)).expect("below 8");
        Self { kind, file, position, bit }
    }

    /// Flips it. A second time takes it back.
    pub(crate) fn apply(&self, data: &Path) {
        use std::os::unix::fs::FileExt;
        let path = data.join(&self.file);
        let file = std::fs::File::options().read(true).write(true).open(path).expect("the file");
        let at = u64::try_from(self.position).expect("64-bit");
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).expect("the byte is in the file");
        file.write_all_at(&[byte[0] ^ (1 << self.bit)], at).expect("the file is writable");
    }
}

/// All files of a kind below a folder that have a byte, relative to it and in order.
pub(crate) fn files(data: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the data directory").flatten() {
            let path = entry.path();
            let about = entry.metadata().expect("an entry");
            if about.is_dir() {
                folders.push(path);
            } else if about.len() > 0 && Kind::of(&path).is_some() {
                found.push(path.strip_prefix(data).expect("below it").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A byte of one batch that its checksum does not cover.
fn head_byte(segment: &[u8], random: &mut Random) -> usize {
    let mut heads = Vec::new();
    let mut at = 0;
    while let Some(header) = segment.get(at..at + HEADER_BYTES) {
        let bytes = u32::from_be_bytes(header[8..12].try_into().expect("four bytes"));
        if bytes == 0 {
            break;
        }
        heads.push(at);
        at += 12 + usize::try_from(bytes).expect("64-bit");
    }
    if heads.is_empty() {
        return random.below(segment.len());
    }
    heads[random.below(heads.len())] + random.below(HEAD_BYTES)
}

/// A byte of a page that is not all zeros.
fn used_byte(content: &[u8], random: &mut Random) -> usize {
    let used = content.chunks(PAGE).enumerate().filter(|(_, page)| page.iter().any(|b| *b != 0));
    let used: Vec<_> = used.map(|(number, page)| (number * PAGE, page.len())).collect();
    if used.is_empty() {
        return random.below(content.len());
    }
    let (start, bytes) = used[random.below(used.len())];
    start + random.below(bytes)
}
