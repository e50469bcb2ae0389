//! Building trees as profile `unixfs-v1-2025` (IPIP-0499) does, byte for byte.
//!
//! For: leaves' CIDs and lengths in, inner nodes and root out. Not: reading or hashing files (threads belong to
//! `library`), nor where the nodes go: each is handed to the caller's `sink` as soon as it is whole, children first.
//!
//! Invariants: a [`FileBuilder`] holds at most one unfinished node per level; the same input always gives the same
//! root; no name leaves here that `name` refuses. The layout is boxo's balanced one: all leaves of a file equally deep.

use std::mem;

use super::block::{Block, Cid, RAW};
use super::unixfs::{self, Child, Entry, Part, Shard};
use super::{hamt, name};
use crate::limits;

/// Why a tree cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A name that no tree may have, or two that are one on some file systems.
    #[error(transparent)]
    Name(#[from] name::Error),
    /// A directory so large that it needs shards, with names made to collide in all 64 bits of their hash.
    #[error("\"{}\" and another name in its directory have the same hash; rename one", name::escape(.0))]
    Collision(String),
}

/// A finished file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Built {
    /// Its root.
    pub cid: Cid,
    /// Bytes of the file, or of all files below the directory.
    pub size: u64,
    /// Bytes of all its blocks, repeats counted: what a link to it says.
    pub tsize: u64,
}

impl Built {
    /// A file of so many bytes that was built before, from its root block; none if that is no node.
    pub fn of_file(root: &Block, size: u64) -> Option<Self> {
        let own = root.data().len() as u64;
        let below = match root.cid().codec() {
            RAW => 0,
            _ => super::pb::decode(root.data()).ok()?.links.iter().map(|link| link.tsize).sum(),
        };
        Some(Self { cid: *root.cid(), size, tsize: own.saturating_add(below) })
    }
}

fn emit(block: Block, below: u64, sink: &mut dyn FnMut(Block)) -> (Cid, u64) {
    let (cid, tsize) = (*block.cid(), below.saturating_add(block.data().len() as u64));
    sink(block);
    (cid, tsize)
}

/// Makes a file's inner nodes from its leaves.
#[derive(Debug, Default)]
pub struct FileBuilder {
    /// Unfinished nodes' parts, leaves' parents first. None is full.
    levels: Vec<Vec<Part>>,
}

impl FileBuilder {
    /// Begins a file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next leaf: a raw block of `len` bytes, which is [`limits::CHUNK`] for all but the last. Empty files have
    /// no leaf. Nodes that became whole go to `sink`.
    pub fn push(&mut self, cid: Cid, len: u64, sink: &mut dyn FnMut(Block)) {
        self.add(0, Part { cid, size: len, tsize: len }, sink);
    }

