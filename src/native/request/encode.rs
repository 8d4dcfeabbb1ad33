//! A request becomes a header. Apart from the types because only clients do this.

mod group;

use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, UnionWIPOffset, WIPOffset};
use kolk_model::batch::{HEADER_BYTES, batches};
use kolk_model::durability::AckLevel;
use kolk_model::ids::{TopicId, TopicName};
use kolk_model::offset::Offset;

use super::{
    AlterTopic, CorrelationId, CreateTopic, Fetch, Hello, ListOffsets, OffsetPlace, Produce,
    Request, Setting, Trim,
};
use crate::fetch_generated as fetch;
use crate::frame_generated as wire;
use crate::hello_generated as hello;
use crate::ids_generated as ids;
use crate::offsets_generated as offsets;
use crate::produce_generated as produce;
use crate::stats_generated as stats;
use crate::topic_generated as topic;

type Builder = FlatBufferBuilder<'static>;
type CallOffset = (wire::Call, WIPOffset<UnionWIPOffset>);

/// Builds the header in `builder` and gives the payload that belongs behind it.
pub(crate) fn encode(
    builder: &mut Builder,
    correlation: CorrelationId,
    request: &Request,
) -> Vec<Bytes> {
    let (call_type, call) = write_call(builder, request);
    let args = wire::RequestArgs { correlation_id: correlation.get(), call_type, call: Some(call) };
    let root = wire::Request::create(builder, &args);
    builder.finish_minimal(root);
    match request {
        Request::Produce(call) => call.partitions.iter().map(|p| p.batches.clone()).collect(),
        _ => Vec::new(),
    }
}

fn write_call(b: &mut Builder, request: &Request) -> CallOffset {
    match request {
        Request::Produce(call) => write_produce(b, call),
        Request::Fetch(call) => write_fetch(b, call),
        Request::ListOffsets(call) => write_list_offsets(b, call),
        Request::Group(call) => group::write_group_call(b, call),
        Request::Hello(call) => write_hello(b, call),
        Request::InitProducer => {
            let call = hello::InitProducer::create(b, &hello::InitProducerArgs {});
            (wire::Call::InitProducer, call.as_union_value())
        }
        Request::Stats => {
            let call = stats::Stats::create(b, &stats::StatsArgs {});
            (wire::Call::Stats, call.as_union_value())
        }
        Request::Metadata(call) => {
            let topics = call.topics.as_ref().map(|topics| {
                let names: Vec<_> = topics.iter().map(|t| b.create_string(t.as_str())).collect();
                b.create_vector(&names)
            });
            let call = topic::Metadata::create(b, &topic::MetadataArgs { topics });
            (wire::Call::Metadata, call.as_union_value())
        }
        Request::CreateTopic(call) => write_create(b, call),
        Request::AlterTopic(call) => write_alter(b, call),
        Request::Trim(call) => write_trim(b, call),
        Request::DeleteTopic(name) => {
            let name = write_name(b, name);
            let call = topic::DeleteTopic::create(b, &topic::DeleteTopicArgs { name });
            (wire::Call::DeleteTopic, call.as_union_value())
        }
        Request::DescribeTopic(name) => {
            let name = write_name(b, name);
            let call = topic::DescribeTopic::create(b, &topic::DescribeTopicArgs { name });
            (wire::Call::DescribeTopic, call.as_union_value())
        }
        Request::AddPartitions(call) => {
            let name = write_name(b, &call.name);
            let args = topic::AddPartitionsArgs { name, partitions: call.partitions };
            let call = topic::AddPartitions::create(b, &args);
            (wire::Call::AddPartitions, call.as_union_value())
        }
    }
}

fn write_hello(b: &mut Builder, call: &Hello) -> CallOffset {
    let client_id = Some(b.create_string(&call.client_id));
    let args = hello::HelloArgs {
        protocol_version: call.protocol_version,
        features: call.features,
        client_id,
        wants_producer_id: call.wants_producer_id,
    };
    (wire::Call::Hello, hello::Hello::create(b, &args).as_union_value())
}

fn write_create(b: &mut Builder, call: &CreateTopic) -> CallOffset {
    let (name, settings) = (write_name(b, &call.name), write_settings(b, &call.settings));
    let args = topic::CreateTopicArgs {
        name,
        partitions: call.partitions.unwrap_or(0),
        settings: Some(settings),
        validate_only: call.validate_only,
    };
    (wire::Call::CreateTopic, topic::CreateTopic::create(b, &args).as_union_value())
}

fn write_alter(b: &mut Builder, call: &AlterTopic) -> CallOffset {
    let (name, set) = (write_name(b, &call.name), write_settings(b, &call.set));
    let reset: Vec<_> = call.reset.iter().map(|name| b.create_string(name)).collect();
    let reset = b.create_vector(&reset);
    let args = topic::AlterTopicArgs { name, set: Some(set), reset: Some(reset) };
    (wire::Call::AlterTopic, topic::AlterTopic::create(b, &args).as_union_value())
}

