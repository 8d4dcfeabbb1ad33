//! Who is compared: a broker, the client it is played through, and how durable it is to be.

use std::path::PathBuf;

use kolk_driver::protocol::{Demand, Protocol};
use kolk_machine::cores::Placement;
use kolk_machine::usage::Watched;
use kolk_machine::{descriptors, facts};
use kolk_model::durability::Durability;
use kolk_model::limits::MESSAGE_BYTES_MAX;
use serde::{Deserialize, Serialize};

use super::broker::{Broker, BrokerPlan};
use super::peer::{self, Peer};
use crate::error::{BenchError, Outcome};
use crate::play::workload::{Case, parse_durability};

/// What a batch has beside the value of its one record, at most: its header, the record's, a key.
const BATCH_OVERHEAD_BYTES: usize = 256;

/// Which broker by which door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Kolk,
    KolkKafka,
    KolkKafkaShard,
    Kafka,
    Nats,
    Rabbitmq,
    Redis,
}

const KINDS: [(&str, Kind); 7] = [
    ("kolk", Kind::Kolk),
    ("kolk-kafka", Kind::KolkKafka),
    ("kolk-kafka-shard", Kind::KolkKafkaShard),
    ("kafka", Kind::Kafka),
    ("nats", Kind::Nats),
    ("rabbitmq", Kind::Rabbitmq),
    ("redis", Kind::Redis),
];

/// One that is compared: `NAME[:KEY=VALUE…][@DURABILITY]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    name: &'static str,
    kind: Kind,
    /// kolk's, besides the defaults: `KEY=VALUE` each.
    settings: Vec<String>,
    /// `None`: what the workload says.
    durability: Option<Durability>,
}

/// Where brokers come from.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    /// kolk's program.
    pub(crate) kolk: PathBuf,
    /// Where data goes.
    pub(crate) scratch: PathBuf,
    /// The command that brings a peer up and down.
    pub(crate) peers: String,
    /// Brokers that run already.
    pub(crate) external: Vec<External>,
    /// The cores of brokers and load generator; `None` = both have all that this process may use.
    pub(crate) placement: Option<Placement>,
}

impl Sources {
    /// Keeps the calling thread, and those that it starts, where the load generator is to be.
    pub(crate) fn enter(&self) {
        if let Some(placement) = &self.placement {
            placement.enter();
        }
    }
}

/// A broker that runs already and is left alone: `NAME=HOST:PORT[,pid=PID][,data=DIR]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct External {
    name: String,
    address: String,
    pid: Option<u32>,
    data: Option<PathBuf>,
}

/// What stands in the report about a contender.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Described {
    pub(crate) label: String,
    pub(crate) durability: String,
    pub(crate) version: String,
    /// Files, settings and command lines by name.
    pub(crate) configuration: Vec<(String, String)>,
}

/// A broker that is up.
pub(crate) struct Standing {
    pub(crate) address: String,
    pub(crate) watched: Watched,
    pub(crate) version: String,
    pub(crate) configuration: Vec<(String, String)>,
    home: Home,
}

enum Home {
    Own(Broker),
    Peer(Peer),
    Elsewhere,
}

