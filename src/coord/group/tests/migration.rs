//! Groups with members on their way from one protocol to the other, and classic members in consumer groups.

use super::consumers::{Consumer, Parts, consumer, parts};
use super::mixed::{Classic, Share, Style, classic, read_share};
use super::*;
use crate::group::answer::{GroupKind, GroupState};
use crate::group::record::embedded::Subscription;
use crate::group::request::ConsumerHeartbeat;
use crate::group::settings::MigrationPolicy;

/// The session timeout of the consumer protocol.
const CONSUMER_SESSION_MS: u64 = 45_000;

/// A stable classic group of consumers that share the topic `t`.
fn classics(host: &mut Host, members: usize, style: Style) -> Vec<Classic> {
    let mut all: Vec<Classic> = (0..members).map(|_| classic(&["t"], style)).collect();
    settle_classics(host, &mut all);
    assert_eq!(host.describe().unwrap().state, GroupState::Stable);
    all
}

fn settle_classics(host: &mut Host, all: &mut [Classic]) {
    for _ in 0..12 {
        all.iter_mut().for_each(|one| one.step(host));
        host.wait(1_000);
    }
    assert!(all.iter().all(|one| one.waits.is_none() && !one.must_join), "{all:?}");
}

/// Lets everybody do what it is told until nothing changes.
fn settle(host: &mut Host, classics: &mut [Classic], consumers: &mut [Consumer]) {
    for _ in 0..8 {
        for one in consumers.iter_mut() {
            one.beat(host).unwrap();
        }
        classics.iter_mut().for_each(|one| one.step(host));
    }
    assert_eq!(host.consumers().unwrap().state, GroupState::Stable, "{classics:?}");
}

fn kinds(host: &mut Host) -> (usize, usize) {
    let members = host.consumers().unwrap().members;
    let classic = members.iter().filter(|one| one.kind == GroupKind::Classic).count();
    (classic, members.len() - classic)
}

/// The partitions of `t`, which has four, as its members know them: each has one.
fn check_shares(host: &Host, classics: &[Classic], consumers: &[Consumer]) {
    let topic = host.topics.named("t").unwrap().id;
    let mut all = Parts::new();
    let by_name = classics.iter().flat_map(|one| one.owned.iter());
    for (name, partition) in by_name {
        assert_eq!(name, "t");
        assert!(all.insert((topic, *partition)), "{partition} is shared");
    }
    for partition in consumers.iter().flat_map(|one| one.owned.iter()) {
        assert!(all.insert(*partition), "{partition:?} is shared");
    }
    assert_eq!(all.len(), host.topics.named("t").unwrap().partitions as usize);
}

/// Host with the topic `t` of four partitions.
fn host() -> Host {
    let mut host = Host::new();
    host.topics.make("t", 4);
    host
}

/// Replays the log and compares.
fn check_replay(host: &Host) {
    assert_eq!(host.coordinator.durable(), host.replayed().durable());
}

#[test]
fn the_first_consumer_takes_a_group_with_its_members_to_the_consumer_protocol() {
    let mut host = host();
    let mut old = classics(&mut host, 2, Style::Eager);
    let generation = old[0].generation;
    let mut one = consumer("m1", &["t"]);
    let heard = one.beat(&mut host).unwrap();
    assert_eq!((heard.epoch, one.owned.len()), (generation + 1, 0), "all is still the others'");
    assert_eq!(kinds(&mut host), (2, 1));
    assert_eq!(host.describe(), Err(ErrorCode::GroupIdNotFound));
    let described = host.consumers().unwrap();
    assert_eq!(described.epoch, generation + 1);
    let kept = described.members.iter().find(|one| one.kind == GroupKind::Classic).unwrap();
    assert_eq!((kept.epoch, kept.topics.as_slice()), (generation, &["t".to_owned()][..]));
    assert_eq!(kept.assigned.iter().map(|(_, all)| all.len()).sum::<usize>(), 2);
    check_replay(&host);
    let key = RecordKey::Group(GroupId::new(GROUP)).encode();
    let last = host.log.iter().rev().find(|record| record.key == key).unwrap();
    assert_eq!(last.value, None, "the classic record is buried");
    old[0].step(&mut host);
    assert_eq!(old[0].refused, Some(ErrorCode::RebalanceInProgress));
    settle(&mut host, &mut old, std::slice::from_mut(&mut one));
    check_shares(&host, &old, &[one]);
    check_replay(&host);
}

