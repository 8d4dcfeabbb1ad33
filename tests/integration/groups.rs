//! Groups of consumers: what is committed is not read twice, what was not is read by somebody, whichever wire the
//! members speak, and what the command line says of it is true.

mod consumer;
mod member;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kolk_kafka::message::consumer_group_heartbeat;
use serde_json::Value;

use self::consumer::Holder;
use self::member::GroupMember;
use crate::broker::command::{kolk, kolk_ok};
use crate::broker::{Broker, Place, program};
use crate::kafka::wire::KafkaWire;

const PARTITIONS: u32 = 4;
/// Until a rebalance counts as failed: a session that runs out, and a busy machine.
const REBALANCE_WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// Starts a broker whose groups do not wait for members to come, and notice soon when one is gone.
fn start(place: &Place, shards: u16) -> Broker<'_> {
    let settings = place.folder().join("groups.toml");
    let text =
        "\"group.initial.rebalance.delay.ms\" = 100\n\"group.min.session.timeout.ms\" = 1000\n";
    std::fs::write(&settings, text).expect("the test's folder is writable");
    place.start_with(shards, &["--config", &settings.to_string_lossy()])
}

/// Writes the numbers of a range, spread over the partitions by their keys.
fn produce(place: &Place, topic: &str, numbers: std::ops::Range<u32>) {
    let lines: String = numbers.clone().map(|number| format!("{number}\n")).collect();
    let file = place.folder().join(format!("numbers-{}", numbers.start));
    std::fs::write(&file, lines).expect("the test's folder is writable");
    let create = format!("--create={PARTITIONS}");
    let file = file.to_string_lossy();
    kolk_ok(place, &["produce", topic, &create, "--key-regex", r"^(\d+)", "--file", &file]);
}

fn json(place: &Place, arguments: &[&str]) -> Value {
    let out = kolk_ok(place, &[arguments, &["--json"]].concat());
    serde_json::from_slice(&out).expect("--json prints JSON")
}

fn described(place: &Place, group: &str) -> Value {
    json(place, &["group", "describe", group])["groups"][0].clone()
}

fn numbers(text: &[u8]) -> BTreeSet<u32> {
    let text = std::str::from_utf8(text).expect("numbers are text");
    text.lines().map(|line| line.parse().expect("a number a line")).collect()
}

/// Waits until something is so.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < REBALANCE_WAIT, "{what} takes too long");
        std::thread::sleep(POLL);
    }
}

/// Waits until a group is stable with so many members, each with an equal share.
fn wait_for_shares(place: &Place, group: &str, members: usize) {
    wait_until(&format!("{group} with {members} members"), || has_shares(place, group, members));
}

fn has_shares(place: &Place, group: &str, members: usize) -> bool {
    let share = PARTITIONS as usize / members;
    let found = kolk(place, &["group", "describe", group, "--json"]);
    let Ok(found) = serde_json::from_slice::<Value>(&found.stdout) else { return false };
    let found = found["groups"][0].clone();
    let listed = found["members"].as_array().cloned().unwrap_or_default();
    let even = |one: &Value| one["partitions"].as_array().is_some_and(|p| p.len() == share);
    found["state"] == "Stable" && listed.len() == members && listed.iter().all(even)
}

#[test]
fn a_killed_members_partitions_go_to_the_other_and_nothing_is_lost() {
    let place = Place::new("group-kill", 2);
    let broker = start(&place, 2);
    produce(&place, "web", 0..500);
    let first = GroupMember::join(&place, "billing", "web");
    let second = GroupMember::join(&place, "billing", "web");
    wait_for_shares(&place, "billing", 2);
    produce(&place, "web", 500..1000);
    wait_until("reading a thousand records", || first.seen().len() + second.seen().len() >= 1000);
    assert!(!second.seen().is_empty(), "the second member read nothing");
    let killed = first.kill();
    produce(&place, "web", 1000..1500);
    let whole: BTreeSet<u32> = (0..1500).collect();
    wait_until("reading everything", || &killed | &second.seen() == whole);
    wait_for_shares(&place, "billing", 1);
    second.close();
    let group = described(&place, "billing");
    assert_eq!((&group["state"], &group["lag"]), (&Value::from("Empty"), &Value::from(0)));
    broker.stop();
}

