//! The executor's heartbeat: measures how late it is.

use std::time::Duration;

use super::uring_io::UringIo;
use crate::door::Io;

/// Takes the ticker's lateness, on the executor.
pub type LagReport = Box<dyn FnMut(Duration) + Send>;

const BUSY: Duration = Duration::from_millis(10);
/// Ten times slower when nothing is under way: an idle broker should cost nothing.
const IDLE: Duration = Duration::from_millis(100);

pub(super) async fn tick(io: UringIo, report: Option<LagReport>) {
    let Some(mut report) = report else { return };
    let mut answers = 0;
    loop {
        let seen = io.ring_counts().answers;
        let interval = if seen == answers { IDLE } else { BUSY };
        answers = seen;
        let due = io.now() + interval;
        io.sleep(interval).await;
        report(io.now() - due);
    }
}
