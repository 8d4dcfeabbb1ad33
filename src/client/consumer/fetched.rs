//! What a consumer gives: batches as they are, or their records. Apart because callers keep these while the
//! consumer goes on.

use std::sync::Arc;

use bytes::Bytes;
use kolk_model::batch::{BatchError, BatchView, batches};
use kolk_model::compression::{Compression, decompress};
use kolk_model::ids::{PartitionId, TopicName};
use kolk_model::offset::Offset;
use kolk_model::records::{RecordView, Records};

use crate::error::ClientError;

/// Whole record batches of one partition, as the broker stores them, in the memory they were received
/// into.
#[derive(Clone, Debug)]
pub struct FetchedBatches {
    /// The topic's name.
    pub topic: TopicName,
    /// The partition.
    pub partition: PartitionId,
    /// The first offset wanted: the first batch may begin before it.
    pub from: Offset,
    /// The offset after the last batch: where the next ones begin.
    pub next_offset: Offset,
    /// Records below were visible when the broker answered.
    pub high_watermark: Option<Offset>,
    /// The batches, back to back.
    pub batches: Bytes,
}

impl FetchedBatches {
    /// The batches one by one.
    pub fn iter(&self) -> impl Iterator<Item = Result<BatchView<'_>, BatchError>> {
        batches(&self.batches)
    }

    /// Makes the records readable: batches that are compressed are inflated, the others stay where they
    /// are.
    ///
    /// # Errors
    /// [`ClientError::Batch`] if a batch does not inflate, or to more than `decompressed_bytes_max` bytes.
    pub fn records(self, decompressed_bytes_max: usize) -> Result<FetchedRecords, ClientError> {
        let mut plain = Vec::new();
        for batch in batches(&self.batches) {
            let inflated = batch.and_then(|batch| match batch.compression() {
                Compression::None => Ok(None),
                _ => decompress(&batch, decompressed_bytes_max).map(Some),
            });
            plain.push(inflated.map_err(|fault| self.fault(fault))?);
        }
        Ok(FetchedRecords { fetched: self, plain })
    }

    /// Compares every batch's CRC with its bytes.
    pub(super) fn verify(&self) -> Result<(), ClientError> {
        let check = |batch: Result<BatchView<'_>, BatchError>| batch?.verify_crc();
        batches(&self.batches).try_for_each(check).map_err(|fault| self.fault(fault))
    }

    fn fault(&self, fault: BatchError) -> ClientError {
        let (topic, partition) = (self.topic.clone(), self.partition);
        ClientError::Batch { topic, partition, fault: Arc::new(fault) }
    }
}

/// Records of one partition. Iterate over a reference to it: records borrow from it.
///
/// ```no_run
/// # async fn example(mut consumer: kolk_client::consumer::Consumer) -> Result<(), kolk_client::error::ClientError> {
/// let fetched = consumer.next_records().await?;
/// for record in &fetched {
///     let record = record?;
///     println!("{}: {} bytes", record.offset, record.value.map_or(0, <[u8]>::len));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FetchedRecords {
    fetched: FetchedBatches,
    /// The inflated records of each batch that is compressed.
    plain: Vec<Option<Bytes>>,
}

impl FetchedRecords {
    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.fetched.topic
    }

    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> PartitionId {
        self.fetched.partition
    }

    /// The offset after the last record.
    #[must_use]
    pub const fn next_offset(&self) -> Offset {
        self.fetched.next_offset
    }

    /// Records below were visible when the broker answered.
    #[must_use]
    pub const fn high_watermark(&self) -> Option<Offset> {
        self.fetched.high_watermark
    }

    /// The records from the offset wanted on, without the broker's own. Ends after the first error.
    #[must_use]
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter {
            fetched: &self.fetched,
            batches: batches(&self.fetched.batches),
            plain: self.plain.iter(),
            records: None,
            failed: false,
        }
    }
}

impl<'a> IntoIterator for &'a FetchedRecords {
    type Item = Result<RecordView<'a>, ClientError>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// The iterator that [`FetchedRecords::iter`] gives.
#[derive(Debug)]
pub struct RecordIter<'a> {
    fetched: &'a FetchedBatches,
    batches: kolk_model::batch::Batches<'a>,
    plain: std::slice::Iter<'a, Option<Bytes>>,
    records: Option<Records<'a>>,
    failed: bool,
}

impl<'a> RecordIter<'a> {
    /// The next batch's records; `None` after the last.
    fn next_batch(&mut self) -> Option<Result<Records<'a>, BatchError>> {
        loop {
            let batch = match self.batches.next()? {
                Ok(batch) => batch,
                Err(fault) => return Some(Err(fault)),
            };
            let plain = self.plain.next()?;
            // Control batches are the broker's own.
            if batch.attributes().is_control() {
                continue;
            }
            return Some(match plain {
                Some(plain) => Ok(Records::of_plain(&batch, plain)),
                None => Records::of(&batch),
            });
        }
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<RecordView<'a>, ClientError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            match self.records.as_mut().and_then(Iterator::next) {
                Some(Ok(record)) if record.offset < self.fetched.from => {}
                Some(Ok(record)) => return Some(Ok(record)),
                Some(Err(fault)) => {
                    self.failed = true;
                    return Some(Err(self.fetched.fault(fault)));
                }
                None => match self.next_batch()? {
                    Ok(records) => self.records = Some(records),
                    Err(fault) => {
                        self.failed = true;
                        return Some(Err(self.fetched.fault(fault)));
                    }
                },
            }
        }
        None
    }
}
