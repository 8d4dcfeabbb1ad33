//! Listeners and sessions: the native wire and HTTP.
mod connection;
mod http;
#[cfg(test)]
mod poll_once;
