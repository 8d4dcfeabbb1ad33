//! Committing, fetching, deleting and expiring offsets.

use super::*;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn by(joined: &Joined, request: CommitOffsets) -> CommitOffsets {
    let generation_or_epoch = joined.generation.to_wire();
    CommitOffsets { member: joined.member.clone(), generation_or_epoch, ..request }
}

#[test]
fn an_offset_comes_back_with_its_words_and_epoch() {
    let mut host = Host::new();
    assert_eq!(host.commit(commit("t", 42)), Ok(vec![ErrorCode::None]));
    for _ in 0..2 {
        let asked = OffsetsOfTopic { topic: "t".into(), partitions: vec![0, 1] };
        let fetched = host.fetch(Some(vec![asked])).remove(0);
        let committed = fetched.partitions[0].committed.clone().unwrap();
        assert_eq!(committed.offset, Offset::new(42));
        assert_eq!(committed.leader_epoch, Some(LeaderEpoch::new(5)));
        assert_eq!(committed.metadata, "words");
        assert_eq!(fetched.partitions[1].committed, None);
        host.restart();
    }
}

#[test]
fn a_group_that_nobody_knows_has_no_offsets_and_no_error() {
    let mut host = Host::new();
    let asked = OffsetsOfTopic { topic: "t".into(), partitions: vec![0] };
    let fetched = host.fetch(Some(vec![asked]));
    assert_eq!(fetched[0].partitions[0].committed, None);
    assert_eq!(host.fetch(None), vec![]);
}

#[test]
fn members_commit_with_their_generation_and_nobody_else_does() {
    let mut host = Host::new();
    let joined = host.stable(1).remove(0);
    assert_eq!(host.commit(by(&joined, commit("t", 1))), Ok(vec![ErrorCode::None]));
    assert_eq!(host.commit(commit("t", 2)), Err(ErrorCode::UnknownMemberId));
    let old = CommitOffsets { generation_or_epoch: 0, ..by(&joined, commit("t", 2)) };
    assert_eq!(host.commit(old), Err(ErrorCode::IllegalGeneration));
    let other = CommitOffsets { member: MemberId::new("x"), ..by(&joined, commit("t", 2)) };
    assert_eq!(host.commit(other), Err(ErrorCode::UnknownMemberId));
    assert_eq!(host.offsets(), [("t".to_owned(), 0, 1)]);
}

#[test]
fn a_commit_during_a_rebalance_depends_on_its_phase() {
    let mut host = Host::new();
    let joined = host.stable(1).remove(0);
    let joining = host.join("");
    assert!(host.commit(by(&joined, commit("t", 1))).is_ok(), "members still wait to join");
    let rejoining = host.join(joined.member.as_str());
    let again = host.joined(rejoining).unwrap().unwrap();
    assert!(host.joined(joining).unwrap().is_ok());
    let refused = host.commit(by(&again, commit("t", 2)));
    assert_eq!(refused, Err(ErrorCode::RebalanceInProgress));
}

#[test]
fn a_commit_with_a_generation_needs_its_group() {
    let mut host = Host::new();
    let request = CommitOffsets { generation_or_epoch: 3, ..commit("t", 1) };
    assert_eq!(host.commit(request.clone()), Err(ErrorCode::GroupIdNotFound));
    let older = CommitOffsets { knows_stale_epoch: false, ..request };
    assert_eq!(host.commit(older), Err(ErrorCode::IllegalGeneration));
    assert_eq!(host.coordinator.group_count(), 0);
}

#[test]
fn a_commit_says_that_a_member_lives() {
    let mut host = Host::new();
    let joined = host.stable(1).remove(0);
    for offset in 0..5 {
        host.wait(u64::from(SESSION_MS) - 1);
        assert!(host.commit(by(&joined, commit("t", offset))).is_ok());
    }
}

#[test]
fn words_that_are_too_long_refuse_their_offset_alone() {
    let mut host = Host::new();
    let mut request = commit("t", 1);
    let mut long = request.offsets[0].clone();
    long.metadata = "x".repeat(4_097);
    long.partition = PartitionId::new(1);
    request.offsets.insert(0, long);
    let codes = host.commit(request).unwrap();
    assert_eq!(codes, [ErrorCode::OffsetMetadataTooLarge, ErrorCode::None]);
    assert_eq!(host.offsets(), [("t".to_owned(), 0, 1)]);
}

