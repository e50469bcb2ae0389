//! Names that resolve through the DHT, between nodes that never met.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use ed25519_dalek::{SigningKey, pkcs8::DecodePrivateKey as _};
use modelswarm::{
    card::{
        Identity,
        index::{Index, Scope},
        ipns::Unsigned,
    },
    dag::{Block, block::DAG_JSON},
    library::rfc3339,
};
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
        let seeded = seed(&self.lab, name, content, &[&["--copy"], more].concat());
        // Until the record is with somebody else, only this node could answer for it.
        until("a peer that takes the record", || {
            let published = self.lab.ask(&["name", "publish"]);
            let names = published["names"].as_array().expect("as it was made");
            let told = names.iter().any(|name| name["peers"].as_u64() > Some(0));
            (told || names.is_empty()).then_some(())
        });
        seeded
    }

    /// Another machine with the lab's key, without a daemon yet.
    fn twin(&self) -> Home {
        let home = Home::new();
        let keys = home.path().join("keys");
        fs::create_dir_all(&keys).expect("as it was made");
        fs::copy(self.lab.path().join("keys/publisher.key"), keys.join("publisher.key"))
            .expect("as it was made");
        home
    }

    fn get(&self, home: &Home, reference: &str) -> crate::common::Output {
        home.get(reference, &["--bootstrap", self.rendezvous.addr()])
    }

    fn resolve(&self, home: &Home) -> Value {
        home.ask(&["name", "resolve", &self.publisher, "--bootstrap", self.rendezvous.addr()])
    }
}

/// Seeds a model of one small file.
fn seed(home: &Home, name: &str, content: &str, more: &[&str]) -> Value {
    home.seed(&model(home, name, content), more)
}

fn model(home: &Home, name: &str, content: &str) -> PathBuf {
    let model = home.beside(name);
    fs::create_dir_all(&model).expect("as it was made");
    fs::write(model.join("weights.bin"), content).expect("as it was made");
    model
}

/// The names that an index lists.
fn names(resolved: &Value) -> Vec<String> {
    let repos = resolved["repos"].as_array().expect("as it was made");
    repos.iter().map(|repo| text(repo, "name").to_owned()).collect()
}

#[test]
fn two_machines_with_one_key_keep_each_other_s_repos_listed() {
    let world = World::new();
    world.seed("ours", "one", &[]);
    let twin = world.twin();
    let daemon = twin.daemon(&["--bootstrap", world.rendezvous.addr()]);
    seed(&twin, "theirs", "two", &["--copy"]);
    let home = Home::new();
    until("the index with both", || {
        (names(&world.resolve(&home)) == ["ours", "theirs"]).then_some(())
    });
    // The first one learns of it when it publishes the next time, and takes nothing out.
    world.seed("more", "three", &[]);
    let all = ["more", "ours", "theirs"];
    until("the index with all", || (names(&world.resolve(&home)) == all).then_some(()));
    // Neither has anything to add: nobody signs anew, however often both look.
    let sequence = || {
        let published = [&world.lab, &twin].map(|home| home.ask(&["name", "publish"]));
        published.map(|published| number(&published["names"][0], "sequence"))
    };
    let [_, settled] = sequence();
    assert_eq!(sequence(), [settled, settled]);
    assert_eq!(names(&world.resolve(&home)), all);
    // What one takes back is gone, and what the other has is not.
    world.lab.ask(&["share", "ours", "--to", "private"]);
    until("the index without it", || {
        (names(&world.resolve(&home)) == ["more", "theirs"]).then_some(())
    });
    twin.ask(&["name", "publish"]);
    assert_eq!(names(&world.resolve(&home)), ["more", "theirs"]);
    drop(daemon);
}

