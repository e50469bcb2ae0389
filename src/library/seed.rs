//! `seed`: a file or folder becomes a version of a repo — read once, indexed in place, signed, told to the DHT.
//!
//! Nothing is written in or beside the folder. Nothing changed since the last version: the same release and card, and
//! nothing is signed anew. Order: blocks and records, tree, card, mark, announcement.

mod copy;
mod draft;
mod signed;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

pub(super) use self::{
    draft::{last, publish, settle_published, take_back},
    signed::{contradicted, head, not_behind, versions},
};

use super::{
    Library, Watch, blocking,
    content::{self, Lies},
    import::{self, Index},
    keep, names,
    note::Note,
    place,
    scan::{self, Scan, Selection},
    watch::Meter,
};
use crate::{
    card::{
        Identity, RepoName, TufId, Version,
        content::{Leave, admit},
        index,
        license::{self, Lack},
        name::suggest,
    },
    config::{Audience, Visibility, allows},
    dag::Cid,
    limits,
    rpc::{Code, Failure, Seed, Seeded, Stage},
    store::{FileId, Owner, Tree, TreeFile, TreeId, TreeState},
};

/// Imports, signs, announces.
///
/// # Errors
/// Usage (2) for a path, name or version that can't be used; as the disk and the store fail.
pub async fn seed(library: &Library, seed: Seed, watch: Watch) -> Result<Seeded, Failure> {
    let _one_at_a_time = library.inner.importing.lock().await;
    let (seeded, id, tree) = {
        let published = match seed.unsigned {
            true => None,
            false => Some(names::published(library).await?),
        };
        let (library, seed, watch) = (library.clone(), seed.clone(), watch.clone());
        blocking(move || import_and_sign(&library, &seed, published, &watch)).await?
    };
    library.announce(id, &tree).await?;
    if !seed.unsigned {
        names::publish_after(library, Some(&watch)).await;
    }
    Ok(seeded)
}

impl Library {
    /// Tells the DHT of a version, if this is a daemon and it may be told: its release, its root, its large files.
    pub(super) async fn announce(&self, id: TreeId, tree: &Tree) -> Result<(), Failure> {
        let Some(network) = &self.inner.network else { return Ok(()) };
        if !self.inner.serving || !allows(tree.visibility, Audience::LanDht) {
            return Ok(());
        }
        let store = self.store().clone();
        let large = blocking(move || {
            let mut large = Vec::new();
            for file in store.tree_files(id)? {
                let file = file?;
                if file.size > limits::ANNOUNCED_FILE_MIN && large.len() < limits::ANNOUNCED_FILES {
                    large.push(file.cid);
                }
            }
            Ok(large)
        });
        let mut cids = keep::findable(tree);
        // At most a few: what led to it, noted when it was fetched.
        cids.extend(Note::of(tree).named_by.iter().filter_map(|cid| cid.parse::<Cid>().ok()));
        cids.extend(large.await?);
        // Who knows nothing but a lab's id starts from its first root, and asks whoever has that for the newest ones.
        let publisher = tree.repo.as_ref().and_then(|repo| repo.publisher.parse::<Identity>().ok());
        cids.extend(publisher.and_then(|publisher| publisher.as_lab().map(TufId::cid)));
        Ok(network.announce(cids).await?)
    }
}

/// What was read of the thing to seed, and what is needed to make a version of it.
struct Import<'a> {
    library: &'a Library,
    seed: &'a Seed,
    name: RepoName,
    scan: Scan,
    read: import::Tree,
    /// Where the files are from now on.
    lies: Lying,
    /// The id of the new version, if it turns out to be one.
    reserved: TreeId,
    /// What all machines with the user's key are known to have published.
    published: Option<Arc<index::Index>>,
    watch: &'a Watch,
    meter: Meter,
}

/// Where the files of a version are to be served from.
enum Lying {
    /// Where they were read: they are the user's.
    InPlace,
    /// In copies of ours, to be made.
    Copied,
    /// In this folder of ours, or where an earlier version has them.
    Ours(PathBuf),
}

fn import_and_sign(
    library: &Library,
    seed: &Seed,
    published: Option<Arc<index::Index>>,
    watch: &Watch,
) -> Result<(Seeded, TreeId, Tree), Failure> {
    let name = name(seed)?;
    let version = seed.version.as_deref().map(parse_version).transpose()?;
    let selection = Selection::new(&seed.include, &seed.exclude)?;
    let scan = scan::scan(&seed.path, &selection, seed.follow_symlinks)?;
    if !scan.left_out.is_empty() {
        watch.warn(format!("left out: {}", scan.left_out.join(", ")));
    }
    let store = library.store();
    let reservation = store.reserve()?;
    let reserved = reservation.id();
    let meter = Meter::new(watch, Stage::Hashing, name.as_str(), scan.bytes());
    let index = Index { store, tree: reserved, owner: Owner::User, in_place: !seed.copy };
    let read = import::import(&scan, Some(index), !seed.unsigned, &meter)?;
    watch.check()?;
    warn_of_code(&scan, watch)?;
    let lies = if seed.copy { Lying::Copied } else { Lying::InPlace };
    let import =
        Import { library, seed, name, scan, read, lies, reserved, published, watch, meter };
    if seed.unsigned { import.unsigned() } else { import.signed(version) }
}

/// The root that a seed signs, found by reading the files here and now; nothing is kept of it.
///
/// # Errors
/// As [`seed()`].
pub fn root_of(seed: &Seed) -> Result<Cid, Failure> {
    let selection = Selection::new(&seed.include, &seed.exclude)?;
    let scan = scan::scan(&seed.path, &selection, seed.follow_symlinks)?;
    // Nobody watches: the daemon shows how far it is with the same files.
    let (events, _unread) = tokio::sync::mpsc::channel(1);
    let meter = Meter::new(&Watch::new(events), Stage::Hashing, "", scan.bytes());
    Ok(import::import(&scan, None, false, &meter)?.built.cid)
}