#[test]
fn a_cooperative_member_gives_up_before_another_gets() {
    let mut host = host();
    let mut old = classics(&mut host, 1, Style::Cooperative);
    assert_eq!(old[0].owned.len(), 4);
    let mut one = consumer("m1", &["t"]);
    one.beat(&mut host).unwrap();
    let before = old[0].generation;
    old[0].step(&mut host);
    old[0].step(&mut host);
    assert_eq!((old[0].owned.len(), old[0].generation), (2, before), "it stays in its generation");
    assert!(old[0].must_join, "it is to say that it has given up");
    one.beat(&mut host).unwrap();
    assert_eq!(one.owned.len(), 0, "the other may still read");
    old[0].step(&mut host);
    assert_eq!(old[0].generation, before + 1);
    one.beat(&mut host).unwrap();
    check_shares(&host, &old, &[one]);
}

#[test]
fn an_eager_member_has_given_up_by_joining() {
    let mut host = host();
    let mut old = classics(&mut host, 1, Style::Eager);
    let mut one = consumer("m1", &["t"]);
    one.beat(&mut host).unwrap();
    old[0].step(&mut host);
    old[0].step(&mut host);
    assert_eq!(old[0].owned.len(), 2);
    one.beat(&mut host).unwrap();
    assert_eq!(one.owned.len(), 2);
    check_shares(&host, &old, &[one]);
}

#[test]
fn a_member_that_waits_for_another_joins_again_when_that_has_given_up() {
    let mut host = host();
    let mut old = classics(&mut host, 1, Style::Cooperative);
    let mut one = consumer("m1", &["t"]);
    one.beat(&mut host).unwrap();
    settle(&mut host, &mut old, std::slice::from_mut(&mut one));
    let mut late = classic(&["t"], Style::Cooperative);
    // It is given its id, then it joins and asks for its share, then it beats.
    late.step(&mut host);
    late.step(&mut host);
    assert_eq!((late.owned.len(), late.must_join), (0, false));
    late.step(&mut host);
    assert_eq!(late.refused, None, "joining again would bring it nothing");
    for _ in 0..3 {
        old[0].step(&mut host);
        one.beat(&mut host).unwrap();
    }
    late.step(&mut host);
    assert_eq!(late.refused, Some(ErrorCode::RebalanceInProgress));
    old.push(late);
    settle(&mut host, &mut old, std::slice::from_mut(&mut one));
    check_shares(&host, &old, &[one]);
}

#[test]
fn parked_joins_and_syncs_are_sent_back_to_join_the_consumer_group() {
    let mut host = host();
    let mut waiting = classic(&["t"], Style::Eager);
    waiting.step(&mut host);
    waiting.step(&mut host);
    assert!(waiting.waits.is_some(), "it waits for more members");
    let mut one = consumer("m1", &["t"]);
    one.beat(&mut host).unwrap();
    waiting.step(&mut host);
    assert_eq!(waiting.refused, Some(ErrorCode::RebalanceInProgress));
    let mut all = [waiting];
    settle(&mut host, &mut all, std::slice::from_mut(&mut one));
    check_shares(&host, &all, &[one]);

    let mut host = self::host();
    let tickets = [host.join(""), host.join("")];
    host.wait(DELAY_MS);
    host.wait(DELAY_MS);
    let joined = tickets.map(|ticket| host.joined(ticket).unwrap().unwrap());
    let follower = joined.iter().find(|one| one.member != one.leader).unwrap();
    let sync = host.sync(follower, &[]);
    consumer("m1", &["t"]).beat(&mut host).unwrap();
    assert_eq!(host.synced(sync), Some(Err(ErrorCode::RebalanceInProgress)));
    check_replay(&host);
}

/// A first heartbeat at such a group is refused and changes nothing.
fn check_not_upgraded(mut host: Host, code: ErrorCode) {
    let (records, before) = (host.log.len(), host.describe().unwrap());
    let refused = consumer("m1", &["t"]).beat(&mut host).unwrap_err();
    assert_eq!(refused.code, code);
    assert_eq!((host.log.len(), host.describe().unwrap()), (records, before));
    check_replay(&host);
}

fn with(settings: GroupSettings) -> Host {
    let mut host = Host::with(settings);
    host.topics.make("t", 4);
    host
}

