//! The wall clock. Apart because it is the one place of the client that reads it.

use std::time::SystemTime;

use kolk_model::time::TimestampMs;

/// Now, as records carry it.
#[allow(clippy::disallowed_methods, reason = "a producer's records carry the wall clock")]
pub(crate) fn now_ms() -> TimestampMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ms = since.ok().and_then(|since| i64::try_from(since.as_millis()).ok());
    ms.map_or(TimestampMs::NONE, TimestampMs::new)
}
