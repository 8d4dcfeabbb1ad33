//! A frame becomes a request. Apart from the types because only brokers do this.

mod group;

use bytes::Bytes;
use flatbuffers::{ForwardsUOffset, Vector};
use kolk_model::batch::{HEADER_BYTES, LENGTH_PREFIX_BYTES};
use kolk_model::durability::AckLevel;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicId, TopicName, TopicPartition};
use kolk_model::limits::{
    CLIENT_ID_BYTES_MAX, PRODUCE_BATCHES_MAX, REQUEST_PARTITIONS_MAX, REQUEST_TOPICS_MAX,
    TOPIC_SETTING_BYTES_MAX, TOPIC_SETTINGS_MAX,
};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use super::{
    AddPartitions, AlterTopic, CorrelationId, CreateTopic, Fetch, FetchPartition, Hello,
    ListOffsets, MetadataQuery, OffsetPlace, OffsetQuery, Produce, ProducePartition, Request,
    RequestError, RequestFrame, Setting, Trim, TrimPartition,
};
use crate::fetch_generated as fetch;
use crate::frame::Frame;
use crate::frame_generated as wire;
use crate::header::verified;
use crate::hello_generated as hello;
use crate::ids_generated as ids;
use crate::offsets_generated as offsets;
use crate::produce_generated as produce;
use crate::topic_generated as topic;

/// A list of tables.
type Tables<'a, T> = Vector<'a, ForwardsUOffset<T>>;

/// A refusal whose request number is added by the caller.
type Fault = (ErrorCode, String);

/// Reads a request. Costs time and memory linear in the header's length, whatever it says; payload is
/// sliced, not copied.
///
/// # Errors
/// [`RequestError::Malformed`] when the header is none; [`RequestError::Refused`] when its number can be
/// answered.
pub fn decode(frame: &Frame) -> Result<RequestFrame, RequestError> {
    decode_into(frame, &mut Vec::new())
}

/// As [`decode`]. The list of a produce request's partitions is `spare`, emptied, which is without memory then: who gives the list
/// of the last request back allocates none for the next.
///
/// # Errors
/// As [`decode`].
pub fn decode_into(
    frame: &Frame,
    spare: &mut Vec<ProducePartition>,
) -> Result<RequestFrame, RequestError> {
    let root = verified::<wire::Request<'_>>(frame.header())
        .map_err(|fault| RequestError::Malformed { fault })?;
    let correlation = CorrelationId::new(root.correlation_id());
    read_call(&root, frame.payload(), spare)
        .map(|request| RequestFrame { correlation, request })
        .map_err(|(code, detail)| RequestError::Refused { correlation, code, detail })
}

fn read_call(
    root: &wire::Request<'_>,
    payload: Bytes,
    spare: &mut Vec<ProducePartition>,
) -> Result<Request, Fault> {
    let kind = root.call_type();
    if kind != wire::Call::Produce && !payload.is_empty() {
        return Err(invalid(format!("{} bytes of payload where none belong", payload.len())));
    }
    if let Some(call) = root.call_as_produce() {
        return read_produce(&call, payload, spare).map(Request::Produce);
    }
    if let Some(call) = root.call_as_fetch() {
        return read_fetch(&call).map(Request::Fetch);
    }
    if let Some(call) = root.call_as_list_offsets() {
        return read_list_offsets(&call).map(Request::ListOffsets);
    }
    if let Some(call) = root.call_as_metadata() {
        return read_metadata(&call).map(Request::Metadata);
    }
    if let Some(call) = root.call_as_hello() {
        return read_hello(&call).map(Request::Hello);
    }
    if root.call_as_init_producer().is_some() {
        return Ok(Request::InitProducer);
    }
    if root.call_as_stats().is_some() {
        return Ok(Request::Stats);
    }
    if let Some(call) = group::read_group_call(root) {
        return call.map(Request::Group);
    }
    read_topic_call(root)
}

fn read_topic_call(root: &wire::Request<'_>) -> Result<Request, Fault> {
    if let Some(call) = root.call_as_create_topic() {
        return read_create(&call).map(Request::CreateTopic);
    }
    if let Some(call) = root.call_as_delete_topic() {
        return read_name(call.name()).map(Request::DeleteTopic);
    }
    if let Some(call) = root.call_as_alter_topic() {
        return read_alter(&call).map(Request::AlterTopic);
    }
    if let Some(call) = root.call_as_add_partitions() {
        let name = read_name(call.name())?;
        return Ok(Request::AddPartitions(AddPartitions { name, partitions: call.partitions() }));
    }
    if let Some(call) = root.call_as_describe_topic() {
        return read_name(call.name()).map(Request::DescribeTopic);
    }
    if let Some(call) = root.call_as_trim() {
        return read_trim(&call).map(Request::Trim);
    }
    let number = root.call_type().0;
    Err((ErrorCode::UnsupportedVersion, format!("call {number} is not known here")))
}

