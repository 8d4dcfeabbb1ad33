//! Which pictures a case has.

use kolk_driver::clock::{float, whole};
use kolk_machine::latency::Times;
use kolk_plot::bars::{self, Bar};
use kolk_plot::chart::{Axis, Chart, Line, Scale, colour};
use kolk_plot::figures::{escape, rate, three, time};

use crate::play::{Played, SlotFigures};
use crate::report::summary::Row;

/// The quantiles of a curve: ten a decade of what is left.
const NINES_MAX: u32 = 50;
/// A curve ends where fewer records than this are slower.
const RECORDS_BEYOND: f64 = 5.0;

/// All pictures of a case, one behind the other.
pub(super) fn of_case(rows: &[Row<'_>]) -> Vec<String> {
    vec![
        bars_of(rows, "Acknowledged bytes a second", rate, |played| {
            Some(played.acknowledged.bytes_per_second)
        }),
        bars_of(rows, "Consumed bytes a second, all groups", rate, |played| {
            played.consumed.as_ref().map(|consumed| consumed.bytes_per_second)
        }),
        bars_of(rows, "Broker's CPU, seconds for each GiB in and out", three, |played| {
            played.usage.broker_cpu_seconds_per_gib(played.moved_bytes())
        }),
        bars_of(rows, "Written to the disk for each byte acknowledged", three, |played| {
            let bytes = played.acknowledged.bytes;
            let disk = played.usage.disk.filter(|_| bytes > 0)?;
            Some(float(disk.written_bytes) / float(bytes))
        }),
        percentiles(rows, "Due to acknowledged, by percentile", |row| &row.acknowledged),
        percentiles(rows, "Due to consumed, by percentile", |row| &row.consumed),
        over_time(rows),
        worst_over_time(rows),
        memory(rows),
    ]
}

/// The contenders and their colours.
pub(super) fn legend(rows: &[Row<'_>]) -> String {
    let name = |(index, row): (usize, &Row<'_>)| {
        let (colour, name) = (colour(index), escape(row.contender));
        format!(
            "<span class=name><span class=swatch style=\"background:{colour}\"></span>{name}</span>"
        )
    };
    let names: String = rows.iter().enumerate().map(name).collect();
    format!("<p class=legend>{names}</p>")
}

fn bars_of(
    rows: &[Row<'_>],
    title: &str,
    say: fn(f64) -> String,
    figure: impl Fn(&Played) -> Option<f64>,
) -> String {
    let bar = |(colour, row): (usize, &Row<'_>)| {
        let rounds = row.rounds.iter().filter_map(|played| figure(played)).collect();
        Bar { name: row.contender.to_owned(), colour, rounds }
    };
    bars::svg(title, &rows.iter().enumerate().map(bar).collect::<Vec<_>>(), say)
}

/// The time within which a part of all was done, over how many are slower: 1 in 10, 1 in 100, …
fn percentiles(
    rows: &[Row<'_>],
    title: &str,
    pick: for<'a> fn(&'a Row<'_>) -> &'a Times,
) -> String {
    let line = |(colour, row): (usize, &Row<'_>)| {
        let times = pick(row);
        let count = float(times.summary().count);
        let slower = (0..=NINES_MAX).map(|step| 10_f64.powf(f64::from(step) / 10.0));
        let points = slower
            .take_while(|slower| count / slower >= RECORDS_BEYOND)
            .filter_map(|slower| Some((slower, float(times.at(1.0 - 1.0 / slower)?))))
            .collect();
        Line { name: row.contender.to_owned(), colour, points }
    };
    Chart {
        title: title.to_owned(),
        x: axis("percentile", Scale::Logarithmic, percentile),
        y: time_axis(),
        lines: rows.iter().enumerate().map(line).collect(),
    }
    .svg()
}

/// 10 → 90 %, 1000 → 99.9 %.
fn percentile(slower: f64) -> String {
    let percent = 100.0 * (1.0 - 1.0 / slower);
    let digits = (slower.log10().round() - 2.0).max(0.0);
    match digits {
        none if none < 1.0 => format!("{percent:.0} %"),
        one if one < 2.0 => format!("{percent:.1} %"),
        two if two < 3.0 => format!("{percent:.2} %"),
        _ => format!("{percent:.3} %"),
    }
}

const fn axis(name: &'static str, scale: Scale, say: fn(f64) -> String) -> Axis {
    Axis { name, scale, say, ticks: Vec::new() }
}

const fn time_axis() -> Axis {
    axis("", Scale::Logarithmic, time)
}

const fn rate_axis() -> Axis {
    axis("", Scale::Linear, rate)
}

const fn seconds_axis() -> Axis {
    let name = "seconds since the first record, warm-up included";
    axis(name, Scale::Linear, |seconds| format!("{seconds}"))
}

/// The last round: a curve of several rounds would hide what it is there to show.
fn last<'a>(row: &Row<'a>) -> Option<&'a Played> {
    row.rounds.last().copied()
}

/// The seconds that were played in full.
fn whole_seconds<'a>(row: &Row<'a>) -> impl Iterator<Item = &'a SlotFigures> + use<'a> {
    let played = last(row);
    let end = played.map_or(0.0, |played| played.warmup_seconds + played.seconds);
    let series = played.map(|played| played.acknowledged.series.as_slice()).unwrap_or_default();
    series.iter().take(usize::try_from(whole(end.floor())).unwrap_or(0))
}

fn over_time(rows: &[Row<'_>]) -> String {
    let line = |(colour, row): (usize, &Row<'_>)| {
        let points = whole_seconds(row).enumerate();
        let points = points.map(|(second, slot)| (float(second as u64), float(slot.bytes)));
        Line { name: row.contender.to_owned(), colour, points: points.collect() }
    };
    let lines = rows.iter().enumerate().map(line).collect();
    let title = "Acknowledged, second by second (last round)".to_owned();
    Chart { title, x: seconds_axis(), y: rate_axis(), lines }.svg()
}

fn worst_over_time(rows: &[Row<'_>]) -> String {
    let line = |(colour, row): (usize, &Row<'_>)| {
        let points = whole_seconds(row).enumerate().filter(|(_, slot)| slot.p99_ns > 0);
        let points = points.map(|(second, slot)| (float(second as u64), float(slot.p99_ns)));
        Line { name: row.contender.to_owned(), colour, points: points.collect() }
    };
    let title = "Due to acknowledged, p99 of each second (last round)".to_owned();
    let lines = rows.iter().enumerate().map(line).collect();
    Chart { title, x: seconds_axis(), y: time_axis(), lines }.svg()
}

fn memory(rows: &[Row<'_>]) -> String {
    let line = |(colour, row): (usize, &Row<'_>)| {
        let series = last(row).map(|played| played.usage.series.as_slice()).unwrap_or_default();
        let known = series.iter().filter(|one| one.broker_memory_bytes > 0);
        let points = known.map(|one| (one.seconds, float(one.broker_memory_bytes)));
        Line { name: row.contender.to_owned(), colour, points: points.collect() }
    };
    let say = |bytes: f64| format!("{} MB", three(bytes / 1e6));
    Chart {
        title: "Broker's resident memory (last round)".to_owned(),
        x: seconds_axis(),
        y: axis("", Scale::Linear, say),
        lines: rows.iter().enumerate().map(line).collect(),
    }
    .svg()
}
