//! How the fetcher finds owners and first offsets. Apart from the fetching itself because all of it waits
//! for the network, in tasks that report back as events.

use std::sync::Arc;

use kolk_model::ids::TopicPartition;
use kolk_model::map::Set;
use kolk_model::offset::Offset;
use kolk_native::reply::ListedOffset;
use kolk_native::request::OffsetPlace;
use tokio::time::Instant;

use super::{Asked, Event, Fetcher, Generation, Partition, Stage, Target};
use crate::admin::list_offsets;
use crate::cluster::View;
use crate::cluster::connection::Connection;
use crate::consumer::Position;
use crate::error::ClientError;

impl Fetcher {
    /// Starts finding whatever partitions lack.
    pub(super) fn locate(&mut self, now: Instant) {
        let view = self.cluster.view();
        let mut unknown = Set::new();
        for (target, partition) in &mut self.partitions {
            if matches!(partition.stage, Stage::Unrouted) && !partition.route(target, &view) {
                unknown.insert(target.0.clone());
            }
        }
        if !unknown.is_empty() {
            self.refresh(unknown, now);
        }
        self.ask_offsets();
    }

    fn refresh(&mut self, topics: Set<kolk_model::ids::TopicName>, now: Instant) {
        if self.refreshing || self.refresh_at.is_some_and(|at| at > now) {
            return;
        }
        self.refreshing = true;
        let (cluster, post) = (Arc::clone(&self.cluster), self.post.clone());
        tokio::spawn(async move {
            let topics = Vec::from_iter(topics);
            let outcome = cluster.refresh(Some(&topics)).await;
            // Without a fetcher nobody wants to know.
            let _unwanted = post.send(Event::Refreshed(outcome));
        });
    }

    pub(super) fn refreshed(&mut self, outcome: Result<Arc<View>, ClientError>) {
        self.refreshing = false;
        match outcome {
            Ok(view) => {
                self.refresh_failures = 0;
                self.refresh_at = None;
                self.give_up_unknown(&view);
            }
            Err(error) => {
                tracing::debug!(%error, "metadata not refreshed");
                let at = Instant::now() + self.backoff.pause(self.refresh_failures);
                self.refresh_failures = self.refresh_failures.saturating_add(1);
                self.refresh_at = Some(at);
                self.timers.insert(at);
            }
        }
    }

    /// Fails partitions that do not exist, and pauses those without an owner.
    fn give_up_unknown(&mut self, view: &View) {
        let mut failed = Vec::new();
        let mut ownerless = Vec::new();
        for (target, partition) in &mut self.partitions {
            if !matches!(partition.stage, Stage::Unrouted) || partition.route(target, view) {
                continue;
            }
            let (topic, number) = target;
            let generation = partition.generation;
            let known = view.topics.get(topic).map(|topic| topic.partitions.len());
            let error = match known {
                None => ClientError::TopicUnknown { topic: Arc::from(topic.as_str()) },
                Some(count) if usize::try_from(number.get()).is_ok_and(|n| n < count) => {
                    ownerless.push((target.clone(), generation));
                    continue;
                }
                Some(count) => {
                    let topic = topic.clone();
                    ClientError::PartitionUnknown { topic, partition: *number, count }
                }
            };
            let asked = Asked { target: target.clone(), generation, offset: Offset::ZERO };
            failed.push((asked, error));
        }
        for (asked, error) in failed {
            self.fail(&asked, error);
        }
        for (target, generation) in ownerless {
            self.cluster.forget(&target.0);
            self.pause(&target, generation);
        }
    }

