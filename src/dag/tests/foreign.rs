//! Trees as others make them: profile unixfs-v0-2015 (dag-pb leaves, 174 links), and older and stranger layouts.

use super::{Blocks, walk};
use crate::dag::block::{Block, Cid, DAG_PB, RAW, multihash, sha256};
use crate::dag::pb;
use crate::dag::unixfs::{self, Entry, Node, Part, decode};

/// A file node as Kubo writes it for v0: any mixture of own bytes and parts.
pub(super) fn encode_v0(kind: u8, data: &[u8], parts: &[Part]) -> Vec<u8> {
    let mut message = vec![0x08, kind];
    if !data.is_empty() {
        pb::put_bytes(&mut message, 2, data);
    }
    message.push(0x18);
    let below: u64 = parts.iter().map(|part| part.size).sum();
    pb::put_varint(&mut message, below + data.len() as u64);
    for part in parts {
        message.push(0x20);
        pb::put_varint(&mut message, part.size);
    }
    let link = |part: &Part| pb::Link { cid: part.cid, name: b"", tsize: part.tsize };
    pb::encode(&parts.iter().map(link).collect::<Vec<_>>(), &message)
}

fn keep_v0(bytes: Vec<u8>, size: u64, below: u64, blocks: &mut Blocks) -> Part {
    let cid = Cid::new_v0(multihash(sha256(&bytes))).unwrap();
    let tsize = below + bytes.len() as u64;
    blocks.insert(cid, Block::verify(cid, bytes).unwrap());
    Part { cid, size, tsize }
}

fn v0_file(data: &[u8], chunk: usize, width: usize, kind: u8, blocks: &mut Blocks) -> Part {
    let empty: [&[u8]; 1] = [&[]];
    let chunks: Vec<_> =
        if data.is_empty() { empty.to_vec() } else { data.chunks(chunk).collect() };
    let leaf = |c: &&[u8]| (encode_v0(kind, c, &[]), c.len() as u64);
    let mut level: Vec<_> = chunks
        .iter()
        .map(leaf)
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(bytes, size)| keep_v0(bytes, size, 0, blocks))
        .collect();
    while level.len() > 1 {
        let node = |parts: &[Part]| {
            let size = parts.iter().map(|part| part.size).sum();
            let below = parts.iter().map(|part| part.tsize).sum();
            keep_v0(encode_v0(2, &[], parts), size, below, blocks)
        };
        level = level.chunks(width).map(node).collect();
    }
    level[0]
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u32
    };
    (0..len.div_ceil(4)).flat_map(|_| next().to_le_bytes()).take(len).collect()
}

#[test]
fn hello_world_has_its_v0_cid_and_its_bytes_are_found_in_the_leaf() {
    let mut blocks = Blocks::new();
    let root = v0_file(b"hello world", 262_144, 174, 2, &mut blocks);
    assert_eq!(root.cid.to_string(), "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD");
    let block = &blocks[&root.cid];
    let Ok(Node::File(leaf)) = decode(block) else { panic!() };
    let (head, tail) = (&block.data()[..leaf.data.start], &block.data()[leaf.data.end..]);
    assert_eq!(&block.data()[leaf.data], b"hello world");
    assert_eq!((head, tail), (&b"\x0a\x11\x08\x02\x12\x0b"[..], &b"\x18\x0b"[..]));
    assert_eq!(walk(root.cid, &blocks).unwrap().files[""], b"hello world");
}

#[test]
fn a_v0_tree_of_two_levels_is_read_as_what_it_was_made_from() {
    let data = noise(175 * 262_144 + 77);
    let mut blocks = Blocks::new();
    let root = v0_file(&data, 262_144, 174, 2, &mut blocks);
    let seen = walk(root.cid, &blocks).unwrap();
    assert!(seen.files[""] == data);
    // The root is too large for a leaf; so is its first half. Its second is small and was taken for one.
    assert_eq!((seen.nodes, seen.leaves.len()), (2, 176 + 1));
}

#[test]
fn raw_typed_leaves_narrow_trees_and_no_bytes_at_all_are_read() {
    for (len, chunk, width) in [(0, 9, 9), (1, 1, 2), (100, 7, 2), (5000, 3, 174)] {
        let data = noise(len);
        let mut blocks = Blocks::new();
        let root = v0_file(&data, chunk, width, 0, &mut blocks);
        assert_eq!(walk(root.cid, &blocks).unwrap().files[""], data);
    }
}

#[test]
fn nodes_with_own_bytes_before_their_parts_are_read_in_order() {
    let mut blocks = Blocks::new();
    let deep = keep_v0(encode_v0(2, b"cd", &[]), 2, 0, &mut blocks);
    let raw = Block::new(RAW, &b"ef"[..]);
    let raw_part = Part { cid: *raw.cid(), size: 2, tsize: 2 };
    blocks.insert(*raw.cid(), raw);
    let inner = keep_v0(encode_v0(2, b"b", &[deep, raw_part]), 5, 0, &mut blocks);
    let root = keep_v0(encode_v0(2, b"a", &[inner, deep]), 8, 0, &mut blocks);
    let seen = walk(root.cid, &blocks).unwrap();
    assert_eq!(seen.files[""], b"abcdefcd");
}

#[test]
fn large_nodes_with_own_bytes_are_read_through_the_walk() {
    let mut blocks = Blocks::new();
    let big = noise(1 << 20);
    let leaf = keep_v0(encode_v0(2, &big, &[]), 1 << 20, 0, &mut blocks);
    let inner = keep_v0(encode_v0(2, b"xy", &[leaf, leaf]), (2 << 20) + 2, 0, &mut blocks);
    let root = keep_v0(encode_v0(2, b"", &[inner]), (2 << 20) + 2, 0, &mut blocks);
    let seen = walk(root.cid, &blocks).unwrap();
    assert_eq!(seen.nodes, 2);
    assert!(seen.files[""] == [b"xy", &big[..], &big[..]].concat());
}

#[test]
fn a_v0_directory_with_files_twice_is_read_whole() {
    let mut blocks = Blocks::new();
    let one = v0_file(b"same", 9, 9, 2, &mut blocks);
    let entries: Vec<_> = ["a", "b", "c"]
        .map(|name| Entry { name: name.to_owned(), cid: one.cid, tsize: one.tsize })
        .to_vec();
    let root = unixfs::encode_directory(&entries);
    let root = keep_v0(root.into_data().to_vec(), 0, 0, &mut blocks);
    assert_eq!((root.cid.codec(), root.cid.version()), (DAG_PB, cid::Version::V0));
    let seen = walk(root.cid, &blocks).unwrap();
    assert_eq!(seen.files.len(), 3);
    assert!(seen.files.values().all(|bytes| bytes == b"same"));
    // The three are one block, wanted once.
    assert_eq!(seen.nodes, 2);
}
