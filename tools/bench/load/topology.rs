//! Where a topic's partitions are: which door to knock at.

use kolk_model::ids::{PartitionId, TopicName, TopicPartition};
use kolk_model::map::Map;
use kolk_model::offset::Offset;
use kolk_native::reply::Reply;
use kolk_native::request::{
    CreateTopic, ListOffsets, MetadataQuery, OffsetPlace, OffsetQuery, Request,
};

use crate::error::{BenchError, Outcome};
use crate::load::wire::Wire;

/// Room for replies to administrative calls.
const ADMIN_BYTES: usize = 64 * 1024;

/// The partitions of one door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DoorPartitions {
    pub(crate) address: String,
    pub(crate) partitions: Vec<TopicPartition>,
}

/// Makes the topic; one that is there already is used as it is.
pub(crate) fn create_topic(
    broker: &str,
    name: &str,
    partitions: u32,
    settings: &[(&str, &str)],
) -> Outcome<()> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let create = Request::CreateTopic(CreateTopic {
        name: topic_name(name)?,
        partitions: Some(partitions),
        settings: settings.iter().map(owned).collect(),
        validate_only: false,
    });
    match Wire::connect(broker, ADMIN_BYTES)?.call(&create) {
        Err(BenchError::Refused { reason, .. }) if reason.contains("TOPIC_ALREADY_EXISTS") => {
            Ok(())
        }
        outcome => outcome.map(drop),
    }
}

/// Deletes the topic.
pub(crate) fn delete_topic(broker: &str, name: &str) -> Outcome<()> {
    let delete = Request::DeleteTopic(topic_name(name)?);
    Wire::connect(broker, ADMIN_BYTES)?.call(&delete).map(drop)
}

/// The topic's partitions by door.
pub(crate) fn doors(broker: &str, name: &str) -> Outcome<Vec<DoorPartitions>> {
    let mut wire = Wire::connect(broker, ADMIN_BYTES)?;
    let query = MetadataQuery { topics: Some(vec![topic_name(name)?]) };
    let Reply::Metadata(reply) = wire.call(&Request::Metadata(query))? else {
        return Err(wire.protocol("metadata was answered with something else".to_owned()));
    };
    let topic = reply.topics.first().map(|topic| &topic.outcome);
    let places = match topic {
        Some(Ok(places)) => places,
        Some(Err(code)) => return Err(BenchError::refused(format!("topic '{name}'"), code)),
        None => return Err(BenchError::refused(format!("topic '{name}'"), "not answered")),
    };
    let mut by_door: Map<u16, DoorPartitions> = Map::new();
    for (number, owner) in (0_u32..).zip(&places.partitions) {
        let Some(door) = reply.doors.get(usize::from(owner.door)) else { continue };
        let of_door = by_door.entry(owner.door).or_insert_with(|| DoorPartitions {
            address: format!("{}:{}", door.host, door.port),
            partitions: Vec::new(),
        });
        of_door.partitions.push(TopicPartition::new(places.id, PartitionId::new(number)));
    }
    Ok(by_door.into_values().collect())
}

/// Begin and end of each partition of a door.
pub(crate) fn bounds(
    wire: &mut Wire,
    partitions: &[TopicPartition],
) -> Outcome<Vec<(Offset, Offset)>> {
    let mut list = |place| {
        let queries = partitions.iter().map(|id| OffsetQuery { id: *id, place }).collect();
        let Reply::ListOffsets(reply) =
            wire.call(&Request::ListOffsets(ListOffsets { queries }))?
        else {
            return Err(wire.protocol("list offsets was answered with something else".to_owned()));
        };
        let each = reply.partitions.into_iter().map(|outcome| {
            let listed = outcome.map_err(|refusal| BenchError::refused("list offsets", refusal))?;
            Ok(listed.offset.unwrap_or_default())
        });
        each.collect::<Outcome<Vec<Offset>>>()
    };
    let (begins, ends) = (list(OffsetPlace::Beginning)?, list(OffsetPlace::End)?);
    Ok(begins.into_iter().zip(ends).collect())
}

/// Records between begin and end of all of a topic's partitions.
pub(crate) fn records(broker: &str, name: &str) -> Outcome<u64> {
    let mut records = 0;
    for door in doors(broker, name)? {
        let mut wire = Wire::connect(&door.address, ADMIN_BYTES)?;
        for (begin, end) in bounds(&mut wire, &door.partitions)? {
            records += end.get().saturating_sub(begin.get());
        }
    }
    Ok(records)
}

fn topic_name(name: &str) -> Outcome<TopicName> {
    TopicName::new(name).map_err(|error| BenchError::Workload(error.to_string()))
}
