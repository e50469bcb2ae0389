//! What can stand in a folder that somebody seeds: taken, left out and said, or refused with a way out.

use std::{
    fs,
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::common::{
    Home,
    files::{self, MODEL_FILES},
    number, text,
};

fn seed(home: &Home, path: &Path, more: &[&str]) -> crate::common::Output {
    home.run(&[&["seed", path.to_str().expect("UTF-8")], more].concat())
}

/// What is no file, in words and how it is made.
type Odd = (&'static str, fn(&Path));

fn names(home: &Home, name: &str) -> Vec<String> {
    let shown = home.ask(&["show", name]);
    let entries = shown["entries"].as_array().expect("entries");
    entries.iter().map(|entry| text(entry, "path").to_owned()).collect()
}

#[test]
fn devices_sockets_and_pipes_are_refused_with_a_way_out() {
    let home = Home::new();
    let make: [Odd; 3] = [
        ("a socket", |path| drop(UnixListener::bind(path).expect("bind"))),
        ("a pipe", |path| {
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).expect("mkfifo");
        }),
        ("a device", |path| {
            let null = rustix::fs::makedev(1, 3);
            if mknodat(CWD, path, FileType::CharacterDevice, Mode::RUSR, null).is_err() {
                // Only root makes devices; a link to one is refused all the same.
                symlink("/dev/null", path).expect("link");
            }
        }),
    ];
    for (n, (what, make)) in make.into_iter().enumerate() {
        let model = home.model(&format!("model{n}"), 40);
        make(&model.join("odd"));
        let refused = seed(&home, &model, &[]).fails(2);
        refused.says("odd").says("--exclude");
        assert!(refused.all().contains(what) || what == "a device", "{refused:?}");
        let seeded = seed(&home, &model, &["--exclude", "odd"]).ok();
        assert_eq!(number(&seeded, "files"), MODEL_FILES);
    }
    seed(&home, Path::new("/dev/null"), &["--name", "null"]).fails(2).says("/dev/null");
}

#[test]
fn links_inside_are_read_as_files_and_others_are_refused() {
    let home = Home::new();
    let model = home.model("linked", 41);
    symlink("config.json", model.join("inside.json")).expect("link");
    let seeded = seed(&home, &model, &[]).ok();
    assert_eq!(number(&seeded, "files"), MODEL_FILES + 1);

    let outside = home.beside("outside/secret.txt");
    files::write(&outside, "secret");
    symlink(&outside, model.join("out.txt")).expect("link");
    seed(&home, &model, &[]).fails(2).says("out.txt").says("--follow-symlinks");
    let followed = seed(&home, &model, &["--follow-symlinks"]).ok();
    assert_eq!(number(&followed, "files"), MODEL_FILES + 2);
    fs::remove_file(model.join("out.txt")).expect("remove");

    symlink("nowhere", model.join("dangling")).expect("link");
    seed(&home, &model, &[]).fails(2).says("dangling").says("--exclude");
    fs::remove_file(model.join("dangling")).expect("remove");

    symlink("..", model.join("circle")).expect("link");
    seed(&home, &model, &["--follow-symlinks"]).fails(2).says("circle");
    seed(&home, &model, &[]).fails(2).says("circle");
}

#[test]
fn a_hugging_face_cache_snapshot_seeds_as_it_is() {
    let home = Home::new();
    let plain = home.model("plain", 42);
    let cache = home.beside("hub/models--org--name");
    let snapshot = cache.join("snapshots/0123456789abcdef0123456789abcdef01234567");
    for (n, path) in files::tree(&plain).keys().enumerate() {
        let blob = cache.join(format!("blobs/{n:040}"));
        files::write(&blob, fs::read(plain.join(path)).expect("read"));
        let link = snapshot.join(path);
        fs::create_dir_all(link.parent().expect("parent")).expect("make");
        let up = "../".repeat(path.matches('/').count() + 2);
        symlink(format!("{up}blobs/{n:040}"), link).expect("link");
    }
    let from_plain = home.seed(&plain, &["--name", "same"]);
    let other = Home::new();
    let from_cache = other.seed(&snapshot, &["--name", "same"]);
    assert_eq!(from_cache["root"], from_plain["root"], "byte for byte the same files");
    let daemon = other.daemon(&[]);
    let fetcher = Home::new();
    let got = fetcher.get(text(&from_cache, "release"), &["--peer", daemon.addr()]).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&plain));
}

#[test]
fn what_does_not_belong_to_a_repo_is_left_out_and_said() {
    let home = Home::new();
    let model = home.model("work", 43);
    for left_out in [
        ".git/HEAD",
        ".cache/huggingface/download/x.lock",
        "big.bin.incomplete",
        "sub/.w.bin.modelswarm-partial-0123",
    ] {
        files::write(&model.join(left_out), "x");
    }
    files::write(&model.join(".gitignore"), "*.tmp\n");
    let said = home.say(&["seed", model.to_str().expect("UTF-8")]);
    assert_eq!(said.code, 0, "{said:#?}");
    for name in [".git/", ".cache/huggingface/", "big.bin.incomplete", ".modelswarm-partial-0123"] {
        assert!(said.stderr.contains(name), "{name} is not said: {said:#?}");
    }
    let seeded = home.seed(&model, &[]);
    assert_eq!(seeded["left_out"].as_array().map(Vec::len), Some(4), "{seeded}");
    assert_eq!(number(&seeded, "files"), MODEL_FILES + 1);
    let names = names(&home, "work");
    assert!(names.contains(&".gitattributes".into()) && names.contains(&".gitignore".into()));
}

