//! Test lives: a simulated machine runs storage under a random load, dies at a random moment, and the next life must find every
//! record that was acknowledged, in order, once, with no offset given to other bytes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kolk_io::door::Io;
use kolk_io::sim::{Sim, SimDisk, SimIo};
use kolk_metric::shard::ShardMetrics;
use kolk_model::batch::{self, BatchView};
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::ids::{PartitionId, ShardId, TopicId, TopicPartition};
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::error::{AppendRefused, LogError};
use crate::log::Log;
use crate::recovery::{Recovered, RecoveryPlan, TopicFate, recover};
use crate::settings::{LogConfig, LogSettings, SyncPolicy};
use crate::shard_log::{LogEvent, ShardLog};
use crate::signal::Signal;

pub(crate) const DIR: &str = "/data";
/// No space left on the device, as Linux numbers it.
pub(crate) const ENOSPC: i32 = 28;

pub(crate) fn small_settings() -> LogSettings {
    LogSettings {
        journal_file_bytes: 256 << 10,
        journal_files: 4,
        group_bytes_max: 64 << 10,
        direct_append_bytes_min: 16 << 10,
        direct_writes_max: 2,
        memory_bytes_max: 1 << 20,
        read_bytes: 64 << 10,
        read_ahead: 2,
        open_files_max: 3,
        allocate_bytes_max: 256 << 10,
        stop_write_ms_max: 60_000,
        compact_map_bytes_max: 4 << 10,
        compact_bytes_per_second_max: 1 << 30,
    }
}

pub(crate) fn id(partition: u32) -> TopicPartition {
    TopicPartition { topic: TopicId::new([7; 16]), partition: PartitionId::new(partition) }
}

pub(crate) fn config(sync: SyncPolicy) -> LogConfig {
    LogConfig { segment_bytes: 200 << 10, index_interval_bytes: 4096, sync }
}

/// Which promise a log of the tests gives: every third one survives a crash of the process only.
pub(crate) fn policy(partition: u32) -> SyncPolicy {
    if partition % 3 == 2 { SyncPolicy::OnDemand } else { SyncPolicy::EachGroup }
}

pub(crate) fn batch_of(value_bytes: usize, stamp: u64) -> Bytes {
    let mut builder = BatchBuilder::new();
    let mut value = vec![0_u8; value_bytes.max(8)];
    let mut state = stamp | 1;
    for byte in &mut value {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state.to_le_bytes()[0];
    }
    let time = TimestampMs::new(i64::try_from(stamp % 1_000_000).unwrap());
    builder.append(time, Some(&stamp.to_le_bytes()), Some(&value), &[]).unwrap();
    if stamp.is_multiple_of(3) {
        builder.append(time, None, Some(b"second"), &[]).unwrap();
    }
    builder.build(Compression::None).unwrap()
}

/// What the world outside knows of one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Base offset to what was appended there.
    pub(crate) batches: BTreeMap<u64, Bytes>,
    pub(crate) end: u64,
    pub(crate) written: u64,
    pub(crate) durable: u64,
    pub(crate) start: u64,
}

pub(crate) type Ledger = Rc<RefCell<BTreeMap<TopicPartition, Known>>>;

/// Starts storage as a broker would.
pub(crate) async fn start(io: &SimIo, shards: u16) -> Vec<ShardLog<SimIo>> {
    start_with(io, shards, small_settings()).await
}

pub(crate) async fn start_with(
    io: &SimIo,
    shards: u16,
    settings: LogSettings,
) -> Vec<ShardLog<SimIo>> {
    let recovered = recovered(io, shards, &settings, SyncPolicy::EachGroup).await;
    assert_eq!(recovered.damaged, vec![], "nothing rots here");
    let mut out = Vec::new();
    for (shard, image) in (0..).zip(recovered.shards) {
        let metrics = Rc::new(ShardMetrics::new(shard));
        let dir = Path::new(DIR);
        out.push(ShardLog::open(io.clone(), dir, image, settings.clone(), metrics).await.unwrap());
    }
    out
}

/// What a start finds, whatever it is, of topics that are so safe.
pub(crate) async fn recovered(
    io: &SimIo,
    shards: u16,
    settings: &LogSettings,
    sync: SyncPolicy,
) -> Recovered {
    tried(io, shards, settings, sync).await.unwrap()
}

/// As [`recovered`], of a start that may be refused.
pub(crate) async fn tried(
    io: &SimIo,
    shards: u16,
    settings: &LogSettings,
    sync: SyncPolicy,
) -> Result<Recovered, LogError> {
    let plan = RecoveryPlan {
        shards,
        settings,
        boot: io.random_u64(),
        accept_loss: false,
        placement: &|id| {
            ShardId::new(u16::try_from(id.partition.get() % u32::from(shards)).unwrap())
        },
        fate: &|_| TopicFate::Live(config(sync)),
    };
    recover(io, Path::new(DIR), &plan).await
}

