//! Records in: batching, retries without duplicates, a future for each record. Apart from the admin and the
//! consumer because it has a life of its own in the background.

pub mod delivery;
pub mod partitioner;
pub mod settings;

mod clock;
mod lane;
mod sender;
mod shared;
mod slot;

use std::sync::Arc;

use bytes::Bytes;
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicName};
use kolk_model::limits::FETCH_BYTES_MAX;
use kolk_model::offset::Offset;
use kolk_model::records::Header;
use kolk_model::time::TimestampMs;
use kolk_native::reply::{Produced, Reply};
use kolk_native::request::{Produce, ProducePartition, Request};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use self::delivery::{Delivery, RecordMetadata};
use self::sender::{Event, Sender};
use self::settings::ProducerSettings;
use self::shared::{Shared, TopicSlots};
use self::slot::{Added, BatchShape, Parts};
use crate::cluster::{Cluster, unexpected};
use crate::error::ClientError;
use crate::producer::clock::now_ms;

/// A record to be sent; its parts are borrowed and copied once, into the batch.
///
/// ```
/// use kolk_client::producer::Record;
///
/// let record = Record::to("page-views").key(b"user-1").value(b"/home");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    topic: &'a str,
    partition: Option<PartitionId>,
    timestamp: Option<TimestampMs>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [Header<'a>],
}

impl<'a> Record<'a> {
    /// An empty record for a topic.
    #[must_use]
    pub const fn to(topic: &'a str) -> Self {
        Self { topic, partition: None, timestamp: None, key: None, value: None, headers: &[] }
    }

    /// With this key. Records of one key keep their order.
    #[must_use]
    pub const fn key(self, key: &'a [u8]) -> Self {
        Self { key: Some(key), ..self }
    }

    /// With this value. Without one it is a tombstone.
    #[must_use]
    pub const fn value(self, value: &'a [u8]) -> Self {
        Self { value: Some(value), ..self }
    }

    /// With these headers.
    #[must_use]
    pub const fn headers(self, headers: &'a [Header<'a>]) -> Self {
        Self { headers, ..self }
    }

    /// Into this partition, whatever its key.
    #[must_use]
    pub const fn partition(self, partition: PartitionId) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// With this timestamp instead of the time of sending.
    #[must_use]
    pub const fn timestamp(self, timestamp: TimestampMs) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }

    fn parts(&self) -> Parts<'a> {
        let timestamp = self.timestamp.unwrap_or_else(now_ms);
        Parts { timestamp, key: self.key, value: self.value, headers: self.headers }
    }
}

/// Sends records. Cheap to clone; all clones share batches, buffer and connections.
///
/// Records to one partition keep the order of the calls, through every retry; with idempotence (the
/// default) none is written twice. Call [`Producer::close`] or [`Producer::flush`] before the last clone
/// is dropped: what is still buffered then is lost, and its deliveries say so.
///
/// ```no_run
/// use kolk_client::client::Client;
/// use kolk_client::producer::Record;
/// use kolk_client::producer::settings::ProducerSettings;
///
/// # async fn example() -> Result<(), kolk_client::error::ClientError> {
/// let producer = Client::new("localhost:9640")?.producer(ProducerSettings::default())?;
///
/// // One record, waiting for it.
/// let sent = producer.send(Record::to("page-views").key(b"user-1").value(b"/home")).await?;
/// println!("partition {}, offset {}", sent.partition, sent.offset);
///
/// // Many, waiting for them together.
/// let mut deliveries = Vec::new();
/// for page in ["/", "/cart", "/pay"] {
///     deliveries.push(producer.enqueue(Record::to("page-views").value(page.as_bytes())).await?);
/// }
/// for delivery in deliveries {
///     delivery.await?;
/// }
///
/// // Very many, waiting for none of them.
/// for _ in 0..1_000_000 {
///     producer.push(Record::to("page-views").value(b"/")).await?;
/// }
/// producer.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Producer {
    handle: Arc<Handle>,
}

struct Handle {
    cluster: Arc<Cluster>,
    settings: ProducerSettings,
    shared: Arc<Shared>,
    post: mpsc::UnboundedSender<Event>,
    task: AbortHandle,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // The sender's own drop tells those who still wait.
        self.task.abort();
    }
}

/// Where a conditional append went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// The offset after the last record: what the next conditional append expects.
    pub next_offset: Offset,
    /// When the broker appended them, in ns since 1970-01-01 UTC.
    pub append_time_ns: u64,
}

impl Producer {
    pub(crate) fn new(
        cluster: Arc<Cluster>,
        settings: ProducerSettings,
    ) -> Result<Self, ClientError> {
        settings.check()?;
        let shape = BatchShape { bytes: settings.batch_bytes, compression: settings.compression };
        let shared = Arc::new(Shared::new(shape, settings.buffer_bytes_max));
        let (post, events) = mpsc::unbounded_channel();
        let own = (Arc::clone(&shared), Arc::clone(&cluster), settings.clone(), post.clone());
        let sender = Sender::new(own.0, own.1, own.2, own.3, events);
        let task = tokio::spawn(sender.run()).abort_handle();
        let handle = Arc::new(Handle { cluster, settings, shared, post, task });
        Ok(Self { handle })
    }