#[test]
fn more_offsets_than_may_be_are_refused_and_known_ones_still_move() {
    let mut host = Host::with(GroupSettings { offsets_max: 1, ..GroupSettings::default() });
    assert!(host.commit(commit("t", 1)).is_ok());
    assert_eq!(host.commit(commit("u", 1)), Ok(vec![ErrorCode::InvalidCommitOffsetSize]));
    assert_eq!(host.commit(commit("t", 2)), Ok(vec![ErrorCode::None]));
    let mut host = Host::with(GroupSettings { groups_max: 0, ..GroupSettings::default() });
    assert_eq!(host.commit(commit("t", 1)), Err(ErrorCode::InvalidCommitOffsetSize));
}

#[test]
fn offsets_of_topics_in_use_are_not_deleted() {
    let mut host = Host::new();
    assert_eq!(host.delete_offsets("t"), Err(ErrorCode::GroupIdNotFound));
    let joined = host.stable(1).remove(0);
    host.commit(by(&joined, commit("t", 1))).unwrap();
    host.commit(by(&joined, commit("u", 2))).unwrap();
    assert_eq!(host.delete_offsets("t"), Ok(vec![vec![ErrorCode::GroupSubscribedToTopic]]));
    assert_eq!(host.delete_offsets("u"), Ok(vec![vec![ErrorCode::None]]));
    assert_eq!(host.delete_offsets("never"), Ok(vec![vec![ErrorCode::None]]));
    assert_eq!(host.offsets(), [("t".to_owned(), 0, 1)]);
    host.leave(joined.member.as_str(), None);
    assert_eq!(host.delete_offsets("t"), Ok(vec![vec![ErrorCode::None]]));
    host.restart();
    assert_eq!(host.offsets(), []);
}

#[test]
fn offsets_of_a_group_that_are_not_consumers_are_deleted_when_it_is_empty() {
    let mut host = Host::new();
    let ticket =
        host.ask(GroupRequest::Join(JoinGroup { protocol_type: "connect".to_owned(), ..join("") }));
    host.finish(&[ticket]);
    assert_eq!(host.delete_offsets("t"), Err(ErrorCode::NonEmptyGroup));
}

#[test]
fn offsets_without_members_expire_after_their_last_commit() {
    let mut host = Host::new();
    host.commit(commit("t", 1)).unwrap();
    host.wait(6 * DAY_MS);
    host.commit(commit("u", 1)).unwrap();
    host.wait(DAY_MS);
    assert_eq!(host.offsets(), [("u".to_owned(), 0, 1)]);
    host.wait(6 * DAY_MS);
    assert_eq!((host.offsets(), host.coordinator.group_count()), (vec![], 0));
    host.restart();
    assert_eq!(host.coordinator.group_count(), 0);
}

#[test]
fn nothing_expires_by_a_clock_that_is_doubted() {
    let mut host = Host::new();
    host.commit(commit("t", 1)).unwrap();
    host.moment.trust = WallTrust::Doubted;
    host.wait(9 * DAY_MS);
    assert_eq!(host.offsets(), [("t".to_owned(), 0, 1)]);
    host.moment.trust = WallTrust::Believed;
    host.wait(DAY_MS);
    assert_eq!(host.offsets(), []);
}

#[test]
fn offsets_of_an_empty_group_expire_from_when_it_became_empty() {
    let mut host = Host::new();
    let joined = host.stable(1).remove(0);
    host.commit(by(&joined, commit("t", 1))).unwrap();
    for _ in 0..9 * 24 * 60 * 12 {
        host.moment.now_ms += 5_000;
        host.moment.wall = host.moment.wall.saturating_forward(5_000);
        host.coordinator.tick(host.moment, &host.topics);
        assert_eq!(host.heartbeat(&joined.member, 1), Ok(()));
    }
    assert_eq!(host.offsets().len(), 1, "the topic is in use");
    host.leave(joined.member.as_str(), None);
    host.wait(7 * DAY_MS - 1);
    assert_eq!(host.offsets().len(), 1);
    host.wait(600_001);
    assert_eq!((host.offsets(), host.coordinator.group_count()), (vec![], 0));
}

