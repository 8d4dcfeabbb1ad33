//! Where everything begins: settings become producers, consumers and admins. Apart so that examples need
//! one import.

use std::sync::Arc;

use crate::admin::Admin;
use crate::bulk::Bulk;
use crate::cluster::Cluster;
use crate::consumer::Consumer;
use crate::consumer::group::GroupConsumer;
use crate::consumer::group::settings::GroupSettings;
use crate::consumer::settings::ConsumerSettings;
use crate::error::ClientError;
use crate::producer::Producer;
use crate::producer::settings::ProducerSettings;
use crate::settings::ClientSettings;

/// Makes producers, consumers and admins, each with connections of its own. Cheap to clone; holds no
/// connection itself.
///
/// ```no_run
/// use kolk_client::client::Client;
///
/// # async fn example() -> Result<(), kolk_client::error::ClientError> {
/// let client = Client::new("localhost:9640")?;
/// for topic in client.admin().list_topics().await? {
///     println!("{} has {} partitions", topic.name, topic.partitions.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    settings: ClientSettings,
}

impl Client {
    /// A client of the brokers `host:port,host:port`, with default settings. Does not connect yet.
    ///
    /// # Errors
    /// [`ClientError::Address`].
    pub fn new(brokers: &str) -> Result<Self, ClientError> {
        ClientSettings::new(brokers).map(Self::with_settings)
    }

    /// A client with settings of its own. Does not connect yet.
    #[must_use]
    pub const fn with_settings(settings: ClientSettings) -> Self {
        Self { settings }
    }

    /// Topics, groups, offsets, figures.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.cluster())
    }

    /// A producer. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ClientError::Setting`] for a value out of range.
    pub fn producer(&self, settings: ProducerSettings) -> Result<Producer, ClientError> {
        Producer::new(self.cluster(), settings)
    }

    /// A consumer, with nothing assigned yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ClientError::Setting`] for a value out of range.
    pub fn consumer(&self, settings: ConsumerSettings) -> Result<Consumer, ClientError> {
        Consumer::new(self.cluster(), settings)
    }

    /// A member of a consumer group, with nothing subscribed yet. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ClientError::Setting`] for a value out of range.
    pub fn group_consumer(&self, settings: GroupSettings) -> Result<GroupConsumer, ClientError> {
        GroupConsumer::new(&self.cluster(), settings)
    }

    /// A producer of batches that are finished already.
    #[must_use]
    pub fn bulk(&self) -> Bulk {
        Bulk::new(self.cluster())
    }

    fn cluster(&self) -> Arc<Cluster> {
        Arc::new(Cluster::new(self.settings.clone()))
    }
}
