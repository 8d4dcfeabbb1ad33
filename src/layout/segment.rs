//! A segment's content as bytes: its index and the walk over its batches. Pure.

pub mod compacted;
pub mod index;
pub mod runs;
pub mod scan;
