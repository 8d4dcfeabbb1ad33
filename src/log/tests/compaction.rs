//! What compaction promises: the newest record of every key stays, with its offset and everything it had, whatever happens on
//! the way.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kolk_io::door::Io;
use kolk_io::error::Op;
use kolk_io::sim::{Fault, FaultKind, Sim, SimDisk, SimIo};
use kolk_model::batch::compacted::need::CompactionRules;
use kolk_model::batch::{self, BatchView, ProducerStamp};
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::{Compression, decompress};
use kolk_model::ids::{ProducerEpoch, ProducerId, Sequence};
use kolk_model::offset::Offset;
use kolk_model::records::Records;
use kolk_model::time::TimestampMs;

use crate::compact::{CompactionDone, CompactionOrder};
use crate::error::{AppendRefused, LogError};
use crate::log::Log;
use crate::settings::{LogConfig, LogSettings, SyncPolicy};
use crate::shard_log::ShardLog;
use crate::tests::life::{ENOSPC, id, recovered, small_settings, start, start_with};

/// Key, value and time of a record, by its offset.
type Known = Rc<RefCell<BTreeMap<u64, Record>>>;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    key: u64,
    value: Option<Vec<u8>>,
    time: i64,
}

const RULES: CompactionRules = CompactionRules {
    dirty_ppm_min: 0,
    delete_retention_ms: 1_000,
    lag_ms_min: 0,
    lag_ms_max: u64::MAX,
};

fn order(log: &Log<SimIo>, now: i64) -> CompactionOrder {
    CompactionOrder {
        rules: RULES,
        now: TimestampMs::new(now),
        below: log.durable(),
        keep: Vec::new(),
    }
}

fn config() -> LogConfig {
    let sync = SyncPolicy::EachGroup;
    LogConfig { segment_bytes: 40 << 10, index_interval_bytes: 1024, sync }
}

/// Passes until all that may be compacted is.
async fn compact_all(log: &Log<SimIo>, now: i64) -> CompactionDone {
    loop {
        let done = log.compact(&order(log, now)).await.unwrap();
        if !done.more {
            return done;
        }
    }
}

fn batch_of(records: &[Record], codec: Compression, producer: Option<ProducerStamp>) -> Bytes {
    let mut builder = BatchBuilder::new();
    for Record { key, value, time } in records {
        let time = TimestampMs::new(*time);
        builder.append(time, Some(&key.to_be_bytes()), value.as_deref(), &[]).unwrap();
    }
    if let Some(producer) = producer {
        builder.set_producer(producer);
    }
    builder.build(codec).unwrap()
}

async fn put(io: &SimIo, log: &Log<SimIo>, known: &Known, records: &[Record], codec: Compression) {
    let bytes = batch_of(records, codec, None);
    put_bytes(io, log, &bytes).await.unwrap();
    let base = log.log_end().get() - records.len() as u64;
    let mut known = known.borrow_mut();
    known.extend((base..).zip(records.iter().cloned()));
}

async fn put_bytes(io: &SimIo, log: &Log<SimIo>, bytes: &Bytes) -> Result<(), AppendRefused> {
    let view = BatchView::parse(bytes).unwrap().0;
    loop {
        match log.append(&[view], SyncPolicy::EachGroup) {
            Err(AppendRefused::Busy | AppendRefused::StorageFull) => {
                io.sleep(Duration::from_micros(200)).await;
            }
            done => return done.map(|_| ()),
        }
    }
}

async fn until_durable(io: &SimIo, log: &Log<SimIo>) {
    while log.durable() < log.log_end() {
        io.sleep(Duration::from_micros(200)).await;
    }
}

async fn roll(io: &SimIo, log: &Log<SimIo>) {
    until_durable(io, log).await;
    let before = log.segment_count();
    log.roll();
    while log.segment_count() == before {
        io.sleep(Duration::from_micros(200)).await;
    }
}

/// Batches as they stand: base offset, next offset, and the records with their offsets.
type Found = Vec<(u64, u64, Vec<(u64, Record)>)>;

