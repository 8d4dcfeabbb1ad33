//! Kinds of load. Each connection has a thread of its own, which talks to one door about that door's partitions.

pub(crate) mod acks;
pub(crate) mod fetch;
pub(crate) mod idle;
pub(crate) mod kafka_door;
pub(crate) mod open_loop;
pub(crate) mod produce;

mod meter;

pub(crate) mod topology;

pub(crate) mod batches;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

use kolk_model::durability::AckLevel;
use kolk_model::ids::TopicPartition;
use kolk_native::request::{Produce, ProducePartition, Request};

use crate::error::{BenchError, Outcome};
use crate::load::topology::DoorPartitions;

pub(crate) use meter::{Limit, Throughput};

/// What a load is put on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// Address of a broker.
    pub(crate) broker: &'a str,
    pub(crate) topic: &'a str,
    /// Connections to each door that has partitions of the topic.
    pub(crate) connections: usize,
    /// Cores for the load; empty = wherever the kernel likes.
    pub(crate) cores: &'a [usize],
    /// The broker's process, if its processor time within the measured part is wanted.
    pub(crate) pid: Option<u32>,
}

impl Target<'_> {
    /// What each connection talks about.
    fn shares(&self) -> Outcome<Vec<DoorPartitions>> {
        let doors = topology::doors(self.broker, self.topic)?;
        let shares: Vec<DoorPartitions> =
            doors.into_iter().flat_map(|door| split(door, self.connections)).collect();
        if shares.is_empty() {
            return Err(BenchError::refused(
                format!("topic '{}'", self.topic),
                "it has no partitions",
            ));
        }
        Ok(shares)
    }

    /// Runs `work` for each share on a thread of its own and gives what all of them gave.
    fn in_threads<T: Send>(
        &self,
        shares: &[DoorPartitions],
        work: impl Fn(&DoorPartitions) -> Outcome<T> + Sync,
    ) -> Outcome<Vec<T>> {
        let run = |share| {
            if !self.cores.is_empty() {
                kolk_machine::cores::pin(self.cores);
            }
            work(share)
        };
        std::thread::scope(|scope| {
            let run = &run;
            let threads: Vec<_> =
                shares.iter().map(|share| scope.spawn(move || run(share))).collect();
            let crashed = |_| Err(BenchError::Workload("a load thread panicked".to_owned()));
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(crashed)).collect()
        })
    }
}

/// Deals a door's partitions out to so many connections; none stays empty.
fn split(door: DoorPartitions, connections: usize) -> Vec<DoorPartitions> {
    let count = connections.clamp(1, door.partitions.len().max(1));
    let share = |n: usize| DoorPartitions {
        address: door.address.clone(),
        partitions: door.partitions.iter().skip(n).step_by(count).copied().collect(),
    };
    (0..count).map(share).filter(|share| !share.partitions.is_empty()).collect()
}

/// A produce request of some batches for each of these partitions.
fn produce_request(
    batches: impl IntoIterator<Item = (TopicPartition, bytes::Bytes)>,
    durability: AckLevel,
) -> Request {
    let each = batches.into_iter().map(|(id, batches)| ProducePartition {
        id,
        batches,
        expected_next_offset: None,
    });
    Request::Produce(Produce { durability, partitions: each.collect() })
}
