//! A reply becomes a header. Apart from the types because only brokers do this.

mod group;

use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;
use kolk_model::offset::Offset;

use super::{
    AssignedProducer, DescribeTopicReply, Door, FetchReply, FetchedPartition, HelloReply,
    ListOffsetsReply, MetadataReply, PartitionDescription, ProduceRefusal, ProduceReply, Produced,
    Refusal, Reply, SettingDescription, StatsReply, TopicMetadata, TrimReply,
};
use crate::fetch_generated as fetch;
use crate::frame_generated as wire;
use crate::hello_generated as hello;
use crate::ids_generated as ids;
use crate::offsets_generated as offsets;
use crate::produce_generated as produce;
use crate::request::CorrelationId;
use crate::stats_generated as stats;
use crate::topic_generated as topic;

type Builder = FlatBufferBuilder<'static>;
type AnswerOffset = (wire::Answer, WIPOffset<UnionWIPOffset>);
type Text = Option<WIPOffset<&'static str>>;

/// Where the parts of a hot reply lie in its header, until the list of them is written. The memory is used again.
#[derive(Default)]
pub(crate) struct Places {
    produced: Vec<WIPOffset<produce::ProducedPartition<'static>>>,
    fetched: Vec<WIPOffset<fetch::FetchedPartition<'static>>>,
}

/// Builds the header in `builder` and gives the payload that belongs behind it.
pub(crate) fn encode(
    (builder, places): (&mut Builder, &mut Places),
    correlation: CorrelationId,
    reply: &mut Reply,
) -> Vec<Bytes> {
    let mut args = wire::ReplyArgs { correlation_id: correlation.get(), ..Default::default() };
    let mut payload = Vec::new();
    if let Reply::Refused(refusal) = &*reply {
        args.error = refusal.code.to_wire();
        args.message = text(builder, &refusal.detail);
    }
    if let Some((answer_type, answer)) = write_answer((builder, places), reply, &mut payload) {
        (args.answer_type, args.answer) = (answer_type, Some(answer));
    }
    let root = wire::Reply::create(builder, &args);
    builder.finish_minimal(root);
    payload
}

/// `None` for a refusal, which has no answer.
fn write_answer(
    (b, places): (&mut Builder, &mut Places),
    reply: &mut Reply,
    payload: &mut Vec<Bytes>,
) -> Option<AnswerOffset> {
    Some(match reply {
        Reply::Refused(_) => return None,
        Reply::Fetch(reply) => write_fetch(b, &mut places.fetched, reply, payload),
        Reply::Produce(reply) => write_produce(b, &mut places.produced, reply),
        Reply::ListOffsets(reply) => write_list_offsets(b, reply),
        Reply::Hello(reply) => write_hello(b, reply),
        Reply::InitProducer(producer) => {
            let (producer_id, producer_epoch) = wire_producer(Some(*producer));
            let args = hello::InitProducerReplyArgs { producer_id, producer_epoch };
            let answer = hello::InitProducerReply::create(b, &args);
            (wire::Answer::InitProducerReply, answer.as_union_value())
        }
        Reply::Metadata(reply) => write_metadata(b, reply),
        Reply::CreateTopic(reply) => {
            let id = wire_topic(reply.id);
            let args = topic::CreateTopicReplyArgs { id: Some(&id), partitions: reply.partitions };
            let answer = topic::CreateTopicReply::create(b, &args);
            (wire::Answer::CreateTopicReply, answer.as_union_value())
        }
        Reply::DeleteTopic => {
            let answer = topic::DeleteTopicReply::create(b, &topic::DeleteTopicReplyArgs {});
            (wire::Answer::DeleteTopicReply, answer.as_union_value())
        }
        Reply::AlterTopic => {
            let answer = topic::AlterTopicReply::create(b, &topic::AlterTopicReplyArgs {});
            (wire::Answer::AlterTopicReply, answer.as_union_value())
        }
        Reply::AddPartitions => {
            let answer = topic::AddPartitionsReply::create(b, &topic::AddPartitionsReplyArgs {});
            (wire::Answer::AddPartitionsReply, answer.as_union_value())
        }
        Reply::DescribeTopic(reply) => write_description(b, reply),
        Reply::Trim(reply) => write_trim(b, reply),
        Reply::Stats(reply) => write_stats(b, reply),
        Reply::Group(reply) => group::write_group_answer(b, reply),
    })
}

fn write_hello(b: &mut Builder, reply: &HelloReply) -> AnswerOffset {
    let broker_version = text(b, &reply.broker_version);
    let cluster_id = text(b, &reply.cluster_id);
    let (producer_id, producer_epoch) = wire_producer(reply.producer);
    let args = hello::HelloReplyArgs {
        protocol_version: reply.protocol_version,
        features: reply.features,
        broker_version,
        cluster_id,
        node_id: reply.node.get(),
        shard_id: reply.shard.get(),
        frame_bytes_max: reply.frame_bytes_max,
        producer_id,
        producer_epoch,
    };
    (wire::Answer::HelloReply, hello::HelloReply::create(b, &args).as_union_value())
}

