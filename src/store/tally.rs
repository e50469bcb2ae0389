//! The count that every batch carries: how many entries the index has, and a sum over all of them.
//!
//! It is what tells a damaged index from a whole one (see `index`), and where `status` has its figures from. The sum
//! does not depend on the order of the entries, so that a batch updates it from what it changes.

use super::{codec, keys};
use crate::dag::block::sha256;

/// The entry that every batch carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Stamp {
    pub(super) store: u128,
    pub(super) generation: u64,
    /// Number of the batch that wrote it.
    pub(super) sequence: u64,
    /// Entries in the tree, this one left out.
    pub(super) entries: u64,
    /// Wrapping sum of [`entry_hash`] over them.
    pub(super) sum: u128,
    /// Where the next id comes from.
    pub(super) next_id: u64,
    pub(super) blocks: u64,
    /// Sum of the lengths of the blocks.
    pub(super) bytes: u64,
    pub(super) files: u64,
    pub(super) trees: u64,
}

impl Stamp {
    const LEN: usize = 16 + 8 + 8 + 8 + 16 + 5 * 8 + 8;

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LEN);
        out.extend(self.store.to_le_bytes());
        out.extend(self.sum.to_le_bytes());
        for number in [
            self.generation,
            self.sequence,
            self.entries,
            self.next_id,
            self.blocks,
            self.bytes,
            self.files,
            self.trees,
        ] {
            out.extend(number.to_le_bytes());
        }
        let check = sha256(&out);
        out.extend(&check[..8]);
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::LEN {
            return None;
        }
        let (body, check) = bytes.split_at(Self::LEN - 8);
        if sha256(body)[..8] != *check {
            return None;
        }
        let wide = |at: usize| u128::from_le_bytes(body[at..at + 16].try_into().expect("16 bytes"));
        let number = |n: usize| {
            let at = 32 + 8 * n;
            u64::from_le_bytes(body[at..at + 8].try_into().expect("8 bytes"))
        };
        Some(Self {
            store: wide(0),
            sum: wide(16),
            generation: number(0),
            sequence: number(1),
            entries: number(2),
            next_id: number(3),
            blocks: number(4),
            bytes: number(5),
            files: number(6),
            trees: number(7),
        })
    }

    /// Takes an entry out of the sums (`add` false) or into them.
    pub(super) fn count(&mut self, key: &[u8], value: &[u8], add: bool) {
        let step = |n: &mut u64, by: u64| {
            *n = if add { n.wrapping_add(by) } else { n.wrapping_sub(by) };
        };
        let hash = entry_hash(key, value);
        self.sum = if add { self.sum.wrapping_add(hash) } else { self.sum.wrapping_sub(hash) };
        step(&mut self.entries, 1);
        match key.first() {
            Some(&keys::BLOCK) => {
                step(&mut self.blocks, 1);
                step(&mut self.bytes, u64::from(codec::block_len(value)));
            }
            Some(&keys::FILE) => step(&mut self.files, 1),
            Some(&keys::TREE) => step(&mut self.trees, 1),
            _ => {}
        }
    }
}

/// 128 bits over key and value. Against damage, not against an attacker who could as well rewrite the stamp.
pub(super) fn entry_hash(key: &[u8], value: &[u8]) -> u128 {
    let mut bytes = Vec::with_capacity(8 + key.len() + value.len());
    bytes.extend((key.len() as u64).to_le_bytes());
    bytes.extend(key);
    bytes.extend(value);
    u128::from_le_bytes(sha256(&bytes)[..16].try_into().expect("16 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_the_same_in_any_order_and_what_is_taken_out_leaves_no_trace() {
        let (mut one, mut two) = (Stamp::default(), Stamp::default());
        one.count(b"f1", b"a", true);
        one.count(b"t2", b"b", true);
        two.count(b"t2", b"b", true);
        two.count(b"f3", b"c", true);
        two.count(b"f1", b"a", true);
        assert_ne!(one, two);
        two.count(b"f3", b"c", false);
        assert_eq!(one, two);
        assert_eq!((one.entries, one.files, one.trees), (2, 1, 1));
    }

    #[test]
    fn a_stamp_comes_back_as_it_was_and_never_damaged() {
        let stamp = Stamp { store: 7, generation: 2, sum: u128::MAX, trees: 9, ..Stamp::default() };
        let bytes = stamp.encode();
        assert_eq!(Stamp::decode(&bytes), Some(stamp));
        for at in 0..bytes.len() {
            let mut harmed = bytes.clone();
            harmed[at] ^= 1;
            assert_eq!(Stamp::decode(&harmed), None);
            assert_eq!(Stamp::decode(&bytes[..at]), None);
        }
    }
}
