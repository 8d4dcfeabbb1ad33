//! What grows from one case of a workload to the next. Apart from the workload, all of whose other parts stay as they are.

use serde::Deserialize;

use super::Workload;

/// One part of a workload and the sizes that it is played with, one after the other.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Growth {
    axis: Axis,
    steps: Vec<u32>,
}

/// What may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Axis {
    Partitions,
    /// Clients of all producers together.
    Connections,
    RecordBytes,
    /// Consumers of each group.
    Consumers,
}

impl Growth {
    /// The name and the workload of every step; no name twice.
    pub(super) fn steps<'a>(
        &'a self,
        of: &'a Workload,
    ) -> impl Iterator<Item = (String, Workload)> + 'a {
        self.steps.iter().map(|step| (self.axis.case(*step), self.axis.grown(of, *step)))
    }

    /// Whether each step is larger than the one before.
    pub(super) fn grows(&self) -> bool {
        !self.steps.is_empty() && self.steps.is_sorted_by(|one, next| one < next)
    }
}

impl Axis {
    /// The report finds axis and step in it again.
    fn case(self, step: u32) -> String {
        let name = match self {
            Self::Partitions => "partitions",
            Self::Connections => "connections",
            Self::RecordBytes => "record-bytes",
            Self::Consumers => "consumers",
        };
        format!("{name}={step}")
    }

    fn grown(self, of: &Workload, step: u32) -> Workload {
        let mut grown = Workload { grow: None, ..of.clone() };
        match self {
            Self::Partitions => grown.partitions = step,
            Self::Connections => grown.produce.connections = Some(step),
            Self::RecordBytes => grown.record_bytes = step as usize,
            Self::Consumers => grown.consume.consumers = step,
        }
        grown
    }
}
