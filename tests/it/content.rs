//! What can carry code, as users meet it: refused of strangers before the bulk moves, warned of where they trust.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::common::{
    Daemon, Home, Output,
    files::{self, MIB},
    number, text, until,
};

/// What `pickle.dumps` gives of an object that calls `os.system("id")` when it is loaded; nothing here loads it.
const PICKLE: &[u8] = b"\x80\x02cposix\nsystem\nq\x00X\x02\x00\x00\x00idq\x01\x85q\x02Rq\x03.";

/// Bytes of a leaf.
const LEAF: u64 = MIB as u64;

/// What the structure of a small tree and the talk about it may cost.
const OVERHEAD: u64 = 512 * 1024;

/// A publisher with a daemon that serves one folder.
struct Lab {
    home: Home,
    daemon: Daemon,
    model: PathBuf,
    seeded: Value,
}

impl Lab {
    fn new(make: impl FnOnce(&Path)) -> Self {
        let home = Home::new();
        let model = home.beside("tiny");
        make(&model);
        let daemon = home.daemon(&[]);
        let seeded = home.seed(&model, &[]);
        Self { home, daemon, model, seeded }
    }

    fn release(&self) -> &str {
        text(&self.seeded, "release")
    }

    fn get(&self, home: &Home, more: &[&str]) -> Output {
        home.get(self.release(), &[&["--peer", self.daemon.addr()], more].concat())
    }

    /// Bytes that were sent to peers so far.
    fn sent(&self) -> u64 {
        number(&self.home.ask(&["status"]), "bytes_out")
    }
}

fn as_text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// A pickle with `len` bytes behind it, as torch's first format has its tensors.
fn pickle(path: &Path, seed: u64, len: usize) {
    files::write(path, [PICKLE, &files::noise(seed, len)].concat());
}

/// Weights in safetensors and, as many repos have it, in a pickle too.
fn both(dir: &Path) {
    files::model(dir, 1, 12 * MIB);
    pickle(&dir.join("pytorch_model.bin"), 2, 12 * MIB);
}

fn warnings(output: &Output) -> Vec<&str> {
    output.stderr.lines().filter(|line| line.contains("unsafe content")).collect()
}

#[test]
fn a_strangers_pickle_is_refused_before_the_bulk_and_both_ways_out_are_named() {
    let lab = Lab::new(both);
    let home = Home::new();
    let out = home.beside("out");
    let refused = lab.get(&home, &["-o", as_text(&out)]).fails(4);
    refused.says("pytorch_model.bin: pickle").says("--exclude '*.bin'").says("--allow-code");
    assert!(!refused.all().contains("safetensors"), "{refused:?}");
    let sent = lab.sent();
    assert!(sent < 2 * LEAF + OVERHEAD, "one leaf of each large file is enough: {sent}");
    let named: Vec<String> = files::tree(&out).into_keys().collect();
    assert!(!named.iter().any(|name| name == "pytorch_model.bin"), "{named:?}");
    // A key that was written by hand is no trust in it.
    let by_key = ["--publisher", text(&lab.seeded, "publisher"), "-o", as_text(&out)];
    lab.get(&home, &by_key).fails(4).says("--allow-code");
    let bare = home.get(text(&lab.seeded, "root"), &["--peer", lab.daemon.addr()]);
    bare.fails(4).says("pytorch_model.bin");
    // `rm` leaves nothing of it, in the user's folder either.
    home.ask(&["rm", lab.release()]);
    assert_eq!(files::partial_bytes(&out), None);
}

#[test]
fn what_came_before_a_refusal_is_not_fetched_again() {
    let lab = Lab::new(both);
    let home = Home::new();
    let out = home.beside("out");
    let size = files::size(&files::tree(&lab.model));
    lab.get(&home, &["-o", as_text(&out)]).fails(4);
    let before = lab.sent();
    let got = lab.get(&home, &["-o", as_text(&out), "--allow-code"]);
    let warned = warnings(&got);
    assert!(matches!(warned[..], [line] if line.contains("pytorch_model.bin")), "{got:#?}");
    let fetched = number(&got.ok(), "fetched_bytes");
    assert_eq!(files::tree(&out), files::tree(&lab.model));
    assert!(fetched <= size - 2 * LEAF, "{fetched} of {size}");
    let sent = lab.sent();
    assert!((before..size + 2 * OVERHEAD).contains(&sent), "{sent} of {size}");
}

