//! `trust.toml` as it is written. What later versions write beside these fields is kept and written again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use toml::value::Datetime;

use crate::card::content::Leave;
use crate::card::identity::{self, Identity};
use crate::card::name::{self, Alias, RepoName};
use crate::card::policy::Trust;
use crate::dag::Cid;

use super::pattern::Pattern;

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct File {
    // Before the tables: TOML wants plain values first.
    #[serde(flatten)]
    pub(super) other: toml::Table,
    #[serde(default, skip_serializing_if = "is_default")]
    pub(super) default: Defaults,
    #[serde(default, rename = "publisher", skip_serializing_if = "Vec::is_empty")]
    pub(super) publishers: Vec<Trusted>,
    #[serde(default, rename = "endorser", skip_serializing_if = "Vec::is_empty")]
    pub(super) endorsers: Vec<Endorser>,
    #[serde(default, rename = "require", skip_serializing_if = "Vec::is_empty")]
    pub(super) requires: Vec<Require>,
    #[serde(default, rename = "block", skip_serializing_if = "Vec::is_empty")]
    pub(super) blocks: Vec<Block>,
}

fn is_default(defaults: &Defaults) -> bool {
    *defaults == Defaults::default()
}

/// What holds where no entry says otherwise: only what the user wrote. What it means when nothing is written say the
/// functions. Fields that this version does not know are an error, unlike elsewhere in the file: a mistyped rule would be
/// a weaker one than the user believes in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Cards of publishers that are not in the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
    /// Content that no card is known for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsigned: Option<Answer>,
    /// Cards behind what was seen before, unless their CID is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Answer>,
    /// Code (pickle and the like): taken from everybody, or from nobody but the user, those in the list not excepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Answer>,
    /// The largest repo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_size: Option<MaxSize>,
}

impl Defaults {
    /// Accepted and said so, unless the user asks for more.
    pub fn unknown(&self) -> Unknown {
        self.unknown.unwrap_or(Unknown::AcceptNew)
    }

    /// Accepted and said so.
    pub fn unsigned(&self) -> Answer {
        self.unsigned.unwrap_or(Answer::Accept)
    }

    /// Refused.
    pub fn rollback(&self) -> Answer {
        self.rollback.unwrap_or(Answer::Deny)
    }

    /// Whether files that bring code are let in: what is written, else from those that the user trusts alone.
    pub fn code(&self, trust: Option<&Trust>, allowed: bool) -> Leave {
        match (trust, self.code) {
            (Some(Trust::Own), _) | (_, Some(Answer::Accept)) => Leave::Given,
            _ if allowed => Leave::Given,
            (_, Some(Answer::Deny)) => Leave::FromNobody,
            (Some(Trust::Trusted(_)), None) => Leave::Given,
            (_, None) => Leave::FromTrusted,
        }
    }
}

/// What to do about a publisher that is not in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// Use the card, and say that its key is new.
    AcceptNew,
    /// Use nothing of publishers outside the list.
    Deny,
    /// Use the card only if the user named its key in this very request. No program of ours prompts: the refusal is
    /// the question, and the key in the next request, or `trust add`, is the answer.
    Ask,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Take it, and say so.
    Accept,
    /// Refuse it.
    Deny,
}

/// Bytes, written as a number or like `500GB`, `1.5TiB`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct MaxSize {
    bytes: u64,
    written: Written,
}

impl MaxSize {
    /// Bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Bytes(u64),
    Text(String),
}

impl TryFrom<Written> for MaxSize {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let bytes = match &written {
            Written::Bytes(bytes) => *bytes,
            Written::Text(text) => bytes_of(text)
                .ok_or_else(|| format!("{text:?} is no size, write one like 500GB"))?,
        };
        Ok(Self { bytes, written })
    }
}

impl From<MaxSize> for Written {
    fn from(size: MaxSize) -> Self {
        size.written
    }
}

