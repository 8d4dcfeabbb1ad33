//! The broker's counters over HTTP, as Prometheus text.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::error::{BenchError, Outcome};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the broker counted up to a moment.
#[derive(Clone, Debug)]
pub(crate) struct Counters {
    text: String,
}

/// One GET; status and body.
pub(crate) fn get(address: &str, path: &str) -> Outcome<(u16, String)> {
    let fault = |source| BenchError::Socket { address: address.to_owned(), source };
    let mut stream = TcpStream::connect(address).map_err(fault)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(fault)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(fault)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(fault)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    Ok((status, if chunked { join_chunks(body) } else { body.to_owned() }))
}

fn join_chunks(body: &str) -> String {
    let mut joined = String::new();
    let mut rest = body;
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = after.get(..size).filter(|_| size > 0) else { break };
        joined.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    joined
}

impl Counters {
    /// Asks for all of them.
    pub(crate) fn read(address: &str) -> Outcome<Self> {
        match get(address, "/metrics")? {
            (200, text) => Ok(Self { text }),
            (status, _) => Err(BenchError::refused("GET /metrics", status)),
        }
    }

    /// The sum over all shards of a metric, of the series whose labels hold `label` (may be empty).
    pub(crate) fn sum(&self, name: &str, label: &str) -> Outcome<f64> {
        let series = self.text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => rest.split_once('}')?,
                None => ("", rest),
            };
            // A longer name begins alike.
            let whole = value.starts_with(' ') && labels.contains(label);
            if whole { value.split_whitespace().next()?.parse::<f64>().ok() } else { None }
        });
        let found: Vec<f64> = series.collect();
        if found.is_empty() {
            return Err(BenchError::NoMetric(format!("{name}{{{label}}}")));
        }
        Ok(found.iter().sum())
    }

    /// How much a metric grew since `before`.
    pub(crate) fn grown(&self, before: &Self, name: &str, label: &str) -> Outcome<f64> {
        Ok(self.sum(name, label)? - before.sum(name, label)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# HELP kolk_a_total Counts.
kolk_a_total{shard=\"0\",site=\"tail\"} 5
kolk_a_total{shard=\"1\",site=\"tail\"} 7
kolk_a_total{shard=\"0\",site=\"journal\"} 100
kolk_a_total_more{shard=\"0\"} 1000
kolk_up 1
";

    #[test]
    fn series_are_summed_by_name_and_label() {
        let counters = Counters { text: TEXT.to_owned() };
        assert_eq!(counters.sum("kolk_a_total", "site=\"tail\"").unwrap(), 12.0);
        assert_eq!(counters.sum("kolk_a_total", "").unwrap(), 112.0);
        assert_eq!(counters.sum("kolk_up", "").unwrap(), 1.0);
        assert!(counters.sum("kolk_b", "").is_err());
    }

    #[test]
    fn chunks_are_joined() {
        assert_eq!(join_chunks("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), "abcde");
    }
}