#[test]
fn without_the_pickle_everything_else_comes_once() {
    let lab = Lab::new(both);
    let home = Home::new();
    let out = home.beside("out");
    let more = ["-o", as_text(&out), "--exclude", "*.bin"];
    let got = lab.get(&home, &more).ok();
    let mut expected = files::tree(&lab.model);
    expected.remove("pytorch_model.bin");
    assert_eq!(files::tree(&out), expected);
    let (size, fetched) = (files::size(&expected), number(&got, "fetched_bytes"));
    assert!((size..size + OVERHEAD).contains(&fetched), "{fetched} of {size}");
    assert!(lab.sent() < size + OVERHEAD);
}

#[test]
fn a_daemon_goes_on_from_what_it_fetched_to_judge_and_asks_no_peer_twice() {
    let lab = Lab::new(both);
    let fetcher = Home::new();
    let _daemon = fetcher.daemon(&[]);
    let size = files::size(&files::tree(&lab.model));
    lab.get(&fetcher, &[]).fails(4);
    assert_eq!(fetcher.ask(&["status"])["transfers"], json!([]), "nothing is tried again");
    let before = lab.sent();
    let got = lab.get(&fetcher, &["--allow-code"]).ok();
    assert_eq!(files::tree(Path::new(text(&got, "path"))), files::tree(&lab.model));
    let after = lab.sent() - before;
    assert!(after < size - 2 * LEAF + OVERHEAD, "{after} of {size}");
}

#[test]
fn a_killed_daemon_goes_on_with_what_was_allowed_and_not_with_what_was_refused() {
    let lab = Lab::new(|dir| pickle(&dir.join("pytorch_model.bin"), 8, 192 * MIB));
    let home = Home::new();
    let out = home.beside("out");
    let get = ["get", lab.release(), "--peer", lab.daemon.addr(), "-o", as_text(&out)];
    let daemon = home.daemon(&[]);
    home.run(&get).fails(4);
    daemon.kill();
    let daemon = home.daemon(&[]);
    home.ask(&["status"]);
    assert!(!daemon.log().contains("going on"), "{}", daemon.log());
    let get = [&get[..], &["--allow-code"]].concat();
    let running = home.start(&get);
    until("a part of it", || files::partial_bytes(&out).filter(|bytes| *bytes > 8 * LEAF));
    lab.daemon.pause();
    assert!(files::partial_bytes(&out) < Some(192 * LEAF), "the test must stop it in the middle");
    daemon.kill();
    assert_ne!(running.wait().code, 0);
    let daemon = home.daemon(&[]);
    lab.daemon.resume();
    until("the rest of it", || out.join("pytorch_model.bin").exists().then_some(()));
    assert!(daemon.log().contains("going on"), "{}", daemon.log());
    assert_eq!(number(&home.ask(&get), "fetched_bytes"), 0);
    assert_eq!(files::tree(&out), files::tree(&lab.model));
}

#[test]
fn of_a_trusted_publisher_it_is_a_warning() {
    let lab = Lab::new(both);
    let home = Home::new();
    home.ask(&["trust", "add", "lab", text(&lab.seeded, "publisher")]);
    let got = lab.get(&home, &[]);
    assert_eq!(files::tree(Path::new(text(&got.ok(), "path"))), files::tree(&lab.model));
    let warned = warnings(&got);
    assert!(matches!(warned[..], [line] if line.contains("pytorch_model.bin")), "{got:#?}");
}

#[test]
fn ones_own_is_warned_of_when_it_is_seeded_and_comes_back() {
    let home = Home::new();
    let model = home.beside("tiny");
    both(&model);
    for n in 0..7 {
        files::write(&model.join(format!("scripts/run-{n}.sh")), "#!/bin/sh\n");
    }
    files::write(&model.join("broken.safetensors"), "neither this nor that");
    let seeded = home.run(&["seed", as_text(&model)]);
    let warned = warnings(&seeded);
    assert_eq!(warned.len(), 6, "a handful: {seeded:#?}");
    assert!(warned[0].contains("broken.safetensors: invalid safetensors"), "{warned:?}");
    assert!(warned[5].contains("4 more"), "{warned:?}");
    let copy = home.beside("copy");
    let release = text(&seeded.ok(), "release").to_owned();
    let got = home.get(&release, &["-o", as_text(&copy)]);
    assert_eq!(warnings(&got).len(), 6, "{got:#?}");
    assert_eq!(files::tree(&copy), files::tree(&model));
}