#[test]
fn nothing_is_signed_behind_what_another_machine_published() {
    let world = World::new();
    world.seed("tiny", "one", &[]);
    let twin = world.twin();
    let daemon = twin.daemon(&["--bootstrap", world.rendezvous.addr()]);
    twin.get(text(&world.lab.ask(&["show", "tiny"]), "release"), &[]).ok();
    let theirs = seed(&twin, "tiny", "theirs", &["--copy"]);
    twin.ask(&["name", "publish"]);
    let ours = model(&world.lab, "tiny", "ours");
    let path = ours.to_str().expect("as it was made");
    let refused = world.lab.run(&["seed", path, "--copy"]);
    refused.fails(4).says(text(&theirs, "release"));
    world.lab.run(&["card", "withdraw", "tiny"]).fails(4).says("another machine");
    // What is known stays known when nobody can be asked, also after something else was published.
    world.seed("other", "two", &[]);
    drop(daemon);
    world.lab.run(&["seed", path, "--copy"]).fails(4).says("--onto");
    // Unchanged, nothing is signed.
    let first = model(&world.lab, "tiny", "one");
    assert_eq!(world.lab.seed(&first, &["--copy"])["unchanged"], true);
    let daemon = twin.daemon(&["--bootstrap", world.rendezvous.addr()]);
    world.lab.get(text(&theirs, "release"), &["--peer", daemon.addr()]).ok();
    let next = world.seed("tiny", "ours", &[]);
    assert_eq!(next["version"], "3");
    let card = world.lab.ask(&["card", "show", text(&next, "release")]);
    assert_eq!(card["statement"]["predicate"]["seq"], 3);
}

