//! The blocking ends of a transfer: a block into its places, whole files under their names.

use std::{ops::Range, sync::Arc};

use super::{Step, open::OpenFile};
use crate::{
    dag::Block,
    library::blocks,
    rpc::Failure,
    store::{self, Arriving, FileId, Store, TreeId},
};

/// A place of a block.
pub(super) struct Piece {
    /// The file, by its number in the plan.
    pub index: usize,
    pub arriving: Arc<Arriving>,
    /// Where in the file.
    pub offset: u64,
    /// What of the block belongs there.
    pub bytes: Range<usize>,
}

/// Writes a block to every place where it belongs.
pub(super) fn write_all(
    store: &Store,
    tree: TreeId,
    block: &Block,
    pieces: Vec<Piece>,
) -> Result<Step, Failure> {
    let data = block.data();
    let mut bytes = 0;
    let mut files = Vec::new();
    for Piece { index, arriving, offset, bytes: range } in pieces {
        bytes += range.len() as u64;
        files.push(index);
        if range.is_empty() && !data.is_empty() {
            // A node that was taken for a leaf: no file holds any of it, and peers will want it of us.
            blocks::add_nodes(store, tree, std::slice::from_ref(block))?;
            continue;
        }
        let leaf = store::Leaf {
            key: *block.cid().hash(),
            head: data.slice(..range.start),
            tail: data.slice(range.end..),
        };
        arriving.write(offset, &data[range], leaf)?;
    }
    Ok(Step::Wrote { files, block: *block.cid(), block_len: data.len(), bytes })
}

/// Gives files that are whole their names; their records.
pub(super) fn finish_all(
    store: &Store,
    files: Vec<(usize, OpenFile)>,
    replace: bool,
) -> Result<Vec<(usize, FileId)>, Failure> {
    let mut begun = Vec::with_capacity(files.len());
    let mut records = Vec::with_capacity(files.len());
    for (index, file) in files {
        let arriving = file.into_arriving()?;
        records.push((index, arriving.id()));
        begun.push(arriving);
    }
    store.finish_all(begun, replace)?;
    Ok(records)
}
