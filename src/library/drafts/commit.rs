//! A commit: the next state of a repo, from the one before it and what was uploaded.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    time::SystemTime,
};

use super::{Draft, Own, drafts, manifest, uploads};
use crate::{
    card::{CommitId, Manifest, manifest::FileEntry, release::CARD},
    config::Visibility,
    dag::{Built, Cid},
    library::{
        Library, Watch, blocking, blocks, chain, clock,
        import::{self, Imported, Index},
        note::{self, Note},
        refs::Held,
        scan::Found,
        seed, sign,
        watch::Meter,
    },
    limits,
    rpc::{Code, Failure, Stage},
    store::{self, Owner, Tree, TreeFile, TreeState},
};

/// What changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A file that was uploaded, or is known by its digest, is at this path from now on.
    Put {
        /// Where.
        path: String,
        /// Which.
        sha256: [u8; 32],
    },
    /// The file at this path goes.
    Delete {
        /// Where.
        path: String,
    },
    /// All files below this directory go.
    DeleteFolder {
        /// Its path, without a slash at the end.
        path: String,
    },
}

/// A commit as a client sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// What it is about.
    pub title: String,
    /// The state that it follows on, if the client says so.
    pub parent: Option<CommitId>,
    /// In order.
    pub changes: Vec<Change>,
}

/// Makes the next state of a repo. Nothing changed: the same state again.
///
/// # Errors
/// Usage (2) for a file that was not uploaded, and for paths that no repo has; refused (4) if `parent` is not the newest
/// state; as the disk fails.
pub async fn commit(library: &Library, own: &Own, commit: Commit) -> Result<CommitId, Failure> {
    let (library, own) = (library.clone(), own.clone());
    super::to_its_end(async move { commit_now(&library, &own, commit).await }).await
}

async fn commit_now(library: &Library, own: &Own, commit: Commit) -> Result<CommitId, Failure> {
    let _one_at_a_time = library.inner.importing.lock().await;
    let made = {
        let (library, own) = (library.clone(), own.clone());
        let work = move || {
            let made = make(&library, &own, &commit)?;
            let put = commit.changes.iter().filter_map(|change| match change {
                Change::Put { sha256, .. } => Some(*sha256),
                Change::Delete { .. } | Change::DeleteFolder { .. } => None,
            });
            uploads::forget_batches(&library, &own, &put.collect::<Vec<_>>());
            Ok(made)
        };
        blocking(work).await?
    };
    if made.is_new {
        library.inner.activity.committed(own);
    }
    Ok(made.id)
}

struct Made {
    id: CommitId,
    is_new: bool,
}

/// The state that a commit follows on.
struct Before {
    root: Cid,
    manifest: Manifest,
    records: HashMap<String, TreeFile>,
    number: u64,
}

fn before(library: &Library, own: &Own) -> Result<Option<Before>, Failure> {
    let records = |held: &Held| -> Result<HashMap<String, TreeFile>, Failure> {
        let files = library.store().tree_files(held.id)?;
        files
            .map(|file| file.map(|file| (file.path.clone(), file)).map_err(Failure::from))
            .collect()
    };
    if let Some(draft) = drafts(library, own).pop() {
        let Draft { held, note } = &draft;
        let manifest = manifest(library, &draft)?;
        let (root, records, number) = (held.tree.root, records(held)?, note.number);
        return Ok(Some(Before { root, manifest, records, number }));
    }
    let mut versions = seed::versions(library, &own.name);
    versions.sort_by_key(|(_, tree)| tree.seq);
    for (id, tree) in versions.into_iter().rev() {
        if !chain::is_accepted(library, &tree)? {
            continue;
        }
        let Some(card) = sign::card_of(library, &tree)? else { continue };
        let held = Held { id, tree };
        let manifest = sign::signed_files(library, &card)?;
        let (root, records) = (held.tree.root, records(&held)?);
        return Ok(Some(Before { root, manifest, records, number: 0 }));
    }
    Ok(None)
}

fn make(library: &Library, own: &Own, commit: &Commit) -> Result<Made, Failure> {
    super::is_of_its_kind(library, own)?;
    let before = before(library, own)?;
    let head = before.as_ref().map(|before| CommitId::of(&before.root));
    let newest = head.unwrap_or_else(|| CommitId::of(&super::nothing_yet()));
    if let Some(parent) = commit.parent
        && newest != parent
    {
        return Err(Failure::new(
            Code::Refused,
            format!("{} has moved on since {parent}; the newest state is {}", own.name, newest),
        ));
    }
    let files = apply(before.as_ref(), &commit.changes)?;
    let same = |before: &Before| {
        let old = before.manifest.files().iter();
        before.manifest.files().len() == files.len()
            && old
                .zip(&files)
                .all(|(old, (path, sha256))| old.path == *path && old.sha256 == *sha256)
    };
    if let (Some(before), Some(id)) = (&before, head)
        && same(before)
    {
        return Ok(Made { id, is_new: false });
    }
    let number = before.as_ref().map_or(0, |before| before.number) + 1;
    if number > limits::DRAFTS as u64 {
        return Err(Failure::new(
            Code::Usage,
            format!("{} states of {} wait to be signed", limits::DRAFTS, own.name),
        )
        .hint("modelswarm publish NAME signs the last one"));
    }
    let root = keep(library, own, commit, before.as_ref(), &files, number)?;
    Ok(Made { id: CommitId::of(&root), is_new: true })
}

