//! Topics, groups, offsets and figures. Apart because it only asks and answers.

pub mod groups;

use std::sync::Arc;

use kolk_model::error::ErrorCode;
use kolk_model::ids::{NodeId, PartitionId, ShardId, TopicId, TopicName, TopicPartition};
use kolk_model::map::Map;
use kolk_model::offset::Offset;
use kolk_native::reply::{
    DescribeTopicReply, Door, ListedOffset, MetadataReply, Reply, StatsReply, TopicPlaces,
};
use kolk_native::request::{
    AddPartitions, AlterTopic, CreateTopic, ListOffsets, OffsetPlace, OffsetQuery, Request,
    Setting, Trim, TrimPartition,
};

use crate::cluster::{Cluster, unexpected};
use crate::error::ClientError;
use crate::producer::topic_name;

/// Asks about topics and changes them.
///
/// ```no_run
/// use kolk_client::admin::NewTopic;
/// use kolk_client::client::Client;
/// use kolk_model::ids::PartitionId;
/// use kolk_client::answer::OffsetPlace;
///
/// # async fn example() -> Result<(), kolk_client::error::ClientError> {
/// let admin = Client::new("localhost:9640")?.admin();
/// admin.create_topic(NewTopic::named("page-views").partitions(8).setting("retention.ms", "3600000")).await?;
/// let end = admin.list_offset("page-views", PartitionId::new(0), OffsetPlace::End).await?;
/// println!("partition 0 ends at {:?}", end.offset);
/// # Ok(())
/// # }
/// ```
pub struct Admin {
    cluster: Arc<Cluster>,
}

/// A topic to be made.
#[derive(Clone, Debug)]
pub struct NewTopic {
    name: String,
    partitions: Option<u32>,
    settings: Vec<Setting>,
    validate_only: bool,
}

impl NewTopic {
    /// A topic with the broker's default number of partitions and default settings.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: None, settings: Vec::new(), validate_only: false }
    }

    /// With so many partitions.
    #[must_use]
    pub const fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// With a setting of Kafka's name; see [`kolk_model::topic_config::TopicConfig`].
    #[must_use]
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Only ask whether it would succeed.
    #[must_use]
    pub const fn validate_only(mut self) -> Self {
        self.validate_only = true;
        self
    }
}

/// A topic in a list.
#[derive(Clone, Debug)]
pub struct TopicListing {
    /// Its name.
    pub name: TopicName,
    /// Its id.
    pub id: TopicId,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionListing>,
}

/// A partition in a list.
#[derive(Clone, Debug)]
pub struct PartitionListing {
    /// The node that owns it.
    pub node: NodeId,
    /// The shard that owns it.
    pub shard: ShardId,
    /// Where that shard takes native connections.
    pub address: Arc<str>,
    /// `None` unless it can't be used at the moment.
    pub error: ErrorCode,
}

/// The cluster as its brokers describe it.
#[derive(Clone, Debug)]
pub struct ClusterDescription {
    /// The cluster's id.
    pub cluster_id: String,
    /// The version of the broker that answered.
    pub broker_version: String,
    /// Every shard's native door.
    pub doors: Vec<Door>,
    /// Place in `doors` of the controller.
    pub controller: usize,
    /// How many topics there are.
    pub topics: usize,
    /// How many partitions there are.
    pub partitions: usize,
    /// How many partitions can't be used at the moment.
    pub partitions_offline: usize,
}

