//! The buffer that replies of one shard are written to: each takes a slice of it.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

/// Room taken at once.
const BYTES: usize = 64 << 10;

/// Where replies are written. Cloning gives the same buffer.
#[derive(Clone, Default)]
pub(crate) struct ReplyHeads(Rc<RefCell<BytesMut>>);

impl ReplyHeads {
    /// Lets `write` append one reply, and gives its bytes.
    ///
    /// # Errors
    /// What `write` met; it has appended nothing then.
    pub(crate) fn write<E>(
        &self,
        write: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        let mut buffer = self.0.borrow_mut();
        if buffer.capacity() == 0 {
            buffer.reserve(BYTES);
        }
        let written = write(&mut buffer).map(|()| buffer.split().freeze());
        // What a large reply has left over would keep all of its memory until small ones have used it up.
        if buffer.capacity() > BYTES {
            *buffer = BytesMut::new();
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reply_is_a_slice_of_its_own() {
        let heads = ReplyHeads::default();
        let write = |bytes: &[u8]| {
            let written = heads.write(|out| {
                out.extend_from_slice(bytes);
                Ok::<_, ()>(())
            });
            written.unwrap()
        };
        let (first, second, third) = (write(b"first"), write(&[7; BYTES * 2]), write(b"third"));
        assert_eq!(
            (&first[..], second.len(), &third[..]),
            (&b"first"[..], BYTES * 2, &b"third"[..])
        );
    }

    #[test]
    fn the_room_of_a_large_reply_is_not_kept() {
        let heads = ReplyHeads::default();
        for outcome in [Ok(()), Err(())] {
            let written = heads.write(|out| {
                out.reserve(BYTES * 100);
                outcome
            });
            assert_eq!(written.is_ok(), outcome.is_ok());
            assert!(heads.0.borrow().capacity() <= BYTES);
        }
    }
}
