//! Joining, rebalancing, syncing, sessions.

use super::*;
use crate::group::answer::GroupState;

#[test]
fn the_first_member_waits_for_more_and_leads() {
    let mut host = Host::new();
    let (first, second) = (host.join(""), host.join(""));
    host.wait(DELAY_MS - 1);
    assert_eq!(host.joined(first), None);
    host.wait(1);
    assert_eq!(host.joined(first), None, "somebody came: the wait goes on once more");
    host.wait(DELAY_MS);
    let leader = host.joined(first).unwrap().unwrap();
    let other = host.joined(second).unwrap().unwrap();
    assert_eq!((leader.generation, other.generation), (Generation::new(1), Generation::new(1)));
    assert_eq!(leader.leader, leader.member);
    assert_eq!((leader.members.len(), other.members.len()), (2, 0));
    assert_eq!(leader.protocol.as_deref(), Some("range"));
    assert_eq!(host.describe().unwrap().state, GroupState::CompletingRebalance);
}

#[test]
fn the_wait_for_more_members_ends_with_the_rebalance_timeout() {
    let mut host = Host::new();
    let first = host.join("");
    let mut waited = 0;
    while !host.answers.contains_key(&first) {
        assert!(waited <= u64::from(REBALANCE_MS), "still waiting after {waited} ms");
        host.join("");
        host.wait(1_000);
        waited += 1_000;
    }
    assert!(waited >= u64::from(REBALANCE_MS) - DELAY_MS, "only {waited} ms");
}

#[test]
fn a_new_version_must_come_back_with_its_id() {
    let mut host = Host::new();
    let strict = JoinGroup { knows_member_id_required: true, ..join("") };
    let ticket = host.ask(GroupRequest::Join(strict.clone()));
    let refused = host.joined(ticket).unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::MemberIdRequired);
    assert!(refused.member.as_str().starts_with("client-"), "{}", refused.member);
    assert_eq!(host.describe().unwrap().state, GroupState::Empty);
    assert_eq!(host.log.len(), 1, "the group itself outlives a crash");
    let ticket =
        host.ask(GroupRequest::Join(JoinGroup { member: refused.member.clone(), ..strict }));
    host.wait(DELAY_MS);
    assert_eq!(host.joined(ticket).unwrap().unwrap().member, refused.member);
}

#[test]
fn an_id_that_is_not_used_is_forgotten_with_the_session() {
    let mut host = Host::new();
    let strict = JoinGroup { knows_member_id_required: true, ..join("") };
    let ticket = host.ask(GroupRequest::Join(strict.clone()));
    let id = host.joined(ticket).unwrap().unwrap_err().member;
    host.wait(u64::from(SESSION_MS));
    let ticket = host.ask(GroupRequest::Join(JoinGroup { member: id.clone(), ..strict }));
    let refused = host.joined(ticket).unwrap().unwrap_err();
    assert_eq!(refused, JoinRefused { code: ErrorCode::UnknownMemberId, member: id });
}

#[test]
fn a_rebalance_waits_for_a_member_that_was_given_an_id() {
    let mut host = Host::new();
    let members = host.stable(1);
    let strict = JoinGroup { knows_member_id_required: true, ..join("") };
    let ticket = host.ask(GroupRequest::Join(strict.clone()));
    let id = host.joined(ticket).unwrap().unwrap_err().member;
    let rejoin = host.join(members[0].member.as_str());
    assert_eq!(host.joined(rejoin), None);
    let joining = host.ask(GroupRequest::Join(JoinGroup { member: id, ..strict }));
    assert_eq!(host.joined(rejoin).unwrap().unwrap().members.len(), 2);
    assert!(host.joined(joining).unwrap().is_ok());
}

