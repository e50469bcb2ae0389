//! Answers about keys and about labs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Answer to `key`: who publishes here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyShown {
    /// As whom cards are signed: the key, or the lab that it signs for.
    pub publisher: String,
    /// The key, `did:key:z6Mk…`.
    pub key: String,
    /// The key as an IPNS name, `k51…`.
    pub name: String,
    /// Where it is.
    pub held: KeyHeld,
    /// Its file, unless it is in an agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Where a key that was in its place lies now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aside: Option<PathBuf>,
}

/// Where a publisher's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyHeld {
    /// In the home: a daemon signs with it.
    Home,
    /// In a file elsewhere: commands sign with it.
    File,
    /// In an ssh-agent: commands sign with it.
    Agent,
}

/// Answer to `key new`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyMade {
    /// The key, `did:key:z6Mk…`.
    pub key: String,
    /// Its file.
    pub file: PathBuf,
}

/// Answer to `key list`: what an ssh-agent holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentKeys {
    /// Keys that can sign cards.
    pub keys: Vec<AgentKey>,
    /// How many others there are: of other algorithms, in hardware, certificates.
    pub others: u64,
}

/// A key in an ssh-agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentKey {
    /// The key, `did:key:z6Mk…`.
    pub key: String,
    /// What its owner wrote to it.
    pub comment: String,
}

/// Answer to `key export-pem`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyExported {
    /// The public key as PEM (SPKI), for openssl and Sigstore's tools.
    pub pem: String,
    /// The same as a line of OpenSSH.
    pub ssh: String,
}

/// Keys of which so many must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleShown {
    /// How many.
    pub threshold: u64,
    /// The keys, `did:key:z6Mk…`.
    pub keys: Vec<String>,
}

/// Answer to `publisher`: a lab, as its newest roots or a draft of them say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublisherShown {
    /// `tuf:bafkrei…`; none before the first root has its signatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// The lab's name for itself.
    pub name: String,
    /// Where the lab names its id.
    pub links: Vec<String>,
    /// The version of the root.
    pub version: u64,
    /// When the lab means to have looked at its keys again, RFC 3339.
    pub expires: String,
    /// Whether that is over.
    pub expired: bool,
    /// The key under which the lab's names are found.
    pub announce: String,
    /// Who signs roots.
    pub root_keys: RoleShown,
    /// Who signs cards.
    pub card_keys: RoleShown,
    /// Whether the root has all its signatures.
    pub complete: bool,
    /// Who has signed a draft.
    pub signed: Vec<String>,
    /// Who may still sign a draft that needs more.
    pub missing: Vec<String>,
    /// The file, where it was read from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// Answer to `token`: what proves to the local HTTP endpoint that a client is the owner's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenShown {
    /// It.
    pub token: String,
}