async fn read_batches(log: &Log<SimIo>, mut from: Offset) -> Found {
    let end = log.durable();
    let mut out = Found::new();
    while from < end {
        let read = log.read(from, end, 30_000).await.unwrap().concat();
        assert!(!read.is_empty(), "nothing at {from} below {end}");
        for view in batch::batches(&read) {
            let view = view.unwrap();
            view.verify_crc().unwrap();
            from = view.next_offset();
            out.push((view.base_offset().get(), from.get(), records_of(&view)));
        }
    }
    out
}

fn records_of(view: &BatchView<'_>) -> Vec<(u64, Record)> {
    let plain = decompress(view, 1 << 20).unwrap();
    let records = Records::of_plain(view, &plain).map(Result::unwrap);
    records
        .map(|record| {
            let key = u64::from_be_bytes(record.key.unwrap().try_into().unwrap());
            let value = record.value.map(<[u8]>::to_vec);
            (record.offset.get(), Record { key, value, time: record.timestamp.get() })
        })
        .collect()
}

/// Every newest record is there, nothing else than what was written is, and every offset leads to the next batch.
async fn verify(log: &Log<SimIo>, known: &Known) {
    let (start, end) = (log.log_start(), log.durable().get());
    let found = read_batches(log, start).await;
    let mut seen = BTreeMap::new();
    let mut before = 0;
    for (base, next, records) in &found {
        assert!(*base >= before && next > base, "batch {base}..{next} after {before}");
        before = *next;
        seen.extend(records.iter().cloned());
    }
    assert_eq!(before.max(start.get()), end, "the last batch ends the log");
    let known = known.borrow().clone();
    for (offset, record) in &seen {
        assert_eq!(known.get(offset), Some(record), "at {offset}");
    }
    let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
    for (offset, record) in known.range(start.get()..end) {
        newest.insert(record.key, *offset);
    }
    let keys_seen: BTreeSet<u64> = seen.values().map(|record| record.key).collect();
    for (key, offset) in newest {
        let gone = known[&offset].value.is_none() && !keys_seen.contains(&key);
        assert!(seen.contains_key(&offset) || gone, "key {key}: its newest, {offset}, is gone");
    }
    let step = usize::try_from((end - start.get()) / 25).unwrap().max(1);
    for from in (start.get()..end).step_by(step) {
        let read = log.read(Offset::new(from), Offset::new(end), 1).await.unwrap().concat();
        let first = BatchView::parse(&read).unwrap().0;
        let wanted = found.iter().find(|(_, next, _)| *next > from).unwrap();
        assert_eq!(first.base_offset().get(), wanted.0, "at {from}");
    }
}

/// Random records of a few keys; some batches are packed, some values absent.
fn random_records(io: &SimIo, keys: u64, time: i64) -> (Vec<Record>, Compression) {
    let chance = io.random_u64();
    let count = 1 + chance % 6;
    let records = (0..count).map(|_| {
        let chance = io.random_u64();
        let bytes = usize::try_from(chance / 64 % 900).unwrap();
        let value = (!chance.is_multiple_of(8)).then(|| vec![chance.to_le_bytes()[5]; bytes]);
        Record { key: chance / 7 % keys, value, time }
    });
    let codec = Compression::ALL[usize::try_from(chance / 9 % 5).unwrap()];
    (records.collect(), codec)
}

async fn fill(io: &SimIo, log: &Log<SimIo>, known: &Known, batches: u64, keys: u64) {
    for n in 0..batches {
        let (records, codec) = random_records(io, keys, 5_000 + i64::try_from(n).unwrap());
        put(io, log, known, &records, codec).await;
    }
    roll(io, log).await;
}

fn on<F: std::future::Future<Output = ()>>(
    seed: u64,
    act: impl FnOnce(SimIo, ShardLog<SimIo>, Log<SimIo>, Known) -> F + 'static,
) -> Sim {
    let sim = Sim::new(seed);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config()).await.unwrap();
        act(io, storage, log, Known::default()).await;
    });
    sim
}

