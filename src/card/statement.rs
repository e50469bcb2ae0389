//! The statement of a card: an in-toto Statement v1 about one version of a repo.
//!
//! Subjects are the tree, then every file by name, or one `files.jsonl`; which of the two says the predicate field
//! `subjects`, never a subject's name (design section 5). Unknown fields are allowed, as in-toto asks: those of the
//! predicate are kept in [`Statement::other`] and written again, those elsewhere are named in [`Statement::unread`],
//! and a statement with such is not signed anew. Provenance 7.2 and 7.3, with the design's names of fields.
//!
//! A statement alone proves nothing; `envelope` says who signed it, and only `envelope` parses one for use.

pub(super) mod fields;
mod read;
mod time;
mod write;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::dag::Cid;
use crate::limits;

use super::identity::Identity;
use super::json::{self, Map};
use super::license;
use super::manifest::{self, FileEntry, Manifest, TreeDigests};
use super::name::{RepoName, Version};

pub use time::{NotATime, Timestamp};

/// in-toto's `_type`.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Ours (design section 5).
pub const PREDICATE_TYPE: &str = "urn:modelswarm:model-card:v1";
/// How the root is rebuilt from the files (IPIP-0499).
pub const LAYOUT: &str = "unixfs-v1-2025";
/// The name of the list of files beside a card that does not list them itself.
pub const FILES_LIST: &str = "files.jsonl";
/// Major version of the predicate; another is refused.
const SCHEMA: u64 = 1;

/// Why a payload is no card, or a card cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The payload is not strict DAG-JSON.
    #[error("the card is not strict DAG-JSON: {0}")]
    Json(#[from] json::Error),
    /// A field is missing or says what it may not.
    #[error("the card's field {field} {problem}")]
    Field {
        /// Its place, e.g. `predicate.seq` or `subject[2].digest.sha256`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The listed files do not make a repo.
    #[error("the card's files: {0}")]
    Files(#[from] manifest::Error),
    /// The files do not add up to what the card says of the tree.
    #[error("the card contradicts itself: {field} is not what its list of files gives")]
    Contradiction {
        /// `fileCount`, `totalSize`, `dirHash1` or `sha256` (the OMS root).
        field: &'static str,
    },
    /// `files.jsonl` is not the one that was signed.
    #[error("files.jsonl is not the one that the card names: its {field} differs")]
    List {
        /// `size` or `sha256`.
        field: &'static str,
    },
    /// The card says that a `files.jsonl` lists its files, and none was given.
    #[error("the card's files are listed in a files.jsonl, which is missing")]
    ListMissing,
    /// Made by a newer version; signing it anew would drop what this one does not know.
    #[error(
        "the card has fields that this version does not know ({fields}); signing it would drop them"
    )]
    Unread {
        /// Where they stand.
        fields: String,
    },
}

impl Error {
    fn field(field: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self::Field { field: field.to_string(), problem: problem.to_string() }
    }
}

/// What a repo holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A model.
    #[default]
    Model,
    /// A dataset.
    Dataset,
}

impl Kind {
    /// As cards and the command line write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Dataset => "dataset",
        }
    }
}

/// What the publisher says of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// In use.
    Active,
    /// Better not for anything new.
    Deprecated,
    /// Not to be used.
    Withdrawn,
}

impl Status {
    /// As cards write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Where a card lists its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Files {
    /// As subjects.
    Inline(Manifest),
    /// In a `files.jsonl` beside the card in the release: its name, bytes, digest and CID.
    List(FileEntry),
}

/// Which version of a lab's root a card is signed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootVersion {
    /// Its number, from 1.
    pub version: u64,
    /// CID of its exact bytes: a lab that signed two roots of one number cannot mean either of them.
    pub cid: Cid,
}

/// One version of a repo, as its publisher states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Whose repo it is: the key that signs, or the lab that the signer signs for.
    pub publisher: Identity,
    /// The version of the lab's root under which it is signed; there exactly if the publisher is a lab.
    pub publisher_root: Option<RootVersion>,
    /// The repo.
    pub name: RepoName,
    /// What it holds.
    pub kind: Kind,
    /// Free text, used once per repo.
    pub version: Version,
    /// Place in the repo's chain of cards, from 1.
    pub seq: u64,
    /// The card before this one; none exactly if `seq` is 1.
    pub prev: Option<Cid>,
    /// Claimed time, no proof.
    pub created_at: Timestamp,
    /// From when on the publisher does not stand by the card.
    pub expires: Option<Timestamp>,
    /// What the publisher says of it.
    pub status: Status,
    /// Licence id, a field of its own.
    pub license: Option<String>,
    /// The tree.
    pub root: Cid,
    /// Bytes of all files together.
    pub total_size: u64,
    /// Number of files.
    pub file_count: u64,
    /// What tools of others compute over the tree.
    pub tree: TreeDigests,
    /// The files.
    pub files: Files,
    /// The README's front matter.
    pub metadata: Map,
    /// did:keys that may sign companions of the card (`model.sig`).
    pub companion_keys: Vec<String>,
    /// Cards of one `seq` that this one settles between.
    pub resolves: Vec<Cid>,
    /// Further fields of the predicate (`lineage`, `evals`, `links`, …): signed, kept, not interpreted here.
    pub other: Map,
    /// Places of further fields outside the predicate. Empty in a statement that we make.
    pub unread: Vec<String>,
}

impl Statement {
    /// Reads a payload. Nothing in it is true before its signature was checked.
    ///
    /// # Errors
    /// Every [`Error`] but those of `files.jsonl`.
    pub(super) fn from_payload(payload: &[u8]) -> Result<Self, Error> {
        read::statement(payload)
    }

