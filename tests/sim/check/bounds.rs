//! Memory and disk stay within what the settings allow, whatever the load does.

use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::sim::SimDisk;

use crate::outside::Outside;
use crate::run::broker::Broker;
use crate::scenario::{Producers, Scenario, Topic};
use crate::verdict::{demand, violated};

const NAME: &str = "bounds";

/// Bytes of memory beyond the budget: what one read brings.
const READ_BYTES: u64 = 1 << 20;
/// Passes of housekeeping, and how long requests under way take besides, until limits are kept to.
const PASSES: u64 = 4;
const STILL_MS: u64 = 60;

/// Looks at what the shards of a broker hold in memory. The budget is looked at before an append is taken, so that those that
/// clients have under way may come on top.
pub(crate) fn memory(broker: &Broker, scenario: &Scenario) {
    let of = |of: &Producers| u64::from(of.count) * of.in_flight * of.value_bytes_max;
    let under_way: u64 = scenario.producer.iter().map(of).sum();
    for shard in &broker.shards {
        let held = shard.metrics().log.cache_bytes.get();
        let most = shard.settings().log.memory_bytes_max + READ_BYTES + under_way;
        demand(NAME, held <= most, || format!("shard {} holds {held} of {most} bytes", shard.id()));
        let journal = shard.metrics().journal.live_bytes.get();
        let most = shard.settings().log.journal_bytes();
        demand(NAME, journal <= most, || {
            format!("shard {}: {journal} live bytes in a journal of {most}", shard.id())
        });
    }
}

/// Lets producers be still and housekeeping come round, then looks at what topics with a limit keep, in records and on disk, and at
/// the journals. Not for a disk that is slow or fails.
pub(crate) async fn kept_small(broker: &Broker, outside: &Outside) {
    outside.still.set(true);
    let pause = outside.scenario.storage.housekeeping_ms * PASSES + STILL_MS;
    broker.io.sleep(Duration::from_millis(pause)).await;
    let topics: Vec<_> = outside.topics.borrow().iter().map(|(at, id)| (*at, *id)).collect();
    for (at, id) in topics {
        let most = outside.scenario.topic.get(at).and_then(Topic::bytes_max);
        let Some(most) = most else { continue };
        let described = match broker.connect().describe_topic(id).await {
            Ok(described) => described,
            Err(refusal) => violated(NAME, format!("topic {at}: {refusal}")),
        };
        for state in described.partitions {
            let (partition, bytes) = (state.partition.get(), state.size_bytes);
            demand(NAME, bytes <= most, || {
                format!("topic {at} partition {partition} keeps {bytes} bytes of {most}")
            });
            outside.kept.borrow_mut().insert((at, partition), bytes);
        }
    }
    outside.still.set(false);
}

/// Looks at the files of a broker that serves and has come to rest, after [`kept_small`].
pub(crate) fn files(disk: &SimDisk, broker: &Broker, outside: &Outside) {
    let Some(settings) = broker.shards.first().map(|shard| shard.settings().log.clone()) else {
        return;
    };
    let below = |prefix: &str, end: &str| -> u64 {
        let files = disk.files();
        let of = files.iter().filter(|path| path.starts_with(prefix) && path.ends_with(end));
        of.filter_map(|path| disk.file_bytes(path)).sum()
    };
    for (place, bytes) in outside.kept.take() {
        let Some(id) = outside.partition(place) else { continue };
        let found = below(&format!("/data/topics/{}/{}/", id.topic, id.partition), ".log");
        // What is allocated ahead, in the active segment and in the one after it.
        let most = bytes + 2 * settings.allocate_bytes_max;
        demand(NAME, found <= most, || {
            format!("{place:?} has {bytes} bytes in files of {found}, more than {most}")
        });
    }
    let shards = broker.shards.len() as u64;
    let (found, most) = (below("/data/journal/", ".journal"), shards * settings.journal_bytes());
    demand(NAME, found <= most, || format!("{shards} journals take {found} bytes, not {most}"));
}

/// Looks at what the journals of a stopped broker hold on disk: those of one generation and no other.
pub(crate) fn disk(disk: &SimDisk, shards: u16) {
    let journals: std::collections::BTreeSet<String> = disk
        .files()
        .iter()
        .filter_map(|path| path.strip_prefix("/data/journal/"))
        .filter_map(|path| path.rsplit_once('/').map(|(shard, _)| shard.to_owned()))
        .collect();
    demand(NAME, journals.len() == usize::from(shards), || {
        format!("{shards} shards have stopped and left the journals {journals:?}")
    });
}

/// Looks for files that nobody needs: beside its segments a log keeps their indexes, its producers and how far compaction has
/// come, and nothing of what was interrupted.
pub(crate) fn leftovers(disk: &SimDisk) {
    let files = disk.files();
    for path in files.iter().filter(|path| path.starts_with("/data/topics/")) {
        let kept = match path.rsplit_once('.') {
            Some((_, "log" | "snapshot" | "checkpoint")) => true,
            // What was being made when the broker stopped: the next start removes it.
            Some((_, "tmp" | "swap")) => true,
            Some((segment, "index")) => files.binary_search(&format!("{segment}.log")).is_ok(),
            _ => false,
        };
        demand(NAME, kept, || format!("{path} is left after a clean stop"));
    }
}
