//! Drafts: what clients upload for one of the user's own repos, until it is signed.
//!
//! Each commit makes a state of the repo: a tree of the library without a card, shown to nobody but the user's own clients,
//! never announced. Its new files lie below the library's `drafts/`, under their digests (`uploads`), and are indexed there;
//! files that did not change are those of the state before. When a repo has rested for
//! [`DRAFT_QUIET`](crate::limits::DRAFT_QUIET), or by `publish`, the last state is signed as ONE version (`seed::publish`): its
//! files get their names in the version's folder, and every draft is forgotten with the files that it alone has. What no commit
//! has named yet stays for a while.
//!
//! Invariants: one copy of every byte; what is listed in a draft has the digest that the client named; a commit names the
//! root of its files, so the signed version has the id of the last draft.

mod activity;
mod commit;
mod publish;
mod uploads;

use std::{collections::HashSet, fs, io};

use super::{
    Library, blocking,
    note::{self, Note},
    refs::Held,
    rfc3339, seed,
};
use crate::{
    card::{Manifest, RepoName},
    config::Visibility,
    dag::{Cid, build},
    rpc::{Code, Failure, Kind},
    store::{self, TreeId},
};

pub(super) use self::uploads::{object, remove};
pub use self::{
    activity::{Activity, Writing, writing},
    commit::{Change, Commit, commit},
    publish::{publish, publish_named, tend},
    uploads::{Upload, batch, failed, folder, forget_files, has, keep_piece, made, receive},
};

/// A repo of the user's own, of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Own {
    /// Models and datasets are uploaded apart.
    pub kind: Kind,
    /// Its name.
    pub name: RepoName,
}

/// The repo that a namespace and a name mean, if it is the user's own and may be published from here.
///
/// # Errors
/// Permission (5) for other people's repos, and if the daemon was not told to sign; usage (2) for a name that no repo has.
pub fn own(
    library: &Library,
    kind: Kind,
    namespace: Option<&str>,
    name: &str,
) -> Result<Own, Failure> {
    let own = is_own(library, kind, namespace, name)?;
    if !library.inner.config.gateway.publish_key || library.inner.publishing.key.is_none() {
        return Err(Failure::new(
            Code::Permission,
            "this daemon does not sign what is uploaded to it",
        )
        .hint("start it with: modelswarm daemon --set gateway.publish_key=true; or publish a folder: modelswarm seed FOLDER"));
    }
    Ok(own)
}

fn is_own(
    library: &Library,
    kind: Kind,
    namespace: Option<&str>,
    name: &str,
) -> Result<Own, Failure> {
    let alias = library.alias();
    let is_own = match namespace {
        None => true,
        Some(namespace) => {
            alias.as_deref() == Some(namespace) || library.publisher().part() == namespace
        }
    };
    if !is_own {
        let part = library.publisher().part();
        let own = alias.unwrap_or(part);
        return Err(Failure::new(
            Code::Permission,
            format!(
                "{}/{name} is not yours: your namespace is {own}",
                namespace.unwrap_or_default()
            ),
        ));
    }
    let name = name
        .parse()
        .map_err(|why: crate::card::name::Error| Failure::new(Code::Usage, why.to_string()))?;
    Ok(Own { kind, name })
}

/// A state that is not signed yet.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub held: Held,
    pub note: note::Draft,
}

/// All drafts of a repo, the newest last.
pub(super) fn drafts(library: &Library, own: &Own) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = all(library)
        .into_iter()
        .filter(|draft| draft.held.tree.kind == own.kind && draft.note.name == own.name.as_str())
        .collect();
    drafts.sort_by_key(|draft| draft.note.number);
    drafts
}

fn all(library: &Library) -> Vec<Draft> {
    // Of a version that is signed no note need be read.
    let unsigned = library.store().trees_where(|tree| tree.card.is_none()).into_iter();
    let drafts = unsigned.filter_map(|(id, tree)| {
        let note = Note::of(&tree).draft?;
        Some(Draft { held: Held { id, tree }, note })
    });
    drafts.collect()
}

/// The files of a draft with their digests.
///
/// # Errors
/// Failure (1) if the list is lost.
pub(super) fn manifest(library: &Library, draft: &Draft) -> Result<Manifest, Failure> {
    let own = Own { kind: draft.held.tree.kind, name: parse(&draft.note.name)? };
    commit::read_list(library, &own, &draft.held.tree.root)
}

fn parse(name: &str) -> Result<RepoName, Failure> {
    name.parse().map_err(|why: crate::card::name::Error| {
        Failure::new(Code::Failure, format!("a draft is called {name}: {why}"))
    })
}

