//! RabbitMQ with its plugin for streams: Debian's package, as a node of its own beside any that the system has.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::running::Ident;
use super::{
    Durability, Launch, POLL, READY_WAIT, Site, first_line, free_port, shown, spawn, text,
};
use crate::step::Failure;
use crate::tools::apt_program;

/// Debian's wrapper on the path insists on a user; this does not.
const FOLDER: &str = "/usr/lib/rabbitmq/bin";
const NODE: &str = "kolk-peer@localhost";

pub(super) fn launch(site: &Site<'_>) -> Result<Launch, Failure> {
    if site.durability == Durability::PowerLoss {
        let what = "RabbitMQ's streams do not sync: there is no power-loss for them";
        return Err(Failure::new(what, "--durability process-crash"));
    }
    apt_program(site.repo, "rabbitmq-server", "rabbitmq-server")?;
    let amqp = free_port()?.to_string();
    let settings = site.settings("rabbitmq/rabbitmq.conf", &[("@AMQP@", &amqp)])?;
    let plugins = site.settings("rabbitmq/enabled_plugins", &[])?;
    // Erlang's directory of nodes would stay behind, started by whoever needs it first: it gets one of our own.
    let (names, port) = names(site)?;
    let mut command = Command::new(Path::new(FOLDER).join("rabbitmq-server"));
    for (name, value) in [
        ("RABBITMQ_CONFIG_FILE", settings.clone()),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", plugins.clone()),
        ("RABBITMQ_MNESIA_BASE", site.data()),
        ("RABBITMQ_LOG_BASE", site.folder.join("logs")),
        ("RABBITMQ_PID_FILE", site.folder.join("pid")),
        ("RABBITMQ_GENERATED_CONFIG_DIR", site.folder.join("generated")),
        ("HOME", site.folder.clone()),
        ("RABBITMQ_NODENAME", PathBuf::from(NODE)),
        ("RABBITMQ_DIST_PORT", PathBuf::from(free_port()?.to_string())),
        ("ERL_EPMD_PORT", PathBuf::from(port)),
        ("ERL_EPMD_ADDRESS", PathBuf::from("127.0.0.1")),
        // The Erlang machine takes this script's place, and its process id with it.
        ("RABBITMQ_ALLOW_INPUT", PathBuf::from("1")),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            PathBuf::from("-noinput -kernel inet_dist_use_interface {127,0,0,1}"),
        ),
    ] {
        command.env(name, value);
    }
    let configuration =
        vec![("command".to_owned(), shown(&command)), text(&settings)?, text(&plugins)?];
    let version = first_line(Command::new("dpkg-query").args([
        "--show",
        "--showformat=RabbitMQ ${Version}\n",
        "rabbitmq-server",
    ]));
    Ok(Launch { command, version, configuration, beside: vec![names] })
}

/// Erlang's directory of nodes on a port of its own.
fn names(site: &Site<'_>) -> Result<(Ident, String), Failure> {
    let port = free_port()?;
    let mut epmd = Command::new("epmd");
    epmd.args(["-address", "127.0.0.1", "-port", &port.to_string()]);
    let child = spawn(&mut epmd, &site.folder.join("epmd.log"))?;
    let ident = Ident::of(child.id())?;
    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if begin.elapsed() > READY_WAIT {
            return Err(Failure::new("epmd takes no connections", "run it by hand"));
        }
        std::thread::sleep(POLL);
    }
    Ok((ident, port.to_string()))
}