impl Contender {
    /// Reads `NAME[:KEY=VALUE…][@DURABILITY]`.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let (name, durability) = match text.split_once('@') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let (name, settings) = match name.split_once(':') {
            Some((name, settings)) => (name, settings.split(':').map(str::to_owned).collect()),
            None => (name, Vec::new()),
        };
        let known = KINDS.iter().find(|(known, _)| *known == name);
        let (name, kind) = known.copied().ok_or_else(|| {
            let names = KINDS.map(|(name, _)| name).join(", ");
            BenchError::Workload(format!("'{name}' is none of {names}"))
        })?;
        let level = |level| {
            parse_durability(level).ok_or_else(|| {
                BenchError::Workload(format!("'{level}' is neither power-loss nor process-crash"))
            })
        };
        let own = matches!(kind, Kind::Kolk | Kind::KolkKafka | Kind::KolkKafkaShard);
        if let Some(wrong) = settings.iter().find(|setting| !own || !setting.contains('=')) {
            return Err(BenchError::Workload(format!(
                "'{wrong}': only kolk takes settings, KEY=VALUE each"
            )));
        }
        Ok(Self { name, kind, settings, durability: durability.map(level).transpose()? })
    }

    /// As it was written.
    pub(crate) fn label(&self) -> String {
        let settings = self.settings.iter().map(|setting| format!(":{setting}"));
        let level = self.durability.map(|level| format!("@{level}"));
        settings.chain(level).fold(self.name.to_owned(), |label, part| label + &part)
    }

    /// How durable it is in a workload.
    pub(crate) fn durability(&self, case: &Case) -> Durability {
        self.durability.unwrap_or(case.workload.durability)
    }

    /// What a case asks of its protocol.
    pub(crate) fn demand(&self, case: &Case) -> Demand {
        Demand {
            durability: self.durability(case),
            conditional: case.workload.produce.conditional,
            producers: case.workload.produce.clients(),
            open_files_max: descriptors::max(),
        }
    }

    /// Topic settings for a case, where durability and the size of records are the topic's affair.
    pub(crate) fn topic_settings(&self, case: &Case) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut settings = match (self.kind, self.durability(case)) {
            (Kind::Kolk | Kind::KolkKafka | Kind::KolkKafkaShard, level) => {
                vec![pair("kolk.durability", level.name())]
            }
            // A flush after each append, before it is acknowledged.
            (Kind::Kafka, Durability::PowerLoss) => vec![pair("flush.messages", "1")],
            (Kind::Kafka, _) => Vec::new(),
            (Kind::Nats | Kind::Rabbitmq | Kind::Redis, _) => return Vec::new(),
        };
        let batch_bytes = case.workload.record_bytes + BATCH_OVERHEAD_BYTES;
        if batch_bytes > MESSAGE_BYTES_MAX as usize {
            settings.push(pair("max.message.bytes", &batch_bytes.to_string()));
        }
        settings
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        match self.kind {
            Kind::Kolk => Protocol::Native,
            Kind::KolkKafka | Kind::KolkKafkaShard | Kind::Kafka => Protocol::Kafka,
            Kind::Nats => Protocol::Nats,
            Kind::Rabbitmq => Protocol::Rabbitmq,
            Kind::Redis => Protocol::Redis,
        }
    }

    /// Brings its broker up, fresh, unless it runs already, on the cores that are the brokers'.
    pub(crate) fn start(&self, case: &Case, sources: &Sources) -> Outcome<Standing> {
        // Children inherit the cores of the thread that starts them, and their threads after them.
        match &sources.placement {
            Some(placement) => placement.for_broker(|| self.bring_up(case, sources)),
            None => self.bring_up(case, sources),
        }
    }

    fn bring_up(&self, case: &Case, sources: &Sources) -> Outcome<Standing> {
        if let Some(external) = sources.external.iter().find(|external| external.name == self.name)
        {
            return Ok(external.standing());
        }
        match self.kind {
            Kind::Kolk | Kind::KolkKafka | Kind::KolkKafkaShard => self.start_kolk(case, sources),
            Kind::Kafka | Kind::Nats | Kind::Rabbitmq | Kind::Redis => {
                let up = peer::up(&sources.peers, self.name, self.durability(case))?;
                let state = up.state();
                Ok(Standing {
                    address: state.address.clone(),
                    watched: Watched { pid: Some(state.pid), data: Some(state.data.clone()) },
                    version: state.version.clone(),
                    configuration: state.configuration.clone(),
                    home: Home::Peer(up),
                })
            }
        }
    }

    fn start_kolk(&self, case: &Case, sources: &Sources) -> Outcome<Standing> {
        // Absent at the first start.
        drop(std::fs::remove_dir_all(sources.scratch.join("kolk")));
        let broker = Broker::start(&BrokerPlan {
            program: &sources.kolk,
            scratch: &sources.scratch,
            data: "kolk",
            cores: None,
            settings: &self.settings,
            memory_bytes_max: case.workload.broker.memory_bytes_max,
        })?;
        let address = match self.kind {
            Kind::KolkKafka => broker.kafka(),
            Kind::KolkKafkaShard => broker.kafka_shard(),
            _ => broker.native(),
        };
        Ok(Standing {
            address: address.to_owned(),
            watched: Watched { pid: Some(broker.pid()), data: Some(broker.data().to_owned()) },
            version: facts::version(&sources.kolk),
            configuration: vec![("kolk config".to_owned(), broker.configuration())],
            home: Home::Own(broker),
        })
    }
}

