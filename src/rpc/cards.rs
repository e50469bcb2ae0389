//! Answers about cards.

use serde::{Deserialize, Serialize};

use super::Provenance;
use crate::card::{
    origins::{Eval, Origin},
    statement::{Kind, Status},
};

/// What a publisher says of a version, by `card withdraw` and `card deprecate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restate {
    /// The REF as typed.
    pub reference: String,
    /// What is said of it from now on.
    pub status: Status,
    /// Why.
    pub reason: Option<String>,
    /// The card to use instead.
    pub replaced_by: Option<String>,
}

/// Answer to `card show`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CardShown {
    /// Card id.
    pub card: String,
    /// CID of files and card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Whose it is.
    pub provenance: Provenance,
    /// The signed statement, as signed.
    pub statement: serde_json::Value,
    /// What of it says what the version was made from, as far as it can be read.
    pub lineage: Vec<Origin>,
    /// The results that its publisher reports.
    pub evals: Vec<Eval>,
    /// Where its publisher says that the same is said.
    pub links: Vec<String>,
    /// Entries of these that can't be read, and why.
    pub passed_over: Vec<String>,
}

/// One version of a repo, by its card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardLine {
    /// Its place in the chain.
    pub seq: u64,
    /// Its version.
    pub version: String,
    /// Card id.
    pub card: String,
    /// CID of files and card, if that is here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// CID of the files.
    pub root: String,
    /// What its publisher says of it.
    pub status: Status,
    /// When, as its publisher says.
    pub created_at: String,
    /// Whether it was accepted: no later card of the chain is missing, and no other claims its place.
    pub accepted: bool,
    /// Whether it is what the repo's name stands for.
    pub head: bool,
}

/// Answer to `card log`, `card withdraw` and `card deprecate`: the versions that are known, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardLog {
    /// Repo name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// The key that signs it.
    pub publisher: String,
    /// Its versions.
    pub versions: Vec<CardLine>,
    /// Places of which its publisher says two things, and has settled none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<Contradiction>,
}

/// Proof that a key said two things: cards that claim one place of a repo's chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// Whose key.
    pub publisher: String,
    /// Repo name.
    pub name: String,
    /// The place.
    pub seq: u64,
    /// The cards, the one that was accepted first.
    pub cards: Vec<String>,
}

/// A field that two cards state differently.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Its name in the predicate.
    pub field: String,
    /// In the first card; absent if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<serde_json::Value>,
    /// In the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<serde_json::Value>,
}

/// Answer to `card diff`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CardDiff {
    /// The first card.
    pub from: String,
    /// The second.
    pub to: String,
    /// Files that only the second has.
    pub added: Vec<String>,
    /// Files that only the first has.
    pub removed: Vec<String>,
    /// Files of other bytes.
    pub changed: Vec<String>,
    /// Fields of other values.
    pub fields: Vec<FieldChange>,
}
