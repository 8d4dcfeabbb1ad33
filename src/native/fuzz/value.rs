//! Random requests and replies. Apart because it is long and dull.

mod group;

use bytes::Bytes;
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::durability::AckLevel;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{
    LeaderEpoch, NodeId, PartitionId, ProducerEpoch, ProducerId, ShardId, TopicId, TopicName,
    TopicPartition,
};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::reply::{
    AssignedProducer, CreateTopicReply, DescribeTopicReply, Door, FetchReply, FetchedPartition,
    HelloReply, ListOffsetsReply, ListedOffset, MetadataReply, PartitionDescription,
    PartitionOwner, ProduceRefusal, ProduceReply, Produced, Refusal, Reply, SettingDescription,
    Stat, StatsReply, TopicMetadata, TopicPlaces, TrimReply,
};
use crate::request::{
    AddPartitions, AlterTopic, CreateTopic, Fetch, FetchPartition, Hello, ListOffsets,
    MetadataQuery, OffsetPlace, OffsetQuery, Produce, ProducePartition, Request, Trim,
    TrimPartition,
};

/// SplitMix64 (Steele, Lea and Flood 2014): one number a case makes a failure repeatable.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.roll() % bound.max(1) as u64).unwrap()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[0]
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 0
    }

    /// Often small, sometimes huge.
    fn u32(&mut self) -> u32 {
        let wide = u32::try_from(self.roll() >> 32).unwrap();
        if self.flag() { wide % 8 } else { wide }
    }

    fn u16(&mut self) -> u16 {
        u16::try_from(self.roll() >> 48).unwrap()
    }

    fn text(&mut self) -> String {
        (0..self.below(20)).map(|_| char::from(b'a' + self.byte() % 26)).collect()
    }

    fn name(&mut self) -> TopicName {
        TopicName::new(&format!("t{}", self.text())).unwrap()
    }

    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(6)).map(|_| one(self)).collect()
    }

    fn maybe<T>(&mut self, one: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.flag() { Some(one(self)) } else { None }
    }

    fn offset(&mut self) -> Offset {
        Offset::new(self.roll() >> (1 + self.below(60)))
    }

    fn topic(&mut self) -> TopicId {
        TopicId::from_random(self.roll(), self.roll())
    }

    fn partition(&mut self) -> TopicPartition {
        TopicPartition::new(self.topic(), PartitionId::new(self.u32()))
    }

    fn batches(&mut self) -> Bytes {
        let mut bytes = Vec::new();
        for _ in 0..=self.below(3) {
            let mut builder = BatchBuilder::new();
            let value = vec![self.byte(); self.below(200)];
            builder.append(TimestampMs::new(1), None, Some(&value), &[]).unwrap();
            let codec = Compression::ALL[self.below(5)];
            bytes.extend_from_slice(&builder.build(codec).unwrap());
        }
        Bytes::from(bytes)
    }

    /// Flips, cuts, doubles: what a bad line or a bad peer does.
    pub(super) fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let place = self.below(bytes.len());
            match self.below(5) {
                0 => bytes.insert(place, self.byte()),
                1 if !bytes.is_empty() => bytes[place] ^= 1 << self.below(8),
                2 if !bytes.is_empty() => bytes[place] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                3 if place + 4 <= bytes.len() => {
                    let number = [0, 1, 4, 0x7fff_ffff, 0x8000_0000, u32::MAX][self.below(6)];
                    bytes[place..place + 4].copy_from_slice(&number.to_le_bytes());
                }
                _ => {
                    bytes.remove(place);
                }
            }
        }
        // Mostly keep the frame's length true, so that the header is looked at.
        if self.below(8) != 0 && bytes.len() > 8 {
            let length = u32::try_from(bytes.len() - 4).unwrap();
            bytes[..4].copy_from_slice(&length.to_le_bytes());
        }
    }

    pub(super) fn request(&mut self) -> Request {
        match self.below(18) {
            0 => Request::Hello(Hello {
                protocol_version: self.u16(),
                features: self.roll(),
                client_id: self.text(),
                wants_producer_id: self.flag(),
            }),
            1 => Request::InitProducer,
            2 => Request::Metadata(MetadataQuery { topics: self.maybe(|d| d.many(Self::name)) }),
            3 => Request::CreateTopic(CreateTopic {
                name: self.name(),
                partitions: self.maybe(|d| d.u32().max(1)),
                settings: self.many(|d| (d.text(), d.text())),
                validate_only: self.flag(),
            }),
            4 => Request::DeleteTopic(self.name()),
            5 => Request::AlterTopic(AlterTopic {
                name: self.name(),
                set: self.many(|d| (d.text(), d.text())),
                reset: self.many(Self::text),
            }),
            6 => {
                let (name, partitions) = (self.name(), self.u32());
                Request::AddPartitions(AddPartitions { name, partitions })
            }
            7 => Request::DescribeTopic(self.name()),
            8 => Request::Trim(Trim {
                name: self.name(),
                partitions: self.many(|d| TrimPartition {
                    partition: PartitionId::new(d.u32()),
                    before: d.maybe(Self::offset),
                }),
            }),
            9 => {
                let count = self.below(6);
                self.request_with_partitions(count)
            }
            10 => Request::Fetch(Fetch {
                wait_ms_max: self.u32(),
                bytes_min: self.u32(),
                bytes_max: self.u32(),
                partitions: self.many(|d| FetchPartition {
                    id: d.partition(),
                    offset: d.offset(),
                    bytes_max: d.u32(),
                }),
            }),
            11 => Request::ListOffsets(ListOffsets {
                queries: self.many(|d| {
                    let at = OffsetPlace::At(TimestampMs::new(d.roll().cast_signed()));
                    let place = [OffsetPlace::Beginning, OffsetPlace::End, at][d.below(3)];
                    OffsetQuery { id: d.partition(), place }
                }),
            }),
            12 => Request::Stats,
            _ => Request::Group(self.group_call()),
        }
    }

    pub(super) fn request_with_partitions(&mut self, count: usize) -> Request {
        use AckLevel::{None, PowerLoss, ProcessCrash, Topic};
        Request::Produce(Produce {
            durability: [None, ProcessCrash, PowerLoss, Topic][self.below(4)],
            partitions: (0..count)
                .map(|_| ProducePartition {
                    id: self.partition(),
                    batches: self.batches(),
                    expected_next_offset: self.maybe(Self::offset),
                })
                .collect(),
        })
    }

    fn code(&mut self) -> ErrorCode {
        let codes: Vec<_> = ErrorCode::ALL.iter().filter(|code| !code.is_ok()).collect();
        *codes[self.below(codes.len())]
    }

    fn refusal(&mut self) -> Refusal {
        Refusal { code: self.code(), detail: self.text() }
    }

    fn outcome<T>(&mut self, one: impl FnOnce(&mut Self) -> T) -> Result<T, Refusal> {
        if self.flag() { Ok(one(self)) } else { Err(self.refusal()) }
    }

    fn producer(&mut self) -> AssignedProducer {
        AssignedProducer {
            id: ProducerId::new(self.roll() >> 1),
            epoch: ProducerEpoch::new(self.u16() >> 1),
        }
    }

    fn epoch(&mut self) -> LeaderEpoch {
        LeaderEpoch::new(self.u32() >> 1)
    }

    pub(super) fn reply(&mut self) -> Reply {
        match self.below(19) {
            0 => Reply::Refused(self.refusal()),
            1 => Reply::Hello(HelloReply {
                protocol_version: self.u16(),
                features: self.roll(),
                broker_version: self.text(),
                cluster_id: self.text(),
                node: NodeId::new(self.u32()),
                shard: ShardId::new(self.u16()),
                frame_bytes_max: self.u32(),
                producer: self.maybe(Self::producer),
            }),
            2 => Reply::InitProducer(self.producer()),
            3 => self.metadata(),
            4 => {
                let (id, partitions) = (self.topic(), self.u32());
                Reply::CreateTopic(CreateTopicReply { id, partitions })
            }
            5 => Reply::DeleteTopic,
            6 => Reply::AlterTopic,
            7 => Reply::AddPartitions,
            8 => self.description(),
            9 => Reply::Trim(TrimReply { partitions: self.many(|d| d.outcome(Self::offset)) }),
            10 => Reply::Produce(ProduceReply { partitions: self.many(Self::produced) }),
            11 => Reply::Fetch(FetchReply { partitions: self.many(Self::fetched) }),
            12 => Reply::ListOffsets(ListOffsetsReply {
                partitions: self.many(|d| {
                    d.outcome(|d| ListedOffset {
                        offset: d.maybe(Self::offset),
                        timestamp: d.maybe(|d| TimestampMs::new(d.roll().cast_signed() | 2)),
                        leader_epoch: d.maybe(Self::epoch),
                    })
                }),
            }),
            13..18 => Reply::Group(self.group_reply()),
            _ => Reply::Stats(StatsReply {
                broker_version: self.text(),
                uptime_ms: self.roll(),
                shards: self.u32(),
                stats: self.many(|d| Stat {
                    name: d.text(),
                    shard: d.maybe(|d| ShardId::new(d.u16())),
                    value: f64::from(d.u32()),
                }),
            }),
        }
    }

    fn metadata(&mut self) -> Reply {
        let mut doors = self.many(|d| Door {
            node: NodeId::new(d.u32()),
            shard: ShardId::new(d.u16()),
            host: d.text(),
            port: d.u16(),
        });
        doors.push(Door {
            node: NodeId::new(0),
            shard: ShardId::new(0),
            host: "localhost".to_owned(),
            port: 28640,
        });
        let door = |d: &mut Self| u16::try_from(d.below(doors.len())).unwrap();
        let topics = self.many(|d| TopicMetadata {
            name: d.name(),
            outcome: match d.maybe(Self::code) {
                Some(code) => Err(code),
                None => Ok(TopicPlaces {
                    id: d.topic(),
                    partitions: d.many(|d| PartitionOwner {
                        door: door(d),
                        leader_epoch: LeaderEpoch::new(d.u32()),
                        error: d.maybe(Self::code).unwrap_or(ErrorCode::None),
                    }),
                }),
            },
        });
        let (cluster_id, controller_door) = (self.text(), door(self));
        Reply::Metadata(MetadataReply { cluster_id, controller_door, doors, topics })
    }

    fn description(&mut self) -> Reply {
        Reply::DescribeTopic(DescribeTopicReply {
            name: self.name(),
            id: self.topic(),
            settings: self.many(|d| SettingDescription {
                name: d.text(),
                value: d.text(),
                is_default: d.flag(),
                doc: d.text(),
            }),
            partitions: self.many(|d| PartitionDescription {
                error: d.maybe(Self::code).unwrap_or(ErrorCode::None),
                shard: ShardId::new(d.u16()),
                leader_epoch: d.epoch(),
                log_start: d.maybe(Self::offset),
                high_watermark: d.maybe(Self::offset),
                log_end: d.maybe(Self::offset),
                size_bytes: d.roll(),
            }),
        })
    }

    fn produced(&mut self) -> Result<Produced, ProduceRefusal> {
        if self.flag() {
            return Ok(Produced {
                base_offset: self.offset(),
                next_offset: self.offset(),
                log_start: self.offset(),
                append_time_ns: self.roll(),
                duplicate: self.flag(),
            });
        }
        Err(ProduceRefusal {
            code: self.code(),
            detail: self.text(),
            end_offset: self.maybe(Self::offset),
        })
    }

    fn fetched(&mut self) -> FetchedPartition {
        FetchedPartition {
            batches: self.outcome(|d| d.many(Self::batches)),
            high_watermark: self.maybe(Self::offset),
            log_start: self.maybe(Self::offset),
            log_end: self.maybe(Self::offset),
        }
    }
}
