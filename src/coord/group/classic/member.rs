//! A member of a classic group.

use bytes::Bytes;

use kolk_model::map::Set;

use crate::group::desk::Ticket;
use crate::group::ids::{InstanceId, MemberId};
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

    /// What it takes in memory, and no less than what it takes in its group's record.
    pub(super) fn bytes(&self, id: &MemberId) -> usize {
        words_bytes(&self.protocols, &self.client, self.instance.as_ref())
            + id.as_str().len()
            + self.assignment.len()
    }
}

/// What a member to be will take, without an assignment; its id is made of one of its names.
pub(super) fn joining_bytes(request: &JoinGroup) -> usize {
    let instance = request.instance.as_ref().map_or(0, |instance| instance.as_str().len());
    let id = request.member.as_str().len().max(request.client.id.len()).max(instance);
    words_bytes(&request.protocols, &request.client, request.instance.as_ref()) + id + RANDOM_BYTES
}

fn words_bytes(protocols: &[Protocol], client: &Client, instance: Option<&InstanceId>) -> usize {
    let one = |protocol: &Protocol| protocol.name.len() + protocol.metadata.len() + 16;
    protocols.iter().map(one).sum::<usize>()
        + client.id.len()
        + client.host.len()
        + instance.map_or(0, |instance| instance.as_str().len())
        + MEMBER_BYTES
}

/// The random part of a member's id.
const RANDOM_BYTES: usize = 37;

/// Numbers and the struct itself.
pub(super) const MEMBER_BYTES: usize = 256;
