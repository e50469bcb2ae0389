//! The published vectors of profile `unixfs-v1-2025`, and the layout around its edges.

use std::collections::HashMap;
use std::thread;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit as _, StreamCipher as _, StreamCipherSeek as _};

use crate::dag::block::{RAW, cid_v1, sha256};
use crate::dag::build::{self, directory, tree};
use crate::dag::unixfs::{File, Node, decode};
use crate::dag::{Block, Built, Cid, Entry, FileBuilder};
use crate::limits::{CHUNK, FILE_LINKS};

/// `len` bytes at `offset` of the stream that IPIP-0499 derives from a seed.
fn stream(seed: &str, offset: u64, len: usize) -> Vec<u8> {
    let mut cipher = ChaCha20::new(&sha256(seed.as_bytes()).into(), &[0; 12].into());
    cipher.seek(offset);
    let mut bytes = vec![0; len];
    cipher.apply_keystream(&mut bytes);
    bytes
}

fn leaves(seed: &str, range: std::ops::Range<u64>) -> Vec<(Cid, u64)> {
    let starts = range.clone().step_by(CHUNK);
    let leaf = |start: u64| {
        let len = (range.end - start).min(CHUNK as u64);
        (cid_v1(RAW, sha256(&stream(seed, start, len as usize))), len)
    };
    starts.map(leaf).collect()
}

fn file(leaves: &[(Cid, u64)]) -> (Built, HashMap<Cid, Block>) {
    let mut blocks = HashMap::new();
    let mut sink = |block: Block| assert!(blocks.insert(*block.cid(), block).is_none());
    let mut builder = FileBuilder::new();
    leaves.iter().for_each(|(cid, len)| builder.push(*cid, *len, &mut sink));
    let built = builder.finish(&mut sink);
    (built, blocks)
}

fn cid_of(leaves: &[(Cid, u64)]) -> String {
    file(leaves).0.cid.to_string()
}

#[test]
fn hello_world() {
    let leaf = (*Block::new(RAW, &b"hello world"[..]).cid(), 11);
    assert_eq!(cid_of(&[leaf]), "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e");
}

#[test]
fn exactly_one_chunk_and_one_byte_more() {
    let one = leaves("chunk-v1-seed", 0..CHUNK as u64);
    assert_eq!(cid_of(&one), "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta");
    let more = leaves("chunk-v1-seed", 0..CHUNK as u64 + 1);
    assert_eq!(cid_of(&more), "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64");
}

#[test]
fn exactly_one_full_node_and_one_byte_more() {
    let gib = (FILE_LINKS * CHUNK) as u64;
    let half = move |from| move || leaves("v1-2025-seed", from..from + gib / 2);
    let other = thread::spawn(half(gib / 2));
    let mut all = half(0)();
    all.extend(other.join().unwrap());
    assert_eq!(cid_of(&all), "bafybeihmf37wcuvtx4hpu7he5zl5qaf2ineo2lqlfrapokkm5zzw7zyhvm");
    all.extend(leaves("v1-2025-seed", gib..gib + 1));
    assert_eq!(cid_of(&all), "bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe");
}

fn threshold_directory(last: usize) -> String {
    const ALPHABET: &[u8; 39] = b"abcdefghijklmnopqrstuvwxyz01234567890-_";
    let bytes = stream("hamt-unixfs-v1-2025", 0, 4765 * 11 + last);
    let name = |b: &[u8]| b.iter().map(|b| char::from(ALPHABET[*b as usize % 39])).collect();
    let (most, end) = bytes.split_at(4765 * 11);
    let cid = *Block::new(RAW, &b"x"[..]).cid();
    let entry = |b: &[u8]| Entry { name: name(b), cid, tsize: 1 };
    let entries = most.chunks(11).chain([end]).map(entry).collect();
    directory(entries, &mut |_| ()).unwrap().cid.to_string()
}

#[test]
fn a_directory_at_the_hamt_threshold_and_one_byte_over_it() {
    let basic = "bafybeic3h7rwruealwxkacabdy45jivq2crwz6bufb5ljwupn36gicplx4";
    assert_eq!(threshold_directory(21), basic);
    let hamt = "bafybeiegvuterwurhdtkikfhbxcldohmxp566vpjdofhzmnhv6o4freidu";
    assert_eq!(threshold_directory(22), hamt);
}

#[test]
fn nothing_at_all() {
    let (built, blocks) = file(&[]);
    assert_eq!(
        built.cid.to_string(),
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    );
    assert_eq!((built.size, built.tsize, blocks.len()), (0, 0, 1));
    let empty = directory(Vec::new(), &mut |_| ()).unwrap();
    let v1 = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354";
    assert_eq!((empty.cid.to_string().as_str(), empty.tsize), (v1, 4));
    // The same block under the old profile's name.
    let v0 = Cid::new_v0(*empty.cid.hash()).unwrap();
    assert_eq!(v0.to_string(), "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn");
}

/// Leaves of a file of `size` bytes, with made-up CIDs: only the layout is looked at.
fn made_up(size: u64) -> Vec<(Cid, u64)> {
    let chunk = CHUNK as u64;
    let cid = |i: u64| cid_v1(RAW, sha256(&i.to_le_bytes()));
    (0..size.div_ceil(chunk)).map(|i| (cid(i), (size - i * chunk).min(chunk))).collect()
}

