//! Medians of the rounds and their ratios: kolk beside Kafka, and the Kafka door beside the native one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::table::{median, shown};

/// Figures of a round by `workload/contender/measure`.
pub(super) type Round = BTreeMap<String, f64>;

pub(super) const PHASES: [&str; 2] = ["produce", "consume"];
/// What is measured of a phase.
pub(super) const RATE: &str = "bytes_per_second";
pub(super) const CPU: &str = "cpu_seconds_per_gib";
pub(super) const CLIENT: &str = "client_cores";
/// Bytes a second of Java's consumer.
pub(super) const JAVA: &str = "java/bytes_per_second";
/// Where the native door and the Kafka door of one shard stand side by side.
pub(super) const DOORS: &str = "one-shard";
pub(super) const DOORS_CPU_MAX: f64 = 1.15;

/// Two contenders to be compared.
struct Pair {
    title: &'static str,
    /// The ending of kolk's contenders, whose names begin with their door.
    kolk: &'static str,
    kafka: &'static str,
    /// Least throughput of producing, as a part of Kafka's. Reading flushes nothing, whatever the pair does.
    produce_floor: Option<f64>,
}

/// Least throughput of consuming where producing has a floor.
const CONSUME_FLOOR: f64 = 1.0;

impl Pair {
    fn floor(&self, phase: &str) -> Option<f64> {
        self.produce_floor.map(|floor| if phase == "produce" { floor } else { CONSUME_FLOOR })
    }
}

const PAIRS: [Pair; 3] = [
    Pair {
        title: "defaults: kolk flushes before it answers, Kafka does not",
        kolk: "",
        kafka: "kafka",
        produce_floor: Some(1.0),
    },
    Pair {
        title: "both flush before they answer",
        kolk: "",
        kafka: "kafka-flush",
        produce_floor: Some(2.0),
    },
    Pair {
        title: "neither flushes (kolk: process-crash)",
        kolk: "-process-crash",
        kafka: "kafka",
        produce_floor: None,
    },
];

/// One comparison, medians of ratios that are taken within a round each.
struct Line {
    workload: String,
    phase: &'static str,
    pair: &'static Pair,
    kolk: String,
    rate: Option<f64>,
    cpu: Option<f64>,
}

impl Line {
    fn reached(&self) -> Option<bool> {
        Some(self.rate? >= self.pair.floor(self.phase)?)
    }
}

fn lines(rounds: &[Round], workloads: &[&str]) -> Vec<Line> {
    let mut lines = Vec::new();
    for workload in workloads {
        for pair in &PAIRS {
            for phase in PHASES {
                for door in ["kolk-node", "kolk-shard"] {
                    let kolk = format!("{door}{}", pair.kolk);
                    let over = |measure: &str| {
                        let key = |who: &str| format!("{workload}/{who}/{phase}/{measure}");
                        ratio(rounds, &key(&kolk), &key(pair.kafka))
                    };
                    let (rate, cpu) = (over(RATE), over(CPU));
                    lines.push(Line {
                        workload: (*workload).to_owned(),
                        phase,
                        pair,
                        kolk,
                        rate,
                        cpu,
                    });
                }
            }
        }
    }
    lines
}

/// Median over the rounds of one figure over another of the same round.
fn ratio(rounds: &[Round], one: &str, other: &str) -> Option<f64> {
    median(rounds.iter().filter_map(|round| Some(round.get(one)? / round.get(other)?)))
}

fn middle(rounds: &[Round], key: &str) -> Option<f64> {
    median(rounds.iter().filter_map(|round| round.get(key).copied()))
}

