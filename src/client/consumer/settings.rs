//! How a consumer fetches. Apart because it is what users look up.

use std::time::Duration;

use kolk_model::limits::{BATCH_DECOMPRESSED_BYTES_MAX, FETCH_BYTES_MAX, FETCH_WAIT_MS_MAX};

use crate::error::ClientError;

/// How a consumer fetches. Names as in Kafka where Kafka has the setting.
///
/// ```
/// use std::time::Duration;
/// use kolk_client::consumer::settings::ConsumerSettings;
///
/// let mut settings = ConsumerSettings::default();
/// settings.wait_max = Duration::from_millis(50);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsumerSettings {
    /// How long the broker may wait for `bytes_min`. Default: 500 ms. Range: 0 to 60 s.
    pub wait_max: Duration,
    /// Fewer bytes than this are worth waiting for more. Default: 1.
    pub bytes_min: u32,
    /// Bytes of one reply over all partitions; a batch that is larger comes all the same. Default: 8 MiB.
    /// Range: 1 to 64 MiB.
    pub bytes_max: u32,
    /// Bytes of one partition in a reply. Default: 1 MiB.
    pub partition_bytes_max: u32,
    /// Bytes that are fetched ahead of the caller; one more reply may come on top. Default: 16 MiB.
    pub prefetch_bytes_max: usize,
    /// Whether every batch's CRC is compared with its bytes. Default: yes.
    pub check_crcs: bool,
    /// Bytes that the records of one batch may inflate to. Default: 64 MiB.
    pub decompressed_bytes_max: usize,
    /// What to do when the offset wanted is not in the log any more, or not yet. Default: report it.
    pub out_of_range: OutOfRange,
}

/// What a consumer does when the offset it wants is not in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OutOfRange {
    /// Gives the caller [`ClientError::OffsetOutOfRange`]; the partition waits for a seek.
    #[default]
    Report,
    /// Goes on at the beginning.
    Beginning,
    /// Goes on at the end.
    End,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            wait_max: Duration::from_millis(500),
            bytes_min: 1,
            bytes_max: 8 * 1024 * 1024,
            partition_bytes_max: 1024 * 1024,
            prefetch_bytes_max: 16 * 1024 * 1024,
            check_crcs: true,
            decompressed_bytes_max: BATCH_DECOMPRESSED_BYTES_MAX,
            out_of_range: OutOfRange::Report,
        }
    }
}

impl ConsumerSettings {
    pub(crate) fn check(&self) -> Result<(), ClientError> {
        let refuse = |name, expected| Err(ClientError::Setting { name, expected });
        if self.wait_max > Duration::from_millis(u64::from(FETCH_WAIT_MS_MAX)) {
            return refuse("wait_max", "at most 60 s is expected");
        }
        if !(1..=FETCH_BYTES_MAX).contains(&self.bytes_max) {
            return refuse("bytes_max", "1 byte to 64 MiB is expected");
        }
        if self.partition_bytes_max == 0 {
            return refuse("partition_bytes_max", "at least 1 byte is expected");
        }
        Ok(())
    }
}
