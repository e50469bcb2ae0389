//! An index as bytes: `{"document"?, "publisher", "repos": {NAME: {"versions": [{"card", "kind", …}]}}, "schema", "scope"}`.
//!
//! Fields of the structs stand in the order of DAG-JSON, so that what they serialise to is canonical.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Error, Index, Listed, Scope, form};
use crate::card::identity::Identity;
use crate::card::json::{self, shortened};
use crate::card::name::{RepoName, Version};
use crate::card::statement::{Kind, Status};
use crate::dag::Cid;
use crate::dag::block::RAW;
use crate::limits;

/// Major version; another is refused.
const SCHEMA: u64 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    document: Option<String>,
    publisher: String,
    repos: BTreeMap<String, Repo>,
    schema: u64,
    scope: String,
}

/// Only what says whether the rest can be read.
#[derive(Deserialize)]
struct Head {
    schema: u64,
}

#[derive(Serialize, Deserialize)]
struct Repo {
    versions: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    card: String,
    kind: Kind,
    release: String,
    root: String,
    seq: u64,
    status: Status,
    version: Version,
}

impl Line {
    fn read(self) -> Result<Listed, &'static str> {
        let cid = |text: &str| -> Result<Cid, &'static str> {
            json::parse_cid(text).ok_or("card, release and root must be CIDs")
        };
        let listed = Listed {
            card: cid(&self.card)?,
            kind: self.kind,
            release: cid(&self.release)?,
            root: cid(&self.root)?,
            seq: self.seq,
            status: self.status,
            version: self.version,
        };
        listed.problem().map_or(Ok(listed), Err)
    }

    fn of(listed: &Listed) -> Self {
        Self {
            card: listed.card.to_string(),
            kind: listed.kind,
            release: listed.release.to_string(),
            root: listed.root.to_string(),
            seq: listed.seq,
            status: listed.status,
            version: listed.version.clone(),
        }
    }
}

pub(super) fn read(publisher: &Identity, scope: Scope, bytes: &[u8]) -> Result<Index, Error> {
    // The form first: what is not canonical could say two things, and duplicate keys would get lost below.
    form::check(bytes)?;
    let form = |error: serde_json::Error| Error::Form { problem: shortened(&error.to_string()) };
    let head: Head = serde_json::from_slice(bytes).map_err(form)?;
    if head.schema != SCHEMA {
        let problem = "its schema is not 1; a newer modelswarm may read it".to_owned();
        return Err(Error::Form { problem });
    }
    let document: Document = serde_json::from_slice(bytes).map_err(form)?;
    if document.publisher != publisher.to_string() {
        let (stated, publisher) = (shortened(&document.publisher), *publisher);
        return Err(Error::OtherPublisher { what: "the index", stated, publisher });
    }
    let document_id = match &document.document {
        None => None,
        Some(text) => {
            let problem = || Error::Form { problem: "its document is no raw block's CID".into() };
            let is_raw = |cid: &Cid| cid.codec() == RAW && super::has_bounded_text(cid);
            Some(json::parse_cid(text).filter(is_raw).ok_or_else(problem)?)
        }
    };
    if Scope::parse(&document.scope) != Some(scope) {
        return Err(Error::OtherScope { scope });
    }
    if document.repos.len() > limits::INDEX_REPOS_MAX {
        return Err(Error::Full);
    }
    let repos = document.repos.into_iter().map(|(name, repo)| {
        let wrong = |problem| Error::Repo { name: shortened(&name), problem };
        let name: RepoName = name.parse().map_err(|_| wrong("its name is no repo's"))?;
        Ok((name.clone(), log(repo).map_err(wrong)?))
    });
    let repos = repos.collect::<Result<_, Error>>()?;
    Ok(Index { publisher: *publisher, document: document_id, scope, repos })
}

fn log(repo: Repo) -> Result<Vec<Listed>, &'static str> {
    if !(1..=limits::INDEX_VERSIONS_MAX).contains(&repo.versions.len()) {
        return Err("it must have 1 to 256 versions");
    }
    let versions: Vec<_> = repo.versions.into_iter().map(Line::read).collect::<Result<_, _>>()?;
    if versions.windows(2).any(|pair| pair[0].seq <= pair[1].seq) {
        return Err("its versions must stand newest first");
    }
    Ok(versions)
}

pub(super) fn write(index: &Index) -> Vec<u8> {
    let repo = |(name, versions): (&RepoName, &[Listed])| {
        (name.to_string(), Repo { versions: versions.iter().map(Line::of).collect() })
    };
    let document = Document {
        document: index.document.map(|cid| cid.to_string()),
        publisher: index.publisher.to_string(),
        repos: index.repos().map(repo).collect(),
        schema: SCHEMA,
        scope: index.scope.as_str().to_owned(),
    };
    serde_json::to_vec(&document).expect("texts and numbers always serialise")
}
