//! Memory and disk stay within what the settings allow, whatever the load does.

use kolk_io::sim::SimDisk;

use crate::run::broker::Broker;
use crate::scenario::{Producers, Scenario};
use crate::verdict::demand;

const NAME: &str = "bounds";

/// Bytes of memory beyond the budget: what one read brings.
const READ_BYTES: u64 = 1 << 20;

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
