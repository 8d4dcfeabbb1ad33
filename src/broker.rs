//! Starts a broker in this process and stops it: the order of steps, and nothing else.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use kolk_io::error::IoError;
use kolk_io::host::check::{self, Wants};
use kolk_io::host::lock::{DirLock, LockError};
use kolk_io::host::{cores, limits};
use kolk_io::net::{BoundSocket, bind};
use kolk_io::uring::shard::{ShardError, ShardHandle, ShardSpec, join_all, spawn_shard};
use kolk_io::{buf, channel};
use kolk_serve::door::ShardDoors;
use kolk_serve::kafka::start_facts::StartFacts;
use kolk_serve::kafka::view::{Advertised, KafkaIdentity};
use kolk_serve::native::identity::Identity;
use kolk_shard::mesh::seats;
use kolk_shard::shard::StopError;
use kolk_shard::start::{RecoveredNode, RecoveryReport, StartError, StartPlan, recover};
use thiserror::Error;

use crate::config::{Config, HostAndPort, OnOff, SamePort};
use crate::core_plan::{CorePlan, CorePlanError};
use crate::settings_table::settings;
use crate::shard_life::{self, Order, Report, ShardFailure, ShardSeed};

/// How long an executor may take to come up.
const EXECUTOR_TIMEOUT: Duration = Duration::from_secs(20);

/// Orders a shard may have to read: to listen, and to stop.
const ORDERS_MAX: usize = 2;

/// How long a stop may take beyond the time that connections have to end: a shard gives up a second before.
const STOP_MAX: Duration = Duration::from_millis(6_500);

/// How often a port that is in use is tried, and the pause between: two seconds in all.
const BIND_ATTEMPTS_MAX: u32 = 101;
const BIND_PAUSE: Duration = Duration::from_millis(20);

/// What a shard may have in memory, over this, is made ready before anybody needs it.
const MEMORY_AHEAD_SHARE: u64 = 8;

/// Descriptors that a shard has beside segments and connections: rings, doors, journals, snapshots, what is read and
/// compacted. About 40 are seen.
const SHARD_FILES_MAX: u64 = 48;

/// Journal files of a shard that must find room at the start.
const JOURNAL_FILES_MIN: u64 = 2;

/// The version that clients and people are told.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The common native door.
    pub native: SocketAddr,
    /// Each shard's own native door, by shard.
    pub native_shards: Vec<SocketAddr>,
    /// The Kafka node door, if it is open.
    pub kafka: Option<SocketAddr>,
    /// Each shard's own Kafka door, by shard; none if they are closed.
    pub kafka_shards: Vec<SocketAddr>,
    /// Metrics and health.
    pub http: SocketAddr,
}

