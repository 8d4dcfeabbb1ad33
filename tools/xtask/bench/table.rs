//! The speed table: each measure of the broker beside the limit of the machine from the same run.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::limits::Limits;

/// What a measure has to be, given its limit.
#[derive(Debug, Clone, Copy)]
enum Target {
    /// At least this many times the limit.
    Times(f64),
    /// At most the given latency, which is made of the limits.
    AtMost,
    /// Exactly this figure; counters do not vary.
    Exactly(f64),
    /// At most this figure, whatever the machine.
    AtMostFigure(f64),
}

/// A row of the table: a measure by its name in the load generator's answer.
struct Row {
    measure: &'static str,
    title: &'static str,
    limit: fn(&Limits) -> Option<f64>,
    limit_title: &'static str,
    target: Target,
}

const ROWS: [Row; 10] = [
    Row {
        measure: "produce_bytes_per_second",
        title: "durable produce, 1 KB records, 64 KiB+ batches, 4 partitions (B/s)",
        limit: |limits| limits.stream_bytes_per_second,
        limit_title: "iperf3, one stream, 256 KiB",
        target: Target::Times(0.5),
    },
    Row {
        measure: "hot_fetch_bytes_per_second",
        title: "fetch from memory, same records (B/s)",
        limit: |limits| limits.stream_bytes_per_second,
        limit_title: "iperf3, one stream, 256 KiB",
        target: Target::Times(0.7),
    },
    Row {
        measure: "cold_fetch_bytes_per_second",
        title: "fetch from disk, more than the memory budget (B/s)",
        limit: |limits| limits.read_bytes_per_second,
        limit_title: "fio direct read, 1 MiB, qd 8",
        target: Target::Times(0.85),
    },
    Row {
        measure: "acks_per_second",
        title: "durable acks, 128-byte records, 256 partitions, one in flight each (1/s)",
        limit: |limits| limits.commits_per_second,
        limit_title: "4 KiB write + fdatasync, qd 1",
        target: Target::Times(10.0),
    },
    Row {
        measure: "fdatasyncs_per_group",
        title: "journal fdatasyncs per commit group",
        limit: |_| None,
        limit_title: "",
        target: Target::Exactly(1.0),
    },
    Row {
        measure: "ack_p50_ns",
        title: "durable ack, one small record at a time, p50 (ns)",
        limit: |limits| Some(2.0 * limits.commit_p50_ns? + limits.round_trip_p50_ns?),
        limit_title: "2 × (4 KiB write + fdatasync) p50 + TCP round trip",
        target: Target::AtMost,
    },
    Row {
        measure: "copies_per_byte_direct",
        title: "user-space copies of a produced byte, direct path",
        limit: |_| None,
        limit_title: "",
        target: Target::Exactly(1.0),
    },
    Row {
        measure: "copies_per_byte_journal",
        title: "user-space copies of a produced byte, journal path",
        limit: |_| None,
        limit_title: "",
        target: Target::Exactly(2.0),
    },
    Row {
        measure: "copies_per_byte_fetched",
        title: "user-space copies of a byte fetched on the owning core",
        limit: |_| None,
        limit_title: "",
        target: Target::Exactly(0.0),
    },
    Row {
        measure: "idle_core_share",
        title: "idle broker (share of one core)",
        limit: |_| None,
        limit_title: "",
        target: Target::AtMostFigure(0.01),
    },
];

/// A counter is a quotient of two counters read a moment apart.
const COUNTER_TOLERANCE: f64 = 0.02;

/// One round: limits and measures taken within the same minutes.
pub(crate) struct Round {
    /// The machine's limits.
    pub(crate) limits: Limits,
    /// The broker's measures by name.
    pub(crate) measures: BTreeMap<String, f64>,
}

/// A row with its figures filled in: medians over the rounds.
struct Line {
    row: &'static Row,
    figure: Option<f64>,
    limit: Option<f64>,
    /// Median over the rounds of figure / limit, each of one round.
    ratio: Option<f64>,
}

