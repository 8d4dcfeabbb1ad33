//! `Produce`: the batches of a request to the shards that own their partitions.

use std::borrow::Cow;
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use kolk_io::door::Net;
use kolk_kafka::produce::{
    ProduceAnswer, ProduceLists, ProducePartition, ProduceRequest, ProduceTopic, RecordError,
    encode_response,
};
use kolk_kafka::wire::{DecodeError, Reader};
use kolk_metric::net::CloseReason;
use kolk_model::batch::BatchView;
use kolk_model::durability::AckLevel;
use kolk_model::error::ErrorCode;
use kolk_model::time::TimestampType;
use kolk_shard::request::{ProduceOp, Produced, RefusedRecord, Topic};
use kolk_shard::shard::Producing;

use crate::inflation::Inflation;
use crate::kafka::names;
use crate::kafka::session::{Call, Outcome};
use crate::lists::Lists;
use kolk_connection::outbox::{Reply, ReplyFuture, Then};

/// Longest time that a request may ask to wait for shards other than the connection's own.
const TIMEOUT_MS_MAX: u64 = 600_000;

/// Reads a produce request; its appends begin with the first poll.
pub(super) fn begin<N: Net>(
    call: Call<N>,
    reader: &mut Reader<'_>,
) -> Result<ReplyFuture, DecodeError> {
    let own = &call.context.session.door.produce_lists;
    let lists = ProduceLists { topics: own.topics.take(), partitions: own.partitions.take() };
    let request = ProduceRequest::decode_into(reader, call.version(), lists)?;
    Ok(Box::pin(produce(call, request)))
}

/// What produce requests have lists of.
#[derive(Default)]
pub(crate) struct ProduceCallLists {
    topics: Lists<ProduceTopic>,
    partitions: Lists<ProducePartition>,
    appends: Lists<Append>,
    answers: Lists<ProduceAnswer>,
}

impl ProduceCallLists {
    /// Keeps what an answered request had.
    fn give(&self, request: ProduceRequest, answers: Vec<ProduceAnswer>) {
        let ProduceLists { topics, partitions } = request.into_lists();
        self.topics.give(topics);
        self.partitions.give(partitions);
        self.answers.give(answers);
    }
}

