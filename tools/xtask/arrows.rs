//! The arrow table compared with `cargo metadata`: no crate names what its floor must not know.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::repo::{self, Repo};
use crate::step::{Failure, Outcome};

/// The table, relative to the root.
const TABLE: &str = "tools/xtask/arrows.txt";
/// Libraries that only the floors named in the table may use.
const BOUND: [&str; 5] = ["glommio", "io-uring", "libc", "tokio", "flatbuffers"];

#[derive(Debug, Default, PartialEq, Eq)]
struct Table {
    allowed: BTreeMap<String, BTreeSet<String>>,
    /// (from, to) with the reason.
    departures: BTreeMap<(String, String), String>,
}

/// Compares the table with what the manifests name.
pub(crate) fn check(repo: &Repo) -> Result<Outcome, Failure> {
    let table = parse(&repo::read(&repo.root.join(TABLE))?)?;
    let named = named(&repo.metadata);
    let mut faults = compare(&table, &named);
    faults.extend(without_lints(repo)?);
    for fault in &faults {
        println!("  {fault}");
    }
    for ((from, to), reason) in &table.departures {
        println!("  departs from the table: {from} -> {to}: {reason}");
    }
    if faults.is_empty() {
        let arrows: usize = named.values().map(BTreeSet::len).sum();
        return Ok(Outcome::Passed(format!("{} crates, {arrows} arrows", named.len())));
    }
    let cure = format!("mend the manifests; the table is {TABLE}");
    Err(Failure::new(format!("{} faults in the manifests", faults.len()), cure))
}

fn parse(text: &str) -> Result<Table, Failure> {
    let mut table = Table::default();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let unreadable = || Failure::new(format!("{TABLE}: unreadable line: {line}"), "");
        let (head, tail) = line.split_once(':').ok_or_else(unreadable)?;
        if let Some(arrow) = head.strip_prefix("depart ") {
            let (from, to) = arrow.split_once("->").ok_or_else(unreadable)?;
            let arrow = (from.trim().to_owned(), to.trim().to_owned());
            table.departures.insert(arrow, tail.trim().to_owned());
        } else {
            let names = tail.split_whitespace().map(str::to_owned).collect();
            table.allowed.insert(head.trim().to_owned(), names);
        }
    }
    Ok(table)
}

/// Per crate of the workspace the bound crates it names, dev-dependencies left out.
fn named(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut named = BTreeMap::new();
    for package in array(metadata, "packages") {
        let targets = array(package, "dependencies")
            .iter()
            .filter(|dependency| text(dependency, "kind") != "dev")
            .map(|dependency| text(dependency, "name"))
            .filter(|name| name.starts_with("kolk") || BOUND.contains(name))
            .map(short)
            .collect();
        named.insert(short(text(package, "name")), targets);
    }
    named
}

fn compare(table: &Table, named: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut departed = BTreeSet::new();
    for (from, targets) in named {
        let Some(allowed) = table.allowed.get(from) else {
            faults.push(format!("crate {from} has no line in the table"));
            continue;
        };
        for to in targets.difference(allowed) {
            let arrow = (from.clone(), to.clone());
            if table.departures.contains_key(&arrow) {
                departed.insert(arrow);
            } else {
                faults.push(format!("{from} -> {to} is not allowed"));
            }
        }
    }
    for (from, to) in table.departures.keys().filter(|arrow| !departed.contains(*arrow)) {
        faults.push(format!("the departure {from} -> {to} is no longer used: take its line out"));
    }
    faults
}

/// Crates that the workspace's lints do not reach: cargo does not pass them on by itself.
fn without_lints(repo: &Repo) -> Result<Vec<String>, Failure> {
    let mut faults = Vec::new();
    for package in array(&repo.metadata, "packages") {
        let manifest = repo::read(Path::new(text(package, "manifest_path")))?;
        if !manifest.contains("[lints]\nworkspace = true\n") {
            faults.push(format!("{} lacks '[lints] workspace = true'", text(package, "name")));
        }
    }
    Ok(faults)
}

fn short(name: &str) -> String {
    if name == "kolk" { "root".to_owned() } else { name.trim_start_matches("kolk-").to_owned() }
}

fn array<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(table: &str, dependencies: &Value) -> Vec<String> {
        let metadata =
            json!({ "packages": [{ "name": "kolk-log", "dependencies": dependencies }] });
        compare(&parse(table).unwrap(), &named(&metadata))
    }

    #[test]
    fn an_arrow_outside_the_table_is_a_fault() {
        let upward = json!([{ "name": "kolk-serve", "kind": null }]);
        assert_eq!(faults("log: model io", &upward), ["log -> serve is not allowed"]);
        let library = json!([{ "name": "tokio", "kind": "build" }]);
        assert_eq!(faults("log: model io", &library), ["log -> tokio is not allowed"]);
    }

    #[test]
    fn dev_dependencies_and_unbound_libraries_are_free() {
        let free = json!([
            { "name": "tokio", "kind": "dev" },
            { "name": "bytes", "kind": null },
            { "name": "kolk-model", "kind": null },
        ]);
        assert_eq!(faults("log: model", &free), Vec::<String>::new());
    }

    #[test]
    fn a_departure_admits_its_arrow_and_must_be_used() {
        let table = "log: model\ndepart log -> libc: because";
        let used = json!([{ "name": "libc", "kind": null }]);
        assert_eq!(faults(table, &used), Vec::<String>::new());
        assert_eq!(faults(table, &json!([])).len(), 1);
    }

    #[test]
    fn a_crate_without_a_line_is_a_fault() {
        assert_eq!(faults("model:", &json!([])), ["crate log has no line in the table"]);
    }
}
