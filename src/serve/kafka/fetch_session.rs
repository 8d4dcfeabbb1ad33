//! Fetch sessions (KIP-227): what a consumer reads is remembered, so that its next request names only what
//! changed, and the response only what is new.
//!
//! Sessions live on the shard of their connection and end with it. Their number and their partitions are
//! bounded; a consumer for whom there is no room is served without a session, as old ones are.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use kolk_kafka::fetch::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};
use kolk_kafka::wire::Uuid;
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;

/// Partitions that all sessions of a door's shard may remember; each takes about 200 bytes.
const PARTITIONS_MAX: usize = 200_000;

/// Sessions that one connection may have at once; a client uses one.
const OWN_MAX: usize = 4;

/// The epoch of a request that begins a session…
const INITIAL_EPOCH: i32 = 0;
/// …and of one that wants none, or the end of one.
const FINAL_EPOCH: i32 = -1;

/// The sessions of one door on one shard.
pub(crate) struct FetchSessions {
    sessions_max: usize,
    sessions: RefCell<BTreeMap<i32, Rc<FetchSession>>>,
    partitions: Cell<usize>,
}

/// The sessions of one connection; they end with it.
pub(crate) struct OwnSessions {
    all: Rc<FetchSessions>,
    ids: RefCell<Vec<i32>>,
}

/// How a request names its topics: by name up to version 12, by id from 13 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    Names,
    Ids,
}

/// A topic as the client names it: one of both, by the version of the request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TopicKey {
    pub(crate) name: Rc<str>,
    pub(crate) id: Uuid,
}

/// What a consumer wants of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) topic: TopicKey,
    pub(crate) index: i32,
    pub(crate) offset: i64,
    pub(crate) bytes_max: i32,
    pub(crate) leader_epoch: i32,
}

/// What a response says of a partition beside its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) high_watermark: i64,
    pub(crate) log_start: i64,
}

/// One session.
pub(crate) struct FetchSession {
    id: i32,
    naming: Naming,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// The epoch that the next request must have.
    epoch: i32,
    partitions: BTreeMap<(TopicKey, i32), Remembered>,
    /// The partitions in the order in which they are served: who got records goes to the end.
    order: BTreeMap<u64, (TopicKey, i32)>,
    next: u64,
}

struct Remembered {
    offset: i64,
    bytes_max: i32,
    leader_epoch: i32,
    place: u64,
    told: Option<Told>,
}

/// What a request comes down to.
pub(crate) struct Plan {
    pub(crate) wanted: Vec<Wanted>,
    /// The session that the response belongs to, if any.
    pub(crate) session: Option<Rc<FetchSession>>,
    /// Whether the response leaves out what the client knows.
    pub(crate) is_incremental: bool,
}

impl FetchSessions {
    /// None yet; at most `sessions_max`.
    pub(crate) const fn new(sessions_max: usize) -> Self {
        Self { sessions_max, sessions: RefCell::new(BTreeMap::new()), partitions: Cell::new(0) }
    }

    fn has_room(&self, partitions: usize) -> bool {
        self.sessions.borrow().len() < self.sessions_max
            && self.partitions.get() + partitions <= PARTITIONS_MAX
    }

    fn remove(&self, id: i32) {
        if let Some(session) = self.sessions.borrow_mut().remove(&id) {
            let partitions = session.state.borrow().partitions.len();
            self.partitions.set(self.partitions.get() - partitions);
        }
    }
}

impl OwnSessions {
    /// None yet.
    pub(crate) fn new(all: &Rc<FetchSessions>) -> Self {
        Self { all: Rc::clone(all), ids: RefCell::default() }
    }

