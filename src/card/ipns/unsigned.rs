//! A record before it is signed, so that the key can be elsewhere than the node.
//!
//! Index, sequence, end and TTL give its bytes, always the same: a command that holds the key makes an [`Unsigned`]
//! of what the daemon tells it, after it has read the index, and signs that; no bytes of the daemon's making are ever
//! signed. Written are both versions, with signatureV1 for readers of before 2021. IPNS specification, "Record
//! Creation with Legacy SignatureV1".

use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};

use crate::card::did::PublisherId;
use crate::card::index::Index;
use crate::card::statement::Timestamp;

use super::data::Data;
use super::wire::Entry;
use super::{DOMAIN, Error, IPFS, Record, holds, message_v1};

/// The largest sequence and TTL that are written: Kubo reads signed 64-bit numbers.
const INT_MAX: u64 = i64::MAX as u64;

/// A record without its signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    publisher: PublisherId,
    value: String,
    validity: String,
    sequence: u64,
    /// In nanoseconds.
    ttl: u64,
    data: Vec<u8>,
}

/// The two messages that the publisher's key signs, each as pure ed25519.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToSign {
    /// What signatureV1 covers.
    pub v1: Vec<u8>,
    /// What signatureV2 covers.
    pub v2: Vec<u8>,
}

impl Unsigned {
    /// The record of `publisher` (of a lab: the key that it announces with) that points to this index, for the
    /// index's scope. `sequence` must be above that of
    /// every record before it in this scope.
    ///
    /// # Errors
    /// [`Error::Range`].
    pub fn new(
        publisher: &PublisherId,
        index: &Index,
        sequence: u64,
        valid_until: Timestamp,
        ttl: Duration,
    ) -> Result<Self, Error> {
        let within = |field, int| if int > INT_MAX { Err(Error::Range { field }) } else { Ok(int) };
        let sequence = within("sequence", sequence)?;
        let ttl = within("ttl", u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX))?;
        let value = format!("{IPFS}{}", index.to_block().cid());
        // The specification asks for nanoseconds; a card's time has none.
        let validity = valid_until.to_string().replace('Z', ".000000000Z");
        let data = Data {
            value: value.as_bytes(),
            validity: validity.as_bytes(),
            sequence,
            ttl,
            scope: Some(index.scope()),
        };
        let (publisher, data) = (*publisher, data.encode());
        Ok(Self { publisher, value, validity, sequence, ttl, data })
    }

    /// What to sign.
    pub fn to_sign(&self) -> ToSign {
        ToSign {
            v1: message_v1(self.value.as_bytes(), self.validity.as_bytes()),
            v2: [DOMAIN, &self.data].concat(),
        }
    }

    /// The record with signatures that were made elsewhere, read back as a stranger's would be.
    ///
    /// # Errors
    /// [`Error::Signature`] if one of them does not hold.
    pub fn with_signatures(self, v1: &[u8; 64], v2: &[u8; 64]) -> Result<Record, Error> {
        // Readers let a broken signatureV1 pass; we write none.
        if !holds(&self.publisher, &self.to_sign().v1, v1) {
            return Err(Error::Signature { field: "signatureV1", publisher: self.publisher });
        }
        let entry = Entry {
            value: self.value.as_bytes(),
            signature_v1: v1,
            validity: self.validity.as_bytes(),
            sequence: self.sequence,
            ttl: self.ttl,
            signature_v2: v2,
            data: &self.data,
            ..Entry::default()
        };
        Record::verify(&self.publisher, entry.write())
    }

    /// The record signed with the publisher's key.
    ///
    /// # Errors
    /// [`Error::NotTheSigner`], [`Error::Key`].
    pub fn sign(self, key: &SigningKey) -> Result<Record, Error> {
        if PublisherId::try_from(&key.verifying_key())? != self.publisher {
            return Err(Error::NotTheSigner { publisher: self.publisher });
        }
        let ToSign { v1, v2 } = self.to_sign();
        self.with_signatures(&key.sign(&v1).to_bytes(), &key.sign(&v2).to_bytes())
    }
}
