//! Pure state machines: the topic catalogue.
