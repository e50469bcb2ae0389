//! Tests of the layer as a whole: what only several of its modules together show.

mod foreign;
mod hostile;
mod nodes;
mod profile;
mod resolve;
mod walk;

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::block::RAW;
use super::walk::{Error, Found, Leaf};
use super::{Block, Built, Cid, FileBuilder, Walk};

/// Blocks by their CID: the peer of these tests.
type Blocks = HashMap<Cid, Block>;

/// A file of these leaves, which need not all be as long as the profile's.
fn file(leaves: &[Vec<u8>], blocks: &mut Blocks) -> Built {
    let mut sink = |block: Block| {
        blocks.insert(*block.cid(), block);
    };
    let mut builder = FileBuilder::new();
    for leaf in leaves {
        let block = Block::new(RAW, leaf.clone());
        builder.push(*block.cid(), leaf.len() as u64, &mut sink);
        sink(block);
    }
    builder.finish(&mut sink)
}

fn tree(files: &[(&str, Built)], blocks: &mut Blocks) -> Built {
    let mut sink = |block: Block| {
        blocks.insert(*block.cid(), block);
    };
    super::build::tree(files.iter().copied(), &mut sink).unwrap()
}

/// What a walk over everything finds: each file's bytes, put together from its leaves, and the directories.
#[derive(Default)]
struct Seen {
    files: BTreeMap<String, Vec<u8>>,
    unselected: Vec<String>,
    directories: Vec<String>,
    leaves: Vec<Leaf>,
    nodes: usize,
}

/// Walks to the end. `late` decides how many answers overtake each other.
fn run(mut walk: Walk, blocks: &Blocks, late: usize) -> Result<Seen, Error> {
    let (mut seen, mut paths) = (Seen::default(), Vec::new());
    let (mut asked, mut leaves) = (VecDeque::new(), VecDeque::new());
    loop {
        while let Some(cid) = walk.next_wanted() {
            asked.push_back(cid);
        }
        asked.rotate_left(if asked.is_empty() { 0 } else { late % asked.len() });
        let found = if let Some(cid) = asked.pop_front() {
            seen.nodes += 1;
            walk.supply(&blocks[&cid])?
        } else if let Some(leaf) = leaves.pop_front() {
            let leaf: Leaf = leaf;
            let block = &blocks[&leaf.cid];
            let filled = walk.fill(&leaf, block)?;
            let bytes = &block.data()[filled.bytes];
            let path: &String = &paths[leaf.file as usize];
            assert_eq!(path[..], leaf.path[..]);
            let file = seen.files.get_mut(path).unwrap();
            let (from, until) = (leaf.offset as usize, leaf.offset as usize + bytes.len());
            file.resize(file.len().max(until), 0);
            file[from..until].copy_from_slice(bytes);
            seen.leaves.push(leaf);
            filled.found
        } else {
            assert!(walk.is_done());
            return Ok(seen);
        };
        for found in found {
            match found {
                Found::Directory { path, .. } => seen.directories.push(path.to_string()),
                Found::File { index, path, selected, .. } => {
                    assert_eq!(index as usize, paths.len());
                    paths.push(path.to_string());
                    if selected {
                        assert!(seen.files.insert(path.to_string(), Vec::new()).is_none());
                    } else {
                        seen.unselected.push(path.to_string());
                    }
                }
                Found::Leaf(leaf) => leaves.push_back(leaf),
            }
        }
    }
}

fn walk(root: Cid, blocks: &Blocks) -> Result<Seen, Error> {
    run(Walk::new(root)?, blocks, 0)
}
