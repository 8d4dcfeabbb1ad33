//! Whoever waits at a partition: appends for room, appends for safety, fetches for records. Each is bounded.

pub(crate) mod appends;
pub(crate) mod tickets;
pub(crate) mod watches;
