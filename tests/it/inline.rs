//! `store.inline_max` at 2 MiB: everything lies in sled, a supported mode for small libraries.

use std::{fs, path::Path};

use crate::common::{Home, files, text};

const ALL_IN_SLED: [&str; 2] = ["--set", "store.inline_max=2097152"];

#[test]
fn a_folder_seeded_into_sled_may_be_deleted_and_is_served_all_the_same() {
    let home = Home::new();
    let model = home.model("inline", 31);
    let expected = files::tree(&model);
    let seeded = home.seed(&model, &ALL_IN_SLED);
    fs::remove_dir_all(&model).expect("delete the source");
    let daemon = home.daemon(&ALL_IN_SLED);
    let fetcher = Home::new();
    let got = fetcher.get(text(&seeded, "release"), &["--peer", daemon.addr()]).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), expected);
    assert_eq!(got["provenance"]["status"], "verified");
}

#[test]
fn a_fetcher_in_this_mode_has_plain_files_and_serves_on_without_them() {
    let home = Home::new();
    let model = home.model("inline", 32);
    let expected = files::tree(&model);
    let daemon = home.daemon(&[]);
    let seeded = home.seed(&model, &[]);
    let middle = Home::new();
    let out = middle.beside("out");
    let to = ["--peer", daemon.addr(), "-o", out.to_str().expect("UTF-8")];
    middle.get(text(&seeded, "root"), &[&to[..], &ALL_IN_SLED].concat()).ok();
    assert_eq!(files::tree(&out), expected);
    daemon.kill();
    let daemon = middle.daemon(&ALL_IN_SLED);
    let last = Home::new();
    let got = last.get(text(&seeded, "root"), &["--peer", daemon.addr()]).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), expected);
}

#[test]
fn a_changed_source_is_noticed_though_sled_still_has_the_old_bytes() {
    let home = Home::new();
    let model = home.model("inline", 33);
    let seeded = home.seed(&model, &ALL_IN_SLED);
    assert_eq!(home.ask(&[&["verify", "inline"][..], &ALL_IN_SLED].concat())["ok"], true);
    files::write(&model.join("config.json"), "{\"other\":true}");
    // `verify` reads the files where they lie, never the index's copy.
    let args = [&["verify", "inline"][..], &ALL_IN_SLED].concat();
    home.run(&args).failure(4);
    // What is served is what was seeded: the copy in sled, or nothing, never the new bytes.
    let daemon = home.daemon(&ALL_IN_SLED);
    let fetcher = Home::new();
    let got = fetcher.get(text(&seeded, "release"), &["--peer", daemon.addr()]).ok();
    let path = Path::new(text(&got, "path")).join("config.json");
    assert!(fs::read_to_string(path).expect("fetched").contains("bert"));
}

#[test]
fn seeding_in_place_adds_little_to_the_home() {
    let home = Home::new();
    let model = home.beside("large");
    files::model(&model, 35, 256 * files::MIB);
    home.seed(&model, &[]);
    let size = files::size(&files::tree(&home.path()));
    assert!(size < 256 * files::MIB as u64 / 100, "{size} bytes for 256 MiB");
}
