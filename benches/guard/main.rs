//! The hot paths on a simulated machine, where nothing is left to chance, so that instructions and allocations can be counted and
//! compared with what they were: `guard NAME ROUNDS` plays one path, and `cargo xtask bench --guard` does that under valgrind.
//! Without words it plays each a few times, to show that it runs.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "it stops at the first surprise and says what it can"
)]

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kolk_io::door::Io;
use kolk_io::sim::{Sim, SimIo};
use kolk_kafka::frame::{CorrelationId, FrameDecoder, RequestHeader, encode_request};
use kolk_kafka::message::{Message, produce};
use kolk_kafka::produce::{ProduceAnswer, ProduceLists, ProduceRequest, encode_response};
use kolk_kafka::wire::{Reader, Version};
use kolk_metric::shard::ShardMetrics;
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::config::overrides::Overrides;
use kolk_model::durability::AckLevel;
use kolk_model::ids::{PartitionId, TopicId, TopicName, TopicPartition};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;
use kolk_native::encoder::Encoder;
use kolk_native::request::{Produce, ProducePartition, Request, decode_into};
use kolk_shard::mesh::seats;
use kolk_shard::request::{CreateTopicOp, FetchOp, FetchSlot, Intent, ProduceOp};
use kolk_shard::settings::ShardSettings;
use kolk_shard::shard::{Producing, Shard};
use kolk_shard::start::{StartPlan, recover};

