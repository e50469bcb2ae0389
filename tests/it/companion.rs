//! `seed --oms` and `card export`: what others' tools get to check a card with. That those tools accept it is tested
//! with themselves, in `tests/thirdparty`.

use std::{fs, os::unix::fs::symlink, path::Path};

use modelswarm::dag::{Block, Entry, block::RAW, unixfs::encode_directory};
use serde_json::{Value, json};

use crate::common::{Home, files, foreign::serve, text};

/// A home that seeded a small model with its companion; the answer.
fn seeded(home: &Home, more: &[&str]) -> Value {
    home.seed(&home.model("tiny", 77), &[&["--oms"], more].concat())
}

fn export(home: &Home, reference: &str, to: &Path) -> Value {
    home.ask(&["card", "export", reference, "-o", to.to_str().expect("UTF-8")])
}

#[test]
fn a_card_is_exported_with_all_that_its_check_needs() {
    let home = Home::new();
    let answer = seeded(&home, &[]);
    let out = home.beside("deep/out");
    let exported = export(&home, text(&answer, "release"), &out);
    assert_eq!(
        (&exported["card"], &exported["publisher"]),
        (&answer["card"], &answer["publisher"])
    );
    assert_eq!((&exported["name"], &exported["version"]), (&json!("tiny"), &json!("1")));
    assert_eq!(exported["path"], out.to_str().expect("UTF-8"));
    let names = ["card.sigstore.json", "publisher.pem", "VERIFY.md", "model.sig", "companion.pem"];
    assert_eq!(exported["files"], json!(names));
    let written = files::tree(&out);
    assert_eq!(written.len(), names.len(), "{written:?}");
    let bundle = format!("{}:model.sig", text(&answer, "release"));
    let got = home.get(&bundle, &["-o", home.beside("got").to_str().expect("UTF-8")]).ok();
    let beside = fs::read(text(&got, "path")).expect("model.sig of the release");
    assert_eq!(fs::read(out.join("model.sig")).expect("written"), beside);
    // Again: it is all there.
    assert_eq!(export(&home, "tiny", &out), exported);
    assert_eq!(files::tree(&out), written);
}

#[test]
fn what_is_in_the_way_is_never_replaced_nor_written_through() {
    let home = Home::new();
    seeded(&home, &[]);
    let out = home.beside("out");
    let to = ["card", "export", "tiny", "-o", out.to_str().expect("UTF-8")];
    fs::create_dir(&out).expect("made");
    fs::write(out.join("VERIFY.md"), "mine").expect("written");
    home.run(&to).fails(1).says("VERIFY.md");
    assert_eq!(fs::read_dir(&out).expect("read").count(), 1, "nothing is written beside it");
    fs::remove_file(out.join("VERIFY.md")).expect("removed");
    let target = home.beside("target");
    symlink(&target, out.join("publisher.pem")).expect("linked");
    home.run(&to).fails(1).says("publisher.pem");
    assert!(!target.exists());
}

#[test]
fn what_has_no_card_or_is_not_here_is_not_exported() {
    let home = Home::new();
    home.seed(&home.model("bare", 78), &["--unsigned"]);
    let out = home.beside("out");
    let to = out.to_str().expect("UTF-8");
    home.run(&["card", "export", "bare", "-o", to]).fails(2).says("unsigned");
    home.run(&["card", "export", "other", "-o", to]).fails(3);
    home.run(&["card", "export", "bare"]).fails(2);
    home.run(&["seed", "bare", "--unsigned", "--oms"]).fails(2);
    assert!(!out.exists());
}

#[test]
fn a_companion_is_asked_for_once() {
    let home = Home::new();
    let first = seeded(&home, &[]);
    let model = home.beside("tiny");
    let again = home.seed(&model, &[]);
    assert_eq!((&again["unchanged"], &again["release"]), (&json!(true), &first["release"]));
    fs::write(model.join("new.txt"), "new").expect("written");
    let second = home.seed(&model, &[]);
    assert_eq!(second["version"], "2");
    let exported = export(&home, text(&second, "release"), &home.beside("out"));
    assert_eq!(exported["files"].as_array().map(Vec::len), Some(5), "{exported}");
    // Its key lost: said, and the next version has none.
    fs::remove_file(home.path().join("keys/oms.key")).expect("removed");
    fs::write(model.join("new.txt"), "newer").expect("written");
    let said = home.run(&["seed", model.to_str().expect("UTF-8")]);
    assert!(said.stderr.contains("model.sig"), "{said:#?}");
    let exported = export(&home, text(&said.ok(), "release"), &home.beside("third"));
    assert_eq!(exported["files"].as_array().map(Vec::len), Some(3), "{exported}");
}

