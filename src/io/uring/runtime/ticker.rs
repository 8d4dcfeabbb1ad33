//! The executor's heartbeat: measures how late it is.
//!
//! It always runs, since glommio 0.9 can park although tasks are runnable: a timer that comes again
//! and again bounds that sleep.

use std::time::Duration;

use crate::door::Io;
use crate::uring::uring_io::UringIo;

const BUSY: Duration = Duration::from_millis(10);
/// Ten times slower when nothing is under way: two idle executors ticking at 10 ms cost 2 % of a
/// core, at 100 ms 0.2 %.
const IDLE: Duration = Duration::from_millis(100);

/// Reports for ever how much later than asked for the executor came back to a timer.
pub(in crate::uring) async fn tick(io: UringIo) {
    let mut answers = 0;
    loop {
        let seen = io.ring_counts().answers;
        let interval = if seen == answers { IDLE } else { BUSY };
        answers = seen;
        let due = io.now() + interval;
        io.sleep(interval).await;
        io.report_lag(io.now() - due);
    }
}