#[test]
fn joins_that_cannot_be_are_refused() {
    let check = |request: JoinGroup, code| {
        let mut host = Host::new();
        host.stable(1);
        let ticket = host.ask(GroupRequest::Join(request.clone()));
        assert_eq!(host.joined(ticket).unwrap().unwrap_err().code, code, "{request:?}");
    };
    check(JoinGroup { group: GroupId::new(""), ..join("") }, ErrorCode::InvalidGroupId);
    check(JoinGroup { session_timeout_ms: 5_999, ..join("") }, ErrorCode::InvalidSessionTimeout);
    check(
        JoinGroup { session_timeout_ms: 1_800_001, ..join("") },
        ErrorCode::InvalidSessionTimeout,
    );
    check(join("nobody"), ErrorCode::UnknownMemberId);
    check(JoinGroup { group: GroupId::new("other"), ..join("nobody") }, ErrorCode::UnknownMemberId);
    let inconsistent = ErrorCode::InconsistentGroupProtocol;
    check(JoinGroup { protocol_type: "connect".to_owned(), ..join("") }, inconsistent);
    check(JoinGroup { protocols: vec![protocol("sticky", &[])], ..join("") }, inconsistent);
    check(JoinGroup { protocols: Vec::new(), ..join("") }, inconsistent);
    let other = GroupId::new("other");
    check(JoinGroup { group: other, protocol_type: String::new(), ..join("") }, inconsistent);
}

#[test]
fn names_that_are_longer_than_any_name_are_refused() {
    let long = || "x".repeat(1_025);
    let check = |request: JoinGroup, code| {
        let mut host = Host::new();
        let ticket = host.ask(GroupRequest::Join(request));
        assert_eq!(host.joined(ticket).unwrap().unwrap_err().code, code);
        assert_eq!(host.log.len(), 0);
    };
    check(JoinGroup { group: GroupId::from(long()), ..join("") }, ErrorCode::InvalidGroupId);
    let invalid = ErrorCode::InvalidRequest;
    check(JoinGroup { instance: Some(InstanceId::from(long())), ..join("") }, invalid);
    check(JoinGroup { protocol_type: long(), ..join("") }, invalid);
    check(JoinGroup { protocols: vec![protocol(&long(), &[])], ..join("") }, invalid);
    check(JoinGroup { client: Client { id: long(), host: String::new() }, ..join("") }, invalid);
    let mut host = Host::new();
    let request = CommitOffsets { group: GroupId::from(long()), ..commit("t", 1) };
    assert_eq!(host.commit(request), Err(ErrorCode::InvalidGroupId));
}

#[test]
fn a_groups_record_is_no_larger_than_a_group_may_be() {
    let long = |number: usize| format!("{number}{}", "x".repeat(1_000));
    let member = |number| JoinGroup {
        instance: Some(InstanceId::from(long(number))),
        client: Client { id: long(number), host: "/::1".to_owned() },
        ..join("")
    };
    let settings = GroupSettings { group_bytes_max: 20_000, ..GroupSettings::default() };
    let mut host = Host::with(settings);
    let tickets: Vec<Ticket> =
        (0..20).map(|number| host.ask(GroupRequest::Join(member(number)))).collect();
    let refused = |host: &Host, ticket: &Ticket| match host.answers.get(ticket) {
        Some(GroupAnswer::Join(Err(refused))) => Some(refused.code),
        _ => None,
    };
    let (out, within): (Vec<Ticket>, Vec<Ticket>) =
        tickets.iter().partition(|ticket| refused(&host, ticket).is_some());
    assert!(out.iter().all(|one| refused(&host, one) == Some(ErrorCode::GroupMaxSizeReached)));
    host.wait(DELAY_MS);
    host.wait(DELAY_MS);
    let leader = within.iter().find_map(|ticket| {
        let joined = host.joined(*ticket).unwrap().unwrap();
        (joined.leader == joined.member).then_some(joined)
    });
    let leader = leader.unwrap();
    let request = SyncGroup {
        group: GroupId::new(GROUP),
        member: leader.member.clone(),
        instance: None,
        generation: Some(leader.generation),
        protocol_type: None,
        protocol: None,
        assignments: vec![],
    };
    let ticket = host.ask(GroupRequest::Sync(request));
    let synced = host.synced(ticket);
    assert!(matches!(synced, Some(Ok(_))), "{synced:?}");
    let largest = host.log.iter().filter_map(|record| Some(record.value.as_ref()?.len())).max();
    assert!(largest > Some(10_000) && largest <= Some(20_000), "{largest:?}");
}

#[test]
fn a_refused_first_join_leaves_no_group_behind() {
    let mut host = Host::new();
    host.ask(GroupRequest::Join(JoinGroup { protocols: Vec::new(), ..join("") }));
    assert_eq!((host.coordinator.group_count(), host.log.len()), (0, 0));
}

