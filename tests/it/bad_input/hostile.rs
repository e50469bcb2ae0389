//! Content made by a stranger's software: tampered releases, hostile trees. The program does not make these, so a
//! store is filled with them by hand, through the library, and served by the real daemon.

use std::{
    fs,
    path::{Path, PathBuf},
};

use modelswarm::{
    dag::{
        Block, Cid, Entry,
        block::{DAG_PB, RAW},
        unixfs,
    },
    store::{NewBlock, Options, Store},
};

use crate::common::{Home, files, foreign::serve, text};

fn leaf(bytes: impl AsRef<[u8]>) -> Block {
    Block::new(RAW, bytes.as_ref().to_vec())
}

fn entry(name: &str, block: &Block) -> Entry {
    Entry { name: name.into(), cid: *block.cid(), tsize: block.data().len() as u64 }
}

/// Fetches a directory of these entries from a daemon that serves just that.
fn fetch(entries: &[Entry], mut blocks: Vec<Block>) -> (crate::common::Output, PathBuf, Home) {
    let directory = unixfs::encode_directory(entries);
    let root = *directory.cid();
    blocks.push(directory);
    fetch_root(root, &blocks)
}

fn fetch_root(root: Cid, blocks: &[Block]) -> (crate::common::Output, PathBuf, Home) {
    let seeder = Home::new();
    let daemon = serve(&seeder, root, blocks);
    let home = Home::new();
    let out = home.beside("around/out");
    fs::create_dir_all(out.parent().expect("parent")).expect("make");
    let to = ["--peer", daemon.addr(), "--timeout", "5", "-o", out.to_str().expect("UTF-8")];
    let output = home.get(&root.to_string(), &to);
    (output, out, home)
}

#[test]
fn names_that_lead_outside_or_deceive_are_refused_before_anything_is_written() {
    for bad in [
        "..",
        ".",
        "",
        "a/b",
        "../escaped",
        "/etc/passwd",
        "nul\0byte",
        "line\nbreak",
        "bell\x07",
        "\u{1b}[2Jterminal",
    ] {
        let file = leaf("pwned");
        let good = leaf("fine");
        let entries = [entry(bad, &file), entry("fine.txt", &good)];
        let (output, out, home) = fetch(&entries, vec![file, good]);
        let failure = output.fails(4);
        assert!(!failure.all().contains(['\n', '\x07', '\x1b', '\0']), "escaped: {failure:?}");
        assert!(!out.exists(), "{bad:?}: nothing is written");
        assert!(!home.beside("around/escaped").exists());
    }
}

#[test]
fn twins_links_and_cards_without_proof_are_refused() {
    let (one, two) = (leaf("one"), leaf("two"));
    let twins = [entry("README.md", &one), entry("README.md", &two)];
    let (output, out, _home) = fetch(&twins, vec![one.clone(), two.clone()]);
    output.fails(4).says("README.md");
    assert!(!out.exists());

    let twins = [entry("README.md", &one), entry("readme.MD", &two)];
    let (output, out, _home) = fetch(&twins, vec![one.clone(), two.clone()]);
    output.fails(4).says("readme.MD");
    assert!(!out.exists());

    // UnixFS symlink to /etc/passwd.
    let mut data = vec![0x08, 4, 0x12, 11];
    data.extend(b"/etc/passwd");
    let mut node = vec![0x0a, u8::try_from(data.len()).expect("short")];
    node.extend(data);
    let link = Block::new(DAG_PB, node);
    let entries = [entry("model.bin", &link), entry("ok.txt", &one)];
    let (output, out, _home) = fetch(&entries, vec![link, one.clone()]);
    output.fails(4).says("model.bin");
    assert!(!out.exists());

    // A directory with a card at its top is a release: valid or refused, never `unsigned`.
    let model = unixfs::encode_directory(&[entry("config.json", &one)]);
    let card = leaf(r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}"#);
    let entries = [entry("card.sigstore.json", &card), entry("model", &model)];
    let (output, out, _home) = fetch(&entries, vec![card, model, one]);
    output.fails(4);
    assert!(!out.exists());
}

#[test]
fn blocks_that_are_no_unixfs_are_refused() {
    let good = leaf("fine");
    for nonsense in [&b"\x0a\xff\xff\xff\xff\xff"[..], b"\x12", b"\xff\xff\xff\xff\xff\xff\xff\xff"]
    {
        let node = Block::new(DAG_PB, nonsense.to_vec());
        let (output, out, _home) = fetch_root(*node.cid(), std::slice::from_ref(&node));
        output.fails(4);
        assert!(!out.exists());
        let entries = [entry("a.txt", &good), entry("folder", &node)];
        let (output, out, _home) = fetch(&entries, vec![good.clone(), node]);
        output.fails(4);
        assert!(!out.join("a.txt").exists());
    }
}

/// A true release: its card's bytes and its files.
struct Release {
    home: Home,
    card: Vec<u8>,
    config: Block,
    root: Block,
}

impl Release {
    fn new() -> Self {
        let home = Home::new();
        let model = home.beside("tiny");
        files::write(&model.join("config.json"), "{\"a\":1}");
        let seeded = home.seed(&model, &[]);
        let id = text(&seeded, "card").parse().expect("a CID");
        let options = Options::new(home.path().join("library"));
        let store = Store::open(&home.path().join("store"), options).expect("the store");
        let card = store.card(&id).expect("read").expect("the card");
        store.close().expect("closed");
        let config = leaf("{\"a\":1}");
        let root = unixfs::encode_directory(&[entry("config.json", &config)]);
        assert_eq!(root.cid().to_string(), text(&seeded, "root"));
        Self { home, card, config, root }
    }

