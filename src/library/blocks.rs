//! Blocks in and out of the store in the pieces that the library's verbs need: nodes of a tree, extents of a file.

use crate::{
    dag::{
        Block, Built, Cid, Cursor, Multihash,
        block::RAW,
        unixfs::{self, Node},
    },
    limits,
    rpc::{Code, Failure},
    store::{FileId, NewBlock, Place, Store, TreeId},
};

/// Keeps a tree's nodes.
pub(super) fn add_nodes(store: &Store, tree: TreeId, nodes: &[Block]) -> Result<(), Failure> {
    let nodes: Vec<NewBlock> = nodes.iter().map(NewBlock::node).collect();
    Ok(store.add_blocks(tree, &nodes)?)
}

/// Has a tree hold all blocks of a file that is here: it is served with this tree, whatever becomes of the others that hold it.
/// How the file stands in a directory; none if a block of it is not here.
pub(super) fn hold(
    store: &Store,
    tree: TreeId,
    cid: Cid,
    size: u64,
    file: Option<FileId>,
) -> Result<Option<Built>, Failure> {
    let Some(root) = held(store, cid)? else { return Ok(None) };
    let built = Built::of_file(&root, size);
    let mut nodes = vec![root];
    while let Some(node) = nodes.pop() {
        let is_leaf = node.cid().codec() == RAW;
        // Leaves that lie in the file come with its extents.
        if !is_leaf || file.is_none() {
            add_nodes(store, tree, std::slice::from_ref(&node))?;
        }
        let Ok(Node::File(parts)) = unixfs::decode(&node) else { continue };
        for part in parts.parts.iter().filter(|part| file.is_none() || part.cid.codec() != RAW) {
            let Some(below) = held(store, part.cid)? else { return Ok(None) };
            nodes.push(below);
        }
    }
    if let Some(file) = file {
        let leaves: Vec<NewBlock> = extents(store, file)?
            .into_iter()
            .map(|(key, place)| {
                let len = place.head.len() + place.len as usize + place.tail.len();
                NewBlock { key, len: len as u32, place: Some(place), data: None }
            })
            .collect();
        store.add_blocks(tree, &leaves)?;
    }
    Ok(built)
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