fn read_hello(call: &hello::Hello<'_>) -> Result<Hello, Fault> {
    let client_id = call.client_id().unwrap_or_default();
    if client_id.len() > CLIENT_ID_BYTES_MAX {
        return Err(invalid(format!("a client id of {} bytes is too long", client_id.len())));
    }
    Ok(Hello {
        protocol_version: call.protocol_version(),
        features: call.features(),
        client_id: client_id.to_owned(),
        wants_producer_id: call.wants_producer_id(),
    })
}

fn read_metadata(call: &topic::Metadata<'_>) -> Result<MetadataQuery, Fault> {
    let Some(names) = call.topics() else {
        return Ok(MetadataQuery { topics: None });
    };
    bounded("topics", names.len(), REQUEST_TOPICS_MAX)?;
    let topics = names.iter().map(read_name).collect::<Result<_, _>>()?;
    Ok(MetadataQuery { topics: Some(topics) })
}

fn read_create(call: &topic::CreateTopic<'_>) -> Result<CreateTopic, Fault> {
    Ok(CreateTopic {
        name: read_name(call.name())?,
        partitions: Some(call.partitions()).filter(|count| *count > 0),
        settings: read_settings(call.settings())?,
        validate_only: call.validate_only(),
    })
}

fn read_alter(call: &topic::AlterTopic<'_>) -> Result<AlterTopic, Fault> {
    let reset = call.reset();
    bounded("settings", reset.map_or(0, |names| names.len()), TOPIC_SETTINGS_MAX)?;
    let reset = reset.into_iter().flatten().map(read_text).collect::<Result<_, _>>()?;
    let set = read_settings(call.set())?;
    Ok(AlterTopic { name: read_name(call.name())?, set, reset })
}

fn read_settings(settings: Option<Tables<'_, ids::Setting<'_>>>) -> Result<Vec<Setting>, Fault> {
    let Some(settings) = settings else {
        return Ok(Vec::new());
    };
    bounded("settings", settings.len(), TOPIC_SETTINGS_MAX)?;
    settings.iter().map(|s| Ok((read_text(s.name())?, read_text(s.value())?))).collect()
}

fn read_text(text: &str) -> Result<String, Fault> {
    if text.len() > TOPIC_SETTING_BYTES_MAX {
        let detail = format!("a setting of {} bytes is too long", text.len());
        return Err((ErrorCode::InvalidConfig, detail));
    }
    Ok(text.to_owned())
}

fn read_trim(call: &topic::Trim<'_>) -> Result<Trim, Fault> {
    let name = read_name(call.name())?;
    let partitions = listed(call.partitions())?;
    let partitions = partitions.into_iter().flatten().map(|one| TrimPartition {
        partition: PartitionId::new(one.partition()),
        before: Offset::from_wire(one.before_offset()),
    });
    Ok(Trim { name, partitions: partitions.collect() })
}

fn read_produce(
    call: &produce::Produce<'_>,
    payload: Bytes,
    spare: &mut Vec<ProducePartition>,
) -> Result<Produce, Fault> {
    let durability = match call.durability() {
        produce::Durability::Topic => AckLevel::Topic,
        produce::Durability::None => AckLevel::None,
        produce::Durability::ProcessCrash => AckLevel::ProcessCrash,
        produce::Durability::PowerLoss => AckLevel::PowerLoss,
        produce::Durability(number) => {
            let detail = format!("durability {number} is not known here");
            return Err((ErrorCode::InvalidRequiredAcks, detail));
        }
    };
    let listed = listed(call.partitions())?;
    let mut partitions = std::mem::take(spare);
    partitions.clear();
    partitions.reserve(listed.map_or(0, |list| list.len()));
    let mut cutter = Cutter { rest: payload, batches_left: PRODUCE_BATCHES_MAX };
    for one in listed.into_iter().flatten() {
        partitions.push(ProducePartition {
            id: partition_id(one.topic(), one.partition()),
            batches: cutter.cut(one.batch_bytes().into_iter().flatten())?,
            expected_next_offset: Offset::from_wire(one.expected_next_offset()),
        });
    }
    if cutter.rest.is_empty() {
        Ok(Produce { durability, partitions })
    } else {
        Err(invalid(format!("{} bytes of payload belong to no partition", cutter.rest.len())))
    }
}

