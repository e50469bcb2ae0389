//! IPNS records: where a publisher says what its newest index is.
//!
//! The name is the publisher's key itself ([`name`]); the record under it is signed with that key and points to the
//! block of the publisher's [`Index`](super::index::Index). A record proves that the key once said this, nothing
//! more: that it is the newest nobody can prove, and what it leads to is a hint until a card's own signature holds.
//! It is kept and passed on byte for byte ([`Record::bytes`]), since only some of its bytes are signed and other
//! software may have put more into it. IPNS specification, "Record Verification"; provenance 7.6.
//!
//! Invariant: a [`Record`] in hand was signed by the key whose name it was read under. Expiry is asked separately
//! ([`Record::is_expired`]), since this layer knows no time. Not here: storing, asking, re-broadcasting (`network`).
//!
//! A publisher has two records, one for each [`Scope`], with one name: whoever moved one into the other DHT would
//! hide the right one behind it for as long as its sequence is higher. So ours say, signed, which DHT they are for;
//! [`Record::fits`] asks it wherever a record comes in from a DHT.

mod data;
pub mod name;
mod unsigned;
mod wire;

use bytes::Bytes;
use ed25519_dalek::Signature;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::dag::Cid;
use crate::limits;

use super::did::{self, PublisherId};
use super::index::{self, Scope};
use super::json;
use super::statement::Timestamp;

use data::Data;
use wire::Entry;

pub use unsigned::{ToSign, Unsigned};

/// What stands before the CBOR in the bytes that signatureV2 covers.
const DOMAIN: &[u8] = b"ipns-signature:";
/// What stands before the CID in a value.
const IPFS: &str = "/ipfs/";

/// Why bytes are no record of the name, or a record cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More bytes than a record may have.
    #[error("the IPNS record has {len} bytes, at most {max} are allowed", max = limits::IPNS_RECORD_MAX)]
    TooLarge {
        /// Bytes given.
        len: usize,
    },
    /// Not the protobuf message of a record.
    #[error("the bytes are no IPNS record")]
    NotARecord,
    /// Without signatureV2 or the data that it covers; records of version 1 alone are not secure.
    #[error("the IPNS record has no {field}; it is too old a form to be trusted")]
    NoV2 {
        /// `signatureV2` or `data`.
        field: &'static str,
    },
    /// It carries a public key that is not the name's.
    #[error("the IPNS record carries another key than that of {publisher}, whose name it is under")]
    OtherKey {
        /// Whose name it was read under.
        publisher: PublisherId,
    },
    /// A signature does not hold.
    #[error("the IPNS record's {field} does not hold for {publisher}")]
    Signature {
        /// `signatureV2`; `signatureV1` only of a record of our own making.
        field: &'static str,
        /// Whose name it was read under.
        publisher: PublisherId,
    },
    /// The signed data are not what the specification asks for.
    #[error("the IPNS record's signed data {problem}")]
    Data {
        /// What is wrong with them.
        problem: &'static str,
    },
    /// A field of version 1 contradicts the signed data.
    #[error("the IPNS record's unsigned {field} is not what its signed data say")]
    Contradiction {
        /// The field.
        field: &'static str,
    },
    /// Sequence or TTL of a record to be made.
    #[error("the IPNS record's {field} must be below 2^63: other software reads no more")]
    Range {
        /// `sequence` or `ttl`.
        field: &'static str,
    },
    /// The signing key is not the one whose name it is.
    #[error("the index is {publisher}'s, the key to sign its record with is another's")]
    NotTheSigner {
        /// Whose index it is.
        publisher: PublisherId,
    },
    /// The signing key cannot be a publisher's.
    #[error(transparent)]
    Key(#[from] did::Error),
}

/// A record that its name's key signed. Whether it is expired, [`Record::is_expired`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    publisher: PublisherId,
    value: Vec<u8>,
    sequence: u64,
    /// Seconds, and nanoseconds beyond them.
    validity: (Timestamp, u32),
    ttl: std::time::Duration,
    scope: Option<Scope>,
    bytes: Bytes,
}

