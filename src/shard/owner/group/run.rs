//! The task of one coordinator: loads it, then carries out what was asked in the meantime, appends the records
//! of all that in one go, and answers when they are safe. Requests that come during an append are the next go.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use kolk_coord::group::answer::{GroupAnswer, ListedGroup};
use kolk_coord::group::coordinator::Coordinator;
use kolk_coord::group::desk::{Effects, Moment, Progress, Ticket, WallTrust};
use kolk_coord::group::record::Record;
use kolk_coord::group::request::RequestKind;
use kolk_coord::group::topics::Topics;
use kolk_coord::topic::Topic;
use kolk_io::door::Io;
use kolk_model::batch_builder::{BatchBuilder, BuildError};
use kolk_model::compression::Compression;
use kolk_model::durability::AckLevel;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{TopicId, TopicPartition};
use kolk_model::map::Map;
use kolk_model::time::TimestampMs;
use kolk_partition::effect::WaiterId;

use super::load::load;
use crate::message::Reply;
use crate::metadata::Metadata;
use crate::owner::append::append;
use crate::request::{ProduceOp, Refusal};
use crate::state::clock::Trust;
use crate::state::groups::{Asked, Seat, Standing};
use crate::state::waiters::Waiting;
use crate::state::{Phase, ShardState};

/// Requests carried out before their records are appended.
const ASKED_MAX: usize = 1_024;
/// Bytes of the records of one append. Enough for all that a coordinator takes in before its records are taken, so that
/// the records of one request stand or fall together; what is more, a large group's new assignment, is appended in several.
const APPEND_BYTES_MAX: usize = 16 << 20;
/// Bytes of a batch from which another one is begun.
const BATCH_BYTES: usize = 512 << 10;
/// How long a coordinator that can't load waits before it tries again: first, and at most.
const RELOAD_WAIT: Duration = Duration::from_millis(100);
const RELOAD_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long an append is tried again that the shard or its log has no place for, and how often. Beyond: the groups are
/// loaded again.
const APPEND_PATIENCE: Duration = Duration::from_secs(30);
const APPEND_PAUSE: Duration = Duration::from_millis(10);
/// A coordinator that waits for nothing looks up now and then.
const IDLE_MS: u64 = 60_000;

/// Runs until the topic is deleted or the shard stops.
pub(super) async fn run<I: Io>(state: Rc<ShardState<I>>, id: TopicPartition, seat: Rc<Seat>) {
    let mut wait = RELOAD_WAIT;
    while is_wanted(&state, &seat) {
        match load(&state, id).await {
            Ok(coordinator) => {
                let mut host = Host {
                    state: Rc::clone(&state),
                    seat: Rc::clone(&seat),
                    id,
                    coordinator,
                    open: Map::new(),
                    tickets: 0,
                    deleted: Vec::new(),
                };
                let began = state.io.now();
                if let Err(refusal) = host.serve().await {
                    tracing::warn!(log = %id, %refusal, "groups are loaded again: their records were not appended");
                }
                host.give_up();
                if state.io.now() - began > RELOAD_WAIT_MAX {
                    wait = RELOAD_WAIT;
                }
            }
            Err(refusal) => tracing::warn!(log = %id, %refusal, "groups not loaded"),
        }
        if is_wanted(&state, &seat) {
            state.io.sleep(wait).await;
            wait = (wait * 2).min(RELOAD_WAIT_MAX);
        }
    }
    seat.standing.set(Standing::Closed);
    refuse_queued(&state, &seat);
}

fn is_wanted<I: Io>(state: &ShardState<I>, seat: &Seat) -> bool {
    state.phase.get() == Phase::Open && seat.standing.get() != Standing::Closed
}

/// A loaded coordinator and those who wait for it.
struct Host<I: Io> {
    state: Rc<ShardState<I>>,
    seat: Rc<Seat>,
    id: TopicPartition,
    coordinator: Coordinator,
    open: Map<Ticket, (WaiterId, RequestKind)>,
    tickets: u64,
    /// The ends of topics that were heeded and whose records are not safe yet.
    deleted: Vec<Asked>,
}

impl<I: Io> Host<I> {
    /// Answers until the coordinator is not wanted any more, or an append fails.
    async fn serve(&mut self) -> Result<(), Refusal> {
        self.forget_lost().await?;
        self.coordinator.loaded(self.moment());
        self.seat.standing.set(Standing::Open);
        while is_wanted(&self.state, &self.seat) {
            self.wait().await;
            let lists = self.carry_out();
            let effects = self.coordinator.take_effects();
            let finished = self.finish(effects).await;
            // What a list tells is durable now, too, or will never be.
            let is_safe = finished.is_ok();
            for (waiter, groups) in lists {
                let answer = if is_safe { Ok(groups) } else { Err(ErrorCode::NotCoordinator) };
                self.state.answer(waiter, Reply::Groups(answer));
            }
            if finished.is_err() {
                // The next load may still find the offsets.
                self.deleted.drain(..).rev().for_each(|deleted| self.seat.push_front(deleted));
            }
            finished?;
            self.deleted.clear();
            self.state.io.yield_now().await;
        }
        Ok(())
    }

