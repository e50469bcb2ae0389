//! Blocks: bytes under the CID that their hash gives.
//!
//! The only two ways to make a [`Block`] hash its bytes, so a `Block` in hand is always true. It is not a place to
//! keep bytes (that is `store`) and knows nothing of what they mean (that is `unixfs`).

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::limits;

pub use cid::Cid;

/// A multihash as CIDs carry it. The store keys blocks by it: codec and version belong to the question.
pub type Multihash = multihash::Multihash<64>;

/// Multicodec of raw leaves.
pub const RAW: u64 = 0x55;
/// Multicodec of dag-pb nodes: UnixFS files and directories.
pub const DAG_PB: u64 = 0x70;
/// Multicodec of DAG-JSON: card payloads.
pub const DAG_JSON: u64 = 0x0129;
/// Multihash code of SHA2-256, the only hash this node makes or accepts.
pub const SHA2_256: u64 = 0x12;

/// Why bytes are not the block that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The bytes hash to something else.
    #[error("the bytes do not hash to {cid}")]
    Hash {
        /// The block that was asked for.
        cid: Cid,
    },
    /// The CID names its bytes by a hash this node does not compute.
    #[error("{cid} uses hash function 0x{code:x}; only sha2-256 (0x12) is supported")]
    UnsupportedHash {
        /// The CID asked for.
        cid: Cid,
        /// Its multihash code.
        code: u64,
    },
    /// More bytes than a block may have.
    #[error("block {cid} has {len} bytes, more than the {max} a block may have", max = limits::BLOCK_MAX)]
    TooLarge {
        /// The CID asked for.
        cid: Cid,
        /// Bytes offered.
        len: usize,
    },
}

/// SHA2-256 of `data`, with the CPU's instructions where it has them.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// The multihash of a SHA2-256 digest.
pub fn multihash(digest: [u8; 32]) -> Multihash {
    Multihash::wrap(SHA2_256, &digest).expect("32 bytes fit in 64")
}

/// CIDv1 of a codec and a SHA2-256 digest.
pub fn cid_v1(codec: u64, digest: [u8; 32]) -> Cid {
    Cid::new_v1(codec, multihash(digest))
}

/// Bytes and the CID that their hash gives. Cloning shares the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    cid: Cid,
    data: Bytes,
}

impl Block {
    /// Hashes `data` into a CIDv1 block of this codec.
    pub fn new(codec: u64, data: impl Into<Bytes>) -> Self {
        let data = data.into();
        Self { cid: cid_v1(codec, sha256(&data)), data }
    }

    /// Takes `data` as the block `cid` if it hashes to it.
    ///
    /// # Errors
    /// [`Mismatch`] when it does not, is too large, or the CID's hash is not SHA2-256.
    pub fn verify(cid: Cid, data: impl Into<Bytes>) -> Result<Self, Mismatch> {
        let data = data.into();
        if data.len() > limits::BLOCK_MAX {
            return Err(Mismatch::TooLarge { cid, len: data.len() });
        }
        if cid.hash().code() != SHA2_256 {
            return Err(Mismatch::UnsupportedHash { cid, code: cid.hash().code() });
        }
        if cid.hash().digest() != sha256(&data) {
            return Err(Mismatch::Hash { cid });
        }
        Ok(Self { cid, data })
    }

    /// The block's CID.
    pub fn cid(&self) -> &Cid {
        &self.cid
    }

    /// The block's bytes.
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// The block's bytes, without the CID.
    pub fn into_data(self) -> Bytes {
        self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_world_has_the_cid_that_the_profile_gives_it() {
        let block = Block::new(RAW, &b"hello world"[..]);
        assert_eq!(
            block.cid().to_string(),
            "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"
        );
    }

    #[test]
    fn one_changed_bit_is_refused() {
        let cid = *Block::new(RAW, &b"hello world"[..]).cid();
        assert_eq!(Block::verify(cid, &b"hello worle"[..]), Err(Mismatch::Hash { cid }));
    }

    #[test]
    fn bytes_beyond_the_largest_block_are_refused_though_their_hash_is_right() {
        let data = vec![0; limits::BLOCK_MAX + 1];
        let cid = cid_v1(RAW, sha256(&data));
        assert!(matches!(Block::verify(cid, data), Err(Mismatch::TooLarge { .. })));
    }

    #[test]
    fn a_hash_function_we_do_not_compute_is_named() {
        let other = Multihash::wrap(0x13, &[0; 64]).expect("fits");
        let cid = Cid::new_v1(RAW, other);
        assert_eq!(
            Block::verify(cid, &b""[..]),
            Err(Mismatch::UnsupportedHash { cid, code: 0x13 })
        );
    }
}
