//! A root that is being made: what to sign, and signatures added one by one until the thresholds hold.
//!
//! The people of a lab hand a draft round as a file: a `publisher.json` whose last root has too few signatures yet,
//! which no reader takes for a publisher. Adding and removing keys, changing thresholds and renewing are edits of
//! [`Content`]; what a later version of this program wrote in the root stays. A key signs here only if its signature
//! counts.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::{Signature, Signer as _, SigningKey};

use crate::card::did::{self, PublisherId};
use crate::card::json::{Map, Value, hex};

use super::root::{self, BadField, Content, Role, Root, X_PUBLISHER};
use super::{Flaw, Publisher, document, form, read, require, to_document};

/// Of TUF's specification, the version that roots of ours follow.
const SPEC_VERSION: &str = "1.0.31";

/// Why a draft is not made, or not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The draft, or the roots before it, cannot be read.
    #[error(transparent)]
    Document(#[from] super::Error),
    /// No root could say this.
    #[error("such a root cannot be made: {0}")]
    Content(#[from] BadField),
    /// The root that is drafted is not in order.
    #[error("the drafted root is refused: {0}")]
    Flaw(#[from] Flaw),
    /// The document ends with a root that has all its signatures.
    #[error("version {version} of the root has all its signatures: there is nothing to sign")]
    Complete {
        /// The head's version.
        version: u64,
    },
    /// A signature by this key would count nowhere.
    #[error(
        "{key} is no root key of this publisher, neither before nor in the drafted root; root keys sign roots"
    )]
    NoRootKey {
        /// The key.
        key: PublisherId,
    },
    /// The key cannot be anybody's.
    #[error(transparent)]
    Key(#[from] did::Error),
    /// The bytes are not that key's signature over the draft.
    #[error("this is no signature of {key} over the drafted root")]
    Signature {
        /// The key.
        key: PublisherId,
    },
    /// Somebody signed another draft.
    #[error(
        "the two drafts are not of the same root, so their signatures cannot be brought together"
    )]
    OtherDraft,
    /// Signatures are missing.
    #[error("the drafted root has {have} of the {need} signatures that {whose} root keys must give", whose = lacking.whose, have = lacking.have, need = lacking.need)]
    Incomplete {
        /// The first threshold that is not met.
        lacking: Lacking,
    },
}

/// A threshold that is not met yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacking {
    /// `its own` or `the version before's`.
    pub whose: &'static str,
    /// Distinct keys that have signed.
    pub have: usize,
    /// How many it takes.
    pub need: usize,
    /// Who may still sign.
    pub missing: Vec<PublisherId>,
}

/// A root on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    before: Option<Publisher>,
    content: Content,
    version: u64,
    signed: Map,
    signatures: BTreeMap<PublisherId, [u8; 64]>,
}

impl Draft {
    /// A lab's first root.
    ///
    /// # Errors
    /// [`Error::Content`].
    pub fn first(content: Content) -> Result<Self, Error> {
        Self::make(None, content)
    }

    /// The root after a lab's head.
    ///
    /// # Errors
    /// [`Error::Content`].
    pub fn after(publisher: &Publisher, content: Content) -> Result<Self, Error> {
        Self::make(Some(publisher.clone()), content)
    }

    fn make(before: Option<Publisher>, content: Content) -> Result<Self, Error> {
        content.check()?;
        let head = before.as_ref().map(Publisher::head);
        let version = head.map_or(1, |head| head.version + 1);
        let signed = write(head, &content, version);
        Ok(Self { before, content, version, signed, signatures: BTreeMap::new() })
    }

    /// Reads a draft that was handed round. What it says has been signed by nobody whom this proves: look at
    /// [`Draft::content`] before signing.
    ///
    /// # Errors
    /// [`Error::Document`], [`Error::Flaw`], [`Error::Complete`].
    pub fn from_document(bytes: &[u8]) -> Result<Self, Error> {
        let mut texts = document(bytes)?;
        let last = texts.pop().ok_or_else(|| super::Error::Document("no roots".into()))?;
        let before = if texts.is_empty() { None } else { Some(Publisher::from_roots(&texts)?) };
        let head = before.as_ref().map(Publisher::head);
        let (root, signers) = read(head, &last)?;
        if require(head, &root, &signers).is_ok() {
            return Err(Error::Complete { version: root.version });
        }
        let signatures = signatures(&last, &signers)?;
        let (content, version, signed) = (root.content, root.version, root.signed);
        Ok(Self { before, content, version, signed, signatures })
    }

