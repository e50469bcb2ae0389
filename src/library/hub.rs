//! Repos as clients of the Hub's API ask for them: `<namespace>/<name>` at a revision, told from a verified card.
//!
//! A namespace is the user's own alias, one of the trust list, or the part of a publisher's id behind its scheme. What is in
//! the library answers at once; of others' repos the publisher's index is asked as well, at most every so often, and a
//! version that is new here is met (`fetch::meet`): its card is all that info, lists of files and digests take. Bytes come
//! from [`read`](super::read), in order and proven, from wherever they are. HTTP itself is the gateway's.
//!
//! Invariants: a private repo is shown only to who bears the token; a file's bytes are those that the card states, or end
//! in an error; a withdrawn head is said to be withdrawn, never answered by what was before it.

mod bytes;
mod lists;
mod room;
mod seen;
mod version;

use std::sync::Arc;

use super::{
    Library, blocking, chain,
    drafts::{self, Draft, Own},
    fetch::meet,
    names,
    note::{Note, Statements},
    refs::{self, Held},
    seed, trust,
};
use crate::{
    card::{
        CommitId, Identity, RepoName, Verified,
        policy::Admission,
        reference::{Publisher, Revision, Target},
        statement::Status,
    },
    config::{Audience, Visibility, allows, gateway::OnDemand},
    limits,
    rpc::{Code, Failure, Get, Kind},
    store::TreeState,
};

use self::version::Unsigned;
pub use self::{
    bytes::{Body, body, small},
    lists::{History, Listing, Past, Standing, authors, history, list, standing, tags},
    version::{Version, file},
};
pub(super) use self::{room::Reads, seen::Seen, version::Versions};

/// A repo, as a client writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepoId {
    /// Models and datasets are asked for apart.
    pub kind: Kind,
    /// Whose; every repo here is somebody's.
    pub namespace: Option<String>,
    /// Its name there.
    pub name: String,
}

impl RepoId {
    /// What stands before the id in addresses of files.
    pub fn path_prefix(&self) -> &'static str {
        match self.kind {
            Kind::Model => "",
            Kind::Dataset => "datasets/",
        }
    }
}

impl std::fmt::Display for RepoId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// Why a client gets no answer.
#[derive(Debug, Clone)]
pub enum Miss {
    /// No such repo, or none that may be shown to this client.
    Repo(String),
    /// The repo has no such revision.
    Revision(String),
    /// Its publisher withdrew the newest version.
    Withdrawn(String),
    /// Anything else.
    Failed(Failure),
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A version that a client may read, and how it stands here.
#[derive(Debug, Clone)]
pub struct State {
    /// The version.
    pub version: Arc<Version>,
    /// How far its repo may go.
    pub visibility: Visibility,
    /// What a client should be told with it.
    pub warning: Option<String>,
    /// How many files it has.
    files: u64,
    /// Whether all of it was let in and lies here.
    whole: bool,
    /// Whether its bytes were compared with every digest of its card.
    compared: bool,
}

/// The state of a repo that a revision names: `main`, `HEAD`, a version, a commit id or its start, a CID; also behind
/// `refs/heads/` or `refs/tags/`. `audience`: who asks.
///
/// # Errors
/// What there is to say instead, as [`Miss`].
pub async fn state(
    library: &Library,
    id: &RepoId,
    revision: &str,
    audience: Audience,
) -> Result<State, Miss> {
    let first = {
        let (library, id, revision) = (library.clone(), id.clone(), revision.to_owned());
        blocking(move || Ok(here(&library, id, &revision, audience))).await?
    };
    let sought = match first? {
        Here::Settled(state) => return Ok(state),
        Here::MayHaveChanged(sought) => sought,
    };
    let looked = look(library, &sought).await;
    let library = library.clone();
    blocking(move || Ok(answer(&library, &sought, looked))).await?
}

/// What the library says without asking anybody.
enum Here {
    Settled(State),
    MayHaveChanged(Sought),
}

/// What a commit id or a version names is here or is not; only the newest of somebody else's may have changed since.
fn here(library: &Library, id: RepoId, revision: &str, audience: Audience) -> Result<Here, Miss> {
    let sought = Sought::of(library, id, parse_revision(revision)?, audience)?;
    let is_settled = asks_nobody(library, &sought.publisher)
        || (sought.revision != Revision::Head && !held(library, &sought)?.is_empty());
    if !is_settled {
        return Ok(Here::MayHaveChanged(sought));
    }
    Ok(Here::Settled(answer(library, &sought, Ok(()))?))
}

/// Whether all that is known of a publisher's repos is here.
fn asks_nobody(library: &Library, publisher: &Identity) -> bool {
    library.is_own(publisher)
        || library.inner.network.is_none()
        || library.inner.config.gateway.fetch == OnDemand::Off
}

/// What is sought, with the publisher known.
#[derive(Debug, Clone)]
struct Sought {
    id: RepoId,
    publisher: Identity,
    name: RepoName,
    revision: Revision,
    audience: Audience,
}

impl Sought {
    /// Whose repo is meant. A namespace that nobody has is a repo that nobody has.
    fn of(
        library: &Library,
        id: RepoId,
        revision: Revision,
        audience: Audience,
    ) -> Result<Self, Miss> {
        let no_repo = |why: String| Miss::Repo(format!("there is no {id}: {why}"));
        let name: RepoName =
            id.name.parse().map_err(|why: crate::card::name::Error| no_repo(why.to_string()))?;
        let Some(namespace) = &id.namespace else {
            return Err(no_repo("repos are called PUBLISHER/NAME here".to_owned()));
        };
        let publisher = match publisher_of(library, namespace) {
            Ok(publisher) => publisher,
            Err(failure) if matches!(failure.code, Code::NotFound | Code::Usage) => {
                return Err(no_repo(failure.message));
            }
            Err(failure) => return Err(failure.into()),
        };
        Ok(Self { id, publisher, name, revision, audience })
    }

