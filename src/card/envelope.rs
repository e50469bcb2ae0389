//! The envelope of a card: DSSE, one pure-ed25519 signature, wrapped as a Sigstore bundle v0.3 with a bare key.
//!
//! [`Unverified`] holds bytes of the right outer form and knows nothing of the payload; [`Unverified::verify`] checks
//! the signature over those same bytes with `verify_strict` and only then parses them. [`Verified`] has no other
//! constructor but that and [`sign`]. A bundle is accepted in one byte form only, the one that we write (`form`):
//! compact, keys in the order of `provenance-example`, hint and keyid both the signer's did:key. Provenance 2, 6, 7.4.

mod form;

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::dag::block::{DAG_JSON, cid_v1, sha256};
use crate::dag::{Block, Cid};
use crate::limits;

use super::did::{self, PublisherId};
use super::identity::{Identity, TufId};
use super::statement::{self, Files, RootVersion, Statement};
use super::tuf::{Objection, Publisher, Signed};

pub(super) use form::{Error as FormError, MEDIA_TYPE, PAYLOAD_TYPE, Parts, encode, pae};

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
        stated: Identity,
        /// Who signed.
        signer: PublisherId,
    },
    /// The card is a lab's, and which keys are the lab's is not known.
    #[error(
        "the card is by the lab {lab}, and its publisher.json, which names its keys, is missing"
    )]
    NeedsPublisher {
        /// The lab.
        lab: TufId,
    },
    /// The lab's root of the number that the card names is another one.
    #[error("the card is signed under another version {version} of the lab's root than is known")]
    OtherRoot {
        /// Its number.
        version: u64,
    },
    /// The signer may not sign for the lab.
    #[error(transparent)]
    Lab(#[from] Objection),
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
        let Parts { signer, signature, payload, bundle } =
            Parts::read(bundle.into(), limits::CARD_PAYLOAD_MAX).map_err(form_error)?;
        Ok(Self { signer, signature, payload, bundle })
    }

    /// The key that the bundle names; whether it signed, [`Unverified::verify`] says.
    pub fn claimed_signer(&self) -> &PublisherId {
        &self.signer
    }

    /// Checks the signature, then reads the payload; the publisher must be the key that signed. Labs' cards are
    /// refused: see [`Unverified::verify_with`].
    ///
    /// # Errors
    /// [`Error::Signature`], [`Error::Statement`], [`Error::OtherPublisher`], [`Error::NeedsPublisher`].
    pub fn verify(self) -> Result<Verified, Error> {
        self.verify_with(|_| None)
    }

    /// The same, for labs' cards too: `lab` gives what is known of one. Whether a lab's card still holds under the
    /// newest root, [`Publisher::standing`] says.
    ///
    /// # Errors
    /// As [`Unverified::verify`]; [`Error::OtherRoot`], [`Error::Lab`].
    pub fn verify_with(
        self,
        lab: impl FnOnce(&TufId) -> Option<Publisher>,
    ) -> Result<Verified, Error> {
        if !form::signature_holds(&self.signer, &self.payload, &self.signature) {
            return Err(Error::Signature { publisher: self.signer });
        }
        let statement = Statement::from_payload(&self.payload)?;
        let verified = Verified::new(statement, self.signer, self.payload, self.bundle);
        match verified.statement.publisher {
            Identity::Key(key) if key == verified.signer => {}
            stated @ Identity::Key(_) => {
                return Err(Error::OtherPublisher { stated, signer: verified.signer });
            }
            Identity::Tuf(id) => {
                let lab = lab(&id).filter(|lab| *lab.id() == id);
                verified.check_lab(&lab.ok_or(Error::NeedsPublisher { lab: id })?)?;
            }
        }
        Ok(verified)
    }
}

/// A card before it is signed, so that the key can be elsewhere than the node: a command that holds the key reads what
/// the daemon hands it, and signs only what it has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    statement: Statement,
    payload: Bytes,
}

