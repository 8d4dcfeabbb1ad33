//! The real world: glommio runs the tasks, a private ring of each executor does the I/O.

mod clock;
mod descriptor;
mod eventfd;
mod names;
mod ring;
pub mod shard;
mod slots;
pub mod socket;
mod ticker;
pub mod uring_file;
pub mod uring_io;

pub use ring::RingCounts;

#[cfg(test)]
mod guard_tests;
#[cfg(test)]
mod socket_tests;
#[cfg(test)]
mod tests;
