//! The fetching task of a consumer: keeps one fetch in flight to every owner while there is room for what
//! it brings. Apart because it runs ahead of the caller.

mod locate;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kolk_model::batch::{Batches, batches};
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicName, TopicPartition};
use kolk_model::map::Map;
use kolk_model::offset::Offset;
use kolk_native::reply::{FetchedPartition, ListedOffset, Refusal, Reply};
use kolk_native::request::{Fetch, FetchPartition, Request};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::Position;
use super::fetched::FetchedBatches;
use super::settings::{ConsumerSettings, OutOfRange};
use crate::backoff::Backoff;
use crate::cluster::connection::Connection;
use crate::cluster::{Cluster, View};
use crate::error::ClientError;

/// A partition by name, as the caller knows it.
pub(super) type Target = (TopicName, PartitionId);

/// Which assignment or seek something belongs to: what is older is dropped.
pub(super) type Generation = u64;

/// What wakes the fetcher.
pub(super) enum Event {
    /// Fetch a partition from here.
    Seek { target: Target, position: Position, generation: Generation },
    /// Fetch a partition no more.
    Drop(Target),
    /// A fetch came back, or did not.
    Replied { address: Arc<str>, asked: Vec<Asked>, outcome: Result<Reply, ClientError> },
    /// An attempt to connect ended.
    Connected { address: Arc<str>, outcome: Result<Arc<Connection>, ClientError> },
    /// An attempt to learn where partitions are ended.
    Refreshed(Result<Arc<View>, ClientError>),
    /// An attempt to find an offset ended.
    Listed { target: Target, generation: Generation, outcome: Result<ListedOffset, ClientError> },
}

/// What a fetch asked for.
pub(super) struct Asked {
    target: Target,
    generation: Generation,
    offset: Offset,
}

/// What the fetcher gives the consumer.
pub(super) struct Delivered {
    pub(super) target: Target,
    pub(super) generation: Generation,
    pub(super) outcome: Result<FetchedBatches, ClientError>,
}

/// Events taken in one turn, so that a flood of replies does not hold up fetching.
const TURN_EVENTS_MAX: usize = 1024;

/// How much lies between fetcher and caller.
#[derive(Default)]
pub(super) struct Ahead {
    bytes: AtomicUsize,
    taken: Notify,
}

impl Ahead {
    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn bytes_now(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The caller took something.
    pub(super) fn take(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.taken.notify_one();
    }
}

/// Where a partition stands.
#[derive(Debug)]
enum Stage {
    /// Its owner is not known.
    Unrouted,
    /// Its first offset is not known; `asking` while a task finds out.
    Unplaced { asking: bool },
    /// It may be fetched.
    Ready,
    /// It is being fetched.
    Flying,
    /// It may be tried again then.
    Paused(Instant),
    /// It failed: it waits for a seek.
    Failed,
}

struct Partition {
    generation: Generation,
    /// What the caller asked for; resolved into `offset`.
    position: Position,
    offset: Option<Offset>,
    stage: Stage,
    id: Option<TopicPartition>,
    address: Option<Arc<str>>,
    failures: u32,
}

#[derive(Default)]
struct Door {
    connection: Option<Arc<Connection>>,
    connecting: bool,
    flying: bool,
    failures: u32,
    retry_at: Option<Instant>,
}

/// The fetching task.
pub(super) struct Fetcher {
    cluster: Arc<Cluster>,
    settings: ConsumerSettings,
    ahead: Arc<Ahead>,
    backoff: Backoff,
    events: mpsc::UnboundedReceiver<Event>,
    post: mpsc::UnboundedSender<Event>,
    out: mpsc::UnboundedSender<Delivered>,
    partitions: Map<Target, Partition>,
    doors: Map<Arc<str>, Door>,
    timers: BTreeSet<Instant>,
    refreshing: bool,
    refresh_failures: u32,
    refresh_at: Option<Instant>,
    /// Where the last fetch of any door began, so that every partition comes first in turn.
    turn: usize,
}

/// Both ends of the fetcher's channels that it needs.
pub(super) struct Channels {
    pub(super) events: mpsc::UnboundedReceiver<Event>,
    pub(super) post: mpsc::UnboundedSender<Event>,
    pub(super) out: mpsc::UnboundedSender<Delivered>,
}

impl Fetcher {
    pub(super) fn new(
        cluster: Arc<Cluster>,
        settings: ConsumerSettings,
        ahead: Arc<Ahead>,
        channels: Channels,
    ) -> Self {
        let backoff = Backoff::new(cluster.settings());
        let Channels { events, post, out } = channels;
        Self {
            cluster,
            settings,
            ahead,
            backoff,
            events,
            post,
            out,
            partitions: Map::new(),
            doors: Map::new(),
            timers: BTreeSet::new(),
            refreshing: false,
            refresh_failures: 0,
            refresh_at: None,
            turn: 0,
        }
    }

