//! The views of Produce and Fetch against their generated twins: the same bytes must say the same.

use bytes::{BufMut, Bytes, BytesMut};
use kolk_model::error::ErrorCode;

use super::dice::Dice;
use super::memory::taken;
use super::table::Api;
use super::walk::{Manner, Side, tables, walk};
use crate::api::ApiKey;
use crate::fetch::{
    AbortedTransaction, EpochEndOffset, FetchHead, FetchRequest, FetchTop, FetchedPartition,
};
use crate::frame::{CorrelationId, FrameDecoder, ResponseTo, decode_response_header};
use crate::leader::{LeaderIdAndEpoch, NodeEndpoint};
use crate::message::{self, Message};
use crate::produce::{ProduceAnswer, ProduceRequest, RecordError, encode_response};
use crate::wire::{Reader, Version, Writer};

const CASES: u64 = 2_000;

fn table(api: ApiKey) -> Api {
    tables().into_iter().find(|table| table.key == api.to_wire()).unwrap()
}

/// Valid bytes, and the same with a few of them changed.
fn for_each_request(api: ApiKey, mut check: impl FnMut(Bytes, Version, &str)) {
    let table = table(api);
    for version in table.versions.min..=table.versions.max {
        for seed in 0..CASES {
            let mut dice = Dice::new(seed);
            let manner = if dice.one_in(2) { Manner::Canonical } else { Manner::Loose };
            let mut bytes = walk(&table, Side::Request, version, manner, &mut dice).bytes;
            let place = format!("{} v{version} seed {seed}", table.name);
            check(Bytes::from(bytes.clone()), Version::new(version), &place);
            let at = dice.below(bytes.len());
            bytes[at] = dice.byte();
            check(Bytes::from(bytes), Version::new(version), &place);
        }
    }
}

fn produce_twin(request: &ProduceRequest) -> message::produce::Request {
    let topics = request.topics().map(|(topic, partitions)| message::produce::RequestTopic {
        name: topic.name.as_str().to_owned(),
        topic_id: topic.topic_id,
        partition_data: partitions
            .iter()
            .map(|partition| message::produce::RequestPartition {
                index: partition.index,
                records: partition.records.clone(),
            })
            .collect(),
    });
    message::produce::Request {
        transactional_id: request.transactional_id.as_ref().map(|id| id.as_str().to_owned()),
        acks: request.acks,
        timeout_ms: request.timeout_ms,
        topic_data: topics.collect(),
    }
}

#[test]
fn a_produce_view_says_what_its_twin_says() {
    for_each_request(ApiKey::Produce, |bytes, version, place| {
        let (view, taken) = taken(|| ProduceRequest::decode(&mut Reader::new(&bytes), version));
        assert!(taken.bytes <= 256 + 64 * bytes.len(), "{place}: {taken:?}");
        let twin = message::produce::Request::decode(&mut Reader::new(&bytes), version);
        assert_eq!(view.map(|view| produce_twin(&view)), twin, "{place}");
    });
}

fn fetch_twin(request: &FetchRequest) -> message::fetch::Request {
    let topics = request.topics().map(|(topic, partitions)| message::fetch::RequestTopic {
        topic: topic.name.as_str().to_owned(),
        topic_id: topic.topic_id,
        partitions: partitions
            .iter()
            .map(|partition| message::fetch::RequestPartition {
                partition: partition.index,
                current_leader_epoch: partition.current_leader_epoch,
                fetch_offset: partition.fetch_offset,
                last_fetched_epoch: partition.last_fetched_epoch,
                log_start_offset: partition.log_start_offset,
                partition_max_bytes: partition.bytes_max,
                ..Default::default()
            })
            .collect(),
    });
    let forgotten = request.forgotten.iter().map(|topic| message::fetch::ForgottenTopic {
        topic: topic.name.as_str().to_owned(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.clone(),
    });
    message::fetch::Request {
        replica_id: request.replica_id,
        max_wait_ms: request.max_wait_ms,
        min_bytes: request.min_bytes,
        max_bytes: request.max_bytes,
        isolation_level: request.isolation_level,
        session_id: request.session_id,
        session_epoch: request.session_epoch,
        topics: topics.collect(),
        forgotten_topics_data: forgotten.collect(),
        rack_id: request.rack_id.as_str().to_owned(),
        ..Default::default()
    }
}

/// Takes from a twin what a view leaves out.
fn without_followers(
    mut request: message::fetch::Request,
    version: Version,
) -> message::fetch::Request {
    if version >= 15 {
        request.replica_id = request.replica_state.replica_id;
    }
    request.replica_state = message::fetch::ReplicaState::default();
    request.cluster_id = None;
    for partition in request.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        let absent = message::fetch::RequestPartition::default();
        partition.replica_directory_id = absent.replica_directory_id;
        partition.high_watermark = absent.high_watermark;
    }
    request
}

