//! Labs as publishers: m-of-n keys that can change, as TUF root metadata.
//!
//! `publisher.json` carries every version of a lab's root, first to head, each as the exact bytes of the file that TUF
//! tools read: `{"roots":["<text of 1.root.json>",…],"schema":1}`, so that `jq -j '.roots[0]'` gives the first back. A
//! [`Publisher`] in hand is a chain that holds: every version signed by the threshold of its own root keys and of those
//! before it, numbered without gaps, naming the CID of the one before. The lab's id is that of its first root's bytes.
//!
//! No bit of the document can change unseen: it has one byte form, roots have few (`form`), every signature in a root
//! must be a valid one of a key that counts there, and all but the head are named by CID. Who may sign cards, and what
//! becomes of cards whose key was dropped, is `standing`'s; new versions are made in `draft`. Not here: targets,
//! snapshots and timestamps of a TUF repository, which we have no server for. TUF 1.0, 5.3; provenance 7.6.

mod draft;
mod form;
mod root;
mod standing;

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::Signature;
use serde::{Deserialize, Serialize};

use crate::dag::Block;
use crate::dag::block::RAW;
use crate::limits;

use super::did::PublisherId;
use super::identity::TufId;
use super::json::{Map, Value, parse_hex, shortened};
use super::statement::Timestamp;

pub use draft::{Draft, Error as DraftError, Lacking};
pub use form::Error as FormError;
pub use root::{BadField, Content, Role, Root};
pub use standing::{Objection, Signed, Standing};

/// The only schema there is.
const SCHEMA: u64 = 1;

/// Why bytes are no publisher document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than is read.
    #[error("publisher.json has {len} bytes or roots, at most {max} are read")]
    TooLarge {
        /// What was found.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// Not the JSON that we write.
    #[error("it is no publisher.json: {0}")]
    Document(String),
    /// A root does not follow from the ones before it.
    #[error("version {version} of the publisher's root is refused: {flaw}")]
    Root {
        /// The version that it would be.
        version: u64,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// The document of another lab.
    #[error("it is the publisher.json of {found}, not of {expected}")]
    OtherPublisher {
        /// Whose it is.
        found: TufId,
        /// Whose it was to be.
        expected: TufId,
    },
}

/// What is wrong with one root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// More bytes than are read.
    #[error("it has {len} bytes, at most {max} are read", max = limits::PUBLISHER_ROOT_MAX)]
    TooLarge {
        /// Its bytes.
        len: usize,
    },
    /// The file is not in a form that is read.
    #[error(transparent)]
    Form(#[from] FormError),
    /// The outer object is not `signatures` and `signed`, or a signature not `keyid` and `sig`.
    #[error("it is not a signed TUF file: {0}")]
    Envelope(&'static str),
    /// A field says what it may not.
    #[error(transparent)]
    Field(#[from] BadField),
    /// Versions are counted one by one.
    #[error("it says that it is version {found}")]
    Version {
        /// What it says.
        found: u64,
    },
    /// `x-publisher.prev` is not the root before it.
    #[error("its x-publisher.prev does not name the root before it")]
    Prev,
    /// A signature that no valid key made, or one that counts nowhere.
    #[error("its signature by key {keyid} is not a valid one of a root key")]
    Signature {
        /// The key that the file names, shortened.
        keyid: String,
    },
    /// A key signs once.
    #[error("it has two signatures by key {keyid}")]
    SignedTwice {
        /// The key.
        keyid: String,
    },
    /// Too few signatures.
    #[error("{have} of the {need} signatures by root keys of {whose} are there")]
    Threshold {
        /// `its own` or `the version before`.
        whose: &'static str,
        /// Distinct keys that signed.
        have: usize,
        /// The threshold.
        need: usize,
    },
}

/// How one document of a lab stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The same roots.
    Same,
    /// It goes on where the other ends.
    Newer,
    /// The other goes on where it ends.
    Older,
    /// Two different roots of one version, both signed: keep both, they prove it.
    Fork {
        /// The first version that differs.
        version: u64,
    },
    /// Another lab's.
    Unrelated,
}

/// `publisher.json` as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    roots: Vec<std::borrow::Cow<'a, str>>,
    schema: u64,
}

/// A lab whose chain of roots holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    id: TufId,
    /// First to head, never empty.
    roots: Vec<Root>,
}