#[test]
fn a_card_at_the_top_of_a_folder_marks_a_release_and_is_refused() {
    let home = Home::new();
    let model = home.model("release", 44);
    files::write(&model.join("deeper/card.sigstore.json"), "{}");
    assert_eq!(seed(&home, &model, &[]).code, 0, "only the top is special");
    files::write(&model.join("card.sigstore.json"), "{}");
    for more in [&[][..], &["--unsigned"]] {
        seed(&home, &model, more).fails(2).says("card.sigstore.json");
    }
}

#[test]
fn names_that_no_tree_may_have_are_refused_by_name() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let home = Home::new();
    for (n, bad) in [
        &b"line\nbreak"[..],
        b"bell\x07",
        b"not-\xff-utf8",
        b"back\\slash",
        b"CON",
        b"colon:name",
        b"trailing.",
        b"trailing ",
    ]
    .into_iter()
    .enumerate()
    {
        let model = home.model(&format!("names{n}"), 45);
        fs::write(model.join(OsStr::from_bytes(bad)), "x").expect("Linux takes any name");
        let refused = seed(&home, &model, &[]);
        if refused.code == 0 {
            // What is taken comes out again as it was.
            assert_eq!(number(&refused.ok(), "files"), MODEL_FILES + 1, "{bad:?}");
            continue;
        }
        let failure = refused.fails(2);
        assert!(!failure.message.contains(['\n', '\x07']), "escaped for a terminal: {failure:?}");
        assert!(!failure.hint.is_empty(), "{failure:?}");
    }
    let model = home.model("twins", 46);
    fs::write(model.join("Config.json"), "x").expect("write");
    seed(&home, &model, &[]).fails(2).says("onfig.json");
}

#[test]
fn a_path_that_is_not_there_or_holds_nothing_is_said() {
    let home = Home::new();
    let nowhere = home.beside("nowhere");
    seed(&home, &nowhere, &[]).fails(1).says("nowhere");
    let empty = home.beside("empty");
    fs::create_dir_all(&empty).expect("make");
    seed(&home, &empty, &[]).fails(2).says("empty");
    let model = home.model("model", 47);
    seed(&home, &model, &["--include", "*.gguf"]).fails(2).says("--include");
    seed(&home, &model, &["--include", "[a"]).fails(2).says("--include");
}

#[test]
fn a_single_file_is_wrapped_in_a_directory() {
    let home = Home::new();
    let file = home.beside("weights.gguf");
    files::write(&file, files::gguf("{{ messages }}", 3 * files::MIB));
    let daemon = home.daemon(&[]);
    let seeded = home.seed(&file, &[]);
    assert_eq!(number(&seeded, "files"), 1);
    let fetcher = Home::new();
    let out = fetcher.beside("out");
    let to = ["--peer", daemon.addr(), "-o", out.to_str().expect("UTF-8")];
    fetcher.get(text(&seeded, "release"), &to).ok();
    let tree = files::tree(&out);
    assert_eq!(tree.keys().collect::<Vec<_>>(), ["weights.gguf"]);
    assert_eq!(tree["weights.gguf"], files::digest(&file));
}

#[test]
fn odd_shapes_come_out_as_they_went_in() {
    let home = Home::new();
    let model = home.beside("shapes");
    for (name, len) in [
        ("empty", 0),
        ("one", 1),
        ("chunk-less-one", files::MIB - 1),
        ("chunk", files::MIB),
        ("chunk-and-one", files::MIB + 1),
        ("ünïcode nämé 模型.bin", 5),
        ("a/b/c/d/e/f/deep", 3),
    ] {
        files::write(&model.join(name), files::noise(len as u64, len));
    }
    // The same chunk in several places, within a file and across files.
    let twice = files::noise(7, files::MIB).repeat(3);
    files::write(&model.join("twice-1"), &twice);
    files::write(&model.join("twice-2"), &twice);
    fs::create_dir_all(model.join("hollow/inside")).expect("make");
    let daemon = home.daemon(&[]);
    let seeded = home.seed(&model, &[]);
    let fetcher = Home::new();
    let out = fetcher.beside("out");
    let to = ["--peer", daemon.addr(), "-o", out.to_str().expect("UTF-8")];
    let got = fetcher.get(text(&seeded, "release"), &to).ok();
    assert_eq!(files::tree(&out), files::tree(&model));
    let saved = number(&got, "bytes") - 5 * files::MIB as u64 + 64 * 1024;
    assert!(number(&got, "fetched_bytes") < saved, "a chunk that occurs again comes once: {got}");
    assert_eq!(fetcher.ask(&["verify", out.to_str().expect("UTF-8")])["ok"], true);
}

#[test]
fn a_front_matter_that_is_broken_costs_only_the_metadata() {
    let home = Home::new();
    let model = home.model("broken", 49);
    for broken in
        ["---\nlicense: [a\n---\n", "---\na: &x 1\nb: *x\n---\n", "---\na: 1\na: 2\n---\n"]
    {
        files::write(&model.join("README.md"), broken);
        let said = home.say(&["seed", model.to_str().expect("UTF-8")]);
        assert_eq!(said.code, 0, "{said:#?}");
        assert!(said.stderr.contains("README.md"), "{broken:?} is not said: {said:#?}");
        assert_eq!(home.ask(&["show", "broken"])["predicate"]["metadata"], json!({}), "{broken:?}");
    }
    files::write(&model.join("README.md"), "---\nlicense: mit\n---\n");
    let conflict = seed(&home, &model, &["--license", "apache-2.0"]);
    conflict.fails(2).says("mit").says("apache-2.0");
    fs::remove_file(model.join("README.md")).expect("remove");
    let seeded = home.seed(&model, &["--license", "apache-2.0"]);
    let shown: Value = home.ask(&["show", text(&seeded, "release")]);
    assert_eq!(shown["predicate"]["license"], "apache-2.0");
}
