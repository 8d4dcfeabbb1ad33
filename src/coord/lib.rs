//! What the node agrees on, as pure state machines: a command goes in, events come out, nothing is read
//! or written. Apart so that the same code runs behind one file today and behind a replicated log later.
//!
//! A module names only modules listed below it.

pub mod catalogue;
pub mod command;
pub mod topic;

pub mod group;
