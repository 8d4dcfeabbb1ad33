//! Topics that come and go while the broker is killed: what was answered holds after the restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kolk_client::admin::{Admin, NewTopic};
use kolk_client::client::Client;
use kolk_client::error::ClientError;
use kolk_client::producer::settings::ProducerSettings;
use kolk_client::producer::{Producer, Record};
use kolk_model::error::ErrorCode;

use crate::random::Random;

/// Topics at a time, so that the load's own partitions stay the most.
const TOPICS_MAX: usize = 6;
const PARTITIONS: u32 = 2;
const PAUSE: Duration = Duration::from_millis(10);
/// Records that a topic gets, so that there is something to delete.
const RECORDS: usize = 12;
const RECORD_BYTES: usize = 20_000;
/// A kill must not hold the churn up for long.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(2);

/// What was promised of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    There,
    Gone,
    /// The answer did not come.
    Nothing,
}

/// The topics and their promises.
pub(crate) struct Churn {
    admin: Admin,
    producer: Producer,
    promises: BTreeMap<String, Promise>,
    random: Random,
}

impl Churn {
    /// Within a runtime.
    pub(crate) fn new(client: &Client, random: Random) -> Self {
        let mut settings = ProducerSettings::default();
        settings.delivery_timeout = DELIVERY_TIMEOUT;
        let producer = client.producer(settings).expect("settings in their ranges");
        Self { admin: client.admin(), producer, promises: BTreeMap::new(), random }
    }

    /// How many creations and deletions there were.
    pub(crate) fn count(&self) -> usize {
        self.promises.values().map(|promise| if *promise == Promise::There { 1 } else { 2 }).sum()
    }

    /// Creates and deletes until told to stop.
    pub(crate) async fn churn(&mut self, stop: Arc<AtomicBool>) {
        while !stop.load(Ordering::Relaxed) {
            let there = |(name, promise): (&String, &Promise)| {
                (*promise != Promise::Gone).then(|| name.clone())
            };
            let names: Vec<String> = self.promises.iter().filter_map(there).collect();
            if names.len() < TOPICS_MAX {
                self.create().await;
            } else {
                let place = self.random.below(names.len());
                self.delete(names[place].clone()).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn create(&mut self) {
        let name = format!("churn-{}", self.promises.len());
        let created = self.admin.create_topic(NewTopic::named(&name).partitions(PARTITIONS)).await;
        let exists = |error: &ClientError| error.code() == Some(ErrorCode::TopicAlreadyExists);
        let promise = match created {
            Ok(_) => Promise::There,
            Err(error) if exists(&error) => Promise::There,
            Err(_) => Promise::Nothing,
        };
        if promise == Promise::There {
            self.fill(&name).await;
        }
        self.promises.insert(name, promise);
    }

    /// Some records, whatever becomes of them.
    async fn fill(&self, name: &str) {
        let value = vec![b'c'; RECORD_BYTES];
        let mut last = None;
        for _ in 0..RECORDS {
            last = self.producer.enqueue(Record::to(name).value(&value)).await.ok();
        }
        if let Some(last) = last {
            drop(last.await);
        }
    }

    async fn delete(&mut self, name: String) {
        let promise = match self.admin.delete_topic(&name).await {
            Ok(()) | Err(ClientError::TopicUnknown { .. }) => Promise::Gone,
            Err(_) => Promise::Nothing,
        };
        self.promises.insert(name, promise);
    }

    /// Compares the promises with the topics that there are.
    pub(crate) async fn judge(&self) -> Result<(), String> {
        let listed = self.admin.list_topics().await.map_err(|e| format!("list topics: {e}"))?;
        for (name, promise) in &self.promises {
            let topic = listed.iter().find(|topic| topic.name.to_string() == *name);
            let held = match (promise, topic) {
                (Promise::Nothing, _) | (Promise::Gone, None) => true,
                (Promise::There, Some(topic)) => {
                    let partitions = &topic.partitions;
                    partitions.len() == usize::try_from(PARTITIONS).expect("64-bit")
                        && partitions.iter().all(|p| p.error == ErrorCode::None)
                }
                (Promise::There, None) | (Promise::Gone, Some(_)) => false,
            };
            if !held {
                return Err(format!("topic {name}: promised {promise:?}, found {topic:?}"));
            }
        }
        Ok(())
    }
}