fn write_trim(b: &mut Builder, call: &Trim) -> CallOffset {
    let name = write_name(b, &call.name);
    let mut partitions = Vec::with_capacity(call.partitions.len());
    for one in &call.partitions {
        let args = topic::TrimPartitionArgs {
            partition: one.partition.get(),
            before_offset: wire_offset(one.before),
        };
        partitions.push(topic::TrimPartition::create(b, &args));
    }
    let partitions = Some(b.create_vector(&partitions));
    let call = topic::Trim::create(b, &topic::TrimArgs { name, partitions });
    (wire::Call::Trim, call.as_union_value())
}

fn write_produce(b: &mut Builder, call: &Produce) -> CallOffset {
    let mut partitions = Vec::with_capacity(call.partitions.len());
    for one in &call.partitions {
        let batch_bytes = Some(write_batch_bytes(b, &one.batches));
        let args = produce::ProducePartitionArgs {
            topic: Some(&wire_topic(one.id.topic)),
            partition: one.id.partition.get(),
            batch_bytes,
            expected_next_offset: wire_offset(one.expected_next_offset),
        };
        partitions.push(produce::ProducePartition::create(b, &args));
    }
    let durability = match call.durability {
        AckLevel::Topic => produce::Durability::Topic,
        AckLevel::None => produce::Durability::None,
        AckLevel::ProcessCrash => produce::Durability::ProcessCrash,
        AckLevel::PowerLoss => produce::Durability::PowerLoss,
    };
    let partitions = Some(b.create_vector(&partitions));
    let call = produce::Produce::create(b, &produce::ProduceArgs { durability, partitions });
    (wire::Call::Produce, call.as_union_value())
}

/// The length of each batch. What is no batch is counted as one, and left to the broker to refuse.
fn write_batch_bytes(
    b: &mut Builder,
    bytes: &Bytes,
) -> WIPOffset<flatbuffers::Vector<'static, u32>> {
    let wire = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    // Nearly always one batch, which then needs no second look.
    let mut walk = batches(bytes);
    let first = walk.next().and_then(Result::ok).map_or(bytes.len(), |v| v.as_bytes().len());
    if first == bytes.len() {
        return b.create_vector(&[wire(first)]);
    }
    debug_assert!(first >= HEADER_BYTES, "a batch of {first} bytes");
    let mut lengths = vec![wire(first)];
    let mut left = bytes.len() - first;
    for length in walk.map_while(Result::ok).map(|view| view.as_bytes().len()) {
        lengths.push(wire(length));
        left -= length;
    }
    lengths.extend(Some(wire(left)).filter(|left| *left > 0));
    b.create_vector(&lengths)
}

fn write_fetch(b: &mut Builder, call: &Fetch) -> CallOffset {
    let mut partitions = Vec::with_capacity(call.partitions.len());
    for one in &call.partitions {
        let args = fetch::FetchPartitionArgs {
            topic: Some(&wire_topic(one.id.topic)),
            partition: one.id.partition.get(),
            offset: one.offset.get(),
            bytes_max: one.bytes_max,
        };
        partitions.push(fetch::FetchPartition::create(b, &args));
    }
    let args = fetch::FetchArgs {
        wait_ms_max: call.wait_ms_max,
        bytes_min: call.bytes_min,
        bytes_max: call.bytes_max,
        partitions: Some(b.create_vector(&partitions)),
    };
    (wire::Call::Fetch, fetch::Fetch::create(b, &args).as_union_value())
}

fn write_list_offsets(b: &mut Builder, call: &ListOffsets) -> CallOffset {
    let mut queries = Vec::with_capacity(call.queries.len());
    for one in &call.queries {
        let (place, timestamp) = match one.place {
            OffsetPlace::Beginning => (offsets::OffsetPlace::Beginning, 0),
            OffsetPlace::End => (offsets::OffsetPlace::End, 0),
            OffsetPlace::At(time) => (offsets::OffsetPlace::Timestamp, time.get()),
        };
        let args = offsets::OffsetQueryArgs {
            topic: Some(&wire_topic(one.id.topic)),
            partition: one.id.partition.get(),
            place,
            timestamp,
        };
        queries.push(offsets::OffsetQuery::create(b, &args));
    }
    let partitions = Some(b.create_vector(&queries));
    let call = offsets::ListOffsets::create(b, &offsets::ListOffsetsArgs { partitions });
    (wire::Call::ListOffsets, call.as_union_value())
}

fn write_settings(
    b: &mut Builder,
    settings: &[Setting],
) -> WIPOffset<flatbuffers::Vector<'static, flatbuffers::ForwardsUOffset<ids::Setting<'static>>>> {
    let mut tables = Vec::with_capacity(settings.len());
    for (name, value) in settings {
        let args = ids::SettingArgs {
            name: Some(b.create_string(name)),
            value: Some(b.create_string(value)),
        };
        tables.push(ids::Setting::create(b, &args));
    }
    b.create_vector(&tables)
}

fn write_name(b: &mut Builder, name: &TopicName) -> Option<WIPOffset<&'static str>> {
    Some(b.create_string(name.as_str()))
}

fn wire_topic(topic: TopicId) -> ids::TopicId {
    ids::TopicId(topic.get())
}

fn wire_offset(offset: Option<Offset>) -> i64 {
    offset.map_or(-1, Offset::to_wire)
}
