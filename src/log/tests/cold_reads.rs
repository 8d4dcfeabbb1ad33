//! Readers of what lies on disk alone: who go away in the middle, or are polled no more, and whose index has become another one
//! meanwhile. And who trims and goes away.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use kolk_io::door::Io;
use kolk_io::sim::{Sim, SimDisk, SimIo};
use kolk_model::batch::BatchView;
use kolk_model::offset::Offset;

use crate::log::read::total;
use crate::log::{Log, index_name};
use crate::settings::{LogConfig, LogSettings, SyncPolicy};
use crate::tests::life::{config, id, put, read_all, small_settings, start, start_with};

/// What becomes of a reader in the middle of his read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum First {
    Goes,
    /// He is still there, as behind a client who reads nothing of what is sent.
    IsPolledNoMore,
}

#[test]
fn a_reader_who_goes_away_leaves_his_window_to_the_others() {
    check(First::Goes);
}

#[test]
fn a_reader_who_is_polled_no_more_keeps_his_window_from_nobody() {
    check(First::IsPolledNoMore);
}

fn check(first: First) {
    for polls in 1..20 {
        let sim = Sim::new(1);
        sim.run(|io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
            for stamp in 0..60 {
                put(&io, &log, 9_000, stamp).await;
            }
            storage.shutdown().await.unwrap();
        });
        let ended = Rc::new(Cell::new(false));
        let told = Rc::clone(&ended);
        Sim::with_disk(sim.kill(), 2).run(move |io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.log(id(0)).unwrap();
            let same = log.clone();
            let mut read =
                Box::pin(async move { same.read(Offset::ZERO, same.log_end(), 1).await });
            let mut left = polls;
            poll_fn(|cx| {
                left -= 1;
                let ended = read.as_mut().poll(cx).is_ready();
                if ended || left == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            let kept = (first == First::IsPolledNoMore).then_some(read);
            io.spawn(async move {
                assert_eq!(read_all(&log).await.len(), 60);
                told.set(true);
            });
            io.sleep(Duration::from_secs(5)).await;
            drop(kept);
        });
        assert!(ended.get(), "{first:?} after {polls} polls: the next reader waits for ever");
    }
}

/// Memory for a few pages of a log, and for a window: what is synced leaves it soon.
fn forgetful() -> LogSettings {
    LogSettings { memory_bytes_max: 64 << 10, ..small_settings() }
}

/// What happens to the run that still grew when a reader took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Closes,
    EndsItsSegment,
}

#[test]
fn a_place_taken_before_its_last_run_grew_leaves_no_cut_off_window() {
    check_taken_before(Then::Closes);
}

#[test]
fn a_place_taken_before_a_roll_leaves_no_cut_off_window() {
    check_taken_before(Then::EndsItsSegment);
}

fn check_taken_before(then: Then) {
    let sim = Sim::new(3);
    sim.run(move |io| async move {
        let storage = start_with(&io, 1, forgetful()).await.remove(0);
        let config = LogConfig { segment_bytes: 16 << 20, ..config(SyncPolicy::EachGroup) };
        let log = storage.create(id(0), config).await.unwrap();
        let mut count = 0;
        for _ in 0..6 {
            put(&io, &log, 1_000, count).await;
            count += 1;
        }
        let place = log.place(Offset::ZERO).await.unwrap().unwrap();
        assert_eq!(place.index.runs().len(), 2, "one that is closed and one that grows");
        put(&io, &log, 1_000, count).await;
        count += 1;
        if then == Then::EndsItsSegment {
            log.roll();
            while log.segment_count() == 1 {
                io.sleep(Duration::from_micros(200)).await;
            }
        }
        let held = || {
            let state = log.inner.state.borrow();
            let first = state.segments.front().unwrap();
            let runs = first.index.as_ref().unwrap().runs();
            let second = runs.get(1).unwrap().position;
            first.tail.start() <= second && first.tail.start() < first.tail.end()
        };
        while held() {
            assert!(count < 2_000, "the disk has it, and memory keeps it");
            put(&io, &log, 1_000, count).await;
            count += 1;
        }
        let end = log.log_end();
        let read = log.read_cold((place, 0), (Offset::ZERO, end), 1 << 20).await.unwrap();
        assert!(total(&read) > 4_000, "{}", total(&read));
        assert_eq!(stamps(&read_all(&log).await), (0..count).collect::<Vec<_>>(), "{then:?}");
    });
}

/// The stamps of batches, in the order they were read in.
fn stamps(batches: &[Bytes]) -> Vec<u64> {
    let stamp = |batch: &Bytes| {
        u64::try_from(BatchView::parse(batch).unwrap().0.max_timestamp().get()).unwrap()
    };
    batches.iter().map(stamp).collect()
}

/// As if so many other indexes had been loaded: that of the first segment is the oldest.
fn load_others(log: &Log<SimIo>) {
    for n in 0..400 {
        log.inner.shard.index_loaded(log.id(), Offset::new(1_000_000 + n));
    }
}

