//! `kolk-bench rate-sweep`: the knee, the highest rate at which p99 stays under a bound.
//!
//! Rates double from the first one until the bound is broken, then the gap between the last good and the first bad rate is
//! halved (by their geometric mean) until it is small enough. A trial is good if p99 is within the bound, the broker kept up,
//! and every record came whole, once and in order.

use std::path::PathBuf;
use std::time::Duration;

use kolk_driver::clock::{float, ns_of};
use kolk_driver::protocol;
use kolk_machine::facts::Facts;
use kolk_machine::latency::Percentiles;
use kolk_plot::figures::{thousands, time};
use serde::Serialize;

use super::compare::{SourceArgs, WorkloadArgs};
use crate::error::{BenchError, Outcome};
use crate::lab::contender::{Contender, Sources};
use crate::lab::rounds;
use crate::play::workload::Case;
use crate::play::{self, Played};

/// A broker that acknowledges less of the rate than this does not keep up.
const KEPT_UP: f64 = 0.98;
const TRIALS_MAX: u32 = 40;

/// What is bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
    /// From due to acknowledged.
    Acknowledged,
    /// From due to consumed.
    Consumed,
}

/// Arguments of `kolk-bench rate-sweep`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who, as for compare; each in turn.
    #[arg(short, long, value_delimiter = ',', required = true, value_name = "NAME[@LEVEL],…")]
    brokers: Vec<String>,
    #[command(flatten)]
    workload: WorkloadArgs,
    /// The bound of p99 in ms.
    #[arg(long, default_value_t = 10.0, value_name = "MS")]
    p99_ms: f64,
    /// Which time is bounded.
    #[arg(long, value_enum, default_value = "acknowledged")]
    measure: Measure,
    /// The first rate, in records a second.
    #[arg(long, default_value_t = 1_000.0, value_name = "RATE")]
    from: f64,
    /// No higher rate is tried.
    #[arg(long, default_value_t = 10_000_000.0, value_name = "RATE")]
    to: f64,
    /// Stop when the first bad rate is no more than this part above the last good one.
    #[arg(long, default_value_t = 0.1, value_name = "PART")]
    precision: f64,
    /// A file for the result as JSON.
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    sources: SourceArgs,
}

/// One rate that was tried.
#[derive(Clone, Debug, Serialize)]
struct Trial {
    rate: f64,
    /// Records a second that were acknowledged.
    reached: f64,
    latency: Percentiles,
    good: bool,
}

/// The search for the knee, apart from what it searches.
#[derive(Clone, Copy, Debug)]
struct Search {
    good: Option<f64>,
    bad: Option<f64>,
    next: f64,
    to: f64,
    precision: f64,
}

impl Search {
    const fn new(from: f64, to: f64, precision: f64) -> Self {
        Self { good: None, bad: None, next: from, to, precision }
    }

    /// The next rate to be tried; `None` when the knee is known well enough.
    fn rate(&self) -> Option<f64> {
        match (self.good, self.bad) {
            (Some(good), Some(bad)) if bad / good <= 1.0 + self.precision => None,
            // The first rate is too high already, or none that is allowed.
            (None, Some(bad)) if bad < 1.0 => None,
            (Some(good), None) if good >= self.to => None,
            _ => Some(self.next),
        }
    }

    fn tried(&mut self, rate: f64, good: bool) {
        if good {
            self.good = Some(rate);
        } else {
            self.bad = Some(rate);
        }
        self.next = match (self.good, self.bad) {
            (Some(good), Some(bad)) => (good * bad).sqrt(),
            (Some(good), None) => (good * 2.0).min(self.to),
            (None, Some(bad)) => bad / 4.0,
            (None, None) => self.next,
        };
    }
}

/// Sweeps each contender.
pub(crate) fn run(args: &Args) -> Outcome<()> {
    let contenders = args.brokers.iter().map(|text| Contender::parse(text));
    let contenders = contenders.collect::<Outcome<Vec<Contender>>>()?;
    let (workload, workload_text) = args.workload.read()?;
    let refused = |what: String| Err(BenchError::Workload(what));
    if workload.produce.conditional || workload.fill.is_some() {
        return refused("no sweep of conditional appends or of a topic filled before".to_owned());
    }
    let (from, to) = (args.from, args.to);
    if !(from > 0.0 && from <= to) {
        return refused(format!("--from {from} --to {to}: rates go up from above 0"));
    }
    let case = workload.cases().into_iter().next();
    let case = case.ok_or_else(|| BenchError::Workload("there is no case".to_owned()))?;
    let sources = args.sources.sources()?;
    let machine = Facts::look(&sources.scratch);
    sources.enter();
    let mut all = Vec::new();
    for contender in &contenders {
        let trials = sweep(args, contender, &case, &sources)?;
        let knee =
            trials.iter().filter(|trial| trial.good).map(|trial| trial.rate).reduce(f64::max);
        let said = knee.map_or_else(|| "none".to_owned(), thousands);
        println!("{}: {said} records/s with p99 ≤ {} ms", contender.label(), args.p99_ms);
        all.push(serde_json::json!({
            "contender": contender.label(),
            "durability": contender.durability(&case).name(),
            "records_per_second": knee,
            "trials": trials,
        }));
    }
    drop(std::fs::remove_dir_all(&sources.scratch));
    let Some(out) = &args.out else { return Ok(()) };
    let result = serde_json::json!({
        "machine": machine,
        "placement": sources.placement,
        "workload": workload_text,
        "p99_ms_max": args.p99_ms,
        "measure": format!("{:?}", args.measure),
        "sweeps": all,
    });
    std::fs::write(out, format!("{result:#}\n")).map_err(|error| BenchError::file(out, error))
}

