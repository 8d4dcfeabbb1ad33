//! Groups over the Kafka wire, in every version that is served.

use kolk_kafka::message::{
    consumer_group_describe, consumer_group_heartbeat, delete_groups, describe_groups,
    find_coordinator, heartbeat, join_group, leave_group, list_groups, offset_commit,
    offset_delete, offset_fetch, sync_group,
};
use kolk_model::error::ErrorCode;

use super::*;

/// The broker that the node door shows: 1,024 times the node's number.
const NODE: i32 = 7 * 1_024;

/// A broker whose groups do not wait for more members.
fn quick() -> Broker {
    let mut shard = ShardSettings::default();
    shard.log.journal_file_bytes = 1 << 20;
    shard.group.initial_rebalance_delay_ms = 0;
    Broker::start_shards(2, &ServeSettings::default(), shard)
}

const fn number(code: ErrorCode) -> i16 {
    code.to_wire()
}

/// Asks until the coordinator has loaded.
fn coordinator(client: &mut KafkaClient, group: &str) -> i32 {
    loop {
        let key = find_coordinator::Request { key: group.to_owned(), ..Default::default() };
        let found: find_coordinator::Response = client.call(1, &key);
        assert_eq!(found.error_code, 0, "{found:?}");
        let request = list_groups::Request::default();
        let listed: list_groups::Response = client.call(0, &request);
        if listed.error_code == 0 {
            return found.node_id;
        }
        assert_eq!(listed.error_code, number(ErrorCode::CoordinatorLoadInProgress));
    }
}

fn join(group: &str, member: &str) -> join_group::Request {
    let protocol = join_group::RequestProtocol {
        name: "range".to_owned(),
        metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"),
    };
    join_group::Request {
        group_id: group.to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: member.to_owned(),
        protocol_type: "consumer".to_owned(),
        protocols: vec![protocol],
        ..Default::default()
    }
}

/// Becomes the only member of a group: its id and generation.
fn member(client: &mut KafkaClient, version: i16, group: &str) -> (String, i32) {
    let mut joined: join_group::Response = client.call(version, &join(group, ""));
    if version >= 4 {
        assert_eq!(joined.error_code, number(ErrorCode::MemberIdRequired), "v{version}");
        joined = client.call(version, &join(group, &joined.member_id));
    }
    assert_eq!((joined.error_code, joined.members.len()), (0, 1), "v{version}: {joined:?}");
    assert_eq!((joined.leader == joined.member_id, joined.skip_assignment), (true, false));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    (joined.member_id, joined.generation_id)
}

#[test]
fn a_member_joins_syncs_beats_and_leaves_in_every_version() {
    let broker = quick();
    let mut client = KafkaClient::connect(broker.kafka);
    for version in 0..=9 {
        let group = format!("g{version}");
        coordinator(&mut client, &group);
        let (id, generation) = member(&mut client, version, &group);
        let share = sync_group::RequestAssignment {
            member_id: id.clone(),
            assignment: Bytes::from_static(b"share"),
        };
        let sync = sync_group::Request {
            group_id: group.clone(),
            generation_id: generation,
            member_id: id.clone(),
            protocol_type: Some("consumer".to_owned()),
            protocol_name: Some("range".to_owned()),
            assignments: vec![share],
            ..Default::default()
        };
        let synced: sync_group::Response = client.call(version.min(5), &sync);
        assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"share"[..]), "v{version}");
        let beat = heartbeat::Request {
            group_id: group.clone(),
            generation_id: generation,
            member_id: id.clone(),
            ..Default::default()
        };
        let alive: heartbeat::Response = client.call(version.min(4), &beat);
        assert_eq!(alive.error_code, 0);
        let other = heartbeat::Request { member_id: "x".to_owned(), ..beat };
        let unknown: heartbeat::Response = client.call(version.min(4), &other);
        assert_eq!(unknown.error_code, number(ErrorCode::UnknownMemberId));
        let one = leave_group::RequestMember { member_id: id.clone(), ..Default::default() };
        let leave = leave_group::Request { group_id: group, member_id: id, members: vec![one] };
        for code in [ErrorCode::None, ErrorCode::UnknownMemberId] {
            let left: leave_group::Response = client.call(version.min(5), &leave);
            let told = left.members.first().map_or(left.error_code, |one| one.error_code);
            assert_eq!(told, number(code), "v{version}");
        }
    }
}

fn commit(group: &str, topic_id: [u8; 16], offset: i64) -> offset_commit::Request {
    let partition = |partition_index, metadata: Option<String>| offset_commit::RequestPartition {
        partition_index,
        committed_offset: offset,
        committed_leader_epoch: 3,
        committed_metadata: metadata,
    };
    let long = "x".repeat(5_000);
    let topic = |name: &str, topic_id, partitions| offset_commit::RequestTopic {
        name: name.to_owned(),
        topic_id,
        partitions,
    };
    offset_commit::Request {
        group_id: group.to_owned(),
        topics: vec![
            topic("t", topic_id, vec![partition(0, Some("words".to_owned())), partition(9, None)]),
            topic("missing", [9; 16], vec![partition(0, None)]),
            topic("t", topic_id, vec![partition(0, Some(long))]),
        ],
        ..Default::default()
    }
}

