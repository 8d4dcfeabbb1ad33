//! The ways between shards. For each pair of shards and each direction there is one lane of requests and
//! one of replies: a reply never stands behind a request, so that two shards that are both full of requests
//! still empty each other.
//!
//! What a shard says to another within one turn of its executor travels as one message. Within a lane the
//! order is kept, and a connection's requests for one partition all take the same lane.

pub mod one_executor;