/// Appends a batch as soon as the log takes it, and waits until it is durable; gives up when the log goes offline.
pub(crate) async fn put(io: &SimIo, log: &Log<SimIo>, value_bytes: usize, stamp: u64) {
    let bytes = batch_of(value_bytes, stamp);
    let view = BatchView::parse(&bytes).unwrap().0;
    while log.damage().is_none() && log.append(&[view], SyncPolicy::EachGroup).is_err() {
        io.sleep(Duration::from_micros(200)).await;
    }
    while log.damage().is_none() && log.durable() < log.log_end() {
        io.sleep(Duration::from_micros(200)).await;
    }
}

/// Every batch of a log, from its start to its end.
pub(crate) async fn read_all(log: &Log<SimIo>) -> Vec<Bytes> {
    let (mut from, end) = (log.log_start(), log.log_end());
    let mut out = Vec::new();
    while from < end {
        let read = log.read(from, end, 100_000).await.unwrap().concat();
        assert!(!read.is_empty(), "{}: nothing at {from} below {end}", log.id());
        for view in batch::batches(&read) {
            let view = view.unwrap();
            view.verify_crc().unwrap();
            from = view.next_offset();
            out.push(Bytes::copy_from_slice(view.as_bytes()));
        }
    }
    out
}

/// Compares what a life found with what the world outside knows, and forgets what was rightly lost.
pub(crate) async fn verify(storage: &[ShardLog<SimIo>], ledger: &Ledger, power_cut: bool) {
    let ids: Vec<TopicPartition> = ledger.borrow().keys().copied().collect();
    for id in ids {
        let log = storage.iter().find_map(|shard| shard.log(id));
        let known = ledger.borrow().get(&id).cloned().unwrap();
        let Some(log) = log else {
            assert_eq!(known.durable, 0, "{id} is gone");
            assert!(power_cut || known.written == 0, "{id} is gone");
            ledger.borrow_mut().remove(&id);
            continue;
        };
        let promised = if power_cut { known.durable } else { known.durable.max(known.written) };
        let end = log.log_end().get();
        assert!(end >= promised, "{id} ends at {end}, promised {promised}");
        assert!(log.log_start().get() >= known.start, "{id} starts at {}", log.log_start());
        for found in read_all(&log).await {
            let view = BatchView::parse(&found).unwrap().0;
            let base = view.base_offset().get();
            let original =
                known.batches.get(&base).unwrap_or_else(|| panic!("{id}: {base} unknown"));
            assert_eq!(found.get(17..), original.get(17..), "{id}: other bytes at {base}");
        }
        let mut ledger = ledger.borrow_mut();
        let known = ledger.get_mut(&id).unwrap();
        known.batches.retain(|base, _| *base < end);
        known.end = end;
        known.written = end;
        known.durable = end;
        known.start = log.log_start().get();
        log.set_config(config(policy(id.partition.get())));
    }
}

/// One life under load. Runs until the simulation is stopped from outside.
pub(crate) async fn load(io: SimIo, storage: Vec<ShardLog<SimIo>>, ledger: Ledger, logs: u32) {
    let moved = Rc::new(Signal::default());
    for shard in &storage {
        let (shard, ledger, moved) = (shard.clone(), Rc::clone(&ledger), Rc::clone(&moved));
        io.spawn(async move {
            let mut events = Vec::new();
            loop {
                shard.next_events(&mut events).await;
                for event in events.drain(..) {
                    let LogEvent::Advanced(id) = event else { continue };
                    let Some(log) = shard.log(id) else { continue };
                    if let Some(known) = ledger.borrow_mut().get_mut(&id) {
                        known.written = known.written.max(log.written().get());
                        known.durable = known.durable.max(log.durable().get());
                    }
                }
                moved.notify();
            }
        });
    }
    for partition in 0..logs {
        let shard = storage[usize::try_from(partition).unwrap() % storage.len()].clone();
        let (io_, ledger, moved) = (io.clone(), Rc::clone(&ledger), Rc::clone(&moved));
        io.spawn(async move { client(io_, shard, partition, ledger, moved).await });
    }
    std::future::pending::<()>().await;
}