/// Why a broker does not start. Nothing on disk was lost.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// Cores and shards don't fit the machine. The operator's fault.
    #[error(transparent)]
    Cores(#[from] CorePlanError),
    /// The machine lacks what the broker needs.
    #[error("{}", lines(.faults))]
    Requirements {
        /// A line each: what is missing, and its cure.
        faults: Vec<String>,
    },
    /// The data directory can't be locked: another broker runs on it, or it can't be written.
    #[error(transparent)]
    Data(#[from] LockError),
    /// Two doors ask for one port.
    #[error(transparent)]
    SamePort(#[from] SamePort),
    /// A port can't be taken.
    #[error(
        "{door} can't be opened: {error}; set {setting} to a free port, or another address to listen on"
    )]
    Door {
        /// Which door.
        door: String,
        /// The address.
        address: SocketAddr,
        /// The setting to change.
        setting: &'static str,
        /// What the kernel said.
        error: IoError,
    },
    /// The ports of the shards' doors go beyond the last there is. The operator's fault.
    #[error("shard {shard} would listen on port {first} + {shard}, beyond 65535; lower {setting}")]
    NoPort {
        /// The setting to change.
        setting: &'static str,
        /// The shard.
        shard: u16,
        /// The port of shard 0.
        first: u16,
    },
    /// An executor did not come up.
    #[error(transparent)]
    Executor(#[from] ShardError),
    /// The data directory can't be recovered.
    #[error(transparent)]
    Recovery(#[from] StartError),
    /// The disk has no room for what a start writes. The operator's to make.
    #[error(
        "{error}; a start needs {} MiB in {} for its new journal: make room and start again, nothing is lost",
        bytes.div_ceil(1 << 20), data.display()
    )]
    NoRoom {
        /// What found none.
        error: IoError,
        /// Bytes that must be free for a start.
        bytes: u64,
        /// The data directory.
        data: PathBuf,
    },
    /// A shard did not come up.
    #[error(transparent)]
    Shard(#[from] ShardFailure),
    /// A shard's thread ended before it was up.
    #[error("a shard ended before it was up; the log says why")]
    ShardGone,
}

/// Why a broker did not stop cleanly. The next start recovers as after a crash.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BrokerStopError {
    /// A shard's executor failed.
    #[error(transparent)]
    Executor(#[from] ShardError),
    /// A shard's logs did not come to rest.
    #[error(transparent)]
    Shard(#[from] StopError),
}

fn lines(faults: &[String]) -> String {
    faults.join("\n")
}

/// A broker, see [`Broker::start`].
#[derive(Debug)]
pub struct Broker;

/// A running broker. Dropping it asks the shards to stop and does not wait for them; call
/// [`BrokerHandle::stop`].
pub struct BrokerHandle {
    addresses: Addresses,
    report: RecoveryReport,
    shards: Vec<RunningShard>,
    stop_max: Duration,
    _lock: DirLock,
}

struct RunningShard {
    orders: channel::Sender<Order>,
    thread: ShardHandle<Result<(), StopError>>,
}

impl Broker {
    /// Starts a broker with `config` and returns when it takes requests. Blocks; called on a thread that is no
    /// executor.
    ///
    /// In this order: what the machine must offer is checked, the data directory is locked, ports are
    /// taken, the data is recovered, shards open their part and connect with each other, doors open.
    ///
    /// # Errors
    /// See [`BrokerError`]; nothing of the broker runs then.
    pub fn start(config: &Config) -> Result<BrokerHandle, BrokerError> {
        limits::keep_freed_memory();
        let plan = CorePlan::new(&cores::allowed(), config.cores.as_ref(), config.shards)?;
        let config = &within_open_files(config, plan.shards(), limits::raise_open_files());
        check_host(config, &plan)?;
        // First: a killed predecessor's ports are free once the kernel is done with all it had in flight.
        let lock = DirLock::take(&config.data)?;
        let sockets = Sockets::bind(config, plan.shards())?;
        let settings = config.shard_settings(plan.shards());
        buf::keep_ready(settings.log.memory_bytes_max / MEMORY_AHEAD_SHARE);
        let RecoveredNode { parts, report } = recover_node(config, &plan, &lock)?;
        log_recovery(&report);
        let addresses = sockets.addresses();
        let (reports, shard_reports) = mpsc::channel();
        let mut shards = Vec::with_capacity(plan.cores.len());
        let doors = sockets.into_doors()?;
        let seats = seats(plan.shards(), settings.mesh_slots);
        for (((part, seat), doors), core) in
            parts.into_iter().zip(seats).zip(doors).zip(&plan.cores)
        {
            let (orders, shard_orders) = channel::pair(ORDERS_MAX);
            let name = format!("kolk-{}", part.shard());
            let seed = ShardSeed {
                part,
                seat,
                settings: settings.clone(),
                serve: config.serve.clone(),
                identity: identity(config, &addresses),
                kafka_identity: kafka_identity(config, &addresses),
                doors,
                orders: shard_orders,
                reports: reports.clone(),
            };
            let spec = ShardSpec {
                core: *core,
                runtime: config.runtime,
                spin: Duration::from_micros(config.spin_us),
                hold: Some(lock.held()),
                ..ShardSpec::new(&name)
            };
            let thread = spawn_shard(spec, move |io| shard_life::run(io, seed))?;
            shards.push(RunningShard { orders, thread: thread.wait_ready(EXECUTOR_TIMEOUT)? });
        }
        drop(reports);
        let stop_max = config.serve.drain + STOP_MAX;
        let broker = BrokerHandle { addresses, report, shards, stop_max, _lock: lock };
        broker.await_reports(&shard_reports, Report::Open)?;
        broker.order(Order::Listen);
        broker.await_reports(&shard_reports, Report::Listening)?;
        tracing::info!(
            version = VERSION,
            native = %broker.addresses.native,
            kafka = broker.addresses.kafka.map(tracing::field::display),
            http = %broker.addresses.http,
            shards = broker.shards.len(),
            "broker ready"
        );
        Ok(broker)
    }
}

impl BrokerHandle {
    /// Where the broker listens.
    #[must_use]
    pub const fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What the start found in the data directory.
    #[must_use]
    pub const fn recovery(&self) -> &RecoveryReport {
        &self.report
    }

    /// Stops the broker: doors close, requests in flight are answered, logs come to rest. Blocks for some
    /// seconds at most.
    ///
    /// # Errors
    /// The first shard's failure; all others were stopped all the same. A shard that hangs is left behind: end the process then.
    pub fn stop(self) -> Result<(), BrokerStopError> {
        tracing::info!("broker stopping");
        // All at once: a shard comes to rest when no other asks it anything more.
        self.order(Order::Stop);
        let threads = self.shards.into_iter().map(|shard| shard.thread).collect();
        let mut outcome = Ok(());
        for ended in join_all(threads, self.stop_max) {
            let ended = match ended {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(BrokerStopError::Shard(error)),
                Err(error) => Err(BrokerStopError::Executor(error)),
            };
            if let Err(error) = &ended {
                tracing::error!(%error, "shard did not stop cleanly");
            }
            outcome = outcome.and(ended);
        }
        if outcome.is_ok() {
            tracing::info!("broker stopped");
        }
        outcome
    }

    fn order(&self, order: Order) {
        for shard in &self.shards {
            // There is room for every order; a shard that has ended needs none.
            let _ended = shard.orders.try_send(order);
        }
    }

    fn await_reports(
        &self,
        reports: &mpsc::Receiver<Result<Report, ShardFailure>>,
        expected: Report,
    ) -> Result<(), BrokerError> {
        for _ in &self.shards {
            let report = reports.recv().map_err(|_| BrokerError::ShardGone)??;
            assert_eq!(report, expected, "shards report step by step");
        }
        Ok(())
    }
}

/// Lowers what would need more descriptors than the process may open: an eighth is kept for all else, or more where
/// shards are many, segments get a quarter at most, connections have the rest.
fn within_open_files(config: &Config, shards: u16, open_files_max: u64) -> Config {
    let mut config = config.clone();
    let shards = u64::from(shards);
    let wanted = u64::try_from(config.shard.log.open_files_max).unwrap_or(u64::MAX);
    let kept = (open_files_max / 8).max(SHARD_FILES_MAX.saturating_mul(shards));
    let left = open_files_max - kept.min(open_files_max / 4 * 3);
    let segments = wanted.saturating_mul(shards).min(open_files_max / 4).min(left / 2);
    let connections = left - segments;
    let connections = u32::try_from(connections).unwrap_or(u32::MAX);
    let segments = usize::try_from(segments / shards).unwrap_or(usize::MAX);
    if config.serve.connections_max > connections || config.shard.log.open_files_max > segments {
        config.serve.connections_max = config.serve.connections_max.min(connections);
        config.shard.log.open_files_max = config.shard.log.open_files_max.min(segments);
        tracing::info!(
            open_files_max,
            connections_max = config.serve.connections_max,
            shard_segments_open_max = config.shard.log.open_files_max,
            "the limit of open files lowers what may be open at once"
        );
    }
    config
}

/// Checks what the machine must offer; what only makes the broker worse is a warning.
fn check_host(config: &Config, plan: &CorePlan) -> Result<(), BrokerError> {
    let wants = Wants { data: config.data.clone(), free_bytes_min: journal_bytes(config, plan) };
    let (fatal, worse): (Vec<_>, Vec<_>) =
        check::run(&wants).into_iter().partition(|finding| finding.fatal);
    for finding in worse {
        tracing::warn!("{}", finding.line);
    }
    if fatal.is_empty() {
        return Ok(());
    }
    Err(BrokerError::Requirements {
        faults: fatal.into_iter().map(|finding| finding.line).collect(),
    })
}

/// Bytes that a new journal needs: it grows file by file, and two for each shard are what a run can begin with.
fn journal_bytes(config: &Config, plan: &CorePlan) -> u64 {
    let files = JOURNAL_FILES_MIN * u64::from(plan.shards());
    config.shard.log.journal_file_bytes.saturating_mul(files)
}

/// The ports of a broker, taken.
struct Sockets {
    common: BoundSocket,
    own: Vec<BoundSocket>,
    kafka_common: Option<BoundSocket>,
    /// None, or one for each shard.
    kafka_own: Vec<BoundSocket>,
    http: BoundSocket,
}

/// The doors that every shard has one of, with ports in a row.
struct DoorRow {
    first_port: u16,
    name: &'static str,
    setting: &'static str,
}

impl Sockets {
    fn bind(config: &Config, shards: u16) -> Result<Self, BrokerError> {
        config.check_ports(shards)?;
        let ip = config.listen;
        let common =
            bind_door(ip, config.native_port, "the native door".to_owned(), "native.port")?;
        let (first_port, setting) = (config.native_shard_port, "native.shard_port");
        let own = DoorRow { first_port, name: "native", setting }.bind(ip, shards)?;
        let kafka_common = config
            .kafka_port
            .map(|port| bind_door(ip, port, "the Kafka door".to_owned(), "kafka.port"));
        let kafka_common = kafka_common.transpose()?;
        let (first_port, setting) = (config.kafka_shard_port, "kafka.shard_port");
        let kafka_own = match config.kafka_shard_door {
            OnOff::On => DoorRow { first_port, name: "Kafka", setting }.bind(ip, shards)?,
            OnOff::Off => Vec::new(),
        };
        let http = bind_door(ip, config.http_port, "the HTTP door".to_owned(), "http.port")?;
        Ok(Self { common, own, kafka_common, kafka_own, http })
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            native: self.common.local_address(),
            native_shards: self.own.iter().map(BoundSocket::local_address).collect(),
            kafka: self.kafka_common.as_ref().map(BoundSocket::local_address),
            kafka_shards: self.kafka_own.iter().map(BoundSocket::local_address).collect(),
            http: self.http.local_address(),
        }
    }

    /// The doors of each shard, by shard. HTTP is shard 0's.
    fn into_doors(self) -> Result<Vec<ShardDoors>, BrokerError> {
        let mut http = Some(self.http);
        let mut kafka_own = self.kafka_own.into_iter();
        let doors = self.own.into_iter().map(|own| {
            let kafka_common = self.kafka_common.as_ref();
            Ok(ShardDoors {
                common: shared(&self.common, "native.port")?,
                own,
                kafka_common: kafka_common.map(|door| shared(door, "kafka.port")).transpose()?,
                kafka_own: kafka_own.next(),
                http: http.take(),
            })
        });
        doors.collect()
    }
}

impl DoorRow {
    fn bind(&self, ip: IpAddr, shards: u16) -> Result<Vec<BoundSocket>, BrokerError> {
        let Self { first_port, name, setting } = *self;
        let door = |shard| {
            let no_port = BrokerError::NoPort { setting, shard, first: first_port };
            let port = match first_port {
                0 => 0,
                first => first.checked_add(shard).ok_or(no_port)?,
            };
            bind_door(ip, port, format!("the {name} door of shard {shard}"), setting)
        };
        (0..shards).map(door).collect()
    }
}

/// A door that every shard accepts from.
fn shared(door: &BoundSocket, setting: &'static str) -> Result<BoundSocket, BrokerError> {
    door.try_clone().map_err(|error| BrokerError::Door {
        door: format!("the door of {setting}"),
        address: door.local_address(),
        setting,
        error,
    })
}

/// Binds a door, trying again for two seconds while its address is in use: after a `kill -9` the kernel tears an
/// io_uring down later than its process, and the accept in it holds the port for some milliseconds.
fn bind_door(
    ip: IpAddr,
    port: u16,
    door: String,
    setting: &'static str,
) -> Result<BoundSocket, BrokerError> {
    let address = SocketAddr::new(ip, port);
    let mut attempts = 1;
    loop {
        match bind(address) {
            Err(error) if is_in_use(&error) && attempts < BIND_ATTEMPTS_MAX => attempts += 1,
            bound => {
                return bound.map_err(|error| BrokerError::Door { door, address, setting, error });
            }
        }
        #[expect(clippy::disallowed_methods, reason = "no shard runs yet")]
        std::thread::sleep(BIND_PAUSE);
    }
}

fn is_in_use(error: &IoError) -> bool {
    match error {
        IoError::Os { errno, .. } => {
            std::io::Error::from_raw_os_error(*errno).kind() == ErrorKind::AddrInUse
        }
        _ => false,
    }
}

fn identity(config: &Config, addresses: &Addresses) -> Identity {
    Identity {
        broker_version: VERSION,
        node_id: config.node_id,
        advertise: config.advertise.clone(),
        shard_ports: addresses.native_shards.iter().map(SocketAddr::port).collect(),
        started_ns: 0,
    }
}

fn kafka_identity(config: &Config, addresses: &Addresses) -> KafkaIdentity {
    let advertised = |own: Option<&HostAndPort>, address: &SocketAddr, number: u16| Advertised {
        host: own.map(|own| own.host.clone()).or_else(|| config.advertise.clone()),
        port: own
            .and_then(|own| own.port)
            .map_or(address.port(), |first| first.saturating_add(number)),
    };
    let node = config.kafka_advertise.as_ref();
    // The node door's port says nothing of the shards'.
    let hosts = node.map(|node| HostAndPort { host: node.host.clone(), port: None });
    let shards = config.kafka_shard_advertise.as_ref().or(hosts.as_ref());
    KafkaIdentity {
        node_id: config.node_id,
        node: addresses.kafka.as_ref().map(|address| advertised(node, address, 0)),
        shards: (0..)
            .zip(&addresses.kafka_shards)
            .map(|(number, address)| advertised(shards, address, number))
            .collect(),
        start: start_facts(config, addresses, node),
    }
}

/// What is told of the start.
fn start_facts(
    config: &Config,
    addresses: &Addresses,
    advertised: Option<&HostAndPort>,
) -> StartFacts {
    let door = addresses.kafka.as_ref();
    let listener = door.map(|address| format!("PLAINTEXT://{address}")).unwrap_or_default();
    let told = door.map(|address| {
        let own = advertised.map(|own| &own.host).or(config.advertise.as_ref());
        let host = own.cloned().unwrap_or_else(|| address.ip().to_string());
        let port = advertised.and_then(|own| own.port).unwrap_or_else(|| address.port());
        format!("PLAINTEXT://{host}:{port}")
    });
    let derived = [("listeners", listener), ("advertised.listeners", told.unwrap_or_default())];
    let given = settings().map(|setting| (setting.key, setting.value(config)));
    let data = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
    StartFacts::new(data, given.chain(derived))
}

/// Recovers the data directory on an executor of its own, which ends with it.
fn recover_node(
    config: &Config,
    plan: &CorePlan,
    lock: &DirLock,
) -> Result<RecoveredNode, BrokerError> {
    let settings = config.shard_settings(plan.shards());
    let (data, shards, accept_loss) = (config.data.clone(), plan.shards(), config.accept_loss);
    let boot = boot_id();
    let (runtime, hold) = (config.runtime, Some(lock.held()));
    let spec = ShardSpec { runtime, hold, ..ShardSpec::new("kolk-recovery") };
    let recovery = spawn_shard(spec, move |io| async move {
        let log = &settings.log;
        recover(&io, &StartPlan { dir: &data, shards, log, boot, accept_loss }).await
    })?;
    let recovered = recovery.wait_ready(EXECUTOR_TIMEOUT)?.join()?;
    recovered.map_err(|error| not_recovered(error, config, plan))
}

/// A start that only lacks room says how much of it.
fn not_recovered(error: StartError, config: &Config, plan: &CorePlan) -> BrokerError {
    match error.no_room() {
        Some(found) => BrokerError::NoRoom {
            error: found.clone(),
            bytes: journal_bytes(config, plan),
            data: config.data.clone(),
        },
        None => error.into(),
    }
}

fn log_recovery(report: &RecoveryReport) {
    tracing::info!(
        cluster = %report.cluster,
        run = report.run,
        generation = report.generation,
        topics = report.topics,
        partitions = report.partitions,
        replayed_groups = report.groups,
        replayed_bytes = report.payload_bytes,
        torn_groups = report.torn_groups,
        "data recovered"
    );
    for partition in &report.damaged {
        tracing::error!(%partition, "partition is offline: its data is damaged");
    }
    for partition in &report.possibly_short {
        tracing::warn!(
            %partition,
            "partition may lack its last records: the machine went down, and its topic survives only a crash of the process"
        );
    }
}

/// A number for this boot of the machine; 0 when the kernel does not tell.
fn boot_id() -> u64 {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(16).collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use kolk_io::error::Op;

    use super::*;

    #[test]
    fn few_descriptors_lower_connections_and_open_segments() {
        let lowered = within_open_files(&Config::default(), 2, 1_024);
        assert_eq!(lowered.serve.connections_max, 640);
        assert_eq!(lowered.shard.log.open_files_max, 128);
        assert!(within_open_files(&Config::default(), 2, 20_000).serve.connections_max > 10_000);
        for (shards, open_files_max) in [(64, 8_192), (16, 1_024), (2, 1_024), (128, 4_096)] {
            let lowered = within_open_files(&Config::default(), shards, open_files_max);
            let shards = u64::from(shards);
            let segments = u64::try_from(lowered.shard.log.open_files_max).unwrap() * shards;
            let kept = open_files_max - segments - u64::from(lowered.serve.connections_max);
            assert!(
                kept >= (48 * shards).min(open_files_max / 4 * 3),
                "{shards} shards keep {kept}"
            );
            assert!(lowered.serve.connections_max >= 128, "{shards} shards");
        }
        let default = Config::default();
        assert_eq!(within_open_files(&default, 2, 1 << 20), default);
    }

    #[test]
    fn a_start_without_room_says_how_much_it_needs_and_where() {
        let path = PathBuf::from("/d/journal/8/0/0.journal.tmp");
        let error = StartError::from(IoError::NoSpace { op: Op::Allocate, path });
        let plan = CorePlan::new(&[0, 1], None, Some(2)).unwrap();
        let config = Config { data: PathBuf::from("/d"), ..Config::default() };
        let mib = (config.shard.log.journal_file_bytes * 4) >> 20;
        let said = not_recovered(error, &config, &plan).to_string();
        let wanted = format!("needs {mib} MiB in /d for its new journal: make room");
        assert!(said.starts_with("no space left: fallocate /d/journal/8/0"), "{said}");
        assert!(said.contains(&wanted) && said.ends_with("nothing is lost"), "{said}");
        let broken = IoError::Os { op: Op::Write, errno: 5, path: PathBuf::from("/d/f") };
        let other = not_recovered(StartError::from(broken), &config, &plan);
        assert!(matches!(other, BrokerError::Recovery(_)), "{other}");
    }

    fn free_ports() -> Config {
        Config {
            native_port: 0,
            native_shard_port: 0,
            kafka_port: Some(0),
            kafka_shard_port: 0,
            http_port: 0,
            ..Config::default()
        }
    }

    #[test]
    fn kafka_doors_may_be_closed() {
        let closed = Config { kafka_port: None, kafka_shard_door: OnOff::Off, ..free_ports() };
        let sockets = Sockets::bind(&closed, 2).unwrap();
        let addresses = sockets.addresses();
        assert_eq!((addresses.kafka, addresses.kafka_shards.len()), (None, 0));
        let doors = sockets.into_doors().unwrap();
        assert!(doors.iter().all(|door| door.kafka_common.is_none() && door.kafka_own.is_none()));
    }

    #[test]
    fn kafka_clients_are_told_what_is_set_for_their_door() {
        let place = |host: &str, port| Some(HostAndPort { host: host.to_owned(), port });
        let port = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let addresses = Addresses {
            native: port(1),
            native_shards: vec![port(2), port(3)],
            kafka: Some(port(4)),
            kafka_shards: vec![port(5), port(6)],
            http: port(7),
        };
        let shown = |config: &Config| {
            let identity = kafka_identity(config, &addresses);
            let doors: Vec<_> = identity.node.into_iter().chain(identity.shards).collect();
            let texts = doors.iter().map(|door| match &door.host {
                Some(host) => format!("{host}:{}", door.port),
                None => format!("-:{}", door.port),
            });
            texts.collect::<Vec<_>>().join(" ")
        };
        let mut config = Config::default();
        assert_eq!(shown(&config), "-:4 -:5 -:6");
        config.advertise = Some("all".to_owned());
        assert_eq!(shown(&config), "all:4 all:5 all:6");
        config.kafka_advertise = place("kafka", Some(19_092));
        assert_eq!(shown(&config), "kafka:19092 kafka:5 kafka:6");
        config.kafka_shard_advertise = place("shards", Some(30_000));
        assert_eq!(shown(&config), "kafka:19092 shards:30000 shards:30001");
    }

    #[test]
    fn shard_ports_beyond_the_last_are_refused_by_name() {
        let config = Config { native_shard_port: 65_535, ..free_ports() };
        let error = Sockets::bind(&config, 3).err().unwrap();
        assert!(error.to_string().contains("native.shard_port"), "{error}");
    }

    #[test]
    fn a_start_with_two_doors_on_one_port_names_both_settings() {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = Config { native_port: port, kafka_port: Some(port), ..free_ports() };
        let error = Sockets::bind(&config, 1).err().unwrap().to_string();
        assert!(error.contains("native.port") && error.contains("kafka.port"), "{error}");
    }

    #[test]
    fn a_port_that_is_taken_is_named_with_its_setting() {
        let sockets = Sockets::bind(&free_ports(), 1).unwrap();
        let address = sockets.addresses().http;
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let config = Config { http_port: taken.local_addr().unwrap().port(), ..free_ports() };
        let error = Sockets::bind(&config, 1).err().unwrap();
        assert!(error.to_string().contains("http.port"), "{error}");
        assert_ne!(address.port(), config.http_port);
    }
}
