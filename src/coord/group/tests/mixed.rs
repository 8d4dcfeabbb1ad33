//! A client that speaks the classic protocol in whatever group it meets, and groups of clients of both protocols
//! that do anything at any time.

use super::chance::{Chance, check_log};
use super::consumers::{Consumer, compact, consumer};
use super::*;
use crate::group::answer::{GroupKind, GroupState};
use crate::group::record::embedded::{Subscription, read_assignment, write_assignment};
use crate::group::request::ConsumerHeartbeat;
use crate::group::settings::MigrationPolicy;
use kolk_model::map::Set;

/// Topics by name with partitions.
pub(super) type Share = Set<(String, i32)>;

/// How a member gives up what it has when it joins again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// All of it, before it joins.
    Eager,
    /// What it is told to, after it has joined.
    Cooperative,
}

/// A consumer of the classic protocol that does what the protocol asks of it, one request a step.
#[derive(Clone, Debug)]
pub(super) struct Classic {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) topics: Vec<String>,
    pub(super) style: Style,
    pub(super) generation: i32,
    pub(super) owned: Share,
    pub(super) waits: Option<Ticket>,
    pub(super) must_join: bool,
    /// Another one has its static id.
    pub(super) fenced: bool,
    /// The last refusal, if the last answer was one.
    pub(super) refused: Option<ErrorCode>,
}

pub(super) fn classic(topics: &[&str], style: Style) -> Classic {
    Classic {
        id: String::new(),
        instance: None,
        topics: topics.iter().map(|name| (*name).to_owned()).collect(),
        style,
        generation: -1,
        owned: Share::new(),
        waits: None,
        must_join: true,
        fenced: false,
        refused: None,
    }
}

/// What a member tells the leader, as version 1 of the consumer protocol.
pub(super) fn words(topics: &[String], owned: &Share) -> Bytes {
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        out.extend(text.as_bytes());
    };
    let count = |out: &mut Vec<u8>, count: usize| {
        out.extend(u32::try_from(count).unwrap().to_be_bytes());
    };
    let mut out = vec![0, 1];
    count(&mut out, topics.len());
    topics.iter().for_each(|topic| text(&mut out, topic));
    out.extend((-1_i32).to_be_bytes());
    count(&mut out, owned.len());
    for (topic, partition) in owned {
        text(&mut out, topic);
        count(&mut out, 1);
        out.extend(partition.to_be_bytes());
    }
    Bytes::from(out)
}

/// What a member is given, as it is sent.
pub(super) fn share(owned: &Share) -> Bytes {
    let mut named: Map<&str, Set<i32>> = Map::new();
    for (topic, partition) in owned {
        named.entry(topic).or_default().insert(*partition);
    }
    let named: Vec<(&str, &Set<i32>)> = named.iter().map(|(topic, all)| (*topic, all)).collect();
    write_assignment(1, &named)
}

pub(super) fn read_share(bytes: &[u8]) -> Share {
    let named = read_assignment(bytes).expect("an assignment");
    let one = |(topic, all): (String, Set<i32>)| {
        all.into_iter().map(move |partition| (topic.clone(), partition))
    };
    named.into_iter().flat_map(one).collect()
}

impl Classic {
    pub(super) fn join_request(&self) -> JoinGroup {
        let owned = match self.style {
            Style::Eager => Share::new(),
            Style::Cooperative => self.owned.clone(),
        };
        let name = match self.style {
            Style::Eager => "range",
            Style::Cooperative => "sticky",
        };
        let metadata = words(&self.topics, &owned);
        let protocol = |name: &str| Protocol { name: name.to_owned(), metadata: metadata.clone() };
        JoinGroup {
            instance: self.instance.as_deref().map(InstanceId::new),
            // The one that all know is not what each likes best.
            protocols: vec![protocol(name), protocol("common")],
            knows_member_id_required: true,
            ..join(&self.id)
        }
    }

    fn sync_request(&self, assignments: Vec<(MemberId, Bytes)>) -> SyncGroup {
        SyncGroup {
            group: GroupId::new(GROUP),
            member: MemberId::new(&self.id),
            instance: self.instance.as_deref().map(InstanceId::new),
            generation: Generation::from_wire(self.generation),
            protocol_type: Some("consumer".to_owned()),
            protocol: None,
            assignments,
        }
    }