#[test]
fn offsets_of_a_topic_that_members_no_longer_read_expire() {
    let mut host = Host::new();
    let joined = host.stable(1).remove(0);
    host.commit(by(&joined, commit("t", 1))).unwrap();
    host.commit(by(&joined, commit("old", 1))).unwrap();
    for _ in 0..8 * 24 * 60 * 12 {
        host.moment.now_ms += 5_000;
        host.moment.wall = host.moment.wall.saturating_forward(5_000);
        host.coordinator.tick(host.moment, &host.topics);
        host.collect();
        assert_eq!(host.heartbeat(&joined.member, 1), Ok(()));
    }
    assert_eq!(host.offsets(), [("t".to_owned(), 0, 1)]);
}

#[test]
fn a_retention_of_its_own_ends_an_offset_earlier() {
    let mut host = Host::new();
    let request = CommitOffsets { retention_ms: Some(1_000), ..commit("t", 1) };
    host.commit(request).unwrap();
    host.restart();
    host.wait(600_000);
    assert_eq!(host.offsets(), []);
}

#[test]
fn offsets_of_a_deleted_topic_go() {
    let mut host = Host::new();
    host.commit(commit("t", 1)).unwrap();
    host.commit(commit("u", 1)).unwrap();
    host.delete_topic("t");
    assert_eq!(host.offsets(), [("u".to_owned(), 0, 1)]);
    host.restart();
    assert_eq!(host.offsets(), [("u".to_owned(), 0, 1)]);
}

#[test]
fn a_record_of_bytes_that_are_none_is_told_and_changes_nothing() {
    let mut host = Host::new();
    host.commit(commit("t", 1)).unwrap();
    let key = RecordKey::Group(GroupId::new(GROUP)).encode();
    assert!(host.coordinator.replay(&key, Some(b"\0\x03")).is_err());
    assert!(host.coordinator.replay(b"", None).is_err());
    assert!(host.coordinator.replay(b"\0\x11other", Some(b"x")).is_ok());
    assert_eq!(host.offsets().len(), 1);
    let stored = host.log[0].value.clone().unwrap();
    assert_eq!(OffsetValue::decode(&stored).unwrap().offset, Offset::new(1));
}

/// A commit of so many partitions, each with so many words.
fn wide(topic: &str, partitions: u32, words: usize) -> CommitOffsets {
    let mut request = commit(topic, 1);
    let first = request.offsets[0].clone();
    let one = |partition| OffsetToCommit {
        partition: PartitionId::new(partition),
        metadata: "x".repeat(words),
        ..first.clone()
    };
    request.offsets = (0..partitions).map(one).collect();
    request
}

#[test]
fn of_several_entries_of_a_partition_the_last_that_can_be_is_written() {
    let mut host = Host::new();
    let mut request = commit("t", 1);
    let first = request.offsets[0].clone();
    let entry = |offset, words| OffsetToCommit {
        offset: Offset::new(offset),
        metadata: "x".repeat(words),
        ..first.clone()
    };
    let other = commit("u", 9).offsets.remove(0);
    request.offsets = vec![entry(1, 0), entry(2, 5_000), other, entry(3, 7), entry(4, 5_000)];
    let long = ErrorCode::OffsetMetadataTooLarge;
    let fine = ErrorCode::None;
    assert_eq!(host.commit(request), Ok(vec![fine, long, fine, fine, long]));
    assert_eq!(host.log.len(), 2);
    assert_eq!(host.offsets(), [("t".to_owned(), 0, 3), ("u".to_owned(), 0, 9)]);
    host.restart();
    assert_eq!(host.offsets(), [("t".to_owned(), 0, 3), ("u".to_owned(), 0, 9)]);
}

#[test]
fn every_entry_of_a_partition_without_room_is_refused() {
    let mut host = Host::with(GroupSettings { offsets_max: 0, ..GroupSettings::default() });
    let mut request = commit("t", 1);
    request.offsets.push(request.offsets[0].clone());
    assert_eq!(host.commit(request), Ok(vec![ErrorCode::InvalidCommitOffsetSize; 2]));
}

