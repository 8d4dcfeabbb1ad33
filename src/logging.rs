//! Log lines on standard error, and the end of the process at a panic.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::time::SystemTime;

use crate::config::LogFormat;

/// Why there is no log.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoggingError {
    /// `log_level` is not understood. The operator's fault.
    #[error("log_level: '{text}' is no level and no list of target=level: {reason}")]
    Level {
        /// The value.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something else in this process logs already.
    #[error("a log is set up already")]
    AlreadySetUp,
}

/// Sets up the log of this process, on standard error.
///
/// # Errors
/// See [`LoggingError`].
pub fn set_up(format: LogFormat, level: &str) -> Result<(), LoggingError> {
    let filter = filter(level)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_timer(SystemTime)
        // A line that can't be written would be told on standard error as well, which panics: a full disk below
        // the log would end the broker.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    let set = match format {
        LogFormat::Human => {
            lines.with_target(false).with_ansi(std::io::stderr().is_terminal()).try_init()
        }
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    set.map_err(|_| LoggingError::AlreadySetUp)
}

/// What is logged at a `log_level`.
///
/// # Errors
/// [`LoggingError::Level`].
pub(crate) fn filter(level: &str) -> Result<EnvFilter, LoggingError> {
    let refused = |reason| LoggingError::Level { text: level.to_owned(), reason };
    // The filter takes any other word for the one target that is logged then, so that nothing is.
    let is_level = |part: &&str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    if let Some(part) = level.split(',').find(|part| !is_level(part)) {
        return Err(refused(format!("'{part}' is neither")));
    }
    EnvFilter::builder().parse(level).map_err(|error| refused(error.to_string()))
}

/// Makes every panic the end of the process, in every profile: a panic is a broken invariant of ours, and a
/// shard that lost a task halfway must not go on and acknowledge (decision 9 of the design).
pub fn abort_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        tracing::error!(
            thread = thread.name().unwrap_or("unnamed"),
            location = panic.location().map(tracing::field::display),
            panic = message(panic),
            "broken invariant: the process ends"
        );
        std::process::abort();
    }));
}

fn message<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    panic.payload_as_str().unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    const CHILD: &str = "PANIC_IN_CHILD_PROCESS";

    #[test]
    fn a_panic_ends_the_process_and_is_logged() {
        if std::env::var_os(CHILD).is_some() {
            set_up(LogFormat::Json, "info").unwrap();
            abort_on_panic();
            panic!("on purpose");
        }
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "logging::tests::a_panic_ends_the_process_and_is_logged",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .output()
            .unwrap();
        const SIGABRT: i32 = 6;
        assert_eq!(child.status.signal(), Some(SIGABRT), "{:?}", child.status);
        let log = String::from_utf8_lossy(&child.stderr).into_owned();
        let line = log.lines().find(|line| line.contains("broken invariant")).expect(&log);
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["level"], "ERROR");
        assert_eq!(event["panic"], "on purpose");
        assert!(event["location"].as_str().unwrap().contains("logging.rs"), "{line}");
    }

    #[test]
    fn a_level_that_is_none_is_refused() {
        for level in ["loud=very", "loud", "info,loud", "9"] {
            let error = filter(level).unwrap_err();
            assert!(error.to_string().contains(&format!("'{level}'")), "{error}");
        }
        for level in ["info", "WARN", "off", "info,kolk_log=trace"] {
            filter(level).unwrap();
        }
    }
}
