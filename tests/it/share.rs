//! The main job: one node seeds, another that knows only a CID and a rendezvous finds it, fetches it, checks it.

mod kept;

use std::{fs, path::Path};

use modelswarm::dag::Cid;
use serde_json::Value;

use crate::common::{
    Daemon, Home,
    files::{self, MIB, MODEL_FILES},
    has_record, number, text, until,
};

/// A rendezvous, and a seeder that it has heard of and that shares one model.
struct Swarm {
    rendezvous: Daemon,
    _rendezvous_home: Home,
    seeder: Daemon,
    home: Home,
    model: std::path::PathBuf,
    seeded: Value,
}

impl Swarm {
    fn new() -> Self {
        Self::with(|home| home.model("tiny-bert", 1), &[])
    }

    fn with(make: impl FnOnce(&Home) -> std::path::PathBuf, seed: &[&str]) -> Self {
        let rendezvous_home = Home::new();
        let rendezvous = rendezvous_home.daemon(&[]);
        let home = Home::new();
        let model = make(&home);
        let seeder = home.daemon(&["--bootstrap", rendezvous.addr()]);
        let seeded = home.seed(&model, seed);
        assert_eq!(seeded["serving"], true);
        // Three nodes that are all connected hide a broken DHT: the record must be out before anybody fetches.
        home.announced(2);
        Self { rendezvous, _rendezvous_home: rendezvous_home, seeder, home, model, seeded }
    }

    fn release(&self) -> &str {
        text(&self.seeded, "release")
    }

    fn root(&self) -> &str {
        text(&self.seeded, "root")
    }

    /// A lone `get` in this home, by the rendezvous alone.
    fn get(&self, home: &Home, reference: &str, more: &[&str]) -> Value {
        let by = ["--bootstrap", self.rendezvous.addr()];
        home.get(reference, &[&by, more].concat()).ok()
    }
}

fn as_text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

