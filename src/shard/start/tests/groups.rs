//! Groups on nodes of several shards: asked from anywhere, kept through stops, kills and power cuts.

use std::future::poll_fn;
use std::task::Poll;

use kolk_coord::group::answer::{FetchedOffsets, GroupAnswer, GroupState, Joined};
use kolk_coord::group::ids::{Generation, GroupId, MemberId};
use kolk_coord::group::request::{
    Client, CommitOffsets, FetchOffsets, GroupRequest, Heartbeat, JoinGroup, ListFilter,
    OffsetToCommit, Protocol, SyncGroup,
};
use kolk_coord::group::settings::GroupSettings;
use kolk_io::error::Op;
use kolk_io::sim::{Fault, SimDisk};

use super::*;
use crate::request::{AlterBrokerOp, BrokerScope, ConfigChange, Intent};
use crate::shard::GroupsOf;

fn quick() -> ShardSettings {
    ShardSettings {
        offsets_topic_partitions: 5,
        group: GroupSettings { initial_rebalance_delay_ms: 10, ..GroupSettings::default() },
        ..settings()
    }
}

/// A commit for the topic `web`; of none if there is no such topic.
fn commit(shard: &Shard<SimIo>, group: &str, offset: u64) -> GroupRequest {
    let topic_id = shard.metadata().topic_named("web").map(|topic| topic.id);
    let one = OffsetToCommit {
        topic: TopicName::new("web").unwrap(),
        topic_id: topic_id.unwrap_or(TopicId::ZERO),
        partition: PartitionId::new(0),
        offset: Offset::new(offset),
        leader_epoch: None,
        metadata: String::new(),
    };
    GroupRequest::CommitOffsets(CommitOffsets {
        group: GroupId::new(group),
        member: MemberId::new(""),
        instance: None,
        generation_or_epoch: -1,
        retention_ms: None,
        knows_stale_epoch: true,
        offsets: vec![one],
    })
}

/// Asks until the coordinator has loaded.
async fn ask(shard: &Shard<SimIo>, request: GroupRequest) -> GroupAnswer {
    loop {
        let answer = shard.group(request.clone()).await;
        let loading = request.kind().refuse(ErrorCode::CoordinatorLoadInProgress);
        if answer != loading {
            return answer;
        }
        shard.io().sleep(Duration::from_millis(1)).await;
    }
}

async fn committed(shard: &Shard<SimIo>, group: &str) -> Option<u64> {
    let request = GroupRequest::FetchOffsets(FetchOffsets {
        group: GroupId::new(group),
        member: None,
        member_epoch: -1,
        topics: None,
        require_stable: true,
    });
    match ask(shard, request).await {
        GroupAnswer::FetchOffsets(Ok(topics)) => {
            let first = |topic: &FetchedOffsets| topic.partitions[0].committed.clone();
            topics.first().and_then(first).map(|committed| committed.offset.get())
        }
        other => panic!("{other:?}"),
    }
}

async fn state_of(shard: &Shard<SimIo>, group: &str) -> Result<GroupState, ErrorCode> {
    match ask(shard, GroupRequest::Describe(GroupId::new(group))).await {
        GroupAnswer::Describe(described) => described.map(|group| group.state),
        other => panic!("{other:?}"),
    }
}

fn join(group: &str) -> GroupRequest {
    GroupRequest::Join(JoinGroup {
        group: GroupId::new(group),
        member: MemberId::new(""),
        instance: None,
        client: Client { id: "c".to_owned(), host: "/::1".to_owned() },
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::new() }],
        knows_member_id_required: false,
        knows_skip_assignment: true,
        reason: None,
    })
}

/// A member of a stable group.
async fn member(shard: &Shard<SimIo>, group: &str) -> Joined {
    let joined = match ask(shard, join(group)).await {
        GroupAnswer::Join(Ok(joined)) => joined,
        other => panic!("{other:?}"),
    };
    let request = GroupRequest::Sync(SyncGroup {
        group: GroupId::new(group),
        member: joined.member.clone(),
        instance: None,
        generation: Some(joined.generation),
        protocol_type: None,
        protocol: None,
        assignments: vec![(joined.member.clone(), Bytes::from_static(b"all"))],
    });
    match ask(shard, request).await {
        GroupAnswer::Sync(Ok(synced)) => assert_eq!(&synced.assignment[..], b"all"),
        other => panic!("{other:?}"),
    }
    joined
}

