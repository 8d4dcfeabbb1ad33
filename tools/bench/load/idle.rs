//! Consumers to whom nothing comes: each keeps a fetch session at a Kafka door and asks again whenever its long poll is over,
//! in fetch requests of version 7, whose fixed form needs no codec. A connection to each leader of its partitions, as clients do.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kolk_machine::cores;
use serde::Serialize;

use crate::error::{BenchError, Outcome};

/// How long the broker may be silent while something is expected of it.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest answer read: metadata of many partitions.
const ANSWER_BYTES_MAX: usize = 16 << 20;
const THREADS: usize = 8;
const FETCH: (i16, i16) = (1, 7);
const METADATA: (i16, i16) = (3, 1);
const PARTITION_BYTES: i32 = 1 << 20;

/// Who waits for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdlePlan<'a> {
    /// A Kafka door; its brokers are those that are asked.
    pub(crate) door: &'a str,
    pub(crate) topic: &'a str,
    pub(crate) consumers: usize,
    /// Partitions of each consumer.
    pub(crate) each: usize,
    /// The longest that the broker may hold a fetch.
    pub(crate) wait: Duration,
    pub(crate) warmup: Duration,
    pub(crate) time: Duration,
    /// The broker's process.
    pub(crate) pid: u32,
}

/// What waiting cost.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Idleness {
    pub(crate) connections: usize,
    pub(crate) seconds: f64,
    pub(crate) answers: u64,
    pub(crate) server_cpu_seconds: f64,
    pub(crate) server_core_share: f64,
    pub(crate) server_cpu_us_per_answer: f64,
}

impl Idleness {
    pub(crate) fn answers_per_second(&self) -> f64 {
        float(self.answers) / self.seconds
    }
}

