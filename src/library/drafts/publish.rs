//! Drafts become versions: when their repo has come to rest, or at once by `publish`.

use std::time::Instant;

use super::{Own, all, drafts, forget, forget_files, is_own, named, parse, to_its_end, uploads};
use crate::{
    library::{Library, Watch, blocking, names, seed},
    limits,
    rpc::{Code, Failure, Kind, Seeded},
};

/// Signs the last draft of a repo as its next version, and tells peers; with nothing to sign, its last version stays.
///
/// # Errors
/// Not found (3) if there is no such repo; as `seed`.
pub async fn publish(library: &Library, own: &Own, watch: Watch) -> Result<Seeded, Failure> {
    let seeded = {
        let (library, own) = (library.clone(), own.clone());
        to_its_end(async move { publish_now(&library, &own, true, watch).await }).await?
    };
    seeded.ok_or_else(|| nothing(own))
}

/// `None`: somebody writes to it again, and it is not to be signed then.
async fn publish_now(
    library: &Library,
    own: &Own,
    even_if_written: bool,
    watch: Watch,
) -> Result<Option<Seeded>, Failure> {
    let _one_at_a_time = library.inner.importing.lock().await;
    if !even_if_written && !library.inner.activity.has_rested(own, limits::DRAFT_QUIET) {
        return Ok(None);
    }
    let published = names::published(library).await?;
    let (seeded, id, tree) = {
        let (library, own, watch) = (library.clone(), own.clone(), watch.clone());
        let work = move || {
            let drafts = drafts(&library, &own);
            let Some(last) = drafts.last() else {
                return seed::last(&library, &own.name)?.ok_or_else(|| nothing(&own));
            };
            let listed = named(&library, &drafts)?;
            let signed = seed::publish(&library, &own, last, published, &watch)?;
            forget(&library, &own, &drafts);
            // A client that writes now may have been told that one of them is here.
            if library.inner.activity.is_still(&own) {
                forget_files(&library, &own, &Vec::from_iter(listed));
                uploads::tidy(&library, &own);
                seed::settle_published(&library, signed.1);
            }
            Ok(signed)
        };
        blocking(work).await?
    };
    library.inner.activity.published(own);
    library.announce(id, &tree).await?;
    names::publish_after(library, Some(&watch)).await;
    Ok(Some(seeded))
}

/// Signs the drafts of all repos of this name.
///
/// # Errors
/// As [`publish`].
pub async fn publish_named(library: &Library, name: &str, watch: Watch) -> Result<Seeded, Failure> {
    let (namespace, name) = match name.rsplit_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, name),
    };
    let Own { name, .. } = is_own(library, Kind::Model, namespace, name)?;
    let own = {
        let (library, name) = (library.clone(), name.clone());
        let waiting = move || {
            let known = all(&library).into_iter().find(|draft| draft.note.name == name.as_str());
            let kind = known.map(|draft| draft.held.tree.kind);
            Ok(Own { kind: kind.unwrap_or_default(), name })
        };
        blocking(waiting).await?
    };
    publish(library, &own, watch).await
}

fn nothing(own: &Own) -> Failure {
    Failure::new(
        Code::NotFound,
        format!("nothing was uploaded for {}, and it has no version", own.name),
    )
    .hint("modelswarm ls shows what is here; modelswarm seed FOLDER publishes a folder")
}

/// Signs what has rested, until dropped; what could not be signed is tried again every [`limits::DRAFT_RETRY`].
pub async fn tend(library: &Library) {
    let waiting = {
        let library = library.clone();
        let look = move || {
            uploads::forget_unfinished(&library);
            Ok(all(&library))
        };
        blocking(look).await
    };
    let signs = library.inner.config.gateway.publish_key && library.inner.publishing.key.is_some();
    // What an earlier daemon left unsigned rests from now on.
    for draft in waiting.unwrap_or_default() {
        if let Ok(name) = parse(&draft.note.name) {
            library.inner.activity.committed(&Own { kind: draft.held.tree.kind, name });
        }
    }
    let mut swept = Instant::now();
    loop {
        tokio::time::sleep(limits::DRAFT_PAUSE).await;
        if swept.elapsed() >= limits::UPLOAD_SWEEP {
            swept = Instant::now();
            let library = library.clone();
            let sweep = move || {
                sweep(&library);
                Ok(())
            };
            if let Err(failure) = blocking(sweep).await {
                tracing::warn!(%failure, "what was uploaded and never committed stays");
            }
        }
        let rested = library.inner.activity.rested(limits::DRAFT_QUIET);
        for own in rested.into_iter().filter(|_| signs) {
            let (events, _unread) = tokio::sync::mpsc::channel(limits::EVENTS_QUEUED);
            let published = {
                let (library, own) = (library.clone(), own.clone());
                let watch = Watch::new(events);
                to_its_end(async move { publish_now(&library, &own, false, watch).await }).await
            };
            match published {
                Ok(Some(seeded)) => {
                    tracing::info!(repo = %own.name, version = ?seeded.version, "signed and published what was uploaded");
                }
                Ok(None) => {}
                Err(failure) => {
                    tracing::error!(repo = %own.name, %failure, "what was uploaded is not published");
                    library.inner.activity.failed(&own, failure.in_one_line());
                }
            }
        }
    }
}

/// Drops what was uploaded and never committed.
fn sweep(library: &Library) {
    for own in uploads::repos(library) {
        match named(library, &drafts(library, &own)) {
            Ok(named) if library.inner.activity.is_still(&own) => {
                uploads::forget_old(library, &own, &named);
            }
            Ok(_) => {}
            Err(failure) => tracing::warn!(repo = %own.name, %failure, "its drafts are not known"),
        }
    }
}
