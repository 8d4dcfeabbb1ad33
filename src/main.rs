//! The kolk command.
fn main() {}
