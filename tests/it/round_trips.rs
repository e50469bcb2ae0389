//! How many round trips a small file of a model is away, from a cold start.
//!
//! Counted by a relay that passes bytes in flights, two to a round trip. TCP's own handshake is not among them.

use std::{fs, io::Read as _, process::Stdio};

use crate::common::{Home, files::MIB, relay::Relay, text};

/// Runs, the least of which counts.
const RUNS: usize = 3;

/// Flights until the first byte of `config.json`, by a REF of a seeded model that `of` picks.
fn flights(of: impl Fn(&serde_json::Value) -> String) -> usize {
    let seeder = Home::new();
    let model = seeder.beside("model");
    crate::common::files::model(&model, 5, 3 * MIB);
    let daemon = seeder.daemon(&[]);
    let reference = of(&seeder.seed(&model, &[]));
    let config = fs::read(model.join("config.json")).expect("made");
    let run = || {
        let relay = Relay::to(daemon.addr());
        let home = Home::new();
        let mut command = home.command(&["cat", &reference, "--peer", relay.addr()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        let mut bytes = Vec::new();
        let mut stdout = child.stdout.take().expect("piped");
        let mut first = [0];
        stdout.read_exact(&mut first).expect("a byte");
        let flights = relay.flights();
        bytes.extend(first);
        stdout.read_to_end(&mut bytes).expect("the rest");
        assert!(child.wait().expect("its end").success());
        assert_eq!(bytes, config);
        flights
    };
    let runs: Vec<usize> = (0..RUNS).map(|_| run()).collect();
    println!("{reference}: {runs:?} flights");
    runs.into_iter().min().expect("several runs")
}

#[test]
fn a_small_file_of_a_root_takes_five_round_trips_from_a_cold_start() {
    // Which security protocol; TLS; identify or the stream for wants; the root; the file. See `network`.
    let taken = flights(|seeded| format!("{}:config.json", text(seeded, "root")));
    assert!(taken <= 2 * 5, "{taken} flights");
}

#[test]
fn a_small_file_of_a_release_takes_one_more_for_the_card_whatever_else_is_in_it() {
    let taken = flights(|seeded| format!("{}:config.json", text(seeded, "release")));
    assert!(taken <= 2 * 6, "{taken} flights");
}
