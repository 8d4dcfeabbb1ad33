//! Everything that needs the real program on a real disk and real sockets: one binary, so that it
//! links once. Each module is one promise of the broker.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test drives the real world and may fail loudly"
)]

mod bad_input;
mod bit_rot;
mod crash;
mod groups;
mod kafka;
mod life_cycle;
mod real_input;
mod resources;

mod broker;
mod random;
mod wire;
