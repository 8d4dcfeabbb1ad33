//! A stream of page views as a shop would see them: the same records for the same seed.

use std::io::Write;

/// A record of the stream, valid until the next one is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageView<'a> {
    /// The visitor.
    pub(crate) key: &'a [u8],
    /// One JSON object.
    pub(crate) value: &'a [u8],
}

const PAGES: [&str; 8] =
    ["/", "/search", "/product", "/cart", "/checkout", "/account", "/help", "/sale"];
const REFERRERS: [&str; 4] = ["-", "https://search.example/", "https://news.example/", "/"];
const AGENTS: [&str; 4] = ["Firefox/145.0", "Chrome/142.0", "Safari/19.1", "curl/8.17"];
/// Visitors; few of them make most of the views.
const VISITORS: u64 = 50_000;
/// Milliseconds between two views, on average.
const STEP_MS: u64 = 3;

/// Makes page views.
pub(crate) struct PageViews {
    state: u64,
    time_ms: u64,
    number: u64,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl PageViews {
    /// A stream that begins at `time_ms`, ms since 1970.
    pub(crate) const fn new(seed: u64, time_ms: u64) -> Self {
        Self { state: seed, time_ms, number: 0, key: Vec::new(), value: Vec::new() }
    }

    /// The next view.
    pub(crate) fn next(&mut self) -> PageView<'_> {
        let chance = self.chance();
        // The square of a uniform number favours small ones: a few visitors come often.
        let share = chance & 0xffff;
        let visitor = (share * share * VISITORS) >> 32;
        let page = PAGES.get(pick(chance >> 16, PAGES.len())).copied().unwrap_or_default();
        let referrer =
            REFERRERS.get(pick(chance >> 24, REFERRERS.len())).copied().unwrap_or_default();
        let agent = AGENTS.get(pick(chance >> 32, AGENTS.len())).copied().unwrap_or_default();
        let took = 1 + (chance >> 40 & 0xff);
        let item = chance >> 48;
        self.time_ms += chance >> 56 & (2 * STEP_MS - 1);
        self.key.clear();
        self.value.clear();
        let (time, number) = (self.time_ms, self.number);
        // Writing into a vector does not fail.
        drop(write!(self.key, "visitor-{visitor:05}"));
        drop(write!(
            self.value,
            r#"{{"view":{number},"time":{time},"visitor":{visitor},"page":"{page}","item":{item},"referrer":"{referrer}","agent":"{agent}","took_ms":{took}}}"#
        ));
        self.number += 1;
        PageView { key: &self.key, value: &self.value }
    }

    /// splitmix64 (Steele, Lea, Flood 2014).
    const fn chance(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn pick(chance: u64, count: usize) -> usize {
    usize::try_from(chance & 0xff).unwrap_or_default() % count
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_stream() {
        let stream = |seed| {
            let mut views = PageViews::new(seed, 1_700_000_000_000);
            (0..100).map(|_| views.next().value.to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(stream(1), stream(1));
        assert_ne!(stream(1), stream(2));
    }

    #[test]
    fn views_are_json_numbered_and_come_from_many_visitors() {
        let mut views = PageViews::new(7, 0);
        let mut visitors = BTreeSet::new();
        let mut time = 0;
        for number in 0..2_000 {
            let view = views.next();
            let value: serde_json::Value = serde_json::from_slice(view.value).unwrap();
            assert_eq!(value["view"], number);
            assert!(value["time"].as_u64().unwrap() >= time);
            time = value["time"].as_u64().unwrap();
            visitors.insert(view.key.to_vec());
        }
        assert!((200..2_000).contains(&visitors.len()), "{} visitors", visitors.len());
    }
}
