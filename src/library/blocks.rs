//! Blocks in and out of the store in the pieces that the library's verbs need: nodes of a tree, extents of a file.

use crate::{
    dag::{Block, Cid, Cursor, Multihash},
    limits,
    rpc::{Code, Failure},
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

/// A block that the store holds, hashed again.
pub(super) fn held(store: &Store, cid: Cid) -> Result<Option<Block>, Failure> {
    let Some(data) = store.read(cid.hash())? else { return Ok(None) };
    Block::verify(cid, data).map(Some).map_err(|why| {
        Failure::new(Code::Refused, format!("the block {cid} in the store is damaged: {why}"))
            .hint("rebuild the index: modelswarm repair")
    })
}

/// A whole small file that the store holds; none if a part of it is not there.
pub(super) fn small_file(store: &Store, file: Cid, max: usize) -> Result<Option<Vec<u8>>, Failure> {
    let mut cursor = Cursor::new("", file, 0..max as u64);
    let mut bytes = Vec::new();
    while let Some(wanted) = cursor.wanted() {
        let Some(block) = held(store, wanted)? else { return Ok(None) };
        let range = cursor.supply(&block)?;
        bytes.extend_from_slice(&block.data()[range]);
    }
    Ok(Some(bytes))
}