/// Cuts a payload into the partitions' parts.
struct Cutter {
    rest: Bytes,
    batches_left: usize,
}

impl Cutter {
    /// Cuts off batches of these lengths; each must agree with the length that the batch itself states.
    fn cut(&mut self, lengths: impl Iterator<Item = u32>) -> Result<Bytes, Fault> {
        let mut end = 0_usize;
        for length in lengths {
            self.batches_left = self.batches_left.checked_sub(1).ok_or_else(|| {
                invalid(format!("more than {PRODUCE_BATCHES_MAX} batches in one request"))
            })?;
            let bytes = usize::try_from(length).unwrap_or(usize::MAX);
            let batch = self.rest.get(end..end.saturating_add(bytes));
            let stated = batch.and_then(stated_length).ok_or_else(|| {
                invalid(format!("a batch of {length} bytes is not in the payload"))
            })?;
            if stated != bytes {
                return Err((
                    ErrorCode::InvalidRecord,
                    format!("a batch of {length} bytes says it has {stated}"),
                ));
            }
            end += bytes;
        }
        if end == 0 {
            return Err(invalid("a partition without batches".to_owned()));
        }
        Ok(self.rest.split_to(end))
    }
}

/// The whole length that a batch's own length field gives it; `None` if there is no room for a header.
fn stated_length(batch: &[u8]) -> Option<usize> {
    let header = batch.first_chunk::<HEADER_BYTES>()?;
    let length = header.get(LENGTH_PREFIX_BYTES - 4..).and_then(<[u8]>::first_chunk).copied()?;
    usize::try_from(u32::from_be_bytes(length)).ok()?.checked_add(LENGTH_PREFIX_BYTES)
}

fn read_fetch(call: &fetch::Fetch<'_>) -> Result<Fetch, Fault> {
    let listed = listed(call.partitions())?;
    let mut partitions = Vec::with_capacity(listed.map_or(0, |list| list.len()));
    for one in listed.into_iter().flatten() {
        let offset = Offset::new(one.offset());
        if offset > Offset::MAX {
            return Err(invalid(format!("offset {offset} does not exist")));
        }
        let id = partition_id(one.topic(), one.partition());
        partitions.push(FetchPartition { id, offset, bytes_max: one.bytes_max() });
    }
    let (wait_ms_max, bytes_min) = (call.wait_ms_max(), call.bytes_min());
    Ok(Fetch { wait_ms_max, bytes_min, bytes_max: call.bytes_max(), partitions })
}

fn read_list_offsets(call: &offsets::ListOffsets<'_>) -> Result<ListOffsets, Fault> {
    let read = |one: offsets::OffsetQuery<'_>| {
        let place = match one.place() {
            offsets::OffsetPlace::Beginning => OffsetPlace::Beginning,
            offsets::OffsetPlace::End => OffsetPlace::End,
            offsets::OffsetPlace::Timestamp => OffsetPlace::At(TimestampMs::new(one.timestamp())),
            offsets::OffsetPlace(number) => {
                return Err(invalid(format!("place {number} is not known here")));
            }
        };
        Ok(OffsetQuery { id: partition_id(one.topic(), one.partition()), place })
    };
    let queries = listed(call.partitions())?.into_iter().flatten().map(read);
    Ok(ListOffsets { queries: queries.collect::<Result<_, _>>()? })
}

fn partition_id(topic: &ids::TopicId, partition: u32) -> TopicPartition {
    TopicPartition::new(TopicId::new(topic.0), PartitionId::new(partition))
}

fn read_name(name: &str) -> Result<TopicName, Fault> {
    TopicName::new(name).map_err(|error| (ErrorCode::InvalidTopic, error.to_string()))
}

/// The list, if it is not too long.
fn listed<T>(list: Option<Tables<'_, T>>) -> Result<Option<Tables<'_, T>>, Fault> {
    bounded("partitions", list.map_or(0, |list| list.len()), REQUEST_PARTITIONS_MAX)?;
    Ok(list)
}

fn bounded(what: &str, count: usize, most: usize) -> Result<(), Fault> {
    if count <= most {
        return Ok(());
    }
    Err(invalid(format!("{count} {what} in one request, at most {most} are accepted")))
}

fn invalid(detail: String) -> Fault {
    (ErrorCode::InvalidRequest, detail)
}
