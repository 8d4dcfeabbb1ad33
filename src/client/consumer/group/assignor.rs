//! Who of a group reads what: pure functions that the leader runs. The names are Kafka's, and so is what they do,
//! because a group's leader may be a client of either wire.

use std::collections::{BTreeMap, BTreeSet};

use kolk_model::ids::{PartitionId, TopicName};

use super::super::fetcher::Target;

/// How partitions are given to the members of a group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Assignor {
    /// Of each topic, neighbouring partitions to each member: partitions of one number of several topics meet at
    /// one member.
    Range,
    /// All partitions of all topics in turn: the most even.
    RoundRobin,
}

impl Assignor {
    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }

    /// The assignor of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Range, Self::RoundRobin].into_iter().find(|assignor| assignor.name() == name)
    }
}

/// A member as the leader sees it.
#[derive(Clone, Debug)]
pub(super) struct Subscriber {
    pub(super) member: String,
    /// Its static id: members with one come first, so that a restart changes nothing.
    pub(super) instance: Option<String>,
    pub(super) topics: Vec<TopicName>,
}

impl Subscriber {
    fn rank(&self) -> (bool, &str) {
        match &self.instance {
            Some(instance) => (false, instance),
            None => (true, &self.member),
        }
    }

    fn wants(&self, topic: &TopicName) -> bool {
        self.topics.contains(topic)
    }
}

/// What each member gets, by member id. A topic without a count does not exist.
pub(super) fn assign(
    assignor: Assignor,
    mut members: Vec<Subscriber>,
    counts: &BTreeMap<TopicName, u32>,
) -> BTreeMap<String, Vec<Target>> {
    members.sort_by(|a, b| a.rank().cmp(&b.rank()));
    let mut shares: BTreeMap<String, Vec<Target>> =
        members.iter().map(|member| (member.member.clone(), Vec::new())).collect();
    let mut give = |member: &Subscriber, topic: &TopicName, partition: u32| {
        let target = (topic.clone(), PartitionId::new(partition));
        shares.entry(member.member.clone()).or_default().push(target);
    };
    match assignor {
        Assignor::Range => {
            for (topic, count) in counts {
                let wanting: Vec<_> = members.iter().filter(|one| one.wants(topic)).collect();
                for (member, partitions) in wanting.iter().zip(ranges(*count, wanting.len())) {
                    partitions.for_each(|partition| give(member, topic, partition));
                }
            }
        }
        Assignor::RoundRobin => {
            let wanted: BTreeSet<_> = members.iter().flat_map(|one| &one.topics).collect();
            let mut turn = members.iter().cycle();
            for (topic, count) in counts.iter().filter(|(topic, _)| wanted.contains(topic)) {
                for partition in 0..*count {
                    // Somebody wants the topic, so this ends within one round.
                    if let Some(member) = turn.by_ref().find(|one| one.wants(topic)) {
                        give(member, topic, partition);
                    }
                }
            }
        }
    }
    shares
}

/// `count` partitions in `members` runs whose lengths differ by one at most, longer ones first.
fn ranges(count: u32, members: usize) -> impl Iterator<Item = std::ops::Range<u32>> {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    let (each, longer) = (count.checked_div(members).unwrap_or(0), count.checked_rem(members));
    let longer = longer.unwrap_or(0);
    (0..members).map(move |number| {
        let start = number * each + number.min(longer);
        start..start + each + u32::from(number < longer)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    fn member(id: &str, topics: &[&str]) -> Subscriber {
        let topics = topics.iter().map(|topic| name(topic)).collect();
        Subscriber { member: id.to_owned(), instance: None, topics }
    }

    fn check(assignor: Assignor, members: &[Subscriber], expected: &[(&str, &str)]) {
        let counts = BTreeMap::from([(name("t0"), 3), (name("t1"), 3), (name("t2"), 2)]);
        let shares = assign(assignor, members.to_vec(), &counts);
        let shown = |targets: &Vec<Target>| {
            let one = |(topic, partition): &Target| format!("{topic}p{partition}");
            targets.iter().map(one).collect::<Vec<_>>().join(" ")
        };
        let found: Vec<_> = shares.iter().map(|(id, share)| (id.as_str(), shown(share))).collect();
        let found: Vec<_> = found.iter().map(|(id, share)| (*id, share.as_str())).collect();
        assert_eq!(found, expected, "{assignor:?}");
    }

    #[test]
    fn ranges_give_the_first_members_the_longer_runs_of_each_topic() {
        let both = [member("b", &["t0", "t1"]), member("a", &["t0", "t1"])];
        let expected = [("a", "t0p0 t0p1 t1p0 t1p1"), ("b", "t0p2 t1p2")];
        check(Assignor::Range, &both, &expected);
        let three = [member("a", &["t2"]), member("b", &["t2"]), member("c", &["t2", "none"])];
        check(Assignor::Range, &three, &[("a", "t2p0"), ("b", "t2p1"), ("c", "")]);
    }

    #[test]
    fn turns_go_round_over_all_topics() {
        let both = [member("a", &["t0", "t1"]), member("b", &["t0", "t1"])];
        let expected = [("a", "t0p0 t0p2 t1p1"), ("b", "t0p1 t1p0 t1p2")];
        check(Assignor::RoundRobin, &both, &expected);
        let uneven = [member("a", &["t0"]), member("b", &["t0", "t1"]), member("c", &["t2"])];
        let expected = [("a", "t0p0 t0p2"), ("b", "t0p1 t1p0 t1p1 t1p2"), ("c", "t2p0 t2p1")];
        check(Assignor::RoundRobin, &uneven, &expected);
    }

    #[test]
    fn static_members_come_first_and_nobody_is_no_member() {
        let fixed = Subscriber { instance: Some("z".to_owned()), ..member("y", &["t2"]) };
        check(
            Assignor::Range,
            &[member("a", &["t2"]), member("b", &["t2"]), fixed],
            &[("a", "t2p1"), ("b", ""), ("y", "t2p0")],
        );
        check(Assignor::RoundRobin, &[], &[]);
        check(Assignor::Range, &[], &[]);
    }

    #[test]
    fn names_are_kafkas() {
        for (name, assignor) in [("range", Assignor::Range), ("roundrobin", Assignor::RoundRobin)] {
            assert_eq!(Assignor::named(name), Some(assignor));
        }
        assert_eq!(Assignor::named("cooperative-sticky"), None);
    }
}
