//! Names that say nothing, of files and of declared things.

use super::{Finding, Source};

/// Words of which no name may be made: they say that something is there, not what.
const EMPTY_WORDS: [&str; 12] = [
    "util", "utils", "helper", "helpers", "common", "misc", "manager", "impls", "info", "data",
    "stuff", "prelude",
];
/// Further file names that say nothing. `mod.rs` hides the name of its module in the folder.
const EMPTY_FILES: [&str; 7] = ["mod", "impl", "types", "process", "do", "new", "old"];
const EMPTY_ENDINGS: [&str; 4] = ["2", "_v2", "_new", "_old"];
const DECLARATIONS: [&str; 6] = ["struct ", "enum ", "trait ", "type ", "mod ", "union "];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.is_rust()) {
        let stem = source.name().trim_end_matches(".rs");
        if empty_file_name(stem) {
            findings.push(Finding::new(&source.path, None, "the file's name says nothing"));
        }
        for (number, line) in source.lines() {
            if let Some(name) = declared(line)
                && segments(name).iter().any(|word| EMPTY_WORDS.contains(&word.as_str()))
            {
                let what = format!("'{name}' has a word in it that says nothing");
                findings.push(Finding::new(&source.path, Some(number), what));
            }
        }
    }
    findings
}

fn empty_file_name(stem: &str) -> bool {
    EMPTY_FILES.contains(&stem)
        || EMPTY_ENDINGS.iter().any(|ending| stem.ends_with(ending))
        || stem.split('_').any(|word| EMPTY_WORDS.contains(&word))
}

/// The name a line declares, if it declares a type or a module.
fn declared(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    if let Some(public) = rest.strip_prefix("pub") {
        rest = public.trim_start();
        if let Some(scope) = rest.strip_prefix('(') {
            rest = scope.split_once(')')?.1.trim_start();
        }
    }
    let name = DECLARATIONS.iter().find_map(|word| rest.strip_prefix(word))?;
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
    name.get(..end).filter(|name| !name.is_empty())
}

/// `PartitionInfo` and `partition_info` alike become `partition`, `info`.
fn segments(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(String::new());
        }
        if c != '_'
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::super::sample::tree;
    use super::*;

    #[test]
    fn empty_file_names_are_found() {
        for stem in ["util", "mod", "log_helpers", "reader2", "index_old", "types"] {
            assert!(empty_file_name(stem), "{stem} passed");
        }
        for stem in ["reader", "metadata", "newline", "model", "process_crash", "utility_bill"] {
            assert!(!empty_file_name(stem), "{stem} was refused");
        }
    }

    #[test]
    fn declared_types_with_empty_words_are_found_with_their_line() {
        let text = "//! Doc.\npub(crate) struct PartitionInfo {\nstruct Metadata;\n".to_owned();
        let found = check(&tree(&[("src/log/reader.rs", text)]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line, Some(2));
    }

    #[test]
    fn generated_code_is_exempt() {
        let sources = tree(&[("src/native/generated/mod.rs", "struct FooInfo;".to_owned())]);
        assert_eq!(check(&sources), []);
    }
}