    /// Asks for the first offsets of partitions that begin at a place or a time.
    fn ask_offsets(&mut self) {
        for (target, partition) in &mut self.partitions {
            let Stage::Unplaced { asking: asking @ false } = &mut partition.stage else { continue };
            *asking = true;
            let place = match partition.position {
                Position::Beginning => OffsetPlace::Beginning,
                Position::End | Position::Offset(_) => OffsetPlace::End,
                Position::Time(time) => OffsetPlace::At(time),
            };
            let (cluster, post) = (Arc::clone(&self.cluster), self.post.clone());
            let (target, generation) = (target.clone(), partition.generation);
            tokio::spawn(async move {
                let queries = [(target.1, place)];
                let listed = list_offsets(&cluster, &target.0, &queries).await;
                let first = |all: Vec<ListedOffset>| all.first().copied();
                let nothing = crate::cluster::unexpected("list offsets");
                let outcome = listed.and_then(|all| first(all).ok_or(nothing));
                // Without a fetcher nobody wants to know.
                let _unwanted = post.send(Event::Listed { target, generation, outcome });
            });
        }
    }

    pub(super) fn listed(
        &mut self,
        target: &Target,
        generation: Generation,
        outcome: Result<ListedOffset, ClientError>,
    ) {
        let Some(partition) = self.partitions.get_mut(target) else { return };
        if partition.generation != generation {
            return;
        }
        match outcome {
            Ok(ListedOffset { offset: Some(offset), .. }) => {
                partition.offset = Some(offset);
                partition.stage = partition.next_stage();
            }
            // No record is that new: the next one will be.
            Ok(ListedOffset { offset: None, .. }) => partition.place_at(Position::End),
            Err(error) if error.retriable() => {
                partition.address = None;
                self.cluster.forget(&target.0);
                self.pause(target, generation);
            }
            Err(error) => {
                let asked = Asked { target: target.clone(), generation, offset: Offset::ZERO };
                self.fail(&asked, error);
            }
        }
    }

    /// The connection to an owner that has no fetch in flight.
    pub(super) fn usable(&mut self, address: &Arc<str>, now: Instant) -> Option<Arc<Connection>> {
        let door = self.doors.entry(Arc::clone(address)).or_default();
        if door.flying || door.connecting || door.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        if let Some(open) = door.connection.clone().filter(|connection| connection.is_open()) {
            return Some(open);
        }
        door.connecting = true;
        let (cluster, post) = (Arc::clone(&self.cluster), self.post.clone());
        let address = Arc::clone(address);
        tokio::spawn(async move {
            let outcome = cluster.connect(&address).await;
            // Without a fetcher nobody wants to know.
            let _unwanted = post.send(Event::Connected { address, outcome });
        });
        None
    }

    pub(super) fn connected(
        &mut self,
        address: &Arc<str>,
        outcome: Result<Arc<Connection>, ClientError>,
    ) {
        let door = self.doors.entry(Arc::clone(address)).or_default();
        door.connecting = false;
        match outcome {
            Ok(connection) => {
                door.connection = Some(connection);
                door.failures = 0;
                door.retry_at = None;
            }
            Err(error) => {
                tracing::debug!(%address, %error, "not connected");
                let at = Instant::now() + self.backoff.pause(door.failures);
                door.failures = door.failures.saturating_add(1);
                door.retry_at = Some(at);
                self.timers.insert(at);
                // The broker may be back elsewhere: with another number of shards, say.
                for (target, partition) in &mut self.partitions {
                    if partition.address.as_ref() == Some(address) {
                        self.cluster.forget(&target.0);
                        partition.address = None;
                        if matches!(partition.stage, Stage::Ready) {
                            partition.stage = Stage::Unrouted;
                        }
                    }
                }
            }
        }
    }
}

impl Partition {
    /// Takes the owner that the view names; false if it names none.
    fn route(&mut self, target: &Target, view: &View) -> bool {
        let number = usize::try_from(target.1.get()).unwrap_or(usize::MAX);
        let topic = view.topics.get(&target.0);
        let owner = topic.and_then(|topic| Some((topic.id, topic.partitions.get(number)?)));
        match owner {
            Some((topic, owner)) if owner.error.is_ok() => {
                self.id = Some(TopicPartition::new(topic, target.1));
                self.address = Some(Arc::clone(&owner.address));
                self.stage = self.next_stage();
                true
            }
            _ => false,
        }
    }
}
