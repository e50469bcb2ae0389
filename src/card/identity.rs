//! Who publishes: one key (`did:key:z6Mk…`), or a lab whose TUF roots name its keys (`tuf:bafkrei…`).
//!
//! The two stand wherever a publisher is named: references, the trust list, cards. A lab's id is the CID of the exact
//! bytes of its first root, so it outlives every key. The CID has codec raw, since a root is a file with a form of its
//! own and not DAG-JSON: `ipfs add` of the file gives it, `ipfs cat` gives the file back, and its digest is what
//! `sha256sum` says. What a lab's keys are, `tuf` knows. Provenance 7.6.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::dag::Cid;
use crate::dag::block::{RAW, SHA2_256, cid_v1};

use super::did::{self, PublisherId};
use super::json;

/// What stands before the CID.
const SCHEME: &str = "tuf:";

/// Why text names no publisher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Behind `tuf:` stands something else.
    #[error("{text:?} is no lab's id: expected tuf: and the CID of its first root (bafkrei…)")]
    Tuf {
        /// What was given, shortened.
        text: String,
    },
    /// Neither of the two.
    #[error(transparent)]
    Key(#[from] did::Error),
}

/// A lab's id: the digest of the exact bytes of version 1 of its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TufId([u8; 32]);

impl TufId {
    /// The id of the lab whose first root has this sha256.
    pub(super) fn of_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The lab whose first root this is, if it can be one: a raw block, by sha2-256.
    pub fn of_cid(cid: &Cid) -> Option<Self> {
        let fits = cid.codec() == RAW && cid.hash().code() == SHA2_256;
        cid.hash().digest().try_into().ok().filter(|_| fits).map(Self)
    }

    /// CID of the first root's bytes, as one raw block.
    pub fn cid(&self) -> Cid {
        cid_v1(RAW, self.0)
    }
}

impl FromStr for TufId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let cid = text.strip_prefix(SCHEME).filter(|cid| cid.len() <= 64).and_then(json::parse_cid);
        cid.and_then(|cid| Self::of_cid(&cid))
            .ok_or_else(|| Error::Tuf { text: text.chars().take(80).collect() })
    }
}

impl TryFrom<String> for TufId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<TufId> for String {
    fn from(id: TufId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for TufId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.cid())
    }
}

/// A publisher, by its one key or as a lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Identity {
    /// One key, which signs alone.
    Key(PublisherId),
    /// A lab, whose keys its roots name.
    Tuf(TufId),
}

impl Identity {
    /// The key, of a publisher that is one.
    pub fn as_key(&self) -> Option<&PublisherId> {
        match self {
            Self::Key(key) => Some(key),
            Self::Tuf(_) => None,
        }
    }

    /// The lab's id, of a publisher that is one.
    pub fn as_lab(&self) -> Option<&TufId> {
        match self {
            Self::Key(_) => None,
            Self::Tuf(id) => Some(id),
        }
    }

    /// The part behind the scheme, `z6Mk…` or `bafkrei…`: what paths use.
    pub fn part(&self) -> String {
        match self {
            Self::Key(key) => key.part(),
            Self::Tuf(id) => id.cid().to_string(),
        }
    }
}

impl From<PublisherId> for Identity {
    fn from(key: PublisherId) -> Self {
        Self::Key(key)
    }
}

impl From<&PublisherId> for Identity {
    fn from(key: &PublisherId) -> Self {
        Self::Key(*key)
    }
}

impl From<TufId> for Identity {
    fn from(id: TufId) -> Self {
        Self::Tuf(id)
    }
}

impl From<&Identity> for Identity {
    fn from(id: &Identity) -> Self {
        *id
    }
}

impl FromStr for Identity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.starts_with(SCHEME) {
            text.parse().map(Self::Tuf)
        } else {
            Ok(text.parse().map(Self::Key)?)
        }
    }
}

impl TryFrom<String> for Identity {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Identity> for String {
    fn from(id: Identity) -> Self {
        id.to_string()
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(f),
            Self::Tuf(id) => id.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::block::{DAG_JSON, sha256};
    use proptest::prelude::*;

    #[test]
    fn a_labs_id_is_the_cid_that_ipfs_add_gives_its_first_root() {
        // "hello world" as one raw block: `ipfs add --cid-version=1` prints this CID.
        let id = TufId::of_digest(sha256(b"hello world"));
        let text = "tuf:bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(Identity::Tuf(id)));
        assert_eq!(Identity::from(id).part(), text[4..]);
    }

    #[test]
    fn other_cids_and_other_texts_are_no_labs() {
        let json = cid_v1(DAG_JSON, [7; 32]).to_string();
        let upper = cid_v1(RAW, [7; 32]).to_string().to_uppercase();
        let v0 = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";
        for cid in ["", "x", &json, &upper, v0, &"b".repeat(9999)] {
            let text = format!("tuf:{cid}");
            assert!(matches!(text.parse::<Identity>(), Err(Error::Tuf { .. })), "{cid}");
        }
        assert!(matches!("acme".parse::<Identity>(), Err(Error::Key(_))));
        assert!(matches!("tuf:x".parse::<TufId>(), Err(Error::Tuf { .. })));
    }

    proptest! {
        #[test]
        fn every_identity_has_one_text(digest: [u8; 32]) {
            let id = Identity::Tuf(TufId::of_digest(digest));
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }

        #[test]
        fn any_text_never_panics(text: String) {
            let _ = text.parse::<Identity>().is_ok();
            let _ = format!("tuf:{text}").parse::<Identity>().is_ok();
        }
    }
}
