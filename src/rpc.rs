//! The words that command line, daemon and library share: [`Request`] in, [`Event`]s out, an [`Answer`] or a
//! [`Failure`] last.
//!
//! One set of words serves the control socket and a command that runs without a daemon. On the socket a request is
//! one JSON line, and so is each event; of a file's bytes the line says how many follow it. The answers' fields are the contract of the command line (`--json` prints
//! them as they stand), so fields are added here and never renamed.

mod answer;
mod cards;
mod claims;
mod keys;
mod lineage;
mod names;
mod node;
mod signatures;
mod signing;

use std::path::PathBuf;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::config::rates::Rate;
use crate::config::{Config, Visibility};

pub use crate::card::{policy::Provenance as ProvenanceStatus, statement::Kind};

pub use answer::{
    Answer, BlockLine, CardInitialised, Collected, ExportedCard, Fetched, FileLine, Printed,
    Provenance, ReasonLine, Rebuilt, Removed, RepoLine, Repos, Seeded, Shared, Shown, TrustLine,
    TrustedPublishers, Verified, Why,
};

pub use cards::{CardDiff, CardLine, CardLog, CardShown, FieldChange, Restate};

pub use claims::{
    ClaimKind, ClaimLine, Claims, ClaimsOf, Endorse, Endorsed, EndorserLine, ImportedClaims,
    MeasuredLine, OfferedCard,
};

pub use keys::{
    AgentKey, AgentKeys, KeyExported, KeyHeld, KeyMade, KeyShown, PublisherShown, RoleShown,
};

pub use lineage::{DerivedLine, Lineage, LineageCard, RelationLine};

pub use names::{Name, NameLine, NameRepo, Names, Resolve};

pub use node::{
    ChangedFile, Health, Identity, Initialised, PeerLine, Peers, RefutedLine, Status, StoreFigures,
    TransferLine,
};

pub use signatures::{ImportSig, ImportedSignature, SignatureLine};

pub use signing::{Reply, ToSign, Unsigned};

/// The first line of a daemon on its control socket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The daemon's version; client and daemon must agree, since the words may differ otherwise.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// The settings it runs with.
    pub config: Config,
}

/// What a user asks of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// Import a file or folder, sign it, announce it.
    Seed(Seed),
    /// Find, fetch, verify, put in place.
    Get(Get),
    /// The bytes of one file.
    Cat(Cat),
    /// List the library.
    Ls,
    /// Who signed what, and the files.
    Show {
        /// The REF as typed.
        reference: String,
    },
    /// The signed statement.
    CardShow {
        /// The REF as typed.
        reference: String,
    },
    /// The versions of a repo that are known.
    CardLog {
        /// The REF as typed.
        reference: String,
    },
    /// What differs between two cards.
    CardDiff {
        /// The REF as typed.
        from: String,
        /// The other one.
        to: String,
    },
    /// What was made from what.
    Lineage {
        /// The REF as typed.
        reference: String,
        /// Levels of relations.
        depth: usize,
    },
    /// Sign a later word on a version.
    Restate(Restate),
    /// Write what others' tools check a card with.
    CardExport {
        /// The REF as typed.
        reference: String,
        /// The folder to write into. Absolute.
        output: PathBuf,
    },
    /// Sign a claim about somebody's content.
    Endorse(Endorse),
    /// Take in claims out of a file.
    EndorseImport {
        /// A `claims.jsonl`. Absolute.
        path: PathBuf,
    },
    /// What is said of content, here and by peers.
    Claims(ClaimsOf),
    /// Publish what this home shares under its publisher's key.
    NamePublish,
    /// What a publisher's record and index say.
    NameResolve(Resolve),
    /// Take in somebody else's signature over content that is here.
    ImportSig(ImportSig),
    /// Read every file where it lies and recompute all digests.
    Verify {
        /// The REF or path as typed.
        target: Target,
    },
    /// Forget a repo; delete only files under the home's library.
    Rm {
        /// The REF as typed.
        reference: String,
    },
    /// Drop what no pin needs.
    Gc,
    /// Keep a repo.
    Pin {
        /// The REF as typed.
        reference: String,
    },
    /// Stop keeping a repo.
    Unpin {
        /// The REF as typed.
        reference: String,
    },
    /// Set how far a repo may go.
    Share {
        /// The REF as typed.
        reference: String,
        /// How far from now on.
        to: Visibility,
    },
    /// Trust a publisher under a local alias.
    TrustAdd {
        /// The user's own name for the key.
        alias: String,
        /// `did:key:z6Mk…`
        publisher: String,
    },
    /// A lab that is known here.
    PublisherShow {
        /// Its id or alias.
        publisher: String,
    },
    /// The publishers the user trusts.
    TrustList,
    /// Refuse a publisher, a card, a release or a root, whoever vouches for it; or do so no longer.
    TrustBlock {
        /// Its key or CID.
        id: String,
        /// Why, in the user's words.
        reason: Option<String>,
        /// Lift the block.
        lift: bool,
    },
    /// The user's rules on what the library holds.
    TrustWhy {
        /// The REF as typed.
        reference: String,
    },
    /// Trust a publisher no longer.
    TrustRm {
        /// The alias it was added under.
        alias: String,
    },
    /// Count somebody's claims.
    TrustAddEndorser {
        /// The user's own name for the key.
        alias: String,
        /// `did:key:z6Mk…` or a lab's id.
        endorser: String,
        /// Only claims of these kinds; all if empty.
        kinds: Vec<String>,
    },
    /// Count somebody's claims no longer.
    TrustRmEndorser {
        /// The alias it was added under.
        alias: String,
    },
    /// Who this node and this publisher are.
    Id,
    /// Store and transfer figures, files changed or missing, what was announced.
    Status,
    /// Connected peers.
    Peers,
    /// Dial a peer.
    Connect {
        /// Where, as a multiaddr.
        address: String,
    },
    /// The rate limits; those that are given are set, until the daemon ends.
    Limit {
        /// To all peers together.
        max_up: Option<Rate>,
        /// From all peers together.
        max_down: Option<Rate>,
        /// To one peer.
        peer_max_up: Option<Rate>,
        /// From one peer.
        peer_max_down: Option<Rate>,
    },
    /// Make keys and config if they are not there.
    Init {
        /// The user's own alias.
        alias: Option<String>,
    },
    /// Rebuild the index from the plain records and the model files.
    Repair,
}