    /// The draft as a file to hand round; once enough have signed, the lab's `publisher.json`.
    pub fn to_document(&self) -> Vec<u8> {
        let text = self.text();
        let before = self.before.iter().flat_map(|publisher| &publisher.roots).map(Root::text);
        to_document(before.chain([text.as_str()]))
    }

    /// What the root will say.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// What it will be the successor of.
    pub fn before(&self) -> Option<&Publisher> {
        self.before.as_ref()
    }

    /// The version that it will be.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The bytes that every signer signs (pure ed25519), for agents.
    pub fn to_sign(&self) -> Vec<u8> {
        form::signed_bytes(&self.signed)
    }

    /// Who has signed.
    pub fn signers(&self) -> BTreeSet<PublisherId> {
        self.signatures.keys().copied().collect()
    }

    /// Signs with a key in memory.
    ///
    /// # Errors
    /// [`Error::NoRootKey`], [`Error::Key`].
    pub fn sign(&mut self, key: &SigningKey) -> Result<(), Error> {
        let id = PublisherId::try_from(&key.verifying_key())?;
        self.add_signature(&id, key.sign(&self.to_sign()).to_bytes())
    }

    /// Adds a signature made elsewhere over [`Draft::to_sign`].
    ///
    /// # Errors
    /// [`Error::NoRootKey`], [`Error::Signature`].
    pub fn add_signature(&mut self, key: &PublisherId, signature: [u8; 64]) -> Result<(), Error> {
        if !self.roles().iter().any(|(role, _)| role.keys.contains(key)) {
            return Err(Error::NoRootKey { key: *key });
        }
        let strict =
            key.verifying_key().verify_strict(&self.to_sign(), &Signature::from_bytes(&signature));
        strict.map_err(|_| Error::Signature { key: *key })?;
        self.signatures.insert(*key, signature);
        Ok(())
    }

    /// Takes over the signatures of a copy of this draft that somebody else signed.
    ///
    /// # Errors
    /// [`Error::OtherDraft`].
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if self.signed != other.signed || self.before != other.before {
            return Err(Error::OtherDraft);
        }
        self.signatures.extend(&other.signatures);
        Ok(())
    }

    /// The thresholds that are not met; none once the root is complete.
    pub fn lacking(&self) -> Vec<Lacking> {
        let signers = self.signers();
        let lacking = |(role, whose): (&Role, _)| {
            (!role.is_met(&signers)).then(|| Lacking {
                whose,
                have: role.count(&signers),
                need: role.threshold,
                missing: role.keys.difference(&signers).copied().collect(),
            })
        };
        self.roles().into_iter().filter_map(lacking).collect()
    }

    /// The lab with this root as its head, verified as a stranger would.
    ///
    /// # Errors
    /// [`Error::Incomplete`], [`Error::Document`] beyond what a document may hold.
    pub fn finish(&self) -> Result<Publisher, Error> {
        if let Some(lacking) = self.lacking().into_iter().next() {
            return Err(Error::Incomplete { lacking });
        }
        Ok(Publisher::from_document(&self.to_document())?)
    }

    /// Whose signatures it takes.
    fn roles(&self) -> Vec<(&Role, &'static str)> {
        let before =
            self.before.as_ref().map(|lab| (&lab.head().content.signers, "the version before's"));
        before.into_iter().chain([(&self.content.signers, "its own")]).collect()
    }

    /// The file `N.root.json` with the signatures so far.
    fn text(&self) -> String {
        let mut lines: Vec<(String, &[u8; 64])> =
            self.signatures.iter().map(|(key, sig)| (root::key_object(key).0, sig)).collect();
        lines.sort();
        let line = |(keyid, sig): (String, &[u8; 64])| {
            Value::Map(Map::from([
                ("keyid".to_owned(), Value::Text(keyid)),
                ("sig".to_owned(), Value::Text(hex(sig))),
            ]))
        };
        form::compact(&Map::from([
            ("signatures".to_owned(), Value::List(lines.into_iter().map(line).collect())),
            ("signed".to_owned(), Value::Map(self.signed.clone())),
        ]))
    }
}

