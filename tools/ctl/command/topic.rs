//! `kolk topic`: making, looking at, changing and deleting topics.

mod describe;

use std::io::{self, Write};

use kolk_client::admin::{Admin, NewTopic};
use kolk_client::error::ClientError;
use kolk_model::error::ErrorCode;
use kolk_model::ids::PartitionId;
use kolk_model::limits::TOPIC_PARTITIONS_MAX;
use kolk_model::offset::Offset;
use serde::Serialize;

use crate::answer::{Answer, print, table};
use crate::command::consume::place::{Place, resolve};
use crate::command::several::Several;
use crate::error::CtlError;
use crate::exit::Exit;
use crate::global::Global;
use crate::session::{Session, name_and_value};

use describe::Described;

/// The commands of `kolk topic`.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Create topics.
    #[command(after_help = CREATE_EXAMPLES)]
    Create(CreateArgs),
    /// List topics.
    #[command(
        after_help = "Examples:\n  kolk topic list\n  kolk topic list --json -b broker-1:9640"
    )]
    List,
    /// Show settings, owners, offsets and sizes of topics.
    #[command(
        after_help = "Examples:\n  kolk topic describe web\n  kolk topic describe web --json"
    )]
    Describe(DescribeArgs),
    /// Delete topics and all their records.
    #[command(
        after_help = "Examples:\n  kolk topic delete web\n  kolk topic delete old older --if-exists"
    )]
    Delete(DeleteArgs),
    /// Change settings of a topic, all of them or none.
    #[command(after_help = ALTER_EXAMPLES)]
    Alter(AlterArgs),
    /// Raise the number of partitions. Keys may go to other partitions from then on.
    #[command(after_help = "Examples:\n  kolk topic add-partitions web 16     16 in all")]
    AddPartitions(AddPartitionsArgs),
    /// Forget the records before a place.
    #[command(after_help = TRIM_EXAMPLES)]
    Trim(TrimArgs),
}

/// How the names begin of topics that the broker keeps for itself, by Kafka's custom.
const OWN_PREFIX: &str = "__";

const CREATE_EXAMPLES: &str = "\
Examples:
  kolk topic create web
  kolk topic create web metrics -p 8
  kolk topic create clicks -p 4 -c retention.ms=3600000 -c kolk.durability=process-crash

The settings have Kafka's names; kolk topic describe lists them all.";

const ALTER_EXAMPLES: &str = "\
Examples:
  kolk topic alter web --set retention.ms=86400000
  kolk topic alter web --set segment.bytes=134217728 --reset retention.ms";

const TRIM_EXAMPLES: &str = "\
Examples:
  kolk topic trim web                          everything there is
  kolk topic trim web --before 1000 -p 0       records 0 to 999 of partition 0
  kolk topic trim web --before 2026-11-01      records before that day
  kolk topic trim web --before 24h             records older than a day";