#[test]
fn only_the_newest_record_of_each_key_stays_below_the_active_segment() {
    for seed in 0..4 {
        on(seed, |io, storage, log, known| async move {
            fill(&io, &log, &known, 300, 40).await;
            let (bytes, segments) = (log.size_bytes(), log.segment_count());
            assert!(segments > 3, "{segments} segments");
            let done = compact_all(&log, 10_000).await;
            assert_eq!(done.clean_below, log.log_end());
            verify(&log, &known).await;
            let found = read_batches(&log, log.log_start()).await;
            let records: Vec<_> = found.iter().flat_map(|(_, _, records)| records).collect();
            let keys: BTreeSet<u64> = records.iter().map(|(_, record)| record.key).collect();
            assert_eq!(keys.len(), records.len(), "each key once");
            assert!(log.size_bytes() < bytes / 4, "{} of {bytes}", log.size_bytes());
            // Neighbours are measured by what they have before a pass: the next one makes them one.
            let record = Record { key: 1_000, value: None, time: 9_000 };
            put(&io, &log, &known, &[record], Compression::None).await;
            roll(&io, &log).await;
            compact_all(&log, 10_000).await;
            verify(&log, &known).await;
            assert!(log.segment_count() <= 3, "{} segments", log.segment_count());
            let metrics = &storage.metrics().log;
            assert!(metrics.compaction_records_removed.get() > 400);
            // Nothing is left to do, and nothing is done.
            let need = log.compaction_need(&RULES, TimestampMs::new(10_000), log.durable()).await;
            assert_eq!(need.unwrap(), None);
        });
    }
}

#[test]
fn few_keys_at_a_time_take_several_passes_and_come_to_the_same() {
    on(3, |io, _, log, known| async move {
        // A map of 4 KiB has room for 96 keys.
        fill(&io, &log, &known, 300, 500).await;
        let first = log.compact(&order(&log, 10_000)).await.unwrap();
        assert!(first.more && first.clean_below < log.log_end());
        verify(&log, &known).await;
        compact_all(&log, 10_000).await;
        verify(&log, &known).await;
        let found = read_batches(&log, log.log_start()).await;
        let records: Vec<_> = found.iter().flat_map(|(_, _, records)| records).collect();
        let keys: BTreeSet<u64> = records.iter().map(|(_, record)| record.key).collect();
        assert_eq!(keys.len(), records.len());
    });
}

#[test]
fn a_tombstone_stays_for_its_time_and_takes_its_key_along() {
    on(4, |io, _, log, known| async move {
        let record =
            |key, value: Option<&str>| Record { key, value: value.map(Into::into), time: 5_000 };
        put(&io, &log, &known, &[record(1, Some("a")), record(2, Some("b"))], Compression::None)
            .await;
        roll(&io, &log).await;
        put(&io, &log, &known, &[record(1, None), record(3, Some("c"))], Compression::Lz4).await;
        roll(&io, &log).await;
        let records = |found: Found| -> Vec<(u64, Record)> {
            found.into_iter().flat_map(|(_, _, records)| records).collect()
        };
        compact_all(&log, 10_000).await;
        verify(&log, &known).await;
        let found = records(read_batches(&log, Offset::ZERO).await);
        let wanted =
            vec![(1, record(2, Some("b"))), (2, record(1, None)), (3, record(3, Some("c")))];
        assert_eq!(found, wanted, "with the time it had, though the batch says when it may go");
        // Too early; and without anything dirty no pass looks.
        put(&io, &log, &known, &[record(4, Some("d"))], Compression::None).await;
        roll(&io, &log).await;
        compact_all(&log, 10_999).await;
        assert_eq!(records(read_batches(&log, Offset::ZERO).await).len(), 4);
        put(&io, &log, &known, &[record(5, Some("e"))], Compression::None).await;
        roll(&io, &log).await;
        compact_all(&log, 11_000).await;
        verify(&log, &known).await;
        let found = records(read_batches(&log, Offset::ZERO).await);
        assert!(found.iter().all(|(_, record)| record.key != 1), "{found:?}");
        assert_eq!(found.len(), 4);
    });
}

#[test]
fn segments_with_recent_records_wait_for_their_lag() {
    on(5, |io, _, log, known| async move {
        for time in [1_000, 2_000, 3_000] {
            let record = Record { key: 1, value: Some(vec![1; 100]), time };
            put(&io, &log, &known, &[record], Compression::None).await;
            roll(&io, &log).await;
        }
        let rules = CompactionRules { lag_ms_min: 500, ..RULES };
        let order = CompactionOrder { rules, ..order(&log, 2_600) };
        let done = log.compact(&order).await.unwrap();
        assert_eq!((done.clean_below, done.records_removed), (Offset::new(2), 1));
        let need = |rules: CompactionRules, now| {
            let log = log.clone();
            async move {
                let now = TimestampMs::new(now);
                log.compaction_need(&rules, now, log.durable()).await.unwrap()
            }
        };
        assert_eq!(need(rules, 2_600).await, None);
        let rules = CompactionRules { dirty_ppm_min: 1_000_000, lag_ms_max: 100, ..RULES };
        assert!(!need(rules, 3_050).await.unwrap().is_due(&rules));
        assert!(need(rules, 3_200).await.unwrap().is_due(&rules));
        verify(&log, &known).await;
    });
}

