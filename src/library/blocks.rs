//! Blocks in and out of the store in the pieces that the library's verbs need: nodes of a tree, extents of a file.

use crate::{
    dag::{Block, Multihash},
    limits,
    rpc::Failure,
    store::{FileId, NewBlock, Place, Store, TreeId},
};

/// Keeps a tree's nodes.
pub(super) fn add_nodes(store: &Store, tree: TreeId, nodes: &[Block]) -> Result<(), Failure> {
    let nodes: Vec<NewBlock> = nodes.iter().map(NewBlock::node).collect();
    Ok(store.add_blocks(tree, &nodes)?)
}

/// Every block recorded in a file, in order of offsets.
pub(super) fn extents(store: &Store, file: FileId) -> Result<Vec<(Multihash, Place)>, Failure> {
    let mut all = Vec::new();
    loop {
        let from = all.last().map_or(0, |(_, place): &(Multihash, Place)| place.offset + 1);
        let page = store.file_blocks(file, from, limits::EXTENTS_PAGE)?;
        let last = page.len() < limits::EXTENTS_PAGE;
        all.extend(page);
        if last {
            return Ok(all);
        }
    }
}
