//! `kolk cluster`: who is there, and whether all is well.

use std::collections::BTreeSet;
use std::io::{self, Write};

use kolk_client::admin::Admin;
use kolk_client::answer::{Stat, StatsReply};
use kolk_client::client::Client;
use kolk_client::error::ClientError;
use serde::Serialize;

use crate::answer::{Answer, duration, print, table};
use crate::error::CtlError;
use crate::exit::Exit;
use crate::global::Global;
use crate::session::Session;

/// The commands of `kolk cluster`.
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum Command {
    /// Show version, nodes, shards and their addresses.
    #[command(
        after_help = "Examples:\n  kolk cluster info\n  kolk cluster info -b broker-1:9640 --json"
    )]
    Info,
    /// Knock at every shard's door, look for partitions that are offline and disks that are full. Exit code 1 if
    /// anything is wrong.
    #[command(
        after_help = "Examples:\n  kolk cluster health\n  until kolk cluster health; do sleep 1; done"
    )]
    Health,
}

/// Runs a command.
pub(crate) fn run(command: Command, global: &Global) -> Result<Exit, CtlError> {
    let session = Session::open(global)?;
    let admin = session.admin();
    match command {
        Command::Info => {
            print(global, &session.run(info(&admin))?)?;
            Ok(Exit::Ok)
        }
        Command::Health => {
            let health = session.run(health(&admin))?;
            print(global, &health)?;
            Ok(if health.healthy { Exit::Ok } else { Exit::Failed })
        }
    }
}

#[derive(Serialize)]
struct Overview {
    cluster_id: String,
    broker_version: String,
    uptime_ms: u64,
    topics: usize,
    partitions: usize,
    partitions_offline: usize,
    shards: Vec<Shard>,
}

#[derive(Serialize)]
struct Shard {
    node: u32,
    shard: u16,
    host: String,
    port: u16,
    controller: bool,
}

async fn info(admin: &Admin) -> Result<Overview, CtlError> {
    let cluster = admin.describe_cluster().await?;
    let stats = admin.stats().await?;
    let controller = cluster.controller;
    let shards = cluster.doors.into_iter().enumerate().map(|(place, door)| Shard {
        node: door.node.get(),
        shard: door.shard.get(),
        host: door.host,
        port: door.port,
        controller: place == controller,
    });
    Ok(Overview {
        cluster_id: cluster.cluster_id,
        broker_version: cluster.broker_version,
        uptime_ms: stats.uptime_ms,
        topics: cluster.topics,
        partitions: cluster.partitions,
        partitions_offline: cluster.partitions_offline,
        shards: shards.collect(),
    })
}

impl Answer for Overview {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let up = duration(self.uptime_ms.saturating_mul(1_000_000));
        writeln!(out, "cluster {}, kolk {}, up {up}", self.cluster_id, self.broker_version)?;
        let (topics, partitions) = (self.topics, self.partitions);
        writeln!(
            out,
            "{topics} topics, {partitions} partitions, {} offline",
            self.partitions_offline
        )?;
        let mut rows = vec![["NODE", "SHARD", "ADDRESS", ""].map(str::to_owned).to_vec()];
        for shard in &self.shards {
            let role = if shard.controller { "controller" } else { "" };
            let address = format!("{}:{}", shard.host, shard.port);
            let (node, number) = (shard.node.to_string(), shard.shard.to_string());
            rows.push(vec![node, number, address, role.to_owned()]);
        }
        table(out, &rows)
    }
}

/// What tells that a shard lacks room, as the metrics name it: its logs, its journal.
const WITHOUT_ROOM: [&str; 2] = ["kolk_log_without_room", "kolk_journal_without_room"];

#[derive(Serialize)]
struct Health {
    healthy: bool,
    doors: usize,
    doors_unreachable: Vec<Unreachable>,
    partitions: usize,
    partitions_offline: Vec<Offline>,
    shards_without_room: BTreeSet<u16>,
}

#[derive(Serialize)]
struct Unreachable {
    address: String,
    reason: String,
}

