//! One flipped bit in a data directory: harmless, mended, or found with file and position; never other bytes for a reader, never
//! a start that ends by a signal, never a log that is gone. `kolk inspect` knows of every one that is not harmless.

mod flip;
mod pristine;

use std::collections::BTreeMap;
use std::path::Path;

use kolk_inspect::error::InspectError;
use kolk_inspect::inspection::{Selection, inspect};
use kolk_inspect::watch::Silent;

use crate::broker::{Broker, Place, Refused};
use crate::random::Random;
use flip::{Flip, Kind, files};
use pristine::{Content, Ended, Pristine, STILL, copy, read};

const FLIPS_VARIABLE: &str = "KOLK_ROT_FLIPS";
const SEED_VARIABLE: &str = "KOLK_ROT_SEED";
/// Flips with a broker each where nobody asks for more: `cargo xtask rot` does.
const FLIPS_DEFAULT: usize = 40;
/// Brokers at a time.
const JUDGES: usize = 3;
/// Kafka's code for a partition whose disk failed.
const STORAGE_ERROR: i16 = 56;

/// When the bit turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// No broker runs.
    Stopped,
    /// A broker has just started.
    Running,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// Every batch came back as it was, and `kolk inspect` calls the directory whole.
    Harmless,
    /// `kolk inspect` names the file, and the broker had another source of what was in it, or no need of it.
    Mended,
    /// A partition is offline, the broker's log names file and position.
    Offline,
    /// The broker does not start and names the file.
    Refused,
    /// In a group of the journal that no later group vouches for: as after a torn write it counts as never acknowledged, and is
    /// counted.
    Torn,
}

/// What `kolk inspect` says.
struct Inspected {
    /// Files of its findings.
    damaged: Vec<String>,
    /// Groups that it takes for torn.
    torn: u64,
}

fn inspected(data: &Path) -> Inspected {
    match inspect(data, &Selection::default(), &mut Silent) {
        Ok(report) => Inspected {
            damaged: report.damage.into_iter().map(|finding| finding.file).collect(),
            torn: report.journal.map_or(0, |journal| journal.torn_groups),
        },
        Err(InspectError::Newer { file, .. }) => Inspected { damaged: vec![file], torn: 0 },
        Err(error) => panic!("{}: {error}", data.display()),
    }
}

/// One flip in a copy of a directory, judged.
struct Trial<'a> {
    pristine: &'a Pristine,
    /// Groups of the pristine directory that were torn already.
    torn_before: u64,
    place: &'a Place,
    flip: &'a Flip,
    when: When,
}

impl Trial<'_> {
    fn run(&self) -> Result<Verdict, String> {
        let data = self.place.data();
        drop(std::fs::remove_dir_all(&data));
        copy(&self.pristine.data, &data);
        let logs = segments(&data);
        let (found, started) = match self.when {
            When::Stopped => {
                self.flip.apply(&data);
                (inspected(&data), self.place.try_start(2, &STILL))
            }
            When::Running => {
                let broker = self.place.start_with(2, &STILL);
                self.flip.apply(&data);
                (inspected(&data), Ok(broker))
            }
        };
        let verdict = match started {
            Err(refused) => self.judge_refused(&found, &refused)?,
            Ok(broker) => {
                let (verdict, content) = self.judge_running(&found, broker)?;
                if verdict == Verdict::Offline {
                    self.start_again(&content)?;
                }
                verdict
            }
        };
        let left = segments(&data);
        if let Some(gone) = logs.iter().find(|log| !left.contains(log))
            && verdict != Verdict::Torn
        {
            return Err(format!("{gone} is gone"));
        }
        Ok(verdict)
    }

    fn judge_refused(&self, found: &Inspected, refused: &Refused) -> Result<Verdict, String> {
        let log = &refused.log;
        if refused.status.code() != Some(1) {
            return Err(format!("the start ended with {}:\n{log}", refused.status));
        }
        self.named(found)?;
        if !names(log, self.flip, &self.pristine.data) {
            return Err(format!("the refusal does not name the file:\n{log}"));
        }
        Ok(Verdict::Refused)
    }

    fn judge_running(
        &self,
        found: &Inspected,
        mut broker: Broker<'_>,
    ) -> Result<(Verdict, Content), String> {
        let content = read(self.place);
        let log = broker.log();
        if !broker.runs() {
            return Err(format!("the broker ended while it was read:\n{log}"));
        }
        broker.kill();
        let (mut offline, mut short) = (false, false);
        for (place, wanted) in &self.pristine.content.partitions {
            let got = &content.partitions[place];
            let same = got.batches.iter().zip(&wanted.batches).take_while(|(a, b)| a == b).count();
            if same < got.batches.len() {
                return Err(format!("{place:?}: batch {same} is not what was written"));
            }
            match got.refused {
                Some(STORAGE_ERROR) => offline = true,
                Some(code) => return Err(format!("{place:?}: error {code}\n{log}")),
                None => short |= same < wanted.batches.len(),
            }
        }
        let committed = content.committed;
        let forgotten = committed.is_ok() && committed != self.pristine.content.committed;
        let torn = found.torn > self.torn_before;
        if (short || forgotten) && !torn {
            return Err(format!("records are missing and nothing says so\n{log}"));
        }
        if offline {
            self.named(found)?;
            if !names(&log, self.flip, &self.pristine.data) {
                return Err(format!("the log does not name the file:\n{log}"));
            }
            return Ok((Verdict::Offline, content));
        }
        if torn {
            return Ok((Verdict::Torn, content));
        }
        if found.damaged.is_empty() {
            return Ok((Verdict::Harmless, content));
        }
        self.named(found)?;
        // A journal may hold records of a topic that was deleted.
        let spared = !matches!(self.flip.kind, Kind::Segment | Kind::Current | Kind::Catalogue);
        if spared || self.when == When::Running {
            Ok((Verdict::Mended, content))
        } else {
            Err(format!("{:?} is damaged and nobody noticed\n{log}", found.damaged))
        }
    }

    /// The next start finds the same again, and comes up.
    fn start_again(&self, before: &Content) -> Result<(), String> {
        let again = self.place.try_start(2, &STILL);
        let broker = again.map_err(|refused| format!("the next start: {}", refused.log))?;
        let content = read(self.place);
        for (place, got) in &content.partitions {
            let first = before.partitions[place].refused;
            if first.is_some() && got.refused != first {
                let log = broker.log();
                return Err(format!("{place:?} was offline and is back by itself\n{log}"));
            }
        }
        broker.kill();
        Ok(())
    }

    /// Whether the offline reader has found the file.
    fn named(&self, found: &Inspected) -> Result<(), String> {
        let file = self.flip.file.to_string_lossy();
        let folder = self.flip.file.parent().expect("in a folder").to_string_lossy();
        let names = |damaged: &String| damaged.ends_with(&*file) || *damaged == folder;
        if found.damaged.iter().any(names) {
            return Ok(());
        }
        Err(format!("kolk inspect names {:?}", found.damaged))
    }
}

