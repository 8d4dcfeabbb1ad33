//! Clients that send what they must not.

use std::net::Shutdown;

use super::*;

pub(super) fn closed(metrics: &MetricsSnapshot, reason: &str) -> u64 {
    super::super::bad_input::closed(metrics, reason)
}

/// Sends bytes and reads until the broker closes; gives what came.
fn answer_to(broker: &Broker, bytes: &[u8]) -> Vec<u8> {
    let mut client = KafkaClient::connect(broker.kafka);
    let _reset = client.stream.write_all(bytes);
    let mut answer = Vec::new();
    let _reset = client.stream.read_to_end(&mut answer);
    answer
}

#[test]
fn what_is_no_kafka_is_closed_without_an_answer() {
    let broker = Broker::start();
    let cases: [(&[u8], &str); 8] = [
        (b"GET / HTTP/1.1\r\nHost: kolk\r\n\r\n", "frame_too_large"),
        (&[0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3], "frame_too_large"),
        (&[0xff, 0xff, 0xff, 0xff, 0, 18, 0, 0], "bad_frame"),
        (&[0x7f, 0xff, 0xff, 0xff, 0, 18, 0, 0], "frame_too_large"),
        (&[0, 0, 0, 0], "bad_frame"),
        (&[0, 0, 0, 3, 0, 18, 0], "bad_frame"),
        // An API that does not exist, and one that only brokers use.
        (&[0, 0, 0, 10, 7, 7, 0, 0, 0, 0, 0, 1, 255, 255], "bad_frame"),
        (&[0, 0, 0, 10, 0, 4, 0, 0, 0, 0, 0, 1, 255, 255], "bad_frame"),
    ];
    let mut expected = std::collections::BTreeMap::new();
    for (bytes, reason) in cases {
        assert_eq!(answer_to(&broker, bytes), b"", "{bytes:?}");
        *expected.entry(reason).or_insert(0) += 1;
    }
    KafkaClient::connect(broker.kafka).topic("still_here");
    let metrics = broker.stop();
    for (reason, count) in expected {
        assert_eq!(closed(&metrics, reason), count, "{reason}");
    }
}

#[test]
fn an_announced_array_allocates_nothing() {
    let broker = Broker::start();
    // Metadata v9, flexible: an array of 2^28 topics in a body of a few bytes.
    let body = [0, 3, 0, 9, 0, 0, 0, 1, 255, 255, 0, 0x81, 0x80, 0x80, 0x80, 1, 0, 0, 0];
    let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    assert_eq!(answer_to(&broker, &bytes), b"");
    // Produce v9: the same.
    let body =
        [0, 0, 0, 9, 0, 0, 0, 1, 255, 255, 0, 0, 0, 1, 0, 0, 0, 9, 0x81, 0x80, 0x80, 0x80, 1];
    let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(&body);
    assert_eq!(answer_to(&broker, &bytes), b"");
    assert_eq!(closed(&broker.stop(), "bad_frame"), 2);
}

#[test]
fn versions_that_are_not_spoken_close_the_connection() {
    let broker = Broker::start();
    // Metadata version 90.
    assert_eq!(answer_to(&broker, &[0, 0, 0, 10, 0, 3, 0, 90, 0, 0, 0, 1, 255, 255]), b"");
    // Produce version 2, which is shown and not spoken.
    assert_eq!(answer_to(&broker, &[0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 1, 255, 255]), b"");
    assert_eq!(closed(&broker.stop(), "bad_frame"), 2);
}

#[test]
fn random_bytes_never_hurt_other_connections() {
    let broker = Broker::start();
    let mut good = KafkaClient::connect(broker.kafka);
    let id = good.topic("web");
    let templates = [
        framed(9, &produce_request("web", -1, batch(&["a", "b"]))),
        framed(17, &fetch::request(id, 0, 0)),
        framed(12, &all_topics()),
        framed(7, &latest("web", -1)),
        framed(3, &api_versions::Request::default()),
    ];
    let seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut state = seed;
    let mut chance = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % bound as u64).unwrap()
    };
    for case in 0..300 {
        let mut bytes = match case % 6 {
            0 => (0..chance(300)).map(|_| u8::try_from(chance(256)).unwrap()).collect(),
            kind => templates[kind - 1].clone(),
        };
        for _ in 0..chance(6) {
            if let Some(at) = (!bytes.is_empty()).then(|| chance(bytes.len())) {
                bytes[at] = u8::try_from(chance(256)).unwrap();
            }
        }
        bytes.truncate(bytes.len() - chance(bytes.len() / 4 + 1));
        let mut client = KafkaClient::connect(broker.kafka);
        let _reset = client.stream.write_all(&bytes);
        let _gone = client.stream.shutdown(Shutdown::Write);
        let _reset = client.stream.read_to_end(&mut Vec::new());
        let listed: list_offsets::Response = good.call(7, &latest("web", -1));
        assert_eq!(listed.topics[0].partitions[0].error_code, 0, "seed {seed:#x} case {case}");
    }
}

/// The bytes of a request.
fn framed<M: Message>(version: i16, request: &M) -> Vec<u8> {
    let header = RequestHeader {
        api: M::API,
        version: Version::new(version),
        correlation_id: CorrelationId::new(1),
        client_id: None,
    };
    let mut wire = BytesMut::new();
    encode_request(&mut wire, &header, request);
    wire.to_vec()
}