#[test]
fn the_protocol_that_most_like_best_is_taken() {
    let mut host = Host::new();
    let lists: [&[&str]; 3] = [&["a", "b", "x"], &["b", "a"], &["c", "b", "a"]];
    let tickets: Vec<Ticket> = lists
        .iter()
        .map(|names| {
            let protocols = names.iter().map(|name| protocol(name, &["t"])).collect();
            host.ask(GroupRequest::Join(JoinGroup { protocols, ..join("") }))
        })
        .collect();
    let joined = host.finish(&tickets);
    assert_eq!(joined[0].protocol.as_deref(), Some("b"));
}

#[test]
fn a_group_takes_no_more_members_than_it_may() {
    let mut host = Host::with(GroupSettings { group_size_max: 2, ..GroupSettings::default() });
    let (first, second, third) = (host.join(""), host.join(""), host.join(""));
    let refused = host.joined(third).unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::GroupMaxSizeReached);
    host.finish(&[first, second]);
    let fourth = host.join("");
    assert_eq!(host.joined(fourth).unwrap().unwrap_err().code, ErrorCode::GroupMaxSizeReached);
}

#[test]
fn a_group_takes_no_more_bytes_than_it_may() {
    let mut host = Host::with(GroupSettings { group_bytes_max: 2_000, ..GroupSettings::default() });
    let large = Protocol { name: "range".to_owned(), metadata: Bytes::from(vec![0; 2_000]) };
    let ticket = host.ask(GroupRequest::Join(JoinGroup { protocols: vec![large], ..join("") }));
    assert_eq!(host.joined(ticket).unwrap().unwrap_err().code, ErrorCode::GroupMaxSizeReached);
    let ticket = host.join("");
    host.wait(DELAY_MS);
    let joined = host.joined(ticket).unwrap().unwrap();
    let share = "x".repeat(2_000);
    let request = SyncGroup {
        group: GroupId::new(GROUP),
        member: joined.member.clone(),
        instance: None,
        generation: Some(joined.generation),
        protocol_type: None,
        protocol: None,
        assignments: vec![(joined.member, Bytes::from(share))],
    };
    let ticket = host.ask(GroupRequest::Sync(request));
    assert_eq!(host.synced(ticket), Some(Err(ErrorCode::UnknownServerError)));
}

#[test]
fn everybody_learns_its_share_when_the_leader_has_assigned() {
    let mut host = Host::new();
    let (first, second) = (host.join(""), host.join(""));
    host.wait(DELAY_MS);
    host.wait(DELAY_MS);
    let leader = host.joined(first).unwrap().unwrap();
    let other = host.joined(second).unwrap().unwrap();
    let waiting = host.sync(&other, &[]);
    assert_eq!(host.synced(waiting), None);
    let before = host.log.len();
    let done = host.sync(&leader, &[(&leader.member, "mine"), (&other.member, "yours")]);
    assert_eq!(&host.synced(done).unwrap().unwrap().assignment[..], b"mine");
    assert_eq!(&host.synced(waiting).unwrap().unwrap().assignment[..], b"yours");
    assert_eq!(host.log.len(), before + 1, "one record a generation");
    let again = host.sync(&other, &[]);
    assert_eq!(&host.synced(again).unwrap().unwrap().assignment[..], b"yours");
    let described = host.describe().unwrap();
    assert_eq!((described.state, described.protocol.as_str()), (GroupState::Stable, "range"));
    assert_eq!(described.members.len(), 2);
}

#[test]
fn an_answer_waits_for_the_records_before_it() {
    let mut host = Host::new();
    let joined = host.stable(1);
    let ticket = Ticket(999);
    let request = commit("t", 1);
    let request = CommitOffsets {
        member: joined[0].member.clone(),
        generation_or_epoch: joined[0].generation.to_wire(),
        ..request
    };
    host.topics.make("t", 1);
    host.coordinator.handle(
        host.moment,
        &host.topics,
        ticket,
        GroupRequest::CommitOffsets(request),
    );
    let written = host.coordinator.written();
    let read = GroupRequest::Describe(GroupId::new(GROUP));
    host.coordinator.handle(host.moment, &host.topics, Ticket(1_000), read);
    let effects = host.coordinator.take_effects();
    assert_eq!(effects.records.len(), 1);
    let tickets: Vec<Ticket> = effects.answers.iter().map(|(ticket, _)| *ticket).collect();
    assert_eq!((effects.after, tickets), (written, vec![ticket, Ticket(1_000)]));
}

