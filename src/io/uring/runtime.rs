//! What runs an executor's tasks: our own loop, or glommio; and what both have beside.

pub(super) mod executor;
pub(super) mod glommio;
mod incoming;
mod tasks;
pub(super) mod ticker;
pub(super) mod timers;
pub(super) mod workers;