fn bytes_of(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" | "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1024f64.powi(2),
        "GiB" => 1024f64.powi(3),
        "TiB" => 1024f64.powi(4),
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    // Beyond the largest number it is the largest: no repo has so much.
    Some((number * unit) as u64)
}

/// A publisher that the user trusts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trusted {
    /// The user's word for it.
    pub alias: Alias,
    /// Its key, or the lab.
    pub id: Identity,
    /// For what, and since when and why.
    #[serde(flatten)]
    pub scope: Scope,
}

impl Trusted {
    /// Whether the trust is for this repo.
    pub fn covers(&self, repo: &RepoName) -> bool {
        covers(self.scope.models.as_deref(), repo)
    }
}

/// For what a publisher is trusted, and what the user noted about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// Names of its repos, models and datasets alike; all of them if nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<Pattern>>,
    /// Where the publisher names its id, as the user looked it up once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Datetime>,
    #[serde(flatten)]
    pub(super) other: toml::Table,
}

pub(super) fn covers(models: Option<&[Pattern]>, repo: &RepoName) -> bool {
    models.is_none_or(|models| models.iter().any(|pattern| pattern.matches(repo.as_str())))
}

/// Somebody whose claims about the cards of others count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Endorser {
    /// The user's word for it; a name space apart from that of publishers.
    pub alias: Alias,
    /// Its key.
    pub id: Identity,
    /// Kinds of claims that count (`svr`, `test-result`, …); all if nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kinds: Option<Vec<String>>,
    #[serde(flatten)]
    pub(super) other: toml::Table,
}

/// Claims without which content is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Require {
    /// Whose content.
    pub publisher: Whose,
    /// Which of it; all if nothing is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<Pattern>>,
    /// Endorsers by alias; each property must be claimed by any of them.
    pub any_of: Vec<Alias>,
    /// What must be claimed; any claim that holds if nothing is written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<String>,
    #[serde(flatten)]
    pub(super) other: toml::Table,
}

/// Whose content a requirement is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Whose {
    /// `*`: everybody's but the user's own, also what nobody signed.
    Everyone,
    /// A publisher of the list.
    Alias(Alias),
    /// A publisher.
    Id(Identity),
}

impl TryFrom<String> for Whose {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Everyone);
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        text.parse().map(Self::Alias).map_err(|error: name::Error| error.to_string())
    }
}

impl From<Whose> for String {
    fn from(whose: Whose) -> Self {
        match whose {
            Whose::Everyone => "*".to_owned(),
            Whose::Alias(alias) => alias.to_string(),
            Whose::Id(id) => id.to_string(),
        }
    }
}

/// What is never used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Which.
    pub id: Blocked,
    /// Why, in the user's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(flatten)]
    pub(super) other: toml::Table,
}

/// What a block names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Blocked {
    /// A publisher, an endorser, or one key of a lab.
    Publisher(Identity),
    /// A card, a release or a root, as version 1 of its CID.
    Cid(Cid),
}

impl Blocked {
    /// Content by its CID, in whichever version it was written.
    pub fn cid(cid: &Cid) -> Self {
        Self::Cid(Cid::new_v1(cid.codec(), *cid.hash()))
    }
}

impl FromStr for Blocked {
    type Err = identity::Error;

    fn from_str(text: &str) -> Result<Self, identity::Error> {
        match name::parse_cid(text) {
            Some(cid) => Ok(Self::cid(&cid)),
            None => text.parse().map(Self::Publisher),
        }
    }
}

impl TryFrom<String> for Blocked {
    type Error = identity::Error;

    fn try_from(text: String) -> Result<Self, identity::Error> {
        text.parse()
    }
}

impl From<Blocked> for String {
    fn from(blocked: Blocked) -> Self {
        blocked.to_string()
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publisher(id) => id.fmt(f),
            Self::Cid(cid) => cid.fmt(f),
        }
    }
}
