//! What lies in the places where files are to go: nothing, the same bytes, or something else.
//!
//! The same bytes are adopted: indexed where they lie, never fetched again. A record that still fits its file is
//! believed; anything else is read and hashed against the leaves that belong there.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    time::SystemTime,
};

use bytes::Bytes;

use super::Planned;
use crate::{
    dag::{
        block::{RAW, sha256},
        walk::Leaf,
    },
    library::{Library, blocks, hash, scan::unreadable},
    rpc::Failure,
    store::{FileId, FileStat, Look, NewBlock, NewFile, Owner, Place, Store, TreeId},
};

/// What lies in a file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Absent,
    /// The very bytes; indexed under this record.
    Equal(FileId),
    /// Something else.
    Other,
}

/// Looks at all places, several at once.
pub(super) fn all(
    library: &Library,
    tree: TreeId,
    base: &Path,
    owner: Owner,
    files: &[Planned],
) -> Result<Vec<Verdict>, Failure> {
    let store = library.store();
    hash::for_each(files, |file| {
        let path = base.join(&file.on_disk);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(why) if matches!(why.kind(), io::ErrorKind::NotFound) => {
                return Ok(Verdict::Absent);
            }
            Err(why) if matches!(why.kind(), io::ErrorKind::NotADirectory) => {
                return Ok(Verdict::Other);
            }
            Err(why) => return Err(unreadable(&path, &why)),
        };
        if !metadata.is_file() || file.leaves.iter().any(|leaf| leaf.offset > metadata.len()) {
            return Ok(Verdict::Other);
        }
        if let Some(known) = known(store, &path, file)? {
            index(store, tree, known, file, metadata.len())?;
            return Ok(Verdict::Equal(known));
        }
        let handle = File::open(&path).map_err(|why| unreadable(&path, &why))?;
        let started = SystemTime::now();
        let stat = FileStat::of(&handle).map_err(|why| unreadable(&path, &why))?;
        if !equal(&handle, metadata.len(), &file.leaves).map_err(|why| unreadable(&path, &why))? {
            return Ok(Verdict::Other);
        }
        let new = NewFile { path: path.clone(), owner, stat, hashed_at: started };
        let Some(id) = store.add_files(tree, &[new])?.first().copied() else {
            return Ok(Verdict::Other);
        };
        index(store, tree, id, file, metadata.len())?;
        Ok(Verdict::Equal(id))
    })
}

/// The record of this path, if it fits the file on the disk and lists exactly these leaves.
fn known(store: &Store, path: &Path, file: &Planned) -> Result<Option<FileId>, Failure> {
    let Some((id, _)) = store.file_at(path)? else { return Ok(None) };
    if store.look(id)? != Look::Same {
        return Ok(None);
    }
    let listed = blocks::extents(store, id)?;
    let same = listed.len() == file.leaves.len()
        && listed
            .iter()
            .zip(&file.leaves)
            .all(|((key, place), leaf)| *key == *leaf.cid.hash() && place.offset == leaf.offset);
    Ok(same.then_some(id))
}

fn equal(file: &File, size: u64, leaves: &[Leaf]) -> io::Result<bool> {
    let mut buffer = Vec::new();
    for (leaf, end) in leaves.iter().zip(ends(leaves, size)) {
        let len = end.saturating_sub(leaf.offset);
        if leaf.cid.codec() != RAW || len > crate::limits::BLOCK_MAX as u64 {
            return Ok(false);
        }
        buffer.resize(len as usize, 0);
        match file.read_exact_at(&mut buffer, leaf.offset) {
            Ok(()) => {}
            Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(why) => return Err(why),
        }
        if leaf.cid.hash().digest() != sha256(&buffer) {
            return Ok(false);
        }
    }
    Ok(!leaves.is_empty() || size == 0)
}

/// Where each leaf ends: where the next begins, the last one where the file does.
fn ends(leaves: &[Leaf], size: u64) -> impl Iterator<Item = u64> {
    leaves.iter().skip(1).map(|leaf| leaf.offset).chain([size])
}

fn index(
    store: &Store,
    tree: TreeId,
    id: FileId,
    file: &Planned,
    size: u64,
) -> Result<(), Failure> {
    let listed = blocks::extents(store, id)?;
    let places = file.leaves.iter().zip(ends(&file.leaves, size)).map(|(leaf, end)| {
        let len = end.saturating_sub(leaf.offset) as u32;
        let wrapped = listed.iter().find(|(key, _)| key == leaf.cid.hash()).map(|(_, place)| place);
        let (head, tail) = wrapped
            .map(|place| (place.head.clone(), place.tail.clone()))
            .unwrap_or((Bytes::new(), Bytes::new()));
        NewBlock {
            key: *leaf.cid.hash(),
            len: len + (head.len() + tail.len()) as u32,
            place: Some(Place { file: id, offset: leaf.offset, len, head, tail }),
            data: None,
        }
    });
    store.add_blocks(tree, &places.collect::<Vec<_>>())?;
    Ok(())
}
