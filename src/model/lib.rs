//! The vocabulary every other crate speaks: ids, offsets, the record batch, checksums, codecs, error
//! codes and topic settings. Apart because it is pure: bytes in, values out; it knows no files, no
//! sockets and no clocks.
//!
//! A record batch is Kafka's format version 2 everywhere: on both wires, on disk and between replicas.
//! Read one with [`batch::BatchView`], write one with [`batch_builder::BatchBuilder`].
//!
//! A module names only modules listed below it, but for `batch` and `compression`, which name each other.

pub mod batch;
pub mod compression;

pub mod config;

pub mod limits;

pub mod durability;
pub mod error;
pub mod offset;
pub mod time;

pub mod ids;

pub mod checksum;
pub mod map;

// The two parts of a batch's format that nearly every crate names.
pub use batch::{builder as batch_builder, records};
// What the engine acts on.
pub use config::topic as topic_config;