impl Standing {
    /// Stops it, unless it was running before.
    pub(crate) fn stop(self) -> Outcome<()> {
        match self.home {
            Home::Own(broker) => broker.stop(),
            Home::Peer(peer) => peer.down(),
            Home::Elsewhere => Ok(()),
        }
    }
}

impl External {
    /// Reads `NAME=HOST:PORT[,pid=PID][,data=DIR]`.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let wrong =
            || BenchError::Workload(format!("'{text}' is not NAME=HOST:PORT[,pid=PID][,data=DIR]"));
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let mut words = rest.split(',');
        let address = words.next().filter(|address| address.contains(':')).ok_or_else(wrong)?;
        let (name, address) = (name.to_owned(), address.to_owned());
        let mut external = Self { name, address, pid: None, data: None };
        for word in words {
            match word.split_once('=') {
                Some(("pid", pid)) => external.pid = Some(pid.parse().map_err(|_| wrong())?),
                Some(("data", folder)) => external.data = Some(PathBuf::from(folder)),
                _ => return Err(wrong()),
            }
        }
        Ok(external)
    }

    fn standing(&self) -> Standing {
        let text = "was running before; its settings are not known".to_owned();
        Standing {
            address: self.address.clone(),
            watched: Watched { pid: self.pid, data: self.data.clone() },
            version: "unknown".to_owned(),
            configuration: vec![(self.address.clone(), text)],
            home: Home::Elsewhere,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_are_read_with_their_durability() {
        let plain = Contender::parse("kolk-kafka").unwrap();
        assert_eq!((plain.kind, plain.durability), (Kind::KolkKafka, None));
        let flushed = Contender::parse("kafka@power-loss").unwrap();
        assert_eq!(flushed.durability, Some(Durability::PowerLoss));
        assert_eq!(
            (flushed.label(), plain.label()),
            ("kafka@power-loss".into(), "kolk-kafka".into())
        );
        let set = Contender::parse("kolk:spin_us=500:cores=0@process-crash").unwrap();
        assert_eq!(set.settings, ["spin_us=500", "cores=0"]);
        assert_eq!(set.label(), "kolk:spin_us=500:cores=0@process-crash");
        assert!(Contender::parse("nats:spin_us=500").is_err(), "kolk's alone");
        assert!(Contender::parse("kolk:spin_us").is_err(), "no value");
        assert!(Contender::parse("pulsar").is_err() && Contender::parse("kafka@fsync").is_err());
    }

    #[test]
    fn brokers_that_run_already_are_named_with_what_is_known_of_them() {
        let external = External::parse("kafka=10.0.0.1:9092,pid=42,data=/var/lib/kafka").unwrap();
        assert_eq!((external.pid, external.address.as_str()), (Some(42), "10.0.0.1:9092"));
        assert_eq!(External::parse("nats=localhost:4222").unwrap().data, None);
        for text in ["kafka", "kafka=here", "kafka=a:1,pid=x", "kafka=a:1,what=1"] {
            assert!(External::parse(text).is_err(), "{text}");
        }
    }
}
