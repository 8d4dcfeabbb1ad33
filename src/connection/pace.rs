//! How long a connection may keep the broker waiting. A plain value: events and the time go in, a verdict
//! comes out; a sweep once a second asks, so that no request pays for a timer.

use std::time::Duration;

use kolk_io::time::Monotonic;
use kolk_metric::net::CloseReason;

/// The patience with one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceLimits {
    /// No byte of a begun frame for this long.
    pub frame_stall: Duration,
    /// The same while other connections wait for the memory that this frame holds.
    pub frame_stall_contended: Duration,
    /// Slowest average rate of a frame, in bytes a second, beyond `frame_stall`.
    pub frame_bytes_per_second_min: u64,
    /// The client reads none of the reply bytes for this long.
    pub write_stall: Duration,
    /// The same while replies nobody reads hold much of the shard's memory.
    pub write_stall_contended: Duration,
    /// The same while other connections wait for the memory of requests, of which this one holds as much as most.
    pub write_stall_holding: Duration,
    /// Slowest average rate, in bytes a second, at which a client reads what is handed to its socket at once, beyond
    /// `write_stall`.
    pub write_bytes_per_second_min: u64,
    /// The same beyond `write_stall_contended` and `write_stall_holding`.
    pub write_bytes_per_second_min_contended: u64,
    /// No request for this long.
    pub idle: Duration,
    /// The replies still owed when the input has ended.
    pub drain: Duration,
}

/// What a connection is doing, and since when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Last byte received or sent, or request answered.
    last_event: Monotonic,
    frame: Option<FramePace>,
    /// Reply bytes that wait for the client to read.
    write: Option<WritePace>,
    drain_since: Option<Monotonic>,
    /// Requests without a reply.
    in_flight: usize,
}

/// A frame of which some bytes are here and some are not.
#[derive(Debug, Clone, Copy)]
struct FramePace {
    since: Monotonic,
    last_bytes: Monotonic,
    received: u64,
}

/// Reply bytes of which the client has taken some and not all.
#[derive(Debug, Clone, Copy)]
struct WritePace {
    since: Monotonic,
    last_bytes: Monotonic,
    sent: u64,
}

impl Pace {
    /// A connection accepted at `now`.
    pub(crate) const fn new(now: Monotonic) -> Self {
        Self { last_event: now, frame: None, write: None, drain_since: None, in_flight: 0 }
    }

    /// `received` bytes of a frame are here and the rest is not.
    pub(crate) fn frame_open(&mut self, now: Monotonic, received: usize) {
        let received = u64::try_from(received).unwrap_or(u64::MAX);
        let frame =
            self.frame.get_or_insert(FramePace { since: now, last_bytes: now, received: 0 });
        if received > frame.received {
            frame.last_bytes = now;
            frame.received = received;
            self.last_event = now;
        }
    }

    /// No frame is open: the last one is complete, or the broker itself stopped reading it.
    pub(crate) const fn no_frame(&mut self) {
        self.frame = None;
    }

    /// A request was taken in.
    pub(crate) const fn request_taken(&mut self, now: Monotonic) {
        self.last_event = now;
        self.in_flight += 1;
    }

    /// The reply to a request left the queue.
    pub(crate) const fn reply_sent(&mut self, now: Monotonic) {
        self.last_event = now;
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Reply bytes are handed to the socket.
    pub(crate) const fn write_begins(&mut self, now: Monotonic) {
        self.write = Some(WritePace { since: now, last_bytes: now, sent: 0 });
    }

    /// The client took `sent` of them, and more may wait.
    pub(crate) fn write_moved(&mut self, now: Monotonic, sent: usize) {
        if let Some(write) = &mut self.write {
            write.last_bytes = now;
            write.sent = write.sent.saturating_add(u64::try_from(sent).unwrap_or(u64::MAX));
        }
    }

    /// No reply bytes wait.
    pub(crate) const fn write_done(&mut self, now: Monotonic) {
        self.last_event = now;
        self.write = None;
    }

    /// No more requests are read; what is owed is still sent.
    pub(crate) fn drain(&mut self, now: Monotonic) {
        self.frame = None;
        self.drain_since.get_or_insert(now);
    }

    /// Says why the connection should be closed at `now`, if it should.
    ///
    pub(crate) fn verdict(
        &self,
        now: Monotonic,
        limits: &PaceLimits,
        pressure: Pressure,
    ) -> Option<CloseReason> {
        if self.drain_since.is_some_and(|since| now - since >= limits.drain) {
            return Some(CloseReason::WriteStalled);
        }
        if self.write.is_some_and(|write| write.is_late(now, limits, pressure)) {
            return Some(CloseReason::WriteStalled);
        }
        if self.frame.is_some_and(|frame| frame.is_late(now, limits, pressure.requests)) {
            return Some(CloseReason::FrameStalled);
        }
        let is_idle = self.in_flight == 0 && self.frame.is_none() && self.write.is_none();
        (is_idle && now - self.last_event >= limits.idle).then_some(CloseReason::Idle)
    }
}

/// What the connections of a shard do to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pressure {
    /// For the memory of requests.
    pub(crate) requests: Contention,
    /// For the memory of requests, of which this connection holds as much as most.
    pub(crate) held: Contention,
    /// For the memory of replies.
    pub(crate) replies: Contention,
}

