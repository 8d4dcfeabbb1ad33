//! The native client on tokio: producer, consumer, admin.
