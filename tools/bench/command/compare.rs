//! `kolk-bench compare`: brokers side by side, and `kolk-bench report`: their page again from the result.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kolk_machine::cores::{CoreList, Placement};
use kolk_machine::facts::Facts;
use kolk_plot::figures::thousands;

use crate::error::{BenchError, Outcome};
use crate::lab::contender::{Contender, External, Sources};
use crate::lab::rounds::{self, RoundsPlan};
use crate::play::workload::Workload;
use crate::report::{Comparison, PAGE};

/// Size of the file that disk limits are measured with.
const LIMIT_FILE_BYTES: u64 = 1 << 30;
/// Height of the page without cases, and of what it shows of one, or of several and what grows from one to the next.
const HEAD_PIXELS: usize = 1_700;
const CASE_PIXELS: usize = 2_000;
const GROWTH_PIXELS: usize = 1_000;
const WORKLOADS: &str = "perf/workload";

/// Where brokers come from, for every command that starts some.
#[derive(Debug, clap::Args)]
pub(crate) struct SourceArgs {
    /// kolk's program.
    #[arg(long, default_value = "target/release/kolk")]
    kolk: PathBuf,
    /// Where data and logs of kolk and the files of the disk's limits go; they are deleted again.
    #[arg(long, default_value = "target/bench")]
    scratch: PathBuf,
    /// The command that brings peers up and down: `… up NAME --durability LEVEL`, `… down NAME`.
    #[arg(long, default_value = "cargo xtask brokers", value_name = "COMMAND")]
    peers: String,
    /// A broker that runs already and is left as it is; may be repeated.
    #[arg(long, value_name = "NAME=HOST:PORT[,pid=PID][,data=DIR]")]
    external: Vec<String>,
    /// Keep each broker on these cores, such as 0,2-3. kolk has a shard on each of them.
    #[arg(long, value_name = "LIST")]
    broker_cores: Option<CoreList>,
    /// Keep the load generator and its clients on these cores.
    #[arg(long, value_name = "LIST")]
    load_cores: Option<CoreList>,
}

impl SourceArgs {
    /// Makes the scratch folder; the caller removes it.
    pub(crate) fn sources(&self) -> Outcome<Sources> {
        let external = self.external.iter().map(|text| External::parse(text));
        let external = external.collect::<Outcome<Vec<External>>>()?;
        if self.broker_cores.is_some() && !external.is_empty() {
            let what = "--broker-cores and --external: a broker that runs already stays where it is; pin it when you start it";
            return Err(BenchError::Workload(what.to_owned()));
        }
        let scratch = self.scratch.join(format!("kolk-bench-{}", std::process::id()));
        std::fs::create_dir_all(&scratch).map_err(|error| BenchError::file(&scratch, error))?;
        let scratch = scratch.canonicalize().map_err(|error| BenchError::file(&scratch, error))?;
        // Where no contender is kolk it need not be there.
        let kolk = self.kolk.canonicalize().unwrap_or_else(|_| self.kolk.clone());
        let placement = Placement::of(self.broker_cores.as_ref(), self.load_cores.as_ref());
        Ok(Sources { kolk, scratch, peers: self.peers.clone(), external, placement })
    }
}

/// What is played, for every command that plays workloads.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkloadArgs {
    /// A workload of perf/workload, or a file.
    #[arg(short, long, value_name = "NAME|FILE")]
    workload: String,
    /// Divide times and amounts by this: to see whether all works, not for figures.
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    shorten: f64,
}

impl WorkloadArgs {
    pub(crate) fn read(&self) -> Outcome<(Workload, String)> {
        let refused = |what| Err(BenchError::Workload(what));
        let shorten = self.shorten;
        if shorten.is_nan() || shorten < 1.0 {
            return refused(format!("--shorten {shorten}: 1 or more divides times and amounts"));
        }
        let named = Path::new(WORKLOADS).join(format!("{}.toml", self.workload));
        let path = if named.is_file() { named } else { PathBuf::from(&self.workload) };
        if !path.is_file() {
            let (path, names) = (path.display(), names());
            return refused(format!("no workload and no file '{path}'; {WORKLOADS} has: {names}"));
        }
        let (mut workload, text) = Workload::read(&path)?;
        if shorten > 1.0 {
            workload.shorten(shorten);
        }
        Ok((workload, text))
    }
}