impl Unsigned {
    /// Of a statement that we made.
    ///
    /// # Errors
    /// [`Error::NeedsList`] and [`Error::TooLarge`] beyond what is signed, [`Error::Statement`].
    pub fn new(statement: Statement) -> Result<Self, Error> {
        let inline = matches!(statement.files, Files::Inline(_));
        if inline && statement.file_count > limits::CARD_FILES_INLINE_MAX as u64 {
            return Err(Error::NeedsList { files: statement.file_count });
        }
        let payload = statement.to_payload()?;
        within("payload", payload.len(), limits::CARD_PAYLOAD_INLINE_MAX)?;
        Ok(Self { statement, payload: payload.into() })
    }

    /// Of bytes that were handed over: what they say is read from these very bytes.
    ///
    /// # Errors
    /// As [`Unsigned::new`]; [`Error::Statement`] too if they are not in the one byte form.
    pub fn from_payload(payload: &[u8]) -> Result<Self, Error> {
        within("payload", payload.len(), limits::CARD_PAYLOAD_INLINE_MAX)?;
        let unsigned = Self::new(Statement::from_payload(payload)?)?;
        if unsigned.payload != payload {
            return Err(Error::Bundle("its payload is not in the one byte form".to_owned()));
        }
        Ok(unsigned)
    }

    /// What it says.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The bytes whose CID will be the card's id.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// What the key signs (pure ed25519): DSSE's encoding of the payload.
    pub fn message(&self) -> Vec<u8> {
        pae(PAYLOAD_TYPE, &self.payload)
    }

    /// The card with a signature that was made elsewhere, read back as a stranger's would be.
    ///
    /// # Errors
    /// As [`Unverified::verify_with`].
    pub fn with_signature(
        &self,
        signer: &PublisherId,
        signature: &[u8; 64],
        lab: Option<&Publisher>,
    ) -> Result<Verified, Error> {
        let bundle = encode(&self.payload, signature, signer);
        Unverified::from_bundle(bundle)?.verify_with(|_| lab.cloned())
    }
}

/// A card that its publisher signed, these very bytes: the publisher's key, or one that the lab's root allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    id: Cid,
    statement: Statement,
    signer: PublisherId,
    payload: Bytes,
    bundle: Bytes,
}

impl Verified {
    fn new(statement: Statement, signer: PublisherId, payload: Bytes, bundle: Bytes) -> Self {
        Self { id: cid_v1(DAG_JSON, sha256(&payload)), statement, signer, payload, bundle }
    }

    /// Whether the root that the card names is the lab's and takes the signature.
    fn check_lab(&self, lab: &Publisher) -> Result<(), Error> {
        let Some(RootVersion { version, cid }) = self.statement.publisher_root else {
            return Ok(());
        };
        if lab.root(version).is_some_and(|root| *root.cid() != cid) {
            return Err(Error::OtherRoot { version });
        }
        Ok(self.signed().map_or(Ok(()), |signed| lab.takes(&signed))?)
    }

    /// What of a lab's card counts for its standing; none of a key's card.
    pub fn signed(&self) -> Option<Signed> {
        let root = self.statement.publisher_root?;
        Some(Signed {
            card: self.id,
            prev: self.statement.prev,
            root_version: root.version,
            signers: [self.signer].into(),
        })
    }

    /// The card's id: the CID of the payload as DAG-JSON. It never depends on the signature.
    pub fn id(&self) -> &Cid {
        &self.id
    }

    /// Whose card it is.
    pub fn publisher(&self) -> &Identity {
        &self.statement.publisher
    }

    /// The key that signed: the publisher's own, or one of the lab's.
    pub fn signer(&self) -> &PublisherId {
        &self.signer
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

/// Signs a statement as its publisher, or as one of the lab's keys.
///
/// # Errors
/// As [`Unsigned::new`]; [`Error::Key`] for a weak key; [`Error::OtherPublisher`] if the key is not the statement's
/// publisher, [`Error::Lab`] if it is none of the lab's for cards.
pub fn sign(
    statement: Statement,
    key: &SigningKey,
    lab: Option<&Publisher>,
) -> Result<Verified, Error> {
    let signer = PublisherId::try_from(&key.verifying_key())?;
    let unsigned = Unsigned::new(statement)?;
    // What we sign must be what a stranger reads: verified by the same way in, in full.
    unsigned.with_signature(&signer, &key.sign(&unsigned.message()).to_bytes(), lab)
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
