//! Killed at any moment, nothing that was done is lost and the next call goes on where the last one stopped.
//!
//! To kill in the middle of a transfer surely, the seeder is stopped in its tracks (SIGSTOP) as soon as some bytes have
//! arrived: nothing moves then until it is resumed, however quick the machine is.

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::common::{
    Daemon, Home,
    files::{self, MIB},
    foreign::{self, V0_LEAF, V0_LINKS},
    number, text, until,
};

/// Large enough that it does not arrive between two looks.
const WEIGHTS: usize = 256 * MIB;

/// What may be on the way, or written and not yet listed, when a process is killed: fetched again at worst.
const IN_FLIGHT: u64 = 16 * MIB as u64;

struct Seeder {
    daemon: Daemon,
    home: Home,
    model: PathBuf,
    seeded: Value,
}

impl Seeder {
    fn new(seed: u64) -> Self {
        let home = Home::new();
        let model = home.beside("large");
        files::model(&model, seed, WEIGHTS);
        let daemon = home.daemon(&[]);
        let seeded = home.seed(&model, &[]);
        Self { daemon, home, model, seeded }
    }

    fn release(&self) -> &str {
        text(&self.seeded, "release")
    }

    fn bytes(&self) -> u64 {
        number(&self.seeded, "bytes")
    }

    /// The call that fetches the release to `out`.
    fn get<'a>(&'a self, out: &'a Path) -> [&'a str; 6] {
        let out = out.to_str().expect("temporary paths are UTF-8");
        ["get", self.release(), "--peer", self.daemon.addr(), "-o", out]
    }

    /// Waits until a part of the weights has arrived and more is to come; nothing moves then.
    fn pause_in_the_middle(&self, out: &Path) -> u64 {
        until("a part of the weights", || {
            files::partial_bytes(out).filter(|bytes| *bytes > 24 * MIB as u64)
        });
        self.daemon.pause();
        let there = files::partial_bytes(out).expect("the weights are not whole yet");
        assert!(there < WEIGHTS as u64, "the test must stop it in the middle");
        there
    }
}

/// The end of a resumed fetch: all is there, nothing of ours beside it, and little came twice.
fn assert_resumed(seeder: &Seeder, out: &Path, had: u64, got: &Value) {
    assert_eq!(files::tree(out), files::tree(&seeder.model), "whole, and no partial is left");
    let fetched = number(got, "fetched_bytes");
    assert!(fetched > 0, "the middle was hit: {got}");
    assert!(
        fetched + had <= seeder.bytes() + IN_FLIGHT,
        "{had} bytes were there and {fetched} were fetched again of {}",
        seeder.bytes()
    );
    assert_eq!(number(got, "bytes"), seeder.bytes());
}

#[test]
fn a_lone_get_that_was_killed_goes_on_where_it_stopped() {
    let seeder = Seeder::new(21);
    let home = Home::new();
    let out = home.beside("out");
    let get = home.start(&seeder.get(&out));
    let had = seeder.pause_in_the_middle(&out);
    get.kill();
    assert!(!out.join("model.safetensors").exists(), "half a file is never under its own name");
    seeder.daemon.resume();
    let got = home.ask(&seeder.get(&out));
    assert_resumed(&seeder, &out, had, &got);
    assert_eq!(home.ask(&["verify", seeder.release()])["ok"], true);
}

#[test]
fn a_fetching_daemon_that_was_killed_goes_on_by_itself_where_it_stopped() {
    goes_on_by_itself(22, |daemon| daemon.kill());
}

#[test]
fn a_fetching_daemon_that_was_stopped_goes_on_by_itself_where_it_stopped() {
    goes_on_by_itself(26, |daemon| assert_eq!(daemon.terminate(), 0));
}

fn goes_on_by_itself(seed: u64, stop: impl FnOnce(Daemon)) {
    let seeder = Seeder::new(seed);
    let home = Home::new();
    let out = home.beside("out");
    let daemon = home.daemon(&[]);
    let get = home.start(&seeder.get(&out));
    let had = seeder.pause_in_the_middle(&out);
    stop(daemon);
    assert_ne!(get.wait().code, 0);
    let daemon = home.daemon(&[]);
    assert_eq!(home.ask(&["ls"])["repos"][0]["state"], "arriving");
    seeder.daemon.resume();
    until("the fetch, for which nobody asks again", || {
        (home.ask(&["ls"])["repos"][0]["state"] == "whole").then_some(())
    });
    let fetched = number(&home.ask(&["status"]), "bytes_in");
    let got = home.ask(&seeder.get(&out));
    assert_eq!(number(&got, "fetched_bytes"), 0, "all of it is there");
    assert!(fetched + had <= seeder.bytes() + IN_FLIGHT, "{had} were there, {fetched} came again");
    assert_eq!(files::tree(&out), files::tree(&seeder.model), "whole, and no partial is left");
    assert!(daemon.log().contains("going on"), "{}", daemon.log());
}