    /// Runs until its consumer is gone.
    pub(super) async fn run(mut self) {
        let ahead = Arc::clone(&self.ahead);
        while !self.out.is_closed() {
            let now = Instant::now();
            while self.timers.first().is_some_and(|at| *at <= now) {
                self.timers.pop_first();
            }
            self.resume(now);
            self.locate(now);
            self.fetch(now);
            let alarm = self.timers.first().copied();
            let timer = tokio::time::sleep_until(alarm.unwrap_or(now));
            tokio::select! {
                event = self.events.recv() => match event {
                    Some(event) => self.handle_waiting(event),
                    None => return,
                },
                () = ahead.taken.notified() => {}
                () = timer, if alarm.is_some() => {}
            }
        }
    }

    /// Lets partitions go on whose pause is over.
    fn resume(&mut self, now: Instant) {
        for partition in self.partitions.values_mut() {
            if let Stage::Paused(until) = partition.stage
                && until <= now
            {
                partition.stage = partition.next_stage();
            }
        }
    }

    /// Takes an event and those behind it: a turn looks at every partition, which for each of thousands that are assigned at
    /// once would be a square.
    fn handle_waiting(&mut self, first: Event) {
        self.handle(first);
        for _ in 1..TURN_EVENTS_MAX {
            let Ok(event) = self.events.try_recv() else { return };
            self.handle(event);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Seek { target, position, generation } => {
                self.partitions.insert(target, Partition::new(position, generation));
            }
            Event::Drop(target) => drop(self.partitions.remove(&target)),
            Event::Replied { address, asked, outcome } => self.replied(&address, asked, outcome),
            Event::Connected { address, outcome } => self.connected(&address, outcome),
            Event::Refreshed(outcome) => self.refreshed(outcome),
            Event::Listed { target, generation, outcome } => {
                self.listed(&target, generation, outcome);
            }
        }
    }

    /// Sends a fetch to every owner that has none in flight.
    fn fetch(&mut self, now: Instant) {
        let ready = |partition: &Partition| matches!(partition.stage, Stage::Ready);
        let wanted: BTreeSet<_> = self
            .partitions
            .values()
            .filter(|partition| ready(partition))
            .filter_map(|partition| partition.address.clone())
            .collect();
        for address in wanted {
            if self.ahead.bytes.load(Ordering::Relaxed) >= self.settings.prefetch_bytes_max {
                return;
            }
            let Some(connection) = self.usable(&address, now) else { continue };
            let (asked, partitions) = self.ask(&address);
            if partitions.is_empty() {
                continue;
            }
            self.doors.entry(Arc::clone(&address)).or_default().flying = true;
            let wait = self.settings.wait_max;
            let request = Request::Fetch(Fetch {
                wait_ms_max: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
                bytes_min: self.settings.bytes_min,
                bytes_max: self.settings.bytes_max,
                partitions,
            });
            let post = self.post.clone();
            let sink = Box::new(move |outcome| {
                // Without a fetcher nobody waits.
                let _unwanted = post.send(Event::Replied { address, asked, outcome });
            });
            connection.submit(&request, wait + self.cluster.settings().request_timeout, sink);
        }
    }

    /// What to ask an owner for; its partitions are in flight then.
    fn ask(&mut self, address: &Arc<str>) -> (Vec<Asked>, Vec<FetchPartition>) {
        let bytes_max = self.settings.partition_bytes_max;
        let (mut asked, mut partitions) = (Vec::new(), Vec::new());
        for (target, partition) in &mut self.partitions {
            let here = partition.address.as_ref() == Some(address);
            let (Stage::Ready, true, Some(id), Some(offset)) =
                (&partition.stage, here, partition.id, partition.offset)
            else {
                continue;
            };
            partition.stage = Stage::Flying;
            let generation = partition.generation;
            asked.push(Asked { target: target.clone(), generation, offset });
            partitions.push(FetchPartition { id, offset, bytes_max });
        }
        self.turn = self.turn.wrapping_add(1);
        // At most the length, as one is asked for each of the other.
        let first = self.turn.checked_rem(partitions.len()).unwrap_or(0);
        asked.rotate_left(first);
        partitions.rotate_left(first);
        (asked, partitions)
    }

    fn replied(
        &mut self,
        address: &Arc<str>,
        asked: Vec<Asked>,
        outcome: Result<Reply, ClientError>,
    ) {
        let door = self.doors.entry(Arc::clone(address)).or_default();
        door.flying = false;
        match outcome {
            Ok(Reply::Fetch(reply)) if reply.partitions.len() == asked.len() => {
                for (asked, fetched) in asked.into_iter().zip(reply.partitions) {
                    self.settle(asked, fetched);
                }
            }
            Ok(Reply::Refused(refusal)) => {
                for asked in asked {
                    self.refused(asked, refusal.clone(), (None, None));
                }
            }
            // A broken connection, or an answer that makes no sense: the same fetch again.
            lost => {
                if let Err(error) = lost {
                    tracing::debug!(%address, %error, "fetch lost");
                }
                door.connection = None;
                for asked in asked {
                    self.pause(&asked.target, asked.generation);
                }
            }
        }
    }

