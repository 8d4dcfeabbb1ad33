//! One blocking connection on the native wire that sends what it is told, good or bad.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kolk_model::batch::builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::durability::AckLevel;
use kolk_model::ids::{PartitionId, TopicId, TopicPartition};
use kolk_model::time::TimestampMs;
use kolk_native::encoder::Encoder;
use kolk_native::frame::{FrameDecoder, FrameLimits};
use kolk_native::reply::{self, ProduceRefusal, Produced, Reply};
use kolk_native::request::{CorrelationId, CreateTopic, Hello, Produce, ProducePartition, Request};

use crate::broker::Place;

/// How long a broker may be silent while something is expected of it.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// The bytes of a request's frame.
pub(crate) fn frame(request: &Request) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let payload = Encoder::new().request(CorrelationId::new(7), request, &mut bytes);
    for part in payload.expect("a request of a test fits a frame") {
        bytes.extend_from_slice(&part);
    }
    bytes.to_vec()
}

/// The greeting of this protocol version.
pub(crate) fn hello(protocol_version: u16) -> Request {
    let client_id = "integration".to_owned();
    Request::Hello(Hello { protocol_version, features: 0, client_id, wants_producer_id: false })
}

/// A batch of these values.
pub(crate) fn batch(values: &[&[u8]]) -> Bytes {
    build(values, Compression::None)
}

/// The same, compressed.
pub(crate) fn compressed(values: &[&[u8]]) -> Bytes {
    build(values, Compression::Zstd)
}

fn build(values: &[&[u8]], compression: Compression) -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in values {
        let time = TimestampMs::new(1_700_000_000_000);
        builder.append(time, None, Some(value), &[]).expect("a record of a test");
    }
    builder.build(compression).expect("a batch of a test")
}

/// Batches for the first partition of a topic.
pub(crate) fn produce(topic: TopicId, batches: Bytes, durability: AckLevel) -> Request {
    let id = TopicPartition { topic, partition: PartitionId::new(0) };
    let partitions = vec![ProducePartition { id, batches, expected_next_offset: None }];
    Request::Produce(Produce { durability, partitions })
}

/// A connection.
pub(crate) struct Wire {
    /// The socket itself, for what is no frame.
    pub(crate) stream: TcpStream,
    received: BytesMut,
}

impl Wire {
    /// Connects and says nothing.
    pub(crate) fn open(place: &Place) -> Self {
        let stream = TcpStream::connect(place.native()).expect("the native door is open");
        stream.set_read_timeout(Some(SILENCE_MAX)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { stream, received: BytesMut::new() }
    }

    /// Connects and says hello.
    pub(crate) fn greeted(place: &Place) -> Self {
        let mut wire = Self::open(place);
        let reply = wire.call(&hello(kolk_native::PROTOCOL_VERSION));
        assert!(matches!(reply, Some(Reply::Hello(_))), "hello: {reply:?}");
        wire
    }

    /// Sends a request and waits for its reply; `None` where the connection ends instead.
    pub(crate) fn call(&mut self, request: &Request) -> Option<Reply> {
        drop(self.stream.write_all(&frame(request)));
        self.reply()
    }

    /// The next reply; `None` where the connection ends. Panics where it stays silent.
    pub(crate) fn reply(&mut self) -> Option<Reply> {
        let decoder = FrameDecoder::new(FrameLimits::REPLY);
        let mut chunk = vec![0; 64 * 1024];
        loop {
            if let Some(frame) = decoder.decode(&mut self.received).expect("a broker's frame") {
                return Some(reply::decode(&frame).expect("a broker's reply").reply);
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {
                    panic!("neither a reply nor a closed connection in {SILENCE_MAX:?}")
                }
                // A reset is a close with unread bytes.
                Err(_) => return None,
            }
        }
    }

    /// Makes a topic with one partition.
    pub(crate) fn create_topic(&mut self, name: &str) -> TopicId {
        let create = CreateTopic {
            name: name.parse().expect("a topic's name"),
            partitions: Some(1),
            settings: Vec::new(),
            validate_only: false,
        };
        match self.call(&Request::CreateTopic(create)) {
            Some(Reply::CreateTopic(created)) => created.id,
            other => panic!("create {name}: {other:?}"),
        }
    }

    /// Appends to the first partition of a topic and waits for the outcome.
    pub(crate) fn produce(
        &mut self,
        topic: TopicId,
        batches: Bytes,
    ) -> Result<Produced, ProduceRefusal> {
        match self.call(&produce(topic, batches, AckLevel::Topic)) {
            Some(Reply::Produce(mut reply)) => reply.partitions.remove(0),
            other => panic!("produce: {other:?}"),
        }
    }
}
