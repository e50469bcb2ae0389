//! Fetches that a daemon has begun and not ended: kept on the disk, so that a daemon that was killed or restarted goes on
//! with them by itself.
//!
//! A fetch is noted when its place is taken and struck out when it ends, however it ends: whoever asked for it was told.
//! Only a daemon that stops leaves it noted. One that nobody can serve at the moment is tried again, ever later, until
//! it is whole or `rm` forgets it.

use std::{sync::PoisonError, time::Instant};

use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, task::JoinSet};

use super::{begin, follow};
use crate::{
    dag::Cid,
    library::{Library, Watch, blocking},
    limits,
    rpc::{Code, Failure, Get},
};

/// The document of the store that holds them.
const DOCUMENT: &str = "fetches";

/// A fetch and the root that it led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    get: Get,
    root: String,
}

/// A fetch that is noted; dropped, it is struck out.
pub(super) struct Unfinished {
    library: Library,
    noted: Noted,
}

impl Unfinished {
    /// Notes a fetch of a daemon; of a command's own node there is nobody to go on with it.
    ///
    /// # Errors
    /// As the disk fails.
    pub(super) async fn note(
        library: &Library,
        get: &Get,
        root: &Cid,
    ) -> Result<Option<Self>, Failure> {
        if !library.inner.serving {
            return Ok(None);
        }
        let noted = Noted { get: get.clone(), root: root.to_string() };
        let (of, new) = (library.clone(), noted.clone());
        blocking(move || add(&of, new)).await?;
        Ok(Some(Self { library: library.clone(), noted }))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.library.is_stopping() {
            return;
        }
        if let Err(failure) = change(&self.library, |all| all.retain(|one| *one != self.noted)) {
            tracing::warn!(%failure, "a fetch that ended stays noted as unfinished");
        }
    }
}

/// Strikes out the fetches of a root.
///
/// # Errors
/// As the disk fails.
pub(in crate::library) fn forget(library: &Library, root: &Cid) -> Result<(), Failure> {
    let root = root.to_string();
    change(library, |all| all.retain(|one| one.root != root))
}

/// Goes on with all that is noted, until it is done or dropped.
pub async fn resume(library: &Library) {
    let of = library.clone();
    let noted = match blocking(move || read(&of)).await {
        Ok(noted) => noted,
        Err(failure) => {
            tracing::warn!(%failure, "unfinished fetches cannot be read; they wait for the same `get`");
            return;
        }
    };
    let mut tasks = JoinSet::new();
    for one in noted {
        tasks.spawn(go_on(library.clone(), one));
    }
    while tasks.join_next().await.is_some() {}
}

async fn go_on(library: Library, noted: Noted) {
    let mut pause = limits::FETCH_RETRY;
    let what = noted.get.reference.clone();
    loop {
        tracing::info!(%what, "going on with an unfinished fetch");
        let started = Instant::now();
        match again(&library, &noted.get).await {
            Ok(()) => {
                tracing::info!(%what, seconds = started.elapsed().as_secs(), "fetched");
                return;
            }
            Err(failure) if matches!(failure.code, Code::NotFound | Code::Network) => {
                tracing::info!(%what, %failure, "trying again in {} s", pause.as_secs());
                let (of, one) = (library.clone(), noted.clone());
                let kept = blocking(move || keep(&of, one)).await;
                if !kept.unwrap_or(false) {
                    return;
                }
            }
            Err(failure) => {
                tracing::warn!(%what, %failure, "an unfinished fetch cannot go on");
                return;
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(limits::FETCH_RETRY_MAX);
    }
}

async fn again(library: &Library, get: &Get) -> Result<(), Failure> {
    let job = begin(library, get)?;
    job.resumed();
    // Held, so that the work does not count as abandoned; what it says is in the job's state.
    let (events, _held) = mpsc::channel(1);
    follow(&job, &Watch::new(events)).await.map(drop)
}

/// Notes a fetch again that ended for want of peers; false if its tree was forgotten meanwhile.
fn keep(library: &Library, noted: Noted) -> Result<bool, Failure> {
    let trees = library.store().trees();
    let there = trees.iter().any(|(_, tree)| tree.root.to_string() == noted.root);
    if there {
        add(library, noted)?;
    }
    Ok(there)
}

fn add(library: &Library, noted: Noted) -> Result<(), Failure> {
    change(library, |all| {
        if !all.contains(&noted) && all.len() < limits::FETCHES_NOTED {
            all.push(noted);
        }
    })
}

fn read(library: &Library) -> Result<Vec<Noted>, Failure> {
    let Some(bytes) = library.store().document(DOCUMENT)? else { return Ok(Vec::new()) };
    serde_json::from_slice(&bytes).map_err(|why| {
        Failure::new(Code::Failure, format!("the list of unfinished fetches is damaged: {why}"))
    })
}

fn change(library: &Library, change: impl FnOnce(&mut Vec<Noted>)) -> Result<(), Failure> {
    let _one_at_a_time = library.inner.noting.lock().unwrap_or_else(PoisonError::into_inner);
    // A damaged list is begun anew: what it named is fetched by the same `get`.
    let mut all = read(library).unwrap_or_default();
    let before = all.clone();
    change(&mut all);
    if all != before {
        let bytes = serde_json::to_vec(&all).expect("plain data with text keys");
        library.store().save_document(DOCUMENT, &bytes)?;
    }
    Ok(())
}
