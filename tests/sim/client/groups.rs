//! Consumer groups: some whose only consumer commits offsets from outside, some with a member that joins and lives on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kolk_coord::group::answer::GroupAnswer;
use kolk_coord::group::ids::{Generation, GroupId, MemberId};
use kolk_coord::group::request::{
    Client, CommitOffsets, FetchOffsets, GroupRequest, Heartbeat, JoinGroup, OffsetToCommit,
    Protocol, SyncGroup,
};
use kolk_io::door::Io;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicName};
use kolk_model::offset::Offset;

use crate::client::consumers::Consumers;
use crate::outside::Outside;
use crate::run::broker::Broker;
use crate::verdict::violated;

/// What is known of one group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The last offset that was answered as stored.
    pub(crate) stored: Option<u64>,
    /// The last one that was asked for.
    pub(crate) asked: u64,
    /// The member and its generation, once it has its assignment.
    pub(crate) member: Option<(MemberId, Generation)>,
}

/// All groups, and whether their clients are to hold still.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    pub(crate) known: RefCell<BTreeMap<String, Known>>,
    /// Members of groups of the consumer protocol.
    pub(crate) consumers: RefCell<Consumers>,
    pub(crate) hold: Cell<bool>,
    /// Nobody leaves.
    pub(crate) calm: Cell<bool>,
    under_way: Cell<u64>,
}

impl Groups {
    /// Whether nothing is under way.
    pub(crate) fn is_quiet(&self) -> bool {
        self.under_way.get() == 0
    }

    /// A life has ended: what was under way has no end.
    pub(crate) fn forget_life(&self) {
        self.under_way.set(0);
    }

    /// Something is under way.
    pub(crate) fn began(&self) {
        self.under_way.set(self.under_way.get() + 1);
    }

    /// It has been answered.
    pub(crate) fn ended(&self) {
        self.under_way.set(self.under_way.get() - 1);
    }

    pub(crate) fn with<T>(&self, group: &str, act: impl FnOnce(&mut Known) -> T) -> T {
        act(self.known.borrow_mut().entry(group.to_owned()).or_default())
    }
}

/// Names of the groups of committers.
pub(crate) fn committer(number: u32) -> String {
    format!("committer-{number}")
}

/// Names of the groups with a member.
pub(crate) fn with_member(number: u32) -> String {
    format!("member-{number}")
}

/// Asks until the coordinator has loaded; `None` when it gives up or the disk fails.
pub(crate) async fn ask(broker: &Broker, request: GroupRequest) -> GroupAnswer {
    loop {
        let answer = broker.connect().group(request.clone()).await;
        let again = [
            ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::NotCoordinator,
            ErrorCode::CoordinatorNotAvailable,
        ];
        if !again.iter().any(|code| answer == request.kind().refuse(*code)) {
            return answer;
        }
        broker.io.sleep(Duration::from_millis(3)).await;
    }
}

/// An offset to be stored, and by whom.
pub(crate) struct Commit {
    pub(crate) group: String,
    /// Empty: nobody in particular.
    pub(crate) member: MemberId,
    /// The member's epoch or generation; -1: none.
    pub(crate) epoch: i32,
    pub(crate) partition: u32,
    pub(crate) offset: u64,
}

impl Commit {
    /// The request for it, about the first topic.
    pub(crate) fn request(&self, outside: &Outside) -> Option<GroupRequest> {
        let topic = TopicName::new(&outside.scenario.topic.first()?.name).ok()?;
        let one = OffsetToCommit {
            topic,
            topic_id: outside.topics.borrow().get(&0).copied()?,
            partition: PartitionId::new(self.partition),
            offset: Offset::new(self.offset),
            leader_epoch: None,
            metadata: String::new(),
        };
        Some(GroupRequest::CommitOffsets(CommitOffsets {
            group: GroupId::new(&self.group),
            member: self.member.clone(),
            instance: None,
            generation_or_epoch: self.epoch,
            retention_ms: None,
            knows_stale_epoch: true,
            offsets: vec![one],
        }))
    }
}

