//! The code of Kafka's messages: generated from `schemas/kafka/*.txt`, committed, and kept equal to it.

mod read;
mod rust;
mod table;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::repo::{self, Repo};
use crate::step::{Failure, Outcome};
use table::Api;

const TABLES: &str = "schemas/kafka";
const GENERATED: &str = "src/kafka/generated";

/// Generates in memory and compares with what is committed.
pub(crate) fn check(repo: &Repo) -> Result<Outcome, Failure> {
    let fresh = generate(repo)?;
    let committed = files(&repo.root.join(GENERATED), "rs");
    let mut differing: Vec<String> =
        committed.keys().filter(|name| !fresh.contains_key(*name)).cloned().collect();
    for (name, text) in &fresh {
        let same = committed
            .get(name)
            .is_some_and(|path| std::fs::read_to_string(path).is_ok_and(|found| found == *text));
        if !same {
            differing.push(name.clone());
        }
    }
    if differing.is_empty() {
        return Ok(Outcome::Passed(format!("{} files", fresh.len())));
    }
    let what = format!("{GENERATED} differs from {TABLES}: {}", differing.join(", "));
    Err(Failure::new(what, "cargo xtask fix, then commit"))
}

/// Writes the generated code anew.
pub(crate) fn write(repo: &Repo) -> Result<(), Failure> {
    let folder = repo.root.join(GENERATED);
    let fresh = generate(repo)?;
    for (name, path) in files(&folder, "rs") {
        if !fresh.contains_key(&name) {
            std::fs::remove_file(&path).map_err(|e| unwritable(&path, &e))?;
        }
    }
    std::fs::create_dir_all(&folder).map_err(|e| unwritable(&folder, &e))?;
    for (name, text) in &fresh {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| unwritable(&path, &e))?;
    }
    println!("generated {GENERATED}: {} files", fresh.len());
    Ok(())
}

/// Name and text of every file.
fn generate(repo: &Repo) -> Result<BTreeMap<String, String>, Failure> {
    let mut apis = Vec::new();
    let mut out = BTreeMap::new();
    for (name, path) in files(&repo.root.join(TABLES), "txt") {
        let api = Api::parse(&repo::read(&path)?)
            .map_err(|e| Failure::new(format!("{TABLES}/{name}: {e}"), "see its README.md"))?;
        if name != format!("{}.txt", rust::snake(&api.name)) {
            let what = format!("{TABLES}/{name} is the table of {}", api.name);
            return Err(Failure::new(what, "name the file as the API"));
        }
        out.insert(format!("{}.rs", rust::snake(&api.name)), rust::module(&api, &name));
        apis.push(api);
    }
    out.insert("api_key.rs".to_owned(), rust::api_keys(&apis));
    Ok(out)
}

/// Names and paths of the files of one kind in a folder; none where there is no folder.
fn files(folder: &Path, extension: &str) -> BTreeMap<String, PathBuf> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)))
        .collect()
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()), "make it writable")
}
