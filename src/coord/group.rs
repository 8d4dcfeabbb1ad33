//! Consumer groups as a pure state machine: who is in a group, what each member reads, and how far the group
//! has come. Apart from the catalogue because its state lives in a topic of its own, `__consumer_offsets`, each
//! of whose partitions has one [`coordinator::Coordinator`].
//!
//! A request goes in with a ticket; records and answers come out ([`desk::Effects`]). Reading the records of a
//! partition from its beginning gives the groups that were known when the last of them was written.
//!
//! A module names only modules listed below it, but for `classic`, whose parts are one state machine.

pub mod coordinator;

mod classic;
mod consumer;
mod offsets;

pub mod desk;

pub mod record;

pub mod request;

pub mod answer;
pub mod settings;
pub mod topics;

pub mod ids;

#[cfg(test)]
mod tests;

/// The internal topic that keeps groups and their offsets.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// The internal topic that is to keep transactions.
pub const TRANSACTIONS_TOPIC: &str = "__transaction_state";

/// Whether clients must not write to the topic.
#[must_use]
pub fn is_internal(topic: &str) -> bool {
    topic == OFFSETS_TOPIC || topic == TRANSACTIONS_TOPIC
}
