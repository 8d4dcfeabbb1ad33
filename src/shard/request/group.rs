//! The words in which groups are spoken of: what [`Shard::group`] is asked and answers.
//!
//! [`Shard::group`]: crate::shard::Shard::group

pub use kolk_coord::group::settings::{GroupSettings, MigrationPolicy};
pub use kolk_coord::group::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC, answer, ids, is_internal, request};
