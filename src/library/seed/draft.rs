//! The last state that was uploaded for a repo, signed as its next version: its files go to where a version's files lie, and
//! from there on it is a seed like any other.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Import, Lying};
use crate::{
    card::{RepoName, index, manifest::FileEntry},
    dag::Built,
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
    store::{Owner, Tree, TreeFile, TreeId},
};

/// Signs a draft. If that fails everything lies where it was.
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
    let manifest = manifest(library, draft)?;
    let publisher = trust::folder_name(library, library.publisher())?;
    let root = &draft.held.tree.root;
    let home = library.inner.home.library();
    let base = place::version_folder(&home, own.kind, &publisher, &own.name, root);
    let mut moved = Moved::default();
    let signed = sign(library, own, draft, manifest.files(), &base, published, &mut moved, watch);
    if signed.is_err() {
        moved.back();
    }
    signed
}

#[expect(
    clippy::too_many_arguments,
    reason = "one step of `publish`, apart so that it can be undone"
)]
fn sign(
    library: &Library,
    own: &Own,
    draft: &Draft,
    files: &[FileEntry],
    base: &Path,
    published: Arc<index::Index>,
    moved: &mut Moved,
    watch: &Watch,
) -> Result<(Seeded, TreeId, Tree), Failure> {
    let store = library.store();
    let records: Result<Vec<TreeFile>, _> = store.tree_files(draft.held.id)?.collect();
    let records: HashMap<String, TreeFile> =
        records?.into_iter().map(|file| (file.path.clone(), file)).collect();
    let uploads = drafts::folder(library, own);
    let (mut scan, mut new) = (Scan::default(), Vec::new());
    for file in files {
        let lies = place_of(library, records.get(&file.path), own, file)?;
        let source = if lies.starts_with(&uploads) {
            let place = base.join(&file.path);
            moved.to(&lies, &place)?;
            new.push(Found { path: file.path.clone(), source: place.clone(), size: file.size });
            place
        } else {
            lies
        };
        scan.files.push(Found { path: file.path.clone(), source, size: file.size });
    }
    let reservation = store.reserve()?;
    let index = Index { store, tree: reservation.id(), owner: Owner::Library, in_place: true };
    let meter = Meter::new(watch, Stage::Hashing, own.name.as_str(), scan.bytes());
    let mut read: BTreeMap<String, (Imported, Built)> =
        import::files(&new, Some(index), true, &meter)?
            .into_iter()
            .map(|(imported, built)| (imported.path.clone(), (imported, built)))
            .collect();
    let differs = |file: &&FileEntry| {
        read.get(&file.path).is_some_and(|(imported, _)| imported.sha256 != Some(file.sha256))
    };
    if let Some(file) = files.iter().find(differs) {
        return Err(Failure::new(
            Code::Failure,
            format!("{} was changed on the disk after it was uploaded", file.path),
        )
        .hint("upload it again"));
    }
    for file in files {
        if read.contains_key(&file.path) {
            continue;
        }
        let root = blocks::held(store, file.cid)?;
        let built = root.and_then(|root| Built::of_file(&root, file.size)).ok_or_else(|| {
            Failure::new(Code::Failure, format!("the block {} is not here any more", file.cid))
                .hint("upload the repo again")
        })?;
        let imported = Imported {
            path: file.path.clone(),
            size: file.size,
            cid: file.cid,
            sha256: Some(file.sha256),
            file: records.get(&file.path).and_then(|record| record.file),
        };
        read.insert(file.path.clone(), (imported, built));
    }
    let read = import::assemble(read.into_values().collect(), &[], Some(index))?;
    let seed = Seed {
        name: Some(own.name.to_string()),
        kind: Some(own.kind),
        visibility: Some(drafts::visibility(library, own)?),
        path: base.to_owned(),
        ..Seed::default()
    };
    let import = Import {
        library,
        seed: &seed,
        name: own.name.clone(),
        scan,
        read,
        lies: Lying::Ours(base.to_owned()),
        reserved: reservation.id(),
        published: Some(published),
        watch,
        meter,
    };
    import.signed(None)
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

/// Where a file's bytes lie now.
fn place_of(
    library: &Library,
    record: Option<&TreeFile>,
    own: &Own,
    file: &FileEntry,
) -> Result<PathBuf, Failure> {
    let id = record.and_then(|record| record.file);
    let record = id.map(|id| library.store().file(id)).transpose()?.flatten();
    Ok(record.map_or_else(|| drafts::object(library, own, &file.sha256), |record| record.path))
}

/// Files that were moved, so that they can be moved back.
#[derive(Debug, Default)]
struct Moved {
    /// Where each upload went first; the same bytes at a second path are a link to it.
    first: HashMap<PathBuf, PathBuf>,
    links: Vec<PathBuf>,
}

impl Moved {
    fn to(&mut self, from: &Path, to: &Path) -> Result<(), Failure> {
        let failed = |why: std::io::Error| {
            Failure::new(
                crate::library::files::code(&why),
                format!("cannot put {} in its place: {why}", to.display()),
            )
        };
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        match self.first.get(from) {
            Some(first) => {
                fs::hard_link(first, to).map_err(failed)?;
                self.links.push(to.to_owned());
            }
            None => {
                match fs::rename(from, to) {
                    // Moved by a try that was killed; what it holds is hashed next.
                    Err(why) if why.kind() == std::io::ErrorKind::NotFound && to.is_file() => {}
                    moved => moved.map_err(failed)?,
                }
                self.first.insert(from.to_owned(), to.to_owned());
            }
        }
        Ok(())
    }

    fn back(self) {
        for link in &self.links {
            if let Err(why) = fs::remove_file(link) {
                tracing::warn!(path = %link.display(), %why, "a link stays behind");
            }
        }
        for (from, to) in &self.first {
            if let Err(why) = fs::rename(to, from) {
                tracing::error!(path = %to.display(), %why, "an upload is not where it was");
            }
        }
    }
}
