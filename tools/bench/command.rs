//! The words of the command line, one file each: what they take and what they print.

pub(crate) mod adhoc;
pub(crate) mod rate_sweep;

pub(crate) mod compare;
pub(crate) mod speed;
