//! `kolk group reset`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use kolk_client::admin::Admin;
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicName};
use kolk_model::offset::Offset;
use serde::Serialize;

use crate::answer::{Answer, table};
use crate::command::consume::place::{Place, resolve};
use crate::command::topic::select;
use crate::error::CtlError;
use crate::session::number;

pub(super) const EXAMPLES: &str = "\
Examples:
  kolk group reset billing web --to beginning          read everything again
  kolk group reset billing web --to end                skip what is there
  kolk group reset billing web --to 4711 -p 0          one partition, one offset
  kolk group reset billing web --to 2026-11-23 --dry-run
  kolk group reset billing web --to 2h                 what came in the last two hours

An offset outside of a log becomes its nearer end. A group that has members is left alone.";

/// Arguments of `kolk group reset`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The group's id.
    #[arg(value_name = "GROUP")]
    group: String,
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Where to go on: beginning, end, an offset, -COUNT, a time or an age.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    to: Place,
    /// Only these partitions.
    #[arg(short, long, value_name = "PARTITION,…", value_delimiter = ',')]
    partition: Vec<u32>,
    /// Only say what would change.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
pub(super) struct Reset {
    group: String,
    topic: String,
    dry_run: bool,
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
struct Partition {
    partition: u32,
    before: Option<u64>,
    committed: u64,
}

pub(super) async fn reset(admin: &Admin, args: &Args) -> Result<Reset, CtlError> {
    let Args { group, topic, .. } = args;
    let named = |error| CtlError::of_group(group, error);
    let partitions = select(admin, topic, &args.partition).await?;
    match admin.describe_group(group).await {
        Ok(found) if found.members.is_empty() => {}
        Ok(_) => return Err(CtlError::GroupHasMembers { group: group.clone() }),
        Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => {}
        Err(error) => return Err(named(error)),
    }
    let places = resolve(admin, topic, &partitions, args.to).await?;
    let begins = resolve(admin, topic, &partitions, Place::Beginning).await?;
    let ends = resolve(admin, topic, &partitions, Place::End).await?;
    let mut offsets = Vec::new();
    for (((partition, place), begin), end) in
        partitions.into_iter().zip(places).zip(begins).zip(ends)
    {
        offsets.push((partition, place.min(end).max(begin)));
    }
    let before = committed(admin, group, topic).await.map_err(named)?;
    if !args.dry_run {
        let topic = TopicName::new(topic)
            .map_err(|_| CtlError::TopicUnknown { topic: args.topic.clone() })?;
        let one =
            |(partition, offset): &(PartitionId, Offset)| (topic.clone(), *partition, *offset);
        let targets: Vec<_> = offsets.iter().map(one).collect();
        admin.commit_offsets(group, &targets).await.map_err(named)?;
    }
    let partitions = offsets.into_iter().map(|(partition, offset)| Partition {
        partition: partition.get(),
        before: number(before.get(&partition).copied()),
        committed: offset.get(),
    });
    Ok(Reset {
        group: group.clone(),
        topic: topic.clone(),
        dry_run: args.dry_run,
        partitions: partitions.collect(),
    })
}

/// What the group had committed of the topic.
async fn committed(
    admin: &Admin,
    group: &str,
    topic: &str,
) -> Result<BTreeMap<PartitionId, Offset>, kolk_client::error::ClientError> {
    let all = admin.committed_offsets(group).await?.into_iter();
    let own = all.filter(|one| one.topic.as_str() == topic);
    Ok(own.filter_map(|one| Some((one.partition, one.offset?))).collect())
}

impl Answer for Reset {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "would go on" } else { "goes on" };
        writeln!(out, "{} {verb} in {} at", self.group, self.topic)?;
        let mut rows = vec![["PARTITION", "BEFORE", "NOW"].map(str::to_owned).to_vec()];
        for partition in &self.partitions {
            let before = partition.before.map_or_else(|| "-".to_owned(), |n| n.to_string());
            let (number, now) = (partition.partition.to_string(), partition.committed.to_string());
            rows.push(vec![number, before, now]);
        }
        table(out, &rows)
    }
}