#[test]
fn a_daemon_that_knows_only_the_cid_and_a_rendezvous_fetches_a_release() {
    let swarm = Swarm::new();
    let fetcher = Home::new();
    let daemon = fetcher.daemon(&["--bootstrap", swarm.rendezvous.addr()]);
    let got = fetcher.get(swarm.release(), &[]).ok();
    let expected = files::tree(&swarm.model);
    let path = Path::new(text(&got, "path"));
    assert_eq!(files::tree(path), expected);
    assert!(path.starts_with(fetcher.path().join("library/models")), "{}", path.display());
    assert_eq!(got["release"], swarm.release());
    assert_eq!(got["root"], swarm.root());
    assert_eq!(number(&got, "files"), MODEL_FILES);
    assert_eq!(number(&got, "bytes"), files::size(&expected));
    let fetched = number(&got, "fetched_bytes");
    let overhead = 64 * 1024;
    assert!(
        (files::size(&expected)..files::size(&expected) + overhead).contains(&fetched),
        "payload is the files and a few nodes: {fetched}"
    );
    assert!(got["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    assert_eq!(got["provenance"]["status"], "verified");
    assert_eq!(got["provenance"]["trust"], "new");
    assert_eq!(got["provenance"]["publisher"], swarm.seeded["publisher"]);
    // The folder is <key>/<name>@<first 12 of the commit id>.
    let shown = fetcher.ask(&["show", swarm.release()]);
    let folder = format!("tiny-bert@{}", &text(&shown, "commit")[..12]);
    assert_eq!(path.file_name().and_then(|name| name.to_str()), Some(folder.as_str()));
    assert_eq!(daemon.further_lines(), Vec::<String>::new(), "a daemon's stdout is one line");
    // What was fetched is served on: the fetcher has told peers of it, and the seeder is not needed any more.
    fetcher.announced(2);
    swarm.seeder.kill();
    let third = Home::new();
    let by = ["--bootstrap", swarm.rendezvous.addr()];
    let again = third.get(text(&got, "release"), &by).ok();
    assert_eq!(files::tree(Path::new(text(&again, "path"))), expected);
}

#[test]
fn a_lone_get_fetches_by_release_root_path_and_file() {
    let swarm = Swarm::new();
    let home = Home::new();
    let out = home.beside("out");
    let expected = files::tree(&swarm.model);

    let by_root = swarm.get(&home, swarm.root(), &["-o", as_text(&out)]);
    assert_eq!(files::tree(&out), expected, "the folder holds the repo's files and nothing else");
    assert_eq!(by_root["path"], as_text(&out));
    assert_eq!(by_root["provenance"]["status"], "unsigned");
    assert!(by_root.get("release").is_none_or(Value::is_null), "{by_root}");

    // Without -o, unsigned content lies under its root.
    let other = Home::new();
    let placed = swarm.get(&other, swarm.root(), &[]);
    let roots = other.path().join("library/roots").join(swarm.root());
    assert_eq!(placed["path"], as_text(&roots));
    assert_eq!(files::tree(&roots), expected);

    // A path behind a release gives that file, under its last part.
    let third = Home::new();
    let part = third.beside("part");
    let reference = format!("{}:1_Pooling/config.json", swarm.release());
    let got = swarm.get(&third, &reference, &["-o", as_text(&part)]);
    assert_eq!(got["path"], as_text(&part.join("config.json")));
    assert_eq!(number(&got, "files"), 1);
    assert_eq!(files::tree(&part).keys().collect::<Vec<_>>(), ["config.json"]);
    assert_eq!(
        fs::read(part.join("config.json")).expect("fetched"),
        fs::read(swarm.model.join("1_Pooling/config.json")).expect("made")
    );
    assert_eq!(got["provenance"]["status"], "verified");

    // A folder behind a root, under its last part.
    let folder = third.beside("folder");
    let reference = format!("{}:1_Pooling", swarm.root());
    let got = swarm.get(&third, &reference, &["-o", as_text(&folder)]);
    assert_eq!(got["path"], as_text(&folder.join("1_Pooling")));
    assert_eq!(files::tree(&folder).keys().collect::<Vec<_>>(), ["1_Pooling/config.json"]);

    // A single file's CID, from a connected peer, under its CID.
    let shown = swarm.home.ask(&["show", "tiny-bert"]);
    let entries = shown["entries"].as_array().expect("entries");
    let file = entries.iter().find(|entry| entry["path"] == "tokenizer.json").expect("the file");
    let cid = text(file, "cid");
    let fourth = Home::new();
    let single = fourth.beside("single");
    let peer = ["--peer", swarm.seeder.addr(), "-o", as_text(&single)];
    let got = fourth.get(cid, &peer).ok();
    assert_eq!(got["path"], as_text(&single.join(cid)));
    assert_eq!(files::digest(&single.join(cid)), expected["tokenizer.json"]);

    // By name: what the local library knows.
    let named = fourth.beside("named");
    let unknown = fourth.get("tiny-bert", &["-o", as_text(&named)]).fails(3);
    unknown.says("tiny-bert");
    let own = swarm.home.get("tiny-bert:config.json", &["-o", as_text(&named)]).ok();
    assert_eq!(own["provenance"]["trust"], "own");
    assert_eq!(number(&own, "fetched_bytes"), 0, "the seeder has it already");
    assert_eq!(files::digest(&named.join("config.json")), expected["config.json"]);
}

#[test]
fn a_qm_cid_names_the_same_blocks() {
    let swarm = Swarm::new();
    let v1: Cid = swarm.root().parse().expect("a CID");
    let v0 = Cid::new_v0(*v1.hash()).expect("dag-pb and sha2-256").to_string();
    let home = Home::new();
    let out = home.beside("out");
    let peer = ["--peer", swarm.seeder.addr(), "-o", as_text(&out)];
    home.get(&v0, &peer).ok();
    assert_eq!(files::tree(&out), files::tree(&swarm.model));
}

#[test]
fn trust_is_the_users_and_status_is_cryptography() {
    let swarm = Swarm::new();
    let publisher = text(&swarm.seeded, "publisher");
    let home = Home::new();
    let trust = |got: &Value| {
        assert_eq!(got["provenance"]["status"], "verified");
        text(&got["provenance"], "trust").to_owned()
    };
    assert_eq!(trust(&swarm.get(&home, swarm.release(), &[])), "new");
    let named = swarm.get(&home, swarm.release(), &["--publisher", publisher]);
    assert_eq!(trust(&named), "named");
    let written = swarm.get(&home, &format!("{publisher}/tiny-bert"), &[]);
    assert_eq!(trust(&written), "named");
    assert_eq!(trust(&swarm.get(&home, swarm.release(), &[])), "new", "use makes no trust");

    home.ask(&["trust", "add", "sbert", publisher]);
    let trusted = swarm.get(&home, swarm.release(), &[]);
    assert_eq!(trust(&trusted), "trusted");
    let by_alias = swarm.get(&home, "sbert/tiny-bert", &[]);
    assert_eq!(by_alias["root"], swarm.root());
    home.ask(&["trust", "rm", "sbert"]);
    assert_eq!(trust(&swarm.get(&home, swarm.release(), &[])), "new");

    // A card by another key than the asked one is refused, and nothing is written.
    let stranger = text(&home.ask(&["id"]), "publisher").to_owned();
    let fresh = Home::new();
    let out = fresh.beside("out");
    let by = ["--bootstrap", swarm.rendezvous.addr(), "--publisher", &stranger];
    let refused = fresh.get(swarm.release(), &[&by[..], &["-o", as_text(&out)]].concat());
    refused.fails(4).says(publisher);
    assert!(!out.exists(), "nothing is written");
    let bare = fresh.get(swarm.root(), &[&by[..], &["-o", as_text(&out)]].concat());
    bare.fails(4).says(&stranger);
}

#[test]
fn the_second_get_adopts_and_a_deleted_file_alone_is_fetched_again() {
    let swarm = Swarm::new();
    let home = Home::new();
    let out = home.beside("out");
    let to = ["-o", as_text(&out)];
    let first = swarm.get(&home, swarm.release(), &to);
    assert!(number(&first, "fetched_bytes") > 0);
    let again = swarm.get(&home, swarm.release(), &to);
    assert_eq!(number(&again, "fetched_bytes"), 0);
    assert_eq!(number(&again, "files"), MODEL_FILES);
    assert_eq!(again["bytes"], first["bytes"], "files and bytes count all that was asked");

    fs::remove_file(out.join("tokenizer.json")).expect("delete");
    let repos = home.ask(&["ls"]);
    assert_eq!(repos["repos"][0]["state"], "missing");
    let changed = home.ask(&["status"]);
    assert_eq!(changed["changed"][0]["state"], "missing");
    assert_eq!(changed["changed"][0]["path"], as_text(&out.join("tokenizer.json")));
    let third = swarm.get(&home, swarm.release(), &to);
    assert_eq!(number(&third, "fetched_bytes"), 40_000, "that file's bytes and no others");
    assert_eq!(files::tree(&out), files::tree(&swarm.model));
    assert_eq!(home.ask(&["ls"])["repos"][0]["state"], "whole");

    // Equal files that somebody else put there are adopted: a home that knows nothing takes only the nodes.
    let other = Home::new();
    let there = other.beside("there");
    files::copy(&swarm.model, &there);
    let adopted = swarm.get(&other, swarm.release(), &["-o", as_text(&there)]);
    assert!(number(&adopted, "fetched_bytes") < 64 * 1024, "only nodes and the card: {adopted}");
    assert_eq!(number(&adopted, "files"), MODEL_FILES);
}

#[test]
fn globs_choose_files_and_the_rest_comes_later() {
    let swarm = Swarm::new();
    let home = Home::new();
    let out = home.beside("out");
    let to = ["-o", as_text(&out)];
    let some = [&to[..], &["--include", "*.json", "--exclude", "tokenizer*"]].concat();
    let got = swarm.get(&home, swarm.release(), &some);
    assert_eq!(number(&got, "files"), 2);
    assert_eq!(
        files::tree(&out).keys().collect::<Vec<_>>(),
        ["1_Pooling/config.json", "config.json"]
    );
    assert_eq!(home.ask(&["ls"])["repos"][0]["state"], "partial");
    let rest = swarm.get(&home, swarm.release(), &to);
    assert_eq!(number(&rest, "files"), MODEL_FILES);
    assert_eq!(files::tree(&out), files::tree(&swarm.model));
    assert_eq!(home.ask(&["ls"])["repos"][0]["state"], "whole");
    let none = ["--bootstrap", swarm.rendezvous.addr(), "--include", "*.gguf"];
    home.get(swarm.release(), &none).fails(3).says("--include");
}

#[test]
fn a_dry_run_writes_nothing() {
    let swarm = Swarm::new();
    let home = Home::new();
    let out = home.beside("out");
    let got = swarm.get(&home, swarm.release(), &["--dry-run", "-o", as_text(&out)]);
    assert!(!out.exists());
    assert_eq!(number(&got, "files"), MODEL_FILES);
    assert_eq!(number(&got, "bytes"), files::size(&files::tree(&swarm.model)));
    assert_eq!(home.ask(&["ls"])["repos"], serde_json::json!([]));
    swarm.get(&home, swarm.release(), &["--dry-run"]);
    let library = home.path().join("library");
    assert!(!library.exists() || files::tree(&library).is_empty());
}

#[test]
fn a_file_in_the_way_stops_a_get_before_anything_is_written() {
    let swarm = Swarm::new();
    let home = Home::new();
    let out = home.beside("out");
    files::write(&out.join("config.json"), "mine");
    files::write(&out.join("notes.txt"), "mine too");
    let before = files::tree(&out);
    let by = ["--bootstrap", swarm.rendezvous.addr(), "-o", as_text(&out)];
    let refused = home.get(swarm.release(), &by).fails(1);
    refused.says("config.json").says("--force");
    assert_eq!(files::tree(&out), before, "nothing is written");
    home.get(swarm.release(), &[&by[..], &["--force"]].concat()).ok();
    let mut expected = files::tree(&swarm.model);
    expected.insert("notes.txt".into(), before["notes.txt"].clone());
    assert_eq!(files::tree(&out), expected, "a file of the user's own stays");
}

#[test]
fn a_folder_or_link_in_the_way_is_never_written_through() {
    let swarm = Swarm::new();
    let home = Home::new();
    let out = home.beside("out");
    let outside = home.beside("outside");
    files::write(&outside.join("victim"), "precious");
    fs::create_dir_all(&out).expect("make");
    std::os::unix::fs::symlink(outside.join("victim"), out.join("config.json")).expect("link");
    std::os::unix::fs::symlink(&outside, out.join("1_Pooling")).expect("link");
    let by = ["--bootstrap", swarm.rendezvous.addr(), "-o", as_text(&out)];
    let refused = home.get(swarm.release(), &by);
    assert!([1, 4].contains(&refused.code), "{refused:#?}");
    let forced = home.get(swarm.release(), &[&by[..], &["--force"]].concat());
    assert_ne!(forced.code, 130, "{forced:#?}");
    assert_eq!(fs::read_to_string(outside.join("victim")).expect("there"), "precious");
    assert_eq!(files::tree(&outside).len(), 1, "nothing was written through the link");
}

#[test]
fn two_gets_of_one_thing_share_one_transfer() {
    let swarm = Swarm::with(
        |home| {
            let dir = home.beside("larger");
            files::model(&dir, 3, 96 * MIB);
            dir
        },
        &[],
    );
    let fetcher = Home::new();
    let _daemon = fetcher.daemon(&["--bootstrap", swarm.rendezvous.addr()]);
    let out = fetcher.beside("out");
    let args = ["get", swarm.release(), "-o", as_text(&out)];
    let first = fetcher.start(&args);
    until("the first bytes", || files::partial_bytes(&out).filter(|bytes| *bytes > MIB as u64));
    // Stopped in its tracks, the transfer is surely under way when the second call joins it.
    swarm.seeder.pause();
    let second = fetcher.start(&args);
    until("the transfer in `status`", || {
        let transfers = fetcher.ask(&["status"])["transfers"].clone();
        (transfers.as_array().map(Vec::len) == Some(1)).then_some(())
    });
    swarm.seeder.resume();
    let (first, second) = (first.wait().ok(), second.wait().ok());
    assert_eq!(first["path"], second["path"]);
    assert_eq!(first["bytes"], second["bytes"]);
    let size = number(&first, "bytes");
    assert!(number(&first, "fetched_bytes") < size + 3 * MIB as u64, "fetched once: {first}");
    assert!(number(&second, "fetched_bytes") <= number(&first, "fetched_bytes"), "{second}");
    assert_eq!(files::tree(&out), files::tree(&swarm.model));
    assert_eq!(fetcher.ask(&["status"])["transfers"], serde_json::json!([]));
}

#[test]
fn several_seeders_serve_one_fetch_and_one_of_them_may_die() {
    let swarm = Swarm::with(
        |home| {
            let dir = home.beside("larger");
            files::model(&dir, 4, 128 * MIB);
            dir
        },
        &["--unsigned"],
    );
    // The same folder on another machine has the same root, without any talk between the two.
    let second = Home::new();
    let copy = second.beside("copy");
    files::copy(&swarm.model, &copy);
    let twin = second.daemon(&["--bootstrap", swarm.rendezvous.addr()]);
    assert_eq!(second.seed(&copy, &["--unsigned"])["root"], swarm.root());
    second.announced(2);
    let fetcher = Home::new();
    let _daemon = fetcher.daemon(&["--bootstrap", swarm.rendezvous.addr()]);
    let out = fetcher.beside("out");
    let get = fetcher.start(&["get", swarm.root(), "-o", as_text(&out)]);
    until("bytes from both", || {
        let peers = fetcher.ask(&["peers"]);
        let peers = peers["peers"].as_array().expect("peers").clone();
        let given = |id: &str| {
            let peer = peers.iter().find(|peer| peer["peer_id"] == id);
            peer.is_some_and(|peer| number(peer, "bytes_in") > 0)
        };
        (given(twin.peer_id()) && given(swarm.seeder.peer_id())).then_some(())
    });
    twin.kill();
    let got = get.wait().ok();
    assert_eq!(files::tree(&out), files::tree(&swarm.model));
    let size = number(&got, "bytes");
    let fetched = number(&got, "fetched_bytes");
    assert!(fetched < size + size / 10, "sources are not asked for the same: {fetched} of {size}");
}

#[test]
fn content_announced_before_the_rendezvous_appears_is_found_after() {
    let home = Home::new();
    let model = home.model("early", 7);
    let seeded = home.seed(&model, &[]);
    assert_eq!(seeded["serving"], false, "without a daemon nothing is announced");
    let rendezvous_home = Home::new();
    let rendezvous = rendezvous_home.daemon(&[]);
    let _seeder = home.daemon(&[]);
    // The daemon starts with an empty routing table and meets its first peer later.
    home.ask(&["connect", rendezvous.addr()]);
    home.announced(2);
    let fetcher = Home::new();
    let by = ["--bootstrap", rendezvous.addr()];
    let got = fetcher.get(text(&seeded, "release"), &by).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&model));
}

