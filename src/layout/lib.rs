//! The bytes of a shard's files: journal groups, snapshots, `meta/CURRENT`, `meta/clock`, indexes, the checkpoint of compaction, and the
//! walk over a segment's batches. Pure: bytes in, values or a typed error out. Apart from `log`, which reads and writes them,
//! so that the offline reader and the tests judge the same bytes by the same code.
//!
//! `schemas/disk` draws each of them as a table.

pub mod journal;
pub mod segment;

pub mod clock;

pub mod field;
