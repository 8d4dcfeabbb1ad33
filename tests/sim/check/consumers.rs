//! A group of the consumer protocol: epochs never go back, no partition is read by two members at once, a commit counts in the
//! member's epoch alone and is never undone, nobody is put out without a reason, and when nothing happens any more every partition
//! has its reader.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kolk_coord::group::answer::{DescribedConsumers, GroupAnswer, GroupState};
use kolk_coord::group::ids::GroupId;
use kolk_coord::group::request::GroupRequest;
use kolk_io::door::Io;
use kolk_model::error::ErrorCode;

use crate::client::consumers::{Consumer, Part, Place, Standing, group_of};
use crate::client::groups::{ask, offsets_of};
use crate::outside::Outside;
use crate::run::broker::Broker;
use crate::verdict::{demand, violated};

const NAME: &str = "consumers";
/// In which time a group settles.
const WAIT: Duration = Duration::from_secs(120);

/// A member was told an epoch, and what it may read if that is news.
pub(crate) fn heard(outside: &Outside, place: Place, epoch: i32, news: Option<&BTreeSet<Part>>) {
    let consumers = outside.groups.consumers.borrow();
    let Some(own) = consumers.get(&place) else { return };
    demand(NAME, epoch >= own.epoch, || {
        format!("{} is told epoch {epoch} after {}", own.id(place), own.epoch)
    });
    let others = consumers.iter().filter(|(of, _)| of.0 == place.0 && **of != place);
    for (of, other) in others {
        let both = news.into_iter().flatten().find(|part| other.owned.contains(part));
        demand(NAME, both.is_none(), || {
            format!("{} gets {both:?}, which {} reads", own.id(place), other.id(*of))
        });
    }
}

/// A member's heartbeat was refused. A group knows a member's epoch and the one before (KIP-848): one lost answer does not put it
/// out, two in a row may.
pub(crate) fn refused(outside: &Outside, place: Place, code: ErrorCode) {
    let consumers = outside.groups.consumers.borrow();
    let own = consumers.get(&place);
    let behind = code == ErrorCode::FencedMemberEpoch && own.is_some_and(|own| own.unanswered > 2);
    demand(NAME, behind || outside.faults.get(), || format!("{own:?} is out: {code}"));
}

/// A commit was answered; `wrong`: it was one of another epoch.
pub(crate) fn committed(
    outside: &Outside,
    place: Place,
    answer: &Result<Vec<ErrorCode>, ErrorCode>,
    wrong: bool,
) {
    let unsure =
        outside.groups.consumers.borrow().get(&place).is_some_and(|own| own.unanswered > 0);
    let right = match answer {
        Ok(codes) => codes == &[ErrorCode::None] && !wrong,
        // Its epoch has risen and it was not told.
        Err(ErrorCode::StaleMemberEpoch) => wrong || unsure,
        Err(_) => outside.faults.get(),
    };
    demand(NAME, right, || format!("{place:?} commits (wrong: {wrong}): {answer:?}"));
}

async fn described(broker: &Broker, group: u32) -> Option<DescribedConsumers> {
    let request = GroupRequest::ConsumerDescribe(GroupId::from(group_of(group)));
    match ask(broker, request).await {
        GroupAnswer::ConsumerDescribe(Ok(described)) => Some(described),
        _ => None,
    }
}

/// After a start: members that were told that they are in are, in no earlier epoch; those that have left are not; what was stored is.
pub(crate) async fn kept(broker: &Broker, outside: &Outside) {
    let known = outside.groups.consumers.borrow().clone();
    for group in 0..outside.scenario.group.consumers {
        let own: BTreeMap<Place, Consumer> =
            known.range((group, 0)..(group + 1, 0)).map(|(at, one)| (*at, one.clone())).collect();
        if own.is_empty() {
            continue;
        }
        members(&own, described(broker, group).await.as_ref(), outside.faults.get());
        stored(&own, &ask(broker, offsets_of(&group_of(group))).await);
    }
}

fn members(own: &BTreeMap<Place, Consumer>, found: Option<&DescribedConsumers>, faults: bool) {
    let listed = found.map_or(&[][..], |found| &found.members);
    for (place, consumer) in own.iter().filter(|(_, one)| one.standing == Standing::In) {
        let there = listed.iter().find(|member| member.member == consumer.id(*place));
        let kept = there.is_some_and(|member| member.epoch >= consumer.epoch);
        demand(NAME, kept || faults, || {
            format!("{} was in epoch {} and is {there:?}", consumer.id(*place), consumer.epoch)
        });
    }
    for member in listed {
        let known = own.iter().any(|(place, consumer)| consumer.id(*place) == member.member);
        demand(NAME, known || faults, || format!("{} has left and is there", member.member));
    }
}

fn stored(own: &BTreeMap<Place, Consumer>, answer: &GroupAnswer) {
    let GroupAnswer::FetchOffsets(Ok(topics)) = answer else {
        violated(NAME, format!("offsets: {answer:?}"))
    };
    for ((_, number), consumer) in own {
        let Some(least) = consumer.stored else { continue };
        let mut all = topics.iter().flat_map(|topic| &topic.partitions);
        let found = all.find(|one| one.partition == number.cast_signed());
        let found = found.and_then(|one| one.committed.as_ref()).map(|one| one.offset.get());
        let most = consumer.asked;
        demand(NAME, found.is_some_and(|found| (least..=most).contains(&found)), || {
            format!(
                "{own:?} partition {number} has {found:?}, {least} was stored, {most} asked for"
            )
        });
    }
}

/// Nobody leaves any more: waits until every group has come to rest with all partitions read, each by one.
pub(crate) async fn settled(broker: &Broker, outside: &Outside) {
    let groups = &outside.groups;
    groups.calm.set(true);
    let begun = broker.io.now();
    for group in 0..outside.scenario.group.consumers {
        loop {
            let missing = missing(outside, group);
            let state = described(broker, group).await.map(|found| found.state);
            if missing.is_none() && state == Some(GroupState::Stable) {
                break;
            }
            demand(NAME, broker.io.now() - begun <= WAIT, || {
                format!("after {WAIT:?} {} is {state:?}: {missing:?}", group_of(group))
            });
            broker.io.sleep(Duration::from_millis(20)).await;
        }
    }
    groups.calm.set(false);
}

/// What a group lacks of having come to rest, as its members see it.
fn missing(outside: &Outside, group: u32) -> Option<String> {
    let consumers = outside.groups.consumers.borrow();
    let own: Vec<_> = consumers.range((group, 0)..(group + 1, 0)).collect();
    if let Some((place, out)) = own.iter().find(|(_, one)| one.standing != Standing::In) {
        return Some(format!("{} is {:?}", out.id(**place), out.standing));
    }
    for (place, topic) in outside.scenario.topic.iter().enumerate() {
        let id = outside.topics.borrow().get(&place).copied()?;
        for partition in 0..topic.partitions.cast_signed() {
            let readers =
                own.iter().filter(|(_, one)| one.owned.contains(&(id, partition))).count();
            if readers != 1 {
                return Some(format!("{readers} read {} {partition}", topic.name));
            }
        }
    }
    None
}
