//! A lab's newest roots, from whoever knows them.
//!
//! Asked is by the CID in the lab's id, `/modelswarm/attest/1`, of the peers that provide it and of those that are connected.
//! A chain of roots proves itself, each root signed by the keys of the one before, so it may come from anybody, the longest
//! counts, and no record under a key is needed that the lab may have dropped. Provenance 7.6.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use tokio::time::sleep;

use super::{jobs::Job, resolve, source::Source};
use crate::{
    card::{TufId, tuf::Publisher},
    library::{Library, blocking},
    limits,
    network::PeerId,
    rpc::Failure,
};

/// What peers know of a lab, once one of them says something; none if nobody does within [`limits::LAB_ROOTS_WAIT`]. Known
/// here from then on.
///
/// # Errors
/// Refused (4) for roots that contradict those which are known; as the network fails.
pub(super) async fn ask(
    library: &Library,
    id: &TufId,
    asked: &str,
    job: &Arc<Job>,
) -> Result<Option<Publisher>, Failure> {
    let timeout = limits::NAME_WAIT.as_secs();
    tokio::select! {
        told = until_told(library, id) => told,
        // Nothing is wanted of it but to dial the peers that were given.
        () = resolve::dial(Source::open(library, asked, timeout, Vec::new(), job)) => Ok(None),
    }
}

async fn until_told(library: &Library, id: &TufId) -> Result<Option<Publisher>, Failure> {
    let began = Instant::now();
    loop {
        let answers = answers(library, id).await?;
        let answered = !answers.is_empty();
        let told = take_in(library, id, answers).await?;
        if answered || told.is_some() || began.elapsed() >= limits::LAB_ROOTS_WAIT {
            return Ok(told);
        }
        sleep(limits::NAME_RETRY).await;
    }
}

/// The same of the peers that there are now.
///
/// # Errors
/// As [`ask`].
pub(super) async fn ask_once(library: &Library, id: &TufId) -> Result<Option<Publisher>, Failure> {
    let answers = answers(library, id).await?;
    take_in(library, id, answers).await
}

async fn answers(library: &Library, id: &TufId) -> Result<Vec<(PeerId, Vec<Bytes>)>, Failure> {
    let Some(network) = &library.inner.network else { return Ok(Vec::new()) };
    Ok(network.attestations_within(id.cid(), id.cid(), limits::LAB_ROOTS_WAIT).await?)
}

/// Keeps what holds of what peers said; the newest that is known then, if any of it held.
async fn take_in(
    library: &Library,
    id: &TufId,
    answers: Vec<(PeerId, Vec<Bytes>)>,
) -> Result<Option<Publisher>, Failure> {
    let mut newest = None;
    for (peer, bundles) in answers {
        // One document is all there is to say: whoever says more makes nobody check more.
        let Some(document) = bundles.into_iter().next() else { continue };
        let id = *id;
        let read = move || Ok(Publisher::expect(&id, &document));
        match blocking(read).await? {
            Ok(came) => newest = Some(resolve::learn(library, came).await?),
            Err(why) => tracing::debug!(%peer, %why, "roots of a lab that do not hold"),
        }
    }
    Ok(newest)
}
