//! What the connections of one shard count.

use crate::family::{Instrument, Label, Sample};
use crate::instrument::{Counter, Gauge};

/// Why a connection was closed. One label value each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed it.
    ByClient,
    /// Nothing was asked for the idle time allowed.
    Idle,
    /// A frame was begun and not completed in time.
    FrameStalled,
    /// The client did not read its replies in time.
    WriteStalled,
    /// The bytes were no frame or no request of this protocol.
    BadFrame,
    /// The frame announced more bytes than allowed.
    FrameTooLarge,
    /// A request asked for more than one answer may hold.
    ReplyTooLarge,
    /// A request that wants no answer failed: its end is the only way to say so.
    UnansweredFailure,
    /// The limit of connections was reached.
    TooManyConnections,
    /// The broker stops.
    ShuttingDown,
    /// The kernel reported an error on the socket.
    SocketError,
}

impl CloseReason {
    /// Every reason, in label order.
    pub const ALL: [Self; 11] = [
        Self::ByClient,
        Self::Idle,
        Self::FrameStalled,
        Self::WriteStalled,
        Self::BadFrame,
        Self::FrameTooLarge,
        Self::ReplyTooLarge,
        Self::UnansweredFailure,
        Self::TooManyConnections,
        Self::ShuttingDown,
        Self::SocketError,
    ];

    /// The label value.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ByClient => "by_client",
            Self::Idle => "idle",
            Self::FrameStalled => "frame_stalled",
            Self::WriteStalled => "write_stalled",
            Self::BadFrame => "bad_frame",
            Self::FrameTooLarge => "frame_too_large",
            Self::ReplyTooLarge => "reply_too_large",
            Self::UnansweredFailure => "unanswered_failure",
            Self::TooManyConnections => "too_many_connections",
            Self::ShuttingDown => "shutting_down",
            Self::SocketError => "socket_error",
        }
    }
}

/// Counts of one shard's connections.
#[derive(Debug, Default)]
pub struct NetMetrics {
    /// Connections open.
    pub connections: Gauge,
    /// Connections accepted.
    pub accepted: Counter,
    /// Bytes received.
    pub bytes_in: Counter,
    /// Bytes sent.
    pub bytes_out: Counter,
    /// Bytes of requests and replies held for connections.
    pub held_bytes: Gauge,
    /// Times a connection was not read because its requests or replies were at their limit.
    pub read_pauses: Counter,
    closed: [Counter; CloseReason::ALL.len()],
}

impl NetMetrics {
    /// Every count at zero.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            connections: Gauge::new(),
            accepted: Counter::new(),
            bytes_in: Counter::new(),
            bytes_out: Counter::new(),
            held_bytes: Gauge::new(),
            read_pauses: Counter::new(),
            closed: [const { Counter::new() }; CloseReason::ALL.len()],
        }
    }

    /// The count of connections closed for `reason`.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "ALL lists every variant in order; a test proves it"
    )]
    pub const fn closed(&self, reason: CloseReason) -> &Counter {
        &self.closed[reason as usize]
    }

    pub(crate) fn read_into(&self, samples: &mut Vec<Sample>) {
        let mut push = |family, help, instrument: &dyn Instrument| {
            samples.push(Sample { family, help, label: None, value: instrument.value() });
        };
        push("kolk_connections", "Connections open.", &self.connections);
        push("kolk_connections_accepted_total", "Connections accepted.", &self.accepted);
        push("kolk_net_received_bytes_total", "Bytes received from clients.", &self.bytes_in);
        push("kolk_net_sent_bytes_total", "Bytes sent to clients.", &self.bytes_out);
        push(
            "kolk_connection_held_bytes",
            "Bytes of requests and replies held for connections.",
            &self.held_bytes,
        );
        push(
            "kolk_connection_read_pauses_total",
            "Times a connection was not read because it was at one of its limits.",
            &self.read_pauses,
        );
        for reason in CloseReason::ALL {
            samples.push(Sample {
                family: "kolk_connections_closed_total",
                help: "Connections closed, by reason.",
                label: Some(Label { key: "reason", value: reason.name() }),
                value: self.closed(reason).value(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_reason_has_its_own_counter() {
        let net = NetMetrics::new();
        for (position, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, position, "{reason:?}");
            net.closed(reason).add(position as u64 + 1);
        }
        for (position, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(net.closed(reason).get(), position as u64 + 1, "{reason:?}");
        }
    }
}
