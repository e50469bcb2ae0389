//! The cache that Hugging Face clients share: `{models,datasets}--NS--NAME/{refs,snapshots/COMMIT,blobs}`.
//!
//! A snapshot's files are links to blobs, which are named by the hub's ETag: SHA2-256 of a large file, git's blob id of a
//! small one. Links are followed inside the repo's folder only, and into the store of blobs that a cache's repos share
//! (`scan::links`). A snapshot of which a client may still be fetching files is left out: `trees/COMMIT.json`, where there is
//! one, tells which those are. Layout: `huggingface_hub` 0.20 to 2.4.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsStr,
    fs,
    path::Path,
};

use serde::Deserialize;

use super::{Candidate, Stated, find::Findings, named, text};
use crate::{
    card::json::parse_hex,
    dag::name::escape,
    library::{
        Watch, files, note,
        scan::{self, Found, Selection},
    },
    limits,
    rpc::{Failure, Kind},
};

/// The repo that a folder of the cache is named after: its kind and id.
pub(super) fn repo_of(folder: &str) -> Option<(Kind, String)> {
    let mut parts = folder.split("--");
    let kind = match parts.next()? {
        "models" => Kind::Model,
        "datasets" => Kind::Dataset,
        _ => return None,
    };
    let parts: Vec<&str> = parts.collect();
    let is_segment = |part: &&str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        // The Hub's own bound of a whole id.
        !part.is_empty() && part.len() <= 96 && part.chars().all(allowed) && !part.contains("..")
    };
    (matches!(parts.len(), 1 | 2) && parts.iter().all(is_segment)).then(|| (kind, parts.join("/")))
}

/// Whether a folder holds what a cache does.
pub(super) fn has_repos(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().take(limits::ADOPT_REPOS).any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        ["models--", "datasets--", "spaces--"].iter().any(|start| name.starts_with(start))
    })
}

/// Lists all repos of a cache.
///
/// # Errors
/// Interrupted (130) if nobody waits any more.
pub(super) fn cache(folder: &Path, found: &mut Findings, watch: &Watch) -> Result<(), Failure> {
    match fs::symlink_metadata(folder) {
        Ok(metadata) if metadata.is_symlink() => {
            found.leave(folder, "it is a link: adopt the folder that it leads to by its own path");
            return Ok(());
        }
        Ok(_) => {}
        // A home of the clients in which no cache was made yet.
        Err(_) => return Ok(()),
    }
    let names = match names_in(folder, limits::ADOPT_REPOS) {
        Ok(names) => names,
        Err(why) => {
            found.leave(folder, why);
            return Ok(());
        }
    };
    for name in names {
        let shown = name.to_string_lossy();
        if shown.starts_with("spaces--") || shown.starts_with("kernels--") {
            found.leave(&folder.join(&name), "it is neither a model nor a dataset");
        } else if shown.starts_with("models--") || shown.starts_with("datasets--") {
            repo(&folder.join(&name), None, found, watch)?;
        }
    }
    Ok(())
}

/// Names of a folder's entries, in order, if there are not more than `max`.
fn names_in(folder: &Path, max: usize) -> Result<Vec<std::ffi::OsString>, String> {
    let entries = fs::read_dir(folder).map_err(|why| scan::unreadable(folder, &why).message)?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(|why| scan::unreadable(folder, &why).message)?.file_name());
        if names.len() > max {
            return Err(format!(
                "{} has more than {max} entries: adopt what is in it by its own path",
                escape(&folder.to_string_lossy())
            ));
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Lists the snapshots of a repo, or `only` one of them.
///
/// # Errors
/// Interrupted (130) if nobody waits any more.
pub(super) fn repo(
    folder: &Path,
    only: Option<&OsStr>,
    found: &mut Findings,
    watch: &Watch,
) -> Result<(), Failure> {
    watch.check()?;
    match Repo::read(folder) {
        Ok(repo) => {
            let chosen = |name: &&String| only.is_none_or(|only| only == name.as_str());
            for name in repo.snapshots.iter().filter(chosen) {
                watch.check()?;
                match repo.snapshot(name, watch) {
                    Ok(candidate) => found.add(candidate),
                    Err(why) => found.leave(&folder.join("snapshots").join(name), why),
                }
            }
        }
        Err(why) => found.leave(folder, why),
    }
    Ok(())
}

/// A repo of the cache, and what its folder says of all its snapshots.
struct Repo<'a> {
    folder: &'a Path,
    kind: Kind,
    id: String,
    /// Refs by the commit that they point to.
    refs: HashMap<String, Vec<String>>,
    /// ETags of blobs that a client has begun and not finished.
    unfinished: BTreeSet<String>,
    /// Entries of `snapshots`; what `main` points to stands last, so that it is the newest in the library.
    snapshots: Vec<String>,
}

