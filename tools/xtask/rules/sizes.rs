//! Sizes that keep rooms liveable: lines of a file, files of a folder, lines of a crate.

use std::collections::BTreeMap;

use super::{Finding, Source};

const FILE_LINES_MAX: usize = 800;
const LIB_LINES_MAX: usize = 120;
const FOLDER_FILES_MAX: usize = 12;
/// Without tests and examples: both are welcome beside the code, no code depends on them, and to count them would only push code
/// apart.
const CRATE_LINES_MAX: usize = 8_000;
/// Folders that grow by one file a thing.
const WIDE_FOLDERS: [&str; 4] = ["handler", "decisions", "data", "generated"];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut folders: BTreeMap<&str, usize> = BTreeMap::new();
    let mut crates: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let lines = source.text.lines().count();
        let lines_max = if source.name() == "lib.rs" { LIB_LINES_MAX } else { FILE_LINES_MAX };
        if lines > lines_max {
            let what = format!("{lines} lines, {lines_max} are the wall");
            findings.push(Finding::new(&source.path, None, what));
        }
        *folders.entry(source.folder()).or_default() += 1;
        *crates.entry(crate_of(&source.path)).or_default() += code_lines(source);
    }
    for (folder, files) in folders {
        let wide = folder.rsplit('/').next().is_some_and(|name| WIDE_FOLDERS.contains(&name));
        if files > FOLDER_FILES_MAX && !wide {
            let what = format!("{files} files in one folder, at most {FOLDER_FILES_MAX}");
            findings.push(Finding::new(folder, None, what));
        }
    }
    for (name, lines) in crates {
        if lines > CRATE_LINES_MAX {
            let what = format!(
                "a crate of {lines} lines without tests and examples, at most {CRATE_LINES_MAX}"
            );
            findings.push(Finding::new(name, None, what));
        }
    }
    findings
}

/// The folder of the crate a file belongs to: `src/log` for `src/log/journal/group.rs`.
fn crate_of(path: &str) -> &str {
    let mut slashes = path.match_indices('/').map(|(at, _)| at);
    let first = slashes.next();
    match (first, slashes.next()) {
        (_, Some(second)) => path.get(..second).unwrap_or(path),
        (Some(first), None) => path.get(..first).unwrap_or(path),
        (None, None) => "",
    }
}

/// Lines that are no tests and no examples: a test module stands last in its file, or in files of its own.
fn code_lines(source: &Source) -> usize {
    let is_apart = source.path.starts_with("tests/")
        || source.path.contains("/tests/")
        || source.path.contains("/examples/")
        || source.name() == "tests.rs";
    if is_apart {
        return 0;
    }
    let all = || source.text.lines();
    let tests = all().zip(all().skip(1)).position(|(attribute, module)| {
        attribute == "#[cfg(test)]" && module.starts_with("mod ") && module.ends_with('{')
    });
    tests.unwrap_or_else(|| all().count())
}

#[cfg(test)]
mod tests {
    use super::super::sample::tree;
    use super::*;

    #[test]
    fn a_long_file_and_a_long_lib_are_found() {
        let sources = tree(&[
            ("src/log/reader.rs", "x\n".repeat(801)),
            ("src/log/lib.rs", "x\n".repeat(121)),
            ("src/log/index.rs", "x\n".repeat(800)),
            ("src/native/generated/big.rs", "x\n".repeat(9_000)),
        ]);
        let paths: Vec<_> = check(&sources).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["src/log/reader.rs", "src/log/lib.rs"]);
    }

    #[test]
    fn a_full_folder_is_found_but_not_one_of_handlers() {
        let files: Vec<_> = ["src/log", "src/serve/kafka/handler"]
            .iter()
            .flat_map(|folder| (0..13).map(move |n| format!("{folder}/f{n}.rs")))
            .collect();
        let texts: Vec<_> = files.iter().map(|path| (path.as_str(), String::new())).collect();
        let found = check(&tree(&texts));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "src/log");
    }

    #[test]
    fn tests_and_examples_do_not_count_towards_the_size_of_a_crate() {
        let body = format!("fn f() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(700));
        let probe = "x\n".repeat(700);
        let sources =
            tree(&[("src/log/reader.rs", body), ("src/io/examples/probe/main.rs", probe)]);
        assert_eq!(sources.iter().map(code_lines).collect::<Vec<_>>(), [1, 0]);
        assert_eq!(crate_of("src/log/journal/group.rs"), "src/log");
        assert_eq!(crate_of("src/main.rs"), "src");
    }
}
