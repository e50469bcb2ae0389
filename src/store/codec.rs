//! Values of the index as bytes. The two kinds there are millions of (blocks, extents) have a compact form of their
//! own; all others are DAG-CBOR of serde types. Values are guarded by the stamp's sum, so what does not decode is
//! damage, not an attack.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{FileId, TreeId};
use crate::dag::Multihash;

/// A block's record: 4 bytes length, 1 byte flags (inline, place), 2 bytes count and 8 bytes each of the holders, then
/// 8 bytes file and the place in it. The first place stands here, since most blocks have one; others are `EXTENT`s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BlockRecord {
    pub(super) len: u32,
    pub(super) inline: bool,
    /// Ascending.
    pub(super) holders: Vec<TreeId>,
    pub(super) place: Option<Place>,
}

impl BlockRecord {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(7 + 8 * self.holders.len() + 24);
        out.extend(self.len.to_be_bytes());
        out.push(u8::from(self.inline) | u8::from(self.place.is_some()) << 1);
        let holders = u16::try_from(self.holders.len()).expect("at most STORE_TREES_MAX");
        out.extend(holders.to_be_bytes());
        for holder in &self.holders {
            out.extend(holder.0.to_be_bytes());
        }
        if let Some(place) = &self.place {
            out.extend(place.file.0.to_be_bytes());
            out.extend(place.encode());
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(7)?;
        let holders = usize::from(u16::from_be_bytes([head[5], head[6]]));
        let (holders, place) = rest.split_at_checked(8 * holders)?;
        let place = match place.split_first_chunk() {
            Some((file, place)) if head[4] & 2 != 0 => {
                Some(Place::decode(FileId(u64::from_be_bytes(*file)), place)?)
            }
            _ => None,
        };
        let holders = holders.chunks_exact(8).map(|id| TreeId(super::keys::number_at(id, 0)));
        let holders = holders.collect();
        Some(Self { len: block_len(head), inline: head[4] & 1 != 0, holders, place })
    }

    /// Adds a holder; false if it was there.
    pub(super) fn hold(&mut self, tree: TreeId) -> bool {
        match self.holders.binary_search(&tree) {
            Ok(_) => false,
            Err(at) => {
                self.holders.insert(at, tree);
                true
            }
        }
    }
}

/// The length in a block's record, without the rest of it.
pub(super) fn block_len(record: &[u8]) -> u32 {
    record.first_chunk().map_or(0, |len| u32::from_be_bytes(*len))
}

/// Where a leaf lies: `block = head ++ len bytes of the file at offset ++ tail`. Head and tail are empty for raw
/// leaves; dag-pb leaves (UnixFS v0) have a few bytes of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// First byte in it.
    pub offset: u64,
    /// Bytes of the file.
    pub len: u32,
    /// Bytes of the block before them.
    pub head: Bytes,
    /// Bytes of the block after them.
    pub tail: Bytes,
}

impl Place {
    /// A raw leaf: the file's bytes and nothing else.
    pub fn raw(file: FileId, offset: u64, len: u32) -> Self {
        Self { file, offset, len, head: Bytes::new(), tail: Bytes::new() }
    }

    /// Bytes of the whole block.
    pub(super) fn block_len(&self) -> u64 {
        u64::from(self.len) + self.head.len() as u64 + self.tail.len() as u64
    }

    /// Value of an `EXTENT`: the file stands in the key.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(14 + self.head.len() + self.tail.len());
        out.extend(self.offset.to_be_bytes());
        out.extend(self.len.to_be_bytes());
        for part in [&self.head, &self.tail] {
            out.push(u8::try_from(part.len()).expect("checked against STORE_ENVELOPE_MAX"));
            out.extend(part.as_ref());
        }
        out
    }

    pub(super) fn decode(file: FileId, bytes: &[u8]) -> Option<Self> {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (len, rest) = rest.split_first_chunk()?;
        let (head, rest) = part(rest)?;
        let (tail, _) = part(rest)?;
        Some(Self {
            file,
            offset: u64::from_be_bytes(*offset),
            len: u32::from_be_bytes(*len),
            head,
            tail,
        })
    }
}

fn part(bytes: &[u8]) -> Option<(Bytes, &[u8])> {
    let (len, rest) = bytes.split_first()?;
    let (part, rest) = rest.split_at_checked(usize::from(*len))?;
    Some((Bytes::copy_from_slice(part), rest))
}

/// Value of a `PLACE`: the place, then the block's multihash.
pub(super) fn encode_placed(place: &Place, block: &Multihash) -> Vec<u8> {
    let hash = block.to_bytes();
    let mut out = vec![u8::try_from(hash.len()).expect("a multihash has at most 66 bytes")];
    out.extend(hash);
    out.extend(place.encode());
    out
}

pub(super) fn decode_placed(file: FileId, bytes: &[u8]) -> Option<(Place, Multihash)> {
    let (hash, rest) = part(bytes)?;
    Some((Place::decode(file, rest)?, Multihash::from_bytes(&hash).ok()?))
}

/// DAG-CBOR of a record.
pub(super) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(record).expect("records are plain structs of text and numbers")
}

/// A record from DAG-CBOR; `None` if it is none.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_ipld_dagcbor::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_block_record_comes_back_as_it_was_and_names_a_holder_once() {
        let place = Some(Place::raw(FileId(8), 1 << 40, 7));
        let mut record = BlockRecord { len: 7, inline: true, holders: vec![TreeId(3)], place };
        assert!(record.hold(TreeId(1)));
        assert!(!record.hold(TreeId(3)));
        assert_eq!(BlockRecord::decode(&record.encode()), Some(record.clone()));
        assert_eq!(record.holders, [TreeId(1), TreeId(3)]);
    }

    proptest! {
        #[test]
        fn places_come_back_as_they_were(offset: u64, len: u32, head in prop::collection::vec(any::<u8>(), 0..=255), tail in prop::collection::vec(any::<u8>(), 0..=255)) {
            let place = Place { file: FileId(9), offset, len, head: head.into(), tail: tail.into() };
            prop_assert_eq!(Place::decode(FileId(9), &place.encode()), Some(place.clone()));
            let key = crate::dag::block::multihash([5; 32]);
            prop_assert_eq!(decode_placed(FileId(9), &encode_placed(&place, &key)), Some((place, key)));
        }

        #[test]
        fn any_bytes_never_panic(bytes: Vec<u8>) {
            let _ = BlockRecord::decode(&bytes);
            let _ = Place::decode(FileId(1), &bytes);
            let _ = decode_placed(FileId(1), &bytes);
        }
    }
}
