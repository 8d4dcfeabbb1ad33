//! Redis, for its streams: Debian's package.

use std::process::Command;

use super::{Launch, Site, first_line, shown, text};
use crate::step::Failure;
use crate::tools::apt_program;

pub(super) fn launch(site: &Site<'_>) -> Result<Launch, Failure> {
    apt_program(site.repo, "redis-server", "redis-server")?;
    let settings = site.settings(&format!("redis/{}.conf", site.durability.name()), &[])?;
    let mut command = Command::new("redis-server");
    command.arg(&settings);
    let configuration = vec![("command".to_owned(), shown(&command)), text(&settings)?];
    let version = first_line(Command::new("redis-server").arg("--version"));
    // Redis server v=7.0.15 sha=… and more.
    let version = version.split_whitespace().find_map(|word| word.strip_prefix("v="));
    let version = format!("Redis {}", version.unwrap_or("unknown"));
    Ok(Launch { command, version, configuration, beside: Vec::new() })
}