#[test]
fn a_fetch_that_its_user_ended_is_not_gone_on_with() {
    let seeder = Seeder::new(27);
    let home = Home::new();
    let out = home.beside("out");
    let daemon = home.daemon(&[]);
    let get = home.start(&seeder.get(&out));
    seeder.pause_in_the_middle(&out);
    get.signal(Signal::INT);
    get.wait().fails(130);
    until("the job's end", || {
        (home.ask(&["status"])["transfers"] == serde_json::json!([])).then_some(())
    });
    daemon.kill();
    let daemon = home.daemon(&[]);
    home.ask(&["status"]);
    assert!(!daemon.log().contains("going on"), "{}", daemon.log());
}

/// A file that other software built, of wrapped leaves: what lies on the disk are not the blocks themselves.
#[test]
fn a_killed_get_of_wrapped_leaves_goes_on_where_it_stopped_and_serves_all_of_it_on() {
    // The last node of the second level holds eight leaves: small enough to be taken for a leaf itself.
    let data = files::noise(25, (V0_LINKS + 8) * V0_LEAF);
    let blocks = foreign::v0_file(&data);
    let root = *blocks[blocks.len() - 1].cid();
    let (seeder, home, third) = (Home::new(), Home::new(), Home::new());
    let daemon = foreign::serve(&seeder, root, &blocks);
    let (name, out) = (root.to_string(), home.beside("out"));
    let to = out.to_str().expect("UTF-8");
    let args = ["get", &name, "--peer", daemon.addr(), "-o", to];
    let get = home.start(&args);
    until("a part of the file", || {
        files::partial_bytes(&out).filter(|bytes| *bytes > 12 * MIB as u64)
    });
    daemon.pause();
    let had = files::partial_bytes(&out).expect("the file is not whole yet");
    get.kill();
    assert!(had < data.len() as u64, "the test must stop it in the middle");
    daemon.resume();
    let got = home.ask(&args);
    let fetched = number(&got, "fetched_bytes");
    assert!(
        fetched + had <= data.len() as u64 + 4 * MIB as u64,
        "{had} bytes were there and {fetched} were fetched again of {}",
        data.len()
    );
    assert!(std::fs::read(out.join(&name)).expect("read") == data);
    assert_eq!(home.ask(&["verify", &name])["ok"], true);

    drop(daemon);
    let second = home.daemon(&[]);
    let out = third.beside("out");
    third.get(&name, &["--peer", second.addr(), "-o", out.to_str().expect("UTF-8")]).ok();
    assert!(std::fs::read(out.join(&name)).expect("read") == data);
}

#[test]
fn ctrl_c_of_a_get_is_130_and_the_next_get_goes_on() {
    let seeder = Seeder::new(23);
    let home = Home::new();
    let out = home.beside("out");
    let get = home.start(&seeder.get(&out));
    let had = seeder.pause_in_the_middle(&out);
    get.signal(Signal::INT);
    get.wait().fails(130).says("goes on");
    seeder.daemon.resume();
    // At a daemon too: the job ends with its last follower, the daemon stays.
    let daemon = home.daemon(&[]);
    let get = home.start(&seeder.get(&out));
    until("the transfer", || {
        let status = home.ask(&["status"]);
        status["transfers"][0]["root"].is_string().then_some(())
    });
    seeder.daemon.pause();
    let already_there = out.join("model.safetensors").exists();
    get.signal(Signal::INT);
    let stopped = get.wait();
    assert!(already_there || stopped.code == 130, "{stopped:#?}");
    until("the job's end", || {
        (home.ask(&["status"])["transfers"] == serde_json::json!([])).then_some(())
    });
    seeder.daemon.resume();
    let got = home.ask(&seeder.get(&out));
    assert_eq!(files::tree(&out), files::tree(&seeder.model));
    assert!(number(&got, "fetched_bytes") + had <= seeder.bytes() + IN_FLIGHT, "{got}");
    assert_eq!(daemon.terminate(), 0);
}

#[test]
fn rm_deletes_the_partial_of_an_unfinished_get() {
    let seeder = Seeder::new(24);
    let home = Home::new();
    let out = home.beside("out");
    let get = home.start(&seeder.get(&out));
    seeder.pause_in_the_middle(&out);
    get.kill();
    files::write(&out.join("mine.txt"), "mine");
    home.ask(&["rm", seeder.release()]);
    assert_eq!(files::partial_bytes(&out), None, "the hidden partial is ours");
    assert!(out.join("mine.txt").is_file());
}

