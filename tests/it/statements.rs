//! Cards that lie about the digests of their files: signed over the right root, so that every fetched byte is proven, and
//! found out by the daemon in the background, by `verify`, and by nobody's blame for files that their owner changed.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use modelswarm::{
    card::{FileEntry, Manifest, Statement, statement::Files},
    store::{Options, Store},
};
use serde_json::{Value, json};

use crate::common::{Daemon, Home, forge, text, until};

/// States another digest of the first file, in a card that contradicts itself nowhere.
fn another_digest(statement: &mut Statement) {
    relist(statement, |file| file.sha256[0] ^= 1);
}

fn relist(statement: &mut Statement, change: impl FnOnce(&mut FileEntry)) {
    let Files::Inline(manifest) = &statement.files else { panic!("a small card") };
    let mut files = manifest.files().to_vec();
    change(&mut files[0]);
    let manifest = Manifest::new(files).expect("files");
    statement.tree = manifest.digests();
    statement.files = Files::Inline(manifest);
}

/// A publisher whose daemon serves a release with a card changed like this.
fn lab(change: impl FnOnce(&mut Statement)) -> (Home, Daemon, String) {
    let home = Home::new();
    let seeded = home.seed(&home.model("tiny", 5), &[]);
    let release = forge::card(&home, &seeded, change);
    let daemon = home.daemon(&[]);
    (home, daemon, release)
}

fn statements(home: &Home) -> String {
    text(&home.ask(&["show", "tiny"]), "statements").to_owned()
}

fn settled(home: &Home) -> String {
    until("the comparison", || Some(statements(home)).filter(|said| said != "unchecked"))
}

/// A daemon that shows in its log what it could not compare.
fn loud(home: &Home) -> Daemon {
    home.daemon(&["-v"])
}

fn first_file(home: &Home) -> PathBuf {
    let shown = home.ask(&["show", "tiny"]);
    PathBuf::from(text(&shown, "path")).join(text(&shown["entries"][0], "path"))
}

#[test]
fn a_card_that_lies_about_a_digest_is_found_out_in_the_background_and_stays_so() {
    let (_lab, seeder, release) = lab(another_digest);
    let home = Home::new();
    let daemon = home.daemon(&[]);
    let got = home.get(&release, &["--peer", seeder.addr()]).ok();
    assert_eq!(
        got["provenance"]["status"], "verified",
        "every byte is the root's, and that is signed"
    );
    let said = settled(&home);
    assert!(
        said.starts_with("DO NOT HOLD: ") && said.contains("not those that were signed"),
        "{said}"
    );
    let status = home.ask(&["status"]);
    assert_eq!(status["refuted"][0]["name"], "tiny");
    assert_eq!(
        (&status["refuted"][0]["statements"], &status["unchecked"]),
        (&json!(said), &json!(0))
    );
    assert!(home.say(&["status"]).stdout.contains("REFUTED  tiny@1"));
    assert!(home.say(&["ls"]).stdout.contains("STATEMENTS DO NOT HOLD"));
    assert!(home.say(&["show", "tiny"]).stdout.contains(&said));
    assert_eq!(daemon.terminate(), 0);
    assert_eq!(statements(&home), said);
    // The same again, which changes nothing of what is known.
    home.get(&release, &["--peer", seeder.addr()]).ok();
    assert_eq!(statements(&home), said);
}

#[test]
fn an_honest_card_holds_and_its_publisher_need_not_compare_it() {
    let lab = Home::new();
    let seeded = lab.seed(&lab.model("tiny", 6), &[]);
    assert_eq!(statements(&lab), "hold", "it was signed over what was read");
    lab.ask(&["card", "deprecate", "tiny"]);
    assert_eq!(statements(&lab), "hold");
    let seeder = lab.daemon(&[]);
    let home = Home::new();
    let _daemon = home.daemon(&[]);
    home.get(text(&seeded, "release"), &["--peer", seeder.addr()]).ok();
    assert_eq!(settled(&home), "hold");
    // Without a card there is nothing to compare with.
    let other = Home::new();
    other.get(text(&seeded, "root"), &["--peer", seeder.addr()]).ok();
    assert_eq!(other.ask(&["show", text(&seeded, "root")])["statements"], Value::Null);
}

#[test]
fn what_a_lone_get_left_is_compared_by_the_next_daemon_or_by_verify() {
    let (_lab, seeder, release) = lab(another_digest);
    let by_verify = Home::new();
    by_verify.get(&release, &["--peer", seeder.addr()]).ok();
    assert_eq!(statements(&by_verify), "unchecked");
    assert_eq!(by_verify.ask(&["status"])["unchecked"], 1);
    let verified = by_verify.run(&["verify", "tiny"]);
    verified.failure(4);
    assert_eq!(verified.json()["ok"], false);
    assert!(statements(&by_verify).starts_with("DO NOT HOLD"));

    let by_daemon = Home::new();
    by_daemon.get(&release, &["--peer", seeder.addr()]).ok();
    let _daemon = by_daemon.daemon(&[]);
    assert!(settled(&by_daemon).starts_with("DO NOT HOLD"));
}

