//! The coordinator of the groups that one partition of `__consumer_offsets` keeps. A plain value: requests, time
//! and records go in, records and answers come out; the host appends, waits, and gives the answers.
//!
//! State changes at once, and what was not yet durable when a crash comes was never told: each answer names how
//! many records have to be durable before it. When an append fails, the host drops the coordinator and loads
//! another from the log.

use kolk_model::error::ErrorCode;
use kolk_model::limits::TOPIC_NAME_BYTES_MAX;
use kolk_model::map::Map;

use crate::group::answer::{
    DescribedGroup, GroupAnswer, GroupKind, Heard, HeartbeatRefused, JoinRefused, Left, ListedGroup,
};
use crate::group::classic::ClassicGroup;
use crate::group::consumer::{ConsumerGroup, Duty, Stay, check_heartbeat};
use crate::group::desk::{Desk, Effects, Moment, Progress, Ticket, Timer};
use crate::group::ids::{GroupId, MemberId};
use crate::group::offsets::Offsets;
use crate::group::record::RecordKey;
use crate::group::request::{
    ConsumerHeartbeat, GroupRequest, Heartbeat, JoinGroup, LeaveGroup, ListFilter, SyncGroup,
};
use crate::group::settings::GroupSettings;
use crate::group::topics::Topics;

mod load;
mod migration;
mod offsets;

/// A group with its offsets.
#[derive(Clone, Debug)]
struct Group {
    /// Untouched while the group is one of consumers.
    classic: ClassicGroup,
    consumer: Option<Box<ConsumerGroup>>,
    offsets: Offsets,
}

impl Group {
    fn new(id: GroupId) -> Self {
        Self { classic: ClassicGroup::new(id), consumer: None, offsets: Offsets::default() }
    }

    /// Whether nothing of it is left.
    fn is_nothing(&self) -> bool {
        self.classic.is_idle()
            && !self.classic.is_recorded()
            && self.consumer.is_none()
            && self.offsets.is_empty()
    }

    /// Whether it has no members.
    fn is_empty(&self) -> bool {
        self.consumer.as_ref().map_or_else(|| self.classic.is_empty(), |group| group.is_empty())
    }

    fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.consumer {
            Some(group) => group.is_subscribed_to(topic),
            None => self.classic.is_subscribed_to(topic),
        }
    }
}

/// The groups of one partition of the offsets topic.
#[derive(Debug)]
pub struct Coordinator {
    groups: Map<GroupId, Group>,
    /// Offsets of all groups together.
    offsets: usize,
    desk: Desk,
    expiry_timer: Option<u64>,
    /// The group after which the search for old offsets goes on.
    expiry_after: Option<GroupId>,
    /// The same of offsets without a topic.
    lost_after: Option<GroupId>,
}

impl Coordinator {
    /// A coordinator without groups, before its log is read. Feed it [`Coordinator::replay`], then ask for
    /// [`Coordinator::forget_lost`], then give it [`Coordinator::loaded`], then requests.
    #[must_use]
    pub const fn new(settings: GroupSettings) -> Self {
        Self {
            groups: Map::new(),
            offsets: 0,
            desk: Desk::new(settings),
            expiry_timer: None,
            expiry_after: None,
            lost_after: None,
        }
    }

    /// Takes settings that were changed while it runs. Sizes that are exceeded by then stay so until members go.
    pub fn set_settings(&mut self, settings: GroupSettings) {
        let before = std::mem::replace(&mut self.desk.settings, settings);
        let interval_ms = settings.offsets_retention_check_interval_ms;
        if interval_ms != before.offsets_retention_check_interval_ms && self.expiry_timer.is_some()
        {
            self.expect_expiry(interval_ms);
        }
    }

    /// Begins what a request would do, if its records are too many for one go: then, and until this is done, it is not to be
    /// handled yet. A crash may leave it half done, which is what the one who asked is never told.
    pub fn begin(&mut self, moment: Moment, request: &GroupRequest) -> Progress {
        self.desk.moment = moment;
        match request {
            GroupRequest::Delete(group) => self.begin_delete(group),
            _ => Progress::Done,
        }
    }

