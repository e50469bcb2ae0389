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

/// A whole file that lies in the index, such as an entry of a release; `None` if a part of it is not here.
///
/// # Errors
/// Refused (4) for what is no file, or is larger than `max` bytes; as the store fails.
pub(super) fn small_file(store: &Store, cid: &Cid, max: usize) -> Result<Option<Vec<u8>>, Failure> {
    let refused =
        |why: &dyn std::fmt::Display| Failure::new(Code::Refused, format!("{cid}: {why}"));
    let mut cursor = Cursor::new("", *cid, 0..max as u64 + 1);
    let mut bytes = Vec::new();
    while let Some(wanted) = cursor.wanted() {
        let Some(data) = store.read(wanted.hash())? else { return Ok(None) };
        let block = Block::verify(wanted, data).map_err(|why| refused(&why))?;
        let range = cursor.supply(&block).map_err(|why| refused(&why))?;
        bytes.extend_from_slice(&block.data()[range]);
    }
    if bytes.len() > max {
        return Err(refused(&format!("it is larger than the {max} bytes it may have")));
    }
    Ok(Some(bytes))
}