#[test]
fn batches_that_producers_need_and_control_batches_stay() {
    on(6, |io, _, log, known| async move {
        for sequence in 0..8 {
            let producer = ProducerStamp {
                id: ProducerId::new(9),
                epoch: ProducerEpoch::new(0),
                base_sequence: Sequence::new(sequence),
            };
            let record = Record { key: 1, value: Some(vec![1; 10]), time: 1_000 };
            let bytes = batch_of(std::slice::from_ref(&record), Compression::Gzip, Some(producer));
            put_bytes(&io, &log, &bytes).await.unwrap();
            known.borrow_mut().insert(u64::from(sequence), record);
        }
        let mut control = batch_of(
            &[Record { key: 2, value: None, time: 1_000 }],
            Compression::None,
            Some(ProducerStamp {
                id: ProducerId::new(9),
                epoch: ProducerEpoch::new(0),
                base_sequence: Sequence::new(8),
            }),
        )
        .to_vec();
        control[22] |= 1 << 5;
        batch::seal(&mut control);
        put_bytes(&io, &log, &control.into()).await.unwrap();
        known.borrow_mut().insert(8, Record { key: 2, value: None, time: 1_000 });
        roll(&io, &log).await;
        let keep = vec![Offset::new(3), Offset::new(5)];
        log.compact(&CompactionOrder { keep, ..order(&log, 9_000) }).await.unwrap();
        verify(&log, &known).await;
        let found = read_batches(&log, Offset::ZERO).await;
        let shape: Vec<_> = found.iter().map(|(base, _, records)| (*base, records.len())).collect();
        assert_eq!(shape, [(3, 0), (5, 0), (7, 1), (8, 1)]);
        let read = log.read(Offset::ZERO, Offset::new(5), 1).await.unwrap().concat();
        let hollow = BatchView::parse(&read).unwrap().0;
        assert_eq!(hollow.base_sequence(), Some(Sequence::new(3)));
        assert_eq!(hollow.producer_id(), Some(ProducerId::new(9)));
        // A pass that needs them no longer takes them away.
        let record = Record { key: 3, value: Some(vec![1]), time: 1_000 };
        put(&io, &log, &known, &[record], Compression::None).await;
        roll(&io, &log).await;
        log.compact(&order(&log, 9_000)).await.unwrap();
        let found = read_batches(&log, Offset::ZERO).await;
        assert_eq!(found.iter().map(|(base, _, _)| *base).collect::<Vec<_>>(), [7, 8, 9]);
    });
}

/// Reads from random offsets until told to stop; each read gives the next batch.
async fn reader(io: SimIo, log: Log<SimIo>, done: Rc<Cell<bool>>, ended: Rc<Cell<u32>>) {
    while !done.get() {
        let end = log.durable();
        let from = Offset::new(io.random_u64() % end.get());
        let read = log.read(from, end, 1).await.unwrap().concat();
        let first = BatchView::parse(&read).unwrap().0;
        assert!(first.next_offset() > from, "{from}");
        io.sleep(Duration::from_micros(20)).await;
    }
    ended.set(ended.get() + 1);
}