#[test]
fn a_file_that_its_owner_changed_is_not_blamed_on_the_publisher() {
    let lab = Home::new();
    let seeded = lab.seed(&lab.model("tiny", 7), &[]);
    let seeder = lab.daemon(&[]);
    let home = Home::new();
    home.get(text(&seeded, "release"), &["--peer", seeder.addr()]).ok();
    let file = first_file(&home);
    fs::write(&file, "changed since").expect("written");
    let daemon = loud(&home);
    until("the attempt", || daemon.log().contains("not compared with its card").then_some(()));
    assert_eq!(statements(&home), "unchecked");
    assert_eq!(daemon.terminate(), 0);
    home.run(&["verify", "tiny"]).failure(4);
    assert_eq!(statements(&home), "unchecked");
    // Put right, it can be compared.
    home.get(text(&seeded, "release"), &["--peer", seeder.addr(), "--force"]).ok();
    home.ask(&["verify", "tiny"]);
    assert_eq!(statements(&home), "hold");
}

/// Appends to a file.
fn grow(file: &Path) {
    let mut file = OpenOptions::new().append(true).open(file).expect("opened");
    file.write_all(b"x").expect("written");
}

#[test]
fn a_file_that_its_owner_appended_to_is_not_blamed_on_the_publisher() {
    let lab = Home::new();
    let seeded = lab.seed(&lab.model("tiny", 8), &[]);
    let seeder = lab.daemon(&[]);
    let home = Home::new();
    home.get(text(&seeded, "release"), &["--peer", seeder.addr()]).ok();
    grow(&first_file(&home));
    home.run(&["verify", "tiny"]).failure(4);
    assert_eq!(statements(&home), "unchecked");
    let daemon = loud(&home);
    until("the attempt", || daemon.log().contains("not compared with its card").then_some(()));
    assert_eq!(statements(&home), "unchecked");
    assert_eq!(home.ask(&["status"])["refuted"], json!([]));
    // Nor is the publisher blamed at home.
    grow(&first_file(&lab));
    lab.run(&["verify", "tiny"]).failure(4);
    assert_eq!(statements(&lab), "hold");
    assert_eq!(lab.ask(&["status"])["refuted"], json!([]));
}

/// Writes a verdict against the publisher, as one of an earlier version might have been wrong. No daemon may run.
fn blame(home: &Home) {
    let shown = home.ask(&["show", "tiny"]);
    let file = text(&shown["entries"][0], "path");
    let note =
        json!({"statements": {"do-not-hold": [format!("{file}: not those that were signed")]}});
    let options = Options::new(home.path().join("library"));
    let store = Store::open(&home.path().join("store"), options).expect("the store");
    let (id, _) = store.trees().pop().expect("a version");
    store.change_tree(id, |tree| tree.note = Some(note.to_string())).expect("changed");
    store.close().expect("closed");
    assert!(statements(home).starts_with("DO NOT HOLD"));
}

#[test]
fn a_wrong_verdict_goes_when_the_files_are_compared_again() {
    let lab = Home::new();
    let seeded = lab.seed(&lab.model("tiny", 9), &[]);
    let seeder = lab.daemon(&[]);
    let home = Home::new();
    home.get(text(&seeded, "release"), &["--peer", seeder.addr()]).ok();
    blame(&home);
    home.ask(&["verify", "tiny"]);
    assert_eq!(statements(&home), "hold");
    // A daemon looks again by itself.
    blame(&home);
    let daemon = home.daemon(&[]);
    until("the comparison", || (statements(&home) == "hold").then_some(()));
    assert_eq!(daemon.terminate(), 0);
    // Of a file that is changed now it can't be told any more.
    blame(&home);
    let file = first_file(&home);
    let content = fs::read(&file).expect("read");
    grow(&file);
    home.run(&["verify", "tiny"]).failure(4);
    assert_eq!(statements(&home), "unchecked");
    fs::write(&file, content).expect("written");
    home.ask(&["verify", "tiny"]);
    assert_eq!(statements(&home), "hold");
}

#[test]
fn a_card_that_gives_a_file_another_cid_is_found_out_too() {
    let (_lab, seeder, release) = lab(|statement| {
        let root = statement.root;
        relist(statement, |file| file.cid = root);
    });
    let home = Home::new();
    home.get(&release, &["--peer", seeder.addr()]).ok();
    let verified = home.run(&["verify", "tiny"]);
    verified.failure(4);
    assert!(verified.stdout.contains("its CID is not the one that was signed"), "{verified:#?}");
    assert!(statements(&home).contains("its CID"));
}

#[test]
fn a_card_that_has_ended_is_said_to_have() {
    let ends = |text: &'static str| {
        move |statement: &mut Statement| statement.expires = Some(text.parse().expect("a time"))
    };
    for (end, said) in [("2026-01-01T00:00:00Z", true), ("9999-01-01T00:00:00Z", false)] {
        let (_lab, seeder, release) = lab(ends(end));
        let got = Home::new().say(&["get", &release, "--peer", seeder.addr()]);
        assert_eq!(got.code, 0, "{got:#?}");
        assert_eq!(got.stderr.contains("EXPIRED"), said, "{got:#?}");
    }
}