    fn fetch(&self, card: &[u8], root: &Block, more: &[(&str, Block)]) -> crate::common::Output {
        let card = leaf(card);
        let mut entries = vec![entry("card.sigstore.json", &card), entry("model", root)];
        entries.extend(more.iter().map(|(name, block)| entry(name, block)));
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        let mut blocks = vec![card, root.clone(), self.config.clone(), leaf("{\"a\":2}")];
        blocks.extend(more.iter().map(|(_, block)| block.clone()));
        let (output, out, _home) = fetch(&entries, blocks);
        if output.code != 0 {
            assert!(!out.exists(), "nothing of a refused release is put in place");
        }
        output
    }
}

#[test]
fn a_release_that_was_tampered_with_is_refused_and_says_which_part() {
    let release = Release::new();
    let (card, root) = (&release.card, &release.root);
    let got = release.fetch(card, root, &[]).ok();
    assert_eq!(got["provenance"]["status"], "verified", "the untouched one is good");

    let other = unixfs::encode_directory(&[entry("config.json", &leaf("{\"a\":2}"))]);
    release.fetch(card, &other, &[]).fails(4).says("model");
    let renamed = unixfs::encode_directory(&[entry("other.json", &release.config)]);
    release.fetch(card, &renamed, &[]).fails(4).says("model");
    let added = [("evil.txt", leaf("evil"))];
    release.fetch(card, root, &added).fails(4).says("evil.txt");
    let sig = [("model.sig", leaf("{}"))];
    release.fetch(card, root, &sig).fails(4).says("model.sig");
    // No byte of the card can be changed: each is signed, or part of the signature, or of the form.
    for n in 0..12 {
        let mut changed = card.clone();
        let at = (changed.len() - 1) * n / 11;
        changed[at] ^= 0x01;
        release.fetch(&changed, root, &[]).fails(4);
    }
    release.fetch(&card[..card.len() / 2], root, &[]).fails(4);
    release.fetch(b"", root, &[]).fails(4);
}

#[test]
fn verify_names_what_is_wrong_in_a_release_folder() {
    let release = Release::new();
    let folder = release.home.beside("folder");
    files::write(&folder.join("card.sigstore.json"), &release.card);
    files::write(&folder.join("model/config.json"), "{\"a\":1}");
    let stranger = Home::new();
    let verify = |folder: &Path| stranger.run(&["verify", folder.to_str().expect("UTF-8")]);
    let good = verify(&folder).ok();
    assert_eq!(good["provenance"]["status"], "verified");
    assert_eq!(good["provenance"]["trust"], "new");

    files::write(&folder.join("model/config.json"), "{\"a\":2}");
    let bad = verify(&folder);
    bad.failure(4);
    assert!(bad.json()["bad"].to_string().contains("config.json"), "{bad:#?}");

    files::write(&folder.join("model/config.json"), "{\"a\":1}");
    files::write(&folder.join("model/extra.bin"), "x");
    let bad = verify(&folder);
    bad.failure(4);
    assert!(bad.json()["bad"].to_string().contains("extra.bin"), "{bad:#?}");

    fs::remove_file(folder.join("model/extra.bin")).expect("remove");
    fs::rename(folder.join("model/config.json"), folder.join("model/c.json")).expect("rename");
    let bad = verify(&folder);
    bad.failure(4);
    assert!(bad.json()["bad"].to_string().contains("c.json"), "{bad:#?}");

    let mut card = release.card.clone();
    let middle = card.len() / 2;
    card[middle] ^= 1;
    files::write(&folder.join("card.sigstore.json"), &card);
    verify(&folder).failure(4).says("card.sigstore.json");
}

#[test]
fn what_a_peer_sends_under_a_wrong_hash_never_reaches_a_file() {
    // The store checks a file before it serves it; the inline copy in the index is checked by the receiver.
    let home = Home::new();
    let block = leaf(files::noise(90, 100_000));
    let directory = unixfs::encode_directory(&[entry("weights.bin", &block)]);
    let root = *directory.cid();
    let wrong = NewBlock { data: Some(vec![0; 100_000].into()), ..NewBlock::node(&block) };
    home.ask(&["init"]);
    let options = Options::new(home.path().join("library"));
    let store = Store::open(&home.path().join("store"), options).expect("the store");
    let reservation = store.reserve().expect("reserved");
    let taken = store.add_blocks(reservation.id(), &[NewBlock::node(&directory), wrong]);
    drop(reservation);
    store.close().expect("closed");
    if taken.is_err() {
        // Better still: a store that can be made to lie only by harming its file.
        return;
    }
    let daemon = serve(&home, root, &[directory]);
    let fetcher = Home::new();
    let out = fetcher.beside("out");
    let to = ["--peer", daemon.addr(), "--timeout", "5", "-o", out.to_str().expect("UTF-8")];
    let output = fetcher.get(&root.to_string(), &to);
    assert!([3, 4, 6].contains(&output.code), "{output:#?}");
    assert!(!out.join("weights.bin").exists());
}
