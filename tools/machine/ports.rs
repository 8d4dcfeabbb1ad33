//! Ports for brokers that are started for a measure.

use std::net::TcpListener;
use std::ops::Range;

/// Below the range from which the kernel gives ports to connections: one of those could be in the way of a broker.
const RANGE: Range<u16> = 20_000..28_000;

/// The first of `count` ports in a row, 1 to 8,000, that nobody listens on.
///
/// # Errors
/// There is no such row.
pub fn free_row(count: u16) -> std::io::Result<u16> {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let rows = (RANGE.start..=RANGE.end - count).step_by(usize::from(count));
    // Each process begins elsewhere: between the look and the broker's own bind another one may look too.
    let skip = std::process::id() as usize % rows.len();
    let mut turned = rows.clone().skip(skip).chain(rows.take(skip));
    let free = turned.find(|first| (*first..first + count).all(is_free));
    free.ok_or_else(|| std::io::Error::other("no ports in a row are free"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_with_a_listener_in_it_is_passed_over() {
        let first = free_row(40).unwrap();
        assert!(RANGE.contains(&first) && RANGE.contains(&(first + 39)), "{first}");
        let taken = TcpListener::bind(("127.0.0.1", first + 39)).unwrap();
        let second = free_row(40).unwrap();
        assert!(first.abs_diff(second) >= 40, "{first}, {second}");
        drop(taken);
    }
}
