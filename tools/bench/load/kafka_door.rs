//! The requests of `produce`, put to the Kafka door of the same broker: batch for batch the same bytes, in a produce request
//! of version 7, whose fixed form needs no codec.

use std::collections::VecDeque;
use std::io::{BufReader, IoSlice, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kolk_machine::latency::Times;
use kolk_model::durability::AckLevel;

use super::Target;
use super::meter::{Meter, Stage};
use super::produce::{ProducePlan, Produced};
use crate::error::{BenchError, Outcome};
use crate::load::batches::build;

const PRODUCE_VERSION: i16 = 7;
/// How long the broker may be silent while something is expected of it.
const SILENCE: Duration = Duration::from_secs(60);
const TIMEOUT_MS: i32 = 30_000;
/// Longest answer to one partition's batch.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Puts the load on the door at `address`, from one connection for all of the topic's `partitions`; one batch a request.
pub(crate) fn run(
    target: &Target<'_>,
    address: &str,
    partitions: u32,
    plan: &ProducePlan,
) -> Outcome<Produced> {
    if !target.cores.is_empty() {
        kolk_machine::cores::pin(target.cores);
    }
    let meter = Meter::new(plan.warmup, plan.limit);
    let connection = Connection::open(target.topic, address, partitions, plan)?;
    let times = connection.drive(&meter)?;
    meter.end(Instant::now());
    let measured = meter.throughput(times.summary());
    let (bytes_total, records_total) = (meter.bytes_total(), meter.records_total());
    Ok(Produced { measured, bytes_total, records_total })
}

struct Stream {
    front: Vec<u8>,
    payload: Bytes,
    records: u64,
}

struct Connection {
    address: String,
    topic_bytes: usize,
    stream: BufReader<TcpStream>,
    streams: Vec<Stream>,
    /// Index of the stream and time, in the order of sending, which is the order of the answers.
    sent: VecDeque<(usize, Instant)>,
    in_flight_max: usize,
    turn: usize,
}

impl Connection {
    fn open(topic: &str, address: &str, partitions: u32, plan: &ProducePlan) -> Outcome<Self> {
        let broken = |source| BenchError::Socket { address: address.to_owned(), source };
        let stream = TcpStream::connect(address).map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        stream.set_read_timeout(Some(SILENCE)).map_err(broken)?;
        let mut streams = Vec::new();
        for partition in 0..partitions {
            let batch = build(plan.shape, u64::from(partition) << 32)?;
            let front = front(topic, partition, batch.bytes.len(), plan.durability);
            streams.push(Stream { front, payload: batch.bytes, records: batch.records });
        }
        Ok(Self {
            address: address.to_owned(),
            topic_bytes: topic.len(),
            stream: BufReader::new(stream),
            streams,
            sent: VecDeque::new(),
            in_flight_max: plan.in_flight.max(1),
            turn: 0,
        })
    }

    fn drive(mut self, meter: &Meter) -> Outcome<Times> {
        let mut times = Times::new()?;
        let mut stage = Stage::Warmup;
        while stage != Stage::Over || !self.sent.is_empty() {
            while stage != Stage::Over && self.sent.len() < self.in_flight_max {
                self.send()?;
            }
            self.answer()?;
            let now = Instant::now();
            let Some((index, sent)) = self.sent.pop_front() else { break };
            if stage == Stage::Measured {
                times.record(now.saturating_duration_since(sent));
            }
            if let Some(stream) = self.streams.get(index) {
                stage = meter.add(1, stream.records, stream.payload.len() as u64, now);
            }
        }
        Ok(times)
    }

    fn send(&mut self) -> Outcome<()> {
        self.turn = if self.turn + 1 < self.streams.len() { self.turn + 1 } else { 0 };
        let Some(stream) = self.streams.get(self.turn) else { return Ok(()) };
        let mut parts = [IoSlice::new(&stream.front), IoSlice::new(&stream.payload)];
        let mut parts = &mut parts[..];
        while !parts.is_empty() {
            let written = self.stream.get_mut().write_vectored(parts);
            let written = written
                .map_err(|source| BenchError::Socket { address: self.address.clone(), source })?;
            IoSlice::advance_slices(&mut parts, written);
        }
        self.sent.push_back((self.turn, Instant::now()));
        Ok(())
    }

    /// Reads one answer and makes sure that it acknowledges.
    fn answer(&mut self) -> Outcome<()> {
        let broken = |source| BenchError::Socket { address: self.address.clone(), source };
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(broken)?;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > ANSWER_BYTES_MAX {
            return Err(BenchError::refused("produce", format!("an answer of {length} bytes")));
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).map_err(broken)?;
        match error_code(&answer, self.topic_bytes) {
            Some(0) => Ok(()),
            Some(code) => Err(BenchError::refused("produce", format!("error code {code}"))),
            None => Err(BenchError::refused("produce", "an answer cut short")),
        }
    }
}

/// All of a request but the batch: length, header, and body up to it.
fn front(topic: &str, partition: u32, batch_bytes: usize, durability: AckLevel) -> Vec<u8> {
    const CLIENT: &[u8] = b"kolk-bench";
    let acks: i16 = match durability {
        AckLevel::None => 0,
        AckLevel::ProcessCrash => 1,
        AckLevel::PowerLoss | AckLevel::Topic => -1,
    };
    let mut body = Vec::new();
    let text = |body: &mut Vec<u8>, text: &[u8]| {
        body.extend(i16::try_from(text.len()).unwrap_or(i16::MAX).to_be_bytes());
        body.extend(text);
    };
    body.extend(0_i16.to_be_bytes()); // Produce
    body.extend(PRODUCE_VERSION.to_be_bytes());
    body.extend(partition.to_be_bytes()); // correlation id
    text(&mut body, CLIENT);
    body.extend((-1_i16).to_be_bytes()); // no transaction
    body.extend(acks.to_be_bytes());
    body.extend(TIMEOUT_MS.to_be_bytes());
    body.extend(1_i32.to_be_bytes()); // topics
    text(&mut body, topic.as_bytes());
    body.extend(1_i32.to_be_bytes()); // partitions
    body.extend(partition.to_be_bytes());
    body.extend(wire_length(batch_bytes));
    [wire_length(body.len() + batch_bytes).as_slice(), &body].concat()
}

fn wire_length(bytes: usize) -> [u8; 4] {
    i32::try_from(bytes).unwrap_or(i32::MAX).to_be_bytes()
}

/// Behind correlation id, number of topics, the topic, number of partitions and the partition's index.
fn error_code(answer: &[u8], topic_bytes: usize) -> Option<i16> {
    let code = answer.get(4 + 4 + 2 + topic_bytes + 4 + 4..)?.first_chunk()?;
    Some(i16::from_be_bytes(*code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_says_how_long_it_is() {
        let front = front("topic", 3, 1_000, AckLevel::Topic);
        let length = u32::from_be_bytes(*front.first_chunk().unwrap());
        assert_eq!(length as usize, front.len() - 4 + 1_000);
        assert_eq!(front.last_chunk::<8>(), Some(&[0, 0, 0, 3, 0, 0, 3, 232]));
    }

    #[test]
    fn the_error_code_of_an_answer_is_found() {
        let mut answer = vec![0; 4 + 4 + 2 + 5 + 4 + 4];
        assert_eq!(error_code(&answer, 5), None);
        answer.extend(6_i16.to_be_bytes());
        assert_eq!(error_code(&answer, 5), Some(6));
    }
}