#[test]
fn the_rendezvous_holds_the_record_before_the_fetch_and_over_a_restart() {
    let Swarm { rendezvous, _rendezvous_home: at, seeder, home: _home, model, seeded } =
        Swarm::new();
    assert_eq!(rendezvous.terminate(), 0);
    for field in ["release", "root"] {
        let held = has_record(&at, text(&seeded, field), seeder.peer_id());
        assert!(held, "the rendezvous holds no record of the {field}");
    }
    let rendezvous = at.daemon(&[]);
    let fetcher = Home::new();
    let by = ["--bootstrap", rendezvous.addr()];
    let got = fetcher.get(text(&seeded, "release"), &by).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&model));
}

#[test]
fn a_get_that_joins_another_brings_its_peers_along() {
    let swarm = Swarm::new();
    let fetcher = Home::new();
    let _daemon = fetcher.daemon(&[]);
    let out = fetcher.beside("out");
    let args = ["get", swarm.release(), "-o", as_text(&out)];
    // Alone this one would know nobody to ask.
    let first = fetcher.start(&args);
    let second = fetcher.start(&[&args[..], &["--peer", swarm.seeder.addr()]].concat());
    second.wait().ok();
    first.wait().ok();
    assert_eq!(files::tree(&out), files::tree(&swarm.model));
}

