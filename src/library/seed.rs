//! `seed`: a file or folder becomes a version of a repo — read once, indexed in place, signed, told to the DHT.
//!
//! Nothing is written in or beside the folder. Nothing changed since the last version: the same release and card, and
//! nothing is signed anew. Order: blocks and records, tree, card, mark, announcement.

mod copy;

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    Library, Watch, blocking, blocks,
    import::{self, Imported, Index},
    note::Note,
    place,
    scan::{self, Scan, Selection},
    sign, trust,
    watch::Meter,
};
use crate::{
    card::{
        RepoName, Verified, Version, frontmatter,
        json::Map,
        name::suggest,
        policy::{self, Intent, Next},
        statement::{Status, license},
    },
    config::{Audience, allows},
    limits,
    rpc::{Code, Failure, Seed, Seeded, Stage},
    store::{FileId, Owner, Repo, Store, Tree, TreeFile, TreeId, TreeState},
};

/// Imports, signs, announces.
///
/// # Errors
/// Usage (2) for a path, name or version that can't be used; as the disk and the store fail.
pub async fn seed(library: &Library, seed: Seed, watch: Watch) -> Result<Seeded, Failure> {
    let _one_at_a_time = library.inner.importing.lock().await;
    let (seeded, id, tree) = {
        let library = library.clone();
        blocking(move || import_and_sign(&library, &seed, &watch)).await?
    };
    library.announce(id, &tree).await?;
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
        let mut cids = super::keep::findable(tree);
        cids.extend(large.await?);
        Ok(network.announce(cids).await?)
    }
}

fn import_and_sign(
    library: &Library,
    seed: &Seed,
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
    let meter = Meter::new(watch, Stage::Hashing, name.as_str(), scan.bytes());
    let index = Index { store, tree: reservation.id(), owner: Owner::User, in_place: !seed.copy };
    let read = import::import(&scan, Some(index), !seed.unsigned, &meter)?;
    watch.check()?;
    if seed.unsigned {
        return unsigned(library, seed, &name, &scan, &read, reservation.id(), &meter);
    }
    let versions = versions(library, &name)?;
    let head = head(library, &name, &versions)?;
    let metadata = metadata(&scan, watch);
    let kind =
        seed.kind.or(head.as_ref().map(|(card, _)| card.statement().kind)).unwrap_or_default();
    let flag = seed.license.as_deref();
    let license = license(flag, &metadata).map_err(|why| {
        Failure::new(Code::Usage, why.to_string()).hint("give one of both, or make them agree")
    })?;
    let intent = Intent {
        root: read.built.cid,
        kind,
        license: license.clone(),
        companion_keys: Vec::new(),
        version,
        status: Status::Active,
        resolves: Vec::new(),
    };
    let used = |version: &Version| {
        versions.iter().any(|(_, tree)| tree.version.as_deref() == Some(version.as_str()))
    };
    let next = policy::next(head.as_ref().map(|(card, _)| card), &intent, used).map_err(|why| {
        Failure::new(Code::Usage, why.to_string()).hint("choose another with --version")
    })?;
    let visibility = |before: Option<&Tree>| {
        seed.visibility
            .or(before.map(|tree| tree.visibility))
            .unwrap_or(library.inner.config.seed.visibility)
    };
    let before = head.as_ref().and_then(|(_, held)| held.as_ref());
    let (id, release, card, unchanged) = match (next, head.as_ref()) {
        (Next::Unchanged, Some((card, held))) => {
            let (release, blocks) = sign::rebuild(card, &read)?;
            let id = held.as_ref().map_or(reservation.id(), |(id, _)| *id);
            blocks::add_nodes(store, id, &blocks)?;
            (id, release, card.clone(), true)
        }
        (Next::Unchanged, None) => unreachable!("only against a head can nothing have changed"),
        (Next::Sign { seq, prev, version }, _) => {
            warn_of_lost_bytes(store, before, &seed.path, watch);
            let draft =
                sign::Draft { name: name.clone(), kind, version, seq, prev, license, metadata };
            let made = sign::release(library, draft, &read)?;
            blocks::add_nodes(store, reservation.id(), &made.blocks)?;
            (reservation.id(), made.cid, made.card, false)
        }
    };
    let statement = card.statement();
    let publisher = trust::folder_name(library, card.publisher())?;
    let own_folder = || place::repo_folder(&library.inner.home.library(), &publisher, &card);
    let (location, files) = settle(store, id, seed, &scan, &read.files, own_folder, &meter)?;
    let tree = Tree {
        root: statement.root,
        release: Some(release),
        card: Some(*card.id()),
        repo: Some(Repo { publisher: statement.publisher.to_string(), name: name.to_string() }),
        kind,
        version: Some(statement.version.to_string()),
        seq: Some(statement.seq),
        visibility: visibility(before.map(|(_, tree)| tree)),
        pinned: true,
        location,
        owner: if seed.copy { Owner::Library } else { Owner::User },
        state: TreeState::Whole,
        created_at: SystemTime::now(),
        note: None,
    };
    store.save_card(card.id(), card.bundle())?;
    store.save_tree(id, &tree, &files)?;
    sign::remember(library, &card)?;
    let seeded = Seeded {
        name: name.to_string(),
        version: tree.version.clone(),
        release: Some(release.to_string()),
        root: tree.root.to_string(),
        card: Some(card.id().to_string()),
        publisher: Some(card.publisher().to_string()),
        unchanged,
        ..describe(library, &tree, &files, &scan)
    };
    Ok((seeded, id, tree))
}

