//! One core's logs: segments, indexes, tail pages, the shard journal, recovery.
//!
//! A shard's storage is a [`shard_log::ShardLog`]; each partition's log in it is a [`log::Log`]. Every run of the broker starts
//! with [`recovery::recover`], which hands each shard the image of its logs. Everything here is single-core; the formats
//! ([`journal::group`], [`journal::snapshot`], [`journal::current`], [`segment::index`]) are pure and shared with the offline
//! reader.

pub mod recovery;

pub mod compact;

pub mod shard_log;

pub mod log;

pub mod journal;
pub mod segment;

pub mod error;
pub mod field;
pub mod settings;
mod signal;

#[cfg(test)]
mod tests {
    mod behaviour;
    mod compaction;
    mod fuzz;
    mod life;
}
