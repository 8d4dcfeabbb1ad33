//! HTTP for probes and scrapes: GET and HEAD on a few paths, on shard 0 alone. Written by hand because this
//! is all that is needed: no body is read, no header decides more than the connection's end.

pub(crate) mod wire;

pub mod resources;

pub(crate) mod response;

pub(crate) mod request;
