//! `kolk inspect`: the offline reader on the command line.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use indicatif::ProgressBar;
use kolk_inspect::inspection::{self, Selection};
use kolk_inspect::report::Report;
use kolk_inspect::watch::{FoundBatch, Watch};
use kolk_inspect::{json, text};
use kolk_model::ids::PartitionId;

use crate::answer::{Counted, progress};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::global::Global;

const EXAMPLES: &str = "\
Examples:
  kolk inspect kolk-data                     is the directory whole?
  kolk inspect kolk-data --topic web -p 0    one partition
  kolk inspect kolk-data --records --json    every batch and record, one JSON object a line
  kolk inspect kolk-data/topics/ID/0/00000000000000000000.log --records

Reads only, and needs no broker. What the journal would bring back at the next start counts
as there, so that a directory is whole after kill -9, too. Exit code 4: damaged; each damage
is told with file and position.";

/// Arguments of `kolk inspect`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A data directory, or a file of one: segment, index, journal, snapshot, CURRENT, catalogue.
    #[arg(value_name = "PATH")]
    path: PathBuf,

    /// Print every batch and its records.
    #[arg(long)]
    records: bool,

    /// Only this topic.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,

    /// Only this partition.
    #[arg(short, long, value_name = "PARTITION")]
    partition: Option<u32>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, global: &Global) -> Result<Exit, CtlError> {
    let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let selection =
        Selection { topic: args.topic.clone(), partition: args.partition.map(PartitionId::new) };
    // A bar and a stream of lines would write over each other.
    let bar = if args.records {
        ProgressBar::hidden()
    } else {
        progress(global, Counted::Bytes, 1, "reading")
    };
    bar.set_length(0);
    let mut follower =
        Follower { out: &mut out, records: args.records, json: global.json, bar: &bar };
    let report = inspection::inspect(&args.path, &selection, &mut follower)?;
    bar.finish_and_clear();
    write_report(&mut out, global, &report).and_then(|()| out.flush()).map_err(CtlError::output)?;
    Ok(verdict(&report, args))
}

fn write_report(out: &mut dyn Write, global: &Global, report: &Report) -> io::Result<()> {
    if global.json { json::report(out, report) } else { text::report(out, report) }
}

fn verdict(report: &Report, args: &Args) -> Exit {
    if !report.whole {
        return Exit::Damaged;
    }
    let selected = args.topic.is_some() || args.partition.is_some();
    if selected && report.partitions.is_empty() { Exit::NotFound } else { Exit::Ok }
}

struct Follower<'a> {
    out: &'a mut dyn Write,
    records: bool,
    json: bool,
    bar: &'a ProgressBar,
}

impl Watch for Follower<'_> {
    fn bytes_planned(&mut self, bytes: u64) {
        self.bar.inc_length(bytes);
    }

    fn bytes_read(&mut self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn wants_batches(&self) -> bool {
        self.records
    }

    fn batch(&mut self, batch: &FoundBatch<'_>) -> io::Result<()> {
        if self.json { json::batch(self.out, batch) } else { text::batch(self.out, batch) }
    }
}
