//! Trees by their own nodes: what no listing of files tells — empty folders — and files that others built by other
//! rules, whose CIDs can't be made again from the bytes alone.

use std::{collections::HashSet, fs::File, io, os::unix::fs::FileExt as _, path::Path};

use sha2::{Digest as _, Sha256};

use crate::{
    dag::{Block, Cid, Walk, block::sha256, walk::Found},
    library::{blocks, import::Imported, scan::unreadable},
    rpc::{Code, Failure},
    store::{Store, Tree, TreeFile},
};

/// Folders of a tree that nothing lies in.
pub(super) fn empty_folders(store: &Store, tree: &Tree) -> Result<Vec<String>, Failure> {
    let found = nodes(store, tree.root, |_| false)?;
    let (mut folders, mut filled) = (Vec::new(), HashSet::new());
    for found in found {
        let path = match found {
            Found::Directory { path, .. } => {
                folders.push(path.to_string());
                path
            }
            Found::File { path, .. } => path,
            Found::Leaf(leaf) => leaf.path,
        };
        if let Some((folder, _)) = path.rsplit_once('/') {
            filled.insert(folder.to_owned());
        }
    }
    folders.retain(|folder| !folder.is_empty() && !filled.contains(folder));
    folders.sort_unstable();
    Ok(folders)
}

/// Walks what the store holds of a tree's nodes, each hashed against its CID.
fn nodes(
    store: &Store,
    root: Cid,
    takes: impl Fn(&str) -> bool + Send + 'static,
) -> Result<Vec<Found>, Failure> {
    let mut walk = Walk::new(root)?.select(takes);
    let mut found = Vec::new();
    while let Some(cid) = walk.next_wanted() {
        let lost = || {
            Failure::new(
                Code::Refused,
                format!("the index no longer holds {cid}, a part of {root}"),
            )
            .hint("rebuild it: modelswarm repair; or fetch it again: modelswarm get ROOT")
        };
        let data = store.read(cid.hash())?.ok_or_else(lost)?;
        let block = Block::verify(cid, data).map_err(|_| lost())?;
        found.extend(walk.supply(&block)?);
    }
    Ok(found)
}

/// Whether what was just read of a file, of this digest, is what the tree says: the recorded blocks one after another, and
/// nothing behind the last. Its root is proven by the nodes that the store holds, its leaves by their own hashes.
pub(super) fn is_same(
    store: &Store,
    file: &TreeFile,
    path: &Path,
    read: &Imported,
) -> Result<bool, Failure> {
    let (Some(id), Some(digest)) = (file.file, read.sha256) else { return Ok(false) };
    if read.size != file.size {
        return Ok(false);
    }
    let handle = File::open(path).map_err(|why| unreadable(path, &why))?;
    let (mut all, mut end) = (Sha256::new(), 0);
    for (key, place) in blocks::extents(store, id)? {
        let mut bytes = vec![0; place.len as usize];
        match handle.read_exact_at(&mut bytes, place.offset) {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(why) => return Err(unreadable(path, &why)),
        }
        let block = [&place.head[..], &bytes, &place.tail[..]].concat();
        if place.offset != end || key.digest() != sha256(&block) {
            return Ok(false);
        }
        all.update(&bytes);
        end += u64::from(place.len);
    }
    // The file was read twice: only what is the same both times was proven by its blocks.
    Ok(end == file.size && all.finalize()[..] == digest)
}