/// A path: its name, and what plays it so many times.
type Played = (&'static str, fn(u64));

const PATHS: [Played; 9] = [
    ("verify-64k", verify),
    ("native-decode", native_decode),
    ("kafka-produce", kafka_produce),
    ("produce-journal", |rounds| produce(rounds, Load { value_bytes: 128, ..Load::default() })),
    ("produce-direct", |rounds| produce(rounds, Load { records: 64, ..Load::default() })),
    ("produce-wide", |rounds| produce(rounds, Load { partitions: 256, ..Load::default() })),
    ("produce-mesh", |rounds| {
        produce(rounds, Load { shards: 2, partitions: 2, ..Load::default() })
    }),
    ("fetch-memory", fetch_memory),
    ("fetch-wide", fetch_wide),
];
/// Rounds without words.
const ROUNDS_SHORT: u64 = 20;

/// What is produced: a batch to each partition a round.
#[derive(Clone, Copy)]
struct Load {
    shards: u16,
    partitions: u32,
    records: usize,
    value_bytes: usize,
}

impl Default for Load {
    fn default() -> Self {
        Self { shards: 1, partitions: 1, records: 1, value_bytes: 1_000 }
    }
}

fn batch(records: usize, value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    let value = vec![7; value_bytes];
    for _ in 0..records {
        builder.append(TimestampMs::new(1), None, Some(&value), &[]).unwrap();
    }
    builder.build(Compression::None).unwrap()
}

fn verify(rounds: u64) {
    let batch = batch(64, 1_000);
    for _ in 0..rounds {
        let (view, _) = kolk_model::batch::BatchView::parse(&batch).unwrap();
        view.verify_crc().unwrap();
        view.verify_records_seeing(&mut (1 << 20), |_| {}).unwrap();
    }
}

fn native_decode(rounds: u64) {
    let partition = |number| ProducePartition {
        id: TopicPartition::new(TopicId::from_random(1, 2), PartitionId::new(number)),
        batches: batch(1, 128),
        expected_next_offset: None,
    };
    let partitions = (0..16).map(partition).collect();
    let request = Request::Produce(Produce { durability: AckLevel::Topic, partitions });
    let mut front = BytesMut::new();
    let payload = Encoder::new()
        .request(kolk_native::request::CorrelationId::new(1), &request, &mut front)
        .unwrap();
    let whole = [front.to_vec(), payload.concat()].concat();
    let decoder = kolk_native::frame::FrameDecoder::new(kolk_native::frame::FrameLimits::REQUEST);
    let mut buffer = BytesMut::with_capacity(whole.len());
    let mut spare = Vec::new();
    for _ in 0..rounds {
        buffer.extend_from_slice(&whole);
        let decoded = decode_into(&decoder.decode(&mut buffer).unwrap().unwrap(), &mut spare);
        // The broker gives the list back, too.
        if let Request::Produce(Produce { partitions, .. }) = decoded.unwrap().request {
            spare = partitions;
            spare.clear();
        }
    }
}

/// A request of sixteen partitions in, its answer out.
fn kafka_produce(rounds: u64) {
    let partition = |index| produce::RequestPartition { index, records: Some(batch(1, 128)) };
    let topic = produce::RequestTopic {
        name: "a-topic-of-usual-length".to_owned(),
        partition_data: (0..16).map(partition).collect(),
        ..Default::default()
    };
    let request =
        produce::Request { acks: -1, timeout_ms: 1, topic_data: vec![topic], ..Default::default() };
    let header = RequestHeader {
        api: produce::Request::API,
        version: Version::new(9),
        correlation_id: CorrelationId::new(1),
        client_id: Some("bench".into()),
    };
    let mut whole = BytesMut::new();
    encode_request(&mut whole, &header, &request);
    let (whole, decoder) = (whole.freeze(), FrameDecoder::new(1 << 20));
    let mut buffer = BytesMut::with_capacity(whole.len());
    let answers = vec![ProduceAnswer::default(); 16];
    let mut out = BytesMut::with_capacity(1 << 16);
    let mut lists = ProduceLists::default();
    for _ in 0..rounds {
        buffer.extend_from_slice(&whole);
        let frame = decoder.decode(&mut buffer).unwrap().unwrap();
        let mut reader = Reader::new(&frame);
        let header = RequestHeader::decode(&mut reader).unwrap();
        let request =
            ProduceRequest::decode_into(&mut reader, header.version, std::mem::take(&mut lists))
                .unwrap();
        out.clear();
        encode_response(&mut out, header.response_to(), &request, &answers, &[]).unwrap();
        // The broker gives them back, too.
        lists = request.into_lists();
        lists.topics.clear();
        lists.partitions.clear();
    }
}

/// A node without network, all its shards on one simulated machine.
async fn node(io: &SimIo, shards: u16) -> Vec<Shard<SimIo>> {
    let settings = ShardSettings::default();
    let dir = Path::new("/data");
    let plan = StartPlan { dir, shards, log: &settings.log, boot: 1, accept_loss: false };
    let recovered = recover(io, &plan).await.unwrap();
    let mut opened = Vec::new();
    for (part, seat) in recovered.parts.into_iter().zip(seats(shards, settings.mesh_slots)) {
        let metrics = Rc::new(ShardMetrics::new(part.shard().get()));
        let shard = Shard::open(io.clone(), part, settings.clone(), metrics).await.unwrap();
        seat.connect(&shard);
        opened.push(shard);
    }
    opened
}

/// The partitions of a new topic that the last shard owns.
async fn partitions(shards: &[Shard<SimIo>], count: u32) -> Vec<TopicPartition> {
    let shard = &shards[0];
    let name = TopicName::new("bench").unwrap();
    let config = Overrides::topic();
    let op = CreateTopicOp { name, partitions: Some(count), config, intent: Intent::Carry };
    let topic = shard.create_topic(op).await.unwrap().id;
    let all = (0..count).map(|number| TopicPartition::new(topic, PartitionId::new(number)));
    let last = shards.last().unwrap().id();
    all.filter(|partition| shard.metadata().owner(*partition) == last).collect()
}

/// Durable appends through the first shard to partitions of the last, a round at a time.
fn produce(rounds: u64, load: Load) {
    let sim = Sim::new(1).quiet();
    sim.run(move |io| async move {
        let shards = node(&io, load.shards).await;
        let partitions = partitions(&shards, load.partitions).await;
        let batches = batch(load.records, load.value_bytes);
        let mut under_way = Vec::new();
        for _ in 0..rounds {
            append(&shards[0], &partitions, &batches, &mut under_way).await;
        }
    });
}

/// A round; `under_way` is empty before and after, and keeps its memory.
async fn append(
    shard: &Shard<SimIo>,
    partitions: &[TopicPartition],
    batches: &Bytes,
    under_way: &mut Vec<Producing>,
) {
    for partition in partitions {
        under_way.push(shard.produce(ProduceOp {
            partition: *partition,
            batches: batches.clone(),
            wait: AckLevel::Topic,
            expected_next_offset: None,
        }));
    }
    for produced in under_way.drain(..) {
        produced.await.unwrap();
    }
}

fn fetch_memory(rounds: u64) {
    fetch(rounds, 1, 16);
}

fn fetch_wide(rounds: u64) {
    fetch(rounds, 64, 1);
}

/// Fetches of everything in some partitions, all of it in memory.
fn fetch(rounds: u64, count: u32, batches: usize) {
    let sim = Sim::new(1).quiet();
    sim.run(move |io| async move {
        let shards = node(&io, 1).await;
        let partitions = partitions(&shards, count).await;
        let large = batch(64, 1_000);
        for _ in 0..batches {
            append(&shards[0], &partitions, &large, &mut Vec::new()).await;
        }
        let slot = |partition: &TopicPartition| FetchSlot {
            partition: *partition,
            offset: Offset::ZERO,
            bytes_max: 1 << 20,
        };
        let slots: Vec<_> = partitions.iter().map(slot).collect();
        for _ in 0..rounds {
            let (slots, wait_max) = (slots.clone(), Duration::ZERO);
            let op = FetchOp { slots, bytes_min: 1, bytes_max: 1 << 30, wait_max };
            for slot in shards[0].fetch(op).await {
                assert!(!slot.result.unwrap().is_empty(), "the records are there");
            }
        }
        io.yield_now().await;
    });
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    match words.as_slice() {
        [word] if word == "list" => PATHS.iter().for_each(|(name, _)| println!("{name}")),
        [name, rounds] => {
            let (_, play) = PATHS.iter().find(|(path, _)| path == name).unwrap();
            play(rounds.parse().unwrap());
        }
        _ => {
            for (name, play) in PATHS {
                play(ROUNDS_SHORT);
                println!("{name}: played");
            }
        }
    }
}