impl Admin {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster }
    }

    /// Makes a topic; answers when every partition can be used. Gives its id and number of partitions.
    ///
    /// # Errors
    /// `TopicAlreadyExists`, `InvalidTopic`, `InvalidPartitions`, `InvalidConfig`.
    pub async fn create_topic(&self, topic: NewTopic) -> Result<(TopicId, u32), ClientError> {
        let request = Request::CreateTopic(CreateTopic {
            name: topic_name(&topic.name)?,
            partitions: topic.partitions,
            settings: topic.settings,
            validate_only: topic.validate_only,
        });
        match self.change(&request).await? {
            Reply::CreateTopic(reply) => Ok((reply.id, reply.partitions)),
            _ => Err(unexpected("create topic")),
        }
    }

    /// Deletes a topic and all its records.
    ///
    /// # Errors
    /// [`ClientError::TopicUnknown`].
    pub async fn delete_topic(&self, topic: &str) -> Result<(), ClientError> {
        let reply = self.topic_change(topic, &Request::DeleteTopic(topic_name(topic)?)).await?;
        matches!(reply, Reply::DeleteTopic).then_some(()).ok_or(unexpected("delete topic"))
    }

    /// Changes settings of a topic: all of them or, if one is refused, none. `reset` names those that
    /// return to their default.
    ///
    /// # Errors
    /// [`ClientError::TopicUnknown`], `InvalidConfig`.
    pub async fn alter_topic(
        &self,
        topic: &str,
        set: Vec<Setting>,
        reset: Vec<String>,
    ) -> Result<(), ClientError> {
        let alter = AlterTopic { name: topic_name(topic)?, set, reset };
        let reply = self.topic_change(topic, &Request::AlterTopic(alter)).await?;
        matches!(reply, Reply::AlterTopic).then_some(()).ok_or(unexpected("alter topic"))
    }

    /// Raises a topic's number of partitions to `partitions`.
    ///
    /// # Errors
    /// [`ClientError::TopicUnknown`], `InvalidPartitions`.
    pub async fn add_partitions(&self, topic: &str, partitions: u32) -> Result<(), ClientError> {
        let name = topic_name(topic)?;
        let request = Request::AddPartitions(AddPartitions { name, partitions });
        let reply = self.topic_change(topic, &request).await?;
        matches!(reply, Reply::AddPartitions).then_some(()).ok_or(unexpected("add partitions"))
    }

    /// Everything about a topic: settings, and the offsets and size of each partition.
    ///
    /// # Errors
    /// [`ClientError::TopicUnknown`].
    pub async fn describe_topic(&self, topic: &str) -> Result<DescribeTopicReply, ClientError> {
        let request = Request::DescribeTopic(topic_name(topic)?);
        match self.topic_change(topic, &request).await? {
            Reply::DescribeTopic(reply) => Ok(reply),
            _ => Err(unexpected("describe topic")),
        }
    }

    /// Forgets the records of some partitions before an offset (`None` = all that are visible). Gives each
    /// partition's new log start offset, or why it was refused.
    ///
    /// # Errors
    /// [`ClientError::TopicUnknown`].
    pub async fn trim(
        &self,
        topic: &str,
        partitions: &[(PartitionId, Option<Offset>)],
    ) -> Result<Vec<Result<Offset, ClientError>>, ClientError> {
        let one = |(partition, before): &(PartitionId, Option<Offset>)| TrimPartition {
            partition: *partition,
            before: *before,
        };
        let partitions = partitions.iter().map(one).collect();
        let request = Request::Trim(Trim { name: topic_name(topic)?, partitions });
        match self.topic_change(topic, &request).await? {
            Reply::Trim(reply) => {
                let each = reply.partitions.into_iter();
                Ok(each.map(|outcome| outcome.map_err(ClientError::from)).collect())
            }
            _ => Err(unexpected("trim")),
        }
    }

    /// Every topic, in the order of the names.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn list_topics(&self) -> Result<Vec<TopicListing>, ClientError> {
        let reply = self.cluster.retrying(|| self.cluster.metadata(None)).await?;
        let mut topics = Vec::new();
        for topic in &reply.topics {
            if let Ok(places) = &topic.outcome {
                topics.push(listing(&reply, topic.name.clone(), places));
            }
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// The number of partitions of a topic.
    ///
    /// # Errors
    /// [`ClientError::TopicUnknown`].
    pub async fn partition_count(&self, topic: &str) -> Result<u32, ClientError> {
        let name = topic_name(topic)?;
        self.cluster.forget(&name);
        let count = self.cluster.topic(&name).await?.partitions.len();
        u32::try_from(count).map_err(|_| unexpected("metadata"))
    }

    /// One offset of one partition, by place or time.
    ///
    /// # Errors
    /// As [`Admin::list_offsets`].
    pub async fn list_offset(
        &self,
        topic: &str,
        partition: PartitionId,
        place: OffsetPlace,
    ) -> Result<ListedOffset, ClientError> {
        let listed = self.list_offsets(topic, &[(partition, place)]).await?;
        listed.into_iter().next().ok_or(unexpected("list offsets"))
    }

    /// Offsets of several partitions of a topic, by place or time, in the order of the questions.
    ///
    /// # Errors
    /// [`ClientError::TopicUnknown`], [`ClientError::PartitionUnknown`], or the first refusal.
    pub async fn list_offsets(
        &self,
        topic: &str,
        queries: &[(PartitionId, OffsetPlace)],
    ) -> Result<Vec<ListedOffset>, ClientError> {
        let name = topic_name(topic)?;
        self.cluster
            .retrying(|| async {
                let outcome = list_offsets(&self.cluster, &name, queries).await;
                if outcome.is_err() {
                    self.cluster.forget(&name);
                }
                outcome
            })
            .await
    }

    /// The offsets at one place of every partition of a topic, by number.
    ///
    /// # Errors
    /// As [`Admin::list_offsets`].
    pub async fn list_all_offsets(
        &self,
        topic: &str,
        place: OffsetPlace,
    ) -> Result<Vec<ListedOffset>, ClientError> {
        let count = self.partition_count(topic).await?;
        let queries: Vec<_> = (0..count).map(|n| (PartitionId::new(n), place)).collect();
        self.list_offsets(topic, &queries).await
    }

    /// The cluster's brokers and the number of its topics.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        let connection = self.cluster.retrying(|| self.cluster.any()).await?;
        let broker_version = connection.hello().broker_version.clone();
        let reply = self.cluster.retrying(|| self.cluster.metadata(None)).await?;
        let places = reply.topics.iter().filter_map(|topic| topic.outcome.as_ref().ok());
        let partitions: Vec<_> = places.flat_map(|places| &places.partitions).collect();
        Ok(ClusterDescription {
            broker_version,
            controller: usize::from(reply.controller_door),
            topics: reply.topics.len(),
            partitions: partitions.len(),
            partitions_offline: partitions.iter().filter(|owner| !owner.error.is_ok()).count(),
            cluster_id: reply.cluster_id,
            doors: reply.doors,
        })
    }

    /// What the broker that answers counts.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn stats(&self) -> Result<StatsReply, ClientError> {
        let timeout = self.cluster.settings().request_timeout;
        let ask = || async { self.cluster.any().await?.call(&Request::Stats, timeout).await };
        match self.cluster.retrying(ask).await? {
            Reply::Stats(reply) => Ok(reply),
            _ => Err(unexpected("stats")),
        }
    }

    /// Asks for something about one topic; that it does not exist is an error of its own.
    async fn topic_change(&self, topic: &str, request: &Request) -> Result<Reply, ClientError> {
        self.change(request).await.map_err(|error| match error.code() {
            Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId) => {
                ClientError::TopicUnknown { topic: Arc::from(topic) }
            }
            _ => error,
        })
    }

    /// Asks any broker, and the controller if that broker says so. A change that may have been made is
    /// not asked for again.
    async fn change(&self, request: &Request) -> Result<Reply, ClientError> {
        let timeout = self.cluster.settings().request_timeout;
        let connection = self.cluster.retrying(|| self.cluster.any()).await?;
        match connection.call(request, timeout).await {
            Err(error) if error.code() == Some(ErrorCode::NotController) => {
                let view = self.cluster.refresh(Some(&[])).await?;
                let controller = view.controller.as_ref().ok_or(error)?;
                self.cluster.connect(controller).await?.call(request, timeout).await
            }
            outcome => outcome,
        }
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

fn listing(reply: &MetadataReply, name: TopicName, places: &TopicPlaces) -> TopicListing {
    let partitions = places.partitions.iter().filter_map(|owner| {
        let door = reply.doors.get(usize::from(owner.door))?;
        let address = crate::settings::join_address(&door.host, door.port);
        let (node, shard) = (door.node, door.shard);
        Some(PartitionListing { node, shard, address, error: owner.error })
    });
    TopicListing { name, id: places.id, partitions: partitions.collect() }
}

/// Asks each owner for its part of the questions.
pub(crate) async fn list_offsets(
    cluster: &Cluster,
    name: &TopicName,
    queries: &[(PartitionId, OffsetPlace)],
) -> Result<Vec<ListedOffset>, ClientError> {
    let topic = cluster.topic(name).await?;
    let mut by_owner: Map<Arc<str>, Vec<(usize, OffsetQuery)>> = Map::new();
    for (order, (partition, place)) in queries.iter().enumerate() {
        let number = usize::try_from(partition.get()).unwrap_or(usize::MAX);
        let owner = topic.partitions.get(number).ok_or_else(|| ClientError::PartitionUnknown {
            topic: name.clone(),
            partition: *partition,
            count: topic.partitions.len(),
        })?;
        let id = TopicPartition::new(topic.id, *partition);
        let query = OffsetQuery { id, place: *place };
        by_owner.entry(Arc::clone(&owner.address)).or_default().push((order, query));
    }
    let mut listed = Vec::with_capacity(queries.len());
    for (address, asked) in by_owner {
        let queries = asked.iter().map(|(_, query)| *query).collect();
        let outcomes = ask_offsets(cluster, &address, queries).await?;
        for ((order, _), outcome) in asked.into_iter().zip(outcomes) {
            listed.push((order, outcome?));
        }
    }
    listed.sort_by_key(|(order, _)| *order);
    if listed.len() == queries.len() {
        Ok(listed.into_iter().map(|(_, offset)| offset).collect())
    } else {
        Err(unexpected("list offsets"))
    }
}

/// Asks one owner; an outcome for each question, in their order.
pub(crate) async fn ask_offsets(
    cluster: &Cluster,
    address: &Arc<str>,
    queries: Vec<OffsetQuery>,
) -> Result<Vec<Result<ListedOffset, ClientError>>, ClientError> {
    let connection = cluster.connect(address).await?;
    let asked = queries.len();
    let request = Request::ListOffsets(ListOffsets { queries });
    match connection.call(&request, cluster.settings().request_timeout).await? {
        Reply::ListOffsets(reply) if reply.partitions.len() == asked => {
            Ok(reply.partitions.into_iter().map(|one| one.map_err(ClientError::from)).collect())
        }
        _ => Err(unexpected("list offsets")),
    }
}

#[cfg(test)]
mod tests;
