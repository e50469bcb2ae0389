//! Requests and answers about claims.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::card::statement::Status;
use crate::config::Visibility;

/// A kind of claim that is made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimKind {
    /// Properties that were verified (in-toto Simple Verification Result).
    Svr,
    /// Tests that passed, or failed (in-toto Test Result).
    TestResult,
    /// Values that were measured.
    Eval,
}

/// Arguments of [`Request::Endorse`](super::Request::Endorse).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Endorse {
    /// The REF as typed.
    pub reference: String,
    /// By what is claimed if absent.
    pub kind: Option<ClaimKind>,
    /// What is claimed.
    pub properties: Vec<String>,
    /// Say that it does not hold.
    pub fail: bool,
    /// The dataset of an evaluation.
    pub dataset: Option<String>,
    /// The task in it.
    pub task: Option<String>,
    /// What was measured.
    pub metric: Option<String>,
    /// The value, a decimal number.
    pub value: Option<String>,
    /// A remark, one line; it is signed.
    pub note: Option<String>,
}

/// Answer to `endorse`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endorsed {
    /// The claim's id.
    pub claim: String,
    /// The card that it is about; absent for content that nobody signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// The tree that it is about.
    pub root: String,
    /// Its kind.
    pub kind: String,
    /// Who claims: the key of this home.
    pub endorser: String,
    /// Whether it says that something holds, or that it fails.
    pub holds: bool,
    /// What is claimed.
    pub properties: Vec<String>,
    /// Earlier claims of the same key that it takes back.
    pub replaces: Vec<String>,
    /// How far peers are told of it: as far as of the content.
    pub visibility: Visibility,
}

/// Answer to `endorse --import`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedClaims {
    /// Lines in the file.
    pub claims: u64,
    /// Claims of it that are kept now.
    pub kept: u64,
    /// Lines that are not, each with why.
    pub refused: Vec<String>,
}

/// Arguments of [`Request::Claims`](super::Request::Claims).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClaimsOf {
    /// The REF as typed.
    pub reference: String,
    /// Ask no peer.
    pub offline: bool,
    /// Multiaddrs of peers to ask, besides those that are found.
    pub peers: Vec<String>,
    /// Write the claims into this file, which must not be there. Absolute.
    pub export: Option<PathBuf>,
}

/// Answer to `claims`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The tree that they are about.
    pub root: String,
    /// Of one endorser and kind the newest: the user's own, then those of the trust list, then strangers'; of each the
    /// newest first.
    pub claims: Vec<ClaimLine>,
    /// The cards over the tree.
    pub cards: Vec<OfferedCard>,
    /// Peers that answered.
    pub asked: u64,
    /// Where they were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exported: Option<PathBuf>,
}

/// A claim, its signature verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimLine {
    /// Its id.
    pub claim: String,
    /// Who claims.
    pub endorser: String,
    /// The user's name for the endorser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// `own`, `listed` (an endorser of the trust list), `trusted` (a publisher of it) or `unknown`.
    pub trust: String,
    /// Whether the user's rules count it: a listed endorser's, of a kind that is listed.
    pub counts: bool,
    /// `svr`, `test-result`, `eval`, or another.
    pub kind: String,
    /// What is claimed.
    pub properties: Vec<String>,
    /// Measured values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<MeasuredLine>,
    /// Whether it is said to hold, or to fail.
    pub holds: bool,
    /// When, as the endorser says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_at: Option<String>,
    /// The card that it names besides the tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// The endorser's remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A value that an endorser measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasuredLine {
    /// The dataset.
    pub dataset: String,
    /// The task in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What was measured.
    pub metric: String,
    /// A decimal number, as the endorser wrote it.
    pub value: String,
}

/// A card over a tree, its signature verified. One that was only offered vouches for nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferedCard {
    /// Its id.
    pub card: String,
    /// Whose it is.
    pub publisher: String,
    /// The user's name for the publisher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// `own`, `trusted` or `new`.
    pub trust: String,
    /// The repo's name, as its publisher says.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its place in the chain.
    pub seq: u64,
    /// What its publisher says of it.
    pub status: Status,
    /// When, as its publisher says.
    pub created_at: String,
    /// Whether the library holds it as the card of a version; else peers offered it.
    pub held: bool,
}

/// An endorser of the trust list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndorserLine {
    /// The user's name for the key.
    pub alias: String,
    /// Its id.
    pub endorser: String,
    /// The kinds of its claims that count; all if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<String>>,
}