#[test]
fn syncs_that_do_not_fit_are_refused() {
    let mut host = Host::new();
    let joined = host.stable(1).remove(0);
    let mut check = |change: fn(&mut Joined), code| {
        let mut asked = joined.clone();
        change(&mut asked);
        let ticket = host.sync(&asked, &[]);
        assert_eq!(host.synced(ticket), Some(Err(code)), "{asked:?}");
    };
    check(|asked| asked.member = MemberId::new("x"), ErrorCode::UnknownMemberId);
    check(|asked| asked.generation = Generation::new(9), ErrorCode::IllegalGeneration);
    let inconsistent = ErrorCode::InconsistentGroupProtocol;
    check(|asked| asked.protocol = Some("x".to_owned()), inconsistent);
    check(|asked| asked.protocol_type = Some("x".to_owned()), inconsistent);
    host.join("");
    let ticket = host.sync(&joined, &[]);
    assert_eq!(host.synced(ticket), Some(Err(ErrorCode::RebalanceInProgress)));
}

#[test]
fn a_second_member_makes_the_first_join_again() {
    let mut host = Host::new();
    let first = host.stable(1).remove(0);
    let joining = host.join("");
    assert_eq!(host.heartbeat(&first.member, 1), Err(ErrorCode::RebalanceInProgress));
    assert_eq!(host.joined(joining), None);
    let rejoining = host.join(first.member.as_str());
    let joined = host.finish(&[rejoining, joining]);
    assert_eq!(joined[0].generation, Generation::new(2));
    for one in &joined {
        assert_eq!(host.heartbeat(&one.member, 2), Ok(()));
        assert_eq!(host.heartbeat(&one.member, 1), Err(ErrorCode::IllegalGeneration));
    }
}

