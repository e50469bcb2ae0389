//! `import-sig`: a signature that the real `model_signing` made (its fixtures are `card::oms`'s) over content that is here.
//! Signatures made anew by that tool are taken in by the tests in `tests/thirdparty`.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::common::{Home, files, text};

/// What the fixtures were made over; `cache` was left out by name.
const TREE: [(&str, &str); 6] = [
    (".gitattributes", "attributes"),
    (".github/w.yml", "workflow"),
    ("a-b", "one"),
    ("a/c", "two"),
    ("cache", "cache"),
    ("sub/é b", "three"),
];

fn tree(home: &Home) -> PathBuf {
    let dir = home.beside("tiny");
    for (path, content) in TREE {
        files::write(&dir.join(path), content);
    }
    dir
}

fn fixture(name: &str) -> String {
    format!("{}/src/card/testdata/oms/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn import<'a>(sig: &'a str, target: &'a str, pem: &'a str) -> [&'a str; 5] {
    ["import-sig", sig, target, "--public-key", pem]
}

const KEY: &str = "sha256:d9edd6aae988ddc86a7c1142a6ee5eb027c642e23a9b826b2194de64dea18de7";

#[test]
fn a_foreign_signature_is_kept_shown_and_compared_and_changes_nothing_else() {
    let home = Home::new();
    let dir = tree(&home);
    let seeded = home.seed(&dir, &["--copy"]);
    let (sig, pem) = (fixture("p256.sig"), fixture("p256.pem"));
    let before = home.ask(&["show", "tiny"]);
    let taken = home.ask(&import(&sig, "tiny", &pem));
    assert_eq!(
        (&taken["root"], &taken["key"], &taken["files"]),
        (&seeded["root"], &json!(KEY), &json!(3))
    );
    assert_eq!(taken["left_out"], json!([".gitattributes", ".github/w.yml", "cache"]));
    let shown = home.ask(&["show", "tiny"]);
    assert_eq!(shown["signatures"], json!([{"kind": "oms", "key": KEY, "files": 3}]));
    assert_eq!(shown["provenance"], before["provenance"]);
    assert!(
        home.say(&["show", "tiny"]).stdout.contains(&format!("also signed (OMS) by key {KEY}"))
    );
    assert_eq!(home.ask(&["verify", "tiny"])["signatures"][0]["holds"], true);
    assert_eq!(home.ask(&["verify", dir.to_str().expect("UTF-8")])["signatures"][0]["holds"], true);
    let said = home.say(&["verify", "tiny"]).stdout;
    assert!(said.contains("also signed (OMS)") && said.contains("publisher is you"), "{said}");
    // Its key is known now; a second signature, by another key, stands beside it.
    home.ask(&["import-sig", &sig, "tiny"]);
    home.ask(&import(&fixture("p384.sig"), "tiny", &fixture("p384.pem")));
    assert_eq!(home.ask(&["show", "tiny"])["signatures"].as_array().map(Vec::len), Some(2));
    // Changed where it lies, it is not said to be there.
    let kept = home.path().join("store/records/signatures");
    for entry in fs::read_dir(&kept).expect("kept") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "sig") {
            let bytes = fs::read_to_string(&path).expect("kept");
            fs::write(&path, bytes.replacen("payload\":\"e", "payload\":\"f", 1)).expect("changed");
        }
    }
    assert_eq!(home.ask(&["show", "tiny"])["signatures"], Value::Null);
    home.ask(&["rm", "tiny"]);
    assert_eq!(fs::read_dir(&kept).expect("kept").count(), 0, "forgotten with the files");
}

#[test]
fn unsigned_content_and_folders_take_them_too_and_stay_unsigned() {
    let home = Home::new();
    let dir = tree(&home);
    let seeded = home.seed(&dir, &["--unsigned"]);
    let path = dir.to_str().expect("UTF-8");
    let taken = home.ask(&import(&fixture("p256.sig"), path, &fixture("p256.pem")));
    assert_eq!(taken["root"], seeded["root"]);
    let shown = home.ask(&["show", text(&seeded, "root")]);
    assert_eq!(shown["signatures"].as_array().map(Vec::len), Some(1));
    assert_eq!(shown["provenance"], json!({"status": "unsigned"}));
    let verified = home.ask(&["verify", path]);
    assert_eq!(
        (&verified["ok"], &verified["provenance"]["status"]),
        (&json!(true), &json!("unsigned"))
    );
}

#[test]
fn what_does_not_hold_for_every_file_is_refused_and_not_kept() {
    let home = Home::new();
    let dir = tree(&home);
    let path = dir.to_str().expect("UTF-8");
    let (sig, pem) = (fixture("p256.sig"), fixture("p256.pem"));
    let refused = |sig: &str, pem: &str, why: &str| {
        home.run(&import(sig, path, pem)).fails(4).says(why);
    };
    refused(&sig, &fixture("p384.pem"), "does not hold");
    refused(&fixture("shards.sig"), &pem, "shards");
    refused(&fixture("blake3.sig"), &pem, "blake3");
    refused(&pem, &pem, "no OMS signature");
    let change = |at: &str, content: Option<&str>| {
        let file = dir.join(at);
        match content {
            Some(content) => files::write(&file, content),
            None => fs::remove_file(&file).expect("removed"),
        }
    };
    change("planted.py", Some("evil"));
    refused(&sig, &pem, "planted.py");
    change("planted.py", None);
    change("a-b", Some("ONE"));
    refused(&sig, &pem, "a-b");
    change("a-b", None);
    refused(&sig, &pem, "missing");
    change("a-b", Some("one"));
    // What its signer left out may be anything.
    change("cache", Some("anything"));
    home.ask(&import(&sig, path, &pem));
    change("cache", Some("cache"));
    assert_eq!(
        home.ask(&["verify", path])["signatures"],
        Value::Null,
        "another root, another tree"
    );

    home.run(&["import-sig", "/nothing", path, "--public-key", &pem]).fails(3);
    home.run(&import(&sig, path, &sig)).fails(2).says("--public-key");
    home.run(&import(&sig, "nothing-here", &pem)).fails(3);
    let stranger = Home::new();
    let dir = tree(&stranger);
    stranger.run(&["import-sig", &sig, dir.to_str().expect("UTF-8")]).fails(2).says("--public-key");
    // A file of a version that is not here as it came.
    let seeded = stranger.seed(&dir, &[]);
    fs::write(dir.join("cache"), "anything").expect("written");
    let release = text(&seeded, "release");
    stranger.run(&import(&sig, release, &pem)).fails(4).says("not here as it came");
}
