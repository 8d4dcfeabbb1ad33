//! The command line where something goes wrong in the middle: what it says, how it ends, and what was done by then.

mod running;

use serde_json::Value;

use crate::broker::Place;
use crate::broker::command::{kolk, kolk_ok};

use running::{Running, until};

fn consumed(place: &Place, topic: &str) -> String {
    let bytes = kolk_ok(place, &["consume", topic, "--from", "beginning", "--exit"]);
    String::from_utf8(bytes).expect("the test's records are text")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON object")
}

fn produce(place: &Place, topic: &str, lines: &str) {
    let file = place.folder().join("lines");
    std::fs::write(&file, lines).expect("the test's folder is writable");
    kolk_ok(place, &["produce", topic, "--file", &file.to_string_lossy()]);
}

#[test]
fn consume_says_once_that_its_broker_is_away_and_that_it_is_back() {
    let place = Place::new("cli-consume-away", 1);
    let broker = place.start(1);
    kolk_ok(&place, &["topic", "create", "web", "-p", "1"]);
    produce(&place, "web", "one\n");
    let consumer = Running::start(&place, &["consume", "web", "--from", "beginning"]);
    until("the first record", || consumer.output() == "one\n");
    broker.stop();
    until("a word about the broker", || consumer.errors().contains("trying again"));
    let broker = place.start(1);
    produce(&place, "web", "two\n");
    until("the record behind it", || consumer.output() == "one\ntwo\n");
    until("a word about the end", || consumer.errors().contains("answers again"));
    let said = consumer.errors();
    assert!(said.starts_with("kolk: no broker at 127.0.0.1:"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    broker.stop();
}

#[test]
fn produce_that_gives_up_for_want_of_a_broker_ends_as_unreachable() {
    let place = Place::new("cli-produce-away", 1);
    let broker = place.start(1);
    kolk_ok(&place, &["topic", "create", "web", "-p", "1"]);
    let line = ["produce", "web", "--delivery-timeout-ms", "5000"];
    let mut producer = Running::start(&place, &line);
    producer.write("one\n");
    until("the first record", || consumed(&place, "web") == "one\n");
    broker.stop();
    producer.write("two\n");
    let (code, said) = producer.end();
    assert_eq!(code, Some(5), "{said}");
    assert_eq!(said.matches("trying again").count(), 1, "{said}");
    assert!(said.contains("\nerror: line 2: no broker answers at 127.0.0.1:"), "{said}");
    assert!(said.ends_with("; 1 of the 2 records sent were acknowledged\n"), "{said}");
}

#[test]
fn produce_names_the_line_that_a_broker_refuses_and_counts_those_before_it() {
    let place = Place::new("cli-refused", 1);
    let broker = place.start(1);
    kolk_ok(&place, &["topic", "create", "web", "-p", "1", "-c", "max.message.bytes=2000"]);
    let file = place.folder().join("lines");
    let produce = |lines: &[usize]| {
        let text: Vec<_> = lines.iter().map(|bytes| "x".repeat(*bytes) + "\n").collect();
        std::fs::write(&file, text.concat()).expect("the test's folder is writable");
        let file = file.to_string_lossy();
        let output = kolk(&place, &["produce", "web", "--batch-bytes", "1024", "--file", &file]);
        (output.status.code(), String::from_utf8(output.stderr).expect("errors are text"))
    };
    let (code, said) = produce(&[400, 400, 400, 5_000]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("error: line 4: "), "{said}");
    assert!(said.contains("(MESSAGE_TOO_LARGE); 3 of the 4 records sent were ack"), "{said}");
    // More than the client would hold.
    let (code, said) = produce(&[400, 40 << 20, 400]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.starts_with("error: line 2: "), "{said}");
    assert!(said.ends_with("; 1 of the 1 records sent were acknowledged\n"), "{said}");
    assert_eq!(consumed(&place, "web").lines().count(), 4, "what was acknowledged is there");
    broker.stop();
}

#[test]
fn produce_that_is_stopped_sends_what_it_has_read() {
    let place = Place::new("cli-stopped", 1);
    let broker = place.start(1);
    kolk_ok(&place, &["topic", "create", "web", "-p", "1"]);
    for (number, signal) in ["INT", "TERM"].into_iter().enumerate() {
        let mut producer = Running::start(&place, &["produce", "web", "--linger-ms", "2000"]);
        producer.write("one\n");
        // From here on it has its signals.
        until("the first record", || consumed(&place, "web").lines().count() == 2 * number + 1);
        producer.write("two\nthr");
        producer.signal(signal);
        let (code, said) = producer.ended();
        assert_eq!(code, Some(0), "{signal}: {said}");
        assert!(said.contains("stopped after line 2\n"), "{signal}: {said}");
        assert!(producer.output().starts_with("2 records "), "{signal}: {}", producer.output());
    }
    assert_eq!(consumed(&place, "web"), "one\ntwo\none\ntwo\n");
    broker.stop();
}

#[test]
fn produce_of_a_file_stops_where_it_is() {
    let place = Place::new("cli-stopped-file", 1);
    let broker = place.start(1);
    kolk_ok(&place, &["topic", "create", "web", "-p", "1"]);
    let file = place.folder().join("lines");
    std::fs::write(&file, "line\n".repeat(10_000)).expect("the test's folder is writable");
    let file = file.to_string_lossy();
    let line = ["produce", "web", "--rate", "20", "--json", "--file", &file];
    let mut producer = Running::start(&place, &line);
    until("a record", || !consumed(&place, "web").is_empty());
    producer.signal("INT");
    let (code, said) = producer.ended();
    assert_eq!(code, Some(0), "{said}");
    let lines = consumed(&place, "web").lines().count();
    assert!(lines < 5_000, "{lines} of 10000 lines at 20 a second");
    let note = format!("{{\"note\":{{\"message\":\"stopped after line {lines}\"}}}}\n");
    assert!(said.ends_with(&note), "{said}");
    let answer = producer.output();
    assert!(answer.contains(&format!("\"records\":{lines},")), "{answer}");
    broker.stop();
}

#[test]
fn a_second_signal_ends_produce_at_once() {
    let place = Place::new("cli-stopped-twice", 1);
    let broker = place.start(1);
    kolk_ok(&place, &["topic", "create", "web", "-p", "1"]);
    let mut producer = Running::start(&place, &["produce", "web"]);
    producer.write("one\n");
    until("the first record", || consumed(&place, "web") == "one\n");
    broker.kill();
    producer.write("two\n");
    until("a word about the broker", || producer.errors().contains("trying again"));
    producer.signal("INT");
    until("a word about the signal", || producer.errors().contains("stopping"));
    producer.signal("INT");
    // Well before the record's delivery timeout.
    let (code, said) = producer.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.ends_with("error: stopped; 1 of the 2 records sent were acknowledged\n"),
        "{said}"
    );
}

#[test]
fn of_several_names_those_that_fail_do_not_keep_the_others_from_it() {
    let place = Place::new("cli-several", 1);
    let broker = place.start(1);
    kolk_ok(&place, &["topic", "create", "a", "b", "-p", "2"]);
    let tried = |line: &str| {
        let arguments: Vec<_> = line.split(' ').collect();
        let output = kolk(&place, &arguments);
        let text = |bytes| String::from_utf8(bytes).expect("text");
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, out, said) = tried("topic create a c");
    assert_eq!((code, out.lines().count()), (Some(1), 1), "{said}");
    assert!(out.starts_with("created c ") && said.contains("1 of 2 failed:\n  a: "), "{said}");
    let (code, out, said) = tried("topic describe x c --json");
    assert_eq!(code, Some(1), "{said}");
    let (out, said) = (json(&out), json(&said));
    assert_eq!(out["topics"][0]["name"], "c", "{out}");
    assert_eq!(said["error"]["kind"], "failed", "{said}");
    produce(&place, "a", "one\ntwo\n");
    let (code, _, said) = tried("topic trim a -p 0 --before 999");
    assert_ne!(code, Some(0), "{said}");
    assert!(said.starts_with("error: a/0: "), "{said}");
    let (code, out, said) = tried("topic delete x a b");
    assert_eq!((code, out.as_str()), (Some(1), "deleted a\ndeleted b\n"), "{said}");
    let (code, out, said) = tried("group delete one two");
    assert_eq!((code, out.as_str()), (Some(1), ""), "{said}");
    assert!(said.contains("2 of 2 failed:\n  one: ") && said.contains("\n  two: "), "{said}");
    assert_eq!(tried("topic delete x").0, Some(3), "one name keeps its code");
    broker.stop();
}

#[test]
fn a_port_of_another_protocol_is_named_as_such() {
    let place = Place::new("cli-ports", 1);
    let broker = place.start(1);
    for (port, what) in [(place.kafka().port(), "Kafka's"), (place.http_port(), "HTTP")] {
        let address = format!("127.0.0.1:{port}");
        let output = kolk(&place, &["topic", "list", "-b", &address]);
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(5), "{said}");
        let begin = format!("error: {address} does not answer as a broker's native port: ");
        assert!(said.starts_with(&begin) && said.contains(what), "{said}");
        assert!(said.contains("9640") && !said.contains("kolk serve"), "{said}");
    }
    broker.stop();
}
