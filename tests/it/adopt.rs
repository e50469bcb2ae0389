//! `adopt`: what other tools have on the disk, in place, private, each file read once.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sha1::{Digest as _, Sha1};

use crate::common::{
    Home,
    files::{self, MIB, noise, write},
    number, text,
};

const FIRST: &str = "1111111111111111111111111111111111111111";
const SECOND: &str = "2222222222222222222222222222222222222222";

/// A Hugging Face cache as the clients lay it out.
struct Cache(PathBuf);

impl Cache {
    fn new(home: &Home) -> Self {
        Self(home.beside("huggingface"))
    }

    fn repo(&self, name: &str) -> PathBuf {
        self.0.join("hub").join(name)
    }

    /// Puts a file into a snapshot: its blob, named as the Hub names it, and the link to it.
    fn file(&self, repo: &str, commit: &str, path: &str, bytes: &[u8], large: bool) -> PathBuf {
        let etag = if large { sha256(bytes) } else { git_id(bytes) };
        let blob = self.repo(repo).join("blobs").join(&etag);
        write(&blob, bytes);
        self.link(repo, commit, path, &etag);
        blob
    }

    fn link(&self, repo: &str, commit: &str, path: &str, etag: &str) {
        let link = self.repo(repo).join("snapshots").join(commit).join(path);
        fs::create_dir_all(link.parent().expect("a parent")).expect("made");
        let up = "../".repeat(path.matches('/').count() + 2);
        symlink(format!("{up}blobs/{etag}"), link).expect("linked");
    }

    fn main(&self, repo: &str, commit: &str) {
        write(&self.repo(repo).join("refs/main"), commit);
    }

    /// Two snapshots that share the weights.
    fn tiny(&self, repo: &str, seed: u64) -> BTreeMap<String, Vec<u8>> {
        let weights = weights(seed);
        let config = format!("{{\"seed\":{seed}}}");
        for (commit, readme) in [(FIRST, "one"), (SECOND, "two")] {
            self.file(repo, commit, "model.safetensors", &weights, true);
            self.file(repo, commit, "1_Pooling/config.json", config.as_bytes(), false);
            self.file(repo, commit, "README.md", format!("{readme} {seed}").as_bytes(), false);
        }
        self.main(repo, SECOND);
        BTreeMap::from([
            ("model.safetensors".into(), weights),
            ("1_Pooling/config.json".into(), config.into_bytes()),
            ("README.md".into(), format!("two {seed}").into_bytes()),
        ])
    }
}

