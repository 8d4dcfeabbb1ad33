//! Apache Kafka: one node, from Maven.

use std::path::PathBuf;
use std::process::Command;

use super::{Durability, Launch, Site, first_line, free_port, shown, text, unwritable};
use crate::repo::{self, Repo};
use crate::step::Failure;

/// Where its artifacts and settings are named.
pub(crate) const PEER: &str = "perf/peer/kafka";
pub(crate) const HEAP: [&str; 3] = ["-Xms1g", "-Xmx1g", "-XX:+UseG1GC"];
/// Any base64 of 16 bytes does.
pub(crate) const CLUSTER: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

/// Kafka's jars, below the target folder.
pub(crate) struct Jars(PathBuf);

impl Jars {
    /// Fetches them with Maven unless they are there.
    pub(crate) fn fetch(repo: &Repo) -> Result<Self, Failure> {
        let (lib, pom) = (repo.target.join("tools/kafka"), repo.root.join(PEER).join("pom.xml"));
        let ready = lib.join("pom.xml");
        if std::fs::read(&ready).ok() != std::fs::read(&pom).ok() {
            let mut maven = repo.command("mvn");
            maven.args([
                "-q",
                "-B",
                "dependency:copy-dependencies",
                "-DincludeScope=runtime",
                "-f",
            ]);
            maven.arg(&pom).arg(format!("-DoutputDirectory={}", lib.display()));
            // Maven ends what it says with a colour code: on standard output it would stand before the line that `up` prints.
            maven.stdout(std::io::stderr());
            repo::run(&mut maven)?;
            std::fs::copy(&pom, &ready).map_err(|e| unwritable(&ready, &e))?;
        }
        Ok(Self(lib))
    }

    /// Java with a class of theirs.
    pub(crate) fn java(&self, options: &[&str], class: &str) -> Command {
        let mut java = Command::new("java");
        java.args(options).arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn").arg("-cp");
        java.arg(self.0.join("*")).arg(class);
        java
    }
}

/// Formats a directory and starts Kafka on it.
pub(super) fn launch(site: &Site<'_>) -> Result<Launch, Failure> {
    let jars = Jars::fetch(site.repo)?;
    let controller = free_port()?.to_string();
    let properties = site.settings("kafka/server.properties", &[("@CONTROLLER@", &controller)])?;
    if site.durability == Durability::PowerLoss {
        let more = repo::read(&site.repo.root.join(PEER).join("power-loss.properties"))?;
        let all = format!("{}{more}", repo::read(&properties)?);
        std::fs::write(&properties, all).map_err(|e| unwritable(&properties, &e))?;
    }
    let quick = ["-XX:TieredStopAtLevel=1", "-Xmx256m"];
    let mut format = jars.java(&quick, "kafka.tools.StorageTool");
    format.args(["format", "-t", CLUSTER, "-c"]).arg(&properties);
    repo::output(&mut format)?;
    let mut command = jars.java(&HEAP, "kafka.Kafka");
    command.arg(&properties);
    let java = first_line(Command::new("java").arg("-version"));
    let configuration = vec![
        ("command".to_owned(), shown(&command)),
        ("java -version".to_owned(), java),
        text(&properties)?,
    ];
    let version = format!("Apache Kafka {}", version(site.repo)?);
    Ok(Launch { command, version, configuration, beside: Vec::new() })
}

/// The version that the project file of Maven names.
fn version(repo: &Repo) -> Result<String, Failure> {
    let pom = repo::read(&repo.root.join(PEER).join("pom.xml"))?;
    let line = pom.lines().find(|line| line.contains("kafka_2.13")).unwrap_or_default();
    let version = line.split_once("<version>").and_then(|(_, rest)| rest.split_once('<'));
    Ok(version.map_or("unknown", |(version, _)| version).to_owned())
}