#[test]
fn a_killed_seeder_serves_again_from_the_same_home() {
    let home = Home::new();
    let model = home.model("tiny", 25);
    let daemon = home.daemon(&[]);
    let id = daemon.peer_id().to_owned();
    let seeded = home.seed(&model, &[]);
    daemon.kill();
    let daemon = home.daemon(&[]);
    assert_eq!(daemon.peer_id(), id);
    assert_eq!(home.ask(&["ls"])["repos"][0]["release"], seeded["release"]);
    let fetcher = Home::new();
    let got = fetcher.get(text(&seeded, "release"), &["--peer", daemon.addr()]).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&model));
}

#[test]
fn a_seeder_killed_in_the_middle_costs_only_what_was_in_flight() {
    let seeder = Seeder::new(26);
    let fetcher = Home::new();
    let out = fetcher.beside("out");
    let _daemon = fetcher.daemon(&[]);
    let args = [&seeder.get(&out)[..], &["--timeout", "5"]].concat();
    let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
    let get = fetcher.start(&args);
    let had = seeder.pause_in_the_middle(&out);
    let Seeder { daemon, home, model, seeded } = seeder;
    daemon.kill();
    let stopped = get.wait();
    assert!([3, 6].contains(&stopped.code), "{stopped:#?}");
    assert!(!out.join("model.safetensors").exists());
    let daemon = home.daemon(&[]);
    let seeder = Seeder { daemon, home, model, seeded };
    let got = fetcher.ask(&seeder.get(&out));
    assert_resumed(&seeder, &out, had, &got);
}

#[test]
fn a_seed_that_was_killed_is_simply_done_again() {
    let home = Home::new();
    let model = home.beside("large");
    files::model(&model, 27, WEIGHTS);
    let before = files::tree(&model);
    let args = ["seed".to_owned(), model.display().to_string()];
    let seed = home.start(&args);
    until("the index", || home.path().join("store/index").exists().then_some(()));
    seed.kill();
    let seeded = home.ask(&args);
    assert_eq!(seeded["version"], "1", "a card that was never saved is not counted");
    assert_eq!(home.ask(&["verify", "large"])["ok"], true);
    assert_eq!(files::tree(&model), before, "nothing is written in or beside a seeded folder");
}

#[test]
fn sigterm_and_ctrl_c_end_a_daemon_cleanly() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let daemon = home.daemon(&["--http", "127.0.0.1:0"]);
        home.seed(&home.model("tiny", 28), &[]);
        daemon.signal(signal);
        assert_eq!(daemon.ended(), 0);
        let socket = home.path().join("run/control.sock");
        assert!(!socket.exists(), "the control socket goes with the daemon");
        assert_eq!(home.ask(&["ls"])["repos"][0]["state"], "whole", "the store is free again");
    }
}

#[test]
fn sigterm_ends_a_daemon_that_is_in_the_middle_of_a_fetch() {
    let seeder = Seeder::new(29);
    let home = Home::new();
    let out = home.beside("out");
    let daemon = home.daemon(&[]);
    let get = home.start(&seeder.get(&out));
    let had = seeder.pause_in_the_middle(&out);
    assert_eq!(daemon.terminate(), 0);
    assert_ne!(get.wait().code, 0);
    seeder.daemon.resume();
    let got = home.ask(&seeder.get(&out));
    assert_resumed(&seeder, &out, had, &got);
}

#[test]
fn gc_and_a_second_destination_leave_a_running_fetch_alone() {
    let seeder = Seeder::new(30);
    let home = Home::new();
    let (out, other) = (home.beside("out"), home.beside("other"));
    let _daemon = home.daemon(&[]);
    let first = home.start(&seeder.get(&out));
    seeder.pause_in_the_middle(&out);
    home.ask(&["gc"]);
    let second = home.start(&seeder.get(&other));
    seeder.daemon.resume();
    first.wait().ok();
    second.wait().ok();
    let expected = files::tree(&seeder.model);
    assert_eq!(files::tree(&out), expected);
    assert_eq!(files::tree(&other), expected);
    assert_eq!(home.ask(&["verify", out.to_str().expect("UTF-8")])["ok"], true);
}

#[test]
fn rm_ends_a_running_fetch_and_takes_its_partial() {
    let seeder = Seeder::new(34);
    let home = Home::new();
    let out = home.beside("out");
    let _daemon = home.daemon(&[]);
    let get = home.start(&seeder.get(&out));
    seeder.pause_in_the_middle(&out);
    home.ask(&["rm", seeder.release()]);
    seeder.daemon.resume();
    assert_ne!(get.wait().code, 0, "the fetch was ended");
    assert_eq!(files::partial_bytes(&out), None);
    assert_eq!(home.ask(&["ls"])["repos"], serde_json::json!([]));
}
