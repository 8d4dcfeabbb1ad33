//! `cargo xtask judges`: clients and suites that nobody here wrote, against the broker. A folder of `tests/peers` is a judge:
//! its program `run` installs what it needs below the target folder, plays against the broker and prints a verdict a line;
//! its `deviations.txt` names what may fail, and why.

mod broker;
mod verdict;

use std::path::{Path, PathBuf};

use crate::options::Options;
use crate::repo::{self, Repo, in_ci, on_path};
use crate::step::{Failure, Outcome, Totals};
use crate::tools;

use broker::Broker;
use verdict::{Deviations, Tally, Verdict};

const PEERS: &str = "tests/peers";
/// Longest a judge may take.
const JUDGE_SECONDS_MAX: u32 = 1_200;
/// What `run` exits with where something it needs is not on this machine.
const EXIT_ABSENT: i32 = 77;

/// Runs the judges named, or all.
pub(crate) fn judges(repo: &Repo, options: &Options) -> Result<Outcome, Failure> {
    // The whole workspace, so that features are those of the tests and nothing is built twice.
    let build = ["build", "--workspace", "--bin", "kolk"];
    let mut cargo = repo.cargo(&build);
    if options.release {
        cargo.arg("--release");
    }
    repo::run(&mut cargo)?;
    let program = repo.target.join(if options.release { "release" } else { "debug" }).join("kolk");
    let mut totals = Totals::default();
    for judge in all(repo)?.into_iter().filter(|judge| options.wants(&judge.name)) {
        match judge.hear_fairly(repo, &program) {
            Ok(tally) => {
                println!("judge {}: {tally}", judge.name);
                totals.add(tally.totals());
            }
            Err(Absent::Tool(what)) if !in_ci() => {
                println!("judge {}: skipped, {what}", judge.name)
            }
            Err(Absent::Tool(what)) => {
                return Err(Failure::new(format!("judge {}: {what}", judge.name), ""));
            }
            Err(Absent::Broken(failure)) => {
                println!("judge {}: {failure}", judge.name);
                totals.add(Totals { passed: 0, failed: 1 });
            }
        }
    }
    if totals.failed > 0 {
        let cure = "cargo xtask judges NAME runs one alone; its output is below target/judges/NAME";
        return Err(Failure::new("a judge is not content", cure).with_totals(totals));
    }
    Ok(Outcome::Tested(totals))
}

/// Why a judge has nothing to say.
enum Absent {
    Tool(String),
    Broken(Failure),
}

impl From<Failure> for Absent {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

struct Judge {
    name: String,
    folder: PathBuf,
}

fn all(repo: &Repo) -> Result<Vec<Judge>, Failure> {
    let peers = repo.root.join(PEERS);
    let unreadable = |e: std::io::Error| Failure::new(format!("{}: {e}", peers.display()), "");
    let mut judges = Vec::new();
    for entry in std::fs::read_dir(&peers).map_err(unreadable)? {
        let folder = entry.map_err(unreadable)?.path();
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
        if let (true, Some(name)) = (folder.join("run").is_file(), name) {
            judges.push(Judge { name, folder });
        }
    }
    judges.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(judges)
}

impl Judge {
    /// Hears the judge once more, with a broker of its own, if it is not content: suites of others have races of theirs. Both
    /// results are printed, the second one counts.
    fn hear_fairly(&self, repo: &Repo, program: &Path) -> Result<Tally, Absent> {
        match self.hear(repo, program) {
            Ok(tally) if tally.is_content() => Ok(tally),
            Err(Absent::Tool(what)) => Err(Absent::Tool(what)),
            Ok(tally) => {
                println!("judge {}: {tally}; once more", self.name);
                self.hear(repo, program)
            }
            Err(Absent::Broken(failure)) => {
                println!("judge {}: {failure}; once more", self.name);
                self.hear(repo, program)
            }
        }
    }

    /// Starts a broker, lets the judge play, and weighs what it says.
    fn hear(&self, repo: &Repo, program: &Path) -> Result<Tally, Absent> {
        self.install(repo)?;
        let deviations = Deviations::read(&self.folder.join("deviations.txt"))?;
        let work = repo.target.join("judges").join(&self.name);
        std::fs::create_dir_all(&work)
            .map_err(|e| Failure::new(format!("{}: {e}", work.display()), ""))?;
        let broker = Broker::start(repo, program, &work)?;
        let mut run = repo.command("timeout");
        run.args(["--kill-after=10", &JUDGE_SECONDS_MAX.to_string()]).arg(self.folder.join("run"));
        run.env("WORK", &work).env("KOLK", program).env("REPO", &repo.root);
        broker.tell(&mut run);
        let mut verdicts = Vec::new();
        let code = repo::each_line_code(&mut run, |line| match Verdict::parse(line) {
            Some(verdict) => verdicts.push(verdict),
            None => println!("  {line}"),
        })?;
        broker.stop()?;
        match code {
            Some(0) => Ok(Tally::weigh(&verdicts, &deviations)?),
            Some(EXIT_ABSENT) => Err(Absent::Tool("something it needs is not here".to_owned())),
            code => Err(Failure::new(format!("run ended with {code:?}"), "").into()),
        }
    }

    /// Looks for the programs that the judge's file `needs` names, `program package` a line.
    fn install(&self, repo: &Repo) -> Result<(), Absent> {
        let needs = repo::read(&self.folder.join("needs"))?;
        let missing: Vec<_> = needs
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(program, _)| !on_path(program))
            .map(|(_, package)| package.trim())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        tools::apt_install(repo, missing).map_err(|failure| Absent::Tool(failure.to_string()))
    }
}
