//! The catalogue as bytes: the file `meta/catalogue`, drawn in `schemas/disk/catalogue.md`. Apart from
//! the state machine because a format outlives its code.

use std::sync::Arc;

use bytes::{Buf, BufMut};

use kolk_model::checksum::crc32c;
use kolk_model::config::definition::ConfigKind;
use kolk_model::config::layers::BrokerOverrides;
use kolk_model::config::overrides::Overrides;
use kolk_model::ids::{TopicId, TopicName};
use kolk_model::limits::{TOPIC_PARTITIONS_MAX, TOPIC_SETTINGS_MAX};
use kolk_model::time::TimestampMs;
use kolk_model::topic_config::TopicConfig;

use crate::catalogue::{Catalogue, TopicStatus, name_key};
use crate::command::{GROUP_ID_BYTES_MAX, GROUPS_CONFIGURED_MAX, PARTITIONS_MAX, TOPICS_MAX};
use crate::topic::{ClusterId, Run, Tombstone, Topic};

/// The first eight bytes.
pub const MAGIC: [u8; 8] = *b"kolk-cat";
/// The version written, and the newest one read.
pub const VERSION: u32 = 2;

/// Magic, version, checksum.
const HEADER_BYTES: usize = 16;
const CRC_FROM: usize = 12;
const CRC_BYTES: usize = 4;

/// Bytes a catalogue may have; a larger file is not read.
pub const CATALOGUE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Why bytes are not a catalogue. The disk's fault or a downgrade; retrying is useless.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Something else's bytes.
    #[error("it does not begin as a catalogue does")]
    NotACatalogue,
    /// Written by a newer kolk; nothing was changed.
    #[error(
        "it has format version {found}, this kolk reads up to {VERSION}; start it with the newer kolk"
    )]
    Newer {
        /// The version found.
        found: u32,
    },
    /// The checksum does not match.
    #[error("its checksum is {found:#010x}, its bytes give {expected:#010x}")]
    Checksum {
        /// What the file says.
        found: u32,
        /// What its bytes give.
        expected: u32,
    },
    /// The checksum matches and the content does not: a bug, or bytes made by somebody else.
    #[error("{what} is not possible at byte {position}")]
    Content {
        /// Which field.
        what: &'static str,
        /// Where reading stopped, counted from the start of the file.
        position: usize,
    },
}

impl Catalogue {
    /// The catalogue as the bytes of its file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + 56 + self.topics.len() * 96);
        out.put_slice(&MAGIC);
        out.put_u32_le(VERSION);
        out.put_u32_le(0);
        out.put_u128_le(self.cluster.get());
        out.put_u64_le(self.run.get());
        out.put_u64_le(self.created);
        out.put_u64_le(self.next_producer_id);
        put_count(&mut out, self.topics.len());
        for topic in self.topics.values() {
            put_topic(&mut out, topic);
        }
        put_count(&mut out, self.tombstones.len());
        for tombstone in self.tombstones.values() {
            out.put_slice(tombstone.id.as_bytes());
            put_text(&mut out, tombstone.name.as_str());
            out.put_u64_le(tombstone.deleted_in.get());
        }
        put_settings(&mut out, &self.brokers.cluster);
        put_settings(&mut out, &self.brokers.node);
        put_count(&mut out, self.groups.len());
        for (group, settings) in &self.groups {
            put_text(&mut out, group);
            put_settings(&mut out, settings);
        }
        let crc = checksum(&out);
        if let Some(place) = out.get_mut(CRC_FROM..CRC_FROM + CRC_BYTES) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        out
    }

    /// Reads the bytes of a catalogue's file. Costs O(bytes); allocates nothing from a count it was told.
    ///
    /// # Errors
    /// When the bytes are not a catalogue that this version wrote whole.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut rest = bytes;
        let magic = rest.split_off(..MAGIC.len()).ok_or(DecodeError::NotACatalogue)?;
        if magic != MAGIC {
            return Err(DecodeError::NotACatalogue);
        }
        let version = rest.try_get_u32_le().map_err(|_| DecodeError::NotACatalogue)?;
        if version > VERSION {
            return Err(DecodeError::Newer { found: version });
        }
        let found = rest.try_get_u32_le().map_err(|_| DecodeError::NotACatalogue)?;
        let expected = checksum(bytes);
        if found != expected {
            return Err(DecodeError::Checksum { found, expected });
        }
        let read = match version {
            1..=VERSION => read_body(&mut rest, version),
            _ => Err("version"),
        };
        read.map_err(|what| DecodeError::Content { what, position: bytes.len() - rest.len() })
    }
}

/// The whole file's, with the checksum's own bytes left out.
fn checksum(bytes: &[u8]) -> u32 {
    let (head, tail) = bytes.split_at_checked(CRC_FROM).unwrap_or((bytes, &[]));
    kolk_model::checksum::crc32c_append(crc32c(head), tail.get(CRC_BYTES..).unwrap_or_default())
}

fn put_topic(out: &mut Vec<u8>, topic: &Topic) {
    out.put_slice(topic.id.as_bytes());
    put_text(out, topic.name.as_str());
    out.put_u32_le(topic.partitions);
    out.put_i64_le(topic.created_at.get());
    out.put_u64_le(topic.created_in.get());
    put_settings(out, &topic.overrides);
}

fn put_settings(out: &mut Vec<u8>, settings: &Overrides) {
    let settings = settings.iter();
    put_count(out, settings.len());
    for (name, value) in settings {
        put_text(out, name);
        put_text(out, value);
    }
}

/// Counts are bounded by the node's limits, far below 2^32.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u32_le(u32::try_from(count).unwrap_or(u32::MAX));
}

