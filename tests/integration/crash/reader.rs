//! Reads whole topics back through the client, as any consumer would.

use std::collections::BTreeMap;
use std::time::Duration;

use kolk_client::answer::OffsetPlace;
use kolk_client::client::Client;
use kolk_client::consumer::Position;
use kolk_client::consumer::settings::{ConsumerSettings, OutOfRange};

use super::ledger::{Found, Keep, Stamp};
use super::load::Topic;

/// Until all of a topic must have been read.
const READ_WAIT: Duration = Duration::from_secs(60);

/// What was found of a topic, by partition.
pub(crate) type FoundTopic = BTreeMap<u32, Found>;

/// Reads every partition of a topic from its beginning to its end of this moment.
pub(crate) async fn read_whole(client: &Client, topic: &Topic) -> Result<FoundTopic, String> {
    let reading = tokio::time::timeout(READ_WAIT, read(client, topic));
    reading.await.unwrap_or_else(|_| Err(format!("{}: not read in {READ_WAIT:?}", topic.name)))
}

async fn read(client: &Client, topic: &Topic) -> Result<FoundTopic, String> {
    let failed = |error: kolk_client::error::ClientError| format!("{}: {error}", topic.name);
    let admin = client.admin();
    let listed = admin.list_all_offsets(topic.name, OffsetPlace::End).await.map_err(failed)?;
    let mut left: BTreeMap<u32, u64> = BTreeMap::new();
    for (partition, end) in (0..).zip(listed) {
        left.insert(partition, end.offset.map_or(0, kolk_model::offset::Offset::get));
    }
    if left.len() != usize::try_from(topic.partitions).expect("64-bit") {
        return Err(format!("{}: {} partitions are left", topic.name, left.len()));
    }
    left.retain(|_, end| *end > 0);
    let mut found = FoundTopic::new();
    let mut settings = ConsumerSettings::default();
    if topic.keep != Keep::All {
        // Retention may raise the log start at any moment.
        settings.out_of_range = OutOfRange::Beginning;
    }
    let mut consumer = client.consumer(settings).map_err(failed)?;
    consumer.assign_topic(topic.name, Position::Beginning).await.map_err(failed)?;
    while !left.is_empty() {
        let fetched = consumer.next_records().await.map_err(failed)?;
        let partition = fetched.partition().get();
        let into = found.entry(partition).or_default();
        for record in &fetched {
            let record = record.map_err(|e| format!("{}/{partition}: {e}", topic.name))?;
            let offset = record.offset.get();
            let value = record.value.unwrap_or_default();
            into.value_bytes += u64::try_from(value.len()).expect("64-bit");
            let stamp = Stamp::parse(value);
            let stamp = stamp.ok_or_else(|| {
                format!("{}/{partition} offset {offset}: other bytes", topic.name)
            })?;
            into.records.push((offset, stamp));
        }
        if left.get(&partition).is_some_and(|end| fetched.next_offset().get() >= *end) {
            left.remove(&partition);
        }
    }
    Ok(found)
}
