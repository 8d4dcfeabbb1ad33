//! `Fetch`: reads partitions, wherever they are, and sends the log's own buffers between fragments of a head.

use std::time::Duration;

use bytes::Bytes;
use kolk_io::door::Net;
use kolk_kafka::fetch::{FetchHead, FetchRequest, FetchTop, FetchedPartition};
use kolk_kafka::wire::{DecodeError, Reader};
use kolk_model::error::ErrorCode;
use kolk_model::limits::{FETCH_BYTES_MAX, FETCH_WAIT_MS_MAX};
use kolk_model::offset::Offset;
use kolk_shard::metadata::Metadata;
use kolk_shard::request::{FetchOp, FetchSlot, FetchedSlot, Refusal};

use crate::kafka::fetch_session::{Naming, Plan, Told, Wanted};
use crate::kafka::names;
use crate::kafka::session::{Call, Outcome};
use kolk_connection::outbox::{Reply, ReplyFuture};

/// The version from which on topics are named by id.
const IDS_SINCE: i16 = 13;

/// Consumers who read committed records only ask with this.
const READ_COMMITTED: i8 = 1;

/// Reads a fetch request; its reads begin with the first poll.
pub(super) fn begin<N: Net>(
    call: Call<N>,
    reader: &mut Reader<'_>,
) -> Result<ReplyFuture, DecodeError> {
    let request = FetchRequest::decode(reader, call.version())?;
    let naming = if call.version() >= IDS_SINCE { Naming::Ids } else { Naming::Names };
    let io = call.context.shard().io();
    let own = &call.context.session.fetch_sessions;
    let plan = own.plan(&request, naming, || io.random_u64());
    // From here on nothing of the frame is needed: a long poll must not hold a receive buffer.
    let terms = Terms::of(&request);
    drop(request);
    match plan {
        Ok(plan) => Ok(Box::pin(fetch(call, terms, plan))),
        Err(code) => Ok(Box::pin(std::future::ready(refuse(call, code)))),
    }
}

/// What holds for the whole request.
#[derive(Debug, Clone, Copy)]
struct Terms {
    wait: Duration,
    bytes_min: u64,
    bytes_max: usize,
    is_read_committed: bool,
}

impl Terms {
    fn of(request: &FetchRequest) -> Self {
        let wait_ms = u32::try_from(request.max_wait_ms).unwrap_or(0).min(FETCH_WAIT_MS_MAX);
        let bytes_max = u32::try_from(request.max_bytes).unwrap_or(0).min(FETCH_BYTES_MAX);
        Self {
            wait: Duration::from_millis(u64::from(wait_ms)),
            bytes_min: u64::try_from(request.min_bytes).unwrap_or(0),
            bytes_max: usize::try_from(bytes_max).unwrap_or(usize::MAX),
            is_read_committed: request.isolation_level == READ_COMMITTED,
        }
    }
}

async fn fetch<N: Net>(call: Call<N>, terms: Terms, plan: Plan) -> Reply {
    let metadata = call.context.metadata();
    let slots: Vec<_> = plan.wanted.iter().map(|wanted| slot(&metadata, wanted)).collect();
    let reading: Vec<_> = slots.iter().filter_map(|slot| slot.as_ref().ok().copied()).collect();
    // Where something is refused the client must hear it at once.
    let wait = if reading.len() < slots.len() { Duration::ZERO } else { terms.wait };
    let grant = call.outbox.grant_fetch(terms.bytes_max);
    let op = FetchOp {
        slots: reading,
        bytes_min: terms.bytes_min,
        // A grant may be more than a client asks for that wants little.
        bytes_max: u64::try_from(grant.bytes().min(terms.bytes_max)).unwrap_or(u64::MAX),
        wait_max: wait,
    };
    let fetched = call.context.unless_over(call.context.shard().fetch(op)).await;
    drop(grant);
    let mut fetched = fetched.unwrap_or_default().into_iter();
    let answers = slots.into_iter().map(|slot| match slot {
        Ok(_) => fetched.next().map_or_else(cut_short, Read::of),
        Err(code) => Read { records: Err(code), told: None },
    });
    let answers: Vec<_> = plan.wanted.iter().zip(answers).collect();
    write(call, terms, &plan, answers)
}

/// The part of a fetch that a partition is; refused where it can't be read anyway.
fn slot(metadata: &Metadata, wanted: &Wanted) -> Result<FetchSlot, ErrorCode> {
    let topic = names::topic(metadata, &wanted.topic.name, wanted.topic.id)?;
    let partition = names::partition(topic, wanted.index)?;
    names::check_epoch(metadata, topic, partition.partition, wanted.leader_epoch)?;
    let offset = Offset::from_wire(wanted.offset).ok_or(ErrorCode::OffsetOutOfRange)?;
    let bytes_max = u64::try_from(wanted.bytes_max).unwrap_or(0);
    Ok(FetchSlot { partition, offset, bytes_max })
}

