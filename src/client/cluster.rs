//! What is known about the cluster: where topics are, and the connections to their owners. Apart because
//! producer, consumer and admin each keep one.

pub(crate) mod connection;
pub(crate) mod coordinator;

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicId, TopicName, TopicPartition};
use kolk_model::map::Map;
use kolk_native::reply::{MetadataReply, Reply, TopicPlaces};
use kolk_native::request::{MetadataQuery, Request};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::cluster::connection::Connection;
use crate::error::ClientError;
use crate::settings::{ClientSettings, join_address};

#[allow(clippy::disallowed_types, reason = "callers of any thread share what is known")]
type Mutex<T> = std::sync::Mutex<T>;

/// Metadata and connections. Nothing runs in the background: it asks when it is asked.
pub(crate) struct Cluster {
    settings: ClientSettings,
    view: Mutex<Arc<View>>,
    doors: Mutex<Map<Arc<str>, Arc<Door>>>,
}

/// What the brokers said last. Never changes: the next answer makes another one.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) controller: Option<Arc<str>>,
    pub(crate) topics: Map<TopicName, TopicView>,
    names: Map<TopicId, TopicName>,
}

/// A topic and the owners of its partitions.
#[derive(Clone, Debug)]
pub(crate) struct TopicView {
    pub(crate) id: TopicId,
    pub(crate) partitions: Vec<Owner>,
    pub(crate) known_since: Instant,
}

/// The address of a partition's owner.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    pub(crate) address: Arc<str>,
    pub(crate) error: ErrorCode,
}

/// One address, and its connection once there is one.
struct Door {
    address: Arc<str>,
    /// Asynchronous, so that many callers wait for one attempt.
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
}

impl View {
    /// Where a partition is; `None` while that is unknown.
    pub(crate) fn owner(&self, id: TopicPartition) -> Option<&Owner> {
        let topic = self.topics.get(self.names.get(&id.topic)?)?;
        topic.partitions.get(usize::try_from(id.partition.get()).ok()?)
    }

    fn forget(&mut self, name: &TopicName) {
        if let Some(gone) = self.topics.remove(name) {
            self.names.remove(&gone.id);
        }
    }

    fn learn(&mut self, name: TopicName, places: TopicPlaces, addresses: &[Arc<str>]) {
        self.forget(&name);
        let owner = |owner: &kolk_native::reply::PartitionOwner| {
            // The decoder made sure that every owner has a door.
            let address = addresses.get(usize::from(owner.door)).cloned().unwrap_or_default();
            Owner { address, error: owner.error }
        };
        let partitions = places.partitions.iter().map(owner).collect();
        self.names.insert(places.id, name.clone());
        let known_since = Instant::now();
        self.topics.insert(name, TopicView { id: places.id, partitions, known_since });
    }
}

impl Cluster {
    pub(crate) fn new(settings: ClientSettings) -> Self {
        Self { settings, view: Mutex::default(), doors: Mutex::default() }
    }

    pub(crate) fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    pub(crate) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A topic as it is known, or as the brokers say now. Tries again for `retry_timeout` while no broker
    /// can be reached.
    pub(crate) async fn topic(&self, name: &TopicName) -> Result<TopicView, ClientError> {
        let age_max = self.settings.metadata_age_max;
        if let Some(known) = self.view().topics.get(name).filter(|t| t.is_fresh(age_max)) {
            return Ok(known.clone());
        }
        let view = self.retrying(|| self.refresh(Some(std::slice::from_ref(name)))).await?;
        let unknown = || ClientError::TopicUnknown { topic: Arc::from(name.as_str()) };
        view.topics.get(name).cloned().ok_or_else(unknown)
    }

    /// Asks where these topics are, or all.
    pub(crate) async fn refresh(
        &self,
        topics: Option<&[TopicName]>,
    ) -> Result<Arc<View>, ClientError> {
        let reply = self.metadata(topics).await?;
        let mut guard = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let mut view = View::clone(&guard);
        let doors = reply.doors.iter();
        let addresses: Vec<_> = doors.map(|door| join_address(&door.host, door.port)).collect();
        view.controller = addresses.get(usize::from(reply.controller_door)).cloned();
        if topics.is_none() {
            view.topics.clear();
            view.names.clear();
        }
        for topic in reply.topics {
            match topic.outcome {
                Ok(places) => view.learn(topic.name, places, &addresses),
                Err(_) => view.forget(&topic.name),
            }
        }
        *guard = Arc::new(view);
        Ok(Arc::clone(&guard))
    }

    /// The brokers' own words about topics.
    pub(crate) async fn metadata(
        &self,
        topics: Option<&[TopicName]>,
    ) -> Result<MetadataReply, ClientError> {
        let query = MetadataQuery { topics: topics.map(<[TopicName]>::to_vec) };
        let connection = self.any().await?;
        match connection.call(&Request::Metadata(query), self.settings.request_timeout).await? {
            Reply::Metadata(reply) => Ok(reply),
            _ => Err(unexpected("metadata")),
        }
    }

