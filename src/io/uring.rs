//! The real world: one thread per executor, one ring per thread, everything through it.

mod changes;
mod clock;
mod descriptor;
mod eventfd;
mod executor;
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
pub use ticker::LagReport;

#[cfg(test)]
mod socket_tests;
#[cfg(test)]
mod tests;
