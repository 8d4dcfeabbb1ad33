//! How a run ends: well, or with a property that did not hold.

use std::cell::RefCell;

/// Functions that are told of the way to a failed assertion.
const FRAMES_MAX: usize = 12;

/// A property of the broker that a run has seen broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Which property, by the name of its checker.
    pub(crate) property: &'static str,
    /// What was seen.
    pub(crate) detail: String,
}

thread_local! {
    /// Where and why the last panic of this thread began: an assertion of the broker's own code.
    static ASSERTED: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Ends the run: a promise was not kept. Unwinds up to [`judged`], through whatever task saw it.
pub(crate) fn violated(property: &'static str, detail: String) -> ! {
    std::panic::resume_unwind(Box::new(Violation { property, detail }))
}

/// Ends the run unless `holds`.
pub(crate) fn demand(property: &'static str, holds: bool, detail: impl FnOnce() -> String) {
    if !holds {
        violated(property, detail());
    }
}

/// Runs a part of a run. A violation, or a failed assertion of the code under test, comes back as the error.
pub(crate) fn judged<T>(part: impl FnOnce() -> T) -> Result<T, Violation> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(part)).map_err(|thrown| {
        match thrown.downcast::<Violation>() {
            Ok(violation) => *violation,
            Err(_) => {
                let detail = ASSERTED.with_borrow(Clone::clone);
                Violation { property: "assertion", detail }
            }
        }
    })
}

/// Keeps panics off the terminal: they are told with their seed.
pub(crate) fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let Some(text) = panic.payload_as_str() else { return };
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // Of the way there our own functions alone.
        let trace = std::backtrace::Backtrace::force_capture().to_string();
        let own = trace.lines().filter(|line| line.contains("kolk_") && !line.contains("kolk_sim"));
        let own: Vec<&str> = own.take(FRAMES_MAX).collect();
        let own = own.join("\n");
        ASSERTED.with_borrow_mut(|asserted| *asserted = format!("{text} at {place}\n{own}"));
    }));
}