/// Whether other connections wait for memory, or will soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contention {
    None,
    OthersWait,
}

impl FramePace {
    fn is_late(&self, now: Monotonic, limits: &PaceLimits, contended: Contention) -> bool {
        let stall = match contended {
            Contention::None => limits.frame_stall,
            Contention::OthersWait => limits.frame_stall_contended,
        };
        if now - self.last_bytes >= stall {
            return true;
        }
        // A byte a second would keep a frame open for ever: the whole of it has a slowest rate too.
        let seconds = (now - self.since).saturating_sub(limits.frame_stall).as_secs();
        self.received < seconds.saturating_mul(limits.frame_bytes_per_second_min)
    }
}

impl WritePace {
    fn is_late(&self, now: Monotonic, limits: &PaceLimits, pressure: Pressure) -> bool {
        let rate_min_contended = limits.write_bytes_per_second_min_contended;
        let (stall, rate_min) = match pressure {
            Pressure { held: Contention::OthersWait, .. } => {
                (limits.write_stall_holding, rate_min_contended)
            }
            Pressure { replies: Contention::OthersWait, .. } => {
                (limits.write_stall_contended, rate_min_contended)
            }
            _ => (limits.write_stall, limits.write_bytes_per_second_min),
        };
        if now - self.last_bytes >= stall {
            return true;
        }
        // A byte now and then would keep replies in memory for ever: the whole of them has a slowest rate too.
        let seconds = (now - self.since).saturating_sub(stall).as_secs();
        self.sent < seconds.saturating_mul(rate_min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PaceLimits = PaceLimits {
        frame_stall: Duration::from_secs(30),
        frame_stall_contended: Duration::from_secs(2),
        frame_bytes_per_second_min: 1_000,
        write_stall: Duration::from_secs(20),
        write_stall_contended: Duration::from_secs(5),
        write_stall_holding: Duration::from_secs(3),
        write_bytes_per_second_min: 100,
        write_bytes_per_second_min_contended: 10_000,
        idle: Duration::from_secs(600),
        drain: Duration::from_secs(5),
    };

    const FREE: Pressure =
        Pressure { requests: Contention::None, held: Contention::None, replies: Contention::None };

    fn at(seconds: u64) -> Monotonic {
        Monotonic::new(seconds * 1_000_000_000)
    }

    #[track_caller]
    fn check(pace: &Pace, seconds: u64, expected: Option<CloseReason>) {
        assert_eq!(pace.verdict(at(seconds), &LIMITS, FREE), expected);
    }

    #[test]
    fn a_quiet_connection_is_closed_after_the_idle_time() {
        let pace = Pace::new(at(0));
        check(&pace, 599, None);
        check(&pace, 600, Some(CloseReason::Idle));
    }

    #[test]
    fn a_long_poll_is_not_idle() {
        let mut pace = Pace::new(at(0));
        pace.request_taken(at(1));
        check(&pace, 5_000, None);
        pace.reply_sent(at(5_000));
        check(&pace, 5_599, None);
        check(&pace, 5_600, Some(CloseReason::Idle));
    }

    #[test]
    fn half_a_frame_is_closed_when_nothing_more_comes() {
        let mut pace = Pace::new(at(0));
        pace.frame_open(at(10), 100_000);
        pace.frame_open(at(11), 100_000);
        check(&pace, 39, None);
        check(&pace, 40, Some(CloseReason::FrameStalled));
        pace.frame_open(at(39), 100_001);
        check(&pace, 68, None);
        check(&pace, 69, Some(CloseReason::FrameStalled));
    }

    #[test]
    fn half_a_frame_is_closed_sooner_when_others_wait_for_its_memory() {
        let mut pace = Pace::new(at(0));
        pace.frame_open(at(10), 100);
        let pressure = Pressure { requests: Contention::OthersWait, ..FREE };
        assert_eq!(pace.verdict(at(11), &LIMITS, pressure), None);
        assert_eq!(pace.verdict(at(12), &LIMITS, pressure), Some(CloseReason::FrameStalled));
        check(&pace, 12, None);
    }

    #[test]
    fn a_trickled_frame_is_closed_although_it_never_stalls() {
        let mut pace = Pace::new(at(0));
        for second in 0..40_u8 {
            pace.frame_open(at(second.into()), usize::from(second) + 1);
        }
        check(&pace, 30, None);
        check(&pace, 40, Some(CloseReason::FrameStalled));
    }

    #[test]
    fn a_slow_frame_above_the_rate_is_left_alone() {
        let mut pace = Pace::new(at(0));
        for second in 0..10_000_u16 {
            pace.frame_open(at(second.into()), (usize::from(second) + 1) * 1_000);
            check(&pace, second.into(), None);
        }
        pace.no_frame();
        check(&pace, 10_100, None);
    }

    #[test]
    fn a_frame_the_broker_does_not_read_is_not_late() {
        let mut pace = Pace::new(at(0));
        pace.request_taken(at(0));
        pace.frame_open(at(1), 10);
        pace.no_frame();
        check(&pace, 500, None);
    }

    #[test]
    fn a_client_that_never_reads_is_closed() {
        let mut pace = Pace::new(at(0));
        pace.request_taken(at(0));
        pace.write_begins(at(1));
        check(&pace, 20, None);
        pace.write_moved(at(20), 100_000);
        check(&pace, 39, None);
        check(&pace, 40, Some(CloseReason::WriteStalled));
        pace.write_done(at(39));
        check(&pace, 60, None);
    }

    #[test]
    fn a_client_that_never_reads_is_closed_sooner_when_replies_fill_the_memory() {
        let mut pace = Pace::new(at(0));
        pace.write_begins(at(1));
        let pressure = Pressure { replies: Contention::OthersWait, ..FREE };
        assert_eq!(pace.verdict(at(5), &LIMITS, pressure), None);
        assert_eq!(pace.verdict(at(6), &LIMITS, pressure), Some(CloseReason::WriteStalled));
        check(&pace, 6, None);
    }

    #[test]
    fn a_client_that_never_reads_is_closed_soonest_when_others_wait_for_what_its_requests_hold() {
        let mut pace = Pace::new(at(0));
        pace.write_begins(at(1));
        let pressure = Pressure { held: Contention::OthersWait, ..FREE };
        assert_eq!(pace.verdict(at(3), &LIMITS, pressure), None);
        assert_eq!(pace.verdict(at(4), &LIMITS, pressure), Some(CloseReason::WriteStalled));
        let others_hold = Pressure { requests: Contention::OthersWait, ..FREE };
        assert_eq!(pace.verdict(at(4), &LIMITS, others_hold), None);
    }

    #[test]
    fn a_client_that_reads_a_byte_now_and_then_is_closed_although_it_never_stalls() {
        let mut pace = Pace::new(at(0));
        pace.write_begins(at(0));
        for second in 1..=20_u8 {
            pace.write_moved(at(second.into()), 1);
            check(&pace, second.into(), None);
        }
        pace.write_moved(at(21), 1);
        check(&pace, 21, Some(CloseReason::WriteStalled));
        pace.write_done(at(21));
        check(&pace, 21, None);
    }

    #[test]
    fn a_slow_reader_above_the_rate_is_left_alone_until_memory_is_short() {
        let mut pace = Pace::new(at(0));
        pace.write_begins(at(0));
        let pressure = Pressure { replies: Contention::OthersWait, ..FREE };
        for second in 1..=100_u8 {
            pace.write_moved(at(second.into()), 100);
            check(&pace, second.into(), None);
            let late = second > 5;
            let verdict = pace.verdict(at(second.into()), &LIMITS, pressure);
            assert_eq!(verdict, late.then_some(CloseReason::WriteStalled), "{second} s");
        }
    }

    #[test]
    fn replies_owed_at_the_end_of_input_have_a_deadline() {
        let mut pace = Pace::new(at(0));
        pace.request_taken(at(0));
        pace.drain(at(100));
        check(&pace, 104, None);
        pace.drain(at(104));
        check(&pace, 105, Some(CloseReason::WriteStalled));
    }
}
