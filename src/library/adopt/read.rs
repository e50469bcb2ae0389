//! From lists of files to versions of the library: each file on the disk is read once and compared with the digest that it
//! is named by, and what was read before is linked to a further version from the index alone.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha1::{Digest as _, Sha1};

use super::{Candidate, Stated};
use crate::{
    config::Visibility,
    dag::{Built, Cid, FileBuilder, block::RAW, name::escape},
    library::{
        Library, Watch, blocks, hash,
        hash::{Hasher, Step},
        import::{self, Imported, Index},
        note::{self, Note},
        scan::Found,
        watch::Meter,
    },
    rpc::{AdoptedLine, Code, Failure, Stage},
    store::{FileId, Look, NewBlock, Owner, Reservation, Store, Tree, TreeFile, TreeId, TreeState},
};

/// What was read: once it is in the index, any tree can hold it.
#[derive(Debug, Clone, Copy)]
struct Known {
    file: FileId,
    size: u64,
    cid: Cid,
}

/// Takes one version after the other.
pub(super) struct Reader<'a> {
    library: &'a Library,
    /// Unsigned versions that the library has, by where they lie.
    trees: HashMap<PathBuf, Vec<(TreeId, Tree)>>,
    /// Files that were read, and compared with the digest that they are named by.
    known: HashMap<PathBuf, Known>,
    /// Files that can't be taken, each with why.
    bad: HashMap<PathBuf, String>,
    /// What the trees hold that were given up is spared until the end: others may have it too.
    given_up: Vec<Reservation>,
    /// Files of what was taken.
    counted: HashSet<PathBuf>,
    bytes: u64,
    read_bytes: u64,
    meter: Meter,
}

impl<'a> Reader<'a> {
    /// Looks up what of all this is in the library already.
    ///
    /// # Errors
    /// As the store fails.
    pub(super) fn new(
        library: &'a Library,
        candidates: &[Candidate],
        watch: &Watch,
    ) -> Result<Self, Failure> {
        let store = library.store();
        let trees = store.trees_where(|tree| {
            tree.card.is_none()
                && tree.owner == Owner::User
                && tree.state == TreeState::Whole
                && Note::of(tree).draft.is_none()
        });
        let mut known = HashMap::new();
        for (id, tree) in &trees {
            // Others were not compared with the names of their files.
            if Note::of(tree).adopted.is_none() {
                continue;
            }
            for file in store.tree_files(*id)? {
                let TreeFile { size, cid, file: Some(file), .. } = file? else { continue };
                if let (true, Some(record)) = (is_there(store, file)?, store.file(file)?) {
                    known.insert(record.path, Known { file, size, cid });
                }
            }
        }
        let mut to_read: HashMap<&Path, u64> = HashMap::new();
        for found in candidates.iter().flat_map(|candidate| &candidate.files) {
            if !known.contains_key(&found.source) {
                to_read.insert(&found.source, found.size);
            }
        }
        let name = match candidates {
            [one] => one.name.clone(),
            many => format!("{} versions", many.len()),
        };
        let meter = Meter::new(watch, Stage::Hashing, name, to_read.values().sum());
        let mut by_location: HashMap<PathBuf, Vec<(TreeId, Tree)>> = HashMap::new();
        for (id, tree) in trees {
            by_location.entry(tree.location.clone()).or_default().push((id, tree));
        }
        Ok(Self {
            library,
            trees: by_location,
            known,
            bad: HashMap::new(),
            given_up: Vec::new(),
            counted: HashSet::new(),
            bytes: 0,
            read_bytes: 0,
            meter,
        })
    }