#[test]
fn a_damaged_companion_key_is_never_replaced() {
    let home = Home::new();
    seeded(&home, &[]);
    let key = home.path().join("keys/oms.key");
    fs::write(&key, "garbage").expect("written");
    let model = home.beside("tiny");
    home.run(&["seed", model.to_str().expect("UTF-8"), "--oms"]).fails(1).says("oms.key");
    assert_eq!(fs::read_to_string(&key).expect("there"), "garbage");
}

#[test]
fn a_companion_goes_with_its_release_and_survives_a_lost_index() {
    let seeder = Home::new();
    let release = text(&seeded(&seeder, &[]), "release").to_owned();
    let original = export(&seeder, &release, &seeder.beside("out"));
    let home = Home::new();
    {
        let daemon = seeder.daemon(&[]);
        home.get(&release, &["--peer", daemon.addr()]).ok();
    }
    assert_eq!(export(&home, &release, &home.beside("out"))["files"], original["files"]);
    assert_eq!(files::tree(&home.beside("out")), files::tree(&seeder.beside("out")));
    fs::remove_dir_all(home.path().join("store/index")).expect("removed");
    home.ask(&["repair"]);
    // The release is whole again: a third one fetches it from there.
    let daemon = home.daemon(&[]);
    let third = Home::new();
    third.get(&release, &["--peer", daemon.addr()]).ok();
    assert_eq!(export(&third, &release, &third.beside("out"))["files"], original["files"]);
}

/// A release of one file, put together by hand with another `model.sig`: what a get of it says.
fn get_with_companion(change: impl FnOnce(&mut Vec<u8>)) -> crate::common::Output {
    let maker = Home::new();
    let model = maker.beside("one");
    fs::create_dir(&model).expect("made");
    fs::write(model.join("config.json"), "{}").expect("written");
    let answer = maker.seed(&model, &["--oms"]);
    let out = maker.beside("out");
    export(&maker, text(&answer, "release"), &out);
    let leaf = |bytes: Vec<u8>| Block::new(RAW, bytes);
    let entry = |name: &str, block: &Block, tsize: usize| Entry {
        name: name.into(),
        cid: *block.cid(),
        tsize: tsize as u64,
    };
    let config = leaf(b"{}".to_vec());
    let root = encode_directory(&[entry("config.json", &config, 2)]);
    assert_eq!(root.cid().to_string(), text(&answer, "root"));
    let card = leaf(fs::read(out.join("card.sigstore.json")).expect("the card"));
    let mut companion = fs::read(out.join("model.sig")).expect("the companion");
    change(&mut companion);
    let companion = leaf(companion);
    let sizes = [card.data().len(), root.data().len() + 2, companion.data().len()];
    let release = encode_directory(&[
        entry("card.sigstore.json", &card, sizes[0]),
        entry("model", &root, sizes[1]),
        entry("model.sig", &companion, sizes[2]),
    ]);
    let cid = *release.cid();
    let seeder = Home::new();
    let daemon = serve(&seeder, cid, &[config, root, card, companion, release]);
    let home = Home::new();
    home.get(&cid.to_string(), &["--peer", daemon.addr(), "--timeout", "5"])
}

#[test]
fn a_release_whose_companion_was_changed_is_refused() {
    get_with_companion(|_| {}).ok();
    get_with_companion(|bytes| {
        let at = bytes.len() - 60;
        bytes[at] ^= 1;
    })
    .fails(4);
    get_with_companion(|bytes| bytes.push(b'\n')).fails(4).says("model.sig");
    get_with_companion(Vec::clear).fails(4);
}
