//! Giving records up, against a model: a plain list of what was appended. Appends, rolls, trims, retention by time and by size
//! and readers run side by side; lives end by `kill` or power cut at any step.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use kolk_io::door::Io;
use kolk_io::sim::{Sim, SimDisk, SimIo};
use kolk_model::batch::{self, BatchView, HEAD_BYTES};
use kolk_model::batch_builder::BatchBuilder;
use kolk_model::compression::Compression;
use kolk_model::offset::Offset;
use kolk_model::time::TimestampMs;

use crate::error::{AppendRefused, LogError};
use crate::log::retention::Retention;
use crate::log::{Log, parse_index_name, parse_segment_name};
use crate::settings::{LogConfig, SyncPolicy};
use crate::tests::life::{id, put, start};

/// A batch as it was appended: the offset after it, its time, and its bytes without the head that the log stamps.
#[derive(Clone)]
struct Kept {
    next: u64,
    time: i64,
    bytes: Bytes,
}

#[derive(Default)]
struct Model {
    /// By base offset.
    batches: BTreeMap<u64, Kept>,
    /// The highest log start that was answered, and the highest that was ever asked for.
    given_up: u64,
    asked: u64,
    /// Everything below was acknowledged.
    durable: u64,
}

impl Model {
    fn bytes_from(&self, offset: u64) -> u64 {
        let bytes = |kept: &Kept| (HEAD_BYTES + kept.bytes.len()) as u64;
        self.batches.range(offset..).map(|(_, kept)| bytes(kept)).sum()
    }

    fn newest(&self, from: u64, to: u64) -> Option<i64> {
        self.batches.range(from..to).map(|(_, kept)| kept.time).max()
    }
}

type Shared = Rc<RefCell<Model>>;

fn config() -> LogConfig {
    let sync = SyncPolicy::EachGroup;
    LogConfig { segment_bytes: 24 << 10, index_interval_bytes: 1024, sync }
}

fn batch_of(time: i64, value_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    let value: Vec<u8> = (0..value_bytes).map(|n| time.to_le_bytes()[n % 8]).collect();
    for _ in 0..=time % 3 {
        builder.append(TimestampMs::new(time), None, Some(&value), &[]).unwrap();
    }
    builder.build(Compression::None).unwrap()
}

async fn writer(io: SimIo, log: Log<SimIo>, model: Shared) {
    loop {
        let chance = io.random_u64();
        let time = i64::try_from(chance % 10_000).unwrap();
        let bytes = batch_of(time, usize::try_from(chance >> 32 & 0x7ff).unwrap());
        let view = BatchView::parse(&bytes).unwrap().0;
        let appended = match log.append(&[view], SyncPolicy::EachGroup) {
            Ok(appended) => appended,
            Err(AppendRefused::Busy) => {
                io.sleep(Duration::from_micros(200)).await;
                continue;
            }
            Err(other) => panic!("{other:?}"),
        };
        let (base, next) = (appended.base_offset.get(), appended.next_offset.get());
        let durable = log.durable().get();
        {
            let mut model = model.borrow_mut();
            model.batches.insert(base, Kept { next, time, bytes: bytes.slice(HEAD_BYTES..) });
            model.durable = model.durable.max(durable);
        }
        if chance.is_multiple_of(41) {
            log.roll();
        }
        io.sleep(Duration::from_micros(chance % 300)).await;
    }
}

/// Reads from random offsets: what is there is what was appended, and only what was given up is refused.
async fn reader(io: SimIo, log: Log<SimIo>, model: Shared) {
    loop {
        io.sleep(Duration::from_micros(io.random_u64() % 500)).await;
        let end = log.durable();
        let from = Offset::new(io.random_u64() % (end.get() + 1));
        match log.read(from, end, 1 + io.random_u64() % 20_000).await {
            Ok(slices) => check_bytes(&slices.concat(), from, end, &model.borrow()),
            Err(LogError::OffsetOutOfRange { .. }) => {
                let asked = model.borrow().asked;
                assert!(from.get() < asked, "{from} was refused, at most {asked} was given up");
            }
            Err(other) => panic!("{other}"),
        }
    }
}

