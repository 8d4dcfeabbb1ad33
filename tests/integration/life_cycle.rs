//! Start and stop: what a broker promises to whoever runs it.

use std::time::Duration;

use crate::broker::Place;
use crate::command::{kolk, kolk_ok};

#[test]
fn sigterm_stops_cleanly_within_ten_seconds() {
    let place = Place::new("sigterm", 2);
    let broker = place.start(2);
    kolk_ok(&place, &["topic", "create", "web", "--partitions", "4"]);
    let (status, took) = broker.terminate(Duration::from_secs(10));
    assert_eq!(status.code(), Some(0), "after {took:?}");
}

#[test]
fn a_second_broker_on_one_data_directory_is_refused() {
    let place = Place::new("locked", 1);
    let mut first = place.start(1);
    let other = Place::beside(&place, 1);
    let refused = other.try_start(1, &[]).err().expect("a second broker must not start");
    assert!(!refused.status.success());
    assert!(refused.log.contains("LOCK") || refused.log.contains("lock"), "{}", refused.log);
    assert!(first.runs());
    kolk_ok(&place, &["topic", "list"]);
    first.stop();
}

#[test]
fn health_metrics_and_ready_answer_over_http() {
    let place = Place::new("http", 2);
    let broker = place.start(2);
    for path in ["/health", "/ready"] {
        assert_eq!(place.http(path).map(|(status, _)| status), Some(200), "{path}");
    }
    let (status, text) = place.http("/metrics").expect("the HTTP door answers");
    assert_eq!(status, 200);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("kolk_"), "{line}");
    }
    assert!(text.contains("shard=\"1\""), "no series of the second shard");
    assert_eq!(place.http("/nothing").map(|(status, _)| status), Some(404));
    broker.stop();
}

#[test]
fn an_unreachable_broker_and_a_missing_topic_have_exit_codes_of_their_own() {
    let place = Place::new("codes", 1);
    assert_eq!(kolk(&place, &["topic", "list"]).status.code(), Some(5), "unreachable");
    let broker = place.start(1);
    assert_eq!(kolk(&place, &["topic", "describe", "nothing"]).status.code(), Some(3), "missing");
    assert_eq!(kolk(&place, &["topic", "no-such-word"]).status.code(), Some(2), "usage");
    broker.stop();
}
