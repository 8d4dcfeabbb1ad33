//! Static members: those with a `group.instance.id`.

use super::*;
use crate::group::answer::GroupState;

fn join_static(host: &mut Host, instance: &str, member: &str) -> Ticket {
    let instance = Some(InstanceId::new(instance));
    host.ask(GroupRequest::Join(JoinGroup {
        instance,
        knows_member_id_required: true,
        ..join(member)
    }))
}

fn two(host: &mut Host) -> Vec<Joined> {
    let tickets = [join_static(host, "a", ""), join_static(host, "b", "")];
    host.finish(&tickets)
}

#[test]
fn a_static_member_needs_no_id_first_and_returns_without_a_rebalance() {
    let mut host = Host::new();
    let members = two(&mut host);
    let follower = members.iter().find(|one| one.member != one.leader).unwrap();
    let instance = follower.member.as_str().split('-').next().unwrap().to_owned();
    let records = host.log.len();
    let ticket = join_static(&mut host, &instance, "");
    let again = host.joined(ticket).unwrap().unwrap();
    assert_eq!(again.generation, Generation::new(1));
    assert_ne!(again.member, follower.member);
    assert_eq!(host.log.len(), records + 1, "the new id is durable before it is told");
    assert_eq!(host.describe().unwrap().state, GroupState::Stable);
    let ticket = host.sync(&again, &[]);
    let share = host.synced(ticket).unwrap().unwrap().assignment;
    assert_eq!(share, follower.member.as_str().as_bytes(), "it has the share of its former self");
}

#[test]
fn a_leader_that_returns_is_told_to_skip_the_assignment() {
    let mut host = Host::new();
    let members = two(&mut host);
    let leader = members.iter().find(|one| one.member == one.leader).unwrap();
    let instance = leader.member.as_str().split('-').next().unwrap().to_owned();
    let ticket = join_static(&mut host, &instance, "");
    let again = host.joined(ticket).unwrap().unwrap();
    assert!(again.skip_assignment);
    assert_eq!((again.leader.clone(), again.members.len()), (again.member, 2));
    let request = JoinGroup {
        instance: Some(InstanceId::new(&instance)),
        knows_skip_assignment: false,
        ..join("")
    };
    let ticket = host.ask(GroupRequest::Join(request));
    let older = host.joined(ticket).unwrap().unwrap();
    assert!(!older.skip_assignment && older.leader != older.member && older.members.is_empty());
}

#[test]
fn the_former_self_is_fenced() {
    let mut host = Host::new();
    let members = two(&mut host);
    let former = &members[0];
    let ticket = join_static(&mut host, "a", "");
    host.joined(ticket).unwrap().unwrap();
    let beat = Heartbeat {
        group: GroupId::new(GROUP),
        member: former.member.clone(),
        instance: Some(InstanceId::new("a")),
        generation: Some(former.generation),
    };
    let ticket = host.ask(GroupRequest::Heartbeat(beat));
    let fenced = ErrorCode::FencedInstanceId;
    assert_eq!(host.answer(ticket), Some(GroupAnswer::Heartbeat(Err(fenced))));
    let ticket = join_static(&mut host, "a", former.member.as_str());
    assert_eq!(host.joined(ticket).unwrap().unwrap_err().code, fenced);
    assert_eq!(host.leave(former.member.as_str(), Some("a"))[0].code, fenced);
    let request = CommitOffsets {
        member: former.member.clone(),
        instance: Some(InstanceId::new("a")),
        generation_or_epoch: 1,
        ..commit("t", 1)
    };
    assert_eq!(host.commit(request), Err(fenced));
}

#[test]
fn a_parked_join_of_the_former_self_is_fenced() {
    let mut host = Host::new();
    let former = join_static(&mut host, "a", "");
    let ticket = join_static(&mut host, "a", "");
    assert_eq!(host.joined(former).unwrap().unwrap_err().code, ErrorCode::FencedInstanceId);
    host.wait(DELAY_MS);
    assert!(host.joined(ticket).unwrap().is_ok());
}

#[test]
fn a_parked_sync_of_the_former_self_is_fenced_and_the_generation_begins_anew() {
    let mut host = Host::new();
    let tickets = [join_static(&mut host, "a", ""), join_static(&mut host, "b", "")];
    host.wait(DELAY_MS);
    host.wait(DELAY_MS);
    let joined: Vec<Joined> =
        tickets.iter().map(|ticket| host.joined(*ticket).unwrap().unwrap()).collect();
    let follower = joined.iter().position(|one| one.member != one.leader).unwrap();
    let waiting = host.sync(&joined[follower], &[]);
    let ticket = join_static(&mut host, ["a", "b"][follower], "");
    assert_eq!(host.synced(waiting), Some(Err(ErrorCode::FencedInstanceId)));
    assert_eq!(host.joined(ticket), None);
    assert_eq!(host.describe().unwrap().state, GroupState::PreparingRebalance);
}

#[test]
fn a_static_member_with_another_subscription_protocol_starts_a_rebalance() {
    let mut host = Host::new();
    let protocols = || vec![protocol("range", &["t"]), protocol("sticky", &["t"])];
    let request = |instance: &str, protocols| JoinGroup {
        instance: Some(InstanceId::new(instance)),
        protocols,
        ..join("")
    };
    let tickets = ["a", "b"].map(|one| host.ask(GroupRequest::Join(request(one, protocols()))));
    let joined = host.finish(&tickets);
    assert_eq!(joined[0].protocol.as_deref(), Some("range"));
    let ticket = host.ask(GroupRequest::Join(request("a", vec![protocol("sticky", &["t"])])));
    assert_eq!(host.joined(ticket), None);
    assert_eq!(host.describe().unwrap().state, GroupState::PreparingRebalance);
}

#[test]
fn a_static_member_that_does_not_join_again_stays() {
    let mut host = Host::new();
    let members = two(&mut host);
    let joining = host.join("");
    let rejoining = join_static(&mut host, "a", members[0].member.as_str());
    let mut left = u64::from(REBALANCE_MS);
    while left > 0 {
        host.wait(5_000);
        left -= 5_000;
        let beat = Heartbeat {
            group: GroupId::new(GROUP),
            member: members[1].member.clone(),
            instance: Some(InstanceId::new("b")),
            generation: Some(Generation::new(1)),
        };
        host.ask(GroupRequest::Heartbeat(beat));
    }
    assert!(host.joined(joining).unwrap().is_ok());
    assert!(host.joined(rejoining).unwrap().is_ok());
    assert_eq!(host.describe().unwrap().members.len(), 3);
}

#[test]
fn a_tool_takes_a_static_member_out_by_its_instance() {
    let mut host = Host::new();
    two(&mut host);
    assert_eq!(host.leave("", Some("a"))[0].code, ErrorCode::None);
    assert_eq!(host.describe().unwrap().members.len(), 1);
    assert_eq!(host.describe().unwrap().state, GroupState::PreparingRebalance);
}

#[test]
fn static_members_return_after_a_crash_without_a_rebalance() {
    let mut host = Host::new();
    let members = two(&mut host);
    host.restart();
    for (member, instance) in members.iter().zip(["a", "b"]) {
        let ticket = join_static(&mut host, instance, "");
        let again = host.joined(ticket).unwrap().unwrap();
        assert_eq!(again.generation, member.generation);
    }
    assert_eq!(host.describe().unwrap().state, GroupState::Stable);
}
