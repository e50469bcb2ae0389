//! The words that command line, daemon and library share: [`Request`] in, [`Event`]s out, an [`Answer`] or a
//! [`Failure`] last.
//!
//! One set of words serves the control socket and a command that runs without a daemon. On the socket a request is
//! one JSON line, and so is each event; of a file's bytes the line says how many follow it. The answers' fields are the contract of the command line (`--json` prints
//! them as they stand), so fields are added here and never renamed.

mod adopt;
mod answer;
mod cards;
mod claims;
mod keys;
mod lineage;
mod names;
mod node;
mod request;
mod signatures;
mod signing;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::config::Config;

pub use crate::card::{policy::Provenance as ProvenanceStatus, statement::Kind};

pub use adopt::{Adopted, AdoptedLine, LeftOut, OriginLine};

pub use answer::{
    Answer, BlockLine, CardInitialised, Collected, ExportedCard, Fetched, FileLine, Printed,
    Provenance, ReasonLine, Rebuilt, Removed, RepoLine, Repos, Seeded, Shared, Shown, TrustLine,
    TrustedPublishers, Verified, Why,
};

pub use cards::{CardDiff, CardLine, CardLog, CardShown, Contradiction, FieldChange, Restate};

pub use claims::{
    ClaimKind, ClaimLine, Claims, ClaimsOf, Endorse, Endorsed, EndorserLine, ImportedClaims,
    MeasuredLine, OfferedCard,
};

pub use keys::{
    AgentKey, AgentKeys, KeyExported, KeyHeld, KeyMade, KeyShown, PublisherShown, RoleShown,
    TokenShown,
};

pub use lineage::{DerivedLine, Lineage, LineageCard, RelationLine};

pub use names::{Name, NameLine, NameRepo, Names, Resolve};

pub use node::{
    ChangedFile, Health, Identity, Initialised, PeerLine, Peers, RefutedLine, Status, StoreFigures,
    TransferLine, UnpublishedLine, WithdrawnLine,
};

pub use signatures::{ImportSig, ImportedSignature, SignatureLine};

pub use request::{Cat, Get, Request, Seed, Target};

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

    /// What happened and what can be done about it, where there is room for one line.
    pub fn in_one_line(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{}{hint}", self.message)
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
