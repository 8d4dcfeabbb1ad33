//! Bringing the segments of one log to what replay found: redo is written and synced, segments that had been rolled are cut to
//! their exact length, leftovers of a roll that was never acknowledged go. What the disk refuses here, or has lost, takes this
//! log offline and no other: `held` says how its history survives that.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kolk_io::buf::AlignedBuf;
use kolk_io::door::{DirEntry, File, Io, OpenMode};
use kolk_io::error::IoError;
use kolk_model::ids::{LeaderEpoch, TopicPartition};
use kolk_model::offset::{FilePosition, Offset};

use crate::error::{Damage, LogError};
use crate::flaw::Flaw;
use crate::log::{log_dir, parse_index_name, parse_segment_name, segment_name};
use crate::recovery::image::{LogImage, SealedImage};
use crate::recovery::replay::{Piece, Replayed, Touched};
use crate::recovery::{history, swap};
use crate::settings::LogConfig;
use kolk_layout::field::{PAGE_BYTES, bytes, index, page_ceil, page_floor};
use kolk_layout::journal::current::Current;
use kolk_layout::segment::compacted::{CompactionPoint, SWAP_SUFFIX};

struct Materializer<'a, I: Io> {
    io: &'a I,
    id: TopicPartition,
    dir: PathBuf,
}

/// One log as the files of the run before tell of it, before anything is written.
pub(super) struct FoundLog {
    pub(super) log: Replayed,
    pub(super) config: LogConfig,
    pub(super) compacted: Result<CompactionPoint, Damage>,
    /// The run whose journals say so.
    pub(super) run: Current,
}

/// What the active segment's file and memory must hold.
struct ActiveEnd {
    flushed: u64,
    tail: Vec<u8>,
    allocated: u64,
    at_rest: bool,
}

pub(super) async fn materialize<I: Io>(
    io: &I,
    dir: &Path,
    id: TopicPartition,
    found: FoundLog,
) -> Result<LogImage, LogError> {
    let FoundLog { log, config, compacted, run: _ } = found;
    let this = Materializer { io, id, dir: dir.join(log_dir(id)) };
    let mut image = LogImage {
        id,
        config,
        epoch: LeaderEpoch::new(log.epoch.get() + 1),
        epochs: log.epochs.clone(),
        log_start: log.log_start,
        sealed: Vec::new(),
        segment: log.active.base,
        flushed: 0,
        end: 0,
        next_offset: log.next_offset,
        tail: Vec::new(),
        allocated: 0,
        at_rest: false,
        compacted: CompactionPoint::default(),
        damage: log.damage.clone(),
    };
    match compacted {
        Ok(point) => image.compacted = point,
        Err(damage) => image.damage = image.damage.or(Some(damage)),
    }
    if image.damage.is_some() {
        // Nothing of a damaged log is touched. Its segments stay for whoever mends it.
        image.end = page_floor(log.active.end);
        image.flushed = image.end;
        return Ok(image);
    }
    let damage = match this.bring_to(&log, &mut image).await {
        Ok(()) => return Ok(image),
        Err(Failure::Io(error)) => device(dir, error)?,
        Err(Failure::Damage(damage)) => damage,
    };
    image.damage = Some(damage);
    image.end = page_floor(log.active.end);
    image.flushed = image.end;
    image.tail = Vec::new();
    image.sealed = Vec::new();
    Ok(image)
}

/// What the disk refused for one log's files, which takes that log offline.
///
/// # Errors
/// The same, where it tells of the machine and not of the file: then nothing is to start before somebody helps.
pub(super) fn device(dir: &Path, error: IoError) -> Result<Damage, IoError> {
    let of_machine = error.is_no_space() || error.is_out_of_descriptors();
    match error.path() {
        Some(path) if !of_machine => {
            let file = history::relative(dir, path);
            Ok(Damage::Device { file, reason: error.to_string() })
        }
        _ => Err(error),
    }
}

pub(super) enum Failure {
    Io(IoError),
    Damage(Damage),
}

impl From<IoError> for Failure {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

impl<I: Io> Materializer<'_, I> {
    async fn bring_to(&self, log: &Replayed, image: &mut LogImage) -> Result<(), Failure> {
        let (relative, point) = (log_dir(self.id), image.compacted);
        image.compacted =
            swap::complete(self.io, &self.dir, &relative, log.log_start, point).await?;
        let entries = self.list().await?;
        for touched in &log.finished {
            if touched.base < image.compacted.rising_below {
                // Whole and synced since its roll, and not what the journal remembers any more.
                continue;
            }
            self.finish(touched, &entries, log.log_start).await?;
        }
        let active = self.active(&log.active, &entries).await?;
        image.flushed = active.flushed;
        image.end = log.active.end;
        image.tail = active.tail;
        image.allocated = active.allocated;
        image.at_rest = active.at_rest;
        let entries = self.list().await?;
        self.remove_leftovers(&entries, log.active.base, log.log_start).await?;
        image.sealed = self.sealed(&entries, image)?;
        Ok(())
    }

