//! Rounds added up: medians of rates over rounds, histograms summed over them.

use kolk_driver::clock::float;
use kolk_machine::latency::Times;
use kolk_machine::limits::Limits;
use kolk_plot::figures::median;

use crate::error::Outcome;
use crate::lab::rounds::{Cell, CellResult};
use crate::play::Played;
use crate::report::Comparison;

/// A contender in a case, over all rounds.
pub(crate) struct Row<'a> {
    pub(crate) contender: &'a str,
    /// The rounds that were played, in order.
    pub(crate) rounds: Vec<&'a Played>,
    /// Why some were not.
    pub(crate) remarks: Vec<String>,
    pub(crate) acknowledged: Times,
    pub(crate) consumed: Times,
    /// Ratios to the limits of the same round, medians over rounds.
    pub(crate) ratios: Ratios,
}

/// A contender's figures as parts or multiples of what the machine can do.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Ratios {
    /// Acknowledged bytes a second by those of direct writes.
    pub(crate) disk_write: Option<f64>,
    /// By those of one TCP stream.
    pub(crate) loopback_in: Option<f64>,
    /// Consumed bytes a second by those of direct reads.
    pub(crate) disk_read: Option<f64>,
    /// By those of one TCP stream.
    pub(crate) loopback_out: Option<f64>,
    /// Acknowledgements by raw 4 KiB write + fdatasync.
    pub(crate) commit_p50: Option<f64>,
    pub(crate) commit_p99: Option<f64>,
    /// Acknowledgements by a TCP ping-pong.
    pub(crate) ping_pong_p50: Option<f64>,
}

impl Row<'_> {
    /// The median over rounds of a figure.
    pub(crate) fn median(&self, figure: impl Fn(&Played) -> Option<f64>) -> Option<f64> {
        median(self.rounds.iter().filter_map(|played| figure(played)))
    }
}

/// Names of the cases, in order of play; one empty name if there is but one.
pub(crate) fn cases(comparison: &Comparison) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for cell in comparison.rounds.iter().flat_map(|round| &round.cells) {
        if !names.contains(&cell.case) {
            names.push(cell.case.clone());
        }
    }
    names
}

/// The contenders of a case, in the order in which they were named.
pub(crate) fn rows<'a>(comparison: &'a Comparison, case: &str) -> Outcome<Vec<Row<'a>>> {
    let mut labels: Vec<&str> =
        comparison.contenders.iter().map(|one| one.label.as_str()).collect();
    for cell in comparison.rounds.iter().flat_map(|round| &round.cells) {
        if !labels.contains(&cell.contender.as_str()) {
            labels.push(&cell.contender);
        }
    }
    labels.into_iter().map(|label| row(comparison, case, label)).collect()
}

fn row<'a>(comparison: &'a Comparison, case: &str, contender: &'a str) -> Outcome<Row<'a>> {
    let is_ours = |cell: &&Cell| cell.contender == contender && cell.case == case;
    let (mut rounds, mut remarks, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in &comparison.rounds {
        let Some(cell) = round.cells.iter().find(is_ours) else { continue };
        match &cell.result {
            CellResult::Played(played) => {
                rounds.push(played.as_ref());
                remarks.extend(played.notes.iter().cloned());
                if played.unsent > 0 {
                    remarks.push(format!(
                        "did not keep up: {} records were due and there was no room to send them; each counts with the time until the end",
                        played.unsent
                    ));
                }
                if !played.verdict.is_clean() {
                    remarks.push(played.verdict.to_string());
                }
                if let Some(limits) = &round.limits {
                    ratios.push(Ratios::of(played, limits));
                }
            }
            CellResult::Unsupported(why) => remarks.push(format!("left out: {why}")),
            CellResult::Failed(why) => remarks.push(format!("failed: {why}")),
        }
    }
    remarks.dedup();
    let acknowledged = Times::sum(rounds.iter().map(|played| &played.acknowledged.histogram))?;
    let consumed = rounds.iter().filter_map(|played| played.consumed.as_ref());
    let consumed = Times::sum(consumed.map(|consumed| &consumed.histogram))?;
    Ok(Row { contender, rounds, remarks, acknowledged, consumed, ratios: Ratios::median(&ratios) })
}

impl Ratios {
    fn of(played: &Played, limits: &Limits) -> Self {
        let part = |of: f64, whole: f64| (whole > 0.0).then(|| of / whole);
        let time = |own: u64, limit: u64| (own > 0 && limit > 0).then(|| float(own) / float(limit));
        let acknowledged = &played.acknowledged;
        let consumed = played.consumed.as_ref().map(|consumed| consumed.bytes_per_second);
        let latency = acknowledged.latency;
        Self {
            disk_write: part(acknowledged.bytes_per_second, limits.disk_write_bytes_per_second),
            loopback_in: part(acknowledged.bytes_per_second, limits.loopback_bytes_per_second),
            disk_read: consumed.and_then(|bytes| part(bytes, limits.disk_read_bytes_per_second)),
            loopback_out: consumed.and_then(|bytes| part(bytes, limits.loopback_bytes_per_second)),
            commit_p50: time(latency.p50_ns, limits.commit.p50_ns),
            commit_p99: time(latency.p99_ns, limits.commit.p99_ns),
            ping_pong_p50: time(latency.p50_ns, limits.ping_pong.p50_ns),
        }
    }

    fn median(all: &[Self]) -> Self {
        let of = |pick: fn(&Self) -> Option<f64>| median(all.iter().filter_map(pick));
        Self {
            disk_write: of(|one| one.disk_write),
            loopback_in: of(|one| one.loopback_in),
            disk_read: of(|one| one.disk_read),
            loopback_out: of(|one| one.loopback_out),
            commit_p50: of(|one| one.commit_p50),
            commit_p99: of(|one| one.commit_p99),
            ping_pong_p50: of(|one| one.ping_pong_p50),
        }
    }
}
