//! A command that goes on while the test does something else.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::broker::{Place, program};

/// What a debug build beside other tests may take for anything here.
const WAIT_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Waits for something that must come.
pub(super) fn until(what: &str, mut has_come: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !has_come() {
        assert!(begin.elapsed() < WAIT_MAX, "{what} did not come within {WAIT_MAX:?}");
        std::thread::sleep(POLL);
    }
}

/// `kolk …` against the broker of a place; killed when dropped.
pub(super) struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: PathBuf,
    errors: PathBuf,
}

impl Running {
    pub(super) fn start(place: &Place, arguments: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let [output, errors] =
            ["out", "err"].map(|kind| place.folder().join(format!("command-{number}.{kind}")));
        let file = |path| File::create(path).expect("the test's folder is writable");
        let mut child = program()
            .args(arguments)
            .env("KOLK_BROKERS", place.address())
            .stdin(Stdio::piped())
            .stdout(file(&output))
            .stderr(file(&errors))
            .spawn()
            .expect("the program under test was built");
        let input = child.stdin.take();
        Self { child, input, output, errors }
    }

    /// Gives it something on standard input, which stays open.
    pub(super) fn write(&mut self, lines: &str) {
        let input = self.input.as_mut().expect("standard input is open");
        input.write_all(lines.as_bytes()).expect("the command reads on");
    }

    /// What it has written to standard output so far.
    pub(super) fn output(&self) -> String {
        std::fs::read_to_string(&self.output).expect("the test's records are text")
    }

    /// What it has said on standard error so far.
    pub(super) fn errors(&self) -> String {
        std::fs::read_to_string(&self.errors).expect("errors are text")
    }

    /// Sends it a signal: `INT`, `TERM`.
    pub(super) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(sent.expect("kill is on the path").success(), "kill -{name} {id}");
    }

    /// Ends its input, and gives its exit code and all that it said on standard error.
    pub(super) fn end(mut self) -> (Option<i32>, String) {
        drop(self.input.take());
        self.ended()
    }

    /// Waits until it ends by itself, its input open.
    pub(super) fn ended(&mut self) -> (Option<i32>, String) {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("our own child") {
                return (status.code(), self.errors());
            }
            assert!(begin.elapsed() < WAIT_MAX, "still there:\n{}", self.errors());
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
