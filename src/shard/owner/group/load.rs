//! Reading a coordinator's groups from its log.

use std::rc::Rc;
use std::time::Duration;

use kolk_coord::group::coordinator::Coordinator;
use kolk_io::door::Io;
use kolk_model::batch::batches;
use kolk_model::compression::decompress;
use kolk_model::error::ErrorCode;
use kolk_model::ids::TopicPartition;
use kolk_model::limits::BATCH_DECOMPRESSED_BYTES_MAX;
use kolk_model::offset::Offset;
use kolk_model::records::Records;
use kolk_partition::error::PartitionError;

use crate::request::Refusal;
use crate::state::{Phase, ShardState};

/// Bytes read at once.
const READ_BYTES: u64 = 1 << 20;
/// How often appends of a former coordinator are looked at that are not safe yet.
const SETTLE_WAIT: Duration = Duration::from_millis(20);

/// Reads the whole log of a partition of the offsets topic.
pub(super) async fn load<I: Io>(
    state: &Rc<ShardState<I>>,
    id: TopicPartition,
) -> Result<Coordinator, Refusal> {
    let mut coordinator = Coordinator::new(state.groups.settings());
    let end = settled_end(state, id).await?;
    let log = state.partition(id)?.borrow().log().clone();
    let mut from = log.log_start();
    while from < end {
        let slices = log.read(from, end, READ_BYTES).await.map_err(PartitionError::from)?;
        let next = replay(&mut coordinator, &slices.concat()).map_err(|what| damaged(id, &what))?;
        from =
            next.filter(|next| *next > from).ok_or_else(|| damaged(id, "a read gave nothing"))?;
        state.io.yield_now().await;
    }
    Ok(coordinator)
}

/// Where the log ends, once everything in it is safe: what a former coordinator appended may become so late.
async fn settled_end<I: Io>(
    state: &Rc<ShardState<I>>,
    id: TopicPartition,
) -> Result<Offset, Refusal> {
    loop {
        let marks = {
            let hosted = state.partition(id)?;
            let partition = hosted.borrow();
            partition.check_fetch(partition.watermarks().log_start)?
        };
        if marks.high_watermark == marks.log_end {
            return Ok(marks.log_end);
        }
        if state.phase.get() != Phase::Open {
            return Err(Refusal::shutting_down());
        }
        state.io.sleep(SETTLE_WAIT).await;
    }
}

/// Takes batches in; gives the offset after the last one.
fn replay(coordinator: &mut Coordinator, bytes: &[u8]) -> Result<Option<Offset>, String> {
    let mut next = None;
    for batch in batches(bytes) {
        let batch = batch.map_err(|error| error.to_string())?;
        next = Some(batch.base_offset() + u64::from(batch.last_offset_delta()) + 1);
        if batch.attributes().is_control() {
            continue;
        }
        // Compressed if another broker's copy of the topic was.
        let plain =
            decompress(&batch, BATCH_DECOMPRESSED_BYTES_MAX).map_err(|error| error.to_string())?;
        for record in Records::of_plain(&batch, &plain) {
            let record = record.map_err(|error| error.to_string())?;
            let Some(key) = record.key else { continue };
            coordinator
                .replay(key, record.value)
                .map_err(|error| format!("offset {}: {error}", record.offset))?;
        }
    }
    Ok(next)
}

fn damaged(id: TopicPartition, what: &str) -> Refusal {
    Refusal::new(ErrorCode::PartitionDamaged, format!("groups of {id} can't be read: {what}"))
}
