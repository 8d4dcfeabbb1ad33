//! One core's logs: segments, indexes, tail pages, the shard journal, recovery.
//!
//! A shard's storage is a [`shard_log::ShardLog`]; each partition's log in it is a [`log::Log`]. Every run of the broker starts
//! with [`recovery::recover`], which hands each shard the image of its logs. Everything here is single-core; the bytes of the
//! files are [`kolk_layout`]'s, which the offline reader shares.

pub mod recovery;

pub mod compact;

pub mod shard_log;

pub mod log;

mod journal;

pub mod error;
mod flaw;
pub mod settings;
mod signal;

#[cfg(test)]
mod tests {
    mod behaviour;
    mod clean_stop;
    mod cold_reads;
    mod compaction;
    mod deletion;
    mod failing_disk;
    mod fuzz;
    mod liar;
    mod life;
    mod refused_sync;
    mod retention;
    mod roll;
}
