//! A shard with its doors on a real executor, spoken to over real sockets.

mod bad_input;
mod http;
mod kafka;
mod native;
mod stopping;

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kolk_io::channel;
use kolk_io::net::bind;
use kolk_io::uring::shard::{ShardHandle, ShardSpec, spawn_shard};
use kolk_metric::shard::{MetricsSnapshot, ShardMetrics};
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::durability::AckLevel;
use kolk_model::ids::{PartitionId, TopicId, TopicName, TopicPartition};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;
use kolk_native::encoder::Encoder;
use kolk_native::frame::{FrameDecoder, FrameLimits};
use kolk_native::reply::{self, CreateTopicReply, FetchReply, Produced, Reply};
use kolk_native::request::{
    CorrelationId, CreateTopic, Fetch, FetchPartition, Hello, Produce, ProducePartition, Request,
};
use kolk_shard::mesh::{Seat, seats};
use kolk_shard::settings::ShardSettings;
use kolk_shard::shard::Shard;
use kolk_shard::start::{ShardPart, StartPlan, recover};

use super::{Serving, ShardDoors};
use crate::http::resources::Readiness;
use crate::kafka::start_facts::StartFacts;
use crate::kafka::view::{Advertised, KafkaIdentity};
use crate::native::identity::Identity;
use crate::settings::ServeSettings;

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker in this process.
struct Broker {
    native: SocketAddr,
    shard_door: SocketAddr,
    kafka: SocketAddr,
    kafka_shards: Vec<SocketAddr>,
    http: SocketAddr,
    shards: Vec<TestShard>,
    _data: tempfile::TempDir,
}

struct TestShard {
    orders: channel::Sender<Hold>,
    thread: ShardHandle<MetricsSnapshot>,
}

/// Holds a shard up until the sender's end is dropped. The end of the channel of holds is the stop.
type Hold = mpsc::Receiver<()>;

impl Broker {
    fn start() -> Self {
        Self::start_with(ServeSettings::default())
    }

    fn start_with(settings: ServeSettings) -> Self {
        let mut shard_settings = ShardSettings::default();
        shard_settings.log.journal_file_bytes = 1 << 20;
        Self::start_shards(1, &settings, shard_settings)
    }

    fn start_shards(count: u16, settings: &ServeSettings, mut shard: ShardSettings) -> Self {
        shard.log.memory_bytes_max = 64 << 20;
        // Beside the test binary: a temporary directory in memory would take no direct I/O.
        let binary = std::env::current_exe().unwrap();
        let data = tempfile::tempdir_in(binary.parent().unwrap()).unwrap();
        let parts = recovered(data.path(), count, &shard);
        let door = || bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let (common, kafka, http) = (door(), door(), door());
        let own: Vec<_> = (0..count).map(|_| (door(), door())).collect();
        let native_shards: Vec<_> = own.iter().map(|(own, _)| own.local_address()).collect();
        let kafka_shards: Vec<_> = own.iter().map(|(_, kafka)| kafka.local_address()).collect();
        let mut broker = Self {
            native: common.local_address(),
            shard_door: native_shards[0],
            kafka: kafka.local_address(),
            kafka_shards,
            http: http.local_address(),
            shards: Vec::new(),
            _data: data,
        };
        let mut http = Some(http);
        let (opened, is_open) = mpsc::channel();
        for ((part, seat), (own, kafka_own)) in parts.into_iter().zip(seats(count, 64)).zip(own) {
            let doors = ShardDoors {
                common: common.try_clone().unwrap(),
                own,
                kafka_common: Some(kafka.try_clone().unwrap()),
                kafka_own: Some(kafka_own),
                http: http.take(),
            };
            let identities = broker.identities(&native_shards);
            let seed = Seed { part, seat, settings: settings.clone(), shard: shard.clone(), doors };
            broker.shards.push(seed.spawn(identities, opened.clone()));
        }
        (0..count).for_each(|_| is_open.recv_timeout(PATIENCE).unwrap());
        broker
    }

    fn identities(&self, native_shards: &[SocketAddr]) -> (Identity, KafkaIdentity) {
        let identity = Identity {
            broker_version: "test",
            node_id: 7,
            advertise: None,
            shard_ports: native_shards.iter().map(SocketAddr::port).collect(),
            started_ns: 0,
        };
        let advertised = |address: &SocketAddr| Advertised { host: None, port: address.port() };
        let kafka_identity = KafkaIdentity {
            node_id: 7,
            node: Some(advertised(&self.kafka)),
            shards: self.kafka_shards.iter().map(advertised).collect(),
            start: StartFacts::default(),
        };
        (identity, kafka_identity)
    }

    fn connect(&self) -> Client {
        let mut client = Client::connect(self.native);
        client.hello();
        client
    }

    /// Holds a shard up: it does nothing until what this gives is dropped.
    fn hold(&self, shard: usize) -> mpsc::Sender<()> {
        let (held, hold) = mpsc::channel();
        self.shards[shard].orders.try_send(hold).unwrap();
        held
    }

    /// Stops the broker; gives what the first shard counted.
    fn stop(self) -> MetricsSnapshot {
        self.stop_all().remove(0)
    }

