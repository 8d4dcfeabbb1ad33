//! RabbitMQ by its stream protocol: a partition is a stream. A small client of our own, on threads: the official one for Rust
//! brings a C library for TLS along, and this one costs the load generator less. Keys are not sent: a stream has none.

mod wire;

use std::io::Write;
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use crate::ack::AckSink;
use crate::clock::Moment;
use crate::driver::{ClientPlan, Consumer, Driver, Labour, Outgoing, Place, Producer};
use crate::error::{DriverError, Outcome};
use wire::{Connection, In, Out};

/// Publishers or subscriptions of one connection: their id is a byte.
const STREAMS_MAX: usize = 200;
/// Chunks that the broker may send ahead of the reader, for each stream.
const CREDIT: u16 = 10;
/// Chunks that wait for the reader.
const CHUNKS_MAX: usize = 64;

/// The driver.
pub(super) struct Rabbitmq {
    place: Place,
    plan: ClientPlan,
}

impl Rabbitmq {
    pub(super) const fn new(place: Place, plan: ClientPlan) -> Self {
        Self { place, plan }
    }

    fn stream(&self, partition: u32) -> String {
        format!("{}-{partition}", self.place.topic)
    }
}

impl Driver for Rabbitmq {
    fn configuration(&self) -> Vec<(String, String)> {
        let ClientPlan { batch_bytes, linger_ms, .. } = self.plan;
        let text = format!(
            "stream protocol, a stream a partition, no sub-entries, no names of publishers\n\
             one connection for each {STREAMS_MAX} streams; what is queued goes out together, at most {batch_bytes} bytes, after {linger_ms} ms\n\
             {CREDIT} chunks of credit a subscription\n"
        );
        vec![("client".to_owned(), text)]
    }

    fn create(&self) -> Outcome<()> {
        let mut connection = Connection::open(&self.place.address)?;
        (0..self.place.partitions)
            .try_for_each(|partition| connection.create(&self.stream(partition)))
    }

    fn delete(&self) -> Outcome<()> {
        let mut connection = Connection::open(&self.place.address)?;
        (0..self.place.partitions)
            .try_for_each(|partition| connection.delete(&self.stream(partition)))
    }

    fn producer(&self, acks: AckSink, _labour: Labour) -> Outcome<Box<dyn Producer>> {
        let partitions: Vec<u32> = (0..self.place.partitions).collect();
        let mut lanes = Vec::new();
        for own in partitions.chunks(STREAMS_MAX) {
            let mut connection = Connection::open(&self.place.address)?;
            for (id, partition) in (0_u8..).zip(own) {
                connection.declare_publisher(id, &self.stream(*partition))?;
            }
            lanes.push(publish_from_threads(connection, acks.clone(), self.plan));
        }
        Ok(Box::new(RabbitmqProducer { lanes }))
    }

    fn consumer(&self, _name: &str, partitions: &[u32]) -> Outcome<Box<dyn Consumer>> {
        let (to, chunks) = sync_channel(CHUNKS_MAX);
        for own in partitions.chunks(STREAMS_MAX) {
            let mut connection = Connection::open(&self.place.address)?;
            for (id, partition) in (0_u8..).zip(own) {
                connection.subscribe(id, &self.stream(*partition), CREDIT)?;
            }
            let to = to.clone();
            std::thread::spawn(move || deliver(connection, &to));
        }
        Ok(Box::new(RabbitmqConsumer { chunks }))
    }
}

/// A record on its way to the socket.
struct Queued {
    publisher: u8,
    intended: Moment,
    value: Vec<u8>,
}

struct RabbitmqProducer {
    /// One for each connection.
    lanes: Vec<Sender<Queued>>,
}

impl Producer for RabbitmqProducer {
    fn send(&mut self, record: &Outgoing<'_>) -> Outcome<()> {
        let partition = usize::try_from(record.partition).unwrap_or(usize::MAX);
        let publisher = u8::try_from(partition % STREAMS_MAX).unwrap_or(0);
        let queued = Queued { publisher, intended: record.intended, value: record.value.to_vec() };
        let lane = self.lanes.get(partition / STREAMS_MAX);
        match lane.map(|lane| lane.send(queued)) {
            Some(Ok(())) => Ok(()),
            _ => Err(DriverError::refused("publish", "the connection is gone")),
        }
    }

    fn finish(&mut self) -> Outcome<()> {
        // What was queued is written without being asked.
        Ok(())
    }
}

