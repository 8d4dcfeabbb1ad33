//! The checks of an append that need no state of the partition: structure, size, checksum, records. Apart
//! because they run once, before an append may have to wait, and are pure.

use bytes::{Bytes, BytesMut};

use kolk_metric::copies::CopyMetrics;
use kolk_model::batch::{BatchView, Glance, patch_append_time, patch_create_time};
use kolk_model::map::Set;
use kolk_model::time::{TimestampMs, TimestampType};
use kolk_model::topic_config::TopicConfig;

use crate::error::{PartitionError, RecordRefusal, RefusedRecord, RefusedRecords};
use crate::limits::PartitionLimits;
use crate::producers::Admission;
use crate::producers::{ProducerBatch, ProducerRefusal, Producers};
use crate::turned_away::TurnedAway;

/// Record batches, back to back, that passed every check which needs no state.
#[derive(Clone, Debug)]
pub(crate) struct CheckedBatches {
    bytes: Bytes,
    count: usize,
    /// Whether any of them is an idempotent producer's.
    pub(crate) producer: ProducerUse,
}

/// Whether batches must be compared with what the partition remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProducerUse {
    /// No batch has a producer id.
    Anonymous,
    /// Some have.
    Idempotent,
}

/// What the checks compare with.
pub(crate) struct Intake<'a> {
    pub(crate) config: &'a TopicConfig,
    pub(crate) limits: &'a PartitionLimits,
    pub(crate) copies: &'a CopyMetrics,
}

impl Intake<'_> {
    /// Checks every batch; sets the append time where the topic wants that. Costs O(bytes).
    pub(crate) fn check(
        &self,
        bytes: Bytes,
        now: TimestampMs,
    ) -> Result<CheckedBatches, PartitionError> {
        let (mut count, mut producer) = (0, ProducerUse::Anonymous);
        let mut times = Vec::new();
        let justified = bytes.len().saturating_mul(self.limits.append_inflation_max);
        let mut inflation_left = self.limits.batch_decompressed_bytes_max.saturating_add(justified);
        let mut rest: &[u8] = &bytes;
        while !rest.is_empty() {
            if count == self.limits.append_batches_max {
                return Err(PartitionError::TooManyBatches { batches_max: count });
            }
            let (batch, length) = BatchView::parse(rest)?;
            let newest = self.check_batch(&batch, now, &mut inflation_left)?;
            if self.config.timestamp_type == TimestampType::CreateTime && !says_time(&batch, newest)
            {
                times.push((bytes.len() - rest.len(), newest));
            }
            if batch.producer_id().is_some() {
                producer = ProducerUse::Idempotent;
            }
            rest = rest.get(length..).unwrap_or_default();
            count += 1;
        }
        if count == 0 {
            return Err(PartitionError::NoBatch);
        }
        let bytes = match self.config.timestamp_type {
            TimestampType::CreateTime if times.is_empty() => bytes,
            TimestampType::CreateTime => self.mend_times(bytes, &times),
            TimestampType::LogAppendTime => self.stamp_time(bytes, now),
        };
        Ok(CheckedBatches { bytes, count, producer })
    }

    /// Cheap checks first: a batch that is too large is not read. Gives the time of its newest record.
    fn check_batch(
        &self,
        batch: &BatchView<'_>,
        now: TimestampMs,
        inflation_left: &mut usize,
    ) -> Result<TimestampMs, PartitionError> {
        let (bytes, bytes_max) = (batch.as_bytes().len(), self.config.message_bytes_max);
        if bytes > bytes_max as usize {
            return Err(PartitionError::BatchTooLarge { bytes, bytes_max });
        }
        if batch.attributes().is_control() {
            return Err(PartitionError::ControlBatch);
        }
        if batch.attributes().is_transactional() {
            return Err(PartitionError::Transactional);
        }
        batch.verify_crc()?;
        let mut record_check = RecordCheck::new(self.config, batch.base_timestamp(), now);
        let bytes_max = self.limits.batch_decompressed_bytes_max.min(*inflation_left);
        let mut bytes_left = bytes_max;
        let verified =
            batch.verify_records_seeing(&mut bytes_left, |glance| record_check.see(glance));
        let inflated = bytes_max - bytes_left;
        if inflated > 0 {
            self.copies.decompress.add(inflated as u64);
            *inflation_left = inflation_left.saturating_sub(inflated);
        }
        verified?;
        record_check.finish()
    }

    /// Lets the headers of batches, by where they begin, say the time of their newest records. Some clients leave that to
    /// the broker, and retention, time look-ups and compaction believe the header.
    fn mend_times(&self, bytes: Bytes, times: &[(usize, TimestampMs)]) -> Bytes {
        let mut owned = self.own(bytes);
        for (at, newest) in times {
            let rest = owned.get_mut(*at..).unwrap_or_default();
            if let Ok((_, length)) = BatchView::parse(rest)
                && let Some(batch) = rest.get_mut(..length)
            {
                patch_create_time(batch, *newest);
            }
        }
        owned.freeze()
    }

    /// In place when nobody else holds the bytes; else pays and counts a copy.
    fn own(&self, bytes: Bytes) -> BytesMut {
        bytes.try_into_mut().unwrap_or_else(|shared| {
            self.copies.rebuild.add(shared.len() as u64);
            BytesMut::from(shared.as_ref())
        })
    }

    fn stamp_time(&self, bytes: Bytes, now: TimestampMs) -> Bytes {
        let mut owned = self.own(bytes);
        let mut rest: &mut [u8] = &mut owned;
        while let Ok((_, length)) = BatchView::parse(rest) {
            let (batch, after) = rest.split_at_mut(length);
            patch_append_time(batch, now);
            rest = after;
        }
        owned.freeze()
    }
}