    fn target(&self, revision: Revision) -> Target {
        Target::Repo { publisher: Publisher::Id(self.publisher), name: self.name.clone(), revision }
    }
}

/// Whose a namespace is.
fn publisher_of(library: &Library, namespace: &str) -> Result<Identity, Failure> {
    // A lab's id is told from a key's by its form.
    let lab = format!("tuf:{namespace}").parse::<Identity>().ok();
    lab.map_or_else(|| names::publisher_of(library, namespace), Ok)
}

fn parse_revision(text: &str) -> Result<Revision, Miss> {
    let short =
        ["refs/heads/", "refs/tags/"].into_iter().find_map(|start| text.strip_prefix(start));
    let none =
        |_| Miss::Revision(format!("there is no revision {}", crate::dag::name::escape(text)));
    short.unwrap_or(text).parse().map_err(none)
}

/// Versions of the repo in the library that this client may see, the newest last.
fn held(library: &Library, sought: &Sought) -> Result<Vec<Held>, Failure> {
    let mut found = refs::matching(library, &sought.target(sought.revision.clone()))?;
    found.retain(|held| {
        held.tree.kind == sought.id.kind && allows(held.tree.visibility, sought.audience)
    });
    Ok(found)
}

/// Asks others for what may have changed, if that was not done a moment ago.
async fn look(library: &Library, sought: &Sought) -> Result<(), Failure> {
    let Sought { publisher, name, revision, .. } = sought;
    let fetch = library.inner.config.gateway.fetch;
    if fetch == OnDemand::Trusted && !trust::covers(library, publisher, name)? {
        return Err(Failure::new(
            Code::NotFound,
            format!("{publisher} is nobody you trust, and gateway.fetch is trusted"),
        )
        .hint(format!("modelswarm trust add ALIAS {publisher}, or gateway.fetch = \"any\"")));
    }
    let reference = match revision {
        Revision::Head => format!("{publisher}/{name}"),
        other => format!("{publisher}/{name}@{other}"),
    };
    library
        .inner
        .seen
        .once(reference.clone(), || async {
            let get = Get { timeout: limits::HUB_FIND.as_secs(), ..Get::new(reference.clone()) };
            let meeting = meet(library, &get, |card| admit(library, card));
            tokio::time::timeout(limits::HUB_FIND, meeting).await.unwrap_or_else(|_| {
                let seconds = limits::HUB_FIND.as_secs();
                let message = format!("no peer that has {reference} was found within {seconds} s");
                Err(Failure::new(Code::Network, message))
            })
        })
        .await
}

/// Whether a version may come here for whoever reads it.
fn admit(library: &Library, card: &Verified) -> Result<(), Failure> {
    let size = card.statement().total_size;
    let most = library.inner.config.gateway.repo_max;
    if size > most {
        return Err(Failure::new(
            Code::NoSpace,
            format!("it has {size} bytes, and gateway.repo_max lets in {most} by themselves"),
        )
        .hint("fetch it by hand: modelswarm get; or raise gateway.repo_max"));
    }
    Ok(())
}

/// The answer from what is in the library now.
fn answer(library: &Library, sought: &Sought, looked: Result<(), Failure>) -> Result<State, Miss> {
    if let Some(state) = draft(library, sought)? {
        return Ok(state);
    }
    let found = held(library, sought)?;
    if let Err(failure) = &looked
        && !found.is_empty()
    {
        tracing::debug!(repo = %sought.name, %failure, "answered from the library alone");
    }
    let target = sought.target(sought.revision.clone());
    let Some(held) = refs::pick(library, &target, found)? else {
        return Err(missing(library, sought, looked));
    };
    let Some(version) = library.inner.versions.get(library, &held)? else {
        return Err(missing(library, sought, looked));
    };
    let warning = match version.card().map(|card| (card, card.statement().status)) {
        None | Some((_, Status::Active)) => None,
        Some((card, status)) => {
            let said = chain::remarks(card, &Admission::Known).join("; ");
            if status == Status::Withdrawn && sought.revision == Revision::Head {
                return Err(Miss::Withdrawn(said));
            }
            Some(said)
        }
    };
    let files = version.card().map_or(0, |card| card.statement().file_count);
    Ok(State {
        version,
        visibility: held.tree.visibility,
        warning,
        files,
        whole: held.tree.state == TreeState::Whole && !Note::of(&held.tree).partial,
        compared: library.is_own(&sought.publisher)
            || Note::of(&held.tree).statements == Some(Statements::Hold),
    })
}

/// What was committed for one of the user's own repos and is not signed yet: it stands above every version.
fn draft(library: &Library, sought: &Sought) -> Result<Option<State>, Failure> {
    if sought.publisher != *library.publisher() {
        return Ok(None);
    }
    let own = Own { kind: sought.id.kind, name: sought.name.clone() };
    if let Revision::Version(version) = &sought.revision {
        // What is called exactly so goes before what a start of an id may mean.
        let mut signed = seed::versions(library, &own.name).into_iter();
        if signed.any(|(_, tree)| tree.version.as_deref() == Some(version.as_str())) {
            return Ok(None);
        }
    }
    let is_meant = |draft: &Draft| match &sought.revision {
        Revision::Head => true,
        Revision::Commit(commit) => CommitId::of(&draft.held.tree.root) == *commit,
        Revision::Cid(cid) => draft.held.tree.root == *cid,
        Revision::Version(_) => sought.revision.short_commit().is_some_and(|start| {
            CommitId::of(&draft.held.tree.root).to_string().starts_with(start)
        }),
    };
    let is_empty_one = match sought.revision {
        Revision::Head => true,
        Revision::Commit(commit) => commit == CommitId::of(&drafts::nothing_yet()),
        Revision::Cid(_) | Revision::Version(_) => false,
    };
    let found = drafts::drafts(library, &own).into_iter().rev().find(is_meant);
    let (root, said) = match found {
        Some(draft) => (draft.held.tree.root, Unsigned::Draft(Box::new(draft))),
        None => match drafts::made_at(library, &own) {
            Some(at) if is_empty_one => (drafts::nothing_yet(), Unsigned::Empty(at)),
            _ => return Ok(None),
        },
    };
    let visibility = drafts::visibility(library, &own)?;
    let shown = allows(visibility, sought.audience);
    Ok(shown.then(|| State {
        version: library.inner.versions.unsigned(root, said),
        visibility,
        warning: None,
        files: 0,
        whole: true,
        compared: true,
    }))
}

/// Why nothing was found: the repo or the revision.
fn missing(library: &Library, sought: &Sought, looked: Result<(), Failure>) -> Miss {
    let id = &sought.id;
    let head = Sought { revision: Revision::Head, ..sought.clone() };
    match held(library, &head) {
        Ok(versions) if !versions.is_empty() => {
            let why = looked.err().map(|failure| format!(" ({failure})")).unwrap_or_default();
            Miss::Revision(format!("{id} has no such revision{why}"))
        }
        Ok(_) => match looked {
            Ok(()) => Miss::Repo(format!("there is no {id}")),
            Err(failure) if failure.code == Code::NotFound => Miss::Repo(failure.in_one_line()),
            Err(failure) => Miss::Failed(failure),
        },
        Err(failure) => Miss::Failed(failure),
    }
}
