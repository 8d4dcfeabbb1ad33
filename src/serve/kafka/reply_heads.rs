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
    pub(crate) fn write(&self, write: impl FnOnce(&mut BytesMut)) -> Bytes {
        let mut buffer = self.0.borrow_mut();
        if buffer.capacity() == 0 {
            buffer.reserve(BYTES);
        }
        write(&mut buffer);
        buffer.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reply_is_a_slice_of_its_own() {
        let heads = ReplyHeads::default();
        let first = heads.write(|out| out.extend_from_slice(b"first"));
        let second = heads.write(|out| out.extend_from_slice(&[7; BYTES * 2]));
        let third = heads.write(|out| out.extend_from_slice(b"third"));
        assert_eq!(
            (&first[..], second.len(), &third[..]),
            (&b"first"[..], BYTES * 2, &b"third"[..])
        );
    }
}
