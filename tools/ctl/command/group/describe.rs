//! `kolk group describe`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use kolk_client::admin::Admin;
use kolk_client::admin::groups::GroupDescription;
use kolk_client::answer::OffsetPlace;
use kolk_client::error::ClientError;
use kolk_model::ids::{PartitionId, TopicName};
use kolk_model::offset::Offset;
use serde::Serialize;

use crate::answer::{Answer, grouped, table};
use crate::error::CtlError;
use crate::session::number;

#[derive(Serialize)]
pub(super) struct Described {
    pub(super) groups: Vec<Group>,
}

#[derive(Serialize)]
pub(super) struct Group {
    group: String,
    kind: String,
    state: String,
    protocol_type: String,
    assignor: String,
    lag: u64,
    members: Vec<Member>,
    partitions: Vec<Partition>,
}

#[derive(Serialize)]
struct Member {
    member: String,
    instance: Option<String>,
    client_id: String,
    client_host: String,
    partitions: Vec<Assigned>,
}

#[derive(Serialize)]
struct Assigned {
    topic: String,
    partition: u32,
}

#[derive(Serialize)]
struct Partition {
    topic: String,
    partition: u32,
    committed: Option<u64>,
    end: Option<u64>,
    lag: Option<u64>,
    member: Option<String>,
}

/// A partition by name.
type Target = (TopicName, PartitionId);

pub(super) async fn group(admin: &Admin, id: &str) -> Result<Group, CtlError> {
    let named = |error| CtlError::of_group(id, error);
    let found = admin.describe_group(id).await.map_err(named)?;
    let committed = admin.committed_offsets(id).await.map_err(named)?;
    let committed = committed.into_iter().filter_map(|one| {
        let target = (one.topic, one.partition);
        one.offset.map(|offset| (target, offset))
    });
    with_ends(admin, id, found, committed.collect()).await
}

async fn with_ends(
    admin: &Admin,
    id: &str,
    found: GroupDescription,
    committed: BTreeMap<Target, Offset>,
) -> Result<Group, CtlError> {
    let mut readers: BTreeMap<&Target, &str> = BTreeMap::new();
    for member in &found.members {
        readers.extend(member.assignment.iter().map(|target| (target, member.member.as_str())));
    }
    let targets: BTreeSet<&Target> = committed.keys().chain(readers.keys().copied()).collect();
    let ends = ends(admin, &targets).await?;
    let partitions: Vec<_> = targets
        .into_iter()
        .map(|target| {
            let (committed, end) = (committed.get(target).copied(), ends.get(target).copied());
            let lag = committed.zip(end).map(|(committed, end)| end.count_since(committed));
            Partition {
                topic: target.0.to_string(),
                partition: target.1.get(),
                committed: number(committed),
                end: number(end),
                lag,
                member: readers.get(target).map(|member| (*member).to_owned()),
            }
        })
        .collect();
    let members = found.members.iter().map(|member| Member {
        member: member.member.clone(),
        instance: member.instance.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        partitions: member
            .assignment
            .iter()
            .map(|(topic, partition)| Assigned {
                topic: topic.to_string(),
                partition: partition.get(),
            })
            .collect(),
    });
    Ok(Group {
        group: id.to_owned(),
        members: members.collect(),
        lag: partitions.iter().filter_map(|partition| partition.lag).sum(),
        partitions,
        kind: found.kind,
        state: found.state,
        protocol_type: found.protocol_type,
        assignor: found.assignor,
    })
}

/// Where the logs end. One that is gone has no end.
async fn ends(
    admin: &Admin,
    targets: &BTreeSet<&Target>,
) -> Result<BTreeMap<Target, Offset>, CtlError> {
    let mut ends = BTreeMap::new();
    let topics: BTreeSet<&TopicName> = targets.iter().map(|(topic, _)| topic).collect();
    for topic in topics {
        let listed = match admin.list_all_offsets(topic.as_str(), OffsetPlace::End).await {
            Ok(listed) => listed,
            Err(ClientError::TopicUnknown { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        for (partition, end) in (0..).map(PartitionId::new).zip(listed) {
            if let Some(end) = end.offset {
                ends.insert((topic.clone(), partition), end);
            }
        }
    }
    Ok(ends)
}

impl Answer for Described {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for (number, group) in self.groups.iter().enumerate() {
            if number > 0 {
                writeln!(out)?;
            }
            group.text(out)?;
        }
        Ok(())
    }
}

impl Group {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { group, kind, state, assignor, .. } = self;
        let assignor = if assignor.is_empty() { "no assignor" } else { assignor };
        let (members, lag) = (self.members.len(), grouped(self.lag));
        writeln!(out, "{group}: {state}, {kind}, {assignor}, {members} members, {lag} behind")?;
        if !self.members.is_empty() {
            let header = ["MEMBER", "STATIC ID", "CLIENT", "HOST", "PARTITIONS"];
            let mut rows = vec![header.map(str::to_owned).to_vec()];
            for member in &self.members {
                rows.push(vec![
                    member.member.clone(),
                    member.instance.clone().unwrap_or_else(|| "-".to_owned()),
                    member.client_id.clone(),
                    member.client_host.clone(),
                    member.partitions.len().to_string(),
                ]);
            }
            table(out, &rows)?;
        }
        let header = ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER"];
        let mut rows = vec![header.map(str::to_owned).to_vec()];
        let shown = |figure: Option<u64>| figure.map_or_else(|| "-".to_owned(), |n| n.to_string());
        for partition in &self.partitions {
            rows.push(vec![
                partition.topic.clone(),
                partition.partition.to_string(),
                shown(partition.committed),
                shown(partition.end),
                shown(partition.lag),
                partition.member.clone().unwrap_or_else(|| "-".to_owned()),
            ]);
        }
        if self.partitions.is_empty() {
            return writeln!(out, "nothing is committed");
        }
        table(out, &rows)
    }
}
