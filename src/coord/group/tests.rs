//! The behaviour of groups, asked through a coordinator as a host would.

use bytes::Bytes;

use kolk_model::config::overrides::Overrides;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, PartitionId, TopicId, TopicName};
use kolk_model::map::Map;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;
use kolk_model::topic_config::TopicConfig;

use crate::group::answer::{
    DescribedGroup, FetchedOffsets, GroupAnswer, JoinRefused, Joined, Left, Synced,
};
use crate::group::coordinator::Coordinator;
use crate::group::desk::{Moment, Progress, Ticket, WallTrust};
use crate::group::ids::{Generation, GroupId, InstanceId, MemberId};
use crate::group::record::{OffsetValue, Record, RecordKey};
use crate::group::request::{
    Client, CommitOffsets, DeleteOffsets, FetchOffsets, GroupRequest, Heartbeat, JoinGroup,
    LeaveGroup, Leaving, OffsetToCommit, OffsetsOfTopic, Protocol, SyncGroup,
};
use crate::group::settings::GroupSettings;
use crate::group::topics::Topics;
use crate::topic::{Run, Topic};

mod admin;
mod chance;
mod classic;
mod commits;
mod consumers;
mod migration;
mod mixed;
mod settings;
mod statics;

const GROUP: &str = "g";
/// What the settings of [`Host::new`] say.
const DELAY_MS: u64 = 3_000;
const SESSION_MS: u32 = 10_000;
const REBALANCE_MS: u32 = 60_000;

/// Topics that a test makes.
#[derive(Default)]
struct Known {
    version: u64,
    /// Topics of one name are others in another generation.
    generation: u64,
    topics: Map<String, Topic>,
    makes_what_is_committed: bool,
}

impl Known {
    /// Makes a topic, or gives it more partitions.
    fn make(&mut self, name: &str, partitions: u32) -> TopicId {
        self.version += 1;
        let id = id_of(name, self.generation);
        let topic = self.topics.entry(name.to_owned()).or_insert_with(|| Topic {
            id,
            name: TopicName::new(name).unwrap(),
            partitions,
            overrides: Overrides::topic(),
            config: TopicConfig::default(),
            created_at: TimestampMs::NONE,
            created_in: Run::default(),
        });
        topic.partitions = partitions;
        topic.id
    }
}

/// The id of a topic that a test makes.
fn id_of(name: &str, generation: u64) -> TopicId {
    let add = |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte));
    TopicId::from_random(name.bytes().fold(7, add), generation << 8)
}

impl Topics for Known {
    fn version(&self) -> u64 {
        self.version
    }

    fn named(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    fn with_id(&self, id: TopicId) -> Option<&Topic> {
        self.topics.values().find(|topic| topic.id == id)
    }

    fn each(&self, seen: &mut dyn FnMut(&Topic)) {
        self.topics.values().for_each(seen);
    }
}

/// A coordinator with the log that a host would keep for it.
struct Host {
    coordinator: Coordinator,
    settings: GroupSettings,
    topics: Known,
    log: Vec<Record>,
    answers: Map<Ticket, GroupAnswer>,
    moment: Moment,
    tickets: u64,
    /// Records of the log that the coordinator has read rather than written.
    loaded: u64,
}

impl Host {
    fn new() -> Self {
        Self::with(GroupSettings::default())
    }

    fn with(settings: GroupSettings) -> Self {
        let moment = Moment {
            now_ms: 1,
            wall: TimestampMs::new(1_000_000),
            trust: WallTrust::Believed,
            random: 7,
        };
        let mut coordinator = Coordinator::new(settings);
        coordinator.loaded(moment);
        Self {
            coordinator,
            settings,
            topics: Known { makes_what_is_committed: true, ..Known::default() },
            log: Vec::new(),
            answers: Map::new(),
            moment,
            tickets: 0,
            loaded: 0,
        }
    }

    /// Loads another coordinator from the log, as after a crash.
    fn restart(&mut self) {
        self.coordinator = self.replayed();
        self.loaded = self.log.len() as u64;
        self.coordinator.loaded(self.moment);
    }

    fn replayed(&self) -> Coordinator {
        let mut coordinator = Coordinator::new(self.settings);
        for record in &self.log {
            coordinator.replay(&record.key, record.value.as_deref()).unwrap();
        }
        coordinator
    }