async fn heartbeat(shard: &Shard<SimIo>, group: &str, joined: &Joined) -> Result<(), ErrorCode> {
    let request = GroupRequest::Heartbeat(Heartbeat {
        group: GroupId::new(group),
        member: joined.member.clone(),
        instance: None,
        generation: Some(joined.generation),
    });
    match ask(shard, request).await {
        GroupAnswer::Heartbeat(answer) => answer,
        other => panic!("{other:?}"),
    }
}

/// A node with the topic that is committed for.
async fn start_with_web(io: SimIo, shards: u16, settings: ShardSettings) -> Node {
    let node = Node::start_with(io, shards, settings).await;
    if node.shard(0).metadata().topic_named("web").is_none() {
        node.create("web", 1).await;
    }
    node
}

fn check_quick<F: Future<Output = ()>>(
    shards: u16,
    scene: impl Fn(Rc<Node>) -> F + Copy + 'static,
) {
    for seed in 0..3 {
        Sim::new(seed).run(move |io| async move {
            scene(Rc::new(start_with_web(io, shards, quick()).await)).await;
        });
    }
}

#[test]
fn groups_are_asked_from_every_shard_and_the_topic_comes_by_itself() {
    check_quick(3, |node| async move {
        // All at once: one of them creates the topic.
        let first: Vec<_> = (0..9)
            .map(|n| {
                node.shard(n % 3).group(commit(node.shard(n % 3), &format!("g{n}"), u64::from(n)))
            })
            .collect();
        for answer in first {
            let answer = answer.await;
            let refused = GroupAnswer::CommitOffsets(Err(ErrorCode::CoordinatorLoadInProgress));
            let stored = GroupAnswer::CommitOffsets(Ok(vec![ErrorCode::None]));
            assert!(answer == refused || answer == stored, "{answer:?}");
        }
        for n in 0..9 {
            let group = format!("g{n}");
            ask(node.shard(n % 3), commit(node.shard(n % 3), &group, u64::from(n) + 100)).await;
            for shard in &node.shards {
                assert_eq!(committed(shard, &group).await, Some(u64::from(n) + 100));
            }
        }
        let topic = node.shard(0).metadata().topic_named("__consumer_offsets").cloned().unwrap();
        assert_eq!(topic.partitions, 5);
        assert!(topic.config.cleanup_policy.compacts());
        let listed =
            node.shard(1).list_groups(ListFilter::default(), GroupsOf::Node).await.unwrap();
        assert_eq!(listed.len(), 9);
        let mut sum = 0;
        for shard in &node.shards {
            let own = shard.list_groups(ListFilter::default(), GroupsOf::Shard).await.unwrap();
            for group in &own {
                assert_eq!(shard.find_group(&group.group).await.unwrap(), shard.id());
            }
            sum += own.len();
        }
        assert_eq!((sum, node.waiting()), (9, 0));
    });
}

#[test]
fn clients_cannot_write_to_the_topic_of_the_groups() {
    check_quick(2, |node| async move {
        ask(node.shard(0), commit(node.shard(0), "g", 1)).await;
        let topic = node.shard(0).metadata().topic_named("__consumer_offsets").unwrap().id;
        for shard in &node.shards {
            let refused = produce(shard, at(topic, 0), &["x"]).await;
            assert_eq!(code(refused), ErrorCode::InvalidTopic);
        }
    });
}

#[test]
fn a_groups_members_carry_on_after_a_stop_with_another_number_of_shards() {
    for (seed, (before, after)) in (0..).zip([(4, 2), (2, 8), (1, 3)]) {
        let sim = Sim::new(seed);
        sim.run(move |io| async move {
            let node = start_with_web(io.clone(), before, quick()).await;
            let joined = member(node.shard(0), "g").await;
            ask(node.shard(0), commit(node.shard(0), "other", 42)).await;
            node.stop().await;
            let node = start_with_web(io, after, quick()).await;
            for shard in &node.shards {
                assert_eq!(heartbeat(shard, "g", &joined).await, Ok(()));
                assert_eq!(committed(shard, "other").await, Some(42));
            }
            assert_eq!(state_of(node.shard(0), "g").await, Ok(GroupState::Stable));
        });
    }
}

