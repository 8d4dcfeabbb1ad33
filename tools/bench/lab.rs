//! Brokers for a measure: started before it, stopped after it, one at a time; and rounds of them, interleaved.

pub(crate) mod rounds;

pub(crate) mod contender;

mod peer;

pub(crate) mod broker;
