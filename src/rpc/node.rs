//! Answers about the node: who it is, whom it knows, how it fares.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Contradiction, NameLine};
use crate::card::statement::Status as Stated;

/// Answer to `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The node.
    pub peer_id: String,
    /// The key that signs cards.
    pub publisher: String,
    /// The user's own alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Where peers reach the node, with `/p2p/…`; empty without a daemon.
    pub addrs: Vec<String>,
}

/// Answer to `init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Initialised {
    /// Where all files of this node are.
    pub home: PathBuf,
    /// The node.
    pub peer_id: String,
    /// The key that signs cards.
    pub publisher: String,
    /// The user's own alias.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// The file to back up: whoever holds it is the publisher.
    pub publisher_key: PathBuf,
    /// Whether anything was made.
    pub created: bool,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerLine {
    /// Who.
    pub peer_id: String,
    /// Where.
    pub address: String,
    /// Its software, as it says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Round trip in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_ms: Option<f64>,
    /// Payload bytes from it.
    pub bytes_in: u64,
    /// Payload bytes to it.
    pub bytes_out: u64,
}

/// Answer to `peers` and `connect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peers {
    /// All connected peers.
    pub peers: Vec<PeerLine>,
}

/// What the store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFigures {
    /// Blocks in the index.
    pub blocks: u64,
    /// Bytes of the index on the disk.
    pub index_bytes: u64,
    /// Free bytes where the library lies.
    pub free_bytes: u64,
    /// Damaged indexes that `repair` moved aside, until `gc` deletes them.
    pub damaged_indexes: u64,
    /// Their bytes.
    pub damaged_index_bytes: u64,
}

/// A fetch that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferLine {
    /// What is fetched.
    pub root: String,
    /// Where it goes.
    pub path: PathBuf,
    /// Bytes here.
    pub bytes: u64,
    /// Bytes in all.
    pub total: Option<u64>,
    /// Whether the daemon goes on with it by itself, after it was stopped in the middle.
    pub resumed: bool,
}

/// A file that is not as it was when it was indexed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedFile {
    /// Where it lies, or lay.
    pub path: PathBuf,
    /// `changed` or `missing`.
    pub state: String,
}

/// A repo of the user's own with uploads that could not be signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnpublishedLine {
    /// Repo name.
    pub name: String,
    /// Why, and what can be done.
    pub why: String,
}

/// A version whose publisher's statements of the files do not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefutedLine {
    /// Repo name.
    pub name: String,
    /// Version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The card that says so.
    pub card: String,
    /// Whose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// `DO NOT HOLD: …`
    pub statements: String,
}

/// A repo whose newest version here is not to be used any more, as its publisher says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawnLine {
    /// Repo name.
    pub name: String,
    /// Version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// CID of the files.
    pub root: String,
    /// Whose.
    pub publisher: String,
    /// `withdrawn` or `deprecated`.
    pub stated: Stated,
}

/// Whether the node is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether a daemon runs.
    pub daemon: bool,
    /// Its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Seconds since it started.
    pub uptime_seconds: u64,
}

/// Answer to `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The process.
    pub health: Health,
    /// The network preset.
    pub network: String,
    /// Where peers reach the node.
    pub addrs: Vec<String>,
    /// The store.
    pub store: StoreFigures,
    /// Versions in the library.
    pub repos: u64,
    /// Connected peers.
    pub peers: u64,
    /// Payload bytes received since the start.
    pub bytes_in: u64,
    /// Payload bytes sent since the start.
    pub bytes_out: u64,
    /// Fetches under way.
    pub transfers: Vec<TransferLine>,
    /// Versions whose publisher's statements of the files do not hold.
    pub refuted: Vec<RefutedLine>,
    /// What is wrong with `trust.toml`: fields that this version does not know, or that it can't be read at all.
    #[serde(default)]
    pub trust: Vec<String>,
    /// Uploads that could not be signed and published; they are tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unpublished: Vec<UnpublishedLine>,
    /// Repos whose newest version here is withdrawn or deprecated.
    #[serde(default)]
    pub withdrawn: Vec<WithdrawnLine>,
    /// Versions whose files are still to be compared with what their cards say; a running daemon does it.
    pub unchecked: u64,
    /// Files changed or missing.
    pub changed: Vec<ChangedFile>,
    /// Publishers that are known to have said two things, until they settle it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<Contradiction>,
    /// CIDs that peers can find this node by.
    pub announced: u64,
    /// The home's own names, as they were last published.
    pub names: Vec<NameLine>,
    /// Provider records that this node keeps for others.
    pub records_held: u64,
    /// When they were last announced, RFC 3339; absent if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_announced: Option<String>,
}
