//! The start of a node: once, its data directory is recovered and the catalogue told that a run has begun;
//! then each shard opens its part on its own executor.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use kolk_coord::catalogue::codec::{CATALOGUE_BYTES_MAX, DecodeError};
use kolk_coord::catalogue::{Catalogue, TopicStatus};
use kolk_coord::command::{CatalogueError, Command};
use kolk_coord::topic::ClusterId;
use kolk_io::door::Io;
use kolk_io::error::IoError;
use kolk_layout::clock::ClockError;
use kolk_layout::journal::current::CURRENT_BYTES_MAX;
use kolk_log::error::{LogError, RecoveryError};
use kolk_log::recovery::image::ShardImage;
use kolk_log::recovery::{
    CURRENT_PATH, RecoveryPlan, TopicFate, recover as recover_logs, remove_deleted_topics,
};
use kolk_log::settings::LogSettings;
use kolk_log::shard_log::ShardLog;
use kolk_metric::shard::ShardMetrics;
use kolk_model::ids::{ProducerId, ShardId, TopicId, TopicPartition};
use kolk_model::map::{Map, Set};
use kolk_partition::partition::{Partition, log_config};

use crate::controller::Controller;
use crate::housekeeping;
use crate::housekeeping::known_time;
use crate::housekeeping::known_time::CLOCK_PATH;
use crate::message::ProducerIdBlock;
use crate::metadata::{CONTROLLER, Metadata, Placement};
use crate::owner::{apply, group, loading, pump};
use crate::settings::ShardSettings;
use crate::shard::Shard;
use crate::state::bell::Bell;
use crate::state::budget::Budget;
use crate::state::clock::{ClockGuard, KnownTime};
use crate::state::groups::Groups;
use crate::state::lane::Lane;
use crate::state::waiters::Waiters;
use crate::state::{Lanes, Phase, ShardState, TURNED_AWAY_MAX};

/// The catalogue's file, below the data directory.
pub const CATALOGUE_PATH: &str = "meta/catalogue";

/// Why a node does not start. Nothing was lost: what is on disk stays as it is.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The disk could not be read or written.
    #[error(transparent)]
    Io(#[from] IoError),
    /// The catalogue's file is damaged, or of a newer kolk. Restore it.
    #[error("{path}: {error}", path = path.display())]
    Catalogue {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: DecodeError,
    },
    /// The file that says what time it was is of a newer kolk.
    #[error("{path}: {error}", path = path.display())]
    Clock {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: ClockError,
    },
    /// The catalogue does not take the beginning of a run: a bug.
    #[error("the run can't begin: {0}")]
    Run(#[from] CatalogueError),
    /// The logs can't be recovered or opened.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl StartError {
    /// What found no room on the disk, where nothing else is wrong: another attempt helps once there is some.
    #[must_use]
    pub const fn no_room(&self) -> Option<&IoError> {
        match self {
            Self::Io(error) | Self::Log(LogError::Io(error)) if error.is_no_space() => Some(error),
            _ => None,
        }
    }
}

/// What the recovery of a data directory needs to know.
#[derive(Clone, Copy, Debug)]
pub struct StartPlan<'a> {
    /// The data directory, whose lock the caller holds.
    pub dir: &'a Path,
    /// Shards of the new run.
    pub shards: u16,
    /// The storage engine's settings.
    pub log: &'a LogSettings,
    /// The kernel's boot id, 0 if unknown.
    pub boot: u64,
    /// Go on although journal files are missing; what they held is lost.
    pub accept_loss: bool,
}

/// A recovered data directory, taken apart for the shards.
#[derive(Clone, Debug)]
pub struct RecoveredNode {
    /// A part for each shard, in order. Each goes to its shard's executor.
    pub parts: Vec<ShardPart>,
    /// What was found.
    pub report: RecoveryReport,
}

/// What recovery found, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoveryReport {
    /// The cluster's id.
    pub cluster: ClusterId,
    /// How often the node has started.
    pub run: u64,
    /// The journals' new generation.
    pub generation: u64,
    /// Topics that exist.
    pub topics: usize,
    /// Partitions of all topics.
    pub partitions: u64,
    /// Journal groups replayed.
    pub groups: u64,
    /// Bytes of batches brought back from the journals.
    pub payload_bytes: u64,
    /// Groups at the journals' ends that were torn and never acknowledged.
    pub torn_groups: u64,
    /// Partitions that are offline.
    pub damaged: Vec<TopicPartition>,
    /// Partitions that promise to survive a crash of the process only, after the machine went down.
    pub possibly_short: Vec<TopicPartition>,
}