    /// Bytes of all files of what was taken, each once; bytes that were read for it.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.bytes, self.read_bytes)
    }

    /// Makes a version of the library of it, or finds that it is one; or says why not.
    ///
    /// # Errors
    /// Interrupted (130), no space (7); as the store fails.
    pub(super) fn take(
        &mut self,
        candidate: &Candidate,
    ) -> Result<Result<AdoptedLine, String>, Failure> {
        if let Some((id, tree)) = self.unchanged(candidate)? {
            if Note::of(&tree).adopted != candidate.adopted {
                // Its refs point elsewhere by now.
                self.library.store().change_tree(id, |tree| note_origin(tree, candidate))?;
            }
            self.count(candidate);
            return Ok(Ok(line(candidate, &tree, true)));
        }
        if let Some(why) = candidate.files.iter().find_map(|file| self.bad.get(&file.source)) {
            return Ok(Err(why.clone()));
        }
        let reservation = self.library.store().reserve()?;
        match self.read(candidate, reservation.id())? {
            Ok(read) => self.save(candidate, reservation.id(), read).map(Ok),
            Err(why) => {
                self.given_up.push(reservation);
                Ok(Err(why))
            }
        }
    }

    /// The version that this is, if nothing about its files has changed since.
    fn unchanged(&self, candidate: &Candidate) -> Result<Option<(TreeId, Tree)>, Failure> {
        let store = self.library.store();
        'trees: for (id, tree) in self.trees.get(&candidate.location).into_iter().flatten() {
            if !is_of(tree, candidate) {
                continue;
            }
            let mut listed = 0;
            for (file, found) in store.tree_files(*id)?.zip(&candidate.files) {
                let TreeFile { path, size, file: Some(file), .. } = file? else { continue 'trees };
                let same = path == found.path
                    && size == found.size
                    && store.file(file)?.is_some_and(|record| record.path == found.source)
                    && is_there(store, file)?;
                if !same {
                    continue 'trees;
                }
                listed += 1;
            }
            if listed == candidate.files.len() && store.tree_files(*id)?.count() == listed {
                return Ok(Some((*id, tree.clone())));
            }
        }
        Ok(None)
    }

    /// Reads what is not known yet, and puts the tree together.
    fn read(
        &mut self,
        candidate: &Candidate,
        tree: TreeId,
    ) -> Result<Result<import::Tree, String>, Failure> {
        let index = Index { store: self.library.store(), tree, owner: Owner::User, in_place: true };
        let mut seen = HashSet::new();
        let new: Vec<&Found> = candidate
            .files
            .iter()
            .filter(|file| !self.known.contains_key(&file.source) && seen.insert(&file.source))
            .collect();
        let sha256 = candidate.stated.values().any(|it| matches!(it, Stated::Sha256(_)));
        let hasher = Hasher::new(&self.meter, sha256)?;
        let read = hash::for_each(&new, |found| {
            match read_file(found, candidate.stated.get(&found.source), &hasher, index) {
                Err(failure) if is_fatal(failure.code) => Err(failure),
                other => Ok(other.map_err(|failure| failure.message)),
            }
        })?;
        let mut here: HashMap<&Path, (Imported, Built)> = HashMap::new();
        let mut refused = None;
        for (found, read) in new.into_iter().zip(read) {
            match read {
                Ok((imported, built)) => {
                    self.read_bytes += imported.size;
                    if let Imported { file: Some(file), size, cid, .. } = imported {
                        self.known.insert(found.source.clone(), Known { file, size, cid });
                    }
                    here.insert(&found.source, (imported, built));
                }
                Err(why) => {
                    refused.get_or_insert_with(|| why.clone());
                    self.bad.insert(found.source.clone(), why);
                }
            }
        }
        if let Some(why) = refused {
            return Ok(Err(why));
        }
        let mut files = Vec::with_capacity(candidate.files.len());
        for found in &candidate.files {
            let (imported, built) = match (here.get(&*found.source), self.known.get(&found.source))
            {
                (Some(read), _) => read.clone(),
                (None, Some(known)) => match link(index, known)? {
                    Some(linked) => linked,
                    None => read_file(found, candidate.stated.get(&found.source), &hasher, index)?,
                },
                (None, None) => unreachable!("what is not known was read just now"),
            };
            files.push((Imported { path: found.path.clone(), ..imported }, built));
        }
        Ok(import::assemble(files, &candidate.empty, Some(index)).map_err(|why| why.message))
    }

    /// Saves the version, in the place of the one that it is if that was only touched.
    fn save(
        &mut self,
        candidate: &Candidate,
        reserved: TreeId,
        read: import::Tree,
    ) -> Result<AdoptedLine, Failure> {
        let root = read.built.cid;
        let mut there = self.trees.get(&candidate.location).into_iter().flatten();
        let before = there.find(|(_, tree)| tree.root == root && is_of(tree, candidate));
        let mut tree = Tree {
            root,
            release: None,
            card: None,
            repo: None,
            kind: candidate.kind,
            version: None,
            seq: None,
            // Whatever the default: a cache does not say what was gated.
            visibility: before.map_or(Visibility::Private, |(_, tree)| tree.visibility),
            pinned: true,
            location: candidate.location.clone(),
            owner: Owner::User,
            state: TreeState::Whole,
            created_at: SystemTime::now(),
            note: Note { name: Some(candidate.name.clone()), ..Note::default() }.to_text(),
        };
        note_origin(&mut tree, candidate);
        let listed: Vec<TreeFile> = read
            .files
            .into_iter()
            .map(|Imported { path, size, cid, file, .. }| TreeFile { path, size, cid, file })
            .collect();
        let (id, unchanged) = (before.map_or(reserved, |(id, _)| *id), before.is_some());
        self.library.store().save_tree(id, &tree, &listed)?;
        self.count(candidate);
        let line = line(candidate, &tree, unchanged);
        self.trees.entry(tree.location.clone()).or_default().push((id, tree));
        Ok(line)
    }

    fn count(&mut self, candidate: &Candidate) {
        for file in &candidate.files {
            if self.counted.insert(file.source.clone()) {
                self.bytes += file.size;
            }
        }
    }
}

