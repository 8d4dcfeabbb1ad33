//! `ListOffsets`: offsets by place and time.

use kolk_io::door::Net;
use kolk_kafka::message::list_offsets::{
    Partition, Request, RequestPartition, Response, Topic as TopicAnswer,
};
use kolk_kafka::wire::Version;
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;
use kolk_model::map::Set;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;
use kolk_shard::metadata::Metadata;
use kolk_shard::request::{ListedOffset, OffsetPlace, Topic};

use crate::kafka::admin::deadline::within;
use crate::kafka::admin::side_by_side::side_by_side;
use crate::kafka::names;
use crate::kafka::session::Context;

/// The places that a negative timestamp names, and the version from which on each is known.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: (i64, i16) = (-3, 7);
const EARLIEST_LOCAL: (i64, i16) = (-4, 8);
const LATEST_TIERED: (i64, i16) = (-5, 9);
const EARLIEST_PENDING_UPLOAD: (i64, i16) = (-6, 11);

/// Answers every partition by itself. The latest offset is that of the log once all that was appended
/// before is visible, so that a producer finds what it has sent.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let metadata = context.metadata();
    let version = context.version();
    let twice = named_twice(&request);
    let asking = request.topics.iter().flat_map(|topic| {
        let known = names::topic(&metadata, &topic.name, TopicId::ZERO.get());
        let (metadata, twice, context) = (&metadata, &twice, &context);
        topic.partitions.iter().map(move |partition| {
            let index = partition.partition_index;
            let place = match twice.contains(&(topic.name.as_str(), index)) {
                // As in Kafka: there may be no single answer.
                true => Err(ErrorCode::InvalidRequest),
                false => known.and_then(|known| place(metadata, known, partition, version)),
            };
            list(context, index, place, request.timeout_ms)
        })
    });
    let mut listed = side_by_side(asking).await.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let partitions = listed.by_ref().take(topic.partitions.len()).collect();
        topics.push(TopicAnswer { name: topic.name, partitions });
    }
    Response { topics, ..Response::default() }
}

/// The partitions that a request names more than once.
fn named_twice(request: &Request) -> Set<(&str, i32)> {
    let named = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|one| (topic.name.as_str(), one.partition_index))
    });
    let (mut seen, mut twice) = (Set::new(), Set::new());
    for name in named {
        if !seen.insert(name) {
            twice.insert(name);
        }
    }
    twice
}

async fn list<N: Net>(
    context: &Context<N>,
    index: i32,
    place: Result<Place, ErrorCode>,
    timeout_ms: i32,
) -> Partition {
    let listed = match place {
        Ok(Place::Nowhere) => Ok(NOTHING),
        Ok(Place::At(partition, place)) => {
            let listed = context.shard().list_offset(partition, place);
            let listed = within(context, timeout_ms, listed).await;
            listed.map_err(|refusal| refusal.code)
        }
        Err(code) => Err(code),
    };
    answer(index, listed)
}

/// What is asked of a partition.
enum Place {
    /// Something that a log without tiers does not have.
    Nowhere,
    At(kolk_model::ids::TopicPartition, OffsetPlace),
}

const NOTHING: ListedOffset = ListedOffset { offset: None, timestamp: None, leader_epoch: None };

fn place(
    metadata: &Metadata,
    topic: &Topic,
    asked: &RequestPartition,
    version: Version,
) -> Result<Place, ErrorCode> {
    let partition = names::partition(topic, asked.partition_index)?;
    names::check_epoch(metadata, topic, partition.partition, asked.current_leader_epoch)?;
    let known = |(_, since): (i64, i16)| {
        if version >= since { Ok(()) } else { Err(ErrorCode::UnsupportedVersion) }
    };
    let place = match asked.timestamp {
        LATEST => OffsetPlace::Settled,
        EARLIEST => OffsetPlace::Beginning,
        time if time == MAX_TIMESTAMP.0 => {
            known(MAX_TIMESTAMP)?;
            OffsetPlace::MaxTimestamp
        }
        time if time == EARLIEST_LOCAL.0 => {
            known(EARLIEST_LOCAL)?;
            OffsetPlace::Beginning
        }
        time if time == LATEST_TIERED.0 => return known(LATEST_TIERED).map(|()| Place::Nowhere),
        time if time == EARLIEST_PENDING_UPLOAD.0 => {
            return known(EARLIEST_PENDING_UPLOAD).map(|()| Place::Nowhere);
        }
        time if time < 0 => return Err(ErrorCode::UnsupportedVersion),
        time => OffsetPlace::Timestamp(TimestampMs::new(time)),
    };
    Ok(Place::At(partition, place))
}

fn answer(index: i32, listed: Result<ListedOffset, ErrorCode>) -> Partition {
    let mut answer = Partition {
        partition_index: index,
        timestamp: -1,
        offset: -1,
        leader_epoch: -1,
        ..Partition::default()
    };
    match listed {
        Ok(listed) => {
            answer.offset = listed.offset.map_or(-1, Offset::to_wire);
            answer.timestamp = listed.timestamp.map_or(-1, TimestampMs::get);
            answer.leader_epoch = listed.leader_epoch.map_or(-1, |epoch| epoch.to_wire());
        }
        Err(code) => answer.error_code = code.on_kafka().to_wire(),
    }
    answer
}
