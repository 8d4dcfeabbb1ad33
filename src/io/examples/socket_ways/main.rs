//! Measures in one run what the ways of receiving, sending and writing on an io_uring cost: polls with plain calls, receives on
//! the ring into own or provided buffers, sends on the ring, sends without a copy, registered files and buffers, huge pages.
//! Decision 0005 stands on it.
//!
//! `cargo run --release -p kolk-io --example socket_ways -- DIR [SCENE [WAY]]`
//!
//! DIR must be on a disk with direct I/O. With SCENE (the start of a scene's name) only that one is run, with WAY only ways that
//! contain it. `cpu/first` compares a way with the scene's first, round by round: the median and the middle half. The servers are small loops of their own on one thread, set up as the private ring is; the clients are
//! blocking calls and an epoll loop on another core. System calls are those of the measured thread, counted where it makes them.
#![allow(
    unsafe_code,
    reason = "a probe of the kernel's door works on plain memory and descriptors"
)]
#![allow(clippy::print_stdout, reason = "a probe talks")]
#![allow(clippy::expect_used, reason = "a probe has nobody to hand an error to")]
#![allow(clippy::panic, reason = "a probe has nobody to hand an error to")]
#![allow(clippy::indexing_slicing, reason = "a probe's samples are never empty")]
#![allow(clippy::disallowed_methods, reason = "a probe measures the real world")]
#![allow(clippy::cast_possible_truncation, reason = "a probe's numbers are small")]
#![allow(clippy::cast_possible_wrap, reason = "a probe's numbers are small")]
#![allow(clippy::cast_sign_loss, reason = "results are checked before")]

use std::path::PathBuf;

mod bulk_in;
mod bulk_out;
mod client;
mod disk;
mod echo;
mod provided;
mod ring;
mod samples;

use samples::{Sample, median};

/// Rounds of each way; odd, so that the median is one of them.
const ROUNDS: usize = 15;
/// The same where a round takes long to set up.
const ROUNDS_FEW: usize = 7;

/// A way of doing what a scene does.
struct Way {
    name: String,
    run: Box<dyn Fn() -> Sample>,
}

/// Ways that do the same, the first of them today's.
struct Scene {
    name: &'static str,
    rounds: usize,
    ways: Vec<Way>,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().expect("usage: socket_ways DIR [SCENE [WAY]]"));
    let only_scene = arguments.next().unwrap_or_default();
    let only_way = arguments.next().unwrap_or_default();
    let mut scenes: Vec<Scene> = echo::scenes();
    scenes.push(bulk_in::scene());
    scenes.extend(bulk_out::scenes());
    scenes.extend(disk::scenes(&dir));
    for mut scene in scenes {
        if scene.name.starts_with(&only_scene) {
            scene.ways.retain(|way| way.name.contains(&only_way));
            run(&scene);
        }
    }
    disk::clean(&dir);
}

fn run(scene: &Scene) {
    // Each round begins with another way, so that none always follows the same.
    let count = scene.ways.len();
    let round = |round: usize| -> Vec<Sample> {
        let turn = |nth: usize| (nth + round) % count;
        let mut row: Vec<(usize, Sample)> =
            (0..count).map(|nth| (turn(nth), (scene.ways[turn(nth)].run)())).collect();
        row.sort_by_key(|(way, _)| *way);
        row.into_iter().map(|(_, sample)| sample).collect()
    };
    let rounds: Vec<Vec<Sample>> = (0..scene.rounds).map(round).collect();
    let head = ["p50 us", "p99 us", "op/s", "cpu us/op", "calls/op", "cpu s/GiB"];
    print!("\n{:44}", scene.name);
    head.iter().for_each(|name| print!(" {name:>9}"));
    println!(" {:>18}  note", "cpu/first");
    for (nth, way) in scene.ways.iter().enumerate() {
        let column = |of: &dyn Fn(&Sample) -> f64| median(rounds.iter().map(|row| of(&row[nth])));
        print!("{:44}", way.name);
        print!(" {:>9.1} {:>9.1}", column(&|s| s.percentile(50)), column(&|s| s.percentile(99)));
        print!(" {:>9.0} {:>9.2}", column(&Sample::per_second), column(&Sample::cpu_us));
        print!(" {:>9.2}", column(&Sample::calls_each));
        match rounds[0][nth].bytes {
            0 => print!(" {:>9}", "-"),
            _ => print!(" {:>9.3}", column(&Sample::cpu_s_gib)),
        }
        let mut against: Vec<f64> =
            rounds.iter().map(|row| row[nth].cpu_us() / row[0].cpu_us()).collect();
        against.sort_unstable_by(f64::total_cmp);
        let quarter = |nth: usize| against[nth * (scene.rounds - 1) / 4];
        let (low, middle, high) = (quarter(1), quarter(2), quarter(3));
        println!("   {middle:.2} ({low:.2}-{high:.2})  {}", rounds[0][nth].note);
    }
}