#[derive(Serialize)]
struct Offline {
    topic: String,
    partition: usize,
    error: &'static str,
}

async fn health(admin: &Admin) -> Result<Health, CtlError> {
    let cluster = admin.describe_cluster().await?;
    let (mut unreachable, mut full) = (Vec::new(), BTreeSet::new());
    for door in &cluster.doors {
        let address = format!("{}:{}", door.host, door.port);
        match knock(&address).await {
            // Whoever answers tells of all shards.
            Ok(stats) => full.extend(without_room(&stats)),
            Err(error) => unreachable.push(Unreachable { address, reason: error.to_string() }),
        }
    }
    let mut offline = Vec::new();
    for topic in admin.list_topics().await? {
        for (partition, found) in topic.partitions.iter().enumerate() {
            if !found.error.is_ok() {
                let (topic, error) = (topic.name.to_string(), found.error.name());
                offline.push(Offline { topic, partition, error });
            }
        }
    }
    Ok(Health {
        healthy: unreachable.is_empty() && offline.is_empty() && full.is_empty(),
        doors: cluster.doors.len(),
        doors_unreachable: unreachable,
        partitions: cluster.partitions,
        partitions_offline: offline,
        shards_without_room: full,
    })
}

/// The shards that find no room on the disk. A broker that does not count them has none to tell of.
fn without_room(stats: &StatsReply) -> impl Iterator<Item = u16> {
    let names = |one: &&Stat| WITHOUT_ROOM.contains(&one.name.as_str()) && one.value > 0.0;
    stats.stats.iter().filter(names).filter_map(|one| one.shard).map(|shard| shard.get())
}

/// Asks something small at one door.
async fn knock(address: &str) -> Result<StatsReply, ClientError> {
    let mut settings = kolk_client::settings::ClientSettings::new(address)?;
    settings.retry_timeout = std::time::Duration::ZERO;
    Client::with_settings(settings).admin().stats().await
}

impl Answer for Health {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for Unreachable { address, reason } in &self.doors_unreachable {
            writeln!(out, "{address} does not answer: {reason}")?;
        }
        for Offline { topic, partition, error } in &self.partitions_offline {
            writeln!(out, "{topic}/{partition} is offline: {error}")?;
        }
        for shard in &self.shards_without_room {
            writeln!(out, "shard {shard} has no room on the disk: make room or delete a topic")?;
        }
        let (doors, partitions) = (self.doors, self.partitions);
        let verdict = if self.healthy { "healthy" } else { "NOT healthy" };
        writeln!(out, "{verdict}: {doors} shards, {partitions} partitions")
    }
}

#[cfg(test)]
mod tests {
    use kolk_model::ids::ShardId;

    use super::*;

    #[test]
    fn shards_whose_disk_is_full_are_named_with_what_helps() {
        let stat = |name: &str, shard, value| Stat {
            name: name.to_owned(),
            shard: Some(ShardId::new(shard)),
            value,
        };
        let [log, journal] = WITHOUT_ROOM;
        let stats = vec![
            stat(log, 0, 0.0),
            stat(log, 1, 2.0),
            stat("kolk_log_fenced", 2, 1.0),
            stat(log, 3, 0.0),
            stat(journal, 3, 1.0),
        ];
        let broker_version = "0.0.0".to_owned();
        let stats = StatsReply { broker_version, uptime_ms: 1, shards: 4, stats };
        let health = Health {
            healthy: false,
            doors: 4,
            doors_unreachable: Vec::new(),
            partitions: 4,
            partitions_offline: Vec::new(),
            shards_without_room: without_room(&stats).collect(),
        };
        let mut text = Vec::new();
        health.text(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        for (line, shard) in lines.iter().zip(["shard 1", "shard 3"]) {
            assert!(line.starts_with(shard) && line.contains("make room"), "{line}");
        }
        let object = serde_json::to_value(&health).unwrap();
        assert_eq!(object["shards_without_room"], serde_json::json!([1, 3]));
    }
}