fn write_metadata(b: &mut Builder, reply: &MetadataReply) -> AnswerOffset {
    let mut doors = Vec::with_capacity(reply.doors.len());
    for door in &reply.doors {
        doors.push(write_door(b, door));
    }
    let mut topics = Vec::with_capacity(reply.topics.len());
    for one in &reply.topics {
        topics.push(write_topic(b, one));
    }
    let (doors, topics) = (Some(b.create_vector(&doors)), Some(b.create_vector(&topics)));
    let cluster_id = text(b, &reply.cluster_id);
    let controller_door = reply.controller_door;
    let args = topic::MetadataReplyArgs { cluster_id, controller_door, doors, topics };
    (wire::Answer::MetadataReply, topic::MetadataReply::create(b, &args).as_union_value())
}

fn write_door(b: &mut Builder, door: &Door) -> WIPOffset<topic::Door<'static>> {
    let host = Some(b.create_string(&door.host));
    let (node_id, shard_id) = (door.node.get(), door.shard.get());
    topic::Door::create(b, &topic::DoorArgs { node_id, shard_id, host, port: door.port })
}

fn write_topic(b: &mut Builder, one: &TopicMetadata) -> WIPOffset<topic::TopicMetadata<'static>> {
    let name = Some(b.create_string(one.name.as_str()));
    match &one.outcome {
        Err(code) => {
            let error = code.to_wire();
            let args = topic::TopicMetadataArgs { error, name, ..Default::default() };
            topic::TopicMetadata::create(b, &args)
        }
        Ok(places) => {
            let owners: Vec<_> = places
                .partitions
                .iter()
                .map(|owner| {
                    let error = owner.error.to_wire();
                    topic::PartitionOwner::new(owner.leader_epoch.get(), owner.door, error)
                })
                .collect();
            let partitions = Some(b.create_vector(&owners));
            let id = wire_topic(places.id);
            let args = topic::TopicMetadataArgs { error: 0, name, id: Some(&id), partitions };
            topic::TopicMetadata::create(b, &args)
        }
    }
}

fn write_description(b: &mut Builder, reply: &DescribeTopicReply) -> AnswerOffset {
    let mut settings = Vec::with_capacity(reply.settings.len());
    for one in &reply.settings {
        settings.push(write_setting(b, one));
    }
    let mut partitions = Vec::with_capacity(reply.partitions.len());
    for one in &reply.partitions {
        partitions.push(write_partition(b, one));
    }
    let args = topic::DescribeTopicReplyArgs {
        name: Some(b.create_string(reply.name.as_str())),
        id: Some(&wire_topic(reply.id)),
        settings: Some(b.create_vector(&settings)),
        partitions: Some(b.create_vector(&partitions)),
    };
    (wire::Answer::DescribeTopicReply, topic::DescribeTopicReply::create(b, &args).as_union_value())
}

fn write_setting(
    b: &mut Builder,
    one: &SettingDescription,
) -> WIPOffset<topic::SettingDescription<'static>> {
    let args = topic::SettingDescriptionArgs {
        name: Some(b.create_string(&one.name)),
        value: Some(b.create_string(&one.value)),
        is_default: one.is_default,
        doc: text(b, &one.doc),
    };
    topic::SettingDescription::create(b, &args)
}

fn write_partition(
    b: &mut Builder,
    one: &PartitionDescription,
) -> WIPOffset<topic::PartitionDescription<'static>> {
    let args = topic::PartitionDescriptionArgs {
        error: one.error.to_wire(),
        shard_id: one.shard.get(),
        leader_epoch: one.leader_epoch.get(),
        log_start: wire_offset(one.log_start),
        high_watermark: wire_offset(one.high_watermark),
        log_end: wire_offset(one.log_end),
        size_bytes: one.size_bytes,
    };
    topic::PartitionDescription::create(b, &args)
}

fn write_trim(b: &mut Builder, reply: &TrimReply) -> AnswerOffset {
    let mut partitions = Vec::with_capacity(reply.partitions.len());
    for one in &reply.partitions {
        let (error, message) = wire_refusal(b, one.as_ref().err());
        let log_start = wire_offset(one.as_ref().ok().copied());
        let args = topic::TrimmedPartitionArgs { error, message, log_start };
        partitions.push(topic::TrimmedPartition::create(b, &args));
    }
    let partitions = Some(b.create_vector(&partitions));
    let answer = topic::TrimReply::create(b, &topic::TrimReplyArgs { partitions });
    (wire::Answer::TrimReply, answer.as_union_value())
}

fn write_produce(
    b: &mut Builder,
    partitions: &mut Vec<WIPOffset<produce::ProducedPartition<'static>>>,
    reply: &ProduceReply,
) -> AnswerOffset {
    partitions.clear();
    for one in &reply.partitions {
        let args = match one {
            Ok(produced) => wire_produced(produced),
            Err(refusal) => wire_produce_refusal(b, refusal),
        };
        partitions.push(produce::ProducedPartition::create(b, &args));
    }
    let partitions = Some(b.create_vector(partitions));
    let answer = produce::ProduceReply::create(b, &produce::ProduceReplyArgs { partitions });
    (wire::Answer::ProduceReply, answer.as_union_value())
}

