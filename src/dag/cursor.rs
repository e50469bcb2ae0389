//! Reading a range of one file in order: which block is needed next, and which of its bytes belong there.
//!
//! Only nodes and leaves on the way are needed, so a read in the middle of a large file needs a node a level. Not:
//! fetching or reading blocks, nor what else the tree holds (that is `walk`). What a block says of sizes is checked
//! against the node above it, as there.

use std::ops::Range;

use super::block::{Block, Cid, RAW};
use super::unixfs::{self, Node, Part};
use super::walk::{Error, readable};
use crate::limits;

/// A stretch of the file below one block.
#[derive(Debug, Clone)]
struct Stretch {
    cid: Cid,
    offset: u64,
    /// What the node above declares; none for the file's root.
    size: Option<u64>,
    depth: usize,
}

/// A read in progress: supply what [`Cursor::wanted`] names until it names nothing. Memory: the links of the nodes on
/// the way.
#[derive(Debug, Clone)]
pub struct Cursor {
    path: String,
    /// What overlaps the range, the next one last.
    pending: Vec<Stretch>,
    range: Range<u64>,
}

impl Cursor {
    /// Begins to read these bytes of the file with this root; `path` is for messages. What lies beyond the end of the
    /// file is not read.
    pub fn new(path: &str, file: Cid, range: Range<u64>) -> Self {
        let root = Stretch { cid: file, offset: 0, size: None, depth: 0 };
        let pending = if range.is_empty() { Vec::new() } else { vec![root] };
        Self { path: path.to_owned(), pending, range }
    }

    /// The block needed next; `None` at the end.
    pub fn wanted(&self) -> Option<Cid> {
        self.pending.last().map(|next| next.cid)
    }

    /// Where the next bytes lie.
    pub fn position(&self) -> u64 {
        self.range.start
    }

    /// The wanted block, raw, has so many bytes: those of them that come next.
    ///
    /// # Errors
    /// [`Error`]: this tree is refused.
    pub fn supply_raw(&mut self, len: usize) -> Result<Range<usize>, Error> {
        self.take(len as u64, 0..len, &[])
    }

    /// The wanted block: those of its bytes that come next, none for a node without any.
    ///
    /// # Errors
    /// [`Error`]: this tree is refused.
    pub fn supply(&mut self, block: &Block) -> Result<Range<usize>, Error> {
        debug_assert_eq!(self.wanted(), Some(*block.cid()));
        let (path, cid) = (self.path.clone(), Box::new(*block.cid()));
        match unixfs::decode(block) {
            Ok(Node::File(file)) => self.take(file.size, file.data, &file.parts),
            Ok(_) => Err(Error::Kind { path, cid, expected: "a part of a file" }),
            Err(why) => Err(Error::Node { path, cid, why }),
        }
    }

