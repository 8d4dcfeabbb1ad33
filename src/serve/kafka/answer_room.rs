//! What one answer may hold while it is made: the encoder refuses what is too large only when all of it is in memory.
//! Apart because several APIs tell far more of a thing than it takes to name it.

use std::cell::Cell;

use kolk_kafka::frame::RESPONSE_BYTES_MAX;
use kolk_model::error::ErrorCode;
use kolk_shard::request::Refusal;

/// Bytes that any part of an answer has beside its texts.
pub(crate) const PART_BYTES: usize = 32;

/// The bytes that are left for the parts of an answer.
#[derive(Debug)]
pub(crate) struct AnswerRoom {
    left: Cell<usize>,
}

impl AnswerRoom {
    /// All that an answer may have.
    pub(crate) const fn new() -> Self {
        Self { left: Cell::new(RESPONSE_BYTES_MAX) }
    }

    /// Takes a part in; from the first one on that does not fit all are refused.
    pub(crate) fn take(&self, bytes: usize) -> Result<(), Refusal> {
        match self.left.get().checked_sub(bytes) {
            Some(left) if left > 0 => {
                self.left.set(left);
                Ok(())
            }
            _ => {
                self.left.set(0);
                Err(refused())
            }
        }
    }

    /// Refuses once a part did not fit: what would have to be made for the next one is not needed.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.left.get() > 0 { Ok(()) } else { Err(refused()) }
    }
}

fn refused() -> Refusal {
    let detail =
        format!("the answer would be larger than {RESPONSE_BYTES_MAX} bytes; ask for less at once");
    Refusal::new(ErrorCode::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_full_with_the_first_part_that_does_not_fit() {
        let room = AnswerRoom::new();
        room.take(RESPONSE_BYTES_MAX / 2).unwrap();
        room.check().unwrap();
        let refused = room.take(RESPONSE_BYTES_MAX / 2).unwrap_err();
        assert_eq!(refused.code, ErrorCode::InvalidRequest);
        assert!(refused.detail.contains("ask for less"), "{refused}");
        assert!(room.check().is_err() && room.take(0).is_err());
    }
}
