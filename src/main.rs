//! The `kolk` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    kolk::command_line::run(std::env::args_os())
}
