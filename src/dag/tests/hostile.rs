//! Trees made to do harm: each is refused for its own reason, naming place and block.

use super::foreign::encode_v0;
use super::{Blocks, walk};
use crate::dag::block::{DAG_JSON, DAG_PB, Multihash, RAW, cid_v1, sha256};
use crate::dag::name::Fault;
use crate::dag::unixfs::{self, Child, Entry, Part, Shard, encode_file};
use crate::dag::walk::{Error, Found};
use crate::dag::{Block, Cid, Walk, hamt, pb};
use crate::limits;

fn keep(block: Block, blocks: &mut Blocks) -> Cid {
    let cid = *block.cid();
    blocks.insert(cid, block);
    cid
}

fn raw(data: &[u8], blocks: &mut Blocks) -> Cid {
    keep(Block::new(RAW, data.to_vec()), blocks)
}

fn entry(name: &str, cid: Cid) -> Entry {
    Entry { name: name.to_owned(), cid, tsize: 1 }
}

fn part(cid: Cid, size: u64) -> Part {
    Part { cid, size, tsize: size }
}

fn directory(entries: &[Entry], blocks: &mut Blocks) -> Cid {
    keep(unixfs::encode_directory(entries), blocks)
}

fn refusal(root: Cid, blocks: &Blocks) -> Error {
    let error = walk(root, blocks).err().expect("a refusal");
    assert!(!error.to_string().contains(char::is_control), "{error}");
    error
}

#[test]
fn lying_about_the_size_of_a_leaf_is_found_when_it_arrives() {
    let mut blocks = Blocks::new();
    let leaf = raw(b"four", &mut blocks);
    let file = keep(encode_file(&[part(leaf, 5), part(leaf, 4)]), &mut blocks);
    let root = directory(&[entry("model.bin", file)], &mut blocks);
    let path = "model.bin".to_owned();
    let expected = Error::Size { path, cid: leaf.into(), declared: 5, actual: 4 };
    assert_eq!(refusal(root, &blocks), expected);
}

#[test]
fn lying_about_the_size_of_an_inner_node_is_found_when_it_arrives() {
    let mut blocks = Blocks::new();
    let leaf = raw(b"four", &mut blocks);
    let inner = keep(encode_file(&[part(leaf, 4), part(leaf, 4)]), &mut blocks);
    let declared = limits::BLOCK_MAX as u64;
    for declared in [declared, declared + 1] {
        let root = keep(encode_file(&[part(inner, declared)]), &mut blocks);
        let expected = Error::Size { path: String::new(), cid: inner.into(), declared, actual: 8 };
        assert_eq!(refusal(root, &blocks), expected);
    }
}

#[test]
fn impossible_sizes_are_refused_before_anything_is_fetched() {
    let mut blocks = Blocks::new();
    let leaf = raw(b"four", &mut blocks);
    let over = limits::BLOCK_MAX as u64 + 1;
    let root = keep(encode_file(&[part(leaf, over)]), &mut blocks);
    assert!(matches!(refusal(root, &blocks), Error::TooLarge { cid, .. } if *cid == leaf));
    let node = keep(encode_file(&[part(leaf, 4)]), &mut blocks);
    let root = keep(encode_file(&[part(node, limits::FILE_MAX), part(node, 1)]), &mut blocks);
    assert!(matches!(refusal(root, &blocks), Error::TooLarge { cid, .. } if *cid == root));
}

#[test]
fn files_cannot_be_deeper_than_any_honest_one() {
    for size in [4, limits::BLOCK_MAX as u64 + 1] {
        let mut blocks = Blocks::new();
        let mut cid = raw(b"four", &mut blocks);
        for _ in 0..=limits::FILE_DEPTH_MAX {
            cid = keep(encode_file(&[part(cid, size)]), &mut blocks);
        }
        // The larger chain ends in a lie, but the walk never gets that far.
        assert!(matches!(refusal(cid, &blocks), Error::TooDeep { .. }));
    }
}

#[test]
fn directories_cannot_be_deeper_than_a_path() {
    let mut blocks = Blocks::new();
    let mut cid = directory(&[], &mut blocks);
    for _ in 0..=limits::PATH_DEPTH_MAX {
        cid = directory(&[entry("d", cid)], &mut blocks);
    }
    assert!(matches!(refusal(cid, &blocks), Error::Name { why, .. } if why.fault == Fault::Deep));
}