    /// Forgets the offsets of topics that are gone. The shard has known every topic that offsets were committed for, and knows
    /// which of them were deleted: what its coordinators have not seen of that was lost with a crash.
    async fn forget_lost(&mut self) -> Result<(), Refusal> {
        loop {
            let progress = self.coordinator.forget_lost(&self.topics());
            let effects = self.coordinator.take_effects();
            if !effects.records.is_empty() {
                tracing::info!(
                    log = %self.id,
                    records = effects.records.len(),
                    "offsets of topics that are gone are forgotten"
                );
            }
            self.finish(effects).await?;
            if progress == Progress::Done {
                return Ok(());
            }
            self.state.io.yield_now().await;
        }
    }

    /// Waits until something is asked or due.
    async fn wait(&self) {
        let now_ms = self.moment().now_ms;
        let ms = self.coordinator.next_due_ms().map_or(IDLE_MS, |due| due.saturating_sub(now_ms));
        if ms == 0 {
            return;
        }
        let (state, seat) = (&self.state, &self.seat);
        let awaited = || (!seat.is_idle() || !is_wanted(state, seat)).then_some(());
        let mut asked = pin!(seat.bell.until(awaited));
        if poll_fn(|cx| Poll::Ready(asked.as_mut().poll(cx).is_ready())).await {
            return;
        }
        let mut due = pin!(state.io.sleep(Duration::from_millis(ms.min(IDLE_MS))));
        poll_fn(|cx| match asked.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => due.as_mut().poll(cx),
        })
        .await;
    }

    /// Lets the coordinator do what is due and what is asked. Gives the lists to answer with.
    fn carry_out(&mut self) -> Vec<(WaiterId, Vec<ListedGroup>)> {
        let mut moment = self.moment();
        let topics = self.topics();
        self.coordinator.tick(moment, &topics);
        let mut lists = Vec::new();
        for _ in 0..ASKED_MAX {
            if self.coordinator.is_full() {
                break;
            }
            let Some(asked) = self.seat.pop() else { break };
            let begun = match &asked {
                Asked::Request { request, .. } => self.coordinator.begin(moment, request),
                Asked::TopicDeleted(name, id) => self.coordinator.topic_deleted(name.as_str(), *id),
                Asked::List { .. } | Asked::Settings => Progress::Done,
            };
            if begun == Progress::More {
                // What came after it waits, too: it would see the half of it.
                self.seat.push_front(asked);
                break;
            }
            match asked {
                Asked::Request { waiter, request } => {
                    self.tickets += 1;
                    let ticket = Ticket(self.tickets);
                    self.open.insert(ticket, (waiter, request.kind()));
                    // No two requests give the same id to a member.
                    moment.random ^= u128::from(self.state.io.random_u64());
                    self.coordinator.handle(moment, &topics, ticket, request);
                }
                Asked::List { waiter, filter } => {
                    lists.push((waiter, self.coordinator.list(&filter)));
                }
                Asked::TopicDeleted(..) => self.deleted.push(asked),
                Asked::Settings => self.coordinator.set_settings(self.state.groups.settings()),
            }
        }
        lists
    }

    /// Appends the records, waits until they are safe, and gives the answers.
    async fn finish(&mut self, effects: Effects) -> Result<(), Refusal> {
        let mut rest = effects.records.as_slice();
        while !rest.is_empty() {
            let (next, after) = first_append(rest);
            self.append(next).await?;
            rest = after;
        }
        for (ticket, answer) in effects.answers {
            self.answer(ticket, answer);
        }
        Ok(())
    }

    async fn append(&self, records: &[Record]) -> Result<(), Refusal> {
        let now = TimestampMs::new(self.state.wall_clock().as_ms());
        let batches = encode(records, now)
            .map_err(|error| Refusal::new(ErrorCode::MessageTooLarge, error.to_string()))?;
        let began = self.state.io.now();
        loop {
            let refusal = match self.try_append(batches.clone()).await {
                Ok(()) => return Ok(()),
                Err(refusal) => refusal,
            };
            // The one refusal that is sure to have appended nothing and that time mends: to read every group again because
            // others keep the shard busy would only add to that.
            let is_worth_it = refusal.code == ErrorCode::Overloaded
                && is_wanted(&self.state, &self.seat)
                && self.state.io.now() - began < APPEND_PATIENCE;
            if !is_worth_it {
                return Err(refusal);
            }
            self.state.io.sleep(APPEND_PAUSE).await;
        }
    }

    async fn try_append(&self, batches: Bytes) -> Result<(), Refusal> {
        let state = &self.state;
        let op = ProduceOp {
            partition: self.id,
            batches,
            wait: AckLevel::Topic,
            expected_next_offset: None,
        };
        let waiter = state.waiters.open_local()?;
        if let Some(result) = append(state, op, waiter) {
            state.waiters.close(waiter);
            return result.map(|_| ());
        }
        match Waiting::new(&state.waiters, waiter).await {
            Some(Reply::Produced(result)) => result.map(|_| ()),
            _ => Err(Refusal::new(ErrorCode::UnknownServerError, "an append was not answered")),
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: GroupAnswer) {
        if let Some((waiter, _)) = self.open.remove(&ticket) {
            self.state.answer(waiter, Reply::Group(Box::new(answer)));
        }
    }

    /// Sends everybody away: clients look the coordinator up and ask again.
    fn give_up(&mut self) {
        if self.seat.standing.get() == Standing::Open {
            self.seat.standing.set(Standing::Loading);
        }
        for (_, (waiter, kind)) in std::mem::take(&mut self.open) {
            let answer = kind.refuse(ErrorCode::NotCoordinator);
            self.state.answer(waiter, Reply::Group(Box::new(answer)));
        }
        refuse_queued(&self.state, &self.seat);
    }

    fn topics(&self) -> SeenTopics {
        SeenTopics {
            metadata: Rc::clone(&self.state.metadata.borrow()),
            version: self.state.groups.topics_version.get(),
        }
    }

    fn moment(&self) -> Moment {
        let io = &self.state.io;
        Moment {
            now_ms: io.now().as_ns() / 1_000_000,
            wall: TimestampMs::new(self.state.wall_clock().as_ms()),
            trust: match self.state.clock_trust() {
                Trust::Agree => WallTrust::Believed,
                Trust::Differ => WallTrust::Doubted,
            },
            random: u128::from(io.random_u64()) << 64 | u128::from(io.random_u64()),
        }
    }
}