#[test]
fn a_fetch_view_says_what_its_twin_says() {
    for_each_request(ApiKey::Fetch, |bytes, version, place| {
        let (view, taken) = taken(|| FetchRequest::decode(&mut Reader::new(&bytes), version));
        assert!(taken.bytes <= 256 + 64 * bytes.len(), "{place}: {taken:?}");
        let twin = message::fetch::Request::decode(&mut Reader::new(&bytes), version);
        match twin {
            Ok(twin) => {
                let view = view.map(|view| fetch_twin(&view));
                assert_eq!(view, Ok(without_followers(twin, version)), "{place}");
            }
            // A view skips the tags of followers unread, so that it may accept what its twin refuses.
            Err(error) => {
                assert!(view.is_err() || version >= 12, "{place}: {error}");
            }
        }
    });
}

#[test]
fn a_produce_view_copies_no_record_and_makes_two_allocations() {
    let records = Bytes::from(vec![7; 1 << 20]);
    for partitions in [1, 50] {
        let one = message::produce::RequestPartition { index: 0, records: Some(records.clone()) };
        let topic = message::produce::RequestTopic {
            name: "t".to_owned(),
            partition_data: vec![one; partitions],
            ..Default::default()
        };
        let request = message::produce::Request { topic_data: vec![topic], ..Default::default() };
        let mut out = BytesMut::new();
        let version = Version::new(9);
        request.encode(&mut Writer::new(&mut out), version);
        let frame = out.freeze();
        let (view, taken) = taken(|| ProduceRequest::decode(&mut Reader::new(&frame), version));
        let view = view.unwrap();
        assert_eq!(view.partitions().len(), partitions);
        // The third makes the frame's memory shareable: a client's buffer is that already.
        assert!(taken.count <= 3 && taken.bytes < 4096, "{taken:?}");
        let inside = frame.as_ptr_range();
        for partition in view.partitions() {
            let found = partition.records.as_ref().unwrap();
            assert_eq!(found, &records);
            assert!(inside.contains(&found.as_ptr()), "it was copied");
        }
    }
}

fn leader(dice: &mut Dice) -> Option<LeaderIdAndEpoch> {
    let leader = LeaderIdAndEpoch { leader_id: 3, leader_epoch: 7 };
    dice.one_in(2).then_some(leader)
}

fn endpoints(dice: &mut Dice) -> Vec<NodeEndpoint> {
    let rack = dice.one_in(2).then(|| "r".to_owned());
    let endpoint = NodeEndpoint { node_id: 3, host: "h".to_owned(), port: 9092, rack };
    vec![endpoint; dice.below(3)]
}

fn sentence(dice: &mut Dice) -> Option<String> {
    dice.one_in(2).then(|| "why".to_owned())
}

fn body<M: Message>(frame: &Bytes, to: ResponseTo, place: &str) -> M {
    let mut reader = Reader::new(frame);
    let found = decode_response_header(&mut reader, M::API, to.version);
    assert_eq!(found, Ok(to.correlation_id), "{place}");
    let body = M::decode(&mut reader, to.version).unwrap_or_else(|e| panic!("{place}: {e}"));
    assert_eq!(reader.remaining(), 0, "{place}");
    body
}

