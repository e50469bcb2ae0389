use proptest::prelude::*;

use super::*;
use crate::card::{Alias, name::RESERVED};

fn id(text: &str) -> RepoId {
    let (kind, text) = match text.strip_prefix("datasets/") {
        Some(rest) => (Kind::Dataset, rest),
        None => (Kind::Model, text),
    };
    let (namespace, name) = match text.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, text),
    };
    RepoId { kind, namespace, name: name.to_owned() }
}

fn get(path: &str) -> Result<Route, Missed> {
    parse(&Method::GET, path)
}

fn post(path: &str) -> Result<Route, Missed> {
    parse(&Method::POST, path)
}

fn tree(directory: &str) -> Result<Route, Missed> {
    Ok(Route::Tree { repo: id("ns/r"), revision: "main".into(), directory: directory.into() })
}

fn file(repo: &str, revision: &str, path: &str) -> Result<Route, Missed> {
    Ok(Route::File { repo: id(repo), revision: revision.into(), path: path.into() })
}

fn is_bad<T>(result: &Result<T, Missed>) -> bool {
    matches!(result, Err(Missed::Bad(_)))
}

fn is_bad_repo<T>(result: &Result<T, Missed>) -> bool {
    matches!(result, Err(Missed::BadRepo(_)))
}

#[test]
fn ids_of_one_and_two_parts_are_told_apart_by_the_word_behind_them() {
    let (m, r) = (|| "main".to_owned(), || Some("x".to_owned()));
    for name in ["r", "ns/r", "datasets/r", "datasets/ns/r", "v2.5_a-b", "api/x"] {
        let repo = || id(name);
        let api = format!("/api/{}s/{}", repo().kind.as_str(), repo());
        let read = |rest: &str| get(&format!("{api}{rest}"));
        let write = |rest: &str| post(&format!("{api}{rest}"));
        assert_eq!(read(""), Ok(Route::Info { repo: repo(), revision: None }));
        assert_eq!(read("/revision/x"), Ok(Route::Info { repo: repo(), revision: r() }));
        let directory = "a/b".to_owned();
        let whole = Route::Tree { repo: repo(), revision: m(), directory: directory.clone() };
        assert_eq!(read("/tree/main/a/b"), Ok(whole));
        assert_eq!(write("/paths-info/main"), Ok(Route::PathsInfo { repo: repo(), revision: m() }));
        assert_eq!(read("/commits/main"), Ok(Route::Commits { repo: repo(), revision: m() }));
        if repo().namespace.is_some() {
            assert_eq!(read("/refs"), Ok(Route::Refs { repo: repo() }));
            assert_eq!(read("/auth-check"), Ok(Route::AuthCheck { repo: repo() }));
        }
        assert_eq!(write("/preupload/main"), Ok(Route::Preupload { repo: repo(), revision: m() }));
        assert_eq!(write("/commit/main"), Ok(Route::Commit { repo: repo(), revision: m() }));
        assert_eq!(write("/branch/main"), Ok(Route::Branch { repo: repo(), name: m() }));
        assert_eq!(write("/tag/main"), Ok(Route::Tag { repo: repo(), revision: m() }));
        for (word, write) in [("read", false), ("write", true)] {
            let token = Route::XetToken { repo: repo(), revision: m(), write };
            assert_eq!(read(&format!("/xet-{word}-token/main")), Ok(token));
        }
        if name != "api/x" {
            let path = format!("/{name}/resolve/main/a/b");
            assert_eq!(get(&path), file(name, "main", "a/b"));
            assert_eq!(get(&path.replace("/resolve/", "/raw/")), file(name, "main", "a/b"));
            let batch = format!("/{name}.git/info/lfs/objects/batch");
            assert_eq!(post(&batch), Ok(Route::LfsBatch { repo: repo() }));
        }
    }
}

#[test]
fn what_has_no_repo_is_found() {
    for (path, kind) in [("/api/models", Kind::Model), ("/api/datasets", Kind::Dataset)] {
        assert_eq!(get(path), Ok(Route::List { kind }));
    }
    assert_eq!(get("/api/whoami-v2"), Ok(Route::WhoAmI));
    assert_eq!(post("/api/repos/create"), Ok(Route::Create));
    assert_eq!(parse(&Method::DELETE, "/api/repos/delete"), Ok(Route::Delete));
    assert_eq!(post("/api/validate-yaml"), Ok(Route::ValidateYaml));
}

