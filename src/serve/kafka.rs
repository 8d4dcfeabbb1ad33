//! The Kafka wire: requests of one connection to the shard, its answers back.

pub(crate) mod wire;

mod handler;

pub(crate) mod door;
mod session;

mod fetch_session;

mod admin;

mod answer_room;
mod names;
mod once;
mod reply_heads;

pub mod view;

pub mod start_facts;
