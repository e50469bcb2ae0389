//! Claims: what evaluators, auditors and scanners say of somebody else's card or tree, as signed statements.
//!
//! A claim is an in-toto Statement v1 in the one byte form of cards, signed by its endorser. Its subjects are the card
//! and the tree, or the tree alone where no card is known; as in-toto has it, what is claimed is claimed of each of
//! them, so a claim counts for its tree whichever card stands over it: a publisher who signs the same files anew keeps
//! what was said of them, FAILED above all. Predicates of others' making are read as kinds of their own name, holding,
//! without properties. A claim's id is the CID of the signed bytes. Provenance 7.7; in-toto attestation predicates.
//!
//! [`Claim`] has no constructor but [`verify`] and [`sign`]. Whether an endorser's word counts, `trust` says; that no
//! claim is known proves nothing, since anybody on the way can leave one out.

mod lines;
mod read;
mod subject;
mod write;

use std::collections::BTreeSet;
use std::fmt;

use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::dag::Cid;
use crate::dag::block::{DAG_JSON, cid_v1, sha256};
use crate::limits;

use super::did::{self, PublisherId};
use super::envelope::{self, FormError, Parts};
use super::identity::Identity;
use super::json;
use super::statement::{self, Timestamp};
use super::trust;

pub use lines::{from_jsonl, to_jsonl};
pub use subject::Subject;

/// The file of claims that lies beside an exported card.
pub const CLAIMS: &str = "claims.jsonl";
/// in-toto's Simple Verification Result: properties that were verified.
pub const SVR: &str = "https://in-toto.io/attestation/svr/v0.2";
/// in-toto's Test Result: tests that passed or failed.
pub const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
/// Ours: measured values.
pub const EVAL: &str = "urn:modelswarm:eval:v1";

/// Why bytes are no claim, or none can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More bytes than are read or written.
    #[error("the {what} of a claim has {len} bytes, at most {max} are allowed")]
    TooLarge {
        /// `bundle`, `payload` or `file`.
        what: &'static str,
        /// Bytes given.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// Not a Sigstore bundle v0.3 with one signature.
    #[error("it is no signed claim: {0}")]
    Bundle(String),
    /// A bundle, but not in the one byte form.
    #[error("it is not in the form that modelswarm writes, from byte {at} on; it was changed")]
    Form {
        /// The first byte that differs.
        at: usize,
    },
    /// The key that the bundle names cannot sign.
    #[error("it names no usable key: {0}")]
    Key(#[from] did::Error),
    /// The signature does not hold for the payload and the key.
    #[error("its signature does not hold for {endorser}: claim or signature was changed")]
    Signature {
        /// The key that the bundle names.
        endorser: PublisherId,
    },
    /// It says that somebody else verified.
    #[error("it says it is by {stated}, but {signer} signed it")]
    OtherEndorser {
        /// In the payload.
        stated: String,
        /// Who signed.
        signer: PublisherId,
    },
    /// The payload is not strict DAG-JSON.
    #[error("the claim is not strict DAG-JSON: {0}")]
    Json(#[from] json::Error),
    /// A field is missing or says what it may not.
    #[error("the claim's field {field} {problem}")]
    Field {
        /// Its place, e.g. `predicate.timeCreated`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Duly signed, and the card of a repo.
    #[error("it is a card, no claim about one")]
    Card,
    /// A kind that is only read.
    #[error("claims of the kind {0} are made by tools of their own; import what they signed")]
    Foreign(String),
    /// More lines than are read.
    #[error("more than {max} claims in one file", max = limits::CLAIMS_LINES_MAX)]
    TooMany,
}

impl Error {
    fn field(field: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self::Field { field: field.to_string(), problem: problem.to_string() }
    }
}

impl From<statement::Error> for Error {
    fn from(error: statement::Error) -> Self {
        match error {
            statement::Error::Field { field, problem } => Self::Field { field, problem },
            other => Self::field("payload", other),
        }
    }
}

impl From<FormError> for Error {
    fn from(error: FormError) -> Self {
        match error {
            FormError::TooLarge(what, len, max) => Self::TooLarge { what, len, max },
            FormError::Bundle(why) => Self::Bundle(why),
            FormError::Form(at) => Self::Form { at },
            FormError::Key(why) => Self::Key(why),
        }
    }
}

/// A value that was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// The dataset.
    pub dataset: String,
    /// The task in it.
    pub task: Option<String>,
    /// What was measured.
    pub metric: String,
    /// A decimal number, as text so that no two readers round it differently.
    pub value: String,
}

/// What is claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// These properties were verified. An SVR has no words for a property that does not hold: that is what a FAILED
    /// test result says.
    Svr {
        /// What holds.
        properties: Vec<String>,
    },
    /// These tests were run.
    TestResult {
        /// PASSED, or WARNED, or else FAILED.
        holds: bool,
        /// The tests that passed, or those that failed.
        tests: Vec<String>,
    },
    /// These values were measured.
    Eval {
        /// PASSED, or FAILED: they are not what the publisher says.
        holds: bool,
        /// What holds (or fails) by them.
        properties: Vec<String>,
        /// The values.
        results: Vec<Measured>,
    },
    /// A predicate of another kind: read as holding, without properties.
    Other,
}

impl Body {
    fn properties(&self) -> &[String] {
        match self {
            Self::Svr { properties } | Self::Eval { properties, .. } => properties,
            Self::TestResult { tests, .. } => tests,
            Self::Other => &[],
        }
    }

    fn properties_mut(&mut self) -> Option<&mut Vec<String>> {
        match self {
            Self::Svr { properties } | Self::Eval { properties, .. } => Some(properties),
            Self::TestResult { tests, .. } => Some(tests),
            Self::Other => None,
        }
    }

    fn holds(&self) -> bool {
        match self {
            Self::TestResult { holds, .. } | Self::Eval { holds, .. } => *holds,
            Self::Svr { .. } | Self::Other => true,
        }
    }
}

/// A claim to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it is about.
    pub subject: Subject,
    /// What it says.
    pub body: Body,
    /// When it was verified.
    pub made_at: Timestamp,
    /// Earlier claims of the same endorser that it takes back.
    pub supersedes: Vec<Cid>,
    /// A remark, one line.
    pub note: Option<String>,
}