/// The signatures in a file that was read: valid ones of these keys.
fn signatures(
    text: &str,
    signers: &BTreeSet<PublisherId>,
) -> Result<BTreeMap<PublisherId, [u8; 64]>, Flaw> {
    let file = form::read(text)?;
    let Some(Value::List(lines)) = file.get("signatures") else {
        return Err(Flaw::Envelope("signatures must be a list"));
    };
    let mut found = BTreeMap::new();
    for line in lines {
        let (keyid, signature) = super::signature_line(line)?;
        let key = signers.iter().find(|key| root::key_object(key).0 == keyid);
        found.extend(key.map(|key| (*key, signature.to_bytes())));
    }
    Ok(found)
}

/// The part `signed` of a root: the head's with these things changed.
fn write(head: Option<&Root>, content: &Content, version: u64) -> Map {
    let mut signed = head.map(|head| head.signed.clone()).unwrap_or_default();
    // Of the head's keys only those stay that are no ed25519 keys for cards: companions.
    let companions = companion_keys(&signed);
    let mut keys = companions.clone();
    keys.extend(
        [&content.signers, &content.cards]
            .into_iter()
            .flat_map(|role| &role.keys)
            .map(root::key_object),
    );

    let mut set = |field: &str, value: Value| signed.insert(field.to_owned(), value);
    set("_type", "root".into());
    set("spec_version", SPEC_VERSION.into());
    set("consistent_snapshot", Value::Bool(true));
    set("version", version.into());
    set("expires", Value::Text(content.expires.to_string()));
    set("keys", Value::Map(keys));
    let role = |role: &Role, others: &Map| {
        let mut ids: Vec<String> = role.keys.iter().map(|key| root::key_object(key).0).collect();
        ids.extend(others.keys().cloned());
        ids.sort();
        Value::Map(Map::from([
            ("keyids".to_owned(), Value::List(ids.into_iter().map(Value::Text).collect())),
            ("threshold".to_owned(), Value::from(role.threshold as u64)),
        ]))
    };
    // TUF demands four roles. We sign neither snapshots nor timestamps, so whoever signs cards has them.
    let roles = root::ROLES.into_iter().map(|name| {
        let value = match name {
            "root" => role(&content.signers, &Map::new()),
            "targets" => role(&content.cards, &companions),
            _ => role(&content.cards, &Map::new()),
        };
        (name.to_owned(), value)
    });
    set("roles", Value::Map(roles.collect()));

    let mut own = match signed.remove(X_PUBLISHER) {
        Some(Value::Map(own)) => own,
        _ => Map::new(),
    };
    let prev = head.map_or(Value::Null, |head| Value::Text(head.cid.to_string()));
    own.insert(root::PREV.to_owned(), prev);
    own.insert("name".to_owned(), Value::Text(content.name.clone()));
    own.insert("announce".to_owned(), Value::Text(content.announce.to_string()));
    let links = content.links.iter().cloned().map(Value::Text).collect();
    own.insert("links".to_owned(), Value::List(links));
    signed.insert(X_PUBLISHER.to_owned(), Value::Map(own));
    signed
}

/// The keys of role `targets` that are no ed25519 keys.
fn companion_keys(signed: &Map) -> Map {
    let map = |value: Option<&Value>| match value {
        Some(Value::Map(map)) => map.clone(),
        _ => Map::new(),
    };
    let targets = map(map(signed.get("roles")).get("targets"));
    let Some(Value::List(ids)) = targets.get("keyids") else { return Map::new() };
    let is_companion = |id: &String, key: &Value| {
        ids.iter().any(|listed| listed.as_text() == Some(id))
            && map(Some(key)).get("keytype").and_then(Value::as_text) != Some("ed25519")
    };
    map(signed.get("keys")).into_iter().filter(|(id, key)| is_companion(id, key)).collect()
}