#[test]
fn who_does_not_join_again_in_time_is_out() {
    let mut host = Host::new();
    let members = host.stable(2);
    let joining = host.join("");
    let rejoining = host.join(members[0].member.as_str());
    for _ in 0..6 {
        host.wait(u64::from(REBALANCE_MS) / 6);
        if host.answers.contains_key(&joining) {
            break;
        }
        // It lives, but does not join.
        assert_eq!(host.heartbeat(&members[1].member, 1), Err(ErrorCode::RebalanceInProgress));
    }
    let joined = host.finish(&[rejoining, joining]);
    assert_eq!(joined.len(), 2);
    assert_eq!(host.heartbeat(&members[1].member, 2), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_silent_member_is_out_after_its_session() {
    let mut host = Host::new();
    let members = host.stable(2);
    host.wait(u64::from(SESSION_MS) - 1);
    assert_eq!(host.heartbeat(&members[0].member, 1), Ok(()));
    host.wait(1);
    assert_eq!(host.heartbeat(&members[0].member, 1), Err(ErrorCode::RebalanceInProgress));
    assert_eq!(host.heartbeat(&members[1].member, 1), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_waiting_member_need_not_send_heartbeats() {
    let mut host = Host::new();
    let members = host.stable(2);
    let rejoining = host.join(members[0].member.as_str());
    for _ in 0..3 {
        host.wait(u64::from(SESSION_MS) / 2);
        if host.answers.contains_key(&rejoining) {
            break;
        }
        assert!(host.heartbeat(&members[1].member, 1).is_err());
    }
    assert_eq!(host.describe().unwrap().members.len(), 2);
}

#[test]
fn a_member_that_was_never_answered_goes_after_five_minutes() {
    let mut host = Host::new();
    let members = host.stable(1);
    let slow = JoinGroup { rebalance_timeout_ms: 3_600_000, ..join("") };
    let joining = host.ask(GroupRequest::Join(slow));
    for _ in 0..60 {
        host.wait(5_000);
        assert!(host.heartbeat(&members[0].member, 1).is_err());
    }
    let refused = host.joined(joining).unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::UnknownMemberId);
}

#[test]
fn who_does_not_sync_in_time_is_out() {
    let mut host = Host::new();
    let (first, second) = (host.join(""), host.join(""));
    host.wait(DELAY_MS);
    host.wait(DELAY_MS);
    let leader = host.joined(first).unwrap().unwrap();
    let other = host.joined(second).unwrap().unwrap();
    let done = host.sync(&leader, &[]);
    assert!(host.synced(done).unwrap().unwrap().assignment.is_empty());
    let mut left = u64::from(REBALANCE_MS);
    while left > 0 {
        host.wait(5_000);
        left -= 5_000;
        host.heartbeat(&leader.member, 1).ok();
        host.heartbeat(&other.member, 1).ok();
    }
    assert_eq!(host.heartbeat(&other.member, 1), Err(ErrorCode::UnknownMemberId));
    assert_eq!(host.heartbeat(&leader.member, 1), Err(ErrorCode::RebalanceInProgress));
}

#[test]
fn a_follower_that_joins_a_stable_group_unchanged_starts_nothing() {
    let mut host = Host::new();
    let members = host.stable(2);
    let follower = members.iter().find(|one| one.member != one.leader).unwrap().clone();
    let ticket = host.join(follower.member.as_str());
    let again = host.joined(ticket).unwrap().unwrap();
    assert_eq!((again.generation, again.members.len()), (Generation::new(1), 0));
    let changed =
        JoinGroup { protocols: vec![protocol("range", &["u"])], ..join(follower.member.as_str()) };
    let ticket = host.ask(GroupRequest::Join(changed));
    assert_eq!(host.joined(ticket), None, "another subscription is a rebalance");
}

#[test]
fn a_leader_that_joins_a_stable_group_starts_a_rebalance() {
    let mut host = Host::new();
    let members = host.stable(2);
    let ticket = host.join(members[0].leader.as_str());
    assert_eq!(host.joined(ticket), None);
    assert_eq!(host.describe().unwrap().state, GroupState::PreparingRebalance);
}

#[test]
fn a_join_whose_answer_was_lost_gets_it_again() {
    let mut host = Host::new();
    let ticket = host.join("");
    host.wait(DELAY_MS);
    let joined = host.joined(ticket).unwrap().unwrap();
    let ticket = host.join(joined.member.as_str());
    assert_eq!(host.joined(ticket), Some(Ok(joined)));
}

#[test]
fn a_client_that_asks_twice_has_the_first_request_ended() {
    let mut host = Host::new();
    let members = host.stable(2);
    let first = host.join(members[0].member.as_str());
    let second = host.join(members[0].member.as_str());
    let refused = host.joined(first).unwrap().unwrap_err();
    assert_eq!(refused.code, ErrorCode::RebalanceInProgress);
    assert_eq!(host.joined(second), None);
}

#[test]
fn the_last_member_to_leave_empties_the_group_durably() {
    let mut host = Host::new();
    let members = host.stable(2);
    for member in &members {
        let left = host.leave(member.member.as_str(), None);
        assert_eq!(left[0].code, ErrorCode::None);
    }
    let described = host.describe().unwrap();
    assert_eq!((described.state, described.members.len()), (GroupState::Empty, 0));
    assert_eq!(described.protocol_type, "consumer");
    host.restart();
    assert_eq!(host.describe().unwrap(), described);
}

#[test]
fn leaving_without_being_there_is_told() {
    let mut host = Host::new();
    assert_eq!(host.leave("x", None)[0].code, ErrorCode::UnknownMemberId);
    host.stable(1);
    assert_eq!(host.leave("x", None)[0].code, ErrorCode::UnknownMemberId);
    assert_eq!(host.leave("", None)[0].code, ErrorCode::UnknownMemberId);
    assert_eq!(host.leave("", Some("i"))[0].code, ErrorCode::UnknownMemberId);
    assert_eq!(host.heartbeat(&MemberId::new("x"), 1), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_stable_group_carries_on_after_a_crash() {
    let mut host = Host::new();
    let members = host.stable(3);
    let before = host.describe().unwrap();
    host.restart();
    assert_eq!(host.describe().unwrap(), before);
    for member in &members {
        assert_eq!(host.heartbeat(&member.member, 1), Ok(()));
    }
    host.wait(u64::from(SESSION_MS));
    assert_eq!(host.describe().unwrap().state, GroupState::Empty, "sessions run after a load");
}

#[test]
fn a_group_larger_than_it_may_be_by_now_is_rebalanced_at_its_load() {
    let mut host = Host::new();
    host.stable(3);
    host.settings.group_size_max = 2;
    host.restart();
    assert_eq!(host.describe().unwrap().state, GroupState::PreparingRebalance);
}
