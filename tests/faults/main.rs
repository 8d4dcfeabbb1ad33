//! Faults of the real machine against the real program: a full disk, a broken device, a sync that fails, a disk that hangs, too
//! little memory, too many connections, a clock that jumps. One file a fault; each ends with the ledger of what was acknowledged.
//!
//! Apart from the other tests because it needs root: mounts, loop devices, control groups. `cargo xtask faults` runs it. What the
//! machine lacks is said and skipped.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test drives the real world and may fail loudly"
)]
#![allow(dead_code, reason = "files of the other integration tests, of which not all is used here")]

mod broken_device;
mod clock;
mod connections;
mod hung_disk;
mod memory;
mod no_space;
mod sync_failure;
mod throttle;

mod machine;
mod scribe;

#[path = "../integration/broker.rs"]
mod broker;
#[path = "../integration/kafka/wire.rs"]
mod kafka_wire;
#[path = "../integration/crash/ledger.rs"]
mod ledger;
#[path = "../integration/wire.rs"]
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use machine::Absent;

/// A fault: its name on the command line, and what is shown.
type Fault = (&'static str, fn() -> Result<(), Absent>);

const FAULTS: [Fault; 14] = [
    ("a_full_disk_refuses_appends_and_serves_all_else", no_space::full_disk),
    ("a_full_device_below_the_file_system_loses_nothing", broken_device::full_device),
    ("a_failed_sync_of_a_segment_fences_its_log_alone", sync_failure::segment),
    ("a_failed_sync_of_a_journal_makes_its_shard_read_only", sync_failure::journal),
    ("a_short_write_to_a_segment_fences_its_log_alone", sync_failure::short_segment_write),
    ("a_short_write_to_a_journal_makes_its_shard_read_only", sync_failure::short_journal_write),
    ("a_power_cut_takes_nothing_that_was_acknowledged", sync_failure::power_cut),
    ("a_disk_that_lies_about_syncs_is_found_out", sync_failure::lying_disk),
    ("late_writes_keep_their_promises", hung_disk::late_writes),
    ("a_hung_disk_below_one_shard_leaves_the_others_alone", hung_disk::one_shard),
    ("a_throttled_disk_slows_producers_and_fills_no_memory", throttle::throttled),
    ("a_flood_stays_within_half_a_gibibyte", memory::flood),
    ("ten_thousand_connections_leave_room_for_one_more", connections::ten_thousand),
    ("a_clock_that_jumps_deletes_nothing_and_ends_no_session", clock::jumps),
];

/// Runs the faults that are named, or all, and ends with the line that the other tests end with.
fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(word));
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, run) in FAULTS.into_iter().filter(|(name, _)| wants(name)) {
        let begun = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(run));
        let seconds = begun.elapsed().as_secs_f64();
        let how = match ended {
            Ok(Ok(())) => {
                passed += 1;
                format!("ok, {seconds:.1} s")
            }
            Ok(Err(Absent(what))) => {
                skipped += 1;
                format!("SKIPPED: {what}")
            }
            Err(_) => {
                failed += 1;
                format!("FAILED, {seconds:.1} s")
            }
        };
        println!("fault {name}: {how}");
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {word}. {passed} passed; {failed} failed; {skipped} skipped");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
