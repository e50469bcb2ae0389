//! A publisher's index: which versions of which repos there are, for one DHT's readers.
//!
//! It is the block to which the publisher's IPNS record points, strict DAG-JSON like a card, and bears no signature
//! of its own. **It is a hint.** It says which release to fetch; what a repo is, who made it and which version is the
//! newest follows from the card in that release, its signature and the high-water mark, and [`Index::check`] tells
//! whether that card is the one which was listed. Lists shown to people from an index alone are the publisher's
//! claims. Design section 5; provenance 7.6.
//!
//! Invariants: at most [`limits::INDEX_REPOS_MAX`] repos and [`limits::INDEX_MAX`] bytes; each repo has at least one
//! version, newest first, `seq` strictly falling; all ids are CIDv1 by sha2-256, so of bounded length; nothing
//! narrower than the [`Scope`] gets in. A log is cut at [`limits::INDEX_VERSIONS_MAX`] versions, and the longest ones
//! sooner if the block would be too large: a log that does not reach down to `seq` 1 goes on with the `prev` of its
//! last card. One JSON field per repo is written, `versions`; fields that are not known are passed over, and are
//! gone from the next index that this version writes.
//!
//! CIDs stand as plain strings, not as links: whoever pins or walks an index with IPFS tools would otherwise drag in
//! every release of the publisher (provenance 7.2 says the same of `prev`).

mod form;
mod wire;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::config::{Audience, Visibility, allows};
use crate::dag::block::{DAG_JSON, DAG_PB, SHA2_256};
use crate::dag::{Block, Cid};
use crate::limits;

use super::commit::CommitId;
use super::envelope::Verified;
use super::identity::Identity;
use super::json;
use super::name::{RepoName, Version};
use super::reference::Revision;
use super::statement::{Kind, Status};

/// Which DHT an index and its record are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// The LAN's, or a swarm-key network's: `lan` and `public` repos.
    Lan,
    /// The public one: `public` repos.
    Public,
}

impl Scope {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Lan, Self::Public];

    /// As indexes and records write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Public => "public",
        }
    }

    /// From what indexes and records write.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    /// Whether a repo of this visibility stands in the indexes of this scope.
    pub fn lists(self, visibility: Visibility) -> bool {
        let audience = match self {
            Self::Lan => Audience::LanDht,
            Self::Public => Audience::PublicDht,
        };
        allows(visibility, audience)
    }

    /// How far the index's own block may go.
    pub fn visibility(self) -> Visibility {
        match self {
            Self::Lan => Visibility::Lan,
            Self::Public => Visibility::Public,
        }
    }
}

/// Why a block is not the index that it should be, or a card cannot be listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another codec than DAG-JSON.
    #[error("{cid} is no index: its codec is not DAG-JSON")]
    Codec {
        /// The block.
        cid: Box<Cid>,
    },
    /// Not strict DAG-JSON, or too large.
    #[error("the index is not strict DAG-JSON: {0}")]
    Json(#[from] json::Error),
    /// JSON, but not an index that this version reads.
    #[error("the index cannot be read: {problem}")]
    Form {
        /// What is wrong with it.
        problem: String,
    },
    /// An index of somebody else; or, when listing, a card of somebody else.
    #[error("{what} is by {stated}, not by {publisher}")]
    OtherPublisher {
        /// `the index` or `the card`.
        what: &'static str,
        /// Whom it names, shortened.
        stated: String,
        /// Whose it was to be.
        publisher: Identity,
    },
    /// An index made for the other DHT.
    #[error("the index is not for the {} DHT, in which its record was found", scope.as_str())]
    OtherScope {
        /// Where it was found.
        scope: Scope,
    },
    /// A repo whose versions are not a log.
    #[error("the index lists {name} wrongly: {problem}")]
    Repo {
        /// The repo, shortened.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// More repos than an index may have.
    #[error("the index has {max} repos already, the most that fit", max = limits::INDEX_REPOS_MAX)]
    Full,
    /// A repo that this scope's readers may not see.
    #[error("{name} is not shared that far: it does not belong in the index of the {} DHT", scope.as_str())]
    TooNarrow {
        /// The repo.
        name: RepoName,
        /// The index's.
        scope: Scope,
    },
    /// The index lists a newer card, or another one of the same place.
    #[error(
        "the index lists version {head} of {name}, and this card is version {seq}: another machine signed since"
    )]
    Behind {
        /// The repo.
        name: RepoName,
        /// The newest `seq` that it lists.
        head: u64,
        /// The card's.
        seq: u64,
    },
}

/// What the index says of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its card's id.
    pub card: Cid,
    /// What it holds.
    pub kind: Kind,
    /// What to fetch.
    pub release: Cid,
    /// The tree.
    pub root: Cid,
    /// Its place in the repo's chain.
    pub seq: u64,
    /// What its publisher says of it.
    pub status: Status,
    /// Its version.
    pub version: Version,
}