/// What was read of a partition.
struct Read {
    records: Result<Vec<Bytes>, ErrorCode>,
    /// Not known where the partition can't be read.
    told: Option<Told>,
}

impl Read {
    fn of(slot: FetchedSlot) -> Self {
        let told = slot.marks.map(|marks| Told {
            high_watermark: marks.high_watermark.to_wire(),
            log_start: marks.log_start.to_wire(),
        });
        match slot.result {
            Ok(slices) => Self { records: Ok(slices), told },
            Err(refusal) => Self { records: Err(told_code(&refusal)), told: None },
        }
    }

    fn bytes(&self) -> usize {
        self.records.as_ref().map_or(0, |slices| slices.iter().map(Bytes::len).sum())
    }
}

/// The broker stops before there was an answer.
fn cut_short() -> Read {
    Read { records: Err(ErrorCode::NotLeaderOrFollower), told: None }
}

/// The codes on which consumers look for the partition's leader and go on, and that of a request which no consumer
/// makes; on any other a Java consumer ends.
fn told_code(refusal: &Refusal) -> ErrorCode {
    match refusal.code.on_kafka() {
        code @ (ErrorCode::OffsetOutOfRange
        | ErrorCode::UnknownTopicOrPartition
        | ErrorCode::UnknownTopicId
        | ErrorCode::KafkaStorageError
        | ErrorCode::OffsetNotAvailable
        | ErrorCode::FencedLeaderEpoch
        | ErrorCode::UnknownLeaderEpoch
        | ErrorCode::InvalidRequest) => code,
        _ => ErrorCode::NotLeaderOrFollower,
    }
}

/// Writes the response. Of a session's partitions only those of which there is news.
fn write<N: Net>(
    call: Call<N>,
    terms: Terms,
    plan: &Plan,
    mut answers: Vec<(&Wanted, Read)>,
) -> Reply {
    let mut outcome = Outcome::Served;
    answers.retain(|(wanted, read)| {
        let news = match (&read.records, read.told, &plan.session) {
            (Err(_), ..) => {
                outcome = Outcome::Refused;
                plan.session.as_ref().is_none_or(|session| session.tell(wanted, None, 0))
            }
            // Its shard has not answered in time: there is nothing to say.
            (Ok(_), None, session) => session.is_none(),
            (Ok(_), told, Some(session)) => session.tell(wanted, told, read.bytes()),
            (Ok(_), Some(_), None) => true,
        };
        news || !plan.is_incremental
    });
    let by_topic = |one: &(&Wanted, Read), other: &(&Wanted, Read)| one.0.topic == other.0.topic;
    let top = FetchTop {
        throttle_time_ms: 0,
        error_code: ErrorCode::None,
        session_id: plan.session.as_ref().map_or(0, |session| session.id()),
        topics: answers.chunk_by(by_topic).count(),
    };
    let mut head = FetchHead::begin(call.response_to(), top);
    for parts in answers.chunk_by(by_topic) {
        let Some((first, _)) = parts.first() else { continue };
        head.topic(&first.topic.name, first.topic.id, parts.len());
        for (wanted, read) in parts {
            head.partition(&partition(wanted, read, terms));
        }
    }
    let head = match head.finish(&[]) {
        Ok(head) => head,
        Err(too_large) => return call.finish_too_large(too_large),
    };
    let mut fragments = head.fragments();
    let first = fragments.next().unwrap_or_default();
    let mut payload = Vec::new();
    for (_, read) in answers {
        if read.bytes() == 0 {
            continue;
        }
        payload.extend(read.records.unwrap_or_default());
        payload.extend(fragments.next());
    }
    call.finish(first, payload, outcome)
}

fn partition(wanted: &Wanted, read: &Read, terms: Terms) -> FetchedPartition {
    let told = read.told;
    let high_watermark = told.map_or(-1, |told| told.high_watermark);
    FetchedPartition {
        index: wanted.index,
        error_code: read.records.as_ref().err().copied().unwrap_or(ErrorCode::None),
        high_watermark,
        // Without transactions every visible record is stable.
        last_stable_offset: high_watermark,
        log_start_offset: told.map_or(-1, |told| told.log_start),
        aborted_transactions: terms.is_read_committed.then(Vec::new),
        preferred_read_replica: -1,
        diverging_epoch: None,
        current_leader: None,
        records_bytes: read.bytes(),
    }
}

/// The answer that the session is not as the client thinks; it begins another.
fn refuse<N: Net>(call: Call<N>, code: ErrorCode) -> Reply {
    let top = FetchTop { throttle_time_ms: 0, error_code: code, session_id: 0, topics: 0 };
    match FetchHead::begin(call.response_to(), top).finish(&[]) {
        Ok(head) => call.finish(head.bytes, Vec::new(), Outcome::Refused),
        Err(too_large) => call.finish_too_large(too_large),
    }
}
