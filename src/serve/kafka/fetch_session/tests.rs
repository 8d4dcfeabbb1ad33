//! Sessions as a consumer goes through them.

use bytes::{Buf, BytesMut};
use kolk_kafka::api::ApiKey;
use kolk_kafka::frame::{CorrelationId, RequestHeader, encode_request};
use kolk_kafka::message::fetch as wire;
use kolk_kafka::wire::{Reader, Version};

use super::*;

/// A fetch of the partitions of one topic, each from its offset.
fn request(session: (i32, i32), partitions: &[(i32, i64)], forgotten: &[i32]) -> FetchRequest {
    let partitions = partitions.iter().map(|(partition, fetch_offset)| wire::RequestPartition {
        partition: *partition,
        fetch_offset: *fetch_offset,
        partition_max_bytes: 1_000,
        ..wire::RequestPartition::default()
    });
    let partitions: Vec<_> = partitions.collect();
    let topic = wire::RequestTopic { topic_id: [7; 16], partitions, ..Default::default() };
    let forget = wire::ForgottenTopic {
        topic_id: [7; 16],
        partitions: forgotten.to_vec(),
        ..Default::default()
    };
    let request = wire::Request {
        session_id: session.0,
        session_epoch: session.1,
        topics: if topic.partitions.is_empty() { Vec::new() } else { vec![topic] },
        forgotten_topics_data: if forgotten.is_empty() { Vec::new() } else { vec![forget] },
        ..wire::Request::default()
    };
    let header = RequestHeader {
        api: ApiKey::Fetch,
        version: Version::new(17),
        correlation_id: CorrelationId::new(1),
        client_id: None,
    };
    let mut frame = BytesMut::new();
    encode_request(&mut frame, &header, &request);
    frame.advance(4);
    let frame = frame.freeze();
    let mut reader = Reader::new(&frame);
    RequestHeader::decode(&mut reader).unwrap();
    FetchRequest::decode(&mut reader, header.version).unwrap()
}

struct Bench {
    all: Rc<FetchSessions>,
    own: OwnSessions,
    chance: Cell<u64>,
}

impl Bench {
    fn new(sessions_max: usize) -> Self {
        let all = Rc::new(FetchSessions::new(sessions_max));
        let own = OwnSessions::new(&all);
        Self { all, own, chance: Cell::new(0) }
    }

    fn plan(&self, request: &FetchRequest) -> Result<Plan, ErrorCode> {
        self.own.plan(request, Naming::Ids, || {
            self.chance.set(self.chance.get() + (1 << 33));
            self.chance.get()
        })
    }

    /// A session over these partitions.
    fn begin(&self, partitions: &[(i32, i64)]) -> Rc<FetchSession> {
        self.plan(&request((0, 0), partitions, &[])).unwrap().session.expect("there is room")
    }
}

fn offsets(plan: &Plan) -> Vec<(i32, i64)> {
    plan.wanted.iter().map(|wanted| (wanted.index, wanted.offset)).collect()
}

const fn told(high_watermark: i64) -> Option<Told> {
    Some(Told { high_watermark, log_start: 0 })
}

#[test]
fn a_session_remembers_what_later_requests_leave_out() {
    let bench = Bench::new(9);
    let id = bench.begin(&[(0, 10), (1, 20), (2, 30)]).id();
    let next = bench.plan(&request((id, 1), &[(1, 25), (3, 40)], &[2])).unwrap();
    assert!(next.is_incremental);
    assert_eq!(offsets(&next), [(0, 10), (1, 25), (3, 40)]);
    assert_eq!(bench.all.partitions.get(), 3);
    let after = bench.plan(&request((id, 2), &[], &[])).unwrap();
    assert_eq!(offsets(&after), [(0, 10), (1, 25), (3, 40)]);
}

