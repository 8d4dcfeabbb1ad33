//! The catalogue against a plain list of topics, and its file against bytes of every kind.

use proptest::prelude::*;

use kolk_model::config::definition::ConfigKind;
use kolk_model::config::overrides::ConfigChange;
use kolk_model::time::TimestampMs;

use super::codec::{DecodeError, VERSION};
use super::*;
use crate::command::{BrokerScope, GROUP_ID_BYTES_MAX};

const CLUSTER: ClusterId = ClusterId::new(0x00112233_44556677_8899aabb_ccddeeff);

fn create(name: &str, partitions: u32) -> Command {
    Command::CreateTopic(NewTopic {
        name: TopicName::new(name).unwrap(),
        partitions,
        config: Overrides::topic(),
        random: 0x0123_4567_89ab_cdef,
        now: TimestampMs::new(1_700_000_000_000),
    })
}

fn created(catalogue: &mut Catalogue, name: &str, partitions: u32) -> Arc<Topic> {
    match catalogue.apply(create(name, partitions)).unwrap().as_slice() {
        [Event::TopicCreated { topic }] => Arc::clone(topic),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_topic_is_found_by_name_and_id_until_it_is_deleted() {
    let mut catalogue = Catalogue::new(CLUSTER);
    let topic = created(&mut catalogue, "web", 4);
    assert_eq!(catalogue.topic_named("web"), Some(&topic));
    assert_eq!(catalogue.topic(topic.id), Some(&topic));
    assert_eq!(catalogue.status(topic.id), TopicStatus::Live);
    assert_eq!(catalogue.partition_count(), 4);

    catalogue.apply(Command::DeleteTopic { topic: topic.id }).unwrap();
    assert_eq!(catalogue.topic_named("web"), None);
    assert_eq!(catalogue.status(topic.id), TopicStatus::Deleted);
    assert_eq!(catalogue.partition_count(), 0);
    assert_eq!(
        catalogue.apply(Command::DeleteTopic { topic: topic.id }),
        Err(CatalogueError::UnknownTopic { topic: topic.id })
    );

    catalogue.apply(Command::BeginRun).unwrap();
    assert_eq!(catalogue.status(topic.id), TopicStatus::Unknown);
}

#[test]
fn a_name_is_taken_once_and_dots_equal_underscores() {
    let mut catalogue = Catalogue::new(CLUSTER);
    created(&mut catalogue, "a.b", 1);
    let name = TopicName::new("a.b").unwrap();
    assert_eq!(
        catalogue.apply(create("a.b", 1)),
        Err(CatalogueError::TopicExists { name: name.clone() })
    );
    assert_eq!(
        catalogue.apply(create("a_b", 1)),
        Err(CatalogueError::NameCollides { name: TopicName::new("a_b").unwrap(), existing: name })
    );
    assert_eq!(catalogue.topic_named("a_b"), None);
}

#[test]
fn a_recreated_topic_has_another_id_even_when_chance_repeats() {
    let mut catalogue = Catalogue::new(CLUSTER);
    let mut seen = Vec::new();
    for _ in 0..100 {
        let topic = created(&mut catalogue, "web", 1);
        assert!(!seen.contains(&topic.id), "{} came twice", topic.id);
        assert_eq!(topic.id.get()[0] >> 7, 0);
        seen.push(topic.id);
        catalogue.apply(Command::DeleteTopic { topic: topic.id }).unwrap();
        catalogue.apply(Command::BeginRun).unwrap();
    }
}

#[test]
fn leader_epochs_start_at_zero_and_rise_with_each_start() {
    let mut catalogue = Catalogue::new(CLUSTER);
    catalogue.apply(Command::BeginRun).unwrap();
    let topic = created(&mut catalogue, "web", 1);
    for epoch in 0..5 {
        assert_eq!(topic.leader_epoch(catalogue.run()).get(), epoch);
        catalogue.apply(Command::BeginRun).unwrap();
    }
}

#[test]
fn partitions_only_grow_and_within_bounds() {
    let mut catalogue = Catalogue::new(CLUSTER);
    let id = created(&mut catalogue, "web", 4).id;
    for asked in [0, 3, 4] {
        let refused = catalogue.apply(Command::AddPartitions { topic: id, partitions: asked });
        assert!(matches!(refused, Err(CatalogueError::PartitionsNotMore { .. })), "{refused:?}");
    }
    for partitions in [0, TOPIC_PARTITIONS_MAX + 1, u32::MAX] {
        let refused = catalogue.apply(create("other", partitions));
        assert_eq!(refused, Err(CatalogueError::PartitionCount { partitions }));
    }
    let events = catalogue.apply(Command::AddPartitions { topic: id, partitions: 6 }).unwrap();
    assert!(
        matches!(events.as_slice(), [Event::PartitionsAdded { before: 4, topic }] if topic.partitions == 6)
    );
    assert_eq!(catalogue.partition_count(), 6);
}

#[test]
fn a_node_takes_no_more_partitions_than_it_may_have() {
    let mut catalogue = Catalogue::new(CLUSTER);
    for n in 0..10 {
        created(&mut catalogue, &format!("t{n}"), TOPIC_PARTITIONS_MAX);
    }
    let before = catalogue.clone();
    let refused = catalogue.apply(create("one-more", 1));
    assert_eq!(
        refused,
        Err(CatalogueError::NodeFull { topics: 11, partitions: PARTITIONS_MAX + 1 })
    );
    assert_eq!(catalogue, before);
}

#[test]
fn settings_change_together_or_not_at_all() {
    let mut catalogue = Catalogue::new(CLUSTER);
    let id = created(&mut catalogue, "web", 1).id;
    let alter = |changes| Command::AlterConfig { topic: id, changes };
    let refused = catalogue.apply(alter(vec![set("retention.ms", "5"), set("nonsense", "1")]));
    assert!(matches!(refused, Err(CatalogueError::Config(_))), "{refused:?}");
    assert_eq!(catalogue.topic(id).unwrap().config, TopicConfig::default());

    catalogue.apply(alter(vec![set("retention.ms", "5"), set("segment.ms", "7")])).unwrap();
    assert_eq!(catalogue.topic(id).unwrap().config.retention_ms, Some(5));
    let reset = ConfigChange::Reset { name: "retention.ms".into() };
    catalogue.apply(alter(vec![reset])).unwrap();
    let config = catalogue.topic(id).unwrap().config;
    assert_eq!((config.retention_ms, config.segment_ms), (TopicConfig::default().retention_ms, 7));
}

fn set(name: &str, value: &str) -> ConfigChange {
    ConfigChange::Set { name: name.into(), value: value.into() }
}

#[test]
fn a_brokers_setting_reaches_the_topics_that_have_none_of_their_own() {
    let mut catalogue = Catalogue::new(CLUSTER);
    let plain = created(&mut catalogue, "plain", 1).id;
    let own = created(&mut catalogue, "own", 1).id;
    let changes = vec![set("retention.ms", "5")];
    catalogue.apply(Command::AlterConfig { topic: own, changes }).unwrap();

    let changes = vec![set("log.retention.ms", "7")];
    let alter = Command::AlterBroker { scope: BrokerScope::Cluster, changes };
    let events = catalogue.apply(alter).unwrap();
    let [Event::BrokersAltered { brokers, topics }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(brokers.cluster.get("log.retention.ms"), Some("7"));
    assert_eq!(topics.iter().map(|topic| topic.id).collect::<Vec<_>>(), [plain]);
    let retention = |catalogue: &Catalogue, id| catalogue.topic(id).unwrap().config.retention_ms;
    assert_eq!(retention(&catalogue, plain), Some(7));
    assert_eq!(retention(&catalogue, own), Some(5));
    let later = created(&mut catalogue, "later", 1).id;
    assert_eq!(retention(&catalogue, later), Some(7));

    for bad in [
        vec![set("log.retention.ms", "9"), set("node.id", "3")],
        vec![set("retention.ms", "9")],
        vec![
            set("log.cleaner.min.compaction.lag.ms", "9"),
            set("log.cleaner.max.compaction.lag.ms", "8"),
        ],
    ] {
        let before = catalogue.clone();
        let alter = Command::AlterBroker { scope: BrokerScope::Node, changes: bad };
        assert!(matches!(catalogue.apply(alter), Err(CatalogueError::Config(_))));
        assert_eq!(catalogue, before);
    }
    let changes = vec![ConfigChange::ResetAll];
    catalogue.apply(Command::AlterBroker { scope: BrokerScope::Cluster, changes }).unwrap();
    assert_eq!(retention(&catalogue, plain), Some(604_800_000));
}

const REPLICAS: &str = "min.insync.replicas";

#[test]
fn more_replicas_than_there_are_can_not_be_asked_for() {
    let mut catalogue = Catalogue::new(CLUSTER);
    let topic = created(&mut catalogue, "web", 1).id;
    let before = catalogue.clone();
    let changes = || vec![set(REPLICAS, "2")];
    for command in [
        Command::AlterConfig { topic, changes: changes() },
        Command::AlterBroker { scope: BrokerScope::Cluster, changes: changes() },
        Command::AlterBroker { scope: BrokerScope::Node, changes: changes() },
    ] {
        let refused = catalogue.apply(command).unwrap_err().to_string();
        assert!(refused.contains("one replica"), "{refused}");
        assert_eq!(catalogue, before);
    }
    catalogue.apply(Command::AlterConfig { topic, changes: vec![set(REPLICAS, "1")] }).unwrap();
}

/// The file of an earlier release, in which a topic and all brokers have more replicas in sync than there are.
fn file_with_two_replicas() -> Vec<u8> {
    let mut catalogue = Catalogue::new(CLUSTER);
    let topic = created(&mut catalogue, "web", 1).id;
    let changes = || vec![set(REPLICAS, "1")];
    catalogue.apply(Command::AlterConfig { topic, changes: changes() }).unwrap();
    let alter = Command::AlterBroker { scope: BrokerScope::Cluster, changes: changes() };
    catalogue.apply(alter).unwrap();
    let mut bytes = catalogue.encode();
    let one = [REPLICAS.as_bytes(), &1_u16.to_le_bytes(), b"1"].concat();
    let begins: Vec<_> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(&one)).collect();
    assert_eq!(begins.len(), 2);
    for at in begins {
        bytes[at + one.len() - 1] = b'2';
    }
    sealed(bytes)
}

#[test]
fn a_file_with_more_replicas_than_there_are_is_read_and_its_topics_can_be_altered() {
    let mut catalogue = Catalogue::decode(&file_with_two_replicas()).unwrap();
    let topic = catalogue.topic_named("web").unwrap().id;
    let replicas = |catalogue: &Catalogue| {
        catalogue.topic(topic).unwrap().overrides.get(REPLICAS).map(str::to_owned)
    };
    assert_eq!(replicas(&catalogue).as_deref(), Some("2"));
    assert_eq!(catalogue.brokers().get(REPLICAS), Some("2"));

    let changes = vec![set("retention.ms", "5")];
    catalogue.apply(Command::AlterConfig { topic, changes }).unwrap();
    let changes = vec![set("log.retention.ms", "7")];
    catalogue.apply(Command::AlterBroker { scope: BrokerScope::Cluster, changes }).unwrap();
    created(&mut catalogue, "later", 1);
    assert_eq!(Catalogue::decode(&catalogue.encode()), Ok(catalogue.clone()));

    let changes = vec![ConfigChange::Reset { name: REPLICAS.into() }];
    catalogue.apply(Command::AlterConfig { topic, changes }).unwrap();
    assert_eq!(replicas(&catalogue), None);
}

#[test]
fn a_group_has_settings_before_it_exists_and_none_after_their_reset() {
    let mut catalogue = Catalogue::new(CLUSTER);
    let alter = |changes| Command::AlterGroup { group: "g".into(), changes };
    let name = "consumer.session.timeout.ms";
    catalogue.apply(alter(vec![set(name, "50000")])).unwrap();
    let (group, settings) = catalogue.groups().next().unwrap();
    assert_eq!((group.as_ref(), settings.get(name)), ("g", Some("50000")));
    assert!(catalogue.apply(alter(vec![set(name, "1")])).is_err());
    assert!(catalogue.apply(alter(vec![set("retention.ms", "1")])).is_err());
    catalogue.apply(alter(vec![ConfigChange::Reset { name: name.into() }])).unwrap();
    assert_eq!(catalogue.groups().len(), 0);
    for group in [String::new(), "g".repeat(GROUP_ID_BYTES_MAX + 1)] {
        let bytes = group.len();
        let refused = catalogue.apply(Command::AlterGroup { group, changes: vec![] });
        assert_eq!(refused, Err(CatalogueError::GroupId { bytes }));
    }
}

#[test]
fn items_are_added_to_what_is_in_force() {
    let mut catalogue = Catalogue::new(CLUSTER);
    let id = created(&mut catalogue, "web", 1).id;
    let append = ConfigChange::Append { name: "cleanup.policy".into(), value: "compact".into() };
    catalogue.apply(Command::AlterConfig { topic: id, changes: vec![append] }).unwrap();
    let policy = |catalogue: &Catalogue| {
        catalogue.topic(id).unwrap().overrides.get("cleanup.policy").map(str::to_owned)
    };
    assert_eq!(policy(&catalogue).as_deref(), Some("delete,compact"));
    let subtract = ConfigChange::Subtract { name: "cleanup.policy".into(), value: "delete".into() };
    catalogue.apply(Command::AlterConfig { topic: id, changes: vec![subtract] }).unwrap();
    assert_eq!(policy(&catalogue).as_deref(), Some("compact"));
}

#[test]
fn blocks_of_producer_ids_never_overlap() {
    let mut catalogue = Catalogue::new(CLUSTER);
    let mut next = 0;
    for count in [1, 1000, PRODUCER_ID_BLOCK_MAX] {
        let events = catalogue.apply(Command::AllocateProducerIds { count }).unwrap();
        let first = ProducerId::new(next);
        assert_eq!(events, [Event::ProducerIdsAllocated { first, count }]);
        next += u64::from(count);
    }
    for count in [0, PRODUCER_ID_BLOCK_MAX + 1] {
        let refused = catalogue.apply(Command::AllocateProducerIds { count });
        assert_eq!(refused, Err(CatalogueError::ProducerIdCount { count }));
    }
    catalogue.next_producer_id = i64::MAX.cast_unsigned() - 5;
    catalogue.apply(Command::AllocateProducerIds { count: 5 }).unwrap();
    let refused = catalogue.apply(Command::AllocateProducerIds { count: 1 });
    assert_eq!(refused, Err(CatalogueError::ProducerIdsExhausted));
}

fn sample() -> Catalogue {
    let mut catalogue = Catalogue::new(CLUSTER);
    catalogue.apply(Command::BeginRun).unwrap();
    let gone = created(&mut catalogue, "gone", 3).id;
    let id = created(&mut catalogue, "web.log", 8).id;
    created(&mut catalogue, "metrics", 1);
    let set = ConfigChange::Set { name: "kolk.durability".into(), value: "process-crash".into() };
    catalogue.apply(Command::AlterConfig { topic: id, changes: vec![set] }).unwrap();
    catalogue.apply(Command::DeleteTopic { topic: gone }).unwrap();
    catalogue.apply(Command::AllocateProducerIds { count: 77 }).unwrap();
    catalogue
}

fn sample_with_settings() -> Catalogue {
    let mut catalogue = sample();
    for (scope, value) in [(BrokerScope::Cluster, "7"), (BrokerScope::Node, "8")] {
        let changes = vec![set("log.retention.ms", value), set("log.segment.bytes", "70000")];
        catalogue.apply(Command::AlterBroker { scope, changes }).unwrap();
    }
    let changes = vec![set("consumer.session.timeout.ms", "50000")];
    let group = "billing".to_owned();
    catalogue.apply(Command::AlterGroup { group, changes }).unwrap();
    catalogue
}

/// Bytes of a file with the right checksum, so that the content is what gets judged.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = kolk_model::checksum::crc32c(&[&bytes[..12], &bytes[16..]].concat());
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn the_file_reads_back_as_it_was() {
    for catalogue in [Catalogue::new(CLUSTER), sample(), sample_with_settings()] {
        assert_eq!(Catalogue::decode(&catalogue.encode()), Ok(catalogue));
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_detected() {
    let bytes = sample_with_settings().encode();
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << bit;
            assert!(Catalogue::decode(&damaged).is_err(), "bit {bit} of byte {index}");
        }
        assert!(Catalogue::decode(&bytes[..index]).is_err(), "cut at {index}");
    }
}

#[test]
fn a_newer_file_is_refused_by_its_version() {
    let mut bytes = sample().encode();
    bytes[8..12].copy_from_slice(&(VERSION + 1).to_le_bytes());
    assert_eq!(Catalogue::decode(&bytes), Err(DecodeError::Newer { found: VERSION + 1 }));
}

#[test]
fn bytes_of_version_1_stay_readable() {
    // Written by the first version; never change it, add another instead.
    let golden = include_bytes!("../../../tests/data/catalogue-1.bin");
    assert_eq!(Catalogue::decode(golden), Ok(sample()));
}

#[test]
fn bytes_of_version_2_stay_readable() {
    let golden = include_bytes!("../../../tests/data/catalogue-2.bin");
    assert_eq!(Catalogue::decode(golden), Ok(sample_with_settings()));
}

#[test]
fn what_is_in_force_follows_from_the_file() {
    let read = Catalogue::decode(&sample_with_settings().encode()).unwrap();
    let topic = read.topic_named("metrics").unwrap();
    assert_eq!((topic.config.retention_ms, topic.config.segment_bytes), (Some(8), 70_000));
    assert_eq!(read.groups().map(|(_, s)| s.kind()).collect::<Vec<_>>(), [ConfigKind::Group]);
}

/// SplitMix64: a seeded source of cases that needs no crate.
struct Cases(u64);

impl Cases {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }
}

#[test]
fn fuzzed_files_never_panic_and_never_pass_as_another_catalogue() {
    let bytes = sample_with_settings().encode();
    for seed in 0..4000 {
        let mut cases = Cases(seed);
        let mut fuzzed = bytes.clone();
        for _ in 0..=cases.below(4) {
            let at = 16 + cases.below(fuzzed.len() - 16);
            match cases.below(4) {
                0 => fuzzed[at] = cases.next().to_le_bytes()[0],
                1 => fuzzed[at] = 0xff,
                2 => fuzzed.truncate(at.max(20)),
                _ => fuzzed.insert(at, cases.next().to_le_bytes()[0]),
            }
        }
        if let Ok(read) = Catalogue::decode(&sealed(fuzzed)) {
            assert_eq!(Catalogue::decode(&read.encode()), Ok(read), "seed {seed}");
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    for seed in 0..2000 {
        let mut cases = Cases(seed);
        let mut bytes: Vec<u8> =
            (0..cases.below(300)).map(|_| cases.next().to_le_bytes()[0]).collect();
        if cases.below(2) == 0 {
            bytes.splice(..bytes.len().min(8), *b"kolk-cat");
        }
        assert!(Catalogue::decode(&bytes).is_err(), "seed {seed}");
    }
}

/// A plain list instead of maps.
#[derive(Default)]
struct Model {
    live: Vec<(TopicId, String, u32)>,
    dead: Vec<TopicId>,
    producer_ids: u64,
}

fn commands() -> impl Strategy<Value = Vec<(u8, usize, u32)>> {
    proptest::collection::vec((0..10u8, 0..6usize, 0..5u32), 1..60)
}

const NAMES: [&str; 6] = ["a", "b", "a.b", "a_b", "c", "d"];

impl Model {
    fn step(&mut self, catalogue: &mut Catalogue, step: (u8, usize, u32)) {
        let (kind, which, count) = step;
        let picked = self.live.get(which).cloned();
        let before = catalogue.clone();
        let accepted = match (kind, picked) {
            (0, _) => {
                self.dead.clear();
                catalogue.apply(Command::BeginRun).is_ok()
            }
            (1, _) => {
                let done = catalogue.apply(Command::AllocateProducerIds { count }).is_ok();
                assert_eq!(done, count > 0);
                self.producer_ids += u64::from(count);
                done
            }
            (2 | 3, Some((id, ..))) => {
                self.live.retain(|(other, ..)| *other != id);
                self.dead.push(id);
                catalogue.apply(Command::DeleteTopic { topic: id }).is_ok()
            }
            (4 | 5, Some((id, _, partitions))) => {
                let add = Command::AddPartitions { topic: id, partitions: count };
                let done = catalogue.apply(add).is_ok();
                assert_eq!(done, count > partitions);
                if done {
                    self.live
                        .iter_mut()
                        .filter(|(other, ..)| *other == id)
                        .for_each(|t| t.2 = count);
                }
                done
            }
            _ => self.create(catalogue, NAMES[which], count),
        };
        if !accepted {
            assert_eq!(*catalogue, before, "a refused command changed something");
        }
    }

    fn create(&mut self, catalogue: &mut Catalogue, name: &str, partitions: u32) -> bool {
        let taken = |(_, other, _): &(TopicId, String, u32)| {
            other.replace('.', "_") == name.replace('.', "_")
        };
        let expected = partitions > 0 && !self.live.iter().any(taken);
        let result = catalogue.apply(create(name, partitions));
        assert_eq!(result.is_ok(), expected, "{result:?}");
        if let Ok([Event::TopicCreated { topic }]) = result.as_deref() {
            self.live.push((topic.id, name.to_owned(), partitions));
        }
        expected
    }
}

proptest! {
    // A file of failures would land beside the crates, where only crates may be.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_catalogue_equals_a_plain_list(steps in commands()) {
        let mut catalogue = Catalogue::new(CLUSTER);
        let mut model = Model::default();
        for step in steps {
            model.step(&mut catalogue, step);
        }
        prop_assert_eq!(catalogue.topics().len(), model.live.len());
        prop_assert_eq!(catalogue.tombstones().len(), model.dead.len());
        prop_assert_eq!(catalogue.next_producer_id, model.producer_ids);
        let partitions: u64 = model.live.iter().map(|t| u64::from(t.2)).sum();
        prop_assert_eq!(catalogue.partition_count(), partitions);
        for (id, name, partitions) in &model.live {
            let topic = catalogue.topic_named(name).unwrap();
            prop_assert_eq!((topic.id, topic.partitions), (*id, *partitions));
            prop_assert_eq!(catalogue.status(*id), TopicStatus::Live);
        }
        prop_assert_eq!(Catalogue::decode(&catalogue.encode()), Ok(catalogue));
    }
}
