//! `kolk topic describe`.

use std::io::{self, Write};

use kolk_client::admin::Admin;
use kolk_inspect::text::size;
use serde::Serialize;

use crate::answer::{Answer, table};
use crate::error::CtlError;
use crate::session::number;

#[derive(Serialize)]
pub(super) struct Described {
    pub(super) topics: Vec<Topic>,
}

#[derive(Serialize)]
pub(super) struct Topic {
    name: String,
    id: String,
    partitions: Vec<Partition>,
    settings: Vec<Setting>,
}

#[derive(Serialize)]
struct Partition {
    partition: u32,
    shard: u16,
    leader_epoch: u32,
    log_start: Option<u64>,
    high_watermark: Option<u64>,
    log_end: Option<u64>,
    size_bytes: u64,
    /// `null` while the partition can be used, else why not.
    error: Option<&'static str>,
}

#[derive(Serialize)]
struct Setting {
    name: String,
    value: String,
    is_default: bool,
    doc: String,
}

pub(super) async fn topic(admin: &Admin, name: &str) -> Result<Topic, CtlError> {
    let reply = admin.describe_topic(name).await?;
    let partitions = (0_u32..).zip(&reply.partitions).map(|(partition, found)| Partition {
        partition,
        shard: found.shard.get(),
        leader_epoch: found.leader_epoch.get(),
        log_start: number(found.log_start),
        high_watermark: number(found.high_watermark),
        log_end: number(found.log_end),
        size_bytes: found.size_bytes,
        error: (!found.error.is_ok()).then(|| found.error.name()),
    });
    let partitions = partitions.collect();
    let settings = reply.settings.into_iter().map(|setting| Setting {
        name: setting.name,
        value: setting.value,
        is_default: setting.is_default,
        doc: setting.doc,
    });
    let settings = settings.collect();
    Ok(Topic { name: reply.name.to_string(), id: reply.id.to_string(), partitions, settings })
}

impl Answer for Described {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for (number, topic) in self.topics.iter().enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            topic.text(out)?;
        }
        Ok(())
    }
}

impl Topic {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let records: u64 = self.partitions.iter().map(Partition::records).sum();
        let bytes: u64 = self.partitions.iter().map(|partition| partition.size_bytes).sum();
        let (name, id, count) = (&self.name, &self.id, self.partitions.len());
        writeln!(out, "{name}: {count} partitions, {records} offsets, {}, id {id}", size(bytes))?;
        let header = ["PARTITION", "SHARD", "START", "HIGH WATERMARK", "END", "BYTES", "EPOCH", ""];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        let shown = |offset: Option<u64>| offset.map_or_else(|| "-".to_owned(), |o| o.to_string());
        for partition in &self.partitions {
            rows.push(vec![
                partition.partition.to_string(),
                partition.shard.to_string(),
                shown(partition.log_start),
                shown(partition.high_watermark),
                shown(partition.log_end),
                size(partition.size_bytes),
                partition.leader_epoch.to_string(),
                partition.error.unwrap_or_default().to_owned(),
            ]);
        }
        table(out, &rows)?;
        let mut rows = vec![["SETTING", "VALUE", ""].map(str::to_owned).to_vec()];
        for setting in &self.settings {
            let mark = if setting.is_default { "" } else { "(set)" };
            rows.push(vec![setting.name.clone(), setting.value.clone(), mark.to_owned()]);
        }
        table(out, &rows)
    }
}

impl Partition {
    fn records(&self) -> u64 {
        let (start, end) = (self.log_start.unwrap_or(0), self.log_end.unwrap_or(0));
        end.saturating_sub(start)
    }
}
