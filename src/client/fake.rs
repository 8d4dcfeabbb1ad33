//! A broker in memory that speaks the native wire over TCP loopback, with several doors and faults on
//! demand. Apart because every test of this crate talks to it.

mod group;
mod store;

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kolk_model::error::ErrorCode;
use kolk_model::ids::{
    NodeId, PartitionId, ProducerEpoch, ProducerId, ShardId, TopicId, TopicName, TopicPartition,
};
use kolk_native::encoder::Encoder;
use kolk_native::frame::{FrameDecoder, FrameLimits};
use kolk_native::reply::{
    AssignedProducer, CreateTopicReply, Door, FetchReply, HelloReply, ListOffsetsReply,
    MetadataReply, PartitionOwner, ProduceRefusal, ProduceReply, Refusal, Reply, StatsReply,
    TopicMetadata, TopicPlaces, TrimReply,
};
use kolk_native::request::{self, Fetch, Produce, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use self::group::Groups;
use self::store::Store;
use crate::client::Client;
use crate::settings::ClientSettings;

#[allow(clippy::disallowed_types, reason = "connections of the fake broker share its logs")]
type Mutex<T> = std::sync::Mutex<T>;

/// Some partition, for tests that need a name.
pub(crate) fn partition(number: u32) -> TopicPartition {
    TopicPartition::new(TopicId::new([7; 16]), PartitionId::new(number))
}

/// What goes wrong with a produce request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// The connection breaks before the request is looked at.
    BreakBefore,
    /// The connection breaks after the batches were appended.
    BreakAfter,
    /// Every partition is refused.
    Refuse(ErrorCode),
    /// No answer comes, and none to anything else on this connection.
    Silence,
}

/// The broker. Stops when dropped.
pub(crate) struct FakeBroker {
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

struct Shared {
    state: Mutex<State>,
    appended: Notify,
}

/// All that the broker knows.
pub(crate) struct State {
    pub(crate) ports: Vec<u16>,
    pub(crate) store: Store,
    pub(crate) groups: Groups,
    /// The door whose look-ups of offsets are never answered.
    pub(crate) silent_door: Option<usize>,
    /// What happens to the next produce requests; afterwards all goes well.
    pub(crate) faults: VecDeque<Fault>,
    next_producer: u64,
    pub(crate) produce_requests: usize,
    pub(crate) hellos: usize,
    pub(crate) metadata_requests: usize,
    /// Whether every connection breaks at its first request.
    pub(crate) down: bool,
    /// Requests that came meanwhile.
    pub(crate) turned_away: usize,
}

impl FakeBroker {
    /// Starts a broker with so many doors.
    pub(crate) async fn start(doors: usize) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..doors {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
        }
        let ports = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
        let state = State {
            ports,
            store: Store::default(),
            groups: Groups::default(),
            silent_door: None,
            faults: VecDeque::new(),
            next_producer: 1000,
            produce_requests: 0,
            hellos: 0,
            metadata_requests: 0,
            down: false,
            turned_away: 0,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), appended: Notify::new() });
        let mut tasks = Vec::new();
        for (door, listener) in listeners.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let task = tokio::spawn(async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let shared = Arc::clone(&shared);
                    // A broken connection is what many tests are about.
                    tokio::spawn(async move { serve(stream, door, &shared).await.ok() });
                }
            });
            tasks.push(task.abort_handle());
        }
        Self { shared, tasks }
    }

    /// The first door's address.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.with(|state| state.ports[0]))
    }

    /// Settings with short pauses.
    pub(crate) fn settings(&self) -> ClientSettings {
        let mut settings = ClientSettings::new(&self.address()).unwrap();
        settings.backoff_min = Duration::from_millis(1);
        settings.backoff_max = Duration::from_millis(5);
        settings.request_timeout = Duration::from_secs(5);
        settings.retry_timeout = Duration::from_secs(5);
        settings
    }

    pub(crate) fn client(&self) -> Client {
        Client::with_settings(self.settings())
    }

    /// Looks at or changes what the broker knows.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.shared.lock())
    }

    /// Makes a topic whose partitions are spread over the doors.
    pub(crate) fn create(&self, topic: &str, partitions: usize) {
        self.with(|state| {
            let doors = state.ports.len();
            state.store.create(&TopicName::new(topic).unwrap(), partitions, doors);
        });
    }
}

