//! What a figure has to stand beside: the machine, its kernel, and when it was.

use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::cores::cores;

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// UTC, to the minute.
    pub date: String,
    /// The model, as the kernel names it.
    pub processor: String,
    /// Those that this process may use.
    pub cores: usize,
    /// All of it.
    pub memory_mib: u64,
    /// Name, version and processor family.
    pub kernel: String,
    /// The file system below the brokers' data, and its device.
    pub disk: String,
    /// Load average when the comparison began: other work on the machine.
    pub load: String,
    /// This load generator.
    pub generator: String,
}

impl Facts {
    /// Looks at the machine; data goes below `folder`.
    pub fn look(folder: &Path) -> Self {
        let memory = field("/proc/meminfo", "MemTotal");
        let memory = memory.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let mut df = Command::new("df");
        df.args(["--output=fstype,source"]).arg(folder);
        let disk = ask(&mut df);
        let build = if cfg!(debug_assertions) { "debug build" } else { "release build" };
        Self {
            date: ask(Command::new("date").args(["-u", "+%F %H:%M UTC"])),
            processor: field("/proc/cpuinfo", "model name"),
            cores: cores().len(),
            memory_mib: memory.unwrap_or(0) / 1024,
            kernel: ask(Command::new("uname").arg("-srm")),
            disk: disk
                .lines()
                .last()
                .unwrap_or_default()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" on "),
            load: load.split_whitespace().take(3).collect::<Vec<_>>().join(" "),
            generator: format!("kolk-bench {}, {build}", env!("CARGO_PKG_VERSION")),
        }
    }
}

/// What a program calls itself; `unknown` if it can't be asked.
#[must_use]
pub fn version(program: &Path) -> String {
    ask(Command::new(program).arg("--version"))
}

fn ask(command: &mut Command) -> String {
    let said = command.output().map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    said.unwrap_or_else(|_| "unknown".to_owned())
}

/// The value behind the first line `name : value` of a file of the kernel.
fn field(path: &str, name: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.split_once(':'))
        .map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_says_what_it_is() {
        let facts = Facts::look(Path::new("/"));
        assert!(facts.cores > 0 && facts.memory_mib > 100, "{facts:?}");
        assert!(facts.kernel.starts_with("Linux"), "{facts:?}");
        assert!(facts.disk.contains(" on "), "{facts:?}");
        assert_eq!(facts.date.len(), "2026-01-01 00:00 UTC".len(), "{facts:?}");
    }
}
