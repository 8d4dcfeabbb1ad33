//! How a producer batches, waits and retries. Apart because it is what users look up.

use std::time::Duration;

use kolk_model::compression::Compression;
use kolk_model::durability::AckLevel;
use kolk_model::limits::{MESSAGE_BYTES_MAX, PRODUCER_IN_FLIGHT_MAX};

use crate::error::ClientError;

/// How a producer batches, waits and retries. Names as in Kafka where Kafka has the setting.
///
/// ```
/// use std::time::Duration;
/// use kolk_client::producer::settings::ProducerSettings;
///
/// let mut settings = ProducerSettings::default();
/// settings.linger = Duration::ZERO; // latency before throughput
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProducerSettings {
    /// How long a record may wait for others to share its batch. Default: 5 ms, as Kafka. 0 still makes
    /// batches of what arrives while others are in flight.
    pub linger: Duration,
    /// Bytes of a batch before compression; a record that is larger gets a batch of its own. Default:
    /// 65,536. Range: 1,024 to 1,048,588.
    pub batch_bytes: usize,
    /// Bytes of one request, over all its partitions; a batch is never cut. Default: 1 MiB.
    pub request_bytes: usize,
    /// Requests in flight on one connection. Default: 5. Range: 1 to 1,000.
    pub in_flight_max: usize,
    /// Bytes in batches that are not acknowledged yet; beyond, sending waits. Default: 32 MiB.
    pub buffer_bytes_max: usize,
    /// How batches are compressed. Default: not at all.
    pub compression: Compression,
    /// What an acknowledgement waits for. Default: the topic's own durability.
    pub durability: AckLevel,
    /// Whether retries are recognised by the broker, so that none makes a duplicate. Default: yes.
    pub idempotence: bool,
    /// How long a record may take from the call to its acknowledgement, retries included. Default: 120 s.
    pub delivery_timeout: Duration,
}

impl Default for ProducerSettings {
    fn default() -> Self {
        Self {
            linger: Duration::from_millis(5),
            batch_bytes: 64 * 1024,
            request_bytes: 1024 * 1024,
            in_flight_max: 5,
            buffer_bytes_max: 32 * 1024 * 1024,
            compression: Compression::None,
            durability: AckLevel::Topic,
            idempotence: true,
            delivery_timeout: Duration::from_secs(120),
        }
    }
}

/// Batches in flight to one partition: as many as the broker remembers of an idempotent producer.
pub(crate) const LANE_IN_FLIGHT_MAX: usize = PRODUCER_IN_FLIGHT_MAX;

impl ProducerSettings {
    pub(crate) fn check(&self) -> Result<(), ClientError> {
        let refuse = |name, expected| Err(ClientError::Setting { name, expected });
        if !(1024..=MESSAGE_BYTES_MAX as usize).contains(&self.batch_bytes) {
            return refuse("batch_bytes", "1024 to 1048588 is expected");
        }
        if !(1..=1000).contains(&self.in_flight_max) {
            return refuse("in_flight_max", "1 to 1000 is expected");
        }
        if self.buffer_bytes_max < self.batch_bytes {
            return refuse("buffer_bytes_max", "at least batch_bytes is expected");
        }
        if self.buffer_bytes_max > u32::MAX as usize {
            return refuse("buffer_bytes_max", "less than 4 GiB is expected");
        }
        if self.request_bytes > 64 * 1024 * 1024 {
            return refuse("request_bytes", "at most 64 MiB is expected");
        }
        Ok(())
    }
}