#[test]
fn offsets_come_back_in_every_version_and_each_partition_has_its_own_answer() {
    let broker = quick();
    let mut client = KafkaClient::connect(broker.kafka);
    let topic_id = client.topic("t");
    coordinator(&mut client, "g");
    for version in 2..=10 {
        let offset = 100 + i64::from(version);
        let told: offset_commit::Response = client.call(version, &commit("g", topic_id, offset));
        let codes: Vec<i16> =
            told.topics.iter().flat_map(|t| &t.partitions).map(|p| p.error_code).collect();
        let unknown = number(ErrorCode::UnknownTopicOrPartition);
        let missing = if version >= 10 { number(ErrorCode::UnknownTopicId) } else { unknown };
        let long = number(ErrorCode::OffsetMetadataTooLarge);
        assert_eq!(codes, [0, unknown, missing, long], "v{version}");
        check_fetch(&mut client, version, topic_id, offset);
    }
    check_fetch(&mut client, 1, topic_id, 110);
}

fn check_fetch(client: &mut KafkaClient, version: i16, topic_id: [u8; 16], offset: i64) {
    let epoch = if version >= 5 { 3 } else { -1 };
    // Commits before version 6 have no leader epoch.
    let epoch = if (2..6).contains(&version) { -1 } else { epoch };
    if version < 8 {
        let topic =
            offset_fetch::RequestTopic { name: "t".to_owned(), partition_indexes: vec![0, 1] };
        let request = offset_fetch::Request {
            group_id: "g".to_owned(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        let told: offset_fetch::Response = client.call(version, &request);
        let partitions = &told.topics[0].partitions;
        assert_eq!((told.error_code, partitions[0].committed_offset), (0, offset), "v{version}");
        assert_eq!(partitions[0].committed_leader_epoch, epoch, "v{version}");
        assert_eq!(partitions[0].metadata.as_deref(), Some("words"));
        assert_eq!((partitions[1].committed_offset, partitions[1].error_code), (-1, 0));
        return;
    }
    let topic = offset_fetch::RequestGroupTopic {
        name: "t".to_owned(),
        topic_id,
        partition_indexes: vec![0, 1],
    };
    let group = |id: &str, topics| offset_fetch::RequestGroup {
        group_id: id.to_owned(),
        topics,
        ..Default::default()
    };
    for topics in [Some(vec![topic]), None] {
        let groups = vec![group("g", topics), group("nobody", None)];
        let request = offset_fetch::Request { groups, ..Default::default() };
        let told: offset_fetch::Response = client.call(version, &request);
        let topic = &told.groups[0].topics[0];
        assert_eq!((told.groups[0].error_code, topic.partitions[0].committed_offset), (0, offset));
        assert_eq!(
            (version >= 10, version >= 10),
            (topic.name.is_empty(), topic.topic_id == topic_id)
        );
        assert_eq!((told.groups[1].error_code, told.groups[1].topics.len()), (0, 0));
    }
}

#[test]
fn coordinators_are_told_by_door_and_transactions_are_refused_for_good() {
    let broker = quick();
    let mut node = KafkaClient::connect(broker.kafka);
    assert_eq!(coordinator(&mut node, "g"), NODE);
    let mut shard = KafkaClient::connect(broker.kafka_shards[0]);
    let owner = coordinator(&mut shard, "g");
    assert!((NODE + 1..=NODE + 2).contains(&owner), "{owner}");
    for version in 0..=6 {
        let keys = vec!["g".to_owned(), "h".to_owned()];
        let request = find_coordinator::Request {
            key: "g".to_owned(),
            coordinator_keys: keys,
            ..Default::default()
        };
        let told: find_coordinator::Response = shard.call(version, &request);
        match told.coordinators.first() {
            Some(first) => assert_eq!((first.node_id, told.coordinators.len()), (owner, 2)),
            None => assert_eq!(told.node_id, owner, "v{version}"),
        }
    }
    for version in 1..=6 {
        let request = find_coordinator::Request {
            key: "txn".to_owned(),
            key_type: 1,
            coordinator_keys: vec!["txn".to_owned()],
        };
        let told: find_coordinator::Response = node.call(version, &request);
        let (code, text) = match told.coordinators.into_iter().next() {
            Some(first) => (first.error_code, first.error_message),
            None => (told.error_code, told.error_message),
        };
        // One of the two on which librdkafka gives up; the other clients do on each that can't be repeated.
        assert_eq!(code, 31, "v{version}");
        assert!(text.unwrap().contains("transactions are not offered"), "v{version}");
    }
}

#[test]
fn tools_see_groups_and_delete_them() {
    let broker = quick();
    let mut client = KafkaClient::connect(broker.kafka);
    let topic_id = client.topic("t");
    coordinator(&mut client, "g");
    let (_, generation) = member(&mut client, 5, "g");
    assert_eq!(generation, 1);
    let _: offset_commit::Response = client.call(9, &commit("other", topic_id, 7));
    for version in 0..=5 {
        let listed: list_groups::Response = client.call(version, &list_groups::Request::default());
        assert_eq!(listed.groups.len(), 2, "v{version}");
    }
    let filter = list_groups::Request {
        states_filter: vec!["empty".to_owned()],
        types_filter: vec!["Classic".to_owned()],
    };
    let listed: list_groups::Response = client.call(5, &filter);
    assert_eq!(listed.groups.iter().map(|g| g.group_id.as_str()).collect::<Vec<_>>(), ["other"]);
    for version in 0..=6 {
        let groups = vec!["g".to_owned(), "nobody".to_owned()];
        let request = describe_groups::Request { groups, include_authorized_operations: true };
        let told: describe_groups::Response = client.call(version, &request);
        assert_eq!(told.groups[0].group_state, "CompletingRebalance");
        assert_eq!(told.groups[0].members[0].client_host, "/127.0.0.1");
        let found = if version >= 6 { number(ErrorCode::GroupIdNotFound) } else { 0 };
        assert_eq!(
            (told.groups[1].error_code, told.groups[1].group_state.as_str()),
            (found, "Dead")
        );
    }
    let request = offset_delete::Request {
        group_id: "other".to_owned(),
        topics: vec![offset_delete::RequestTopic {
            name: "t".to_owned(),
            partitions: vec![offset_delete::RequestPartition { partition_index: 0 }],
        }],
    };
    let told: offset_delete::Response = client.call(0, &request);
    assert_eq!((told.error_code, told.topics[0].partitions[0].error_code), (0, 0));
    let _: offset_commit::Response = client.call(9, &commit("other", topic_id, 7));
    for version in 0..=2 {
        let names = ["g", "other", "nobody"].map(str::to_owned).to_vec();
        let request = delete_groups::Request { groups_names: names };
        let told: delete_groups::Response = client.call(version, &request);
        let codes: Vec<i16> = told.results.iter().map(|one| one.error_code).collect();
        let (used, gone) = (ErrorCode::NonEmptyGroup, ErrorCode::GroupIdNotFound);
        let other = if version == 0 { ErrorCode::None } else { gone };
        assert_eq!(codes, [used, other, gone].map(number), "v{version}");
    }
}

#[test]
fn each_broker_lists_the_groups_that_it_coordinates() {
    let broker = quick();
    let mut any = KafkaClient::connect(broker.kafka);
    let topic_id = any.topic("t");
    let names: Vec<_> = (10..22).map(|number| format!("group-{number}")).collect();
    for name in &names {
        coordinator(&mut any, name);
        let _: offset_commit::Response = any.call(9, &commit(name, topic_id, 7));
    }
    let listed = |client: &mut KafkaClient| -> Vec<String> {
        let listed: list_groups::Response = client.call(5, &list_groups::Request::default());
        listed.groups.into_iter().map(|group| group.group_id).collect()
    };
    let mut all = Vec::new();
    for (id, door) in (NODE + 1..).zip(&broker.kafka_shards) {
        let mut client = KafkaClient::connect(*door);
        let own = listed(&mut client);
        assert!(!own.is_empty(), "12 groups and none of broker {id}");
        for name in &own {
            assert_eq!(coordinator(&mut client, name), id, "{name}");
        }
        all.extend(own);
    }
    all.sort_unstable();
    assert_eq!(all, names, "a sum over the brokers has each group once");
    let mut node = listed(&mut any);
    node.sort_unstable();
    assert_eq!(node, names);
}

#[test]
fn consumers_are_assigned_by_the_broker_in_both_versions() {
    let broker = quick();
    let mut client = KafkaClient::connect(broker.kafka);
    let topic_id = client.topic("t");
    coordinator(&mut client, "c0");
    for version in 0..=1 {
        let group = format!("c{version}");
        let join = consumer_group_heartbeat::Request {
            group_id: group.clone(),
            member_id: if version == 0 { String::new() } else { "me".to_owned() },
            rebalance_timeout_ms: 10_000,
            subscribed_topic_names: Some(vec!["t".to_owned()]),
            topic_partitions: Some(Vec::new()),
            ..Default::default()
        };
        let told: consumer_group_heartbeat::Response = client.call(version, &join);
        assert_eq!((told.error_code, told.member_epoch), (0, 1), "{told:?}");
        let assigned = &told.assignment.unwrap().topic_partitions[0];
        assert_eq!((assigned.topic_id, assigned.partitions.len()), (topic_id, 1));
        let request = consumer_group_describe::Request {
            group_ids: vec![group.clone(), "nobody".to_owned()],
            include_authorized_operations: false,
        };
        let described: consumer_group_describe::Response = client.call(version, &request);
        let first = &described.groups[0];
        assert_eq!((first.group_state.as_str(), first.members.len()), ("Stable", 1));
        assert_eq!(first.members[0].assignment.topic_partitions[0].topic_name, "t");
        assert_eq!(described.groups[1].error_code, number(ErrorCode::GroupIdNotFound));
        let stray = consumer_group_heartbeat::Request { member_epoch: 9, ..join };
        let stray =
            consumer_group_heartbeat::Request { member_id: told.member_id.unwrap(), ..stray };
        let told: consumer_group_heartbeat::Response = client.call(version, &stray);
        assert_eq!(told.error_code, number(ErrorCode::FencedMemberEpoch));
        assert!(told.error_message.is_some());
    }
    let nameless =
        consumer_group_heartbeat::Request { group_id: "g".to_owned(), ..Default::default() };
    let told: consumer_group_heartbeat::Response = client.call(1, &nameless);
    assert_eq!(told.error_code, number(ErrorCode::InvalidRequest));
}

#[test]
fn a_group_with_members_goes_to_the_other_protocol_and_back() {
    let broker = quick();
    let mut client = KafkaClient::connect(broker.kafka);
    let topic_id = client.topic("t");
    coordinator(&mut client, "g");
    let (member_id, generation_id) = member(&mut client, 9, "g");
    let sync = |generation_id: i32, share: &'static [u8]| sync_group::Request {
        group_id: "g".to_owned(),
        generation_id,
        member_id: member_id.clone(),
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        assignments: vec![sync_group::RequestAssignment {
            member_id: member_id.clone(),
            assignment: Bytes::from_static(share),
        }],
        ..Default::default()
    };
    let all = b"\0\0\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\xff\xff\xff\xff";
    let synced: sync_group::Response = client.call(5, &sync(generation_id, all));
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &all[..]));
    let mut consumer = consumer_group_heartbeat::Request {
        group_id: "g".to_owned(),
        member_id: "me".to_owned(),
        rebalance_timeout_ms: 10_000,
        subscribed_topic_names: Some(vec!["t".to_owned()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    let told: consumer_group_heartbeat::Response = client.call(1, &consumer);
    assert_eq!((told.error_code, told.member_epoch), (0, generation_id + 1), "{told:?}");
    for (version, types) in [(0, [-1, -1]), (1, [0, 1])] {
        let group_ids = vec!["g".to_owned()];
        let request = consumer_group_describe::Request { group_ids, ..Default::default() };
        let described: consumer_group_describe::Response = client.call(version, &request);
        let mut members = described.groups[0].members.clone();
        members.sort_by_key(|one| one.member_id != member_id);
        let told = [0, 1].map(|place: usize| members[place].member_type);
        assert_eq!(told, types, "v{version}");
        assert_eq!(members[0].assignment.topic_partitions[0].topic_id, topic_id);
    }
    let describe = |client: &mut KafkaClient| {
        let groups = vec!["g".to_owned()];
        let request = describe_groups::Request { groups, include_authorized_operations: false };
        let told: describe_groups::Response = client.call(6, &request);
        (told.groups[0].error_code, told.groups[0].group_state.clone())
    };
    let not_found = (number(ErrorCode::GroupIdNotFound), "Dead".to_owned());
    assert_eq!(describe(&mut client), not_found);
    let beat = heartbeat::Request {
        group_id: "g".to_owned(),
        generation_id,
        member_id: member_id.clone(),
        ..Default::default()
    };
    let rebalance = number(ErrorCode::RebalanceInProgress);
    let told: heartbeat::Response = client.call(4, &beat);
    assert_eq!(told.error_code, rebalance);
    let joined: join_group::Response = client.call(9, &join("g", &member_id));
    assert_eq!((joined.error_code, joined.leader.as_str()), (0, ""), "{joined:?}");
    let synced: sync_group::Response = client.call(5, &sync(joined.generation_id, b""));
    assert_eq!((synced.error_code, &synced.assignment[..2]), (0, &b"\0\0"[..]));
    consumer.member_epoch = -1;
    let told: consumer_group_heartbeat::Response = client.call(1, &consumer);
    assert_eq!(told.error_code, 0);
    assert_eq!(describe(&mut client), (0, "PreparingRebalance".to_owned()));
    let joined: join_group::Response = client.call(9, &join("g", &member_id));
    assert_eq!((joined.error_code, joined.leader), (0, member_id.clone()));
}
