//! The speed table: each measure of the broker beside the limit of the machine from the same round.

mod rows;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use rows::{Against, Row, Target};

pub(super) use rows::Table;

/// A counter is a quotient of two counters read a moment apart.
const COUNTER_TOLERANCE: f64 = 0.02;

/// One round: limits and measures taken within the same minutes, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Round {
    /// What the machine can do.
    pub(super) limits: BTreeMap<String, f64>,
    /// What the broker did.
    pub(super) measures: BTreeMap<String, f64>,
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
        let limit = |round: &Round| match row.against {
            Against::Nothing => None,
            Against::Limit { name, .. } => round.limits.get(name).copied(),
            Against::Measure { name, .. } => round.measures.get(name).copied(),
        };
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
            Target::AtMostTimes(times) => self.ratio.map(|ratio| ratio <= times),
            Target::Exactly(wanted) => {
                self.figure.map(|figure| (figure - wanted).abs() <= COUNTER_TOLERANCE)
            }
            Target::AtMostFigure(wanted) => self.figure.map(|figure| figure <= wanted),
            Target::AtLeastFigure(wanted) => self.figure.map(|figure| figure >= wanted),
        }
    }

    fn target(&self) -> String {
        match self.row.target {
            Target::Times(times) => format!("≥ {times} ×"),
            Target::AtMostTimes(times) => format!("≤ {times} ×"),
            Target::Exactly(wanted) => format!("{wanted}"),
            Target::AtMostFigure(wanted) => format!("≤ {wanted}"),
            Target::AtLeastFigure(wanted) => format!("≥ {wanted}"),
        }
    }
}

impl Table {
    /// As markdown.
    pub(super) fn markdown(&self, rounds: &[Round]) -> String {
        let mut text = String::from(
            "| measure | figure | limit | limit's figure | ratio | target | reached |\n\
             | --- | ---: | --- | ---: | ---: | --- | --- |\n",
        );
        for row in self.rows {
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
                row.against.title(),
                shown(line.limit),
                shown(line.ratio),
                line.target(),
            ));
        }
        text
    }

    /// The same for programs.
    pub(super) fn to_json(&self, rounds: &[Round]) -> Value {
        let row = |row| {
            let line = Line::of(row, rounds);
            json!({
                "measure": line.row.measure,
                "figure": line.figure,
                "limit": line.limit,
                "ratio": line.ratio,
                "target": line.target(),
                "reached": line.reached(),
            })
        };
        self.rows.iter().map(row).collect()
    }
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

    fn line(measure: &str, rounds: &[Round]) -> Line {
        let row = Table::of("speed").rows.iter().find(|row| row.measure == measure).unwrap();
        Line::of(row, rounds)
    }

    fn round(limits: &[(&str, f64)], measures: &[(&str, f64)]) -> Round {
        let owned = |all: &[(&str, f64)]| all.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect();
        Round { limits: owned(limits), measures: owned(measures) }
    }

    #[test]
    fn a_ratio_is_taken_within_its_round_and_then_the_median() {
        // The machine was twice as fast in the second round: the ratios agree all the same.
        let rounds =
            [(1_000.0, 700.0), (2_000.0, 1_400.0), (1_000.0, 700.0)].map(|(limit, own)| {
                round(&[("iperf3_bytes_per_second", limit)], &[("produce_bytes_per_second", own)])
            });
        let line = line("produce_bytes_per_second", &rounds);
        assert_eq!((line.ratio, line.reached()), (Some(0.7), Some(true)));
    }

    #[test]
    fn a_measure_may_be_the_limit_of_another_one() {
        for (many, reached) in [(70.0, true), (69.0, false)] {
            let few = ("few_partitions_bytes_per_second", 100.0);
            let rounds = [round(&[], &[few, ("many_partitions_bytes_per_second", many)])];
            let line = line("many_partitions_bytes_per_second", &rounds);
            assert_eq!((line.limit, line.reached()), (Some(100.0), Some(reached)));
        }
    }

    #[test]
    fn what_shall_be_small_is_compared_from_above() {
        let limits = [("raw_commit_p99_ns", 100.0), ("floor_cpu_seconds_per_gib", 1.0)];
        for (ack, cpu, reached) in [(200.0, 1.3, true), (201.0, 1.31, false)] {
            let rounds = [round(&limits, &[("ack_p99_ns", ack), ("cpu_seconds_per_gib", cpu)])];
            assert_eq!(line("ack_p99_ns", &rounds).reached(), Some(reached));
            assert_eq!(line("cpu_seconds_per_gib", &rounds).reached(), Some(reached));
        }
    }

    #[test]
    fn a_missing_limit_is_said_and_not_made_up() {
        for name in ["speed", "spikes"] {
            let table = Table::of(name);
            let text = table.markdown(&[Round::default()]);
            assert_eq!(text.matches("not measured").count(), table.rows.len());
        }
    }

    #[test]
    fn large_figures_are_grouped() {
        assert_eq!(shown(Some(1_234_567.0)), "1 234 567");
        assert_eq!(shown(Some(0.5)), "0.500");
    }
}
