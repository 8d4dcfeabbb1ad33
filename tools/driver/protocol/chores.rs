//! What drivers on tokio share: a runtime for a client's sockets, behind the caller or on its thread.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::ack::{AckSink, Fate};
use crate::clock::Moment;
use crate::driver::Labour;
use crate::error::{DriverError, Outcome};

/// A caller with nothing on its way sleeps at most for so long without a look at its sockets, which may want an answer.
const SLEEP_MAX: Duration = Duration::from_millis(100);
/// Threads for the sockets of all of a driver's producers that leave their work to it.
const THREADS: usize = 1;

/// A runtime whose own threads do the work, for producers: their callers keep a schedule.
pub(super) fn background() -> Outcome<Runtime> {
    let built = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
    built.map_err(DriverError::Runtime)
}

/// A runtime that works while its one caller waits: one hand-over less.
pub(super) fn own() -> Outcome<Runtime> {
    let built = Builder::new_current_thread().enable_all().build();
    built.map_err(DriverError::Runtime)
}

/// Where a producer's client works.
pub(super) enum Workplace {
    Background(Handle),
    Caller(Own),
}

/// A runtime on the thread of its caller.
pub(super) struct Own {
    /// Dropped before the runtime that watches it.
    alarm: AsyncFd<OwnedFd>,
    news: Arc<News>,
    runtime: Runtime,
}

/// What a caller knows of its records without its sink.
#[derive(Default)]
struct News {
    /// There is a new fate.
    told: Notify,
    /// Records without a fate; counted and looked at on one thread.
    on_their_way: AtomicU32,
}

/// Reports fates, and wakes a caller who waits for one within its own runtime.
#[derive(Clone)]
pub(super) struct Reporter {
    acks: AckSink,
    news: Option<Arc<News>>,
}

impl Workplace {
    pub(super) fn new(labour: Labour, background: &Runtime) -> Outcome<Self> {
        Ok(match labour {
            Labour::Background => Self::Background(background.handle().clone()),
            Labour::Caller => Self::Caller(Own::new()?),
        })
    }

    /// Where tasks are spawned, and sockets opened.
    pub(super) fn handle(&self) -> &Handle {
        match self {
            Self::Background(handle) => handle,
            Self::Caller(own) => own.runtime.handle(),
        }
    }

    pub(super) fn reporter(&self, acks: AckSink) -> Reporter {
        let news = match self {
            Self::Background(_) => None,
            Self::Caller(own) => Some(Arc::clone(&own.news)),
        };
        Reporter { acks, news }
    }

    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            Self::Background(handle) => handle.block_on(future),
            Self::Caller(own) => own.runtime.block_on(future),
        }
    }

    /// Waits for a future that is mostly ready, without the cost of waiting where it is.
    pub(super) fn at_once<F: Future>(&self, future: F) -> F::Output {
        let handle = match self {
            Self::Background(handle) => handle,
            // It polls the future before anything else, and returns if that is enough.
            Self::Caller(own) => return own.runtime.block_on(future),
        };
        let mut future = pin!(future);
        // A first poll may open sockets and timers.
        let entered = handle.enter();
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => {
                drop(entered);
                handle.block_on(future)
            }
        }
    }

    /// Counts a record whose fate will be reported.
    pub(super) fn sent(&self) {
        if let Self::Caller(own) = self {
            own.news.on_their_way.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As a producer takes a fate.
    pub(super) fn take(
        &self,
        fates: &Receiver<Fate>,
        wait: Duration,
    ) -> Result<Fate, RecvTimeoutError> {
        match self {
            Self::Background(_) => fates.recv_timeout(wait),
            Self::Caller(own) => own.take(fates, wait),
        }
    }

    /// As a producer rests.
    pub(super) fn rest(&self, time: Duration) -> Outcome<()> {
        match self {
            Self::Background(_) => {
                std::thread::sleep(time);
                Ok(())
            }
            Self::Caller(own) => own.rest(time).map_err(DriverError::Runtime),
        }
    }
}

impl Own {
    fn new() -> Outcome<Self> {
        let runtime = own()?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let alarm = timerfd_create(TimerfdClockId::Monotonic, flags).map_err(io::Error::from);
        let entered = runtime.enter();
        #[expect(
            deprecated,
            reason = "the danger is a descriptor that is closed elsewhere: nobody else has this one; what replaces it is unsafe"
        )]
        let alarm = alarm.and_then(AsyncFd::new).map_err(DriverError::Runtime)?;
        drop(entered);
        Ok(Self { alarm, news: Arc::default(), runtime })
    }

    fn take(&self, fates: &Receiver<Fate>, wait: Duration) -> Result<Fate, RecvTimeoutError> {
        // What was told before is no news: a waiter may find nothing, and waits again.
        let next = async {
            loop {
                match fates.try_recv() {
                    Ok(fate) => return Ok(fate),
                    Err(std::sync::mpsc::TryRecvError::Empty) => self.news.told.notified().await,
                    Err(std::sync::mpsc::TryRecvError::Disconnected) => {
                        return Err(RecvTimeoutError::Disconnected);
                    }
                }
            }
        };
        let taken = self.runtime.block_on(async { timeout(wait, next).await });
        taken.unwrap_or(Err(RecvTimeoutError::Timeout))
    }

    /// By a timer of the kernel: the runtime's own count ms. Where there is nothing to do a plain sleep comes back 10 µs sooner.
    fn rest(&self, time: Duration) -> io::Result<()> {
        if time.is_zero() {
            return Ok(());
        }
        if time <= SLEEP_MAX && self.news.on_their_way.load(Ordering::Relaxed) == 0 {
            std::thread::sleep(time);
            return Ok(());
        }
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let once = Timespec { tv_sec: seconds, tv_nsec: time.subsec_nanos().into() };
        let spec = Itimerspec { it_interval: never, it_value: once };
        timerfd_settime(&self.alarm, TimerfdTimerFlags::empty(), &spec)?;
        self.runtime.block_on(async {
            loop {
                let mut ready = self.alarm.readable().await?;
                let mut count = [0; 8];
                let rang = ready.try_io(|alarm| Ok(rustix::io::read(alarm, &mut count)?));
                // That it would block is the one error that does not come out.
                if let Ok(rang) = rang {
                    return rang.map(drop);
                }
            }
        })
    }
}