impl Line {
    fn of(row: &'static Row, rounds: &[Round]) -> Self {
        let figure = |round: &Round| round.measures.get(row.measure).copied();
        let limit = |round: &Round| (row.limit)(&round.limits);
        let ratio = |round: &Round| Some(figure(round)? / limit(round)?);
        Self {
            row,
            figure: median(rounds.iter().filter_map(figure)),
            limit: median(rounds.iter().filter_map(limit)),
            ratio: median(rounds.iter().filter_map(ratio)),
        }
    }

    /// `None` where a figure is missing.
    fn reached(&self) -> Option<bool> {
        match self.row.target {
            Target::Times(times) => self.ratio.map(|ratio| ratio >= times),
            Target::AtMost => self.ratio.map(|ratio| ratio <= 1.0),
            Target::Exactly(wanted) => {
                self.figure.map(|figure| (figure - wanted).abs() <= COUNTER_TOLERANCE)
            }
            Target::AtMostFigure(wanted) => self.figure.map(|figure| figure <= wanted),
        }
    }

    fn target(&self) -> String {
        match self.row.target {
            Target::Times(times) => format!("≥ {times} ×"),
            Target::AtMost => "≤ 1 ×".to_owned(),
            Target::Exactly(wanted) => format!("{wanted}"),
            Target::AtMostFigure(wanted) => format!("≤ {wanted}"),
        }
    }
}

/// The table as markdown.
pub(crate) fn markdown(rounds: &[Round]) -> String {
    let mut text = String::from(
        "| measure | figure | limit | limit's figure | ratio | target | reached |\n\
         | --- | ---: | --- | ---: | ---: | --- | --- |\n",
    );
    for row in &ROWS {
        let line = Line::of(row, rounds);
        let reached = match line.reached() {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "not measured",
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {reached} |\n",
            row.title,
            shown(line.figure),
            row.limit_title,
            shown(line.limit),
            shown(line.ratio),
            line.target(),
        ));
    }
    text
}

/// The same for programs.
pub(crate) fn to_json(rounds: &[Round]) -> Value {
    let rows: Vec<Value> = ROWS
        .iter()
        .map(|row| {
            let line = Line::of(row, rounds);
            json!({
                "measure": row.measure,
                "figure": line.figure,
                "limit": line.limit,
                "ratio": line.ratio,
                "target": line.target(),
                "reached": line.reached(),
            })
        })
        .collect();
    Value::Array(rows)
}

/// Middle of the sorted figures; of an even number the lower middle one, never a made-up figure.
pub(super) fn median(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = figures.filter(|figure| figure.is_finite()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// A figure for a reader.
pub(super) fn shown(figure: Option<f64>) -> String {
    match figure {
        None => "–".to_owned(),
        Some(figure) if figure.abs() >= 1_000.0 => {
            let digits = format!("{figure:.0}");
            let mut grouped = String::new();
            for (index, digit) in digits.chars().enumerate() {
                if index > 0 && (digits.len() - index).is_multiple_of(3) {
                    grouped.push(' ');
                }
                grouped.push(digit);
            }
            grouped
        }
        Some(figure) => format!("{figure:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(stream: f64, produce: f64) -> Round {
        Round {
            limits: Limits { stream_bytes_per_second: Some(stream), ..Limits::default() },
            measures: BTreeMap::from([("produce_bytes_per_second".to_owned(), produce)]),
        }
    }

    #[test]
    fn a_ratio_is_taken_within_its_round_and_then_the_median() {
        // The machine was twice as fast in the second round: the ratios agree all the same.
        let rounds = [round(1_000.0, 600.0), round(2_000.0, 1_200.0), round(1_000.0, 600.0)];
        let line = Line::of(&ROWS[0], &rounds);
        assert_eq!((line.ratio, line.reached()), (Some(0.6), Some(true)));
    }

    #[test]
    fn a_missing_limit_is_said_and_not_made_up() {
        let rounds = [Round { limits: Limits::default(), measures: BTreeMap::new() }];
        let text = markdown(&rounds);
        assert_eq!(text.matches("not measured").count(), ROWS.len());
    }

    #[test]
    fn large_figures_are_grouped() {
        assert_eq!(shown(Some(1_234_567.0)), "1 234 567");
        assert_eq!(shown(Some(0.5)), "0.500");
    }
}