/// Bare files: no release, no card.
fn unsigned(
    library: &Library,
    seed: &Seed,
    name: &RepoName,
    scan: &Scan,
    read: &import::Tree,
    reserved: TreeId,
    meter: &Meter,
) -> Result<(Seeded, TreeId, Tree), Failure> {
    let store = library.store();
    let root = read.built.cid;
    let own_folder = || place::root_folder(&library.inner.home.library(), &root);
    let planned = if seed.copy { own_folder() } else { folder(&seed.path) };
    let known = store
        .trees()?
        .into_iter()
        .find(|(_, tree)| tree.root == root && tree.card.is_none() && tree.location == planned);
    let id = known.as_ref().map_or(reserved, |(id, _)| *id);
    let (location, files) = settle(store, id, seed, scan, &read.files, own_folder, meter)?;
    let visibility = seed
        .visibility
        .or(known.as_ref().map(|(_, tree)| tree.visibility))
        .unwrap_or(library.inner.config.seed.visibility);
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
        owner: if seed.copy { Owner::Library } else { Owner::User },
        state: TreeState::Whole,
        created_at: SystemTime::now(),
        note: Note { name: Some(name.to_string()), partial: false }.to_text(),
    };
    store.save_tree(id, &tree, &files)?;
    let seeded = Seeded {
        name: name.to_string(),
        unchanged: known.is_some(),
        ..describe(library, &tree, &files, scan)
    };
    Ok((seeded, id, tree))
}

/// Where the files are to be served from: where they lie, or, with `--copy`, copies in the home's library.
fn settle(
    store: &Store,
    id: TreeId,
    seed: &Seed,
    scan: &Scan,
    files: &[Imported],
    own_folder: impl FnOnce() -> PathBuf,
    meter: &Meter,
) -> Result<(PathBuf, Vec<TreeFile>), Failure> {
    let list = |records: Vec<Option<FileId>>| {
        let listed = files.iter().zip(records).map(|(file, record)| TreeFile {
            path: file.path.clone(),
            size: file.size,
            cid: file.cid,
            file: record,
        });
        listed.collect()
    };
    if !seed.copy {
        return Ok((folder(&seed.path), list(files.iter().map(|file| file.file).collect())));
    }
    let base = own_folder();
    let records = copy::all(store, id, &base, scan, files, meter)?;
    Ok((base, list(records.into_iter().map(Some).collect())))
}

/// The folder that paths of the repo start from.
fn folder(path: &Path) -> PathBuf {
    if path.is_dir() { path.to_owned() } else { path.parent().unwrap_or(path).to_owned() }
}

