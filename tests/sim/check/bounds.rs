//! Memory and disk stay within what the settings allow, whatever the load does.

use kolk_io::sim::SimDisk;

use crate::broker::Broker;
use crate::verdict::demand;

const NAME: &str = "bounds";

/// Bytes of memory beyond the budget that are no tails and no caches: what one append and one read bring on top.
const MEMORY_BESIDE: u64 = 1 << 20;

/// Looks at what the shards of a broker hold in memory.
pub(crate) fn memory(broker: &Broker) {
    for shard in &broker.shards {
        let held = shard.metrics().log.cache_bytes.get();
        let most = shard.settings().log.memory_bytes_max + MEMORY_BESIDE;
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
