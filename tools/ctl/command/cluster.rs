//! `kolk cluster`: who is there, and whether all is well.

use std::io::{self, Write};

use kolk_client::admin::Admin;
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
    /// Knock at every shard's door and look for partitions that are offline. Exit code 1 if anything is wrong.
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

#[derive(Serialize)]
struct Health {
    healthy: bool,
    doors: usize,
    doors_unreachable: Vec<Unreachable>,
    partitions: usize,
    partitions_offline: Vec<Offline>,
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
    let mut unreachable = Vec::new();
    for door in &cluster.doors {
        let address = format!("{}:{}", door.host, door.port);
        if let Err(error) = knock(&address).await {
            unreachable.push(Unreachable { address, reason: error.to_string() });
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
        healthy: unreachable.is_empty() && offline.is_empty(),
        doors: cluster.doors.len(),
        doors_unreachable: unreachable,
        partitions: cluster.partitions,
        partitions_offline: offline,
    })
}

/// Asks something small at one door.
async fn knock(address: &str) -> Result<(), ClientError> {
    let mut settings = kolk_client::settings::ClientSettings::new(address)?;
    settings.retry_timeout = std::time::Duration::ZERO;
    Client::with_settings(settings).admin().stats().await.map(drop)
}

impl Answer for Health {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for Unreachable { address, reason } in &self.doors_unreachable {
            writeln!(out, "{address} does not answer: {reason}")?;
        }
        for Offline { topic, partition, error } in &self.partitions_offline {
            writeln!(out, "{topic}/{partition} is offline: {error}")?;
        }
        let (doors, partitions) = (self.doors, self.partitions);
        let verdict = if self.healthy { "healthy" } else { "NOT healthy" };
        writeln!(out, "{verdict}: {doors} shards, {partitions} partitions")
    }
}