/// A REF of the library or network, or a path on this machine. The client decides which, since only it knows its
/// working directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A REF as typed.
    Reference(String),
    /// An absolute path.
    Path(PathBuf),
}

/// Arguments of [`Request::Seed`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Seed {
    /// Absolute path of the file or folder.
    pub path: PathBuf,
    /// Repo name; the folder's if absent.
    pub name: Option<String>,
    /// Version; the seq if absent.
    pub version: Option<String>,
    /// Model unless said otherwise, or what the repo was before.
    pub kind: Option<Kind>,
    /// SPDX id or name of the licence.
    pub license: Option<String>,
    /// How far the repo may go; what it was before, or `lan`.
    pub visibility: Option<Visibility>,
    /// Only paths that match one of these; all if empty.
    pub include: Vec<String>,
    /// No path that matches one of these.
    pub exclude: Vec<String>,
    /// Import what symbolic links outside the rules point to.
    pub follow_symlinks: bool,
    /// Copy into the home's library instead of indexing in place.
    pub copy: bool,
    /// No card, no release.
    pub unsigned: bool,
    /// The card to sign after, as typed; the newest that is known if absent.
    pub onto: Option<String>,
    /// Add `model.sig`, the OpenSSF Model Signing companion of the card; once asked for, later versions have one too.
    pub oms: bool,
    /// What it was made from, `REF` or `REF=RELATION`, besides what its README says; as in the version before if none.
    pub bases: Vec<String>,
    /// Where the publisher says the same, `https` addresses; as in the version before if none.
    pub links: Vec<String>,
}

/// Arguments of [`Request::Get`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Get {
    /// The REF as typed.
    pub reference: String,
    /// Where the files go; the home's library if absent. Absolute.
    pub output: Option<PathBuf>,
    /// Only paths that match one of these; all if empty.
    pub include: Vec<String>,
    /// No path that matches one of these.
    pub exclude: Vec<String>,
    /// Multiaddrs of peers to ask, besides those that are found.
    pub peers: Vec<String>,
    /// The card must be this publisher's.
    pub publisher: Option<String>,
    /// Say what would be fetched, fetch only the tree's nodes.
    pub dry_run: bool,
    /// Replace files that differ.
    pub force: bool,
    /// Let in what can carry code, whoever published it.
    #[serde(default)]
    pub allow_code: bool,
    /// Seconds without progress after which to give up.
    pub timeout: u64,
}

