//! Names that resolve through the DHT, between nodes that never met.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::common::{Daemon, Home, files, number, text, until};

/// A rendezvous, and a publisher that it has heard of.
struct World {
    rendezvous: Daemon,
    _rendezvous_home: Home,
    lab: Home,
    daemon: Option<Daemon>,
    publisher: String,
}

impl World {
    fn new() -> Self {
        let rendezvous_home = Home::new();
        let rendezvous = rendezvous_home.daemon(&[]);
        let lab = Home::new();
        let daemon = lab.daemon(&["--bootstrap", rendezvous.addr()]);
        let publisher = text(&lab.ask(&["id"]), "publisher").to_owned();
        Self { rendezvous, _rendezvous_home: rendezvous_home, lab, daemon: Some(daemon), publisher }
    }

    /// Seeds a model of one small file, kept in the library so that every version can be served.
    fn seed(&self, name: &str, content: &str, more: &[&str]) -> Value {
        let model = self.lab.beside(name);
        fs::create_dir_all(&model).expect("as it was made");
        fs::write(model.join("weights.bin"), content).expect("as it was made");
        let seeded = self.lab.seed(&model, &[&["--copy"], more].concat());
        // Until the record is with somebody else, only this node could answer for it.
        until("a peer that takes the record", || {
            let published = self.lab.ask(&["name", "publish"]);
            let names = published["names"].as_array().expect("as it was made");
            let told = names.iter().any(|name| name["peers"].as_u64() > Some(0));
            (told || names.is_empty()).then_some(())
        });
        seeded
    }

    fn get(&self, home: &Home, reference: &str) -> crate::common::Output {
        home.get(reference, &["--bootstrap", self.rendezvous.addr()])
    }

    fn resolve(&self, home: &Home) -> Value {
        home.ask(&["name", "resolve", &self.publisher, "--bootstrap", self.rendezvous.addr()])
    }
}

#[test]
fn a_name_is_found_and_followed_by_a_node_that_knows_only_the_key_and_a_rendezvous() {
    let world = World::new();
    let first = world.seed("tiny", "one", &["--version", "1.0"]);
    let home = Home::new();
    home.ask(&["trust", "add", "lab", &world.publisher]);
    let got = world.get(&home, "lab/tiny").ok();
    assert_eq!(got["release"], first["release"]);
    assert_eq!(got["provenance"]["trust"], "trusted");
    let second = world.seed("tiny", "two", &["--version", "2.0"]);
    let third = world.seed("tiny", "three", &[]);
    let got = world.get(&home, "lab/tiny").ok();
    assert_eq!(got["release"], third["release"], "the newest, over one that was never fetched");
    assert_eq!(
        fs::read(Path::new(text(&got, "path")).join("weights.bin")).expect("as it was made"),
        b"three"
    );
    let log = home.ask(&["card", "log", "lab/tiny"]);
    let accepted = log["versions"]
        .as_array()
        .expect("as it was made")
        .iter()
        .filter(|one| one["accepted"] == true);
    assert_eq!(accepted.count(), 3, "the cards between were fetched, and their chain holds: {log}");
    // By version, by commit id, by key instead of alias.
    let stranger = Home::new();
    let by = |revision: &str| format!("{}/tiny@{revision}", world.publisher);
    let got = world.get(&stranger, &by("2.0")).ok();
    assert_eq!(got["release"], second["release"]);
    assert_eq!(got["provenance"]["trust"], "named");
    let commit = text(&world.lab.ask(&["show", text(&first, "release")]), "commit").to_owned();
    assert_eq!(world.get(&stranger, &by(&commit)).ok()["root"], first["root"]);
    world.get(&stranger, &by("9.9")).fails(3);
    world.get(&stranger, &format!("{}/other", world.publisher)).fails(3).says("tiny");
}

#[test]
fn names_outlive_their_publisher_s_daemon_and_a_restart() {
    let mut world = World::new();
    let seeded = world.seed("tiny", "one", &[]);
    let before = world.resolve(&Home::new());
    assert_eq!(before["repos"][0]["release"], seeded["release"]);
    let fetcher = Home::new();
    let serving = fetcher.daemon(&["--bootstrap", world.rendezvous.addr()]);
    let reference = format!("{}/tiny", world.publisher);
    fetcher.get(&reference, &[]).ok();
    fetcher.announced(3);
    world.daemon.take().expect("it runs").kill();
    // The rendezvous has the record, the fetcher the index and the files.
    let got = world.get(&Home::new(), &reference).ok();
    assert_eq!(got["release"], seeded["release"]);
    drop(serving);

    let daemon = world.lab.daemon(&["--bootstrap", world.rendezvous.addr()]);
    let published = world.lab.ask(&["name", "publish"]);
    assert_eq!(published["names"][0]["sequence"], before["sequence"], "nothing to sign anew");
    let status = world.lab.ask(&["status"]);
    assert_eq!(status["names"][0]["scope"], "lan");
    assert_eq!(status["names"][0]["ends_soon"], false);
    drop(daemon);
}