    /// Sends what is due and takes in what is there.
    pub(super) fn step(&mut self, host: &mut Host) {
        if self.fenced {
            return;
        }
        if self.waits.is_none() && self.must_join {
            if self.style == Style::Eager {
                self.owned.clear();
            }
            self.waits = Some(host.ask(GroupRequest::Join(self.join_request())));
        } else if self.waits.is_none() {
            let beat = Heartbeat {
                group: GroupId::new(GROUP),
                member: MemberId::new(&self.id),
                instance: self.instance.as_deref().map(InstanceId::new),
                generation: Generation::from_wire(self.generation),
            };
            self.waits = Some(host.ask(GroupRequest::Heartbeat(beat)));
        }
        while let Some(answer) = self.waits.and_then(|ticket| host.answer(ticket)) {
            self.waits = None;
            self.hear(host, answer);
        }
    }

    fn hear(&mut self, host: &mut Host, answer: GroupAnswer) {
        self.refused = None;
        match answer {
            GroupAnswer::Join(Ok(joined)) => {
                self.must_join = false;
                self.id = joined.member.to_string();
                self.generation = joined.generation.to_wire();
                let shares = if joined.leader == joined.member && !joined.skip_assignment {
                    lead(host, &joined)
                } else {
                    Vec::new()
                };
                self.waits = Some(host.ask(GroupRequest::Sync(self.sync_request(shares))));
            }
            GroupAnswer::Join(Err(refused)) if refused.code == ErrorCode::MemberIdRequired => {
                self.id = refused.member.to_string();
            }
            GroupAnswer::Sync(Ok(synced)) => {
                let given = read_share(&synced.assignment);
                // Who has to give something up joins once more when it has.
                self.must_join = self.style == Style::Cooperative && !self.owned.is_subset(&given);
                self.owned = given;
            }
            GroupAnswer::Heartbeat(Ok(())) => {}
            GroupAnswer::Join(Err(JoinRefused { code, .. }))
            | GroupAnswer::Sync(Err(code))
            | GroupAnswer::Heartbeat(Err(code)) => self.refuse(code),
            other => panic!("{other:?}"),
        }
    }

    fn refuse(&mut self, code: ErrorCode) {
        self.refused = Some(code);
        self.must_join = true;
        match code {
            ErrorCode::RebalanceInProgress => {}
            ErrorCode::UnknownMemberId => {
                self.id.clear();
                self.generation = -1;
                self.owned.clear();
            }
            ErrorCode::IllegalGeneration => {
                self.generation = -1;
                self.owned.clear();
            }
            ErrorCode::FencedInstanceId => self.fenced = true,
            // The group does not take it now.
            ErrorCode::InconsistentGroupProtocol | ErrorCode::GroupMaxSizeReached => {}
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn leave(&self, host: &mut Host) {
        if !self.id.is_empty() {
            host.leave(&self.id, self.instance.as_deref());
        }
    }
}

/// What a leader gives everybody: the partitions of each topic in turn to those that read it.
fn lead(host: &Host, joined: &Joined) -> Vec<(MemberId, Bytes)> {
    let mut shares: Map<MemberId, Share> = Map::new();
    let reads: Vec<(MemberId, Set<String>)> = joined
        .members
        .iter()
        .map(|one| (one.member.clone(), Subscription::decode(&one.metadata).unwrap().topics))
        .collect();
    for (id, topics) in &reads {
        shares.entry(id.clone()).or_default();
        assert!(!topics.contains("none"), "{id}");
    }
    for topic in host.topics.topics.values() {
        let name = topic.name.as_str();
        let readers: Vec<_> = reads.iter().filter(|(_, topics)| topics.contains(name)).collect();
        for (turn, partition) in (0..topic.partitions).enumerate() {
            if let Some((id, _)) = readers.get(turn % readers.len().max(1)) {
                let one = (name.to_owned(), partition.cast_signed());
                shares.get_mut(id).unwrap().insert(one);
            }
        }
    }
    shares.into_iter().map(|(id, owned)| (id, share(&owned))).collect()
}

const TOPICS: [&str; 3] = ["t", "u", "v"];
const POLICIES: [MigrationPolicy; 6] = [
    MigrationPolicy::Bidirectional,
    MigrationPolicy::Bidirectional,
    MigrationPolicy::Bidirectional,
    MigrationPolicy::Upgrade,
    MigrationPolicy::Downgrade,
    MigrationPolicy::Disabled,
];

/// Everybody in one group.
struct Crowd {
    host: Host,
    chance: Chance,
    classics: Vec<Classic>,
    consumers: Vec<Consumer>,
    made: u32,
    /// Steps in which the group had members of both protocols.
    mixed: usize,
    /// How often it went up and down with members.
    ups: usize,
    downs: usize,
    kind: Option<GroupKind>,
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let migration = chance.of(&POLICIES);
        let mut host = Host::with(GroupSettings { migration, ..GroupSettings::default() });
        for name in TOPICS {
            host.topics.make(name, 1 + u32::try_from(chance.below(6)).unwrap());
        }
        let (classics, consumers) = (Vec::new(), Vec::new());
        Self { host, chance, classics, consumers, made: 0, mixed: 0, ups: 0, downs: 0, kind: None }
    }

    fn topics(&mut self) -> Vec<&'static str> {
        let chance = &mut self.chance;
        TOPICS.into_iter().filter(|_| !chance.one_in(3)).collect()
    }