impl<'a> Repo<'a> {
    fn read(folder: &'a Path) -> Result<Self, String> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let (kind, id) = repo_of(&name)
            .ok_or_else(|| format!("\"{}\" is the name of no repo of a hub", escape(&name)))?;
        let metadata = fs::symlink_metadata(folder);
        if metadata.map_err(|why| scan::unreadable(folder, &why).message)?.is_symlink() {
            return Err("it is a link: adopt the folder that it leads to by its own path".into());
        }
        let inside = folder.join("snapshots");
        let is_folder = fs::symlink_metadata(&inside).is_ok_and(|metadata| metadata.is_dir());
        if !is_folder {
            return Err("it has no snapshots: nothing of it was fetched to the end".into());
        }
        let refs = refs(folder);
        let main = |name: &String| {
            refs.get(name).is_some_and(|refs: &Vec<String>| refs.iter().any(|it| it == "main"))
        };
        let mut snapshots: Vec<String> = names_in(&inside, limits::ADOPT_SNAPSHOTS)?
            .into_iter()
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| name != ".DS_Store")
            .collect();
        if snapshots.is_empty() {
            return Err("it has no snapshots: nothing of it was fetched to the end".into());
        }
        snapshots.sort_by_key(|name| main(name));
        Ok(Self { folder, kind, id, unfinished: unfinished(folder)?, refs, snapshots })
    }

    fn snapshot(&self, commit: &str, watch: &Watch) -> Result<Candidate, String> {
        if !is_commit(commit) {
            return Err("its name is no commit id of a hub".into());
        }
        let location = self.folder.join("snapshots").join(commit);
        text(&location)?;
        if !fs::symlink_metadata(&location).is_ok_and(|metadata| metadata.is_dir()) {
            return Err("it is no folder".into());
        }
        let scan = Selection::new(&[], &[])
            .and_then(|all| scan::scan(&location, &all, false))
            .map_err(|failure| failure.message)?;
        if !scan.left_out.is_empty() {
            let (left, location) = (scan.left_out.join(", "), location.display());
            watch.warn(escape(&format!("left out of {location}: {left}")));
        }
        let mut stated = HashMap::new();
        for file in &scan.files {
            let etag = fs::read_link(location.join(&file.path)).ok();
            let etag = etag.as_deref().and_then(Path::file_name).and_then(OsStr::to_str);
            if etag.is_some_and(|etag| etag.ends_with(".incomplete")) {
                return Err(format!("{} is not fetched to its end", escape(&file.path)));
            }
            if let Some(digest) = etag.and_then(stated_by) {
                stated.insert(file.source.clone(), digest);
            }
        }
        self.check_finished(commit, &scan.files)?;
        let name = self.id.rsplit('/').next().unwrap_or_default();
        let mut refs = self.refs.get(commit).cloned().unwrap_or_default();
        refs.truncate(limits::ADOPT_REFS_NOTED);
        Ok(Candidate {
            name: named(name)?,
            kind: self.kind,
            adopted: Some(note::Adopted::Hub {
                id: self.id.clone(),
                commit: commit.to_owned(),
                refs,
            }),
            location,
            files: scan.files,
            empty: scan.empty,
            stated,
        })
    }

    /// Refuses a snapshot that lacks a file which a client has begun to fetch.
    fn check_finished(&self, commit: &str, files: &[Found]) -> Result<(), String> {
        let Some(first) = self.unfinished.first() else { return Ok(()) };
        let path = self.folder.join("trees").join(format!("{commit}.json"));
        let listing = files::read_at_most(&path, limits::ADOPT_LISTING_BYTES).ok();
        let Some(listing) = listing.and_then(|bytes| parse_listing(&bytes)) else {
            return Err(format!(
                "a client may still be fetching it: blobs/{}.incomplete; finish that download, or delete the file",
                escape(first)
            ));
        };
        let here: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let lacks = listing
            .iter()
            .find(|(path, etag)| self.unfinished.contains(*etag) && !here.contains(path.as_str()));
        match lacks {
            Some((path, _)) => Err(format!("{} is not fetched to its end", escape(path))),
            None => Ok(()),
        }
    }
}

/// Whether a name is a commit id: 40 hex digits in lower case.
fn is_commit(name: &str) -> bool {
    name.len() == 40 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What a blob's name says of its bytes; none if it is no digest that we know.
fn stated_by(etag: &str) -> Option<Stated> {
    match etag.len() {
        64 => parse_hex(etag).map(Stated::Sha256),
        40 => parse_hex(etag).map(Stated::Git),
        _ => None,
    }
}

/// The refs of a repo by the commit that they point to. What is no ref is passed over.
fn refs(repo: &Path) -> HashMap<String, Vec<String>> {
    let mut refs = HashMap::<String, Vec<String>>::new();
    let mut folders = vec![(repo.join("refs"), String::new(), 1)];
    let mut left = limits::ADOPT_REFS;
    while let Some((folder, prefix, depth)) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            if left == 0 {
                return refs;
            }
            left -= 1;
            let (name, Ok(kind)) = (entry.file_name(), entry.file_type()) else { continue };
            let Some(name) = name.to_str() else { continue };
            let name = format!("{prefix}{name}");
            if kind.is_dir() && depth < limits::ADOPT_REF_DEPTH {
                folders.push((entry.path(), format!("{name}/"), depth + 1));
            } else if kind.is_file() && is_ref(&name) {
                let bytes = files::read_at_most(&entry.path(), limits::ADOPT_REF_BYTES);
                let commit = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
                let commit = commit.as_deref().map(str::trim).filter(|commit| is_commit(commit));
                if let Some(commit) = commit {
                    refs.entry(commit.to_owned()).or_default().push(name);
                }
            }
        }
    }
    refs.values_mut().for_each(|names| names.sort_unstable());
    refs
}

