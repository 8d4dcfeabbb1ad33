//! A whole broker: all its shards on one simulated machine, started and stopped as the real one is.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use kolk_io::door::Io;
use kolk_io::sim::SimIo;
use kolk_io::wait::Completion;
use kolk_metric::shard::ShardMetrics;
use kolk_shard::mesh::seats;
use kolk_shard::settings::ShardSettings;
use kolk_shard::shard::{Shard, StopError};
use kolk_shard::start::{RecoveryReport, StartError, StartPlan, recover};

use crate::chance::Chance;

/// Where its data lies.
pub(crate) const DIR: &str = "/data";

/// A broker that serves.
pub(crate) struct Broker {
    pub(crate) io: SimIo,
    pub(crate) shards: Vec<Shard<SimIo>>,
    pub(crate) report: RecoveryReport,
    /// Draws which shard a client is connected to.
    chance: RefCell<Chance>,
}

impl Broker {
    /// Recovers the data directory and opens so many shards.
    pub(crate) async fn start(
        io: SimIo,
        shards: u16,
        settings: ShardSettings,
        boot: u64,
    ) -> Result<Self, StartError> {
        let dir = Path::new(DIR);
        let plan = StartPlan { dir, shards, log: &settings.log, boot, accept_loss: false };
        let recovered = recover(&io, &plan).await?;
        let mut opened = Vec::new();
        for (part, seat) in recovered.parts.into_iter().zip(seats(shards, settings.mesh_slots)) {
            let metrics = Rc::new(ShardMetrics::new(part.shard().get()));
            let shard = Shard::open(io.clone(), part, settings.clone(), metrics).await?;
            seat.connect(&shard);
            opened.push(shard);
        }
        let chance = RefCell::new(Chance::new(io.random_u64()));
        Ok(Self { io, shards: opened, report: recovered.report, chance })
    }

    /// The shard that a new connection comes to.
    pub(crate) fn connect(&self) -> Shard<SimIo> {
        let at = self.chance.borrow_mut().index(self.shards.len());
        self.shards.get(at).or_else(|| self.shards.first()).cloned().unwrap_or_else(|| {
            unreachable!("a broker has a shard");
        })
    }

    /// Stops all shards at once.
    pub(crate) async fn stop(&self) -> Result<(), StopError> {
        let stops: Vec<_> = self.shards.iter().map(Shard::stop).collect();
        let mut ends = Vec::new();
        for stop in stops {
            let end = Completion::new();
            let later = end.clone();
            self.io.spawn(async move { later.complete(stop.await) });
            ends.push(end);
        }
        for end in ends {
            end.await?;
        }
        Ok(())
    }
}