/// Whether a broker's log names the file, or of a journal its folder.
fn names(log: &str, flip: &Flip, pristine: &Path) -> bool {
    let file = flip.file.to_string_lossy();
    let folder = flip.file.parent().expect("in a folder").to_string_lossy();
    match flip.kind {
        // As `topics/…/…log at 4096: …`, and the damage begins at or before the byte, or with the next batch.
        Kind::Segment => {
            let segment = std::fs::read(pristine.join(&flip.file)).expect("a pristine segment");
            let at_most = batch_behind(&segment, flip.position);
            log.split(&format!("{file} at ")).skip(1).any(|rest| {
                let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
                digits.parse().is_ok_and(|at: usize| at <= at_most)
            })
        }
        Kind::Journal | Kind::Snapshot => {
            let shard = folder.rsplit('/').next().unwrap_or_default();
            log.contains(&*folder) || log.contains(&format!("journal of shard {shard}"))
        }
        _ => log.contains(&*file),
    }
}

/// Where the batch behind the one that holds a byte begins. Where compaction left gaps, a base offset that has become too large
/// is noticed there.
fn batch_behind(segment: &[u8], position: usize) -> usize {
    let mut at = 0;
    while at <= position {
        let length = segment.get(at + 8..at + 12).expect("a whole batch");
        let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
        at += 12 + usize::try_from(length).expect("64 bits");
    }
    at
}

/// The segment files below a data directory.
fn segments(data: &Path) -> Vec<String> {
    let files = files(data).into_iter();
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "log"));
    files.map(|file| file.display().to_string()).collect()
}

/// The flips of one directory, shared out among some judges.
fn judge_all(pristine: &Pristine, flips: &[(Flip, When)]) -> Vec<(Kind, Verdict)> {
    let torn_before = inspected(&pristine.data).torn;
    let judge = |share: Vec<&(Flip, When)>| {
        let place = Place::new("rot", 2);
        let judged = share.into_iter().map(|(flip, when)| {
            let trial = Trial { pristine, torn_before, place: &place, flip, when: *when };
            match trial.run() {
                Ok(verdict) => (flip.kind, verdict),
                Err(fault) => panic!("{flip}, {when:?}: {fault}"),
            }
        });
        judged.collect::<Vec<_>>()
    };
    std::thread::scope(|scope| {
        let share = |first: usize| flips.iter().skip(first).step_by(JUDGES).collect();
        let judges: Vec<_> =
            (0..JUDGES).map(|first| scope.spawn(move || judge(share(first)))).collect();
        judges.into_iter().flat_map(|judge| judge.join().expect("see above")).collect()
    })
}

#[test]
fn a_flipped_bit_is_harmless_or_found_and_never_served() {
    let mut random = Random::from_environment(SEED_VARIABLE);
    let wanted = std::env::var(FLIPS_VARIABLE).ok().and_then(|text| text.parse().ok());
    let wanted: usize = wanted.unwrap_or(FLIPS_DEFAULT);
    eprintln!("{SEED_VARIABLE}={} {FLIPS_VARIABLE}={wanted}", random.seed());
    let mut counts: BTreeMap<(Kind, Verdict), usize> = BTreeMap::new();
    for ended in [Ended::Stopped, Ended::Killed] {
        let pristine = Pristine::make(ended);
        let flips: Vec<_> = (0..wanted.div_ceil(2))
            .map(|_| {
                let flip = Flip::choose(&pristine.data, &mut random);
                let in_topics = flip.file.starts_with("topics");
                let running = in_topics && random.below(3) == 0;
                (flip, if running { When::Running } else { When::Stopped })
            })
            .collect();
        for (kind, verdict) in judge_all(&pristine, &flips) {
            *counts.entry((kind, verdict)).or_default() += 1;
        }
    }
    for ((kind, verdict), count) in &counts {
        eprintln!("{kind:?} {verdict:?}: {count}");
    }
    let caught = counts.keys().any(|(_, verdict)| *verdict != Verdict::Harmless);
    assert!(caught, "no flip did any harm: {counts:?}");
}
