//! A file being fetched: what of it is here already, and what must be asked for.

use std::{ops::Range, path::Path, sync::Arc};

use crate::{
    dag::{
        block::{RAW, sha256},
        walk::{Leaf, Size},
    },
    library::{blocks, fetch::plan::Planned},
    limits,
    rpc::{Code, Failure},
    store::{self, Arriving, Owner, Store, Target, TreeId},
};

/// A file being written.
pub(super) struct OpenFile {
    arriving: Option<Arc<Arriving>>,
    /// How to begin it once its size is known.
    late: Option<(Store, TreeId, Target)>,
    /// Leaves that are not here.
    pub left: usize,
    /// Writes under way.
    pub writes: usize,
}

impl OpenFile {
    /// The file, begun if it waited for its only leaf to tell its size.
    pub(super) fn arriving(&mut self, leaf_len: usize) -> Result<Arc<Arriving>, Failure> {
        if let Some((store, tree, target)) = self.late.take() {
            let target = Target { size: leaf_len as u64, ..target };
            self.arriving = Some(Arc::new(store.begin_file(tree, target)?.0));
        }
        let begun = self.arriving.as_ref();
        Ok(Arc::clone(begun.expect("a file is begun when it is opened, or just above")))
    }

    /// The file, if it is begun.
    pub(super) fn begun(&self) -> Option<&Arc<Arriving>> {
        self.arriving.as_ref()
    }

    /// The file alone, once nothing writes to it any more.
    pub(super) fn into_arriving(self) -> Result<Arriving, Failure> {
        self.arriving.and_then(Arc::into_inner).ok_or_else(|| {
            Failure::new(Code::Failure, "a fault of modelswarm: a finished file was still in use")
        })
    }
}

/// A file as it was opened.
pub(super) struct Opened {
    pub file: OpenFile,
    /// Leaves to ask for.
    pub missing: Vec<Leaf>,
    /// Bytes that are here.
    pub here: u64,
}

/// Begins a file or goes on with it: what the index lists is kept, what it missed is hashed, what other files of the
/// store hold is copied.
pub(super) fn open(
    store: &Store,
    tree: TreeId,
    base: &Path,
    owner: Owner,
    file: &Planned,
) -> Result<Opened, Failure> {
    let target = |size| Target { base: base.to_owned(), path: file.on_disk.clone(), size, owner };
    let size = match (file.size, &file.leaves[..]) {
        (Size::Declared(size), _) => size,
        // The file is one raw block, and only the block tells how long it is.
        (Size::Hint(_), leaves) => {
            let here =
                leaves.first().map(|leaf| store.read(leaf.cid.hash())).transpose()?.flatten();
            match here {
                Some(block) => block.len() as u64,
                None if leaves.is_empty() => 0,
                None => {
                    let file = OpenFile {
                        arriving: None,
                        late: Some((store.clone(), tree, target(0))),
                        left: leaves.len(),
                        writes: 0,
                    };
                    return Ok(Opened { file, missing: leaves.to_vec(), here: 0 });
                }
            }
        }
    };
    let (arriving, unlisted) = store.begin_file(tree, target(size))?;
    let listed: std::collections::HashSet<u64> =
        blocks::extents(store, arriving.id())?.into_iter().map(|(_, place)| place.offset).collect();
    let (mut missing, mut here) = (Vec::new(), 0);
    for leaf in &file.leaves {
        let len = leaf_len(leaf, size);
        if listed.contains(&leaf.offset)
            || found(&arriving, leaf, len, &unlisted)?
            || copied(store, &arriving, leaf)?
        {
            here += len;
        } else {
            missing.push(leaf.clone());
        }
    }
    let file =
        OpenFile { arriving: Some(Arc::new(arriving)), late: None, left: missing.len(), writes: 0 };
    Ok(Opened { file, missing, here })
}

fn leaf_len(leaf: &Leaf, file_size: u64) -> u64 {
    match leaf.size {
        Size::Declared(size) => size,
        Size::Hint(_) => file_size,
    }
}

/// Whether an earlier run wrote the leaf and was killed before it was listed.
fn found(
    arriving: &Arriving,
    leaf: &Leaf,
    len: u64,
    unlisted: &[Range<u64>],
) -> Result<bool, Failure> {
    let whole = leaf.offset..leaf.offset + len;
    let written = unlisted.iter().any(|range| range.start <= whole.start && whole.end <= range.end);
    if !written || leaf.cid.codec() != RAW || len > limits::BLOCK_MAX as u64 {
        return Ok(false);
    }
    let bytes = arriving.read_at(leaf.offset, len as usize)?;
    if leaf.cid.hash().digest() != sha256(&bytes) {
        return Ok(false);
    }
    arriving.found(leaf.offset, len as u32, store::Leaf::raw(*leaf.cid.hash()))?;
    Ok(true)
}

/// Whether another file of the store holds the leaf, and it was copied from there.
fn copied(store: &Store, arriving: &Arriving, leaf: &Leaf) -> Result<bool, Failure> {
    if leaf.cid.codec() != RAW || store.held(leaf.cid.hash())?.is_none() {
        return Ok(false);
    }
    Ok(arriving.copy(leaf.offset, store::Leaf::raw(*leaf.cid.hash()))?)
}
