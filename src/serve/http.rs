//! HTTP for probes and scrapes: GET and HEAD on a few paths, on shard 0 alone.

pub(crate) mod wire;

pub mod resources;