/// What was measured: dataset, task, metric.
type Measure<'a> = (&'a str, Option<&'a str>, &'a str);

/// What a claim says, whoever signs it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    kind: String,
    subject: Subject,
    body: Body,
    made_at: Option<Timestamp>,
    supersedes: Vec<Cid>,
    note: Option<String>,
}

impl Said {
    /// What was measured, in order; nothing in claims of other kinds than evaluations.
    fn measured(&self) -> Vec<Measure<'_>> {
        match &self.body {
            Body::Eval { results, .. } => results
                .iter()
                .map(|one| (one.dataset.as_str(), one.task.as_deref(), one.metric.as_str()))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether this, said later by the same endorser of the same tree, takes the place of what an earlier claim says as a
    /// whole: the same was measured, or it is of the same kind and neither speaks of properties.
    fn repeats(&self, earlier: &Self) -> bool {
        let bare = |said: &Self| said.body.properties().is_empty();
        self.kind == earlier.kind
            && self.measured() == earlier.measured()
            && (!self.measured().is_empty() || bare(self) && bare(earlier))
    }

    /// Whether it takes the place of what an earlier claim says of one property, whatever the kinds of the two. Evaluations
    /// by other measures stand beside each other: one says nothing of another.
    fn restates(&self, earlier: &Self, property: &String) -> bool {
        let (now, then) = (self.measured(), earlier.measured());
        let beside = !now.is_empty() && !then.is_empty() && now != then;
        self.body.properties().contains(property) && !beside
    }

    /// Whether nothing is left of an earlier claim once this is said.
    fn replaces(&self, earlier: &Self) -> bool {
        let properties = earlier.body.properties();
        let all = || properties.iter().all(|property| self.restates(earlier, property));
        self.subject.root() == earlier.subject.root()
            && (self.repeats(earlier) || !properties.is_empty() && all())
    }
}

/// A claim before it is signed, so that the key can be elsewhere: whoever holds it reads what it is handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    endorser: PublisherId,
    said: Said,
    payload: Bytes,
}

impl Unsigned {
    /// Of a claim that we make; read back as a stranger would.
    ///
    /// # Errors
    /// [`Error::Field`], [`Error::TooLarge`], [`Error::Foreign`].
    pub fn new(draft: &Draft, endorser: &PublisherId) -> Result<Self, Error> {
        Self::from_payload(write::payload(draft, endorser)?, endorser)
    }

    /// Of bytes that were handed over.
    ///
    /// # Errors
    /// As [`verify`] but for the signature's.
    pub fn from_payload(payload: impl Into<Bytes>, endorser: &PublisherId) -> Result<Self, Error> {
        let payload = payload.into();
        let said = read::payload(&payload, endorser)?;
        Ok(Self { endorser: *endorser, said, payload })
    }

    /// What it is about.
    pub fn subject(&self) -> &Subject {
        &self.said.subject
    }

    /// What it claims.
    pub fn body(&self) -> &Body {
        &self.said.body
    }

    /// The remark.
    pub fn note(&self) -> Option<&str> {
        self.said.note.as_deref()
    }

    /// The bytes whose CID will be the claim's id.
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// What the key signs (pure ed25519): DSSE's encoding of the payload.
    pub fn message(&self) -> Vec<u8> {
        envelope::pae(envelope::PAYLOAD_TYPE, &self.payload)
    }

    /// The claim with a signature that was made elsewhere.
    ///
    /// # Errors
    /// As [`verify`].
    pub fn with_signature(&self, signature: &[u8; 64]) -> Result<Claim, Error> {
        // What we sign must be what a stranger reads: verified by the same way in, in full.
        verify(envelope::encode(&self.payload, signature, &self.endorser))
    }
}

/// A claim whose endorser's key signed these very bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    id: Cid,
    endorser: Identity,
    said: Said,
    bundle: Bytes,
}

impl Claim {
    /// Its id: the CID of the payload as DAG-JSON.
    pub fn id(&self) -> &Cid {
        &self.id
    }

