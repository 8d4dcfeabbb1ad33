//! The executor's heartbeat: measures how late it is, and keeps glommio from oversleeping.
//!
//! glommio 0.9 can park with runnable tasks; a timer that always comes bounds that sleep.

use std::rc::Rc;
use std::time::Duration;

use super::clock;
use super::ring::Ring;

/// Takes the ticker's lateness, on the executor.
pub type LagReport = Box<dyn FnMut(Duration) + Send>;

const BUSY: Duration = Duration::from_millis(10);
/// Ten times slower when nothing is under way: two idle executors ticking at 10 ms cost 2 % of a
/// core, at 100 ms 0.2 %.
const IDLE: Duration = Duration::from_millis(100);

pub(super) async fn tick(ring: Rc<Ring>, mut report: Option<LagReport>) {
    let mut answers = 0;
    loop {
        let seen = ring.counts().answers;
        let interval = if seen == answers { IDLE } else { BUSY };
        answers = seen;
        let due = clock::now() + interval;
        glommio::timer::sleep(interval).await;
        if let Some(report) = &mut report {
            report(clock::now() - due);
        }
    }
}
