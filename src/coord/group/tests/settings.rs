//! Settings that change while the coordinator runs.

use super::*;
use crate::group::settings::MigrationPolicy;
use kolk_model::config::layers::BrokerOverrides;

fn set(pairs: &[(&str, &str)]) -> BrokerOverrides {
    let mut brokers = BrokerOverrides::default();
    for (name, value) in pairs {
        brokers.node.set(name, value).unwrap();
    }
    brokers
}

impl Host {
    fn change(&mut self, pairs: &[(&str, &str)]) {
        self.settings = GroupSettings::default().changed_by(&set(pairs));
        self.coordinator.set_settings(self.settings);
        self.collect();
    }
}

#[test]
fn a_changed_setting_counts_before_what_the_broker_was_started_with() {
    let start = GroupSettings { group_size_max: 3, ..GroupSettings::default() };
    assert_eq!(start.changed_by(&BrokerOverrides::default()), start);
    let mut brokers = set(&[
        ("group.min.session.timeout.ms", "1"),
        ("group.max.session.timeout.ms", "2"),
        ("group.initial.rebalance.delay.ms", "3"),
        ("offset.metadata.max.bytes", "5"),
        ("offsets.retention.minutes", "6"),
        ("offsets.retention.check.interval.ms", "7000"),
        ("group.consumer.max.size", "8"),
        ("group.consumer.session.timeout.ms", "45001"),
        ("group.consumer.migration.policy", "upgrade"),
    ]);
    brokers.cluster.set("group.max.size", "4").unwrap();
    let expected = GroupSettings {
        session_timeout_ms_min: 1,
        session_timeout_ms_max: 2,
        initial_rebalance_delay_ms: 3,
        group_size_max: 4,
        offset_metadata_bytes_max: 5,
        offsets_retention_ms: 360_000,
        offsets_retention_check_interval_ms: 7_000,
        consumer_group_size_max: 8,
        consumer_session_timeout_ms: 45_001,
        migration: MigrationPolicy::Upgrade,
        ..start
    };
    assert_eq!(start.changed_by(&brokers), expected);
    assert!(expected.check().is_ok());
    let wrong = start.changed_by(&set(&[("group.max.session.timeout.ms", "5999")]));
    assert!(wrong.check().is_err(), "nobody could join");
}

#[test]
fn changed_settings_are_heeded_from_the_next_request_on() {
    let mut host = Host::new();
    let join_with =
        |session_timeout_ms| GroupRequest::Join(JoinGroup { session_timeout_ms, ..join("") });
    let ticket = host.ask(join_with(3_000));
    assert_eq!(host.joined(ticket).unwrap().unwrap_err().code, ErrorCode::InvalidSessionTimeout);
    host.change(&[
        ("group.min.session.timeout.ms", "3000"),
        ("group.initial.rebalance.delay.ms", "10"),
        ("group.max.size", "1"),
    ]);
    let ticket = host.ask(join_with(3_000));
    host.wait(10);
    host.wait(10);
    assert!(host.joined(ticket).unwrap().is_ok(), "no longer than the changed delay");
    let ticket = host.ask(join_with(3_000));
    assert_eq!(host.joined(ticket).unwrap().unwrap_err().code, ErrorCode::GroupMaxSizeReached);
    host.change(&[]);
    let ticket = host.ask(join_with(3_000));
    assert_eq!(host.joined(ticket).unwrap().unwrap_err().code, ErrorCode::InvalidSessionTimeout);
}

#[test]
fn a_shorter_retention_is_heeded_at_the_next_search_and_a_shorter_interval_at_once() {
    let mut host = Host::new();
    host.commit(commit("t", 5)).unwrap();
    host.wait(120_000);
    assert_eq!(host.offsets().len(), 1);
    host.change(&[
        ("offsets.retention.minutes", "1"),
        ("offsets.retention.check.interval.ms", "1000"),
    ]);
    host.wait(1_000);
    assert_eq!(host.offsets(), []);
    assert_eq!(host.coordinator.timer_count(), 1, "one search is waited for");
}