fn is_ref(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '+');
    name.len() <= limits::ADOPT_REF_NAME && name.chars().all(allowed)
}

/// ETags of blobs that were begun (`ETAG.incomplete`, `ETAG.RANDOM.incomplete`) and are not there.
fn unfinished(repo: &Path) -> Result<BTreeSet<String>, String> {
    let folder = repo.join("blobs");
    if !folder.exists() {
        return Ok(BTreeSet::new());
    }
    let names = names_in(&folder, limits::ADOPT_BLOBS)?;
    let begun = names.iter().filter_map(|name| {
        let name = name.to_str()?;
        name.ends_with(".incomplete").then(|| name.split('.').next().unwrap_or_default())
    });
    Ok(begun.filter(|etag| !folder.join(etag).exists()).map(str::to_owned).collect())
}

/// A client's list of a commit's files: the ETag of each, by path.
fn parse_listing(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    #[derive(Deserialize)]
    struct Listing {
        files: BTreeMap<String, Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        blob_id: String,
        lfs_sha256: Option<String>,
    }
    if bytes.len() > limits::ADOPT_LISTING_BYTES {
        return None;
    }
    let listing: Listing = serde_json::from_slice(bytes).ok()?;
    let etag = |entry: Entry| entry.lfs_sha256.unwrap_or(entry.blob_id);
    Some(listing.files.into_iter().map(|(path, entry)| (path, etag(entry))).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_folder_of_the_cache_is_named_after_its_repo() {
        let repo = |folder: &str| repo_of(folder).map(|(_, id)| id);
        assert_eq!(repo_of("models--gpt2"), Some((Kind::Model, "gpt2".into())));
        assert_eq!(repo_of("datasets--a-b--c.d_e"), Some((Kind::Dataset, "a-b/c.d_e".into())));
        for other in [
            "models",
            "models--",
            "models----b",
            "models--a--b--c",
            "spaces--a--b",
            "models--a--..",
            "models--a--b/c",
            "models--a--\u{202e}b",
            "Models--a--b",
        ] {
            assert_eq!(repo(other), None, "{other}");
        }
        assert_eq!(repo(&format!("models--a--{}", "b".repeat(97))), None);
    }

    #[test]
    fn a_blob_is_checked_by_the_digest_that_it_is_named_by() {
        assert_eq!(stated_by(&"ab".repeat(32)), Some(Stated::Sha256([0xab; 32])));
        assert_eq!(stated_by(&"ab".repeat(20)), Some(Stated::Git([0xab; 20])));
        for other in ["", "d41d8cd98f00b204e9800998ecf8427e-12", &"zz".repeat(32)] {
            assert_eq!(stated_by(other), None, "{other}");
        }
    }

    #[test]
    fn a_listing_tells_by_which_etag_each_file_is_kept() {
        let listing = br#"{"format_version":1,"files":{
            "a.json":{"size":1,"blob_id":"0a"},
            "m.bin":{"size":2,"blob_id":"0b","lfs_sha256":"0c","lfs_size":2,"xet_hash":"0d"}}}"#;
        let files = parse_listing(listing).expect("a listing");
        assert_eq!(files["a.json"], "0a");
        assert_eq!(files["m.bin"], "0c");
        assert_eq!(parse_listing(b"{}"), None);
    }

    #[test]
    fn refs_with_odd_names_or_contents_are_passed_over() {
        let dir = tempfile::tempdir().expect("temp dir");
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let write = |name: &str, text: &str| {
            let path = dir.path().join("refs").join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        write("main", commit);
        write("pr/1", &format!("{commit}\n"));
        write("with space", commit);
        write("short", "0123");
        write("long", &format!("{commit}{commit}"));
        write("a/b/c/d/e", commit);
        let refs = refs(dir.path());
        assert_eq!(refs.len(), 1, "{refs:?}");
        assert_eq!(refs[commit], ["main", "pr/1"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_listing_or_none(bytes: Vec<u8>, name: String) {
            let _ = parse_listing(&bytes);
            if let Some((_, id)) = repo_of(&name) {
                prop_assert!(id.matches('/').count() <= 1);
            }
        }
    }
}
