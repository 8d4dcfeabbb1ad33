//! The machine that a load generator measures on: what it is, what it can do without a broker, what a broker uses of it; and the
//! histograms that times are kept in.
//!
//! Apart from the load generator because nothing here knows a broker: a limit is what any of them could reach.
//!
//! A module names only modules listed below it.
#![allow(
    clippy::disallowed_methods,
    reason = "a machine is measured as it is: clocks, files, programs, threads"
)]

pub mod limits;

pub mod facts;
pub mod usage;

pub mod cores;
pub mod descriptors;
pub mod ports;

pub mod latency;

pub mod error;
