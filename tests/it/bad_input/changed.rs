//! A seeded file that its owner changed, cut or deleted: others get a clear failure or another's copy, never wrong
//! bytes; the owner is told; an undone change heals.

use std::{
    fs::{self, File, FileTimes, OpenOptions},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};

use crate::common::{Daemon, Home, files, text};

struct Seeder {
    home: Home,
    daemon: Daemon,
    weights: PathBuf,
    model: PathBuf,
    seeded: Value,
}

impl Seeder {
    fn new(seed: u64) -> Self {
        let home = Home::new();
        let model = home.model("changing", seed);
        // Older than what is called too young to be trusted.
        let old = FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(3600));
        let weights = model.join("model.safetensors");
        File::open(&weights).and_then(|file| file.set_times(old)).expect("set times");
        let daemon = home.daemon(&[]);
        let seeded = home.seed(&model, &[]);
        Self { home, daemon, weights, model, seeded }
    }

    /// A fetch into a fresh home from this seeder alone.
    fn fetched(&self) -> (crate::common::Output, Home) {
        let home = Home::new();
        let peer = ["--peer", self.daemon.addr(), "--timeout", "5"];
        (home.get(text(&self.seeded, "release"), &peer), home)
    }

    /// Nobody gets wrong bytes, and the owner is told.
    fn assert_withheld(&self, state: &str) {
        let (output, fetcher) = self.fetched();
        assert!([3, 6].contains(&output.code), "{output:#?}");
        let library = fetcher.path().join("library");
        let there = if library.exists() { files::tree(&library) } else { Default::default() };
        let whole: Vec<_> =
            there.keys().filter(|path| path.ends_with("/model.safetensors")).collect();
        assert!(whole.is_empty(), "half a file is under no name of its own: {there:?}");
        assert_eq!(self.home.ask(&["ls"])["repos"][0]["state"], state);
        let status = self.home.ask(&["status"]);
        let listed = status["changed"].as_array().expect("a list");
        let told = listed.iter().any(|file| {
            file["state"] == state && Some(text(file, "path")) == self.weights.to_str()
        });
        assert!(told, "status lists it: {status}");
        let bad = self.home.run(&["verify", "changing"]);
        bad.failure(4);
        assert!(bad.json()["bad"].to_string().contains("model.safetensors"), "{bad:#?}");
    }

    fn assert_served(&self) {
        let (output, _fetcher) = self.fetched();
        let got = output.ok();
        assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&self.model));
    }
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).expect("open");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 0x55], at).expect("write");
}

#[test]
fn a_changed_byte_is_withheld_and_undone_heals() {
    let seeder = Seeder::new(51);
    flip(&seeder.weights, 2_000_000);
    seeder.assert_withheld("changed");
    flip(&seeder.weights, 2_000_000);
    seeder.assert_served();
}

#[test]
fn an_edit_of_the_same_size_with_its_time_restored_is_caught() {
    let seeder = Seeder::new(52);
    // A record that is younger than the clock's tick is not trusted anyway; this is about one that is.
    thread::sleep(Duration::from_millis(2100));
    let (first, _home) = seeder.fetched();
    first.ok();
    let before = fs::metadata(&seeder.weights).and_then(|data| data.modified()).expect("mtime");
    flip(&seeder.weights, 1_500_000);
    let times = FileTimes::new().set_modified(before);
    File::open(&seeder.weights).and_then(|file| file.set_times(times)).expect("set times");
    assert_eq!(fs::metadata(&seeder.weights).and_then(|d| d.modified()).expect("mtime"), before);
    seeder.assert_withheld("changed");
}

#[test]
fn a_file_that_was_cut_is_withheld() {
    let seeder = Seeder::new(53);
    let whole = fs::read(&seeder.weights).expect("read");
    OpenOptions::new().write(true).open(&seeder.weights).and_then(|f| f.set_len(9)).expect("cut");
    seeder.assert_withheld("changed");
    fs::write(&seeder.weights, whole).expect("put back");
    seeder.assert_served();
}

#[test]
fn a_file_that_was_deleted_is_withheld_and_put_back_it_heals() {
    let seeder = Seeder::new(54);
    let aside = seeder.home.beside("aside");
    fs::rename(&seeder.weights, &aside).expect("move");
    seeder.assert_withheld("missing");
    fs::rename(&aside, &seeder.weights).expect("move back");
    seeder.assert_served();
}

#[test]
fn a_folder_in_a_files_place_and_a_folder_that_is_gone_are_withheld() {
    let seeder = Seeder::new(55);
    let aside = seeder.home.beside("aside");
    fs::rename(&seeder.model, &aside).expect("move");
    seeder.assert_withheld("missing");
    fs::rename(&aside, &seeder.model).expect("move back");
    seeder.assert_served();
}

#[test]
fn another_seeders_copy_is_used_instead() {
    let seeder = Seeder::new(56);
    let second = Home::new();
    let twin = second.daemon(&[]);
    let to = ["--peer", seeder.daemon.addr()];
    second.get(text(&seeder.seeded, "release"), &to).ok();
    flip(&seeder.weights, 2_000_000);
    let fetcher = Home::new();
    let both = ["--peer", seeder.daemon.addr(), "--peer", twin.addr()];
    let got = fetcher.get(text(&seeder.seeded, "release"), &both).ok();
    let fetched = files::tree(Path::new(text(&got, "path")));
    let good = text(&second.ask(&["ls"])["repos"][0], "path").to_owned();
    assert_eq!(fetched, files::tree(Path::new(&good)));
    assert_ne!(fetched, files::tree(&seeder.model), "not the changed bytes");
    // The owner's own copy elsewhere serves as well: several places for one block.
}