#[test]
fn a_commit_of_more_bytes_than_may_be_is_refused_whole() {
    let mut host = Host::new();
    let commits = wide("t", 1_000, 4_096);
    assert_eq!(host.commit(commits.clone()), Ok(vec![ErrorCode::None; 1_000]));
    let mut more = wide("t", 1_024, 4_096);
    let refused = Err(ErrorCode::InvalidCommitOffsetSize);
    assert_eq!(host.commit(more.clone()), refused);
    assert_eq!(host.log.len(), 1_000);
    more.group = GroupId::from("never".to_owned());
    assert_eq!(host.commit(more), refused);
    assert_eq!(host.coordinator.group_count(), 1);
    // As often as one likes: what is not written does not count.
    let mut again = commits;
    for _ in 0..2 {
        again.offsets.extend(again.offsets.clone());
    }
    assert_eq!(host.commit(again), Ok(vec![ErrorCode::None; 4_000]));
    assert_eq!(host.log.len(), 2_000);
}

#[test]
fn offsets_whose_tombstones_are_more_than_may_be_are_not_deleted_at_once() {
    let mut host = Host::with(GroupSettings { commit_bytes_max: 700, ..GroupSettings::default() });
    host.commit(wide("t", 9, 0)).unwrap();
    host.commit(wide("u", 9, 0)).unwrap();
    let asked = |topic: &str, partitions| OffsetsOfTopic { topic: topic.into(), partitions };
    let mut delete = |topics| {
        let group = GroupId::new(GROUP);
        let ticket = host.ask(GroupRequest::DeleteOffsets(DeleteOffsets { group, topics }));
        match host.answer(ticket) {
            Some(GroupAnswer::DeleteOffsets(answer)) => answer.map(|_| ()),
            other => panic!("{other:?}"),
        }
    };
    let all = || (0..9).collect::<Vec<_>>();
    let both = vec![asked("t", all()), asked("u", all())];
    assert_eq!(delete(both), Err(ErrorCode::InvalidRequest));
    // What has no offset has no tombstone.
    assert_eq!(delete(vec![asked("t", (0..9_000).collect())]), Ok(()));
    assert_eq!(host.offsets().len(), 9);
}

#[test]
fn what_goes_by_the_thousand_goes_in_steps() {
    let filled = || {
        let mut host = Host::new();
        host.commit(wide("t", 9_000, 0)).unwrap();
        host.commit(commit("u", 1)).unwrap();
        host
    };
    let mut host = filled();
    let mut steps = 0;
    let mut most = 0;
    let id = id_of("t", 0);
    while host.coordinator.topic_deleted("t", id) == Progress::More {
        let before = host.log.len();
        host.collect();
        most = most.max(host.log.len() - before);
        steps += 1;
    }
    host.collect();
    assert_eq!((steps, most), (2, 4_096));
    assert_eq!(host.offsets(), [("u".to_owned(), 0, 1)]);
    host.restart();
    assert_eq!(host.offsets(), [("u".to_owned(), 0, 1)]);

    let mut host = filled();
    let delete = GroupRequest::Delete(GroupId::new(GROUP));
    assert_eq!(host.coordinator.begin(host.moment, &delete), Progress::More);
    host.collect();
    assert_eq!(host.log.len(), 9_001 + 4_096);
    assert_eq!(host.delete(), Ok(()));
    assert_eq!((host.log.len(), host.coordinator.offset_count()), (2 * 9_001, 0));
    host.restart();
    assert_eq!(host.coordinator.group_count(), 0);

    let mut host = filled();
    host.wait(7 * DAY_MS);
    assert_eq!(host.log.len(), 9_001 + 4_096);
    for _ in 0..3 {
        host.wait(20);
    }
    assert_eq!((host.coordinator.offset_count(), host.coordinator.group_count()), (0, 0));
}