/// The files of the next state: path and digest.
fn apply(
    before: Option<&Before>,
    changes: &[Change],
) -> Result<BTreeMap<String, [u8; 32]>, Failure> {
    let old = before.iter().flat_map(|before| before.manifest.files());
    let mut files: BTreeMap<String, [u8; 32]> =
        old.map(|file| (file.path.clone(), file.sha256)).collect();
    for change in changes {
        match change {
            Change::Put { path, .. } if path == CARD => {
                return Err(Failure::new(
                    Code::Usage,
                    format!(
                        "a repo has no file called {CARD}: that is its card, which is made when it is signed"
                    ),
                ));
            }
            Change::Put { path, sha256 } => {
                files.insert(path.clone(), *sha256);
            }
            Change::Delete { path } => {
                files.remove(path);
            }
            Change::DeleteFolder { path } => {
                let below = format!("{path}/");
                files.retain(|file, _| !file.starts_with(&below));
            }
        }
    }
    if files.is_empty() {
        return Err(Failure::new(Code::Usage, "a repo without any file cannot be published"));
    }
    Ok(files)
}

/// Indexes the new files where they were uploaded, and saves the state.
fn keep(
    library: &Library,
    own: &Own,
    commit: &Commit,
    before: Option<&Before>,
    files: &BTreeMap<String, [u8; 32]>,
    number: u64,
) -> Result<Cid, Failure> {
    let store = library.store();
    let reservation = store.reserve()?;
    let index = Index { store, tree: reservation.id(), owner: Owner::Library, in_place: true };
    // By digest: what the state before has needs no upload.
    let known: HashMap<[u8; 32], &FileEntry> = before
        .iter()
        .flat_map(|before| before.manifest.files())
        .map(|file| (file.sha256, file))
        .collect();
    let mut new: Vec<[u8; 32]> =
        files.values().filter(|sha256| !known.contains_key(*sha256)).copied().collect();
    new.sort_unstable();
    new.dedup();
    let mut found = Vec::with_capacity(new.len());
    for sha256 in &new {
        let source = uploads::object(library, own, sha256);
        let size = fs::metadata(&source).map(|it| it.len()).map_err(|_| missing(files, sha256))?;
        found.push(Found { path: crate::card::json::hex(sha256), source, size });
    }
    let (events, _unread) = tokio::sync::mpsc::channel(1);
    let meter = Meter::new(&Watch::new(events), Stage::Hashing, "", 0);
    let read = import::files(&found, Some(index), true, &meter)?;
    let mut uploaded: HashMap<[u8; 32], (Imported, Built)> = HashMap::new();
    for (sha256, (imported, built)) in new.into_iter().zip(read) {
        if imported.sha256 != Some(sha256) {
            return Err(Failure::new(Code::Failure, "an uploaded file was changed on the disk"));
        }
        uploaded.insert(sha256, (imported, built));
    }
    let mut all = Vec::with_capacity(files.len());
    for (path, sha256) in files {
        let one = match (uploaded.get(sha256), known.get(sha256), before) {
            (Some((imported, built)), ..) => {
                (Imported { path: path.clone(), ..imported.clone() }, *built)
            }
            (None, Some(file), Some(before)) => {
                let root = blocks::held(store, file.cid)?;
                let built = root.and_then(|root| Built::of_file(&root, file.size));
                let built = built.ok_or_else(|| missing(files, sha256))?;
                let record = before.records.get(&file.path).and_then(|record| record.file);
                let imported = Imported {
                    path: path.clone(),
                    size: file.size,
                    cid: file.cid,
                    sha256: Some(*sha256),
                    file: record,
                };
                (imported, built)
            }
            _ => return Err(missing(files, sha256)),
        };
        all.push(one);
    }
    let tree = import::assemble(all, &[], Some(index))?;
    let root = tree.built.cid;
    let manifest = sign::manifest(&tree.files)?;
    let list = uploads::list(library, own, &root);
    fs::create_dir_all(uploads::folder(library, own))
        .map_err(|why| uploads::failed(&list, &why))?;
    store::write_small(&list, &manifest.to_jsonl())?;
    let note = note::Draft {
        name: own.name.to_string(),
        number,
        title: commit.title.chars().take(limits::DRAFT_TITLE_MAX).collect(),
        at: clock::now()?.to_string(),
    };
    let saved = Tree {
        root,
        release: None,
        card: None,
        repo: None,
        kind: own.kind,
        version: None,
        seq: None,
        visibility: Visibility::Private,
        pinned: true,
        location: uploads::folder(library, own),
        owner: Owner::Library,
        state: TreeState::Whole,
        created_at: SystemTime::now(),
        note: Note { draft: Some(note), ..Note::default() }.to_text(),
    };
    let listed = tree.files.iter().map(|file| TreeFile {
        path: file.path.clone(),
        size: file.size,
        cid: file.cid,
        file: file.file,
    });
    store.save_tree(reservation.id(), &saved, &listed.collect::<Vec<_>>())?;
    Ok(root)
}

/// The list of files of a state that was committed.
///
/// # Errors
/// Failure (1) if it is lost.
pub(super) fn read_list(library: &Library, own: &Own, root: &Cid) -> Result<Manifest, Failure> {
    let path = uploads::list(library, own, root);
    let lost = |why: &dyn std::fmt::Display| {
        Failure::new(Code::Failure, format!("the list of files {} is lost: {why}", path.display()))
            .hint("upload the repo again")
    };
    let bytes = fs::read(&path).map_err(|why| lost(&why))?;
    Manifest::from_jsonl(&bytes).map_err(|why| lost(&why))
}

fn missing(files: &BTreeMap<String, [u8; 32]>, sha256: &[u8; 32]) -> Failure {
    let path = files.iter().find(|(_, of)| *of == sha256).map_or("", |(path, _)| path);
    Failure::new(
        Code::Usage,
        format!(
            "{} was not uploaded: nothing with the sha256 {} is here",
            crate::dag::name::escape(path),
            crate::card::json::hex(sha256)
        ),
    )
}
