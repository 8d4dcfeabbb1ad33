//! Who gets which partition. Two rules by Kafka's names: `uniform` spreads all partitions evenly and moves as
//! few as it can; `range` cuts each topic into ranges, so that equal partitions of topics meet in one member.

use kolk_model::ids::TopicId;
use kolk_model::map::{Map, Set};

use super::Name;
use crate::group::ids::{InstanceId, MemberId};
use crate::group::record::consumer_value::Assignment;

/// A rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Assignor {
    #[default]
    Uniform,
    Range,
}

/// A topic as far as assignors care.
#[derive(Clone, Debug)]
pub(super) struct TopicShape {
    pub(super) name: Name,
    pub(super) partitions: u32,
}

/// A member as far as assignors care.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    pub(super) id: MemberId,
    pub(super) instance: Option<InstanceId>,
    /// Topics, all of which exist.
    pub(super) reads: Set<TopicId>,
    /// What it was to have so far.
    pub(super) has: Assignment,
}

type Shapes = Map<TopicId, TopicShape>;
type Targets = Vec<(MemberId, Assignment)>;

impl Assignor {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Uniform, Self::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// What each reader is to have. Every partition of a topic that somebody reads has one reader.
    pub(super) fn assign(self, shapes: &Shapes, readers: Vec<Reader>) -> Targets {
        match self {
            Self::Uniform => uniform(shapes, readers),
            Self::Range => range(shapes, readers),
        }
    }
}

fn range(shapes: &Shapes, mut readers: Vec<Reader>) -> Targets {
    // A static member keeps its place over its lives.
    let place = |reader: &Reader| {
        let stable = reader.instance.as_ref().map(|instance| instance.as_str().to_owned());
        (stable.is_none(), stable, reader.id.clone())
    };
    readers.sort_by_cached_key(place);
    let mut targets = vec![Assignment::new(); readers.len()];
    let mut by_name: Vec<_> = shapes.iter().collect();
    by_name.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
    for (topic, shape) in by_name {
        let of_topic =
            |(place, reader): (usize, &Reader)| reader.reads.contains(topic).then_some(place);
        let places: Vec<usize> = readers.iter().enumerate().filter_map(of_topic).collect();
        let count = u32::try_from(places.len()).unwrap_or(u32::MAX).max(1);
        let (each, more) = (shape.partitions / count, shape.partitions % count);
        let mut next = 0;
        for (turn, place) in (0..).zip(places) {
            let end = next + each + u32::from(turn < more);
            if let Some(target) = targets.get_mut(place).filter(|_| end > next) {
                target.insert(*topic, (next..end).map(u32::cast_signed).collect());
            }
            next = end;
        }
    }
    readers.into_iter().map(|reader| reader.id).zip(targets).collect()
}

/// Readers with what they are to have, and how much.
struct Spread {
    readers: Vec<Reader>,
    targets: Vec<Assignment>,
    loads: Vec<usize>,
    owners: Map<(TopicId, i32), usize>,
}

fn uniform(shapes: &Shapes, readers: Vec<Reader>) -> Targets {
    let mut spread = Spread::keep(shapes, readers);
    spread.release(shapes);
    spread.fill(shapes);
    spread.balance();
    let Spread { readers, targets, .. } = spread;
    readers.into_iter().map(|reader| reader.id).zip(targets).collect()
}

impl Spread {
    /// Begins with what readers had and may keep.
    fn keep(shapes: &Shapes, readers: Vec<Reader>) -> Self {
        let count = readers.len();
        let targets = vec![Assignment::new(); count];
        let mut spread = Self { readers, targets, loads: vec![0; count], owners: Map::new() };
        for place in 0..count {
            let Some(reader) = spread.readers.get(place) else { continue };
            let kept: Vec<(TopicId, i32)> = reader
                .has
                .iter()
                .filter(|(topic, _)| reader.reads.contains(*topic))
                .flat_map(|(topic, partitions)| partitions.iter().map(|one| (*topic, *one)))
                .filter(|(topic, one)| {
                    let shape = shapes.get(topic);
                    shape.is_some_and(|shape| (0..shape.partitions).contains(&one.cast_unsigned()))
                })
                .collect();
            for partition in kept {
                if !spread.owners.contains_key(&partition) {
                    spread.give(partition, place);
                }
            }
        }
        spread
    }

