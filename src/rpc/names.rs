//! Requests and answers about names.

use serde::{Deserialize, Serialize};

use super::Contradiction;
use crate::card::statement::{Kind, Status};

/// Arguments of [`Request::NameResolve`](super::Request::NameResolve).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolve {
    /// A key or alias as typed.
    pub publisher: String,
    /// Multiaddrs of peers to ask, besides those that are found.
    pub peers: Vec<String>,
    /// Seconds without progress after which to give up.
    pub timeout: u64,
}

/// What stands for a publisher in one DHT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameLine {
    /// `lan` or `public`.
    pub scope: String,
    /// The index that the record points to.
    pub index: String,
    /// The record's place among those of the name.
    pub sequence: u64,
    /// When the record ends, RFC 3339.
    pub valid_until: String,
    /// Whether that is within a week.
    pub ends_soon: bool,
    /// Repos in the index.
    pub repos: u64,
    /// Repos of which the index lists, for a place in the chain, a card that another machine with this key signed, while this
    /// one signed another: one of the two has to settle it. The card here, then the listed one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contradicted: Vec<Contradiction>,
    /// Peers that took the record just now; absent where none was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<u64>,
}

/// Answer to `name publish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// The publisher's key as an IPNS name, `k51…`.
    pub name: String,
    /// The same as a did:key.
    pub publisher: String,
    /// A record for each DHT in which something is shared.
    pub names: Vec<NameLine>,
}

/// A repo as its publisher's index lists it: a claim, until its card is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRepo {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// The newest version.
    pub version: String,
    /// Its place in the chain.
    pub seq: u64,
    /// What the publisher says of it.
    pub status: Status,
    /// Card id.
    pub card: String,
    /// CID of files and card.
    pub release: String,
    /// CID of the files.
    pub root: String,
    /// Versions listed.
    pub versions: u64,
}

/// Answer to `name resolve`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The publisher's key as an IPNS name, `k51…`.
    pub name: String,
    /// The same as a did:key.
    pub publisher: String,
    /// The record's place among those of the name.
    pub sequence: u64,
    /// When the record ends, RFC 3339.
    pub valid_until: String,
    /// The index that it points to.
    pub index: String,
    /// What is listed there.
    pub repos: Vec<NameRepo>,
}
