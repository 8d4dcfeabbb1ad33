//! From a shard's answers to the native wire's and from its requests to a shard's: one function each way,
//! nothing is decided here.

use std::time::Duration;

use kolk_metric::requests::Call;
use kolk_metric::shard::{MetricsSnapshot, Value};
use kolk_model::error::ErrorCode;
use kolk_model::ids::ShardId;
use kolk_model::limits::FETCH_WAIT_MS_MAX;
use kolk_native::reply;
use kolk_native::request::{self, CallKind};
use kolk_shard::request as shard;

/// The counter of a call.
pub(crate) const fn call(kind: CallKind) -> Call {
    match kind {
        CallKind::Hello => Call::Hello,
        CallKind::InitProducer => Call::InitProducer,
        CallKind::Metadata => Call::Metadata,
        CallKind::CreateTopic => Call::CreateTopic,
        CallKind::DeleteTopic => Call::DeleteTopic,
        CallKind::AlterTopic => Call::AlterTopic,
        CallKind::AddPartitions => Call::AddPartitions,
        CallKind::DescribeTopic => Call::DescribeTopic,
        CallKind::Trim => Call::Trim,
        CallKind::Produce => Call::Produce,
        CallKind::Fetch => Call::Fetch,
        CallKind::ListOffsets => Call::ListOffsets,
        CallKind::FindGroup => Call::FindCoordinator,
        CallKind::JoinGroup
        | CallKind::SyncGroup
        | CallKind::GroupHeartbeat
        | CallKind::LeaveGroup => Call::Group,
        CallKind::CommitOffsets => Call::CommitOffsets,
        CallKind::FetchOffsets => Call::FetchOffsets,
        CallKind::ListGroups | CallKind::DescribeGroup | CallKind::DeleteGroup => Call::Admin,
        _ => Call::Stats,
    }
}

pub(crate) fn refusal(refusal: shard::Refusal) -> reply::Refusal {
    reply::Refusal { code: refusal.code, detail: refusal.detail }
}

pub(crate) fn produced(
    result: Result<shard::Produced, shard::Refusal>,
) -> Result<reply::Produced, reply::ProduceRefusal> {
    match result {
        Ok(produced) => Ok(reply::Produced {
            base_offset: produced.base_offset,
            next_offset: produced.next_offset,
            log_start: produced.log_start,
            append_time_ns: produced.append_time.as_ns(),
            duplicate: produced.duplicate,
        }),
        Err(shard::Refusal { code, detail, end_offset, records: _ }) => {
            Err(reply::ProduceRefusal { code, detail, end_offset })
        }
    }
}

/// The fetch a shard is asked for, with the payload bytes it may bring.
pub(crate) fn fetch(fetch: &request::Fetch, bytes_granted: usize) -> shard::FetchOp {
    let slots = fetch.partitions.iter().map(|part| shard::FetchSlot {
        partition: part.id,
        offset: part.offset,
        bytes_max: u64::from(part.bytes_max),
    });
    shard::FetchOp {
        slots: slots.collect(),
        bytes_min: u64::from(fetch.bytes_min),
        bytes_max: u64::try_from(bytes_granted).unwrap_or(u64::MAX),
        wait_max: Duration::from_millis(u64::from(fetch.wait_ms_max.min(FETCH_WAIT_MS_MAX))),
    }
}

pub(crate) fn fetched(slot: shard::FetchedSlot) -> reply::FetchedPartition {
    let marks = slot.marks;
    reply::FetchedPartition {
        batches: slot.result.map_err(refusal),
        high_watermark: marks.map(|marks| marks.high_watermark),
        log_start: marks.map(|marks| marks.log_start),
        log_end: marks.map(|marks| marks.log_end),
    }
}

/// The answer to every partition of a fetch that the broker's stop cut short.
pub(crate) fn fetch_cut_short(partitions: usize) -> Vec<reply::FetchedPartition> {
    let part = reply::FetchedPartition {
        batches: Err(reply::Refusal::new(ErrorCode::ShuttingDown, "the broker is stopping")),
        high_watermark: None,
        log_start: None,
        log_end: None,
    };
    vec![part; partitions]
}

pub(crate) const fn place(place: request::OffsetPlace) -> shard::OffsetPlace {
    match place {
        request::OffsetPlace::Beginning => shard::OffsetPlace::Beginning,
        request::OffsetPlace::End => shard::OffsetPlace::End,
        request::OffsetPlace::At(timestamp) => shard::OffsetPlace::Timestamp(timestamp),
    }
}

