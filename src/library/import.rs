//! From a list of files to a tree: digests, nodes, root; and, where there is a store, file records and extents.
//!
//! `seed` and `repair` index what they read; `verify` reads the same way and indexes nothing, so what it finds is
//! found from the bytes alone.

use bytes::Bytes;

use super::{
    blocks,
    hash::{self, Digest, Hashed, Hasher, Step},
    scan::{Found, Scan},
    watch::Meter,
};
use crate::{
    dag::{
        Block, Cid, block,
        build::{self, Built, FileBuilder},
    },
    limits,
    rpc::{Code, Failure},
    store::{FileId, NewBlock, NewFile, Owner, Place, Store, TreeId},
};

/// Where an import puts what it reads.
#[derive(Debug, Clone, Copy)]
pub(super) struct Index<'a> {
    /// The index.
    pub store: &'a Store,
    /// The tree that holds it all.
    pub tree: TreeId,
    /// Whose the files are.
    pub owner: Owner,
    /// Whether the files are served from where they are read; if not, only the tree's nodes are kept.
    pub in_place: bool,
}

/// A file as it lies in the tree.
#[derive(Debug, Clone)]
pub(super) struct Imported {
    /// Path inside the repo.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// CID of the file.
    pub cid: Cid,
    /// SHA2-256 of all its bytes, if it was asked for.
    pub sha256: Option<Digest>,
    /// Its record, unless all of it lies in the index itself.
    pub file: Option<FileId>,
}

/// A tree as it was read.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    /// Its root.
    pub built: Built,
    /// Its files, by path.
    pub files: Vec<Imported>,
}

/// Reads, hashes and builds a tree; `whole` asks for each file's own digest too.
///
/// # Errors
/// As [`Hasher::read`]; no space (7) or another failure of the index; usage (2) for names that no tree may have.
pub(super) fn import(
    scan: &Scan,
    index: Option<Index<'_>>,
    whole: bool,
    meter: &Meter,
) -> Result<Tree, Failure> {
    assemble(files(&scan.files, index, whole, meter)?, &scan.empty, index)
}

/// Reads and hashes files, which need be in no order.
///
/// # Errors
/// As [`import`].
pub(super) fn files(
    found: &[Found],
    index: Option<Index<'_>>,
    whole: bool,
    meter: &Meter,
) -> Result<Vec<(Imported, Built)>, Failure> {
    let hasher = Hasher::new(meter, whole)?;
    hash::for_each(found, |found| file(found, &hasher, index, |_| {}))
}

/// Builds the tree of these files, sorted by path, and of folders that hold nothing.
///
/// # Errors
/// As [`import`].
pub(super) fn assemble(
    read: Vec<(Imported, Built)>,
    empty: &[String],
    index: Option<Index<'_>>,
) -> Result<Tree, Failure> {
    let mut entries: Vec<(&str, Built)> =
        read.iter().map(|(file, built)| (file.path.as_str(), *built)).collect();
    let mut nodes = Vec::new();
    if !empty.is_empty() {
        let built = build::directory(Vec::new(), &mut |node| nodes.push(node)).map_err(refused)?;
        entries.extend(empty.iter().map(|path| (path.as_str(), built)));
        entries.sort_unstable_by_key(|(path, _)| *path);
    }
    let built = build::tree(entries, &mut |node| nodes.push(node)).map_err(refused)?;
    if let Some(index) = index {
        blocks::add_nodes(index.store, index.tree, &nodes)?;
    }
    Ok(Tree { built, files: read.into_iter().map(|(file, _)| file).collect() })
}

fn refused(why: build::Error) -> Failure {
    Failure::new(Code::Usage, why.to_string()).hint("rename it, or leave it out with --exclude")
}

/// Reads and hashes one file; `also` is told each step of it, as the hasher says it.
///
/// # Errors
/// As [`import`].
pub(super) fn file(
    found: &Found,
    hasher: &Hasher<'_>,
    index: Option<Index<'_>>,
    mut also: impl FnMut(&Step<'_>),
) -> Result<(Imported, Built), Failure> {
    let mut reading = Reading::default();
    let hashed = hasher.read(&found.source, |step| {
        also(&step);
        match step {
            Step::Begin { stat, started } => {
                reading = Reading::default();
                if let Some(index) =
                    index.filter(|index| index.in_place && !keeps_everything(index.store))
                {
                    let new = NewFile {
                        path: found.source.clone(),
                        owner: index.owner,
                        stat,
                        hashed_at: started,
                    };
                    reading.file = index.store.add_files(index.tree, &[new])?.first().copied();
                }
            }
            Step::Chunks(chunks) => reading.take(&chunks, index)?,
        }
        Ok(())
    })?;
    reading.finish(found, hashed, index)
}

/// At this setting the index keeps every block's bytes, and the file need not stay where it is.
fn keeps_everything(store: &Store) -> bool {
    store.inline_max() >= limits::BLOCK_MAX
}

/// A file while it is read.
#[derive(Default)]
struct Reading {
    file: Option<FileId>,
    builder: FileBuilder,
}

impl Reading {
    fn take(
        &mut self,
        chunks: &[hash::Chunk<'_>],
        index: Option<Index<'_>>,
    ) -> Result<(), Failure> {
        let mut nodes = Vec::new();
        let mut leaves = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let len = chunk.data.len();
            let cid = block::cid_v1(block::RAW, chunk.digest);
            self.builder.push(cid, len as u64, &mut |node| nodes.push(node));
            let Some(index) = index.filter(|index| index.in_place) else { continue };
            let inline = self.file.is_none() || len <= index.store.inline_max();
            leaves.push(NewBlock {
                key: *cid.hash(),
                len: len as u32,
                place: self.file.map(|file| Place {
                    file,
                    offset: chunk.offset,
                    len: len as u32,
                    head: Bytes::new(),
                    tail: Bytes::new(),
                }),
                data: inline.then(|| Bytes::copy_from_slice(chunk.data)),
            });
        }
        if let Some(index) = index {
            index.store.add_blocks(index.tree, &leaves)?;
            blocks::add_nodes(index.store, index.tree, &nodes)?;
        }
        Ok(())
    }

    fn finish(
        self,
        found: &Found,
        hashed: Hashed,
        index: Option<Index<'_>>,
    ) -> Result<(Imported, Built), Failure> {
        let mut nodes: Vec<Block> = Vec::new();
        let built = self.builder.finish(&mut |node| nodes.push(node));
        if let Some(index) = index {
            blocks::add_nodes(index.store, index.tree, &nodes)?;
        }
        let imported = Imported {
            path: found.path.clone(),
            size: hashed.size,
            cid: built.cid,
            sha256: hashed.sha256,
            file: self.file,
        };
        Ok((imported, built))
    }
}