/// Whether the header of a `CreateTime` batch says what its records do: their newest time, and that they have times of their
/// own, from the base on.
fn says_time(batch: &BatchView<'_>, newest: TimestampMs) -> bool {
    batch.max_timestamp() == newest
        && batch.attributes().timestamp_type() == TimestampType::CreateTime
        && batch.delete_horizon().is_none()
}

/// What the topic's settings ask of each record.
struct RecordCheck {
    base: i64,
    /// The newest time that was seen.
    newest: i64,
    /// The timestamps accepted; all of them where the broker sets its own.
    earliest: i64,
    latest: i64,
    keyless: Keyless,
    refused: RefusedRecords,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keyless {
    Taken,
    Refused,
}

impl RecordCheck {
    fn new(config: &TopicConfig, base: TimestampMs, now: TimestampMs) -> Self {
        let (earliest, latest) = match config.timestamp_type {
            TimestampType::CreateTime => (
                now.saturating_back(config.timestamp_before_ms_max).get(),
                now.saturating_forward(config.timestamp_after_ms_max).get(),
            ),
            TimestampType::LogAppendTime => (i64::MIN, i64::MAX),
        };
        let keyless =
            if config.cleanup_policy.compacts() { Keyless::Refused } else { Keyless::Taken };
        let base = base.get();
        Self {
            base,
            newest: i64::MIN,
            earliest,
            latest,
            keyless,
            refused: RefusedRecords::default(),
        }
    }

    #[inline]
    fn see(&mut self, glance: Glance) {
        if !glance.keyed && self.keyless == Keyless::Refused {
            self.refused.push(RefusedRecord { index: glance.index, why: RecordRefusal::Keyless });
            return;
        }
        let time = self.base.saturating_add(glance.timestamp_delta);
        self.newest = self.newest.max(time);
        if (time < self.earliest || time > self.latest) && time != TimestampMs::NONE.get() {
            let why = RecordRefusal::Timestamp {
                found: TimestampMs::new(time),
                earliest: TimestampMs::new(self.earliest),
                latest: TimestampMs::new(self.latest),
            };
            self.refused.push(RefusedRecord { index: glance.index, why });
        }
    }

    fn finish(self) -> Result<TimestampMs, PartitionError> {
        if self.refused.count == 0 {
            return Ok(TimestampMs::new(self.newest));
        }
        Err(PartitionError::Records(Box::new(self.refused)))
    }
}

impl CheckedBatches {
    /// Nothing to append: a place in the queue of appends, for who wants to know when those before are done.
    pub(crate) const fn none() -> Self {
        Self { bytes: Bytes::new(), count: 0, producer: ProducerUse::Anonymous }
    }