impl Listed {
    fn of(card: &Verified, release: Cid) -> Self {
        let statement = card.statement();
        Self {
            card: *card.id(),
            kind: statement.kind,
            release,
            root: statement.root,
            seq: statement.seq,
            status: statement.status,
            version: statement.version.clone(),
        }
    }

    /// What types do not hold.
    fn problem(&self) -> Option<&'static str> {
        let is = |cid: &Cid, codec| cid.codec() == codec && has_bounded_text(cid);
        match self {
            _ if !(1..=limits::JSON_INT_MAX).contains(&self.seq) => Some("seq must be from 1 on"),
            _ if !is_index_id(&self.card) => Some("card must be a card id"),
            _ if !is(&self.release, DAG_PB) => Some("release must be a directory's CIDv1"),
            _ if !is(&self.root, DAG_PB) => Some("root must be a directory's CIDv1"),
            _ => None,
        }
    }
}

/// CIDv1 by sha2-256: what this node fetches at all.
fn has_bounded_text(cid: &Cid) -> bool {
    let hash = cid.hash();
    cid.version() == cid::Version::V1 && hash.code() == SHA2_256 && hash.size() == 32
}

/// Whether a CID can be an index's, or a card's: both are DAG-JSON.
pub(super) fn is_index_id(cid: &Cid) -> bool {
    cid.codec() == DAG_JSON && has_bounded_text(cid)
}

/// Why a fetched card is not the one that the index listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the publisher's index is wrong about this version: the card that it leads to has another {field}"
)]
pub struct NotAsListed {
    /// The first field that differs: `publisher`, `name`, `card`, `kind`, `root`, `seq`, `status` or `version`.
    pub field: &'static str,
}

/// What one publisher lists for the readers of one DHT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    publisher: Identity,
    /// A lab's `publisher.json`, as one raw block.
    document: Option<Cid>,
    scope: Scope,
    repos: BTreeMap<RepoName, Vec<Listed>>,
}

impl Index {
    /// An index that lists nothing.
    pub fn new(publisher: impl Into<Identity>, scope: Scope) -> Self {
        Self { publisher: publisher.into(), document: None, scope, repos: BTreeMap::new() }
    }

    /// The same with a lab's newest `publisher.json`, as one raw block: who resolves the name learns of its roots there.
    #[must_use]
    pub fn with_document(mut self, document: Option<Cid>) -> Self {
        self.document = document;
        self
    }

    /// The block of the lab's `publisher.json`.
    pub fn document(&self) -> Option<&Cid> {
        self.document.as_ref()
    }

    /// Reads the block to which the record of `publisher` (of a lab: of the key that it announces with) in the DHT of
    /// `scope` points.
    ///
    /// # Errors
    /// Every [`Error`] but those of listing.
    pub fn from_block(publisher: &Identity, scope: Scope, block: &Block) -> Result<Self, Error> {
        if block.cid().codec() != DAG_JSON {
            return Err(Error::Codec { cid: (*block.cid()).into() });
        }
        wire::read(publisher, scope, block.data())
    }

    /// The block; its CID is the index's id.
    pub fn to_block(&self) -> Block {
        Block::new(DAG_JSON, wire::write(self))
    }

    /// Whose repos they are.
    pub fn publisher(&self) -> &Identity {
        &self.publisher
    }

    /// For whom it was made.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Every repo with its versions, newest first; at least one each.
    pub fn repos(&self) -> impl Iterator<Item = (&RepoName, &[Listed])> {
        self.repos.iter().map(|(name, versions)| (name, versions.as_slice()))
    }

    /// A repo's versions, newest first; none if it is not listed. Those before a last one with a `seq` above 1 are
    /// reached through its card's `prev`.
    pub fn versions(&self, name: &RepoName) -> &[Listed] {
        self.repos.get(name).map_or(&[], Vec::as_slice)
    }

    /// The version that is meant, the newest one if several are: by version, by commit id (whole, or shortened to
    /// what only one listed tree has), by the CID of card, release or root.
    pub fn find(&self, name: &RepoName, revision: &Revision) -> Option<&Listed> {
        let versions = self.versions(name);
        let by = |is: &dyn Fn(&Listed) -> bool| versions.iter().find(|listed| is(listed));
        match revision {
            Revision::Head => versions.first(),
            Revision::Commit(commit) => by(&|listed| CommitId::of(&listed.root) == *commit),
            Revision::Cid(cid) => {
                by(&|listed| [&listed.card, &listed.release, &listed.root].contains(&cid))
            }
            Revision::Version(version) => by(&|listed| listed.version == *version)
                .or_else(|| by_short_commit(versions, revision.short_commit()?)),
        }
    }

