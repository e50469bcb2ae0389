//! The last state that was uploaded for a repo, signed as its next version: its files get names where a version's files lie, and
//! from there on it is a seed like any other.
//!
//! The uploads keep their names until the version is saved, so whoever reads the draft goes on and a kill at any moment loses
//! nothing; what it left of a version that was not signed is taken back by the next try ([`take_back`]).

mod links;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

pub(in crate::library) use self::links::take_back;
use self::links::{Links, Put};
use super::{Import, Lying};
use crate::{
    card::{RepoName, index, manifest::FileEntry},
    dag::{Built, Cid},
    library::{
        Library, Watch, blocks,
        drafts::{self, Draft, Own, manifest},
        import::{self, Imported, Index},
        place,
        scan::{Found, Scan},
        trust,
        watch::Meter,
    },
    rpc::{Code, Failure, Seed, Seeded, Stage},
    store::{FileId, Look, Owner, Recheck, Tree, TreeFile, TreeId},
};

/// Signs a draft. If that fails everything is as it was.
///
/// # Errors
/// As `seed`.
pub(in crate::library) fn publish(
    library: &Library,
    own: &Own,
    draft: &Draft,
    published: Arc<index::Index>,
    watch: &Watch,
) -> Result<(Seeded, TreeId, Tree), Failure> {
    take_back(library, own);
    let manifest = manifest(library, draft)?;
    let publisher = trust::folder_name(library, library.publisher())?;
    let root = &draft.held.tree.root;
    let home = library.inner.home.library();
    let base = place::version_folder(&home, own.kind, &publisher, &own.name, root);
    let links = Links::begin(library, own, base)?;
    let signed = sign(library, own, draft, manifest.files(), &links, published, watch);
    match &signed {
        Ok(_) => links.stay(),
        Err(_) => take_back(library, own),
    }
    signed
}

/// A draft's files, where they are from now on.
#[derive(Default)]
struct Laid<'a> {
    /// Those that are known: they are hashed no second time.
    known: Vec<Known<'a>>,
    /// Uploads among them, whose records follow to their new places.
    renamed: Vec<(FileId, PathBuf)>,
    /// Places that have no record yet.
    new: Vec<Found>,
}

struct Known<'a> {
    file: &'a FileEntry,
    record: Option<FileId>,
    /// None if all of it lies in the index alone.
    path: Option<PathBuf>,
}

fn sign(
    library: &Library,
    own: &Own,
    draft: &Draft,
    files: &[FileEntry],
    links: &Links,
    published: Arc<index::Index>,
    watch: &Watch,
) -> Result<(Seeded, TreeId, Tree), Failure> {
    let store = library.store();
    let Laid { known, renamed, new } = lay(library, own, draft, files, links)?;
    let reservation = store.reserve()?;
    let index = Index { store, tree: reservation.id(), owner: Owner::Library, in_place: true };
    let found = |it: &Known<'_>| {
        let source = it.path.clone()?;
        Some(Found { path: it.file.path.clone(), source, size: it.file.size })
    };
    let mut scan = Scan { files: known.iter().filter_map(found).collect(), ..Scan::default() };
    scan.files.extend(new.iter().cloned());
    let meter = Meter::new(watch, Stage::Hashing, own.name.as_str(), scan.bytes());
    let mut read = import::files(&new, Some(index), true, &meter)?;
    if let Some(path) = differing(&read, files) {
        let message = format!("{path} lies in the version's folder already, with other bytes");
        return Err(Failure::new(Code::Failure, message)
            .hint(format!("move it away: {}", links.place(path).display())));
    }
    store.renamed(&renamed)?;
    for Known { file, record, .. } in known {
        let built = blocks::hold(store, reservation.id(), file.cid, file.size, record)?;
        let built = built.ok_or_else(|| {
            Failure::new(Code::Failure, format!("a block of {} is not here any more", file.path))
                .hint("upload the repo again")
        })?;
        read.push((imported(file, record), built));
    }
    read.sort_unstable_by(|(a, _), (b, _)| a.path.cmp(&b.path));
    let read = import::assemble(read, &[], Some(index))?;
    let seed = Seed {
        name: Some(own.name.to_string()),
        kind: Some(own.kind),
        visibility: Some(drafts::visibility(library, own)?),
        path: links.base().to_owned(),
        ..Seed::default()
    };
    let import = Import {
        library,
        seed: &seed,
        name: own.name.clone(),
        scan,
        read,
        lies: Lying::Ours(links.base().to_owned()),
        reserved: reservation.id(),
        published: Some(published),
        watch,
        meter,
    };
    import.signed(None)
}