#[test]
fn ollama_and_old_llama_cpp_find_manifests_and_blobs() {
    let tag = "Q4_K_M".to_owned();
    assert_eq!(get("/v2/ns/r/manifests/Q4_K_M"), Ok(Route::Manifest { repo: id("ns/r"), tag }));
    let digest = format!("sha256:{}", "ab".repeat(32));
    let blob = Ok(Route::Blob { repo: id("ns/r"), digest: digest.clone() });
    assert_eq!(get(&format!("/v2/ns/r/blobs/{digest}")), blob);
    assert_eq!(get(&format!("/v2/ns/r/blobs/{}", digest.replace(':', "%3A"))), blob);
    assert!(is_bad(&get("/v2/ns/r/manifests/a%2Fb")) && is_bad(&get("/v2/ns/r/blobs/")));
    for path in ["/v2/", "/v2/ns/r", "/v2/r/manifests/x", "/v2/a/b/c/manifests/x", "/v2/a/b/tags/x"]
    {
        assert_eq!(get(path), Err(Missed::Unknown), "{path}");
    }
}

#[test]
fn an_empty_owner_counts_as_none() {
    assert_eq!(get("//r/resolve/main/f"), file("r", "main", "f"));
    assert_eq!(get("/datasets//r/resolve/main/f"), file("datasets/r", "main", "f"));
    assert_eq!(get("/api/models//r"), Ok(Route::Info { repo: id("r"), revision: None }));
    assert_eq!(get("/api/models//r/refs"), Ok(Route::Refs { repo: id("r") }));
    assert_eq!(post("//r.git/info/lfs/objects/batch"), Ok(Route::LfsBatch { repo: id("r") }));
    for path in ["//ns/r/resolve/main/f", "///r/resolve/main/f", "/api/models//ns/r", "//"] {
        assert!(!matches!(get(path), Ok(_) | Err(Missed::Bad(_))), "{path}");
    }
}

#[test]
fn a_revision_is_one_piece_and_stays_as_sent() {
    for (raw, revision) in [
        ("refs%2Fheads%2Fmain", "refs/heads/main"),
        ("refs%2fpr%2f1", "refs/pr/1"),
        ("HEAD", "HEAD"),
        ("v1%2B2+3", "v1+2+3"),
        ("%252F", "%2F"),
    ] {
        assert_eq!(get(&format!("/ns/r/resolve/{raw}/a/b")), file("ns/r", revision, "a/b"));
        let info = Route::Info { repo: id("ns/r"), revision: Some(revision.into()) };
        assert_eq!(get(&format!("/api/models/ns/r/revision/{raw}")), Ok(info));
    }
    for raw in ["", "..", "a%2F..%2Fb", "%2Fa", "a%2F", "a%00", "a%0A", "a%5Cb", "%FF"] {
        assert!(is_bad(&get(&format!("/ns/r/resolve/{raw}/f"))), "{raw}");
        assert!(is_bad(&get(&format!("/api/models/ns/r/tree/{raw}"))), "{raw}");
        assert!(is_bad(&post(&format!("/api/models/ns/r/branch/{raw}"))), "{raw}");
    }
    assert_eq!(get("/api/models/ns/r/revision/refs/pr/1"), Err(Missed::Unknown));
}

#[test]
fn directories_arrive_with_slashes_in_either_form() {
    for (raw, directory) in [
        ("", ""),
        ("/", ""),
        ("/%2F", ""),
        ("/a", "a"),
        ("/a/", "a"),
        ("/a%2F", "a"),
        ("/a/b%2Fc", "a/b/c"),
        ("/a%20b+c", "a b+c"),
        ("/a%252Fb", "a%2Fb"),
    ] {
        assert_eq!(get(&format!("/api/models/ns/r/tree/main{raw}")), tree(directory), "{raw}");
    }
    for raw in ["a//b", "%2Fa", "a%2F%2F", "..", "a/..%2F", "%2E%2E", "a%2F.%2Fb", "a%5Cb", "a%09"]
    {
        assert!(is_bad(&get(&format!("/api/models/ns/r/tree/main/{raw}"))), "{raw}");
    }
}