/// One partition of the request on its way.
enum Append {
    Refused(ErrorCode, Cow<'static, str>),
    Begun { producing: Producing, timestamps: TimestampType },
}

async fn produce<N: Net>(call: Call<N>, request: ProduceRequest) -> Reply {
    let appends = match level(request.acks) {
        Some(level) => begin_all(&call, &request, level),
        None => {
            let refused = |_: &_| {
                let detail = format!("acks {}: -1, 0 and 1 are known", request.acks);
                Append::Refused(ErrorCode::InvalidRequiredAcks, detail.into())
            };
            Begun { appends: request.partitions().iter().map(refused).collect(), forwarded: false }
        }
    };
    let answers = appends.answers(&call, request.timeout_ms).await;
    let refused = answers.iter().find(|answer| !answer.error_code.is_ok());
    let outcome = if refused.is_some() { Outcome::Refused } else { Outcome::Served };
    if request.acks == 0 {
        let then = match refused {
            None => Then::Continue,
            Some(refused) => {
                let peer = call.context.session.peer;
                let (code, detail) = (refused.error_code, refused.error_message.as_deref());
                tracing::debug!(%peer, %code, detail, "produce request without acks failed");
                Then::CloseFor(CloseReason::UnansweredFailure)
            }
        };
        call.context.session.door.produce_lists.give(request, answers);
        return call.finish_unanswered(outcome, then);
    }
    let to = call.response_to();
    let door = &call.context.session.door;
    let head = door.heads.write(|out| encode_response(out, to, &request, &answers, &[]));
    door.produce_lists.give(request, answers);
    match head {
        Ok(head) => call.finish(head, Vec::new(), outcome),
        Err(too_large) => call.finish_too_large(too_large),
    }
}

const fn level(acks: i16) -> Option<AckLevel> {
    match acks {
        0 => Some(AckLevel::None),
        1 => Some(AckLevel::ProcessCrash),
        -1 => Some(AckLevel::Topic),
        _ => None,
    }
}

/// The appends of a request, in its order.
struct Begun {
    appends: Vec<Append>,
    /// Whether any went to another shard.
    forwarded: bool,
}

/// Begins every append before one is waited for.
fn begin_all<N: Net>(call: &Call<N>, request: &ProduceRequest, wait: AckLevel) -> Begun {
    let (shard, metadata) = (call.context.shard(), call.context.metadata());
    let appends = call.context.session.door.produce_lists.appends.take();
    let mut begun = Begun { appends, forwarded: false };
    begun.appends.reserve(request.partitions().len());
    let inflation = Inflation::of(shard, call.request_bytes());
    for (named, parts) in request.topics() {
        let topic = names::topic(&metadata, named.name.as_str(), named.topic_id);
        for part in parts {
            let checked = topic.and_then(|topic| {
                check_writable(topic)?;
                Ok((topic.config.timestamp_type, names::partition(topic, part.index)?))
            });
            let append = match (checked, &part.records) {
                (Err(code), _) => Append::Refused(code, code.hint().into()),
                (Ok(_), None) => {
                    Append::Refused(ErrorCode::InvalidRecord, "there are no records".into())
                }
                (Ok(_), Some(batches)) if has_several(batches) => {
                    let detail = "there is more than one record batch for the partition";
                    Append::Refused(ErrorCode::InvalidRecord, detail.into())
                }
                (Ok((timestamps, partition)), Some(batches)) => {
                    if let Err(refusal) = inflation.check() {
                        begun.appends.push(Append::Refused(refusal.code, refusal.detail.into()));
                        continue;
                    }
                    begun.forwarded |= metadata.owner(partition) != shard.id();
                    let batches = batches.clone();
                    let op = ProduceOp { partition, batches, wait, expected_next_offset: None };
                    Append::Begun { producing: shard.produce(op), timestamps }
                }
            };
            begun.appends.push(append);
        }
    }
    begun
}

/// Whether there is something behind the first record batch: Kafka takes one a partition since it has this format, and
/// clients send no more. What is no batch at all is found out by the partition.
fn has_several(batches: &Bytes) -> bool {
    BatchView::parse(batches).is_ok_and(|(_, length)| length < batches.len())
}

/// What only the broker writes is refused.
fn check_writable(topic: &Topic) -> Result<(), ErrorCode> {
    if names::is_internal(topic) { Err(ErrorCode::InvalidTopic) } else { Ok(()) }
}

impl Begun {
    /// Waits for all; what other shards have not answered within the request's time is told so. The own shard
    /// always answers, so that most requests need no timer.
    async fn answers<N: Net>(self, call: &Call<N>, timeout_ms: i32) -> Vec<ProduceAnswer> {
        let lists = &call.context.session.door.produce_lists;
        if !self.forwarded {
            return answer_all(self.appends, lists, pending()).await;
        }
        let wait_ms = u64::try_from(timeout_ms).unwrap_or(0).clamp(1, TIMEOUT_MS_MAX);
        let over = call.context.shard().io().sleep(Duration::from_millis(wait_ms));
        answer_all(self.appends, lists, over).await
    }
}

async fn answer_all(
    mut appends: Vec<Append>,
    lists: &ProduceCallLists,
    over: impl Future<Output = ()>,
) -> Vec<ProduceAnswer> {
    let mut over = pin!(over);
    let mut is_over = false;
    let mut answers = lists.answers.take();
    answers.reserve(appends.len());
    for append in appends.drain(..) {
        let (mut producing, timestamps) = match append {
            Append::Begun { producing, timestamps } => (producing, timestamps),
            Append::Refused(code, detail) => {
                answers.push(refused(code, detail.into_owned()));
                continue;
            }
        };
        let produced = poll_fn(|context| {
            if let Poll::Ready(produced) = Pin::new(&mut producing).poll(context) {
                return Poll::Ready(Some(produced));
            }
            is_over = is_over || over.as_mut().poll(context).is_ready();
            if is_over { Poll::Ready(None) } else { Poll::Pending }
        });
        answers.push(match produced.await {
            Some(Ok(produced)) => appended(&produced, timestamps),
            Some(Err(refusal)) => {
                let record_errors = refusal.records.iter().map(record_error).collect();
                ProduceAnswer { record_errors, ..refused(refusal.code, refusal.detail) }
            }
            None => {
                let detail = "the partition's shard did not answer in time";
                refused(ErrorCode::RequestTimedOut, detail.to_owned())
            }
        });
    }
    lists.appends.give(appends);
    answers
}

fn appended(produced: &Produced, timestamps: TimestampType) -> ProduceAnswer {
    ProduceAnswer {
        base_offset: produced.base_offset.to_wire(),
        log_append_time_ms: match timestamps {
            TimestampType::CreateTime => -1,
            TimestampType::LogAppendTime => produced.append_time.as_ms(),
        },
        log_start_offset: produced.log_start.to_wire(),
        ..ProduceAnswer::default()
    }
}

fn record_error(refused: &RefusedRecord) -> RecordError {
    let batch_index = i32::try_from(refused.index).unwrap_or(i32::MAX);
    RecordError { batch_index, message: Some(refused.why.to_string()) }
}

fn refused(code: ErrorCode, message: String) -> ProduceAnswer {
    ProduceAnswer {
        error_code: code.on_kafka(),
        error_message: Some(message),
        ..ProduceAnswer::default()
    }
}