    /// The canonical bytes, whose CID is the card's id.
    ///
    /// # Errors
    /// [`Error::Field`] for a field that no reader would take, [`Error::Contradiction`], [`Error::Unread`].
    pub fn to_payload(&self) -> Result<Vec<u8>, Error> {
        write::payload(self)
    }

    /// Whether the files may stand in the card itself: at most 4,096 of them, and a payload of at most
    /// [`limits::CARD_PAYLOAD_INLINE_MAX`] or, where a signer takes less, `most` bytes. If not, write
    /// [`Manifest::to_jsonl`] beside the card and name it in [`Files::List`].
    ///
    /// # Errors
    /// As [`Statement::to_payload`].
    pub fn fits_inline(&self, most: usize) -> Result<bool, Error> {
        Ok(self.file_count <= limits::CARD_FILES_INLINE_MAX as u64
            && self.to_payload()?.len() <= limits::CARD_PAYLOAD_INLINE_MAX.min(most))
    }

    /// The signed list of files, from the card or from the bytes of its `files.jsonl`, checked against the card's
    /// count, size and tree digests.
    ///
    /// # Errors
    /// [`Error::ListMissing`], [`Error::List`], [`Error::Files`], [`Error::Contradiction`].
    pub fn manifest(&self, files_list: Option<&[u8]>) -> Result<Manifest, Error> {
        let manifest = match (&self.files, files_list) {
            (Files::Inline(manifest), _) => manifest.clone(),
            (Files::List(_), None) => return Err(Error::ListMissing),
            (Files::List(list), Some(bytes)) => {
                if list.size != bytes.len() as u64 {
                    return Err(Error::List { field: "size" });
                }
                if list.sha256 != crate::dag::block::sha256(bytes) {
                    return Err(Error::List { field: "sha256" });
                }
                Manifest::from_jsonl(bytes)?
            }
        };
        self.check_against(&manifest)?;
        Ok(manifest)
    }

    /// Whether what the card says of the tree follows from these files: signed ones, or those that were read.
    ///
    /// # Errors
    /// [`Error::Contradiction`], naming the first field that differs.
    pub fn check_against(&self, manifest: &Manifest) -> Result<(), Error> {
        let digests = manifest.digests();
        let fields = [
            ("fileCount", self.file_count == manifest.files().len() as u64),
            ("totalSize", self.total_size == manifest.total_size()),
            ("dirHash1", self.tree.dir_hash1 == digests.dir_hash1),
            ("sha256", self.tree.oms == digests.oms),
        ];
        match fields.into_iter().find(|(_, equal)| !equal) {
            Some((field, _)) => Err(Error::Contradiction { field }),
            None => Ok(()),
        }
    }

    /// Rules between fields and bounds that types do not hold: the same for what is read and what is written.
    fn check(&self) -> Result<(), Error> {
        let text_ok = |text: &str| {
            !text.is_empty()
                && text.len() <= limits::LICENSE_MAX
                && !text.chars().any(char::is_control)
        };
        if !(1..=limits::JSON_INT_MAX).contains(&self.seq) {
            return Err(Error::field("predicate.seq", "must be from 1 to 2^53 - 1"));
        }
        if (self.seq == 1) != self.prev.is_none() {
            return Err(Error::field("predicate.prev", "must be null exactly if seq is 1"));
        }
        if self.publisher.as_key().is_none() != self.publisher_root.is_some() {
            let problem = "must be there exactly if the publisher is a lab (tuf:…)";
            return Err(Error::field("predicate.publisherRoot", problem));
        }
        if self.license.as_deref().is_some_and(|license| !text_ok(license)) {
            return Err(Error::field("predicate.license", "must be one line of at most 256 bytes"));
        }
        if self.companion_keys.len() > limits::COMPANION_KEYS_MAX
            || self.companion_keys.iter().any(|key| !key.starts_with("did:key:z") || !text_ok(key))
        {
            return Err(Error::field("predicate.companionKeys", "must be at most 16 did:keys"));
        }
        if self.resolves.len() > limits::RESOLVES_MAX {
            return Err(Error::field("predicate.resolves", "must be at most 16 card ids"));
        }
        if self.file_count > limits::JSON_INT_MAX || self.total_size > limits::JSON_INT_MAX {
            return Err(Error::field("predicate.totalSize", "must be below 2^53"));
        }
        match &self.files {
            Files::Inline(manifest) => self.check_against(manifest),
            Files::List(list) if list.path != FILES_LIST => {
                Err(Error::field("subject[1].name", "must be files.jsonl"))
            }
            Files::List(list) if list.size > limits::FILES_LIST_MAX as u64 => {
                Err(Error::field("subject[1].annotations.size", "is more than is read"))
            }
            Files::List(_) => Ok(()),
        }
    }
}

/// The licence of a repo: the flag's, else the front matter's. Ids are compared without regard to case, since the Hub
/// writes `apache-2.0` and SPDX `Apache-2.0`; a list in the front matter is met by each of its members.
///
/// # Errors
/// [`Error::Field`] if both are given and differ.
pub fn license(flag: Option<&str>, metadata: &Map) -> Result<Option<String>, Error> {
    let stated = license::stated(None, metadata);
    match (flag, stated.as_slice()) {
        (None, [one]) => Ok(Some((*one).to_owned())),
        // Several licences without a word on whether all or any of them hold: the metadata says them, the card none.
        (None, _) => Ok(None),
        (Some(flag), []) => Ok(Some(flag.to_owned())),
        (Some(flag), stated) if stated.iter().any(|id| id.eq_ignore_ascii_case(flag)) => {
            Ok(Some(flag.to_owned()))
        }
        (Some(flag), stated) => Err(Error::field(
            "license",
            format!("is {flag:?} by --license and {:?} in README.md", stated.join(", ")),
        )),
    }
}

#[cfg(test)]
pub(super) mod tests;
