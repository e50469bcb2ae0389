//! Walking a tree whose blocks arrive one by one, in any order, from strangers.
//!
//! For: root and blocks in; which nodes to fetch next, and which files and leaves there are, out. Not: fetching, keeping
//! or writing blocks, nor choosing among peers. The caller loops: fetch (or read) what [`Walk::next_wanted`] names, keep
//! it, [`Walk::supply`] it; fetch each [`Leaf`] found and let [`Walk::fill`] say which of its bytes belong to the file.
//!
//! Leaves are not wanted by the walk and not remembered by it. A raw part is a leaf. A dag-pb part of at most
//! [`limits::BLOCK_MAX`] bytes is taken for one, too (v0 trees cannot tell leaves from nodes before they are seen); if it
//! turns out to have parts, `fill` finds them. Larger ones are inner nodes, and wanted.
//!
//! Invariants: every name that leaves here passed `name`; siblings are no twins; all declared sizes agree with what lies
//! below them, as far as supplied; depth, number of files, nodes and memory are bounded by `limits`. Cycles cannot
//! exist, as CIDs are hashes. After an error the tree is not to be trusted and the walk ends.

mod error;
mod found;

use std::collections::HashMap;
use std::sync::Arc;

pub use error::Error;
pub(super) use error::at;
pub use found::{Filled, Found, Leaf, Size};

use super::block::{Block, Cid, DAG_PB, RAW, SHA2_256};
use super::unixfs::{self, Child, Entry, File, Node, Shard};
use super::{hamt, name};
use crate::limits;

/// A file on whose nodes we are.
#[derive(Clone)]
struct Target {
    index: u64,
    path: Arc<str>,
}

/// What a node that is not yet seen will be.
enum Place {
    /// A file or directory: the root, or what a directory names.
    Entry { path: Arc<str> },
    /// A shard of a HAMT directory; `prefix` are the hash's bits that led to it.
    Shard { directory: u64, path: Arc<str>, fanout: usize, depth: usize, prefix: u64 },
    /// A node of a file.
    Part { file: Target, offset: u64, size: u64, depth: usize },
}

impl Place {
    fn path(&self) -> &Arc<str> {
        match self {
            Place::Entry { path } | Place::Shard { path, .. } => path,
            Place::Part { file, .. } => &file.path,
        }
    }
}

/// A HAMT directory of which not all shards are seen.
#[derive(Default)]
struct Sharded {
    names: name::Twins,
    unseen: usize,
}

type Filter = Box<dyn Fn(&str) -> bool + Send>;

/// A walk in progress. Its memory does not grow with the tree but with the nodes known and not yet seen.
pub struct Walk {
    /// Known nodes, the next one last.
    pending: Vec<(Cid, Place)>,
    /// Nodes asked for, and every place known so far where they stand.
    outstanding: HashMap<Cid, Vec<Place>>,
    /// Places in `outstanding`.
    waiting: usize,
    directories: HashMap<u64, Sharded>,
    next_directory: u64,
    files: u64,
    nodes: u64,
    filter: Filter,
}