/// A safetensors file of one tensor.
fn weights(seed: u64) -> Vec<u8> {
    let data = noise(seed, 3 * MIB + 17);
    let len = data.len();
    let mut header =
        format!(r#"{{"w":{{"dtype":"U8","shape":[{len}],"data_offsets":[0,{len}]}}}}"#);
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat()
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn git_id(bytes: &[u8]) -> String {
    let mut hash = Sha1::new_with_prefix(format!("blob {}\0", bytes.len()));
    hash.update(bytes);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn adopt(home: &Home, path: &Path) -> Value {
    home.ask(&["adopt", as_text(path)])
}

fn as_text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

fn list<'a>(answer: &'a Value, field: &str) -> &'a [Value] {
    answer[field].as_array().unwrap_or_else(|| panic!("no list {field} in {answer}"))
}

/// Everything below a folder, and of what makes a file changed: inode, times, rights.
fn untouched(dir: &Path) -> impl PartialEq + std::fmt::Debug + use<> {
    use std::os::unix::fs::MetadataExt as _;
    let mut stats = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("list").map(|entry| entry.expect("entry")) {
            let it = entry.path().symlink_metadata().expect("there");
            stats.push((entry.path(), it.ino(), it.mtime_nsec(), it.ctime_nsec(), it.mode()));
            if it.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    stats.sort();
    (files::tree(dir), stats)
}

#[test]
fn a_cache_is_indexed_in_place_each_blob_once_and_stays_private_until_it_is_shared() {
    let home = Home::new();
    let cache = Cache::new(&home);
    let expected = cache.tiny("models--acme--tiny", 1);
    cache.file("datasets--words", FIRST, "data/a.csv", b"a,b\n1,2\n", false);
    write(&cache.0.join("token"), "hf_secret");
    let before = untouched(&cache.0);
    let answer = home.ask(&["adopt", as_text(&cache.0), "--set", "seed.visibility=lan"]);
    assert_eq!(untouched(&cache.0), before, "nothing is written into the cache");
    assert_eq!(list(&answer, "left_out"), [] as [Value; 0]);
    let adopted = list(&answer, "adopted");
    assert_eq!(adopted.len(), 3, "{answer}");
    let on_disk: u64 = ["models--acme--tiny", "datasets--words"]
        .iter()
        .map(|repo| files::size(&files::tree(&cache.repo(repo).join("blobs"))))
        .sum();
    assert_eq!(number(&answer, "bytes"), on_disk, "each blob counts once");
    assert_eq!(number(&answer, "read_bytes"), on_disk, "each blob is read once");
    let words = &adopted[0];
    assert_eq!((text(words, "name"), text(words, "kind")), ("words", "dataset"));
    for line in adopted {
        assert_eq!((&line["unchanged"], &line["visibility"]), (&false.into(), &"private".into()));
    }
    let newest = &adopted[2];
    assert_eq!((text(newest, "hub"), text(newest, "commit")), ("acme/tiny", SECOND));
    // By the hub's own words it is found, and so is the older snapshot.
    for (reference, commit) in [
        ("tiny", SECOND),
        ("acme/tiny", SECOND),
        ("acme/tiny@111111111111", FIRST),
        (&*format!("tiny@{FIRST}"), FIRST),
    ] {
        let shown = home.ask(&["show", reference]);
        assert_eq!(text(&shown, "hub_commit"), commit, "{reference}");
        assert_eq!(text(&shown, "hub"), "acme/tiny");
        assert_eq!(text(&shown, "state"), "whole");
        assert_eq!(text(&shown["provenance"], "status"), "unsigned");
    }
    assert_eq!(home.ask(&["verify", "acme/tiny"])["ok"], true);

    let daemon = home.daemon(&[]);
    let fetcher = Home::new();
    let root = text(newest, "root");
    fetcher.get(root, &["--peer", daemon.addr(), "--timeout", "3"]).fails(3);
    home.run(&["share", "acme/tiny", "--to", "public"]).fails(5);
    home.ask(&["share", "acme/tiny", "--to", "lan"]);
    let got = fetcher.get(root, &["--peer", daemon.addr()]).ok();
    let path = Path::new(text(&got, "path"));
    for (name, bytes) in &expected {
        assert_eq!(&fs::read(path.join(name)).expect("fetched"), bytes, "{name}");
    }
    assert_eq!(files::tree(path).len(), expected.len());
    assert_eq!(untouched(&cache.0), before, "nothing is written into the cache");
}

#[test]
fn again_only_what_is_new_is_read_and_what_is_gone_is_missing() {
    let home = Home::new();
    let cache = Cache::new(&home);
    cache.tiny("models--acme--tiny", 1);
    // The same with a daemon and without.
    let daemon = home.daemon(&[]);
    let first = adopt(&home, &cache.0);
    assert_eq!(list(&first, "adopted").len(), 2);
    home.ask(&["share", "acme/tiny", "--to", "lan"]);
    let again = adopt(&home, &cache.0);
    assert_eq!(number(&again, "read_bytes"), 0);
    assert_eq!(again["bytes"], first["bytes"]);
    for (line, before) in list(&again, "adopted").iter().zip(list(&first, "adopted")) {
        assert_eq!((&line["unchanged"], &line["root"]), (&true.into(), &before["root"]));
        assert_eq!(line["visibility"], "lan", "what was shared stays so");
    }
    assert_eq!(daemon.terminate(), 0);

    // A third snapshot of the same weights: its new file alone is read.
    let third = "3333333333333333333333333333333333333333";
    let weights = weights(1);
    cache.link("models--acme--tiny", third, "model.safetensors", &sha256(&weights));
    cache.file("models--acme--tiny", third, "README.md", b"three", false);
    let more = adopt(&home, &cache.repo("models--acme--tiny"));
    assert_eq!(number(&more, "read_bytes"), 5);
    let line = list(&more, "adopted").iter().find(|line| line["commit"] == third).expect("added");
    assert_eq!((&line["unchanged"], &line["visibility"]), (&false.into(), &"private".into()));
    let root = text(line, "root");
    // Without the versions that brought them the shared weights are still this one's.
    home.ask(&["rm", &format!("acme/tiny@{FIRST}")]);
    home.ask(&["rm", &format!("acme/tiny@{SECOND}")]);
    home.ask(&["gc"]);
    home.ask(&["share", root, "--to", "lan"]);
    let daemon = home.daemon(&[]);
    let fetcher = Home::new();
    let got = fetcher.get(root, &["--peer", daemon.addr()]).ok();
    let fetched = Path::new(text(&got, "path")).join("model.safetensors");
    assert_eq!(fs::read(fetched).expect("fetched"), weights);
    assert_eq!(daemon.terminate(), 0);

    fs::remove_file(cache.repo("models--acme--tiny").join("blobs").join(sha256(&weights)))
        .expect("the other tool deletes it");
    assert_eq!(text(&home.ask(&["show", root]), "state"), "missing");
    let gone = home.run(&["adopt", as_text(&cache.0)]);
    assert_eq!(gone.code, 1, "nothing of it is whole any more: {gone:#?}");
    assert_eq!(list(&gone.json(), "left_out").len(), 3);
    // A repair finds all that is still there.
    cache.file("models--acme--tiny", third, "again.bin", &weights, true);
    fs::remove_dir_all(home.path().join("store/index")).expect("the index is lost");
    assert_eq!(home.ask(&["repair"])["lost"], serde_json::json!([]));
    assert_eq!(text(&home.ask(&["show", root]), "state"), "whole");
}

#[test]
fn what_is_wrong_is_left_out_with_its_reason_and_nothing_else_fails() {
    let home = Home::new();
    let cache = Cache::new(&home);
    let outside = home.beside("outside.txt");
    write(&outside, "not of this repo");
    cache.tiny("models--acme--good", 1);
    let hub = |name: &str| cache.repo(name);
    // Bytes that are not those of the name: a large file and a small one.
    let blob = cache.file("models--acme--bad", FIRST, "model.bin", &noise(2, MIB), true);
    fs::write(blob, noise(3, MIB)).expect("damaged");
    cache.file("models--acme--bad", SECOND, "config.json", b"{}", false);
    let blob = cache.file("models--acme--worse", FIRST, "config.json", b"{\"a\":1}", false);
    fs::write(blob, "{\"a\":2}").expect("damaged");
    // Links to nothing, out of the repo, to what a client has not finished.
    cache.link("models--acme--dangling", FIRST, "model.bin", &"0".repeat(64));
    cache.file("models--acme--leaving", FIRST, "config.json", b"{}", false);
    symlink(&outside, hub("models--acme--leaving").join("snapshots").join(FIRST).join("x.txt"))
        .expect("linked");
    write(&hub("models--acme--begun").join("blobs/abc.incomplete"), "half");
    cache.link("models--acme--begun", FIRST, "model.bin", "abc.incomplete");
    cache.file("models--acme--fetching", FIRST, "config.json", b"{}", false);
    write(&hub("models--acme--fetching").join("blobs").join("1".repeat(64) + ".x.incomplete"), "h");
    // Of this one the client's own list says that all is there.
    cache.file("models--acme--listed", FIRST, "config.json", b"{}", false);
    write(&hub("models--acme--listed").join("blobs").join("1".repeat(64) + ".incomplete"), "half");
    let listing = r#"{"format_version":1,"files":{"config.json":{"size":2,"blob_id":"9e"}}}"#;
    write(&hub("models--acme--listed").join(format!("trees/{FIRST}.json")), listing);
    // Names that no hub gives, folders that are links, repos of another kind.
    cache.file("models--acme--name", "main", "config.json", b"{}", false);
    symlink(hub("models--acme--good"), hub("models--acme--link")).expect("linked");
    symlink("/etc", hub("models--acme--etc")).expect("linked");
    write(&hub("spaces--acme--app").join("snapshots").join(FIRST).join("app.py"), "x");
    write(&hub("models--acme--odd\u{1b}[2J").join("snapshots").join(FIRST).join("a"), "x");

    let answer = adopt(&home, &cache.0);
    let adopted: Vec<(&str, &str)> = list(&answer, "adopted")
        .iter()
        .map(|line| (text(line, "hub"), text(line, "commit")))
        .collect();
    assert_eq!(
        adopted,
        [("acme/bad", SECOND), ("acme/good", FIRST), ("acme/good", SECOND), ("acme/listed", FIRST),]
    );
    let why: BTreeMap<String, &str> = list(&answer, "left_out")
        .iter()
        .map(|line| {
            let path = Path::new(text(line, "path")).strip_prefix(cache.0.join("hub"));
            let path = path.expect("inside").to_string_lossy();
            (path.split('/').next().unwrap_or_default().to_owned(), text(line, "why"))
        })
        .collect();
    for (repo, reason) in [
        ("models--acme--bad", "does not have the digest"),
        ("models--acme--worse", "does not have the digest"),
        ("models--acme--dangling", "leads nowhere"),
        ("models--acme--leaving", "outside"),
        ("models--acme--begun", "not fetched to its end"),
        ("models--acme--fetching", "still be fetching"),
        ("models--acme--name", "no commit id"),
        ("models--acme--link", "is a link"),
        ("models--acme--etc", "is a link"),
        ("spaces--acme--app", "neither a model nor a dataset"),
        ("models--acme--odd\u{1b}[2J", "no repo"),
    ] {
        assert!(why.get(repo).is_some_and(|why| why.contains(reason)), "{repo}: {why:#?}");
    }
    assert_eq!(why.len(), 11, "{why:#?}");
    let said = home.say(&["adopt", as_text(&cache.0)]);
    assert!(!said.stdout.contains('\u{1b}'), "{said:#?}");
    assert!(said.stdout.contains("LEFT OUT") && said.stderr.contains("hint: `modelswarm share"));

    let bad = home.run(&["adopt", as_text(&hub("models--acme--worse"))]);
    bad.failure(1).says("does not have the digest");
    assert_eq!(list(&bad.json(), "adopted"), [] as [Value; 0]);
}

#[test]
fn blobs_in_the_store_that_a_cache_s_repos_share_are_followed_and_only_where_it_is_marked() {
    let home = Home::new();
    let cache = Cache::new(&home);
    let weights = noise(5, 2 * MIB);
    let (etag, xet) = (sha256(&weights), "ab".repeat(32));
    write(&cache.repo("blobs").join("ab").join(&xet), &weights);
    for repo in ["models--acme--one", "models--acme--two"] {
        cache.link(repo, FIRST, "model.safetensors", &etag);
        fs::create_dir_all(cache.repo(repo).join("blobs")).expect("made");
        let link = cache.repo(repo).join("blobs").join(&etag);
        symlink(format!("../../blobs/ab/{xet}"), link).expect("linked");
    }
    let unmarked = home.run(&["adopt", as_text(&cache.0)]);
    unmarked.failure(1).says("outside");
    write(&cache.repo("blobs").join(".huggingface-shared-blobs"), "1\n");
    let answer = adopt(&home, &cache.0);
    assert_eq!(list(&answer, "adopted").len(), 2, "{answer}");
    assert_eq!(number(&answer, "read_bytes"), weights.len() as u64, "both repos share one file");
    // The name is that of the repo's own link.
    fs::write(cache.repo("blobs").join("ab").join(&xet), noise(6, 2 * MIB)).expect("damaged");
    home.run(&["adopt", as_text(&cache.0)]).failure(1).says("does not have the digest");
}

#[test]
fn ollama_s_models_get_names_that_tell_what_they_are() {
    let home = Home::new();
    let models = home.beside(".ollama/models");
    write(&home.beside(".ollama/id_ed25519"), "a private key");
    let weights = files::gguf("{{ messages }}", MIB);
    let blob = |bytes: &[u8]| {
        let digest = sha256(bytes);
        write(&models.join("blobs").join(format!("sha256-{digest}")), bytes);
        (format!("sha256:{digest}"), bytes.len())
    };
    let manifest = |tag: &str, layers: &[(&str, &[u8])]| {
        let layers: Vec<Value> = layers
            .iter()
            .map(|(kind, bytes)| {
                let (digest, size) = blob(bytes);
                let kind = format!("application/vnd.ollama.image.{kind}");
                serde_json::json!({ "mediaType": kind, "digest": digest, "size": size })
            })
            .collect();
        let (digest, size) = blob(b"{\"model_format\":\"gguf\"}");
        let config = serde_json::json!({ "digest": digest, "size": size });
        let path = models.join("manifests/registry.ollama.ai/library/tiny").join(tag);
        write(&path, serde_json::json!({ "config": config, "layers": layers }).to_string());
        path
    };
    manifest("1b", &[("model", &weights), ("template", b"{{ . }}"), ("license", b"MIT")]);
    manifest("chat", &[("model", &weights), ("params", b"{}"), ("license", b"MIT")]);
    let cut = manifest("cut", &[("model", b"GGUF that is cut off")]);
    fs::write(
        models.join("blobs").join(format!("sha256-{}", sha256(b"GGUF that is cut off"))),
        "GGUF",
    )
    .expect("cut");
    let wrong = manifest("wrong", &[("model", b"GGUF right")]);
    fs::write(models.join("blobs").join(format!("sha256-{}", sha256(b"GGUF right"))), "GGUF wrong")
        .expect("damaged");
    let answer = adopt(&home, &home.beside(".ollama"));
    let names: Vec<&str> = list(&answer, "adopted").iter().map(|line| text(line, "name")).collect();
    assert_eq!(names, ["tiny-1b", "tiny-chat"], "{answer}");
    assert_eq!(text(&answer["adopted"][0], "ollama"), "registry.ollama.ai/library/tiny:1b");
    let left: Vec<&str> = list(&answer, "left_out").iter().map(|line| text(line, "path")).collect();
    assert_eq!(left, [as_text(&cut), as_text(&wrong)], "{answer}");
    let shown = home.ask(&["show", "tiny-1b"]);
    let paths: Vec<&str> = list(&shown, "entries").iter().map(|file| text(file, "path")).collect();
    assert_eq!(paths, ["LICENSE", "ollama-config.json", "template", "tiny-1b.gguf"]);
    assert_eq!(home.ask(&["verify", "tiny-chat"])["ok"], true);
    assert_eq!(number(&adopt(&home, &models), "read_bytes"), 0);
    // The names are not on the disk: a repair finds the files by the manifest again.
    fs::remove_dir_all(home.path().join("store/index")).expect("the index is lost");
    assert_eq!(home.ask(&["repair"])["lost"], serde_json::json!([]));
    home.ask(&["share", "tiny-1b", "--to", "lan"]);
    let daemon = home.daemon(&[]);
    let fetcher = Home::new();
    let got = fetcher.get(text(&shown, "root"), &["--peer", daemon.addr()]).ok();
    let fetched = Path::new(text(&got, "path")).join("tiny-1b.gguf");
    assert_eq!(fs::read(fetched).expect("fetched"), weights);
}

#[test]
fn any_other_folder_is_adopted_as_it_is_and_a_home_of_keys_is_not() {
    let home = Home::new();
    let model = home.model("my model", 7);
    let root = home.seed(&home.model("same", 7), &["--unsigned"]);
    let answer = adopt(&home, &model);
    let line = &answer["adopted"][0];
    assert_eq!((text(line, "name"), &line["root"]), ("my-model", &root["root"]));
    assert_eq!((&line["visibility"], &line["hub"]), (&"private".into(), &Value::Null));
    assert_eq!(adopt(&home, &model)["adopted"][0]["unchanged"], true);
    // Changed, it is another version.
    write(&model.join("config.json"), "{}");
    let changed = adopt(&home, &model);
    assert_eq!(changed["adopted"][0]["unchanged"], false);
    assert_ne!(changed["adopted"][0]["root"], line["root"]);

    write(&home.beside("empty/.ollama/id_ed25519"), "a private key");
    write(&home.beside("empty/huggingface/token"), "hf_secret");
    for path in ["empty/.ollama", "empty/huggingface", "nowhere"] {
        home.run(&["adopt", as_text(&home.beside(path))]).fails(3).says("nothing to adopt");
    }
    // One of two is there.
    let nowhere = home.beside("nowhere");
    let both = ["adopt", as_text(&nowhere), as_text(&model)];
    let both = home.ask(&both);
    assert_eq!((list(&both, "adopted").len(), list(&both, "left_out").len()), (1, 1));
}

#[test]
fn one_name_of_two_namespaces_means_neither() {
    let home = Home::new();
    let cache = Cache::new(&home);
    for repo in ["models--acme--tiny", "models--other--tiny"] {
        cache.file(repo, FIRST, "config.json", repo.as_bytes(), false);
    }
    adopt(&home, &cache.0);
    home.run(&["share", "tiny", "--to", "lan"]).fails(2).says("acme/tiny").says("other/tiny");
    home.ask(&["share", "other/tiny", "--to", "lan"]);
    assert_eq!(text(&home.ask(&["show", "acme/tiny"]), "visibility"), "private");
    home.run(&["show", "nobody/tiny"]).fails(3);
}