    fn settle(&mut self, asked: Asked, fetched: FetchedPartition) {
        let FetchedPartition { batches: found, high_watermark, log_start, log_end } = fetched;
        let slices = match found {
            Ok(slices) => slices,
            Err(refusal) => return self.refused(asked, refusal, (log_start, log_end)),
        };
        let Some(partition) = self.partitions.get_mut(&asked.target) else { return };
        if partition.generation != asked.generation {
            return;
        }
        partition.stage = Stage::Ready;
        partition.failures = 0;
        for bytes in slices {
            let next_offset = match next_offset(batches(&bytes)) {
                Ok(next_offset) => next_offset,
                Err(fault) => {
                    let (topic, partition) = asked.target.clone();
                    let fault = Arc::new(fault);
                    self.fail(&asked, ClientError::Batch { topic, partition, fault });
                    return;
                }
            };
            let Some(next_offset) = next_offset else { continue };
            partition.offset = Some(next_offset);
            let (topic, number) = asked.target.clone();
            self.ahead.add(bytes.len());
            let outcome = Ok(FetchedBatches {
                topic,
                partition: number,
                from: asked.offset,
                next_offset,
                high_watermark,
                batches: bytes,
            });
            deliver(&self.out, &asked, outcome);
        }
    }

    fn refused(&mut self, asked: Asked, refusal: Refusal, log: (Option<Offset>, Option<Offset>)) {
        let Some(partition) = self.partitions.get_mut(&asked.target) else { return };
        if partition.generation != asked.generation {
            return;
        }
        if refusal.code == ErrorCode::OffsetOutOfRange {
            match self.settings.out_of_range {
                OutOfRange::Beginning => partition.place_at(Position::Beginning),
                OutOfRange::End => partition.place_at(Position::End),
                OutOfRange::Report => {
                    let (topic, number) = asked.target.clone();
                    let error = ClientError::OffsetOutOfRange {
                        topic,
                        partition: number,
                        offset: asked.offset,
                        log_start: log.0,
                        log_end: log.1,
                    };
                    self.fail(&asked, error);
                }
            }
            return;
        }
        let error = ClientError::from(refusal);
        if error.retriable() {
            partition.address = None;
            self.cluster.forget(&asked.target.0);
            self.pause(&asked.target, asked.generation);
        } else {
            self.fail(&asked, error);
        }
    }

    /// Tries a partition again after a while.
    fn pause(&mut self, target: &Target, generation: Generation) {
        let Some(partition) = self.partitions.get_mut(target) else { return };
        if partition.generation == generation {
            let until = Instant::now() + self.backoff.pause(partition.failures);
            partition.failures = partition.failures.saturating_add(1);
            partition.stage = Stage::Paused(until);
            self.timers.insert(until);
        }
    }

    /// Tells the caller; the partition waits for a seek.
    fn fail(&mut self, asked: &Asked, error: ClientError) {
        if let Some(partition) = self.partitions.get_mut(&asked.target) {
            partition.stage = Stage::Failed;
        }
        deliver(&self.out, asked, Err(error));
    }
}

impl Partition {
    fn new(position: Position, generation: Generation) -> Self {
        let offset = match position {
            Position::Offset(offset) => Some(offset),
            _ => None,
        };
        let stage = Stage::Unrouted;
        Self { generation, position, offset, stage, id: None, address: None, failures: 0 }
    }

    /// Begins anew elsewhere.
    fn place_at(&mut self, position: Position) {
        self.position = position;
        self.offset = None;
        self.stage = self.next_stage();
    }

    /// What is missing before it can be fetched.
    fn next_stage(&self) -> Stage {
        match (&self.address, self.offset) {
            (None, _) => Stage::Unrouted,
            (_, None) => Stage::Unplaced { asking: false },
            _ => Stage::Ready,
        }
    }
}

fn deliver(
    out: &mpsc::UnboundedSender<Delivered>,
    asked: &Asked,
    outcome: Result<FetchedBatches, ClientError>,
) {
    let (target, generation) = (asked.target.clone(), asked.generation);
    // Without a consumer nobody wants it.
    let _unwanted = out.send(Delivered { target, generation, outcome });
}

/// The offset after the last batch; `None` without any.
fn next_offset(walk: Batches<'_>) -> Result<Option<Offset>, kolk_model::batch::BatchError> {
    let mut next = None;
    for batch in walk {
        next = Some(batch?.next_offset());
    }
    Ok(next)
}
