//! The hash that spreads a large directory's names over shards, and the numbers derived from it.
//!
//! Not: the shards' bytes (that is `unixfs`) nor making them (that is `build`). Follows boxo where the spec's text and
//! boxo differ (`reference/ipfs.md` 2.3): bits are taken from the most significant end; bucket 0 is the lowest bit of
//! the bitfield's LAST byte, and leading zero bytes are left out.

use crate::limits;

/// Multicodec of the names' hash: the first 64 bits of murmur3-x64-128.
pub const MURMUR3_X64_64: u64 = 0x22;

/// The 64 bits that place a name.
pub fn hash(name: &str) -> u64 {
    let hash = murmur3::murmur3_x64_128(&mut name.as_bytes(), 0).expect("slices always read");
    // The first half of the 128 bits stands in the low end here.
    hash as u64
}

/// The bucket of a hash, `depth` levels below the root. `None` when its 64 bits are used up.
pub fn bucket(hash: u64, depth: usize, fanout: usize) -> Option<usize> {
    let bits = fanout.trailing_zeros() as usize;
    let shift = 64usize.checked_sub(bits * (depth + 1))?;
    Some((hash >> shift) as usize & (fanout - 1))
}

/// A declared fanout, if we read it.
pub(super) fn fanout(declared: u64) -> Option<usize> {
    let fanout = usize::try_from(declared).ok()?;
    let range = limits::HAMT_FANOUT..=limits::HAMT_FANOUT_MAX;
    (fanout.is_power_of_two() && range.contains(&fanout)).then_some(fanout)
}

/// What a link's name begins with in this bucket: upper-case hex, as wide as the last bucket's.
pub fn prefix(bucket: usize, fanout: usize) -> String {
    let width = (fanout - 1).ilog(16) as usize + 1;
    format!("{bucket:0width$X}")
}

/// Buckets whose bit is set, ascending. `None` when the field is longer than the fanout.
pub(super) fn buckets(bitfield: &[u8], fanout: usize) -> Option<Vec<usize>> {
    let set = |i: &usize| bitfield[bitfield.len() - 1 - i / 8] >> (i % 8) & 1 == 1;
    (bitfield.len() <= fanout / 8).then(|| (0..bitfield.len() * 8).filter(set).collect())
}

/// The bitfield of these buckets.
pub(super) fn bitfield(buckets: impl Iterator<Item = usize>, fanout: usize) -> Vec<u8> {
    let mut field = vec![0; fanout / 8];
    for bucket in buckets {
        field[fanout / 8 - 1 - bucket / 8] |= 1 << (bucket % 8);
    }
    let zeros = field.iter().take_while(|byte| **byte == 0).count();
    field.split_off(zeros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_the_hash_from_its_first_byte_on() {
        let hash = 0x0123_4567_89ab_cdef;
        assert_eq!(bucket(hash, 0, 256), Some(0x01));
        assert_eq!(bucket(hash, 7, 256), Some(0xef));
        assert_eq!(bucket(hash, 8, 256), None);
        assert_eq!(bucket(hash, 0, 1024), Some(0x0123_4567 >> 22));
        assert_eq!(bucket(hash, 6, 1024), None);
    }

    #[test]
    fn prefixes_are_as_wide_as_the_last_bucket() {
        assert_eq!(prefix(10, 256), "0A");
        assert_eq!(prefix(511, 512), "1FF");
        assert_eq!(prefix(0, 1024), "000");
    }

    #[test]
    fn bitfields_come_back_without_leading_zeros() {
        assert_eq!(bitfield([0, 9].into_iter(), 256), [2, 1]);
        assert_eq!(buckets(&[2, 1], 256), Some(vec![0, 9]));
        assert!(bitfield([].into_iter(), 256).is_empty());
        assert_eq!(bitfield([255].into_iter(), 256).len(), 32);
        assert_eq!(buckets(&[0; 33], 256), None);
    }

    #[test]
    fn only_fanouts_that_somebody_makes_are_read() {
        assert_eq!([255, 128, 256, 512, 1024, 2048].map(fanout), {
            [None, None, Some(256), Some(512), Some(1024), None]
        });
    }
}
