//! Classic members of a consumer group: how they join. They have no leader; the coordinator assigns, and a member
//! joins again for each step from what it has to what it is to have.

use kolk_model::error::ErrorCode;

use super::migration::by_id;
use super::{ConsumerGroup, subscriber_bytes};
use crate::group::answer::{JoinRefused, Joined};
use crate::group::desk::{Desk, Timer};
use crate::group::ids::{Generation, MemberId};
use crate::group::record::RecordKey;
use crate::group::record::consumer_value::{ClassicValue, SubscriberValue};
use crate::group::record::embedded::Subscription;
use crate::group::request::{JoinGroup, Protocol};
use crate::group::topics::Topics;

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// What came of a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::group) struct Entry {
    /// What the member is told.
    pub(in crate::group) joined: Joined,
    /// Whether it is a static member that took the place of one that spoke the consumer protocol.
    pub(in crate::group) replaced_consumer: bool,
}

impl ConsumerGroup {
    /// Takes a join. It is answered at once: nobody waits for others here.
    pub(in crate::group) fn join(
        &mut self,
        desk: &mut Desk,
        topics: &dyn Topics,
        request: &JoinGroup,
    ) -> Result<Entry, JoinRefused> {
        let refuse = |code| Err(JoinRefused { code, member: request.member.clone() });
        let nobody = || MemberId::new("");
        if !self.supports(&request.protocol_type, &request.protocols) {
            return refuse(ErrorCode::InconsistentGroupProtocol);
        }
        let words = request.protocols.first().map(|protocol| &protocol.metadata);
        let Some(subscription) = words.and_then(|words| Subscription::decode(words)) else {
            return refuse(ErrorCode::InconsistentGroupProtocol);
        };
        let owned = by_id(topics, subscription.owned.clone());
        let says = says(request, subscription);
        if !self.has_room(desk, &request.member, &says) {
            let code = ErrorCode::GroupMaxSizeReached;
            return Err(JoinRefused { code, member: nobody() });
        }
        let former = match self.check_entry(request) {
            Ok(former) => former,
            Err(code) => return refuse(code),
        };
        let id = match (request.member.is_empty(), &request.instance) {
            (false, _) => request.member.clone(),
            (true, Some(instance)) => desk.new_member_id(instance.as_str()),
            (true, None) => desk.new_member_id(&request.client.id),
        };
        if request.member.is_empty()
            && request.instance.is_none()
            && request.knows_member_id_required
        {
            // Nothing is kept of it until it comes with the id.
            return Err(JoinRefused { code: ErrorCode::MemberIdRequired, member: id });
        }
        let mut replaced_consumer = false;
        if let Some(former) = former {
            replaced_consumer = !self.is_classic_member(&former);
            self.replace(desk, &former, &id);
        }
        let changed = self.take_in(desk, &id, says);
        self.refresh(desk, topics, changed);
        if self.epoch > self.target_epoch {
            self.assign(desk, topics);
        }
        self.reconcile(desk, &id, Some(&owned));
        self.joined(desk, &id, request);
        let Some(member) = self.members.get(&id) else {
            return refuse(ErrorCode::UnknownMemberId);
        };
        let joined = Joined {
            member: id.clone(),
            generation: Generation::from_wire(member.has.epoch).unwrap_or_default(),
            protocol_type: Some(CONSUMER.to_owned()),
            protocol: request.protocols.first().map(|protocol| protocol.name.clone()),
            leader: nobody(),
            skip_assignment: false,
            members: Vec::new(),
        };
        Ok(Entry { joined, replaced_consumer })
    }

    /// Whether somebody with these protocols can be in the group: one of them all classic members know, so that the
    /// group may become a classic one again.
    fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        let all_know = |name: &str| {
            let classic = self.members.values().filter_map(|member| member.says.classic.as_ref());
            classic
                .into_iter()
                .all(|member| member.protocols.iter().any(|protocol| protocol.name == name))
        };
        protocol_type == CONSUMER && protocols.iter().any(|protocol| all_know(&protocol.name))
    }

    fn has_room(&self, desk: &Desk, id: &MemberId, says: &SubscriberValue) -> bool {
        let own = self.members.get(id);
        let less = own.map_or(0, |own| subscriber_bytes(&own.says));
        let bytes = self.bytes.saturating_sub(less) + subscriber_bytes(says);
        let is_in = own.is_some();
        (is_in || self.members.len() < desk.settings.consumer_group_size_max as usize)
            && bytes <= desk.settings.group_bytes_max
    }

    /// Whether the one who joins may; gives the member whose place it takes.
    fn check_entry(&self, request: &JoinGroup) -> Result<Option<MemberId>, ErrorCode> {
        let Some(instance) = &request.instance else { return Ok(None) };
        match self.instances.get(instance) {
            None if request.member.is_empty() => Ok(None),
            None => Err(ErrorCode::UnknownMemberId),
            Some(current) if request.member.is_empty() => Ok(Some(current.clone())),
            Some(current) if *current == request.member => Ok(None),
            Some(_) => Err(ErrorCode::FencedInstanceId),
        }
    }

    /// Takes in what a member says of itself; tells whether it reads something else now.
    fn take_in(&mut self, desk: &mut Desk, id: &MemberId, mut says: SubscriberValue) -> bool {
        let before = self.members.get(id).map(|member| member.says.clone());
        let known = before.as_ref().and_then(|before| before.instance.clone());
        says.instance = says.instance.or(known);
        if before.as_ref() == Some(&says) {
            return false;
        }
        let reads = |says: &SubscriberValue| (says.topics.clone(), says.pattern.clone());
        let changed = before.as_ref().map(reads) != Some(reads(&says));
        desk.write(self.member_key(id, RecordKey::Subscriber).with(says.encode()));
        self.set_says(id, says);
        changed
    }

    /// A member has joined: it is to ask for its assignment within its rebalance timeout.
    fn joined(&mut self, desk: &mut Desk, id: &MemberId, request: &JoinGroup) {
        self.set_revoke_timer(desk, id);
        self.hear_of(desk, id);
        let Some(member) = self.members.get_mut(id) else { return };
        desk.end_timer(&mut member.rejoin_timer, Timer::Rejoin(self.id.clone(), id.clone()));
        let at = desk.after_ms(u64::from(request.rebalance_timeout_ms));
        let timer = Timer::Resync(self.id.clone(), id.clone());
        desk.set_timer(&mut member.resync_timer, at, timer);
    }

    pub(super) fn is_classic_member(&self, id: &MemberId) -> bool {
        self.members.get(id).is_some_and(|member| member.says.classic.is_some())
    }
}

fn says(request: &JoinGroup, subscription: Subscription) -> SubscriberValue {
    SubscriberValue {
        instance: request.instance.clone(),
        rack: subscription.rack,
        client: request.client.clone(),
        topics: subscription.topics.into_iter().collect(),
        pattern: None,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        assignor: None,
        classic: Some(ClassicValue {
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols.clone(),
        }),
    }
}