/// Lets the consumers wait; gives what that cost the broker.
pub(crate) fn run(plan: &IdlePlan<'_>) -> Outcome<Idleness> {
    let leaders = leaders(plan)?;
    let mut waiting = Vec::new();
    for consumer in 0..plan.consumers {
        let mut by_leader: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        let own = (0..plan.each).filter_map(|n| {
            leaders.get_key_value(&((consumer * plan.each + n) % leaders.len().max(1)))
        });
        for (partition, leader) in own {
            let partition = i32::try_from(*partition).unwrap_or(i32::MAX);
            by_leader.entry(leader).or_default().push(partition);
        }
        for (leader, partitions) in by_leader {
            waiting.push(Waiting::begin(leader, plan, &partitions)?);
        }
    }
    let connections = waiting.len();
    let answers = AtomicU64::new(0);
    let end = Instant::now() + plan.warmup + plan.time;
    let shares = shares(waiting);
    let measured: Outcome<_> = std::thread::scope(|scope| {
        let answers = &answers;
        let threads: Vec<_> = shares
            .into_iter()
            .map(|share| scope.spawn(move || wait(share, answers, end)))
            .collect();
        std::thread::sleep(plan.warmup);
        let before = (Instant::now(), cores::processor_time(plan.pid)?, load(answers));
        std::thread::sleep(end.saturating_duration_since(Instant::now()));
        let after = (Instant::now(), cores::processor_time(plan.pid)?, load(answers));
        for thread in threads {
            let crashed = |_| Err(BenchError::Workload("a load thread panicked".to_owned()));
            thread.join().unwrap_or_else(crashed)?;
        }
        Ok((before, after))
    });
    let (before, after) = measured?;
    let seconds = (after.0 - before.0).as_secs_f64();
    let server = after.1.saturating_sub(before.1).as_secs_f64();
    let answers = after.2 - before.2;
    Ok(Idleness {
        connections,
        seconds,
        answers,
        server_cpu_seconds: server,
        server_core_share: server / seconds,
        server_cpu_us_per_answer: server * 1e6 / float(answers.max(1)),
    })
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[expect(clippy::cast_precision_loss, reason = "53 bits are precise enough for a figure")]
const fn float(count: u64) -> f64 {
    count as f64
}

/// Deals the connections out to the threads.
fn shares(waiting: Vec<Waiting>) -> Vec<Vec<Waiting>> {
    let mut shares: Vec<Vec<Waiting>> = (0..THREADS).map(|_| Vec::new()).collect();
    for (number, one) in waiting.into_iter().enumerate() {
        if let Some(share) = shares.get_mut(number % THREADS) {
            share.push(one);
        }
    }
    shares
}

/// Asks again wherever an answer has come, in the order of asking, which is nearly that of the answers.
fn wait(mut share: Vec<Waiting>, answers: &AtomicU64, end: Instant) -> Outcome<()> {
    for one in &mut share {
        one.ask()?;
    }
    while Instant::now() < end && !share.is_empty() {
        for one in &mut share {
            one.hear()?;
            answers.fetch_add(1, Ordering::Relaxed);
            one.ask()?;
        }
    }
    Ok(())
}

/// One connection with its session.
struct Waiting {
    wire: Wire,
    session: i32,
    epoch: i32,
    wait_ms: i32,
}

impl Waiting {
    /// Connects and begins a session, which is answered at once.
    fn begin(address: &str, plan: &IdlePlan<'_>, partitions: &[i32]) -> Outcome<Self> {
        let wait_ms = i32::try_from(plan.wait.as_millis()).unwrap_or(i32::MAX);
        let mut own = Self { wire: Wire::open(address)?, session: 0, epoch: 0, wait_ms };
        let mut body = own.fetch_front(0);
        put(&mut body, &[1]);
        put_text(&mut body, plan.topic);
        put(&mut body, &[i32::try_from(partitions.len()).unwrap_or(i32::MAX)]);
        for partition in partitions {
            // The offset of an empty log, and none as its beginning.
            put(&mut body, &[*partition]);
            body.extend(0_i64.to_be_bytes());
            body.extend((-1_i64).to_be_bytes());
            put(&mut body, &[PARTITION_BYTES]);
        }
        put(&mut body, &[0]);
        own.wire.send(FETCH, &body)?;
        own.hear()?;
        if own.session == 0 {
            return Err(BenchError::refused("fetch", "the broker has no room for a session"));
        }
        Ok(own)
    }

    /// Everything of a request up to its topics.
    fn fetch_front(&self, wait_ms: i32) -> Vec<u8> {
        let mut body = Vec::new();
        // Replica, wait, least bytes, most bytes, isolation, session, its epoch.
        put(&mut body, &[-1, wait_ms, 1, 50 << 20]);
        body.push(0);
        put(&mut body, &[self.session, self.epoch]);
        body
    }

    /// Asks for what is new in the session.
    fn ask(&mut self) -> Outcome<()> {
        let mut body = self.fetch_front(self.wait_ms);
        put(&mut body, &[0, 0]);
        self.wire.send(FETCH, &body)
    }

    fn hear(&mut self) -> Outcome<()> {
        let answer = self.wire.hear()?;
        let mut fields = Fields(&answer);
        let (_throttled, code, session) = (fields.i32(), fields.i16(), fields.i32());
        match (code, session) {
            (Some(0), Some(session)) => {
                self.session = session;
                self.epoch += 1;
                Ok(())
            }
            (Some(code), _) => Err(BenchError::refused("fetch", format!("error code {code}"))),
            _ => Err(BenchError::refused("fetch", "an answer cut short")),
        }
    }
}

/// The address of each partition's leader.
fn leaders(plan: &IdlePlan<'_>) -> Outcome<BTreeMap<usize, String>> {
    let mut wire = Wire::open(plan.door)?;
    let mut body = Vec::new();
    put(&mut body, &[1]);
    put_text(&mut body, plan.topic);
    wire.send(METADATA, &body)?;
    let answer = wire.hear()?;
    let leaders = read_leaders(Fields(&answer));
    let leaders =
        leaders.ok_or_else(|| BenchError::refused("metadata", "an answer that makes no sense"))?;
    if leaders.is_empty() {
        return Err(BenchError::refused("metadata", format!("no topic '{}'", plan.topic)));
    }
    Ok(leaders)
}

fn read_leaders(mut fields: Fields<'_>) -> Option<BTreeMap<usize, String>> {
    let mut brokers = BTreeMap::new();
    for _ in 0..fields.i32()? {
        let (id, host, port) = (fields.i32()?, fields.text()?, fields.i32()?);
        fields.text()?;
        brokers.insert(id, format!("{host}:{port}"));
    }
    let _controller = fields.i32()?;
    let mut leaders = BTreeMap::new();
    for _ in 0..fields.i32()? {
        fields.i16()?;
        fields.text()?;
        fields.take(1)?;
        for _ in 0..fields.i32()? {
            fields.i16()?;
            let (index, leader) = (usize::try_from(fields.i32()?).ok()?, fields.i32()?);
            for _ in 0..2 {
                // Replicas, then those in sync.
                let count = usize::try_from(fields.i32()?).ok()?;
                fields.take(count.checked_mul(4)?)?;
            }
            leaders.insert(index, brokers.get(&leader)?.clone());
        }
    }
    Some(leaders)
}

/// A blocking connection to a Kafka door.
struct Wire {
    address: String,
    stream: TcpStream,
}

impl Wire {
    fn open(address: &str) -> Outcome<Self> {
        let broken = |source| BenchError::Socket { address: address.to_owned(), source };
        let stream = TcpStream::connect(address).map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        stream.set_read_timeout(Some(SILENCE)).map_err(broken)?;
        Ok(Self { address: address.to_owned(), stream })
    }

    fn broken(&self, source: std::io::Error) -> BenchError {
        BenchError::Socket { address: self.address.clone(), source }
    }

    fn send(&mut self, (api, version): (i16, i16), body: &[u8]) -> Outcome<()> {
        let mut frame = vec![0; 4];
        frame.extend(api.to_be_bytes());
        frame.extend(version.to_be_bytes());
        put(&mut frame, &[1]); // correlation id
        put_text(&mut frame, "kolk-bench");
        frame.extend(body);
        let length = i32::try_from(frame.len() - 4).unwrap_or(i32::MAX).to_be_bytes();
        frame.splice(..4, length);
        self.stream.write_all(&frame).map_err(|source| self.broken(source))
    }

    /// The next answer behind its correlation id.
    fn hear(&mut self) -> Outcome<Vec<u8>> {
        let mut head = [0; 8];
        self.stream.read_exact(&mut head).map_err(|source| self.broken(source))?;
        let length = Fields(&head).i32().and_then(|length| usize::try_from(length).ok());
        let rest = length.and_then(|length| length.checked_sub(4)).unwrap_or(usize::MAX);
        if rest > ANSWER_BYTES_MAX {
            return Err(BenchError::refused(&self.address, format!("an answer of {rest} bytes")));
        }
        let mut answer = vec![0; rest];
        self.stream.read_exact(&mut answer).map_err(|source| self.broken(source))?;
        Ok(answer)
    }
}

fn put(body: &mut Vec<u8>, numbers: &[i32]) {
    numbers.iter().for_each(|number| body.extend(number.to_be_bytes()));
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend(i16::try_from(text.len()).unwrap_or(i16::MAX).to_be_bytes());
    body.extend(text.as_bytes());
}

/// Fields of an answer, from its front.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(*self.take(2)?.first_chunk()?))
    }

    fn i32(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(*self.take(4)?.first_chunk()?))
    }

    /// Text; empty where it is null.
    fn text(&mut self) -> Option<&'a str> {
        let count = usize::try_from(self.i16()?).unwrap_or(0);
        std::str::from_utf8(self.take(count)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_its_leaders_address() {
        let mut answer = Vec::new();
        put(&mut answer, &[2]);
        for (id, port) in [(1, 9_001), (2, 9_002)] {
            put(&mut answer, &[id]);
            put_text(&mut answer, "host");
            put(&mut answer, &[port]);
            answer.extend((-1_i16).to_be_bytes()); // no rack
        }
        put(&mut answer, &[1, 1]); // controller, topics
        answer.extend(0_i16.to_be_bytes());
        put_text(&mut answer, "web");
        answer.push(0);
        put(&mut answer, &[2]);
        for (index, leader) in [(0, 2), (1, 1)] {
            answer.extend(0_i16.to_be_bytes());
            put(&mut answer, &[index, leader, 1, leader, 1, leader]);
        }
        let leaders = read_leaders(Fields(&answer)).unwrap();
        assert_eq!(leaders.into_values().collect::<Vec<_>>(), ["host:9002", "host:9001"]);
        assert!(read_leaders(Fields(&answer[..answer.len() - 1])).is_none());
    }
}