/// Whether a file is as it was read. One that was too young then is, too: its blocks are hashed whenever they are served.
fn is_there(store: &Store, file: FileId) -> Result<bool, Failure> {
    Ok(matches!(store.look(file)?, Look::Same | Look::Unsettled))
}

/// Whether a version is one of the same snapshot, model or folder, whatever its files were.
fn is_of(tree: &Tree, candidate: &Candidate) -> bool {
    use note::Adopted::{Hub, Ollama};
    tree.location == candidate.location
        && match (Note::of(tree).adopted, &candidate.adopted) {
            (None, None) => true,
            (Some(Hub { id, commit, .. }), Some(Hub { id: its, commit: own, .. })) => {
                id == *its && commit == *own
            }
            (Some(Ollama { model }), Some(Ollama { model: its })) => model == *its,
            _ => false,
        }
}

fn note_origin(tree: &mut Tree, candidate: &Candidate) {
    tree.note = Note { adopted: candidate.adopted.clone(), ..Note::of(tree) }.to_text();
}

fn line(candidate: &Candidate, tree: &Tree, unchanged: bool) -> AdoptedLine {
    let origin = candidate.adopted.as_ref().map(super::origin).unwrap_or_default();
    AdoptedLine {
        name: Note::of(tree).name.unwrap_or_else(|| candidate.name.clone()),
        kind: tree.kind,
        hub: origin.hub,
        commit: origin.hub_commit,
        ollama: origin.ollama,
        root: tree.root.to_string(),
        files: candidate.files.len() as u64,
        bytes: candidate.files.iter().map(|file| file.size).sum(),
        path: tree.location.clone(),
        visibility: tree.visibility,
        unchanged,
    }
}

/// What ends the whole call; all else is said of the one version.
fn is_fatal(code: Code) -> bool {
    matches!(code, Code::Interrupted | Code::NoSpace)
}

/// Reads one file and compares it with the digest that it is named by.
fn read_file(
    found: &Found,
    stated: Option<&Stated>,
    hasher: &Hasher<'_>,
    index: Index<'_>,
) -> Result<(Imported, Built), Failure> {
    let by_git = matches!(stated, Some(Stated::Git(_)));
    let mut git = Sha1::new();
    let (imported, built) = import::file(found, hasher, Some(index), |step| match step {
        Step::Begin { stat, .. } if by_git => {
            git = Sha1::new_with_prefix(format!("blob {}\0", stat.size));
        }
        Step::Chunks(chunks) if by_git => chunks.iter().for_each(|chunk| git.update(chunk.data)),
        _ => {}
    })?;
    let is = match stated {
        Some(Stated::Sha256(sha256)) => imported.sha256 == Some(*sha256),
        Some(Stated::Git(id)) => <[u8; 20]>::from(git.finalize()) == *id,
        None => true,
    };
    if !is {
        let place = escape(&found.source.to_string_lossy());
        return Err(Failure::new(
            Code::Refused,
            format!(
                "{} is not what was published: {place} does not have the digest that it is named by",
                escape(&found.path)
            ),
        ));
    }
    Ok((imported, built))
}

/// Makes the tree hold a file that was read before, from what the index says of it; none if that is not the whole file.
fn link(index: Index<'_>, known: &Known) -> Result<Option<(Imported, Built)>, Failure> {
    let (store, tree) = (index.store, index.tree);
    let extents = blocks::extents(store, known.file)?;
    let (mut builder, mut nodes) = (FileBuilder::new(), Vec::new());
    for (key, place) in &extents {
        let cid = Cid::new_v1(RAW, *key);
        builder.push(cid, u64::from(place.len), &mut |node| nodes.push(node));
    }
    let built = builder.finish(&mut |node| nodes.push(node));
    if built.cid != known.cid {
        return Ok(None);
    }
    let leaves: Vec<NewBlock> = extents
        .into_iter()
        .map(|(key, place)| NewBlock { key, len: place.len, place: Some(place), data: None })
        .collect();
    store.add_blocks(tree, &leaves)?;
    blocks::add_nodes(store, tree, &nodes)?;
    let imported = Imported {
        path: String::new(),
        size: known.size,
        cid: known.cid,
        sha256: None,
        file: Some(known.file),
    };
    Ok(Some((imported, built)))
}