#[test]
fn consumers_read_on_while_segments_are_replaced() {
    const READERS: u32 = 6;
    let record = |n: u64| Record { key: n % 30, value: Some(vec![7; 2_000]), time: 9_000 };
    for seed in 0..6 {
        on(seed, move |io, storage, log, known| async move {
            fill(&io, &log, &known, 120, 30).await;
            storage.shutdown().await.unwrap();
            // Nothing stays in memory, in small pieces is it read, and hardly a file stays open: every read needs the disk.
            let settings = LogSettings {
                memory_bytes_max: 16 << 10,
                read_bytes: 4 << 10,
                read_ahead: 0,
                open_files_max: 1,
                ..small_settings()
            };
            let storage = start_with(&io, 1, settings).await.remove(0);
            let log = storage.log(id(0)).unwrap();
            log.set_config(config());
            let (done, ended) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
            for _ in 0..READERS {
                let (done, ended) = (Rc::clone(&done), Rc::clone(&ended));
                io.spawn(reader(io.clone(), log.clone(), done, ended));
            }
            for round in 0..4 {
                put(&io, &log, &known, &[record(round)], Compression::None).await;
                roll(&io, &log).await;
                compact_all(&log, 10_000).await;
                verify(&log, &known).await;
                let time = TimestampMs::new(5_100);
                let found = log.offset_for_timestamp(time, log.durable()).await.unwrap();
                assert!(found.is_some_and(|found| found.timestamp >= time));
            }
            done.set(true);
            while ended.get() < READERS {
                io.sleep(Duration::from_millis(1)).await;
            }
            assert!(log.damage().is_none());
        });
    }
}

#[test]
fn a_read_in_a_gap_gets_the_batch_behind_it() {
    let sim = Sim::new(9);
    sim.run(|io| async move {
        let settings = LogSettings { read_bytes: 4 << 10, ..small_settings() };
        let storage = start_with(&io, 1, settings).await.remove(0);
        let log = storage.create(id(0), config()).await.unwrap();
        let known = Known::default();
        for n in 0..120 {
            // Every other record is superseded by the next but one.
            let key = if n % 2 == 0 { n } else { 1_000 };
            let record = Record { key, value: Some(vec![3; 900]), time: 1_000 };
            put(&io, &log, &known, &[record], Compression::None).await;
        }
        roll(&io, &log).await;
        compact_all(&log, 9_000).await;
        for from in (0..118).step_by(2) {
            for from in [from, from + 1] {
                let read = log.read(Offset::new(from), log.durable(), 1).await.unwrap().concat();
                let first = BatchView::parse(&read).unwrap().0;
                // The last batch of a segment keeps its place without its records.
                let wanted =
                    if first.record_count() == 0 { from } else { from.next_multiple_of(2) };
                assert_eq!(first.base_offset().get(), wanted, "from {from}");
            }
        }
    });
}

#[test]
fn a_trim_and_a_delete_in_the_middle_of_a_pass_do_no_harm() {
    for seed in 0..40 {
        let sim = on(seed, move |io, storage, log, known| async move {
            fill(&io, &log, &known, 200, 30).await;
            let (cleaner, cleaned) = (log.clone(), Rc::new(RefCell::new(None)));
            let result = Rc::clone(&cleaned);
            io.spawn(async move {
                let done = cleaner.compact(&order(&cleaner, 10_000)).await;
                *result.borrow_mut() = Some(done);
            });
            io.sleep(Duration::from_micros(seed * 150)).await;
            if seed % 2 == 0 {
                let end = log.log_end().get();
                log.set_log_start(Offset::new(end * (seed % 7) / 8)).await.unwrap();
                verify(&log, &known).await;
            } else {
                storage.delete(id(0)).await.unwrap();
            }
            while cleaned.borrow().is_none() {
                io.sleep(Duration::from_millis(1)).await;
            }
            match (cleaned.take().unwrap(), seed % 2) {
                (Ok(_), _) | (Err(LogError::OffsetOutOfRange { .. }), 0) => {}
                (Err(LogError::NoSuchLog { .. }), 1) => {}
                (other, _) => panic!("seed {seed}: {other:?}"),
            }
            if seed % 2 == 0 {
                compact_all(&log, 10_000).await;
                verify(&log, &known).await;
            }
        });
        let left = sim.with_disk_mut(|disk| disk.files());
        let left = left.iter().filter(|name| name.contains("/topics/"));
        assert!(seed % 2 == 0 || left.count() == 0, "seed {seed}");
    }
}