#[test]
fn a_group_that_must_not_or_cannot_go_up_stays_what_it_is() {
    for migration in [MigrationPolicy::Disabled, MigrationPolicy::Downgrade] {
        let mut host = with(GroupSettings { migration, ..GroupSettings::default() });
        classics(&mut host, 1, Style::Eager);
        check_not_upgraded(host, ErrorCode::GroupIdNotFound);
    }
    let small = GroupSettings { consumer_group_size_max: 2, ..GroupSettings::default() };
    let mut host = with(small);
    classics(&mut host, 3, Style::Eager);
    check_not_upgraded(host, ErrorCode::GroupIdNotFound);
    let mut host = with(small);
    classics(&mut host, 2, Style::Eager);
    check_not_upgraded(host, ErrorCode::GroupMaxSizeReached);
    let unreadable = Protocol { name: "range".to_owned(), metadata: Bytes::from_static(b"?") };
    for request in [
        JoinGroup { protocol_type: "connect".to_owned(), ..join("") },
        JoinGroup { protocols: vec![unreadable], ..join("") },
    ] {
        let mut host = self::host();
        let ticket = host.ask(GroupRequest::Join(request));
        host.wait(DELAY_MS);
        let joined = host.joined(ticket).unwrap().unwrap();
        let share = joined.member.clone();
        host.sync(&joined, &[(&share, "")]);
        check_not_upgraded(host, ErrorCode::GroupIdNotFound);
    }
    let mut host = self::host();
    // An assignment that the members themselves understand, and nobody else.
    host.stable(1);
    check_not_upgraded(host, ErrorCode::GroupIdNotFound);
}

/// A consumer group with one member of each protocol that is stable.
fn mixed(settings: GroupSettings) -> (Host, Vec<Classic>, Vec<Consumer>) {
    let mut host = with(settings);
    let mut old = classics(&mut host, 1, Style::Cooperative);
    let mut new = vec![consumer("m1", &["t"])];
    settle(&mut host, &mut old, &mut new);
    (host, old, new)
}

#[test]
fn joins_of_a_consumer_group_that_cannot_be_are_refused() {
    let settings = GroupSettings { consumer_group_size_max: 2, ..GroupSettings::default() };
    let (mut host, old, _new) = mixed(settings);
    let mut check = |request: JoinGroup, code: ErrorCode| {
        let records = host.log.len();
        let ticket = host.ask(GroupRequest::Join(request.clone()));
        assert_eq!(host.joined(ticket).unwrap().unwrap_err().code, code, "{request:?}");
        assert_eq!(host.log.len(), records, "{request:?}");
    };
    let known = || old[0].join_request();
    let type_of = |name: &str| JoinGroup { protocol_type: name.to_owned(), ..known() };
    check(type_of("connect"), ErrorCode::InconsistentGroupProtocol);
    let protocols = |protocols| JoinGroup { protocols, ..known() };
    let words = || known().protocols[0].metadata.clone();
    let one = |name: &str, metadata| vec![Protocol { name: name.to_owned(), metadata }];
    check(protocols(one("other", words())), ErrorCode::InconsistentGroupProtocol);
    check(protocols(one("common", words().slice(..7))), ErrorCode::InconsistentGroupProtocol);
    check(protocols(vec![]), ErrorCode::InconsistentGroupProtocol);
    let id = |id: &str| JoinGroup { member: MemberId::new(id), ..known() };
    check(id(""), ErrorCode::GroupMaxSizeReached);
    let unknown = JoinGroup { instance: Some(InstanceId::new("nobody")), ..known() };
    check(unknown, ErrorCode::UnknownMemberId);
    let impatient = JoinGroup { session_timeout_ms: 1, ..known() };
    check(impatient, ErrorCode::InvalidSessionTimeout);
}

