//! Whole nodes of several shards on one simulated machine.

use std::time::Duration;

use bytes::Bytes;

use kolk_io::sim::{Sim, SimIo};
use kolk_model::batch::{ProducerStamp, batches};
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::config::definition::ConfigKind;
use kolk_model::config::overrides::Overrides;
use kolk_model::durability::AckLevel;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, ProducerEpoch, Sequence, TopicName};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use super::*;
use crate::mesh::seats;
use crate::request::{
    CreateTopicOp, FetchOp, FetchSlot, FetchedSlot, Intent, ProduceOp, Produced, Refusal,
};

mod compaction;
mod crowded;
mod executors;
mod fetch;
mod groups;
mod keeping;
mod lives;
mod produce;
mod stops;
mod topics;
mod unpolled;

const DIR: &str = "/d";

/// A node whose shards share one executor.
struct Node {
    io: SimIo,
    shards: Vec<Shard<SimIo>>,
    report: RecoveryReport,
}

fn settings() -> ShardSettings {
    ShardSettings {
        housekeeping_ms: 1_000,
        log: LogSettings {
            journal_file_bytes: 1 << 20,
            journal_files: 4,
            memory_bytes_max: 16 << 20,
            ..LogSettings::default()
        },
        ..ShardSettings::default()
    }
}

impl Node {
    async fn start(io: SimIo, shards: u16) -> Self {
        Self::start_with(io, shards, settings()).await
    }

    async fn start_with(io: SimIo, shards: u16, settings: ShardSettings) -> Self {
        let plan = StartPlan {
            dir: Path::new(DIR),
            shards,
            log: &settings.log,
            boot: 1,
            accept_loss: false,
        };
        let recovered = recover(&io, &plan).await.unwrap();
        let mut opened = Vec::new();
        for (part, seat) in recovered.parts.into_iter().zip(seats(shards, settings.mesh_slots)) {
            let metrics = Rc::new(ShardMetrics::new(part.shard().get()));
            let shard = Shard::open(io.clone(), part, settings.clone(), metrics).await.unwrap();
            seat.connect(&shard);
            opened.push(shard);
        }
        Self { io, shards: opened, report: recovered.report }
    }

    fn shard(&self, number: u16) -> &Shard<SimIo> {
        &self.shards[usize::from(number)]
    }

    async fn create(&self, name: &str, partitions: u32) -> TopicId {
        self.create_with(name, partitions, Overrides::topic()).await.unwrap()
    }

    async fn create_with(
        &self,
        name: &str,
        partitions: u32,
        config: Overrides,
    ) -> Result<TopicId, Refusal> {
        let name = TopicName::new(name).unwrap();
        let op =
            CreateTopicOp { name, partitions: Some(partitions), config, intent: Intent::Carry };
        // From the last shard, so that the controller is another one where there are several.
        let created = self.shards.last().unwrap().create_topic(op).await?;
        assert_eq!(created.partitions, partitions);
        Ok(created.id)
    }

    /// Stops all shards at once.
    async fn stop(&self) {
        let stops: Vec<_> = self.shards.iter().map(Shard::stop).collect();
        let bells: Vec<_> = stops
            .into_iter()
            .map(|stop| {
                let done = kolk_io::wait::Completion::new();
                let later = done.clone();
                self.io.spawn(async move { later.complete(stop.await) });
                done
            })
            .collect();
        for done in bells {
            done.await.unwrap();
        }
    }

    /// Waits until no future of any shard waits for an answer.
    fn waiting(&self) -> usize {
        self.shards.iter().map(|shard| shard.state.waiters.count()).sum()
    }
}

fn overrides(entries: &[(&str, &str)]) -> Overrides {
    Overrides::from_settings(ConfigKind::Topic, entries.iter().copied()).unwrap()
}

const fn at(topic: TopicId, partition: u32) -> TopicPartition {
    TopicPartition::new(topic, PartitionId::new(partition))
}

fn text_batch(texts: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for text in texts {
        builder.append(TimestampMs::new(1_000), None, Some(text.as_bytes()), &[]).unwrap();
    }
    builder.build(Compression::None).unwrap()
}

fn batch_of(producer: u64, sequence: u32, texts: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for text in texts {
        builder.append(TimestampMs::new(1_000), None, Some(text.as_bytes()), &[]).unwrap();
    }
    builder.set_producer(ProducerStamp {
        id: ProducerId::new(producer),
        epoch: ProducerEpoch::new(0),
        base_sequence: Sequence::new(sequence),
    });
    builder.build(Compression::None).unwrap()
}

fn produce_op(partition: TopicPartition, batches: Bytes) -> ProduceOp {
    ProduceOp { partition, batches, wait: AckLevel::Topic, expected_next_offset: None }
}

async fn produce<I: Io>(
    shard: &Shard<I>,
    partition: TopicPartition,
    texts: &[&str],
) -> Result<Produced, Refusal> {
    shard.produce(produce_op(partition, text_batch(texts))).await
}

fn fetch_op(slots: &[(TopicPartition, u64)], wait: Duration) -> FetchOp {
    let slot = |(partition, offset): &(TopicPartition, u64)| FetchSlot {
        partition: *partition,
        offset: Offset::new(*offset),
        bytes_max: 1 << 20,
    };
    FetchOp {
        slots: slots.iter().map(slot).collect(),
        bytes_min: 1,
        bytes_max: 8 << 20,
        wait_max: wait,
    }
}

/// The records of an answer, each with its offset.
fn texts(slot: &FetchedSlot) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    for batch in batches(&slot.result.as_ref().unwrap().concat()) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        for record in kolk_model::records::Records::of(&batch).unwrap() {
            let record = record.unwrap();
            let text = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            found.push((record.offset.get(), text));
        }
    }
    found
}

/// Everything of a partition, read to the end.
async fn read_all(shard: &Shard<SimIo>, partition: TopicPartition) -> Vec<(u64, String)> {
    let mut found: Vec<(u64, String)> = Vec::new();
    loop {
        let from = found.last().map_or(0, |(offset, _)| offset + 1);
        let answer = shard.fetch(fetch_op(&[(partition, from)], Duration::ZERO)).await;
        let mut more = texts(&answer[0]);
        more.retain(|(offset, _)| *offset >= from);
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

fn code<T: std::fmt::Debug>(result: Result<T, Refusal>) -> ErrorCode {
    result.unwrap_err().code
}

/// Runs a scene on a new node of so many shards, over a few schedules.
fn check<F: Future<Output = ()>>(shards: u16, scene: impl Fn(Rc<Node>) -> F + Copy + 'static) {
    for seed in 0..3 {
        Sim::new(seed).run(move |io| async move {
            scene(Rc::new(Node::start(io, shards).await)).await;
        });
    }
}
