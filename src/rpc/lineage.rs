//! Answers about what was made from what.

use serde::{Deserialize, Serialize};

use crate::card::statement::Status;

/// Answer to `lineage`: a verified card, what it was made from, and what was made from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The card that was asked for, and what it states.
    #[serde(flatten)]
    pub version: LineageCard,
    /// Cards that are here and name this one.
    pub derived: Vec<DerivedLine>,
    /// Whether there are more than are shown: of relations, or of cards that are here.
    pub cut: bool,
}

/// A card that was verified just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageCard {
    /// Card id.
    pub card: String,
    /// Repo name.
    pub name: String,
    /// Its version.
    #[serde(rename = "version")]
    pub revision: String,
    /// Whose.
    pub publisher: String,
    /// The user's view of the key: `own`, `trusted` or `new`.
    pub trust: String,
    /// What its publisher says of it by now, if it is not in use any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stated: Option<Status>,
    /// What it states that it was made from.
    pub relations: Vec<RelationLine>,
    /// Whether its relations stand elsewhere in this answer, or are deeper than was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elsewhere: bool,
}

/// A relation as its publisher states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelationLine {
    /// `finetune`, `adapter`, `quantized`, `merge`, `distilled` or `trainedOn`.
    pub relation: String,
    /// The card that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Whose it says that card is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// What the Hub calls it; nobody signed that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// Digest of its tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tree_sha256: Option<String>,
    /// What made this of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// Whether that card is here, was verified just now, and is whose it is said to be.
    pub verified: bool,
    /// The card; null if it is not here.
    pub card: Option<Box<LineageCard>>,
}

/// A card that names another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DerivedLine {
    /// Whose.
    pub publisher: String,
    /// Repo name.
    pub name: String,
    /// Its place in its chain.
    pub seq: u64,
    /// Its version.
    pub version: String,
    /// Card id.
    pub card: String,
    /// How it says that it came from the other.
    pub relation: String,
    /// The user's view of its key.
    pub trust: String,
}
