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

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# Does it.\napi TwoWords 7\nversions 2-5\nflexible 4+\n\nrequest\n";

    fn parse(lines: &str) -> Result<Api, String> {
        Api::parse(&format!("{HEAD}{lines}\nresponse\n")).map_err(|error| error.to_string())
    }

    fn code(lines: &str) -> String {
        rust::module(&parse(lines).unwrap_or_else(|error| panic!("{error}")), "two_words.txt")
    }

    #[test]
    fn lines_that_are_not_understood_are_named() {
        for (lines, what) in [
            ("  name string", "no type"),
            ("  name: string 1+", "not understood"),
            ("  name: string 3-6", "not understood"),
            ("  name: string 4+ null 3+", "not understood"),
            ("  name: string tagged 3", "not understood"),
            ("    name: string", "too deep"),
            ("  name: string\n    inner: i32", "only a part has fields"),
        ] {
            let error = parse(lines).err().unwrap_or_default();
            assert!(error.contains(what) && error.starts_with("line "), "{lines}: {error}");
        }
        assert!(Api::parse("# Does it.\napi A 1\n").is_err());
    }

    #[test]
    fn a_field_is_read_in_its_versions_alone() {
        let code = code("  name: string 3-4 null 4 = none\n  ids: [i32]\n  at: i64 5+ tag 0 = -1");
        for line in [
            "pub name: Option<String>,",
            "let ids = reader.array(4, Reader::i32)?;",
            "if version >= 4 { reader.nullable_string()? } else { Some(reader.string()?) }",
            "0 if version >= 5 => at = reader.i64()?,",
            "let has_at = version >= 5 && self.at != -1;",
        ] {
            assert!(code.contains(line), "'{line}' is missing from\n{code}");
        }
    }

    #[test]
    fn an_array_is_bounded_by_the_fewest_bytes_of_its_elements() {
        // Compact from version 4: two empty strings and no tags; before, two lengths of two bytes.
        let part = "  parts: [Part]\n    a: string\n    b: string\n    c: i64 5+";
        assert!(code(part).contains("reader.array(3, |reader| Part::decode"), "{}", code(part));
        let classic = "  parts: [Part] 2-3\n    a: string\n    b: i64 3+";
        assert!(code(classic).contains("reader.array(2, |reader| Part::decode"));
    }

    #[test]
    fn files_are_named_as_their_api() {
        assert_eq!(rust::snake("OffsetForLeaderEpoch"), "offset_for_leader_epoch");
    }
}