/// Writes a twin as the hot path must: the same bytes are expected.
fn twin_bytes<M: Message>(to: ResponseTo, twin: &M) -> Bytes {
    let mut out = BytesMut::new();
    crate::frame::encode_response(&mut out, to, twin).unwrap();
    out.freeze()
}

#[test]
fn answers_to_produce_are_written_as_their_twin_writes_them() {
    let table = table(ApiKey::Produce);
    for version in table.versions.min..=table.versions.max {
        for seed in 0..500 {
            let place = format!("v{version} seed {seed}");
            let mut dice = Dice::new(seed);
            let walked = walk(&table, Side::Request, version, Manner::Canonical, &mut dice).bytes;
            let version = Version::new(version);
            let to = ResponseTo { correlation_id: CorrelationId::new(9), version };
            let request = Bytes::from(walked);
            let request = ProduceRequest::decode(&mut Reader::new(&request), version).unwrap();
            let answer = |_| ProduceAnswer {
                error_code: ErrorCode::ALL[dice.below(ErrorCode::ALL.len())],
                base_offset: dice.number(),
                log_append_time_ms: dice.number(),
                log_start_offset: dice.number(),
                record_errors: vec![
                    RecordError { batch_index: 2, message: sentence(&mut dice) };
                    dice.below(2)
                ],
                error_message: sentence(&mut dice),
                current_leader: leader(&mut dice),
            };
            let answers: Vec<_> = request.partitions().iter().map(answer).collect();
            let endpoints = endpoints(&mut dice);
            let mut out = BytesMut::new();
            encode_response(&mut out, to, &request, &answers, &endpoints).unwrap();
            let whole = out.clone().freeze();
            let frame = FrameDecoder::new(1 << 20).decode(&mut out).unwrap().unwrap();
            let twin: message::produce::Response = body(&frame, to, &place);
            assert_eq!(twin_bytes(to, &twin), whole, "{place}");
            let mut answers = answers.iter();
            for (topic, twin) in request.topics().zip(&twin.responses) {
                assert_eq!(topic.0.name.as_str(), twin.name, "{place}");
                assert_eq!(topic.0.topic_id, twin.topic_id, "{place}");
                for (partition, twin) in topic.1.iter().zip(&twin.partition_responses) {
                    let answer = answers.next().unwrap();
                    assert_eq!(partition.index, twin.index, "{place}");
                    assert_eq!(answer.error_code.to_wire(), twin.error_code, "{place}");
                    assert_eq!(answer.base_offset, twin.base_offset, "{place}");
                    assert_eq!(answer.log_append_time_ms, twin.log_append_time_ms, "{place}");
                    if version >= 8 {
                        assert_eq!(answer.error_message, twin.error_message, "{place}");
                        assert_eq!(answer.record_errors.len(), twin.record_errors.len(), "{place}");
                    }
                    if version >= 10 {
                        let leader_id = answer.current_leader.map_or(-1, |leader| leader.leader_id);
                        assert_eq!(leader_id, twin.current_leader.leader_id, "{place}");
                    }
                }
            }
            let named = if version >= 10 { endpoints.len() } else { 0 };
            assert_eq!(twin.node_endpoints.len(), named, "{place}");
            assert!(answers.next().is_none(), "{place}");
        }
    }
}

fn fetched(dice: &mut Dice) -> FetchedPartition {
    let aborted = AbortedTransaction { producer_id: 5, first_offset: 6 };
    let diverging = EpochEndOffset { epoch: 1, end_offset: 2 };
    FetchedPartition {
        index: 4,
        error_code: ErrorCode::ALL[dice.below(ErrorCode::ALL.len())],
        high_watermark: dice.number(),
        last_stable_offset: dice.number(),
        log_start_offset: dice.number(),
        diverging_epoch: dice.one_in(3).then_some(diverging),
        current_leader: leader(dice),
        aborted_transactions: (!dice.one_in(3)).then(|| vec![aborted; dice.below(3)]),
        preferred_read_replica: -1,
        records_bytes: if dice.one_in(2) { 0 } else { dice.below(300) },
    }
}