#[test]
fn a_zip_is_judged_by_its_first_and_last_blocks() {
    let lab = Lab::new(|dir| {
        let weights = files::noise(7, 9 * MIB);
        let members: [(&str, &[u8]); 2] =
            [("archive/data.pkl", PICKLE), ("archive/data/0", &weights)];
        files::write(&dir.join("weights.dat"), files::zip(&members));
        let members: [(&str, &[u8]); 1] = [("images/0.png", &weights)];
        files::write(&dir.join("images.dat"), files::zip(&members));
    });
    let home = Home::new();
    let refused = lab.get(&home, &[]).fails(4);
    refused.says("weights.dat").says("data.pkl").says("--exclude");
    assert!(!refused.all().contains("images.dat"), "{refused:?}");
    let sent = lab.sent();
    assert!(sent < 5 * LEAF + OVERHEAD, "{sent}");
}

#[test]
fn names_prove_nothing_and_invalid_headers_are_refused_like_code() {
    let lab = Lab::new(|dir| {
        pickle(&dir.join("model.safetensors"), 3, 1000);
        files::write(&dir.join("other.safetensors"), files::noise(4, 2 * MIB));
        files::safetensors(&dir.join("good.safetensors"), 5, MIB);
    });
    let home = Home::new();
    let refused = lab.get(&home, &[]).fails(4);
    refused.says("  model.safetensors: pickle").says("  other.safetensors: invalid safetensors");
    assert!(!refused.all().contains("good.safetensors"), "{refused:?}");
    let got = lab.get(&home, &["--include", "good.safetensors"]).ok();
    assert_eq!(number(&got, "files"), 1);
}

#[test]
fn many_small_harmless_files_come_once_and_together() {
    let lab = Lab::new(|dir| {
        for n in 0..300 {
            files::write(&dir.join(format!("part/{n}.json")), format!("{{\"record\":{n}}}\n"));
        }
        files::safetensors(&dir.join("model.safetensors"), 6, 5 * MIB);
    });
    let home = Home::new();
    let got = lab.get(&home, &[]).ok();
    let expected = files::tree(&lab.model);
    assert_eq!(files::tree(Path::new(text(&got, "path"))), expected);
    let (size, fetched) = (files::size(&expected), number(&got, "fetched_bytes"));
    assert!((size..size + OVERHEAD).contains(&fetched), "{fetched} of {size}");
    assert!(lab.sent() < size + OVERHEAD);
    // Here already: nothing is asked of anybody, and the verdict is the same.
    let got = lab.get(&home, &[]).ok();
    assert_eq!(number(&got, "fetched_bytes"), 0);
}

#[test]
fn more_code_than_files_are_open_is_refused_too_and_none_of_it_gets_its_name() {
    const FILES: usize = 600;
    let lab = Lab::new(|dir| {
        for n in 0..FILES {
            files::write(
                &dir.join(format!("{n:03}.dat")),
                [PICKLE, &[n as u8, (n >> 8) as u8]].concat(),
            );
        }
        files::write(&dir.join("notes.txt"), "harmless\n");
    });
    let home = Home::new();
    let out = home.beside("out");
    let refused = lab.get(&home, &["-o", as_text(&out)]).fails(4);
    refused.says("600 files").says("and 590 more").says("--exclude '*.dat'");
    assert!(!out.join("000.dat").exists());
    let got = lab.get(&home, &["-o", as_text(&out), "--allow-code"]).ok();
    assert_eq!(files::tree(&out), files::tree(&lab.model));
    let fetched = number(&got, "fetched_bytes");
    assert!(fetched < OVERHEAD / 8, "what was fetched to be judged is here: {fetched}");
    lab.get(&home, &["-o", as_text(&out)]).fails(4).says("600 files");
}

