//! Describing, listing and deleting groups.

use super::*;
use crate::group::answer::GroupState;
use crate::group::request::ListFilter;

fn listed(host: &Host, states: &[&str], types: &[&str]) -> Vec<String> {
    let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let filter = ListFilter { states: texts(states), types: texts(types) };
    host.coordinator.list(&filter).iter().map(|group| group.group.to_string()).collect()
}

#[test]
fn an_unknown_group_is_not_found() {
    let mut host = Host::new();
    assert_eq!(host.describe(), Err(ErrorCode::GroupIdNotFound));
    assert_eq!(host.delete(), Err(ErrorCode::GroupIdNotFound));
}

#[test]
fn a_group_of_offsets_alone_is_empty_and_has_no_type() {
    let mut host = Host::new();
    host.commit(commit("t", 1)).unwrap();
    let described = host.describe().unwrap();
    assert_eq!((described.state, described.protocol_type.as_str()), (GroupState::Empty, ""));
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut host = Host::new();
    host.stable(1);
    host.commit(CommitOffsets { group: GroupId::new("offsets"), ..commit("t", 1) }).unwrap();
    assert_eq!(listed(&host, &[], &[]), [GROUP, "offsets"]);
    assert_eq!(listed(&host, &["stable"], &[]), [GROUP]);
    assert_eq!(listed(&host, &["Empty", "Dead"], &["Classic"]), ["offsets"]);
    assert_eq!(listed(&host, &[], &["consumer"]), Vec::<String>::new());
    assert_eq!(listed(&host, &["nonsense"], &[]), Vec::<String>::new());
}

#[test]
fn only_a_group_without_members_is_deleted_and_then_all_of_it() {
    let mut host = Host::new();
    let joined = host.stable(1).remove(0);
    let request =
        CommitOffsets { member: joined.member.clone(), generation_or_epoch: 1, ..commit("t", 1) };
    host.commit(request).unwrap();
    assert_eq!(host.delete(), Err(ErrorCode::NonEmptyGroup));
    host.leave(joined.member.as_str(), None);
    assert_eq!(host.delete(), Ok(()));
    assert_eq!(host.coordinator.offset_count(), 0);
    assert_eq!(host.describe(), Err(ErrorCode::GroupIdNotFound));
    host.restart();
    assert_eq!(host.describe(), Err(ErrorCode::GroupIdNotFound));
    assert_eq!(host.offsets(), []);
}

#[test]
fn a_deleted_group_may_come_again() {
    let mut host = Host::new();
    host.commit(commit("t", 1)).unwrap();
    host.delete().unwrap();
    let joined = host.stable(1);
    assert_eq!(joined[0].generation, Generation::new(1));
    host.restart();
    assert_eq!(host.describe().unwrap().state, GroupState::Stable);
}
