//! The entry: looks at what a path is and has it checked.

mod directory;
mod single;

mod log_check;
mod shard_journal;

mod segment_walk;

mod content;

use std::path::{Path, PathBuf};

use kolk_log::log::parse_segment_name;
use kolk_model::ids::{PartitionId, TopicId};
use kolk_model::offset::Offset;

use crate::error::InspectError;
use crate::report::Report;
use crate::watch::Watch;

use directory::Scope;

/// What of a data directory is asked for. The default is everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only the topic of this name.
    pub topic: Option<String>,
    /// Only the partition of this number.
    pub partition: Option<PartitionId>,
}

/// Checks a data directory, or one file of it. Changes nothing.
///
/// A path below a data directory is checked with the directory's journal at hand: `topics/<id>/<partition>` or a
/// segment in it gives that part alone.
///
/// ```no_run
/// use kolk_inspect::inspection::{Selection, inspect};
/// use kolk_inspect::watch::Silent;
///
/// let report = inspect("kolk-data".as_ref(), &Selection::default(), &mut Silent)?;
/// for finding in &report.damage {
///     eprintln!("{} at {}: {}", finding.file, finding.position, finding.reason);
/// }
/// # Ok::<(), kolk_inspect::error::InspectError>(())
/// ```
///
/// # Errors
/// When the path can't be inspected at all. Damage is not an error but part of the report.
pub fn inspect(
    path: &Path,
    selection: &Selection,
    watch: &mut dyn Watch,
) -> Result<Report, InspectError> {
    let real = path.canonicalize().map_err(|error| InspectError::io(path, error))?;
    let data = data_directory(&real);
    let mut scope = Scope {
        topic_name: selection.topic.clone(),
        partition: selection.partition,
        ..Scope::default()
    };
    if real.is_dir() {
        let below = data.as_deref().and_then(|data| Some((data, real.strip_prefix(data).ok()?)));
        let Some((data, below)) = below else {
            return Err(InspectError::NotOurs { path: path.to_owned() });
        };
        if !below.as_os_str().is_empty() && !narrow(&mut scope, below) {
            return Err(InspectError::NotOurs { path: path.to_owned() });
        }
        return directory::inspect(data, &scope, watch, directory::begin(path));
    }
    file(path, &real, data.as_deref(), scope, watch)
}

fn file(
    path: &Path,
    real: &Path,
    data: Option<&Path>,
    mut scope: Scope,
    watch: &mut dyn Watch,
) -> Result<Report, InspectError> {
    let name = real.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if let Some(base) = parse_segment_name(name) {
        let below = data.and_then(|data| Some((data, real.parent()?.strip_prefix(data).ok()?)));
        if let Some((data, below)) = below
            && narrow(&mut scope, below)
        {
            scope.segment = Some(base);
            let mut report = directory::begin(path);
            report.kind = crate::report::Kind::Segment;
            return directory::inspect(data, &scope, watch, report);
        }
        return single::segment(path, base, watch);
    }
    if let Some(base) = index_base(name) {
        return single::index(path, base);
    }
    match name {
        "CURRENT" => return single::current(path),
        "catalogue" => return single::catalogue(path),
        "producer.snapshot" => return single::producers(path),
        _ => {}
    }
    let of_journal = name.ends_with(".journal");
    if !of_journal && !matches!(name, "snapshot.a" | "snapshot.b") {
        return Err(InspectError::NotOurs { path: path.to_owned() });
    }
    let identity = data.map(|data| single::identity(data, real)).transpose()?.flatten();
    let Some(identity) = identity else {
        return Err(InspectError::NeedsDirectory { path: path.to_owned() });
    };
    if of_journal { single::journal(path, identity) } else { single::snapshot(path, identity) }
}

/// The data directory that `path` is or lies in.
fn data_directory(path: &Path) -> Option<PathBuf> {
    let is_data = |dir: &&Path| {
        dir.join("meta/CURRENT").is_file()
            || dir.join("meta/catalogue").is_file()
            || (dir.join("journal").is_dir() && dir.join("topics").is_dir())
    };
    path.ancestors().find(is_data).map(Path::to_owned)
}

/// Narrows the scope to `topics`, `topics/<id>` or `topics/<id>/<partition>`; false if `below` is none of them.
fn narrow(scope: &mut Scope, below: &Path) -> bool {
    let mut parts = below.iter().map(|part| part.to_str().unwrap_or_default());
    if parts.next() != Some("topics") {
        return false;
    }
    if let Some(topic) = parts.next() {
        let Ok(topic) = topic.parse::<TopicId>() else { return false };
        scope.topic = Some(topic);
    }
    if let Some(partition) = parts.next() {
        let Ok(partition) = partition.parse() else { return false };
        scope.partition = Some(PartitionId::new(partition));
    }
    parts.next().is_none()
}

fn index_base(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(".index")?;
    parse_segment_name(&format!("{digits}.log"))
}
