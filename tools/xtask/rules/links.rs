//! Links between the project's own pages: a page that moved leaves no dead ones behind.

use std::collections::BTreeSet;

use super::{Finding, Source};

/// `paths` are all files of the tree, text or not.
pub(super) fn check(sources: &[Source], paths: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| source.path.ends_with(".md")) {
        for (number, line) in source.lines() {
            for target in targets(line) {
                let path = resolved(source.folder(), target);
                let folder = format!("{path}/");
                let exists = paths.contains(&path)
                    || path.is_empty()
                    || paths.range(folder.clone()..).next().is_some_and(|p| p.starts_with(&folder));
                if !exists {
                    let what = format!("the link leads nowhere: {target}");
                    findings.push(Finding::new(&source.path, Some(number), what));
                }
            }
        }
    }
    findings
}

/// Targets of the line's links within the tree, without their fragments.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let target = rest.split_once(')')?.0.split('#').next()?;
        let inside =
            !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
        inside.then_some(target)
    })
}

/// A relative link of a page in `folder`, as a path from the root.
fn resolved(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::sample::tree;
    use super::*;

    #[test]
    fn dead_links_are_found_and_live_ones_are_not() {
        let text = "[a](../log/lib.rs#x) [b](gone.md) [c](https://example.com/) [d](#here) [e](..)";
        let sources = tree(&[("src/io/README.md", text.to_owned())]);
        let paths = ["src/log/lib.rs", "src/io/README.md"].map(str::to_owned).into();
        let found: Vec<_> = check(&sources, &paths).into_iter().map(|f| f.what).collect();
        assert_eq!(found, ["the link leads nowhere: gone.md"]);
    }
}
