//! Where a partition's leader is now, as Produce and Fetch tell it along with a refusal (KIP-951). Apart because
//! both do.

use crate::wire::Writer;

/// A partition's leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LeaderIdAndEpoch {
    /// The broker's id, or -1 while there is none.
    pub leader_id: i32,
    /// The leader epoch, or -1.
    pub leader_epoch: i32,
}

/// A broker that was named as a leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeEndpoint {
    /// The broker's id.
    pub node_id: i32,
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: i32,
    /// Its rack, where it has one.
    pub rack: Option<String>,
}

impl LeaderIdAndEpoch {
    pub(crate) fn encode(self, writer: &mut Writer<'_>) {
        writer.i32(self.leader_id);
        writer.i32(self.leader_epoch);
        writer.no_tags();
    }
}

/// The last tags of a response: the endpoints, number 0, where there are some and the version has them.
pub(crate) fn encode_endpoints(writer: &mut Writer<'_>, endpoints: &[NodeEndpoint]) {
    if endpoints.is_empty() {
        return writer.no_tags();
    }
    writer.varint(1);
    writer.tag(0, |writer| {
        writer.array(endpoints, |writer, endpoint| {
            writer.i32(endpoint.node_id);
            writer.string(&endpoint.host);
            writer.i32(endpoint.port);
            writer.nullable_string(endpoint.rack.as_deref());
            writer.no_tags();
        });
    });
}
