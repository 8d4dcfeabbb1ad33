//! Lines on their way to the broker: each becomes a record and is entered in the ledger.

use std::io::{self, Read};
use std::time::Instant;

use indicatif::ProgressBar;
use kolk_client::producer::{Producer, Record};
use kolk_model::ids::PartitionId;
use kolk_model::records::Header;

use super::Args;
use super::key::KeyFinder;
use super::ledger::Ledger;
use super::lines::Lines;
use super::pace::Pace;

/// A look at the clock for each record would cost as much as the record.
const BAR_EVERY: u64 = 1024;

/// Makes lines into records.
pub(super) struct Feed<'a> {
    args: &'a Args,
    producer: &'a Producer,
    bar: &'a ProgressBar,
    headers: Vec<Header<'a>>,
    keys: Option<KeyFinder>,
    pace: Option<Pace>,
    begin: Instant,
    bytes: u64,
    pub(super) ledger: Ledger,
}

impl<'a> Feed<'a> {
    pub(super) fn new(args: &'a Args, producer: &'a Producer, bar: &'a ProgressBar) -> Self {
        let header = |(name, value): &'a (String, String)| Header::new(name, value.as_bytes());
        Self {
            args,
            producer,
            bar,
            headers: args.headers.iter().map(header).collect(),
            keys: args.key_regex.as_ref().map(KeyFinder::new),
            pace: args.rate.map(Pace::new),
            begin: Instant::now(),
            bytes: 0,
            ledger: Ledger::default(),
        }
    }

    /// Gives the producer every line, until one does not get through.
    pub(super) async fn run(&mut self, input: Box<dyn Read>) -> io::Result<()> {
        let mut lines = Lines::new(input);
        while self.ledger.failure().is_none() {
            let Some(line) = lines.next()? else { break };
            self.send(line).await;
        }
        Ok(())
    }

    async fn send(&mut self, line: &[u8]) {
        let lines = self.ledger.lines();
        if let Some(pause) = self.pace.and_then(|pace| pace.pause(lines, self.begin.elapsed())) {
            tokio::time::sleep(pause).await;
        }
        let mut record = Record::to(&self.args.topic).value(line).headers(&self.headers);
        if let Some(key) = self.keys.as_mut().and_then(|keys| keys.key(line)) {
            record = record.key(key);
        }
        if let Some(partition) = self.args.partition {
            record = record.partition(PartitionId::new(partition));
        }
        match self.producer.enqueue(record).await {
            Ok(delivery) => self.ledger.sent(delivery),
            Err(error) => self.ledger.refused(error),
        }
        self.bytes += line.len() as u64;
        if lines.is_multiple_of(BAR_EVERY) {
            self.bar.set_position(self.bytes);
        }
    }

    /// Bytes of all lines.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Seconds since the first line was asked for.
    pub(super) fn seconds(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }
}