/// Names and values are bounded by the model's limits, far below 2^16.
fn put_text(out: &mut Vec<u8>, text: &str) {
    debug_assert!(text.len() <= usize::from(u16::MAX), "a text of {} bytes", text.len());
    out.put_u16_le(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

type Field<T> = Result<T, &'static str>;

fn read_body(rest: &mut &[u8], version: u32) -> Field<Catalogue> {
    let mut catalogue = Catalogue {
        cluster: ClusterId::new(rest.try_get_u128_le().map_err(|_| "cluster id")?),
        run: Run::new(get_u64(rest, "run")?),
        created: get_u64(rest, "count of topics created")?,
        next_producer_id: get_u64(rest, "next producer id")?,
        ..Catalogue::default()
    };
    if catalogue.next_producer_id > i64::MAX.cast_unsigned() {
        return Err("next producer id");
    }
    let topics = get_count(rest, TOPICS_MAX, "number of topics")?;
    for _ in 0..topics {
        let topic = read_topic(rest)?;
        let key = name_key(&topic.name);
        if catalogue.status(topic.id) != TopicStatus::Unknown || catalogue.names.contains_key(&key)
        {
            return Err("second topic of one id or name");
        }
        catalogue.insert(key, topic);
    }
    if catalogue.partitions > PARTITIONS_MAX {
        return Err("number of partitions");
    }
    let tombstones = get_count(rest, usize::MAX, "number of tombstones")?;
    for _ in 0..tombstones {
        let tombstone = Tombstone {
            id: get_id(rest)?,
            name: get_name(rest)?,
            deleted_in: Run::new(get_u64(rest, "run of a deletion")?),
        };
        if catalogue.status(tombstone.id) != TopicStatus::Unknown {
            return Err("second topic of one id");
        }
        catalogue.tombstones.insert(tombstone.id, Arc::new(tombstone));
    }
    if version >= 2 {
        read_settings_of_others(rest, &mut catalogue)?;
    }
    if rest.is_empty() { Ok(catalogue) } else { Err("byte after the end") }
}

/// The settings of brokers and groups. What is in force for a topic follows from the brokers' too, and those
/// stand last, so it is worked out once more.
fn read_settings_of_others(rest: &mut &[u8], catalogue: &mut Catalogue) -> Field<()> {
    let cluster = read_settings(rest, ConfigKind::Broker)?;
    let node = read_settings(rest, ConfigKind::Broker)?;
    let brokers = BrokerOverrides { cluster, node };
    for topic in catalogue.topics.values_mut() {
        let config = TopicConfig::in_force(&topic.overrides, &brokers);
        if config != topic.config {
            *topic = Arc::new(Topic { config, ..Topic::clone(topic) });
        }
    }
    catalogue.brokers = Arc::new(brokers);
    let groups = get_count(rest, GROUPS_CONFIGURED_MAX, "number of groups")?;
    for _ in 0..groups {
        let group: Arc<str> = get_text(rest, "group")?.into();
        let settings = read_settings(rest, ConfigKind::Group)?;
        let unusable = group.is_empty() || group.len() > GROUP_ID_BYTES_MAX || settings.is_empty();
        if unusable || catalogue.groups.insert(group, Arc::new(settings)).is_some() {
            return Err("group");
        }
    }
    Ok(())
}

fn read_settings(rest: &mut &[u8], kind: ConfigKind) -> Field<Overrides> {
    let mut settings = Overrides::new(kind);
    let count = get_count(rest, TOPIC_SETTINGS_MAX, "number of settings")?;
    for _ in 0..count {
        let (name, value) = (get_text(rest, "setting")?, get_text(rest, "setting")?);
        settings.restore(name, value).map_err(|_| "setting")?;
    }
    Ok(settings)
}

fn read_topic(rest: &mut &[u8]) -> Field<Topic> {
    let id = get_id(rest)?;
    let name = get_name(rest)?;
    let partitions = get_count(rest, TOPIC_PARTITIONS_MAX as usize, "number of partitions")?;
    let created_at = rest.try_get_i64_le().map_err(|_| "time of creation")?;
    let created_in = get_u64(rest, "run of creation")?;
    let overrides = read_settings(rest, ConfigKind::Topic)?;
    let config = TopicConfig::in_force(&overrides, &BrokerOverrides::default());
    if partitions == 0 {
        return Err("number of partitions");
    }
    Ok(Topic {
        id,
        name,
        partitions,
        overrides,
        config,
        created_at: TimestampMs::new(created_at),
        created_in: Run::new(created_in),
    })
}

fn get_u64(rest: &mut &[u8], what: &'static str) -> Field<u64> {
    rest.try_get_u64_le().map_err(|_| what)
}

fn get_count(rest: &mut &[u8], most: usize, what: &'static str) -> Field<u32> {
    let count = rest.try_get_u32_le().map_err(|_| what)?;
    if count as usize <= most { Ok(count) } else { Err(what) }
}

fn get_id(rest: &mut &[u8]) -> Field<TopicId> {
    let bytes = rest.split_off(..16).and_then(<[u8]>::first_chunk::<16>).ok_or("topic id")?;
    let id = TopicId::new(*bytes);
    if id == TopicId::ZERO { Err("topic id") } else { Ok(id) }
}

fn get_text<'a>(rest: &mut &'a [u8], what: &'static str) -> Field<&'a str> {
    let bytes = rest.try_get_u16_le().map_err(|_| what)?;
    let text = rest.split_off(..usize::from(bytes)).ok_or(what)?;
    std::str::from_utf8(text).map_err(|_| what)
}

fn get_name(rest: &mut &[u8]) -> Field<TopicName> {
    TopicName::new(get_text(rest, "topic name")?).map_err(|_| "topic name")
}
