//! A lost or damaged index: every command works with all content or names `repair`, and `repair` brings it back.

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::common::{
    Home,
    files::{self, MODEL_FILES},
    number, text,
};

/// A home with one signed and one unsigned model, made as a daemon that was killed leaves it.
struct Damaged {
    home: Home,
    signed: Value,
    unsigned: Value,
    before: Value,
}

impl Damaged {
    fn new(seed: u64) -> Self {
        let home = Home::new();
        let signed = home.seed(&home.model("signed", seed), &["--visibility", "private"]);
        let unsigned = home.seed(&home.model("bare", seed + 1), &["--unsigned"]);
        home.ask(&["unpin", "bare"]);
        home.ask(&["trust", "add", "friend", text(&signed, "publisher")]);
        let before = home.ask(&["ls"]);
        Self { home, signed, unsigned, before }
    }

    fn store(&self) -> PathBuf {
        self.home.path().join("store")
    }

    /// Whether the library is whole; else the failure must name the way out. Nothing else may happen.
    fn whole_or_refused(&self, what: &str) -> bool {
        let listed = self.home.run(&["ls"]);
        if listed.code == 0 {
            assert_eq!(listed.json(), self.before, "{what}: opened with less than it held");
            for name in ["signed", "bare"] {
                let verified = self.home.run(&["verify", name]);
                // A damaged sled may open whole and lose what is written next; that is noticed, and refused.
                if verified.code != 0 {
                    verified.fails(1).says("modelswarm repair");
                    return false;
                }
            }
            return true;
        }
        listed.fails(1).says("modelswarm repair");
        for args in [vec!["status"], vec!["verify", "signed"], vec!["gc"], vec!["rm", "bare"]] {
            self.home.run(&args).fails(1).says("modelswarm repair");
        }
        self.home.run(&self.home.daemon_args(&[])).fails(1).says("modelswarm repair");
        false
    }

    /// `repair` brings all of it back.
    fn repair(&self, what: &str) {
        let rebuilt = self.home.run(&["repair"]);
        assert_eq!(rebuilt.code, 0, "{what}: {rebuilt:#?}");
        let rebuilt = rebuilt.json();
        assert_eq!(number(&rebuilt, "repos"), 2, "{what}: {rebuilt}");
        assert_eq!(number(&rebuilt, "files"), 2 * MODEL_FILES, "{what}: {rebuilt}");
        assert!(number(&rebuilt, "blocks") > 0, "{what}: {rebuilt}");
        assert_eq!(
            self.home.ask(&["ls"]),
            self.before,
            "{what}: names, pins, visibility, releases"
        );
        for (name, provenance) in [("signed", "verified"), ("bare", "unsigned")] {
            let verified = self.home.ask(&["verify", name]);
            assert_eq!(verified["ok"], true, "{what}");
            assert_eq!(verified["provenance"]["status"], provenance, "{what}");
        }
    }

    /// A fetch from the repaired home.
    fn serves(&self) {
        self.home.ask(&["share", "signed", "--to", "lan"]);
        let daemon = self.home.daemon(&[]);
        for cid in [text(&self.signed, "release"), text(&self.unsigned, "root")] {
            Home::new().get(cid, &["--peer", daemon.addr()]).ok();
        }
    }

    /// A copy of the store as it is now, to be put back after each harm.
    fn keep(&self) -> PathBuf {
        let kept = self.home.beside("kept");
        files::copy(&self.store(), &kept);
        kept
    }

    fn put_back(&self, kept: &Path) {
        fs::remove_dir_all(self.store()).expect("remove");
        files::copy(kept, &self.store());
    }
}

/// What is done to a store's folder, in words and in deed.
type Harm = (&'static str, fn(&Path));

fn files_in(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)
        .expect("list")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found
}

#[test]
fn a_cut_or_flipped_index_is_whole_or_refused_and_repair_brings_it_back() {
    let damaged = Damaged::new(61);
    let kept = damaged.keep();
    let index = files_in(&damaged.store().join("index"));
    assert!(!index.is_empty());
    let (mut refused, mut tried) = (0, 0);
    for file in &index {
        damaged.put_back(&kept);
        let len = fs::metadata(file).expect("stat").len();
        for place in 0..5 {
            let at = (len * place / 5).min(len.saturating_sub(1));
            for cut in [true, false] {
                let harm = if cut { "cut" } else { "flipped" };
                let what = format!("{} {harm} at {at} of {len}", file.display());
                damaged.put_back(&kept);
                if cut {
                    let opened = OpenOptions::new().write(true).open(file).expect("open");
                    opened.set_len(at).expect("cut");
                } else {
                    let mut bytes = fs::read(file).expect("read");
                    if let Some(byte) = bytes.get_mut(usize::try_from(at).expect("small")) {
                        *byte ^= 0x41;
                    }
                    fs::write(file, bytes).expect("write");
                }
                tried += 1;
                if !damaged.whole_or_refused(&what) {
                    refused += 1;
                    // Each harm that is refused is repaired, but not each from scratch: that takes most of the time.
                    if refused % 3 == 1 {
                        damaged.repair(&what);
                    }
                }
            }
        }
    }
    assert!(refused > 2, "the harm reaches what matters: {refused} of {tried} refused");
    damaged.put_back(&kept);
    damaged.serves();
}

