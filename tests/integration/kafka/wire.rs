//! One blocking connection on the Kafka wire that sends what it is told, good or bad.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kolk_kafka::frame::{CorrelationId, RequestHeader, decode_response_header, encode_request};
use kolk_kafka::message::{Message, fetch, metadata, produce};
use kolk_kafka::wire::{Reader, Version};
use kolk_model::batch::ProducerStamp;
use kolk_model::batch::builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::time::TimestampMs;

/// How long a broker may be silent while something is expected of it.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// What a client reads of a partition at once.
const PARTITION_BYTES: i32 = 1 << 20;

/// A connection.
pub(crate) struct KafkaWire {
    /// The socket itself, for what is no frame.
    pub(crate) stream: TcpStream,
    next: i32,
}

/// The bytes of a request's frame.
pub(crate) fn frame<M: Message>(version: i16, number: i32, request: &M) -> Vec<u8> {
    let header = RequestHeader {
        api: M::API,
        version: Version::new(version),
        correlation_id: CorrelationId::new(number),
        client_id: Some("integration".into()),
    };
    let mut bytes = BytesMut::new();
    encode_request(&mut bytes, &header, request);
    bytes.to_vec()
}

/// A batch of these values, of a producer or of nobody.
pub(crate) fn batch(
    values: &[&[u8]],
    producer: Option<ProducerStamp>,
    compression: Compression,
) -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in values {
        let time = TimestampMs::new(1_700_000_000_000);
        builder.append(time, None, Some(value), &[]).expect("a record of a test");
    }
    if let Some(producer) = producer {
        builder.set_producer(producer);
    }
    builder.build(compression).expect("a batch of a test")
}

/// A batch for one partition.
pub(crate) fn produce(topic: &str, index: i32, records: Bytes) -> produce::Request {
    let partition = produce::RequestPartition { index, records: Some(records) };
    let topic = produce::RequestTopic {
        name: topic.to_owned(),
        partition_data: vec![partition],
        ..Default::default()
    };
    produce::Request { acks: -1, timeout_ms: 20_000, topic_data: vec![topic], ..Default::default() }
}

/// A fetch of one partition by the topic's name, outside a session.
pub(crate) fn fetch(topic: &str, partition: i32, offset: i64) -> fetch::Request {
    let partition = fetch::RequestPartition {
        partition,
        fetch_offset: offset,
        partition_max_bytes: PARTITION_BYTES,
        ..Default::default()
    };
    let topic = fetch::RequestTopic {
        topic: topic.to_owned(),
        partitions: vec![partition],
        ..Default::default()
    };
    fetch::Request {
        max_wait_ms: 1_000,
        min_bytes: 1,
        max_bytes: 50 << 20,
        session_epoch: -1,
        topics: vec![topic],
        ..Default::default()
    }
}

impl KafkaWire {
    /// Connects and says nothing.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::try_open(address).expect("the Kafka door is open")
    }

    /// The same where the broker may be down.
    pub(crate) fn try_open(address: SocketAddr) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(SILENCE_MAX)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Some(Self { stream, next: 0 })
    }

    /// Sends a request that has no response.
    pub(crate) fn send<Q: Message>(&mut self, version: i16, request: &Q) -> Option<()> {
        self.next += 1;
        self.stream.write_all(&frame(version, self.next, request)).ok()
    }

    /// Sends a request and waits for its response; `None` where the connection ends instead.
    pub(crate) fn try_call<Q: Message, R: Message>(
        &mut self,
        version: i16,
        request: &Q,
    ) -> Option<R> {
        self.next += 1;
        drop(self.stream.write_all(&frame(version, self.next, request)));
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let length = u32::from_be_bytes(length);
        let mut bytes = vec![0; usize::try_from(length).expect("64 bits")];
        self.stream.read_exact(&mut bytes).ok()?;
        let (bytes, version) = (Bytes::from(bytes), Version::new(version));
        let mut reader = Reader::new(&bytes);
        let number = decode_response_header(&mut reader, Q::API, version).expect("a header");
        assert_eq!(number.get(), self.next);
        Some(R::decode(&mut reader, version).expect("a response"))
    }

    /// As [`KafkaWire::try_call`], where the connection must not end.
    pub(crate) fn call<Q: Message, R: Message>(&mut self, version: i16, request: &Q) -> R {
        self.try_call(version, request).expect("the broker answers")
    }

    /// What is known of a topic, which comes into being by the question.
    pub(crate) fn topic(&mut self, name: &str) -> metadata::Response {
        let topic = metadata::RequestTopic { name: Some(name.to_owned()), ..Default::default() };
        let request = metadata::Request { topics: Some(vec![topic]), ..Default::default() };
        let response: metadata::Response = self.call(12, &request);
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
        response
    }

    /// Appends and waits for the outcome.
    pub(crate) fn produce(
        &mut self,
        topic: &str,
        index: i32,
        records: Bytes,
    ) -> produce::Partition {
        let response: produce::Response = self.call(9, &produce(topic, index, records));
        response.responses[0].partition_responses[0].clone()
    }

    /// Reads from an offset on, what comes at once.
    pub(crate) fn fetch(&mut self, topic: &str, index: i32, offset: i64) -> fetch::Partition {
        let response: fetch::Response = self.call(11, &fetch(topic, index, offset));
        response.responses[0].partitions[0].clone()
    }
}
