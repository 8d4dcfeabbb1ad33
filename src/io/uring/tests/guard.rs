//! What an append, an idle executor and a wake may cost. Counted, not timed: other load on the
//! machine does not matter.
#![allow(unsafe_code, reason = "getrusage has no safe wrapper in the standard library")]

use std::time::Duration;

use super::{RUNTIMES, create, on_shard, page, spec};
use crate::channel;
use crate::door::{File, Io};
use crate::uring::shard::spawn_shard;

/// CPU time of the calling thread in microseconds.
fn thread_cpu_us() -> u64 {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is memory of this frame, large enough.
    unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    // SAFETY: zeroed before, and a plain struct of numbers.
    let usage = unsafe { usage.assume_init() };
    let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
    u64::try_from(micros(usage.ru_utime) + micros(usage.ru_stime)).unwrap()
}

#[test]
fn a_durable_append_costs_few_system_calls_and_little_cpu() {
    const APPENDS: u64 = 300;
    on_shard(|io, dir| async move {
        let file = create(&io, &dir.join("f")).await;
        for position in 0..APPENDS {
            file.write_at(position * 4096, &[page(0)]).await.unwrap();
        }
        file.sync().await.unwrap();
        let (counts, cpu) = (io.ring_counts(), thread_cpu_us());
        for position in 0..APPENDS {
            file.write_and_sync_at(position * 4096, &[page(1)]).await.unwrap();
        }
        let (after, cpu) = (io.ring_counts(), thread_cpu_us() - cpu);
        let enters = after.enters - counts.enters;
        // A wake-up costs about ten calls more on glommio, which can't be seen from here; the CPU
        // shows if they become many (its polling trap cost 1,900 calls and 3.9 ms each). Two an append
        // at most: for the end of the write and for that of the sync.
        let wakes = after.doorbells - counts.doorbells;
        assert!(enters + 10 * wakes < 30 * APPENDS, "{enters} calls, {wakes} wake-ups");
        assert!(enters <= 4 * APPENDS, "{enters} calls for {APPENDS} appends");
        assert!(cpu < 500 * APPENDS, "{cpu} us of CPU for {APPENDS} appends");
    });
}

#[test]
fn an_idle_executor_sleeps() {
    on_shard(|io, _| async move {
        io.on_lag(|_| {});
        io.sleep(Duration::from_millis(50)).await;
        let (counts, cpu) = (io.ring_counts(), thread_cpu_us());
        io.sleep(Duration::from_millis(1000)).await;
        let (enters, cpu) = (io.ring_counts().enters - counts.enters, thread_cpu_us() - cpu);
        assert!(enters <= 15, "{enters} wake-ups in an idle second");
        assert!(cpu <= 10_000, "{cpu} us of CPU in an idle second: over 1 % of a core");
    });
}

#[test]
fn values_between_executors_wake_the_sleeper_once() {
    const VALUES: u64 = 500;
    for runtime in RUNTIMES {
        let (to_echo, from_main) = channel::pair::<u64>(8);
        let (to_main, from_echo) = channel::pair::<u64>(8);
        let echo = spawn_shard(spec(runtime), move |io| async move {
            while let Some(value) = from_main.recv().await {
                to_main.send(value).await.unwrap();
            }
            io.ring_counts()
        });
        let asker = spawn_shard(spec(runtime), move |_| async move {
            for value in 0..VALUES {
                to_echo.send(value).await.unwrap();
                assert_eq!(from_echo.recv().await, Some(value));
            }
        });
        asker.unwrap().join().unwrap();
        let counts = echo.unwrap().join().unwrap();
        assert!(counts.doorbells <= VALUES + 2, "{counts:?}");
        assert!(counts.enters <= 3 * VALUES + 20, "{counts:?}");
    }
}
