//! The real world: glommio runs the tasks, a private ring of each executor runs the I/O.

mod clock;
mod descriptor;
mod directory;
mod ring;
pub mod shard;
mod slots;
pub mod socket;
mod ticker;
pub mod uring_file;
pub mod uring_io;

pub use ring::RingCounts;
pub use ticker::LagReport;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod socket_tests;
