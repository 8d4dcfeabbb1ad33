//! How the sender finds owners: connections, metadata, producer ids. Apart from the sending itself because
//! all of it waits for the network, in tasks that report back as events.

use std::collections::VecDeque;
use std::sync::Arc;

use kolk_model::error::ErrorCode;
use kolk_model::map::Set;
use kolk_native::reply::{AssignedProducer, Reply};
use kolk_native::request::Request;
use tokio::time::Instant;

use super::{DoorState, Event, Sender, Timer};
use crate::cluster::connection::Connection;
use crate::cluster::{Cluster, View, unexpected};
use crate::error::ClientError;

/// Whether a refusal says that the partition is elsewhere.
pub(super) fn is_moved(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::NotLeaderOrFollower
                | ErrorCode::LeaderNotAvailable
                | ErrorCode::UnknownTopicOrPartition
                | ErrorCode::UnknownTopicId
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::ShuttingDown
        )
    )
}

impl Sender {
    /// Forgets where a lane's partition is, and asks.
    pub(super) fn unroute(&mut self, place: usize) {
        let Some(state) = self.lanes.get_mut(place) else { return };
        let was_routed = state.door.take();
        state.ready = false;
        if let Some(door) = was_routed.and_then(|door| self.doors.get_mut(door)) {
            door.ready.retain(|ready| *ready != place);
        }
        if !self.unrouted.contains(&place) {
            self.unrouted.push(place);
        }
        self.refresh();
    }

    /// Asks where the partitions of all topics in use are, unless somebody does already.
    pub(super) fn refresh(&mut self) {
        if self.refreshing {
            return;
        }
        self.refreshing = true;
        self.timers.retain(|(_, timer)| *timer != Timer::Refresh);
        let mut names = Set::from_iter(self.shared.names());
        let unrouted = self.unrouted.iter().filter_map(|place| self.lanes.get(*place));
        names.extend(unrouted.map(|state| state.slot.topic.clone()));
        let (cluster, post) = (Arc::clone(&self.cluster), self.post.clone());
        tokio::spawn(async move {
            let names = Vec::from_iter(names);
            let outcome = cluster.refresh(Some(&names)).await;
            // Without a sender nobody wants to know.
            let _unwanted = post.send(Event::Refreshed(outcome));
        });
    }

    pub(super) fn refreshed(&mut self, outcome: Result<Arc<View>, ClientError>) {
        self.refreshing = false;
        match outcome {
            Ok(view) => {
                for name in self.shared.names() {
                    match view.topics.get(&name) {
                        Some(topic) => drop(self.shared.learn(&name, topic)),
                        None => self.shared.forget(&name),
                    }
                }
                for place in std::mem::take(&mut self.unrouted) {
                    if !self.route(place, &view) {
                        self.unrouted.push(place);
                    }
                }
                self.give_up_lost(&view);
                self.refresh_failures = if self.unrouted.is_empty() { 0 } else { 1 };
            }
            Err(error) => {
                tracing::debug!(%error, "metadata not refreshed");
                self.refresh_failures += 1;
            }
        }
        if !self.unrouted.is_empty() {
            let pause = self.backoff.pause(self.refresh_failures.saturating_sub(1));
            self.timers.insert((Instant::now() + pause, Timer::Refresh));
        }
    }

    /// Sends a lane to the door that the view names; false if it names none.
    pub(super) fn route(&mut self, place: usize, view: &View) -> bool {
        let Some(state) = self.lanes.get(place) else { return true };
        let owner = view.owner(state.slot.id).filter(|owner| owner.error.is_ok());
        let Some(address) = owner.map(|owner| Arc::clone(&owner.address)) else {
            return false;
        };
        let door = self.door(&address);
        if let Some(state) = self.lanes.get_mut(place) {
            state.door = Some(door);
        }
        self.make_ready(place);
        true
    }

