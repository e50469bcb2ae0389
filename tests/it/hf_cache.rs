//! `gateway.hf_cache`: what `get` brought is laid out for Hugging Face clients, without a second copy. That the real client
//! takes it is `tests/hub/cache.py`'s to show.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use modelswarm::card::{CommitId, Manifest, statement::Files};
use serde_json::Value;

use crate::common::{Daemon, Home, files, forge, text};

/// A publisher's daemon with one model, and a fetcher who lays out.
struct Pair {
    publisher: Home,
    daemon: Option<Daemon>,
    seeded: Value,
    model: PathBuf,
    fetcher: Home,
    cache: PathBuf,
}

impl Pair {
    fn new() -> Self {
        let (publisher, fetcher) = (Home::new(), Home::new());
        let model = publisher.model("tiny", 21);
        let seeded = publisher.seed(&model, &[]);
        let daemon = Some(publisher.daemon(&[]));
        let cache = fetcher.beside("hub");
        Self { publisher, daemon, seeded, model, fetcher, cache }
    }

    fn get(&self, more: &[&str]) -> (Value, String) {
        self.get_release(text(&self.seeded, "release"), more)
    }

    fn get_release(&self, release: &str, more: &[&str]) -> (Value, String) {
        let set = format!("gateway.hf_cache={}", self.cache.display());
        let addr = self.daemon.as_ref().expect("it runs").addr();
        let out = self.fetcher.get(release, &[&["--peer", addr, "--set", &set], more].concat());
        (out.ok(), out.stderr)
    }

    /// The repo's folder in the cache, by the publisher's key.
    fn repo(&self) -> PathBuf {
        let part = text(&self.seeded, "publisher").trim_start_matches("did:key:");
        self.cache.join(format!("models--{part}--tiny"))
    }

    fn snapshot(&self) -> PathBuf {
        self.repo().join("snapshots").join(commit(&self.seeded))
    }
}

fn commit(seeded: &Value) -> String {
    CommitId::of(&text(seeded, "root").parse().expect("a CID")).to_string()
}

#[test]
fn a_fetched_version_is_laid_out_without_a_second_copy() {
    let pair = Pair::new();
    let (got, said) = pair.get(&[]);
    assert!(!said.contains("not laid out"), "{said}");
    let library = Path::new(text(&got, "path"));
    for (path, (size, sha256)) in files::tree(&pair.model) {
        let link = pair.snapshot().join(&path);
        let up = "../".repeat(path.matches('/').count() + 2);
        assert_eq!(
            fs::read_link(&link).expect("a link"),
            Path::new(&format!("{up}blobs/{sha256}"))
        );
        assert_eq!(files::digest(&link), (size, sha256.clone()), "{path}");
        let blob = fs::metadata(pair.repo().join("blobs").join(&sha256)).expect("a blob");
        let own = fs::metadata(library.join(&path)).expect("the library's");
        // Where the file system shares bytes the blob is a file of its own.
        if blob.ino() == own.ino() {
            assert_eq!(
                blob.mode() & 0o222,
                0,
                "the library's file can't be written through its link"
            );
        }
    }
    let main = fs::read_to_string(pair.repo().join("refs/main")).expect("main");
    assert_eq!(main, commit(&pair.seeded));
    let left: Vec<_> = fs::read_dir(pair.repo())
        .expect("listed")
        .map(|entry| entry.expect("entry").file_name())
        .filter(|name| !["blobs", "snapshots", "refs"].iter().any(|known| name == known))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    // The library's own files are what they were.
    let release = text(&pair.seeded, "release");
    assert_eq!(pair.fetcher.ask(&["verify", release])["ok"], true);
    assert_eq!(text(&pair.fetcher.ask(&["show", release]), "state"), "whole");
    let before = files::tree(&pair.cache);
    let (again, said) = pair.get(&[]);
    assert_eq!((&again["fetched_bytes"], said.contains("not laid out")), (&0.into(), false));
    assert_eq!(files::tree(&pair.cache), before);
    // What is in the clients' cache stays when the library forgets its own.
    pair.fetcher.ask(&["rm", release]);
    assert_eq!(files::tree(&pair.snapshot()).len(), files::tree(&pair.model).len());
}

