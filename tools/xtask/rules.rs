//! The rules of size and name that clippy does not know, checked over the text of the tree.

mod links;
mod names;
mod safety;
mod sizes;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::repo::Repo;
use crate::step::{Failure, Outcome};

/// Findings shown before the rest is only counted.
const FINDINGS_SHOWN_MAX: usize = 40;
/// Larger files are data, not text to read.
const TEXT_BYTES_MAX: u64 = 1 << 20;

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// 1-based; `None` where the file or folder as a whole is meant.
    line: Option<usize>,
    what: String,
}

impl Finding {
    fn new(path: impl Into<String>, line: Option<usize>, what: impl Into<String>) -> Self {
        Self { path: path.into(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.what),
            None => write!(f, "{}: {}", self.path, self.what),
        }
    }
}

/// A text file of the tree, its path relative to the root with `/`.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs") && !self.path.contains("/generated/")
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    fn folder(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Lines with their 1-based numbers.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Checks every rule and lists what breaks one.
pub(crate) fn check(repo: &Repo) -> Result<Outcome, Failure> {
    let files = repo.files()?;
    let sources = load(repo, &files);
    let paths = files.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let mut findings = sizes::check(&sources);
    findings.extend(names::check(&sources));
    findings.extend(words::check(&sources));
    findings.extend(links::check(&sources, &paths));
    findings.extend(safety::check(&sources));
    if findings.is_empty() {
        let rust = sources.iter().filter(|source| source.is_rust()).count();
        return Ok(Outcome::Passed(format!("{} text files, {rust} of Rust", sources.len())));
    }
    for finding in findings.iter().take(FINDINGS_SHOWN_MAX) {
        println!("  {finding}");
    }
    let what = format!("{} places break the rules of size and name", findings.len());
    Err(Failure::new(what, "split by noun, rename, or say it in other words"))
}

fn load(repo: &Repo, files: &[PathBuf]) -> Vec<Source> {
    let source = |path: &PathBuf| {
        let text = text_of(&repo.root.join(path))?;
        Some(Source { path: path.to_string_lossy().into_owned(), text })
    };
    files.iter().filter_map(source).collect()
}

fn text_of(path: &Path) -> Option<String> {
    // A file that another process removed between listing and reading is no finding.
    let bytes = std::fs::metadata(path).ok()?.len();
    if bytes > TEXT_BYTES_MAX {
        return None;
    }
    let text = String::from_utf8(std::fs::read(path).ok()?).ok()?;
    (!text.contains('\0')).then_some(text)
}

#[cfg(test)]
mod sample {
    use super::Source;

    /// A tree of given files, for the rules' own tests.
    pub(super) fn tree(files: &[(&str, String)]) -> Vec<Source> {
        files
            .iter()
            .map(|(path, text)| Source { path: (*path).to_owned(), text: text.clone() })
            .collect()
    }
}
