//! Redis's streams through the crate `redis`: a partition is a key. A producer has one pipeline on its way and fills the next
//! one meanwhile; a consumer reads all of its keys with one blocking XREAD. Record keys are not sent: a stream's entry has
//! fields instead, of which there is one.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use redis::{Client, Connection, Pipeline, RedisError, Value, cmd, pipe};

use crate::ack::AckSink;
use crate::clock::Moment;
use crate::driver::{ClientPlan, Consumer, Driver, Labour, Outgoing, Place, Producer};
use crate::error::{DriverError, Outcome};

/// Entries of one key that a read may bring.
const ENTRIES_MAX: usize = 1_000;
/// Records of one pipeline.
const PIPELINE_MAX: usize = 5_000;
const FIELD: &str = "v";

/// The driver.
pub(super) struct Redis {
    place: Place,
    plan: ClientPlan,
    client: Client,
}

impl Redis {
    pub(super) fn new(place: Place, plan: ClientPlan) -> Outcome<Self> {
        let client =
            Client::open(format!("redis://{}/", place.address)).map_err(refused("connect"))?;
        Ok(Self { place, plan, client })
    }

    fn key(&self, partition: u32) -> String {
        format!("{}:{partition}", self.place.topic)
    }

    fn connect(&self) -> Outcome<Connection> {
        self.client.get_connection().map_err(refused("connect"))
    }
}

impl Driver for Redis {
    fn configuration(&self) -> Vec<(String, String)> {
        let ClientPlan { batch_bytes, linger_ms, .. } = self.plan;
        let text = format!(
            "crate redis 1, one connection a client, a key a partition\n\
             XADD in pipelines, one on its way, of at most {batch_bytes} bytes and {PIPELINE_MAX} records after {linger_ms} ms\n\
             XREAD BLOCK COUNT {ENTRIES_MAX}\n"
        );
        vec![("client".to_owned(), text)]
    }

    fn create(&self) -> Outcome<()> {
        // A key comes into being with its first entry.
        self.delete()
    }

    fn delete(&self) -> Outcome<()> {
        let mut delete = cmd("DEL");
        (0..self.place.partitions).for_each(|partition| {
            delete.arg(self.key(partition));
        });
        delete.exec(&mut self.connect()?).map_err(refused("DEL"))
    }

    fn producer(&self, acks: AckSink, _labour: Labour) -> Outcome<Box<dyn Producer>> {
        let (lane, queued) = channel();
        let (mut connection, plan) = (self.connect()?, self.plan);
        let keys: Vec<String> = (0..self.place.partitions).map(|one| self.key(one)).collect();
        std::thread::spawn(move || {
            if let Err(error) = add(&mut connection, &keys, &queued, (&acks, plan)) {
                acks.failed(error);
            }
        });
        Ok(Box::new(RedisProducer { lane }))
    }

    fn consumer(&self, _name: &str, partitions: &[u32]) -> Outcome<Box<dyn Consumer>> {
        let connection = self.connect()?;
        let next = partitions.iter().map(|partition| (self.key(*partition), b"0".to_vec()));
        Ok(Box::new(RedisConsumer { connection, next: next.collect() }))
    }
}

/// A record on its way to the socket.
struct Queued {
    partition: u32,
    intended: Moment,
    value: Vec<u8>,
}

struct RedisProducer {
    lane: Sender<Queued>,
}

impl Producer for RedisProducer {
    fn send(&mut self, record: &Outgoing<'_>) -> Outcome<()> {
        let Outgoing { partition, intended, value, .. } = *record;
        let queued = Queued { partition, intended, value: value.to_vec() };
        self.lane.send(queued).map_err(|_| DriverError::refused("XADD", "the connection is gone"))
    }

    fn finish(&mut self) -> Outcome<()> {
        // What was queued is written without being asked.
        Ok(())
    }
}

