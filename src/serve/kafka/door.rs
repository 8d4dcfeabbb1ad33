//! What the connections of one Kafka door share on one shard.

use std::rc::Rc;

use kolk_io::door::Net;
use kolk_shard::shard::Shard;

use super::fetch_session::FetchSessions;
use super::handler::ProduceCallLists;
use super::reply_heads::ReplyHeads;
use super::view::{DoorKind, KafkaIdentity, View};
use crate::settings::{KafkaSettings, ServeSettings};

/// One door on one shard.
pub(crate) struct Door<N: Net> {
    pub(crate) shard: Shard<N>,
    pub(crate) view: View,
    pub(crate) settings: KafkaSettings,
    pub(crate) frame_bytes_max: usize,
    pub(crate) heads: ReplyHeads,
    pub(crate) produce_lists: ProduceCallLists,
    pub(crate) fetch_sessions: Rc<FetchSessions>,
}

impl<N: Net> Door<N> {
    /// A door of this kind on `shard`.
    pub(crate) fn new(
        shard: Shard<N>,
        identity: Rc<KafkaIdentity>,
        kind: DoorKind,
        settings: &ServeSettings,
    ) -> Self {
        let ServeSettings { frame_bytes_max, kafka: settings, .. } = settings.clone();
        let view = View::new(identity, kind, shard.id());
        let fetch_sessions = Rc::new(FetchSessions::new(settings.fetch_sessions_max));
        let heads = ReplyHeads::default();
        let produce_lists = ProduceCallLists::default();
        Self { shard, view, settings, frame_bytes_max, heads, produce_lists, fetch_sessions }
    }
}