    /// A connection to whichever broker answers.
    pub(crate) async fn any(&self) -> Result<Arc<Connection>, ClientError> {
        let known: Vec<_> = {
            let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
            doors.values().cloned().collect()
        };
        if let Some(open) = known.iter().find_map(|door| door.open()) {
            return Ok(open);
        }
        let bootstrap = &self.settings.bootstrap;
        let learned = known.iter().map(|door| &door.address);
        let learned = learned.filter(|address| !bootstrap.contains(address));
        let mut reason: Arc<str> = Arc::from("no address is known");
        let mut stranger = None;
        for address in bootstrap.iter().chain(learned) {
            match self.connect(address).await {
                Ok(connection) => return Ok(connection),
                Err(error @ ClientError::Protocol { .. }) => return Err(error),
                Err(error @ ClientError::NotNative { .. }) => stranger = Some(error),
                // Each address is named once; which of several failed last is named with the reason.
                Err(ClientError::Disconnected { reason: why, .. })
                    if **bootstrap == [Arc::clone(address)] =>
                {
                    reason = why;
                }
                Err(ClientError::Disconnected { address, reason: why }) => {
                    reason = Arc::from(format!("{address}: {why}"));
                }
                Err(error) => reason = Arc::from(error.to_string()),
            }
        }
        // That somebody else listens says more than that nobody does.
        Err(stranger.unwrap_or(ClientError::Unreachable { tried: bootstrap.join(","), reason }))
    }

    /// The connection to an address; makes one if there is none.
    pub(crate) async fn connect(&self, address: &Arc<str>) -> Result<Arc<Connection>, ClientError> {
        let door = {
            let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
            let door = || Arc::new(Door { address: Arc::clone(address), connection: None.into() });
            Arc::clone(doors.entry(Arc::clone(address)).or_insert_with(door))
        };
        door.connect(&self.settings).await
    }

    /// The connection to a partition's owner, asking again where it is if that is unknown.
    pub(crate) async fn owner(
        &self,
        name: &TopicName,
        partition: PartitionId,
    ) -> Result<(TopicPartition, Arc<Connection>), ClientError> {
        let topic = self.topic(name).await?;
        let owner = usize::try_from(partition.get()).ok().and_then(|at| topic.partitions.get(at));
        let owner = owner.ok_or_else(|| ClientError::PartitionUnknown {
            topic: name.clone(),
            partition,
            count: topic.partitions.len(),
        })?;
        if !owner.error.is_ok() {
            return Err(ClientError::refused(owner.error, ""));
        }
        let connection = self.connect(&owner.address).await?;
        Ok((TopicPartition::new(topic.id, partition), connection))
    }

    /// Makes the next look at a topic ask the brokers.
    pub(crate) fn forget(&self, name: &TopicName) {
        let mut guard = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        let mut view = View::clone(&guard);
        view.forget(name);
        *guard = Arc::new(view);
    }

    /// Does something again, with pauses, until it works, fails for good or `retry_timeout` is over.
    pub(crate) async fn retrying<T, F>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, ClientError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut backoff = Backoff::new(&self.settings);
        let deadline = Instant::now() + self.settings.retry_timeout;
        let mut tried = 0;
        loop {
            match attempt().await {
                Err(error) if error.retriable() => {
                    let pause = backoff.pause(tried);
                    if Instant::now() + pause > deadline {
                        return Err(error);
                    }
                    tried += 1;
                    tokio::time::sleep(pause).await;
                }
                outcome => return outcome,
            }
        }
    }
}

impl TopicView {
    pub(crate) fn is_fresh(&self, age_max: Duration) -> bool {
        self.known_since.elapsed() < age_max
    }
}

impl Door {
    /// The connection, if there is one and nobody is making another.
    fn open(&self) -> Option<Arc<Connection>> {
        self.connection.try_lock().ok()?.clone().filter(|connection| connection.is_open())
    }

    async fn connect(&self, settings: &ClientSettings) -> Result<Arc<Connection>, ClientError> {
        let mut slot = self.connection.lock().await;
        if let Some(open) = slot.as_ref().filter(|connection| connection.is_open()) {
            return Ok(Arc::clone(open));
        }
        *slot = None;
        let opened = Connection::open(&self.address, settings).await;
        match &opened {
            Ok(_) => settings.contact.made(),
            Err(error) => settings.contact.missed(error),
        }
        let connection = Arc::new(opened?);
        tracing::debug!(address = %self.address, shard = %connection.hello().shard, "connected");
        *slot = Some(Arc::clone(&connection));
        Ok(connection)
    }
}

/// An answer to another question than the one that was asked.
pub(crate) fn unexpected(what: &'static str) -> ClientError {
    let reason = Arc::from(format!("an answer to {what} was expected"));
    ClientError::Protocol { address: Arc::from("the broker"), reason }
}