/// What one shard starts with.
#[derive(Clone, Debug)]
pub struct ShardPart {
    dir: PathBuf,
    shard: ShardId,
    placement: Placement,
    image: ShardImage,
    catalogue: Catalogue,
    known_time: KnownTime,
}

impl ShardPart {
    /// Which shard it is for.
    #[must_use]
    pub const fn shard(&self) -> ShardId {
        self.shard
    }
}

/// Recovers the data directory, removes what deleted topics left, and begins a run. Once, on any executor,
/// before a shard opens.
///
/// # Errors
/// See [`StartError`]; another attempt may follow.
pub async fn recover<I: Io>(io: &I, plan: &StartPlan<'_>) -> Result<RecoveredNode, StartError> {
    let StartPlan { dir, shards, log, boot, accept_loss } = *plan;
    let placement = Placement::new(shards);
    let path = dir.join(CATALOGUE_PATH);
    let (mut catalogue, known_time) = match read_catalogue(io, &path).await? {
        Some(catalogue) => {
            // The first start writes it last: whoever has it has served, and its journals hold what was acknowledged.
            refuse_without_journals(io, dir).await?;
            (catalogue, read_known_time(io, &dir.join(CLOCK_PATH)).await?)
        }
        None => {
            let (high, low) = (io.random_u64(), io.random_u64());
            let cluster = ClusterId::new(u128::from(high) << 64 | u128::from(low));
            (Catalogue::new(cluster), KnownTime::First)
        }
    };
    let fate = |id: TopicId| match catalogue.status(id) {
        TopicStatus::Live => catalogue
            .topic(id)
            .map_or(TopicFate::Unknown, |topic| TopicFate::Live(log_config(&topic.config))),
        TopicStatus::Deleted => TopicFate::Deleted,
        TopicStatus::Unknown => TopicFate::Unknown,
    };
    let owner = |partition| placement.owner(partition);
    let logs =
        RecoveryPlan { shards, settings: log, boot, accept_loss, placement: &owner, fate: &fate };
    let recovered = recover_logs(io, dir, &logs).await?;
    remove_deleted_topics(io, dir, &fate).await?;
    io.sync_dir(&dir.join("topics")).await?;
    catalogue.apply(Command::BeginRun)?;
    if known_time == KnownTime::First {
        known_time::write(io, &dir.join(CLOCK_PATH), io.wall_clock()).await?;
    }
    io.write_file_atomic(&path, &catalogue.encode()).await?;
    let report = RecoveryReport {
        cluster: catalogue.cluster(),
        run: catalogue.run().get(),
        generation: recovered.generation,
        topics: catalogue.topics().len(),
        partitions: catalogue.partition_count(),
        groups: recovered.counts.groups,
        payload_bytes: recovered.counts.payload_bytes,
        torn_groups: recovered.counts.torn_groups,
        damaged: recovered.damaged,
        possibly_short: recovered.possibly_short,
    };
    let part = |(number, image)| ShardPart {
        dir: dir.to_path_buf(),
        shard: ShardId::new(number),
        placement,
        image,
        catalogue: catalogue.clone(),
        known_time,
    };
    let parts = (0..shards).zip(recovered.shards).map(part).collect();
    Ok(RecoveredNode { parts, report })
}

/// Without the file the catalogue is empty; recovery then refuses journals that name a topic.
async fn read_catalogue<I: Io>(io: &I, path: &Path) -> Result<Option<Catalogue>, StartError> {
    let Some(bytes) = io.read_file(path, CATALOGUE_BYTES_MAX).await? else { return Ok(None) };
    Catalogue::decode(&bytes)
        .map(Some)
        .map_err(|error| StartError::Catalogue { path: path.to_path_buf(), error })
}

async fn read_known_time<I: Io>(io: &I, path: &Path) -> Result<KnownTime, StartError> {
    known_time::read(io, path).await.map_err(|error| match error {
        known_time::ReadError::Io(error) => StartError::Io(error),
        known_time::ReadError::Newer(error) => {
            StartError::Clock { path: path.to_path_buf(), error }
        }
    })
}

async fn refuse_without_journals<I: Io>(io: &I, dir: &Path) -> Result<(), StartError> {
    if io.read_file(&dir.join(CURRENT_PATH), CURRENT_BYTES_MAX).await?.is_some() {
        return Ok(());
    }
    let reason = format!("{CURRENT_PATH} is missing beside a catalogue; restore it");
    Err(LogError::from(RecoveryError::Current { reason }).into())
}