impl Record {
    /// Reads a record found under a publisher's name. Nothing is parsed of the data before their signature holds.
    ///
    /// # Errors
    /// Every [`Error`] but those of making one.
    pub fn verify(publisher: &PublisherId, bytes: impl Into<Bytes>) -> Result<Self, Error> {
        let bytes = bytes.into();
        if bytes.len() > limits::IPNS_RECORD_MAX {
            return Err(Error::TooLarge { len: bytes.len() });
        }
        let entry = Entry::read(&bytes).map_err(|_| Error::NotARecord)?;
        for (field, value) in [("signatureV2", entry.signature_v2), ("data", entry.data)] {
            if value.is_empty() {
                return Err(Error::NoV2 { field });
            }
        }
        if !entry.public_key.is_empty()
            && wire::ed25519_key(entry.public_key) != Some(publisher.as_bytes())
        {
            return Err(Error::OtherKey { publisher: *publisher });
        }
        if !holds(publisher, &[DOMAIN, entry.data].concat(), entry.signature_v2) {
            return Err(Error::Signature { field: "signatureV2", publisher: *publisher });
        }
        let data = Data::decode(entry.data).map_err(|problem| Error::Data { problem })?;
        if entry.has_v1() {
            check_v1(&entry, &data)?;
        }
        Ok(Self {
            publisher: *publisher,
            value: data.value.to_vec(),
            sequence: data.sequence,
            validity: end_of_life(data.validity)
                .ok_or(Error::Data { problem: "has a Validity that is no RFC 3339 time" })?,
            ttl: std::time::Duration::from_nanos(data.ttl),
            scope: data.scope,
            bytes,
        })
    }

    /// Whose record it is.
    pub fn publisher(&self) -> &PublisherId {
        &self.publisher
    }

    /// The record as it was read: what is stored, answered and re-broadcast.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What it points to, as signed: a path like `/ipfs/…` if other software made it, not checked.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The block of the publisher's index, if it points to one.
    pub fn index(&self) -> Option<Cid> {
        let path = std::str::from_utf8(&self.value).ok()?;
        path.strip_prefix(IPFS).and_then(json::parse_cid).filter(index::is_index_id)
    }

    /// Its place among the records of the name and scope; the next must be higher.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// When it ends, rounded down to a second.
    pub fn valid_until(&self) -> Timestamp {
        self.validity.0
    }

    /// Whether its end has come: it is then not to be used, stored, answered or re-broadcast.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.validity <= (now, 0)
    }

    /// How long it may be used before it is asked for again; as large as the publisher says.
    pub fn ttl(&self) -> std::time::Duration {
        self.ttl
    }

    /// Whether it may stand in this DHT: signed for it, or for none in particular, as other software does.
    pub fn fits(&self, scope: Scope) -> bool {
        self.scope.is_none_or(|signed| signed == scope)
    }

    /// Whether it takes the place of `other`, a record of the same name and scope: by sequence, then by end, then by
    /// bytes, so that any two nodes, Kubo's too, end with the same one.
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let rank = |record: &'_ Self| (record.sequence, record.validity);
        (rank(self), &self.bytes) > (rank(other), &other.bytes)
    }
}

/// Whether the signature is the publisher's, strictly: canonical S and R, no point of small order.
fn holds(publisher: &PublisherId, message: &[u8], signature: &[u8]) -> bool {
    Signature::from_slice(signature)
        .is_ok_and(|signature| publisher.verifying_key().verify_strict(message, &signature).is_ok())
}

/// What signatureV1 covers.
fn message_v1(value: &[u8], validity: &[u8]) -> Vec<u8> {
    [value, validity, b"EOL"].concat()
}

fn check_v1(entry: &Entry, data: &Data) -> Result<(), Error> {
    let fields = [
        ("value", entry.value == data.value),
        ("validity", entry.validity == data.validity),
        ("validityType", entry.validity_type == 0),
        ("sequence", entry.sequence == data.sequence),
        ("ttl", entry.ttl == data.ttl),
    ];
    match fields.into_iter().find(|(_, equal)| !equal) {
        Some((field, _)) => Err(Error::Contradiction { field }),
        None => Ok(()),
    }
}

fn end_of_life(validity: &[u8]) -> Option<(Timestamp, u32)> {
    let text = std::str::from_utf8(validity).ok()?;
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some((Timestamp::from_unix(time.unix_timestamp()).ok()?, time.nanosecond()))
}

#[cfg(test)]
mod tests;
