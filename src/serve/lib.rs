//! Listeners and sessions: the native wire, the Kafka wire and HTTP.
//!
//! The root opens a shard's doors with [`door::Serving::open`]; everything else follows from what clients
//! send. A connection ([`kolk_connection`]) reads frames, begins what they ask for on its shard, and sends the
//! replies: on the native wire those to produce requests in the order of the requests and all others when they
//! are ready, on the Kafka wire all in the order of the requests.

pub mod door;

pub mod native;

pub mod kafka;

pub mod http;

pub mod settings;

mod inflation;
mod lists;