#[test]
fn heads_of_fetch_answers_join_with_their_payload_into_their_twin() {
    for version in 4..=18 {
        for seed in 0..500 {
            let place = format!("v{version} seed {seed}");
            let mut dice = Dice::new(seed);
            let version = Version::new(version);
            let to = ResponseTo { correlation_id: CorrelationId::new(-1), version };
            let topics: Vec<Vec<FetchedPartition>> = (0..dice.below(4))
                .map(|_| (0..dice.below(4)).map(|_| fetched(&mut dice)).collect())
                .collect();
            let error_code = ErrorCode::None;
            let top =
                FetchTop { throttle_time_ms: 3, error_code, session_id: 8, topics: topics.len() };
            let mut head = FetchHead::begin(to, top);
            for topic in &topics {
                head.topic("name", [9; 16], topic.len());
                topic.iter().for_each(|partition| head.partition(partition));
            }
            let endpoints = endpoints(&mut dice);
            let head = head.finish(&endpoints).unwrap();
            let payload = head.cuts.iter().map(|cut| Bytes::from(dice.bytes(cut.records_bytes)));
            let payload: Vec<Bytes> = payload.collect();
            assert_eq!(head.payload_bytes(), payload.iter().map(Bytes::len).sum::<usize>());

            let mut joined = BytesMut::new();
            let mut slices = payload.iter();
            for piece in head.fragments() {
                joined.put(piece);
                joined.put(slices.next().cloned().unwrap_or_default());
            }
            let whole = joined.clone().freeze();
            let frame = FrameDecoder::new(1 << 20).decode(&mut joined).unwrap().unwrap();
            assert!(joined.is_empty(), "{place}: the length does not count the payload");
            let twin: message::fetch::Response = body(&frame, to, &place);
            assert_eq!(twin_bytes(to, &twin), whole, "{place}");
            compare(&topics, &twin, version, &place);
            let records = twin.responses.iter().flat_map(|topic| &topic.partitions);
            let records = records.map(|partition| partition.records.clone().expect("never null"));
            let records: Vec<Bytes> = records.filter(|records| !records.is_empty()).collect();
            assert_eq!(records, payload, "{place}");
        }
    }
}

fn compare(
    topics: &[Vec<FetchedPartition>],
    twin: &message::fetch::Response,
    version: Version,
    place: &str,
) {
    let name = if version >= 13 { "" } else { "name" };
    let id = if version >= 13 { [9; 16] } else { [0; 16] };
    assert_eq!(twin.session_id, if version >= 7 { 8 } else { 0 }, "{place}");
    assert_eq!(twin.responses.len(), topics.len(), "{place}");
    for (topic, twin) in topics.iter().zip(&twin.responses) {
        assert_eq!((twin.topic.as_str(), twin.topic_id), (name, id), "{place}");
        assert_eq!(twin.partitions.len(), topic.len(), "{place}");
        for (partition, twin) in topic.iter().zip(&twin.partitions) {
            assert_eq!(twin.partition_index, partition.index, "{place}");
            assert_eq!(twin.error_code, partition.error_code.to_wire(), "{place}");
            assert_eq!(twin.high_watermark, partition.high_watermark, "{place}");
            assert_eq!(twin.last_stable_offset, partition.last_stable_offset, "{place}");
            let aborted = partition.aborted_transactions.as_ref().map(Vec::len);
            assert_eq!(twin.aborted_transactions.as_ref().map(Vec::len), aborted, "{place}");
            if version >= 12 {
                let epoch = partition.diverging_epoch.map_or(-1, |diverging| diverging.epoch);
                assert_eq!(twin.diverging_epoch.epoch, epoch, "{place}");
                let leader = partition.current_leader.map_or(-1, |leader| leader.leader_epoch);
                assert_eq!(twin.current_leader.leader_epoch, leader, "{place}");
            }
        }
    }
}
