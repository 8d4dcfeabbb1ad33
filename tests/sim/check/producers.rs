//! Right after a start a batch that was among the last five of its producer is answered with the offset it has, and not stored
//! once more.

use kolk_shard::request::ProduceOp;

use crate::outside::Outside;
use crate::run::broker::Broker;
use crate::verdict::{demand, violated};

const NAME: &str = "producers";

/// Batches that a partition remembers of a producer.
const WINDOW: usize = 5;

/// Sends once more what a producer was answered for lately.
pub(crate) async fn send_again(broker: &Broker, outside: &Outside, lane: usize) {
    let Some(own) = outside.lanes.get(lane) else { return };
    let (place, again) = {
        let own = own.borrow();
        // What was sent and not answered may have been stored and has pushed others out then.
        let sure = WINDOW.saturating_sub(own.unanswered_count());
        let skip = own.window.len().saturating_sub(sure);
        (own.place, own.window.iter().skip(skip).cloned().collect::<Vec<_>>())
    };
    let Some(partition) = outside.partition(place) else { return };
    for (batch, base) in again {
        let kept = outside.with_book(place, |book| base >= book.start && book.keys.is_none());
        if !kept {
            continue;
        }
        let op = ProduceOp {
            partition,
            batches: batch.bytes.clone(),
            wait: batch.wait,
            expected_next_offset: None,
        };
        match broker.connect().produce(op).await {
            Ok(produced) => {
                let found = produced.base_offset.get();
                let given_up = base < produced.log_start.get();
                demand(NAME, produced.duplicate && found == base || given_up, || {
                    format!("lane {lane}: a batch at {base} was sent again: {produced:?}")
                });
            }
            Err(refusal) => {
                let excused = outside.with_book(place, |book| book.excuse.is_some());
                if !outside.faults.get() && !excused {
                    violated(NAME, format!("lane {lane}: a batch at {base} again: {refusal}"));
                }
            }
        }
    }
}