fn name(seed: &Seed) -> Result<RepoName, Failure> {
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

/// All versions of the user's own repo of this name.
fn versions(library: &Library, name: &RepoName) -> Result<Vec<(TreeId, Tree)>, Failure> {
    let publisher = library.publisher().to_string();
    let mut trees = library.store().trees()?;
    trees.retain(|(_, tree)| {
        tree.repo
            .as_ref()
            .is_some_and(|repo| repo.publisher == publisher && repo.name == name.as_str())
    });
    Ok(trees)
}

type Head = (Verified, Option<(TreeId, Tree)>);

/// The newest card that this key signed for the name, even if its version was forgotten since: signing behind it
/// would make two cards of one `seq`.
fn head(
    library: &Library,
    name: &RepoName,
    versions: &[(TreeId, Tree)],
) -> Result<Option<Head>, Failure> {
    let newest = versions.iter().max_by_key(|(_, tree)| tree.seq);
    let mark = library.store().mark(&library.publisher().to_string(), name.as_str())?;
    let held =
        newest.filter(|(_, tree)| mark.as_ref().is_none_or(|mark| tree.seq >= Some(mark.seq)));
    if let Some((id, tree)) = held {
        let card = sign::card_of(library, tree)?.ok_or_else(|| lost_card(name))?;
        return Ok(Some((card, Some((*id, tree.clone())))));
    }
    let Some(mark) = mark else { return Ok(None) };
    let card = sign::card_by_id(library, &mark.card)?.ok_or_else(|| lost_card(name))?;
    Ok(Some((card, None)))
}

fn lost_card(name: &RepoName) -> Failure {
    Failure::new(
        Code::Failure,
        format!(
            "the newest card of {name} was signed here, and is lost: a new one would contradict it"
        ),
    )
    .hint("put the home's store/records folder back from a backup, or seed under another --name")
}

/// The README's front matter; what can't be read is said and left out.
fn metadata(scan: &Scan, watch: &Watch) -> Map {
    let Some(readme) = scan.files.iter().find(|file| file.path == "README.md") else {
        watch.warn("there is no README.md: the card has no metadata");
        return Map::new();
    };
    if readme.size > limits::README_MAX {
        watch.warn(format!(
            "README.md is larger than {} bytes: the card has no metadata",
            limits::README_MAX
        ));
        return Map::new();
    }
    let read = fs::read(&readme.source).map_err(|why| why.to_string());
    match read.and_then(|bytes| frontmatter::metadata(&bytes).map_err(|why| why.to_string())) {
        Ok(Some(metadata)) => metadata,
        Ok(None) => {
            watch.warn("README.md has no front matter: the card has no metadata");
            Map::new()
        }
        Err(why) => {
            watch.warn(format!(
                "README.md's front matter can't be used ({why}): the card has no metadata"
            ));
            Map::new()
        }
    }
}

/// A folder seeded in place serves only what it holds now.
fn warn_of_lost_bytes(store: &Store, before: Option<&(TreeId, Tree)>, path: &Path, watch: &Watch) {
    let Some((_, before)) = before else { return };
    if before.location == folder(path) && store.inline_max() < limits::BLOCK_MAX {
        watch.warn(format!(
            "files that changed since version {} can no longer be served as they were",
            before.version.as_deref().unwrap_or("?")
        ));
    }
}

/// The answer's fields that signed and unsigned versions share.
fn describe(library: &Library, tree: &Tree, files: &[TreeFile], scan: &Scan) -> Seeded {
    Seeded {
        name: String::new(),
        version: None,
        release: None,
        root: tree.root.to_string(),
        card: None,
        files: files.len() as u64,
        bytes: files.iter().map(|file| file.size).sum(),
        publisher: None,
        serving: library.inner.serving,
        visibility: tree.visibility,
        unchanged: false,
        in_place: tree.owner == Owner::User && library.store().inline_max() < limits::BLOCK_MAX,
        left_out: scan.left_out.clone(),
    }
}