/// Parts of an inner node, or `None` for a leaf.
fn parts(blocks: &HashMap<Cid, Block>, cid: &Cid) -> Option<File> {
    let Node::File(file) = decode(blocks.get(cid)?).unwrap() else { panic!("a directory") };
    Some(file)
}

#[test]
fn sizes_around_each_edge_give_the_layout_that_arithmetic_gives() {
    let (chunk, links) = (CHUNK as u64, FILE_LINKS as u64);
    let edges = [1, chunk, 2 * chunk, links * chunk, (links + 1) * chunk, 2 * links * chunk];
    for size in edges.iter().flat_map(|edge| [edge - 1, *edge, edge + 1]) {
        let leaves = made_up(size);
        let (built, blocks) = file(&leaves);
        assert_eq!(built.size, size);
        // Follow every branch: all leaves equally deep, every node but the last of its level full.
        let (mut level, mut depth, mut below) = (vec![(built.cid, size, built.tsize)], 0, 0);
        while let Some(first) = parts(&blocks, &level[0].0).filter(|_| size > 0) {
            assert!(first.parts.len() > 1 || level.len() > 1, "a root with one child");
            let mut next = Vec::new();
            for (i, (cid, size, tsize)) in level.iter().enumerate() {
                let node = parts(&blocks, cid).unwrap();
                assert_eq!((node.size, node.data.len()), (*size, 0));
                assert!(i + 1 == level.len() || node.parts.len() == FILE_LINKS);
                let own = blocks[cid].data().len() as u64;
                let sum: u64 = node.parts.iter().map(|part| part.tsize).sum();
                assert_eq!(own + sum, *tsize);
                below += own;
                next.extend(node.parts.iter().map(|part| (part.cid, part.size, part.tsize)));
            }
            (level, depth) = (next, depth + 1);
        }
        if size > 0 {
            assert_eq!(level, leaves.iter().map(|(c, l)| (*c, *l, *l)).collect::<Vec<_>>());
        }
        assert_eq!(built.tsize, size + below);
        let levels = [chunk, links * chunk, u64::MAX].iter().position(|most| size <= *most);
        assert_eq!(Some(depth), levels, "{size}");
    }
}

#[test]
fn a_million_and_one_leaves_stand_four_levels_deep() {
    let mut builder = FileBuilder::new();
    let mut nodes = 0;
    for i in 0..=(FILE_LINKS * FILE_LINKS) as u64 {
        builder.push(cid_v1(RAW, [i as u8; 32]), 1, &mut |_| nodes += 1);
    }
    assert_eq!(nodes, FILE_LINKS + 1, "whole nodes leave at once");
    let mut last = Vec::new();
    let built = builder.finish(&mut |block| last.push(block));
    assert_eq!(built.size, 1024 * 1024 + 1);
    let Node::File(root) = decode(last.last().unwrap()).unwrap() else { panic!() };
    let sizes: Vec<_> = root.parts.iter().map(|part| part.size).collect();
    assert_eq!((last.len(), sizes), (3, vec![1024 * 1024, 1]));
}

#[test]
fn a_tree_is_its_directories_nested() {
    let mut blocks = Vec::new();
    let leaf = |i: u8| Built { cid: cid_v1(RAW, [i; 32]), size: 10, tsize: 10 };
    let empty = directory(Vec::new(), &mut |_| ()).unwrap();
    // Byte order puts "a-b" between "a" and what lies in "a/".
    let files = [("a-b", leaf(1)), ("a/x", leaf(2)), ("a/y/z", leaf(3)), ("b", empty)];
    let built = tree(files, &mut |block| blocks.push(block)).unwrap();
    let dir = |entries: &[(&str, Built)]| {
        let entry = |(name, b): &(&str, Built)| Entry {
            name: (*name).to_owned(),
            cid: b.cid,
            tsize: b.tsize,
        };
        directory(entries.iter().map(entry).collect(), &mut |_| ()).unwrap()
    };
    let y = dir(&[("z", leaf(3))]);
    let a = dir(&[("y", y), ("x", leaf(2))]);
    let root = dir(&[("a", a), ("a-b", leaf(1)), ("b", empty)]);
    assert_eq!((built.cid, built.tsize, built.size), (root.cid, root.tsize, 30));
    let order: Vec<_> = blocks.iter().map(|block| *block.cid()).collect();
    assert_eq!(order, [y.cid, a.cid, root.cid]);
}

#[test]
fn what_would_be_one_file_twice_is_refused() {
    let leaf = Built { cid: cid_v1(RAW, [1; 32]), size: 1, tsize: 1 };
    let build = |paths: &[&str]| tree(paths.iter().map(|path| (*path, leaf)), &mut |_| ());
    for paths in [&["a", "a"][..], &["a", "a/b"], &["d/A", "d/a"], &["D/x", "d/y"], &["a/../b"]] {
        assert!(matches!(build(paths), Err(build::Error::Name(_))), "{paths:?}");
    }
    build(&["d/A", "e/a"]).unwrap();
}
