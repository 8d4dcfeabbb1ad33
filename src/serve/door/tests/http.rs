//! The HTTP door.

use super::*;

fn ask(broker: &Broker, request: &str) -> String {
    let mut stream = TcpStream::connect(broker.http).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    String::from_utf8(reply).unwrap()
}

fn get(broker: &Broker, path: &str) -> String {
    ask(broker, &format!("GET {path} HTTP/1.1\r\nHost: kolk\r\nConnection: close\r\n\r\n"))
}

#[test]
fn health_and_readiness_are_told() {
    let broker = Broker::start();
    assert!(get(&broker, "/health").starts_with("HTTP/1.1 200 OK\r\n"));
    assert!(get(&broker, "/ready").ends_with("\r\n\r\nready\n"));
    assert!(get(&broker, "/other").starts_with("HTTP/1.1 404 "));
}

#[test]
fn metrics_show_shards_and_partitions() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("web", 1);
    client.produce(topic, 0, &["a", "b"]);
    let text = get(&broker, "/metrics");
    assert!(text.contains("Content-Type: text/plain; version=0.0.4"), "{text}");
    for line in [
        "kolk_requests_total{shard=\"0\",call=\"produce\"} 1",
        "kolk_log_end_offset{topic=\"web\",partition=\"0\",shard=\"0\"} 2",
        "kolk_journal_failed{shard=\"0\"} 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_kept_connection_answers_pipelined_requests_in_order() {
    let broker = Broker::start();
    let request = "GET /ready HTTP/1.1\r\nHost: a\r\n\r\nHEAD /health HTTP/1.1\r\nHost: a\r\n\r\n\
                   GET /nothing HTTP/1.0\r\n\r\n";
    let reply = ask(&broker, request);
    let statuses: Vec<_> =
        reply.match_indices("HTTP/1.1 ").map(|(at, _)| &reply[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "200", "404"]);
}

#[test]
fn what_is_no_http_is_told_so() {
    let broker = Broker::start();
    assert!(ask(&broker, "\u{16}\u{3}\u{1}\u{2}").starts_with("HTTP/1.1 400 "));
    assert!(ask(&broker, "POST / HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 405 "));
    let endless = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(9_000));
    assert!(ask(&broker, &endless).starts_with("HTTP/1.1 431 "));
}
