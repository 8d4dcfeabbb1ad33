//! One core of the broker: the partitions it owns, the way to those of the other cores, and the controller
//! on shard 0. Apart because it is the one place that knows which core does what; it knows no protocol.
//!
//! [`start::recover`] takes a data directory apart once, [`shard::Shard::open`] opens each part on its own
//! executor, [`mesh::Seat::connect`] connects them, and connections talk to the [`shard::Shard`] of their core.
//!
//! A module names only modules listed below it.

pub mod start;

pub mod mesh;
pub mod shard;

mod controller;
mod housekeeping;
mod owner;

mod state;

pub mod metadata;

mod message;

pub mod request;
pub mod settings;

// The words in which groups are spoken of.
pub use request::group;
