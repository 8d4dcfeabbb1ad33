//! The project's own chores: check, fix, test, crash, bench.
fn main() {}
