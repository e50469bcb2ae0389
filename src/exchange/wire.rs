//! The bytes below messages: varints and fields of protobuf, CIDs, and what can be wrong with them.
//!
//! Only what Bitswap's five messages need of protobuf's encoding (<https://protobuf.dev/programming-guides/encoding/>).

use crate::dag::Cid;
use crate::dag::block::{Multihash, SHA2_256};
use crate::limits;

/// Why bytes are not a Bitswap message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The frame announces more than a message may have.
    #[error("a message of {len} bytes, above the limit of {max}", max = limits::MESSAGE_MAX)]
    MessageTooLong {
        /// Bytes announced.
        len: u64,
    },
    /// The payload announces more than a block may have.
    #[error("a block of {len} bytes, above the limit of {max}", max = limits::BLOCK_MAX)]
    BlockTooLong {
        /// Bytes announced.
        len: u64,
    },
    /// A CID announces more bytes than any CID has.
    #[error("a CID of {len} bytes, above the limit of {max}", max = limits::CID_MAX)]
    CidTooLong {
        /// Bytes announced.
        len: u64,
    },
    /// Bytes that are no CID, or none where one must be.
    #[error("bytes that are no CID")]
    Cid,
    /// Bytes that are no CID prefix, or none where one must be.
    #[error("bytes that are no CID prefix")]
    Prefix,
    /// A block under a hash function we never ask for.
    #[error(
        "a block under hash function 0x{code:x}; only sha2-256 (0x12) of 32 bytes is asked for"
    )]
    Hash {
        /// Its multihash code.
        code: u64,
    },
    /// A varint longer than 64 bits.
    #[error("a varint of more than 64 bits")]
    Varint,
    /// A field ends beyond the message that contains it.
    #[error("a field that ends outside its message")]
    Truncated,
    /// A wire type that does not exist, or not for this field.
    #[error("wire type {wire_type} where it can't be")]
    WireType {
        /// The three bits on the wire.
        wire_type: u8,
    },
    /// A field that may occur once, twice.
    #[error("a payload with two prefixes or data")]
    Repeated,
}

impl Malformed {
    /// Whether it is a matter of size: what to tell [`super::Engine::handle_fault`].
    pub fn fault(self) -> super::Fault {
        match self {
            Self::MessageTooLong { .. } | Self::BlockTooLong { .. } | Self::CidTooLong { .. } => {
                super::Fault::Oversized
            }
            _ => super::Fault::Malformed,
        }
    }
}

/// A CID from a peer; `None` for a well-formed one that no block here can have (identity, digest above 64 bytes).
///
/// Not `Cid::try_from`, which can't tell a digest it has no room for from garbage.
pub(super) fn parse_cid(bytes: &[u8]) -> Result<Option<Cid>, Malformed> {
    if let [0x12, 0x20, digest @ ..] = bytes {
        let hash = Multihash::wrap(SHA2_256, digest).map_err(|_| Malformed::Cid)?;
        return Cid::new_v0(hash).map(Some).map_err(|_| Malformed::Cid);
    }
    let mut rest = bytes;
    let mut field = || -> Result<u64, Malformed> {
        let (value, used) = varint(rest)?.ok_or(Malformed::Cid)?;
        rest = &rest[used..];
        Ok(value)
    };
    let (version, codec, code, len) = (field()?, field()?, field()?, field()?);
    if version != 1 || len != rest.len() as u64 {
        return Err(Malformed::Cid);
    }
    if code == 0 {
        return Ok(None);
    }
    Ok(Multihash::wrap(code, rest).ok().map(|hash| Cid::new_v1(codec, hash)))
}

/// A length-delimited field.
pub(super) fn put_field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    out.push(number << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(super) fn put_varint(out: &mut Vec<u8>, value: u64) {
    let mut buffer = unsigned_varint::encode::u64_buffer();
    out.extend_from_slice(unsigned_varint::encode::u64(value, &mut buffer));
}

/// A varint at the start of `bytes` and how many bytes it takes; `None` while its end is missing.
///
/// protobuf's, not multiformats': longer encodings than needed are legal there.
pub(super) fn varint(bytes: &[u8]) -> Result<Option<(u64, usize)>, Malformed> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().enumerate().take(10) {
        if i == 9 && *byte > 1 {
            return Err(Malformed::Varint);
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Ok(Some((value, i + 1)));
        }
    }
    if bytes.len() >= 10 { Err(Malformed::Varint) } else { Ok(None) }
}