    fn add_classic(&mut self, instance: Option<String>) {
        let topics = self.topics();
        let style = self.chance.of(&[Style::Eager, Style::Cooperative]);
        self.classics.push(Classic { instance, ..classic(&topics, style) });
    }

    fn add_consumer(&mut self, instance: Option<String>) {
        let topics = self.topics();
        self.made += 1;
        self.consumers.push(Consumer { instance, ..consumer(&format!("m{}", self.made), &topics) });
    }

    fn instance(&mut self) -> Option<String> {
        self.made += 1;
        self.chance.one_in(3).then(|| format!("i{}", self.made))
    }

    fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.chance.below(length as u64)).unwrap()
    }

    /// A member goes, by a word or without one; one of the other protocol may come for it.
    fn turn_over(&mut self) {
        if !self.classics.is_empty() && self.chance.one_in(2) {
            let place = self.place(self.classics.len());
            let gone = self.classics.swap_remove(place);
            // A static member does not say that it goes.
            if gone.instance.is_none() && gone.waits.is_none() && !self.chance.one_in(4) {
                gone.leave(&mut self.host);
            }
            if self.chance.one_in(2) {
                self.add_consumer(gone.instance);
            }
        } else if !self.consumers.is_empty() {
            let place = self.place(self.consumers.len());
            let gone = self.consumers.swap_remove(place);
            let epoch = if gone.instance.is_some() && self.chance.one_in(2) { -2 } else { -1 };
            if gone.epoch > 0 && !self.chance.one_in(4) {
                self.host.beat(ConsumerHeartbeat { epoch, ..gone.request() }).ok();
            }
            if self.chance.one_in(2) {
                self.add_classic(gone.instance);
            }
        }
    }

    fn step(&mut self) {
        match self.chance.below(20) {
            0 if self.classics.len() < 4 => {
                let instance = self.instance();
                self.add_classic(instance);
            }
            1 if self.consumers.len() < 2 => {
                let instance = self.instance();
                self.add_consumer(instance);
            }
            2 | 13 => self.turn_over(),
            3 if self.chance.one_in(3) => {
                let name = self.chance.of(&TOPICS);
                let partitions = self.host.topics.named(name).unwrap().partitions + 1;
                self.host.topics.make(name, partitions.min(9));
            }
            4 => {
                let ms = self.chance.of(&[1, 1_000, 3_000]);
                self.host.wait(ms);
            }
            5 if self.chance.one_in(8) => {
                let ms = self.chance.of(&[10_000, 45_000, 61_000]);
                self.host.wait(ms);
            }
            6 if self.chance.one_in(6) => {
                self.host.restart();
                // What was parked has died with the coordinator.
                let host = &self.host;
                for one in &mut self.classics {
                    one.waits = one.waits.filter(|ticket| host.answers.contains_key(ticket));
                }
            }
            7 if self.chance.one_in(4) => self.commit(),
            8..=12 if !self.consumers.is_empty() => {
                let place = self.place(self.consumers.len());
                self.consumers[place].beat(&mut self.host).ok();
            }
            _ if self.classics.is_empty() => {}
            _ => {
                let place = self.place(self.classics.len());
                self.classics[place].step(&mut self.host);
            }
        }
    }

    /// A member commits; in the group of its protocol that is taken if it is in its epoch.
    fn commit(&mut self) {
        let offset = self.chance.below(1_000);
        let (member, epoch) = match (self.classics.last(), self.consumers.last()) {
            (Some(one), _) if self.chance.one_in(2) => (one.id.clone(), one.generation),
            (_, Some(one)) => (one.id.clone(), one.epoch),
            _ => return,
        };
        let request = CommitOffsets {
            member: MemberId::new(&member),
            generation_or_epoch: epoch,
            ..commit("t", offset)
        };
        self.host.commit(request).ok();
    }

    fn check(&mut self, seed: u64, step: usize) {
        check_log(&self.host, seed, step);
        let listed = self.host.coordinator.list(&Default::default());
        let kind = listed.iter().find(|one| one.state != GroupState::Empty).map(|one| one.kind);
        let turned = (self.kind, kind);
        self.ups += usize::from(turned == (Some(GroupKind::Classic), Some(GroupKind::Consumer)));
        self.downs += usize::from(turned == (Some(GroupKind::Consumer), Some(GroupKind::Classic)));
        self.kind = kind;
        if kind == Some(GroupKind::Consumer) {
            let kinds = self.host.consumers().unwrap().members.into_iter().map(|one| one.kind);
            let kinds: Vec<GroupKind> = kinds.collect();
            self.mixed += usize::from(
                kinds.contains(&GroupKind::Classic) && kinds.contains(&GroupKind::Consumer),
            );
        }
        if self.chance.one_in(20) {
            let whole = std::mem::take(&mut self.host.log);
            self.host.log = compact(&mut self.host, &whole);
            check_log(&self.host, seed, step);
        }
    }

    /// Lets everybody go on until nothing changes, and checks that each partition that is read has one reader.
    fn settle(&mut self, seed: u64) {
        self.classics.retain(|one| !one.fenced);
        let mut quiet = 0;
        for _ in 0..300 {
            let before = (self.classics.clone(), self.host.log.len());
            for one in &mut self.consumers {
                one.beat(&mut self.host).ok();
            }
            for one in &mut self.classics {
                one.step(&mut self.host);
            }
            self.host.wait(1_000);
            let still = |one: &Classic| one.waits.is_none() && !one.must_join;
            let same = self.host.log.len() == before.1 && self.classics.iter().all(still);
            quiet = if same { quiet + 1 } else { 0 };
            if quiet > 3 {
                return self.check_shares(seed);
            }
        }
        if self.refuses_one() {
            return;
        }
        panic!("seed {seed}: never quiet: {:?} {:?}", self.classics, self.host.consumers());
    }

    /// Whether the policy keeps somebody out for good.
    fn refuses_one(&self) -> bool {
        let policy = self.host.settings.migration;
        policy != MigrationPolicy::Bidirectional && policy != MigrationPolicy::Upgrade
            || self.classics.iter().any(|one| one.fenced)
    }

    fn check_shares(&mut self, seed: u64) {
        if self.refuses_one() {
            return;
        }
        for topic in self.host.topics.topics.values() {
            let name = topic.name.as_str();
            let reads = |topics: &[String]| topics.iter().any(|one| one == name);
            let anybody = self.classics.iter().any(|one| reads(&one.topics))
                || self.consumers.iter().any(|one| one.reads(name));
            for partition in (0..topic.partitions).map(u32::cast_signed) {
                let by_name = (name.to_owned(), partition);
                let classics =
                    self.classics.iter().filter(|one| one.owned.contains(&by_name)).count();
                let by_id = (topic.id, partition);
                let consumers =
                    self.consumers.iter().filter(|one| one.owned.contains(&by_id)).count();
                let readers = classics + consumers;
                assert_eq!(readers, usize::from(anybody), "seed {seed}: {name}/{partition}");
            }
        }
    }
}

/// Plays; gives how long the group had members of both protocols, and how often it went up and down.
fn play(seed: u64) -> [usize; 3] {
    let mut crowd = Crowd::new(seed);
    for step in 0..300 {
        crowd.step();
        crowd.check(seed, step);
    }
    // Those that went without a word are out by then.
    for _ in 0..10 {
        crowd.host.wait(10_000);
    }
    crowd.settle(seed);
    check_log(&crowd.host, seed, 300);
    [crowd.mixed, crowd.ups, crowd.downs]
}

#[test]
fn whatever_members_of_both_protocols_do_the_log_gives_the_group_and_nobody_shares_a_partition() {
    let mut sums = [0; 3];
    for seed in 0..40 {
        sums.iter_mut().zip(play(seed)).for_each(|(sum, more)| *sum += more);
    }
    let [mixed, ups, downs] = sums;
    assert!(
        mixed > 3_000 && ups > 40 && downs > 20,
        "{mixed} steps with both, {ups} up, {downs} down"
    );
}