#[test]
fn sessions_end_by_the_shards_own_clock() {
    check_quick(2, |node| async move {
        let joined = member(node.shard(0), "g").await;
        node.io.sleep(Duration::from_secs(29)).await;
        assert_eq!(heartbeat(node.shard(1), "g", &joined).await, Ok(()));
        node.io.sleep(Duration::from_secs(31)).await;
        assert_eq!(state_of(node.shard(1), "g").await, Ok(GroupState::Empty));
        let silent = heartbeat(node.shard(1), "g", &joined).await;
        assert_eq!(silent, Err(ErrorCode::UnknownMemberId));
    });
}

#[test]
fn changed_settings_are_heeded_by_every_coordinator_and_after_a_restart() {
    let sim = Sim::new(5);
    sim.run(move |io| async move {
        let node = start_with_web(io.clone(), 3, quick()).await;
        let set = |name: &str, value: &str, intent| {
            let (name, value) = (name.to_owned(), value.to_owned());
            let changes = vec![ConfigChange::Set { name, value }];
            AlterBrokerOp { scope: BrokerScope::Cluster, changes, intent }
        };
        let refused = |answer| match answer {
            GroupAnswer::Join(Err(refused)) => Some(refused.code),
            _ => None,
        };
        let groups = ["a", "b", "c", "d", "e"];
        for group in groups {
            member(node.shard(0), group).await;
        }
        let longest = "group.max.session.timeout.ms";
        node.shard(1).alter_broker(set(longest, "29999", Intent::Validate)).await.unwrap();
        member(node.shard(0), "f").await;
        node.shard(1).alter_broker(set(longest, "29999", Intent::Carry)).await.unwrap();
        for (number, group) in (0..).zip(groups) {
            let answer = ask(node.shard(number % 3), join(group)).await;
            assert_eq!(refused(answer), Some(ErrorCode::InvalidSessionTimeout), "{group}");
        }
        for intent in [Intent::Validate, Intent::Carry] {
            let wrong = node.shard(2).alter_broker(set(longest, "5999", intent)).await;
            assert_eq!(code(wrong), ErrorCode::InvalidConfig, "shorter than the shortest");
        }
        node.stop().await;
        let node = start_with_web(io, 2, quick()).await;
        let answer = ask(node.shard(0), join("a")).await;
        assert_eq!(refused(answer), Some(ErrorCode::InvalidSessionTimeout));
    });
}

#[test]
fn a_stop_sends_parked_members_away() {
    check_quick(3, |node| async move {
        let joined = member(node.shard(0), "g").await;
        let parked = node.shard(1).group(join("g"));
        // The heartbeat comes from another shard than the join and may overtake it.
        while heartbeat(node.shard(0), "g", &joined).await.is_ok() {
            node.io.yield_now().await;
        }
        let rebalance = Err(ErrorCode::RebalanceInProgress);
        assert_eq!(heartbeat(node.shard(0), "g", &joined).await, rebalance);
        let began = node.io.now();
        node.stop().await;
        assert!(node.io.now() - began < Duration::from_secs(1), "the stop waited for a member");
        match parked.await {
            GroupAnswer::Join(Err(refused)) => {
                assert!(refused.code.retriable(), "{}", refused.code)
            }
            other => panic!("{other:?}"),
        }
        let late = node.shard(1).group(commit(node.shard(1), "g", 1)).await;
        let refused = ErrorCode::CoordinatorNotAvailable;
        assert_eq!(late, GroupAnswer::CommitOffsets(Err(refused)));
    });
}

#[test]
fn offsets_of_a_deleted_topic_are_forgotten() {
    check_quick(2, |node| async move {
        let topic = node.shard(0).metadata().topic_named("web").unwrap().id;
        ask(node.shard(0), commit(node.shard(0), "g", 7)).await;
        node.shard(0).delete_topic(topic).await.unwrap();
        assert_eq!(committed(node.shard(1), "g").await, None);
        assert_eq!(state_of(node.shard(1), "g").await, Err(ErrorCode::GroupIdNotFound));
    });
}