#[test]
fn a_dynamic_member_is_sent_back_for_its_id_and_nothing_is_kept_of_it() {
    let (mut host, _old, _new) = mixed(GroupSettings::default());
    let (records, timers) = (host.log.len(), host.coordinator.timer_count());
    let request = classic(&["t"], Style::Eager).join_request();
    let ticket = host.ask(GroupRequest::Join(request.clone()));
    let refused = host.joined(ticket).unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::MemberIdRequired);
    assert_eq!((host.log.len(), host.coordinator.timer_count()), (records, timers));
    let again = JoinGroup { member: refused.member.clone(), ..request.clone() };
    let ticket = host.ask(GroupRequest::Join(again));
    let joined = host.joined(ticket).unwrap().unwrap();
    assert_eq!((joined.member, joined.leader), (refused.member, MemberId::new("")));
    assert_eq!(joined.protocol.as_deref(), Some("range"), "what it likes best");
    let older = JoinGroup { knows_member_id_required: false, ..request };
    let ticket = host.ask(GroupRequest::Join(older));
    assert!(host.joined(ticket).unwrap().is_ok(), "a version that knows no such answer");
    assert_eq!(kinds(&mut host), (3, 1));
    check_replay(&host);
}

#[test]
fn what_a_classic_member_says_must_be_of_its_generation() {
    let (mut host, old, new) = mixed(GroupSettings::default());
    let sync = |member: &str, generation: i32, protocol: &str| SyncGroup {
        group: GroupId::new(GROUP),
        member: MemberId::new(member),
        instance: None,
        generation: Generation::from_wire(generation),
        protocol_type: Some("consumer".to_owned()),
        protocol: Some(protocol.to_owned()),
        assignments: vec![],
    };
    let (id, generation) = (old[0].id.as_str(), old[0].generation);
    let unknown = ErrorCode::UnknownMemberId;
    for (member, told, beats, syncs) in [
        (id, generation, Ok(()), Ok(())),
        (id, generation + 1, Err(ErrorCode::IllegalGeneration), Err(ErrorCode::IllegalGeneration)),
        (id, -1, Err(ErrorCode::IllegalGeneration), Err(ErrorCode::IllegalGeneration)),
        ("nobody", generation, Err(unknown), Err(unknown)),
        (new[0].id.as_str(), generation, Err(unknown), Err(unknown)),
    ] {
        let beat = host.heartbeat(&MemberId::new(member), told.cast_unsigned());
        assert_eq!(beat, beats, "{member} {told}");
        let ticket = host.ask(GroupRequest::Sync(sync(member, told, "sticky")));
        assert_eq!(host.synced(ticket).unwrap().map(|_| ()), syncs, "{member} {told}");
    }
    let ticket = host.ask(GroupRequest::Sync(sync(id, generation, "other")));
    assert_eq!(host.synced(ticket), Some(Err(ErrorCode::InconsistentGroupProtocol)));
    let instance =
        SyncGroup { instance: Some(InstanceId::new("nobody")), ..sync(id, generation, "sticky") };
    let ticket = host.ask(GroupRequest::Sync(instance));
    assert_eq!(host.synced(ticket), Some(Err(unknown)));
}

#[test]
fn a_share_is_told_in_the_version_that_the_member_speaks() {
    let (mut host, old, _new) = mixed(GroupSettings::default());
    for version in [0_u8, 1, 3, 9] {
        let mut request = old[0].join_request();
        for protocol in &mut request.protocols {
            let mut words = protocol.metadata.to_vec();
            words[1] = version;
            words.extend([0, 0, 0, 9, 0, 1, b'r']);
            protocol.metadata = Bytes::from(words);
        }
        let read = Subscription::decode(&request.protocols[0].metadata).unwrap();
        assert_eq!(read.rack.as_deref(), (version >= 3).then_some("r"));
        let ticket = host.ask(GroupRequest::Join(request));
        let joined = host.joined(ticket).unwrap().unwrap();
        let ticket = host.sync(&joined, &[]);
        let share = host.synced(ticket).unwrap().unwrap().assignment;
        assert_eq!(share[..2], [0, version.min(3)]);
        assert_eq!(read_share(&share).len(), 2);
    }
    let racks = host.consumers().unwrap().members;
    assert!(racks.iter().any(|one| one.rack.as_deref() == Some("r")));
}