#[test]
fn one_of_two_copies_gone_does_not_lose_the_blocks() {
    let home = Home::new();
    let first = home.model("first", 57);
    let second = home.beside("second");
    files::copy(&first, &second);
    let daemon = home.daemon(&[]);
    let seeded = home.seed(&first, &[]);
    home.seed(&second, &[]);
    let expected = files::tree(&second);
    fs::remove_dir_all(&first).expect("delete one");
    let fetcher = Home::new();
    let got = fetcher.get(text(&seeded, "root"), &["--peer", daemon.addr()]).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), expected);
}

#[test]
fn a_fetched_file_that_was_changed_is_never_replaced_without_force() {
    let seeder = Seeder::new(58);
    let fetcher = Home::new();
    let out = fetcher.beside("out");
    let to = ["--peer", seeder.daemon.addr(), "-o", out.to_str().expect("UTF-8")];
    let release = text(&seeder.seeded, "release");
    fetcher.get(release, &to).ok();
    fs::write(out.join("config.json"), "my own").expect("edit");
    fetcher.get(release, &to).fails(1).says("config.json").says("--force");
    assert_eq!(fs::read_to_string(out.join("config.json")).expect("there"), "my own");
    let bad = fetcher.run(&["verify", out.to_str().expect("UTF-8")]);
    bad.failure(4);
    assert!(bad.json()["bad"].to_string().contains("config.json"), "{bad:#?}");
    fetcher.get(release, &[&to[..], &["--force"]].concat()).ok();
    assert_eq!(files::tree(&out), files::tree(&seeder.model));
}

#[test]
fn seeding_a_changed_folder_says_that_the_old_version_is_lost() {
    let seeder = Seeder::new(59);
    flip(&seeder.weights, 100_000);
    let path = seeder.model.to_str().expect("UTF-8");
    let said = seeder.home.say(&["seed", path]);
    assert_eq!(said.code, 0, "{said:#?}");
    assert!(said.stderr.contains("can no longer be served"), "{said:#?}");
    let new = seeder.home.ask(&["show", "changing"]);
    assert_eq!(new["version"], "2");
    assert_ne!(new["root"], seeder.seeded["root"]);
    let fetcher = Home::new();
    let got = fetcher.get(text(&new, "release"), &["--peer", seeder.daemon.addr()]).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&seeder.model));
}

#[test]
fn an_undone_change_is_no_longer_listed() {
    let seeder = Seeder::new(132);
    flip(&seeder.weights, 2_000_000);
    flip(&seeder.weights, 2_000_000);
    assert_eq!(seeder.home.ask(&["verify", "changing"])["ok"], true);
    seeder.assert_served();
    assert_eq!(seeder.home.ask(&["ls"])["repos"][0]["state"], "whole");
    assert_eq!(seeder.home.ask(&["status"])["changed"], json!([]));
}

/// What becomes of a file's bytes.
type Change = fn(&[u8]) -> Vec<u8>;

/// Sizes around every way in which a file is kept: chunks, one chunk, in the index itself, nothing at all.
const SIZES: [usize; 4] = [3_000_000, 30_000, 273, 0];

#[test]
fn a_file_that_grew_shrank_or_was_edited_is_named_by_verify_whatever_its_size_and_origin() {
    let seeder = Home::new();
    let model = seeder.beside("sizes");
    for size in SIZES {
        files::write(&model.join(format!("{size}.bin")), files::noise(size as u64 + 1, size));
    }
    let path = model.to_str().expect("UTF-8");
    let signed = seeder.seed(&model, &[]);
    let daemon = seeder.daemon(&[]);
    let (fetcher, unsigned) = (Home::new(), Home::new());
    let out = fetcher.beside("out");
    let to = ["--peer", daemon.addr(), "-o", out.to_str().expect("UTF-8")];
    fetcher.get(text(&signed, "root"), &to).ok();
    unsigned.ask(&["seed", path, "--unsigned"]);
    let changes: [(&str, Change); 3] = [
        ("grown", |data| [data, b"x"].concat()),
        ("cut", |data| data[..data.len() - 1].to_vec()),
        ("edited", |data| data.iter().map(|byte| !byte).collect()),
    ];
    for (home, dir) in [(&seeder, &model), (&fetcher, &out), (&unsigned, &model)] {
        for (size, (change, made)) in SIZES.iter().flat_map(|size| changes.map(|it| (size, it))) {
            if *size == 0 && change != "grown" {
                continue;
            }
            let file = dir.join(format!("{size}.bin"));
            let data = fs::read(&file).expect("read");
            fs::write(&file, made(&data)).expect("write");
            let bad = home.run(&["verify", text(&signed, "root")]);
            bad.failure(4);
            let named = json!([format!("{size}.bin: its bytes have changed")]);
            assert_eq!(bad.json()["bad"], named, "{change}");
            fs::write(&file, data).expect("write");
            assert_eq!(home.ask(&["verify", text(&signed, "root")])["ok"], true, "{change} {size}");
        }
    }
}

#[test]
fn a_new_card_over_the_same_files_loses_nothing_and_a_changed_file_is_listed_once() {
    let home = Home::new();
    let model = home.model("changing", 61);
    let path = model.to_str().expect("UTF-8");
    home.seed(&model, &[]);
    let said = home.say(&["seed", path, "--version", "2.0"]);
    assert_eq!(said.code, 0, "{said:#?}");
    assert!(!said.stderr.contains("can no longer be served"), "{said:#?}");
    assert_eq!(home.ask(&["ls"])["repos"].as_array().map(Vec::len), Some(2), "two versions");
    flip(&model.join("model.safetensors"), 100_000);
    assert_eq!(home.ask(&["status"])["changed"].as_array().map(Vec::len), Some(1));
}
