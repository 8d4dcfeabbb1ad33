//! The real world: one thread per executor, and one ring of its own for all its I/O.
//!
//! What runs the tasks is a choice of [`shard::Runtime`]: our own loop, or glommio.

pub mod shard;
pub mod socket;
pub mod uring_file;
pub mod uring_io;

mod at_once;
mod kernel;
mod ring;
mod runtime;

pub use ring::RingCounts;

#[cfg(test)]
mod tests;