#[test]
fn a_static_member_goes_from_one_protocol_to_the_other_and_keeps_its_share() {
    let mut host = host();
    let named = |name: &str, one: Classic| Classic { instance: Some(name.to_owned()), ..one };
    let style = Style::Cooperative;
    let mut old = vec![named("a", classic(&["t"], style)), named("b", classic(&["t"], style))];
    settle_classics(&mut host, &mut old);
    let mut former = old.remove(0);
    let had: Share = former.owned.clone();
    let mut one = Consumer { instance: former.instance.clone(), ..consumer("m1", &["t"]) };
    one.beat(&mut host).unwrap();
    let topic = host.topics.named("t").unwrap().id;
    let same: Parts = had.iter().map(|(_, partition)| (topic, *partition)).collect();
    assert_eq!(one.owned, same);
    former.step(&mut host);
    assert!(former.fenced);
    assert_eq!(kinds(&mut host), (1, 1));
    settle(&mut host, &mut old, std::slice::from_mut(&mut one));
    check_replay(&host);
    // Back, without a word that it goes.
    let records = host.log.len();
    let mut back = named("a", classic(&["t"], style));
    back.step(&mut host);
    assert_eq!(back.owned, had);
    let refused = one.beat(&mut host).unwrap_err();
    assert_eq!(refused.code, ErrorCode::GroupIdNotFound, "the group is a classic one");
    let described = host.describe().unwrap();
    assert_eq!(described.state, GroupState::Stable, "nothing has to move");
    assert!(host.log.len() > records);
    check_replay(&host);
    old.push(back);
    settle_classics(&mut host, &mut old);
    check_shares(&host, &old, &[]);
}

#[test]
fn a_static_member_of_the_same_protocol_takes_its_place_again() {
    let (mut host, _old, mut new) = mixed(GroupSettings::default());
    let fixed =
        || Classic { instance: Some("a".to_owned()), ..classic(&["t"], Style::Cooperative) };
    let mut all = [fixed()];
    all[0].step(&mut host);
    let mut again = fixed();
    again.step(&mut host);
    assert_ne!(again.id, all[0].id);
    all[0].step(&mut host);
    assert!(all[0].fenced);
    let pretender = Classic { id: all[0].id.clone(), ..fixed() };
    let ticket = host.ask(GroupRequest::Join(pretender.join_request()));
    let refused = host.joined(ticket).unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::FencedInstanceId);
    assert_eq!(kinds(&mut host), (2, 1));
    new[0].beat(&mut host).unwrap();
    check_replay(&host);
}

#[test]
fn a_classic_member_that_is_silent_for_its_own_session_is_out() {
    let (mut host, old, mut new) = mixed(GroupSettings::default());
    let session_ms = u64::from(SESSION_MS);
    host.wait(session_ms - 1);
    assert_eq!(kinds(&mut host), (1, 1));
    assert_eq!(
        host.heartbeat(&MemberId::new(&old[0].id), old[0].generation.cast_unsigned()),
        Ok(())
    );
    host.wait(session_ms - 1);
    assert_eq!(kinds(&mut host), (1, 1), "it was heard of");
    host.wait(1);
    assert_eq!(kinds(&mut host), (0, 1));
    settle(&mut host, &mut [], &mut new);
    assert_eq!(new[0].owned.len(), 4);
}

#[test]
fn who_does_not_join_again_or_ask_for_its_share_in_time_is_out() {
    let (mut host, old, mut new) = mixed(GroupSettings::default());
    let mut other = consumer("m2", &["t"]);
    other.beat(&mut host).unwrap();
    let (id, generation) = (MemberId::new(&old[0].id), old[0].generation.cast_unsigned());
    let rebalance_ms = u64::from(REBALANCE_MS);
    for _ in 1..rebalance_ms / 5_000 {
        assert_eq!(host.heartbeat(&id, generation), Err(ErrorCode::RebalanceInProgress));
        host.wait(5_000);
        new[0].beat(&mut host).ok();
        other.beat(&mut host).unwrap();
    }
    assert_eq!(kinds(&mut host), (1, 2), "not a moment too soon");
    // It is not for its silence that it goes.
    assert_eq!(host.heartbeat(&id, generation), Err(ErrorCode::RebalanceInProgress));
    host.wait(5_000);
    assert_eq!(kinds(&mut host), (0, 2));
    assert_eq!(host.heartbeat(&id, generation), Err(ErrorCode::UnknownMemberId));
    // One that joins and then only beats.
    let request = classic(&["t"], Style::Eager).join_request();
    let request = JoinGroup { knows_member_id_required: false, ..request };
    let ticket = host.ask(GroupRequest::Join(request));
    let joined = host.joined(ticket).unwrap().unwrap();
    for _ in 0..rebalance_ms / 5_000 {
        assert_eq!(kinds(&mut host).0, 1);
        host.heartbeat(&joined.member, joined.generation.get()).ok();
        host.wait(5_000);
        new[0].beat(&mut host).ok();
        other.beat(&mut host).unwrap();
    }
    assert_eq!(kinds(&mut host).0, 0);
    check_replay(&host);
}

