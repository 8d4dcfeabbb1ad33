//! The vocabulary every other crate speaks: ids, offsets, the record batch, checksums, codecs, error
//! codes and topic settings. Apart because it is pure: bytes in, values out; it knows no files, no
//! sockets and no clocks.
//!
//! A record batch is Kafka's format version 2 everywhere: on both wires, on disk and between replicas.
//! Read one with [`batch::BatchView`], write one with [`batch_builder::BatchBuilder`].
//!
//! A module names only modules listed below it.

#[cfg(test)]
mod fuzz;

pub mod batch_builder;
mod verify;

pub mod records;

pub mod batch;

pub mod compression;
mod snappy;

mod varint;

pub mod topic_config;

pub mod limits;

pub mod checksum;

pub mod durability;
pub mod error;
pub mod ids;
pub mod map;
pub mod offset;
pub mod time;

mod newtype;