pub(crate) const fn listed(listed: shard::ListedOffset) -> reply::ListedOffset {
    reply::ListedOffset {
        offset: listed.offset,
        timestamp: listed.timestamp,
        leader_epoch: listed.leader_epoch,
    }
}

pub(crate) fn described(topic: shard::TopicDescription) -> reply::DescribeTopicReply {
    let settings = topic.settings.into_iter().map(|entry| reply::SettingDescription {
        name: entry.name.to_owned(),
        is_default: entry.is_default(),
        value: entry.value,
        doc: entry.doc.to_owned(),
    });
    let partitions = topic.partitions.iter().map(|state| reply::PartitionDescription {
        error: state.refusal.as_ref().map_or(ErrorCode::None, |refusal| refusal.code),
        shard: state.shard,
        leader_epoch: state.leader_epoch,
        log_start: state.marks.map(|marks| marks.log_start),
        high_watermark: state.marks.map(|marks| marks.high_watermark),
        log_end: state.marks.map(|marks| marks.log_end),
        size_bytes: state.size_bytes,
    });
    reply::DescribeTopicReply {
        settings: settings.collect(),
        partitions: partitions.collect(),
        id: topic.id,
        name: topic.name,
    }
}

/// Every counter and gauge, and of each distribution its count, median, 99th percentile and maximum, in
/// seconds where they are durations.
pub(crate) fn stats(snapshots: &[MetricsSnapshot]) -> Vec<reply::Stat> {
    let mut stats = Vec::new();
    for snapshot in snapshots {
        let shard = Some(ShardId::new(snapshot.shard()));
        for (family, _, label, value) in snapshot.series() {
            let name = match label {
                Some(label) => format!("{family}{{{}=\"{}\"}}", label.key, label.value),
                None => family.to_owned(),
            };
            let mut push =
                |name: String, value: f64| stats.push(reply::Stat { name, shard, value });
            match value {
                Value::Counter(value) | Value::Gauge(value) => push(name, as_float(*value)),
                Value::Histogram(reading) if reading.count == 0 => {}
                Value::Histogram(reading) => {
                    let unit = reading.unit.exported_per_kept();
                    push(format!("{name}:count"), as_float(reading.count));
                    push(format!("{name}:p50"), as_float(reading.p50) * unit);
                    push(format!("{name}:p99"), as_float(reading.p99) * unit);
                    push(format!("{name}:max"), as_float(reading.max) * unit);
                }
            }
        }
    }
    stats
}

/// Exact up to 2^53; a counter beyond loses its last digits on this wire.
#[expect(clippy::cast_precision_loss, reason = "the wire carries figures as f64")]
const fn as_float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use kolk_metric::shard::ShardMetrics;

    #[test]
    fn every_call_has_a_counter_and_only_those_of_groups_share_one() {
        let shared = [Call::FindCoordinator, Call::Group, Call::Admin].map(Call::name);
        let mut names = BTreeSet::new();
        for kind in CallKind::ALL {
            let name = call(kind).name();
            if !shared.contains(&name) {
                assert_eq!(name, kind.name());
                assert!(names.insert(name), "{name} counts two calls");
            }
        }
        assert_eq!(names.len(), CallKind::ALL.len() - 8);
    }

    #[test]
    fn a_long_wait_is_shortened() {
        let asked = request::Fetch {
            wait_ms_max: u32::MAX,
            bytes_min: 1,
            bytes_max: 9,
            partitions: vec![],
        };
        let op = fetch(&asked, 7);
        assert_eq!(op.wait_max, Duration::from_millis(u64::from(FETCH_WAIT_MS_MAX)));
        assert_eq!(op.bytes_max, 7);
    }

    #[test]
    fn stats_name_series_as_the_metrics_do() {
        let metrics = ShardMetrics::new(2);
        metrics.copies.tail.add(5);
        metrics.journal.fdatasync_ns.record_ns(2_000_000);
        let stats = stats(&[metrics.snapshot()]);
        let find = |name: &str| stats.iter().find(|stat| stat.name == name).map(|stat| stat.value);
        assert_eq!(find("kolk_payload_copy_bytes_total{site=\"tail\"}"), Some(5.0));
        assert_eq!(find("kolk_journal_fdatasync_seconds:count"), Some(1.0));
        let p50 = find("kolk_journal_fdatasync_seconds:p50").unwrap();
        assert!((p50 - 0.002).abs() < 0.000_05, "{p50}");
        assert_eq!(find("kolk_journal_write_seconds:count"), None);
        assert!(stats.iter().all(|stat| stat.shard == Some(ShardId::new(2))));
    }
}
