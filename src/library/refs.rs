//! What a REF means in this library.

use super::{
    Library, chain,
    note::{Adopted, Note},
    trust,
};
use crate::{
    card::{
        CommitId, Identity, Reference, RepoName,
        reference::{Publisher, Revision, Target},
    },
    dag::Cid,
    rpc::{Code, Failure, Kind},
    store::{Tree, TreeId},
};

/// One version in the library.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// Its id in the store.
    pub id: TreeId,
    /// What it is.
    pub tree: Tree,
}

/// Reads a REF as typed.
pub(super) fn parse(text: &str) -> Result<Reference, Failure> {
    text.parse().map_err(|why: crate::card::reference::Error| {
        Failure::new(Code::Usage, why.to_string())
            .hint("a REF is a CID, a name in the library, or PUBLISHER/NAME[@VERSION]; a path starts with ./")
    })
}

/// All versions that a REF means, the newest last. A path behind it is not looked at.
///
/// # Errors
/// Not found (3) if there is none; usage (2) if a bare name means repos of several publishers.
pub(super) fn versions(library: &Library, text: &str) -> Result<Vec<Held>, Failure> {
    let reference = parse(text)?;
    let found = matching(library, &reference.target)?;
    if found.is_empty() {
        return Err(Failure::new(Code::NotFound, format!("{text} is not in the library"))
            .hint("modelswarm ls shows what is; modelswarm get CID fetches what is not"));
    }
    Ok(found)
}

/// The newest version that a REF means.
pub(super) fn newest(library: &Library, text: &str) -> Result<Held, Failure> {
    let reference = parse(text)?;
    let found = match known(library, &reference.target)? {
        none if none.is_empty() => versions(library, text)?,
        found => found,
    };
    let newest = pick(library, &reference.target, found)?;
    Ok(newest.expect("there is at least one"))
}

/// Of the versions that a REF means, the one it stands for: the newest that was accepted. What was not is meant by its own
/// id or version alone, never by a repo's name.
///
/// # Errors
/// Refused (4) if two cards contradict each other and nothing before them is here, or both are the version that was named.
pub(super) fn pick(
    library: &Library,
    target: &Target,
    mut found: Vec<Held>,
) -> Result<Option<Held>, Failure> {
    let revision = match target {
        Target::Local { revision, .. } | Target::Repo { revision, .. } => Some(revision),
        _ => None,
    };
    if let Some(Revision::Version(_)) = revision {
        found = chain::undisputed(library, found)?;
    }
    let mut newest = None;
    for held in found.into_iter().rev() {
        if chain::is_accepted(library, &held.tree)? {
            return Ok(Some(held));
        }
        newest.get_or_insert(held);
    }
    if let (Some(Revision::Head), Some(_)) = (revision, &newest) {
        return Err(Failure::new(
            Code::Refused,
            "its publisher signed cards that contradict each other, or its newest version was never accepted here",
        )
        .hint("name the version that you want by its CID: modelswarm ls shows them"));
    }
    Ok(newest)
}

/// As [`matching`]; where there is none, those whose files came with this target's card too: the newest card over them
/// stands for all.
pub(super) fn known(library: &Library, target: &Target) -> Result<Vec<Held>, Failure> {
    let found = matching(library, target)?;
    if found.is_empty() { among(library, target, true) } else { Ok(found) }
}

/// All versions of this target, the newest last; none is no error.
pub(super) fn matching(library: &Library, target: &Target) -> Result<Vec<Held>, Failure> {
    among(library, target, false)
}

/// `over`: by the other cards over a version's files, not by its own.
fn among(library: &Library, target: &Target, over: bool) -> Result<Vec<Held>, Failure> {
    let of = |is: &dyn Fn(&Tree) -> bool| -> Vec<Held> {
        let trees = library.store().trees_where(is).into_iter();
        trees.map(|(id, tree)| Held { id, tree }).collect()
    };
    let mut found = match target {
        Target::Card(card) if !over => of(&|tree| tree.card == Some(*card)),
        Target::Cid(cid) | Target::Card(cid) => of(&|tree| is_named(tree, cid, over)),
        Target::Local { name, revision } => {
            let named = of(&|tree| has_name(tree, name.as_str()));
            with_revision(only_one_publisher(library, named)?, revision, over)
        }
        Target::Repo { publisher, name, revision } => {
            let publisher = match publisher_id(library, publisher) {
                Ok(publisher) => publisher.to_string(),
                Err(failure) if failure.code != Code::NotFound => return Err(failure),
                Err(failure) => {
                    // Nobody of the user's has that alias: it may be a namespace of the hub that a cache came from.
                    let adopted = of(&|tree| is_adopted_as(tree, publisher, name));
                    if adopted.is_empty() {
                        return Err(failure);
                    }
                    let mut found = with_revision(adopted, revision, over);
                    found.sort_by_key(|held| (held.tree.seq, held.tree.created_at));
                    return Ok(found);
                }
            };
            let named = of(&|tree| {
                let repo = tree.repo.as_ref();
                repo.is_some_and(|repo| repo.name == name.as_str() && repo.publisher == publisher)
            });
            with_revision(named, revision, over)
        }
    };
    found.sort_by_key(|held| (held.tree.seq, held.tree.created_at));
    Ok(found)
}