#[test]
fn chat_templates_are_listed_and_never_refused() {
    let lab = Lab::new(|dir| {
        files::write(&dir.join("tiny.gguf"), files::gguf("{{ messages[0].content }}", 2 * MIB));
        let config = r#"{"model_max_length":512,"chat_template":"{{ messages }}"}"#;
        files::write(&dir.join("tokenizer_config.json"), config);
        files::write(&dir.join("config.json"), "{}");
    });
    let home = Home::new();
    let got = lab.get(&home, &[]).ok();
    assert_eq!(got["templates"], json!(["tiny.gguf", "tokenizer_config.json"]));
    let said = home.say(&["get", lab.release(), "--peer", lab.daemon.addr()]);
    assert!(said.stdout.contains("chat template in tiny.gguf and 1 more"), "{said:#?}");
    let got = lab.home.get(lab.release(), &[]).ok();
    assert_eq!(got["templates"], json!(["tiny.gguf", "tokenizer_config.json"]), "one's own too");
}

#[test]
fn a_dry_run_says_what_names_alone_tell_and_cat_shows_anything() {
    let lab = Lab::new(|dir| {
        both(dir);
        files::write(&dir.join("train.py"), "print('hello')\n");
    });
    let home = Home::new();
    let dry = lab.get(&home, &["--dry-run"]);
    dry.ok();
    assert!(dry.stderr.contains("train.py") && dry.stderr.contains("--allow-code"), "{dry:#?}");
    assert!(!dry.stderr.contains("pytorch_model.bin"), "that would cost a block: {dry:#?}");
    let shown =
        home.say(&["cat", &format!("{}:train.py", lab.release()), "--peer", lab.daemon.addr()]);
    assert_eq!((shown.code, &shown.stdout[..]), (0, "print('hello')\n"), "{shown:#?}");
}

#[test]
fn card_init_writes_what_the_files_say_and_replaces_nothing_unasked() {
    let home = Home::new();
    let model = home.beside("tiny-bert");
    files::safetensors(&model.join("model.safetensors"), 1, 4 * 1234);
    files::write(
        &model.join("config.json"),
        r#"{"architectures":["BertModel"],"model_type":"bert"}"#,
    );
    files::write(&model.join("tokenizer.json"), "{}");
    let written = home.ask(&["card", "init", as_text(&model)]);
    let readme = model.join("README.md");
    let content = fs::read_to_string(&readme).expect("written");
    assert_eq!(number(&written, "bytes"), content.len() as u64);
    assert!(text(&written, "path").ends_with("/tiny-bert/README.md"), "{written}");
    for said in
        ["# tiny-bert", "BertModel", "1,234", "F32", "`tokenizer.json`", "model.safetensors"]
    {
        assert!(content.contains(said), "{said} in {content}");
    }
    assert!(!home.path().exists(), "it takes no home");
    fs::write(&readme, "mine").expect("write");
    home.run(&["card", "init", as_text(&model)]).fails(1).says("--force");
    assert_eq!(fs::read_to_string(&readme).expect("there"), "mine");
    home.ask(&["card", "init", as_text(&model), "--force", "--kind", "dataset", "--name", "other"]);
    let replaced = fs::read_to_string(&readme).expect("there");
    assert!(replaced.contains("# other") && replaced.contains("load_dataset"), "{replaced}");
    assert_eq!(fs::read_dir(&model).expect("list").count(), 4, "nothing else of ours");
    home.run(&["card", "init", as_text(&readme)]).fails(2);
    home.seed(&model, &[]);
}

#[test]
fn the_rule_on_code_holds_for_trusted_publishers_and_for_strangers() {
    let lab = Lab::new(|dir| pickle(&dir.join("pytorch_model.bin"), 3, MIB));
    let rules = |code: &str, trusted: bool| {
        let home = Home::new();
        fs::create_dir_all(home.path()).expect("made");
        let rules = format!("[default]\ncode = \"{code}\"\n");
        fs::write(home.path().join("trust.toml"), rules).expect("written");
        if trusted {
            home.ask(&["trust", "add", "lab", text(&lab.seeded, "publisher")]);
        }
        home
    };
    let strict = rules("deny", true);
    lab.get(&strict, &[]).fails(4).says("from nobody").says("--allow-code");
    assert_eq!(lab.get(&strict, &["--allow-code"]).ok()["provenance"]["trust"], "trusted");
    // What is the user's own is the user's own.
    fs::write(lab.home.path().join("trust.toml"), "[default]\ncode = \"deny\"\n").expect("written");
    lab.home.get(lab.release(), &[]).ok();
    assert_eq!(warnings(&lab.get(&rules("accept", false), &[])).len(), 1);
}
