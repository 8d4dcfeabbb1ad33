//! `kolk consume --group`: the partitions come from the group, and what was printed is committed.

use std::time::Duration;

use kolk_client::consumer::Position;
use kolk_client::consumer::group::GroupConsumer;
use kolk_client::consumer::group::settings::GroupSettings;
use kolk_client::consumer::settings::OutOfRange;
use kolk_model::ids::PartitionId;
use kolk_model::map::Map;
use kolk_model::offset::Offset;

use super::place::{Place, resolve, timestamp};
use super::{Args, Output, PREFETCH_BYTES, Shape};
use crate::command::topic::select;
use crate::error::CtlError;
use crate::global::Global;
use crate::session::Session;
use crate::stop::Stop;

/// How often `--exit` looks whether everything was read: records that nobody reads wake nobody.
const LOOK: Duration = Duration::from_millis(50);

pub(super) async fn run(
    (session, global): (&Session, &Global),
    args: &Args,
    group: &str,
    shape: Shape,
) -> Result<(), CtlError> {
    let admin = session.admin();
    let partitions = select(&admin, &args.topic, &[]).await?;
    let ends = match args.exit {
        true => {
            let ends = resolve(&admin, &args.topic, &partitions, Place::End).await?;
            Some(partitions.iter().copied().zip(ends).collect())
        }
        false => None,
    };
    let mut settings = GroupSettings::new(group);
    settings.start = start(args.from)?;
    settings.consumer.prefetch_bytes_max = PREFETCH_BYTES;
    settings.consumer.out_of_range = match args.from {
        Place::Beginning => OutOfRange::Beginning,
        _ => OutOfRange::End,
    };
    let mut consumer = session.client().group_consumer(settings)?;
    consumer.subscribe(&[&args.topic])?;
    let mut out = Output::new(shape, args.count)?;
    let _watch = session.watch(global, &out.bar);
    let mut stop = Stop::listen()?;
    let read = tokio::select! {
        read = read(&args.topic, &mut consumer, ends.as_ref(), &mut out) => read,
        // Whoever stops it has what was printed.
        () = stop.asked() => Ok(()),
    };
    let closed = consumer.close().await;
    read?;
    closed.map_err(CtlError::from)
}

/// Where to begin without a committed offset. A place that differs between partitions can't be told a group.
fn start(from: Place) -> Result<Position, CtlError> {
    match from {
        Place::Beginning => Ok(Position::Beginning),
        Place::End => Ok(Position::End),
        Place::Offset(offset) => Ok(Position::Offset(offset)),
        Place::Time(time) => Ok(Position::Time(time)),
        Place::Ago(age) => {
            let time = std::time::SystemTime::now().checked_sub(age);
            Ok(Position::Time(timestamp(time.unwrap_or(std::time::UNIX_EPOCH))))
        }
        Place::Back(_) => Err(CtlError::PlaceWithGroup),
    }
}

async fn read(
    topic: &str,
    consumer: &mut GroupConsumer,
    ends: Option<&Map<PartitionId, Offset>>,
    out: &mut Output,
) -> Result<(), CtlError> {
    while !out.is_full() && !is_done(topic, consumer, ends) {
        let fetched = tokio::select! {
            fetched = consumer.next_records() => fetched?,
            () = tokio::time::sleep(LOOK), if ends.is_some() => continue,
        };
        let partition = fetched.partition();
        let end = ends.and_then(|ends| ends.get(&partition)).copied();
        if let Some(next) = out.records(&fetched, end)? {
            // Not printed, so not to be committed.
            consumer.seek(topic, partition, Position::Offset(next))?;
        }
    }
    Ok(())
}

/// Whether every partition that the group gave this member was read to its end.
fn is_done(topic: &str, consumer: &GroupConsumer, ends: Option<&Map<PartitionId, Offset>>) -> bool {
    let Some(ends) = ends else { return false };
    let reached = |partition: PartitionId| {
        let end = ends.get(&partition).copied().unwrap_or_default();
        consumer.position(topic, partition).is_some_and(|position| position >= end)
    };
    consumer.has_joined()
        && consumer.assignment().into_iter().all(|(_, partition)| reached(partition))
}
