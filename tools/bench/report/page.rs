//! The page: one file without scripts, fonts or anything else from elsewhere.

use kolk_driver::clock::float;
use kolk_machine::cores::list;
use kolk_machine::limits::Limits;
use kolk_plot::chart::colour;
use kolk_plot::figures::{escape, median, rate, size, thousands, three, time};

use crate::error::Outcome;
use crate::play::Played;
use crate::report::growth::Growth;
use crate::report::summary::{Row, cases, rows};
use crate::report::{Comparison, plots};

const STYLE: &str = include_str!("page.css");

/// How the figures came about.
const METHOD: &str = "\
<p>Each round measures the machine's limits, then plays each contender once against a broker that was started fresh for it, with no other one up; \
every other round goes in the opposite order. Rates are medians over rounds, each round a dot. Percentiles are those of the histograms of all rounds and workers \
added up (HDR histograms, three digits), never means of percentiles.</p>\
<p>Where the workload has a rate the loop is open: each record has a moment at which it is due, and its time counts from there, \
whether or not the load generator or the broker was ready for it. The schedule's lag says how late the load generator itself was where the broker left it room; what found no room until the end counts with the time until then. \
Without a rate the loop is closed: it finds the throughput at saturation, and its times say how long the queue was. \
The warm-up does not count: throughput counts what was done within the measured window, latency what was due within it.</p>\
<p>Every value carries the moment it was due, its number within its key and a CRC-32C. Verified means that every group read every record that was \
acknowledged, whole, once and in the order of its key. Bytes are those of values. CPU is user and system time of the broker's process \
(the kernel's own threads that write back later are not in it), disk bytes and flushes are those of the whole device.</p>";

/// Renders it.
pub(super) fn html(comparison: &Comparison) -> Outcome<String> {
    let mut page = String::new();
    let name = escape(&comparison.workload);
    page.push_str(&format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>{name} · kolk-bench</title><style>{STYLE}</style>"
    ));
    head(&mut page, comparison);
    let names = cases(comparison);
    let mut all = Vec::new();
    for name in &names {
        all.push((name.as_str(), rows(comparison, name)?));
    }
    let figures: Vec<String> = all.iter().map(|(name, rows)| case(name, rows)).collect();
    page.push_str(&Growth::of(all).map(|growth| growth.html()).unwrap_or_default());
    page.push_str(&figures.concat());
    page.push_str(&limits(comparison));
    page.push_str(&format!("<h2>Method</h2>{METHOD}"));
    configurations(&mut page, comparison);
    page.push_str("</html>\n");
    Ok(page)
}

