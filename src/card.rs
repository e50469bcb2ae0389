//! Signed model cards: who says which files are which version of a repo.
//!
//! A card is an in-toto Statement v1 in strict DAG-JSON, signed with one ed25519 key in a DSSE envelope and wrapped as
//! a Sigstore bundle v0.3, so that tools of others verify it without this crate. [`envelope::Unverified`] becomes
//! [`Verified`] only by its signature: that change of type is the layer's invariant, and nothing of a payload is
//! parsed before. Design section 5; `reference/provenance.md` sections 6 and 7.
//!
//! Pure: keys, times, files' digests and what the user trusts are arguments. Reading and keeping them is `library`'s.

// A failed expectation of a test is its report; outside tests the lint holds.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod claim;
pub mod commit;
pub mod consent;
pub mod content;
pub mod did;
pub mod envelope;
pub mod export;
pub mod frontmatter;
pub mod identity;
pub mod index;
pub mod ipns;
pub mod json;
pub mod keyfile;
pub mod license;
pub mod manifest;
pub mod name;
pub mod oms;
pub mod origins;
pub mod policy;
pub mod reference;
pub mod release;
pub mod statement;
pub mod trust;
pub mod tuf;

pub use claim::Claim;
pub use commit::CommitId;
pub use did::PublisherId;
pub use envelope::{Unverified, Verified};
pub use identity::{Identity, TufId};
pub use manifest::{FileEntry, Manifest};
pub use name::{Alias, RepoName, Version};
pub use reference::Reference;
pub use statement::Statement;
