//! `SAFETY.md` promises and names the test of each promise: a test that was renamed or removed leaves no promise behind.

use std::collections::BTreeSet;

use super::{Finding, Source};

const PAGE: &str = "SAFETY.md";
/// Names of tests are sentences; shorter code words are settings and files.
const WORDS_MIN: usize = 4;

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let Some(page) = sources.iter().find(|source| source.path == PAGE) else {
        return Vec::new();
    };
    let functions: BTreeSet<&str> =
        sources.iter().filter(|s| s.is_rust()).flat_map(|s| functions(&s.text)).collect();
    let mut findings = Vec::new();
    for (number, line) in page.lines() {
        for name in names(line).filter(|name| !functions.contains(name)) {
            let what = format!("there is no test {name}");
            findings.push(Finding::new(PAGE, Some(number), what));
        }
    }
    findings
}

/// The code words of a line that look like the name of a test.
fn names(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2).filter(|word| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        word.chars().all(plain) && word.split('_').count() >= WORDS_MIN
    })
}

/// Names behind `fn`, and names in quotes: a program that runs its checks from a list has them there.
fn functions(text: &str) -> impl Iterator<Item = &str> {
    let named = text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
    named.chain(text.split('"').skip(1))
}

#[cfg(test)]
mod tests {
    use super::super::sample::tree;
    use super::*;

    #[test]
    fn a_test_that_is_not_there_is_found() {
        let page = "| promise | `a_record_is_never_lost` in `min.insync.replicas` |\n";
        let named = "//! Doc.\nfn a_record_is_never_lost() {}\n";
        let listed = "//! Doc.\nconst ALL: [&str; 1] = [\"a_record_is_never_lost\"];\n";
        for code in [named, listed] {
            let sources = tree(&[(PAGE, page.to_owned()), ("tests/a.rs", code.to_owned())]);
            assert_eq!(check(&sources), []);
        }
        let found = check(&tree(&[(PAGE, page.to_owned())]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line, Some(1));
    }
}
