//! One connection, whatever its wire: reading with back-pressure, replies in order, deadlines, bounds.

pub(crate) mod accept;

pub(crate) mod run;

pub(crate) mod connections;
pub(crate) mod wire;

pub(crate) mod outbox;
pub(crate) mod share;

pub(crate) mod receive;

pub(crate) mod budget;
pub(crate) mod pace;

#[cfg(test)]
pub(crate) mod tests;