    async fn list(&self) -> Result<Vec<DirEntry>, IoError> {
        match self.io.list_dir(&self.dir).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            entries => entries,
        }
    }

    /// A segment that was rolled in the history: all of it is written again where the journal has it, and the file is cut.
    async fn finish(
        &self,
        touched: &Touched,
        entries: &[DirEntry],
        log_start: Offset,
    ) -> Result<(), Failure> {
        let below_start = size_of(entries, touched.base).is_none() && touched.base < log_start;
        if below_start {
            // Retention took the whole segment after it had been rolled.
            return Ok(());
        }
        let file = self.open(touched, entries).await?;
        for piece in &touched.pieces {
            file.write_at(piece.start, &[AlignedBuf::from_bytes(&piece.bytes).into_slice()])
                .await?;
        }
        file.truncate(touched.end).await?;
        self.sync(&file).await?;
        file.close().await?;
        Ok(())
    }

    /// Opens a segment; it may be missing only if the journal tells of its creation.
    async fn open(&self, touched: &Touched, entries: &[DirEntry]) -> Result<I::File, Failure> {
        let path = self.dir.join(segment_name(touched.base));
        let found = size_of(entries, touched.base).is_some();
        if !found && !touched.created {
            return Err(self.damage(touched.base, 0, "the segment is missing"));
        }
        if found {
            return Ok(self.io.open(&path, OpenMode::ReadWrite).await?);
        }
        self.io.create_dir_all(&self.dir).await?;
        let file = self.io.open(&path, OpenMode::CreateOrOpen).await?;
        self.io.sync_dir(&self.dir).await?;
        Ok(file)
    }

    fn damage(&self, base: Offset, position: u64, reason: &str) -> Failure {
        Failure::Damage(Damage::Corrupt {
            file: format!("{}/{}", log_dir(self.id), segment_name(base)),
            position: FilePosition::new(position),
            reason: reason.to_owned(),
        })
    }

    async fn active(&self, touched: &Touched, entries: &[DirEntry]) -> Result<ActiveEnd, Failure> {
        let size = size_of(entries, touched.base);
        let end = touched.end;
        let (whole, tail) = split(touched, end);
        let flushed = page_floor(end);
        let needs_page = bytes(tail.len()) < end - flushed;
        if whole.is_empty() && !needs_page && size.is_some() {
            let size = size.unwrap_or(0);
            let at_rest = size == end;
            let short = size < flushed;
            if short {
                return Err(self.damage(touched.base, size, "the segment is shorter than its log"));
            }
            return Ok(ActiveEnd { flushed, tail, allocated: page_floor(size), at_rest });
        }
        let file = self.open(touched, entries).await?;
        if let Some(kept) = self.write_pieces(&file, &whole, (!needs_page).then_some(end)).await? {
            // No room: everything from the last piece on stays in memory and in the snapshot.
            let mut all = kept.bytes;
            all.extend_from_slice(&tail);
            let allocated = page_floor(kept.start.min(size.unwrap_or(0)));
            return Ok(ActiveEnd { flushed: kept.start, tail: all, allocated, at_rest: false });
        }
        let tail = if needs_page {
            self.read_tail(&file, touched.base, flushed, end).await?
        } else {
            tail
        };
        let size = file.len().await?;
        file.close().await?;
        if size < flushed {
            return Err(self.damage(touched.base, size, "the segment is shorter than its log"));
        }
        Ok(ActiveEnd { flushed, tail, allocated: page_floor(size), at_rest: false })
    }

    /// Writes whole pages; gives the last piece back if the disk has no room for it and nothing lies above: the log's `end`, where
    /// memory has what lies between.
    async fn write_pieces(
        &self,
        file: &I::File,
        whole: &[Piece],
        end: Option<u64>,
    ) -> Result<Option<Piece>, Failure> {
        for piece in whole {
            let pages = AlignedBuf::from_bytes(&piece.bytes).into_slice();
            match file.write_at(piece.start, &[pages]).await {
                Err(error) if error.is_no_space() && Some(piece.end()) == end.map(page_floor) => {
                    self.sync(file).await?;
                    return Ok(Some(piece.clone()));
                }
                written => written?,
            }
        }
        self.sync(file).await?;
        Ok(None)
    }

    /// Makes what was written to a segment durable, before anybody relies on it.
    async fn sync(&self, file: &I::File) -> Result<(), IoError> {
        if Flaw::RecoveryWithoutSync.is_in(self.io) { Ok(()) } else { file.sync().await }
    }

    /// The part of the last page that a direct write brought: it lies in the segment, and will be written again.
    async fn read_tail(
        &self,
        file: &I::File,
        base: Offset,
        flushed: u64,
        end: u64,
    ) -> Result<Vec<u8>, Failure> {
        let page = file.read_at(flushed, index(PAGE_BYTES)).await?;
        match page.get(..index(end - flushed)) {
            Some(tail) => Ok(tail.to_vec()),
            None => Err(self.damage(base, flushed, "the segment is shorter than its log")),
        }
    }

    /// What lies above the active segment was never acknowledged: the roll that made it did not reach the journal. What lies
    /// below the log start was given up, and so was the segment of an index that is alone: a crash came before they were gone.
    async fn remove_leftovers(
        &self,
        entries: &[DirEntry],
        active: Offset,
        log_start: Offset,
    ) -> Result<(), IoError> {
        let kept: BTreeSet<Offset> = before(entries, active)
            .filter(|(_, _, next_offset)| *next_offset > log_start)
            .map(|(base, ..)| base)
            .chain(size_of(entries, active).map(|_| active))
            .collect();
        for entry in entries {
            let base = parse_segment_name(&entry.name).or_else(|| parse_index_name(&entry.name));
            let temporary = entry.name.ends_with(".tmp") || entry.name.ends_with(SWAP_SUFFIX);
            if temporary || base.is_some_and(|base| !kept.contains(&base)) {
                self.io.remove_file(&self.dir.join(&entry.name)).await?;
            }
        }
        Ok(())
    }

    /// The segments before the active one that hold readable records.
    fn sealed(&self, entries: &[DirEntry], image: &LogImage) -> Result<Vec<SealedImage>, Failure> {
        let readable = before(entries, image.segment)
            .filter(|(_, _, next_offset)| *next_offset > image.log_start);
        let sealed = readable.map(|(base, bytes, next_offset)| SealedImage {
            base,
            bytes,
            next_offset,
            offsets: image.compacted.offsets_of(base),
        });
        let sealed: Vec<SealedImage> = sealed.collect();
        let first = sealed.first().map_or(image.segment, |segment| segment.base);
        if first > image.log_start {
            return Err(self.damage(
                first,
                0,
                "segments below it and above the log start are missing",
            ));
        }
        Ok(sealed)
    }
}

