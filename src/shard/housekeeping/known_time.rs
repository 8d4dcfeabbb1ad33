//! `meta/clock`: what time it was when the wall clock was last believed, kept over the end of a run. Apart because a start reads it,
//! housekeeping and a stop write it.

use std::path::Path;
use std::time::Duration;

use kolk_io::door::Io;
use kolk_io::error::IoError;
use kolk_io::time::WallClock;
use kolk_layout::clock::{CLOCK_BYTES_MAX, ClockError, KnownTime as KnownTimeBytes};

use crate::state::ShardState;
use crate::state::clock::KnownTime;

/// The file, below the data directory.
pub(crate) const CLOCK_PATH: &str = "meta/clock";
/// How often it is written. Much less than the hour that clocks may be apart, so that a restart is not taken for a jump.
const SAVE_INTERVAL: Duration = Duration::from_mins(5);

/// Why what time it was can't be known and must not be written over.
#[derive(Debug)]
pub(crate) enum ReadError {
    Io(IoError),
    /// The file is of a newer kolk.
    Newer(ClockError),
}

impl From<IoError> for ReadError {
    fn from(error: IoError) -> Self {
        Self::Io(error)
    }
}

/// Reads what the last run has left in `path`.
pub(crate) async fn read<I: Io>(io: &I, path: &Path) -> Result<KnownTime, ReadError> {
    let Some(bytes) = io.read_file(path, CLOCK_BYTES_MAX).await? else {
        return Ok(KnownTime::Lost);
    };
    match KnownTimeBytes::decode(&bytes) {
        Ok(known) => Ok(KnownTime::At(WallClock::new(known.wall_ns))),
        Err(error @ ClockError::VersionNewer { .. }) => Err(ReadError::Newer(error)),
        Err(error) => {
            tracing::warn!(%error, "what time it was is lost, no retention by time for now");
            Ok(KnownTime::Lost)
        }
    }
}

/// Writes what time it is to `path`.
pub(crate) async fn write<I: Io>(io: &I, path: &Path, wall: WallClock) -> Result<(), IoError> {
    io.write_file_atomic(path, &KnownTimeBytes { wall_ns: wall.as_ns() }.encode()).await
}

/// On the controller: writes down what time is believed, if that was long ago.
pub(crate) async fn save_if_due<I: Io>(state: &ShardState<I>) {
    let now = state.io.now();
    if state.clock_saved_at.get().is_none_or(|at| now - at >= SAVE_INTERVAL) {
        // One that fails is tried again after the same time.
        state.clock_saved_at.set(Some(now));
        save(state).await;
    }
}

/// Writes down what time is believed. What can't be written costs the next start its trust in the clock, no more.
pub(crate) async fn save<I: Io>(state: &ShardState<I>) {
    let believed = state.clock.borrow().believed(state.io.now());
    let Some(believed) = believed else { return };
    if let Err(error) = write(&state.io, &state.clock_path, believed).await {
        tracing::warn!(%error, "what time it is was not written down");
    }
}
