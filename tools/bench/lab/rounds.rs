//! Rounds of a comparison: limits, then each contender once with a fresh broker, every other round in the opposite order.

use std::time::Duration;

use kolk_driver::driver::Place;
use kolk_driver::error::DriverError;
use kolk_driver::protocol;
use kolk_machine::limits::Limits;
use serde::{Deserialize, Serialize};

use super::contender::{Contender, Described, Sources};
use crate::error::{BenchError, Outcome};
use crate::play::workload::{Case, Workload};
use crate::play::{self, Played};

/// The topic of every play; each broker is fresh, or the topic is deleted after it.
const TOPIC: &str = "kolk-bench";

/// How the rounds are played.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RoundsPlan {
    pub(crate) rounds: u32,
    /// Time and file size of each limit; `None` = no limits are measured.
    pub(crate) limits: Option<(Duration, u64)>,
}

/// What a round came to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Round {
    pub(crate) limits: Option<Limits>,
    pub(crate) cells: Vec<Cell>,
}

/// One contender in one case.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) contender: String,
    /// Empty unless the workload has several.
    pub(crate) case: String,
    pub(crate) result: CellResult,
}

/// What came of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CellResult {
    Played(Box<Played>),
    /// The broker, its client or the build can't do that; no failure.
    Unsupported(String),
    Failed(String),
}

impl Cell {
    /// What was played, if it was.
    pub(crate) fn played(&self) -> Option<&Played> {
        match &self.result {
            CellResult::Played(played) => Some(played),
            CellResult::Unsupported(_) | CellResult::Failed(_) => None,
        }
    }

    /// Whether it says that something is wrong.
    pub(crate) fn is_wrong(&self) -> bool {
        match &self.result {
            CellResult::Played(played) => !played.verdict.is_clean(),
            CellResult::Unsupported(_) => false,
            CellResult::Failed(_) => true,
        }
    }
}

/// Plays all rounds; `described` collects what is to be said about each contender, `say` hears a line about each cell.
pub(crate) fn run(
    workload: &Workload,
    contenders: &[Contender],
    sources: &Sources,
    plan: RoundsPlan,
    say: &mut dyn FnMut(&str),
) -> Outcome<(Vec<Round>, Vec<Described>)> {
    let mut described: Vec<Described> = Vec::new();
    let mut rounds = Vec::new();
    sources.enter();
    for number in 1..=plan.rounds {
        let mut round = Round::default();
        if let Some((time, file_bytes)) = plan.limits {
            say(&format!("round {number} of {}: limits", plan.rounds));
            round.limits = Some(Limits::measure(
                &sources.scratch,
                time,
                file_bytes,
                sources.placement.as_ref(),
            )?);
        }
        for case in workload.cases() {
            let mut order: Vec<&Contender> = contenders.iter().collect();
            if number.is_multiple_of(2) {
                order.reverse();
            }
            for contender in order {
                let what = format!(
                    "round {number} of {}: {} {}",
                    plan.rounds,
                    contender.label(),
                    case.name
                );
                say(what.trim_end());
                let result = match cell(contender, &case, sources, &mut described) {
                    Ok(played) => CellResult::Played(Box::new(played)),
                    Err(BenchError::Driver(DriverError::Unsupported(why))) => {
                        CellResult::Unsupported(why)
                    }
                    Err(error) => CellResult::Failed(error.to_string()),
                };
                let cell = Cell { contender: contender.label(), case: case.name.clone(), result };
                say(&said(&cell));
                round.cells.push(cell);
            }
        }
        rounds.push(round);
    }
    let place = |one: &Described| contenders.iter().position(|other| other.label() == one.label);
    described.sort_by_key(place);
    Ok((rounds, described))
}

/// Where a contender's driver goes.
pub(crate) fn place(contender: &Contender, case: &Case, address: String) -> Place {
    let topic_settings = contender.topic_settings(case);
    let partitions = case.workload.partitions;
    Place { address, topic: TOPIC.to_owned(), partitions, topic_settings }
}

/// A fresh broker, one play, and its end.
fn cell(
    contender: &Contender,
    case: &Case,
    sources: &Sources,
    described: &mut Vec<Described>,
) -> Outcome<Played> {
    let durability = contender.durability(case);
    // Whether it is possible at all is known before a broker is up.
    let (own, client) = (contender.protocol(), case.workload.client);
    protocol::supports(own, &contender.demand(case))?;
    let standing = contender.start(case, sources)?;
    let driver = protocol::open(own, place(contender, case, standing.address.clone()), client)?;
    let label = contender.label();
    if !described.iter().any(|one| one.label == label) {
        let mut configuration = standing.configuration.clone();
        configuration.extend(driver.configuration());
        let scratch = sources.scratch.display().to_string();
        for (_, text) in &mut configuration {
            *text = text.replace(&scratch, "SCRATCH");
        }
        let (version, durability) = (standing.version.clone(), durability.to_string());
        described.push(Described { label, durability, version, configuration });
    }
    let played = play::play(driver.as_ref(), case, &standing.watched);
    drop(driver);
    let stopped = standing.stop();
    // What a peer wrote is deleted by who started it.
    drop(std::fs::remove_dir_all(sources.scratch.join("kolk")));
    let played = played?;
    stopped?;
    Ok(played)
}

/// One line for who watches.
fn said(cell: &Cell) -> String {
    let played = match &cell.result {
        CellResult::Played(played) => played,
        CellResult::Unsupported(why) => return format!("  left out: {why}"),
        CellResult::Failed(why) => return format!("  FAILED: {why}"),
    };
    let acknowledged = &played.acknowledged;
    let mut line = format!(
        "  {:.1} MB/s, {:.0} records/s, ack p50 {:.0} p99 {:.0} µs",
        acknowledged.bytes_per_second / 1e6,
        acknowledged.records_per_second,
        us(acknowledged.latency.p50_ns),
        us(acknowledged.latency.p99_ns),
    );
    if let Some(consumed) = &played.consumed {
        let latency = consumed.latency;
        line.push_str(&format!(
            ", read p50 {:.0} p99 {:.0} µs",
            us(latency.p50_ns),
            us(latency.p99_ns)
        ));
    }
    if let Some(cpu) = played.usage.broker_cpu_seconds_per_gib(played.moved_bytes()) {
        line.push_str(&format!(", {cpu:.1} CPU s/GiB"));
    }
    if played.unsent > 0 {
        line.push_str(&format!(", {} due and never sent", played.unsent));
    }
    if !played.verdict.is_clean() {
        line.push_str(&format!("; WRONG: {}", played.verdict));
    }
    line
}

fn us(ns: u64) -> f64 {
    kolk_driver::clock::float(ns) / 1e3
}
