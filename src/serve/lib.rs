//! Listeners and sessions: the native wire and HTTP.
mod connection;
mod http;
mod log_gate;
#[cfg(test)]
mod poll_once;
pub mod settings;
