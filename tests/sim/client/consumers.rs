//! Groups of the consumer protocol (KIP-848): members that join by a heartbeat, take what they are given, give up what they are
//! asked to, commit in their epoch, leave and come back as others. What they know outlives the broker.

use std::collections::{BTreeMap, BTreeSet};

use kolk_coord::group::answer::{GroupAnswer, Heard};
use kolk_coord::group::ids::{GroupId, MemberId};
use kolk_coord::group::request::{Client, ConsumerHeartbeat, GroupRequest};
use kolk_io::door::Io;
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicId;

use crate::check::consumers as check;
use crate::client::groups::{Commit, ask};
use crate::outside::Outside;
use crate::run::broker::Broker;

/// Members of a group.
pub(crate) const MEMBERS: u32 = 3;
/// How long a member may be silent, and may take to give partitions up: longer than anything here takes.
const PATIENCE_MS: u32 = 45_000;

/// A partition as the protocol names it.
pub(crate) type Part = (TopicId, i32);

/// A group's number, and the member's in it.
pub(crate) type Place = (u32, u32);

/// Every member.
pub(crate) type Consumers = BTreeMap<Place, Consumer>;

/// What a member knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Consumer {
    /// How often it has left: it comes back under another id.
    pub(crate) lives: u64,
    pub(crate) standing: Standing,
    /// The last epoch that it was told.
    pub(crate) epoch: i32,
    /// What it reads.
    pub(crate) owned: BTreeSet<Part>,
    /// Heartbeats since it was last told anything, their answers lost or on the way: it may be further than it knows.
    pub(crate) unanswered: u32,
    /// The last offset that was answered as stored, and the last that was asked for.
    pub(crate) stored: Option<u64>,
    pub(crate) asked: u64,
}

/// Where a member stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not in the group, or not told so yet.
    #[default]
    Away,
    In,
    /// It has said that it leaves, and was not answered yet.
    Leaving,
}

/// The name of a group of consumers.
pub(crate) fn group_of(number: u32) -> String {
    format!("consumers-{number}")
}

impl Consumer {
    pub(crate) fn id(&self, (group, number): Place) -> MemberId {
        MemberId::from(format!("{}-{number}-{}", group_of(group), self.lives))
    }

    /// It is out, and will come back as somebody else.
    fn gone(&mut self) {
        self.fenced();
        self.lives += 1;
    }

    /// It is behind the group: it gives up what it has and joins again.
    fn fenced(&mut self) {
        (self.standing, self.epoch, self.unanswered) = (Standing::Away, 0, 0);
        self.owned.clear();
    }

    fn request(&self, place: Place, topics: Vec<String>) -> GroupRequest {
        let joins = self.standing == Standing::Away;
        let full = joins || self.unanswered > 0;
        let mut owned: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in &self.owned {
            owned.entry(*topic).or_default().push(*partition);
        }
        GroupRequest::ConsumerHeartbeat(ConsumerHeartbeat {
            group: GroupId::from(group_of(place.0)),
            member: self.id(place),
            epoch: match self.standing {
                Standing::Away => 0,
                Standing::In => self.epoch,
                Standing::Leaving => -1,
            },
            instance: None,
            rack: None,
            client: Client { id: "sim".to_owned(), host: "/::1".to_owned() },
            rebalance_timeout_ms: full.then_some(PATIENCE_MS),
            topics: full.then_some(topics),
            pattern: None,
            assignor: None,
            owned: Some(owned.into_iter().collect()),
            session_timeout_ms: PATIENCE_MS,
            heartbeat_interval_ms: 10,
        })
    }
}

/// The task of one member in one life.
pub(crate) async fn run(broker: &Broker, outside: &Outside, place: Place) {
    let groups = &outside.groups;
    loop {
        broker.io.sleep(outside.some_us(20_000)).await;
        if groups.hold.get() {
            continue;
        }
        groups.began();
        turn(broker, outside, place).await;
        groups.ended();
    }
}

