//! A coordinator's groups are what its log says: what was stored is there after a start, and replaying the log into another
//! coordinator gives the same answers as the one that lives.

use std::time::Duration;

use kolk_coord::group::OFFSETS_TOPIC;
use kolk_coord::group::answer::GroupAnswer;
use kolk_coord::group::coordinator::Coordinator;
use kolk_coord::group::desk::{Moment, Ticket, WallTrust};
use kolk_coord::group::ids::GroupId;
use kolk_coord::group::request::GroupRequest;
use kolk_coord::group::topics::Topics;
use kolk_coord::topic::Topic;
use kolk_io::door::Io;
use kolk_model::batch::batches;
use kolk_model::ids::{PartitionId, TopicId, TopicPartition};
use kolk_model::offset::Offset;
use kolk_model::records::Records;
use kolk_model::time::TimestampMs;
use kolk_shard::request::{FetchOp, FetchSlot};

use crate::client::consumers::group_of;
use crate::client::groups::{Known, ask, heartbeat, offsets_of};
use crate::outside::Outside;
use crate::run::broker::Broker;
use crate::verdict::{demand, violated};

const NAME: &str = "groups";

/// After a start: what was answered as stored is there, and a member that had its assignment still has it.
pub(crate) async fn kept(broker: &Broker, outside: &Outside) {
    let known: Vec<(String, Known)> = outside
        .groups
        .known
        .borrow()
        .iter()
        .map(|(name, known)| (name.clone(), known.clone()))
        .collect();
    for (group, known) in known {
        if let Some(stored) = known.stored {
            let found = stored_offset(&ask(broker, offsets_of(&group)).await);
            let asked = known.asked;
            demand(NAME, found.is_some_and(|found| stored <= found && found <= asked), || {
                format!("{group} has {found:?}, {stored} was stored and {asked} asked for")
            });
        }
        if let Some((member, generation)) = known.member {
            let answer = ask(broker, heartbeat(&group, &member, generation)).await;
            // A later join of the same client may have been under way.
            let moved = matches!(answer, GroupAnswer::Heartbeat(Err(_)));
            demand(
                NAME,
                answer == GroupAnswer::Heartbeat(Ok(())) || moved && outside.faults.get(),
                || format!("{group} knows {member} of {generation} no more: {answer:?}"),
            );
        }
    }
}

fn stored_offset(answer: &GroupAnswer) -> Option<u64> {
    let GroupAnswer::FetchOffsets(Ok(topics)) = answer else { return None };
    let first = topics.first()?.partitions.first()?;
    first.committed.as_ref().map(|committed| committed.offset.get())
}

/// Holds the groups' clients still and compares every coordinator with its replayed log.
pub(crate) async fn replayed(broker: &Broker, outside: &Outside) {
    let mut groups: Vec<String> = outside.groups.known.borrow().keys().cloned().collect();
    groups.extend((0..outside.scenario.group.consumers).map(group_of));
    let Some(topic) = broker.connect().metadata().topic_named(OFFSETS_TOPIC).cloned() else {
        return;
    };
    outside.groups.hold.set(true);
    while !outside.groups.is_quiet() {
        broker.io.sleep(Duration::from_millis(2)).await;
    }
    for number in 0..topic.partitions {
        let mut other =
            replay(broker, TopicPartition::new(topic.id, PartitionId::new(number))).await;
        let own =
            groups.iter().filter(|group| GroupId::new(group).partition(topic.partitions) == number);
        for (nth, group) in own.enumerate() {
            let id = || GroupId::new(group);
            let (classic, consumer) =
                (GroupRequest::Describe(id()), GroupRequest::ConsumerDescribe(id()));
            for request in [offsets_of(group), classic, consumer] {
                let lives = ask(broker, request.clone()).await;
                let ticket = Ticket(nth as u64);
                other.handle(moment(broker), &Nothing, ticket, request);
                let answers = other.take_effects().answers;
                let told = answers.into_iter().find(|(of, _)| *of == ticket).map(|(_, told)| told);
                demand(NAME, told.as_ref() == Some(&lives), || {
                    format!("{group} is {lives:?}, its log says {told:?}")
                });
            }
        }
    }
    outside.groups.hold.set(false);
}

fn moment(broker: &Broker) -> Moment {
    let wall = TimestampMs::new(broker.io.wall_clock().as_ms());
    let now_ms = broker.io.now().as_ns() / 1_000_000;
    Moment { now_ms, wall, trust: WallTrust::Believed, random: 1 }
}

/// Another coordinator from the records that a reader of the topic is given.
async fn replay(broker: &Broker, partition: TopicPartition) -> Coordinator {
    let mut coordinator = Coordinator::new(
        broker.shards.first().map_or_else(Default::default, |shard| shard.settings().group),
    );
    let mut from = 0;
    loop {
        let slot = FetchSlot { partition, offset: Offset::new(from), bytes_max: 1 << 20 };
        let op = FetchOp {
            slots: vec![slot],
            bytes_min: 0,
            bytes_max: 1 << 20,
            wait_max: Duration::ZERO,
        };
        let Some(answer) = broker.connect().fetch(op).await.pop() else { break };
        let end = answer.marks.map_or(0, |marks| marks.high_watermark.get());
        let bytes = match answer.result {
            Ok(slices) => slices.concat(),
            Err(refusal) => violated(NAME, format!("the log of {partition}: {refusal}")),
        };
        for batch in batches(&bytes).flatten() {
            for record in Records::of(&batch).into_iter().flatten().flatten() {
                let Some(key) = record.key.filter(|_| record.offset.get() >= from) else {
                    continue;
                };
                if let Err(error) = coordinator.replay(key, record.value) {
                    violated(NAME, format!("{partition} at {}: {error}", record.offset));
                }
            }
            from = batch.next_offset().get();
        }
        if from >= end {
            break;
        }
    }
    coordinator.loaded(moment(broker));
    coordinator
}

/// No topics: nothing that is asked here looks at them.
struct Nothing;

impl Topics for Nothing {
    fn version(&self) -> u64 {
        0
    }

    fn named(&self, _name: &str) -> Option<&Topic> {
        None
    }

    fn with_id(&self, _id: TopicId) -> Option<&Topic> {
        None
    }

    fn each(&self, _seen: &mut dyn FnMut(&Topic)) {}
}
