//! Brokers of every kind behind one small interface: make a topic, hand a record over, be told of its acknowledgement, read.
//!
//! Each driver is the client that users of that broker take (RabbitMQ's is a small one of our own), with its settings shown in
//! the report. Threads and tasks inside are the client's own affair: a producer's `send` may block, and acknowledgements come
//! through an [`ack::AckSink`] from whatever thread learns of them first, stamped there.
//!
//! Apart from the load generator because of what it brings along: each client is a feature, and the default builds kolk's own
//! and RabbitMQ's alone, neither of which needs a library that is not Rust.
//!
//! A module names only modules listed below it.
#![allow(
    clippy::disallowed_methods,
    reason = "clients of a load generator run on the real machine: clocks and threads"
)]

pub mod protocol;

pub mod driver;

pub mod ack;
pub mod chance;

pub mod clock;
pub mod error;
