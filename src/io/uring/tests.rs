//! The real kernel, in a temporary directory beside the build: tmpfs has no direct I/O.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use tempfile::TempDir;

use super::shard::{Runtime, ShardSpec, run_here, spawn_shard};
use super::uring_io::UringIo;
use crate::buf::{AlignedBuf, AlignedSlice, TailBuf};
use crate::door::{File, Io, OpenMode};
use crate::error::{IoError, Op};
use crate::wait::Completion;

mod guard;
mod sockets;

fn temporary_dir() -> TempDir {
    let binary = std::env::current_exe().unwrap();
    tempfile::tempdir_in(binary.parent().unwrap()).unwrap()
}

const RUNTIMES: [Runtime; 2] = [Runtime::Ring, Runtime::Glommio];

fn spec(runtime: Runtime) -> ShardSpec {
    ShardSpec { runtime, ..ShardSpec::new("io-test") }
}

/// Runs a test's program on an executor of each runtime.
fn on_shard<F>(main: impl FnOnce(UringIo, PathBuf) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + 'static,
{
    for runtime in RUNTIMES {
        let (dir, main) = (temporary_dir(), main.clone());
        let path = dir.path().to_path_buf();
        let shard = spawn_shard(spec(runtime), move |io| main(io, path)).unwrap();
        shard.wait_ready(Duration::from_secs(20)).unwrap().join().unwrap();
    }
}

fn page(byte: u8) -> AlignedSlice {
    AlignedBuf::from_bytes(&[byte; 4096]).into_slice()
}

fn byte_of(nth: u64) -> u8 {
    nth.to_le_bytes()[0]
}

async fn create(io: &UringIo, path: &Path) -> super::uring_file::UringFile {
    io.open(path, OpenMode::CreateNew).await.unwrap()
}

#[test]
fn written_pages_are_read_back() {
    on_shard(|io, dir| async move {
        let file = create(&io, &dir.join("f")).await;
        file.write_at(4096, &[page(2), page(3)]).await.unwrap();
        file.write_and_sync_at(0, &[page(1)]).await.unwrap();
        let read = file.read_at(0, 16_384).await.unwrap();
        assert_eq!(read.len(), 12_288);
        assert_eq!((read[0], read[4096], read[12_287]), (1, 2, 3));
        assert_eq!(file.read_at(12_288, 4096).await.unwrap().len(), 0);
        file.truncate(5000).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 5000);
        assert_eq!(file.read_at(4096, 8192).await.unwrap().len(), 904);
        file.allocate(8192, 8192).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 16_384);
        file.sync().await.unwrap();
        file.close().await.unwrap();
    });
}

#[test]
fn cached_and_direct_writes_of_a_file_meet() {
    on_shard(|io, dir| async move {
        let path = dir.join("f");
        let direct = create(&io, &path).await;
        direct.write_at(0, &[page(1), page(1), page(1), page(1)]).await.unwrap();
        let cached = io.open(&path, OpenMode::Cached).await.unwrap();
        cached.write_at(4096, &[page(2), page(2)]).await.unwrap();
        direct.write_and_sync_at(8192, &[page(3)]).await.unwrap();
        cached.begin_write_back(0, 12_288);
        cached.write_at(12_288, &[page(4)]).await.unwrap();
        direct.sync().await.unwrap();
        let read = direct.read_at(0, 16_384).await.unwrap();
        assert_eq!([0, 4096, 8192, 12_288].map(|at: usize| read[at]), [1, 2, 3, 4]);
        assert_eq!([4095, 8191, 12_287, 16_383].map(|at: usize| read[at]), [1, 2, 3, 4]);
        let refused = cached.read_at(0, 4096).await.err().unwrap();
        assert!(refused.to_string().contains("Bad file"), "opened for writes alone: {refused}");
    });
}

