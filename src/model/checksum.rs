//! CRC-32C, the one checksum of batches and of our own files. Apart so that the formats of other crates share it.

pub use crc32c::{crc32c, crc32c_append};