/// The topics as this shard knows them.
struct SeenTopics {
    metadata: Rc<Metadata>,
    version: u64,
}

impl Topics for SeenTopics {
    fn version(&self) -> u64 {
        self.version
    }

    fn named(&self, name: &str) -> Option<&Topic> {
        self.metadata.topic_named(name).map(AsRef::as_ref)
    }

    fn with_id(&self, id: TopicId) -> Option<&Topic> {
        self.metadata.topic(id).map(AsRef::as_ref)
    }

    fn each(&self, seen: &mut dyn FnMut(&Topic)) {
        self.metadata.topics().for_each(|topic| seen(topic));
    }
}

/// Refuses what is queued, but keeps the topics deleted: their offsets go after the next load.
fn refuse_queued<I: Io>(state: &ShardState<I>, seat: &Seat) {
    let code = ErrorCode::NotCoordinator;
    let mut kept = Vec::new();
    while let Some(asked) = seat.pop() {
        match asked {
            Asked::Request { waiter, request } => {
                state.answer(waiter, Reply::Group(Box::new(request.kind().refuse(code))));
            }
            Asked::List { waiter, .. } => state.answer(waiter, Reply::Groups(Err(code))),
            deleted @ Asked::TopicDeleted(..) => kept.push(deleted),
            // The next load begins with them.
            Asked::Settings => {}
        }
    }
    for deleted in kept {
        seat.push(deleted);
    }
}

/// What of the records is appended next, and the rest.
fn first_append(records: &[Record]) -> (&[Record], &[Record]) {
    let mut bytes = 0;
    let fits = |record: &&Record| {
        bytes += record.key.len() + record.value.as_ref().map_or(0, Bytes::len);
        bytes <= APPEND_BYTES_MAX
    };
    let count = records.iter().take_while(fits).count().max(1);
    records.split_at(count)
}

/// Records as batches, back to back.
fn encode(records: &[Record], now: TimestampMs) -> Result<Bytes, BuildError> {
    let mut batches = BytesMut::new();
    let mut builder = BatchBuilder::new();
    for record in records {
        if builder.len() >= BATCH_BYTES {
            batches.extend_from_slice(&std::mem::take(&mut builder).build(Compression::None)?);
        }
        builder.append(now, Some(&record.key), record.value.as_deref(), &[])?;
    }
    if !builder.is_empty() {
        batches.extend_from_slice(&builder.build(Compression::None)?);
    }
    Ok(batches.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_are_too_many_for_one_append_are_appended_in_several() {
        let record = |bytes: usize| Record {
            key: Bytes::from_static(b"k"),
            value: Some(Bytes::from(vec![0; bytes])),
        };
        let check = |sizes: &[usize], expected: &[usize]| {
            let records: Vec<_> = sizes.iter().copied().map(record).collect();
            let (mut rest, mut counts) = (records.as_slice(), Vec::new());
            while !rest.is_empty() {
                let (next, after) = first_append(rest);
                counts.push(next.len());
                rest = after;
            }
            assert_eq!(counts, expected);
        };
        check(&[], &[]);
        check(&[1; 1_000], &[1_000]);
        let third = APPEND_BYTES_MAX / 3;
        check(&[third; 5], &[2, 2, 1]);
        // Whether it can be appended is for the log to say.
        check(&[1, 2 * APPEND_BYTES_MAX, 1, 1], &[1, 1, 2]);
    }
}