/// The three tables as markdown.
pub(super) fn markdown(rounds: &[Round], workloads: &[&str], contenders: &[&str]) -> String {
    let mut text = String::from(
        "| workload | contender | produce MB/s | server CPU s/GiB | client cores | consume MB/s | \
         server CPU s/GiB | client cores | Java's consumer MB/s |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for workload in workloads {
        for contender in contenders {
            let mut row = format!("| {workload} | {contender} |");
            for measure in
                PHASES.iter().flat_map(|phase| [RATE, CPU, CLIENT].map(|m| format!("{phase}/{m}")))
            {
                push(&mut row, rounds, &format!("{workload}/{contender}/{measure}"));
            }
            push(&mut row, rounds, &format!("{workload}/{contender}/{JAVA}"));
            text.push_str(&row);
            text.push('\n');
        }
    }
    text.push_str(
        "\n| workload | phase | compared | contender | throughput, kolk / Kafka | server CPU s/GiB, kolk / Kafka | floor | reached |\n\
         | --- | --- | --- | --- | ---: | ---: | ---: | --- |\n",
    );
    for line in lines(rounds, workloads) {
        let floor = line
            .pair
            .floor(line.phase)
            .map_or_else(|| "–".to_owned(), |floor| format!("≥ {floor}"));
        let reached = verdict(line.reached(), line.pair.floor(line.phase).is_some());
        row(
            &mut text,
            [
                line.workload,
                line.phase.to_owned(),
                line.pair.title.to_owned(),
                line.kolk,
                shown(line.rate),
                shown(line.cpu),
                floor,
                reached,
            ],
        );
    }
    text.push_str(
        "\n| one shard, equal bytes a request | native CPU s/GiB | Kafka door CPU s/GiB | ratio | limit | reached |\n\
         | --- | ---: | ---: | ---: | ---: | --- |\n",
    );
    let key = |who: &str| format!("{DOORS}/{who}/produce/{CPU}");
    let over = ratio(rounds, &key("kafka"), &key("native"));
    let reached = verdict(over.map(|over| over <= DOORS_CPU_MAX), true);
    row(
        &mut text,
        [
            "produce".to_owned(),
            shown(middle(rounds, &key("native"))),
            shown(middle(rounds, &key("kafka"))),
            shown(over),
            format!("≤ {DOORS_CPU_MAX}"),
            reached,
        ],
    );
    text
}

fn row<const N: usize>(text: &mut String, cells: [String; N]) {
    text.push_str("| ");
    text.push_str(&cells.join(" | "));
    text.push_str(" |\n");
}

/// Adds a cell; bytes are shown as megabytes.
fn push(row: &mut String, rounds: &[Round], key: &str) {
    let figure = middle(rounds, key);
    let figure = if key.ends_with(RATE) { figure.map(|bytes| bytes / 1e6) } else { figure };
    row.push_str(&figure.map_or_else(|| " – |".to_owned(), |figure| format!(" {figure:.2} |")));
}

fn verdict(reached: Option<bool>, bound: bool) -> String {
    let word = match (reached, bound) {
        (Some(true), _) => "yes",
        (Some(false), _) => "**no**",
        (None, true) => "not measured",
        (None, false) => "–",
    };
    word.to_owned()
}

/// The same for programs.
pub(super) fn to_json(rounds: &[Round], workloads: &[&str]) -> Value {
    let each = lines(rounds, workloads).into_iter().map(|line| {
        json!({
            "workload": line.workload,
            "phase": line.phase,
            "compared": line.pair.title,
            "contender": line.kolk,
            "throughput_ratio": line.rate,
            "cpu_per_gib_ratio": line.cpu,
            "floor": line.pair.floor(line.phase),
            "reached": line.reached(),
        })
    });
    Value::Array(each.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(kolk: f64, kafka: f64) -> Round {
        [("kolk-node", kolk), ("kafka", kafka)]
            .map(|(who, figure)| (format!("w/{who}/produce/{RATE}"), figure))
            .into()
    }

    #[test]
    fn a_ratio_is_taken_within_its_round_and_then_the_median() {
        // The machine was twice as fast in the second round: the ratios agree all the same.
        let rounds = [round(300.0, 200.0), round(600.0, 400.0), round(300.0, 100.0)];
        let lines = lines(&rounds, &["w"]);
        let produced = lines.first().unwrap();
        assert_eq!((produced.rate, produced.reached()), (Some(1.5), Some(true)));
    }

    #[test]
    fn what_was_not_measured_is_said_and_not_made_up() {
        let text = markdown(&[Round::new()], &["w"], &["kafka"]);
        assert_eq!(text.matches("not measured").count(), 2 * 2 * 2 + 1);
        let text = markdown(&[round(300e6, 400e6)], &["w"], &["kolk-node", "kafka"]);
        assert!(text.contains("| w | kolk-node | 300.00 | – |"), "{text}");
        assert!(text.contains("| kolk-node | 0.750 | – | ≥ 1 | **no** |"), "{text}");
    }
}
