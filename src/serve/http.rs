//! HTTP for probes and scrapes.

pub(crate) mod request;
