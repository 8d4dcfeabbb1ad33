//! What a caller can follow while an inspection runs: how far it is, and every batch it passes.

use std::io;

use kolk_model::batch::BatchView;

/// Follows an inspection.
pub trait Watch {
    /// So many bytes more of segments are going to be read.
    fn bytes_planned(&mut self, _bytes: u64) {}

    /// So many bytes more were read.
    fn bytes_read(&mut self, _bytes: u64) {}

    /// Whether [`Watch::batch`] wants to be called.
    fn wants_batches(&self) -> bool {
        false
    }

    /// A batch that is whole.
    ///
    /// # Errors
    /// When it can't be written out; the inspection ends then.
    fn batch(&mut self, _batch: &FoundBatch<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// Follows nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Watch for Silent {}

/// A batch and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct FoundBatch<'a> {
    /// The topic's name, or the id where the name is unknown; empty for a segment on its own.
    pub topic: &'a str,
    /// The partition's number.
    pub partition: u32,
    /// Base offset of the segment.
    pub segment: u64,
    /// Position of its first byte in the segment.
    pub position: u64,
    /// The batch.
    pub view: BatchView<'a>,
}