#[test]
fn the_index_lists_what_peers_may_see_and_nothing_else() {
    let world = World::new();
    world.seed("open", "one", &[]);
    world.seed("closed", "two", &["--visibility", "private"]);
    let names = |resolved: &Value| -> Vec<String> {
        let repos = resolved["repos"].as_array().expect("as it was made");
        repos.iter().map(|repo| text(repo, "name").to_owned()).collect()
    };
    let home = Home::new();
    assert_eq!(names(&world.resolve(&home)), ["open"]);
    world.lab.ask(&["share", "closed", "--to", "lan"]);
    until("the repo that is shared now", || {
        (names(&world.resolve(&home)) == ["closed", "open"]).then_some(())
    });
    world.lab.ask(&["share", "open", "--to", "private"]);
    until("the repo that is not shared any more to go", || {
        (names(&world.resolve(&home)) == ["closed"]).then_some(())
    });
    world.lab.ask(&["card", "withdraw", "closed", "--reason", "no good"]);
    until("the publisher's later word", || {
        (world.resolve(&home)["repos"][0]["status"] == "withdrawn").then_some(())
    });
}

#[test]
fn a_publisher_that_says_two_things_is_not_followed() {
    let world = World::new();
    world.seed("tiny", "one", &[]);
    let home = Home::new();
    let reference = format!("{}/tiny", world.publisher);
    world.get(&home, &reference).ok();
    // The same key on another machine, which does not know of the version that comes next.
    let twin = Home::new();
    let keys = twin.path().join("keys");
    fs::create_dir_all(&keys).expect("as it was made");
    fs::copy(world.lab.path().join("keys/publisher.key"), keys.join("publisher.key"))
        .expect("as it was made");
    let daemon = twin.daemon(&["--bootstrap", world.rendezvous.addr()]);
    twin.get(text(&world.lab.ask(&["show", "tiny"]), "release"), &[]).ok();
    let model = twin.beside("tiny");
    fs::create_dir_all(&model).expect("as it was made");
    fs::write(model.join("weights.bin"), "theirs").expect("as it was made");
    let theirs = twin.seed(&model, &["--copy"]);
    home.get(text(&theirs, "release"), &["--peer", daemon.addr()]).ok();
    world.seed("tiny", "ours", &[]);
    let failed = until("the record of the other version", || {
        let got = world.get(&home, &reference);
        (got.code != 0).then_some(got)
    });
    failed.fails(4).says("two different cards");
    let shown = home.ask(&["show", "tiny"]);
    assert_eq!(text(&shown, "version"), "1", "the last that is agreed on");
}

#[test]
fn a_name_nobody_knows_ends_with_a_word_on_what_to_do() {
    let world = World::new();
    let home = Home::new();
    let nobody = text(&Home::new().ask(&["init"]), "publisher").to_owned();
    let reference = format!("{nobody}/tiny");
    let by = ["--bootstrap", world.rendezvous.addr()];
    home.get(&reference, &by).fails(3).says("--peer");
    let resolve = ["name", "resolve", &nobody];
    home.run(&[&resolve[..], &by].concat()).fails(3);
    home.run(&["name", "resolve", "nobody-here"]).fails(3);
    home.run(&["name", "resolve", "no such thing"]).fails(2);
}

#[test]
fn without_a_daemon_the_record_waits_for_one() {
    let home = Home::new();
    let model = home.model("tiny", 1);
    home.seed(&model, &[]);
    let published = home.ask(&["name", "publish"]);
    assert_eq!(number(&published["names"][0], "sequence"), 0);
    assert_eq!(published["names"][0].get("peers"), None);
    assert!(text(&published, "name").starts_with("k51"));
    let fresh = Home::new();
    assert_eq!(fresh.ask(&["name", "publish"])["names"], json!([]));
    let daemon = home.daemon(&[]);
    let other = Home::new();
    let reference = format!("{}/tiny", text(&published, "publisher"));
    let got = other.get(&reference, &["--peer", daemon.addr()]).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&model));
}