/// Says what fetchers who do not trust the publisher will be refused.
fn warn_of_code(scan: &Scan, watch: &Watch) -> Result<(), Failure> {
    let lies = |file: &scan::Found| Lies { path: file.path.clone(), on_disk: file.source.clone() };
    let files: Vec<Lies> = scan.files.iter().map(lies).collect();
    let admitted = admit(&content::on_disk(&files)?, Leave::Given).unwrap_or_default();
    content::few(&admitted.warnings).into_iter().for_each(|warning| watch.warn(warning));
    Ok(())
}

impl Import<'_> {
    /// Bare files: no release, no card.
    fn unsigned(&self) -> Result<(Seeded, TreeId, Tree), Failure> {
        let Self { library, seed, .. } = *self;
        let store = library.store();
        let root = self.read.built.cid;
        let own_folder = place::root_folder(&library.inner.home.library(), &root);
        let planned = if seed.copy { own_folder.clone() } else { folder(&seed.path) };
        let known = store
            .trees()
            .into_iter()
            .find(|(_, tree)| tree.root == root && tree.card.is_none() && tree.location == planned);
        let visibility = self.visibility(known.as_ref());
        if license::is_required(visibility) {
            return Err(keep::lacks_license(self.name.as_str(), &Lack::Signature));
        }
        let id = known.as_ref().map_or(self.reserved, |(id, _)| *id);
        let (location, files) = self.settle(id, own_folder)?;
        let tree = Tree {
            root,
            release: None,
            card: None,
            repo: None,
            kind: seed.kind.unwrap_or_default(),
            version: None,
            seq: None,
            visibility,
            pinned: true,
            location,
            owner: self.owner(),
            state: TreeState::Whole,
            created_at: SystemTime::now(),
            note: Note { name: Some(self.name.to_string()), ..Note::default() }.to_text(),
        };
        store.save_tree(id, &tree, &files)?;
        let seeded = Seeded { unchanged: known.is_some(), ..self.describe(&tree, &files) };
        Ok((seeded, id, tree))
    }

    /// Where the files are to be served from: where they lie, or, with `--copy`, copies in `own_folder`.
    fn settle(&self, id: TreeId, own_folder: PathBuf) -> Result<(PathBuf, Vec<TreeFile>), Failure> {
        let files = &self.read.files;
        let list = |records: Vec<Option<FileId>>| {
            let listed = files.iter().zip(records).map(|(file, record)| TreeFile {
                path: file.path.clone(),
                size: file.size,
                cid: file.cid,
                file: record,
            });
            listed.collect()
        };
        let as_read = || list(files.iter().map(|file| file.file).collect());
        Ok(match &self.lies {
            Lying::InPlace => (folder(&self.seed.path), as_read()),
            Lying::Ours(base) => (base.clone(), as_read()),
            Lying::Copied => {
                let store = self.library.store();
                let records = copy::all(store, id, &own_folder, &self.scan, files, &self.meter)?;
                (own_folder, list(records.into_iter().map(Some).collect()))
            }
        })
    }

    /// How far the version may go: as told, else as the one `before` it, else as configured.
    fn visibility(&self, before: Option<&(TreeId, Tree)>) -> Visibility {
        let default = self.library.inner.config.seed.visibility;
        self.seed.visibility.or(before.map(|(_, tree)| tree.visibility)).unwrap_or(default)
    }

    fn owner(&self) -> Owner {
        match self.lies {
            Lying::InPlace => Owner::User,
            Lying::Copied | Lying::Ours(_) => Owner::Library,
        }
    }

    /// The answer's fields that signed and unsigned versions share.
    fn describe(&self, tree: &Tree, files: &[TreeFile]) -> Seeded {
        let in_files = self.library.store().inline_max() < limits::BLOCK_MAX;
        Seeded {
            name: self.name.to_string(),
            version: None,
            release: None,
            root: tree.root.to_string(),
            card: None,
            files: files.len() as u64,
            bytes: files.iter().map(|file| file.size).sum(),
            publisher: None,
            serving: self.library.inner.serving,
            visibility: tree.visibility,
            unchanged: false,
            in_place: tree.owner == Owner::User && in_files,
            left_out: self.scan.left_out.clone(),
        }
    }
}

/// The folder that paths of the repo start from.
fn folder(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().unwrap_or(path).to_owned() }
}

/// The name of the repo that a seed makes a version of: as given, else the folder's.
///
/// # Errors
/// Usage (2) for one that no repo may have, with a suggestion.
pub fn name(seed: &Seed) -> Result<RepoName, Failure> {
    if let Some(name) = &seed.name {
        return name
            .parse()
            .map_err(|why: crate::card::name::Error| Failure::new(Code::Usage, why.to_string()));
    }
    let path = fs::canonicalize(&seed.path).map_err(|why| scan::unreadable(&seed.path, &why))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.parse().map_err(|why: crate::card::name::Error| {
        let failure =
            Failure::new(Code::Usage, format!("the folder's name can't be a repo's: {why}"));
        match suggest(&name) {
            Some(suggested) => failure.hint(format!("--name {suggested}")),
            None => failure.hint("give one with --name"),
        }
    })
}

fn parse_version(text: &str) -> Result<Version, Failure> {
    text.parse().map_err(|why: crate::card::name::Error| Failure::new(Code::Usage, why.to_string()))
}
