//! A frame becomes a reply. Apart from the types because only clients do this.

mod group;

use bytes::Bytes;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{
    LeaderEpoch, NodeId, ProducerEpoch, ProducerId, ShardId, TopicId, TopicName,
};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use super::{
    AssignedProducer, CreateTopicReply, DescribeTopicReply, Door, FetchReply, FetchedPartition,
    HelloReply, ListOffsetsReply, ListedOffset, MetadataReply, PartitionDescription,
    PartitionOwner, ProduceRefusal, ProduceReply, Produced, Refusal, Reply, ReplyError, ReplyFrame,
    SettingDescription, Stat, StatsReply, TopicMetadata, TopicPlaces, TrimReply,
};
use crate::fetch_generated as fetch;
use crate::frame::Frame;
use crate::frame_generated as wire;
use crate::header::verified;
use crate::hello_generated as hello;
use crate::offsets_generated as offsets;
use crate::produce_generated as produce;
use crate::request::CorrelationId;
use crate::stats_generated as stats;
use crate::topic_generated as topic;

/// Reads a reply. Costs time and memory linear in the header's length; payload is sliced, not copied.
///
/// # Errors
/// When the header is no reply, or its numbers contradict each other or the payload.
pub fn decode(frame: &Frame) -> Result<ReplyFrame, ReplyError> {
    let root = verified::<wire::Reply<'_>>(frame.header())
        .map_err(|fault| ReplyError::Malformed { fault })?;
    let correlation = CorrelationId::new(root.correlation_id());
    if let Some(refusal) = read_refusal(root.error(), root.message()) {
        return Ok(ReplyFrame { correlation, reply: Reply::Refused(refusal) });
    }
    let payload = frame.payload();
    if root.answer_type() != wire::Answer::FetchReply && !payload.is_empty() {
        return Err(malformed("there is payload where none belongs"));
    }
    let reply = read_answer(&root, payload)?;
    Ok(ReplyFrame { correlation, reply })
}

fn read_answer(root: &wire::Reply<'_>, payload: Bytes) -> Result<Reply, ReplyError> {
    if let Some(answer) = root.answer_as_produce_reply() {
        return read_produce(&answer).map(Reply::Produce);
    }
    if let Some(answer) = root.answer_as_fetch_reply() {
        return read_fetch(&answer, payload).map(Reply::Fetch);
    }
    if let Some(answer) = root.answer_as_list_offsets_reply() {
        return Ok(Reply::ListOffsets(read_list_offsets(&answer)));
    }
    if let Some(answer) = root.answer_as_hello_reply() {
        return Ok(Reply::Hello(read_hello(&answer)));
    }
    if let Some(answer) = root.answer_as_init_producer_reply() {
        return read_producer(answer.producer_id(), answer.producer_epoch())
            .map(Reply::InitProducer)
            .ok_or_else(|| malformed("no producer id where one belongs"));
    }
    if let Some(answer) = root.answer_as_metadata_reply() {
        return read_metadata(&answer).map(Reply::Metadata);
    }
    if let Some(answer) = group::read_group_answer(root) {
        return answer.map(Reply::Group);
    }
    read_topic_answer(root)
}

fn read_topic_answer(root: &wire::Reply<'_>) -> Result<Reply, ReplyError> {
    if let Some(answer) = root.answer_as_create_topic_reply() {
        let id = TopicId::new(answer.id().0);
        return Ok(Reply::CreateTopic(CreateTopicReply { id, partitions: answer.partitions() }));
    }
    if root.answer_as_delete_topic_reply().is_some() {
        return Ok(Reply::DeleteTopic);
    }
    if root.answer_as_alter_topic_reply().is_some() {
        return Ok(Reply::AlterTopic);
    }
    if root.answer_as_add_partitions_reply().is_some() {
        return Ok(Reply::AddPartitions);
    }
    if let Some(answer) = root.answer_as_describe_topic_reply() {
        return read_description(&answer).map(Reply::DescribeTopic);
    }
    if let Some(answer) = root.answer_as_trim_reply() {
        return read_trim(&answer).map(Reply::Trim);
    }
    if let Some(answer) = root.answer_as_stats_reply() {
        return Ok(Reply::Stats(read_stats(&answer)));
    }
    Err(ReplyError::UnknownAnswer { number: root.answer_type().0 })
}

