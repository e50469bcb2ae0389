//! Keys of the index. All records lie in ONE sled tree, since only there a batch is atomic; the first byte says what
//! a record is. Numbers are big-endian, so that ranges come in order.

use super::{FileId, TreeId};
use crate::dag::Multihash;

/// `s`: the stamp every batch carries.
pub(super) const STAMP: &[u8] = b"s";
/// `b` multihash: a block's length, its holders, whether its bytes are inline, its first place.
pub(super) const BLOCK: u8 = b'b';
/// `d` multihash: the inline bytes, apart so that `b` records stay small.
pub(super) const DATA: u8 = b'd';
/// `x` multihash, file: where the block lies in another file than that of its first place.
pub(super) const EXTENT: u8 = b'x';
/// `e` file, offset: which block lies there.
pub(super) const PLACE: u8 = b'e';
/// `f` file: the file's record.
pub(super) const FILE: u8 = b'f';
/// `p` path: the newest file id of that path.
pub(super) const PATH: u8 = b'p';
/// `a` tree, relative path: id of the file that arrives there.
pub(super) const ARRIVING: u8 = b'a';
/// `t` tree: the tree's record.
pub(super) const TREE: u8 = b't';
/// `l` tree, list, number: one file of the tree. A tree's record names the list that counts.
pub(super) const LISTED: u8 = b'l';
/// `j` id: a job.
pub(super) const JOB: u8 = b'j';
/// `r` key: a provider record.
pub(super) const PROVIDER: u8 = b'r';
/// `n` key: a peer.
pub(super) const PEER: u8 = b'n';
/// `i` key: a name's record (IPNS).
pub(super) const NAME: u8 = b'i';

fn key(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    out.push(prefix);
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// `BLOCK`, `DATA`, or the prefix of all `EXTENT`s of a block.
pub(super) fn of_block(prefix: u8, block: &Multihash) -> Vec<u8> {
    key(prefix, &[&block.to_bytes()])
}

pub(super) fn extent(block: &Multihash, file: FileId) -> Vec<u8> {
    key(EXTENT, &[&block.to_bytes(), &file.0.to_be_bytes()])
}

pub(super) fn place(file: FileId, offset: u64) -> Vec<u8> {
    key(PLACE, &[&file.0.to_be_bytes(), &offset.to_be_bytes()])
}

/// `FILE`, `TREE`, `JOB`, or a prefix that begins with one number.
pub(super) fn numbered(prefix: u8, number: u64) -> Vec<u8> {
    key(prefix, &[&number.to_be_bytes()])
}

/// `PATH`, `PROVIDER`, `PEER`, `NAME`.
pub(super) fn named(prefix: u8, name: &[u8]) -> Vec<u8> {
    key(prefix, &[name])
}

pub(super) fn arriving(tree: TreeId, path: &str) -> Vec<u8> {
    key(ARRIVING, &[&tree.0.to_be_bytes(), path.as_bytes()])
}

/// Prefix of all entries of one list.
pub(super) fn list(tree: TreeId, list: u64) -> Vec<u8> {
    key(LISTED, &[&tree.0.to_be_bytes(), &list.to_be_bytes()])
}

pub(super) fn listed(tree: TreeId, list: u64, number: u32) -> Vec<u8> {
    key(LISTED, &[&tree.0.to_be_bytes(), &list.to_be_bytes(), &number.to_be_bytes()])
}

/// The big-endian number at `at`; 0 where the key is too short, which no key of ours is.
pub(super) fn number_at(key: &[u8], at: usize) -> u64 {
    key.get(at..at + 8).and_then(|part| part.try_into().ok()).map_or(0, u64::from_be_bytes)
}
