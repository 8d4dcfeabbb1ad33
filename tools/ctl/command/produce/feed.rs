//! Lines on their way to the broker: each becomes a record and is entered in the ledger.

use std::io;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use kolk_client::producer::{Producer, Record};
use kolk_model::ids::PartitionId;
use kolk_model::records::Header;

use super::Args;
use super::input::{Input, Kind};
use super::key::KeyFinder;
use super::ledger::Ledger;
use super::lines::split_line;
use super::pace::Pace;
use crate::stop::Asking;

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

    /// Gives the producer every line, until one does not get through or somebody asks to end. Then the lines of a pipe that were
    /// read are sent all the same, as nobody else has them any more; those of a file stay where they are.
    pub(super) async fn run(&mut self, mut input: Input, mut asking: Asking) -> io::Result<()> {
        loop {
            let block = tokio::select! {
                biased;
                () = asking.asked() => break,
                () = self.ledger.failed() => return Ok(()),
                block = input.next() => block,
            };
            let Some(block) = block else { return Ok(()) };
            self.block(&block?, input.kind, &mut asking).await;
        }
        input.stop();
        while self.ledger.failure().is_none() {
            let Some(block) = input.next_read().await else { break };
            self.block(&block?, input.kind, &mut asking).await;
        }
        Ok(())
    }

    async fn block(&mut self, block: &[u8], kind: Kind, asking: &mut Asking) {
        let mut left = block;
        while let Some((line, rest)) = split_line(left) {
            if self.ledger.failure().is_some() {
                return;
            }
            if let Some(pause) = self.pause() {
                let is_asked = tokio::select! {
                    () = tokio::time::sleep(pause) => false,
                    () = asking.asked() => true,
                };
                if is_asked && kind == Kind::File {
                    return;
                }
            }
            let producer = self.producer;
            let record = self.record(line);
            let taken = match producer.try_enqueue(record).transpose() {
                Some(taken) => taken,
                // A line that waits for room in the producer's buffer is not sent if nobody waits with it.
                None => tokio::select! {
                    biased;
                    taken = producer.enqueue(record) => taken,
                    () = asking.asked(), if kind == Kind::File => return,
                },
            };
            match taken {
                Ok(delivery) => self.ledger.sent(delivery),
                Err(error) => self.ledger.refused(error),
            }
            self.bytes += line.len() as u64;
            if self.ledger.lines().is_multiple_of(BAR_EVERY) {
                self.bar.set_position(self.bytes);
            }
            left = rest;
        }
    }

    /// How long to wait before the next line.
    fn pause(&self) -> Option<Duration> {
        self.pace?.pause(self.ledger.lines(), self.begin.elapsed())
    }

    fn record<'l>(&'l mut self, line: &'l [u8]) -> Record<'l> {
        let mut record = Record::to(&self.args.topic).value(line).headers(&self.headers);
        if let Some(key) = self.keys.as_mut().and_then(|keys| keys.key(line)) {
            record = record.key(key);
        }
        if let Some(partition) = self.args.partition {
            record = record.partition(PartitionId::new(partition));
        }
        record
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
