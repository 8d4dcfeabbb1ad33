//! Batches that are finished already: what a load generator, a mirror or an importer sends. Apart from the
//! producer because nothing here batches, retries or numbers: a call is a request.

use std::sync::Arc;

use bytes::Bytes;
use kolk_model::durability::AckLevel;
use kolk_model::ids::{PartitionId, TopicPartition};
use kolk_native::reply::{Produced, Reply};
use kolk_native::request::{Produce, ProducePartition, Request};

use crate::cluster::connection::Connection;
use crate::cluster::{Cluster, unexpected};
use crate::error::ClientError;
use crate::producer::topic_name;

/// Sends finished batches, made with [`kolk_model::batch_builder::BatchBuilder`].
pub struct Bulk {
    cluster: Arc<Cluster>,
}

impl Bulk {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster }
    }

    /// Opens the way to one partition.
    ///
    /// # Errors
    /// The partition does not exist, or its owner can't be reached.
    ///
    /// ```no_run
    /// use kolk_client::client::Client;
    /// use kolk_model::batch_builder::BatchBuilder;
    /// use kolk_model::compression::Compression;
    /// use kolk_model::durability::AckLevel;
    /// use kolk_model::ids::PartitionId;
    /// use kolk_model::time::TimestampMs;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let bulk = Client::new("localhost:9640")?.bulk();
    /// let lane = bulk.partition("metrics", PartitionId::new(0)).await?;
    /// let mut builder = BatchBuilder::with_capacity(64 * 1024);
    /// builder.append(TimestampMs::new(1_700_000_000_000), None, Some(b"cpu=1"), &[])?;
    /// let batch = builder.build(Compression::None)?;
    /// // On the wire as soon as it is called; many may be in flight.
    /// let first = lane.append(batch.clone(), AckLevel::Topic);
    /// let second = lane.append(batch, AckLevel::Topic);
    /// println!("{} {}", first.await?.base_offset, second.await?.base_offset);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn partition(
        &self,
        topic: &str,
        partition: PartitionId,
    ) -> Result<BulkPartition, ClientError> {
        let name = topic_name(topic)?;
        let opened = self.cluster.retrying(|| self.cluster.owner(&name, partition)).await?;
        let (id, connection) = opened;
        Ok(BulkPartition { cluster: Arc::clone(&self.cluster), id, connection })
    }
}

impl std::fmt::Debug for Bulk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bulk").finish_non_exhaustive()
    }
}

/// The way to one partition's owner. Partitions of one owner share a connection.
#[derive(Clone)]
pub struct BulkPartition {
    cluster: Arc<Cluster>,
    id: TopicPartition,
    connection: Arc<Connection>,
}

impl BulkPartition {
    /// Which partition it is.
    #[must_use]
    pub const fn id(&self) -> TopicPartition {
        self.id
    }

    /// Appends one or more finished batches, back to back in `batches`, as one request. It is on its way
    /// when the call returns; requests keep the order of the calls. Nothing is retried.
    ///
    /// # Errors
    /// The broker's refusal, or how the connection broke; then nobody knows whether it was written.
    pub fn append(
        &self,
        batches: Bytes,
        durability: AckLevel,
    ) -> impl Future<Output = Result<Produced, ClientError>> + use<> {
        let one = ProducePartition { id: self.id, batches, expected_next_offset: None };
        let request = Request::Produce(Produce { durability, partitions: vec![one] });
        let timeout = self.cluster.settings().request_timeout;
        let reply = self.connection.call(&request, timeout);
        async move {
            match reply.await? {
                Reply::Produce(reply) => match reply.partitions.into_iter().next() {
                    Some(Ok(produced)) => Ok(produced),
                    Some(Err(refusal)) => Err(ClientError::refused(refusal.code, &refusal.detail)),
                    None => Err(unexpected("produce")),
                },
                _ => Err(unexpected("produce")),
            }
        }
    }
}

impl std::fmt::Debug for BulkPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BulkPartition").field("id", &self.id).finish_non_exhaustive()
    }
}
