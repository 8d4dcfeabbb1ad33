//! How much one request may inflate to when its batches are checked. Apart because both wires share it: all that the own
//! shard appends of a request is done in one go, so its compressed batches together must not keep the core for long.

use kolk_io::door::Io;
use kolk_model::error::ErrorCode;
use kolk_model::limits::{BATCH_DECOMPRESSED_BYTES_MAX, INFLATION_JUSTIFIED};
use kolk_shard::request::Refusal;
use kolk_shard::shard::Shard;

/// What one request may still inflate to.
pub(crate) struct Inflation<'a, I: Io> {
    shard: &'a Shard<I>,
    /// What the shard will have inflated when it is used up.
    end: u64,
}

impl<'a, I: Io> Inflation<'a, I> {
    /// The allowance of a request of so many bytes that is begun now.
    pub(crate) fn of(shard: &'a Shard<I>, request_bytes: usize) -> Self {
        let justified = request_bytes.saturating_mul(INFLATION_JUSTIFIED);
        let allowed = BATCH_DECOMPRESSED_BYTES_MAX.saturating_add(justified);
        let end = inflated(shard).saturating_add(u64::try_from(allowed).unwrap_or(u64::MAX));
        Self { shard, end }
    }

    /// Refuses what is left of the request once the allowance is used up. Sent again by itself it has another one.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if inflated(self.shard) <= self.end {
            return Ok(());
        }
        let detail =
            "the batches of this request inflate to more than is checked at once; send these again";
        Err(Refusal::new(ErrorCode::Overloaded, detail))
    }
}

fn inflated<I: Io>(shard: &Shard<I>) -> u64 {
    shard.metrics().copies.decompress.get()
}