    /// Whether so many records wait to be taken that nothing more is to be begun: see [`Coordinator::take_effects`].
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.desk.is_full()
    }

    /// Takes a request. Its answer comes with the effects, now or later; each ticket is answered once.
    pub fn handle(
        &mut self,
        moment: Moment,
        topics: &dyn Topics,
        ticket: Ticket,
        request: GroupRequest,
    ) {
        self.desk.moment = moment;
        if request.group().as_str().len() > GROUP_ID_BYTES_MAX {
            let answer = request.kind().refuse(ErrorCode::InvalidGroupId);
            return self.desk.answer(ticket, answer);
        }
        let answer = match request {
            GroupRequest::Join(request) => return self.join(topics, ticket, request),
            GroupRequest::Sync(request) => return self.sync(topics, ticket, request),
            GroupRequest::Heartbeat(request) => {
                GroupAnswer::Heartbeat(self.heartbeat(topics, &request))
            }
            GroupRequest::Leave(request) => self.leave(request),
            GroupRequest::CommitOffsets(request) => {
                GroupAnswer::CommitOffsets(self.commit_offsets(topics, request))
            }
            GroupRequest::FetchOffsets(request) => {
                GroupAnswer::FetchOffsets(self.fetch_offsets(request))
            }
            GroupRequest::DeleteOffsets(request) => {
                GroupAnswer::DeleteOffsets(self.delete_offsets(request))
            }
            GroupRequest::Describe(group) => GroupAnswer::Describe(self.describe(&group)),
            GroupRequest::Delete(group) => GroupAnswer::Delete(self.delete_group(&group)),
            GroupRequest::ConsumerHeartbeat(request) => {
                GroupAnswer::ConsumerHeartbeat(self.consumer_heartbeat(topics, request))
            }
            GroupRequest::ConsumerDescribe(group) => {
                let found = self.groups.get(&group).and_then(|group| group.consumer.as_ref());
                let described = found.map(|group| group.describe());
                GroupAnswer::ConsumerDescribe(described.ok_or(ErrorCode::GroupIdNotFound))
            }
        };
        self.desk.answer(ticket, answer);
    }

    fn join(&mut self, topics: &dyn Topics, ticket: Ticket, request: JoinGroup) {
        let refuse = |desk: &mut Desk, code, member| {
            desk.answer(ticket, GroupAnswer::Join(Err(JoinRefused { code, member })));
        };
        let settings = self.desk.settings;
        let timeouts = settings.session_timeout_ms_min..=settings.session_timeout_ms_max;
        if request.group.is_empty() {
            return refuse(&mut self.desk, ErrorCode::InvalidGroupId, request.member);
        }
        if !timeouts.contains(&request.session_timeout_ms) {
            return refuse(&mut self.desk, ErrorCode::InvalidSessionTimeout, request.member);
        }
        if !fits(&request) {
            return refuse(&mut self.desk, ErrorCode::InvalidRequest, request.member);
        }
        if let Some(group) = self.groups.get_mut(&request.group) {
            if let Some(consumers) = &mut group.consumer {
                if !consumers.is_empty() {
                    return self.join_consumers(topics, ticket, &request);
                }
                for record in consumers.close(&mut self.desk) {
                    self.desk.write(record);
                }
                group.consumer = None;
            }
            let id = request.group.clone();
            group.classic.join(&mut self.desk, ticket, request);
            group.classic.record_if_first(&mut self.desk);
            if group.is_nothing() {
                // It was an empty consumer group, and the one who came was refused.
                self.groups.remove(&id);
            }
            return;
        }
        if !request.member.is_empty() {
            return refuse(&mut self.desk, ErrorCode::UnknownMemberId, request.member);
        }
        if self.groups.len() >= settings.groups_max {
            let nobody = MemberId::new("");
            return refuse(&mut self.desk, ErrorCode::GroupMaxSizeReached, nobody);
        }
        let id = request.group.clone();
        let mut group = Group::new(id.clone());
        group.classic.join(&mut self.desk, ticket, request);
        group.classic.record_if_first(&mut self.desk);
        if !group.is_nothing() {
            self.groups.insert(id, group);
        }
    }

    fn sync(&mut self, topics: &dyn Topics, ticket: Ticket, request: SyncGroup) {
        let synced = match self.groups.get_mut(&request.group) {
            None => Err(check_id(&request.group)),
            Some(Group { consumer: Some(group), .. }) => {
                group.sync(&mut self.desk, topics, &request)
            }
            Some(group) => return group.classic.sync(&mut self.desk, ticket, request),
        };
        self.desk.answer(ticket, GroupAnswer::Sync(synced));
    }

    fn heartbeat(&mut self, topics: &dyn Topics, request: &Heartbeat) -> Result<(), ErrorCode> {
        match self.groups.get_mut(&request.group) {
            None => Err(check_id(&request.group)),
            Some(Group { consumer: Some(group), .. }) => {
                group.classic_heartbeat(&mut self.desk, topics, request)
            }
            Some(group) => group.classic.heartbeat(&mut self.desk, request),
        }
    }

    fn leave(&mut self, request: LeaveGroup) -> GroupAnswer {
        if request.group.is_empty() {
            return GroupAnswer::Leave(Err(ErrorCode::InvalidGroupId));
        }
        let Some(group) = self.groups.get_mut(&request.group) else {
            let unknown = request.members.into_iter().map(|leaving| Left {
                member: leaving.member,
                instance: leaving.instance,
                code: ErrorCode::UnknownMemberId,
            });
            return GroupAnswer::Leave(Ok(unknown.collect()));
        };
        GroupAnswer::Leave(Ok(match &mut group.consumer {
            Some(consumers) => consumers.classic_leave(&mut self.desk, request),
            None => group.classic.leave(&mut self.desk, request),
        }))
    }

    /// A heartbeat of the newer protocol; a group of the other one becomes one of it, if it may.
    fn consumer_heartbeat(
        &mut self,
        topics: &dyn Topics,
        request: ConsumerHeartbeat,
    ) -> Result<Heard, HeartbeatRefused> {
        check_heartbeat(&request)?;
        if !fits_consumer(&request) {
            let why = "an id or a name is too long";
            return Err(HeartbeatRefused::new(ErrorCode::InvalidRequest, why));
        }
        let not_found = || {
            let code = ErrorCode::GroupIdNotFound;
            HeartbeatRefused::new(code, "there is no consumer group of this id")
        };
        let id = request.group.clone();
        let joins = request.epoch == 0;
        let known = self.groups.get_mut(&id);
        if known.is_none() && joins && self.groups.len() >= self.desk.settings.groups_max {
            let code = ErrorCode::GroupMaxSizeReached;
            return Err(HeartbeatRefused::new(code, "the coordinator has no room for more groups"));
        }
        let known = self.groups.get_mut(&id);
        if let Some(consumers) = known.and_then(|group| group.consumer.as_mut()) {
            if request.epoch >= 0 {
                return consumers.heartbeat(&mut self.desk, topics, request);
            }
            let (heard, stay) = consumers.leave(&mut self.desk, &request)?;
            if stay == Stay::Over {
                self.expel(topics, &id, &request.member);
            }
            return Ok(heard);
        }
        if !joins {
            return Err(not_found());
        }
        let consumers = self.upgraded(topics, &request).ok_or_else(not_found)?;
        self.upgrade(topics, consumers, request)
    }

    fn describe(&self, id: &GroupId) -> Result<DescribedGroup, ErrorCode> {
        let group = self.groups.get(id).filter(|group| group.consumer.is_none());
        group.map(|group| group.classic.describe()).ok_or(ErrorCode::GroupIdNotFound)
    }

    fn delete_group(&mut self, id: &GroupId) -> Result<(), ErrorCode> {
        let group = self.groups.get(id).ok_or(ErrorCode::GroupIdNotFound)?;
        if !group.is_empty() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        self.bury(id);
        Ok(())
    }

    /// Forgets a group with its offsets, and writes that down.
    fn bury(&mut self, id: &GroupId) {
        let Some(mut group) = self.groups.remove(id) else { return };
        self.offsets -= group.offsets.len();
        for (topic, partition, _) in group.offsets.iter() {
            let topic = topic.clone();
            let key = RecordKey::Offset { group: id.clone(), topic, partition };
            self.desk.write(key.tombstone());
        }
        if group.classic.is_recorded() {
            self.desk.write(RecordKey::Group(id.clone()).tombstone());
        }
        group.classic.close(&mut self.desk);
        let mut consumer = group.consumer.take();
        for record in
            consumer.iter_mut().flat_map(|group| group.close(&mut self.desk)).collect::<Vec<_>>()
        {
            self.desk.write(record);
        }
    }

    /// Does what is due by now, unless the records become too many: the rest stays due. Call it at
    /// [`Coordinator::next_due_ms`] or later.
    pub fn tick(&mut self, moment: Moment, topics: &dyn Topics) {
        self.desk.moment = moment;
        while !self.desk.is_full()
            && let Some(timer) = self.desk.take_due()
        {
            match timer {
                Timer::Expiry => self.expire_offsets(),
                Timer::Join(group) => {
                    if let Some(group) = self.groups.get_mut(&group) {
                        group.classic.join_timer_due(&mut self.desk);
                    }
                }
                Timer::Sync(group) => {
                    if let Some(group) = self.groups.get_mut(&group) {
                        group.classic.sync_timer_due(&mut self.desk);
                    }
                }
                Timer::Session(id, member) => {
                    let Some(group) = self.groups.get_mut(&id) else { continue };
                    match &mut group.consumer {
                        Some(consumers) => {
                            if consumers.session_timer_due(&mut self.desk, &member) == Stay::Over {
                                self.expel(topics, &id, &member);
                            }
                        }
                        None => group.classic.session_timer_due(&mut self.desk, &member),
                    }
                }
                Timer::Revoke(id, member) => self.duty_due(topics, &id, &member, Duty::Revoke),
                Timer::Rejoin(id, member) => self.duty_due(topics, &id, &member, Duty::Rejoin),
                Timer::Resync(id, member) => self.duty_due(topics, &id, &member, Duty::Resync),
            }
        }
    }

    fn duty_due(&mut self, topics: &dyn Topics, id: &GroupId, member: &MemberId, duty: Duty) {
        let group = self.groups.get_mut(id);
        let Some(consumers) = group.and_then(|group| group.consumer.as_mut()) else { return };
        if consumers.duty_timer_due(member, duty) == Stay::Over {
            self.expel(topics, id, member);
        }
    }

    /// When [`Coordinator::tick`] has something to do next, by the monotonic clock.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        self.desk.next_due_ms()
    }

    /// Gives what has come up since the last call. To be called after everything else that changes something.
    #[must_use]
    pub fn take_effects(&mut self) -> Effects {
        self.desk.take_effects()
    }

    /// How many records were given since the start: the number that [`Effects::after`] counts in.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.desk.written()
    }

    /// The groups, by id, that a filter lets through.
    #[must_use]
    pub fn list(&self, filter: &ListFilter) -> Vec<ListedGroup> {
        let lets = |names: &[String], name: &str| {
            names.is_empty() || names.iter().any(|asked| asked.eq_ignore_ascii_case(name))
        };
        let listed = self.groups.iter().map(|(id, group)| {
            let (protocol_type, state, kind) = match &group.consumer {
                Some(group) => ("consumer", group.state(), GroupKind::Consumer),
                None => {
                    let own = group.classic.protocol_type().unwrap_or_default();
                    (own, group.classic.state(), GroupKind::Classic)
                }
            };
            ListedGroup { group: id.clone(), protocol_type: protocol_type.to_owned(), state, kind }
        });
        listed
            .filter(|group| {
                lets(&filter.states, group.state.name()) && lets(&filter.types, group.kind.name())
            })
            .collect()
    }

    /// How many groups there are.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// How many offsets there are.
    #[must_use]
    pub const fn offset_count(&self) -> usize {
        self.offsets
    }

    /// How many times are waited for: bounded by groups and members.
    #[must_use]
    pub fn timer_count(&self) -> usize {
        self.desk.timer_count()
    }
}

