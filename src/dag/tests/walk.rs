//! Walks over honest trees.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{Blocks, Seen, file, run, tree, walk};
use crate::dag::block::{RAW, cid_v1, sha256};
use crate::dag::build::directory;
use crate::dag::walk::{Found, Size};
use crate::dag::{Block, Built, Entry, FileBuilder, Walk};
use crate::limits::{CHUNK, FILE_LINKS, WALK_OUTSTANDING};

fn small(bytes: &[u8], blocks: &mut Blocks) -> Built {
    file(&[bytes.to_vec()], blocks)
}

#[test]
fn a_file_of_its_own_is_found_under_the_empty_path() {
    let mut blocks = Blocks::new();
    for leaves in [&[][..], &[b"x".to_vec()], &[b"x".to_vec(), b"y".to_vec()]] {
        let root = file(leaves, &mut blocks);
        let seen = walk(root.cid, &blocks).unwrap();
        assert_eq!(seen.files, BTreeMap::from([(String::new(), leaves.concat())]));
    }
}

#[test]
fn leaves_of_large_files_come_with_offsets_and_are_not_wanted() {
    let leaves = FILE_LINKS as u64 + 2;
    let mut blocks = Blocks::new();
    let mut sink = |block: Block| {
        blocks.insert(*block.cid(), block);
    };
    let mut builder = FileBuilder::new();
    let cid = |i: u64| cid_v1(RAW, sha256(&i.to_le_bytes()));
    (0..leaves).for_each(|i| builder.push(cid(i), CHUNK as u64, &mut sink));
    let root = builder.finish(&mut sink);
    let mut walk = Walk::new(root.cid).unwrap();
    let (mut seen, mut nodes) = (Vec::new(), 0);
    while let Some(wanted) = walk.next_wanted() {
        nodes += 1;
        let mut todo = walk.supply(&blocks[&wanted]).unwrap();
        while let Some(found) = todo.pop() {
            match found {
                Found::Leaf(leaf) if leaf.cid.codec() == RAW => {
                    assert_eq!(leaf.size, Size::Declared(CHUNK as u64));
                    seen.push((leaf.offset, leaf.cid));
                }
                // The last node has two leaves of a MiB: no larger than a leaf may be, so it was taken for one.
                Found::Leaf(leaf) => {
                    let filled = walk.fill(&leaf, &blocks[&leaf.cid]).unwrap();
                    assert_eq!((leaf.size.expected(), filled.bytes.len()), (2 << 20, 0));
                    todo.extend(filled.found);
                }
                Found::File { size, cid, .. } => {
                    assert_eq!((size, cid), (Size::Declared(root.size), root.cid));
                }
                Found::Directory { .. } => panic!("no directory here"),
            }
        }
    }
    assert!(walk.is_done());
    seen.sort_unstable_by_key(|(offset, _)| *offset);
    let expected: Vec<_> = (0..leaves).map(|i| (i * CHUNK as u64, cid(i))).collect();
    assert!(seen == expected);
    assert_eq!(nodes, 2);
}

#[test]
fn a_raw_file_has_the_size_its_directory_hints_at_and_the_block_may_differ() {
    let mut blocks = Blocks::new();
    let block = Block::new(RAW, &b"1234"[..]);
    let entry = |name: &str, tsize| Entry { name: name.to_owned(), cid: *block.cid(), tsize };
    let entries = vec![entry("lies", 0), entry("mad", u64::MAX), entry("true", 4)];
    let root = directory(entries, &mut |block| {
        blocks.insert(*block.cid(), block);
    });
    let mut walk = Walk::new(root.unwrap().cid).unwrap();
    let wanted = walk.next_wanted().unwrap();
    let mut sizes = Vec::new();
    for found in walk.supply(&blocks[&wanted]).unwrap() {
        if let Found::Leaf(leaf) = found {
            assert_eq!(walk.fill(&leaf, &block).unwrap().bytes, 0..4);
            sizes.push(leaf.size);
        }
    }
    assert_eq!(sizes, [Size::Hint(Some(0)), Size::Hint(None), Size::Hint(Some(4))]);
}

#[test]
fn thousands_of_entries_come_back_from_their_shards() {
    let mut blocks = Blocks::new();
    let names: Vec<_> = (0..9000).map(|i| format!("datenträger-{i:030}.npy")).collect();
    let files: BTreeMap<_, _> =
        names.iter().map(|name| (name.as_str(), small(name.as_bytes(), &mut blocks))).collect();
    let root = tree(&files.into_iter().collect::<Vec<_>>(), &mut blocks);
    let seen = walk(root.cid, &blocks).unwrap();
    assert!(seen.nodes > 200, "a HAMT");
    assert_eq!(seen.directories, [""]);
    assert_eq!(seen.files.len(), names.len());
    assert!(names.iter().all(|name| seen.files[name] == name.as_bytes()));
}