#[test]
fn hostile_names_are_refused_in_directories_and_shards() {
    for (name, fault) in [
        ("..", Fault::Dots),
        ("a/b", Fault::Slash),
        ("a\nb", Fault::Control),
        ("\u{1b}]0;x\u{7}", Fault::Control),
        ("nul", Fault::Reserved),
    ] {
        let mut blocks = Blocks::new();
        let leaf = raw(b"x", &mut blocks);
        let flat = directory(&[entry(name, leaf)], &mut blocks);
        let bucket = hamt::bucket(hamt::hash(name), 0, 256).unwrap();
        let children = vec![(bucket, Child::Entry(entry(name, leaf)))];
        let shard = keep(unixfs::encode_shard(&Shard { fanout: 256, children }), &mut blocks);
        for inner in [flat, shard] {
            let root = directory(&[entry("sub", inner)], &mut blocks);
            let Error::Name { path, why } = refusal(root, &blocks) else { panic!("{name:?}") };
            assert_eq!((path.as_str(), why.fault), ("sub", fault));
        }
    }
}

#[test]
fn twins_are_refused_in_a_directory_and_across_shards() {
    let mut blocks = Blocks::new();
    let leaf = raw(b"x", &mut blocks);
    let flat = directory(&[entry("A", leaf), entry("a", leaf)], &mut blocks);
    let sub = |name: &str, blocks: &mut Blocks| {
        let hash = hamt::hash(name);
        let bucket = |depth| hamt::bucket(hash, depth, 256).unwrap();
        let children = vec![(bucket(1), Child::Entry(entry(name, leaf)))];
        let cid = keep(unixfs::encode_shard(&Shard { fanout: 256, children }), blocks);
        (bucket(0), Child::Shard { cid, tsize: 1 })
    };
    let mut children = vec![sub("A", &mut blocks), sub("a", &mut blocks)];
    children.sort_by_key(|(bucket, _)| *bucket);
    let sharded = keep(unixfs::encode_shard(&Shard { fanout: 256, children }), &mut blocks);
    for root in [flat, sharded] {
        let error = refusal(root, &blocks);
        assert!(matches!(&error, Error::Name { why, .. } if why.fault == Fault::Twin), "{error}");
    }
}

#[test]
fn shards_must_hold_what_their_place_says() {
    let mut blocks = Blocks::new();
    let leaf = raw(b"x", &mut blocks);
    let shard = |fanout, children, blocks: &mut Blocks| {
        keep(unixfs::encode_shard(&Shard { fanout, children }), blocks)
    };
    let bucket = hamt::bucket(hamt::hash("a"), 0, 256).unwrap();
    let child = Child::Entry(entry("a", leaf));
    let elsewhere = shard(256, vec![(bucket ^ 1, child)], &mut blocks);
    assert!(matches!(refusal(elsewhere, &blocks), Error::Node { cid, .. } if *cid == elsewhere));
    let empty = directory(&[], &mut blocks);
    let wide = shard(512, vec![], &mut blocks);
    for inner in [empty, wide] {
        let child = Child::Shard { cid: inner, tsize: 1 };
        let root = shard(256, vec![(0, child)], &mut blocks);
        assert!(matches!(refusal(root, &blocks), Error::Kind { cid, .. } if *cid == inner));
    }
    let mut deep = shard(256, vec![], &mut blocks);
    for _ in 0..8 {
        deep = shard(256, vec![(0, Child::Shard { cid: deep, tsize: 1 })], &mut blocks);
    }
    assert!(matches!(refusal(deep, &blocks), Error::TooDeep { max: 8, .. }));
}

#[test]
fn symlinks_are_refused_naming_place_and_target() {
    let mut blocks = Blocks::new();
    let link = Block::new(DAG_PB, pb::encode(&[], b"\x08\x04\x12\x09../\x1b[31m/"));
    let link = keep(link, &mut blocks);
    let root = directory(&[entry("config.json", link)], &mut blocks);
    let text = refusal(root, &blocks).to_string();
    assert!(text.contains("\"config.json\" is a symbolic link") && text.contains("\\u{1b}[31m"));
}

#[test]
fn a_directory_inside_a_file_and_garbage_are_told_apart() {
    let mut blocks = Blocks::new();
    let empty = directory(&[], &mut blocks);
    let garbage = keep(Block::new(DAG_PB, &b"garbage"[..]), &mut blocks);
    for size in [4, limits::BLOCK_MAX as u64 + 1] {
        let root = keep(encode_file(&[part(empty, size)]), &mut blocks);
        assert!(matches!(refusal(root, &blocks), Error::Kind { cid, .. } if *cid == empty));
        let root = keep(encode_file(&[part(garbage, size)]), &mut blocks);
        assert!(matches!(refusal(root, &blocks), Error::Node { cid, .. } if *cid == garbage));
    }
}

