//! The one door to the world: disks, sockets, time and chance.
//!
//! Everything above this crate is written against [`door::Io`] and [`door::File`]. Two answers
//! exist: the real one on io_uring, and a seeded simulator.

pub mod host;
pub mod sim;
pub mod uring;

pub mod channel;
pub mod door;

pub mod buf;
pub mod net;
pub mod error;
mod sync;
pub mod time;
pub mod wait;