impl<I: Io> Shard<I> {
    /// Opens one shard's part and starts its tasks. On the shard's own executor. It serves its own partitions
    /// at once; others when the mesh is connected ([`crate::mesh`]).
    ///
    /// # Errors
    /// [`StartError::Log`] when its journal can't be opened.
    pub async fn open(
        io: I,
        part: ShardPart,
        settings: ShardSettings,
        metrics: Rc<ShardMetrics>,
    ) -> Result<Self, StartError> {
        let ShardPart { dir, shard, placement, image, catalogue, known_time } = part;
        let storage =
            ShardLog::open(io.clone(), &dir, image, settings.log.clone(), Rc::clone(&metrics))
                .await?;
        let metadata = Metadata::new(&catalogue, placement);
        let now = io.now();
        let distrust = Duration::from_millis(settings.clock_distrust_ms);
        let clock = ClockGuard::new(now, io.wall_clock(), known_time, distrust);
        let lanes = || Lanes {
            requests: Lane::new(),
            replies: Lane::new(),
            produce: Rc::new(Budget::new(settings.produce_bytes_max / 2)),
            turned_away: Rc::new(Budget::new(TURNED_AWAY_MAX)),
            heard_at: Cell::new(now),
        };
        let state = Rc::new(ShardState {
            id: shard,
            io,
            metrics,
            placement,
            storage,
            hosted: RefCell::new(Map::new()),
            missing: RefCell::new(Map::new()),
            metadata: RefCell::new(Rc::new(metadata)),
            waiters: Rc::new(Waiters::new(settings.waiters_max)),
            budget: Rc::new(Budget::new(settings.produce_bytes_max)),
            lanes: (0..placement.shards()).map(|_| lanes()).collect(),
            phase: Cell::new(Phase::Open),
            busy: Cell::new(0),
            drained: Bell::default(),
            shards_drained: RefCell::new(Set::new()),
            remote_fetches: RefCell::new(Map::new()),
            census: RefCell::default(),
            late: RefCell::new(Map::new()),
            announced: RefCell::new(VecDeque::new()),
            announced_bell: Bell::default(),
            changes: RefCell::new(VecDeque::new()),
            changes_bell: Bell::default(),
            producer_ids: RefCell::new(ProducerIdBlock { first: ProducerId::new(0), count: 0 }),
            producer_ids_bell: Bell::default(),
            producer_ids_asked: Cell::new(false),
            to_load: RefCell::new(VecDeque::new()),
            to_load_bell: Bell::default(),
            groups: Groups::new(settings.group.changed_by(catalogue.brokers())),
            clock: RefCell::new(clock),
            clock_path: dir.join(CLOCK_PATH),
            clock_saved_at: Cell::new(None),
            settings,
        });
        host_all(&state, &catalogue).await;
        let io = &state.io;
        io.spawn(pump::run(Rc::clone(&state)));
        io.spawn(apply::run(Rc::clone(&state)));
        io.spawn(housekeeping::run(Rc::clone(&state)));
        io.spawn(housekeeping::compaction::run(Rc::clone(&state)));
        loading::start(&state);
        group::start(&state);
        if shard == CONTROLLER {
            let path = dir.join(CATALOGUE_PATH);
            io.spawn(Controller::new(Rc::clone(&state), catalogue, path).run());
        }
        Ok(Self { state })
    }
}

/// Takes in every partition that the catalogue gives this shard. One without a log was created when the node
/// went down: its log is created now.
async fn host_all<I: Io>(state: &Rc<ShardState<I>>, catalogue: &Catalogue) {
    for topic in catalogue.topics() {
        let mut without_log = Vec::new();
        for id in state.placement.owned(topic, state.id) {
            match state.storage.log(id) {
                Some(log) => {
                    let (limits, metrics) = (state.settings.partition, Rc::clone(&state.metrics));
                    apply::host(state, Partition::new(log, topic.config, limits, metrics));
                }
                None => without_log.push(id),
            }
        }
        if without_log.is_empty() {
            continue;
        }
        let count = without_log.len();
        match apply::create_logs(state, topic, without_log).await {
            Ok(()) => {
                tracing::info!(topic = %topic.name, count, "logs created that a crash had prevented")
            }
            // Each was logged and is tried again by housekeeping.
            Err(refusal) => {
                tracing::warn!(topic = %topic.name, %refusal, "partitions without a log")
            }
        }
    }
}

#[cfg(test)]
mod tests;