#[test]
fn a_user_s_own_files_are_not_linked_and_a_part_is_never_laid_out() {
    let pair = Pair::new();
    let (_, said) = pair.get(&["--include", "*.json"]);
    assert!(!said.contains("not laid out") && !pair.cache.exists(), "{said}");
    let out = pair.fetcher.beside("out");
    let (_, said) = pair.get(&["-o", out.to_str().expect("UTF-8")]);
    for (path, _) in files::tree(&pair.model) {
        let own = fs::metadata(out.join(&path)).expect("fetched");
        assert_eq!((own.nlink(), own.mode() & 0o200), (1, 0o200), "{path}");
    }
    // Where bytes can be shared it is laid out all the same; elsewhere nothing of it is left over.
    if said.contains("not laid out") {
        assert!(said.contains("never linked"), "{said}");
        assert!(!pair.snapshot().exists());
        let blobs = fs::read_dir(pair.repo().join("blobs")).expect("a folder").count();
        assert_eq!(blobs, 0);
    }
}

#[test]
fn what_is_in_the_cache_stays_as_it_is() {
    let pair = Pair::new();
    let (_, sha256) = files::digest(&pair.model.join("config.json"));
    let blob = pair.repo().join("blobs").join(&sha256);
    files::write(&blob, "somebody's");
    let (_, said) = pair.get(&[]);
    assert!(said.contains("holds something else"), "{said}");
    assert_eq!(fs::read_to_string(&blob).expect("there"), "somebody's");
    assert!(!pair.snapshot().exists());
    // An equal one is used.
    fs::copy(pair.model.join("config.json"), &blob).expect("copied");
    let ino = fs::metadata(&blob).expect("there").ino();
    // A client that fetches it holds its lock.
    let repo = pair.repo();
    let locks = pair.cache.join(".locks").join(repo.file_name().expect("a name"));
    let lock = fs::File::create(locks.join(format!("{sha256}.lock"))).expect("a lock");
    lock.lock().expect("locked");
    assert!(pair.get(&[]).1.contains("a client is fetching it"));
    lock.unlock().expect("unlocked");
    // What a client began is completed.
    fs::create_dir_all(pair.snapshot()).expect("made");
    let (_, said) = pair.get(&[]);
    assert!(!said.contains("not laid out"), "{said}");
    assert_eq!(fs::metadata(&blob).expect("there").ino(), ino);
    assert_eq!(files::tree(&pair.snapshot()).len(), files::tree(&pair.model).len());
}

#[test]
fn main_is_the_newest_version_and_a_card_that_lies_of_its_files_is_not_laid_out() {
    let mut pair = Pair::new();
    let first = pair.seeded.clone();
    pair.daemon.take().expect("it runs").kill();
    let copy = pair.publisher.beside("copy");
    files::copy(&pair.model, &copy);
    files::write(&copy.join("config.json"), "{\"second\":true}");
    let second = pair.publisher.seed(&copy, &["--name", "tiny"]);
    let lying = pair.publisher.seed(&pair.publisher.model("lying", 22), &[]);
    let release = forge::card(&pair.publisher, &lying, |statement| {
        let Files::Inline(manifest) = &statement.files else { panic!("a small card") };
        let mut files = manifest.files().to_vec();
        files[0].sha256[0] ^= 1;
        let manifest = Manifest::new(files).expect("files");
        statement.tree = manifest.digests();
        statement.files = Files::Inline(manifest);
    });
    pair.daemon = Some(pair.publisher.daemon(&[]));
    let main = || fs::read_to_string(pair.repo().join("refs/main")).expect("main");
    let (_, said) = pair.get_release(text(&second, "release"), &[]);
    assert!(!said.contains("not laid out"), "{said}");
    assert_eq!(main(), commit(&second));
    pair.get_release(text(&first, "release"), &[]);
    assert!(pair.snapshot().exists(), "an older version has its snapshot");
    assert_eq!(main(), commit(&second));
    let (_, said) = pair.get_release(&release, &[]);
    assert!(said.contains("DOES NOT HOLD"), "{said}");
    let laid_out = fs::read_dir(&pair.cache).expect("a cache").flatten();
    assert_eq!(laid_out.filter(|it| it.file_name().to_string_lossy().contains("lying")).count(), 0);
}