impl Get {
    /// All of what a REF means, into the home's library, giving up after 30 s without progress.
    pub fn new(reference: impl Into<String>) -> Self {
        Self {
            reference: reference.into(),
            output: None,
            include: Vec::new(),
            exclude: Vec::new(),
            peers: Vec::new(),
            publisher: None,
            dry_run: false,
            force: false,
            allow_code: false,
            timeout: 30,
        }
    }
}

/// Arguments of [`Request::Cat`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cat {
    /// The REF as typed: of one file.
    pub reference: String,
    /// Bytes to leave out at the beginning.
    pub offset: u64,
    /// Bytes to give at most; all if absent.
    pub length: Option<u64>,
    /// Multiaddrs of peers to ask, besides those that are found.
    pub peers: Vec<String>,
    /// The card must be this publisher's.
    pub publisher: Option<String>,
    /// Seconds without progress after which to give up.
    pub timeout: u64,
}

/// What a node says while it works on a request. [`Event::Done`] or [`Event::Failed`] is the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Bytes of a file, the next ones. On the socket they follow the line, `len` of them, as they are.
    Bytes {
        /// How many; at most [`limits::READ_PIECE`](crate::limits::READ_PIECE).
        len: usize,
        /// They themselves.
        #[serde(skip)]
        data: Bytes,
    },
    /// How far it is.
    Progress(Progress),
    /// The publisher's signature is needed, and the node does not hold the key: it goes on when the [`Reply`] is there.
    Sign {
        /// What.
        to_sign: ToSign,
    },
    /// Something the user should know, though the work goes on.
    Warning {
        /// One line.
        message: String,
    },
    /// The answer.
    Done {
        /// What the command asked for.
        answer: Box<Answer>,
    },
    /// There is no answer.
    Failed {
        /// Why.
        error: Failure,
    },
}

/// How far a long piece of work is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// The file or repo at work, as shown to a person.
    pub name: String,
    /// Bytes done.
    pub bytes: u64,
    /// Bytes in all; absent while unknown.
    pub total: Option<u64>,
    /// Peers that deliver, for fetches.
    pub peers: usize,
}

/// The parts of long work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Reading and hashing files.
    Hashing,
    /// Looking for peers.
    Finding,
    /// Moving blocks.
    Fetching,
    /// Recomputing digests.
    Verifying,
}

/// Why a request has no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The process's exit code, and the kind of failure for scripts.
    pub code: Code,
    /// What failed, on what, and why.
    pub message: String,
    /// What the user can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The same with what the user can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Exit codes of the command line; as JSON, the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
#[repr(u8)]
pub enum Code {
    /// Anything else; also: the destination exists.
    Failure = 1,
    /// The call is wrong.
    Usage = 2,
    /// No provider within the time-out, or none of those asked has it.
    NotFound = 3,
    /// Verification failed or policy refused.
    Refused = 4,
    /// No permission.
    Permission = 5,
    /// No peer could be reached, or progress stopped.
    Network = 6,
    /// No space or quota.
    NoSpace = 7,
    /// Stopped by the user.
    Interrupted = 130,
}

impl From<Code> for u8 {
    fn from(code: Code) -> Self {
        code as u8
    }
}

impl TryFrom<u8> for Code {
    type Error = String;

    fn try_from(value: u8) -> Result<Self, String> {
        [
            Self::Failure,
            Self::Usage,
            Self::NotFound,
            Self::Refused,
            Self::Permission,
            Self::Network,
            Self::NoSpace,
            Self::Interrupted,
        ]
        .into_iter()
        .find(|code| *code as u8 == value)
        .ok_or_else(|| format!("{value} is no exit code of modelswarm"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_written_with_the_exit_code_as_its_code() {
        let failure = Failure::new(Code::NotFound, "nobody has it").hint("ask later");
        let text = serde_json::to_string(&failure).expect("plain data");
        assert_eq!(text, r#"{"code":3,"message":"nobody has it","hint":"ask later"}"#);
        assert_eq!(serde_json::from_str::<Failure>(&text).expect("our own words"), failure);
    }

    #[test]
    fn every_request_survives_the_socket() {
        let request = Request::Seed(Seed { path: "/models/a".into(), ..Seed::default() });
        let line = serde_json::to_string(&request).expect("plain data");
        assert_eq!(serde_json::from_str::<Request>(&line).expect("our own words"), request);
    }
}