    fn give(&mut self, (topic, partition): (TopicId, i32), place: usize) {
        if let Some(former) = self.owners.insert((topic, partition), place) {
            self.strip((topic, partition), former);
        }
        if let Some(target) = self.targets.get_mut(place) {
            target.entry(topic).or_default().insert(partition);
        }
        if let Some(load) = self.loads.get_mut(place) {
            *load += 1;
        }
    }

    fn strip(&mut self, (topic, partition): (TopicId, i32), place: usize) {
        if let Some(target) = self.targets.get_mut(place)
            && let Some(partitions) = target.get_mut(&topic)
        {
            partitions.remove(&partition);
            if partitions.is_empty() {
                target.remove(&topic);
            }
        }
        if let Some(load) = self.loads.get_mut(place) {
            *load -= 1;
        }
    }

    /// Where all read the same, nobody keeps more than an even share.
    fn release(&mut self, shapes: &Shapes) {
        let first = self.readers.first().map(|reader| reader.reads.clone()).unwrap_or_default();
        if self.readers.iter().any(|reader| reader.reads != first) {
            return;
        }
        let of_topic = |topic| shapes.get(topic).map_or(0, |shape| shape.partitions as usize);
        let all: usize = first.iter().map(of_topic).sum();
        let (each, mut more) = (all / self.readers.len().max(1), all % self.readers.len().max(1));
        for place in 0..self.readers.len() {
            let load = self.load(place);
            let share = if load > each && more > 0 {
                more -= 1;
                each + 1
            } else {
                each
            };
            let surplus: Vec<(TopicId, i32)> =
                self.partitions_of(place).into_iter().skip(share).collect();
            for partition in surplus {
                self.owners.remove(&partition);
                self.strip(partition, place);
            }
        }
    }

    fn partitions_of(&self, place: usize) -> Vec<(TopicId, i32)> {
        let target = self.targets.get(place).into_iter().flatten();
        target.flat_map(|(topic, all)| all.iter().map(|one| (*topic, *one))).collect()
    }

    fn load(&self, place: usize) -> usize {
        self.loads.get(place).copied().unwrap_or(0)
    }

    /// Gives partitions without a reader to whoever has least, those first that fewest may read.
    fn fill(&mut self, shapes: &Shapes) {
        let mut by_topic: Vec<(Vec<usize>, TopicId, u32)> = Vec::new();
        for (topic, shape) in shapes {
            let may =
                |(place, reader): (usize, &Reader)| reader.reads.contains(topic).then_some(place);
            let places: Vec<usize> = self.readers.iter().enumerate().filter_map(may).collect();
            by_topic.push((places, *topic, shape.partitions));
        }
        by_topic.sort_by_key(|(places, topic, _)| (places.len(), *topic));
        for (places, topic, partitions) in by_topic {
            let mut by_load: Set<(usize, usize)> =
                places.iter().map(|place| (self.load(*place), *place)).collect();
            for partition in (0..partitions).map(u32::cast_signed) {
                if self.owners.contains_key(&(topic, partition)) {
                    continue;
                }
                let Some((_, place)) = by_load.pop_first() else { break };
                self.give((topic, partition), place);
                by_load.insert((self.load(place), place));
            }
        }
    }

    /// Moves partitions from who has more to who has less by two or more, until there is no such pair. Each move
    /// lowers the sum of the squares of the loads, so it ends.
    fn balance(&mut self) {
        loop {
            let mut by_load: Vec<usize> = (0..self.readers.len()).collect();
            by_load.sort_by_key(|place| self.load(*place));
            let mut moved = false;
            for place in by_load {
                moved |= self.pull(place);
            }
            if !moved {
                return;
            }
        }
    }

    /// Lets one reader take from those who have more.
    fn pull(&mut self, place: usize) -> bool {
        let Some(reads) = self.readers.get(place).map(|reader| reader.reads.clone()) else {
            return false;
        };
        let least = self.load(place);
        if self.loads.iter().all(|load| *load <= least + 1) {
            return false;
        }
        let mut moved = false;
        for topic in reads {
            let span = (topic, i32::MIN)..=(topic, i32::MAX);
            let others: Vec<_> =
                self.owners.range(span).map(|(key, owner)| (*key, *owner)).collect();
            for (partition, owner) in others {
                if owner != place && self.load(owner) > self.load(place) + 1 {
                    self.give(partition, place);
                    moved = true;
                }
            }
        }
        moved
    }
}
