//! Text that must not land: unfinished marks, silenced tests, paths of one machine, registry hosts.

use super::{Finding, Source};

/// Marks of unfinished work, written apart so that this file does not find itself.
const UNFINISHED: [&str; 5] = [
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("X", "XX"),
];
/// Attributes that make a test pass by not looking.
const SILENCED: [&str; 2] = [concat!("#[ign", "ore"), concat!("#[should_", "panic")];
/// First folders of paths that exist on one machine only.
const MACHINE_FOLDERS: [&str; 4] = ["work", "farm", "root", "home"];
/// Package registries: a checkout names packages, the machine knows where they come from.
const REGISTRY_HOSTS: [(&str, &str); 9] = [
    ("pypi", ".org"),
    ("files.pythonhosted", ".org"),
    ("registry.npmjs", ".org"),
    ("proxy.golang", ".org"),
    ("repo1.maven", ".org"),
    ("repo.maven.apache", ".org"),
    ("deb.debian", ".org"),
    ("index.crates", ".io"),
    ("static.crates", ".io"),
];
/// What shows that a test can fail.
const VERDICTS: [&str; 9] = [
    "assert",
    "expect",
    "unwrap",
    "?",
    "check",
    concat!("pan", "ic"),
    "matches!",
    "Err(",
    "is_send",
];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let hosts: Vec<String> = REGISTRY_HOSTS.iter().map(|(a, b)| format!("{a}{b}")).collect();
    let mut findings = Vec::new();
    for source in sources {
        for (number, line) in source.lines() {
            let what = if names_machine_path(line) {
                "an absolute path of one machine"
            } else if hosts.iter().any(|host| line.contains(host.as_str())) {
                "the host of a package registry"
            } else {
                continue;
            };
            findings.push(Finding::new(&source.path, Some(number), what));
        }
        if source.is_rust() {
            check_rust(source, &mut findings);
        }
    }
    findings
}

fn check_rust(source: &Source, findings: &mut Vec<Finding>) {
    let first = source.text.lines().next().unwrap_or_default();
    if !first.starts_with("//!") {
        let what = "the first line must be '//! What this owns and why it is apart.'";
        findings.push(Finding::new(&source.path, Some(1), what));
    }
    for (number, line) in source.lines() {
        let mut find = |marks: &[&str], what: &str| {
            for mark in marks.iter().filter(|mark| line.contains(**mark)) {
                findings.push(Finding::new(&source.path, Some(number), format!("{what} {mark}")));
            }
        };
        find(&UNFINISHED, "an unfinished mark:");
        find(&SILENCED, "a test that does not look:");
    }
    for number in tests_without_verdict(source) {
        let what = "this test asserts nothing";
        findings.push(Finding::new(&source.path, Some(number), what));
    }
}

/// A path from the root of the file system into one of those folders, not a part of a longer one.
fn names_machine_path(line: &str) -> bool {
    MACHINE_FOLDERS.iter().any(|folder| {
        let path = format!("/{folder}/");
        line.match_indices(&path).any(|(at, _)| {
            let before = line.get(..at).and_then(|text| text.chars().next_back());
            !before.is_some_and(|c| c.is_ascii_lowercase() || c == '.')
        })
    })
}

/// Lines of the test attributes whose function holds nothing that could fail.
fn tests_without_verdict(source: &Source) -> Vec<usize> {
    let mut silent = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, line) in source.lines() {
        let attribute = line.trim_start();
        if attribute.starts_with("#[test") || attribute.starts_with("#[tokio::test") {
            let indent = line.chars().take_while(|c| c.is_whitespace()).collect();
            open = Some((number, indent));
            continue;
        }
        let Some((at, indent)) = &open else { continue };
        if VERDICTS.iter().any(|verdict| line.contains(verdict)) {
            open = None;
        } else if line.strip_prefix(indent.as_str()) == Some("}") {
            silent.push(*at);
            open = None;
        }
    }
    silent
}

#[cfg(test)]
mod tests {
    use super::super::sample::tree;
    use super::*;

    fn check_one(path: &str, text: &str) -> Vec<String> {
        check(&tree(&[(path, text.to_owned())])).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn machine_paths_are_found_and_addresses_are_not() {
        let path = ["see /", "home/", "me/x"].concat();
        assert_eq!(check_one("README.md", &path).len(), 1);
        let inner = ["see target/", "work/x and http://a.b/", "work/"].concat();
        assert_eq!(check_one("README.md", &inner), Vec::<String>::new());
    }

    #[test]
    fn registry_hosts_are_found() {
        let line = ["pip install --index-url https://py", "pi.org/simple"].concat();
        assert_eq!(check_one("x.sh", &line).len(), 1);
    }

    #[test]
    fn unfinished_marks_and_silenced_tests_are_found() {
        for mark in UNFINISHED.iter().chain(&SILENCED) {
            let found = check_one("src/log/a.rs", &format!("//! Doc.\n{mark}\n"));
            assert!(!found.is_empty(), "{mark} passed");
        }
    }

    #[test]
    fn a_file_without_its_purpose_in_the_first_line_is_found() {
        assert_eq!(check_one("src/log/a.rs", "use std::fmt;\n").len(), 1);
    }

    #[test]
    fn a_test_without_a_verdict_is_found_and_one_with_it_is_not() {
        let silent = "//! Doc.\n    #[test]\n    fn runs() {\n        let x = 1;\n    }\n";
        assert_eq!(
            check_one("src/log/a.rs", silent),
            ["src/log/a.rs:2: this test asserts nothing"]
        );
        let loud = silent.replace("let x = 1", "assert_eq!(1, 1)");
        assert_eq!(check_one("src/log/a.rs", &loud), Vec::<String>::new());
    }
}