#[test]
fn a_seeder_that_fetches_its_own_adopts_its_folder() {
    let swarm = Swarm::new();
    let before = files::tree(&swarm.model);
    let got = swarm.home.get(swarm.release(), &["-o", as_text(&swarm.model)]).ok();
    assert_eq!(number(&got, "fetched_bytes"), 0);
    assert_eq!(files::tree(&swarm.model), before);
    let copy = swarm.home.beside("copy");
    let got = swarm.home.get(swarm.release(), &["-o", as_text(&copy)]).ok();
    assert_eq!(number(&got, "fetched_bytes"), 0, "what is here is copied, never downloaded");
    assert_eq!(files::tree(&copy), before);
    let named = swarm.home.get("tiny-bert@1:config.json", &["-o", as_text(&copy)]).ok();
    assert_eq!(named["path"], as_text(&copy.join("config.json")));
}

#[test]
fn a_path_may_name_an_entry_of_the_release_itself() {
    let swarm = Swarm::new();
    let home = Home::new();
    let out = home.beside("out");
    let reference = format!("{}:card.sigstore.json", swarm.release());
    let got = swarm.get(&home, &reference, &["-o", as_text(&out)]);
    assert_eq!(got["path"], as_text(&out.join("card.sigstore.json")));
    let card: Value =
        serde_json::from_slice(&fs::read(out.join("card.sigstore.json")).expect("the card"))
            .expect("a Sigstore bundle is JSON");
    assert!(card["dsseEnvelope"]["signatures"].is_array(), "{card}");
}