impl Drop for FakeBroker {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection: requests are answered in order, but for fetches, which may wait beside the others.
async fn serve(stream: TcpStream, door: usize, shared: &Arc<Shared>) -> std::io::Result<()> {
    let decoder = FrameDecoder::new(FrameLimits::REQUEST);
    let (mut reader, writer) = stream.into_split();
    let writer = Arc::new(tokio::sync::Mutex::new((writer, Encoder::new())));
    let mut received = BytesMut::new();
    loop {
        while let Some(frame) = decoder.decode(&mut received).unwrap() {
            let decoded = request::decode(&frame).unwrap();
            let fetch = match &decoded.request {
                Request::Fetch(fetch) => Some(fetch.clone()),
                _ => None,
            };
            if let Some(fetch) = fetch {
                if shared.lock().down {
                    shared.lock().turned_away += 1;
                    return Ok(());
                }
                let (shared, writer) = (Arc::clone(shared), Arc::clone(&writer));
                tokio::spawn(async move {
                    let reply = Reply::Fetch(poll(&shared, door, &fetch).await);
                    // The client may be gone by now.
                    write(&writer, decoded.correlation, reply).await.ok();
                });
                continue;
            }
            match answer(shared, door, decoded.request) {
                Verdict::Answer(reply) => write(&writer, decoded.correlation, reply).await?,
                Verdict::Break => return Ok(()),
                Verdict::Silence => std::future::pending().await,
            }
        }
        if reader.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

type Writer = tokio::sync::Mutex<(tokio::net::tcp::OwnedWriteHalf, Encoder)>;

async fn write(
    writer: &Writer,
    correlation: request::CorrelationId,
    mut reply: Reply,
) -> std::io::Result<()> {
    let mut guard = writer.lock().await;
    let (socket, encoder) = &mut *guard;
    let mut out = BytesMut::new();
    let payload: Vec<Bytes> = encoder.reply(correlation, &mut reply, &mut out).unwrap();
    socket.write_all(&out).await?;
    for slice in payload {
        socket.write_all(&slice).await?;
    }
    Ok(())
}

enum Verdict {
    Answer(Reply),
    Break,
    Silence,
}

fn answer(shared: &Shared, door: usize, request: Request) -> Verdict {
    let mut guard = shared.lock();
    let state = &mut *guard;
    if state.down {
        state.turned_away += 1;
        return Verdict::Break;
    }
    Verdict::Answer(match request {
        Request::Hello(_) => {
            state.hellos += 1;
            Reply::Hello(HelloReply {
                protocol_version: kolk_native::PROTOCOL_VERSION,
                broker_version: "fake".to_owned(),
                shard: ShardId::new(u16::try_from(door).unwrap()),
                ..HelloReply::default()
            })
        }
        Request::InitProducer => {
            state.next_producer += 1;
            let (id, epoch) = (ProducerId::new(state.next_producer), ProducerEpoch::new(0));
            Reply::InitProducer(AssignedProducer { id, epoch })
        }
        Request::Metadata(query) => {
            state.metadata_requests += 1;
            Reply::Metadata(metadata(state, query.topics))
        }
        Request::CreateTopic(create) => {
            let partitions = create.partitions.unwrap_or(1);
            let doors = state.ports.len();
            match state.store.create(&create.name, partitions as usize, doors) {
                Some(id) => Reply::CreateTopic(CreateTopicReply { id, partitions }),
                None => Reply::Refused(Refusal::new(ErrorCode::TopicAlreadyExists, "")),
            }
        }
        Request::DeleteTopic(name) => match state.store.delete(&name) {
            true => Reply::DeleteTopic,
            false => Reply::Refused(Refusal::new(ErrorCode::UnknownTopicOrPartition, "")),
        },
        Request::Trim(trim) => Reply::Trim(TrimReply { partitions: state.store.trim(&trim) }),
        Request::Group(call) => state.groups.answer(call, state.ports[0]),
        Request::ListOffsets(_) if state.silent_door == Some(door) => return Verdict::Silence,
        Request::ListOffsets(list) => {
            let partitions = list.queries.iter().map(|query| state.store.list(query)).collect();
            Reply::ListOffsets(ListOffsetsReply { partitions })
        }
        Request::Stats => Reply::Stats(StatsReply {
            broker_version: "fake".to_owned(),
            uptime_ms: 1,
            shards: 1,
            stats: Vec::new(),
        }),
        Request::Produce(produce) => {
            let verdict = append(state, door, &produce);
            shared.appended.notify_waiters();
            return verdict;
        }
        other => Reply::Refused(Refusal::new(
            ErrorCode::UnsupportedVersion,
            format!("the fake broker does not do {}", other.kind().name()),
        )),
    })
}

fn metadata(state: &State, topics: Option<Vec<TopicName>>) -> MetadataReply {
    let names = topics.unwrap_or_else(|| state.store.topics.keys().cloned().collect());
    let place = |name: &TopicName| {
        let topic = state.store.topics.get(name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let owner = |door: usize| PartitionOwner {
            door: u16::try_from(door).unwrap(),
            leader_epoch: kolk_model::ids::LeaderEpoch::new(0),
            error: ErrorCode::None,
        };
        let partitions = topic.partitions.iter().map(|log| owner(log.door)).collect();
        Ok(TopicPlaces { id: topic.id, partitions })
    };
    let door = |(shard, port): (usize, &u16)| Door {
        node: NodeId::new(0),
        shard: ShardId::new(u16::try_from(shard).unwrap()),
        host: "127.0.0.1".to_owned(),
        port: *port,
    };
    MetadataReply {
        cluster_id: "fake".to_owned(),
        controller_door: 0,
        doors: state.ports.iter().enumerate().map(door).collect(),
        topics: names
            .into_iter()
            .map(|name| TopicMetadata { outcome: place(&name), name })
            .collect(),
    }
}

fn append(state: &mut State, door: usize, produce: &Produce) -> Verdict {
    state.produce_requests += 1;
    let fault = state.faults.pop_front().unwrap_or(Fault::None);
    let refusal = match fault {
        Fault::BreakBefore => return Verdict::Break,
        Fault::Silence => return Verdict::Silence,
        Fault::Refuse(code) => Some(code),
        Fault::None | Fault::BreakAfter => None,
    };
    let one = |one: &request::ProducePartition| match refusal {
        Some(code) => Err(ProduceRefusal { code, detail: String::new(), end_offset: None }),
        None => state.store.append(door, one),
    };
    let partitions = produce.partitions.iter().map(one).collect();
    match fault {
        Fault::BreakAfter => Verdict::Break,
        _ => Verdict::Answer(Reply::Produce(ProduceReply { partitions })),
    }
}

/// A fetch: waits for the first byte.
async fn poll(shared: &Shared, door: usize, fetch: &Fetch) -> FetchReply {
    let deadline =
        tokio::time::Instant::now() + Duration::from_millis(u64::from(fetch.wait_ms_max));
    loop {
        let appended = shared.appended.notified();
        let (reply, bytes) = shared.lock().store.fetch(door, fetch);
        if bytes >= fetch.bytes_min as usize || bytes > 0 {
            return reply;
        }
        if tokio::time::timeout_at(deadline, appended).await.is_err() {
            return reply;
        }
    }
}
