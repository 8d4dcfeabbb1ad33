//! What a comparison came to: the result file, the sums of its rounds, and one page that needs no network.

mod page;

mod growth;
mod plots;

mod summary;

#[cfg(test)]
mod tests;

use std::path::Path;

use kolk_machine::cores::Placement;
use kolk_machine::facts::Facts;
use serde::{Deserialize, Serialize};

use crate::error::{BenchError, Outcome};
use crate::lab::contender::Described;
use crate::lab::rounds::Round;

/// Everything that is known of a comparison; `result.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Comparison {
    /// The command line that made it.
    pub(crate) command: String,
    pub(crate) machine: Facts,
    /// `None`: nobody was kept on cores.
    #[serde(default)]
    pub(crate) placement: Option<Placement>,
    pub(crate) workload: String,
    pub(crate) about: String,
    /// Whether the loop was open, and at which rate.
    pub(crate) pace: String,
    /// The workload file.
    pub(crate) workload_text: String,
    pub(crate) contenders: Vec<Described>,
    pub(crate) rounds: Vec<Round>,
}

/// The result and the page, by name below a folder.
pub(crate) const RESULT: &str = "result.json";
pub(crate) const PAGE: &str = "report.html";

impl Comparison {
    /// Reads a result file.
    pub(crate) fn read(path: &Path) -> Outcome<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| BenchError::file(path, error))?;
        serde_json::from_str(&text)
            .map_err(|error| BenchError::Workload(format!("{}: {error}", path.display())))
    }

    /// Writes result and page.
    pub(crate) fn write(&self, folder: &Path) -> Outcome<()> {
        let unwritable = |error| BenchError::file(folder, error);
        std::fs::create_dir_all(folder).map_err(unwritable)?;
        let json = serde_json::to_string(self)
            .map_err(|error| BenchError::Workload(format!("result: {error}")))?;
        std::fs::write(folder.join(RESULT), json + "\n").map_err(unwritable)?;
        std::fs::write(folder.join(PAGE), page::html(self)?).map_err(unwritable)
    }

    /// Whether every play went well and every record came whole, once and in order.
    pub(crate) fn is_sound(&self) -> bool {
        self.rounds.iter().flat_map(|round| &round.cells).all(|cell| !cell.is_wrong())
    }
}