    /// Whether a fetched card is the one that this index lists so under `name`.
    ///
    /// # Errors
    /// [`NotAsListed`], naming the first field that differs.
    pub fn check(
        &self,
        name: &RepoName,
        listed: &Listed,
        card: &Verified,
    ) -> Result<(), NotAsListed> {
        let statement = card.statement();
        let fields = [
            ("publisher", self.publisher == *card.publisher()),
            ("name", *name == statement.name),
            ("card", listed.card == *card.id()),
            ("kind", listed.kind == statement.kind),
            ("root", listed.root == statement.root),
            ("seq", listed.seq == statement.seq),
            ("status", listed.status == statement.status),
            ("version", listed.version == statement.version),
        ];
        match fields.into_iter().find(|(_, equal)| !equal) {
            Some((field, _)) => Err(NotAsListed { field }),
            None => Ok(()),
        }
    }

    /// The next index, with this card in it: as its repo's newest version, or, if the card is listed already, with
    /// this release of it. `visibility` is the repo's.
    ///
    /// # Errors
    /// [`Error::TooNarrow`], [`Error::OtherPublisher`], [`Error::Behind`], [`Error::Full`], and [`Error::Repo`] for
    /// a release or root that is no directory of ours.
    pub fn with(
        &self,
        card: &Verified,
        release: Cid,
        visibility: Visibility,
    ) -> Result<Self, Error> {
        let name = &card.statement().name;
        if !self.scope.lists(visibility) {
            return Err(Error::TooNarrow { name: name.clone(), scope: self.scope });
        }
        if *card.publisher() != self.publisher {
            let stated = card.publisher().to_string();
            let publisher = self.publisher;
            return Err(Error::OtherPublisher { what: "the card", stated, publisher });
        }
        let listed = Listed::of(card, release);
        if let Some(problem) = listed.problem() {
            return Err(Error::Repo { name: name.to_string(), problem });
        }
        let mut next = self.clone();
        let versions = next.repos.entry(name.clone()).or_default();
        match versions.iter_mut().find(|known| known.card == listed.card) {
            Some(known) => *known = listed,
            None => {
                if let Some(head) = versions.first().filter(|head| head.seq >= listed.seq) {
                    let (head, seq) = (head.seq, listed.seq);
                    return Err(Error::Behind { name: name.clone(), head, seq });
                }
                versions.insert(0, listed);
                versions.truncate(limits::INDEX_VERSIONS_MAX);
            }
        }
        if next.repos.len() > limits::INDEX_REPOS_MAX {
            return Err(Error::Full);
        }
        next.shorten();
        Ok(next)
    }

    /// This index with what another one of the same publisher and DHT lists besides: repos and versions. Where both list a
    /// card of one place, this one's stays. A repo for which there is no room is left out.
    pub fn merged(&self, other: &Self) -> Self {
        let mut next = self.clone();
        for (name, theirs) in &other.repos {
            if !next.repos.contains_key(name) && next.repos.len() >= limits::INDEX_REPOS_MAX {
                continue;
            }
            let versions = next.repos.entry(name.clone()).or_default();
            for listed in theirs {
                if !versions.iter().any(|known| known.seq == listed.seq) {
                    versions.push(listed.clone());
                }
            }
            versions.sort_by_key(|listed| Reverse(listed.seq));
            versions.truncate(limits::INDEX_VERSIONS_MAX);
        }
        next.shorten();
        next
    }

    /// The next index, with this card in the place of another one of its `seq`, which the publisher settled against.
    #[must_use]
    pub fn settled(&self, rejected: &Cid, card: &Verified, release: Cid) -> Self {
        let mut next = self.clone();
        let listed = Listed::of(card, release);
        let versions = next.repos.get_mut(&card.statement().name);
        let place = versions.and_then(|versions| {
            versions.iter_mut().find(|known| known.card == *rejected && known.seq == listed.seq)
        });
        if let Some(place) = place.filter(|_| listed.problem().is_none()) {
            *place = listed;
        }
        next.shorten();
        next
    }

    /// The next index, without a repo: it was removed, or is shared less far than before.
    pub fn without(&self, name: &RepoName) -> Self {
        let mut next = self.clone();
        next.repos.remove(name);
        next
    }

    /// Drops the oldest versions of the longest logs until the block is small enough. It ends at one version for each
    /// repo, which fit ([`limits::INDEX_REPOS_MAX`]).
    fn shorten(&mut self) {
        while wire::write(self).len() > limits::INDEX_MAX {
            let longest = self.repos.values_mut().max_by_key(|versions| versions.len());
            match longest.filter(|versions| versions.len() > 1) {
                Some(versions) => versions.pop(),
                None => return,
            };
        }
    }
}

/// The newest version of the one tree whose commit id starts so.
fn by_short_commit<'a>(versions: &'a [Listed], start: &str) -> Option<&'a Listed> {
    let is = |listed: &&Listed| CommitId::of(&listed.root).to_string().starts_with(start);
    let newest = versions.iter().find(is)?;
    versions.iter().filter(is).all(|listed| listed.root == newest.root).then_some(newest)
}

#[cfg(test)]
mod tests;
