//! `kolk group`: who reads, how far each group has come, and where it goes on.

use std::io::{self, Write};

use kolk_client::admin::Admin;
use kolk_client::answer::{DescribeGroupReply, GroupOffset, OffsetPlace};
use kolk_model::error::ErrorCode;
use kolk_model::ids::{PartitionId, TopicName};
use serde::Serialize;

use crate::answer::{Answer, print, table};
use crate::command::consume::place::{Place, resolve};
use crate::command::topic::select;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::global::Global;
use crate::session::Session;

/// The commands of `kolk group`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// List groups.
    #[command(after_help = "Examples:\n  kolk group list\n  kolk group list --json")]
    List,
    /// Show members, committed offsets and lag of groups.
    #[command(after_help = "Examples:\n  kolk group describe billing")]
    Describe(NamedArgs),
    /// Delete groups that have no members, with their offsets.
    #[command(after_help = "Examples:\n  kolk group delete billing old-billing")]
    Delete(NamedArgs),
    /// Move the offsets of a group that has no members.
    #[command(after_help = RESET_EXAMPLES)]
    Reset(ResetArgs),
}

const RESET_EXAMPLES: &str = "\
Examples:
  kolk group reset billing web --to beginning          read everything again
  kolk group reset billing web --to 2h --dry-run       what two hours ago would be
  kolk group reset billing web -p 3 --to 1000";

/// Groups by their ids.
#[derive(Clone, Debug, clap::Args)]
pub struct NamedArgs {
    /// Ids.
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

/// Arguments of `kolk group reset`.
#[derive(Clone, Debug, clap::Args)]
pub struct ResetArgs {
    /// The group's id; a group that does not exist is made.
    #[arg(value_name = "GROUP")]
    group: String,
    /// The topic.
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Where reading goes on: beginning, end, an offset, a time or an age.
    #[arg(long, value_name = "PLACE", allow_hyphen_values = true)]
    to: Place,
    /// Only these partitions.
    #[arg(short, long, value_name = "PARTITION,…", value_delimiter = ',')]
    partition: Vec<u32>,
    /// Only say what would be committed.
    #[arg(long)]
    dry_run: bool,
}

/// Runs a command.
pub(crate) fn run(command: &Command, global: &Global) -> Result<Exit, CtlError> {
    let session = Session::open(global)?;
    let admin = session.admin();
    session.run(async {
        match command {
            Command::List => print(global, &list(&admin).await?),
            Command::Describe(args) => print(global, &describe(&admin, &args.groups).await?),
            Command::Delete(args) => print(global, &delete(&admin, &args.groups).await?),
            Command::Reset(args) => print(global, &reset(&admin, args).await?),
        }
    })?;
    Ok(Exit::Ok)
}

#[derive(Serialize)]
struct Listed {
    groups: Vec<ListedGroup>,
}

#[derive(Serialize)]
struct ListedGroup {
    group: String,
    state: String,
    kind: String,
    protocol_type: String,
}

impl Answer for Listed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.groups.is_empty() {
            return writeln!(out, "no groups");
        }
        let mut rows = vec![["GROUP", "STATE", "KIND", "TYPE"].map(str::to_owned).to_vec()];
        for one in &self.groups {
            let row = [&one.group, &one.state, &one.kind, &one.protocol_type];
            rows.push(row.map(String::clone).to_vec());
        }
        table(out, &rows)
    }
}

async fn list(admin: &Admin) -> Result<Listed, CtlError> {
    let groups = admin.list_groups().await?.into_iter().map(|one| ListedGroup {
        group: one.group,
        state: one.state,
        kind: one.kind,
        protocol_type: one.protocol_type,
    });
    Ok(Listed { groups: groups.collect() })
}

#[derive(Serialize)]
struct Described {
    groups: Vec<DescribedGroup>,
}

#[derive(Serialize)]
struct DescribedGroup {
    group: String,
    state: String,
    kind: String,
    protocol_type: String,
    protocol: String,
    members: Vec<Member>,
    offsets: Vec<Offset>,
    lag: u64,
}

#[derive(Serialize)]
struct Member {
    member: String,
    instance: Option<String>,
    client_id: String,
    client_host: String,
    epoch: i32,
    reads: Vec<Share>,
}

#[derive(Serialize)]
struct Share {
    topic: String,
    partitions: Vec<u32>,
}

#[derive(Serialize)]
struct Offset {
    topic: String,
    partition: u32,
    offset: u64,
    log_end: Option<u64>,
    lag: Option<u64>,
    metadata: String,
}

impl Answer for Described {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for (place, one) in self.groups.iter().enumerate() {
            if place > 0 {
                writeln!(out)?;
            }
            let (members, lag) = (one.members.len(), one.lag);
            let DescribedGroup { group, state, kind, .. } = one;
            writeln!(out, "{group}: {state}, {kind}, {members} members, lag {lag}")?;
            one.members_text(out)?;
            one.offsets_text(out)?;
        }
        Ok(())
    }
}

impl DescribedGroup {
    fn members_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let head = ["MEMBER", "STATIC ID", "CLIENT", "HOST", "READS"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        for member in &self.members {
            let share = |share: &Share| {
                let numbers: Vec<String> = share.partitions.iter().map(u32::to_string).collect();
                format!("{}/{}", share.topic, numbers.join(","))
            };
            let reads: Vec<String> = member.reads.iter().map(share).collect();
            let instance = member.instance.clone().unwrap_or_else(|| "-".to_owned());
            let (id, host) = (member.client_id.clone(), member.client_host.clone());
            rows.push(vec![member.member.clone(), instance, id, host, reads.join(" ")]);
        }
        if rows.len() == 1 { Ok(()) } else { table(out, &rows) }
    }

