//! Commit ids: what Hugging Face clients know a state of a repo by.
//!
//! The first 20 bytes of the SHA2-256 of the root CID's bytes, as 40 hex digits (design section 2). It names a tree;
//! it proves nothing by itself, and no file is found by it without the library's own table.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::dag::Cid;
use crate::dag::block::sha256;

use super::json::{hex, parse_hex};

/// Why text is no commit id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a commit id has 40 lower-case hex digits")]
pub struct NotACommitId;

/// The commit id of a root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId([u8; 20]);

impl CommitId {
    /// The commit id of the tree `root`.
    pub fn of(root: &Cid) -> Self {
        let digest = sha256(&root.to_bytes());
        Self(digest[..20].try_into().expect("20 of 32 bytes"))
    }

    /// The first 12 digits: what default folders of `get` carry (cli.md).
    pub fn short(&self) -> String {
        hex(&self.0[..6])
    }
}

impl FromStr for CommitId {
    type Err = NotACommitId;

    fn from_str(text: &str) -> Result<Self, NotACommitId> {
        parse_hex(text).map(Self).ok_or(NotACommitId)
    }
}

impl TryFrom<String> for CommitId {
    type Error = NotACommitId;

    fn try_from(text: String) -> Result<Self, NotACommitId> {
        text.parse()
    }
}

impl From<CommitId> for String {
    fn from(id: CommitId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_has_the_commit_id_that_a_shell_computes() {
        // echo bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi | cut -c2- | tr a-z A-Z, padded, base32 -d | sha256sum
        let root: Cid =
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi".parse().unwrap();
        let id = CommitId::of(&root);
        assert_eq!(id.to_string(), "27abf6354cde455f6debd1e318d1fd0f42d92359");
        assert_eq!(id.short(), &id.to_string()[..12]);
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn other_text_is_no_commit_id() {
        for text in ["", "53aa51172d14", &"A".repeat(40), &"g".repeat(40), &"a".repeat(41)] {
            assert_eq!(text.parse::<CommitId>(), Err(NotACommitId), "{text}");
        }
    }
}