#[test]
fn many_offsets_go_with_their_group_or_topic_and_who_asks_next_sees_it() {
    check_quick(2, |node| async move {
        let topic = node.shard(0).metadata().topic_named("web").unwrap().id;
        let fill = |group: &'static str| {
            let GroupRequest::CommitOffsets(mut request) = commit(node.shard(0), group, 7) else {
                unreachable!()
            };
            let first = request.offsets[0].clone();
            let one =
                |number| OffsetToCommit { partition: PartitionId::new(number), ..first.clone() };
            request.offsets = (0..10_000).map(one).collect();
            ask(node.shard(0), GroupRequest::CommitOffsets(request))
        };
        fill("g").await;
        let deleting = node.shard(1).group(GroupRequest::Delete(GroupId::new("g")));
        let describing = node.shard(1).group(GroupRequest::Describe(GroupId::new("g")));
        assert_eq!(deleting.await, GroupAnswer::Delete(Ok(())));
        let gone = ErrorCode::GroupIdNotFound;
        assert_eq!(describing.await, GroupAnswer::Describe(Err(gone)));
        fill("h").await;
        node.shard(0).delete_topic(topic).await.unwrap();
        assert_eq!(committed(node.shard(1), "h").await, None);
        assert_eq!(state_of(node.shard(1), "h").await, Err(gone));
    });
}

#[test]
fn a_topic_made_again_after_a_kill_has_no_offsets_of_the_former_one() {
    let id_of = |node: &Node| node.shard(0).metadata().topic_named("web").map(|topic| topic.id);
    let mut made_again = 0;
    for (seed, steps) in (0..).zip((1..400).step_by(4)) {
        let sim = Sim::new(seed);
        let node = sim.run(move |io| async move {
            let node = start_with_web(io, 2, quick()).await;
            ask(node.shard(0), commit(node.shard(0), "g", 7)).await;
            Rc::new(node)
        });
        let former = id_of(&node);
        let deleting = Rc::clone(&node);
        sim.run_steps(steps, move |_| async move {
            deleting.shard(0).delete_topic(former.unwrap()).await.unwrap();
        });
        drop(node);
        let sim = Sim::with_disk(sim.kill(), seed + 1_000);
        let node = sim.run(move |io| async move {
            let node = start_with_web(io, 2, quick()).await;
            let expected = (id_of(&node) == former).then_some(7);
            assert_eq!(committed(node.shard(0), "g").await, expected, "seed {seed}");
            ask(node.shard(0), commit(node.shard(0), "g", 8)).await;
            node
        });
        made_again += usize::from(id_of(&node) != former);
        drop(node);
        let sim = Sim::with_disk(sim.crash(), seed + 2_000);
        sim.run(move |io| async move {
            let node = start_with_web(io, 2, quick()).await;
            assert_eq!(committed(node.shard(0), "g").await, Some(8), "seed {seed}");
        });
    }
    assert!(made_again > 10, "{made_again}");
}

#[test]
fn without_the_topic_of_the_groups_there_are_none_and_it_comes_again() {
    check_quick(2, |node| async move {
        ask(node.shard(0), commit(node.shard(0), "g", 7)).await;
        let topic = node.shard(0).metadata().topic_named("__consumer_offsets").unwrap().id;
        node.shard(0).delete_topic(topic).await.unwrap();
        assert_eq!(committed(node.shard(1), "g").await, None);
        ask(node.shard(1), commit(node.shard(1), "g", 8)).await;
        assert_eq!(committed(node.shard(0), "g").await, Some(8));
    });
}