    /// Sends a record and waits until it is acknowledged. To have many in flight, use
    /// [`Producer::enqueue`].
    ///
    /// # Errors
    /// As [`Producer::enqueue`], or what became of the record.
    pub async fn send(&self, record: Record<'_>) -> Result<RecordMetadata, ClientError> {
        self.enqueue(record).await?.await
    }

    /// Puts a record into a batch, waiting only while the buffer is full, and gives the promise of its
    /// acknowledgement. If the future is dropped before it resolves, the record is not sent.
    ///
    /// # Errors
    /// The topic or partition does not exist, no broker can say so, the record is too large, or the
    /// producer is closed.
    pub async fn enqueue(&self, record: Record<'_>) -> Result<Delivery, ClientError> {
        let parts = self.fitting(&record)?;
        let topic = match self.handle.shared.topic(record.topic) {
            Some(topic) => topic,
            None => self.learn(record.topic).await?,
        };
        let slot = topic.choose(record.partition, &parts)?;
        let mut room = None;
        loop {
            match slot.add(parts, &mut room, || self.handle.shared.tell(slot))? {
                Added::Yes { delivery, wake } => {
                    if wake {
                        self.handle.shared.wake.notify_one();
                    }
                    return Ok(delivery);
                }
                Added::NeedsRoom(bytes) => {
                    let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
                    let pool = Arc::clone(&self.handle.shared.room);
                    let closed = |_| ClientError::Closed { what: "the producer was closed" };
                    room = Some(pool.acquire_many_owned(permits).await.map_err(closed)?);
                }
            }
        }
    }

    /// As [`Producer::enqueue`], but waits for nothing: `None` if the buffer is full, or if brokers have not been asked for the
    /// topic yet. The record is not sent then; [`Producer::enqueue`] waits for what is missing.
    ///
    /// # Errors
    /// As [`Producer::enqueue`].
    pub fn try_enqueue(&self, record: Record<'_>) -> Result<Option<Delivery>, ClientError> {
        let parts = self.fitting(&record)?;
        let shared = &self.handle.shared;
        let Some(topic) = shared.topic(record.topic) else { return Ok(None) };
        let slot = topic.choose(record.partition, &parts)?;
        let mut room = None;
        loop {
            match slot.add(parts, &mut room, || shared.tell(slot))? {
                Added::Yes { delivery, wake } => {
                    if wake {
                        shared.wake.notify_one();
                    }
                    return Ok(Some(delivery));
                }
                Added::NeedsRoom(bytes) => {
                    let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
                    // A producer that was closed says so where one waits.
                    match Arc::clone(&shared.room).try_acquire_many_owned(permits) {
                        Ok(permit) => room = Some(permit),
                        Err(_) => return Ok(None),
                    }
                }
            }
        }
    }

    /// Puts a record into a batch, waiting only while the buffer is full, and forgets it. The next
    /// [`Producer::flush`] reports the first failure of any.
    ///
    /// # Errors
    /// As [`Producer::enqueue`].
    pub async fn push(&self, record: Record<'_>) -> Result<(), ClientError> {
        self.enqueue(record).await.map(drop)
    }

    /// Sends what is buffered, by whichever clone, and waits until all of it is acknowledged or has failed.
    ///
    /// # Errors
    /// The first failure of any batch since the last flush.
    pub async fn flush(&self) -> Result<(), ClientError> {
        let closed = ClientError::Closed { what: "the producer was closed" };
        let (answer, cells) = oneshot::channel();
        if self.handle.post.send(Event::Flush(answer)).is_err() {
            return Err(self.handle.shared.failures.take().unwrap_or(closed));
        }
        let mut own = Ok(());
        for cell in cells.await.map_err(|_| closed)? {
            own = own.and(cell.wait().await.map(drop));
        }
        // A failure is noted where it happens, with those of batches that are gone already. Another clone's flush may
        // have taken it.
        self.handle.shared.failures.take().map_or(own, Err)
    }

    /// Sends what is buffered, waits for it, and stops. Every clone is closed with it.
    ///
    /// # Errors
    /// As [`Producer::flush`]; the producer is closed all the same.
    pub async fn close(&self) -> Result<(), ClientError> {
        let flushed = self.flush().await;
        let (done, stopped) = oneshot::channel();
        if self.handle.post.send(Event::Close(done)).is_ok() {
            // An error says that it had stopped before.
            let _stopped = stopped.await;
        }
        flushed
    }

