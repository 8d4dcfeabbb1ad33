//! The interface: what a play asks of a client.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ack::{AckSink, Fate};
use crate::clock::Moment;
use crate::error::{DriverError, Outcome};

/// Where and what.
#[derive(Clone, Debug)]
pub struct Place {
    /// `HOST:PORT`.
    pub address: String,
    /// The topic, or what the broker has instead; its names begin with this.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// Settings of the topic that make it as durable as it shall be, where a protocol has them.
    pub topic_settings: Vec<(String, String)>,
}

/// How a client batches and waits; each driver says how it makes that its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientPlan {
    /// Bytes of a batch, where the client has batches.
    pub batch_bytes: u32,
    /// How long a record may wait for others, where the client lets it.
    pub linger_ms: u32,
    /// Whether a retry must not write twice, where the client can promise it.
    pub idempotence: bool,
    /// How long a broker may keep a fetch that finds nothing.
    pub fetch_wait_ms: u32,
    /// Bytes or records fetched ahead of the reader, in bytes.
    pub prefetch_bytes: u32,
}

impl Default for ClientPlan {
    fn default() -> Self {
        Self {
            batch_bytes: 64 << 10,
            linger_ms: 0,
            idempotence: true,
            fetch_wait_ms: 500,
            prefetch_bytes: 16 << 20,
        }
    }
}

/// A record on its way in.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// Below the number of partitions.
    pub partition: u32,
    /// Its key; not every broker has one.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: &'a [u8],
    /// When it was due; the acknowledgement brings it back.
    pub intended: Moment,
}

/// Whose thread a producer's client works on, where its library leaves the choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Labour {
    /// The caller's, while it is in a call of the producer: no record and no acknowledgement is handed from thread to thread.
    Caller,
    /// One behind the caller: it goes on while the caller makes records, and serves many producers at a time.
    Background,
}

/// What a conditional append came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// Written; the next one expects this end.
    Yes {
        /// What the next append to the partition expects.
        next: u64,
    },
    /// Somebody else was first.
    Conflict {
        /// What an append would have to expect now, if the broker says so.
        end: Option<u64>,
    },
}

/// One client of one broker.
pub trait Driver: Send + Sync {
    /// Name and version of the client library and every setting that differs from its default.
    fn configuration(&self) -> Vec<(String, String)>;

    /// Records of all producers that the broker lets be on their way without losing sight of some.
    fn in_flight_max(&self) -> u32 {
        u32::MAX
    }

    /// Makes the topic, which must not exist.
    fn create(&self) -> Outcome<()>;

    /// Deletes it.
    fn delete(&self) -> Outcome<()>;

    /// A producer with connections of its own. Clients that have threads of their own take no notice of `labour`.
    fn producer(&self, acks: AckSink, labour: Labour) -> Outcome<Box<dyn Producer>>;

    /// A consumer of these partitions from their beginning, with connections of its own. Every consumer gets all records
    /// of its partitions, whoever else reads them.
    fn consumer(&self, name: &str, partitions: &[u32]) -> Outcome<Box<dyn Consumer>>;

    /// A producer that appends only where a partition ends as expected.
    fn conditional(&self) -> Outcome<Box<dyn Conditional>> {
        Err(DriverError::Unsupported("this client has no conditional append".to_owned()))
    }
}

/// Hands records over.
pub trait Producer: Send {
    /// Takes a record, in order within its partition; waits while the client's buffer is full.
    fn send(&mut self, record: &Outgoing<'_>) -> Outcome<()>;

    /// Waits until nothing is on its way any more; more may be sent after it.
    fn finish(&mut self) -> Outcome<()>;

    /// Takes a fate, or waits for one so long at most. A client that works on the caller's thread works meanwhile.
    fn take(&mut self, fates: &Receiver<Fate>, wait: Duration) -> Result<Fate, RecvTimeoutError> {
        fates.recv_timeout(wait)
    }

    /// Returns after so long, within µs of it. A client that works on the caller's thread works meanwhile.
    fn rest(&mut self, time: Duration) -> Outcome<()> {
        std::thread::sleep(time);
        Ok(())
    }
}

/// Takes records.
pub trait Consumer: Send {
    /// Waits at most so long and hands over the values that came.
    fn poll(&mut self, wait: Duration, each: &mut dyn FnMut(&[u8])) -> Outcome<()>;
}

/// Appends on a condition.
pub trait Conditional: Send {
    /// Appends and waits for the outcome. The offset is what the partition's log must end at.
    fn append(&mut self, record: &Outgoing<'_>, expected: u64) -> Outcome<Appended>;
}