#[test]
fn unusual_names_come_back() {
    let names =
        ["…", " a", "'\"", "-rf *", ".gitattributes", "a\u{301}", "é.txt", "日本", "🤗", "%2e%2e"];
    let mut blocks = Blocks::new();
    let mut files: Vec<_> =
        names.iter().map(|name| (*name, small(name.as_bytes(), &mut blocks))).collect();
    files.sort_by_key(|(name, _)| *name);
    let root = tree(&files, &mut blocks);
    let seen = walk(root.cid, &blocks).unwrap();
    assert!(names.iter().all(|name| seen.files[*name] == name.as_bytes()));
}

#[test]
fn files_not_selected_are_named_and_cost_nothing_below_their_first_node() {
    let mut blocks = Blocks::new();
    let large: Vec<_> = (0..3u8).map(|i| vec![i; CHUNK]).collect();
    let large = file(&large, &mut blocks);
    let x = small(b"x", &mut blocks);
    let files = [("a/large", large), ("a/x", x), ("b/large", large), ("b/x", x)];
    let root = tree(&files, &mut blocks);
    let pick = Walk::new(root.cid).unwrap().select(|path| path == "b/x");
    let seen = run(pick, &blocks, 0).unwrap();
    assert_eq!(seen.files, BTreeMap::from([("b/x".to_owned(), b"x".to_vec())]));
    assert_eq!(seen.unselected.len(), 3);
    assert_eq!(seen.leaves.len(), 1);
}

#[test]
fn nodes_are_wanted_many_at_once_but_not_all() {
    let mut blocks = Blocks::new();
    let paths: Vec<_> = (0..1000).map(|i| format!("{i:04}/file")).collect();
    let files: Vec<_> =
        paths.iter().map(|path| (path.as_str(), small(path.as_bytes(), &mut blocks))).collect();
    let root = tree(&files, &mut blocks);
    let mut walk = Walk::new(root.cid).unwrap();
    assert_eq!((walk.next_wanted(), walk.next_wanted()), (Some(root.cid), None));
    walk.supply(&blocks[&root.cid]).unwrap();
    let wanted: Vec<_> = std::iter::from_fn(|| walk.next_wanted()).collect();
    assert_eq!(wanted.len(), WALK_OUTSTANDING);
    assert_eq!(walk.supply(&blocks[&wanted[7]]).unwrap().len(), 3);
    assert_eq!(walk.supply(&blocks[&wanted[7]]).unwrap(), [], "a late duplicate");
    assert_eq!(std::iter::from_fn(|| walk.next_wanted()).count(), 1);
    assert!(!walk.is_done());
}

/// Trees by path; files as lengths of their leaves.
fn files() -> impl Strategy<Value = BTreeMap<String, Vec<usize>>> {
    let leaves = prop_oneof![
        4 => proptest::collection::vec(0usize..40, 0..5),
        1 => (0usize..2100).prop_map(|n| vec![1; n]),
    ];
    proptest::collection::btree_map("[a-c](/[a-c]){0,4}/[d-f]{1,3}", leaves, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_file_of_a_random_tree_comes_back_whatever_the_order(given in files(), late: u16) {
        let mut blocks = Blocks::new();
        let mut want = BTreeMap::new();
        let mut built = Vec::new();
        for (path, lens) in &given {
            let leaf = |(i, len): (usize, &usize)| vec![(i % 251) as u8; *len];
            let leaves: Vec<_> = lens.iter().enumerate().map(leaf).collect();
            built.push((path.as_str(), file(&leaves, &mut blocks)));
            want.insert(path.clone(), leaves.concat());
        }
        let root = tree(&built, &mut blocks);
        prop_assert_eq!(root.size, want.values().map(|bytes| bytes.len() as u64).sum::<u64>());
        let seen: Seen = run(Walk::new(root.cid).unwrap(), &blocks, late.into()).unwrap();
        prop_assert_eq!(seen.files, want);
    }

    #[test]
    fn leaves_come_in_order_and_without_gaps(lens in proptest::collection::vec(1usize..9, 0..2100)) {
        let mut blocks = Blocks::new();
        let leaves: Vec<_> = lens.iter().map(|len| vec![*len as u8; *len]).collect();
        let root = file(&leaves, &mut blocks);
        let mut seen = walk(root.cid, &blocks).unwrap().leaves;
        // Small inner nodes were taken for leaves; what they turned out to hold counts.
        seen.retain(|leaf| leaf.cid.codec() == RAW);
        seen.sort_by_key(|leaf| leaf.offset);
        let mut offset = 0;
        let mut seen = seen.into_iter();
        for leaf in leaves.iter().filter(|leaf| !leaf.is_empty()) {
            let found = seen.next().unwrap();
            prop_assert_eq!(found.cid, *Block::new(RAW, leaf.clone()).cid());
            prop_assert_eq!((found.offset, found.size.expected()), (offset, leaf.len() as u64));
            offset += leaf.len() as u64;
        }
        prop_assert_eq!(seen.count(), usize::from(lens.is_empty()));
    }
}