/// Two threads for a connection: one writes what is queued, the other hears of confirms.
fn publish_from_threads(connection: Connection, acks: AckSink, plan: ClientPlan) -> Sender<Queued> {
    let (lane, queued) = channel();
    let Connection { mut reader, writer, .. } = connection;
    let failures = acks.clone();
    std::thread::spawn(move || {
        // The connection ends with the producer.
        while let Ok(frame) = wire::read_frame(&mut reader) {
            if confirm(&frame, &acks).is_none() {
                acks.failed(format!("frame {} makes no sense", frame.command));
            }
        }
    });
    std::thread::spawn(move || {
        if let Err(error) = publish(&writer, &queued, plan) {
            failures.failed(error);
        }
        // Both directions: the other thread waits for the server, which would wait for a farewell.
        drop(writer.shutdown(std::net::Shutdown::Both));
    });
    lane
}

/// Writes until the producer is gone.
fn publish(
    mut socket: &TcpStream,
    queued: &Receiver<Queued>,
    plan: ClientPlan,
) -> std::io::Result<()> {
    let linger = Duration::from_millis(u64::from(plan.linger_ms));
    while let Ok(first) = queued.recv() {
        let until = Instant::now() + linger;
        let mut bytes = first.value.len();
        let mut batch = vec![first];
        while bytes < plan.batch_bytes as usize {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(next) = queued.recv_timeout(left) else { break };
            bytes += next.value.len();
            batch.push(next);
        }
        // A stable sort: records of a publisher keep their order.
        batch.sort_by_key(|one| one.publisher);
        let mut out = Vec::with_capacity(bytes + 16 * batch.len());
        for own in batch.chunk_by(|one, next| one.publisher == next.publisher) {
            out.extend_from_slice(&publish_frame(own));
        }
        socket.write_all(&out)?;
    }
    Ok(())
}

/// Records of one publisher; the publishing id is when a record was due.
fn publish_frame(own: &[Queued]) -> Vec<u8> {
    let publisher = own.first().map_or(0, |one| one.publisher);
    let mut out = Out::default().u8(publisher).u32(u32::try_from(own.len()).unwrap_or(u32::MAX));
    for one in own {
        out = out.u64(one.intended.ns()).bytes(&one.value);
    }
    out.frame(wire::PUBLISH)
}

/// What a frame says about records; `None` if it can't be read.
fn confirm(frame: &wire::Frame, acks: &AckSink) -> Option<()> {
    let mut body = In(&frame.body);
    match frame.command {
        wire::CONFIRM => {
            let _publisher = body.u8()?;
            for _ in 0..body.u32()? {
                acks.acknowledged(Moment::from_ns(body.u64()?));
            }
        }
        wire::PUBLISH_ERROR => {
            let _publisher = body.u8()?;
            for _ in 0..body.u32()? {
                let (_id, code) = (body.u64()?, body.u16()?);
                acks.failed(format!("publish error {code:#x}"));
            }
        }
        _ => {}
    }
    Some(())
}

/// Bodies of chunks that came, or why none do any more.
type Delivered = Result<Vec<u8>, String>;

struct RabbitmqConsumer {
    chunks: Receiver<Delivered>,
}

/// Reads a connection for the consumer until that is gone; each chunk that is handed over earns another.
fn deliver(mut connection: Connection, to: &SyncSender<Delivered>) {
    loop {
        let frame = match connection.next() {
            Ok(frame) => frame,
            Err(error) => {
                let _gone = to.send(Err(error.to_string()));
                return;
            }
        };
        if let Some(Err(code)) = wire::subscribed(&frame) {
            let _gone = to.send(Err(format!("subscribe: code {code:#x}")));
            return;
        }
        if frame.command != wire::DELIVER {
            continue;
        }
        let subscription = frame.body.first().copied().unwrap_or(0);
        if to.send(Ok(frame.body)).is_err() {
            return;
        }
        let credit = Out::default().u8(subscription).u16(1).frame(wire::CREDIT);
        if connection.send(&credit).is_err() {
            return;
        }
    }
}

impl Consumer for RabbitmqConsumer {
    fn poll(&mut self, wait: Duration, each: &mut dyn FnMut(&[u8])) -> Outcome<()> {
        let body = match self.chunks.recv_timeout(wait) {
            Ok(Ok(body)) => body,
            Ok(Err(reason)) => return Err(DriverError::refused("consume", reason)),
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(DriverError::refused("consume", "the connection is gone"));
            }
        };
        let read = wire::chunk(&body, &mut |value| each(value));
        read.map(drop).ok_or_else(|| DriverError::refused("consume", "a chunk makes no sense"))
    }
}
