//! A report and its batches as text for people.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use kolk_model::compression::{Compression, decompress};
use kolk_model::limits::BATCH_DECOMPRESSED_BYTES_MAX;
use kolk_model::records::{RecordView, Records};
use kolk_model::time::TimestampMs;

use crate::report::{Kind, PartitionReport, Report};
use crate::watch::FoundBatch;

/// Writes the report.
///
/// # Errors
/// When `out` does not take it.
pub fn report(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    heading(out, report)?;
    if !report.partitions.is_empty() {
        partitions(out, &report.partitions)?;
    }
    for warning in &report.warnings {
        writeln!(out, "note: {warning}")?;
    }
    for finding in &report.damage {
        write!(out, "DAMAGED {} at {}: ", finding.file, finding.position)?;
        match &finding.log {
            Some(log) => writeln!(out, "{log}: {}", finding.reason)?,
            None => writeln!(out, "{}", finding.reason)?,
        }
    }
    verdict(out, report)
}

fn heading(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    if let Some(catalogue) = &report.catalogue {
        let topics = catalogue.topics.len();
        let partitions: u64 = catalogue.topics.iter().map(|t| u64::from(t.partitions)).sum();
        let (cluster, run) = (&catalogue.cluster_id, catalogue.run);
        writeln!(out, "cluster {cluster}, run {run}: {topics} topics, {partitions} partitions")?;
    }
    let Some(journal) = &report.journal else { return Ok(()) };
    write!(out, "journal generation {}, {} shards", journal.generation, journal.shards)?;
    if report.kind == Kind::Current {
        return writeln!(out);
    }
    if journal.shards_stopped_cleanly == journal.shards {
        return writeln!(out, ", stopped cleanly");
    }
    let bytes = size(journal.payload_bytes);
    writeln!(
        out,
        ", not stopped cleanly: {} groups to replay ({} records, {bytes}), {} never acknowledged",
        journal.groups, journal.records, journal.torn_groups
    )
}

fn partitions(out: &mut dyn Write, partitions: &[PartitionReport]) -> io::Result<()> {
    let header = [
        "TOPIC",
        "PARTITION",
        "START",
        "END",
        "RECORDS",
        "BATCHES",
        "SEGMENTS",
        "BYTES",
        "EPOCH",
        "",
    ];
    let mut rows = vec![header.map(str::to_owned)];
    for partition in partitions {
        let epoch = partition.epochs.last().map_or_else(|| "-".to_owned(), |e| e.epoch.to_string());
        rows.push([
            if partition.topic.is_empty() { "-".to_owned() } else { partition.topic.clone() },
            partition.partition.to_string(),
            partition.log_start.to_string(),
            partition.log_end.to_string(),
            partition.records.to_string(),
            partition.batches.to_string(),
            partition.segments.len().to_string(),
            size(partition.bytes),
            epoch,
            if partition.whole { String::new() } else { "DAMAGED".to_owned() },
        ]);
    }
    table(out, &rows)
}

/// Writes rows as columns, the first one to the left, the others to the right.
fn table<const N: usize>(out: &mut dyn Write, rows: &[[String; N]]) -> io::Result<()> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    for row in rows {
        let mut line = String::new();
        for (column, (width, cell)) in widths.iter().zip(row).enumerate() {
            if column == 0 {
                line.push_str(&format!("{cell:<width$}"));
            } else {
                line.push_str(&format!("  {cell:>width$}"));
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn verdict(out: &mut dyn Write, report: &Report) -> io::Result<()> {
    let path = &report.path;
    if report.whole {
        return writeln!(out, "{path}: whole");
    }
    writeln!(out, "{path}: DAMAGED, {} findings", report.damage.len())
}

/// Writes a batch and its records.
///
/// # Errors
/// When `out` does not take it.
pub fn batch(out: &mut dyn Write, found: &FoundBatch<'_>) -> io::Result<()> {
    let view = &found.view;
    if !found.topic.is_empty() {
        write!(out, "{}/{} ", found.topic, found.partition)?;
    }
    let (first, next) = (view.base_offset(), view.next_offset());
    write!(
        out,
        "segment {} position {}: offsets {first}..{next}, {} records, {} bytes, {}, crc {:#010x}",
        found.segment,
        found.position,
        view.record_count(),
        view.as_bytes().len(),
        view.compression(),
        view.crc(),
    )?;
    if let Some(epoch) = view.leader_epoch() {
        write!(out, ", epoch {epoch}")?;
    }
    if let (Some(id), Some(epoch)) = (view.producer_id(), view.producer_epoch()) {
        write!(out, ", producer {id} epoch {epoch}")?;
    }
    if let Some(sequence) = view.base_sequence() {
        write!(out, " sequence {sequence}")?;
    }
    let attributes = view.attributes();
    writeln!(out, ", {}", attributes.timestamp_type().name())?;
    let plain = match view.compression() {
        Compression::None => None,
        _ => match decompress(view, BATCH_DECOMPRESSED_BYTES_MAX) {
            Ok(plain) => Some(plain),
            Err(error) => return writeln!(out, "  {error}"),
        },
    };
    let bytes = plain.as_deref().unwrap_or_else(|| view.records_bytes());
    for item in Records::of_plain(view, bytes) {
        match item {
            Ok(item) => record(out, &item)?,
            Err(error) => writeln!(out, "  {error}")?,
        }
    }
    Ok(())
}

fn record(out: &mut dyn Write, record: &RecordView<'_>) -> io::Result<()> {
    write!(out, "  {} {}", record.offset, time(record.timestamp))?;
    if let Some(key) = record.key {
        write!(out, " key \"{}\"", key.escape_ascii())?;
    }
    match record.value {
        Some(value) => write!(out, " value \"{}\"", value.escape_ascii())?,
        None => write!(out, " tombstone")?,
    }
    for header in record.headers {
        let value = header.value.unwrap_or_default();
        write!(out, " {}=\"{}\"", header.key.escape_ascii(), value.escape_ascii())?;
    }
    writeln!(out)
}

/// A timestamp in UTC; the bare number where a calendar does not reach.
#[must_use]
pub fn time(timestamp: TimestampMs) -> String {
    let ms = u64::try_from(timestamp.get()).ok();
    // humantime writes years of four digits.
    let within = ms.filter(|ms| *ms < 253_402_300_800_000);
    let at = within.and_then(|ms| SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)));
    at.map_or_else(|| timestamp.to_string(), |at| humantime::format_rfc3339_millis(at).to_string())
}

/// Bytes in the largest binary unit that leaves a figure above one.
#[must_use]
pub fn size(bytes: u64) -> String {
    let mut scale = 0;
    while scale < 4 && bytes >> (10 * (scale + 1)) > 0 {
        scale += 1;
    }
    let unit = ["B", "KiB", "MiB", "GiB", "TiB"].get(scale).copied().unwrap_or("B");
    if scale == 0 {
        return format!("{bytes} {unit}");
    }
    // Tenths are exact enough for people, and integers do not round up to 1024.0.
    let tenths = (u128::from(bytes) * 10) >> (10 * scale);
    format!("{}.{} {unit}", tenths / 10, tenths % 10)
}