/// One contender, a fresh broker for all of its trials, a fresh topic for each.
fn sweep(
    args: &Args,
    contender: &Contender,
    case: &Case,
    sources: &Sources,
) -> Outcome<Vec<Trial>> {
    protocol::supports(contender.protocol(), &contender.demand(case))?;
    let standing = contender.start(case, sources)?;
    let mut search = Search::new(args.from, args.to, args.precision);
    let mut trials = Vec::new();
    while let Some(rate) = search.rate().filter(|_| trials.len() < TRIALS_MAX as usize) {
        let mut own = case.clone();
        own.workload.produce.rate = Some(rate);
        let place = rounds::place(contender, &own, standing.address.clone());
        let driver = protocol::open(contender.protocol(), place, own.workload.client)?;
        let played = play::play(driver.as_ref(), &own, &standing.watched)?;
        let trial = judge(args, rate, &played);
        eprintln!(
            "  {} at {}/s: reached {}/s, p50 {}, p99 {}: {}",
            contender.label(),
            thousands(rate),
            thousands(trial.reached),
            time(float(trial.latency.p50_ns)),
            time(float(trial.latency.p99_ns)),
            if trial.good { "good" } else { "too much" },
        );
        search.tried(rate, trial.good);
        trials.push(trial);
    }
    standing.stop()?;
    Ok(trials)
}

fn judge(args: &Args, rate: f64, played: &Played) -> Trial {
    let consumed = || played.consumed.as_ref().map(|consumed| consumed.latency);
    let latency = match args.measure {
        Measure::Acknowledged => played.acknowledged.latency,
        Measure::Consumed => consumed().unwrap_or_default(),
    };
    // A burst raises the mean above the rate, which is that between bursts; the bound is for what was due.
    let due = float(played.acknowledged.latency.count) / played.seconds.max(f64::MIN_POSITIVE);
    let reached = played.acknowledged.records_per_second;
    let bound = ns_of(Duration::from_secs_f64(args.p99_ms / 1e3));
    let good = latency.p99_ns <= bound && reached >= KEPT_UP * due && played.verdict.is_clean();
    Trial { rate, reached, latency, good }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates that a search tries against a broker that is good up to `knee`.
    fn tried(mut search: Search, knee: f64) -> (Vec<f64>, Option<f64>) {
        let mut rates = Vec::new();
        while let Some(rate) = search.rate().filter(|_| rates.len() < TRIALS_MAX as usize) {
            search.tried(rate, rate <= knee);
            rates.push(rate);
        }
        (rates, search.good)
    }

    #[test]
    fn the_knee_is_found_within_the_precision() {
        for knee in [1_000.0, 1_700.0, 50_000.0, 123_456.0] {
            let (rates, found) = tried(Search::new(1_000.0, 1e6, 0.1), knee);
            let found = found.unwrap();
            assert!(found <= knee && found * 1.1 >= knee, "{found} for {knee}: {rates:?}");
            assert!(rates.len() < 15, "{rates:?}");
        }
    }

    #[test]
    fn a_knee_below_the_first_rate_is_found_and_none_is_said() {
        let (_, found) = tried(Search::new(1_000.0, 1e6, 0.1), 30.0);
        assert!((27.0..=30.0).contains(&found.unwrap()), "{found:?}");
        let (rates, found) = tried(Search::new(1_000.0, 1e6, 0.1), 0.0);
        assert_eq!((found, rates.len()), (None, 6));
    }

    #[test]
    fn no_rate_above_the_highest_is_tried() {
        let (rates, found) = tried(Search::new(1_000.0, 5_000.0, 0.1), 1e9);
        assert_eq!((rates, found), (vec![1_000.0, 2_000.0, 4_000.0, 5_000.0], Some(5_000.0)));
    }
}
