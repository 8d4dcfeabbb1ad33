//! A member of a classic group.

use bytes::Bytes;

use kolk_model::map::Set;

use crate::group::desk::Ticket;
use crate::group::ids::InstanceId;
use crate::group::request::{Client, JoinGroup, Protocol};

/// One member.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) instance: Option<InstanceId>,
    pub(super) client: Client,
    pub(super) rebalance_timeout_ms: u32,
    pub(super) session_timeout_ms: u32,
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    /// Its join, parked until the group has all its members.
    pub(super) awaits_join: Option<Ticket>,
    /// Its sync, parked until the leader has assigned.
    pub(super) awaits_sync: Option<Ticket>,
    /// It has never been answered, so it can't send heartbeats.
    pub(super) is_new: bool,
    /// When it will have been silent for too long, unless it is heard of.
    pub(super) silent_at_ms: u64,
    /// When that is looked at next: not later than `silent_at_ms`, so that a heartbeat moves no timer.
    pub(super) timer: Option<u64>,
}

impl Member {
    pub(super) fn new(request: &JoinGroup) -> Self {
        Self {
            instance: request.instance.clone(),
            client: request.client.clone(),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols.clone(),
            assignment: Bytes::new(),
            awaits_join: None,
            awaits_sync: None,
            is_new: true,
            silent_at_ms: 0,
            timer: None,
        }
    }

    /// What it said for a protocol.
    pub(super) fn metadata(&self, protocol: Option<&str>) -> Bytes {
        let found = self.protocols.iter().find(|known| Some(known.name.as_str()) == protocol);
        found.map(|known| known.metadata.clone()).unwrap_or_default()
    }

    /// The protocol it likes best of those that everybody knows.
    pub(super) fn vote<'a>(&'a self, candidates: &Set<&str>) -> Option<&'a str> {
        let mut names = self.protocols.iter().map(|protocol| protocol.name.as_str());
        names.find(|name| candidates.contains(name))
    }

    /// Whether it waits for the group: then it need not send heartbeats. A new member is not heard of
    /// meanwhile, and its client may be long gone.
    pub(super) const fn waits(&self) -> bool {
        !self.is_new && (self.awaits_join.is_some() || self.awaits_sync.is_some())
    }

    /// Roughly what it takes in memory and in its group's record.
    pub(super) fn bytes(&self) -> usize {
        protocols_bytes(&self.protocols)
            + self.client.id.len()
            + self.client.host.len()
            + self.assignment.len()
            + MEMBER_BYTES
    }
}

/// Bytes of what a member can do.
pub(super) fn protocols_bytes(protocols: &[Protocol]) -> usize {
    protocols.iter().map(|protocol| protocol.name.len() + protocol.metadata.len() + 16).sum()
}

/// Ids, numbers and the struct itself.
pub(super) const MEMBER_BYTES: usize = 256;