    /// Finds out what a request wants, and makes, moves on or ends its session. `chance` gives the id of one
    /// that is made.
    ///
    /// # Errors
    /// The code for the whole request: the session is not known, at another epoch, or names topics otherwise.
    pub(crate) fn plan(
        &self,
        request: &FetchRequest,
        naming: Naming,
        chance: impl FnMut() -> u64,
    ) -> Result<Plan, ErrorCode> {
        match request.session_epoch {
            FINAL_EPOCH | INITIAL_EPOCH => {
                self.end(request.session_id);
                let wanted = last_of_each(request.topics().flat_map(wanted_of_topic).collect());
                let wants_session = request.session_epoch == INITIAL_EPOCH;
                let session = wants_session.then(|| self.make(&wanted, naming, chance)).flatten();
                Ok(Plan { wanted, session, is_incremental: false })
            }
            epoch => {
                let session = self.own(request.session_id);
                let session = session.ok_or(ErrorCode::FetchSessionIdNotFound)?;
                if session.naming != naming {
                    return Err(ErrorCode::FetchSessionTopicId);
                }
                session.advance(epoch)?;
                // Before anything is taken in: what a request adds can be as much as a frame holds.
                if self.all.partitions.get().saturating_add(session.added(request)) > PARTITIONS_MAX
                {
                    self.end(session.id);
                    return Err(ErrorCode::FetchSessionIdNotFound);
                }
                let (before, after) = session.update(request);
                self.all.partitions.set(self.all.partitions.get() - before + after);
                Ok(Plan { wanted: session.wanted(), session: Some(session), is_incremental: true })
            }
        }
    }

    /// A session of this connection. One of another connection is as unknown as one that never was: it would be
    /// updated beyond its owner's end.
    fn own(&self, id: i32) -> Option<Rc<FetchSession>> {
        let is_own = self.ids.borrow().contains(&id);
        is_own.then(|| self.all.sessions.borrow().get(&id).cloned()).flatten()
    }

    fn make(
        &self,
        wanted: &[Wanted],
        naming: Naming,
        mut chance: impl FnMut() -> u64,
    ) -> Option<Rc<FetchSession>> {
        let has_room = self.ids.borrow().len() < OWN_MAX && self.all.has_room(wanted.len());
        if !has_room || wanted.is_empty() {
            return None;
        }
        let mut sessions = self.all.sessions.borrow_mut();
        let id = loop {
            // 31 random bits, so that a session of before a restart is not taken for this one.
            let id = i32::try_from(chance() >> 33).unwrap_or(0);
            if id > 0 && !sessions.contains_key(&id) {
                break id;
            }
        };
        let mut state = State { epoch: 1, ..State::default() };
        wanted.iter().for_each(|wanted| state.want(wanted.clone()));
        self.all.partitions.set(self.all.partitions.get() + state.partitions.len());
        let session = Rc::new(FetchSession { id, naming, state: RefCell::new(state) });
        sessions.insert(id, Rc::clone(&session));
        self.ids.borrow_mut().push(id);
        Some(session)
    }

    fn end(&self, id: i32) {
        let mut ids = self.ids.borrow_mut();
        let before = ids.len();
        ids.retain(|own| *own != id);
        if ids.len() < before {
            self.all.remove(id);
        }
    }
}

impl Drop for OwnSessions {
    fn drop(&mut self) {
        for id in self.ids.take() {
            self.all.remove(id);
        }
    }
}

impl FetchSession {
    /// The number that the client names it by.
    pub(crate) const fn id(&self) -> i32 {
        self.id
    }

    /// Notes what a response is about to say of a partition, nothing if it can't be read; tells whether the
    /// client has to hear it.
    pub(crate) fn tell(&self, wanted: &Wanted, told: Option<Told>, records_bytes: usize) -> bool {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        let key = (wanted.topic.clone(), wanted.index);
        // Forgotten by a later request; the answer to this one is whole all the same.
        let Some(remembered) = state.partitions.get_mut(&key) else { return true };
        let is_news = told.is_none() || remembered.told != told || records_bytes > 0;
        remembered.told = told;
        if records_bytes > 0 {
            state.order.remove(&remembered.place);
            remembered.place = state.next;
            state.order.insert(state.next, key);
            state.next += 1;
        }
        is_news
    }

