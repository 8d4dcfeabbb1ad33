//! A comparison of made-up rounds, written, read again and rendered.

use kolk_machine::latency::Buckets;
use kolk_machine::limits::Limits;

use super::summary::{cases, rows};
use super::*;
use crate::lab::rounds::{Cell, CellResult};
use crate::play::Played;

const MS: u64 = 1_000_000;

fn played(bytes_per_second: f64, latencies_ms: &[(u64, u64)], lost: u64) -> Played {
    let mut played = Played { seconds: 10.0, ..Played::default() };
    played.acknowledged.bytes_per_second = bytes_per_second;
    played.acknowledged.bytes = 1 << 30;
    played.acknowledged.latency.p50_ns = 2 * MS;
    let recorded = latencies_ms.iter().map(|(ms, count)| (ms * MS, *count));
    played.acknowledged.histogram = Buckets(recorded.collect());
    played.usage.broker_cpu_seconds = 3.0;
    played.usage.broker_memory_bytes_max = 1 << 20;
    played.verdict.lost = lost;
    played
}

fn comparison() -> Comparison {
    let described = |label: &str| Described {
        label: label.to_owned(),
        durability: "power-loss".to_owned(),
        version: format!("{label} <1>"),
        configuration: vec![("file".to_owned(), "a=<b>".to_owned())],
    };
    let cell = |contender: &str, result| Cell {
        contender: contender.to_owned(),
        case: String::new(),
        result,
    };
    let round = |rate, latency, lost| Round {
        limits: Some(Limits {
            disk_write_bytes_per_second: 1e9,
            commit: kolk_machine::latency::Percentiles { p50_ns: MS, ..Default::default() },
            ..Limits::default()
        }),
        cells: vec![
            cell("one", CellResult::Played(Box::new(played(rate, latency, lost)))),
            cell("other", CellResult::Unsupported("it can't".to_owned())),
        ],
    };
    Comparison {
        command: "kolk-bench compare".to_owned(),
        workload: "made-up".to_owned(),
        contenders: vec![described("one"), described("other")],
        rounds: vec![
            round(1e8, &[(1, 980), (9, 20)], 0),
            round(3e8, &[(1, 1_000)], 0),
            round(2e8, &[(1, 1_000)], 0),
        ],
        ..Comparison::default()
    }
}

#[test]
fn rates_are_medians_and_histograms_are_added_up() {
    let comparison = comparison();
    assert_eq!(cases(&comparison), [""]);
    let rows = rows(&comparison, "").unwrap();
    let one = &rows[0];
    assert_eq!(one.median(|played| Some(played.acknowledged.bytes_per_second)), Some(2e8));
    // 20 of 3,000 took 9 ms: p99 of all is 1 ms, though p99 of one round was 9 ms.
    let at = |quantile| one.acknowledged.at(quantile).unwrap() / MS;
    assert_eq!((at(0.99), at(0.999)), (1, 9));
    assert_eq!((one.ratios.disk_write, one.ratios.commit_p50), (Some(0.2), Some(2.0)));
    assert_eq!(rows[1].remarks, ["left out: it can't"]);
}

#[test]
fn what_is_written_is_read_again_and_the_page_needs_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let comparison = comparison();
    comparison.write(folder.path()).unwrap();
    let again = Comparison::read(&folder.path().join(RESULT)).unwrap();
    assert_eq!(page::html(&again).unwrap(), page::html(&comparison).unwrap());
    let page = std::fs::read_to_string(folder.path().join(PAGE)).unwrap();
    for expected in [
        "200 MB/s",
        "3 of 3",
        "it can&#39;t",
        "one &lt;1&gt;",
        "a=&lt;b&gt;",
        "class=\"verdict good\"",
    ] {
        let plain = expected.replace("&#39;", "'");
        assert!(page.contains(&plain), "{plain} is not in the page");
    }
    for foreign in ["<script", "http:", "https:", "src=", "url(", "@import"] {
        assert!(!page.contains(foreign), "{foreign} is in the page");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(page.matches("<svg").count() >= 3, "there are pictures");
    assert_eq!(page.matches("<table").count(), page.matches("</table>").count());
}

/// The same rounds as cases of these names, each with half the throughput of the one before; the other contender has none.
fn grown(names: &[&str]) -> Comparison {
    let mut comparison = comparison();
    for round in &mut comparison.rounds {
        let mut cells = Vec::new();
        let mut part = 1.0;
        for name in names {
            for cell in &round.cells {
                let mut cell = Cell { case: (*name).to_owned(), ..cell.clone() };
                if let CellResult::Played(played) = &mut cell.result {
                    played.acknowledged.bytes_per_second *= part;
                }
                cells.push(cell);
            }
            part /= 2.0;
        }
        round.cells = cells;
    }
    comparison
}

#[test]
fn what_grows_is_drawn_and_tabled_step_by_step() {
    let page =
        page::html(&grown(&["connections=1", "connections=10", "connections=5000"])).unwrap();
    assert!(page.contains("<h2>Over producers, each with connections of its own</h2>"), "{page}");
    // The axis ends at the last step, not at a power of ten.
    assert!(page.contains("x=586.0 y=272.0>5\u{202f}000</text>"), "{page}");
    assert!(page.contains("<th>1<th>10<th>5\u{202f}000</tr>"), "{page}");
    assert!(page.contains("one<td>200 MB/s<td>100 MB/s<td>50.0 MB/s</tr>"), "{page}");
    assert!(page.contains("other<td>–<td>–<td>–</tr>"), "{page}");
    // Half of the highest is in the middle of the plot but for the room above.
    let y = |part: f64| format!("{:.1}", 256.0 - 226.0 * part / 1.05);
    assert!(page.contains(&format!("points=\"72.0,{} ", y(1.0))), "{} {page}", y(1.0));
    assert!(page.contains(&format!(" 586.0,{}\"", y(0.25))), "{} {page}", y(0.25));
    assert_eq!(page.matches("<details><summary>connections=").count(), 3, "cases are folded up");
    assert_eq!(page.matches("<details").count(), page.matches("</details>").count());
}

#[test]
fn cases_of_which_nothing_grows_have_no_plot_over_them() {
    for names in [
        &["partitions=1"][..],
        &["one", "other"],
        &["partitions=1", "consumers=2"],
        &["a=b", "a=c"],
    ] {
        let page = page::html(&grown(names)).unwrap();
        assert!(!page.contains("<h2>Over"), "{names:?}");
    }
}

#[test]
fn a_lost_record_is_said_in_the_first_line() {
    let mut comparison = comparison();
    assert!(comparison.is_sound());
    let lossy = played(1e8, &[(1, 1)], 7);
    comparison.rounds[1].cells[0].result = CellResult::Played(Box::new(lossy));
    assert!(!comparison.is_sound());
    let page = page::html(&comparison).unwrap();
    assert!(page.contains("verdict bad") && page.contains("7 lost") && page.contains("2 of 3"));
}