fn wire_produced(produced: &Produced) -> produce::ProducedPartitionArgs<'static> {
    produce::ProducedPartitionArgs {
        base_offset: produced.base_offset.to_wire(),
        next_offset: produced.next_offset.to_wire(),
        log_start: produced.log_start.to_wire(),
        append_time_ns: produced.append_time_ns,
        duplicate: produced.duplicate,
        ..Default::default()
    }
}

fn wire_produce_refusal(
    b: &mut Builder,
    refusal: &ProduceRefusal,
) -> produce::ProducedPartitionArgs<'static> {
    produce::ProducedPartitionArgs {
        error: refusal.code.to_wire(),
        message: text(b, &refusal.detail),
        end_offset: wire_offset(refusal.end_offset),
        ..Default::default()
    }
}

fn write_fetch(
    b: &mut Builder,
    partitions: &mut Vec<WIPOffset<fetch::FetchedPartition<'static>>>,
    reply: &mut FetchReply,
    payload: &mut Vec<Bytes>,
) -> AnswerOffset {
    partitions.clear();
    for one in &mut reply.partitions {
        let FetchedPartition { batches, high_watermark, log_start, log_end } = one;
        let (error, message) = wire_refusal(b, batches.as_ref().err());
        let slices = batches.as_mut().map(std::mem::take).unwrap_or_default();
        let payload_bytes: usize = slices.iter().map(Bytes::len).sum();
        let args = fetch::FetchedPartitionArgs {
            error,
            message,
            high_watermark: wire_offset(*high_watermark),
            log_start: wire_offset(*log_start),
            log_end: wire_offset(*log_end),
            // A frame whose payload does not fit 32 bits is refused as a whole.
            payload_bytes: u32::try_from(payload_bytes).unwrap_or(u32::MAX),
        };
        partitions.push(fetch::FetchedPartition::create(b, &args));
        if payload.is_empty() {
            *payload = slices;
        } else {
            payload.extend(slices);
        }
    }
    let partitions = Some(b.create_vector(partitions));
    let answer = fetch::FetchReply::create(b, &fetch::FetchReplyArgs { partitions });
    (wire::Answer::FetchReply, answer.as_union_value())
}

fn write_list_offsets(b: &mut Builder, reply: &ListOffsetsReply) -> AnswerOffset {
    let mut partitions = Vec::with_capacity(reply.partitions.len());
    for one in &reply.partitions {
        let (error, message) = wire_refusal(b, one.as_ref().err());
        let found = one.as_ref().ok();
        let args = offsets::ListedOffsetArgs {
            error,
            message,
            offset: wire_offset(found.and_then(|found| found.offset)),
            timestamp: found.and_then(|found| found.timestamp).map_or(-1, |time| time.get()),
            leader_epoch: found
                .and_then(|found| found.leader_epoch)
                .map_or(-1, |epoch| epoch.to_wire()),
        };
        partitions.push(offsets::ListedOffset::create(b, &args));
    }
    let partitions = Some(b.create_vector(&partitions));
    let args = offsets::ListOffsetsReplyArgs { partitions };
    (wire::Answer::ListOffsetsReply, offsets::ListOffsetsReply::create(b, &args).as_union_value())
}

fn write_stats(b: &mut Builder, reply: &StatsReply) -> AnswerOffset {
    let mut figures = Vec::with_capacity(reply.stats.len());
    for one in &reply.stats {
        // Not shared between shards: the verifier refuses headers whose texts overlap much.
        let name = Some(b.create_string(&one.name));
        let shard_id = one.shard.map_or(-1, |shard| i32::from(shard.get()));
        let args = stats::StatArgs { name, shard_id, value: one.value };
        figures.push(stats::Stat::create(b, &args));
    }
    let args = stats::StatsReplyArgs {
        broker_version: text(b, &reply.broker_version),
        uptime_ms: reply.uptime_ms,
        shards: reply.shards,
        stats: Some(b.create_vector(&figures)),
    };
    (wire::Answer::StatsReply, stats::StatsReply::create(b, &args).as_union_value())
}

/// Code and text of a refusal; 0 and nothing without one.
fn wire_refusal(b: &mut Builder, refusal: Option<&Refusal>) -> (i16, Text) {
    match refusal {
        Some(refusal) => (refusal.code.to_wire(), text(b, &refusal.detail)),
        None => (ErrorCode::None.to_wire(), None),
    }
}

fn wire_producer(producer: Option<AssignedProducer>) -> (i64, i16) {
    producer.map_or((-1, -1), |p| (p.id.get().cast_signed(), p.epoch.get().cast_signed()))
}

fn wire_topic(topic: TopicId) -> ids::TopicId {
    ids::TopicId(topic.get())
}

fn wire_offset(offset: Option<Offset>) -> i64 {
    offset.map_or(-1, Offset::to_wire)
}

/// An empty text is left out.
fn text(b: &mut Builder, text: &str) -> Text {
    (!text.is_empty()).then(|| b.create_string(text))
}