fn has_index(log: &Log<SimIo>) -> bool {
    log.inner.state.borrow().segments.front().unwrap().index.is_some()
}

/// A disk with a log whose first segment, of 60 batches, is sealed.
fn two_segments() -> SimDisk {
    let sim = Sim::new(5);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        for stamp in 0..60 {
            put(&io, &log, 1_000, stamp).await;
        }
        log.roll();
        while log.segment_count() == 1 {
            io.sleep(Duration::from_micros(200)).await;
        }
        put(&io, &log, 1_000, 60).await;
        // The index of a segment that was rolled is written beside what comes after.
        io.sleep(Duration::from_secs(1)).await;
        storage.shutdown().await.unwrap();
    });
    sim.kill()
}

#[test]
fn windows_read_before_an_index_was_made_again_still_fit_it() {
    Sim::with_disk(two_segments(), 6).run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.log(id(0)).unwrap();
        let all: Vec<u64> = (0..=60).collect();
        assert_eq!(stamps(&read_all(&log).await), all);
        load_others(&log);
        assert!(!has_index(&log));
        io.remove_file(&log.dir().join(index_name(Offset::ZERO))).await.unwrap();
        for index_interval_bytes in [1024, 16 << 10] {
            log.set_config(LogConfig { index_interval_bytes, ..config(SyncPolicy::EachGroup) });
            for from in (0..60).step_by(7) {
                let read = log.read(Offset::new(from), log.log_end(), 1).await.unwrap().concat();
                let first = BatchView::parse(&read).unwrap().0;
                assert!(first.base_offset().get() <= from && from < first.next_offset().get());
            }
            assert_eq!(stamps(&read_all(&log).await), all, "{index_interval_bytes}");
        }
    });
}

#[test]
fn an_index_that_was_to_leave_memory_during_a_swap_leaves_it_later() {
    Sim::with_disk(two_segments(), 7).run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.log(id(0)).unwrap();
        assert_eq!(read_all(&log).await.len(), 61);
        log.inner.state.borrow_mut().swapping = true;
        load_others(&log);
        assert!(has_index(&log), "its file may still be that of another version");
        log.inner.state.borrow_mut().swapping = false;
        load_others(&log);
        assert!(!has_index(&log));
    });
}

#[test]
fn a_trim_goes_on_when_whoever_asked_has_left() {
    for polls in 1..30 {
        let sim = Sim::new(1);
        sim.run(move |io| async move {
            let storage = start(&io, 1).await.remove(0);
            let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
            for stamp in 0..80 {
                put(&io, &log, 9_000, stamp).await;
            }
            assert!(log.segment_count() > 3);
            {
                let mut trim = pin!(log.set_log_start(log.durable()));
                let mut left = polls;
                poll_fn(|cx| {
                    left -= 1;
                    let ended = trim.as_mut().poll(cx).is_ready();
                    if ended || left == 0 { Poll::Ready(()) } else { Poll::Pending }
                })
                .await;
            }
            io.sleep(Duration::from_secs(1)).await;
            assert_eq!((log.log_start(), log.segment_count()), (log.durable(), 1));
        });
        let files = sim.with_disk_mut(|disk| disk.files());
        let segments = files.iter().filter(|path| path.ends_with(".log")).count();
        assert_eq!(segments, 1, "gone after {polls} polls: {files:?}");
    }
}

#[test]
fn a_small_read_does_not_pin_what_it_lies_in() {
    let sim = Sim::new(1);
    sim.run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.create(id(0), config(SyncPolicy::EachGroup)).await.unwrap();
        for stamp in 0..60 {
            put(&io, &log, if stamp % 30 == 29 { 30_000 } else { 1_000 }, stamp).await;
        }
        let end = log.log_end();
        assert!(log.read_in_memory(Offset::ZERO, end, 1).unwrap().is_some(), "all is in memory");
        check_pins(&log).await;
        storage.shutdown().await.unwrap();
    });
    Sim::with_disk(sim.kill(), 2).run(|io| async move {
        let storage = start(&io, 1).await.remove(0);
        let log = storage.log(id(0)).unwrap();
        // Twice, so that the window is known.
        for _ in 0..2 {
            read_all(&log).await;
        }
        assert!(log.read_in_memory(Offset::ZERO, log.log_end(), 1).unwrap().is_none(), "on disk");
        check_pins(&log).await;
    });
}

/// Reads a little, which is a copy, and much, which is shared with the log.
async fn check_pins(log: &Log<SimIo>) {
    // Behind the buffers of a log that has just begun, which are small.
    let from = Offset::new(55);
    let little = log.read(from, log.log_end(), 1).await.unwrap();
    assert!(little.iter().all(Bytes::is_unique), "{} bytes pin a buffer", total(&little));
    let much = log.read(from, log.log_end(), 40_000).await.unwrap();
    assert!(!much.iter().any(Bytes::is_unique), "{} bytes are a copy", total(&much));
}