    /// Who claims.
    pub fn endorser(&self) -> &Identity {
        &self.endorser
    }

    /// What it is about.
    pub fn subject(&self) -> &Subject {
        &self.said.subject
    }

    /// `svr`, `test-result`, `eval`, a short name for other known predicates, else the predicate's type. Chosen by the
    /// endorser: escape it before printing.
    pub fn kind(&self) -> &str {
        &self.said.kind
    }

    /// What is claimed.
    pub fn body(&self) -> &Body {
        &self.said.body
    }

    /// What is said to hold, or to fail: of a claim out of [`current`] as far as it still counts. Escape them before printing.
    pub fn properties(&self) -> &[String] {
        self.said.body.properties()
    }

    /// Whether it is said to hold, or to fail.
    pub fn holds(&self) -> bool {
        self.said.body.holds()
    }

    /// When, as the endorser says: no proof.
    pub fn made_at(&self) -> Option<Timestamp> {
        self.said.made_at
    }

    /// Earlier claims of the same endorser that it takes back.
    pub fn supersedes(&self) -> &[Cid] {
        &self.said.supersedes
    }

    /// A remark; escape it before printing.
    pub fn note(&self) -> Option<&str> {
        self.said.note.as_deref()
    }

    /// The signed bytes with their envelope: one line of a `claims.jsonl`.
    pub fn bundle(&self) -> &Bytes {
        &self.bundle
    }

    /// What decides with it.
    pub fn fact(&self) -> trust::Claim<'_> {
        trust::Claim {
            endorser: self.endorser,
            kind: &self.said.kind,
            properties: self.properties(),
            holds: self.holds(),
        }
    }

    /// Whether a new claim of the same endorser is to take this one back: it says anew all that this one says. What it says
    /// nothing of goes on to count.
    pub fn gives_way_to(&self, new: &Unsigned) -> bool {
        self.endorser == Identity::Key(new.endorser) && new.said.replaces(&self.said)
    }
}

/// Signs a claim.
///
/// # Errors
/// [`Error::Key`] for a weak key, [`Error::Field`], [`Error::TooLarge`], [`Error::Foreign`].
pub fn sign(draft: &Draft, key: &SigningKey) -> Result<Claim, Error> {
    let unsigned = Unsigned::new(draft, &PublisherId::try_from(&key.verifying_key())?)?;
    unsigned.with_signature(&key.sign(&unsigned.message()).to_bytes())
}

/// Checks a claim's form and signature, then reads it. What it is about, the caller holds against what it should be
/// ([`Subject::is_of`]).
///
/// # Errors
/// Every [`Error`] but [`Error::Foreign`] and [`Error::TooMany`].
pub fn verify(bundle: impl Into<Bytes>) -> Result<Claim, Error> {
    let Parts { signer, payload, bundle, .. } =
        match Parts::read(bundle.into(), limits::CLAIM_PAYLOAD_MAX) {
            Ok(parts) if parts.holds() => parts,
            Ok(parts) => return Err(Error::Signature { endorser: parts.signer }),
            Err(why) => return Err(why.into()),
        };
    Ok(Claim {
        id: cid_v1(DAG_JSON, sha256(&payload)),
        endorser: Identity::Key(signer),
        said: read::payload(&payload, &signer)?,
        bundle,
    })
}

/// The claims that count, the newest first, each with those of its properties for which it does: of one endorser and tree
/// the newest word on each property, and nothing that the endorser took back. By its date, so that it counts as well with
/// those who never saw what lies between. Of two of the same second the one that FAILED counts.
pub fn current<'a>(claims: impl IntoIterator<Item = &'a Claim>) -> Vec<Claim> {
    let claims: Vec<&Claim> = claims.into_iter().collect();
    let taken_back: BTreeSet<(Identity, Cid)> = claims
        .iter()
        .flat_map(|claim| claim.said.supersedes.iter().map(|id| (claim.endorser, *id)))
        .collect();
    let standing: Vec<&Claim> = claims
        .into_iter()
        .filter(|claim| !taken_back.contains(&(claim.endorser, claim.id)))
        .collect();
    let weight = |claim: &Claim| (claim.said.made_at, !claim.holds(), claim.id);
    let mut counting: Vec<Claim> = Vec::new();
    for claim in &standing {
        let later = standing.iter().map(|other| (other, &other.said)).filter(|(other, said)| {
            other.endorser == claim.endorser
                && said.subject.root() == claim.said.subject.root()
                && weight(other) > weight(claim)
        });
        if later.clone().any(|(_, said)| said.repeats(&claim.said)) {
            continue;
        }
        let mut counts = (*claim).clone();
        if let Some(properties) = counts.said.body.properties_mut() {
            let all = properties.len();
            properties.retain(|property| {
                !later.clone().any(|(_, said)| said.restates(&claim.said, property))
            });
            if properties.is_empty() && all > 0 {
                continue;
            }
        }
        if !counting.iter().any(|known| known.id == counts.id) {
            counting.push(counts);
        }
    }
    counting.sort_by_key(|claim| std::cmp::Reverse(weight(claim)));
    counting
}

#[cfg(test)]
pub(super) mod tests;