fn with<T>(outside: &Outside, place: Place, act: impl FnOnce(&mut Consumer) -> T) -> T {
    act(outside.groups.consumers.borrow_mut().entry(place).or_default())
}

/// What a member does once.
async fn turn(broker: &Broker, outside: &Outside, place: Place) {
    let standing = with(outside, place, |consumer| consumer.standing);
    let (draw, calm) = (outside.draw(|chance| chance.below(100)), outside.groups.calm.get());
    match (standing, draw) {
        (Standing::In, 0..40) => return commit(broker, outside, place).await,
        (Standing::In, 40..50) if !calm => with(outside, place, |consumer| {
            // It reads nothing any more before it says so.
            consumer.owned.clear();
            consumer.standing = Standing::Leaving;
        }),
        _ => {}
    }
    let topics = outside.scenario.topic.iter().map(|topic| topic.name.clone()).collect();
    let request = with(outside, place, |consumer| {
        let request = consumer.request(place, topics);
        consumer.unanswered += 1;
        request
    });
    let answer = ask(broker, request).await;
    if loses_answer(outside) {
        return;
    }
    match answer {
        GroupAnswer::ConsumerHeartbeat(Ok(heard)) => take(outside, place, &heard),
        GroupAnswer::ConsumerHeartbeat(Err(refused)) => {
            let left = with(outside, place, |consumer| consumer.standing) == Standing::Leaving
                && matches!(refused.code, ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound);
            if !left {
                check::refused(outside, place, refused.code);
            }
            let fenced = !left && refused.code == ErrorCode::FencedMemberEpoch;
            with(outside, place, if fenced { Consumer::fenced } else { Consumer::gone });
        }
        _ => {}
    }
}

fn loses_answer(outside: &Outside) -> bool {
    let percent = outside.scenario.network.break_percent;
    outside.draw(|chance| chance.percent(percent))
}

/// A heartbeat was answered.
fn take(outside: &Outside, place: Place, heard: &Heard) {
    if with(outside, place, |consumer| consumer.standing) == Standing::Leaving {
        outside.trace.note(format_args!("{} has left", heard.member));
        return with(outside, place, Consumer::gone);
    }
    let news = heard.assignment.as_ref().map(|all| {
        let of = |(topic, list): &(TopicId, Vec<i32>)| {
            let topic = *topic;
            list.clone().into_iter().map(move |one| (topic, one))
        };
        all.iter().flat_map(of).collect::<BTreeSet<Part>>()
    });
    check::heard(outside, place, heard.epoch, news.as_ref());
    with(outside, place, |consumer| {
        if consumer.epoch != heard.epoch || news.is_some() {
            let count = news.as_ref().unwrap_or(&consumer.owned).len();
            let member = &heard.member;
            outside.trace.note(format_args!("{member} has {count} in {}", heard.epoch));
        }
        (consumer.standing, consumer.epoch, consumer.unanswered) = (Standing::In, heard.epoch, 0);
        if let Some(news) = news {
            consumer.owned = news;
        }
    });
}

/// Commits in the member's epoch, or in a wrong one, which must be refused.
async fn commit(broker: &Broker, outside: &Outside, place: Place) {
    let wrong = outside.draw(|chance| chance.percent(10));
    let (before, next) = with(outside, place, |consumer| {
        let next = consumer.asked + 1;
        if !wrong {
            consumer.asked = next;
        }
        (consumer.clone(), next)
    });
    let request = Commit {
        group: group_of(place.0),
        member: before.id(place),
        epoch: if wrong { before.epoch + 7 } else { before.epoch },
        partition: place.1,
        offset: next,
    };
    let Some(request) = request.request(outside) else { return };
    let GroupAnswer::CommitOffsets(answer) = ask(broker, request).await else { return };
    let stored = answer.as_ref().is_ok_and(|codes| codes == &[ErrorCode::None]);
    check::committed(outside, place, &answer, wrong);
    if stored && !loses_answer(outside) {
        outside.trace.note(format_args!("{} has stored {next}", before.id(place)));
        with(outside, place, |consumer| consumer.stored = Some(next));
    }
}