#[test]
fn offsets_are_committed_in_a_classic_members_generation() {
    let (mut host, old, new) = mixed(GroupSettings::default());
    let by = |member: &str, epoch: i32, knows: bool| CommitOffsets {
        member: MemberId::new(member),
        generation_or_epoch: epoch,
        knows_stale_epoch: knows,
        ..commit("t", 5)
    };
    let (id, generation) = (old[0].id.as_str(), old[0].generation);
    let (consumer, epoch) = (new[0].id.as_str(), new[0].epoch);
    for (request, expected) in [
        (by(id, generation, true), Ok(vec![ErrorCode::None])),
        (by(id, generation, false), Ok(vec![ErrorCode::None])),
        (by(id, generation - 1, true), Err(ErrorCode::IllegalGeneration)),
        (by(consumer, epoch, true), Ok(vec![ErrorCode::None])),
        (by(consumer, epoch - 1, true), Err(ErrorCode::StaleMemberEpoch)),
        (by(consumer, epoch, false), Err(ErrorCode::UnsupportedVersion)),
        (by("nobody", epoch, true), Err(ErrorCode::UnknownMemberId)),
    ] {
        assert_eq!(host.commit(request.clone()), expected, "{request:?}");
    }
    let fetch = FetchOffsets {
        group: GroupId::new(GROUP),
        member: Some(MemberId::new(id)),
        member_epoch: generation - 1,
        topics: None,
        require_stable: true,
    };
    let ticket = host.ask(GroupRequest::FetchOffsets(fetch));
    let stale = Err(ErrorCode::IllegalGeneration);
    assert_eq!(host.answer(ticket), Some(GroupAnswer::FetchOffsets(stale)));
}

#[test]
fn classic_members_leave_by_id_or_by_instance_and_consumers_do_not_go_that_way() {
    let (mut host, mut old, mut new) = mixed(GroupSettings::default());
    let fixed = Classic { instance: Some("a".to_owned()), ..classic(&["t"], Style::Cooperative) };
    old.push(fixed);
    settle(&mut host, &mut old, &mut new);
    let epoch = host.consumers().unwrap().epoch;
    assert_eq!(host.leave(&new[0].id, None)[0].code, ErrorCode::UnknownMemberId);
    assert_eq!(host.leave("nobody", None)[0].code, ErrorCode::UnknownMemberId);
    assert_eq!(host.leave(&old[0].id, Some("a"))[0].code, ErrorCode::FencedInstanceId);
    assert_eq!(host.consumers().unwrap().epoch, epoch, "nobody went");
    let leaving = |member: &str, instance: Option<&str>| Leaving {
        member: MemberId::new(member),
        instance: instance.map(InstanceId::new),
        reason: None,
    };
    let members = vec![leaving(&old[0].id, None), leaving("", Some("a")), leaving("", Some("a"))];
    let request = LeaveGroup { group: GroupId::new(GROUP), members };
    let ticket = host.ask(GroupRequest::Leave(request));
    let Some(GroupAnswer::Leave(Ok(left))) = host.answer(ticket) else { panic!("no answer") };
    let codes: Vec<ErrorCode> = left.iter().map(|one| one.code).collect();
    assert_eq!(codes, [ErrorCode::None, ErrorCode::None, ErrorCode::UnknownMemberId]);
    assert_eq!(host.consumers().unwrap().epoch, epoch + 1, "both at once");
    settle(&mut host, &mut [], &mut new);
    assert_eq!(new[0].owned.len(), 4);
    check_replay(&host);
}

/// After the last consumer has gone: a classic group that begins a rebalance, in the generation of the epoch.
fn check_downgraded(mut host: Host, mut old: Vec<Classic>, epoch: i32) {
    let described = host.describe().unwrap();
    assert_eq!(
        (described.state, described.members.len()),
        (GroupState::PreparingRebalance, old.len())
    );
    assert_eq!(host.consumers(), Err(ErrorCode::GroupIdNotFound));
    old[0].step(&mut host);
    assert_eq!(old[0].refused, Some(ErrorCode::RebalanceInProgress), "it is in {epoch}");
    let mut last: Map<Bytes, Option<Bytes>> = Map::new();
    for record in &host.log {
        last.insert(record.key.clone(), record.value.clone());
    }
    let kept = last.iter().filter(|(_, value)| value.is_some()).map(|(key, _)| key);
    let kept: Vec<RecordKey> = kept.map(|key| RecordKey::decode(key).unwrap()).collect();
    assert_eq!(kept, [RecordKey::Group(GroupId::new(GROUP))]);
    settle_classics(&mut host, &mut old);
    check_shares(&host, &old, &[]);
    assert_eq!(old[0].generation, epoch + 1);
    check_replay(&host);
    host.restart();
    settle_classics(&mut host, &mut old);
    assert_eq!(host.describe().unwrap().state, GroupState::Stable);
}

