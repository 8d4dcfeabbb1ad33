//! The native wire: requests of one connection to the shard, its answers back.

pub(crate) mod wire;

pub(crate) mod calls;

mod groups;

mod metadata_reply;
pub(crate) mod reply_writer;
mod translate;

pub mod identity;