fn check_bytes(read: &[u8], from: Offset, end: Offset, model: &Model) {
    let mut at = from.get();
    for view in batch::batches(read).map(Result::unwrap) {
        let (base, next) = (view.base_offset().get(), view.next_offset().get());
        assert!(base <= at && at < next, "{base}..{next} where {at} was to come");
        let kept = model.batches.get(&base).expect("only what was appended is read");
        assert_eq!((next, view.as_bytes().get(HEAD_BYTES..)), (kept.next, Some(&kept.bytes[..])));
        at = next;
    }
    assert!(at > from.get() || from >= end, "nothing at {from} below {end}");
}

/// The bases of the segments that the log knows of, and of those that its directory has: the next one may be there already.
async fn bases(io: &SimIo, log: &Log<SimIo>) -> (Vec<u64>, Vec<u64>) {
    let entries = match io.list_dir(&log.dir()).await {
        Err(error) if error.is_not_found() => Vec::new(),
        entries => entries.unwrap(),
    };
    let names = entries.iter().filter_map(|entry| parse_segment_name(&entry.name));
    let mut found: Vec<u64> = names.map(Offset::get).collect();
    found.sort_unstable();
    let state = log.inner.state.borrow();
    (state.segments.iter().map(|segment| segment.base.get()).collect(), found)
}

/// No file is left of a segment that lies below the log start, nor of its index.
async fn check_files(io: &SimIo, log: &Log<SimIo>) {
    let (known, found) = bases(io, log).await;
    let left = found.iter().find(|base| **base < known[0]);
    assert_eq!(left, None, "the log has the segments {known:?}, its directory {found:?}");
    for entry in io.list_dir(&log.dir()).await.unwrap_or_default() {
        let index = parse_index_name(&entry.name);
        assert!(index.is_none_or(|base| base.get() >= known[0]), "{} is left", entry.name);
    }
}

/// As soon as a pass is over no segment is left that lies below the log start.
fn check_segments(log: &Log<SimIo>) {
    let state = log.inner.state.borrow();
    let below = state.segments[0].next_offset <= state.log_start && state.segments.len() > 1;
    assert!(!below, "{:?} lies below {}", state.segments[0], state.log_start);
}

async fn trim(io: &SimIo, log: &Log<SimIo>, model: &Shared) {
    let (start, durable) = (log.log_start().get(), log.durable().get());
    let beyond = io.random_u64().is_multiple_of(8);
    let wanted = match io.random_u64() {
        chance if beyond => durable + 1 + chance % 3,
        chance => start + chance % (durable - start + 1) / 4,
    };
    model.borrow_mut().asked.max_to(wanted.min(durable));
    match log.set_log_start(Offset::new(wanted)).await {
        Ok(()) => {
            assert!(!beyond, "{wanted} is beyond {durable}");
            assert!(log.log_start().get() >= wanted);
            check_segments(log);
            model.borrow_mut().given_up.max_to(wanted);
        }
        Err(LogError::OffsetOutOfRange { .. }) => {
            assert!(beyond, "{wanted} is not beyond {durable}");
        }
        Err(other) => panic!("{other}"),
    }
}

trait MaxTo {
    fn max_to(&mut self, other: Self);
}

impl MaxTo for u64 {
    fn max_to(&mut self, other: Self) {
        *self = other.max(*self);
    }
}

/// Limits that the oldest segment is just within: its newest record has the very time, or the others have just the bytes.
fn set_edge(retention: &mut Retention, bases: &[u64], model: &Model) {
    let [oldest, next, ..] = *bases else { return };
    if retention.bytes_max.is_some() {
        retention.bytes_max = Some(model.bytes_from(next));
    }
    if let Some((limit, newest)) = retention.before.as_mut().zip(model.newest(oldest, next)) {
        *limit = TimestampMs::new(newest);
    }
}

