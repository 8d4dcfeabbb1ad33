//! The real world: one thread per executor, and one ring of its own for all its I/O.
//!
//! What runs the tasks is a choice of [`shard::Runtime`]: our own loop, or glommio.

mod clock;
mod descriptor;
mod eventfd;
mod executor;
mod glommio;
mod names;
mod ring;
pub mod shard;
mod slots;
pub mod socket;
mod tasks;
mod ticker;
mod timers;
pub mod uring_file;
pub mod uring_io;
mod workers;

pub use ring::RingCounts;

#[cfg(test)]
mod guard_tests;
#[cfg(test)]
mod socket_tests;
#[cfg(test)]
mod tests;