#[test]
fn a_restarted_broker_finds_its_groups_and_members_go_on() {
    let place = Place::new("group-restart", 4);
    let broker = start(&place, 3);
    produce(&place, "web", 0..500);
    let first = GroupMember::join(&place, "billing", "web");
    let second = GroupMember::join(&place, "billing", "web");
    wait_for_shares(&place, "billing", 2);
    wait_until("reading the first part", || (&first.seen() | &second.seen()).len() == 500);
    broker.kill();
    let broker = start(&place, 2);
    produce(&place, "web", 500..1000);
    let whole: BTreeSet<u32> = (0..1000).collect();
    wait_until("reading everything", || &first.seen() | &second.seen() == whole);
    wait_for_shares(&place, "billing", 2);
    first.close();
    second.close();
    assert_eq!(described(&place, "billing")["lag"], 0);
    broker.stop();
}

/// A consumer of the Kafka wire in the group, whose output goes to a file.
fn kcat(place: &Place, group: &str, topic: &str) -> std::io::Result<(Child, std::path::PathBuf)> {
    let path = place.folder().join("kcat.out");
    let out = std::fs::File::create(&path)?;
    let child = Command::new("kcat")
        .args(["-b", &place.kafka().to_string(), "-G", group, "-u", "-q", "-f", "%s\\n"])
        .args(["-X", "auto.offset.reset=earliest", "-X", "partition.assignment.strategy=range"])
        .args(["-X", "session.timeout.ms=3000", "-X", "heartbeat.interval.ms=500", topic])
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(Stdio::null())
        .spawn()?;
    Ok((child, path))
}

#[test]
fn native_and_kafka_members_share_a_group() {
    let place = Place::new("group-mixed", 2);
    let broker = start(&place, 2);
    produce(&place, "web", 0..500);
    let (mut kafka, out) = match kcat(&place, "mixed", "web") {
        Ok(started) => started,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("kcat is not installed: a mixed group was not tried");
            return;
        }
        Err(error) => panic!("kcat: {error}"),
    };
    let native = GroupMember::join(&place, "mixed", "web");
    wait_for_shares(&place, "mixed", 2);
    produce(&place, "web", 500..1000);
    let whole: BTreeSet<u32> = (0..1000).collect();
    let kcat_seen = || numbers(&std::fs::read(&out).expect("kcat's output"));
    wait_until("reading everything", || &kcat_seen() | &native.seen() == whole);
    let fresh = |seen: BTreeSet<u32>| seen.into_iter().filter(|number| *number >= 500).count();
    assert!(fresh(kcat_seen()) > 0 && fresh(native.seen()) > 0, "one of the two read nothing");
    native.close();
    wait_for_shares(&place, "mixed", 1);
    kafka.kill().expect("our own child");
    kafka.wait().expect("our own child");
    broker.stop();
}

/// A group of one classic member that a member of the other protocol joins and leaves, while records come.
fn check_round_trip(place: &Place, group: &str, seen: impl Fn() -> BTreeSet<u32>) {
    let kind = || described(place, group)["kind"].clone();
    wait_for_shares(place, group, 1);
    assert_eq!(kind(), "classic");
    let mut holder = Holder::join(place, group, "web");
    wait_until("an even share of both", || {
        holder.beat();
        has_shares(place, group, 2)
    });
    assert_eq!(kind(), "consumer");
    produce(place, "web", 500..1000);
    wait_until("reading on", || {
        holder.beat();
        seen().len() > 500
    });
    holder.leave();
    let whole: BTreeSet<u32> = (0..1000).collect();
    wait_until("reading what the other one held", || seen() == whole);
    wait_for_shares(place, group, 1);
    assert_eq!(kind(), "classic");
    let lag = || described(place, group)["lag"].clone();
    wait_until("committing everything", || lag() == 0);
}