    fn offsets_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let head = ["TOPIC", "PARTITION", "OFFSET", "END", "LAG"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let shown = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |n| n.to_string());
        for one in &self.offsets {
            let (partition, offset) = (one.partition.to_string(), one.offset.to_string());
            rows.push(vec![
                one.topic.clone(),
                partition,
                offset,
                shown(one.log_end),
                shown(one.lag),
            ]);
        }
        if rows.len() == 1 { Ok(()) } else { table(out, &rows) }
    }
}

async fn describe(admin: &Admin, groups: &[String]) -> Result<Described, CtlError> {
    let mut all = Vec::with_capacity(groups.len());
    for group in groups {
        let DescribeGroupReply { state, kind, protocol_type, protocol, members, offsets } =
            admin.describe_group(group).await?;
        let members = members.into_iter().map(|member| Member {
            member: member.member,
            instance: member.instance,
            client_id: member.client_id,
            client_host: member.client_host,
            epoch: member.epoch,
            reads: member
                .reads
                .into_iter()
                .map(|(topic, partitions)| Share { topic, partitions })
                .collect(),
        });
        let offsets = with_lag(admin, offsets).await;
        all.push(DescribedGroup {
            group: group.clone(),
            state,
            kind,
            protocol_type,
            protocol,
            members: members.collect(),
            lag: offsets.iter().filter_map(|one| one.lag).sum(),
            offsets,
        });
    }
    Ok(Described { groups: all })
}

/// Asks each topic once where its partitions end; one that can't be asked has no lag.
async fn with_lag(admin: &Admin, offsets: Vec<GroupOffset>) -> Vec<Offset> {
    let mut all = Vec::with_capacity(offsets.len());
    for of_topic in offsets.chunk_by(|a, b| a.topic == b.topic) {
        let queries: Vec<(PartitionId, OffsetPlace)> =
            of_topic.iter().map(|one| (one.partition, OffsetPlace::End)).collect();
        let topic = of_topic.first().map_or("", |one| one.topic.as_str());
        let ends = admin.list_offsets(topic, &queries).await.unwrap_or_default();
        for (place, one) in of_topic.iter().enumerate() {
            let log_end = ends.get(place).and_then(|end| end.offset).map(|end| end.get());
            all.push(Offset {
                topic: one.topic.to_string(),
                partition: one.partition.get(),
                offset: one.offset.get(),
                log_end,
                lag: log_end.map(|end| end.saturating_sub(one.offset.get())),
                metadata: one.metadata.clone(),
            });
        }
    }
    all
}

#[derive(Serialize)]
struct Deleted {
    deleted: Vec<String>,
}

impl Answer for Deleted {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.deleted.iter().try_for_each(|group| writeln!(out, "deleted {group}"))
    }
}

async fn delete(admin: &Admin, groups: &[String]) -> Result<Deleted, CtlError> {
    let mut deleted = Vec::with_capacity(groups.len());
    for group in groups {
        admin.delete_group(group).await?;
        deleted.push(group.clone());
    }
    Ok(Deleted { deleted })
}

#[derive(Serialize)]
struct Reset<'a> {
    group: &'a str,
    dry_run: bool,
    offsets: Vec<Moved>,
}

#[derive(Serialize)]
struct Moved {
    topic: String,
    partition: u32,
    before: Option<u64>,
    after: u64,
}

impl Answer for Reset<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let verb = if self.dry_run { "would go on" } else { "goes on" };
        for Moved { topic, partition, before, after } in &self.offsets {
            let before = before.map_or_else(|| "nothing".to_owned(), |offset| offset.to_string());
            writeln!(
                out,
                "{} {verb} at {topic}/{partition} offset {after}, was {before}",
                self.group
            )?;
        }
        Ok(())
    }
}

async fn reset<'a>(admin: &Admin, args: &'a ResetArgs) -> Result<Reset<'a>, CtlError> {
    let partitions = select(admin, &args.topic, &args.partition).await?;
    let places = resolve(admin, &args.topic, &partitions, args.to).await?;
    let known = match admin.describe_group(&args.group).await {
        Ok(described) => described.offsets,
        Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let unknown = || CtlError::TopicUnknown { topic: args.topic.clone() };
    let topic = TopicName::new(&args.topic).map_err(|_| unknown())?;
    let (mut moved, mut offsets) = (Vec::new(), Vec::new());
    for (partition, offset) in partitions.into_iter().zip(places) {
        let before = known.iter().find(|one| one.topic == topic && one.partition == partition);
        moved.push(Moved {
            topic: topic.to_string(),
            partition: partition.get(),
            before: before.map(|one| one.offset.get()),
            after: offset.get(),
        });
        let topic = topic.clone();
        let (leader_epoch, metadata) = (None, String::new());
        offsets.push(GroupOffset { topic, partition, offset, leader_epoch, metadata });
    }
    if !args.dry_run {
        admin.commit_offsets(&args.group, offsets).await.map_err(|error| match error.code() {
            Some(ErrorCode::UnknownMemberId) => CtlError::GroupInUse { group: args.group.clone() },
            _ => error.into(),
        })?;
    }
    Ok(Reset { group: &args.group, dry_run: args.dry_run, offsets: moved })
}
