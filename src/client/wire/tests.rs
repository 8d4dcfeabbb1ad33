//! The bare connection against the fake broker, which runs on a runtime of its own thread.

use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::durability::AckLevel;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;
use kolk_native::request::{MetadataQuery, Produce, ProducePartition};

use super::*;
use crate::fake::FakeBroker;

#[test]
fn frames_that_were_encoded_once_are_sent_often() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let broker = runtime.block_on(FakeBroker::start(1));
    broker.create("web", 1);
    let mut connection = WireConnection::connect(&broker.address(), "test").unwrap();
    assert_eq!(connection.hello().broker_version, "fake");
    connection.set_timeout(Some(Duration::from_secs(5))).unwrap();
    let query = Request::Metadata(MetadataQuery { topics: None });
    let Reply::Metadata(metadata) = connection.call(&query).unwrap() else {
        panic!("no metadata");
    };
    let topic = metadata.topics[0].outcome.as_ref().unwrap().id;
    let mut builder = BatchBuilder::new();
    builder.append(TimestampMs::new(0), None, Some(&[b'x'; 100_000]), &[]).unwrap();
    let batches = builder.build(Compression::None).unwrap();
    let id = kolk_model::ids::TopicPartition::new(topic, kolk_model::ids::PartitionId::new(0));
    let one = ProducePartition { id, batches, expected_next_offset: None };
    let produce = Produce { durability: AckLevel::Topic, partitions: vec![one] };
    let encoded = connection.encode(&Request::Produce(produce)).unwrap();
    assert!(encoded.wire_bytes() > 100_000);
    for _ in 0..3 {
        connection.send(&encoded).unwrap();
    }
    for n in 0..3 {
        let frame = connection.receive().unwrap();
        assert_eq!(frame.correlation, encoded.correlation);
        let Reply::Produce(reply) = frame.reply else { panic!("{:?}", frame.reply) };
        assert_eq!(reply.partitions[0].as_ref().unwrap().base_offset, Offset::new(n));
    }
    broker.with(|state| state.down = true);
    let broken = connection.call(&Request::Stats).unwrap_err();
    assert!(matches!(broken, ClientError::Disconnected { .. }), "{broken}");
}