/// Bytes of a group's id. Every record of the group has it in its key, so that an id that is longer than anybody's name for
/// something would be written as often as there are partitions. Kafka has no bound but its wire's 32,767. Beyond: refused
/// with `INVALID_GROUP_ID`.
const GROUP_ID_BYTES_MAX: usize = 1_024;

/// Bytes of a static id, a client's name or address, a rack, a protocol's or an assignor's name. Each is in the record of
/// its member, the first two also in the id that a member is given. Beyond: refused with `INVALID_REQUEST`.
const NAME_BYTES_MAX: usize = 1_024;

/// Bytes of a member's id: a name and a random part. Beyond: refused with `INVALID_REQUEST`.
const MEMBER_ID_BYTES_MAX: usize = NAME_BYTES_MAX + 64;

/// Bytes of a pattern, which may list many names. Beyond: refused with `INVALID_REQUEST`.
const PATTERN_BYTES_MAX: usize = 16_384;

// A record says the length of a text in 15 bits.
const _: () = assert!(PATTERN_BYTES_MAX < 1 << 15 && MEMBER_ID_BYTES_MAX < PATTERN_BYTES_MAX);

/// Whether everything that a record of the group would say has room in it.
fn fits(request: &JoinGroup) -> bool {
    let instance = request.instance.as_ref().map_or("", |instance| instance.as_str());
    let protocols = request.protocols.iter().map(|protocol| protocol.name.as_str());
    let texts = [&request.client.id, &request.client.host, &request.protocol_type];
    let mut all = texts.into_iter().map(String::as_str).chain(protocols).chain([instance]);
    all.all(|text| text.len() <= NAME_BYTES_MAX)
}

/// The same of a consumer's heartbeat.
fn fits_consumer(request: &ConsumerHeartbeat) -> bool {
    let instance = request.instance.as_ref().map_or("", |instance| instance.as_str());
    let given = [&request.rack, &request.assignor];
    let given = given.into_iter().flatten().map(String::as_str);
    let own = [instance, &request.client.id, &request.client.host];
    let mut topics = request.topics.iter().flatten();
    given.chain(own).all(|text| text.len() <= NAME_BYTES_MAX)
        && topics.all(|topic| topic.len() <= TOPIC_NAME_BYTES_MAX)
        && request.member.as_str().len() <= MEMBER_ID_BYTES_MAX
        && request.pattern.as_ref().is_none_or(|pattern| pattern.len() <= PATTERN_BYTES_MAX)
}

/// What is wrong with a group that does not exist.
fn check_id(group: &GroupId) -> ErrorCode {
    if group.is_empty() { ErrorCode::InvalidGroupId } else { ErrorCode::UnknownMemberId }
}
