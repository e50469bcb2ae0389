//! The envelope of a card: DSSE, one pure-ed25519 signature, wrapped as a Sigstore bundle v0.3 with a bare key.
//!
//! [`Unverified`] holds bytes of the right outer form and knows nothing of the payload; [`Unverified::verify`] checks
//! the signature over those same bytes with `verify_strict` and only then parses them. [`Verified`] has no other
//! constructor but that and [`sign`]. A bundle is accepted in one byte form only, the one that we write (`form`):
//! compact, keys in the order of `provenance-example`, hint and keyid both the signer's did:key. Provenance 2, 6, 7.4.

mod form;

use bytes::Bytes;
use ed25519_dalek::SigningKey;

use crate::dag::block::{DAG_JSON, cid_v1, sha256};
use crate::dag::{Block, Cid};
use crate::limits;

use super::did::{self, PublisherId};
use super::statement::{self, Files, Statement};

pub(super) use form::{Error as FormError, MEDIA_TYPE, PAYLOAD_TYPE, Signed, pae, seal};

/// Why bytes are no card of the key that they name, or a statement cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More bytes than are read or written.
    #[error("the {what} has {len} bytes, at most {max} are allowed")]
    TooLarge {
        /// `card.sigstore.json` or `payload`.
        what: &'static str,
        /// Bytes given.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// Not a Sigstore bundle v0.3 with one signature.
    #[error("card.sigstore.json is no signed card: {0}")]
    Bundle(String),
    /// A bundle, but not in the one byte form.
    #[error(
        "card.sigstore.json is not in the form that modelswarm writes, from byte {at} on; it was changed"
    )]
    Form {
        /// The first byte that differs.
        at: usize,
    },
    /// The key that the bundle names cannot be a publisher's.
    #[error("card.sigstore.json names no usable key: {0}")]
    Key(#[from] did::Error),
    /// The signature does not hold for the payload and the key.
    #[error("the card's signature does not hold for {publisher}: card or signature was changed")]
    Signature {
        /// The key that the bundle names.
        publisher: PublisherId,
    },
    /// Signed by a key that the statement does not name as its publisher.
    #[error("the card says it is by {stated}, but {signer} signed it")]
    OtherPublisher {
        /// In the payload.
        stated: PublisherId,
        /// Who signed.
        signer: PublisherId,
    },
    /// The payload, duly signed, is no card that this version reads.
    #[error(transparent)]
    Statement(#[from] statement::Error),
    /// More files than a card lists itself.
    #[error("{files} files are more than a card lists itself; write files.jsonl")]
    NeedsList {
        /// Files of the repo.
        files: u64,
    },
}

/// A bundle in the right outer form. What it says is not known yet, and nothing in it is to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    signer: PublisherId,
    signature: [u8; 64],
    payload: Bytes,
    bundle: Bytes,
}

impl Unverified {
    /// Takes the bytes of a `card.sigstore.json`.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Bundle`], [`Error::Form`], [`Error::Key`].
    pub fn from_bundle(bundle: impl Into<Bytes>) -> Result<Self, Error> {
        let Signed { signer, signature, payload, bundle } =
            Signed::read(bundle.into(), limits::CARD_PAYLOAD_MAX).map_err(form_error)?;
        Ok(Self { signer, signature, payload, bundle })
    }

    /// The key that the bundle names; whether it signed, [`Unverified::verify`] says.
    pub fn claimed_signer(&self) -> &PublisherId {
        &self.signer
    }

    /// Checks the signature, then reads the payload.
    ///
    /// # Errors
    /// [`Error::Signature`], [`Error::Statement`], [`Error::OtherPublisher`].
    pub fn verify(self) -> Result<Verified, Error> {
        if !form::signature_holds(&self.signer, &self.payload, &self.signature) {
            return Err(Error::Signature { publisher: self.signer });
        }
        let statement = Statement::from_payload(&self.payload)?;
        if statement.publisher != self.signer {
            let stated = statement.publisher;
            return Err(Error::OtherPublisher { stated, signer: self.signer });
        }
        Ok(Verified::new(statement, self.payload, self.bundle))
    }
}

/// A card whose publisher's key signed these very bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    id: Cid,
    statement: Statement,
    payload: Bytes,
    bundle: Bytes,
}

impl Verified {
    fn new(statement: Statement, payload: Bytes, bundle: Bytes) -> Self {
        Self { id: cid_v1(DAG_JSON, sha256(&payload)), statement, payload, bundle }
    }

    /// The card's id: the CID of the payload as DAG-JSON. It never depends on the signature.
    pub fn id(&self) -> &Cid {
        &self.id
    }

    /// Who signed.
    pub fn publisher(&self) -> &PublisherId {
        &self.statement.publisher
    }

    /// What the publisher states.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The signed bytes.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// The signed bytes as the block that the card's id names; none beyond the largest block.
    pub fn block(&self) -> Option<Block> {
        (self.payload.len() <= limits::BLOCK_MAX)
            .then(|| Block::new(DAG_JSON, self.payload.clone()))
    }

    /// The bytes of `card.sigstore.json`.
    pub fn bundle(&self) -> &Bytes {
        &self.bundle
    }
}

/// Signs a statement as its publisher.
///
/// # Errors
/// [`Error::OtherPublisher`] if the key is not the statement's publisher, [`Error::Key`] if it is weak,
/// [`Error::NeedsList`] and [`Error::TooLarge`] beyond what is signed, [`Error::Statement`].
pub fn sign(statement: Statement, key: &SigningKey) -> Result<Verified, Error> {
    let signer = PublisherId::try_from(&key.verifying_key())?;
    if statement.publisher != signer {
        return Err(Error::OtherPublisher { stated: statement.publisher, signer });
    }
    let inline = matches!(statement.files, Files::Inline(_));
    if inline && statement.file_count > limits::CARD_FILES_INLINE_MAX as u64 {
        return Err(Error::NeedsList { files: statement.file_count });
    }
    let payload = statement.to_payload()?;
    within("payload", payload.len(), limits::CARD_PAYLOAD_INLINE_MAX)?;
    let bundle = seal(&payload, key)?;
    // What we sign must be what a stranger reads: verified by the same way in, in full.
    let verified = Unverified::from_bundle(bundle)?.verify()?;
    Ok(verified)
}

fn form_error(error: FormError) -> Error {
    match error {
        FormError::TooLarge("bundle", len, max) => {
            Error::TooLarge { what: "card.sigstore.json", len, max }
        }
        FormError::TooLarge(what, len, max) => Error::TooLarge { what, len, max },
        FormError::Bundle(why) => Error::Bundle(why),
        FormError::Form(at) => Error::Form { at },
        FormError::Key(why) => Error::Key(why),
    }
}

fn within(what: &'static str, len: usize, max: usize) -> Result<(), Error> {
    if len > max { Err(Error::TooLarge { what, len, max }) } else { Ok(()) }
}

#[cfg(test)]
pub(super) mod tests;
