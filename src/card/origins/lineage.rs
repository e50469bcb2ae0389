//! One relation of a version to what it was made from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::card::identity::Identity;
use crate::card::json::{Map, Value, hex, parse_hex};
use crate::dag::Cid;
use crate::dag::name::escape;
use crate::limits;

use super::{Invalid, check_optional, object, put, take_card, take_text};

/// How a version came from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// Trained further.
    Finetune,
    /// Weights to be added to it.
    Adapter,
    /// The same weights in fewer bits.
    Quantized,
    /// Mixed from it and others.
    Merge,
    /// Trained to do as it does.
    Distilled,
    /// Trained on this dataset.
    TrainedOn,
}

impl Relation {
    const ALL: [Self; 6] = [
        Self::Finetune,
        Self::Adapter,
        Self::Quantized,
        Self::Merge,
        Self::Distilled,
        Self::TrainedOn,
    ];

    /// As cards write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finetune => "finetune",
            Self::Adapter => "adapter",
            Self::Quantized => "quantized",
            Self::Merge => "merge",
            Self::Distilled => "distilled",
            Self::TrainedOn => "trainedOn",
        }
    }
}

impl FromStr for Relation {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::ALL.into_iter().find(|relation| relation.as_str() == text).ok_or_else(|| {
            let all = Self::ALL.map(Self::as_str).join(", ");
            Invalid::new("relation", format!("\"{}\" is none of {all}", escape(text)))
        })
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A repo as the Hugging Face Hub knows it: `name` or `org/name`, then `@revision` if one is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HubId(String);

impl HubId {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HubId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let part = |part: &str| {
            let plain = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
            (1..=limits::HUB_PART_MAX).contains(&part.len())
                && part.bytes().all(plain)
                && part.bytes().any(|c| c != b'.')
        };
        let (repo, revision) = match text.split_once('@') {
            Some((repo, revision)) => (repo, Some(revision)),
            None => (text, None),
        };
        // A revision can be a ref with slashes.
        let revision = revision.is_none_or(|revision| {
            revision.len() <= limits::HUB_PART_MAX && revision.split('/').all(part)
        });
        if revision && repo.split('/').count() <= 2 && repo.split('/').all(part) {
            return Ok(Self(text.to_owned()));
        }
        Err(Invalid::new("hub", format!("\"{}\" is no org/name of the Hub", escape(text))))
    }
}

/// Something that a version was made from: a card, a repo of the Hub, or both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct Origin {
    /// How.
    pub relation: Relation,
    /// Its card, whose signature says what exactly it was.
    pub card: Option<Cid>,
    /// Whose that is.
    pub publisher: Option<Identity>,
    /// What the Hub calls it. Nobody signed that.
    pub hub: Option<HubId>,
    /// Digest of its tree as the Hub's files give it (OMS).
    pub tree_sha256: Option<[u8; 32]>,
    /// What made this of it.
    pub tool: Option<String>,
}

impl Origin {
    /// A relation to something that is not named yet.
    pub fn new(relation: Relation) -> Self {
        Self { relation, card: None, publisher: None, hub: None, tree_sha256: None, tool: None }
    }

    /// Refuses what no reader would take.
    pub(super) fn check(&self) -> Result<(), Invalid> {
        if self.card.is_none() && self.hub.is_none() {
            return Err(Invalid::new("card", "and hub are both missing"));
        }
        check_optional("tool", self.tool.as_deref(), limits::ORIGIN_TEXT_MAX)
    }
}

impl TryFrom<Value> for Origin {
    type Error = Invalid;

    fn try_from(value: Value) -> Result<Self, Invalid> {
        let mut map = object("lineage", value)?;
        let missing = || Invalid::new("relation", "is missing");
        let digest = |text: String| {
            parse_hex(&text)
                .ok_or_else(|| Invalid::new("treeSha256", "must be 64 lower-case hex digits"))
        };
        let publisher = |text: String| {
            let id: Option<Identity> = text.parse().ok();
            id.filter(|id| id.to_string() == text)
                .ok_or_else(|| Invalid::new("publisher", "must be did:key:… or tuf:…"))
        };
        let origin = Self {
            relation: take_text(&mut map, "relation")?.ok_or_else(missing)?.parse()?,
            card: take_card(&mut map)?,
            publisher: take_text(&mut map, "publisher")?.map(publisher).transpose()?,
            hub: take_text(&mut map, "hub")?.map(|text| text.parse()).transpose()?,
            tree_sha256: take_text(&mut map, "treeSha256")?.map(digest).transpose()?,
            tool: take_text(&mut map, "tool")?,
        };
        origin.check()?;
        Ok(origin)
    }
}

impl From<Origin> for Value {
    fn from(origin: Origin) -> Self {
        let mut map = Map::new();
        put(&mut map, "relation", Some(origin.relation.to_string()));
        put(&mut map, "card", origin.card.map(|card| card.to_string()));
        put(&mut map, "publisher", origin.publisher.map(|id| id.to_string()));
        put(&mut map, "hub", origin.hub.map(|hub| hub.0));
        put(&mut map, "treeSha256", origin.tree_sha256.map(|digest| hex(&digest)));
        put(&mut map, "tool", origin.tool);
        Self::Map(map)
    }
}