impl Walk {
    /// Begins at a root: a file or a directory.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub fn new(root: Cid) -> Result<Self, Error> {
        supported("", &root)?;
        Ok(Self {
            pending: vec![(root, Place::Entry { path: "".into() })],
            outstanding: HashMap::new(),
            waiting: 0,
            directories: HashMap::new(),
            next_directory: 0,
            files: 0,
            nodes: 1,
            filter: Box::new(|_| true),
        })
    }

    /// Takes only files whose path passes the filter. The others are still named, but none of their nodes below the
    /// first is wanted and no leaf is reported.
    #[must_use]
    pub fn select(mut self, filter: impl Fn(&str) -> bool + Send + 'static) -> Self {
        self.filter = Box::new(filter);
        self
    }

    /// As if so many files and nodes had been met: tests of the bounds need not meet them all.
    #[cfg(test)]
    pub(super) fn after(mut self, files: u64, nodes: u64) -> Self {
        (self.files, self.nodes) = (files, nodes);
        self
    }

    /// The next node to fetch, each time another, depth first; `None` while enough are outstanding, and at the end. A
    /// node that stands in several places may be wanted again after it was supplied.
    pub fn next_wanted(&mut self) -> Option<Cid> {
        loop {
            let crowded = self.pending.len() + self.waiting >= limits::WALK_PENDING
                || self.outstanding.len() >= limits::WALK_OUTSTANDING;
            if crowded && !self.outstanding.is_empty() {
                return None;
            }
            let (cid, place) = self.pending.pop()?;
            let places = self.outstanding.entry(cid).or_default();
            places.push(place);
            self.waiting += 1;
            if places.len() == 1 {
                return Some(cid);
            }
        }
    }

    /// Whether every node was seen. Leaves found may still be missing, and turn out to be nodes.
    pub fn is_done(&self) -> bool {
        self.pending.is_empty() && self.outstanding.is_empty()
    }

    /// Reads a wanted block. What was not wanted is ignored.
    ///
    /// # Errors
    /// [`Error`]: this tree is refused.
    pub fn supply(&mut self, block: &Block) -> Result<Vec<Found>, Error> {
        let cid = *block.cid();
        let Some(places) = self.outstanding.remove(&cid) else { return Ok(Vec::new()) };
        self.waiting -= places.len();
        let node = unixfs::decode(block);
        let mut step = Step::default();
        let mut places = places.into_iter();
        // Not all places at once if the node is large: what comes out of one call stays bounded.
        while step.found.len() + step.wanted.len() < limits::WALK_PENDING {
            let Some(place) = places.next() else { break };
            match &node {
                Ok(node) => self.place(&cid, &place, node, &mut step)?,
                Err(why) => {
                    let path = place.path().to_string();
                    return Err(Error::Node { path, cid: cid.into(), why: why.clone() });
                }
            }
        }
        self.pending.extend(places.map(|place| (cid, place)));
        self.keep(step)
    }

    /// Says which bytes of a leaf's block belong to the file, and checks that they are as many as declared. `block` is
    /// the one that `leaf.cid` names.
    ///
    /// # Errors
    /// [`Error`]: this tree is refused.
    pub fn fill(&mut self, leaf: &Leaf, block: &Block) -> Result<Filled, Error> {
        debug_assert_eq!(leaf.cid, *block.cid());
        let cid = leaf.cid;
        let path = || leaf.path.to_string();
        let file = match unixfs::decode(block) {
            Ok(Node::File(file)) => file,
            Ok(_) => {
                return Err(Error::Kind {
                    path: path(),
                    cid: cid.into(),
                    expected: "a part of a file",
                });
            }
            Err(why) => return Err(Error::Node { path: path(), cid: cid.into(), why }),
        };
        let bytes = file.data.clone();
        let actual = if leaf.depth.is_some() { file.size } else { bytes.len() as u64 };
        if let Size::Declared(declared) = leaf.size
            && declared != actual
        {
            return Err(Error::Size { path: path(), cid: cid.into(), declared, actual });
        }
        let mut step = Step::default();
        if let Some(depth) = leaf.depth {
            let target = Target { index: leaf.file, path: leaf.path.clone() };
            let first = leaf.offset + bytes.len() as u64;
            self.parts(&target, first, depth, &file, &mut step)?;
        }
        Ok(Filled { bytes, found: self.keep(step)? })
    }

    fn keep(&mut self, step: Step) -> Result<Vec<Found>, Error> {
        // The last is taken first.
        self.pending.extend(step.wanted.into_iter().rev());
        let max = limits::WALK_PENDING_MAX;
        match self.pending.last() {
            Some((_, place)) if self.pending.len() + self.waiting > max => {
                let path = place.path().to_string();
                Err(Error::TooMany { path, what: "nodes side by side", max: max as u64 })
            }
            _ => Ok(step.found),
        }
    }

    fn count(&mut self, path: &str, children: usize) -> Result<(), Error> {
        self.nodes += children as u64;
        let max = limits::TREE_NODES_MAX;
        if self.nodes <= max {
            return Ok(());
        }
        Err(Error::TooMany { path: path.to_owned(), what: "nodes", max })
    }

    fn place(&mut self, cid: &Cid, at: &Place, node: &Node, step: &mut Step) -> Result<(), Error> {
        let path = at.path();
        let kind =
            |expected| Err(Error::Kind { path: path.to_string(), cid: (*cid).into(), expected });
        match (at, node) {
            (_, Node::Symlink(target)) => {
                let target = name::escape(&String::from_utf8_lossy(target));
                Err(Error::Symlink { path: path.to_string(), target })
            }
            (Place::Entry { .. }, Node::File(file)) => {
                if let Some(target) = self.file(path, *cid, Size::Declared(file.size), step)? {
                    self.root(&target, *cid, file, step)?;
                }
                Ok(())
            }
            (Place::Entry { .. }, Node::Directory(entries)) => {
                step.found.push(Found::Directory { path: path.clone(), cid: *cid });
                self.count(path, entries.len())?;
                let mut names = name::Twins::default();
                entries.iter().try_for_each(|entry| self.entry(path, entry, &mut names, step))
            }
            (Place::Entry { .. }, Node::Shard(shard)) => {
                step.found.push(Found::Directory { path: path.clone(), cid: *cid });
                let directory = self.next_directory;
                self.next_directory += 1;
                self.directories.insert(directory, Sharded { unseen: 1, ..Sharded::default() });
                self.shard(cid, path, directory, (0, 0), shard, step)
            }
            (Place::Shard { directory, fanout, depth, prefix, .. }, Node::Shard(shard))
                if shard.fanout == *fanout =>
            {
                self.shard(cid, path, *directory, (*depth, *prefix), shard, step)
            }
            (Place::Shard { .. }, _) => kind("a HAMT shard of the same fanout"),
            (Place::Part { file: target, offset, size, depth }, Node::File(file)) => {
                let (declared, actual) = (*size, file.size);
                if declared != actual {
                    let path = path.to_string();
                    return Err(Error::Size { path, cid: (*cid).into(), declared, actual });
                }
                self.own(target, *offset, *cid, file, step);
                self.parts(target, offset + file.data.len() as u64, *depth, file, step)
            }
            (Place::Part { .. }, _) => kind("a part of a file"),
        }
    }

    /// Reports a file; `None` if the filter does not take it.
    fn file(
        &mut self,
        path: &Arc<str>,
        cid: Cid,
        size: Size,
        step: &mut Step,
    ) -> Result<Option<Target>, Error> {
        let max = limits::TREE_FILES_MAX;
        if self.files == max {
            return Err(Error::TooMany { path: path.to_string(), what: "files", max });
        }
        let expected = size.expected();
        if expected > limits::FILE_MAX {
            let (path, size, max) = (path.to_string(), expected, limits::FILE_MAX);
            return Err(Error::TooLarge { path, cid: cid.into(), size, max });
        }
        let index = self.files;
        self.files += 1;
        let selected = (self.filter)(path);
        step.found.push(Found::File { index, path: path.clone(), cid, size, selected });
        Ok(selected.then(|| Target { index, path: path.clone() }))
    }

    fn root(&mut self, at: &Target, cid: Cid, file: &File, step: &mut Step) -> Result<(), Error> {
        self.own(at, 0, cid, file, step);
        self.parts(at, file.data.len() as u64, 0, file, step)
    }

    /// Reports the bytes that a supplied node carries itself, if any; a leaf's also when they are none.
    fn own(&self, file: &Target, offset: u64, cid: Cid, node: &File, step: &mut Step) {
        if !node.data.is_empty() || node.parts.is_empty() {
            let size = Size::Declared(node.data.len() as u64);
            step.leaf(file, offset, size, cid, None);
        }
    }

    /// Goes through the parts of a node that stands `depth` below its file's root.
    fn parts(
        &mut self,
        file: &Target,
        mut offset: u64,
        depth: usize,
        node: &File,
        step: &mut Step,
    ) -> Result<(), Error> {
        let path = || file.path.to_string();
        if depth >= limits::FILE_DEPTH_MAX && !node.parts.is_empty() {
            return Err(Error::TooDeep { path: path(), max: limits::FILE_DEPTH_MAX });
        }
        self.count(&file.path, node.parts.len())?;
        for part in &node.parts {
            supported(&file.path, &part.cid)?;
            let (cid, size, below) = (part.cid, part.size, depth + 1);
            if size <= limits::BLOCK_MAX as u64 {
                step.leaf(file, offset, Size::Declared(size), cid, Some(below));
            } else if cid.codec() == RAW {
                let max = limits::BLOCK_MAX as u64;
                return Err(Error::TooLarge { path: path(), cid: cid.into(), size, max });
            } else {
                let place = Place::Part { file: file.clone(), offset, size, depth: below };
                step.wanted.push((cid, place));
            }
            // No overflow: a node's size is the checked sum of its parts, the root's at most FILE_MAX.
            offset += size;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        directory: &str,
        entry: &Entry,
        names: &mut name::Twins,
        step: &mut Step,
    ) -> Result<(), Error> {
        let path = name::join(directory, &entry.name)
            .and_then(|path| names.insert(&entry.name).map(|()| path))
            .map_err(|why| Error::Name { path: directory.to_owned(), why })?;
        supported(&path, &entry.cid)?;
        let path: Arc<str> = path.into();
        if entry.cid.codec() == DAG_PB {
            step.wanted.push((entry.cid, Place::Entry { path }));
            return Ok(());
        }
        let hint = Some(entry.tsize).filter(|size| *size <= limits::BLOCK_MAX as u64);
        if let Some(file) = self.file(&path, entry.cid, Size::Hint(hint), step)? {
            step.leaf(&file, 0, Size::Hint(hint), entry.cid, Some(0));
        }
        Ok(())
    }

    fn shard(
        &mut self,
        cid: &Cid,
        path: &Arc<str>,
        directory: u64,
        (depth, prefix): (usize, u64),
        shard: &Shard,
        step: &mut Step,
    ) -> Result<(), Error> {
        self.count(path, shard.children.len())?;
        let fanout = shard.fanout;
        let bits = fanout.trailing_zeros() as usize;
        let levels = u64::BITS as usize / bits;
        let mut state = self.directories.remove(&directory).unwrap_or_default();
        state.unseen -= 1;
        for (bucket, child) in &shard.children {
            let prefix = prefix << bits | *bucket as u64;
            match child {
                Child::Entry(entry) => {
                    if hamt::hash(&entry.name) >> (64 - bits * (depth + 1)) != prefix {
                        let why = unixfs::Error::Shard("has a name whose hash belongs elsewhere");
                        return Err(Error::Node {
                            path: path.to_string(),
                            cid: (*cid).into(),
                            why,
                        });
                    }
                    self.entry(path, entry, &mut state.names, step)?;
                }
                Child::Shard { cid, .. } => {
                    supported(path, cid)?;
                    let (path, depth) = (path.clone(), depth + 1);
                    if depth == levels {
                        return Err(Error::TooDeep { path: path.to_string(), max: levels });
                    }
                    state.unseen += 1;
                    let place = Place::Shard { directory, path, fanout, depth, prefix };
                    step.wanted.push((*cid, place));
                }
            }
        }
        if state.unseen > 0 {
            self.directories.insert(directory, state);
        }
        Ok(())
    }
}

fn supported(path: &str, cid: &Cid) -> Result<(), Error> {
    if readable(cid) {
        Ok(())
    } else {
        Err(Error::Unsupported { path: path.to_owned(), cid: (*cid).into() })
    }
}

/// Whether a CID can name a node of a tree we read.
pub(super) fn readable(cid: &Cid) -> bool {
    let hash = cid.hash();
    [RAW, DAG_PB].contains(&cid.codec()) && (hash.code(), hash.size()) == (SHA2_256, 32)
}

/// What one call brought to light, in the tree's order.
#[derive(Default)]
struct Step {
    found: Vec<Found>,
    wanted: Vec<(Cid, Place)>,
}

impl Step {
    fn leaf(&mut self, at: &Target, offset: u64, size: Size, cid: Cid, depth: Option<usize>) {
        let (file, path) = (at.index, at.path.clone());
        self.found.push(Found::Leaf(Leaf { file, path, offset, size, cid, depth }));
    }
}