#[test]
fn a_native_member_stays_in_a_group_that_goes_to_the_consumer_protocol_and_back() {
    let place = Place::new("group-native-roll", 2);
    let broker = start(&place, 2);
    produce(&place, "web", 0..500);
    let native = GroupMember::join(&place, "roll", "web");
    check_round_trip(&place, "roll", || native.seen());
    native.close();
    broker.stop();
}

#[test]
fn a_kafka_member_stays_in_a_group_that_goes_to_the_consumer_protocol_and_back() {
    let place = Place::new("group-kafka-roll", 2);
    let broker = start(&place, 2);
    produce(&place, "web", 0..500);
    let (mut kafka, out) = match kcat(&place, "roll", "web") {
        Ok(started) => started,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("kcat is not installed: a group of it was not tried");
            return;
        }
        Err(error) => panic!("kcat: {error}"),
    };
    check_round_trip(&place, "roll", || numbers(&std::fs::read(&out).expect("kcat's output")));
    kafka.kill().expect("our own child");
    kafka.wait().expect("our own child");
    broker.stop();
}

#[test]
fn consume_goes_on_where_its_group_has_committed() {
    let place = Place::new("group-cli", 2);
    let broker = start(&place, 2);
    produce(&place, "web", 0..100);
    let consume = |rest: &[&str]| {
        let line = ["consume", "web", "--group", "ops", "--from", "beginning"];
        numbers(&kolk_ok(&place, &[&line[..], rest].concat()))
    };
    let some = consume(&["-n", "30"]);
    assert_eq!(some.len(), 30);
    let rest = consume(&["--exit"]);
    assert_eq!(&some | &rest, (0..100).collect(), "lost");
    assert_eq!(&some & &rest, BTreeSet::new(), "read twice");
    assert_eq!(consume(&["--exit"]), BTreeSet::new());
    produce(&place, "web", 100..110);
    let group = described(&place, "ops");
    assert_eq!((&group["lag"], &group["kind"]), (&Value::from(10), &Value::from("classic")));
    let listed = json(&place, &["group", "list"]);
    let expected = serde_json::json!([{"group":"ops","kind":"classic","state":"Empty","protocol_type":"consumer"}]);
    assert_eq!(listed["groups"], expected);
    assert_eq!(consume(&["--exit"]), (100..110).collect());
    broker.stop();
}

#[test]
fn consume_that_is_terminated_commits_and_leaves_its_group() {
    let place = Place::new("group-term", 2);
    let broker = start(&place, 2);
    produce(&place, "web", 0..100);
    let line = ["consume", "web", "--group", "ops", "--from", "beginning"];
    let mut consumer = program()
        .args(line)
        .env("KOLK_BROKERS", place.address())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program under test was built");
    let mut lines = BufReader::new(consumer.stdout.take().expect("piped")).lines();
    for _ in 0..100 {
        lines.next().expect("all records").expect("a line");
    }
    let id = consumer.id().to_string();
    let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill is on the path");
    assert!(sent.success(), "kill -TERM {id}: {sent}");
    let ended = consumer.wait().expect("our own child");
    assert!(ended.success(), "{ended}");
    let group = described(&place, "ops");
    assert_eq!((&group["lag"], &group["state"]), (&Value::from(0), &Value::from("Empty")));
    broker.stop();
}

