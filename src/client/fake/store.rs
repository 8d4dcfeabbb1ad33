//! The fake broker's topics and logs, with the idempotence rules of the real one. Apart because it knows
//! nothing of connections.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use kolk_model::batch::{self, BatchView, stamp_head};
use kolk_model::error::ErrorCode;
use kolk_model::ids::{LeaderEpoch, ProducerId, Sequence, TopicId, TopicName, TopicPartition};
use kolk_model::map::Map;
use kolk_model::offset::Offset;
use kolk_model::records::Records;
use kolk_native::reply::{
    FetchReply, FetchedPartition, ListedOffset, ProduceRefusal, Produced, Refusal,
};
use kolk_native::request::{
    Fetch, FetchPartition, OffsetPlace, OffsetQuery, ProducePartition, Trim,
};

/// Batches of an idempotent producer that are remembered.
const WINDOW: usize = 5;

/// Every topic.
#[derive(Default)]
pub(crate) struct Store {
    pub(crate) topics: Map<TopicName, Topic>,
    next_topic: u8,
}

/// A topic.
pub(crate) struct Topic {
    pub(crate) id: TopicId,
    pub(crate) partitions: Vec<Log>,
}

/// A partition.
pub(crate) struct Log {
    pub(crate) door: usize,
    /// Why its offsets are not told.
    pub(crate) unusable: Option<ErrorCode>,
    pub(crate) batches: Vec<Bytes>,
    pub(crate) start: Offset,
    end: Offset,
    producers: Map<ProducerId, VecDeque<(Sequence, u32, Offset)>>,
}

fn refusal(code: ErrorCode) -> ProduceRefusal {
    ProduceRefusal { code, detail: String::new(), end_offset: None }
}

impl Store {
    pub(crate) fn create(
        &mut self,
        name: &TopicName,
        partitions: usize,
        doors: usize,
    ) -> Option<TopicId> {
        if self.topics.contains_key(name) {
            return None;
        }
        self.next_topic += 1;
        let id = TopicId::new([self.next_topic; 16]);
        let log = |number| Log {
            door: number % doors,
            unusable: None,
            batches: Vec::new(),
            start: Offset::ZERO,
            end: Offset::ZERO,
            producers: Map::new(),
        };
        let partitions = (0..partitions).map(log).collect();
        self.topics.insert(name.clone(), Topic { id, partitions });
        Some(id)
    }

    pub(crate) fn delete(&mut self, name: &TopicName) -> bool {
        self.topics.remove(name).is_some()
    }

    pub(crate) fn log(&mut self, topic: &str, partition: usize) -> &mut Log {
        &mut self.topics.get_mut(topic).unwrap().partitions[partition]
    }

    fn find(&mut self, id: TopicPartition) -> Option<&mut Log> {
        let topic = self.topics.values_mut().find(|topic| topic.id == id.topic)?;
        topic.partitions.get_mut(id.partition.get() as usize)
    }

    pub(crate) fn append(
        &mut self,
        door: usize,
        one: &ProducePartition,
    ) -> Result<Produced, ProduceRefusal> {
        let log = self.find(one.id).ok_or_else(|| refusal(ErrorCode::UnknownTopicId))?;
        if log.door != door {
            return Err(refusal(ErrorCode::NotLeaderOrFollower));
        }
        if let Some(expected) = one.expected_next_offset.filter(|expected| *expected != log.end) {
            let end_offset = Some(log.end);
            assert_ne!(Some(expected), end_offset);
            return Err(ProduceRefusal { end_offset, ..refusal(ErrorCode::WrongNextOffset) });
        }
        let (view, whole) =
            BatchView::parse(&one.batches).map_err(|_| refusal(ErrorCode::InvalidRecord))?;
        assert_eq!(whole, one.batches.len(), "the client sends a batch a part");
        if view.verify_crc().is_err() {
            return Err(refusal(ErrorCode::CorruptMessage));
        }
        if view.verify_records(1 << 26).is_err() {
            return Err(refusal(ErrorCode::InvalidRecord));
        }
        log.append(&view)
    }

    pub(crate) fn fetch(&mut self, door: usize, fetch: &Fetch) -> (FetchReply, usize) {
        let mut bytes = 0;
        let partitions = fetch.partitions.iter().map(|one| {
            let Some(log) = self.find(one.id) else {
                return refused(ErrorCode::UnknownTopicId);
            };
            if log.door != door {
                return refused(ErrorCode::NotLeaderOrFollower);
            }
            let fetched = log.fetch(one);
            bytes += fetched.batches.iter().flatten().map(Bytes::len).sum::<usize>();
            fetched
        });
        let partitions = partitions.collect();
        (FetchReply { partitions }, bytes)
    }

