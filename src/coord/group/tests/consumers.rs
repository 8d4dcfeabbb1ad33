//! Groups of the consumer protocol: who joins, who gets what, in which order it is given up and got.

use super::chance::Chance;
use super::*;
use crate::group::answer::{DescribedConsumers, GroupState, Heard, HeartbeatRefused};
use crate::group::request::ConsumerHeartbeat;
use kolk_model::map::Set;

const SESSION_MS: u64 = 45_000;

pub(super) type Parts = Set<(TopicId, i32)>;

/// A client that does what the protocol asks of it.
#[derive(Clone, Debug)]
pub(super) struct Consumer {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) epoch: i32,
    pub(super) topics: Vec<String>,
    pub(super) pattern: Option<String>,
    pub(super) assignor: Option<String>,
    pub(super) owned: Parts,
}

pub(super) fn consumer(id: &str, topics: &[&str]) -> Consumer {
    Consumer {
        id: id.to_owned(),
        instance: None,
        epoch: 0,
        topics: topics.iter().map(|name| (*name).to_owned()).collect(),
        pattern: None,
        assignor: None,
        owned: Set::new(),
    }
}

impl Consumer {
    pub(super) fn request(&self) -> ConsumerHeartbeat {
        let joins = self.epoch == 0;
        let mut owned: Map<TopicId, Vec<i32>> = Map::new();
        for (topic, partition) in &self.owned {
            owned.entry(*topic).or_default().push(*partition);
        }
        ConsumerHeartbeat {
            group: GroupId::new(GROUP),
            member: MemberId::new(&self.id),
            epoch: self.epoch,
            instance: self.instance.as_deref().map(InstanceId::new),
            rack: None,
            client: Client { id: "c".to_owned(), host: "/::1".to_owned() },
            rebalance_timeout_ms: joins.then_some(60_000),
            topics: joins.then(|| self.topics.clone()),
            pattern: joins.then(|| self.pattern.clone()).flatten(),
            assignor: self.assignor.clone(),
            owned: Some(owned.into_iter().collect()),
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
        }
    }

    /// Whether it names a topic.
    pub(super) fn reads(&self, name: &str) -> bool {
        self.topics.iter().any(|topic| topic == name)
    }

    /// Beats once, and does what it is told.
    pub(super) fn beat(&mut self, host: &mut Host) -> Result<Heard, HeartbeatRefused> {
        let heard = host.beat(self.request());
        match &heard {
            Ok(heard) => {
                self.epoch = heard.epoch;
                if let Some(assignment) = &heard.assignment {
                    self.owned = parts(assignment);
                }
            }
            Err(_) => {
                self.epoch = 0;
                self.owned.clear();
            }
        }
        heard
    }
}

pub(super) fn parts(assignment: &[(TopicId, Vec<i32>)]) -> Parts {
    let one = |(topic, list): &(TopicId, Vec<i32>)| {
        let topic = *topic;
        list.clone().into_iter().map(move |partition| (topic, partition))
    };
    assignment.iter().flat_map(one).collect()
}

