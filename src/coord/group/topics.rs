//! What groups that the coordinator assigns for must know of topics. Apart because the catalogue's copies on
//! each shard answer it.

use kolk_model::ids::TopicId;

use crate::topic::Topic;

/// The topics of the node, as of some version.
pub trait Topics {
    /// A number that rises whenever a topic comes, goes, or gets partitions.
    fn version(&self) -> u64;

    /// A topic by its name.
    fn named(&self, name: &str) -> Option<&Topic>;

    /// A topic by its id.
    fn with_id(&self, id: TopicId) -> Option<&Topic>;

    /// Calls back with every topic.
    fn each(&self, seen: &mut dyn FnMut(&Topic));
}
