//! The command line as a person types it.

use std::path::Path;
use std::process::Output;

use crate::broker::{Place, program};

/// Runs `kolk …` against the broker of a place and returns what came of it.
pub(crate) fn kolk(place: &Place, arguments: &[&str]) -> Output {
    program()
        .args(arguments)
        .env("KOLK_BROKERS", place.address())
        .output()
        .expect("the program under test was built")
}

/// The same where nothing but success will do; returns standard output.
pub(crate) fn kolk_ok(place: &Place, arguments: &[&str]) -> Vec<u8> {
    let output = kolk(place, arguments);
    assert!(
        output.status.success(),
        "kolk {}: {}\n{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// `kolk inspect` of a data directory without a broker: exit code and all it said.
pub(crate) fn inspect(folder: &Path) -> (Option<i32>, String) {
    let output =
        program().arg("inspect").arg(folder).output().expect("the program under test was built");
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}