#[test]
fn an_executor_that_spins_writes_cached_files_itself() {
    for runtime in RUNTIMES {
        let dir = temporary_dir();
        let path = dir.path().join("f");
        let spec = ShardSpec { spin: Duration::from_micros(200), ..spec(runtime) };
        let shard = spawn_shard(spec, move |io| async move {
            let direct = create(&io, &path).await;
            direct.write_at(0, &[page(1), page(1)]).await.unwrap();
            let cached = io.open(&path, OpenMode::Cached).await.unwrap();
            let before = io.ring_counts().submissions;
            cached.write_at(4096, &[page(2)]).await.unwrap();
            assert_eq!(io.ring_counts().submissions, before);
            direct.sync().await.unwrap();
            let read = direct.read_at(0, 8192).await.unwrap();
            assert_eq!([0, 4096].map(|at: usize| read[at]), [1, 2]);
            let gone = io.open(Path::new("/dev/full"), OpenMode::Cached).await.unwrap();
            let refused = gone.write_at(0, &[page(1)]).await.unwrap_err();
            assert!(refused.is_no_space(), "{refused}");
        });
        shard.unwrap().join().unwrap();
    }
}

#[test]
fn durable_writes_tell_the_share_of_the_sync() {
    on_shard(|io, dir| async move {
        let file = create(&io, &dir.join("f")).await;
        for nth in 0..10 {
            let timing = file.write_and_sync_at(nth * 4096, &[page(1)]).await.unwrap();
            assert!(timing.fdatasync_ns.is_some_and(|ns| ns < timing.total_ns), "{timing:?}");
        }
    });
}

#[test]
fn a_tail_is_written_while_it_grows() {
    on_shard(|io, dir| async move {
        let file = create(&io, &dir.join("f")).await;
        let mut tail = TailBuf::new(1 << 20);
        let mut writes = Vec::new();
        for round in 0..64_u8 {
            let from = tail.len();
            tail.append(&[round; 8192]);
            writes.push(file.write_at(from as u64, &[tail.pages(from..tail.len())]));
        }
        for write in writes {
            write.await.unwrap();
        }
        let read = file.read_at(0, 1 << 19).await.unwrap();
        assert_eq!(&*read, &*tail.slice(0..tail.len()));
    });
}

#[test]
fn errors_name_the_operation_and_the_file() {
    on_shard(|io, dir| async move {
        let path = dir.join("f");
        let absent = io.open(&path, OpenMode::ReadOnly).await.err().unwrap();
        assert_eq!(absent, IoError::NotFound { path: path.clone() });
        let file = create(&io, &path).await;
        assert!(io.open(&path, OpenMode::CreateNew).await.err().unwrap().is_already_exists());
        file.write_at(0, &[page(1)]).await.unwrap();
        let reader = io.open(&path, OpenMode::ReadOnly).await.unwrap();
        let wanted = |op| IoError::Os { op, errno: libc::EBADF, path: path.clone() };
        assert_eq!(reader.write_at(0, &[page(1)]).await.unwrap_err(), wanted(Op::Write));
        // Sampled or not, the write's refusal is what is told, not the sync's cancellation.
        for _ in 0..40 {
            let refused = reader.write_and_sync_at(0, &[page(1)]).await.unwrap_err();
            assert_eq!(refused, wanted(Op::Write));
        }
        assert!(io.sync_dir(&dir.join("none")).await.unwrap_err().is_not_found());
        assert!(io.remove_dir(&dir).await.is_err());
        let zero = io.open(Path::new("a\0b"), OpenMode::ReadOnly).await.err().unwrap();
        assert_eq!(zero, IoError::BadPath { path: "a\0b".into() });
    });
}

#[test]
fn a_file_size_limit_is_a_short_write_and_nothing_is_synced() {
    // RLIMIT_FSIZE belongs to the process: other tests write less than this.
    on_shard(|io, dir| async move {
        let file = create(&io, &dir.join("f")).await;
        let refused = file.write_at((1 << 44) - 4096, &[page(1), page(2)]).await.unwrap_err();
        match refused {
            IoError::ShortWrite { wanted: 8192, written: 4096, .. } => {}
            IoError::Os { op: Op::Write, errno: libc::EFBIG, .. } => {}
            other => panic!("{other}"),
        }
    });
}