#[test]
fn file_paths_are_decoded_once() {
    for (raw, path) in [
        ("a%20b%2Bc%2520%C3%A9.txt", "a b+c%20é.txt"),
        ("a+b.gguf", "a+b.gguf"),
        ("sub/dir/f", "sub/dir/f"),
        ("sub%2Ff", "sub/f"),
        ("é/100%.txt", "é/100%.txt"),
        ("a..b/...", "a..b/..."),
        ("resolve/main/x", "resolve/main/x"),
        ("x.git/info/lfs/objects/batch", "x.git/info/lfs/objects/batch"),
    ] {
        assert_eq!(get(&format!("/ns/r/resolve/main/{raw}")), file("ns/r", "main", path), "{raw}");
    }
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    for raw in [
        "",
        "/",
        "/etc/passwd",
        "a/",
        "a//b",
        ".",
        "..",
        "../x",
        "a/../b",
        "%2e%2e/x",
        "..%2Fx",
        "a%2F..%2F..",
        "%2Fetc",
        "a%00b",
        "a\0b",
        "a%5Cb",
        "a\\b",
        "a%0Ab",
        "a%C2%9Bb",
        "a%1B",
        "%FF",
        "%C3",
        "%C3/%A9",
        "%C0%AE%C0%AE/x",
    ] {
        assert!(is_bad(&get(&format!("/ns/r/resolve/main/{raw}"))), "{raw}");
    }
    // Decoded twice, this would be "..".
    assert_eq!(get("/ns/r/resolve/main/%252e%252e"), file("ns/r", "main", "%2e%2e"));
    let start = "/ns/r/resolve/main/";
    let of = |len: usize| get(&format!("{start}{}", "a".repeat(len - start.len())));
    assert!(of(PATH_MAX).is_ok() && is_bad(&of(PATH_MAX + 1)));
}

#[test]
fn ids_that_no_repo_has_are_refused() {
    let long = "a".repeat(97);
    for part in [
        "a--b", "a..b", "-a", "a-", ".a", "a.", ".", "..", "a.git", "a%20b", "a%2Fb", "a+b", "é",
        "%C3%A9", "a%00", "a%0A", "a@b", "%2e%2e", &long,
    ] {
        assert!(is_bad_repo(&get(&format!("/api/models/{part}"))), "{part}");
        assert!(is_bad_repo(&get(&format!("/api/models/{part}/r"))), "{part}");
        assert!(is_bad_repo(&get(&format!("/ns/{part}/resolve/main/f"))), "{part}");
        assert!(is_bad_repo(&get(&format!("/v2/{part}/r/manifests/x"))), "{part}");
        assert!(is_bad_repo(&post(&format!("/ns/{part}.git/info/lfs/objects/batch"))), "{part}");
    }
    assert!(is_bad_repo(&post("/.git/info/lfs/objects/batch")));
    assert!(get(&format!("/api/models/{}/{}", "a".repeat(96), "b".repeat(96))).is_ok());
    // An id is an id once it is decoded.
    assert_eq!(get("/api/models/n%73/r"), Ok(Route::Info { repo: id("ns/r"), revision: None }));
    assert_eq!(get("/api/models/ns/%72"), Ok(Route::Info { repo: id("ns/r"), revision: None }));
    let Err(Missed::BadRepo(why)) = get(&format!("/api/models/{}%1B", "a".repeat(3000))) else {
        panic!("an id of 3,000 characters")
    };
    assert!(why.len() < 300 && !why.contains(char::is_control), "{why}");
}

/// Every word of a path, one of another kind among them.
const WORDS: [&str; 22] = [
    "api",
    "models",
    "datasets",
    "spaces",
    "v2",
    "_up",
    "healthz",
    "revision",
    "tree",
    "paths-info",
    "refs",
    "commits",
    "commit",
    "preupload",
    "branch",
    "tag",
    "auth-check",
    "xet-read-token",
    "xet-write-token",
    "resolve",
    "raw",
    "main",
];

fn model(namespace: &str, name: &str) -> RepoId {
    RepoId { kind: Kind::Model, namespace: Some(namespace.to_owned()), name: name.to_owned() }
}

fn a_file_of(repo: RepoId) -> Result<Route, Missed> {
    Ok(Route::File { repo, revision: "main".into(), path: "f".into() })
}

#[test]
fn a_repo_may_be_called_like_a_word_of_paths() {
    for word in WORDS {
        for namespace in ["ns", word] {
            let repo = || model(namespace, word);
            let name = repo().to_string();
            let at = format!("/api/models/{name}");
            assert_eq!(get(&at), Ok(Route::Info { repo: repo(), revision: None }), "{name}");
            let revision = Some("main".to_owned());
            let info = Route::Info { repo: repo(), revision };
            assert_eq!(get(&format!("{at}/revision/main")), Ok(info));
            let (revision, directory) = ("main".to_owned(), String::new());
            let tree = Route::Tree { repo: repo(), revision, directory };
            assert_eq!(get(&format!("{at}/tree/main")), Ok(tree));
            assert_eq!(get(&format!("{at}/refs")), Ok(Route::Refs { repo: repo() }));
            let commit = Route::Commit { repo: repo(), revision: "main".into() };
            assert_eq!(post(&format!("{at}/commit/main")), Ok(commit));
            if namespace.parse::<Alias>().is_ok() {
                for verb in ["resolve", "raw"] {
                    assert_eq!(get(&format!("/{name}/{verb}/main/f")), a_file_of(repo()));
                }
            }
        }
    }
}

