//! The native client on tokio: producer, consumer, admin.
//!
//! Apart from the broker because it runs in other people's processes: it names only the record format
//! (`kolk-model`) and the wire (`kolk-native`).
//!
//! Begin with [`client::Client`]. Clients find the shard that owns a partition by metadata and talk
//! straight to it. Everything is retried with growing pauses, except where a retry could do something
//! twice; each error says whether trying again can help.
//!
//! ```no_run
//! use kolk_client::admin::NewTopic;
//! use kolk_client::client::Client;
//! use kolk_client::consumer::Position;
//! use kolk_client::consumer::settings::ConsumerSettings;
//! use kolk_client::producer::Record;
//! use kolk_client::producer::settings::ProducerSettings;
//!
//! # async fn example() -> Result<(), kolk_client::error::ClientError> {
//! let client = Client::new("localhost:9640")?;
//! client.admin().create_topic(NewTopic::named("page-views").partitions(4)).await?;
//!
//! let producer = client.producer(ProducerSettings::default())?;
//! let sent = producer.send(Record::to("page-views").key(b"user-1").value(b"/home")).await?;
//! println!("at offset {} of partition {}", sent.offset, sent.partition);
//!
//! let mut consumer = client.consumer(ConsumerSettings::default())?;
//! consumer.assign_topic("page-views", Position::Beginning).await?;
//! for record in &consumer.next_records().await? {
//!     println!("{:?}", record?.value);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A module names only modules listed below it, but for [`client`].

pub mod client;

pub mod bulk;
pub mod consumer;

pub mod admin;
pub mod producer;

mod cluster;

pub mod answer;
mod backoff;
pub mod error;
pub mod settings;

#[cfg(test)]
mod fake;
