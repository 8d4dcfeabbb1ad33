//! The checkers: each file is one property, and says so in one sentence.

pub(crate) mod acknowledged;
pub(crate) mod bounds;
pub(crate) mod bytes;
pub(crate) mod compacted;
pub(crate) mod consumers;
pub(crate) mod damage;
pub(crate) mod groups;
pub(crate) mod offsets;
pub(crate) mod producers;
pub(crate) mod progress;
pub(crate) mod retention;
pub(crate) mod watermarks;