/// Writes until the producer is gone.
fn add(
    connection: &mut Connection,
    keys: &[String],
    queued: &Receiver<Queued>,
    (acks, plan): (&AckSink, ClientPlan),
) -> Result<(), RedisError> {
    let linger = Duration::from_millis(u64::from(plan.linger_ms));
    while let Ok(first) = queued.recv() {
        let until = Instant::now() + linger;
        let (mut bytes, mut due, mut pipeline) = (0, Vec::new(), pipe());
        let mut next = Some(first);
        while let Some(one) = next {
            put(&mut pipeline, keys, &one);
            bytes += one.value.len();
            due.push(one.intended);
            if bytes >= plan.batch_bytes as usize || due.len() >= PIPELINE_MAX {
                break;
            }
            next = queued.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        }
        pipeline.exec(connection)?;
        for intended in due {
            acks.acknowledged(intended);
        }
    }
    Ok(())
}

fn put(pipeline: &mut Pipeline, keys: &[String], one: &Queued) {
    let key = keys.get(one.partition as usize).map_or("", String::as_str);
    pipeline.cmd("XADD").arg(key).arg("*").arg(FIELD).arg(one.value.as_slice()).ignore();
}

struct RedisConsumer {
    connection: Connection,
    /// Each key and the id of the last entry that was read of it.
    next: Vec<(String, Vec<u8>)>,
}

impl Consumer for RedisConsumer {
    fn poll(&mut self, wait: Duration, each: &mut dyn FnMut(&[u8])) -> Outcome<()> {
        let mut read = cmd("XREAD");
        read.arg("COUNT").arg(ENTRIES_MAX);
        // 0 would wait for ever.
        read.arg("BLOCK").arg(u64::try_from(wait.as_millis()).unwrap_or(1).max(1)).arg("STREAMS");
        self.next.iter().for_each(|(key, _)| {
            read.arg(key);
        });
        self.next.iter().for_each(|(_, id)| {
            read.arg(id.as_slice());
        });
        let read: Value = read.query(&mut self.connection).map_err(refused("XREAD"))?;
        let Value::Array(streams) = read else { return Ok(()) };
        for stream in &streams {
            let wrong = || DriverError::refused("XREAD", "an answer makes no sense");
            let (key, entries) = pair(stream).ok_or_else(wrong)?;
            let (Value::BulkString(key), Value::Array(entries)) = (key, entries) else {
                return Err(wrong());
            };
            let last = entries.iter().try_fold(None, |_, entry| entry_of(entry, each).map(Some));
            let last = last.ok_or_else(wrong)?;
            let own = self.next.iter_mut().find(|(own, _)| own.as_bytes() == key.as_slice());
            if let (Some((_, id)), Some(last)) = (own, last) {
                id.clear();
                id.extend_from_slice(last);
            }
        }
        Ok(())
    }
}

/// Hands an entry's value over; gives its id.
fn entry_of<'a>(entry: &'a Value, each: &mut dyn FnMut(&[u8])) -> Option<&'a [u8]> {
    let (Value::BulkString(id), Value::Array(fields)) = pair(entry)? else { return None };
    let Value::BulkString(value) = fields.get(1)? else { return None };
    each(value);
    Some(id)
}

fn pair(value: &Value) -> Option<(&Value, &Value)> {
    match value {
        Value::Array(two) => Some((two.first()?, two.get(1)?)),
        _ => None,
    }
}

fn refused(what: &'static str) -> impl Fn(RedisError) -> DriverError {
    move |error| DriverError::refused(what, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entrys_value_and_id_are_found() {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let entry = Value::Array(vec![bulk("5-0"), Value::Array(vec![bulk("v"), bulk("value")])]);
        let mut values = Vec::new();
        let id = entry_of(&entry, &mut |value| values.push(value.to_vec()));
        assert_eq!((id, values), (Some(&b"5-0"[..]), vec![b"value".to_vec()]));
        assert_eq!(entry_of(&Value::Nil, &mut |_| {}), None);
    }
}
