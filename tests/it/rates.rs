//! Rate limits: given when a node starts, set while it runs.
//!
//! That something takes at least as long as its rate says is no matter of the machine's speed; nothing here says that it
//! takes no longer.

use std::{thread, time::Duration};

use serde_json::json;

use crate::common::{
    Home,
    files::{self, MIB},
    number, text,
};

/// A model of 8 MiB, and its release.
fn seeded(home: &Home) -> String {
    let model = home.beside("model");
    files::model(&model, 121, 8 * MIB);
    text(&home.seed(&model, &[]), "release").to_owned()
}

/// Seconds that a fetch of all of it took, into a new home.
fn seconds(release: &str, from: &str, more: &[&str]) -> f64 {
    let got = Home::new().get(release, &[&["--peer", from], more].concat()).ok();
    assert!(number(&got, "fetched_bytes") >= 8 * MIB as u64);
    got["seconds"].as_f64().expect("seconds")
}

#[test]
fn a_seeder_keeps_to_its_rate_and_a_fetcher_to_its_own() {
    let home = Home::new();
    let daemon = home.daemon(&["--max-up", "4MiB"]);
    let release = seeded(&home);
    assert!(seconds(&release, daemon.addr(), &[]) > 1.8, "8 MiB at 4 MiB/s");
    assert!(seconds(&release, daemon.addr(), &["--max-down", "2MiB"]) > 3.6, "8 MiB at 2 MiB/s");
    let each = ["limit", "--max-up", "off", "--peer-max-up", "2MiB"];
    let rates = home.ask(&each);
    assert_eq!(rates["max_up"], "off");
    assert_eq!(rates["peer_max_up"], 2 * MIB);
    let peer = daemon.addr();
    thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(|| seconds(&release, peer, &[])));
        assert!(both.into_iter().all(|one| one.join().expect("fetched") > 3.6), "2 MiB/s each");
    });
}

#[test]
fn a_limit_that_is_lifted_lets_go_what_waits() {
    let home = Home::new();
    let daemon = home.daemon(&["--max-up", "16KiB"]);
    let release = seeded(&home);
    // Eight minutes at that rate, far beyond a test's patience.
    let fetcher = Home::new();
    let fetch = fetcher.start(&["get", &release, "--peer", daemon.addr()]);
    thread::sleep(Duration::from_millis(500));
    home.ask(&["limit", "--max-up", "off"]);
    fetch.wait().ok();
}

#[test]
fn limits_are_shown_and_bad_ones_refused() {
    let home = Home::new();
    home.run(&["limit"]).fails(1).says("no daemon");
    let _daemon = home.daemon(&["--set", "rates.max_down=1.5MB"]);
    let rates = home.ask(&["limit"]);
    let shown = json!({"max_up": "off", "max_down": 1_500_000, "peer_max_up": "off", "peer_max_down": "off"});
    assert_eq!(rates, shown);
    home.run(&["limit", "--max-up", "fast"]).fails(2).says("--max-up").says("25MiB");
    home.run(&["limit", "--max-up", "10"]).fails(2).says("too slow");
    home.run(&["ls", "--set", "rates.max_up=never"]).fails(2).says("rates.max_up");
    home.run(&["status", "--max-up", "5MB"]).fails(2).says("contradicts");
}
