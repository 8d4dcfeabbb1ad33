//! What flatc makes of `schemas/native`. Apart because nobody edits it; `schemas/README.md` says how it is
//! made again.

#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    unused_imports,
    dead_code,
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::indexing_slicing,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::wildcard_imports,
    reason = "generated code; every access is behind the verifier"
)]

pub(crate) mod fetch_generated;
pub(crate) mod frame_generated;
pub(crate) mod group_generated;
pub(crate) mod hello_generated;
pub(crate) mod ids_generated;
pub(crate) mod offsets_generated;
pub(crate) mod produce_generated;
pub(crate) mod stats_generated;
pub(crate) mod topic_generated;