/// Everything about one case; folded up where it is one of several.
fn case(name: &str, rows: &[Row<'_>]) -> String {
    let (begin, end) = match name {
        "" => ("<h2>Figures</h2>".to_owned(), ""),
        name => (format!("<details><summary>{}</summary>", escape(name)), "</details>"),
    };
    let (work, times, ratios) = (work(rows), times(rows), ratios(rows));
    let mut html = format!("{begin}<div class=scroll>{work}</div><div class=scroll>{times}</div>");
    remarks(&mut html, rows);
    let (legend, plots) = (plots::legend(rows), plots::of_case(rows).concat());
    html.push_str(&format!("{legend}<div class=plots>{plots}</div>{ratios}{end}"));
    html
}

fn head(page: &mut String, comparison: &Comparison) {
    let machine = &comparison.machine;
    let (verdict, class) = if comparison.is_sound() {
        ("every record read whole, once and in order", "good")
    } else {
        ("something went wrong: see the remarks", "bad")
    };
    page.push_str(&format!(
        "<h1>{}</h1><p>{}</p><p>{}</p><p><span class=\"verdict {class}\">{verdict}</span></p>",
        escape(&comparison.workload),
        escape(&comparison.about),
        escape(&comparison.pace)
    ));
    page.push_str(&format!(
        "<p class=faint>{} · {} cores of {} · {} MiB · {} · data on {} · load average at the begin {} · {} · {} rounds · {}</p><pre>{}</pre>",
        escape(&machine.date),
        machine.cores,
        escape(&machine.processor),
        machine.memory_mib,
        escape(&machine.kernel),
        escape(&machine.disk),
        escape(&machine.load),
        escape(&machine.generator),
        comparison.rounds.len(),
        comparison.placement.as_ref().map_or_else(
            || "brokers and load generator share the cores".to_owned(),
            |place| format!(
                "brokers on cores {}, load generator on cores {}",
                list(&place.broker),
                list(&place.load)
            )
        ),
        escape(&comparison.command)
    ));
    if machine.generator.contains("debug") {
        page.push_str("<p><span class=\"verdict bad\">a debug build measured this: the figures show that it works and no more</span></p>");
    }
    page.push_str("<div class=scroll><table><tr><th>contender<th class=left>version<th class=left>an acknowledged record survives</tr>");
    for (index, one) in comparison.contenders.iter().enumerate() {
        let survives = match one.durability.as_str() {
            "power-loss" => "loss of power: it is on stable storage",
            _ => "the end of the broker's process: the kernel has it",
        };
        let (label, version) = (escape(&one.label), escape(&one.version));
        page.push_str(&format!(
            "<tr><td>{}{label}<td class=left>{version}<td class=left>{survives}</tr>",
            swatch(index)
        ));
    }
    page.push_str("</table></div>");
}

fn swatch(index: usize) -> String {
    format!("<span class=swatch style=\"background:{}\"></span>", colour(index))
}

/// What was done and what it cost.
fn work(rows: &[Row<'_>]) -> String {
    let mut html = "<table><tr><th>contender<th>acknowledged<th>records/s<th>consumed, all groups<th>broker CPU s/GiB\
        <th>client CPU s/GiB<th>memory<th>disk bytes a byte<th>flushes/s<th>verified rounds</tr>"
        .to_owned();
    for (index, row) in rows.iter().enumerate() {
        let mut cells = vec![format!("{}{}", swatch(index), escape(row.contender))];
        let mut of = |figure: fn(&Played) -> Option<f64>, say: fn(f64) -> String| {
            cells.push(row.median(figure).map_or_else(|| "–".to_owned(), say));
        };
        of(|played| Some(played.acknowledged.bytes_per_second), rate);
        of(|played| Some(played.acknowledged.records_per_second), thousands);
        of(|played| Some(played.consumed.as_ref()?.bytes_per_second), rate);
        of(|played| played.usage.broker_cpu_seconds_per_gib(played.moved_bytes()), three);
        of(client_cpu, three);
        of(|played| Some(float(played.usage.broker_memory_bytes_max)), size);
        of(written_per_byte, three);
        of(flushes_per_second, three);
        let clean = row.rounds.iter().filter(|played| played.verdict.is_clean()).count();
        cells.push(format!("{clean} of {}", row.rounds.len()));
        html.push_str(&line(&cells));
    }
    html.push_str("</table>");
    html
}

/// How long it took.
fn times(rows: &[Row<'_>]) -> String {
    let mut html = "<table><tr><th>contender<th>due to acknowledged, p50<th>p90<th>p99<th>p99.9<th>p99.99<th>max\
        <th>due to consumed, p50<th>p90<th>p99<th>p99.9<th>p99.99<th>max<th>schedule's lag, p99</tr>"
        .to_owned();
    for (index, row) in rows.iter().enumerate() {
        let mut cells = vec![format!("{}{}", swatch(index), escape(row.contender))];
        for times in [&row.acknowledged, &row.consumed] {
            for quantile in [0.5, 0.9, 0.99, 0.999, 0.999_9, 1.0] {
                cells.push(times.at(quantile).map_or_else(|| "–".to_owned(), |ns| time(float(ns))));
            }
        }
        let lag = row.median(|played| Some(float(played.schedule_lag.p99_ns)));
        let lag = lag.filter(|lag| *lag > 0.0);
        cells.push(lag.map_or_else(|| "–".to_owned(), time));
        html.push_str(&line(&cells));
    }
    html.push_str("</table>");
    html
}

/// A row of a table.
fn line(cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{cell}")).collect();
    format!("<tr>{cells}</tr>")
}

fn client_cpu(played: &Played) -> Option<f64> {
    let gib = float(played.moved_bytes()) / float(1 << 30);
    (gib > 0.0).then(|| played.usage.client_cpu_seconds / gib)
}

fn written_per_byte(played: &Played) -> Option<f64> {
    let bytes = played.acknowledged.bytes;
    let disk = played.usage.disk.filter(|_| bytes > 0)?;
    Some(float(disk.written_bytes) / float(bytes))
}

fn flushes_per_second(played: &Played) -> Option<f64> {
    let disk = played.usage.disk.filter(|_| played.usage.seconds > 0.0)?;
    Some(float(disk.flushes) / played.usage.seconds)
}

fn remarks(page: &mut String, rows: &[Row<'_>]) {
    for row in rows {
        for remark in &row.remarks {
            let (contender, remark) = (escape(row.contender), escape(remark));
            page.push_str(&format!("<p><b>{contender}</b>: {remark}</p>"));
        }
        let conflicts: Vec<u64> = row.rounds.iter().filter_map(|one| one.conflicts).collect();
        if !conflicts.is_empty() {
            let sum = thousands(float(conflicts.iter().sum()));
            let contender = escape(row.contender);
            page.push_str(&format!(
                "<p><b>{contender}</b>: {sum} appends found another writer's record and were tried again</p>"
            ));
        }
    }
}

fn ratios(rows: &[Row<'_>]) -> String {
    let mut html = "<h2>Beside what the machine can do</h2><div class=scroll><table><tr><th>contender\
        <th>acknowledged / direct write<th>acknowledged / one TCP stream<th>consumed / direct read<th>consumed / one TCP stream\
        <th>ack p50 / 4 KiB write + fdatasync p50<th>ack p99 / the same p99<th>ack p50 / TCP ping-pong p50</tr>"
        .to_owned();
    for (index, row) in rows.iter().enumerate() {
        let ratios = row.ratios;
        html.push_str(&format!("<tr><td>{}{}", swatch(index), escape(row.contender)));
        for ratio in [
            ratios.disk_write,
            ratios.loopback_in,
            ratios.disk_read,
            ratios.loopback_out,
            ratios.commit_p50,
            ratios.commit_p99,
            ratios.ping_pong_p50,
        ] {
            let text = ratio.map_or_else(|| "–".to_owned(), three);
            html.push_str(&format!("<td>{text}"));
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></div>");
    html
}

/// One limit: its name, its figure and how that reads.
type LimitRow = (&'static str, fn(&Limits) -> f64, fn(f64) -> String);

fn limits(comparison: &Comparison) -> String {
    let all: [LimitRow; 9] = [
        ("direct write, 1 MiB, 4 at a time", |one| one.disk_write_bytes_per_second, rate),
        ("direct read, 1 MiB, 8 at a time", |one| one.disk_read_bytes_per_second, rate),
        ("4 KiB direct write + fdatasync, p50", |one| float(one.commit.p50_ns), time),
        ("4 KiB direct write + fdatasync, p99", |one| float(one.commit.p99_ns), time),
        ("one TCP stream over loopback", |one| one.loopback_bytes_per_second, rate),
        ("TCP ping-pong, 128 B, p50", |one| float(one.ping_pong.p50_ns), time),
        ("TCP ping-pong, 128 B, p99", |one| float(one.ping_pong.p99_ns), time),
        ("the same, 500 a second, p50", |one| float(one.paced_echo.p50_ns), time),
        ("the same, 500 a second, p99", |one| float(one.paced_echo.p99_ns), time),
    ];
    let measured: Vec<&Limits> =
        comparison.rounds.iter().filter_map(|round| round.limits.as_ref()).collect();
    let mut html =
        "<h2>Limits of the machine</h2><div class=scroll><table><tr><th>limit<th>median".to_owned();
    for number in 1..=measured.len() {
        html.push_str(&format!("<th>round {number}"));
    }
    html.push_str("</tr>");
    for (name, figure, say) in all {
        let middle = median(measured.iter().map(|limits| figure(limits)));
        // A result of a program that did not measure it has zero.
        let shown = |figure: f64| if figure > 0.0 { say(figure) } else { "–".to_owned() };
        let text = middle.map_or_else(|| "–".to_owned(), shown);
        html.push_str(&format!("<tr><td>{name}<td>{text}"));
        for limits in &measured {
            html.push_str(&format!("<td>{}", shown(figure(limits))));
        }
        html.push_str("</tr>");
    }
    html.push_str("</table></div>");
    html
}

fn configurations(page: &mut String, comparison: &Comparison) {
    page.push_str("<h2>Exact configurations</h2>");
    page.push_str(&format!(
        "<details><summary>the workload</summary><pre>{}</pre></details>",
        escape(&comparison.workload_text)
    ));
    let played = comparison.rounds.iter().flat_map(|round| &round.cells);
    if let Some(played) = played.filter_map(|cell| cell.played()).next() {
        page.push_str(&format!(
            "<p>Bodies: LZ4 leaves {:.0} % of blocks of 64 KiB.</p>",
            played.lz4_ratio * 100.0
        ));
    }
    for one in &comparison.contenders {
        let label = escape(&one.label);
        page.push_str(&format!("<details><summary>{label}</summary>"));
        for (name, text) in &one.configuration {
            let (name, text) = (escape(name), escape(text));
            page.push_str(&format!("<p class=faint>{name}</p><pre>{text}</pre>"));
        }
        page.push_str("</details>");
    }
}
