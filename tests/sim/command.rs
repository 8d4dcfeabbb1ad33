//! The command line: which seeds of which scenarios, on how many threads, and what is said of them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::run::{Ran, run};
use crate::scenario::{Scenario, files};
use crate::trace::Telling;

/// Where the scenarios lie, beside this crate's manifest.
const SCENARIOS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenario");
/// Seeds within which a planted flaw must be caught.
const CANARY_SEEDS: u64 = 200;
/// Failures that are told; the rest is counted.
const TOLD_MAX: u64 = 5;

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Command {
    seeds: u64,
    first_seed: u64,
    scenario: Option<PathBuf>,
    jobs: u64,
    telling: Telling,
    canaries: bool,
    /// Leave the slow scenarios out.
    short: bool,
}

/// One seed's run, twice.
struct Judged {
    seed: u64,
    file: PathBuf,
    ran: Ran,
    /// The hash of the second run, where it differs.
    other: Option<u64>,
}

impl Judged {
    fn is_bad(&self) -> bool {
        self.ran.violation.is_some() || self.other.is_some()
    }
}

impl Command {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
        let mut command = Self {
            seeds: 200,
            first_seed: 0,
            scenario: None,
            jobs: threads,
            telling: Telling::default(),
            canaries: false,
            short: false,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            let number = |text: String| {
                text.parse::<u64>().map_err(|error| format!("{word} {text}: {error}"))
            };
            match word.as_str() {
                "--seeds" => command.seeds = number(value()?)?,
                "--first-seed" => command.first_seed = number(value()?)?,
                "--seed" => {
                    command.first_seed = number(value()?)?;
                    command.seeds = 1;
                    command.telling.events = true;
                }
                "--scenario" => command.scenario = Some(PathBuf::from(value()?)),
                "--jobs" => command.jobs = number(value()?)?.max(1),
                "--files" => command.telling.files = Some(value()?),
                "--canaries" => command.canaries = true,
                "--short" => command.short = true,
                _ => return Err(format!("unknown option {word}")),
            }
        }
        Ok(command)
    }

    pub(crate) fn run(&self) -> Result<(), String> {
        if self.canaries {
            return self.canaries();
        }
        let plan = self.plan()?;
        let begun = Instant::now();
        let results = self.side_by_side(&plan);
        let failed = results.iter().filter(|judged| judged.is_bad()).count();
        let sum = |of: fn(&Ran) -> u64| results.iter().map(|judged| of(&judged.ran)).sum::<u64>();
        println!(
            "{} seeds, {failed} failed; {} records acknowledged, {} read, {} events, {} steps, each run twice; {:.1} s",
            results.len(),
            sum(|ran| ran.acknowledged),
            sum(|ran| ran.read),
            sum(|ran| ran.events),
            sum(|ran| ran.steps),
            begun.elapsed().as_secs_f64(),
        );
        if failed > 0 {
            return Err(format!("{failed} seeds failed"));
        }
        if self.telling.events
            && let Some(judged) = results.first()
        {
            println!("seed {}: hash {:#018x}", judged.seed, judged.ran.hash);
        }
        Ok(())
    }

    /// Which scenario each seed goes to: of ten seeds seven to fast ones, two to rare and one to slow ones.
    fn plan(&self) -> Result<Vec<(PathBuf, Scenario, u64)>, String> {
        let seeds = self.first_seed..self.first_seed + self.seeds;
        let folder = |name: &str| files(&Path::new(SCENARIOS).join(name));
        let (fast, rare, slow) = match &self.scenario {
            Some(path) if path.is_dir() => (files(path)?, Vec::new(), Vec::new()),
            Some(path) => (vec![path.clone()], Vec::new(), Vec::new()),
            None => (folder("fast")?, folder("rare")?, folder("slow")?),
        };
        let mut plan = Vec::new();
        for seed in seeds {
            let of = match seed % 10 {
                7 | 8 if !rare.is_empty() => &rare,
                9 if !slow.is_empty() && !self.short => &slow,
                _ => &fast,
            };
            let at = usize::try_from(seed / 10 + seed % 10).unwrap_or(0) % of.len().max(1);
            let file = of.get(at).ok_or("there is no scenario")?;
            plan.push((file.clone(), Scenario::read(file)?, seed));
        }
        Ok(plan)
    }

    fn side_by_side(&self, plan: &[(PathBuf, Scenario, u64)]) -> Vec<Judged> {
        let (next, told) = (AtomicU64::new(0), AtomicU64::new(0));
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(0);
                let Some((file, scenario, seed)) = plan.get(at) else { return done };
                let judged = twice(file, scenario, *seed, &self.telling);
                if judged.is_bad() && told.fetch_add(1, Ordering::Relaxed) < TOLD_MAX {
                    tell(&judged);
                }
                done.push(judged);
            }
        };
        let mut results: Vec<Judged> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..self.jobs.min(plan.len() as u64)).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
        });
        results.sort_by_key(|judged| judged.seed);
        results
    }

    /// Every planted flaw has to be caught.
    fn canaries(&self) -> Result<(), String> {
        let mut missed = Vec::new();
        for file in files(&Path::new(SCENARIOS).join("canary"))? {
            let scenario = Scenario::read(&file)?;
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let seeds = self.first_seed..self.first_seed + CANARY_SEEDS;
            let mut caught = None;
            for seed in seeds {
                let ran = run(&scenario, seed, &Telling::default());
                if let Some(violation) = ran.violation {
                    caught = Some((seed, violation));
                    break;
                }
            }
            match caught {
                Some((seed, violation)) => {
                    let first = violation.detail.lines().next().unwrap_or_default();
                    println!("{name}: caught at seed {seed} by '{}': {first}", violation.property);
                }
                None => {
                    println!("{name}: NOT caught within {CANARY_SEEDS} seeds");
                    missed.push(name);
                }
            }
        }
        if missed.is_empty() { Ok(()) } else { Err(format!("not caught: {}", missed.join(" "))) }
    }
}

/// Runs a seed and its replay.
fn twice(file: &Path, scenario: &Scenario, seed: u64, telling: &Telling) -> Judged {
    if telling.events {
        println!("{}: {}", file.display(), scenario.about);
    }
    let ran = run(scenario, seed, telling);
    let again = run(scenario, seed, &Telling::default());
    let other = (again.hash != ran.hash).then_some(again.hash);
    Judged { seed, file: file.to_path_buf(), ran, other }
}

/// Says all of it at once: other threads tell theirs.
fn tell(judged: &Judged) {
    let Judged { seed, file, ran, other } = judged;
    let shown = file.display();
    let mut lines = vec![format!("seed {seed} of {shown}:")];
    lines.extend(ran.last.iter().map(|line| format!("    {line}")));
    if let Some(violation) = &ran.violation {
        lines.push(format!("  {}: {}", violation.property, violation.detail));
    }
    if let Some(other) = other {
        lines.push(format!("  the replay differs: {:#018x}, {other:#018x}", ran.hash));
    }
    lines.push(format!("  again: cargo xtask sim --seed {seed} --scenario {shown}"));
    println!("{}", lines.join("\n"));
}