#[test]
fn no_alias_is_what_another_path_begins_with() {
    for word in WORDS.into_iter().chain(RESERVED) {
        let first = get(&format!("/{word}/r/resolve/main/f"));
        // Served beside the Hub's routes, or to be.
        let beside = ["healthz", "metrics", "ipfs"].contains(&word);
        let is_own = first == a_file_of(model(word, "r")) && !beside;
        assert_eq!(word.parse::<Alias>().is_ok(), is_own, "{word}: {first:?}");
    }
}

#[test]
fn a_path_that_is_none_of_a_repo_with_an_owner_is_of_one_without() {
    let revision = || "main".to_owned();
    let commit = Ok(Route::Commit { repo: id("r"), revision: revision() });
    assert_eq!(post("/api/models/r/commit/main"), commit);
    assert_eq!(get("/r/resolve/resolve/f"), file("r", "resolve", "f"));
    assert_eq!(get("/api/models/r/refs"), Ok(Route::Info { repo: id("r/refs"), revision: None }));
    let info = Route::Info { repo: id("tree"), revision: Some(revision()) };
    assert_eq!(get("/api/models/tree/revision/main"), Ok(info));
}

#[test]
fn known_paths_name_their_methods() {
    let table = [
        ("/api/models", READ),
        ("/api/datasets/ns/r", READ),
        ("/api/models/ns/r/revision/main", READ),
        ("/api/models/ns/r/tree/main", READ),
        ("/api/models/ns/r/refs", READ),
        ("/api/models/ns/r/commits/main", READ),
        ("/api/models/ns/r/auth-check", READ),
        ("/api/models/ns/r/xet-write-token/main", READ),
        ("/api/whoami-v2", READ),
        ("/ns/r/resolve/main/f", READ),
        ("/datasets/r/raw/main/f", READ),
        ("/v2/ns/r/manifests/latest", READ),
        ("/v2/ns/r/blobs/sha256:a", READ),
        ("/api/models/ns/r/paths-info/main", "POST"),
        ("/api/models/ns/r/preupload/main", "POST"),
        ("/api/models/ns/r/commit/main", "POST"),
        ("/api/models/ns/r/branch/x", "POST"),
        ("/api/models/ns/r/tag/main", "POST"),
        ("/ns/r.git/info/lfs/objects/batch", "POST"),
        ("/api/repos/create", "POST"),
        ("/api/validate-yaml", "POST"),
        ("/api/repos/delete", "DELETE"),
    ];
    let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "get", "X"];
    for (path, allow) in table {
        for method in methods {
            let result = parse(&method.parse().unwrap(), path);
            if allow.split(", ").any(|allowed| allowed == method) {
                let first = allow.split(", ").next().unwrap();
                assert_eq!(result, parse(&first.parse().unwrap(), path));
                assert!(result.is_ok(), "{method} {path}: {result:?}");
            } else {
                assert_eq!(result, Err(Missed::Method(allow)), "{method} {path}");
            }
        }
    }
}

#[test]
fn other_paths_are_unknown() {
    for path in [
        "",
        "x",
        "*",
        "/",
        "/api",
        "/api/",
        "/api/agent-harnesses",
        "/api/models-tags-by-type",
        "/api/repos",
        "/api/repos/move",
        "/api/whoami-v2/",
        "/api/models/ns/r/",
        "/api/Models",
        "/api/models/ns/r/settings",
        "/api/models/ns/r/tree",
        "/api/models/ns/r/refs/x",
        "/api/models/ns/r/revision/a/b",
        "/api/models/a/b/c",
        "/robots.txt",
        "/ns/r",
        "/ns/r/blob/main/f",
        "/ns/r/resolve",
        "/ns/r/resolve/main",
        "/a/b/c/resolve/main/f",
        "/datasets",
        "/datasets/resolve/main/f",
        "/ns/r.git/info/refs",
        "/models/ns/r/resolve/a/f",
        "/ns/r.git/info/lfs/objects/batch/",
        "/a/b/r.git/info/lfs/objects/batch",
        "/datasets/a/b/r.git/info/lfs/objects/batch",
        "/ns/r/%72esolve/main/f",
    ] {
        assert_eq!(get(path), Err(Missed::Unknown), "{path}");
        assert_eq!(post(path), Err(Missed::Unknown), "{path}");
    }
}

