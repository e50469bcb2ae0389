//! Repos and versions in lists: what the library holds, and what trusted publishers list in their indexes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use futures::{StreamExt as _, stream};

use super::{RepoId, Sought, State, Version, held, publisher_of};
use crate::{
    card::{
        CommitId, Identity, RepoName, index::Listed, name, reference::Revision, statement::Status,
    },
    config::{Audience, Visibility, allows, gateway::OnDemand},
    dag::Cid,
    library::{
        Library, blocking, chain,
        drafts::{self, Own},
        fetch::index_of_publisher,
        refs::Held,
        seed, sign, trust,
    },
    limits,
    rpc::{Code, Failure, Kind, Resolve},
};

/// A repo, by its newest version.
#[derive(Debug, Clone)]
pub struct Listing {
    /// What it is called: the alias of its publisher where there is one.
    pub id: RepoId,
    /// Whose it is.
    pub publisher: Identity,
    /// The newest version's.
    pub commit: CommitId,
    /// How far it may go.
    pub visibility: Visibility,
    /// Its card, if that is here.
    pub version: Option<Arc<Version>>,
}

/// Every repo of this kind that may be shown, each once, sorted by name: the library's, then what trusted publishers list
/// besides. Withdrawn ones are left out.
///
/// # Errors
/// As the store fails.
pub async fn list(
    library: &Library,
    kind: Kind,
    audience: Audience,
) -> Result<Vec<Listing>, Failure> {
    let (mut all, others) = {
        let library = library.clone();
        let known = move || Ok((library_repos(&library, kind, audience)?, asked(&library)?));
        blocking(known).await?
    };
    let asking = stream::iter(others).map(|publisher| async move {
        let namespace = trust::folder_name(library, &publisher)?;
        let index = listed(library, &publisher).await;
        Ok::<_, Failure>((publisher, namespace, index))
    });
    let mut asking = asking.buffer_unordered(limits::HUB_INDEXES_AT_ONCE);
    while let Some(found) = asking.next().await {
        let (publisher, namespace, found) = found?;
        for (name, newest) in found {
            let is_new = newest.kind == kind && newest.status != Status::Withdrawn;
            all.entry((publisher, name.clone())).or_insert_with(|| {
                is_new.then(|| Listing {
                    id: RepoId { kind, namespace: Some(namespace.clone()), name },
                    publisher,
                    commit: CommitId::of(&newest.root),
                    visibility: Visibility::Lan,
                    version: None,
                })
            });
        }
    }
    let mut listings: Vec<Listing> = all.into_values().flatten().collect();
    listings.sort_by(|a, b| (&a.id.namespace, &a.id.name).cmp(&(&b.id.namespace, &b.id.name)));
    Ok(listings)
}

/// The publishers that these are, by an alias or an id; none for what is nobody. Blocks.
pub fn authors<'a>(
    library: &Library,
    written: impl Iterator<Item = &'a str>,
) -> Vec<Option<Identity>> {
    written.map(|author| publisher_of(library, author).ok()).collect()
}

/// By publisher and name; none for what must not be shown.
type Known = BTreeMap<(Identity, String), Option<Listing>>;

fn library_repos(library: &Library, kind: Kind, audience: Audience) -> Result<Known, Failure> {
    let mut newest: BTreeMap<(Identity, String), Held> = BTreeMap::new();
    for (id, tree) in library.store().trees_where(|tree| tree.kind == kind) {
        let Some(repo) = &tree.repo else { continue };
        let Ok(publisher) = repo.publisher.parse::<Identity>() else { continue };
        if !chain::is_accepted(library, &tree)? {
            continue;
        }
        let key = (publisher, repo.name.clone());
        let newer =
            |held: &Held| (held.tree.seq, held.tree.created_at) < (tree.seq, tree.created_at);
        if newest.get(&key).is_none_or(newer) {
            newest.insert(key, Held { id, tree });
        }
    }
    let mut known = Known::new();
    for ((publisher, name), held) in newest {
        let listing = listing(library, kind, audience, &publisher, &name, &held)?;
        known.insert((publisher, name), listing);
    }
    Ok(known)
}

fn listing(
    library: &Library,
    kind: Kind,
    audience: Audience,
    publisher: &Identity,
    name: &str,
    held: &Held,
) -> Result<Option<Listing>, Failure> {
    if !allows(held.tree.visibility, audience) {
        return Ok(None);
    }
    let Some(version) = library.inner.versions.get(library, held)? else { return Ok(None) };
    if version.card().is_none_or(|card| card.statement().status == Status::Withdrawn) {
        return Ok(None);
    }
    let namespace = trust::folder_name(library, publisher)?;
    Ok(Some(Listing {
        id: RepoId { kind, namespace: Some(namespace), name: name.to_owned() },
        publisher: *publisher,
        commit: version.commit(),
        visibility: held.tree.visibility,
        version: Some(version),
    }))
}

/// The trusted publishers whose indexes are asked.
fn asked(library: &Library) -> Result<Vec<Identity>, Failure> {
    if library.inner.network.is_none() || library.inner.config.gateway.fetch == OnDemand::Off {
        return Ok(Vec::new());
    }
    let list = trust::load(&library.inner.home)?;
    let others = list.publishers().iter().map(|trusted| trusted.id);
    let others = others.filter(|publisher| !library.is_own(publisher));
    Ok(others.take(limits::HUB_INDEXES).collect())
}

