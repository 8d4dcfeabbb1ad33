//! `DeleteRecords`: moves the start of logs forward.

use kolk_io::door::Net;
use kolk_kafka::message::delete_records::{Partition, Request, Response, Topic as Answer};
use kolk_model::error::ErrorCode;
use kolk_model::ids::{TopicId, TopicPartition};
use kolk_model::offset::Offset;
use kolk_shard::request::{Refusal, Topic};

use crate::kafka::admin::deadline::within;
use crate::kafka::admin::side_by_side::side_by_side;
use crate::kafka::names;
use crate::kafka::session::Context;

/// The high watermark, as an offset to delete up to.
const HIGH_WATERMARK: i64 = -1;

/// Deletes side by side; each partition has a result of its own.
pub(super) async fn handle<N: Net>(context: Context<N>, request: Request) -> Response {
    let metadata = context.metadata();
    let deleting = request.topics.iter().flat_map(|asked| {
        let topic = names::topic(&metadata, &asked.name, TopicId::ZERO.get());
        let topic = topic.and_then(|topic| allowed(topic).map(|()| topic));
        let context = &context;
        asked.partitions.iter().map(move |partition| {
            let (index, before) = (partition.partition_index, before(partition.offset));
            let found = topic.and_then(|topic| names::partition(topic, index));
            let target = found.and_then(|found| before.map(|before| (found, before)));
            delete(context.clone(), index, target, request.timeout_ms)
        })
    });
    let mut deleted = side_by_side(deleting).await.into_iter();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let partitions = deleted.by_ref().take(topic.partitions.len()).collect();
        topics.push(Answer { name: topic.name, partitions });
    }
    Response { topics, ..Response::default() }
}

/// A topic that is compacted only has no end that may be cut off, as in Kafka.
fn allowed(topic: &Topic) -> Result<(), ErrorCode> {
    let policy = topic.config.cleanup_policy;
    if names::is_internal(topic) {
        Err(ErrorCode::InvalidTopic)
    } else if policy.compacts() && !policy.deletes() {
        Err(ErrorCode::PolicyViolation)
    } else {
        Ok(())
    }
}

fn before(offset: i64) -> Result<Option<Offset>, ErrorCode> {
    match u64::try_from(offset) {
        Ok(offset) => Ok(Some(Offset::new(offset))),
        Err(_) if offset == HIGH_WATERMARK => Ok(None),
        Err(_) => Err(ErrorCode::OffsetOutOfRange),
    }
}

async fn delete<N: Net>(
    context: Context<N>,
    partition_index: i32,
    target: Result<(TopicPartition, Option<Offset>), ErrorCode>,
    timeout_ms: i32,
) -> Partition {
    let trimmed = match target {
        Ok((partition, before)) => {
            let trim = context.shard().trim(partition, before);
            within(&context, timeout_ms, trim).await.map_err(|refusal: Refusal| refusal.code)
        }
        Err(code) => Err(code),
    };
    match trimmed {
        Ok(start) => Partition {
            partition_index,
            low_watermark: start.to_wire(),
            error_code: ErrorCode::None.to_wire(),
        },
        Err(code) => {
            Partition { partition_index, low_watermark: -1, error_code: code.on_kafka().to_wire() }
        }
    }
}