#[test]
fn old_offsets_of_many_groups_all_go() {
    let mut host = Host::new();
    for number in 0..2_500 {
        let group = GroupId::from(format!("g{number}"));
        host.commit(CommitOffsets { group, ..wide("t", 3, 0) }).unwrap();
    }
    host.wait(7 * DAY_MS);
    for _ in 0..5 {
        host.wait(20);
    }
    assert_eq!((host.coordinator.offset_count(), host.coordinator.group_count()), (0, 0));
}

#[test]
fn nothing_more_is_begun_while_many_records_wait() {
    let mut host = Host::new();
    host.topics.make("t", 1);
    let mut count = 0;
    while !host.coordinator.is_full() {
        let group = GroupId::from(format!("g{count}"));
        let request = GroupRequest::CommitOffsets(CommitOffsets { group, ..wide("t", 200, 4_096) });
        host.coordinator.handle(host.moment, &host.topics, Ticket(count), request);
        count += 1;
    }
    assert_eq!(count, 5);
    host.collect();
    assert!(!host.coordinator.is_full());
    // Timers, too, wait until there is room.
    host.coordinator.set_settings(GroupSettings { commit_bytes_max: 1 << 30, ..host.settings });
    let request = GroupRequest::CommitOffsets(wide("t", 2_000, 4_096));
    host.coordinator.handle(host.moment, &host.topics, Ticket(count), request);
    host.moment.now_ms += DAY_MS;
    host.coordinator.tick(host.moment, &host.topics);
    assert!(host.coordinator.next_due_ms() < Some(host.moment.now_ms), "nothing was begun");
    host.collect();
    host.coordinator.tick(host.moment, &host.topics);
    assert!(host.coordinator.next_due_ms() > Some(host.moment.now_ms));
}

#[test]
fn offsets_of_a_topic_that_is_gone_are_not_those_of_the_next_one_of_its_name() {
    let mut host = Host::new();
    for topic in ["t", "u", "v"] {
        host.commit(commit(topic, 7)).unwrap();
    }
    let without_id = CommitOffsets { retention_ms: Some(DAY_MS), ..commit("v", 8) };
    host.commit(without_id).unwrap();
    // A crash came before the tombstones; one topic is there again, and another is gone for good.
    host.topics.topics.remove("t");
    host.topics.topics.remove("u");
    host.topics.generation = 1;
    host.topics.make("t", 1);
    host.restart();
    assert_eq!(host.forget_lost(), 1);
    assert_eq!(host.offsets(), [("v".to_owned(), 0, 8)]);
    // One that does not say which topic it is of is of the one that there is.
    host.restart();
    assert_eq!(host.offsets(), [("v".to_owned(), 0, 8)]);
    host.topics.topics.remove("v");
    host.forget_lost();
    assert_eq!((host.offsets(), host.coordinator.group_count()), (vec![], 0));
}

#[test]
fn a_commit_for_a_topic_that_is_gone_is_refused() {
    let mut host = Host::new();
    host.topics.makes_what_is_committed = false;
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(host.commit(commit("t", 1)), Ok(vec![unknown]));
    host.topics.generation = 1;
    host.topics.make("t", 1);
    assert_eq!(host.commit(commit("t", 1)), Ok(vec![unknown]), "of its name is another one");
    let mut of_this = commit("t", 1);
    of_this.offsets[0].topic_id = id_of("t", 1);
    assert_eq!(host.commit(of_this), Ok(vec![ErrorCode::None]));
    // The end of the former one comes late.
    assert_eq!(host.coordinator.topic_deleted("t", id_of("t", 0)), Progress::Done);
    assert_eq!(host.offsets().len(), 1);
    assert_eq!((host.log.len(), host.coordinator.group_count()), (1, 1));
}

#[test]
fn lost_offsets_by_the_thousand_go_in_steps() {
    let mut host = Host::new();
    for number in 0..2_500 {
        let group = GroupId::from(format!("g{number}"));
        host.commit(CommitOffsets { group, ..commit("u", 1) }).unwrap();
    }
    host.commit(wide("t", 9_000, 0)).unwrap();
    host.topics.topics.remove("t");
    host.restart();
    assert!(host.forget_lost() >= 5);
    assert_eq!(host.coordinator.offset_count(), 2_500);
    host.restart();
    assert_eq!(host.coordinator.offset_count(), 2_500);
}
