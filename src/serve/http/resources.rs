//! What can be asked over HTTP.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;

use kolk_http::response::{Answer, Status};
use kolk_metric::prometheus::{self, PartitionSeries};
use kolk_metric::shard::MetricsSnapshot;

/// The readings of all shards and the rows of all partitions.
#[derive(Debug, Clone, Default)]
pub struct Readings {
    /// One for each shard that answered.
    pub shards: Vec<MetricsSnapshot>,
    /// Every partition; too many are cut when they are rendered.
    pub partitions: Vec<PartitionSeries>,
}

/// Collects [`Readings`] from every shard.
pub type ReadAll = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Readings>>>>;

/// Whether the broker takes requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Readiness {
    /// Not yet.
    #[default]
    Starting,
    /// Yes.
    Ready,
    /// No more.
    Stopping,
}

/// The resources of the HTTP port.
pub(crate) struct Resources {
    pub(crate) read_all: ReadAll,
    pub(crate) readiness: Cell<Readiness>,
}

const INDEX: &str = "kolk broker\n\n/metrics  counters and histograms, Prometheus text\n/health   200 while \
                     every shard can write\n/ready    200 while requests are taken";

impl Resources {
    /// Answers for one path.
    pub(crate) async fn answer(&self, path: &str) -> Answer {
        match path {
            "/metrics" => {
                let readings = (self.read_all)().await;
                let body = prometheus::render(&readings.shards, &readings.partitions);
                Answer { status: Status::Ok, content_type: prometheus::CONTENT_TYPE, body }
            }
            "/health" => health(&(self.read_all)().await),
            "/ready" => ready(self.readiness.get()),
            "/" => Answer::line(Status::Ok, INDEX),
            _ => Answer::line(Status::NotFound, "there is /metrics, /health and /ready"),
        }
    }
}

/// What keeps a shard from writing: the gauge that tells of it, and what to do.
const FAULTS: [(&str, &str); 3] = [
    ("kolk_journal_failed", "journal failed, read-only until a restart"),
    (
        "kolk_log_without_room",
        "no room on the disk for appends, make room or delete a topic, no restart is needed",
    ),
    (
        "kolk_journal_without_room",
        "no room on the disk for the journal, make room or delete a topic, no restart is needed",
    ),
];

/// A shard that can not write serves reads and looks well from afar: that is what a health check is for.
fn health(readings: &Readings) -> Answer {
    let lines = FAULTS.iter().filter_map(|(gauge, text)| {
        let faulty = readings.shards.iter().filter(|shard| shard.total(gauge) > 0);
        let faulty: Vec<_> = faulty.map(|shard| shard.shard().to_string()).collect();
        (!faulty.is_empty()).then(|| format!("{text}: shard {}", faulty.join(", shard ")))
    });
    let lines: Vec<_> = lines.collect();
    if lines.is_empty() {
        return Answer::line(Status::Ok, "ok");
    }
    Answer::line(Status::Unavailable, &lines.join("\n"))
}

fn ready(readiness: Readiness) -> Answer {
    match readiness {
        Readiness::Starting => Answer::line(Status::Unavailable, "starting"),
        Readiness::Ready => Answer::line(Status::Ok, "ready"),
        Readiness::Stopping => Answer::line(Status::Unavailable, "stopping"),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;
    use kolk_metric::shard::ShardMetrics;

    fn resources(journal_failed: u64) -> Resources {
        where_shard_3(move |shard| shard.journal.failed.set(journal_failed))
    }

    /// The resources of two shards; the metrics of one are changed.
    fn where_shard_3(change: impl Fn(&ShardMetrics) + 'static) -> Resources {
        let read_all: ReadAll = Box::new(move || {
            let metrics = ShardMetrics::new(3);
            change(&metrics);
            let shards = vec![ShardMetrics::new(0).snapshot(), metrics.snapshot()];
            Box::pin(async { Readings { shards, partitions: Vec::new() } })
        });
        Resources { read_all, readiness: Cell::default() }
    }

    fn answer(resources: &Resources, path: &str) -> Answer {
        resources.answer(path).now_or_never().expect("nothing to wait for")
    }

    #[test]
    fn metrics_are_prometheus_text_of_every_shard() {
        let answer = answer(&resources(0), "/metrics");
        assert_eq!(answer.status, Status::Ok);
        assert_eq!(answer.content_type, prometheus::CONTENT_TYPE);
        assert!(answer.body.contains("kolk_journal_failed{shard=\"3\"} 0"));
    }

    #[test]
    fn health_fails_with_the_shard_whose_journal_failed() {
        assert_eq!(answer(&resources(0), "/health").status, Status::Ok);
        let failed = answer(&resources(1), "/health");
        assert_eq!(failed.status, Status::Unavailable);
        assert!(failed.body.contains("shard 3"), "{}", failed.body);
    }

    #[test]
    fn health_fails_with_the_shard_whose_disk_is_full_and_says_what_helps() {
        let full = answer(&where_shard_3(|shard| shard.log.without_room.inc()), "/health");
        assert_eq!(full.status, Status::Unavailable);
        assert!(full.body.contains("make room or delete a topic"), "{}", full.body);
        assert!(full.body.ends_with(": shard 3\n"), "{}", full.body);
        let full = answer(&where_shard_3(|shard| shard.journal.without_room.set(1)), "/health");
        assert_eq!(full.status, Status::Unavailable);
        assert!(full.body.ends_with(": shard 3\n"), "{}", full.body);
        let both = where_shard_3(|shard| {
            shard.journal.failed.set(1);
            shard.log.without_room.inc();
        });
        assert_eq!(answer(&both, "/health").body.lines().count(), 2, "a line each");
        let mended = where_shard_3(|shard| {
            shard.log.without_room.inc();
            shard.log.without_room.dec();
        });
        assert_eq!(answer(&mended, "/health").body, "ok\n");
    }

    #[test]
    fn ready_follows_the_brokers_life() {
        let resources = resources(0);
        for (readiness, status) in [
            (Readiness::Starting, Status::Unavailable),
            (Readiness::Ready, Status::Ok),
            (Readiness::Stopping, Status::Unavailable),
        ] {
            resources.readiness.set(readiness);
            assert_eq!(answer(&resources, "/ready").status, status);
        }
    }

    #[test]
    fn other_paths_are_not_found() {
        assert_eq!(answer(&resources(0), "/").status, Status::Ok);
        assert_eq!(answer(&resources(0), "/metrics/").status, Status::NotFound);
    }
}
