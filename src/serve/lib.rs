//! Listeners and sessions: the native wire and HTTP.