    fn ask(&mut self, request: GroupRequest) -> Ticket {
        self.tickets += 1;
        self.moment.random += 1_000_000;
        let ticket = Ticket(self.tickets);
        if let GroupRequest::CommitOffsets(request) = &request {
            // Offsets are committed for topics that exist, unless a test says otherwise.
            for offset in &request.offsets {
                let name = offset.topic.as_str();
                if self.topics.makes_what_is_committed && self.topics.named(name).is_none() {
                    self.topics.make(name, 1);
                }
            }
        }
        while self.coordinator.begin(self.moment, &request) == Progress::More {
            self.collect();
        }
        self.coordinator.handle(self.moment, &self.topics, ticket, request);
        self.collect();
        ticket
    }

    fn wait(&mut self, ms: u64) {
        self.moment.now_ms += ms;
        self.moment.wall = self.moment.wall.saturating_forward(ms);
        self.coordinator.tick(self.moment, &self.topics);
        self.collect();
    }

    fn delete_topic(&mut self, topic: &str) {
        let id = id_of(topic, self.topics.generation);
        while self.coordinator.topic_deleted(topic, id) == Progress::More {
            self.collect();
        }
        self.collect();
    }

    /// What a host asks for between a load and the first request; gives the number of steps.
    fn forget_lost(&mut self) -> usize {
        let mut steps = 1;
        while self.coordinator.forget_lost(&self.topics) == Progress::More {
            self.collect();
            steps += 1;
        }
        self.collect();
        steps
    }

    fn collect(&mut self) {
        let effects = self.coordinator.take_effects();
        self.log.extend(effects.records);
        assert_eq!(effects.after, (self.log.len() as u64).wrapping_sub(self.loaded));
        for (ticket, answer) in effects.answers {
            let before = self.answers.insert(ticket, answer);
            assert_eq!(before, None, "{ticket:?} was answered twice");
        }
    }

    fn answer(&mut self, ticket: Ticket) -> Option<GroupAnswer> {
        self.answers.remove(&ticket)
    }

    fn joined(&mut self, ticket: Ticket) -> Option<Result<Joined, JoinRefused>> {
        match self.answer(ticket)? {
            GroupAnswer::Join(answer) => Some(answer),
            other => panic!("{other:?}"),
        }
    }

    fn synced(&mut self, ticket: Ticket) -> Option<Result<Synced, ErrorCode>> {
        match self.answer(ticket)? {
            GroupAnswer::Sync(answer) => Some(answer),
            other => panic!("{other:?}"),
        }
    }

    /// Joins with a version that needs no id first.
    fn join(&mut self, member: &str) -> Ticket {
        self.ask(GroupRequest::Join(join(member)))
    }