async fn client(
    io: SimIo,
    shard: ShardLog<SimIo>,
    partition: u32,
    ledger: Ledger,
    moved: Rc<Signal>,
) {
    let id = id(partition);
    let log = match shard.log(id) {
        Some(log) => log,
        None => shard.create(id, config(policy(partition))).await.unwrap(),
    };
    ledger.borrow_mut().entry(id).or_default();
    loop {
        let chance = io.random_u64();
        let bytes = match chance % 20 {
            0..=13 => chance % 700,
            14..=17 => chance % 9_000,
            18 => chance % 40_000,
            _ => chance % 120_000,
        };
        let bytes = batch_of(usize::try_from(bytes).unwrap(), io.random_u64());
        let view = BatchView::parse(&bytes).unwrap().0;
        let wish =
            if chance.is_multiple_of(5) { SyncPolicy::EachGroup } else { SyncPolicy::OnDemand };
        loop {
            match log.append(&[view], wish) {
                Ok(appended) => {
                    let mut ledger = ledger.borrow_mut();
                    let known = ledger.entry(id).or_default();
                    assert_eq!(
                        known.end,
                        appended.base_offset.get(),
                        "{id}: offsets are contiguous"
                    );
                    known.batches.insert(known.end, bytes.clone());
                    known.end = appended.next_offset.get();
                    break;
                }
                Err(AppendRefused::Busy | AppendRefused::StorageFull) => {
                    io.sleep(std::time::Duration::from_micros(300)).await;
                }
                Err(_) => return std::future::pending().await,
            }
        }
        if chance.is_multiple_of(11) {
            spot_check(&log, &ledger, chance).await;
        }
        if chance.is_multiple_of(97) {
            let durable = log.durable().get();
            let start = log.log_start().get();
            let new_start = start + chance % (durable - start + 1);
            log.set_log_start(Offset::new(new_start)).await.unwrap();
            let mut ledger = ledger.borrow_mut();
            let known = ledger.entry(id).or_default();
            known.start = known.start.max(new_start);
        }
        // At most a few appends in flight, as a client would have.
        moved
            .until(|| {
                let ledger = ledger.borrow();
                let known = ledger.get(&id)?;
                (known.end <= known.written + 6).then_some(())
            })
            .await;
    }
}

/// Reads somewhere in the middle.
async fn spot_check(log: &Log<SimIo>, ledger: &Ledger, chance: u64) {
    let (start, end) = (log.log_start(), log.written());
    if start >= end {
        return;
    }
    let from = start + chance % end.count_since(start);
    let read = log.read(from, end, 30_000).await.unwrap().concat();
    let first = BatchView::parse(&read).unwrap().0;
    assert!(first.base_offset() <= from && from < first.next_offset());
    for view in batch::batches(&read).map(Result::unwrap) {
        let ledger = ledger.borrow();
        let known = ledger.get(&log.id()).unwrap();
        let original = known.batches.get(&view.base_offset().get()).unwrap();
        assert_eq!(view.as_bytes().get(17..), original.get(17..));
    }
}

/// Several lives on one disk.
pub(crate) fn lives(seed: u64, lives: u64, logs: u32) {
    let ledger: Ledger = Rc::default();
    let mut disk = SimDisk::new();
    // A life may be too short to look at everything: a cut counts until somebody has.
    let cut = Rc::new(Cell::new(false));
    for life in 0..lives {
        let sim = Sim::with_disk(disk, seed.wrapping_mul(1_000_003).wrapping_add(life));
        let chance = sim.io().random_u64();
        let shards = u16::try_from(1 + chance % 3).unwrap();
        let (known, cut_) = (Rc::clone(&ledger), Rc::clone(&cut));
        let steps = 200 + chance % 6_000;
        sim.run_steps(steps, |io| async move {
            let storage = start(&io, shards).await;
            verify(&storage, &known, cut_.get()).await;
            cut_.set(false);
            load(io, storage, known, logs).await;
        });
        let power_cut = chance.is_multiple_of(2);
        cut.set(cut.get() || power_cut);
        disk = if power_cut { sim.crash() } else { sim.kill() };
    }
    let sim = Sim::with_disk(disk, seed);
    let known = Rc::clone(&ledger);
    sim.run(|io| async move {
        let storage = start(&io, 2).await;
        verify(&storage, &known, cut.get()).await;
        for shard in &storage {
            shard.shutdown().await.unwrap();
        }
    });
    let known = Rc::clone(&ledger);
    let sim = Sim::with_disk(sim.crash(), seed);
    sim.run(|io| async move {
        let storage = start(&io, 1).await;
        verify(&storage, &known, true).await;
    });
}

#[test]
fn every_acknowledged_record_survives_any_crash() {
    let seeds = std::env::var("KOLK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(20);
    let first =
        std::env::var("KOLK_FIRST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    for seed in first..first + seeds {
        lives(seed, 5, 5);
    }
}
