//! Prometheus text exposition (format 0.0.4) of the snapshots of all shards.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::instrument::{HistogramReading, Unit};
use crate::shard::{Label, MetricsSnapshot, Value};

/// The content type of what [`render`] returns.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Partitions that get series of their own; the rest are only counted, so that a scrape stays bounded.
pub const PARTITION_SERIES_MAX: usize = 2_000;

/// What is shown of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSeries {
    /// The topic's name.
    pub topic: String,
    /// The partition's number.
    pub partition: u32,
    /// The owning shard.
    pub shard: u16,
    /// Lowest offset that can be fetched.
    pub log_start_offset: u64,
    /// Offset the next record gets.
    pub log_end_offset: u64,
    /// Offset below which records can be fetched.
    pub high_watermark: u64,
    /// Bytes of the log's batches.
    pub log_bytes: u64,
    /// 1 when the partition is offline, else 0.
    pub offline: u64,
}

/// A column of the partition series: family, help line, kind, value.
type Column = (&'static str, &'static str, &'static str, fn(&PartitionSeries) -> u64);

const COLUMNS: [Column; 5] = [
    ("kolk_log_start_offset", "Lowest offset that can be fetched.", "gauge", |row| {
        row.log_start_offset
    }),
    ("kolk_log_end_offset", "Offset the next record gets.", "gauge", |row| row.log_end_offset),
    ("kolk_high_watermark", "Offset below which records can be fetched.", "gauge", |row| {
        row.high_watermark
    }),
    ("kolk_log_bytes", "Bytes of the log's record batches.", "gauge", |row| row.log_bytes),
    ("kolk_partition_offline", "1 when the partition is offline, else 0.", "gauge", |row| {
        row.offline
    }),
];

/// Renders all shards' readings and the partitions' rows as Prometheus text.
///
/// Families come in alphabetic order, each with its HELP and TYPE line once. At most
/// [`PARTITION_SERIES_MAX`] rows are shown, the first ones; `kolk_partition_series_omitted` counts
/// the rest.
#[must_use]
pub fn render(shards: &[MetricsSnapshot], partitions: &[PartitionSeries]) -> String {
    let mut families: BTreeMap<&str, Family<'_>> = BTreeMap::new();
    for snapshot in shards {
        for (name, help, label, value) in snapshot.series() {
            let family = families.entry(name).or_insert(Family { help, series: Vec::new() });
            family.series.push((snapshot.shard(), label, value));
        }
    }
    let mut text = String::with_capacity(64 << 10);
    for (name, family) in &families {
        family.render(name, &mut text);
    }
    render_partitions(partitions, &mut text);
    text
}

/// The series of one name, all shards.
struct Family<'a> {
    help: &'static str,
    series: Vec<(u16, Option<Label>, &'a Value)>,
}

impl Family<'_> {
    fn render(&self, name: &str, text: &mut String) {
        let kind = match self.series.first() {
            Some((_, _, Value::Counter(_))) => "counter",
            Some((_, _, Value::Gauge(_))) => "gauge",
            Some((_, _, Value::Histogram(_))) => "histogram",
            None => return,
        };
        render_head(name, self.help, kind, text);
        for (shard, label, value) in &self.series {
            let labels = labels(*shard, *label);
            match value {
                Value::Counter(value) | Value::Gauge(value) => {
                    line(text, format_args!("{name}{{{labels}}} {value}"));
                }
                Value::Histogram(reading) => render_histogram(name, &labels, reading, text),
            }
        }
    }
}

fn render_partitions(partitions: &[PartitionSeries], text: &mut String) {
    let shown = partitions.get(..PARTITION_SERIES_MAX).unwrap_or(partitions);
    for (name, help, kind, value) in COLUMNS {
        render_head(name, help, kind, text);
        for row in shown {
            let topic = escape(&row.topic);
            line(
                text,
                format_args!(
                    "{name}{{topic=\"{topic}\",partition=\"{}\",shard=\"{}\"}} {}",
                    row.partition,
                    row.shard,
                    value(row)
                ),
            );
        }
    }
    let omitted = partitions.len() - shown.len();
    render_head(
        "kolk_partition_series_omitted",
        "Partitions without series of their own, because there are too many.",
        "gauge",
        text,
    );
    line(text, format_args!("kolk_partition_series_omitted {omitted}"));
}