impl Publisher {
    /// Reads and verifies a `publisher.json`, as whoever's it is: compare [`Publisher::id`], or use
    /// [`Publisher::expect`].
    ///
    /// # Errors
    /// Every [`Error`] but [`Error::OtherPublisher`].
    pub fn from_document(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_roots(&document(bytes)?)
    }

    /// Reads and verifies the `publisher.json` of this lab.
    ///
    /// # Errors
    /// Every [`Error`].
    pub fn expect(id: &TufId, bytes: &[u8]) -> Result<Self, Error> {
        let publisher = Self::from_document(bytes)?;
        if publisher.id == *id {
            Ok(publisher)
        } else {
            Err(Error::OtherPublisher { found: publisher.id, expected: *id })
        }
    }

    /// Verifies roots of version 1 to head, each as the exact text of its file (`1.root.json`, …).
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Document`] without any, [`Error::Root`].
    pub fn from_roots<T: AsRef<str>>(texts: &[T]) -> Result<Self, Error> {
        let mut roots: Vec<Root> = Vec::new();
        for text in texts {
            let version = roots.len() as u64 + 1;
            let flawed = |flaw| Error::Root { version, flaw };
            let (root, signers) = read(roots.last(), text.as_ref()).map_err(flawed)?;
            require(roots.last(), &root, &signers).map_err(flawed)?;
            roots.push(root);
        }
        let Some(first) = roots.first() else { return Err(Error::Document("no roots".into())) };
        let id = TufId::of_digest(crate::dag::block::sha256(first.text.as_bytes()));
        let publisher = Self { id, roots };
        bounded(publisher.to_document().len(), publisher.roots.len())?;
        Ok(publisher)
    }

    /// The bytes of `publisher.json`.
    pub fn to_document(&self) -> Vec<u8> {
        to_document(self.roots.iter().map(Root::text))
    }

    /// The bytes of `publisher.json` as it was when this version was the newest: what lies beside a card that is signed
    /// under it.
    pub fn document_at(&self, version: u64) -> Option<Vec<u8>> {
        let roots = self.roots.get(..usize::try_from(version).ok()?)?;
        (!roots.is_empty()).then(|| to_document(roots.iter().map(Root::text)))
    }

    /// The first root as a block: its CID is in the lab's id, so it is what a node that knows only the id asks for.
    pub fn first_block(&self) -> Block {
        let first = self.roots.first().expect("a publisher has a first root");
        Block::new(RAW, first.text.clone().into_bytes())
    }

    /// The lab.
    pub fn id(&self) -> &TufId {
        &self.id
    }

    /// The newest version known.
    pub fn head(&self) -> &Root {
        self.roots.last().expect("a publisher has a first root")
    }

    /// One version, from 1.
    pub fn root(&self, version: u64) -> Option<&Root> {
        self.roots.get(usize::try_from(version).ok()?.checked_sub(1)?)
    }

    /// Whether this key may sign cards by a version of the root.
    pub fn allowed(&self, key: &PublisherId, version: u64) -> bool {
        self.root(version).is_some_and(|root| root.content.cards.keys.contains(key))
    }

    /// Since when the head is overdue, if it is. A warning: a lab that is late with its papers voids no card.
    pub fn expired(&self, now: Timestamp) -> Option<Timestamp> {
        let expires = self.head().content.expires;
        (expires <= now).then_some(expires)
    }

    /// How this document stands to one known before. Only a newer one may take its place.
    pub fn relation_to(&self, known: &Self) -> Relation {
        if self.id != known.id {
            return Relation::Unrelated;
        }
        let differing = self.roots.iter().zip(&known.roots).find(|(a, b)| a.cid != b.cid);
        match differing {
            Some((root, _)) => Relation::Fork { version: root.version },
            None => match self.roots.len().cmp(&known.roots.len()) {
                std::cmp::Ordering::Less => Relation::Older,
                std::cmp::Ordering::Equal => Relation::Same,
                std::cmp::Ordering::Greater => Relation::Newer,
            },
        }
    }
}

fn bounded(len: usize, roots: usize) -> Result<(), Error> {
    for (len, max) in [(len, limits::PUBLISHER_DOC_MAX), (roots, limits::PUBLISHER_ROOTS_MAX)] {
        if len > max {
            return Err(Error::TooLarge { len, max });
        }
    }
    Ok(())
}

fn to_document<'a>(roots: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let document = Document { roots: roots.map(Into::into).collect(), schema: SCHEMA };
    serde_json::to_vec(&document).expect("strings and a number always serialise")
}

/// The roots in a document of the one byte form.
fn document(bytes: &[u8]) -> Result<Vec<String>, Error> {
    bounded(bytes.len(), 0)?;
    let document: Document<'_> = serde_json::from_slice(bytes)
        .map_err(|error| Error::Document(shortened(&error.to_string())))?;
    bounded(0, document.roots.len())?;
    if document.schema != SCHEMA {
        return Err(Error::Document(format!(
            "it has schema {}, this version reads {SCHEMA}",
            document.schema
        )));
    }
    let roots: Vec<String> = document.roots.into_iter().map(Into::into).collect();
    if to_document(roots.iter().map(String::as_str)) != bytes {
        return Err(Error::Document("it is not in the one byte form of such a file".into()));
    }
    Ok(roots)
}

/// Reads one root and checks everything but thresholds; the root keys, its own or of the version before, that signed.
fn read(previous: Option<&Root>, text: &str) -> Result<(Root, BTreeSet<PublisherId>), Flaw> {
    if text.len() > limits::PUBLISHER_ROOT_MAX {
        return Err(Flaw::TooLarge { len: text.len() });
    }
    let mut file = form::read(text)?;
    if !file.keys().eq(["signatures", "signed"]) {
        return Err(Flaw::Envelope("it must have signatures and signed, nothing else"));
    }
    let (Some(Value::List(signatures)), Some(Value::Map(signed))) =
        (file.remove("signatures"), file.remove("signed"))
    else {
        return Err(Flaw::Envelope("signatures must be a list, signed an object"));
    };
    let message = form::signed_bytes(&signed);
    let root = Root::read(signed, text)?;
    let expected = previous.map_or(1, |previous| previous.version + 1);
    if root.version != expected {
        return Err(Flaw::Version { found: root.version });
    }
    if root.prev != previous.map(|previous| previous.cid) {
        return Err(Flaw::Prev);
    }
    let mut keys = BTreeMap::new();
    for roots in [Some(&root), previous].into_iter().flatten() {
        keys.extend(roots.content.signers.keys.iter().map(|key| (root::key_object(key).0, *key)));
    }
    let mut signers = BTreeSet::new();
    for line in &signatures {
        let (keyid, signature) = signature_line(line)?;
        let invalid = || Flaw::Signature { keyid: shortened(keyid) };
        let key = keys.get(keyid).ok_or_else(invalid)?;
        if !signers.insert(*key) {
            return Err(Flaw::SignedTwice { keyid: shortened(keyid) });
        }
        key.verifying_key().verify_strict(&message, &signature).map_err(|_| invalid())?;
    }
    Ok((root, signers))
}

fn signature_line(line: &Value) -> Result<(&str, Signature), Flaw> {
    let Value::Map(line) = line else { return Err(Flaw::Envelope("a signature is no object")) };
    let text = |field| Map::get(line, field).and_then(Value::as_text);
    match (line.len(), text("keyid"), text("sig").and_then(parse_hex)) {
        (2, Some(keyid), Some(sig)) => Ok((keyid, Signature::from_bytes(&sig))),
        _ => Err(Flaw::Envelope("a signature must be keyid and sig (128 digits of hex)")),
    }
}

/// Whether enough have signed: of the root's own keys, and of those that the version before trusts with it.
fn require(
    previous: Option<&Root>,
    root: &Root,
    signers: &BTreeSet<PublisherId>,
) -> Result<(), Flaw> {
    let roles = [(previous, "the version before"), (Some(root), "its own")];
    for (root, whose) in roles {
        let Some(role) = root.map(|root| &root.content.signers) else { continue };
        if !role.is_met(signers) {
            let (have, need) = (role.count(signers), role.threshold);
            return Err(Flaw::Threshold { whose, have, need });
        }
    }
    Ok(())
}

#[cfg(test)]
pub(in crate::card) mod tests;
