//! Finishing what compaction had decided when the run ended: the checkpoint that names a swap is the decision, whatever of the
//! swap itself a crash has left.

use std::path::Path;

use kolk_io::door::Io;
use kolk_io::error::IoError;
use kolk_model::ids::TopicPartition;
use kolk_model::offset::{FilePosition, Offset};

use crate::error::{Damage, LogError, RecoveryError};
use crate::log::{index_name, log_dir, parse_segment_name, segment_name};
use crate::recovery::materialize::{Failure, device};
use kolk_layout::segment::compacted::{
    CHECKPOINT_BYTES_MAX, CHECKPOINT_NAME, CheckpointError, CompactionPoint, Swap, swap_name,
};

/// What the checkpoint of a log says, or how it is damaged. Writes nothing: a newer one stops the start before it has begun.
///
/// # Errors
/// [`RecoveryError::Newer`], and [`LogError::Io`] where it tells of the machine and not of the file.
pub(super) async fn read<I: Io>(
    io: &I,
    dir: &Path,
    id: TopicPartition,
) -> Result<Result<CompactionPoint, Damage>, LogError> {
    let name = format!("{}/{CHECKPOINT_NAME}", log_dir(id));
    let file = match io.read_file(&dir.join(&name), CHECKPOINT_BYTES_MAX).await {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(Ok(CompactionPoint::default())),
        Err(error) => return Ok(Err(device(dir, error)?)),
    };
    match CompactionPoint::decode(&file) {
        Ok(point) => Ok(Ok(point)),
        Err(error @ CheckpointError::VersionNewer { .. }) => {
            Err(RecoveryError::Newer { what: format!("{name} ({error})") }.into())
        }
        Err(error) => Ok(Err(Damage::Corrupt {
            file: name,
            position: FilePosition::ZERO,
            reason: error.to_string(),
        })),
    }
}

/// Carries out the swap that the checkpoint of the log in `dir` names; `relative` names the directory in reports.
pub(super) async fn complete<I: Io>(
    io: &I,
    dir: &Path,
    relative: &str,
    log_start: Offset,
    point: CompactionPoint,
) -> Result<CompactionPoint, Failure> {
    let Some(swap) = point.swap else { return Ok(point) };
    let entries = io.list_dir(dir).await?;
    let size = |name: String| entries.iter().find(|entry| entry.name == name).map(|e| e.bytes);
    let (waiting, placed) = (size(swap_name(swap.base)), size(segment_name(swap.base)));
    let retired = waiting.or(placed).is_none() && swap.next_offset <= log_start;
    if waiting.or(placed) != Some(swap.bytes) && !retired {
        let file = format!("{relative}/{}", segment_name(swap.base));
        let reason = format!("the compacted segment of {} bytes is missing", swap.bytes);
        let position = FilePosition::ZERO;
        return Err(Failure::Damage(Damage::Corrupt { file, position, reason }));
    }
    let bases = entries.iter().filter_map(|entry| parse_segment_name(&entry.name)).collect();
    put_in_place(io, dir, &swap, bases).await?;
    let point = CompactionPoint { swap: None, ..point };
    io.write_file_atomic(&dir.join(CHECKPOINT_NAME), &point.encode()).await?;
    tracing::info!(log = relative, segment = %swap.base, "compaction finished that the last run had begun");
    Ok(point)
}

/// Removes what the new segment replaces (of `bases`, the segments that may be there) and gives it its name. May be done again.
///
/// # Errors
/// The disk's; then it must be done again before the log is used.
pub(crate) async fn put_in_place<I: Io>(
    io: &I,
    dir: &Path,
    swap: &Swap,
    bases: Vec<Offset>,
) -> Result<(), IoError> {
    for base in bases {
        if swap.base <= base && base < swap.next_offset {
            io.remove_file_if_there(&dir.join(index_name(base))).await?;
        }
        if swap.base < base && base < swap.next_offset {
            io.remove_file_if_there(&dir.join(segment_name(base))).await?;
        }
    }
    let (from, to) = (dir.join(swap_name(swap.base)), dir.join(segment_name(swap.base)));
    match io.rename(&from, &to).await {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    io.sync_dir(dir).await
}