/// A distribution nobody fed shows only its +Inf bucket, its sum and its count.
fn render_histogram(name: &str, labels: &str, reading: &HistogramReading, text: &mut String) {
    for (bound, count) in reading.unit.bucket_bounds().iter().zip(&reading.buckets) {
        let bound = exported(*bound, reading.unit);
        line(text, format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {count}"));
    }
    let HistogramReading { count, sum, .. } = reading;
    line(text, format_args!("{name}_bucket{{{labels},le=\"+Inf\"}} {count}"));
    line(text, format_args!("{name}_sum{{{labels}}} {}", exported(*sum, reading.unit)));
    line(text, format_args!("{name}_count{{{labels}}} {count}"));
}

fn render_head(name: &str, help: &str, kind: &str, text: &mut String) {
    // The doc comments the help lines come from begin with a space.
    line(text, format_args!("# HELP {name} {}", help.trim()));
    line(text, format_args!("# TYPE {name} {kind}"));
}

fn labels(shard: u16, label: Option<Label>) -> String {
    match label {
        Some(Label { key, value }) => format!("shard=\"{shard}\",{key}=\"{value}\""),
        None => format!("shard=\"{shard}\""),
    }
}

/// A kept value in the exported unit: microseconds become seconds, without a detour over floats.
fn exported(value: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes | Unit::Count => value.to_string(),
        Unit::Latency => {
            let digits = format!("{}.{:06}", value / 1_000_000, value % 1_000_000);
            digits.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// A label value with backslash, quote and line feed escaped, as the format asks.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    let written = text.write_fmt(line);
    debug_assert!(written.is_ok());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::ShardMetrics;

    fn row(topic: &str, partition: u32) -> PartitionSeries {
        PartitionSeries {
            topic: topic.to_owned(),
            partition,
            shard: 1,
            log_start_offset: 2,
            log_end_offset: 30,
            high_watermark: 29,
            log_bytes: 4_096,
            offline: 0,
        }
    }

    #[test]
    fn latencies_are_exported_in_seconds() {
        let cases =
            [(0, "0"), (1, "0.000001"), (50, "0.00005"), (2_500_000, "2.5"), (10_000_000, "10")];
        for (kept, expected) in cases {
            assert_eq!(exported(kept, Unit::Latency), expected);
        }
        assert_eq!(exported(10, Unit::Bytes), "10");
    }

    #[test]
    fn every_family_has_one_head_and_stands_together() {
        let shards = [ShardMetrics::new(0).snapshot(), ShardMetrics::new(1).snapshot()];
        let text = render(&shards, &[row("web", 0)]);
        let mut seen = Vec::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                current = rest.split(' ').next().unwrap().to_owned();
                assert!(!seen.contains(&current), "{current} twice");
                seen.push(current.clone());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                assert_eq!(rest.split(' ').next().unwrap(), current);
            } else {
                assert!(line.starts_with(&current), "{line} is not of {current}");
                let value = line.rsplit(' ').next().unwrap();
                assert!(value.parse::<f64>().is_ok(), "{line}");
            }
        }
        assert!(seen.len() > 40, "{} families", seen.len());
    }

    #[test]
    fn histogram_is_cumulative_and_ends_in_infinity() {
        let metrics = ShardMetrics::new(2);
        metrics.journal.fdatasync_ns.record_ns(90_000);
        metrics.journal.fdatasync_ns.record_ns(30_000_000_000);
        let text = render(&[metrics.snapshot()], &[]);
        for expected in [
            "# TYPE kolk_journal_fdatasync_seconds histogram\n",
            "kolk_journal_fdatasync_seconds_bucket{shard=\"2\",le=\"0.00005\"} 0\n",
            "kolk_journal_fdatasync_seconds_bucket{shard=\"2\",le=\"0.0001\"} 1\n",
            "kolk_journal_fdatasync_seconds_bucket{shard=\"2\",le=\"10\"} 1\n",
            "kolk_journal_fdatasync_seconds_bucket{shard=\"2\",le=\"+Inf\"} 2\n",
            "kolk_journal_fdatasync_seconds_sum{shard=\"2\"} 30.00009\n",
            "kolk_journal_fdatasync_seconds_count{shard=\"2\"} 2\n",
        ] {
            assert!(text.contains(expected), "{expected} is missing");
        }
    }

    #[test]
    fn labelled_counters_carry_shard_and_label() {
        let metrics = ShardMetrics::new(0);
        metrics.copies.tail.add(11);
        let text = render(&[metrics.snapshot()], &[]);
        assert!(text.contains("kolk_payload_copy_bytes_total{shard=\"0\",site=\"tail\"} 11\n"));
    }

    #[test]
    fn partitions_show_their_offsets() {
        let text = render(&[], &[row("web", 7)]);
        assert!(
            text.contains("kolk_log_end_offset{topic=\"web\",partition=\"7\",shard=\"1\"} 30\n")
        );
        assert!(text.contains("kolk_partition_series_omitted 0\n"));
    }

    #[test]
    fn partitions_beyond_the_limit_are_only_counted() {
        let rows: Vec<_> =
            (0..).take(PARTITION_SERIES_MAX + 3).map(|partition| row("web", partition)).collect();
        let text = render(&[], &rows);
        assert!(text.contains("kolk_partition_series_omitted 3\n"));
        let shown = text.lines().filter(|line| line.starts_with("kolk_log_bytes{")).count();
        assert_eq!(shown, PARTITION_SERIES_MAX);
    }

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(escape("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
    }
}