#[test]
fn the_last_consumer_that_leaves_takes_the_group_down() {
    let (mut host, old, new) = mixed(GroupSettings::default());
    let epoch = new[0].epoch;
    host.beat(ConsumerHeartbeat { epoch: -1, ..new[0].request() }).unwrap();
    check_downgraded(host, old, epoch);
}

#[test]
fn the_last_consumer_that_is_silent_takes_the_group_down() {
    let (mut host, mut old, new) = mixed(GroupSettings::default());
    for _ in 0..CONSUMER_SESSION_MS / 5_000 {
        assert_eq!(kinds(&mut host), (1, 1));
        old[0].step(&mut host);
        host.wait(5_000);
    }
    check_downgraded(host, old, new[0].epoch);
}

#[test]
fn the_last_consumer_that_does_not_give_up_takes_the_group_down() {
    let (mut host, mut old, new) = mixed(GroupSettings::default());
    old.push(classic(&["t"], Style::Cooperative));
    let stubborn = &new[0];
    old[1].step(&mut host);
    let mut gone = false;
    for _ in 0..14 {
        let heard = host.beat(stubborn.request());
        gone |= heard.is_err();
        if gone {
            break;
        }
        old.iter_mut().for_each(|one| one.step(&mut host));
        host.wait(5_000);
    }
    assert!(gone, "it may read what another has by now");
    assert_eq!(host.consumers(), Err(ErrorCode::GroupIdNotFound));
    settle_classics(&mut host, &mut old);
    check_shares(&host, &old, &[]);
}

#[test]
fn a_consumer_that_is_away_keeps_the_group_up_until_its_session_ends() {
    let (mut host, mut old, mut new) = mixed(GroupSettings::default());
    let away = Consumer { instance: Some("a".to_owned()), ..consumer("m2", &["t"]) };
    new.push(away);
    settle(&mut host, &mut old, &mut new);
    host.beat(ConsumerHeartbeat { epoch: -2, ..new[1].request() }).unwrap();
    host.beat(ConsumerHeartbeat { epoch: -1, ..new[0].request() }).unwrap();
    assert_eq!(kinds(&mut host), (1, 1));
    for _ in 0..10 {
        old[0].step(&mut host);
        host.wait(5_000);
    }
    assert_eq!(host.consumers(), Err(ErrorCode::GroupIdNotFound));
    settle_classics(&mut host, &mut old);
    check_shares(&host, &old, &[]);
}

#[test]
fn a_group_that_must_not_go_down_goes_on_with_classic_members_alone() {
    let upgrade = GroupSettings { migration: MigrationPolicy::Upgrade, ..GroupSettings::default() };
    for (settings, more) in
        [(upgrade, 0), (GroupSettings { group_size_max: 1, ..GroupSettings::default() }, 1)]
    {
        let (mut host, mut old, mut new) = mixed(settings);
        for _ in 0..more {
            old.push(classic(&["t"], Style::Eager));
        }
        settle(&mut host, &mut old, &mut new);
        host.beat(ConsumerHeartbeat { epoch: -1, ..new[0].request() }).unwrap();
        settle(&mut host, &mut old, &mut []);
        assert_eq!(kinds(&mut host), (1 + more, 0));
        check_shares(&host, &old, &[]);
        // The last one leaves an empty group of the consumer protocol, which a classic member makes its own.
        old.iter().for_each(|one| one.leave(&mut host));
        assert_eq!(host.consumers().unwrap().state, GroupState::Empty);
        let mut fresh = vec![classic(&["t"], Style::Eager)];
        settle_classics(&mut host, &mut fresh);
        assert_eq!(host.describe().unwrap().state, GroupState::Stable);
        check_replay(&host);
    }
}

