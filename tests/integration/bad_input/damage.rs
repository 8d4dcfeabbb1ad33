//! Bit rot below the end of a log: that partition answers with an error, every other one serves on.

use std::path::{Path, PathBuf};

use crate::broker::Place;
use crate::broker::command::{inspect, kolk, kolk_ok};
use crate::random::Random;

const LINES: usize = 2_000;
/// What `kolk inspect` and `kolk consume` end with when they meet damage.
const EXIT_DAMAGED: i32 = 4;

fn lines(of: &str) -> String {
    (0..LINES).map(|n| format!("{of} record {n} with some bytes to rot in\n")).collect()
}

fn produce(place: &Place, topic: &str) {
    let file = place.folder().join(topic);
    std::fs::write(&file, lines(topic)).expect("the test's folder is writable");
    kolk_ok(place, &["produce", topic, "--create=1", "--file", &file.to_string_lossy()]);
}

/// The segment that holds the given bytes.
fn segment_with(folder: &Path, needle: &[u8]) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a data directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "log") {
                let bytes = std::fs::read(&path).expect("a segment");
                if bytes.windows(needle.len()).any(|window| window == needle) {
                    return path;
                }
            }
        }
    }
    panic!("no segment below {} holds the records", folder.display());
}

fn flip_one_bit(segment: &Path, random: &mut Random) -> usize {
    let mut bytes = std::fs::read(segment).expect("a segment");
    // Somewhere in the middle half: neither the first batch's head nor the log's last bytes.
    let position = bytes.len() / 4 + random.below(bytes.len() / 2);
    bytes[position] ^= 1 << random.below(8);
    std::fs::write(segment, bytes).expect("a segment");
    position
}

#[test]
fn a_flipped_bit_takes_its_partition_offline_and_no_other() {
    let mut random = Random::from_environment("KOLK_DAMAGE_SEED");
    eprintln!("KOLK_DAMAGE_SEED={}", random.seed());
    let place = Place::new("damage", 2);
    let broker = place.start(2);
    for topic in ["sound", "rotten"] {
        produce(&place, topic);
    }
    broker.stop();

    let segment = segment_with(&place.data().join("topics"), b"rotten record 0 ");
    let position = flip_one_bit(&segment, &mut random);
    let name = segment.file_name().expect("a file").to_string_lossy().into_owned();
    let (code, said) = inspect(&place.data());
    assert_eq!(code, Some(EXIT_DAMAGED), "bit {position} of {name}:\n{said}");
    assert!(said.contains(&name), "inspect names the segment:\n{said}");

    // Twice: a restart must not make the damage go away.
    for round in 1..=2 {
        let broker = place.start(2);
        let output = kolk(&place, &["consume", "rotten", "--from", "beginning", "--exit"]);
        assert!(!output.status.success(), "round {round}: damaged records were served");
        let served = String::from_utf8(output.stdout).expect("records of this test are text");
        assert!(lines("rotten").starts_with(&served), "round {round}: wrong bytes were served");
        let sound = kolk_ok(&place, &["consume", "sound", "--from", "beginning", "--exit"]);
        assert!(sound == lines("sound").as_bytes(), "round {round}: the other topic is affected");
        assert!(broker.log().contains(&name), "round {round}: the log names no {name}");
        broker.stop();
    }
}