#[test]
fn a_segment_whose_roll_is_not_durable_yet_is_left_alone() {
    let sim = Sim::new(8);
    let (log, known) = sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config()).await.unwrap();
        let known = Known::default();
        let value = Some(vec![1; 300]);
        for _ in 0..30 {
            let record = Record { key: 1, value: value.clone(), time: 1_000 };
            put(&io, &log, &known, &[record], Compression::None).await;
        }
        until_durable(&io, &log).await;
        (log, known)
    });
    sim.inject(Fault::eio(Op::Write, "journal").with_kind(FaultKind::Hang).for_ever());
    sim.run(|io| async move {
        log.roll();
        while log.segment_count() < 2 {
            io.sleep(Duration::from_micros(200)).await;
        }
        let now = order(&log, 9_000);
        io.spawn(async move { drop(log.compact(&now).await) });
        io.sleep(Duration::from_secs(1)).await;
    });
    // The roll's record never came: for the next run the segment is the active one.
    let sim = Sim::with_disk(sim.kill(), 8);
    sim.run(|io| async move {
        let log = start(&io, 1).await.remove(0).log(id(0)).unwrap();
        verify(&log, &known).await;
        assert_eq!(read_batches(&log, Offset::ZERO).await.len(), 30);
    });
}

#[test]
fn the_last_room_of_a_disk_is_left_to_appends() {
    let sim = Sim::new(10);
    let (io, log, known) = sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config()).await.unwrap();
        let known = Known::default();
        fill(&io, &log, &known, 150, 20).await;
        (io, log, known)
    });
    sim.set_capacity(40 << 20);
    let cleaner = (log.clone(), Rc::clone(&known), io);
    sim.run(|_| async move {
        let (log, known, io) = cleaner;
        let refused = log.compact(&order(&log, 10_000)).await;
        let Err(LogError::Io(error)) = refused else { panic!("{refused:?}") };
        assert!(error.is_no_space());
        let record = Record { key: 1, value: Some(vec![1; 100]), time: 5_000 };
        put(&io, &log, &known, &[record], Compression::None).await;
        until_durable(&io, &log).await;
        verify(&log, &known).await;
    });
    sim.set_capacity(u64::MAX);
    sim.run(|_| async move {
        compact_all(&log, 10_000).await;
        verify(&log, &known).await;
    });
}

#[test]
fn a_disk_error_gives_a_pass_up_and_loses_nothing() {
    let space = FaultKind::Errno(28);
    for (op, path, kind) in [
        (Op::Write, ".swap", space),
        (Op::Open, ".swap", space),
        (Op::Open, "checkpoint", space),
        (Op::Write, "checkpoint", space),
        (Op::Sync, ".swap", FaultKind::Errno(5)),
        (Op::Open, ".index", space),
    ] {
        let sim = Sim::new(7);
        let (log, known) = sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config()).await.unwrap();
            let known = Known::default();
            fill(&io, &log, &known, 150, 20).await;
            (log, known)
        });
        sim.inject(Fault::eio(op, path).with_kind(kind));
        sim.run(move |_| async move {
            let first = log.compact(&order(&log, 10_000)).await;
            let index = path == ".index";
            assert!(index || matches!(first, Err(LogError::Io(_))), "{op} {path}: {first:?}");
            verify(&log, &known).await;
            compact_all(&log, 10_000).await;
            verify(&log, &known).await;
        });
    }
}

#[test]
fn a_swap_that_the_disk_still_names_stands_in_no_later_pass_s_way() {
    let mut begun = 0;
    for delay in 0..40 {
        let sim = Sim::new(7);
        let (log, known) = sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config()).await.unwrap();
            let known = Known::default();
            fill(&io, &log, &known, 150, 20).await;
            (log, known)
        });
        // The checkpoint that decides is written, the one that says it is done finds no room.
        let full = FaultKind::Errno(ENOSPC);
        sim.inject(Fault::eio(Op::Write, "checkpoint").with_kind(full).after(1));
        let facts = Rc::clone(&known);
        sim.run(move |io| async move {
            let refused = log.compact(&order(&log, 10_000)).await;
            let Err(LogError::Io(error)) = refused else { panic!("{refused:?}") };
            assert!(error.is_no_space());
            assert!(log.damage().is_none());
            fill(&io, &log, &facts, 30, 20).await;
            io.spawn(async move { drop(log.compact(&order(&log, 10_000)).await) });
            io.sleep(Duration::from_micros(delay * 500)).await;
        });
        let disk = sim.kill();
        begun += usize::from(disk.files().iter().any(|name| name.ends_with(".swap")));
        Sim::with_disk(disk, 8).run(move |io| async move {
            let log = start(&io, 1).await.remove(0).log(id(0)).unwrap();
            assert_eq!(log.damage(), None, "killed after {delay} x 500 us");
            verify(&log, &known).await;
        });
    }
    assert!(begun > 0, "no life ended with a file of the swap's name");
}

