//! Connections to brokers that behave, and to peers that do not.

use std::time::Duration;

use kolk_native::reply::{Reply, StatsReply, TrimReply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::fake::FakeBroker;

fn settings(address: &str) -> ClientSettings {
    let mut settings = ClientSettings::new(address).unwrap();
    settings.connect_timeout = Duration::from_millis(500);
    settings
}

fn reply_bytes(correlation: u64, mut reply: Reply) -> Vec<u8> {
    let mut out = BytesMut::new();
    Encoder::new().reply(CorrelationId::new(correlation), &mut reply, &mut out).unwrap();
    out.to_vec()
}

fn hello(protocol_version: u16) -> Vec<u8> {
    reply_bytes(0, Reply::Hello(HelloReply { protocol_version, ..HelloReply::default() }))
}

fn stats() -> Reply {
    let (broker_version, stats) = (String::new(), Vec::new());
    Reply::Stats(StatsReply { broker_version, uptime_ms: 0, shards: 0, stats })
}

/// A peer that answers the first bytes it gets with `first`, the next with `second`, and then reads on.
async fn peer(first: Vec<u8>, second: Vec<u8>) -> Arc<str> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Arc::from(listener.local_addr().unwrap().to_string());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 4096];
        for answer in [first, second] {
            if stream.read(&mut buffer).await.unwrap_or(0) == 0 {
                return;
            }
            // The client may be gone by now.
            stream.write_all(&answer).await.ok();
        }
        while stream.read(&mut buffer).await.unwrap_or(0) > 0 {}
    });
    address
}

async fn open(address: &Arc<str>) -> Result<Connection, ClientError> {
    Connection::open(address, &settings(address)).await
}

#[tokio::test]
async fn replies_find_their_requests_in_any_order() {
    let trim = Reply::Trim(TrimReply { partitions: Vec::new() });
    let answers = [reply_bytes(2, trim.clone()), reply_bytes(1, stats())].concat();
    let address = peer(hello(PROTOCOL_VERSION), answers).await;
    let connection = open(&address).await.unwrap();
    let limit = Duration::from_secs(5);
    let first = connection.call(&Request::Stats, limit);
    let second = connection.call(&Request::InitProducer, limit);
    assert_eq!(second.await.unwrap(), trim);
    assert_eq!(first.await.unwrap(), stats());
}

#[tokio::test]
async fn a_port_of_another_protocol_is_told_apart() {
    for (greeting, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], Greeting::Http),
        (b"\x15\x03\x01\x00\x02\x02\x46", Greeting::Unknown),
    ] {
        let address = peer(greeting.to_vec(), Vec::new()).await;
        let refused = open(&address).await.err().unwrap();
        let answer = match &refused {
            ClientError::NotNative { answer, .. } => *answer,
            other => panic!("{other}"),
        };
        assert_eq!(answer, expected);
        assert!(!refused.retriable(), "{refused}");
    }
}

#[tokio::test]
async fn a_peer_that_closes_at_hello_is_a_stranger_or_a_broker_that_stops() {
    for reads in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: Arc<str> = Arc::from(listener.local_addr().unwrap().to_string());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            // A connection that is closed with bytes left to read is reset.
            if reads {
                assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            }
        });
        let refused = open(&address).await.err().unwrap();
        let is_closed = matches!(refused, ClientError::NotNative { answer: Greeting::Closed, .. });
        assert!(is_closed && refused.retriable(), "{refused}");
    }
}

#[tokio::test]
async fn a_broker_that_greets_wrongly_is_told_apart() {
    for greeting in [hello(PROTOCOL_VERSION + 1), reply_bytes(0, stats())] {
        let address = peer(greeting, Vec::new()).await;
        let refused = open(&address).await.err().unwrap();
        assert!(matches!(refused, ClientError::Protocol { .. }), "{refused}");
        assert!(!refused.retriable());
    }
}

#[tokio::test]
async fn a_list_with_a_stranger_in_it_still_finds_its_broker() {
    let broker = FakeBroker::start(1).await;
    let stranger = peer(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), Vec::new()).await;
    let both = format!("{stranger},{}", broker.address());
    let client = crate::client::Client::with_settings(settings(&both));
    assert!(client.admin().list_topics().await.is_ok());
}

#[tokio::test]
async fn a_peer_that_never_answers_is_given_up() {
    let address = peer(Vec::new(), Vec::new()).await;
    let refused = open(&address).await.err().unwrap();
    assert!(matches!(refused, ClientError::Disconnected { .. }), "{refused}");
}

#[tokio::test]
async fn garbage_fails_everybody_who_waits() {
    for garbage in [vec![0xff; 100], vec![0; 100], reply_bytes(77, stats())] {
        let address = peer(hello(PROTOCOL_VERSION), garbage).await;
        let connection = open(&address).await.unwrap();
        let limit = Duration::from_secs(5);
        let waiting = [(); 3].map(|()| connection.call(&Request::Stats, limit));
        for one in waiting {
            let failed = one.await.unwrap_err();
            assert!(matches!(failed, ClientError::Protocol { .. }), "{failed}");
        }
        assert!(!connection.is_open());
        assert!(connection.call(&Request::Stats, limit).await.is_err(), "and those who come later");
    }
}

#[tokio::test]
async fn no_answer_in_time_ends_the_connection() {
    let address = peer(hello(PROTOCOL_VERSION), Vec::new()).await;
    let connection = open(&address).await.unwrap();
    let late = connection.call(&Request::Stats, Duration::from_millis(10)).await.unwrap_err();
    assert!(matches!(late, ClientError::TimedOut { .. }), "{late}");
    assert!(late.retriable() && !connection.is_open());
}

#[tokio::test]
async fn dropping_the_connection_fails_what_is_in_flight() {
    let address = peer(hello(PROTOCOL_VERSION), Vec::new()).await;
    let connection = open(&address).await.unwrap();
    let waiting = connection.call(&Request::Stats, Duration::from_secs(5));
    drop(connection);
    assert!(matches!(waiting.await, Err(ClientError::Closed { .. })));
}

#[tokio::test]
async fn more_than_the_socket_holds_is_written_in_time() {
    let broker = FakeBroker::start(1).await;
    broker.create("web", 1);
    let bulk = broker.client().bulk();
    let lane = bulk.partition("web", kolk_model::ids::PartitionId::new(0)).await.unwrap();
    let mut builder = kolk_model::batch_builder::BatchBuilder::new();
    let value = vec![b'x'; 1 << 20];
    let time = kolk_model::time::TimestampMs::new(0);
    builder.append(time, None, Some(&value), &[]).unwrap();
    let batch = builder.build(kolk_model::compression::Compression::None).unwrap();
    let level = kolk_model::durability::AckLevel::Topic;
    let waiting: Vec<_> = (0..40).map(|_| lane.append(batch.clone(), level)).collect();
    for (n, one) in (0..).zip(waiting) {
        assert_eq!(one.await.unwrap().base_offset, kolk_model::offset::Offset::new(n));
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut settings = settings(&address);
    settings.retry_timeout = Duration::from_millis(20);
    let client = crate::client::Client::with_settings(settings);
    let refused = client.admin().list_topics().await.unwrap_err();
    assert!(matches!(refused, ClientError::Unreachable { .. }), "{refused}");
    let named = refused.to_string().matches(&address).count();
    assert_eq!(named, 1, "{refused}");
}
