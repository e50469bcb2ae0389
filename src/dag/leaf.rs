//! dag-pb leaves made again from the bytes that they carry.
//!
//! A fetched file holds what its leaves carry and not the nodes around it. Where only that is left — after a kill
//! between a write and its entry in the index — the node is rebuilt as the writers of profile `unixfs-v0-2015` encode
//! it (type, data, filesize; `reference/ipfs.md` 2.2) and believed if it hashes to the CID that is expected there. What
//! others encode differently is not found this way: it is fetched again.

use bytes::Bytes;

use super::block::{Cid, DAG_PB, RAW, SHA2_256, sha256};
use super::{pb, unixfs};
use crate::limits;

/// What stands in a block around the bytes of a file: nothing in a raw one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Around {
    /// Bytes of the block before the file's.
    pub head: Bytes,
    /// Bytes of the block after them.
    pub tail: Bytes,
}

/// Whether a leaf that carries exactly `data` is the block `cid`; if so, what stands around them.
pub fn around(cid: &Cid, data: &[u8]) -> Option<Around> {
    let is = |block: &[u8]| {
        let fits = block.len() <= limits::BLOCK_MAX && cid.hash().code() == SHA2_256;
        fits && cid.hash().digest() == sha256(block)
    };
    match cid.codec() {
        RAW => is(data).then(Around::default),
        // Most writers say `File`; Kubo's oldest and some of js-ipfs say `Raw`.
        DAG_PB => [unixfs::TYPE_FILE, unixfs::TYPE_RAW].into_iter().find_map(|kind| {
            let around = wrapping(kind, data.len());
            is(&[&around.head, data, &around.tail].concat()).then_some(around)
        }),
        _ => None,
    }
}

/// The encoding of a leaf of this type around so many bytes. The field of the bytes is left out where there are none.
fn wrapping(kind: u64, len: usize) -> Around {
    let mut opening = Vec::with_capacity(16);
    unixfs::put_number(&mut opening, 1, kind);
    if len > 0 {
        pb::put_bytes_head(&mut opening, 2, len);
    }
    let mut tail = Vec::with_capacity(12);
    unixfs::put_number(&mut tail, 3, len as u64);
    let mut head = Vec::with_capacity(32);
    pb::put_bytes_head(&mut head, 1, opening.len() + len + tail.len());
    head.extend(opening);
    if len == 0 {
        // Where no bytes are, they lie behind the message: see `unixfs::File::data`.
        head.append(&mut tail);
    }
    Around { head: head.into(), tail: tail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::block::{Block, cid_v1};
    use crate::dag::unixfs::{Node, decode};

    /// As protobuf says it, written out by hand.
    fn leaf(kind: u8, data: &[u8]) -> Block {
        let mut message = vec![0x08, kind];
        if !data.is_empty() {
            pb::put_bytes(&mut message, 2, data);
        }
        message.push(0x18);
        pb::put_varint(&mut message, data.len() as u64);
        Block::new(DAG_PB, pb::encode(&[], &message))
    }

    #[test]
    fn a_leaf_of_either_type_is_made_again_as_its_decoding_splits_it() {
        for len in [0, 1, 127, 128, 16_383, 262_144, 1 << 20] {
            let data = vec![7; len];
            for kind in [0, 2] {
                let block = leaf(kind, &data);
                let around = around(block.cid(), &data).expect("rebuilt");
                let Ok(Node::File(file)) = decode(&block) else { panic!("a file") };
                assert_eq!(around.head, block.data()[..file.data.start], "{kind} {len}");
                assert_eq!(around.tail, block.data()[file.data.end..], "{kind} {len}");
            }
        }
    }

    #[test]
    fn hello_world_is_found_under_its_v0_cid() {
        let cid: Cid = "Qmf412jQZiuVUtdgnB36FXFX7xg5V6KEbSJ4dpQuhkLyfD".parse().expect("a CID");
        assert!(around(&cid, b"hello world").is_some());
        assert!(around(&cid, b"hello worle").is_none());
    }

    #[test]
    fn other_bytes_other_encodings_and_other_codecs_are_not_taken_for_the_leaf() {
        let block = leaf(2, b"data");
        assert_eq!(around(block.cid(), b"dat"), None);
        assert_eq!(around(block.cid(), b""), None);
        let raw = Block::new(RAW, &b"data"[..]);
        assert_eq!(around(raw.cid(), b"data"), Some(Around::default()));
        assert_eq!(around(raw.cid(), b"date"), None);
        assert_eq!(around(&cid_v1(0x0129, sha256(b"data")), b"data"), None);
        let without_size = Block::new(DAG_PB, pb::encode(&[], b"\x08\x02\x12\x04data"));
        assert_eq!(around(without_size.cid(), b"data"), None);
    }
}