    /// Fails the records of topics that are gone for good.
    fn give_up_lost(&mut self, view: &View) {
        for place in std::mem::take(&mut self.unrouted) {
            let Some(state) = self.lanes.get_mut(place) else { continue };
            if view.owner(state.slot.id).is_some() {
                self.unrouted.push(place);
                continue;
            }
            let topic = Arc::from(state.slot.topic.as_str());
            let error = ClientError::TopicUnknown { topic };
            state.slot.close(&error);
            state.lane.fail_waiting(&error);
        }
    }

    /// The place of an address among the doors.
    fn door(&mut self, address: &Arc<str>) -> usize {
        if let Some(place) = self.door_of.get(address) {
            return *place;
        }
        let place = self.doors.len();
        self.door_of.insert(Arc::clone(address), place);
        self.doors.push(DoorState {
            address: Arc::clone(address),
            connection: None,
            connecting: false,
            failures: 0,
            retry_at: None,
            in_flight: 0,
            ready: VecDeque::new(),
        });
        place
    }

    /// Connects to a door that is needed, unless that is being tried or is to be tried later.
    pub(super) fn reconnect(&mut self, place: usize) {
        let Some(door) = self.doors.get_mut(place) else { return };
        let early = door.retry_at.is_some_and(|at| at > Instant::now());
        if door.connecting || early {
            return;
        }
        door.connecting = true;
        let (cluster, post) = (Arc::clone(&self.cluster), self.post.clone());
        let address = Arc::clone(&door.address);
        tokio::spawn(async move {
            let outcome = cluster.connect(&address).await;
            // Without a sender nobody wants to know.
            let _unwanted = post.send(Event::Connected { door: place, outcome });
        });
    }

    pub(super) fn connected(
        &mut self,
        place: usize,
        outcome: Result<Arc<Connection>, ClientError>,
    ) {
        let Some(door) = self.doors.get_mut(place) else { return };
        door.connecting = false;
        match outcome {
            Ok(connection) => {
                door.connection = Some(connection);
                door.failures = 0;
            }
            Err(error) => {
                tracing::debug!(address = %door.address, %error, "not connected");
                let pause = self.backoff.pause(door.failures);
                door.failures += 1;
                let retry_at = Instant::now() + pause;
                door.retry_at = Some(retry_at);
                self.timers.insert((retry_at, Timer::Door(place)));
                // The broker may be back elsewhere: with another number of shards, say.
                let lanes = 0..self.lanes.len();
                let here = |lane: &usize| {
                    self.lanes.get(*lane).is_some_and(|state| state.door == Some(place))
                };
                let lost: Vec<_> = lanes.filter(here).collect();
                for lane in lost {
                    self.unroute(lane);
                }
            }
        }
    }

    /// Asks for a producer id, unless somebody does already.
    pub(super) fn assign(&mut self) {
        let early = self.assign_at.is_some_and(|at| at > Instant::now());
        if self.assigning || early {
            return;
        }
        self.assigning = true;
        let (cluster, post) = (Arc::clone(&self.cluster), self.post.clone());
        tokio::spawn(async move {
            let outcome = init_producer(&cluster).await;
            // Without a sender nobody wants to know.
            let _unwanted = post.send(Event::Assigned(outcome));
        });
    }

    pub(super) fn assigned(&mut self, outcome: Result<AssignedProducer, ClientError>) {
        self.assigning = false;
        match outcome {
            Ok(producer) => {
                self.producer = Some(producer);
                self.assign_failures = 0;
                for place in std::mem::take(&mut self.unassigned) {
                    self.make_ready(place);
                }
            }
            Err(error) => {
                tracing::debug!(%error, "no producer id");
                let pause = self.backoff.pause(self.assign_failures);
                self.assign_failures += 1;
                let assign_at = Instant::now() + pause;
                self.assign_at = Some(assign_at);
                self.timers.insert((assign_at, Timer::Assign));
            }
        }
    }
}

/// Asks any broker for a producer id that nobody had before.
async fn init_producer(cluster: &Cluster) -> Result<AssignedProducer, ClientError> {
    let connection = cluster.any().await?;
    let timeout = cluster.settings().request_timeout;
    match connection.call(&Request::InitProducer, timeout).await? {
        Reply::InitProducer(producer) => Ok(producer),
        _ => Err(unexpected("init producer")),
    }
}
