//! Single nodes: what is encoded comes back, what is hostile does no harm.

use proptest::prelude::*;

use crate::dag::block::{DAG_JSON, DAG_PB, RAW, cid_v1};
use crate::dag::pb::{self, Malformed};
use crate::dag::unixfs::{self, Child, Entry, Error, Node, Part, Shard, decode, links};
use crate::dag::{Block, hamt};

fn node(links: &[pb::Link], data: &[u8]) -> Block {
    Block::new(DAG_PB, pb::encode(links, data))
}

fn reencoded(node: &Node) -> Block {
    match node {
        Node::File(file) => unixfs::encode_file(&file.parts),
        Node::Directory(entries) => unixfs::encode_directory(entries),
        Node::Shard(shard) => unixfs::encode_shard(shard),
        Node::Symlink(_) => panic!("never written"),
    }
}

#[test]
fn mode_mtime_and_fields_of_the_future_are_skipped() {
    let data = [0x08, 1, 0x38, 0xa4, 3, 0x42, 2, 0x08, 9, 0x7d, 0, 0, 0, 0];
    assert_eq!(decode(&node(&[], &data)), Ok(Node::Directory(Vec::new())));
}

#[test]
fn packed_sizes_are_sizes() {
    let link = pb::Link { cid: cid_v1(RAW, [1; 32]), name: b"", tsize: 5 };
    let data = [0x08, 2, 0x18, 7, 0x22, 2, 3, 4];
    let Ok(Node::File(file)) = decode(&node(&[link.clone(), link], &data)) else { panic!() };
    assert_eq!(file.parts.iter().map(|part| part.size).collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn a_symlink_is_told_apart() {
    let link = decode(&node(&[], &[0x08, 4, 0x12, 2, b'.', b'.']));
    assert_eq!(link, Ok(Node::Symlink(b"..".to_vec())));
}

#[test]
fn contradictions_are_refused() {
    let link = pb::Link { cid: cid_v1(RAW, [1; 32]), name: b"", tsize: 5 };
    let decode = |links: &[pb::Link], data: &[u8]| decode(&node(links, data)).unwrap_err();
    let size = Error::Size { declared: 9, actual: 2 };
    assert_eq!(decode(&[], &[0x08, 2, 0x12, 2, 0, 0, 0x18, 9]), size);
    let one = std::slice::from_ref(&link);
    assert_eq!(decode(one, &[0x08, 2, 0x18, 0]), Error::Parts { links: 1, sizes: 0 });
    let huge = [0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let data = [&[0x08, 2], &huge[..], &huge[..]].concat();
    let both = [link.clone(), link.clone()];
    assert!(matches!(decode(&both, &data), Error::Parts { links: 2, .. }));
    assert_eq!(decode(&[], &[0x08, 3]), Error::Type(3));
    assert_eq!(decode(&[], &[0x12, 0]), Error::Message(Malformed::Field(1)));
    assert_eq!(decode(&[], &[0x08, 1, 0x08, 1]), Error::Message(Malformed::Order(1)));
    let named = pb::Link { name: b"\xff\x1b", ..link };
    let Error::Name(name) = decode(&[named], &[0x08, 1]) else { panic!() };
    assert!(!name.contains('\x1b'));
    let no_data = Block::new(DAG_PB, Vec::new());
    assert_eq!(unixfs::decode(&no_data), Err(Error::NoData));
    let json = Block::new(DAG_JSON, &b"{}"[..]);
    assert_eq!(unixfs::decode(&json), Err(Error::Codec(DAG_JSON)));
}

#[test]
fn shards_that_break_a_rule_are_refused() {
    let link = |name| pb::Link { cid: cid_v1(RAW, [1; 32]), name, tsize: 5 };
    let decode = |links: &[pb::Link], data: &[u8]| decode(&node(links, data));
    let good = [0x08, 5, 0x12, 1, 2, 0x28, 0x22, 0x30, 0x80, 2];
    assert!(matches!(decode(&[link(b"01a")], &good), Ok(Node::Shard(_))));
    let refused = |links: &[pb::Link], data: &[u8]| {
        assert!(matches!(decode(links, data), Err(Error::Shard(_))), "{data:x?}");
    };
    refused(&[link(b"02a")], &good);
    refused(&[link(b"1a")], &good);
    refused(&[link(b"0")], &good);
    refused(&[], &good);
    refused(&[link(b"01a"), link(b"01b")], &good);
    refused(&[link(b"01a")], &[0x08, 5, 0x12, 1, 2, 0x28, 0x12, 0x30, 0x80, 2]);
    refused(&[link(b"01a")], &[0x08, 5, 0x12, 1, 2, 0x28, 0x22, 0x30, 0x80, 0x20]);
    refused(&[link(b"01a")], &[0x08, 5, 0x12, 1, 2, 0x28, 0x22]);
}

#[test]
fn links_of_a_block_are_all_it_points_to() {
    let (a, b) = (cid_v1(RAW, [1; 32]), cid_v1(DAG_PB, [2; 32]));
    let parts = [a, b, a].map(|cid| Part { cid, size: 1, tsize: 1 });
    assert_eq!(links(&unixfs::encode_file(&parts)), Ok(vec![a, b, a]));
    assert_eq!(links(&Block::new(RAW, &b"\x12"[..])), Ok(Vec::new()));
    assert!(links(&Block::new(DAG_PB, &b"\x12"[..])).is_err());
}

fn entry() -> impl Strategy<Value = Entry> {
    ("\\PC{1,20}", any::<[u8; 32]>(), any::<u64>()).prop_map(|(name, digest, tsize)| Entry {
        name,
        cid: cid_v1(RAW, digest),
        tsize,
    })
}

fn anything() -> impl Strategy<Value = Node> {
    let part = (any::<[u8; 32]>(), 0..1u64 << 40, any::<u64>());
    let part = part.prop_map(|(d, size, tsize)| Part { cid: cid_v1(DAG_PB, d), size, tsize });
    let file = proptest::collection::vec(part, 1..20).prop_map(|parts| {
        let Ok(node) = decode(&unixfs::encode_file(&parts)) else { panic!() };
        node
    });
    let directory = proptest::collection::vec(entry(), 0..20).prop_map(Node::Directory);
    let child = prop_oneof![
        entry().prop_map(Child::Entry),
        any::<([u8; 32], u64)>()
            .prop_map(|(d, tsize)| Child::Shard { cid: cid_v1(DAG_PB, d), tsize }),
    ];
    let children = proptest::collection::btree_map(0usize..256, child, 0..40);
    let shard = (children, 0u32..3).prop_map(|(children, wider)| {
        Node::Shard(Shard { fanout: 256 << wider, children: children.into_iter().collect() })
    });
    prop_oneof![file, directory, shard]
}

proptest! {
    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&Block::new(DAG_PB, bytes.clone()));
        let _ = decode(&node(&[], &bytes));
    }

    #[test]
    fn what_is_encoded_comes_back_and_encodes_the_same(given in anything()) {
        let block = reencoded(&given);
        let read = decode(&block).unwrap();
        match (&read, &given) {
            // Where the empty inline data of a file lie says nothing.
            (Node::File(a), Node::File(b)) => prop_assert_eq!(&a.parts, &b.parts),
            _ => prop_assert_eq!(&read, &given),
        }
        prop_assert_eq!(reencoded(&read), block);
    }

    #[test]
    fn a_damaged_node_never_panics(given in anything(), at: prop::sample::Index, byte: u8) {
        let mut bytes = reencoded(&given).data().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&Block::new(DAG_PB, bytes));
    }

    #[test]
    fn every_name_has_a_bucket_on_each_level(name in "\\PC{0,40}", depth in 0usize..8) {
        prop_assert!(hamt::bucket(hamt::hash(&name), depth, 256).is_some_and(|b| b < 256));
    }
}