#[test]
fn names_are_created_listed_renamed_and_removed() {
    on_shard(|io, dir| async move {
        let deep = dir.join("topics/1/2");
        io.create_dir_all(&deep).await.unwrap();
        io.create_dir_all(&deep).await.unwrap();
        io.sync_dir(&deep).await.unwrap();
        let file = create(&io, &deep.join("b.log")).await;
        file.write_at(0, &[page(1)]).await.unwrap();
        io.create_dir(&deep.join("a")).await.unwrap();
        io.rename(&deep.join("b.log"), &deep.join("c.log")).await.unwrap();
        let listed = io.list_dir(&deep).await.unwrap();
        let seen: Vec<_> = listed.iter().map(|e| (e.name.as_str(), e.is_dir, e.bytes)).collect();
        assert_eq!(seen, [("a", true, 0), ("c.log", false, 4096)]);
        assert!(io.list_dir(&dir.join("none")).await.unwrap_err().is_not_found());
        io.remove_dir_all(&dir.join("topics")).await.unwrap();
        io.remove_dir_all(&dir.join("topics")).await.unwrap();
        assert!(io.list_dir(&dir).await.unwrap().is_empty());
        let space = io.space(&dir).await.unwrap();
        assert!(space.free_bytes > 0 && space.free_bytes <= space.total_bytes);
    });
}

#[test]
fn metadata_files_are_replaced_whole() {
    on_shard(|io, dir| async move {
        let path = dir.join("CURRENT");
        assert_eq!(io.read_file(&path, 100).await.unwrap(), None);
        for content in [&b"one"[..], &[7; 10_000], b""] {
            io.write_file_atomic(&path, content).await.unwrap();
            assert_eq!(io.read_file(&path, 10_000).await.unwrap().unwrap(), content);
        }
        assert_eq!(io.list_dir(&dir).await.unwrap().len(), 1);
    });
}

#[test]
fn a_dropped_write_still_lands_and_the_ring_ends_clean() {
    for runtime in RUNTIMES {
        let dir = temporary_dir();
        let path = dir.path().join("f");
        let inside = path.clone();
        let shard = spawn_shard(spec(runtime), move |io| async move {
            let file = create(&io, &inside).await;
            drop(file.write_at(0, &[page(1)]));
            drop(file.read_at(0, 4096));
            file.sync().await.unwrap();
            // Left in flight when the executor ends.
            drop(file.write_and_sync_at(4096, &[page(2)]));
            io.yield_now().await;
        });
        shard.unwrap().join().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a look from outside")]
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[..4096], [1; 4096]);
    }
}

#[test]
fn more_operations_than_the_ring_has_entries_all_complete() {
    for runtime in RUNTIMES {
        let dir = temporary_dir();
        let path = dir.path().join("f");
        let spec = ShardSpec { ring_entries: 8, ..spec(runtime) };
        let shard = spawn_shard(spec, move |io| async move {
            let file = create(&io, &path).await;
            file.allocate(0, 4 << 20).await.unwrap();
            let writes: Vec<_> =
                (0..500).map(|nth| file.write_at(nth * 4096, &[page(byte_of(nth))])).collect();
            for write in writes {
                write.await.unwrap();
            }
            let read = file.read_at(0, 500 * 4096).await.unwrap();
            assert!(read.chunks(4096).zip(0..).all(|(page, nth)| page == [byte_of(nth); 4096]));
            io.ring_counts()
        });
        let counts = shard.unwrap().join().unwrap();
        assert!(counts.answers >= 502, "{counts:?}");
    }
}

