//! What was done between two moments of a run, and whether each record came once and in order.

use std::time::{Duration, Instant};

use kolk_driver::clock::float;
use kolk_machine::cores;
use serde::Serialize;

use crate::error::{BenchError, Outcome};

/// One moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    at: Instant,
    records: u64,
    server: Duration,
    client: Duration,
}

impl Mark {
    /// Now, with so many records done.
    pub(crate) fn now(records: u64, pid: u32) -> Outcome<Self> {
        Ok(Self {
            at: Instant::now(),
            records,
            server: cores::processor_time(pid)?,
            client: cores::processor_time(std::process::id())?,
        })
    }

    /// What was done since, in records of so many bytes.
    pub(crate) fn until(self, end: Self, record_bytes: usize) -> Phase {
        let records = end.records.saturating_sub(self.records);
        let bytes = records.saturating_mul(record_bytes as u64);
        let seconds = end.at.saturating_duration_since(self.at).as_secs_f64();
        Phase {
            records,
            bytes,
            seconds,
            bytes_per_second: float(bytes) / seconds.max(1e-9),
            server_cpu_seconds: end.server.saturating_sub(self.server).as_secs_f64(),
            client_cpu_seconds: end.client.saturating_sub(self.client).as_secs_f64(),
        }
    }
}

/// A measured part. Bytes are those of values.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Phase {
    records: u64,
    bytes: u64,
    seconds: f64,
    bytes_per_second: f64,
    server_cpu_seconds: f64,
    client_cpu_seconds: f64,
}

/// Checks records as they are read: every value begins with the record's number among all.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The number that comes next, by partition.
    next: Vec<u64>,
    read: u64,
}

impl Ledger {
    pub(crate) fn new(partitions: u32) -> Self {
        Self { next: (0..u64::from(partitions)).collect(), read: 0 }
    }

    /// A record that was read; `partition` gets each so-many-th number.
    pub(crate) fn add(&mut self, partition: i32, value: &[u8]) -> Outcome<()> {
        let step = self.next.len() as u64;
        let next = usize::try_from(partition).ok().and_then(|number| self.next.get_mut(number));
        let (Some(next), Some(head)) = (next, value.first_chunk()) else {
            return Err(wrong(partition, "is not one that was written to"));
        };
        if u64::from_le_bytes(*head) != *next {
            return Err(wrong(partition, "has a record out of order, twice or not at all"));
        }
        *next += step;
        self.read += 1;
        Ok(())
    }

    pub(crate) const fn read(&self) -> u64 {
        self.read
    }
}

fn wrong(partition: i32, what: &str) -> BenchError {
    BenchError::Workload(format!("partition {partition} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_twice_out_of_order_or_elsewhere_is_found() {
        let value = |number: u64| [number.to_le_bytes().as_slice(), b"rest"].concat();
        let mut ledger = Ledger::new(2);
        for (partition, number) in [(0, 0), (1, 1), (0, 2), (1, 3)] {
            ledger.add(partition, &value(number)).unwrap();
        }
        assert_eq!(ledger.read(), 4);
        for (partition, number) in [(0, 2), (0, 6), (0, 5), (2, 4), (-1, 4)] {
            assert!(ledger.add(partition, &value(number)).is_err(), "{partition} {number}");
        }
        assert!(ledger.add(0, b"short").is_err());
    }

    #[test]
    fn a_phase_is_what_lies_between_two_marks() {
        let begin = Mark::now(10, std::process::id()).unwrap();
        let end = Mark { at: begin.at + Duration::from_secs(2), records: 30, ..begin };
        let phase = begin.until(end, 100);
        assert_eq!((phase.records, phase.bytes, phase.bytes_per_second), (20, 2_000, 1_000.0));
        assert_eq!(phase.server_cpu_seconds, 0.0);
    }
}