    /// Appends records as one batch, but only if the partition's log ends at `expected`: the
    /// compare-and-set of event sourcing. The batch waits for nobody, is not retried once it may have
    /// been written, and does not count among this producer's other records.
    ///
    /// Key, value, headers and timestamp of the records are used; their topic and partition are not.
    ///
    /// # Errors
    /// [`ClientError::WrongNextOffset`] with the log's real end if another writer came first;
    /// [`ClientError::Disconnected`] or [`ClientError::TimedOut`] if nobody knows whether it was written:
    /// read the log from `expected` to find out.
    ///
    /// ```no_run
    /// use kolk_client::producer::Record;
    /// use kolk_model::ids::PartitionId;
    /// use kolk_model::offset::Offset;
    ///
    /// # async fn example(producer: kolk_client::producer::Producer) -> Result<(), kolk_client::error::ClientError> {
    /// let event = Record::to("orders").key(b"order-7").value(b"paid");
    /// let appended = producer
    ///     .append_expecting("orders", PartitionId::new(0), Offset::new(42), &[event])
    ///     .await?;
    /// assert_eq!(appended.next_offset, Offset::new(43));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn append_expecting(
        &self,
        topic: &str,
        partition: PartitionId,
        expected: Offset,
        records: &[Record<'_>],
    ) -> Result<Appended, ClientError> {
        let name = topic_name(topic)?;
        let batches = self.build(records)?;
        let cluster = &self.handle.cluster;
        cluster
            .retrying(|| async {
                let outcome = self.append_once(&name, partition, expected, &batches).await;
                match &outcome {
                    // It may have been written: trying again could not tell.
                    Err(ClientError::Disconnected { .. } | ClientError::TimedOut { .. }) => {
                        Ok(outcome)
                    }
                    Err(error) if error.retriable() => {
                        cluster.forget(&name);
                        outcome.map(Ok)
                    }
                    _ => Ok(outcome),
                }
            })
            .await?
    }

    async fn append_once(
        &self,
        name: &TopicName,
        partition: PartitionId,
        expected: Offset,
        batches: &Bytes,
    ) -> Result<Appended, ClientError> {
        let Handle { cluster, settings, .. } = &*self.handle;
        let unsent = |error| match error {
            // Nothing was sent yet, so trying again is safe.
            ClientError::Disconnected { address, reason } => {
                ClientError::Unreachable { tried: address.to_string(), reason }
            }
            error => error,
        };
        let (id, connection) = cluster.owner(name, partition).await.map_err(unsent)?;
        let request = Request::Produce(Produce {
            durability: settings.durability,
            partitions: vec![ProducePartition {
                id,
                batches: batches.clone(),
                expected_next_offset: Some(expected),
            }],
        });
        match connection.call(&request, cluster.settings().request_timeout).await? {
            Reply::Produce(reply) => match reply.partitions.into_iter().next() {
                Some(Ok(Produced { base_offset, next_offset, append_time_ns, .. })) => {
                    Ok(Appended { base_offset, next_offset, append_time_ns })
                }
                Some(Err(refusal)) if refusal.code == ErrorCode::WrongNextOffset => {
                    let (topic, end_offset) = (name.clone(), refusal.end_offset);
                    Err(ClientError::WrongNextOffset { topic, partition, expected, end_offset })
                }
                Some(Err(refusal)) => Err(ClientError::refused(refusal.code, &refusal.detail)),
                None => Err(unexpected("produce")),
            },
            _ => Err(unexpected("produce")),
        }
    }

    /// The parts of a record that can be in the buffer.
    fn fitting<'a>(&self, record: &Record<'a>) -> Result<Parts<'a>, ClientError> {
        let parts = record.parts();
        let bytes = parts.bytes_max();
        let bytes_max = self.handle.settings.buffer_bytes_max.min(FETCH_BYTES_MAX as usize);
        if bytes > bytes_max {
            return Err(ClientError::RecordTooLarge { bytes, bytes_max });
        }
        Ok(parts)
    }

    fn build(&self, records: &[Record<'_>]) -> Result<Bytes, ClientError> {
        let failed = |error: &dyn ToString| ClientError::Build { reason: error.to_string().into() };
        let mut builder = BatchBuilder::new();
        for record in records {
            let Parts { timestamp, key, value, headers } = record.parts();
            builder.append(timestamp, key, value, headers).map_err(|error| failed(&error))?;
        }
        builder.build(self.handle.settings.compression).map_err(|error| failed(&error))
    }

    async fn learn(&self, topic: &str) -> Result<Arc<TopicSlots>, ClientError> {
        let name = topic_name(topic)?;
        let view = self.handle.cluster.topic(&name).await?;
        Ok(self.handle.shared.learn(&name, &view))
    }
}

/// A name that breaks the rule names no topic.
pub(crate) fn topic_name(topic: &str) -> Result<TopicName, ClientError> {
    TopicName::new(topic)
        .map_err(|error| ClientError::refused(ErrorCode::InvalidTopic, &error.to_string()))
}

#[cfg(test)]
mod tests;
