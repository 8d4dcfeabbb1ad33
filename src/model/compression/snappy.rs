//! Snappy as Java writes it. Apart because the block framing of `SnappyOutputStream` (the xerial library)
//! is in no codec crate.
//!
//! | byte | bytes | field, integers big-endian |
//! | --- | --- | --- |
//! | 0 | 8 | magic `82 53 4e 41 50 50 59 00` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | oldest version that can read it, 1 |
//! | 16 | 4 + n | length n of a block, then n bytes of raw snappy; repeated to the end |
//!
//! Some clients write raw snappy without the framing; that is read too, as one block.

use std::io::{self, Read};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const HEADER_BYTES: usize = 16;
/// Plain bytes of a block that is written; Java's default.
const BLOCK_BYTES: usize = 32 * 1024;
/// Plain bytes of a block that is read, at most. Java's block size can be set, rarely is; raw snappy is
/// one block as large as the batch.
const BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;
/// No snappy element makes more of its bytes: a copy of 64 bytes takes 3 (format description §2.2.2).
const EXPANSION_MAX: usize = 22;

/// Inflates block by block; holds one block.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    framed: bool,
    decoder: snap::raw::Decoder,
    block: Vec<u8>,
    /// How much of `block` was given out.
    given: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(packed: &'a [u8]) -> Self {
        let framed = packed.starts_with(&MAGIC);
        let rest = if framed { packed.get(HEADER_BYTES..).unwrap_or_default() } else { packed };
        let decoder = snap::raw::Decoder::new();
        Self { rest, framed, decoder, block: Vec::new(), given: 0 }
    }

    /// Inflates the next block; false at the end.
    fn next_block(&mut self) -> io::Result<bool> {
        let packed = if self.framed {
            let Some((length, rest)) = self.rest.split_first_chunk::<4>() else {
                return if self.rest.is_empty() { Ok(false) } else { Err(malformed()) };
            };
            // A second stream appended to the first begins with the magic again.
            if self.rest.starts_with(&MAGIC) {
                self.rest = self.rest.get(HEADER_BYTES..).ok_or_else(malformed)?;
                return Ok(true);
            }
            let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| malformed())?;
            let (packed, rest) = rest.split_at_checked(length).ok_or_else(malformed)?;
            self.rest = rest;
            packed
        } else {
            std::mem::take(&mut self.rest)
        };
        if packed.is_empty() {
            return Ok(!self.rest.is_empty());
        }
        let plain_bytes = snap::raw::decompress_len(packed)?;
        if plain_bytes > BLOCK_BYTES_MAX || plain_bytes > packed.len() * EXPANSION_MAX {
            return Err(malformed());
        }
        self.block.clear();
        self.block.resize(plain_bytes, 0);
        self.given = 0;
        let written = self.decoder.decompress(packed, &mut self.block)?;
        self.block.truncate(written);
        Ok(true)
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let mut ready = self.block.get(self.given..).unwrap_or_default();
        let read = ready.read(out)?;
        self.given += read;
        Ok(read)
    }
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// Appends the framed form of `plain` to `out`.
pub(crate) fn compress(plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&1_u32.to_be_bytes());
    out.extend_from_slice(&1_u32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    let mut packed = vec![0; snap::raw::max_compress_len(BLOCK_BYTES.min(plain.len()))];
    for block in plain.chunks(BLOCK_BYTES) {
        let written = encoder.compress(block, &mut packed)?;
        let length = u32::try_from(written).map_err(|_| malformed())?;
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(packed.get(..written).unwrap_or_default());
    }
    Ok(())
}
