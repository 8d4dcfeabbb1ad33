//! What a shard does with its own partitions, whoever asks: a connection of this core or another shard.

pub(crate) mod append;
pub(crate) mod apply;
pub(crate) mod fetch;
pub(crate) mod group;
pub(crate) mod inbox;
pub(crate) mod loading;
pub(crate) mod lookup;
pub(crate) mod pump;