/// Who is meant by a publisher as written.
pub(super) fn publisher_id(library: &Library, publisher: &Publisher) -> Result<Identity, Failure> {
    match publisher {
        Publisher::Id(id) => Ok(*id),
        Publisher::Alias(alias) => trust::resolve(library, alias.as_str())?.ok_or_else(|| {
            Failure::new(
                Code::NotFound,
                format!("nobody is trusted under the alias {}", alias.as_str()),
            )
            .hint("modelswarm trust list shows the aliases; a publisher's key works as well")
        }),
    }
}

fn has_name(tree: &Tree, name: &str) -> bool {
    match &tree.repo {
        Some(repo) => repo.name == name,
        None => Note::of(tree).name.as_deref() == Some(name),
    }
}

/// Whether it was adopted from a cache that calls it so.
fn is_adopted_as(tree: &Tree, publisher: &Publisher, name: &RepoName) -> bool {
    let Publisher::Alias(namespace) = publisher else { return false };
    match Note::of(tree).adopted {
        Some(Adopted::Hub { id, .. }) => {
            tree.repo.is_none() && id.split_once('/') == Some((namespace.as_str(), name.as_str()))
        }
        _ => false,
    }
}

/// Whether its commit id here, or the one of the hub that it was adopted from, begins so.
fn has_commit(tree: &Tree, start: &str) -> bool {
    CommitId::of(&tree.root).to_string().starts_with(start)
        || matches!(Note::of(tree).adopted, Some(Adopted::Hub { commit, .. }) if commit.starts_with(start))
}

/// Codec and version are part of the question, not of the content: `Qm…` and its `bafy…` are one.
fn is_named(tree: &Tree, cid: &Cid, over: bool) -> bool {
    let is = |own: &Cid| own.hash() == cid.hash();
    if over {
        let over = Note::of(tree).over;
        let mut cids = over.iter().flat_map(|over| [Some(&over.card), over.release.as_ref()]);
        return cids.any(|own| own.and_then(|own| own.parse().ok()).is_some_and(|own| is(&own)));
    }
    [Some(tree.root), tree.release, tree.card].iter().flatten().any(is)
}

fn has_version(tree: &Tree, version: &str, over: bool) -> bool {
    if over {
        return Note::of(tree).over.iter().any(|over| over.version == version);
    }
    tree.version.as_deref() == Some(version)
}

fn only_one_publisher(library: &Library, named: Vec<Held>) -> Result<Vec<Held>, Failure> {
    let publisher = |held: &Held| match (&held.tree.repo, Note::of(&held.tree).adopted) {
        (Some(repo), _) => Some(repo.publisher.clone()),
        // Two namespaces of a hub may have repos of one name, and so may its models and datasets.
        (None, Some(Adopted::Hub { id, .. })) if held.tree.kind == Kind::Dataset => {
            Some(format!("{id} (dataset)"))
        }
        (None, Some(Adopted::Hub { id, .. })) => Some(id),
        (None, _) => None,
    };
    let own = library.publisher().to_string();
    if named.iter().any(|held| publisher(held).as_deref() == Some(own.as_str())) {
        return Ok(named
            .into_iter()
            .filter(|held| publisher(held).as_deref() == Some(&own))
            .collect());
    }
    let mut publishers: Vec<String> = named.iter().filter_map(publisher).collect();
    publishers.sort_unstable();
    publishers.dedup();
    if publishers.len() > 1 {
        return Err(Failure::new(
            Code::Usage,
            format!("that name belongs to several publishers here: {}", publishers.join(", ")),
        )
        .hint("write PUBLISHER/NAME"));
    }
    Ok(named)
}

fn with_revision(named: Vec<Held>, revision: &Revision, over: bool) -> Vec<Held> {
    let keep = |matches: &dyn Fn(&Held) -> bool| -> Vec<Held> {
        named.iter().filter(|held| matches(held)).cloned().collect()
    };
    match revision {
        Revision::Head => named,
        Revision::Commit(commit) => keep(&|held| has_commit(&held.tree, &commit.to_string())),
        Revision::Cid(cid) => keep(&|held| is_named(&held.tree, cid, over)),
        Revision::Version(version) => {
            let exact = keep(&|held| has_version(&held.tree, version.as_str(), over));
            match revision.short_commit() {
                Some(short) if exact.is_empty() => keep(&|held| has_commit(&held.tree, short)),
                _ => exact,
            }
        }
    }
}
