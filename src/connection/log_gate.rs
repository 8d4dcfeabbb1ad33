//! Keeps clients that misbehave in masses from filling the log: every event is counted by a metric, the
//! log gets some of them and the number of the others.

use std::cell::Cell;

/// Lines a second that clients can cause on one listener.
const LINES_MAX: u32 = 20;

/// Lets at most [`LINES_MAX`] lines through until [`LogGate::next_second`].
#[derive(Debug, Default)]
pub(crate) struct LogGate {
    lines: Cell<u32>,
}

impl LogGate {
    /// Runs `log` unless too much was logged in this second.
    pub(crate) fn warn(&self, log: impl FnOnce()) {
        let lines = self.lines.get();
        self.lines.set(lines.saturating_add(1));
        if lines < LINES_MAX {
            log();
        }
    }

    /// A second has passed; says how much was held back.
    pub(crate) fn next_second(&self) {
        let held_back = self.lines.take().saturating_sub(LINES_MAX);
        if held_back > 0 {
            tracing::warn!(
                held_back,
                "more connections refused or closed than are logged one by one"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_a_new_second_opens_the_gate() {
        let gate = LogGate::default();
        let logged = Cell::new(0);
        for _ in 0..1_000 {
            gate.warn(|| logged.set(logged.get() + 1));
        }
        assert_eq!(logged.get(), LINES_MAX);
        gate.next_second();
        gate.warn(|| logged.set(logged.get() + 1));
        assert_eq!(logged.get(), LINES_MAX + 1);
    }
}