fn read_hello(answer: &hello::HelloReply<'_>) -> HelloReply {
    HelloReply {
        protocol_version: answer.protocol_version(),
        features: answer.features(),
        broker_version: text(answer.broker_version()),
        cluster_id: text(answer.cluster_id()),
        node: NodeId::new(answer.node_id()),
        shard: ShardId::new(answer.shard_id()),
        frame_bytes_max: answer.frame_bytes_max(),
        producer: read_producer(answer.producer_id(), answer.producer_epoch()),
    }
}

fn read_producer(id: i64, epoch: i16) -> Option<AssignedProducer> {
    let (id, epoch) = (ProducerId::from_wire(id)?, ProducerEpoch::from_wire(epoch)?);
    Some(AssignedProducer { id, epoch })
}

fn read_metadata(answer: &topic::MetadataReply<'_>) -> Result<MetadataReply, ReplyError> {
    let doors: Vec<_> = answer.doors().into_iter().flatten().map(|door| read_door(&door)).collect();
    let topics = answer.topics().into_iter().flatten().map(|one| read_topic(&one, doors.len()));
    let topics = topics.collect::<Result<_, _>>()?;
    if usize::from(answer.controller_door()) >= doors.len() {
        return Err(malformed("the controller has no door"));
    }
    Ok(MetadataReply {
        cluster_id: text(answer.cluster_id()),
        controller_door: answer.controller_door(),
        doors,
        topics,
    })
}

fn read_door(door: &topic::Door<'_>) -> Door {
    Door {
        node: NodeId::new(door.node_id()),
        shard: ShardId::new(door.shard_id()),
        host: door.host().to_owned(),
        port: door.port(),
    }
}

fn read_topic(one: &topic::TopicMetadata<'_>, doors: usize) -> Result<TopicMetadata, ReplyError> {
    let name = read_name(one.name())?;
    if let Some(code) = read_code(one.error()) {
        return Ok(TopicMetadata { name, outcome: Err(code) });
    }
    let id = one.id().ok_or_else(|| malformed("a topic has no id"))?;
    let listed = one.partitions();
    let mut partitions = Vec::with_capacity(listed.map_or(0, |list| list.len()));
    for owner in listed.into_iter().flatten() {
        if usize::from(owner.door()) >= doors {
            return Err(malformed("a partition's owner has no door"));
        }
        partitions.push(PartitionOwner {
            door: owner.door(),
            leader_epoch: LeaderEpoch::new(owner.leader_epoch()),
            error: read_code(owner.error()).unwrap_or(ErrorCode::None),
        });
    }
    Ok(TopicMetadata { name, outcome: Ok(TopicPlaces { id: TopicId::new(id.0), partitions }) })
}

fn read_description(
    answer: &topic::DescribeTopicReply<'_>,
) -> Result<DescribeTopicReply, ReplyError> {
    let read_setting = |one: topic::SettingDescription<'_>| SettingDescription {
        name: one.name().to_owned(),
        value: one.value().to_owned(),
        is_default: one.is_default(),
        doc: text(one.doc()),
    };
    let read_partition = |one: topic::PartitionDescription<'_>| PartitionDescription {
        error: read_code(one.error()).unwrap_or(ErrorCode::None),
        shard: ShardId::new(one.shard_id()),
        leader_epoch: LeaderEpoch::new(one.leader_epoch()),
        log_start: Offset::from_wire(one.log_start()),
        high_watermark: Offset::from_wire(one.high_watermark()),
        log_end: Offset::from_wire(one.log_end()),
        size_bytes: one.size_bytes(),
    };
    Ok(DescribeTopicReply {
        name: read_name(answer.name())?,
        id: TopicId::new(answer.id().0),
        settings: answer.settings().into_iter().flatten().map(read_setting).collect(),
        partitions: answer.partitions().into_iter().flatten().map(read_partition).collect(),
    })
}

fn read_trim(answer: &topic::TrimReply<'_>) -> Result<TrimReply, ReplyError> {
    let read = |one: topic::TrimmedPartition<'_>| match read_refusal(one.error(), one.message()) {
        Some(refusal) => Ok(Err(refusal)),
        None => offset(one.log_start()).map(Ok),
    };
    let partitions = answer.partitions().into_iter().flatten().map(read);
    Ok(TrimReply { partitions: partitions.collect::<Result<_, _>>()? })
}

