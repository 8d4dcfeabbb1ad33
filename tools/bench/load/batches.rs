//! Record batches for a load: built once, sent many times.

use bytes::Bytes;
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::time::TimestampMs;

use crate::error::{BenchError, Outcome};

/// What a batch is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchShape {
    /// Bytes of each record's value.
    pub(crate) record_bytes: usize,
    /// The batch has as many records as fit into this, at least one.
    pub(crate) batch_bytes: usize,
    pub(crate) compression: Compression,
}

/// A finished batch.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) bytes: Bytes,
    pub(crate) records: u64,
}

/// Builds a batch; `seed` makes its bytes differ from another's.
pub(crate) fn build(shape: BatchShape, seed: u64) -> Outcome<Batch> {
    let failed =
        |error: &dyn ToString| BenchError::Workload(format!("batch: {}", error.to_string()));
    let mut builder = BatchBuilder::with_capacity(shape.batch_bytes + 256);
    let mut state = seed;
    let mut value = vec![0; shape.record_bytes];
    let time = TimestampMs::new(now_ms());
    while builder.is_empty()
        || builder.len() + BatchBuilder::record_bytes_max(None, Some(&value), &[])
            <= shape.batch_bytes
    {
        fill(&mut value, &mut state);
        builder.append(time, None, Some(&value), &[]).map_err(|error| failed(&error))?;
    }
    let records = u64::from(builder.record_count());
    let bytes = builder.build(shape.compression).map_err(|error| failed(&error))?;
    Ok(Batch { bytes, records })
}

/// Printable bytes that do not repeat soon but compress a little, as text does.
fn fill(value: &mut [u8], state: &mut u64) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for chunk in value.chunks_mut(8) {
        *state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bytes = (*state >> 16).to_le_bytes();
        for (byte, chance) in chunk.iter_mut().zip(bytes) {
            *byte = ALPHABET.get(usize::from(chance & 63)).copied().unwrap_or(b'A');
        }
    }
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use kolk_model::batch::BatchView;

    use super::*;

    #[test]
    fn a_batch_is_as_large_as_asked_and_verifies() {
        for (record_bytes, batch_bytes) in [(1024, 256 * 1024), (128, 1), (0, 100)] {
            let shape = BatchShape { record_bytes, batch_bytes, compression: Compression::None };
            let batch = build(shape, 1).unwrap();
            let (view, len) = BatchView::parse(&batch.bytes).unwrap();
            view.verify_crc().unwrap();
            view.verify_records(1 << 20).unwrap();
            assert_eq!((len, u64::from(view.record_count())), (batch.bytes.len(), batch.records));
            assert!(len <= batch_bytes.max(record_bytes + 100), "{len} bytes of {batch_bytes}");
        }
    }
}