/// A request for all offsets of a group.
pub(crate) fn offsets_of(group: &str) -> GroupRequest {
    GroupRequest::FetchOffsets(FetchOffsets {
        group: GroupId::new(group),
        member: None,
        member_epoch: -1,
        topics: None,
        require_stable: true,
    })
}

/// The task of a group's committer.
pub(crate) async fn run_committer(broker: &Broker, outside: &Outside, group: &str) {
    let groups = &outside.groups;
    loop {
        broker.io.sleep(outside.some_us(4_000)).await;
        if groups.hold.get() {
            continue;
        }
        let next = groups.with(group, |known| {
            known.asked += 1;
            known.asked
        });
        let commit = Commit {
            group: group.to_owned(),
            member: MemberId::new(""),
            epoch: -1,
            partition: 0,
            offset: next,
        };
        let Some(request) = commit.request(outside) else { return };
        groups.began();
        let answer = ask(broker, request).await;
        groups.ended();
        match answer {
            GroupAnswer::CommitOffsets(Ok(codes)) if codes == [ErrorCode::None] => {
                outside.trace.note(format_args!("{group} has stored {next}"));
                groups.with(group, |known| known.stored = Some(next));
            }
            other if outside.faults.get() => outside.trace.note(format_args!("{group}: {other:?}")),
            other => violated("groups", format!("{group} stores {next}: {other:?}")),
        }
    }
}

/// The task of a group's only member: joins, takes its assignment, says that it lives.
pub(crate) async fn run_member(broker: &Broker, outside: &Outside, group: &str) {
    let groups = &outside.groups;
    loop {
        broker.io.sleep(outside.some_us(20_000)).await;
        if groups.hold.get() {
            continue;
        }
        groups.began();
        let member = groups.with(group, |known| known.member.clone());
        match member {
            Some((member, generation)) => {
                let answer = ask(broker, heartbeat(group, &member, generation)).await;
                let lives = answer == GroupAnswer::Heartbeat(Ok(()));
                // Now and then it comes back as somebody else.
                let leaves = outside.draw(|chance| chance.percent(20));
                if !lives && !outside.faults.get() {
                    violated("groups", format!("member of {group}: {answer:?}"));
                }
                if !lives || leaves {
                    groups.with(group, |known| known.member = None);
                }
            }
            None => join(broker, outside, group).await,
        }
        groups.ended();
    }
}

/// A request that says that a member lives.
pub(crate) fn heartbeat(group: &str, member: &MemberId, generation: Generation) -> GroupRequest {
    GroupRequest::Heartbeat(Heartbeat {
        group: GroupId::new(group),
        member: member.clone(),
        instance: None,
        generation: Some(generation),
    })
}

async fn join(broker: &Broker, outside: &Outside, group: &str) {
    let request = GroupRequest::Join(JoinGroup {
        group: GroupId::new(group),
        member: MemberId::new(""),
        instance: None,
        client: Client { id: "sim".to_owned(), host: "/::1".to_owned() },
        session_timeout_ms: 6_000,
        rebalance_timeout_ms: 100,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::new() }],
        knows_member_id_required: false,
        knows_skip_assignment: true,
        reason: None,
    });
    let GroupAnswer::Join(Ok(joined)) = ask(broker, request).await else { return };
    let assignments = vec![(joined.member.clone(), Bytes::from_static(b"all"))];
    let request = GroupRequest::Sync(SyncGroup {
        group: GroupId::new(group),
        member: joined.member.clone(),
        instance: None,
        generation: Some(joined.generation),
        protocol_type: None,
        protocol: None,
        assignments: if joined.leader == joined.member { assignments } else { Vec::new() },
    });
    if let GroupAnswer::Sync(Ok(_)) = ask(broker, request).await {
        outside.trace.note(format_args!("{group} has {} in {}", joined.member, joined.generation));
        groups_member(outside, group, joined.member, joined.generation);
    }
}

fn groups_member(outside: &Outside, group: &str, member: MemberId, generation: Generation) {
    outside.groups.with(group, |known| known.member = Some((member, generation)));
}