/// The workloads of the folder, in order, if it is there. Those of `kolk-bench run` are of another kind.
fn names() -> String {
    let files = std::fs::read_dir(WORKLOADS).into_iter().flatten().flatten();
    let stems = files.filter_map(|file| Some(file.path().file_stem()?.to_str()?.to_owned()));
    let names: BTreeSet<_> =
        stems.filter(|name| !["speed", "spikes"].contains(&name.as_str())).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// Arguments of `kolk-bench compare`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// kolk, kolk-kafka, kolk-kafka-shard, kafka, nats, rabbitmq, redis; each may have @power-loss or @process-crash
    /// instead of the workload's durability, and kolk settings before that, such as kolk:cores=0:spin_us=2000.
    #[arg(
        short,
        long,
        value_delimiter = ',',
        required = true,
        value_name = "NAME[:KEY=VALUE…][@LEVEL],…"
    )]
    brokers: Vec<String>,
    #[command(flatten)]
    workload: WorkloadArgs,
    /// Each contender is played so often.
    #[arg(short, long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The folder for result.json and report.html.
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// Take a picture of the page with headless Chromium, report.png.
    #[arg(long)]
    png: bool,
    /// Seconds of each limit of the machine; 0 = none are measured.
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    limit_seconds: f64,
    #[command(flatten)]
    sources: SourceArgs,
}

/// Plays, writes, and fails if anything went wrong.
pub(crate) fn run(args: &Args) -> Outcome<()> {
    let contenders = args.brokers.iter().map(|text| Contender::parse(text));
    let contenders = contenders.collect::<Outcome<Vec<Contender>>>()?;
    let (workload, workload_text) = args.workload.read()?;
    let sources = args.sources.sources()?;
    let machine = Facts::look(&sources.scratch);
    let time = Duration::from_secs_f64(args.limit_seconds.max(0.0));
    let limits = (!time.is_zero()).then_some((time, LIMIT_FILE_BYTES));
    let plan = RoundsPlan { rounds: args.rounds, limits };
    let played =
        rounds::run(&workload, &contenders, &sources, plan, &mut |line| eprintln!("{line}"));
    let (rounds, contenders) = played?;
    let comparison = Comparison {
        command: command_line(),
        machine,
        placement: sources.placement.clone(),
        workload: workload.name.clone(),
        about: workload.about.clone(),
        pace: pace(&workload),
        workload_text,
        contenders,
        rounds,
    };
    comparison.write(&args.out)?;
    println!("{}", args.out.join(PAGE).display());
    if args.png {
        picture(&args.out, workload.cases().len())?;
    }
    if comparison.is_sound() {
        // The logs of brokers are worth keeping only after a failure.
        drop(std::fs::remove_dir_all(&sources.scratch));
        return Ok(());
    }
    let what = format!("something went wrong; {} says what", args.out.join(PAGE).display());
    Err(BenchError::Workload(what))
}

/// How the report says what the times mean.
fn pace(workload: &Workload) -> String {
    match workload.produce.rate {
        Some(rate) => format!(
            "Open loop, {} records a second{}: times count from when a record was due.",
            thousands(rate),
            workload.produce.burst.map_or("", |_| " outside bursts")
        ),
        None => {
            "Closed loop: look at throughput; times say how long the queue was, not how fast the broker is.".to_owned()
        }
    }
}

/// What Chromium shows of the page, as high as so many cases need: of several all are folded up.
fn picture(folder: &Path, cases: usize) -> Outcome<()> {
    let folder = folder.canonicalize().map_err(|error| BenchError::file(folder, error))?;
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]);
    chromium.arg(format!("--screenshot={}", folder.join("report.png").display()));
    let height = HEAD_PIXELS + if cases > 1 { GROWTH_PIXELS } else { CASE_PIXELS };
    chromium.arg(format!("--window-size=1400,{height}"));
    let done = chromium.arg(folder.join(PAGE)).output();
    match done.map_err(|error| BenchError::refused("chromium", error))? {
        done if done.status.success() => Ok(()),
        done => Err(BenchError::refused("chromium", String::from_utf8_lossy(&done.stderr))),
    }
}

/// The command line, without the folders of this machine.
fn command_line() -> String {
    let words = std::env::args().skip(1).map(|word| {
        if word.starts_with('/') {
            word.rsplit('/').next().unwrap_or_default().to_owned()
        } else if word.contains(' ') {
            format!("'{word}'")
        } else {
            word
        }
    });
    std::iter::once("kolk-bench".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Arguments of `kolk-bench report`.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// A result.json; the page is written beside it.
    result: PathBuf,
}

/// Renders the page of a result again.
pub(crate) fn report(args: &ReportArgs) -> Outcome<()> {
    let comparison = Comparison::read(&args.result)?;
    let folder = args.result.parent().unwrap_or_else(|| Path::new("."));
    comparison.write(folder)?;
    println!("{}", folder.join(PAGE).display());
    Ok(())
}
