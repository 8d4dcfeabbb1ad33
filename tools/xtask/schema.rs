//! The flatbuffers code: generated from `schemas/native/*.fbs`, committed, and kept equal to it.

pub(crate) mod kafka;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::repo::{self, Repo};
use crate::step::{Failure, Outcome};
use crate::tools::{self, Flatc};

const SCHEMAS: &str = "schemas/native";
const GENERATED: &str = "src/native/generated";

/// Generates into the target folder and compares with what is committed.
pub(crate) fn check(repo: &Repo) -> Result<Outcome, Failure> {
    let flatc = match tools::flatc(repo)? {
        Flatc::At(program) => program,
        Flatc::Absent(why) => return Ok(Outcome::Skipped(why)),
    };
    let fresh = repo.target.join("xtask/generated");
    // Left from an earlier run, when a schema that is gone now still had code.
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).map_err(|e| unwritable(&fresh, &e))?;
    }
    let schemas = generate(repo, &flatc, &fresh)?;
    let committed = repo.root.join(GENERATED);
    let names: BTreeSet<_> = rust_files(&fresh).union(&rust_files(&committed)).cloned().collect();
    let mut differing = Vec::new();
    for name in &names {
        let text = |folder: &Path| std::fs::read(folder.join(name)).unwrap_or_default();
        if text(&fresh) != text(&committed) {
            differing.push(name.display().to_string());
        }
    }
    if differing.is_empty() {
        return Ok(Outcome::Passed(format!("{schemas} schemas, {} files", names.len())));
    }
    let what = format!("{GENERATED} differs from {SCHEMAS}: {}", differing.join(", "));
    Err(Failure::new(what, "cargo xtask fix, then commit"))
}

/// Writes the generated code anew.
pub(crate) fn write(repo: &Repo) -> Result<(), Failure> {
    match tools::flatc(repo)? {
        Flatc::At(flatc) => {
            let schemas = generate(repo, &flatc, &repo.root.join(GENERATED))?;
            println!("generated {GENERATED} from {schemas} schemas");
            Ok(())
        }
        Flatc::Absent(why) => {
            println!("not regenerated: {why}");
            Ok(())
        }
    }
}

fn generate(repo: &Repo, flatc: &Path, into: &Path) -> Result<usize, Failure> {
    std::fs::create_dir_all(into).map_err(|e| unwritable(into, &e))?;
    let folder = repo.root.join(SCHEMAS);
    let schemas = files(&folder, "fbs");
    if schemas.is_empty() {
        return Ok(0);
    }
    let mut command = repo.command(flatc);
    command.arg("--rust").arg("-I").arg(&folder).arg("-o").arg(into);
    command.args(schemas.iter().map(|name| folder.join(name)));
    repo::run(&mut command)?;
    Ok(schemas.len())
}

fn rust_files(folder: &Path) -> BTreeSet<PathBuf> {
    files(folder, "rs")
}

/// Names of the files of one kind in a folder; none where there is no folder.
fn files(folder: &Path, extension: &str) -> BTreeSet<PathBuf> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| PathBuf::from(entry.file_name()))
        .filter(|name| name.extension().is_some_and(|found| found == extension))
        .collect()
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()), "make it writable")
}
