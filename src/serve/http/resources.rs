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

/// A shard whose journal failed only reads until it is restarted: that is what a health check is for.
fn health(readings: &Readings) -> Answer {
    let failed: Vec<_> = readings
        .shards
        .iter()
        .filter(|shard| shard.total("kolk_journal_failed") > 0)
        .map(|shard| shard.shard().to_string())
        .collect();
    if failed.is_empty() {
        return Answer::line(Status::Ok, "ok");
    }
    let text =
        format!("journal failed, read-only until a restart: shard {}", failed.join(", shard "));
    Answer::line(Status::Unavailable, &text)
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
        let read_all: ReadAll = Box::new(move || {
            let metrics = ShardMetrics::new(3);
            metrics.journal.failed.set(journal_failed);
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