/// The segments before the active one: base offset, bytes, offset after the last record. In order.
fn before(entries: &[DirEntry], active: Offset) -> impl Iterator<Item = (Offset, u64, Offset)> {
    let found = entries
        .iter()
        .filter_map(|entry| parse_segment_name(&entry.name).map(|base| (base, entry.bytes)));
    let mut sealed: Vec<(Offset, u64)> = found.filter(|(base, _)| *base < active).collect();
    sealed.sort_unstable();
    let next: Vec<Offset> = sealed.iter().skip(1).map(|(base, _)| *base).chain([active]).collect();
    sealed.into_iter().zip(next).map(|((base, bytes), next)| (base, bytes, next))
}

fn size_of(entries: &[DirEntry], base: Offset) -> Option<u64> {
    let name = segment_name(base);
    entries.iter().find(|entry| entry.name == name).map(|entry| entry.bytes)
}

/// Whole pages to write below `end`, and what of the last page is known.
fn split(touched: &Touched, end: u64) -> (Vec<Piece>, Vec<u8>) {
    let flushed = page_floor(end);
    let mut whole = Vec::new();
    let mut tail = Vec::new();
    for piece in &touched.pieces {
        let known =
            piece.bytes.get(..index(end.saturating_sub(piece.start)).min(piece.bytes.len()));
        let known = known.unwrap_or_default();
        let at = index(flushed.saturating_sub(piece.start)).min(known.len());
        let (pages, rest) = known.split_at(at);
        if !pages.is_empty() {
            whole.push(Piece { start: piece.start, bytes: pages.to_vec() });
        }
        if piece.start <= flushed && piece.start + bytes(known.len()) > flushed {
            tail = rest.to_vec();
        }
    }
    (whole, tail)
}

const _: () = assert!(page_ceil(1) == PAGE_BYTES);