    fn add(&mut self, level: usize, part: Part, sink: &mut dyn FnMut(Block)) {
        if level == self.levels.len() {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(part);
        if self.levels[level].len() == limits::FILE_LINKS {
            self.close(level, sink);
        }
    }

    fn close(&mut self, level: usize, sink: &mut dyn FnMut(Block)) {
        let parts = mem::take(&mut self.levels[level]);
        let below = parts.iter().map(|part| part.tsize).sum();
        let size = parts.iter().map(|part| part.size).sum();
        let (cid, tsize) = emit(unixfs::encode_file(&parts), below, sink);
        self.add(level + 1, Part { cid, size, tsize }, sink);
    }

    /// Ends the file. A single leaf is the file itself; an empty file is the empty raw block, which goes to `sink`.
    pub fn finish(mut self, sink: &mut dyn FnMut(Block)) -> Built {
        let mut level = 0;
        while level < self.levels.len() {
            if let ([root], true) = (&self.levels[level][..], level + 1 == self.levels.len()) {
                return Built { cid: root.cid, size: root.size, tsize: root.tsize };
            }
            if !self.levels[level].is_empty() {
                self.close(level, sink);
            }
            level += 1;
        }
        let (cid, tsize) = emit(Block::new(RAW, Vec::new()), 0, sink);
        Built { cid, size: 0, tsize }
    }
}

/// Makes a directory: one block if that has at most [`limits::DIRECTORY_BLOCK_MAX`] bytes, else a HAMT. `size` of what
/// comes back is 0: entries do not say how many bytes of files they hold.
///
/// # Errors
/// [`Error`] on a name no tree may have, on names that are twins, and on hashes made to collide.
pub fn directory(mut entries: Vec<Entry>, sink: &mut dyn FnMut(Block)) -> Result<Built, Error> {
    let mut twins = name::Twins::default();
    for entry in &entries {
        name::check_name(&entry.name)?;
        twins.insert(&entry.name)?;
    }
    let (cid, tsize) = if unixfs::directory_len(&entries) <= limits::DIRECTORY_BLOCK_MAX {
        entries.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        // Saturating, here and below: what we link to may be a stranger's tree, with any number at all.
        let below = entries.iter().map(|entry| entry.tsize).fold(0, u64::saturating_add);
        emit(unixfs::encode_directory(&entries), below, sink)
    } else {
        let mut hashed: Vec<_> = entries.into_iter().map(|e| (hamt::hash(&e.name), e)).collect();
        hashed.sort_by_key(|(hash, _)| *hash);
        shard(hashed, 0, sink)?
    };
    Ok(Built { cid, size: 0, tsize })
}

/// Makes the shard of these entries, which are sorted by hash and share the hash's bits above `depth`.
fn shard(
    entries: Vec<(u64, Entry)>,
    depth: usize,
    sink: &mut dyn FnMut(Block),
) -> Result<(Cid, u64), Error> {
    let fanout = limits::HAMT_FANOUT;
    let mut groups: Vec<(usize, Vec<(u64, Entry)>)> = Vec::new();
    for (hash, entry) in entries {
        let bucket = hamt::bucket(hash, depth, fanout);
        let bucket = bucket.ok_or_else(|| Error::Collision(entry.name.clone()))?;
        match groups.last_mut() {
            Some((last, group)) if *last == bucket => group.push((hash, entry)),
            _ => groups.push((bucket, vec![(hash, entry)])),
        }
    }
    let (mut children, mut below) = (Vec::with_capacity(groups.len()), 0);
    for (bucket, mut group) in groups {
        let child = match group.pop() {
            Some((_, entry)) if group.is_empty() => {
                below = entry.tsize.saturating_add(below);
                Child::Entry(entry)
            }
            last => {
                group.extend(last);
                let (cid, tsize) = shard(group, depth + 1, sink)?;
                below = tsize.saturating_add(below);
                Child::Shard { cid, tsize }
            }
        };
        children.push((bucket, child));
    }
    Ok(emit(unixfs::encode_shard(&Shard { fanout, children }), below, sink))
}

/// A directory whose entries are still being gathered.
#[derive(Default)]
struct Open {
    name: String,
    entries: Vec<Entry>,
    size: u64,
}

/// Makes a whole tree from (path, file) pairs whose directories are contiguous, as any sorted list's are. An empty
/// directory is given as a pair of its path and what [`directory`] makes of no entries.
///
/// # Errors
/// [`Error`] on a path that `name` refuses, and on twins: also a path given twice, or as file and directory.
pub fn tree<P: AsRef<str>>(
    files: impl IntoIterator<Item = (P, Built)>,
    sink: &mut dyn FnMut(Block),
) -> Result<Built, Error> {
    let mut open = vec![Open::default()];
    for (path, built) in files {
        let path = path.as_ref();
        name::check_path(path)?;
        let mut parts: Vec<&str> = path.split('/').collect();
        let file = parts.pop().unwrap_or(path);
        let same = open[1..].iter().zip(&parts).take_while(|(dir, part)| dir.name == **part);
        let same = same.count();
        while open.len() > same + 1 {
            close(&mut open, sink)?;
        }
        open.extend(parts[same..].iter().map(|part| {
            let name = (*part).to_owned();
            Open { name, ..Open::default() }
        }));
        add(&mut open, file.to_owned(), built);
    }
    while open.len() > 1 {
        close(&mut open, sink)?;
    }
    let root = open.pop().unwrap_or_default();
    Ok(Built { size: root.size, ..directory(root.entries, sink)? })
}

fn add(open: &mut [Open], name: String, Built { cid, size, tsize }: Built) {
    let parent = open.last_mut().expect("the root stays open until the end");
    parent.entries.push(Entry { name, cid, tsize });
    parent.size += size;
}

fn close(open: &mut Vec<Open>, sink: &mut dyn FnMut(Block)) -> Result<(), Error> {
    if let Some(done) = open.pop() {
        let built = directory(done.entries, sink)?;
        add(open, done.name, Built { size: done.size, ..built });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str) -> Entry {
        Entry { name: name.to_owned(), cid: *Block::new(RAW, &b"x"[..]).cid(), tsize: 1 }
    }

    #[test]
    fn hashes_equal_in_all_bits_end_in_an_error_that_names_one_of_the_names() {
        let shard = |a, b| shard(vec![(a, entry("one")), (b, entry("other"))], 0, &mut |_| ());
        assert_eq!(shard(7, 7), Err(Error::Collision("one".to_owned())));
        let mut levels = 0;
        let entries = vec![(6, entry("one")), (7, entry("other"))];
        super::shard(entries, 0, &mut |_| levels += 1).unwrap();
        assert_eq!(levels, 8, "told apart by the last bits only");
    }
}