/// How far a repo's next version may go: as its last one, else as was said when it was made, else as configured.
///
/// # Errors
/// As the store fails.
pub fn visibility(library: &Library, own: &Own) -> Result<Visibility, Failure> {
    let versions = seed::versions(library, &own.name);
    let newest = versions.iter().max_by_key(|(_, tree)| tree.seq);
    if let Some((_, tree)) = newest {
        return Ok(tree.visibility);
    }
    match fs::read_to_string(folder(library, own).join(VISIBILITY)) {
        // What cannot be understood may have said so.
        Ok(said) => Ok(serde_json::from_str(&said).unwrap_or(Visibility::Private)),
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            Ok(library.inner.config.seed.visibility)
        }
        Err(why) => Err(failed(&folder(library, own).join(VISIBILITY), &why)),
    }
}

/// What was said of a repo when it was made: it stands until the first version is signed.
const VISIBILITY: &str = "visibility.json";

/// Makes a repo; false if it was there. `private`: how far it may go, if that was said.
///
/// # Errors
/// As the disk fails; usage (2) if a repo of the other kind is called so.
pub fn create(library: &Library, own: &Own, private: Option<bool>) -> Result<bool, Failure> {
    let versions = seed::versions(library, &own.name);
    is_of_its_kind(library, own)?;
    let folder = folder(library, own);
    let path = folder.join(VISIBILITY);
    if !versions.is_empty() || path.exists() || !drafts(library, own).is_empty() {
        return Ok(false);
    }
    fs::create_dir_all(&folder).map_err(|why| failed(&folder, &why))?;
    let default = library.inner.config.seed.visibility;
    let visibility = if private == Some(true) { Visibility::Private } else { default };
    let text = serde_json::to_string(&visibility).expect("a word");
    store::write_small(&path, text.as_bytes())?;
    Ok(true)
}

/// Refuses a repo that is called like one of the other kind.
fn is_of_its_kind(library: &Library, own: &Own) -> Result<(), Failure> {
    let other = match own.kind {
        Kind::Model => Kind::Dataset,
        Kind::Dataset => Kind::Model,
    };
    let other = Own { kind: other, name: own.name.clone() };
    let signed = seed::versions(library, &own.name);
    if signed.iter().any(|(_, tree)| tree.kind == other.kind)
        || !drafts(library, &other).is_empty()
        || folder(library, &other).join(VISIBILITY).exists()
    {
        return Err(Failure::new(
            Code::Usage,
            format!(
                "{} is a repo of the other kind: models and datasets share their names",
                own.name
            ),
        ));
    }
    Ok(())
}

/// Since when there is a repo in which nothing was committed or signed yet; none if it is another.
pub(super) fn made_at(library: &Library, own: &Own) -> Option<String> {
    if !seed::versions(library, &own.name).is_empty() || !drafts(library, own).is_empty() {
        return None;
    }
    let made = fs::metadata(folder(library, own).join(VISIBILITY)).and_then(|it| it.modified());
    made.ok().and_then(rfc3339)
}

/// The root of a repo in which there is nothing.
pub(super) fn nothing_yet() -> Cid {
    let empty = build::directory(Vec::new(), &mut |_| {});
    empty.expect("a directory of no entries has no bad name").cid
}

/// Does this to its end, whoever waits for it: a client that goes away leaves nothing half done.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    tokio::spawn(work).await.unwrap_or_else(|why| {
        Err(Failure::new(Code::Failure, format!("it ended in the middle: {why}")))
    })
}

/// Forgets whatever was uploaded for a repo and is not signed.
///
/// # Errors
/// As the store and the disk fail.
pub async fn abandon(library: &Library, own: &Own) -> Result<(), Failure> {
    let _one_at_a_time = library.inner.importing.lock().await;
    let (library, own) = (library.clone(), own.clone());
    let work = move || {
        seed::take_back(&library, &own);
        forget(&library, &own, &drafts(&library, &own));
        library.inner.activity.published(&own);
        let folder = folder(&library, &own);
        match fs::remove_dir_all(&folder) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => Err(failed(&folder, &why)),
            _ => Ok(()),
        }
    };
    blocking(work).await
}

/// The digests of all files of these states.
fn named(library: &Library, drafts: &[Draft]) -> Result<HashSet<[u8; 32]>, Failure> {
    let mut named = HashSet::new();
    for draft in drafts {
        named.extend(manifest(library, draft)?.into_files().into_iter().map(|file| file.sha256));
    }
    Ok(named)
}

/// Forgets states and what was said of the repo. What stays behind is no harm.
fn forget(library: &Library, own: &Own, drafts: &[Draft]) {
    let folder = folder(library, own);
    let lists = drafts.iter().map(|draft| uploads::list(library, own, &draft.held.tree.root));
    let ids: Vec<TreeId> = drafts.iter().map(|draft| draft.held.id).collect();
    if let Err(why) = library.store().remove_trees(&ids) {
        tracing::warn!(repo = %own.name, %why, "drafts stay in the library");
    }
    for path in lists.chain([folder.join(VISIBILITY)]) {
        remove(&path);
    }
}
