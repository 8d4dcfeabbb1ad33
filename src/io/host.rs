//! What a process asks of its host once, before or beside the executors: the lock on its data directory, signals, cores,
//! limits and the start-up check. Plain blocking system calls; never called on a shard.

pub mod check;
pub mod cores;
pub mod limits;
pub mod lock;
pub mod signal;