    pub(crate) fn list(&mut self, query: &OffsetQuery) -> Result<ListedOffset, Refusal> {
        let gone = || Refusal::new(ErrorCode::UnknownTopicId, "");
        let log = self.find(query.id).ok_or_else(gone)?;
        if let Some(code) = log.unusable {
            return Err(Refusal::new(code, ""));
        }
        let at = |offset| ListedOffset { offset, timestamp: None, leader_epoch: None };
        Ok(match query.place {
            OffsetPlace::Beginning => at(Some(log.start)),
            OffsetPlace::End => at(Some(log.end)),
            OffsetPlace::At(time) => {
                let records = log.records();
                let found = records.into_iter().find(|(_, timestamp, _)| *timestamp >= time.get());
                at(found.map(|(offset, _, _)| offset))
            }
        })
    }

    pub(crate) fn trim(&mut self, trim: &Trim) -> Vec<Result<Offset, Refusal>> {
        let gone = || Refusal::new(ErrorCode::UnknownTopicOrPartition, "");
        let one = |one: &kolk_native::request::TrimPartition| {
            let topic = self.topics.get_mut(&trim.name).ok_or_else(gone)?;
            let log = topic.partitions.get_mut(one.partition.get() as usize).ok_or_else(gone)?;
            log.start = one.before.unwrap_or(log.end).max(log.start);
            Ok(log.start)
        };
        trim.partitions.iter().map(one).collect()
    }
}

impl Log {
    fn append(&mut self, view: &BatchView<'_>) -> Result<Produced, ProduceRefusal> {
        let count = view.record_count();
        if let (Some(id), Some(sequence)) = (view.producer_id(), view.base_sequence()) {
            let window = self.producers.entry(id).or_default();
            if let Some(known) = window.iter().find(|known| known.0 == sequence) {
                assert_eq!(known.1, count, "a sequence stands for one batch");
                return Ok(produced(known.2, count, self.start, true));
            }
            let expected = window.back().map(|(last, count, _)| last.advance(*count));
            match expected {
                Some(expected) if expected != sequence => {
                    return Err(refusal(ErrorCode::OutOfOrderSequence));
                }
                None if sequence != Sequence::new(0) => {
                    return Err(refusal(ErrorCode::UnknownProducerId));
                }
                _ => {}
            }
            window.push_back((sequence, count, self.end));
            if window.len() > WINDOW {
                window.pop_front();
            }
        }
        let base = self.end;
        let mut bytes = BytesMut::from(view.as_bytes());
        let head = stamp_head(view, base, LeaderEpoch::new(0));
        bytes[..head.len()].copy_from_slice(&head);
        self.batches.push(bytes.freeze());
        self.end = base + u64::from(count);
        Ok(produced(base, count, self.start, false))
    }

    fn fetch(&self, one: &FetchPartition) -> FetchedPartition {
        let (start, end) = (Some(self.start), Some(self.end));
        if one.offset < self.start || one.offset > self.end {
            let batches = Err(Refusal::new(ErrorCode::OffsetOutOfRange, ""));
            return FetchedPartition {
                batches,
                high_watermark: end,
                log_start: start,
                log_end: end,
            };
        }
        let mut left = one.bytes_max as usize;
        let mut slices: Vec<Bytes> = Vec::new();
        for batch in &self.batches {
            let (view, _) = BatchView::parse(batch).unwrap();
            if view.next_offset() <= one.offset {
                continue;
            }
            if !slices.is_empty() && batch.len() > left {
                break;
            }
            left = left.saturating_sub(batch.len());
            slices.push(batch.clone());
        }
        let batches = Ok(slices);
        FetchedPartition { batches, high_watermark: end, log_start: start, log_end: end }
    }

    /// Forgets what producers sent, as after a trim of the whole log.
    pub(crate) fn forget_producers(&mut self) {
        self.producers.clear();
    }

    /// Every record: offset, timestamp, value.
    pub(crate) fn records(&self) -> Vec<(Offset, i64, Vec<u8>)> {
        let mut records = Vec::new();
        for view in self.batches.iter().flat_map(|bytes| batch::batches(bytes)) {
            let view = view.unwrap();
            let plain = kolk_model::compression::decompress(&view, 1 << 26).unwrap();
            for record in Records::of_plain(&view, &plain) {
                let record = record.unwrap();
                let value = record.value.unwrap_or_default().to_vec();
                records.push((record.offset, record.timestamp.get(), value));
            }
        }
        records
    }

    pub(crate) fn values(&self) -> Vec<String> {
        let text = |(_, _, value): (_, _, Vec<u8>)| String::from_utf8(value).unwrap();
        self.records().into_iter().map(text).collect()
    }
}

fn produced(base_offset: Offset, count: u32, log_start: Offset, duplicate: bool) -> Produced {
    let next_offset = base_offset + u64::from(count);
    Produced { base_offset, next_offset, log_start, append_time_ns: 1, duplicate }
}

fn refused(code: ErrorCode) -> FetchedPartition {
    FetchedPartition {
        batches: Err(Refusal::new(code, "")),
        high_watermark: None,
        log_start: None,
        log_end: None,
    }
}