#[test]
fn the_damaged_index_lies_aside_as_status_says_until_gc_deletes_it() {
    let damaged = Damaged::new(65);
    fs::write(damaged.store().join("index/db"), "no index").expect("harm");
    damaged.repair("overwritten");
    let home = &damaged.home;
    let said = home.say(&["status"]).stdout;
    assert!(said.contains("1 damaged index") && said.contains("modelswarm gc"), "{said}");
    let store = &home.ask(&["status"])["store"];
    assert_eq!(store["damaged_indexes"], 1);
    assert!(number(store, "damaged_index_bytes") > 0);
    home.ask(&["pin", "bare"]);
    let collected = home.ask(&["gc"]);
    assert_eq!(collected["damaged_indexes"], 1, "{collected}");
    assert!(number(&collected, "bytes") > 0);
    assert_eq!(home.ask(&["status"])["store"]["damaged_indexes"], 0);
    assert_eq!(home.ask(&["gc"])["damaged_indexes"], 0);
    damaged.serves();
}

#[test]
fn a_lost_index_is_refused_and_never_taken_for_a_new_one() {
    let damaged = Damaged::new(63);
    let kept = damaged.keep();
    let lose: [Harm; 6] = [
        ("the index folder is gone", |store| {
            fs::remove_dir_all(store.join("index")).expect("remove");
        }),
        ("the index folder is empty", |store| {
            fs::remove_dir_all(store.join("index")).expect("remove");
            fs::create_dir(store.join("index")).expect("make");
        }),
        ("sled's file is empty", |store| {
            for file in files_in(&store.join("index")) {
                fs::write(file, "").expect("empty");
            }
        }),
        ("sled's file is nonsense", |store| {
            for file in files_in(&store.join("index")) {
                fs::write(file, files::noise(1, 65_536)).expect("write");
            }
        }),
        ("index and store.json are gone", |store| {
            fs::remove_dir_all(store.join("index")).expect("remove");
            fs::remove_file(store.join("store.json")).expect("remove");
        }),
        ("store.json is nonsense", |store| {
            fs::write(store.join("store.json"), "{\"schema\"").expect("write");
        }),
    ];
    for (what, harm) in lose {
        damaged.put_back(&kept);
        harm(&damaged.store());
        assert!(!damaged.whole_or_refused(what), "{what}: must be refused");
        damaged.repair(what);
    }
    damaged.serves();
}

#[test]
fn a_snapshot_that_a_kill_left_half_made_is_no_damage() {
    let damaged = Damaged::new(65);
    let index = damaged.store().join("index");
    fs::write(index.join("snap.00000000000000FF.generating"), "half").expect("write");
    assert!(damaged.whole_or_refused("a half-made snapshot"));
}

#[test]
fn an_index_from_a_backup_is_older_than_its_records_and_refused() {
    let damaged = Damaged::new(67);
    let kept = damaged.keep();
    damaged.home.seed(&damaged.home.model("newer", 70), &[]);
    fs::remove_dir_all(damaged.store().join("index")).expect("remove");
    files::copy(&kept.join("index"), &damaged.store().join("index"));
    damaged.home.run(&["ls"]).fails(1).says("modelswarm repair");
    let rebuilt = damaged.home.ask(&["repair"]);
    assert_eq!(number(&rebuilt, "repos"), 3, "{rebuilt}");
}

#[test]
fn another_schema_is_refused_by_its_number() {
    let damaged = Damaged::new(69);
    let path = damaged.store().join("store.json");
    let mut identity: Value =
        serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
    identity["schema"] = 999.into();
    fs::write(&path, identity.to_string()).expect("write");
    let refused = damaged.home.run(&["ls"]).fails(1);
    refused.says("999").says("modelswarm repair");
    assert_eq!(
        serde_json::from_slice::<Value>(&fs::read(&path).expect("read")).expect("JSON"),
        identity,
        "what another version wrote is not touched"
    );
    damaged.repair("another schema");
}

#[test]
fn repair_of_a_whole_home_changes_nothing_and_names_what_is_gone() {
    let damaged = Damaged::new(71);
    damaged.repair("nothing");
    let config = damaged.home.beside("signed/config.json");
    fs::write(&config, "changed").expect("write");
    let rebuilt = damaged.home.ask(&["repair"]);
    assert_eq!(number(&rebuilt, "repos"), 1, "{rebuilt}");
    assert!(rebuilt["lost"].to_string().contains("signed"), "{rebuilt}");
    assert_eq!(fs::read_to_string(&config).expect("there"), "changed", "no file is touched");
    // The head is still known: a next version follows it, two cards of one number never are.
    let next = damaged.home.seed(&damaged.home.beside("signed"), &[]);
    assert_eq!(next["version"], "2", "{next}");
}

#[test]
fn repair_brings_a_fetched_library_back() {
    let seeder = Home::new();
    let model = seeder.model("fetched", 73);
    let daemon = seeder.daemon(&[]);
    let seeded = seeder.seed(&model, &[]);
    let home = Home::new();
    let got = home.get(text(&seeded, "release"), &["--peer", daemon.addr()]).ok();
    let before = home.ask(&["ls"]);
    fs::remove_dir_all(home.path().join("store/index")).expect("remove");
    home.run(&["ls"]).fails(1).says("modelswarm repair");
    assert_eq!(number(&home.ask(&["repair"]), "repos"), 1);
    assert_eq!(home.ask(&["ls"]), before);
    let again = home.get(text(&seeded, "release"), &["--peer", daemon.addr()]).ok();
    assert_eq!(again["path"], got["path"]);
    assert_eq!(number(&again, "fetched_bytes"), 0, "{again}");
}