/// Arguments of `kolk topic create`.
#[derive(Clone, Debug, clap::Args)]
pub struct CreateArgs {
    /// Names.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Partitions; the broker's default if not given.
    #[arg(short, long, value_name = "COUNT", value_parser = partition_count())]
    partitions: Option<u32>,
    /// A setting that differs from the default.
    #[arg(short, long = "config", value_name = "NAME=VALUE", value_parser = name_and_value)]
    config: Vec<(String, String)>,
    /// A topic that is there already is no error.
    #[arg(long)]
    if_not_exists: bool,
    /// Only say whether it would succeed.
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `kolk topic describe`.
#[derive(Clone, Debug, clap::Args)]
pub struct DescribeArgs {
    /// Names.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
}

/// Arguments of `kolk topic delete`.
#[derive(Clone, Debug, clap::Args)]
pub struct DeleteArgs {
    /// Names.
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// A topic that does not exist is no error.
    #[arg(long)]
    if_exists: bool,
    /// Delete topics of the broker's own, too: with __consumer_offsets every group forgets where it is.
    #[arg(long)]
    force: bool,
}

/// Arguments of `kolk topic alter`.
#[derive(Clone, Debug, clap::Args)]
pub struct AlterArgs {
    /// Name.
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// A setting's new value.
    #[arg(long, value_name = "NAME=VALUE", value_parser = name_and_value)]
    set: Vec<(String, String)>,
    /// A setting that returns to its default.
    #[arg(long, value_name = "NAME", required_unless_present = "set")]
    reset: Vec<String>,
}

/// Arguments of `kolk topic add-partitions`.
#[derive(Clone, Debug, clap::Args)]
pub struct AddPartitionsArgs {
    /// Name.
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// How many there shall be, not how many to add.
    #[arg(value_name = "COUNT", value_parser = partition_count())]
    partitions: u32,
}

/// Arguments of `kolk topic trim`.
#[derive(Clone, Debug, clap::Args)]
pub struct TrimArgs {
    /// Name.
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// The first record that stays: end, an offset, a time or an age.
    #[arg(long, value_name = "PLACE", default_value = "end", allow_hyphen_values = true)]
    before: Place,
    /// Only these partitions.
    #[arg(short, long, value_name = "PARTITION,…", value_delimiter = ',')]
    partition: Vec<u32>,
}

/// Runs a command.
pub(crate) fn run(command: &Command, global: &Global) -> Result<Exit, CtlError> {
    let session = Session::open(global)?;
    let admin = session.admin();
    session.run(async {
        match command {
            Command::Create(args) => {
                let dry_run = args.dry_run;
                return create(&admin, args)
                    .await
                    .print(global, |topics| Created { topics, dry_run });
            }
            Command::List => print(global, &list(&admin).await?)?,
            Command::Describe(args) => {
                let topic = async |name: &str| describe::topic(&admin, name).await.map(Some);
                let described = Several::each(&args.topics, topic).await;
                return described.print(global, |topics| Described { topics });
            }
            Command::Delete(args) => {
                return delete(&admin, args).await?.print(global, |deleted| Deleted { deleted });
            }
            Command::Alter(args) => print(global, &alter(&admin, args).await?)?,
            Command::AddPartitions(args) => print(global, &add_partitions(&admin, args).await?)?,
            Command::Trim(args) => {
                let topic = &args.topic;
                let trimmed = trim(&admin, args).await?;
                return trimmed.print(global, |partitions| Trimmed { topic, partitions });
            }
        }
        Ok(Exit::Ok)
    })
}

#[derive(Serialize)]
struct Created {
    topics: Vec<CreatedTopic>,
    dry_run: bool,
}

#[derive(Serialize)]
struct CreatedTopic {
    name: String,
    /// 32 hex digits; `null` if nothing was made.
    id: Option<String>,
    partitions: u32,
    created: bool,
}

impl Answer for Created {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for CreatedTopic { name, partitions, created, .. } in &self.topics {
            match (self.dry_run, created) {
                (true, _) => writeln!(out, "{name} could be created with {partitions} partitions")?,
                (_, true) => writeln!(out, "created {name} with {partitions} partitions")?,
                (_, false) => writeln!(out, "{name} exists with {partitions} partitions")?,
            }
        }
        Ok(())
    }
}

async fn create(admin: &Admin, args: &CreateArgs) -> Several<CreatedTopic> {
    Several::each(&args.topics, async |name: &str| create_one(admin, args, name).await.map(Some))
        .await
}

async fn create_one(
    admin: &Admin,
    args: &CreateArgs,
    name: &str,
) -> Result<CreatedTopic, CtlError> {
    let mut topic = NewTopic::named(name);
    if let Some(partitions) = args.partitions {
        topic = topic.partitions(partitions);
    }
    for (name, value) in &args.config {
        topic = topic.setting(name.as_str(), value.as_str());
    }
    if args.dry_run {
        topic = topic.validate_only();
    }
    let name = name.to_owned();
    match admin.create_topic(topic).await {
        Err(error) if args.if_not_exists && exists(&error) => {
            let partitions = admin.partition_count(&name).await?;
            Ok(CreatedTopic { name, id: None, partitions, created: false })
        }
        outcome => {
            let (id, partitions) = outcome?;
            let created = !args.dry_run;
            let id = created.then(|| id.to_string());
            Ok(CreatedTopic { name, id, partitions, created })
        }
    }
}

/// A number of partitions, as clap parses it.
pub(crate) fn partition_count() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(TOPIC_PARTITIONS_MAX))
}

/// Whether a topic could not be made because it is there.
pub(crate) fn exists(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::TopicAlreadyExists)
}

#[derive(Serialize)]
struct Listed {
    topics: Vec<ListedTopic>,
}

#[derive(Serialize)]
struct ListedTopic {
    name: String,
    id: String,
    partitions: usize,
    partitions_offline: usize,
}

impl Answer for Listed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut rows = vec![["TOPIC", "PARTITIONS", "OFFLINE", "ID"].map(str::to_owned).to_vec()];
        for topic in &self.topics {
            let (partitions, offline) = (topic.partitions, topic.partitions_offline);
            let (name, id) = (topic.name.clone(), topic.id.clone());
            rows.push(vec![name, partitions.to_string(), offline.to_string(), id]);
        }
        if self.topics.is_empty() {
            return writeln!(out, "no topics; create one with: kolk topic create NAME");
        }
        table(out, &rows)
    }
}