impl Reporter {
    pub(super) fn acknowledged(&self, intended: Moment) {
        self.acks.acknowledged(intended);
        self.tell();
    }

    pub(super) fn failed(&self, reason: impl ToString) {
        self.acks.failed(reason);
        self.tell();
    }

    fn tell(&self) {
        if let Some(news) = &self.news {
            news.on_their_way.fetch_sub(1, Ordering::Relaxed);
            news.told.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, wake_precisely};

    fn here() -> Workplace {
        Workplace::new(Labour::Caller, &background().unwrap()).unwrap()
    }

    #[test]
    fn a_caller_that_rests_does_the_clients_work_and_comes_back_when_it_wanted() {
        wake_precisely();
        let (place, clock) = (here(), Clock::start());
        let (sink, fates) = AckSink::new(clock);
        let reporter = place.reporter(sink);
        let worked = place.handle().spawn(async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            reporter.acknowledged(Moment::from_ns(7));
        });
        place.sent();
        let begin = clock.now();
        place.rest(Duration::from_micros(8_300)).unwrap();
        let rested = clock.now().since(begin);
        assert!(rested >= Duration::from_micros(8_300), "{rested:?}");
        assert!(worked.is_finished(), "nobody else could have done it");
        assert!(matches!(fates.try_recv(), Ok(Fate::Acknowledged { .. })));
        // Once more with nothing on its way, and again behind an alarm that has rung.
        for sent in [0, 1] {
            (0..sent).for_each(|_| place.sent());
            let begin = clock.now();
            place.rest(Duration::from_micros(1_300)).unwrap();
            assert!(clock.now().since(begin) >= Duration::from_micros(1_300), "{sent}");
        }
    }

    #[test]
    fn a_caller_that_waits_for_a_fate_gets_it_or_the_end_of_its_time() {
        let (place, clock) = (here(), Clock::start());
        let (sink, fates) = AckSink::new(clock);
        let reporter = place.reporter(sink);
        let wait = Duration::from_millis(3);
        for _ in 0..2 {
            place.sent();
            reporter.acknowledged(Moment::from_ns(7));
        }
        place.sent();
        for _ in 0..2 {
            assert!(matches!(place.take(&fates, wait), Ok(Fate::Acknowledged { .. })));
        }
        let begin = clock.now();
        assert!(matches!(place.take(&fates, wait), Err(RecvTimeoutError::Timeout)));
        assert!(clock.now().since(begin) >= wait, "news of what was taken is none");
        let late = place.handle().spawn(async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            reporter.failed("no room");
        });
        let taken = place.take(&fates, Duration::from_secs(60));
        assert!(matches!(taken, Ok(Fate::Failed { .. })), "{taken:?}");
        place.block_on(late).unwrap();
        assert!(matches!(place.take(&fates, wait), Err(RecvTimeoutError::Disconnected)));
    }
}