#[test]
fn a_commit_that_cannot_be_written_is_refused_and_its_group_read_again() {
    let sim = Sim::new(1);
    let node = sim.run(move |io| async move {
        let node = Rc::new(start_with_web(io, 1, quick()).await);
        ask(node.shard(0), commit(node.shard(0), "g", 1)).await;
        node
    });
    sim.set_capacity(0);
    let told = Rc::clone(&node);
    sim.run(move |_| async move {
        // What was prepared takes some more; then the disk is full.
        for offset in 2..100_000 {
            let answer = told.shard(0).group(commit(told.shard(0), "g", offset)).await;
            if let GroupAnswer::CommitOffsets(Err(code)) = answer {
                assert!(code.retriable(), "{code}");
                return;
            }
        }
        panic!("the disk was never full");
    });
    sim.set_capacity(1 << 40);
    sim.run(move |_| async move {
        let deadline = node.io.now() + Duration::from_secs(60);
        loop {
            let answer = ask(node.shard(0), commit(node.shard(0), "g", 200_000)).await;
            if answer == GroupAnswer::CommitOffsets(Ok(vec![ErrorCode::None])) {
                break;
            }
            assert!(node.io.now() < deadline, "{answer:?}");
            node.io.sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(committed(node.shard(0), "g").await, Some(200_000));
    });
}

#[test]
fn a_list_asked_with_a_commit_that_cannot_be_written_is_answered() {
    let sim = Sim::new(2);
    let node = sim.run(move |io| async move {
        let node = Rc::new(start_with_web(io, 1, quick()).await);
        ask(node.shard(0), commit(node.shard(0), "g", 1)).await;
        node
    });
    sim.set_capacity(0);
    sim.run(move |_| async move {
        for offset in 2..100_000 {
            // Both are asked before the coordinator gets its turn, so that they are carried out in one go.
            let listing = node.shard(0).list_groups(ListFilter::default(), GroupsOf::Node);
            let mut listing = Box::pin(listing);
            let first = poll_fn(|cx| Poll::Ready(listing.as_mut().poll(cx))).await;
            let committing = node.shard(0).group(commit(node.shard(0), "g", offset));
            let listed = Rc::new(RefCell::new(None));
            if let Poll::Ready(early) = first {
                *listed.borrow_mut() = Some(early);
            } else {
                let told = Rc::clone(&listed);
                node.io.spawn(async move { *told.borrow_mut() = Some(listing.await) });
            }
            let committed = committing.await;
            node.io.sleep(Duration::from_millis(1)).await;
            let listed = listed.borrow_mut().take().expect("the list is answered, too");
            if committed == GroupAnswer::CommitOffsets(Err(ErrorCode::NotCoordinator)) {
                assert_eq!(listed, Err(ErrorCode::NotCoordinator));
                assert_eq!(node.waiting(), 0);
                return;
            }
        }
        panic!("the disk was never full");
    });
}

#[test]
fn a_commit_waits_for_its_turn_at_a_log_that_has_too_much_to_do() {
    for seed in 0..3 {
        Sim::new(seed).run(move |io| async move {
            // What the log can't take at once is refused.
            let mut settings = quick();
            settings.partition.appends_waiting_max = 0;
            let node = start_with_web(io, 2, settings).await;
            let many = |offset| match commit(node.shard(1), "g", offset) {
                GroupRequest::CommitOffsets(mut request) => {
                    request.offsets[0].metadata = "x".repeat(4_000);
                    let first = request.offsets[0].clone();
                    let one = |number| OffsetToCommit {
                        partition: PartitionId::new(number),
                        ..first.clone()
                    };
                    request.offsets = (0..500).map(one).collect();
                    GroupRequest::CommitOffsets(request)
                }
                other => other,
            };
            for offset in 0..60 {
                let answer = ask(node.shard(1), many(offset)).await;
                let stored = GroupAnswer::CommitOffsets(Ok(vec![ErrorCode::None; 500]));
                assert!(answer == stored, "offset {offset}");
            }
            assert_eq!(node.waiting(), 0);
        });
    }
}

#[test]
fn a_commit_waits_while_its_shard_has_too_much_to_do() {
    check_quick(1, |node| async move {
        let shard = node.shard(0);
        ask(shard, commit(shard, "g", 1)).await;
        let mut others = Vec::new();
        while let Ok(waiter) = shard.state.waiters.open_local() {
            others.push(waiter);
        }
        // One seat for the commit, none for its append.
        shard.state.waiters.close(others.pop().unwrap());
        let (waiters, io) = (Rc::clone(&shard.state.waiters), node.io.clone());
        node.io.spawn(async move {
            io.sleep(Duration::from_millis(70)).await;
            others.into_iter().for_each(|waiter| waiters.close(waiter));
        });
        let stored = GroupAnswer::CommitOffsets(Ok(vec![ErrorCode::None]));
        assert_eq!(shard.group(commit(shard, "g", 2)).await, stored);
        assert_eq!(committed(shard, "g").await, Some(2));
    });
}

/// What was told to be committed, by group.
type Told = Rc<RefCell<std::collections::BTreeMap<String, u64>>>;

async fn commit_on_and_on(shard: Shard<SimIo>, group: String, told: Told) {
    let from = told.borrow().get(&group).map_or(0, |offset| offset + 1);
    for offset in from.. {
        if ask(&shard, commit(&shard, &group, offset)).await
            == GroupAnswer::CommitOffsets(Ok(vec![ErrorCode::None]))
        {
            told.borrow_mut().insert(group.clone(), offset);
        } else {
            shard.io().sleep(Duration::from_millis(1)).await;
        }
    }
}

/// What was told is there after each of several lives, and never goes back.
fn check_lives(seed: u64, end: fn(Sim) -> SimDisk) {
    let told = Told::default();
    let mut disk = SimDisk::new();
    for life in 0..4 {
        let sim = Sim::with_disk(disk, seed * 10 + life);
        let shards = u16::try_from(1 + (seed + life * 3) % 4).unwrap();
        let known = Rc::clone(&told);
        let node = sim.run(move |io| async move {
            let node = start_with_web(io, shards, quick()).await;
            let expected = known.borrow().clone();
            for (group, offset) in expected {
                let found = committed(node.shard(0), &group).await;
                // One more may have been written and never told.
                assert!(
                    found == Some(offset) || found == Some(offset + 1),
                    "{group}: {found:?}, told {offset}"
                );
            }
            node
        });
        for number in 0..6_u16 {
            let shard = node.shard(number % shards).clone();
            sim.io().spawn(commit_on_and_on(shard, format!("g{number}"), Rc::clone(&told)));
        }
        drop(node);
        let steps = 800 + (seed * 7_919 + life * 104_729) % 5_000;
        let never = sim.run_steps(steps, |_| std::future::pending::<()>());
        assert!(never.is_none());
        disk = end(sim);
    }
    assert!(told.borrow().len() >= 4, "hardly anything was committed: {:?}", told.borrow());
}

#[test]
fn commits_that_were_told_survive_kills_and_power_cuts() {
    for seed in 0..6 {
        check_lives(seed, Sim::kill);
        check_lives(seed + 100, Sim::crash);
    }
}

#[test]
fn nothing_is_promised_by_an_offsets_topic_that_can_not_be_whole() {
    for seed in 0..8 {
        let sim = Sim::new(seed);
        let told = Told::default();
        let node = sim.run(|io| async move { Rc::new(start_with_web(io, 2, quick()).await) });
        // Its logs come one after the other, slowly, and the last one of a shard can't.
        sim.slow_down(30);
        sim.inject(Fault::eio(Op::SyncDir, "/4"));
        // The first one has the topic made; others come while it is.
        for number in 0..40_u16 {
            let (shard, told) = (node.shard(number % 2).clone(), Rc::clone(&told));
            sim.io().spawn(async move {
                shard.io().sleep(Duration::from_millis(u64::from(number))).await;
                let (group, stored) =
                    (format!("g{number}"), GroupAnswer::CommitOffsets(Ok(vec![ErrorCode::None])));
                while ask(&shard, commit(&shard, &group, 7)).await != stored {
                    shard.io().sleep(Duration::from_millis(1)).await;
                }
                told.borrow_mut().insert(group, 7);
            });
        }
        sim.run(move |io| async move {
            io.sleep(Duration::from_secs(2)).await;
            let known = told.borrow().clone();
            assert_eq!(known.len(), 40, "seed {seed}: {known:?}");
            for (group, offset) in known {
                let found = committed(node.shard(0), &group).await;
                assert_eq!(found, Some(offset), "seed {seed}, {group}");
            }
        });
    }
}

#[test]
fn generations_only_rise_over_lives() {
    let mut disk = SimDisk::new();
    let mut last = Generation::new(0);
    for life in 0..4_u16 {
        let sim = Sim::with_disk(disk, u64::from(life));
        let found = sim.run(move |io| async move {
            let node = start_with_web(io, 1 + life % 3, quick()).await;
            node.io.sleep(Duration::from_secs(31)).await;
            member(node.shard(0), "g").await.generation
        });
        assert!(found > last, "{found} after {last}");
        last = found;
        disk = sim.kill();
    }
}