async fn list(admin: &Admin) -> Result<Listed, CtlError> {
    let topics = admin.list_topics().await?.into_iter().map(|topic| ListedTopic {
        name: topic.name.to_string(),
        id: topic.id.to_string(),
        partitions: topic.partitions.len(),
        partitions_offline: topic.partitions.iter().filter(|p| !p.error.is_ok()).count(),
    });
    Ok(Listed { topics: topics.collect() })
}

#[derive(Serialize)]
struct Deleted {
    deleted: Vec<String>,
}

impl Answer for Deleted {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        self.deleted.iter().try_for_each(|name| writeln!(out, "deleted {name}"))
    }
}

async fn delete(admin: &Admin, args: &DeleteArgs) -> Result<Several<String>, CtlError> {
    let own = args.topics.iter().find(|name| name.starts_with(OWN_PREFIX));
    if let Some(topic) = own.filter(|_| !args.force) {
        return Err(CtlError::TopicOfBroker { topic: topic.clone() });
    }
    let deleted =
        Several::each(&args.topics, async |name: &str| match admin.delete_topic(name).await {
            Ok(()) => Ok(Some(name.to_owned())),
            Err(ClientError::TopicUnknown { .. }) if args.if_exists => Ok(None),
            Err(error) => Err(error.into()),
        });
    Ok(deleted.await)
}

#[derive(Serialize)]
struct Altered<'a> {
    topic: &'a str,
    set: std::collections::BTreeMap<&'a str, &'a str>,
    reset: &'a [String],
}

impl Answer for Altered<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let topic = self.topic;
        for (name, value) in &self.set {
            writeln!(out, "{topic}: {name} = {value}")?;
        }
        self.reset
            .iter()
            .try_for_each(|name| writeln!(out, "{topic}: {name} has its default again"))
    }
}

async fn alter<'a>(admin: &Admin, args: &'a AlterArgs) -> Result<Altered<'a>, CtlError> {
    admin.alter_topic(&args.topic, args.set.clone(), args.reset.clone()).await?;
    let set = args.set.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Ok(Altered { topic: &args.topic, set, reset: &args.reset })
}

#[derive(Serialize)]
struct Grown<'a> {
    topic: &'a str,
    partitions: u32,
}

impl Answer for Grown<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{} has {} partitions now", self.topic, self.partitions)
    }
}

async fn add_partitions<'a>(
    admin: &Admin,
    args: &'a AddPartitionsArgs,
) -> Result<Grown<'a>, CtlError> {
    admin.add_partitions(&args.topic, args.partitions).await?;
    Ok(Grown { topic: &args.topic, partitions: args.partitions })
}

#[derive(Serialize)]
struct Trimmed<'a> {
    topic: &'a str,
    partitions: Vec<TrimmedPartition>,
}

#[derive(Serialize)]
struct TrimmedPartition {
    partition: u32,
    log_start: u64,
}

impl Answer for Trimmed<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let line = |p: &TrimmedPartition| (self.topic, p.partition, p.log_start);
        self.partitions.iter().map(line).try_for_each(|(topic, partition, start)| {
            writeln!(out, "{topic}/{partition} starts at offset {start}")
        })
    }
}

async fn trim(admin: &Admin, args: &TrimArgs) -> Result<Several<TrimmedPartition>, CtlError> {
    let partitions = select(admin, &args.topic, &args.partition).await?;
    let targets: Vec<(PartitionId, Option<Offset>)> = if args.before == Place::End {
        partitions.iter().map(|partition| (*partition, None)).collect()
    } else {
        let places = resolve(admin, &args.topic, &partitions, args.before).await?;
        partitions.iter().copied().zip(places.into_iter().map(Some)).collect()
    };
    let mut trimmed = Several::of(partitions.len());
    let outcomes = admin.trim(&args.topic, &targets).await?;
    for (partition, outcome) in partitions.iter().map(|partition| partition.get()).zip(outcomes) {
        let start = outcome
            .map_err(|error| CtlError::from(error).of(&format!("{}/{partition}", args.topic)));
        let one = |start: Offset| TrimmedPartition { partition, log_start: start.get() };
        trimmed.add(start.map(one).map(Some));
    }
    Ok(trimmed)
}

/// The partitions that were named, or all of the topic.
pub(crate) async fn select(
    admin: &Admin,
    topic: &str,
    named: &[u32],
) -> Result<Vec<PartitionId>, CtlError> {
    let count = admin.partition_count(topic).await?;
    if let Some(partition) = named.iter().find(|partition| **partition >= count) {
        return Err(CtlError::PartitionUnknown {
            topic: topic.to_owned(),
            partition: *partition,
            count,
        });
    }
    let all: Vec<u32> = if named.is_empty() { (0..count).collect() } else { named.to_vec() };
    Ok(all.into_iter().map(PartitionId::new).collect())
}
