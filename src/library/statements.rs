//! Whether what a card says of its files holds. `get` proves the chain from the signature over the root to every chunk;
//! the digests that tools of others compute (sha256, tree, OMS) are the publisher's statements until somebody computes
//! them too. A daemon does so after it fetched, slowly and when nobody waits for it; `verify` does it at once.
//!
//! The verdict is kept with the version. What is not compared yet has none, which is the queue: a daemon that was stopped
//! goes on where it was, and files that are changed or missing are tried again later. A verdict against a publisher is
//! looked at once more by every daemon: it must not outlive a mistake of ours. Design section 5.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Instant, SystemTime},
};

use tokio::sync::mpsc;

use super::{
    Library, Watch, blocking,
    keep::name_of,
    note::{Note, Statements},
    refs::Held,
    verify::{self, Examined},
    watch::Meter,
};
use crate::{
    limits,
    rpc::{Failure, RefutedLine, Stage},
    store::{Tree, TreeId, TreeState},
};

/// What `show` and `ls` say of a version's statements.
pub(super) fn of(tree: &Tree) -> Option<String> {
    tree.card?;
    Some(match Note::of(tree).statements {
        None => "unchecked".to_owned(),
        Some(Statements::Hold) => "hold".to_owned(),
        Some(Statements::DoNotHold(why)) => format!("DO NOT HOLD: {}", why.join("; ")),
    })
}

/// What `status` says of a version whose statements do not hold.
pub(super) fn refuted(tree: &Tree) -> Option<RefutedLine> {
    let statements =
        of(tree).filter(|_| matches!(Note::of(tree).statements, Some(Statements::DoNotHold(_))))?;
    Some(RefutedLine {
        name: name_of(tree),
        version: tree.version.clone(),
        card: tree.card?.to_string(),
        publisher: tree.repo.as_ref().map(|repo| repo.publisher.clone()),
        statements,
    })
}

/// Whether a version's files are here and were not compared with its card.
pub(super) fn is_due(tree: &Tree) -> bool {
    tree.card.is_some() && is_here(tree) && Note::of(tree).statements.is_none()
}

fn is_here(tree: &Tree) -> bool {
    tree.state == TreeState::Whole && !Note::of(tree).partial
}

/// Keeps the verdict, if there is one and the version is still what it was. One against the publisher that names a file
/// which is changed or missing now is none any more: whose doing it was can't be told until the file is back.
pub(super) fn record(library: &Library, held: &Held, examined: &Examined) -> Result<(), Failure> {
    let Some(stated) = &examined.stated else {
        let named = |line: &String| {
            let mut paths = examined.changed.iter().filter_map(|line| line.rsplit_once(": "));
            paths.any(|(path, _)| line.strip_prefix(path).is_some_and(|why| why.starts_with(": ")))
        };
        let in_doubt = |tree: &Tree| match Note::of(tree).statements {
            Some(Statements::DoNotHold(lines)) => lines.iter().any(named),
            _ => false,
        };
        if !in_doubt(&held.tree) {
            return Ok(());
        }
        return Ok(library.store().change_tree(held.id, |tree| {
            if in_doubt(tree) {
                tree.note = Note { statements: None, ..Note::of(tree) }.to_text();
            }
        })?);
    };
    let shortened = |line: &String| line.chars().take(limits::STATEMENTS_LINE_MAX).collect();
    let statements = if stated.is_empty() {
        Statements::Hold
    } else {
        let mut lines: Vec<String> =
            stated.iter().take(limits::STATEMENTS_LINES).map(shortened).collect();
        if let Some(more @ 1..) = stated.len().checked_sub(lines.len()) {
            lines.push(format!("and {more} more"));
        }
        Statements::DoNotHold(lines)
    };
    Ok(library.store().change_tree(held.id, |tree| {
        let mut note = Note::of(tree);
        if tree.card == held.tree.card && !note.partial {
            note.statements = Some(statements);
            tree.note = note.to_text();
        }
    })?)
}

/// Compares what was fetched with what its cards say, one version after the other, until dropped.
pub async fn check_fetched(library: &Library) {
    let mut later: BTreeMap<TreeId, Instant> = BTreeMap::new();
    let mut refuted = refuted_now(library).await;
    // At first every version is looked at; then new ones, and those that could not be compared.
    let mut since = SystemTime::UNIX_EPOCH;
    loop {
        tokio::time::sleep(limits::TEND_PAUSE).await;
        later.retain(|_, tried| {
            tried.elapsed() < limits::STATEMENTS_RETRY || {
                since = SystemTime::UNIX_EPOCH;
                false
            }
        });
        let found = {
            let (library, later) = (library.clone(), later.keys().copied().collect::<Vec<_>>());
            let again = refuted.clone();
            blocking(move || due(&library, since, &later, &again)).await
        };
        match found {
            Ok(Some(held)) => {
                let id = held.id;
                if check(library, held).await {
                    refuted.remove(&id);
                } else {
                    later.insert(id, Instant::now());
                }
            }
            Ok(None) => since = SystemTime::now() - limits::TEND_YOUNG,
            Err(failure) => tracing::warn!(%failure, "the library's versions could not be listed"),
        }
    }
}

/// The versions whose verdict is one against their publisher.
async fn refuted_now(library: &Library) -> BTreeSet<TreeId> {
    let refuted = library.store().trees_where(|tree| refuted(tree).is_some());
    refuted.into_iter().map(|(id, _)| id).collect()
}

/// A version that is to be compared next: `again` of those that were, too.
fn due(
    library: &Library,
    since: SystemTime,
    later: &[TreeId],
    again: &BTreeSet<TreeId>,
) -> Result<Option<Held>, Failure> {
    let mut trees = library.store().trees().into_iter();
    let due = trees.find(|(id, tree)| {
        let first = || tree.created_at >= since && is_due(tree);
        let once_more = || again.contains(id) && refuted(tree).is_some() && is_here(tree);
        !later.contains(id) && (first() || once_more())
    });
    Ok(due.map(|(id, tree)| Held { id, tree }))
}

/// Compares one version; `false` if that has to wait.
async fn check(library: &Library, held: Held) -> bool {
    // Dropped with this future, which stops the reading at its next step.
    let (events, _stops_when_dropped) = mpsc::channel(1);
    let watch = Watch::new(events);
    let name = name_of(&held.tree);
    let examined = {
        let library = library.clone();
        blocking(move || {
            let meter = |bytes| {
                Meter::new(&watch, Stage::Verifying, "files", bytes)
                    .paced(limits::STATEMENTS_BYTES_PER_SECOND)
            };
            let examined = verify::examine(&library, &held, meter)?;
            record(&library, &held, &examined)?;
            Ok(examined)
        })
        .await
    };
    match examined {
        Ok(Examined { stated: Some(stated), .. }) if stated.is_empty() => {
            tracing::debug!(%name, "its publisher's statements of the files hold");
            true
        }
        Ok(Examined { stated: Some(stated), .. }) => {
            tracing::warn!(%name, first = stated[0], "its publisher's statements of the files DO NOT HOLD");
            true
        }
        Ok(Examined { stated: None, .. }) => {
            tracing::info!(%name, "not compared with its card: files are changed or missing");
            false
        }
        Err(failure) => {
            tracing::info!(%name, %failure, "not compared with its card");
            false
        }
    }
}
