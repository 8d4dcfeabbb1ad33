//! What brokers answer and are asked for, where this crate hands it on unchanged. Apart so that users of the
//! client need not name the wire's crate.

pub use kolk_native::reply::group::{CommittedOffset, ListedGroup};
pub use kolk_native::reply::{
    DescribeTopicReply, Door, ListedOffset, PartitionDescription, Produced, SettingDescription,
    Stat, StatsReply,
};
pub use kolk_native::request::{OffsetPlace, Setting};