#[test]
fn a_reset_moves_a_group_that_has_no_members() {
    let place = Place::new("group-reset", 2);
    let broker = start(&place, 2);
    produce(&place, "web", 0..100);
    let reset = |to: &str, rest: &[&str]| {
        let line = ["group", "reset", "ops", "web", "--to", to];
        json(&place, &[&line[..], rest].concat())
    };
    let sum = |reset: &Value, key: &str| -> u64 {
        let partitions = reset["partitions"].as_array().expect("a list");
        partitions.iter().filter_map(|partition| partition[key].as_u64()).sum()
    };
    // A group comes into being.
    let moved = reset("end", &[]);
    assert_eq!((sum(&moved, "committed"), &moved["partitions"][0]["before"]), (100, &Value::Null));
    assert_eq!(described(&place, "ops")["lag"], 0);
    assert_eq!(sum(&reset("beginning", &["--dry-run"]), "committed"), 0);
    assert_eq!(described(&place, "ops")["lag"], 0);
    assert_eq!(sum(&reset("beginning", &[]), "before"), 100);
    assert_eq!(described(&place, "ops")["lag"], 100);
    // Beyond the end is the end, before a time of long ago the beginning.
    assert_eq!(reset("1000000", &["-p", "0"])["partitions"][0]["before"], 0);
    assert!(described(&place, "ops")["lag"].as_u64().is_some_and(|lag| lag < 100));
    assert_eq!(sum(&reset("2001-01-01", &[]), "committed"), 0);
    let member = GroupMember::join(&place, "ops", "web");
    wait_for_shares(&place, "ops", 1);
    let refused = kolk(&place, &["group", "reset", "ops", "web", "--to", "end"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("has members"), "{said}");
    let refused = kolk(&place, &["group", "delete", "ops"]);
    assert_eq!(refused.status.code(), Some(1));
    wait_until("reading everything", || member.seen().len() == 100);
    member.close();
    kolk_ok(&place, &["group", "delete", "ops"]);
    assert_eq!(kolk(&place, &["group", "describe", "ops"]).status.code(), Some(3));
    assert_eq!(kolk(&place, &["group", "delete", "ops"]).status.code(), Some(3));
    kolk_ok(&place, &["group", "delete", "ops", "--if-exists"]);
    let missing = kolk(&place, &["group", "reset", "ops", "nothing", "--to", "end"]);
    assert_eq!(missing.status.code(), Some(3));
    broker.stop();
}

#[test]
fn a_group_that_the_broker_assigns_for_is_described_like_any_other() {
    let place = Place::new("group-consumer", 2);
    let broker = start(&place, 2);
    produce(&place, "web", 0..100);
    kolk_ok(&place, &["group", "reset", "ops", "web", "--to", "beginning"]);
    let mut wire = KafkaWire::open(place.kafka());
    let mut heartbeat = consumer_group_heartbeat::Request {
        group_id: "ops".to_owned(),
        member_id: "somebody".to_owned(),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["web".to_owned()]),
        topic_partitions: Some(Vec::new()),
        ..consumer_group_heartbeat::Request::default()
    };
    let heard: consumer_group_heartbeat::Response = wire.call(1, &heartbeat);
    assert_eq!(heard.error_code, 0, "{heard:?}");
    let group = described(&place, "ops");
    assert_eq!((&group["kind"], &group["lag"]), (&Value::from("consumer"), &Value::from(100)));
    let members = group["members"].as_array().expect("a list");
    assert_eq!((members.len(), &members[0]["member"]), (1, &Value::from("somebody")));
    let shares = members[0]["partitions"].as_array().expect("a list");
    assert_eq!(shares.len(), PARTITIONS as usize, "{group}");
    let refused = kolk(&place, &["group", "reset", "ops", "web", "--to", "end"]);
    assert_eq!(refused.status.code(), Some(1));
    heartbeat.member_epoch = -1;
    let heard: consumer_group_heartbeat::Response = wire.call(1, &heartbeat);
    assert_eq!(heard.error_code, 0, "{heard:?}");
    kolk_ok(&place, &["group", "reset", "ops", "web", "--to", "end"]);
    assert_eq!(described(&place, "ops")["lag"], 0);
    kolk_ok(&place, &["group", "delete", "ops"]);
    broker.stop();
}