#[test]
fn a_classic_heartbeat_finds_topics_that_have_grown() {
    let settings =
        GroupSettings { migration: MigrationPolicy::Upgrade, ..GroupSettings::default() };
    let (mut host, mut old, new) = mixed(settings);
    host.beat(ConsumerHeartbeat { epoch: -1, ..new[0].request() }).unwrap();
    settle(&mut host, &mut old, &mut []);
    host.topics.make("t", 6);
    settle(&mut host, &mut old, &mut []);
    assert_eq!(old[0].owned.len(), 6);
}

#[test]
fn a_group_whose_classic_record_would_be_too_large_stays_one_of_consumers() {
    let settings = GroupSettings { group_bytes_max: 3_000, ..GroupSettings::default() };
    let mut host = Host::with(settings);
    host.topics.make("t", 2_000);
    let mut new = vec![consumer("m1", &["t"])];
    new[0].beat(&mut host).unwrap();
    let mut old = vec![classic(&["t"], Style::Eager)];
    settle(&mut host, &mut old, &mut new);
    assert_eq!(kinds(&mut host), (1, 1));
    host.beat(ConsumerHeartbeat { epoch: -1, ..new[0].request() }).unwrap();
    settle(&mut host, &mut old, &mut []);
    assert_eq!((kinds(&mut host), old[0].owned.len()), ((1, 0), 2_000));
    check_replay(&host);
}

#[test]
fn a_member_that_speaks_the_other_protocol_under_the_same_id_goes_on_by_it() {
    let (mut host, old, new) = mixed(GroupSettings::default());
    // It has joined once more, and has yet to ask for its share.
    let ticket = host.ask(GroupRequest::Join(old[0].join_request()));
    assert!(host.joined(ticket).unwrap().is_ok());
    let timers = host.coordinator.timer_count();
    let mut same = Consumer { epoch: 0, ..consumer(&old[0].id, &["t"]) };
    same.beat(&mut host).unwrap();
    assert_eq!(kinds(&mut host), (0, 2));
    assert_eq!(host.coordinator.timer_count(), timers - 1, "it need not ask any more");
    let classic = Classic { id: new[0].id.clone(), ..classic(&["t"], Style::Eager) };
    let ticket = host.ask(GroupRequest::Join(classic.join_request()));
    assert!(host.joined(ticket).unwrap().is_ok());
    assert_eq!(kinds(&mut host), (1, 1));
    check_replay(&host);
}

#[test]
fn a_group_is_found_in_the_middle_of_its_way_after_a_crash() {
    let mut host = host();
    let mut old = classics(&mut host, 2, Style::Cooperative);
    let mut one = consumer("m1", &["t"]);
    one.beat(&mut host).unwrap();
    for _ in 0..2 {
        old.iter_mut().for_each(|classic| classic.step(&mut host));
    }
    assert!(old.iter().any(|classic| classic.must_join), "one is to say that it has given up");
    check_replay(&host);
    host.restart();
    one.beat(&mut host).unwrap();
    assert_eq!(one.owned.len(), 0, "the other may still read");
    settle(&mut host, &mut old, std::slice::from_mut(&mut one));
    check_shares(&host, &old, &[one]);
}

#[test]
fn a_partition_that_a_careless_leader_gave_twice_has_one_owner() {
    let mut host = host();
    let tickets = [host.join(""), host.join("")];
    host.wait(DELAY_MS);
    host.wait(DELAY_MS);
    let joined = tickets.map(|ticket| host.joined(ticket).unwrap().unwrap());
    let all: Share = (0..4).map(|partition| ("t".to_owned(), partition)).collect();
    for one in &joined {
        let give = |id: &MemberId| (id.clone(), super::mixed::share(&all));
        let assignments = one.members.iter().map(|other| give(&other.member)).collect();
        let request = SyncGroup {
            group: GroupId::new(GROUP),
            member: one.member.clone(),
            instance: None,
            generation: Some(one.generation),
            protocol_type: None,
            protocol: None,
            assignments,
        };
        host.ask(GroupRequest::Sync(request));
    }
    consumer("m1", &["t"]).beat(&mut host).unwrap();
    let members = host.consumers().unwrap().members;
    let owned: usize = members.iter().map(|one| parts(&one.assigned).len()).sum();
    assert_eq!((members.len(), owned), (3, 4));
    check_replay(&host);
}