impl Host {
    pub(super) fn beat(&mut self, request: ConsumerHeartbeat) -> Result<Heard, HeartbeatRefused> {
        let ticket = self.ask(GroupRequest::ConsumerHeartbeat(request));
        match self.answer(ticket) {
            Some(GroupAnswer::ConsumerHeartbeat(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn consumers(&mut self) -> Result<DescribedConsumers, ErrorCode> {
        let ticket = self.ask(GroupRequest::ConsumerDescribe(GroupId::new(GROUP)));
        match self.answer(ticket) {
            Some(GroupAnswer::ConsumerDescribe(answer)) => answer,
            other => panic!("{other:?}"),
        }
    }

    /// Lets everybody beat until nothing changes any more.
    fn settle(&mut self, consumers: &mut [Consumer]) {
        for _ in 0..20 {
            for one in consumers.iter_mut() {
                one.beat(self).unwrap();
            }
            if self.consumers().unwrap().state == GroupState::Stable {
                return;
            }
        }
        panic!("never stable: {:?}", self.consumers());
    }
}

fn sizes(consumers: &[Consumer]) -> Vec<usize> {
    consumers.iter().map(|one| one.owned.len()).collect()
}

#[test]
fn the_first_member_gets_everything_at_once() {
    let mut host = Host::new();
    let topic = host.topics.make("t", 3);
    let mut one = consumer("m1", &["t", "missing"]);
    let heard = one.beat(&mut host).unwrap();
    assert_eq!((heard.epoch, heard.heartbeat_interval_ms), (1, 5_000));
    assert_eq!(heard.assignment, Some(vec![(topic, vec![0, 1, 2])]));
    let again = one.beat(&mut host).unwrap();
    assert_eq!((again.epoch, again.assignment), (1, None), "no news");
    let described = host.consumers().unwrap();
    assert_eq!((described.state, described.epoch), (GroupState::Stable, 1));
    assert_eq!(described.assignor, "uniform");
}

#[test]
fn a_second_member_gets_its_share_after_the_first_has_given_it_up() {
    let mut host = Host::new();
    host.topics.make("t", 4);
    let (mut one, mut two) = (consumer("m1", &["t"]), consumer("m2", &["t"]));
    one.beat(&mut host).unwrap();
    let heard = two.beat(&mut host).unwrap();
    assert_eq!((heard.epoch, heard.assignment), (2, Some(vec![])), "all is still the other's");
    let had = one.owned.clone();
    let heard = host.beat(one.request()).unwrap();
    assert_eq!(heard.epoch, 1, "it stays in its epoch until it has given up");
    let keeps = parts(&heard.assignment.unwrap());
    assert_eq!((keeps.len(), keeps.is_subset(&had)), (2, true));
    assert_eq!(two.beat(&mut host).unwrap().assignment, None, "not given up yet");
    one.owned = keeps;
    assert_eq!(one.beat(&mut host).unwrap().epoch, 2);
    two.beat(&mut host).unwrap();
    assert_eq!(sizes(&[one.clone(), two.clone()]), [2, 2]);
    assert!(one.owned.is_disjoint(&two.owned));
}

#[test]
fn who_leaves_sets_its_share_free() {
    let mut host = Host::new();
    host.topics.make("t", 4);
    let mut all = vec![consumer("m1", &["t"]), consumer("m2", &["t"])];
    host.settle(&mut all);
    let gone = all.pop().unwrap();
    let heard = host.beat(ConsumerHeartbeat { epoch: -1, ..gone.request() }).unwrap();
    assert_eq!((heard.epoch, heard.assignment), (-1, None));
    host.settle(&mut all);
    assert_eq!(sizes(&all), [4]);
    let heard = host.beat(ConsumerHeartbeat { epoch: -1, ..all[0].request() });
    assert!(heard.is_ok());
    assert_eq!(host.consumers().unwrap().state, GroupState::Empty);
}

#[test]
fn who_is_silent_is_out_and_must_join_again() {
    let mut host = Host::new();
    host.topics.make("t", 2);
    let mut one = consumer("m1", &["t"]);
    one.beat(&mut host).unwrap();
    host.wait(SESSION_MS - 1);
    one.beat(&mut host).unwrap();
    host.wait(SESSION_MS);
    let refused = one.beat(&mut host).unwrap_err();
    assert_eq!(refused.code, ErrorCode::UnknownMemberId);
    assert_eq!(one.beat(&mut host).unwrap().assignment.map(|all| all.len()), Some(1));
}

#[test]
fn who_does_not_give_up_in_time_is_out() {
    let mut host = Host::new();
    host.topics.make("t", 2);
    let (mut one, mut two) = (consumer("m1", &["t"]), consumer("m2", &["t"]));
    one.beat(&mut host).unwrap();
    two.beat(&mut host).unwrap();
    let stubborn = one.clone();
    host.beat(stubborn.request()).unwrap();
    for _ in 0..2 {
        host.wait(30_000);
        let heard = host.beat(stubborn.request());
        assert_eq!(heard.is_err(), host.consumers().unwrap().members.len() == 1);
        two.beat(&mut host).unwrap();
    }
    assert_eq!(sizes(&[two]), [2]);
}

#[test]
fn heartbeats_that_cannot_be_are_refused() {
    let mut host = Host::new();
    host.topics.make("t", 1);
    let mut known = consumer("m1", &["t"]);
    known.beat(&mut host).unwrap();
    let joins = || consumer("m2", &["t"]).request();
    let mut check = |request: ConsumerHeartbeat, code| {
        let records = host.log.len();
        assert_eq!(host.beat(request.clone()).unwrap_err().code, code, "{request:?}");
        assert_eq!(host.log.len(), records, "a refusal changes nothing: {request:?}");
    };
    let invalid = ErrorCode::InvalidRequest;
    check(ConsumerHeartbeat { group: GroupId::new(""), ..joins() }, invalid);
    check(ConsumerHeartbeat { instance: Some(InstanceId::new("")), ..joins() }, invalid);
    check(ConsumerHeartbeat { rack: Some(String::new()), ..joins() }, invalid);
    check(ConsumerHeartbeat { rebalance_timeout_ms: None, ..joins() }, invalid);
    check(ConsumerHeartbeat { owned: None, ..joins() }, invalid);
    check(ConsumerHeartbeat { topics: None, ..joins() }, invalid);
    check(ConsumerHeartbeat { epoch: -3, ..joins() }, invalid);
    check(ConsumerHeartbeat { epoch: -2, ..joins() }, invalid);
    check(ConsumerHeartbeat { epoch: 1, member: MemberId::new(""), ..joins() }, invalid);
    check(ConsumerHeartbeat { member: MemberId::from("x".repeat(1_089)), ..joins() }, invalid);
    let other = Some("sticky".to_owned());
    check(ConsumerHeartbeat { assignor: other, ..joins() }, ErrorCode::UnsupportedAssignor);
    let pattern = Some("(".to_owned());
    check(ConsumerHeartbeat { pattern, ..joins() }, ErrorCode::InvalidRegularExpression);
    let unknown = ErrorCode::UnknownMemberId;
    check(ConsumerHeartbeat { epoch: 1, ..joins() }, unknown);
    check(ConsumerHeartbeat { epoch: -1, ..joins() }, unknown);
    let elsewhere = GroupId::new("other");
    check(ConsumerHeartbeat { group: elsewhere, epoch: 1, ..joins() }, ErrorCode::GroupIdNotFound);
    let fenced = ErrorCode::FencedMemberEpoch;
    check(ConsumerHeartbeat { epoch: 2, ..known.request() }, fenced);
}

#[test]
fn an_answer_that_was_lost_is_given_again() {
    let mut host = Host::new();
    host.topics.make("t", 4);
    let mut all = vec![consumer("m1", &["t"]), consumer("m2", &["t"])];
    host.settle(&mut all);
    let mut third = consumer("m3", &["t"]);
    third.beat(&mut host).unwrap();
    let lost = all[0].clone();
    host.settle_one(&mut all[0]);
    let before = all[0].epoch;
    let heard = host.beat(ConsumerHeartbeat { epoch: lost.epoch, ..all[0].request() });
    assert_eq!(heard.unwrap().epoch, before);
    let more = ConsumerHeartbeat {
        epoch: lost.epoch,
        owned: Some(vec![(TopicId::from_random(9, 9), vec![0])]),
        ..all[0].request()
    };
    assert_eq!(host.beat(more).unwrap_err().code, ErrorCode::FencedMemberEpoch);
}

#[test]
fn a_lost_answer_that_asks_for_partitions_puts_nobody_out() {
    let mut host = Host::new();
    host.topics.make("t", 6);
    let mut one = consumer("m1", &["t"]);
    one.beat(&mut host).unwrap();
    assert_eq!(one.owned.len(), 6);
    consumer("m2", &["t"]).beat(&mut host).unwrap();
    one.beat(&mut host).unwrap();
    assert_eq!((one.owned.len(), one.epoch), (3, 1), "it is asked for half");
    consumer("m3", &["t"]).beat(&mut host).unwrap();
    // It has given them up, and is asked for one more; it does not hear that.
    let lost = host.beat(one.request()).unwrap();
    assert_eq!(lost.epoch, 2);
    one.beat(&mut host).unwrap();
    assert_eq!((one.owned.len(), one.epoch), (2, 2));
}

impl Host {
    /// Lets one member go as far as it can.
    fn settle_one(&mut self, one: &mut Consumer) {
        for _ in 0..4 {
            one.beat(self).unwrap();
        }
    }
}

#[test]
fn new_partitions_and_new_topics_of_a_pattern_are_read() {
    let mut host = Host::new();
    host.topics.make("web-a", 2);
    host.topics.make("__consumer_offsets", 5);
    let mut one = Consumer { pattern: Some("web-.*|__.*".to_owned()), ..consumer("m1", &[]) };
    one.beat(&mut host).unwrap();
    assert_eq!(one.owned.len(), 7, "internal topics are read, too");
    host.topics.make("web-a", 3);
    host.topics.make("other-web-b", 7);
    one.beat(&mut host).unwrap();
    one.beat(&mut host).unwrap();
    assert_eq!(one.owned.len(), 8);
    host.topics.make("web-b", 4);
    host.restart();
    one.beat(&mut host).unwrap();
    assert_eq!((one.owned.len(), one.epoch), (12, 3));
    let none = ConsumerHeartbeat { pattern: Some(String::new()), ..one.request() };
    host.beat(none).unwrap();
    assert_eq!(host.consumers().unwrap().members[0].pattern, None);
}

#[test]
fn a_static_member_that_was_away_has_its_share_again() {
    let mut host = Host::new();
    host.topics.make("t", 4);
    let instance = |name: &str| Some(name.to_owned());
    let mut all = vec![
        Consumer { instance: instance("a"), ..consumer("m1", &["t"]) },
        Consumer { instance: instance("b"), ..consumer("m2", &["t"]) },
    ];
    host.settle(&mut all);
    let mut back = Consumer { instance: instance("a"), ..consumer("m3", &["t"]) };
    let refused = back.beat(&mut host).unwrap_err();
    assert_eq!(refused.code, ErrorCode::UnreleasedInstanceId, "it is not away");
    host.beat(ConsumerHeartbeat { epoch: -2, ..all[0].request() }).unwrap();
    assert_eq!(host.consumers().unwrap().members[0].epoch, -2);
    let epoch = host.consumers().unwrap().epoch;
    host.restart();
    back.beat(&mut host).unwrap();
    assert_eq!((back.owned.clone(), back.epoch), (all[0].owned.clone(), epoch));
    let late = host.beat(all[0].request()).unwrap_err();
    assert_eq!(late.code, ErrorCode::FencedInstanceId);
    host.beat(ConsumerHeartbeat { epoch: -2, ..back.request() }).unwrap();
    for _ in 0..2 {
        host.wait(SESSION_MS / 2);
        all[1].beat(&mut host).unwrap();
    }
    all[1].beat(&mut host).unwrap();
    assert_eq!(all[1].owned.len(), 4, "it stayed away for too long");
}

#[test]
fn range_gives_equal_partitions_of_topics_to_one_member() {
    let mut host = Host::new();
    let (t, u) = (host.topics.make("t", 5), host.topics.make("u", 3));
    let assignor = Some("range".to_owned());
    let mut all: Vec<Consumer> = (1..=2)
        .map(|n| Consumer { assignor: assignor.clone(), ..consumer(&format!("m{n}"), &["t", "u"]) })
        .collect();
    host.settle(&mut all);
    let expected = [(t, 0), (t, 1), (t, 2), (u, 0), (u, 1)].into_iter().collect::<Parts>();
    assert_eq!(all[0].owned, expected);
    assert_eq!(host.consumers().unwrap().assignor, "range");
}

#[test]
fn uniform_is_even_where_members_read_different_topics() {
    let mut host = Host::new();
    host.topics.make("t", 6);
    host.topics.make("u", 6);
    let mut all = vec![
        consumer("m1", &["t"]),
        consumer("m2", &["t", "u"]),
        consumer("m3", &["u"]),
        consumer("m4", &["t"]),
    ];
    host.settle(&mut all);
    assert_eq!(sizes(&all), [3, 3, 3, 3]);
}

#[test]
fn a_rebalance_moves_no_more_than_it_must() {
    let mut host = Host::new();
    host.topics.make("t", 12);
    let mut all: Vec<Consumer> = (1..=3).map(|n| consumer(&format!("m{n}"), &["t"])).collect();
    host.settle(&mut all);
    let before: Vec<Parts> = all.iter().map(|one| one.owned.clone()).collect();
    all.push(consumer("m4", &["t"]));
    host.settle(&mut all);
    assert_eq!(sizes(&all), [3, 3, 3, 3]);
    for (one, before) in all.iter().zip(&before) {
        assert!(one.owned.is_subset(before), "{} was moved about", one.id);
    }
}

#[test]
fn offsets_are_committed_and_read_in_the_members_epoch() {
    let mut host = Host::new();
    host.topics.make("t", 1);
    let mut one = consumer("m1", &["t"]);
    one.beat(&mut host).unwrap();
    let by = |epoch| CommitOffsets {
        member: MemberId::new("m1"),
        generation_or_epoch: epoch,
        ..commit("t", 5)
    };
    assert_eq!(host.commit(by(1)), Ok(vec![ErrorCode::None]));
    assert_eq!(host.commit(by(0)), Err(ErrorCode::StaleMemberEpoch));
    assert_eq!(host.commit(commit("t", 5)), Err(ErrorCode::UnknownMemberId));
    let older = CommitOffsets { knows_stale_epoch: false, ..by(1) };
    assert_eq!(host.commit(older), Err(ErrorCode::UnsupportedVersion));
    let fetch = |member: Option<&str>, epoch| {
        GroupRequest::FetchOffsets(FetchOffsets {
            group: GroupId::new(GROUP),
            member: member.map(MemberId::new),
            member_epoch: epoch,
            topics: None,
            require_stable: true,
        })
    };
    for (member, epoch, code) in [
        (Some("m1"), 1, None),
        (Some("m1"), 0, Some(ErrorCode::StaleMemberEpoch)),
        (Some("m2"), 1, Some(ErrorCode::UnknownMemberId)),
        (Some(""), -1, None),
        (None, -1, None),
    ] {
        let ticket = host.ask(fetch(member, epoch));
        match host.answer(ticket) {
            Some(GroupAnswer::FetchOffsets(answer)) => assert_eq!(answer.err(), code, "{member:?}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(host.delete_offsets("t"), Ok(vec![vec![ErrorCode::GroupSubscribedToTopic]]));
    assert_eq!(host.delete(), Err(ErrorCode::NonEmptyGroup));
}

#[test]
fn a_group_without_members_goes_from_one_protocol_to_the_other() {
    let mut host = Host::new();
    host.topics.make("t", 1);
    let classic = host.stable(1);
    let mut one = consumer("m1", &["t"]);
    host.leave(classic[0].member.as_str(), None);
    host.commit(commit("t", 7)).unwrap();
    one.beat(&mut host).unwrap();
    assert_eq!(host.describe(), Err(ErrorCode::GroupIdNotFound));
    host.restart();
    assert_eq!(host.consumers().unwrap().members.len(), 1);
    host.beat(ConsumerHeartbeat { epoch: -1, ..one.request() }).unwrap();
    host.stable(1);
    assert_eq!(host.consumers(), Err(ErrorCode::GroupIdNotFound));
    host.restart();
    assert_eq!(host.describe().unwrap().state, GroupState::Stable);
    assert_eq!(host.offsets(), [("t".to_owned(), 0, 7)], "offsets stay");
}

#[test]
fn a_refused_join_of_an_empty_consumer_group_leaves_what_the_log_says() {
    let mut host = Host::new();
    host.topics.make("t", 1);
    let mut one = consumer("m1", &["t"]);
    one.beat(&mut host).unwrap();
    host.beat(ConsumerHeartbeat { epoch: -1, ..one.request() }).unwrap();
    let ticket = host.join("gone");
    assert_eq!(host.joined(ticket).unwrap().unwrap_err().code, ErrorCode::UnknownMemberId);
    assert_eq!(host.coordinator.durable(), host.replayed().durable());
}

#[test]
fn a_deleted_consumer_group_leaves_nothing() {
    let mut host = Host::new();
    host.topics.make("t", 1);
    let mut one = Consumer { pattern: Some("t.*".to_owned()), ..consumer("m1", &["t"]) };
    one.beat(&mut host).unwrap();
    host.beat(ConsumerHeartbeat { epoch: -1, ..one.request() }).unwrap();
    assert_eq!(host.delete(), Ok(()));
    let mut last: Map<Bytes, Option<Bytes>> = Map::new();
    for record in &host.log {
        last.insert(record.key.clone(), record.value.clone());
    }
    assert!(last.values().all(Option::is_none), "a record without its tombstone: {last:?}");
    host.restart();
    assert_eq!(host.coordinator.group_count(), 0);
}

/// The log after compaction: the last record of each key, in the order of offsets.
fn compacted(log: &[Record]) -> Vec<Record> {
    let mut seen = Set::new();
    let mut kept: Vec<Record> =
        log.iter().rev().filter(|record| seen.insert(record.key.clone())).cloned().collect();
    kept.reverse();
    kept
}

/// Plays, and gives the most partitions that members had together.
fn play(seed: u64) -> usize {
    let mut most = 0;
    let mut chance = Chance::new(seed);
    let mut host = Host::new();
    let names = ["t", "u", "web-1", "web-2"];
    for name in names {
        host.topics.make(name, 1 + u32::try_from(chance.below(6)).unwrap());
    }
    let mut live: Vec<Consumer> = Vec::new();
    let mut made = 0;
    for step in 0..300 {
        match chance.below(14) {
            0 if live.len() < 6 => {
                made += 1;
                let topics: Vec<&str> = names.into_iter().filter(|_| chance.one_in(2)).collect();
                let pattern = chance.one_in(3).then(|| "web-.*".to_owned());
                let instance = chance.one_in(3).then(|| format!("i{made}"));
                live.push(Consumer { pattern, instance, ..consumer(&format!("m{made}"), &topics) });
            }
            1 if !live.is_empty() && chance.one_in(2) => {
                let gone =
                    live.swap_remove(usize::try_from(chance.below(live.len() as u64)).unwrap());
                let away = gone.instance.is_some() && chance.one_in(2);
                let epoch = if away { -2 } else { -1 };
                if gone.epoch > 0 && !chance.one_in(4) {
                    host.beat(ConsumerHeartbeat { epoch, ..gone.request() }).ok();
                }
                if away && gone.epoch > 0 {
                    made += 1;
                    let id = format!("m{made}");
                    live.push(Consumer { id, epoch: 0, owned: Set::new(), ..gone });
                }
            }
            2 => {
                let name = chance.of(&names);
                let partitions = host.topics.named(name).unwrap().partitions + 1;
                host.topics.make(name, partitions.min(9));
            }
            3 => {
                host.wait(chance.of(&[1, 1_000, 20_000]));
            }
            4 if chance.one_in(5) => host.restart(),
            5 if chance.one_in(10) => {
                host.wait(SESSION_MS);
                host.wait(SESSION_MS);
            }
            _ if live.is_empty() => {}
            _ => {
                let place = usize::try_from(chance.below(live.len() as u64)).unwrap();
                live[place].beat(&mut host).ok();
            }
        }
        most = most.max(check_step(&mut host, &mut chance, &format!("seed {seed} step {step}")));
    }
    host.wait(SESSION_MS * 2);
    for one in &mut live {
        one.beat(&mut host).ok();
    }
    if !live.is_empty() {
        host.settle(&mut live);
        check_shares(&host, &live, seed);
    }
    most
}

/// Checks what holds after every step, now and then after a compaction; gives how many partitions members have.
fn check_step(host: &mut Host, chance: &mut Chance, place: &str) -> usize {
    // Nobody reads what somebody else was given, as far as the coordinator knows of both.
    let known: Vec<Parts> = match host.consumers() {
        Ok(group) => group.members.iter().map(|one| parts(&one.assigned)).collect(),
        Err(_) => Vec::new(),
    };
    let all: usize = known.iter().map(Set::len).sum();
    let distinct = known.iter().flatten().collect::<Set<_>>().len();
    assert_eq!(all, distinct, "{place}");
    let durable = host.coordinator.durable();
    assert_eq!(durable, host.replayed().durable(), "{place}");
    if chance.one_in(20) {
        let whole = std::mem::take(&mut host.log);
        host.log = compact(host, &whole);
        assert_eq!(durable, host.replayed().durable(), "{place}: compacted");
    }
    all
}

/// Compacts; what the coordinator has written counts as loaded from then on.
pub(super) fn compact(host: &mut Host, log: &[Record]) -> Vec<Record> {
    let kept = compacted(log);
    let written = (log.len() as u64).wrapping_sub(host.loaded);
    host.loaded = (kept.len() as u64).wrapping_sub(written);
    kept
}

/// Every partition that somebody reads has one reader, who may read it.
fn check_shares(host: &Host, live: &[Consumer], seed: u64) {
    let reads = |one: &Consumer, name: &str| {
        let by_pattern = one.pattern.is_some() && name.starts_with("web-");
        by_pattern || one.topics.iter().any(|topic| topic == name)
    };
    for topic in host.topics.topics.values() {
        let name = topic.name.as_str();
        let anybody = live.iter().any(|one| reads(one, name));
        for partition in 0..topic.partitions {
            let key = (topic.id, partition.cast_signed());
            let owners: Vec<_> = live.iter().filter(|one| one.owned.contains(&key)).collect();
            assert_eq!(owners.len(), usize::from(anybody), "seed {seed}: {name}/{partition}");
            assert!(owners.iter().all(|one| reads(one, name)), "seed {seed}: {name}/{partition}");
        }
    }
}

#[test]
fn whatever_consumers_do_nobody_shares_a_partition_and_the_log_gives_the_group() {
    for seed in 0..25 {
        assert!(play(seed) > 0, "seed {seed}: nobody ever had a partition");
    }
}