    /// Takes a request of this epoch in; the next one must have the next.
    fn advance(&self, epoch: i32) -> Result<(), ErrorCode> {
        let mut state = self.state.borrow_mut();
        if state.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        state.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        Ok(())
    }

    /// How many partitions a request would add at most: one that it names twice counts twice.
    fn added(&self, request: &FetchRequest) -> usize {
        let state = self.state.borrow();
        let unknown =
            |wanted: &Wanted| !state.partitions.contains_key(&(wanted.topic.clone(), wanted.index));
        request.topics().flat_map(wanted_of_topic).filter(unknown).count()
    }

    /// Takes a request's changes in; gives the number of partitions before and after.
    fn update(&self, request: &FetchRequest) -> (usize, usize) {
        let mut state = self.state.borrow_mut();
        let before = state.partitions.len();
        request.topics().flat_map(wanted_of_topic).for_each(|wanted| state.want(wanted));
        request.forgotten.iter().for_each(|forgotten| state.forget(forgotten));
        (before, state.partitions.len())
    }

    fn wanted(&self) -> Vec<Wanted> {
        let state = self.state.borrow();
        let wanted = state.order.values().filter_map(|key| {
            let remembered = state.partitions.get(key)?;
            Some(Wanted {
                topic: key.0.clone(),
                index: key.1,
                offset: remembered.offset,
                bytes_max: remembered.bytes_max,
                leader_epoch: remembered.leader_epoch,
            })
        });
        wanted.collect()
    }
}

impl State {
    fn want(&mut self, wanted: Wanted) {
        let Wanted { topic, index, offset, bytes_max, leader_epoch } = wanted;
        let key = (topic, index);
        if let Some(known) = self.partitions.get_mut(&key) {
            (known.offset, known.bytes_max, known.leader_epoch) = (offset, bytes_max, leader_epoch);
            return;
        }
        let place = self.next;
        self.next += 1;
        self.order.insert(place, key.clone());
        let told = None;
        self.partitions.insert(key, Remembered { offset, bytes_max, leader_epoch, place, told });
    }

    fn forget(&mut self, forgotten: &ForgottenTopic) {
        let topic = key(forgotten.name.as_str(), forgotten.topic_id);
        for index in &forgotten.partitions {
            if let Some(known) = self.partitions.remove(&(topic.clone(), *index)) {
                self.order.remove(&known.place);
            }
        }
    }
}

/// Each partition once, in its first place as it was named last: as in Kafka, and as in a session.
fn last_of_each(wanted: Vec<Wanted>) -> Vec<Wanted> {
    let key = |wanted: &Wanted| (wanted.topic.clone(), wanted.index);
    // As most requests are: nothing is named twice.
    if wanted.is_sorted_by(|one, next| (&one.topic, one.index) < (&next.topic, next.index)) {
        return wanted;
    }
    let mut places: BTreeMap<_, usize> = BTreeMap::new();
    let mut kept: Vec<Wanted> = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let place = *places.entry(key(&wanted)).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(before) => *before = wanted,
            None => kept.push(wanted),
        }
    }
    kept
}

/// A topic as a request names it.
fn key(name: &str, id: Uuid) -> TopicKey {
    let name = if id == TopicId::ZERO.get() { name } else { "" };
    TopicKey { name: name.into(), id }
}

fn wanted_of_topic<'a>(
    (topic, partitions): (&FetchTopic, &'a [FetchPartition]),
) -> impl Iterator<Item = Wanted> + use<'a> {
    let topic = key(topic.name.as_str(), topic.topic_id);
    partitions.iter().map(move |part| Wanted {
        topic: topic.clone(),
        index: part.index,
        offset: part.fetch_offset,
        bytes_max: part.bytes_max,
        leader_epoch: part.current_leader_epoch,
    })
}

#[cfg(test)]
mod tests;
