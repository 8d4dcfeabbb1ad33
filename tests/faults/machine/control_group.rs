//! A control group of one of the two versions, which a broker is put into.

use std::path::{Path, PathBuf};

use super::{Absent, need_root};

/// A group; removed when dropped, which its processes must have left by then.
pub(crate) struct ControlGroup {
    folder: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

const ROOT: &str = "/sys/fs/cgroup";

impl ControlGroup {
    /// A group of this controller, by its name of version 1 and that of version 2.
    pub(crate) fn new(name: &str, controller: (&str, &str)) -> Result<Self, Absent> {
        need_root()?;
        let (one, two) = controller;
        let name = format!("kolk-{name}-{}", std::process::id());
        let first = Path::new(ROOT).join(one);
        if first.join("cgroup.procs").exists() {
            return Self::make(first.join(name), Version::One);
        }
        let listed = std::fs::read_to_string(format!("{ROOT}/cgroup.controllers"));
        let listed = listed.map_err(|_| Absent(format!("no controller {one} in {ROOT}")))?;
        if !listed.split_whitespace().any(|word| word == two) {
            return Err(Absent(format!("no controller {two} in {ROOT}")));
        }
        let enable = format!("+{two}");
        std::fs::write(format!("{ROOT}/cgroup.subtree_control"), enable)
            .map_err(|error| Absent(format!("controller {two}: {error}")))?;
        Self::make(Path::new(ROOT).join(name), Version::Two)
    }

    fn make(folder: PathBuf, version: Version) -> Result<Self, Absent> {
        std::fs::create_dir(&folder)
            .map_err(|error| Absent(format!("{}: {error}", folder.display())))?;
        Ok(Self { folder, version })
    }

    /// Sets a value: the file and text of version 1, and those of version 2.
    pub(crate) fn set(&self, one: (&str, &str), two: (&str, &str)) -> Result<(), Absent> {
        let (file, text) = if self.version == Version::One { one } else { two };
        let path = self.folder.join(file);
        std::fs::write(&path, text).map_err(|e| Absent(format!("{}: {e}", path.display())))
    }

    /// Reads a number: the file of version 1, and that of version 2.
    pub(crate) fn number(&self, one: &str, two: &str) -> Option<u64> {
        let file = if self.version == Version::One { one } else { two };
        std::fs::read_to_string(self.folder.join(file)).ok()?.trim().parse().ok()
    }

    /// A file that takes the ids of processes.
    pub(crate) fn processes(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// Puts a process into the group.
    pub(crate) fn take(&self, process: u32) {
        std::fs::write(self.processes(), process.to_string()).expect("a running process");
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir(&self.folder) {
            eprintln!("{}: {error}", self.folder.display());
        }
    }
}