#[test]
fn an_index_that_lists_nothing_any_more_is_served_and_found() {
    let world = World::new();
    world.seed("tiny", "one", &[]);
    let home = Home::new();
    assert_eq!(names(&world.resolve(&home)), ["tiny"]);
    let release = text(&world.lab.ask(&["show", "tiny"]), "release").to_owned();
    world.lab.ask(&["rm", &release]);
    until("the index without anything", || names(&world.resolve(&home)).is_empty().then_some(()));
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
fn a_card_s_id_alone_is_found_in_the_indexes_of_those_whom_the_user_trusts() {
    let world = World::new();
    let first = world.seed("tiny", "one", &["--version", "1.0"]);
    world.seed("tiny", "two", &["--version", "2.0"]);
    let card = text(&first, "card");
    let home = Home::new();
    world.get(&home, card).fails(3).says("nobody whom you trust").says("@CARD");
    let by_name = format!("{}/tiny@{card}", world.publisher);
    assert_eq!(world.get(&home, &by_name).ok()["release"], first["release"]);
    let friend = Home::new();
    friend.ask(&["trust", "add", "lab", &world.publisher]);
    let got = world.get(&friend, card).ok();
    assert_eq!((&got["release"], &got["root"]), (&first["release"], &first["root"]));
    assert_eq!(got["provenance"]["trust"], "trusted");
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
    let serving = fetcher.daemon(&["--bootstrap", world.rendezvous.addr()]);
    fetcher.announced(3);
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
fn an_older_version_by_name_is_said_to_be_withdrawn_by_a_later_one_that_the_index_lists() {
    let world = World::new();
    world.seed("tiny", "one", &[]);
    world.seed("tiny", "two", &[]);
    world.lab.ask(&["card", "withdraw", "tiny@1", "--reason", "stolen data"]);
    until("the publisher's later word", || {
        (number(&world.resolve(&Home::new())["repos"][0], "versions") == 4).then_some(())
    });
    let home = Home::new();
    let reference = format!("{}/tiny@1", world.publisher);
    let args = ["get", &reference, "--bootstrap", world.rendezvous.addr()];
    let told = home.say(&args).stderr;
    assert!(told.contains("WITHDRAWN") && told.contains("stolen data"), "{told}");
    assert_eq!(world.get(&home, &reference).ok()["provenance"]["stated"], "withdrawn");
    // It is remembered.
    for reference in [&reference, "tiny"] {
        assert_eq!(home.ask(&["show", reference])["stated"], "withdrawn");
    }
    let newest = format!("{}/tiny", world.publisher);
    let got = world.get(&home, &newest).ok();
    assert_eq!(got["provenance"].get("stated"), None, "the newest is in use");
}

#[test]
fn a_publisher_that_says_two_things_is_not_followed() {
    let world = World::new();
    world.seed("tiny", "one", &[]);
    let home = Home::new();
    let reference = format!("{}/tiny", world.publisher);
    world.get(&home, &reference).ok();
    // The same key on another machine: each signs what comes next, and does not hear of the other.
    let twin = world.twin();
    world.get(&twin, text(&world.lab.ask(&["show", "tiny"]), "release")).ok();
    let theirs = seed(&twin, "tiny", "theirs", &["--copy"]);
    world.seed("tiny", "ours", &[]);
    let daemon = twin.daemon(&["--bootstrap", world.rendezvous.addr()]);
    home.get(text(&theirs, "release"), &["--peer", daemon.addr()]).ok();
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

#[test]
fn names_that_end_soon_are_warned_of_until_they_are_published_anew() {
    let home = Home::new();
    home.seed(&home.model("tiny", 2), &[]);
    let publisher = text(&home.ask(&["name", "publish"]), "publisher").to_owned();
    assert_eq!(home.ask(&["status"])["names"][0]["ends_soon"], false);
    assert!(!home.say(&["status"]).stdout.contains("name publish"));
    // The record as it would be if it had been signed three weeks and more ago.
    let documents = home.path().join("store/records/documents");
    let publisher: Identity = publisher.parse().expect("a publisher");
    let key = *publisher.as_key().expect("a key");
    let index = fs::read(documents.join("index-lan")).expect("an index");
    let index = Index::from_block(&publisher, Scope::Lan, &Block::new(DAG_JSON, index));
    let soon = SystemTime::now() + Duration::from_secs(6 * 24 * 3600);
    let soon = rfc3339(soon).and_then(|at| at.parse().ok()).expect("a time");
    let ttl = Duration::from_secs(60);
    let record = Unsigned::new(&key, &index.expect("ours"), 7, soon, ttl).expect("a record");
    let pem = fs::read_to_string(home.path().join("keys/publisher.key")).expect("the key");
    let signer = SigningKey::from_pkcs8_pem(&pem).expect("PKCS #8");
    let record = record.sign(&signer).expect("signed");
    fs::write(documents.join("name-lan"), record.bytes()).expect("written");
    assert_eq!(home.ask(&["status"])["names"][0]["ends_soon"], true);
    let said = home.say(&["status"]).stdout;
    assert!(said.contains("WARNING") && said.contains("modelswarm name publish"), "{said}");
    home.ask(&["name", "publish"]);
    assert_eq!(home.ask(&["status"])["names"][0]["ends_soon"], false);
}

#[test]
fn a_version_signed_without_asking_is_said_to_be_and_found_out() {
    let world = World::new();
    let first = world.seed("tiny", "one", &[]);
    let twin = world.twin();
    world.get(&twin, text(&first, "release")).ok();
    let early = Home::new();
    world.get(&early, text(&first, "release")).ok();
    world.seed("tiny", "ours", &[]);
    // Nobody is asked: no daemon runs there.
    let unasked = "nobody was asked what other machines published";
    let path = model(&twin, "tiny", "theirs");
    let path = path.to_str().expect("as it was made");
    let bootstrap = ["--bootstrap", world.rendezvous.addr()];
    let said = twin.say(&[&["seed", path, "--copy"][..], &bootstrap].concat());
    assert!(said.stderr.contains(unasked), "{said:?}");
    assert!(!Home::new().say(&["seed", path]).stderr.contains(unasked), "a key that is new");
    let daemon = twin.daemon(&bootstrap);
    let listed = until("the other machine's card", || {
        let names = twin.ask(&["status"])["names"].clone();
        names[0].get("contradicted").cloned()
    });
    assert_eq!((&listed[0]["name"], &listed[0]["seq"]), (&"tiny".into(), &2.into()));
    let published = twin.ask(&["name", "publish"]);
    assert_eq!(published["names"][0]["contradicted"], listed);
    assert!(twin.say(&["status"]).stdout.contains("CONTRADICTED"));
    // The one that is asked for the next one is told before it signs.
    twin.run(&["seed", path, "--copy", "--version", "next"]).fails(4).says("--onto");
    let mine = text(&twin.ask(&["card", "log", "tiny"])["versions"][0], "card").to_owned();
    let healed = seed(&twin, "tiny", "healed", &["--copy", "--onto", &mine]);
    let settled = twin.ask(&["card", "show", text(&healed, "release")]);
    let resolves = &settled["statement"]["predicate"]["resolves"];
    assert_eq!(resolves.as_array().map(Vec::len), Some(2));
    assert_eq!(twin.ask(&["status"])["names"][0].get("contradicted"), None);
    // The index leads from the first one to the newest: it lists what the settling card follows.
    until("a peer that takes the record", || {
        twin.ask(&["name", "publish"])["names"][0]["peers"].as_u64().filter(|peers| *peers > 0)
    });
    let got = world.get(&early, &format!("{}/tiny", world.publisher)).ok();
    assert_eq!(got["release"], healed["release"]);
    drop(daemon);
}
