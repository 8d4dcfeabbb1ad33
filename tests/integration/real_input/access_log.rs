//! A web server's access log to play in: the real one where it lies beside the checkout, otherwise
//! generated lines of the same shape.

use std::path::{Path, PathBuf};

use crate::random::Random;

const REAL: &str = "../shared/data/apache_logs";
/// As many lines as the real one has.
const LINES: usize = 10_000;

/// The log's bytes; the last line ends with a newline.
pub(crate) fn bytes() -> Vec<u8> {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join(REAL);
    match std::fs::read(&real) {
        Ok(bytes) => bytes,
        Err(e) if std::env::var("CI").is_ok_and(|value| value == "true") => {
            panic!("{REAL} must be there in CI: {e}")
        }
        Err(e) => {
            eprintln!("{REAL}: {e}; playing {LINES} generated lines instead");
            generated(LINES).into_bytes()
        }
    }
}

/// The same in a file of the given folder.
pub(crate) fn file_in(folder: &Path) -> PathBuf {
    let path = folder.join("access.log");
    std::fs::write(&path, bytes()).expect("the test's folder is writable");
    path
}

/// The key of a line: what `--key-regex '^(\S+)'` finds, the client's address.
pub(crate) fn key(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

/// Lines in the combined format: few addresses are frequent, many are rare, as on a real site.
fn generated(lines: usize) -> String {
    let mut random = Random::seeded(0x6b6f_6c6b);
    let mut text = String::new();
    for second in 0..lines {
        let spread = 1 + random.below(1_750);
        let client = random.below(spread);
        let path = random.below(400);
        let bytes = random.below(300_000);
        let status = [200, 200, 200, 200, 304, 404, 301, 500][random.below(8)];
        text.push_str(&format!(
            "10.{}.{}.{} - - [17/May/2015:{:02}:{:02}:{:02} +0000] \"GET /page/{path} HTTP/1.1\" \
             {status} {bytes} \"-\" \"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/38.0\"\n",
            client % 7,
            client / 251,
            client % 251,
            second / 3_600 % 24,
            second / 60 % 60,
            second % 60,
        ));
    }
    text
}

#[test]
fn generated_lines_have_the_shape_of_the_real_ones() {
    let text = generated(500);
    assert_eq!(text.lines().count(), 500);
    let mut keys: Vec<_> = text.lines().map(key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert!((50..500).contains(&keys.len()), "{} keys of 500 lines", keys.len());
    assert!(text.lines().all(|line| line.contains("HTTP/1.1\" ") && line.len() > 100));
}