/// Gives the uploads their names in the version's folder.
fn lay<'a>(
    library: &Library,
    own: &Own,
    draft: &Draft,
    files: &'a [FileEntry],
    links: &Links,
) -> Result<Laid<'a>, Failure> {
    let store = library.store();
    let records: Result<Vec<TreeFile>, _> = store.tree_files(draft.held.id)?.collect();
    let records: HashMap<String, Option<FileId>> =
        records?.into_iter().map(|file| (file.path, file.file)).collect();
    let uploads = drafts::folder(library, own);
    let (mut laid, mut earlier, mut followed) = (Laid::default(), None, HashSet::new());
    for file in files {
        let record = records.get(&file.path).copied().flatten();
        let path = match record.map(|id| store.file(id)).transpose()?.flatten() {
            Some(record) => record.path,
            None => drafts::object(library, own, &file.sha256),
        };
        if !path.starts_with(&uploads) {
            laid.known.push(Known { file, record, path: Some(path) });
            continue;
        }
        let place = links.place(&file.path);
        match record {
            None if !path.is_file() => {
                let earlier = match &mut earlier {
                    Some(earlier) => earlier,
                    none => none.insert(earlier_files(library, own)?),
                };
                let path = earlier.get(&file.cid).cloned();
                laid.known.push(Known { file, record, path });
                continue;
            }
            None => {}
            Some(id) => is_as_uploaded(library, id, file)?,
        }
        match (record, links.put(&path, &file.path)?) {
            // The upload by another name: its record follows. The same bytes at a second path have one of their own.
            (Some(id), Put::Linked) if followed.insert(id) => {
                laid.renamed.push((id, place.clone()));
                laid.known.push(Known { file, record, path: Some(place) });
            }
            (None, Put::Linked) => laid.known.push(Known { file, record, path: Some(place) }),
            _ => {
                let path = file.path.clone();
                laid.new.push(Found { path, source: place, size: file.size });
            }
        }
    }
    Ok(laid)
}

fn imported(file: &FileEntry, record: Option<FileId>) -> Imported {
    Imported {
        path: file.path.clone(),
        size: file.size,
        cid: file.cid,
        sha256: Some(file.sha256),
        file: record,
    }
}

/// The path of a file that was read and is not the one of that path in the draft.
fn differing<'a>(read: &[(Imported, Built)], files: &'a [FileEntry]) -> Option<&'a str> {
    let read: HashMap<&str, &Imported> =
        read.iter().map(|(imported, _)| (imported.path.as_str(), imported)).collect();
    let differs = |file: &&FileEntry| {
        read.get(file.path.as_str()).is_some_and(|it| it.sha256 != Some(file.sha256))
    };
    files.iter().find(differs).map(|file| file.path.as_str())
}

/// Refuses an upload that is not what it was when it was committed. It goes: while it is here, nobody is asked to send it again.
fn is_as_uploaded(library: &Library, id: FileId, file: &FileEntry) -> Result<(), Failure> {
    let store = library.store();
    if matches!(store.look(id)?, Look::Same | Look::Unsettled)
        || store.recheck(id)? == Recheck::Same
    {
        return Ok(());
    }
    if let Some(record) = store.file(id)? {
        drafts::remove(&record.path);
    }
    Err(Failure::new(
        Code::Failure,
        format!("{} was changed on the disk after it was uploaded", file.path),
    )
    .hint("upload it again"))
}

/// Where files of earlier versions lie, by their CIDs: those whose bytes the index keeps have no record that says it.
fn earlier_files(library: &Library, own: &Own) -> Result<HashMap<Cid, PathBuf>, Failure> {
    let mut by_cid = HashMap::new();
    for (id, tree) in super::versions(library, &own.name) {
        for file in library.store().files_if_any(id)?.into_iter().flatten() {
            let file = file?;
            let path = tree.location.join(&file.path);
            if path.is_file() {
                by_cid.insert(file.cid, path);
            }
        }
    }
    Ok(by_cid)
}

/// The uploads' own names are gone: the records of the version's files follow once more. Where that fails the file is hashed
/// again, as any that has changed.
pub(in crate::library) fn settle_published(library: &Library, id: TreeId) {
    let store = library.store();
    let files = store.files_if_any(id).ok().flatten().into_iter().flatten().flatten();
    for id in files.filter_map(|file| file.file) {
        let record = store.file(id).ok().flatten();
        let Some(record) = record.filter(|record| record.owner == Owner::Library) else { continue };
        if let Err(why) = store.renamed(&[(id, record.path)]) {
            tracing::debug!(%why, "a file is not as it was published");
        }
    }
}

/// The last version of one of the user's own repos, as `seed` would answer with nothing changed.
///
/// # Errors
/// As the store fails.
pub(in crate::library) fn last(
    library: &Library,
    name: &RepoName,
) -> Result<Option<(Seeded, TreeId, Tree)>, Failure> {
    let newest = super::versions(library, name).into_iter().max_by_key(|(_, tree)| tree.seq);
    let Some((id, tree)) = newest else { return Ok(None) };
    let (mut files, mut bytes) = (0, 0);
    for file in library.store().tree_files(id)? {
        (files, bytes) = (files + 1, bytes + file?.size);
    }
    let seeded = Seeded {
        name: name.to_string(),
        version: tree.version.clone(),
        release: tree.release.map(|cid| cid.to_string()),
        root: tree.root.to_string(),
        card: tree.card.map(|cid| cid.to_string()),
        files,
        bytes,
        publisher: tree.repo.as_ref().map(|repo| repo.publisher.clone()),
        serving: library.inner.serving,
        visibility: tree.visibility,
        unchanged: true,
        in_place: tree.owner == Owner::User,
        left_out: Vec::new(),
    };
    Ok(Some((seeded, id, tree)))
}