#[test]
fn tasks_timers_and_values_work_together() {
    on_shard(|io, _| async move {
        let start = io.now();
        let (first, second) = (Completion::new(), Completion::new());
        let (to_first, to_second, inner) = (first.clone(), second.clone(), io.clone());
        io.spawn(async move {
            inner.sleep(Duration::from_millis(20)).await;
            to_first.complete(inner.now());
        });
        io.spawn(async move { to_second.complete(2) });
        io.yield_now().await;
        assert_eq!(second.await, 2);
        assert!(first.await - start >= Duration::from_millis(20));
        assert!(io.wall_clock().as_ms() > 0);
    });
}

#[test]
fn a_spawned_task_starts_after_its_spawner_yields() {
    on_shard(|io, _| async move {
        let state = Rc::new(std::cell::RefCell::new(0));
        let theirs = Rc::clone(&state);
        {
            let mut held = state.borrow_mut();
            io.spawn(async move { *theirs.borrow_mut() += 1 });
            *held += 1;
        }
        io.yield_now().await;
        io.yield_now().await;
        assert_eq!(*state.borrow(), 2);
    });
}

#[test]
fn the_same_file_is_shared_by_clones_until_the_last_is_closed() {
    on_shard(|io, dir| async move {
        let file = create(&io, &dir.join("f")).await;
        let other = Rc::new(file.clone());
        file.close().await.unwrap();
        other.write_at(0, &[page(1)]).await.unwrap();
        Rc::into_inner(other).unwrap().close().await.unwrap();
    });
}

#[test]
fn an_executor_that_cannot_start_says_why() {
    for runtime in RUNTIMES {
        let refused = spawn_shard(spec(runtime).on_core(100_000), |_| async {}).unwrap();
        let error = refused.wait_ready(Duration::from_secs(20)).err().unwrap().to_string();
        assert!(error.contains("shard io-test") && error.contains("100000"), "{error}");
    }
}

#[test]
fn the_ticker_reports_lag() {
    on_shard(|io, _| async move {
        let seen = Rc::new(std::cell::Cell::new(0));
        let count = Rc::clone(&seen);
        io.on_lag(move |_| count.set(count.get() + 1));
        io.sleep(Duration::from_millis(350)).await;
        // 100 ms apart, or 10 ms where answers were seen in between.
        assert!((2..=36).contains(&seen.get()), "{} ticks", seen.get());
    });
}

#[test]
fn an_executor_runs_where_it_is_pinned() {
    let last = crate::host::cores::allowed().pop().unwrap();
    for runtime in RUNTIMES {
        let allowed = |_| async { crate::host::cores::allowed() };
        let shard = spawn_shard(spec(runtime).on_core(last), allowed).unwrap();
        assert_eq!(shard.join().unwrap(), [last]);
    }
}

#[test]
fn an_executor_runs_on_the_calling_thread_one_after_the_other() {
    let thread = std::thread::current().id();
    for runtime in RUNTIMES.into_iter().chain(RUNTIMES) {
        let here = run_here(spec(runtime), |io| async move {
            io.sleep(Duration::from_millis(1)).await;
            std::thread::current().id()
        });
        assert_eq!(here.unwrap(), thread);
    }
}

#[test]
fn a_spinning_executor_finds_its_work() {
    for runtime in RUNTIMES {
        let core = crate::host::cores::allowed().into_iter().next();
        let spec = ShardSpec { spin: Duration::from_micros(200), core, ..spec(runtime) };
        let (to_spinner, values) = crate::channel::pair::<u32>(4);
        let spinner = spawn_shard(spec, move |io| async move {
            io.sleep(Duration::from_millis(5)).await;
            let mut sum = 0;
            while let Some(value) = values.recv().await {
                sum += value;
            }
            sum
        });
        crate::channel::block_on(async {
            for value in 0..1000 {
                to_spinner.send(value).await.unwrap();
            }
        });
        drop(to_spinner);
        assert_eq!(spinner.unwrap().join().unwrap(), 499_500);
    }
}