#[test]
fn codecs_and_hashes_we_do_not_read_are_refused_before_they_are_wanted() {
    let mut blocks = Blocks::new();
    let identity = Multihash::wrap(0, b"x").unwrap();
    let short = Multihash::wrap(0x12, &[1; 20]).unwrap();
    for cid in
        [cid_v1(DAG_JSON, sha256(b"{}")), Cid::new_v1(RAW, identity), Cid::new_v1(RAW, short)]
    {
        let unsupported =
            |path: &str| Error::Unsupported { path: path.to_owned(), cid: cid.into() };
        let named = directory(&[entry("odd", cid)], &mut blocks);
        assert_eq!(refusal(named, &blocks), unsupported("odd"));
        let file = keep(encode_file(&[part(cid, 1)]), &mut blocks);
        assert_eq!(refusal(file, &blocks), unsupported(""));
        assert_eq!(Walk::new(cid).err(), Some(unsupported("")));
    }
}

/// Takes one step after the other, keeping nothing of what is found but leaves that may be nodes.
fn exhaust(mut walk: Walk, blocks: &Blocks) -> (Error, usize) {
    let (mut leaves, mut most) = (Vec::new(), 0);
    loop {
        let step = match (walk.next_wanted(), leaves.pop()) {
            (Some(cid), leaf) => {
                leaves.extend(leaf);
                walk.supply(&blocks[&cid])
            }
            (None, Some(leaf)) => walk.fill(&leaf, &blocks[&leaf.cid]).map(|filled| filled.found),
            (None, None) => panic!("the bomb was walked to its end"),
        };
        match step {
            Ok(found) => {
                most = most.max(found.len());
                leaves.extend(found.into_iter().filter_map(|found| match found {
                    Found::Leaf(leaf) if leaf.cid.codec() == DAG_PB => Some(leaf),
                    _ => None,
                }));
            }
            Err(error) => return (error, most),
        }
    }
}

/// How far below the bounds the bombs begin.
const REST: u64 = 1 << 20;

#[test]
fn a_file_that_repeats_its_parts_exponentially_is_given_up() {
    let mut blocks = Blocks::new();
    let mut cid = keep(Block::new(DAG_PB, encode_v0(2, b"", &[])), &mut blocks);
    for _ in 0..5 {
        cid = keep(encode_file(&[part(cid, 0); 1024]), &mut blocks);
    }
    let walk = Walk::new(cid).unwrap().after(0, limits::TREE_NODES_MAX - REST);
    let (error, most) = exhaust(walk, &blocks);
    assert!(matches!(error, Error::TooMany { what: "nodes", .. }), "{error}");
    assert!(most <= limits::WALK_PENDING + 1024);
}

#[test]
fn directories_that_repeat_exponentially_are_given_up() {
    let mut blocks = Blocks::new();
    let mut cid = raw(b"x", &mut blocks);
    for _ in 0..6 {
        let entries: Vec<_> = (0..1000).map(|i| entry(&format!("{i:03}"), cid)).collect();
        cid = directory(&entries, &mut blocks);
    }
    let (files, nodes) = (limits::TREE_FILES_MAX - REST, limits::TREE_NODES_MAX - REST);
    for (files, nodes, what) in [(files, 0, "files"), (0, nodes, "nodes")] {
        let walk = Walk::new(cid).unwrap().after(files, nodes);
        let (error, most) = exhaust(walk, &blocks);
        assert!(matches!(error, Error::TooMany { what: w, .. } if w == what), "{error}");
        assert!(most <= limits::WALK_PENDING + 1024);
    }
}

#[test]
fn a_tree_of_nothing_but_wide_directories_is_given_up_before_memory_is() {
    let mut blocks = Blocks::new();
    let empty = directory(&[], &mut blocks);
    let wide: Vec<_> = ('a'..='z')
        .map(|c| {
            let names = (0..42_000).map(|i| format!("{c}{i:x}"));
            let entries: Vec<_> = names.map(|name| entry(&name, empty)).collect();
            entry(&c.to_string(), directory(&entries, &mut blocks))
        })
        .collect();
    let root = directory(&wide, &mut blocks);
    assert!(blocks.values().all(|block| block.data().len() <= limits::BLOCK_MAX));
    let mut walk = Walk::new(root).unwrap();
    let first = walk.next_wanted().unwrap();
    walk.supply(&blocks[&first]).unwrap();
    // All are asked for before the first arrives.
    let asked: Vec<_> = std::iter::from_fn(|| walk.next_wanted()).collect();
    assert_eq!(asked.len(), 26);
    let error = asked.iter().find_map(|cid| walk.supply(&blocks[cid]).err());
    assert!(matches!(error, Some(Error::TooMany { what: "nodes side by side", .. })), "{error:?}");
}