    /// Whether it is [`CheckedBatches::none`].
    pub(crate) const fn is_none(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all batches.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Hands the batches to `take`; allocates only when there are several.
    pub(crate) fn with_views<T>(&self, take: impl FnOnce(&[BatchView<'_>]) -> T) -> T {
        if self.count == 1
            && let Ok((batch, _)) = BatchView::parse(&self.bytes)
        {
            return take(&[batch]);
        }
        let views: Vec<_> = kolk_model::batch::batches(&self.bytes).map_while(Result::ok).collect();
        debug_assert_eq!(views.len(), self.count, "batches were checked before");
        take(&views)
    }

    /// What the producers of a partition say to the batches.
    pub(crate) fn admit(&self, producers: &Producers) -> Result<Admission, ProducerRefusal> {
        if self.producer == ProducerUse::Anonymous {
            return Ok(Admission::Fresh);
        }
        self.with_views(|views| match views {
            [only] => ProducerBatch::of(only).map_or(Ok(Admission::Fresh), |b| producers.admit(&b)),
            many => {
                let batches: Vec<_> = many.iter().filter_map(ProducerBatch::of).collect();
                let verdict = producers.admit_all(&batches)?;
                match (verdict, batches.first()) {
                    // A stored batch beside one without a producer: no single answer is true.
                    (Admission::Duplicate { .. }, Some(first)) if batches.len() < many.len() => {
                        Err(ProducerRefusal::PartlyDuplicate { producer: first.producer })
                    }
                    _ => Ok(verdict),
                }
            }
        })
    }

    /// Whether every producer that the partition does not know begins where it has to.
    pub(crate) fn check_begins(
        &self,
        producers: &Producers,
        turned_away: &TurnedAway,
        now: TimestampMs,
    ) -> Result<(), ProducerRefusal> {
        if turned_away.is_empty() || self.producer == ProducerUse::Anonymous {
            return Ok(());
        }
        let mut seen = Set::new();
        self.with_views(|views| {
            // Of several batches of one producer those behind the first have been compared with it.
            for batch in views.iter().filter_map(ProducerBatch::of) {
                if seen.insert(batch.producer) && !producers.knows(batch.producer) {
                    turned_away.check(&batch, now)?;
                }
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use kolk_model::batch::BatchError;
    use kolk_model::batch_builder::BatchBuilder;
    use kolk_model::compression::Compression;

    use super::*;

    const LIMITS: PartitionLimits =
        PartitionLimits { batch_decompressed_bytes_max: 100_000, ..PartitionLimits::DEFAULT };

    /// A batch of one record of so many zeros.
    fn packed(bytes: usize) -> Bytes {
        let mut builder = BatchBuilder::new();
        builder.append(TimestampMs::new(1), None, Some(&vec![0; bytes]), &[]).unwrap();
        builder.build(Compression::Gzip).unwrap()
    }

    /// Checks this many of these batches as one append; gives the bytes that were inflated, too.
    fn check(batch: &Bytes, times: usize) -> (Result<CheckedBatches, PartitionError>, u64) {
        let (config, copies) = (TopicConfig::default(), CopyMetrics::new());
        let intake = Intake { config: &config, limits: &LIMITS, copies: &copies };
        let now = TimestampMs::new(1);
        (intake.check(batch.repeat(times).into(), now), copies.decompress.get())
    }

    #[test]
    fn one_append_inflates_to_what_one_batch_may_and_what_its_bytes_justify() {
        let bomb = packed(90_000);
        assert!(bomb.len() < 500, "{} bytes", bomb.len());
        let (checked, inflated) = check(&bomb, 1);
        assert_eq!(checked.unwrap().count, 1);
        assert!((90_000..90_100).contains(&inflated), "{inflated}");
        let (refused, inflated) = check(&bomb, 20);
        let error = refused.unwrap_err();
        assert!(
            matches!(error, PartitionError::Batch(BatchError::DecompressedTooLarge { .. })),
            "{error}"
        );
        let justified = 20 * bomb.len() as u64 * 16;
        assert!(inflated <= 100_000 + justified + 8_192, "{inflated} with what came out last");
        let usual = packed(150);
        assert!(usual.len() * 16 > 200);
        assert_eq!(check(&usual, 2_000).0.unwrap().count, 2_000);
    }

    #[test]
    fn what_was_inflated_in_vain_counts_too() {
        let (refused, inflated) = check(&packed(1_000_000), 1);
        assert!(refused.is_err());
        assert!((100_000..110_000).contains(&inflated), "{inflated}");
    }
}
