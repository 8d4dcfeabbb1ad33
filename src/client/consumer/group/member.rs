//! A member's life in the background: it joins, syncs, sends heartbeats, commits, leaves. Apart from the consumer
//! because it goes on while the caller is busy with records. It never takes partitions away by itself: it tells the
//! consumer, which gives them up at its next call, with the positions that it has reached, and only then joins again.

pub(super) mod places;

mod join;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicName;
use kolk_model::map::Set;
use kolk_model::offset::Offset;
use kolk_native::reply::group::GroupReply;
use kolk_native::request::group::{
    CommitOffsets, GroupCall, LeaveGroup, LeavingMember, MemberOfGroup, OffsetToCommit,
};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use self::places::{Placed, Places};
use super::super::fetcher::Target;
use super::settings::GroupSettings;
use crate::cluster::coordinator::Coordinator;
use crate::cluster::unexpected;
use crate::error::ClientError;

/// How long a member that ends by an error tries to leave before it tells so.
const LEAVE_WAIT: Duration = Duration::from_secs(5);

/// How often the leader looks for topics that do not exist yet.
const MISSING_TOPIC_INTERVAL: Duration = Duration::from_secs(5);

/// Counts the consumer's joins: news of an older one is dropped.
pub(super) type Round = u64;

/// Told when something is done, or why not.
pub(super) type Done = oneshot::Sender<Result<(), ClientError>>;

/// What the consumer wants.
pub(super) enum Order {
    /// Commit these, then join with these topics. The consumer has no partitions any more.
    Join { round: Round, commit: Vec<(Target, Offset)>, topics: Vec<TopicName> },
    /// Commit.
    Commit { offsets: Vec<(Target, Offset)>, done: Done },
    /// Commit these, then leave for good.
    Leave { commit: Vec<(Target, Offset)>, done: Done },
}

/// What the consumer is told.
pub(super) enum News {
    /// The group is rebalanced: give up all partitions and order to join again.
    Rebalance(Round),
    /// The group went on without this member: as before, but there is nothing to commit any more.
    Lost(Round),
    /// These are the member's partitions, and where each goes on; of the others that is not known yet.
    Assigned(Round, Vec<Placed>, Set<Target>),
    /// It is known of these by now.
    Placed(Round, Vec<Placed>),
    /// These offsets are committed.
    Committed(Vec<(Target, Offset)>),
    /// The member can't be one. Joining again may help after the cause is gone.
    Failed(Round, ClientError),
}

/// Whether the caller still comes for records.
#[derive(Debug)]
pub(super) struct Attendance {
    start: Instant,
    inside: AtomicBool,
    left_ms: AtomicU64,
}

impl Attendance {
    pub(super) fn new() -> Self {
        let (inside, left_ms) = (AtomicBool::new(false), AtomicU64::new(0));
        Self { start: Instant::now(), inside, left_ms }
    }

    /// The caller waits for records until the guard is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Inside {
        self.inside.store(true, Ordering::Relaxed);
        Inside(Arc::clone(self))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn absent(&self) -> Duration {
        if self.inside.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let left = self.left_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.now_ms().saturating_sub(left))
    }
}