    fn stop_all(self) -> Vec<MetricsSnapshot> {
        let (orders, threads): (Vec<_>, Vec<_>) =
            self.shards.into_iter().map(|shard| (shard.orders, shard.thread)).unzip();
        drop(orders);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

/// The parts of a data directory, for so many shards.
fn recovered(dir: &Path, shards: u16, settings: &ShardSettings) -> Vec<ShardPart> {
    let (dir, log) = (dir.to_path_buf(), settings.log.clone());
    let recovery = spawn_shard(ShardSpec::new("recovery-test"), move |io| async move {
        let plan = StartPlan { dir: &dir, shards, log: &log, boot: 0, accept_loss: false };
        recover(&io, &plan).await.unwrap().parts
    });
    recovery.unwrap().join().unwrap()
}

/// What one shard of a test starts with.
struct Seed {
    part: ShardPart,
    seat: Seat,
    settings: ServeSettings,
    shard: ShardSettings,
    doors: ShardDoors,
}

impl Seed {
    fn spawn(
        self,
        (identity, kafka_identity): (Identity, KafkaIdentity),
        opened: mpsc::Sender<()>,
    ) -> TestShard {
        let (orders, holds) = channel::pair::<Hold>(1);
        let thread = spawn_shard(ShardSpec::new("serve-test"), move |io| async move {
            let Self { part, seat, settings, shard, doors } = self;
            let metrics = Rc::new(ShardMetrics::new(part.shard().get()));
            let shard = Shard::open(io.clone(), part, shard, Rc::clone(&metrics)).await.unwrap();
            seat.connect(&shard);
            let serving =
                Serving::open(&shard, &settings, identity, kafka_identity, doors).unwrap();
            serving.set_readiness(Readiness::Ready);
            opened.send(()).unwrap();
            while let Some(hold) = holds.recv().await {
                let _released = hold.recv();
            }
            serving.close().await;
            shard.stop().await.unwrap();
            metrics.snapshot()
        });
        TestShard { orders, thread: thread.unwrap() }
    }
}

/// A native client that does what it is told, one thread, blocking.
struct Client {
    stream: TcpStream,
    encoder: Encoder,
    received: BytesMut,
    next: u64,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, encoder: Encoder::new(), received: BytesMut::new(), next: 0 }
    }

    fn hello(&mut self) -> reply::HelloReply {
        let hello = Hello {
            protocol_version: 1,
            features: 0,
            client_id: "test".to_owned(),
            wants_producer_id: true,
        };
        match self.call(&Request::Hello(hello)) {
            Reply::Hello(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn call(&mut self, request: &Request) -> Reply {
        let correlation = self.send(request);
        let (answered, reply) = self.receive();
        assert_eq!(answered, correlation);
        reply
    }

    fn send(&mut self, request: &Request) -> CorrelationId {
        let correlation = CorrelationId::new(self.next);
        self.next += 1;
        let mut wire = BytesMut::new();
        let payload = self.encoder.request(correlation, request, &mut wire).unwrap();
        self.stream.write_all(&wire).unwrap();
        for slice in payload {
            self.stream.write_all(&slice).unwrap();
        }
        correlation
    }

    fn receive(&mut self) -> (CorrelationId, Reply) {
        self.try_receive().expect("the broker closed the connection")
    }

    /// The next reply; `None` when the broker closed the connection.
    fn try_receive(&mut self) -> Option<(CorrelationId, Reply)> {
        let decoder = FrameDecoder::new(FrameLimits::REPLY);
        loop {
            if let Some(frame) = decoder.decode(&mut self.received).unwrap() {
                let reply = reply::decode(&frame).unwrap();
                return Some((reply.correlation, reply.reply));
            }
            let mut bytes = [0; 64 << 10];
            match self.stream.read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.received.extend_from_slice(&bytes[..read]),
            }
        }
    }

    fn create_topic(&mut self, name: &str, partitions: u32) -> TopicId {
        let create = CreateTopic {
            name: TopicName::new(name).unwrap(),
            partitions: Some(partitions),
            settings: Vec::new(),
            validate_only: false,
        };
        match self.call(&Request::CreateTopic(create)) {
            Reply::CreateTopic(CreateTopicReply { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    fn produce(&mut self, topic: TopicId, partition: u32, values: &[&str]) -> Produced {
        match self.call(&produce(topic, partition, batch(values))) {
            Reply::Produce(mut reply) => reply.partitions.remove(0).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn fetch(&mut self, topic: TopicId, partition: u32, offset: u64) -> FetchReply {
        match self.call(&fetch(topic, partition, offset, 0)) {
            Reply::Fetch(reply) => reply,
            other => panic!("{other:?}"),
        }
    }
}

fn produce(topic: TopicId, partition: u32, batches: Bytes) -> Request {
    let id = TopicPartition::new(topic, PartitionId::new(partition));
    let part = ProducePartition { id, batches, expected_next_offset: None };
    Request::Produce(Produce { durability: AckLevel::Topic, partitions: vec![part] })
}

fn fetch(topic: TopicId, partition: u32, offset: u64, wait_ms_max: u32) -> Request {
    let id = TopicPartition::new(topic, PartitionId::new(partition));
    let part = FetchPartition { id, offset: Offset::new(offset), bytes_max: 1 << 20 };
    Request::Fetch(Fetch { wait_ms_max, bytes_min: 1, bytes_max: 8 << 20, partitions: vec![part] })
}

fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in values {
        let time = TimestampMs::new(1_700_000_000_000);
        builder.append(time, None, Some(value.as_bytes()), &[]).unwrap();
    }
    builder.build(Compression::None).unwrap()
}

/// The values of the records in a fetched partition.
fn values(slices: Vec<Bytes>) -> VecDeque<String> {
    let joined: Vec<u8> = slices.into_iter().flatten().collect();
    let mut values = VecDeque::new();
    for batch in kolk_model::batch::batches(&joined) {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        for record in kolk_model::records::Records::of(&batch).unwrap() {
            let value = record.unwrap().value.unwrap().to_vec();
            values.push_back(String::from_utf8(value).unwrap());
        }
    }
    values
}