    fn take(
        &mut self,
        size: u64,
        data: Range<usize>,
        parts: &[Part],
    ) -> Result<Range<usize>, Error> {
        let Some(at) = self.pending.pop() else { return Ok(0..0) };
        let (path, cid) = (self.path.clone(), Box::new(at.cid));
        if let Some(declared) = at.size.filter(|declared| *declared != size) {
            return Err(Error::Size { path, cid, declared, actual: size });
        }
        if at.depth >= limits::FILE_DEPTH_MAX && !parts.is_empty() {
            return Err(Error::TooDeep { path, max: limits::FILE_DEPTH_MAX });
        }
        let mut offset = at.offset + data.len() as u64;
        let known = self.pending.len();
        for part in parts {
            let end = offset.saturating_add(part.size);
            if offset < self.range.end && self.range.start < end {
                let (cid, size, depth) = (part.cid, Some(part.size), at.depth + 1);
                if !readable(&cid) {
                    return Err(Error::Unsupported { path, cid: cid.into() });
                }
                if cid.codec() == RAW && part.size > limits::BLOCK_MAX as u64 {
                    let (size, max) = (part.size, limits::BLOCK_MAX as u64);
                    return Err(Error::TooLarge { path, cid: cid.into(), size, max });
                }
                self.pending.push(Stretch { cid, offset, size, depth });
            }
            offset = end;
        }
        self.pending[known..].reverse();
        let from = self.range.start.max(at.offset);
        let until = self.range.end.min(at.offset + data.len() as u64);
        if from >= until {
            return Ok(0..0);
        }
        self.range.start = until;
        let inside = |byte: u64| data.start + (byte - at.offset) as usize;
        Ok(inside(from)..inside(until))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::dag::block::{DAG_PB, cid_v1};
    use crate::dag::{pb, unixfs::encode_file};

    /// The blocks of a file, and its bytes.
    struct Made {
        blocks: HashMap<Cid, Block>,
        root: Cid,
        bytes: Vec<u8>,
    }

    /// Leaves of these lengths, `wide` to a node, the odd ones wrapped in dag-pb.
    fn made(lens: &[u8], wide: usize) -> Made {
        let mut blocks = HashMap::new();
        let mut bytes = Vec::new();
        let mut level = Vec::new();
        for (n, len) in lens.iter().enumerate() {
            let data: Vec<u8> = (0..*len).map(|at| at ^ n as u8).collect();
            let block = if n.is_multiple_of(2) {
                Block::new(RAW, data.clone())
            } else {
                let message = [&[0x08, 2, 0x12, *len][..], &data, &[0x18, *len]].concat();
                Block::new(DAG_PB, pb::encode(&[], &message))
            };
            level.push(Part { cid: *block.cid(), size: data.len() as u64, tsize: 1 });
            blocks.insert(*block.cid(), block);
            bytes.extend(data);
        }
        while level.len() > 1 || level[0].cid.codec() == RAW {
            let nodes = level.chunks(wide).map(|parts| {
                let block = encode_file(parts);
                let size = parts.iter().map(|part| part.size).sum();
                blocks.insert(*block.cid(), block.clone());
                Part { cid: *block.cid(), size, tsize: 1 }
            });
            level = nodes.collect();
        }
        Made { blocks, root: level[0].cid, bytes }
    }

    /// The bytes, and how many blocks were needed.
    fn read(made: &Made, range: Range<u64>) -> (Vec<u8>, usize) {
        let mut cursor = Cursor::new("a", made.root, range);
        let (mut bytes, mut needed) = (Vec::new(), 0);
        while let Some(cid) = cursor.wanted() {
            let block = &made.blocks[&cid];
            let range = match cid.codec() {
                RAW => cursor.supply_raw(block.data().len()).expect("fits"),
                _ => cursor.supply(block).expect("a file"),
            };
            bytes.extend_from_slice(&block.data()[range]);
            needed += 1;
        }
        (bytes, needed)
    }

    proptest! {
        #[test]
        fn any_range_of_any_tree_gives_just_its_bytes(
            lens in prop::collection::vec(0_u8..100, 1..60),
            wide in 2_usize..6,
            from in 0_u64..4000,
            len in 0_u64..4000,
        ) {
            let made = made(&lens, wide);
            let (bytes, _) = read(&made, from..from + len);
            let size = made.bytes.len();
            let (from, until) = ((from as usize).min(size), ((from + len) as usize).min(size));
            prop_assert_eq!(&bytes, &made.bytes[from..until]);
        }
    }

    #[test]
    fn a_read_in_the_middle_needs_one_node_a_level_and_its_leaf() {
        let made = made(&[10; 64], 4);
        let (bytes, needed) = read(&made, 325..328);
        assert_eq!(bytes, &made.bytes[325..328]);
        assert_eq!(needed, 4);
    }

    #[test]
    fn a_part_that_is_not_as_long_as_declared_is_refused() {
        let leaf = Block::new(RAW, vec![1; 9]);
        let node = encode_file(&[Part { cid: *leaf.cid(), size: 10, tsize: 9 }]);
        let mut cursor = Cursor::new("a", *node.cid(), 0..10);
        assert_eq!(cursor.supply(&node), Ok(0..0));
        let refused = cursor.supply_raw(9);
        assert!(matches!(refused, Err(Error::Size { declared: 10, actual: 9, .. })), "{refused:?}");
    }

    #[test]
    fn a_tree_of_more_levels_than_any_honest_one_is_refused() {
        let mut node = Block::new(RAW, vec![1]);
        for _ in 0..=limits::FILE_DEPTH_MAX + 1 {
            node = encode_file(&[Part { cid: *node.cid(), size: 1, tsize: 1 }]);
        }
        let mut at = node.clone();
        let mut cursor = Cursor::new("a", *at.cid(), 0..1);
        let refused = loop {
            if let Err(why) = cursor.supply(&at) {
                break why;
            }
            // Nodes of nodes, each the only part of the one above.
            let Ok(Node::File(file)) = unixfs::decode(&at) else { panic!("made above") };
            at = remake(&node, &file.parts[0].cid);
        };
        assert!(matches!(refused, Error::TooDeep { .. }), "{refused:?}");
    }

    /// The node below `top` with this CID.
    fn remake(top: &Block, cid: &Cid) -> Block {
        let mut node = Block::new(RAW, vec![1]);
        while node.cid() != cid {
            assert_ne!(node.cid(), top.cid());
            node = encode_file(&[Part { cid: *node.cid(), size: 1, tsize: 1 }]);
        }
        node
    }

    #[test]
    fn what_is_no_part_of_a_file_is_refused() {
        let folder = cid_v1(DAG_PB, [0; 32]);
        let block = Block::new(DAG_PB, pb::encode(&[], &[0x08, 1]));
        assert_ne!(folder, *block.cid());
        let mut cursor = Cursor::new("a", *block.cid(), 0..10);
        assert!(matches!(cursor.supply(&block), Err(Error::Kind { .. })));
    }
}