fn read_produce(answer: &produce::ProduceReply<'_>) -> Result<ProduceReply, ReplyError> {
    let listed = answer.partitions();
    let mut partitions = Vec::with_capacity(listed.map_or(0, |list| list.len()));
    for one in listed.into_iter().flatten() {
        partitions.push(match read_refusal(one.error(), one.message()) {
            Some(Refusal { code, detail }) => {
                let end_offset = Offset::from_wire(one.end_offset());
                Err(ProduceRefusal { code, detail, end_offset })
            }
            None => Ok(Produced {
                base_offset: offset(one.base_offset())?,
                next_offset: offset(one.next_offset())?,
                log_start: offset(one.log_start())?,
                append_time_ns: one.append_time_ns(),
                duplicate: one.duplicate(),
            }),
        });
    }
    Ok(ProduceReply { partitions })
}

fn read_fetch(
    answer: &fetch::FetchReply<'_>,
    mut payload: Bytes,
) -> Result<FetchReply, ReplyError> {
    let listed = answer.partitions();
    let mut partitions = Vec::with_capacity(listed.map_or(0, |list| list.len()));
    for one in listed.into_iter().flatten() {
        let bytes = usize::try_from(one.payload_bytes()).unwrap_or(usize::MAX);
        if bytes > payload.len() {
            return Err(malformed("the payload is shorter than its parts"));
        }
        let refusal = read_refusal(one.error(), one.message());
        let batches = match (refusal, bytes) {
            (Some(refusal), 0) => Err(refusal),
            (Some(_), _) => return Err(malformed("a refused partition has payload")),
            (None, 0) => Ok(Vec::new()),
            (None, _) => Ok(vec![payload.split_to(bytes)]),
        };
        partitions.push(FetchedPartition {
            batches,
            high_watermark: Offset::from_wire(one.high_watermark()),
            log_start: Offset::from_wire(one.log_start()),
            log_end: Offset::from_wire(one.log_end()),
        });
    }
    if payload.is_empty() {
        Ok(FetchReply { partitions })
    } else {
        Err(malformed("the payload is longer than its parts"))
    }
}

fn read_list_offsets(answer: &offsets::ListOffsetsReply<'_>) -> ListOffsetsReply {
    let read = |one: offsets::ListedOffset<'_>| match read_refusal(one.error(), one.message()) {
        Some(refusal) => Err(refusal),
        None => Ok(ListedOffset {
            offset: Offset::from_wire(one.offset()),
            timestamp: Some(one.timestamp()).filter(|ms| *ms != -1).map(TimestampMs::new),
            leader_epoch: LeaderEpoch::from_wire(one.leader_epoch()),
        }),
    };
    ListOffsetsReply { partitions: answer.partitions().into_iter().flatten().map(read).collect() }
}

fn read_stats(answer: &stats::StatsReply<'_>) -> StatsReply {
    let read = |one: stats::Stat<'_>| Stat {
        name: one.name().to_owned(),
        shard: u16::try_from(one.shard_id()).ok().map(ShardId::new),
        value: one.value(),
    };
    StatsReply {
        broker_version: text(answer.broker_version()),
        uptime_ms: answer.uptime_ms(),
        shards: answer.shards(),
        stats: answer.stats().into_iter().flatten().map(read).collect(),
    }
}

/// The code of a number; 0 is none, and a number from the future is still an error.
fn read_code(number: i16) -> Option<ErrorCode> {
    match ErrorCode::from_wire(number) {
        Some(ErrorCode::None) => None,
        Some(code) => Some(code),
        None => Some(ErrorCode::UnknownServerError),
    }
}

fn read_refusal(number: i16, message: Option<&str>) -> Option<Refusal> {
    let code = read_code(number)?;
    let mut detail = text(message);
    if ErrorCode::from_wire(number).is_none() {
        detail = format!("error {number} {detail}");
    }
    Some(Refusal { code, detail })
}

fn read_name(name: &str) -> Result<TopicName, ReplyError> {
    TopicName::new(name).map_err(|_| malformed("a topic's name breaks the rule"))
}

fn offset(number: i64) -> Result<Offset, ReplyError> {
    Offset::from_wire(number).ok_or_else(|| malformed("no offset where one belongs"))
}

fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

fn malformed(fault: &'static str) -> ReplyError {
    ReplyError::Malformed { fault }
}
