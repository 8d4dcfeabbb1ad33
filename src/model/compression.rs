//! The five ways a batch's records are packed, as Kafka numbers and frames them. Apart so that the
//! choice of codec crates stays in one file, and every inflation runs under a cap.

mod snappy;

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use bytes::Bytes;

use crate::batch::{BatchError, BatchView};

/// How a batch's records are compressed; the discriminant is Kafka's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip (RFC 1952).
    Gzip = 1,
    /// Snappy in the block framing of Java's `SnappyOutputStream`; raw snappy is read too.
    Snappy = 2,
    /// LZ4's frame format.
    Lz4 = 3,
    /// Zstandard (RFC 8878).
    Zstd = 4,
}

impl Compression {
    /// Every codec, in the order of Kafka's ids.
    pub const ALL: [Self; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The largest id.
    pub(crate) const ID_MAX: u16 = Self::Zstd.id() as u16;

    /// Kafka's id: bits 0–2 of a batch's attributes.
    #[inline]
    #[must_use]
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The name in Kafka's settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no codec. The caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a compression: none, gzip, snappy, lz4 and zstd are known")]
pub struct CompressionError {
    /// What was given.
    pub text: String,
}

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, CompressionError> {
        let found = Self::ALL.into_iter().find(|codec| codec.name() == text);
        found.ok_or_else(|| CompressionError { text: text.to_owned() })
    }
}

/// Inflates a batch's records. An uncompressed batch's records are copied.
///
/// # Errors
/// [`BatchError::DecompressedTooLarge`] as soon as more than `decompressed_bytes_max` bytes come out, with
/// no more than that ever held; [`BatchError::Decompress`] when the bytes are not of that codec.
pub fn decompress(
    batch: &BatchView<'_>,
    decompressed_bytes_max: usize,
) -> Result<Bytes, BatchError> {
    let codec = batch.compression();
    let packed = batch.records_bytes();
    if codec == Compression::None {
        return Ok(Bytes::copy_from_slice(packed));
    }
    let mut plain = Vec::with_capacity(packed.len().saturating_mul(3).min(decompressed_bytes_max));
    let cap = u64::try_from(decompressed_bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let read = reader(codec, packed).and_then(|reader| reader.take(cap).read_to_end(&mut plain));
    if plain.len() > decompressed_bytes_max {
        return Err(BatchError::DecompressedTooLarge { bytes_max: decompressed_bytes_max });
    }
    match read {
        Ok(_) => Ok(Bytes::from(plain)),
        Err(_) => Err(BatchError::Decompress { codec }),
    }
}

/// A codec's decoder over one batch's packed records.
pub(crate) enum Reader<'a> {
    Plain(&'a [u8]),
    Gzip(flate2::bufread::MultiGzDecoder<&'a [u8]>),
    Snappy(snappy::Reader<'a>),
    Lz4(lz4_flex::frame::FrameDecoder<&'a [u8]>),
    Zstd(zstd::stream::read::Decoder<'a, &'a [u8]>),
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(out),
            Self::Gzip(reader) => reader.read(out),
            Self::Snappy(reader) => reader.read(out),
            Self::Lz4(reader) => reader.read(out),
            Self::Zstd(reader) => reader.read(out),
        }
    }
}

/// Opens the decoder. It holds a window of its own (gzip 32 KiB, snappy and lz4 a block, zstd at most
/// what [`ZSTD_WINDOW_LOG_MAX`] says), never a buffer of the announced size.
pub(crate) fn reader(codec: Compression, packed: &[u8]) -> io::Result<Reader<'_>> {
    Ok(match codec {
        Compression::None => Reader::Plain(packed),
        Compression::Gzip => Reader::Gzip(flate2::bufread::MultiGzDecoder::new(packed)),
        Compression::Snappy => Reader::Snappy(snappy::Reader::new(packed)),
        Compression::Lz4 => Reader::Lz4(lz4_flex::frame::FrameDecoder::new(packed)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
            Reader::Zstd(decoder)
        }
    })
}

/// Largest window, as a power of two, that a zstd frame may ask for: 128 MiB, what level 22 uses and what
/// Kafka's own decoder accepts. Its pages are touched only as far as bytes come out, so the cap on those
/// bounds the memory too.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Level of gzip, Kafka's default.
const GZIP_LEVEL: u32 = 6;
/// Level of zstd, Kafka's default.
const ZSTD_LEVEL: i32 = 3;

/// Appends the packed form of `plain` to `out`.
pub(crate) fn compress(codec: Compression, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    match codec {
        Compression::None => out.extend_from_slice(plain),
        Compression::Gzip => {
            let level = flate2::Compression::new(GZIP_LEVEL);
            let mut encoder = flate2::write::GzEncoder::new(out, level);
            encoder.write_all(plain)?;
            encoder.finish()?;
        }
        Compression::Snappy => snappy::compress(plain, out)?,
        Compression::Lz4 => {
            // 64 KiB independent blocks: what every Kafka client reads.
            let frame = lz4_flex::frame::FrameInfo::new()
                .block_size(lz4_flex::frame::BlockSize::Max64KB)
                .block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, out);
            encoder.write_all(plain)?;
            encoder.finish().map_err(io::Error::from)?;
        }
        Compression::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?;
            encoder.write_all(plain)?;
            encoder.finish()?;
        }
    }
    Ok(())
}
