//! One connection, whatever its wire: reading with back-pressure, replies in order, deadlines, bounds.
//!
//! [`accept::accept`] takes connections from a listener; each reads frames as its [`wire::Wire`] says, which
//! begins what they ask for and hands the replies to the [`outbox::Outbox`]. Apart from the wires because all of
//! them share it, and because what bounds a client must not depend on what it speaks.
//!
//! What bounds a connection: requests and bytes in flight, bytes of replies nobody reads, the memory that
//! all connections of a shard share, and patience with half frames, stalled readers and silence. Full
//! means that its socket is not read.

pub mod accept;

mod run;

pub mod connections;
pub mod wire;

pub mod outbox;
mod share;

mod receive;

pub mod budget;
pub mod pace;

mod log_gate;

#[cfg(test)]
mod tests;