/// Several lives on one disk, each with appends and passes side by side, each ended at a random moment.
#[test]
fn a_swap_that_may_stand_on_the_disk_keeps_its_file() {
    let mut failed = 0;
    for skip in 0..5 {
        let sim = Sim::new(7);
        let log = sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config()).await.unwrap();
            fill(&io, &log, &Known::default(), 150, 20).await;
            io.sleep(Duration::from_secs(1)).await;
            log
        });
        let full = FaultKind::Errno(ENOSPC);
        sim.inject(Fault::eio(Op::SyncDir, "/0").with_kind(full).after(skip));
        let done = sim.run(|_| async move { log.compact(&order(&log, 10_000)).await });
        failed += u32::from(done.is_err());
        let damaged = Sim::with_disk(sim.kill(), 7).run(|io| async move {
            recovered(&io, 1, &small_settings(), SyncPolicy::EachGroup).await.damaged
        });
        assert_eq!(damaged, vec![], "after {skip} syncs: {done:?}");
    }
    assert!(failed > 1, "{failed} of 5 passes failed");
}

fn lives(seed: u64) {
    let known = Known::default();
    let promised = Rc::new(Cell::new(0));
    let mut disk = SimDisk::new();
    for life in 0..8 {
        let sim = Sim::with_disk(disk, seed.wrapping_mul(7_919).wrapping_add(life));
        let chance = sim.io().random_u64();
        let (facts, safe) = (Rc::clone(&known), Rc::clone(&promised));
        sim.run_steps(300 + chance % 5_000, |io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = match storage.log(id(0)) {
                Some(log) => log,
                None => storage.create(id(0), config()).await.unwrap(),
            };
            log.set_config(config());
            check_life(&log, &facts, &safe).await;
            live(io, log, facts, safe).await;
        });
        disk = if chance.is_multiple_of(2) { sim.crash() } else { sim.kill() };
    }
    let sim = Sim::with_disk(disk, seed);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let Some(log) = storage.log(id(0)) else { return assert_eq!(promised.get(), 0) };
        check_life(&log, &known, &promised).await;
        roll_if_any(&io, &log).await;
        compact_all(&log, 1_000_000).await;
        verify(&log, &known).await;
        storage.shutdown().await.unwrap();
    });
    let names = sim.with_disk_mut(|disk| disk.files());
    assert!(names.iter().all(|name| !name.ends_with(".swap")), "seed {seed}: {names:?}");
}

async fn roll_if_any(io: &SimIo, log: &Log<SimIo>) {
    if log.log_end() > Offset::ZERO && log.active_since().is_some() {
        roll(io, log).await;
    }
}

async fn check_life(log: &Log<SimIo>, known: &Known, promised: &Cell<u64>) {
    let end = log.log_end().get();
    assert!(end >= promised.get(), "ends at {end}, promised {}", promised.get());
    known.borrow_mut().retain(|offset, _| *offset < end);
    promised.set(end);
    verify(log, known).await;
}

async fn live(io: SimIo, log: Log<SimIo>, known: Known, promised: Rc<Cell<u64>>) {
    let cleaner = log.clone();
    let clock = io.clone();
    io.spawn(async move {
        loop {
            let now = i64::try_from(clock.now().as_ns() / 100_000).unwrap();
            match cleaner.compact(&order(&cleaner, now)).await {
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
            clock.sleep(Duration::from_micros(clock.random_u64() % 20_000)).await;
        }
    });
    loop {
        let (records, codec) = random_records(&io, 25, 5_000);
        put(&io, &log, &known, &records, codec).await;
        promised.set(promised.get().max(log.durable().get()));
        if io.random_u64().is_multiple_of(23) {
            log.roll();
        }
        if io.random_u64().is_multiple_of(5) {
            until_durable(&io, &log).await;
            promised.set(log.durable().get());
        }
    }
}

#[test]
fn no_newest_record_is_lost_at_any_crash() {
    let seeds = std::env::var("KOLK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(8);
    let first =
        std::env::var("KOLK_FIRST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    for seed in first..first + seeds {
        lives(seed);
    }
}