    fn sync(&mut self, joined: &Joined, shares: &[(&MemberId, &'static str)]) -> Ticket {
        let share = |(id, share): &(&MemberId, &'static str)| {
            (MemberId::clone(id), Bytes::from_static(share.as_bytes()))
        };
        let request = SyncGroup {
            group: GroupId::new(GROUP),
            member: joined.member.clone(),
            instance: None,
            generation: Some(joined.generation),
            protocol_type: joined.protocol_type.clone(),
            protocol: joined.protocol.clone(),
            assignments: shares.iter().map(share).collect(),
        };
        self.ask(GroupRequest::Sync(request))
    }

    fn heartbeat(&mut self, member: &MemberId, generation: u32) -> Result<(), ErrorCode> {
        let request = Heartbeat {
            group: GroupId::new(GROUP),
            member: member.clone(),
            instance: None,
            generation: Some(Generation::new(generation)),
        };
        let ticket = self.ask(GroupRequest::Heartbeat(request));
        match self.answer(ticket) {
            Some(GroupAnswer::Heartbeat(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, member: &str, instance: Option<&str>) -> Vec<Left> {
        let leaving = Leaving {
            member: MemberId::new(member),
            instance: instance.map(InstanceId::new),
            reason: None,
        };
        let request = LeaveGroup { group: GroupId::new(GROUP), members: vec![leaving] };
        let ticket = self.ask(GroupRequest::Leave(request));
        match self.answer(ticket) {
            Some(GroupAnswer::Leave(Ok(left))) => left,
            other => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, request: CommitOffsets) -> Result<Vec<ErrorCode>, ErrorCode> {
        let ticket = self.ask(GroupRequest::CommitOffsets(request));
        match self.answer(ticket) {
            Some(GroupAnswer::CommitOffsets(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn fetch(&mut self, topics: Option<Vec<OffsetsOfTopic>>) -> Vec<FetchedOffsets> {
        let request = FetchOffsets {
            group: GroupId::new(GROUP),
            member: None,
            member_epoch: -1,
            topics,
            require_stable: true,
        };
        let ticket = self.ask(GroupRequest::FetchOffsets(request));
        match self.answer(ticket) {
            Some(GroupAnswer::FetchOffsets(Ok(answer))) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// Topic, partition, offset of everything committed.
    fn offsets(&mut self) -> Vec<(String, i32, u64)> {
        let mut all = Vec::new();
        for topic in self.fetch(None) {
            for one in topic.partitions {
                all.push((
                    topic.topic.to_string(),
                    one.partition,
                    one.committed.unwrap().offset.get(),
                ));
            }
        }
        all
    }

    fn describe(&mut self) -> Result<DescribedGroup, ErrorCode> {
        let ticket = self.ask(GroupRequest::Describe(GroupId::new(GROUP)));
        match self.answer(ticket) {
            Some(GroupAnswer::Describe(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn delete(&mut self) -> Result<(), ErrorCode> {
        let ticket = self.ask(GroupRequest::Delete(GroupId::new(GROUP)));
        match self.answer(ticket) {
            Some(GroupAnswer::Delete(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn delete_offsets(&mut self, topic: &str) -> Result<Vec<Vec<ErrorCode>>, ErrorCode> {
        let topics = vec![OffsetsOfTopic { topic: topic.into(), partitions: vec![0] }];
        let request = DeleteOffsets { group: GroupId::new(GROUP), topics };
        let ticket = self.ask(GroupRequest::DeleteOffsets(request));
        match self.answer(ticket) {
            Some(GroupAnswer::DeleteOffsets(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// A group of so many members that is stable: they are joined, in the order of their ids.
    fn stable(&mut self, members: usize) -> Vec<Joined> {
        let tickets: Vec<Ticket> = (0..members).map(|_| self.join("")).collect();
        self.finish(&tickets)
    }

    /// Lets a rebalance end, and the leader give everybody its own id as its share.
    fn finish(&mut self, tickets: &[Ticket]) -> Vec<Joined> {
        if !self.answers.contains_key(&tickets[0]) {
            self.wait(DELAY_MS);
            self.wait(DELAY_MS);
        }
        let mut joined: Vec<Joined> =
            tickets.iter().map(|ticket| self.joined(*ticket).unwrap().unwrap()).collect();
        joined.sort_by_key(|joined| joined.member != joined.leader);
        for one in &joined {
            let share =
                |other: &Joined| (other.member.clone(), Bytes::from(other.member.to_string()));
            let request = SyncGroup {
                group: GroupId::new(GROUP),
                member: one.member.clone(),
                instance: None,
                generation: Some(one.generation),
                protocol_type: None,
                protocol: None,
                assignments: if one.member == one.leader {
                    joined.iter().map(share).collect()
                } else {
                    vec![]
                },
            };
            let ticket = self.ask(GroupRequest::Sync(request));
            let synced = self.synced(ticket).unwrap().unwrap();
            assert_eq!(synced.assignment, one.member.as_str().as_bytes());
        }
        joined.sort_by(|a, b| a.member.cmp(&b.member));
        joined
    }
}

fn join(member: &str) -> JoinGroup {
    JoinGroup {
        group: GroupId::new(GROUP),
        member: MemberId::new(member),
        instance: None,
        client: Client { id: "client".to_owned(), host: "/127.0.0.1".to_owned() },
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol("range", &["t"])],
        knows_member_id_required: false,
        knows_skip_assignment: true,
        reason: None,
    }
}

/// A consumer's subscription, version 0, without user data.
fn protocol(name: &str, topics: &[&str]) -> Protocol {
    let mut metadata = vec![0, 0];
    metadata.extend(u32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        metadata.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        metadata.extend(topic.as_bytes());
    }
    metadata.extend((-1_i32).to_be_bytes());
    Protocol { name: name.to_owned(), metadata: Bytes::from(metadata) }
}

/// A commit of one offset by nobody of the group.
fn commit(topic: &str, offset: u64) -> CommitOffsets {
    let offset = OffsetToCommit {
        topic: TopicName::new(topic).unwrap(),
        topic_id: id_of(topic, 0),
        partition: PartitionId::new(0),
        offset: Offset::new(offset),
        leader_epoch: Some(LeaderEpoch::new(5)),
        metadata: "words".to_owned(),
    };
    CommitOffsets {
        group: GroupId::new(GROUP),
        member: MemberId::new(""),
        instance: None,
        generation_or_epoch: -1,
        retention_ms: None,
        knows_stale_epoch: true,
        offsets: vec![offset],
    }
}
