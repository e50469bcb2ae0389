//! What a daemon does for its files while nobody asks: re-reads those that look changed, those that were too young to be
//! believed, and, slowly, all others.
//!
//! A file whose record differs is hashed once, and believed again if all of it is right. A file hashed within moments
//! of its last change is hashed again when it has come to rest, so that reads need not. What no record can tell —
//! stores through a shared mapping, bits that rot — a slow round over all files finds. Design section 4.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime},
};

use super::{Library, blocking};
use crate::{
    limits,
    rpc::Failure,
    store::{FileId, Look, Recheck, Store},
};

/// Tends the library until dropped.
pub async fn tend(library: &Library) {
    let started = Instant::now();
    let mut round = VecDeque::new();
    let mut tried = VecDeque::new();
    // At first every tree is looked at; later only new ones can hold files too young to be believed.
    let mut since = SystemTime::UNIX_EPOCH;
    loop {
        tokio::time::sleep(limits::TEND_PAUSE).await;
        let store = library.store().clone();
        let known: Vec<FileId> = tried.iter().copied().collect();
        match blocking(move || restless(&store, &known, since)).await {
            Ok(files) => {
                since = SystemTime::now() - limits::TEND_YOUNG;
                for file in files {
                    tried.push_back(file);
                    recheck(library, file).await;
                }
                while tried.len() > limits::TEND_REMEMBERED {
                    tried.pop_front();
                }
            }
            Err(failure) => tracing::warn!(%failure, "the library's files could not be looked at"),
        }
        if started.elapsed() >= limits::TEND_ROUND_DELAY {
            go_round(library, &mut round).await;
        }
    }
}

/// Files that differ from their record or are not believed yet; of those that were re-read before, only what has come
/// to rest since.
fn restless(store: &Store, tried: &[FileId], since: SystemTime) -> Result<Vec<FileId>, Failure> {
    let mut files: Vec<FileId> =
        store.suspects().into_iter().map(|(id, _)| id).filter(|id| !tried.contains(id)).collect();
    for (id, _) in store.trees_where(|tree| tree.created_at >= since) {
        for file in store.files_if_any(id)?.into_iter().flatten() {
            let Some(id) = file?.file else { continue };
            if files.len() >= limits::TEND_FILES {
                return Ok(files);
            }
            if !tried.contains(&id) && store.look(id)? == Look::Unsettled {
                files.push(id);
            }
        }
    }
    Ok(files)
}

/// Re-reads the next files of the slow round, then rests as long as their sizes ask for.
async fn go_round(library: &Library, round: &mut VecDeque<FileId>) {
    if round.is_empty() {
        let store = library.store().clone();
        match blocking(move || all_files(&store)).await {
            Ok(files) => *round = files,
            Err(failure) => tracing::warn!(%failure, "the library's files could not be listed"),
        }
    }
    let mut bytes = 0;
    for file in round.drain(..limits::TEND_FILES.min(round.len())).collect::<Vec<_>>() {
        bytes += recheck(library, file).await;
        if bytes >= limits::TEND_BYTES_PER_SECOND {
            tokio::time::sleep(Duration::from_secs(bytes / limits::TEND_BYTES_PER_SECOND)).await;
            bytes = 0;
        }
    }
}

fn all_files(store: &Store) -> Result<VecDeque<FileId>, Failure> {
    let mut files = VecDeque::new();
    for (id, _) in store.trees() {
        for file in store.files_if_any(id)?.into_iter().flatten() {
            files.extend(file?.file);
        }
    }
    Ok(files)
}

/// Re-reads one file; gives its size.
async fn recheck(library: &Library, file: FileId) -> u64 {
    let store = library.store().clone();
    let checked = blocking(move || {
        let Some(record) = store.file(file)? else { return Ok(None) };
        Ok(Some((store.recheck(file)?, record)))
    });
    match checked.await {
        Ok(Some((Recheck::Changed { blocks, .. }, record))) => {
            tracing::warn!(path = %record.path.display(), blocks, "a seeded file has changed");
            record.stat.size
        }
        Ok(Some((Recheck::Missing, record))) => {
            tracing::warn!(path = %record.path.display(), "a seeded file is missing");
            0
        }
        Ok(Some((Recheck::Same | Recheck::Moving | Recheck::Arriving, record))) => record.stat.size,
        Ok(None) => 0,
        Err(failure) => {
            tracing::warn!(%failure, "a seeded file could not be read again");
            0
        }
    }
}