#[test]
fn repos_of_other_kinds_are_recognised() {
    let other = |id: &str| Ok(Route::OtherKind { id: Some(id.to_owned()) });
    for kind in ["spaces", "kernels"] {
        assert_eq!(get(&format!("/api/{kind}")), Ok(Route::OtherKind { id: None }));
        assert_eq!(get(&format!("/api/{kind}/ns/r/revision/HEAD")), other("ns/r"));
        assert_eq!(get(&format!("/{kind}/ns/r/resolve/main/f")), other("ns/r"));
        assert_eq!(post(&format!("/{kind}/r.git/info/lfs/objects/batch")), other("r"));
        assert!(is_bad(&get(&format!("/{kind}/ns/r/resolve/main/.."))));
        assert_eq!(post(&format!("/api/{kind}/ns/r")), Err(Missed::Method(READ)));
    }
}

#[test]
fn a_repo_id_is_written_as_in_urls() {
    for (text, prefix) in
        [("ns/r", ""), ("datasets/ns/r", "datasets/"), ("datasets/r", "datasets/")]
    {
        let repo = id(text);
        assert_eq!(repo.path_prefix(), prefix);
        assert_eq!(format!("{prefix}{repo}"), text);
    }
}

/// Every byte that a URL could read otherwise, escaped; slashes too unless they are kept.
fn escaped(text: &str, keep_slash: bool) -> String {
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b) || (keep_slash && b == b'/');
    let bytes = text.bytes();
    bytes.map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn is_safe(path: &str) -> bool {
    !path.contains(|c: char| c.is_control() || c == '\\')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

const PIECES: &str = "api|models|datasets|spaces|v2|ns|r|revision|tree|refs|resolve|raw|main|manifests|blobs|r\\.git|info|lfs|objects|batch|\\.\\.|%2[EeFf]|%5C|%00|%|%25|[a.%-]{0,4}|\\PC{0,4}";

proptest! {
    #[test]
    fn any_path_never_panics_and_what_is_found_is_safe(
        start in "(/api/models|/api/datasets|/datasets|/v2)?",
        pieces in prop::collection::vec(PIECES, 0..9),
        method in prop::sample::select(vec![Method::GET, Method::POST]),
    ) {
        let path = format!("{start}/{}", pieces.join("/"));
        let Ok(route) = parse(&method, &path) else { return Ok(()) };
        if let Some(repo) = route.repo() {
            for part in repo.namespace.iter().chain([&repo.name]) {
                prop_assert!(part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
                prop_assert!(is_safe(part));
            }
        }
        match &route {
            Route::File { revision, path, .. } => prop_assert!(is_safe(revision) && is_safe(path)),
            Route::Tree { revision, directory, .. } => {
                prop_assert!(is_safe(revision) && (directory.is_empty() || is_safe(directory)));
            }
            Route::Manifest { tag: word, .. } | Route::Blob { digest: word, .. } => {
                prop_assert!(is_safe(word) && !word.contains('/'));
            }
            _ => {}
        }
    }

    #[test]
    fn what_a_client_escapes_is_read_back(
        repo in "(datasets/)?([a-z0-9]{1,5}/)?[a-z0-9]{1,5}",
        revision in "[^/\\\\\\pC]{1,8}(/[^/\\\\\\pC]{1,8})?",
        path in "[^/\\\\\\pC]{1,8}(/[^/\\\\\\pC]{1,8}){0,3}",
    ) {
        let word = |word: &str| WORDS.contains(&word);
        let first = repo.split('/').next().unwrap_or_default();
        let taken = ["api", "v2", "spaces", "kernels"].contains(&first) || repo.split('/').any(word);
        prop_assume!(!taken && is_safe(&revision) && is_safe(&path));
        let raw = escaped(&revision, false);
        let url = format!("/{repo}/resolve/{raw}/{}", escaped(&path, true));
        prop_assert_eq!(get(&url), file(&repo, &revision, &path));
        for keep_slash in [true, false] {
            let id = id(&repo);
            let at = format!("/api/{}s/{id}", id.kind.as_str());
            let url = format!("{at}/tree/{raw}/{}", escaped(&path, keep_slash));
            let (repo, revision, directory) = (id, revision.clone(), path.clone());
            prop_assert_eq!(get(&url), Ok(Route::Tree { repo, revision, directory }));
        }
    }
}
