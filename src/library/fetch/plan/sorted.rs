//! What a walk found, as files with their leaves.

use std::collections::HashMap;

use super::{Place, Planned};
use crate::{
    card::{manifest::find, statement::Files},
    dag::{
        block::RAW,
        walk::{Found, Leaf, Size},
    },
    limits,
};

/// A tree's files, as they go to a place.
pub(super) struct Sorted {
    pub files: Vec<Planned>,
    /// Folders that hold nothing, below the place's base.
    pub folders: Vec<String>,
    /// Whether some of the tree was not asked for.
    pub partial: bool,
}

/// What a walk found, in the order of paths.
pub(super) fn sort(found: Vec<Found>, place: &Place) -> Sorted {
    let mut partial = false;
    let mut files = Vec::new();
    let mut folders = Vec::new();
    let mut leaves: HashMap<u64, Vec<Leaf>> = HashMap::new();
    let mut names = Vec::new();
    for found in found {
        match found {
            Found::Directory { path, .. } => folders.push(path.to_string()),
            Found::File { selected: false, .. } => partial = true,
            Found::File { index, path, cid, size, .. } => names.push((index, path, cid, size)),
            Found::Leaf(leaf) => leaves.entry(leaf.file).or_default().push(leaf),
        }
    }
    for (index, path, cid, size) in names {
        let mut leaves = leaves.remove(&index).unwrap_or_default();
        leaves.sort_unstable_by_key(|leaf| leaf.offset);
        files.push(Planned {
            path: place.in_repo(&path),
            on_disk: place.on_disk(&path),
            size,
            cid,
            leaves,
            file: None,
            replace: false,
        });
    }
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    folders.retain(|folder| !folder.is_empty() && !partial);
    let folders = folders.iter().map(|folder| place.on_disk(folder)).collect();
    Sorted { files, folders, partial }
}

/// Takes the sizes of files that are one raw block from the card: of those alone the tree does not say them. A card that is
/// wrong about one is refused when the block is there.
pub(super) fn declare(files: &mut [Planned], listed: &Files) {
    let Files::Inline(manifest) = listed else { return };
    for file in files.iter_mut().filter(|file| matches!(file.size, Size::Hint(_))) {
        let stated = find(manifest.files(), &file.path)
            .filter(|stated| stated.cid == file.cid && stated.size <= limits::BLOCK_MAX as u64);
        if let (Some(stated), [leaf]) = (stated, &mut file.leaves[..])
            && leaf.cid == file.cid
            && leaf.cid.codec() == RAW
        {
            (file.size, leaf.size) = (Size::Declared(stated.size), Size::Declared(stated.size));
        }
    }
}