/// One pass of retention, judged by the model alone: what went had to go, and what had to go went.
async fn retain(io: &SimIo, log: &Log<SimIo>, model: &Shared, mut retention: Retention) {
    let before = log.log_start().get();
    let (sealed, _) = bases(io, log).await;
    let from = |offset: u64| model.borrow().bytes_from(offset);
    let left: BTreeMap<u64, u64> = sealed.iter().map(|base| (*base, from(*base))).collect();
    if io.random_u64().is_multiple_of(2) {
        set_edge(&mut retention, &sealed, &model.borrow());
    }
    model.borrow_mut().asked.max_to(sealed.last().copied().unwrap_or(0));
    // The active segment may be rolled and given up while we look.
    model.borrow_mut().asked.max_to(log.log_end().get());
    let start = log.apply_retention(retention).await.unwrap().get();
    check_segments(log);
    let mut model = model.borrow_mut();
    assert_eq!(start, log.log_start().get());
    assert!(start >= before, "the log start fell from {before} to {start}");
    model.given_up.max_to(start);
    let next_of = |base: u64| sealed.iter().copied().find(|next| *next > base);
    if start > before {
        assert!(start > *sealed.last().unwrap() || sealed.contains(&start), "{start}: {sealed:?}");
        if let Some(bytes_max) = retention.bytes_max {
            let kept = model.bytes_from(start);
            assert!(kept >= bytes_max, "{kept} bytes are left, {bytes_max} may stay");
        }
        if let Some(limit) = retention.before {
            let newest = model.newest(before, start);
            assert!(
                newest < Some(limit.get()),
                "{newest:?} went, only what is before {limit:?} may"
            );
        }
    }
    // The oldest segment that is left, if it was sealed when the pass began.
    let oldest = sealed.iter().copied().rfind(|base| *base <= start);
    if let Some((oldest, next)) = oldest.and_then(|oldest| Some((oldest, next_of(oldest)?))) {
        if let Some(bytes_max) = retention.bytes_max {
            let others = left.get(&next).copied().unwrap_or(0);
            assert!(others < bytes_max, "{others} bytes stay without {oldest}..{next}");
        }
        if let Some(limit) = retention.before {
            let newest = model.newest(oldest, next);
            assert!(newest >= Some(limit.get()), "{oldest}..{next} is older than {limit:?}");
        }
    }
}

async fn keeper(io: SimIo, log: Log<SimIo>, model: Shared) {
    loop {
        io.sleep(Duration::from_micros(2_000 + io.random_u64() % 20_000)).await;
        let chance = io.random_u64();
        let before = Some(TimestampMs::new(i64::try_from(chance % 12_000).unwrap()));
        let bytes_max = Some(chance >> 8 & 0x1_ffff);
        match chance % 3 {
            0 => trim(&io, &log, &model).await,
            1 => retain(&io, &log, &model, Retention { before, bytes_max: None }).await,
            _ => retain(&io, &log, &model, Retention { before: None, bytes_max }).await,
        }
        check_files(&io, &log).await;
    }
}

/// What a start has found, against what the world outside knows.
async fn verify(io: &SimIo, log: &Log<SimIo>, model: &Shared) {
    let (start, end) = (log.log_start().get(), log.log_end().get());
    {
        let mut model = model.borrow_mut();
        let Model { given_up, asked, durable, .. } = *model;
        assert!(end >= durable, "ends at {end}, {durable} was acknowledged");
        assert!((given_up..=asked).contains(&start), "{start} is not in {given_up}..={asked}");
        model.batches.retain(|base, _| *base < end);
        (model.given_up, model.asked, model.durable) = (start, start, end);
    }
    let mut from = start;
    while from < end {
        let read = log.read(Offset::new(from), Offset::new(end), 30_000).await.unwrap().concat();
        check_bytes(&read, Offset::new(from), Offset::new(end), &model.borrow());
        let last = batch::batches(&read).map(Result::unwrap).last();
        from = last.expect("a read below the end gives a batch").next_offset().get();
    }
    assert_eq!(log.apply_retention(Retention::default()).await.unwrap().get(), start);
    check_segments(log);
    check_files(io, log).await;
    let (_, segments) = bases(io, log).await;
    for entry in io.list_dir(&log.dir()).await.unwrap_or_default() {
        let index = entry.name.strip_suffix(".index").map(|base| base.parse::<u64>().unwrap());
        assert!(index.is_none_or(|base| segments.contains(&base)), "{} is alone", entry.name);
    }
}

