//! A segment's bytes as the next start would leave them: the file with what the journal holds laid over it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use kolk_layout::field::{bytes, index};
use kolk_log::recovery::replay::Piece;

use crate::error::InspectError;

/// Read-only, by position.
pub(crate) struct Content<'a> {
    file: Option<File>,
    file_bytes: u64,
    pieces: &'a [Piece],
}

/// Why a range can't be read.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// Neither file nor journal has the byte at this position.
    Missing(u64),
    /// The disk can't give the bytes at this position.
    Disk(u64, io::Error),
}

impl<'a> Content<'a> {
    /// The segment at `path`, which may be absent, under `pieces`.
    pub(crate) fn open(path: &Path, pieces: &'a [Piece]) -> Result<Self, InspectError> {
        let fault = |error| InspectError::io(path, error);
        match File::open(path) {
            Ok(file) => {
                let file_bytes = file.metadata().map_err(fault)?.len();
                Ok(Self { file: Some(file), file_bytes, pieces })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { file: None, file_bytes: 0, pieces })
            }
            Err(error) => Err(fault(error)),
        }
    }

    pub(crate) const fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    pub(crate) const fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Bytes below `end` that only the journal has.
    pub(crate) fn journal_bytes(&self, end: u64) -> u64 {
        let beyond = |piece: &Piece| {
            let from = piece.start.max(self.file_bytes);
            piece.end().min(end).saturating_sub(from)
        };
        self.pieces.iter().map(beyond).sum()
    }

    /// Fills `into` with the bytes `from..to`.
    pub(crate) fn read(&self, from: u64, to: u64, into: &mut Vec<u8>) -> Result<(), ReadFault> {
        into.clear();
        into.resize(index(to - from), 0);
        let on_disk = index(self.file_bytes.min(to).saturating_sub(from));
        if let (Some(file), Some(part)) = (&self.file, into.get_mut(..on_disk)) {
            file.read_exact_at(part, from).map_err(|error| ReadFault::Disk(from, error))?;
        }
        // Pieces lie in order and do not overlap, so one sweep finds a hole.
        let mut known = from + bytes(on_disk);
        for piece in self.pieces.iter().filter(|piece| piece.end() > from && piece.start < to) {
            let start = piece.start.max(from);
            let end = piece.end().min(to);
            let source = piece.bytes.get(index(start - piece.start)..index(end - piece.start));
            let target = into.get_mut(index(start - from)..index(end - from));
            if let (Some(source), Some(target)) = (source, target) {
                target.copy_from_slice(source);
            }
            if start <= known {
                known = known.max(end);
            }
        }
        if known < to { Err(ReadFault::Missing(known)) } else { Ok(()) }
    }
}
