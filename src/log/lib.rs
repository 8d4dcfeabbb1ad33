//! One core's logs: segments, indexes, tail pages, the shard journal, recovery.