fn lives(seed: u64) {
    let model = Shared::default();
    let mut disk = SimDisk::new();
    for life in 0..4 {
        let sim = Sim::with_disk(disk, seed.wrapping_mul(1_009).wrapping_add(life));
        let chance = sim.io().random_u64();
        let (shared, looked) = (Rc::clone(&model), Rc::new(Cell::new(false)));
        let looked_ = Rc::clone(&looked);
        sim.run_steps(2_000 + chance % 12_000, |io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = match storage.log(id(0)) {
                Some(log) => log,
                None => {
                    assert_eq!(shared.borrow().durable, 0, "the log is gone");
                    storage.create(id(0), config()).await.unwrap()
                }
            };
            log.set_config(config());
            verify(&io, &log, &shared).await;
            looked_.set(true);
            io.spawn(writer(io.clone(), log.clone(), Rc::clone(&shared)));
            io.spawn(reader(io.clone(), log.clone(), Rc::clone(&shared)));
            io.spawn(reader(io.clone(), log.clone(), Rc::clone(&shared)));
            keeper(io, log, shared).await;
        });
        // A life too short to look leaves everything to the next one.
        assert!(life > 0 || looked.get(), "seed {seed}: a life has room for a start");
        disk = if chance.is_multiple_of(2) { sim.crash() } else { sim.kill() };
    }
    let sim = Sim::with_disk(disk, seed);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let Some(log) = storage.log(id(0)) else {
            assert_eq!(model.borrow().durable, 0, "the log is gone");
            return;
        };
        verify(&io, &log, &model).await;
        storage.shutdown().await.unwrap();
    });
}

#[test]
fn retention_gives_up_what_it_must_and_nothing_else_at_any_crash() {
    let seeds = std::env::var("KOLK_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(12);
    for seed in 0..seeds {
        lives(seed);
    }
}

/// Appends records of this time until several segments have rolled.
async fn fill(io: &SimIo, log: &Log<SimIo>, time: i64) {
    let mut builder = BatchBuilder::new();
    builder.append(TimestampMs::new(time), None, Some(&[7; 2_000]), &[]).unwrap();
    let bytes = builder.build(Compression::None).unwrap();
    let upto = log.log_end().get() + 60;
    while log.log_end().get() < upto {
        match log.append(&[BatchView::parse(&bytes).unwrap().0], SyncPolicy::EachGroup) {
            Ok(_) => {}
            Err(AppendRefused::Busy) => io.sleep(Duration::from_millis(1)).await,
            Err(refused) => panic!("{refused:?}"),
        }
    }
    while log.durable() < log.log_end() {
        io.sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn segments_that_do_not_say_how_old_they_are_go_with_the_next_one_that_is_too_old() {
    Sim::new(1).run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config()).await.unwrap();
        let retention = Retention { before: Some(TimestampMs::new(5_000)), bytes_max: None };
        fill(&io, &log, -1).await;
        let start = log.apply_retention(retention).await.unwrap().get();
        assert_eq!(start, 0, "records without a time were taken for old ones");
        fill(&io, &log, 4_000).await;
        fill(&io, &log, 6_000).await;
        let start = log.apply_retention(retention).await.unwrap().get();
        assert!((100..=120).contains(&start), "{start}");
        storage.shutdown().await.unwrap();
    });
}

#[test]
fn a_segment_that_was_trimmed_to_its_end_goes_once_it_is_sealed() {
    let sim = Sim::new(3);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config()).await.unwrap();
        for stamp in 0..5 {
            put(&io, &log, 1_000, stamp).await;
        }
        log.set_log_start(log.log_end()).await.unwrap();
        assert!(!log.has_segments_to_drop(), "the active one never goes");
        log.roll();
        while log.segment_count() < 2 {
            io.sleep(Duration::from_micros(200)).await;
        }
        assert!(log.has_segments_to_drop());
        let start = log.log_end();
        assert_eq!(log.apply_retention(Retention::default()).await.unwrap(), start);
        assert_eq!((log.segment_count(), log.size_bytes()), (1, 0));
        check_files(&io, &log).await;
    });
}