#[test]
fn a_wrong_epoch_or_session_is_told() {
    let bench = Bench::new(9);
    let id = bench.begin(&[(0, 10)]).id();
    let code = |session| bench.plan(&request(session, &[], &[])).err();
    assert_eq!(code((id, 2)), Some(ErrorCode::InvalidFetchSessionEpoch));
    assert_eq!(code((id + 1, 1)), Some(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(code((id, 1)), None);
    let names = bench.own.plan(&request((id, 2), &[], &[]), Naming::Names, || 0).err();
    assert_eq!(names, Some(ErrorCode::FetchSessionTopicId));
}

#[test]
fn a_session_of_another_connection_is_not_known() {
    let bench = Bench::new(9);
    let session = bench.begin(&[(0, 10)]);
    let stranger = OwnSessions::new(&bench.all);
    let more = request((session.id(), 1), &[(1, 20), (2, 30)], &[]);
    let refused = stranger.plan(&more, Naming::Ids, || 0).err();
    assert_eq!(refused, Some(ErrorCode::FetchSessionIdNotFound));
    assert_eq!((session.state.borrow().partitions.len(), bench.all.partitions.get()), (1, 1));
    let own = bench.plan(&request((session.id(), 1), &[], &[])).unwrap();
    assert_eq!(offsets(&own), [(0, 10)], "its owner goes on with it");
}

#[test]
fn a_request_beyond_the_limit_adds_nothing_and_ends_its_session() {
    let bench = Bench::new(9);
    let session = bench.begin(&[(0, 10)]);
    let max = i32::try_from(PARTITIONS_MAX).unwrap();
    let known = bench.plan(&request((session.id(), 1), &vec![(0, 11); PARTITIONS_MAX], &[]));
    assert_eq!(offsets(&known.unwrap()), [(0, 11)], "what is known takes no room");
    let many: Vec<_> = (0..=max).map(|index| (index, 0)).collect();
    let refused = bench.plan(&request((session.id(), 2), &many, &[])).err();
    assert_eq!(refused, Some(ErrorCode::FetchSessionIdNotFound));
    assert_eq!(session.state.borrow().partitions.len(), 1, "nothing was taken in");
    assert_eq!((bench.all.sessions.borrow().len(), bench.all.partitions.get()), (0, 0));
}

#[test]
fn a_session_ends_by_wish_and_with_its_connection() {
    let bench = Bench::new(9);
    let id = bench.begin(&[(0, 10)]).id();
    let last = bench.plan(&request((id, -1), &[(0, 10)], &[])).unwrap();
    assert!(last.session.is_none() && !last.is_incremental);
    assert_eq!(offsets(&last), [(0, 10)]);
    let gone = bench.plan(&request((id, 1), &[], &[])).err();
    assert_eq!(gone, Some(ErrorCode::FetchSessionIdNotFound));
    let second = bench.begin(&[(0, 10), (1, 10)]).id();
    let third = bench.plan(&request((second, 0), &[(5, 1)], &[])).unwrap().session.unwrap();
    assert_ne!(third.id(), second);
    assert_eq!(bench.all.partitions.get(), 1);
    let all = Rc::clone(&bench.all);
    drop(bench);
    assert_eq!((all.sessions.borrow().len(), all.partitions.get()), (0, 0));
}

#[test]
fn without_room_a_consumer_is_served_without_a_session() {
    let bench = Bench::new(2);
    bench.begin(&[(0, 1)]);
    bench.begin(&[(0, 1)]);
    let plan = bench.plan(&request((0, 0), &[(0, 1)], &[])).unwrap();
    assert!(plan.session.is_none());
    assert_eq!(offsets(&plan), [(0, 1)]);
    let one = Bench::new(100);
    (0..OWN_MAX).for_each(|_| drop(one.begin(&[(0, 1)])));
    assert!(one.plan(&request((0, 0), &[(0, 1)], &[])).unwrap().session.is_none());
}

#[test]
fn a_response_leaves_out_what_is_known() {
    let bench = Bench::new(9);
    let session = bench.begin(&[(0, 10), (1, 20)]);
    let first = bench.plan(&request((session.id(), 1), &[], &[])).unwrap();
    let [zero, one] = &first.wanted[..] else { panic!() };
    assert!(session.tell(zero, told(10), 0), "the first time all is news");
    assert!(!session.tell(zero, told(10), 0));
    assert!(session.tell(zero, told(11), 0), "the high watermark moved");
    assert!(session.tell(zero, told(11), 5), "there are records");
    assert!(session.tell(one, None, 0) && session.tell(one, None, 0), "an error is told each time");
    let next = bench.plan(&request((session.id(), 2), &[], &[])).unwrap();
    assert_eq!(offsets(&next), [(1, 20), (0, 10)], "who got records goes behind the others");
}