/// What a publisher's index lists, of what the user trusts it for: each repo by its newest version. Nothing if it is out of
/// reach; asked at most every so often.
async fn listed(library: &Library, publisher: &Identity) -> Vec<(String, Listed)> {
    let asking = || async {
        let timeout = limits::HUB_INDEXES_WAIT.as_secs();
        let resolve = Resolve { publisher: publisher.to_string(), peers: Vec::new(), timeout };
        let found = index_of_publisher(library, publisher, &resolve);
        let found = tokio::time::timeout(limits::HUB_INDEXES_WAIT, found).await;
        let silent = || Failure::new(Code::Network, "no peer answered in time");
        Ok(found.map_err(|_| silent())??.map(|found| Arc::new(found.index)))
    };
    let found = library.inner.indexes.once(publisher.to_string(), asking).await;
    let index = match found {
        Ok(Some(index)) => index,
        Ok(None) => return Vec::new(),
        Err(failure) => {
            tracing::debug!(%publisher, %failure, "listed without a publisher's index");
            return Vec::new();
        }
    };
    let newest = index.repos().filter_map(|(name, versions)| {
        let covered = trust::covers(library, publisher, name).unwrap_or(false);
        let newest = versions.first().filter(|_| covered)?;
        Some((name.to_string(), newest.clone()))
    });
    newest.collect()
}

/// A state in the history of a repo.
#[derive(Debug, Clone)]
pub struct Past {
    /// What clients know it by.
    pub commit: CommitId,
    /// What it is called.
    pub title: String,
    /// When it was made, RFC 3339.
    pub made_at: String,
}

/// States of a repo, the newest first.
#[derive(Debug, Clone)]
pub struct History {
    /// Those that are here and may be shown.
    pub past: Vec<Past>,
    /// Whether there are no others that may be.
    pub whole: bool,
}

/// The states up to this one, as far as their cards are here and `audience` may know of them; no more than `most` are looked
/// at. Cards over one tree are one state, the newest of them.
///
/// # Errors
/// As the store fails; refused (4) for a damaged card.
pub fn history(
    library: &Library,
    id: &RepoId,
    state: &State,
    audience: Audience,
    most: usize,
) -> Result<History, Failure> {
    let mut past: Vec<Past> = Vec::new();
    let mut at = state.version.card().cloned();
    let publisher = at.as_ref().map_or(*library.publisher(), |card| *card.publisher());
    if at.is_none() {
        let name: RepoName = id
            .name
            .parse()
            .map_err(|why: name::Error| Failure::new(Code::Usage, why.to_string()))?;
        let drafts = drafts::drafts(library, &Own { kind: id.kind, name: name.clone() });
        let upto = drafts.iter().rposition(|draft| draft.held.tree.root == *state.version.root());
        let upto = upto.map_or(0, |at| at + 1);
        past.extend(drafts[..upto].iter().rev().map(|draft| Past {
            commit: CommitId::of(&draft.held.tree.root),
            title: draft.note.title.clone(),
            made_at: draft.note.at.clone(),
        }));
        let mut versions = seed::versions(library, &name);
        versions.sort_by_key(|(_, tree)| tree.seq);
        at = versions.last().map(|(_, tree)| sign::card_of(library, tree)).transpose()?.flatten();
    }
    let may_know = may_know(library, &publisher, &id.name, audience);
    let (mut looked, mut whole) = (past.len(), past.len() <= most);
    while let Some(card) = at.take() {
        if looked >= most {
            whole = false;
            break;
        }
        looked += 1;
        let before = card.statement().prev;
        let version = Version::signed(card);
        if past.last().is_none_or(|last| last.commit != version.commit())
            && may_know(version.root())
        {
            past.push(Past {
                commit: version.commit(),
                title: version.title(),
                made_at: version.made_at(),
            });
        }
        if let Some(before) = before {
            at = sign::card_by_id(library, &before)?;
            whole = at.is_some();
        }
    }
    past.truncate(most);
    Ok(History { past, whole })
}

/// Tells of the versions of a repo which may be known to an audience, by their roots.
fn may_know(
    library: &Library,
    publisher: &Identity,
    name: &str,
    audience: Audience,
) -> impl Fn(&Cid) -> bool {
    let publisher_text = publisher.to_string();
    let of_repo = library.store().trees_where(|tree| {
        let repo = tree.repo.as_ref();
        repo.is_some_and(|repo| repo.publisher == publisher_text && repo.name == name)
    });
    let mut here: HashMap<Cid, bool> = HashMap::new();
    for (_, tree) in of_repo {
        *here.entry(tree.root).or_default() |= allows(tree.visibility, audience);
    }
    // How far one of the user's own might go that is no longer here nobody knows; a card of somebody else's came from peers.
    let otherwise = audience == Audience::Local || !library.is_own(publisher);
    move |root| here.get(root).copied().unwrap_or(otherwise)
}

/// What there is of one of the user's own repos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Versions.
    pub signed: bool,
    /// What was uploaded or committed since, or that it was made.
    pub unsigned: bool,
}

/// What there is of one of the user's own repos. Blocks.
pub fn standing(library: &Library, own: &Own) -> Standing {
    let mut versions = seed::versions(library, &own.name).into_iter();
    Standing {
        signed: versions.any(|(_, tree)| tree.kind == own.kind),
        unsigned: drafts::folder(library, own).exists() || !drafts::drafts(library, own).is_empty(),
    }
}

/// The versions of a repo that are here, as names and what they stand for, the newest first.
///
/// # Errors
/// As the store fails.
pub async fn tags(
    library: &Library,
    id: &RepoId,
    audience: Audience,
) -> Result<Vec<(String, CommitId)>, super::Miss> {
    let (library, id) = (library.clone(), id.clone());
    let versions = blocking(move || {
        let sought = Sought::of(&library, id, Revision::Head, audience);
        Ok(sought.and_then(|sought| Ok(held(&library, &sought)?)))
    });
    let versions = versions.await??;
    let tag = |held: &Held| Some((held.tree.version.clone()?, CommitId::of(&held.tree.root)));
    Ok(versions.iter().rev().filter_map(tag).collect())
}