/// The caller is within a call.
pub(super) struct Inside(Arc<Attendance>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.left_ms.store(self.0.now_ms(), Ordering::Relaxed);
        self.0.inside.store(false, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Not in the group, and not asked to be.
    Outside,
    /// In the group, with an assignment.
    Stable,
    /// In the group; the consumer was told to give up its partitions.
    Revoking,
}

/// The task.
pub(super) struct Member {
    coordinator: Arc<Coordinator>,
    settings: GroupSettings,
    attendance: Arc<Attendance>,
    news: mpsc::UnboundedSender<News>,
    who: MemberOfGroup,
    stage: Stage,
    round: Round,
    topics: Vec<TopicName>,
    /// The search for where the partitions of this assignment begin, while it goes on. Ends when it is dropped.
    placing: JoinSet<Result<(), ClientError>>,
    /// Of the leader: the topics of all members with the numbers of partitions that were given out.
    watched: Option<Watched>,
}

struct Watched {
    topics: Vec<TopicName>,
    counts: BTreeMap<TopicName, u32>,
    looked: Instant,
}

impl Member {
    pub(super) fn new(
        coordinator: Coordinator,
        settings: GroupSettings,
        attendance: Arc<Attendance>,
        news: mpsc::UnboundedSender<News>,
    ) -> Self {
        let who = MemberOfGroup {
            group: settings.group.clone(),
            instance: settings.instance.clone(),
            ..MemberOfGroup::default()
        };
        Self {
            coordinator: Arc::new(coordinator),
            settings,
            attendance,
            news,
            who,
            stage: Stage::Outside,
            round: 0,
            topics: Vec::new(),
            placing: JoinSet::new(),
            watched: None,
        }
    }

    /// Runs until the consumer is gone; leaves the group then.
    pub(super) async fn run(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut tick = tokio::time::interval(self.settings.heartbeat_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut pending = None;
        loop {
            let order = match pending.take() {
                Some(order) => Some(order),
                None => tokio::select! {
                    biased;
                    order = orders.recv() => order,
                    _ = tick.tick(), if self.stage != Stage::Outside => {
                        self.live().await;
                        continue;
                    }
                    Some(ended) = self.placing.join_next() => {
                        if let Ok(Err(error)) = ended {
                            self.fail(error).await;
                        }
                        continue;
                    }
                },
            };
            match order {
                Some(Order::Join { round, commit, topics }) => {
                    self.placing = JoinSet::new();
                    self.commit_last(commit).await;
                    (self.round, self.topics) = (round, topics);
                    // An order that comes while the member joins ends the joining.
                    tokio::select! {
                        biased;
                        order = orders.recv() => pending = order,
                        outcome = self.join() => self.joined(outcome).await,
                    }
                    tick.reset();
                }
                Some(Order::Commit { offsets, done }) => self.commit(offsets, done).await,
                Some(Order::Leave { commit, done }) => {
                    self.commit_last(commit).await;
                    let left = self.leave("the consumer was closed").await;
                    // Nobody waits any more: then nobody misses it.
                    let _unwanted = done.send(left);
                    return;
                }
                None => {
                    if let Err(error) = self.leave("the consumer was dropped").await {
                        tracing::debug!(%error, "group not left");
                    }
                    return;
                }
            }
        }
    }

    async fn joined(&mut self, outcome: Result<Vec<Target>, ClientError>) {
        let targets = match outcome {
            Ok(targets) => targets,
            Err(error) => return self.fail(error).await,
        };
        self.stage = Stage::Stable;
        let places = Places {
            coordinator: Arc::clone(&self.coordinator),
            start: self.settings.start,
            news: self.news.clone(),
            round: self.round,
        };
        self.placing.spawn(places.find(targets));
    }

    /// The member can't be one. It leaves, so that the others need not wait for the session timeout.
    async fn fail(&mut self, error: ClientError) {
        self.stage = Stage::Outside;
        self.placing = JoinSet::new();
        let leave = self.leave("the consumer met an error");
        match tokio::time::timeout(LEAVE_WAIT, leave).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "group not left"),
            Err(_) => tracing::debug!("group not left in time"),
        }
        self.tell(News::Failed(self.round, error));
    }

    /// One heartbeat, and what else is due with it.
    async fn live(&mut self) {
        if self.attendance.absent() > self.settings.max_poll_interval {
            tracing::warn!(
                group = %self.settings.group,
                "nobody asks for records within max_poll_interval, so the group is left"
            );
            if let Err(error) = self.leave("the consumer is busy for too long").await {
                tracing::debug!(%error, "group not left");
            }
            return self.lose(ErrorCode::UnknownMemberId);
        }
        let heartbeat = GroupCall::Heartbeat(self.who.clone());
        match self.coordinator.ask(heartbeat, Duration::ZERO).await {
            Ok(_) if self.stage == Stage::Stable && self.topics_changed().await => {
                self.give_up_soon();
            }
            Ok(_) => {}
            Err(error) => match error.code() {
                Some(ErrorCode::RebalanceInProgress) => self.give_up_soon(),
                Some(code) if is_lost(code) => self.lose(code),
                Some(ErrorCode::FencedInstanceId) => self.fail(error).await,
                // The next one may arrive; the broker waits for the session timeout.
                _ => tracing::debug!(%error, "heartbeat lost"),
            },
        }
    }

    fn give_up_soon(&mut self) {
        if self.stage == Stage::Stable {
            self.stage = Stage::Revoking;
            self.tell(News::Rebalance(self.round));
        }
    }

    /// The group does not know this member, or not in this generation.
    fn lose(&mut self, code: ErrorCode) {
        if code == ErrorCode::UnknownMemberId {
            self.who.member.clear();
        }
        self.who.generation = None;
        self.placing = JoinSet::new();
        if self.stage != Stage::Outside {
            self.stage = Stage::Outside;
            self.tell(News::Lost(self.round));
        }
    }

    /// Whether topics came, went or grew since the leader assigned them.
    async fn topics_changed(&mut self) -> bool {
        let age_max = self.coordinator.cluster.settings().metadata_age_max;
        let Some(watched) = &mut self.watched else { return false };
        let complete = watched.topics.iter().all(|topic| watched.counts.contains_key(topic));
        let interval = if complete { age_max } else { MISSING_TOPIC_INTERVAL.min(age_max) };
        if watched.looked.elapsed() < interval {
            return false;
        }
        watched.looked = Instant::now();
        let counts = join::partition_counts(&self.coordinator.cluster, &watched.topics).await;
        counts.is_ok_and(|counts| counts != watched.counts)
    }

    async fn commit(&mut self, offsets: Vec<(Target, Offset)>, done: Done) {
        let outcome = self.try_commit(&offsets).await;
        match &outcome {
            Ok(()) => self.tell(News::Committed(offsets)),
            Err(error) => {
                tracing::debug!(%error, "offsets not committed");
                if let Some(code) = error.code().filter(|code| is_lost(*code)) {
                    self.lose(code);
                }
            }
        }
        // Nobody waits: then the next commit tells.
        let _unwanted = done.send(outcome);
    }

    /// Commits what nobody can commit later.
    async fn commit_last(&mut self, offsets: Vec<(Target, Offset)>) {
        if offsets.is_empty() {
            return;
        }
        match self.try_commit(&offsets).await {
            Ok(()) => self.tell(News::Committed(offsets)),
            Err(error) => tracing::debug!(%error, "offsets not committed before the rebalance"),
        }
    }

    async fn try_commit(&self, offsets: &[(Target, Offset)]) -> Result<(), ClientError> {
        if self.stage == Stage::Outside {
            return Err(ClientError::refused(ErrorCode::UnknownMemberId, ""));
        }
        let offsets = offsets.iter().map(|((topic, partition), offset)| OffsetToCommit {
            topic: topic.clone(),
            partition: *partition,
            offset: *offset,
            leader_epoch: None,
            metadata: String::new(),
        });
        let commit = CommitOffsets { who: self.who.clone(), offsets: offsets.collect() };
        let commit = GroupCall::CommitOffsets(commit);
        let ask = || self.coordinator.ask(commit.clone(), Duration::ZERO);
        match self.coordinator.cluster.retrying(ask).await? {
            GroupReply::CommitOffsets(codes) => {
                match codes.into_iter().find(|code| !code.is_ok()) {
                    Some(code) => Err(ClientError::refused(code, "")),
                    None => Ok(()),
                }
            }
            _ => Err(unexpected("commit offsets")),
        }
    }

    /// Leaves at once, so that others need not wait for the session timeout. A static member stays: it comes back.
    async fn leave(&mut self, reason: &str) -> Result<(), ClientError> {
        let member = std::mem::take(&mut self.who.member);
        self.who.generation = None;
        if member.is_empty() || self.who.instance.is_some() {
            return Ok(());
        }
        let one = LeavingMember { member, instance: None, reason: reason.to_owned() };
        let leave = LeaveGroup { group: self.who.group.clone(), members: vec![one] };
        self.coordinator.ask(GroupCall::Leave(leave), Duration::ZERO).await.map(drop)
    }

    fn tell(&self, news: News) {
        // Without a consumer nobody wants to know.
        let _unwanted = self.news.send(news);
    }
}

/// Whether the code says that the group went on without the member.
const fn is_lost(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration)
}
