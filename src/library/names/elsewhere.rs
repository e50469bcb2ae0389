//! What other machines with the same key publish, as the DHT knows it.
//!
//! A publisher has one record, and each machine that holds the key may sign the next: one that did not look first would
//! take the others' repos out of the index, or sign a version that another machine has signed already. So before either is
//! signed the DHT is asked, for a short while; with nobody to ask, or no answer in time, what is known here must do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};

use super::{Published, announce_key, load};
use crate::{
    card::{
        PublisherId, RepoName,
        index::{Index, Scope},
        ipns::Record,
    },
    library::{Library, blocking, fetch::index_at},
    limits,
    network::Network,
    rpc::Failure,
};

/// What this home knows of its last publication besides index and record: kept with them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Standing {
    /// The repos that this home itself listed: others are other machines'.
    pub own: Vec<String>,
    /// Records that were signed or taken in here, the newest last: what their indexes list is known. Old ones may come back
    /// from peers that were away.
    seen: Vec<String>,
}

impl Standing {
    /// Of a home whose index lists its own alone.
    pub(super) fn of(index: &Index, record: Option<&Record>) -> Self {
        let own = index.repos().map(|(name, _)| name.to_string()).collect();
        let mut standing = Self { own, seen: Vec::new() };
        record.into_iter().for_each(|record| standing.see(record));
        standing
    }

    pub(super) fn is_own(&self, name: &RepoName) -> bool {
        self.own.iter().any(|own| own == name.as_str())
    }

    /// A record is known from now on.
    pub(super) fn see(&mut self, record: &Record) {
        if !self.has_seen(record) {
            self.seen.push(mark(record));
            let over = self.seen.len().saturating_sub(limits::NAMES_SEEN);
            self.seen.drain(..over);
        }
    }

    fn has_seen(&self, record: &Record) -> bool {
        self.seen.contains(&mark(record))
    }
}

/// What tells a record from others of the key: an index may come again under a higher sequence, and is news then.
fn mark(record: &Record) -> String {
    let index = record.index().map(|index| index.to_string()).unwrap_or_default();
    format!("{} {index}", record.sequence())
}

/// The record of the home's own key that peers hold, if it is another than the home's.
#[derive(Debug, Clone)]
pub(super) struct Elsewhere {
    pub record: Record,
    /// What it lists, if that is not known here yet and could be had.
    pub index: Option<Index>,
}

/// Looks for what other machines published in the LAN's DHT: for their record no longer than [`limits::NAME_WAIT_OWN`], and
/// as long for what it points to.
///
/// # Errors
/// As the store fails.
pub(super) async fn look(library: &Library) -> Result<Option<Elsewhere>, Failure> {
    let Some(network) = library.inner.network.clone() else { return Ok(None) };
    let (key, Published { record: own, standing, .. }) = {
        let library = library.clone();
        blocking(move || {
            let key = announce_key(&library)?;
            Ok((key, load(&library, &key, Scope::Lan)?))
        })
        .await?
    };
    let Some(record) = record(&network, key).await else { return Ok(None) };
    if own.is_some_and(|own| own.bytes() == record.bytes()) {
        return Ok(None);
    }
    let mut index = None;
    if !standing.has_seen(&record) {
        let fetching = index_at(library, library.publisher(), record.clone());
        match timeout(limits::NAME_WAIT_OWN, fetching).await {
            Ok(Ok(theirs)) => index = Some(theirs),
            Ok(Err(failure)) => tracing::warn!(%failure, "another machine's index is not known"),
            Err(_) => tracing::warn!("another machine's index could not be had in time"),
        }
    }
    Ok(Some(Elsewhere { record, index }))
}

/// All that is known to be published of the home's own: by this machine and, as far as the DHT tells, by others.
///
/// # Errors
/// As the store fails.
pub(in crate::library) async fn published(library: &Library) -> Result<Arc<Index>, Failure> {
    let elsewhere = look(library).await?;
    let library = library.clone();
    let own = move || Ok(load(&library, &announce_key(&library)?, Scope::Lan)?.index);
    let own = blocking(own).await?;
    Ok(Arc::new(match elsewhere.and_then(|elsewhere| elsewhere.index) {
        Some(theirs) => theirs.merged(&own),
        None => own,
    }))
}

/// The newest record of the own key: of peers if they answer in time, else the one that this node holds.
async fn record(network: &Network, key: PublisherId) -> Option<Record> {
    let asking = async {
        loop {
            let status = network.status().await.ok()?;
            if status.dht_peers > 0 {
                let soon = limits::NAME_WAIT_OWN / 2;
                return network.resolve_name_within(key, soon).await.ok()?;
            }
            if !status.reaching {
                return None;
            }
            sleep(limits::NAME_RETRY).await;
        }
    };
    match timeout(limits::NAME_WAIT_OWN, asking).await {
        Ok(Some(record)) => Some(record),
        _ => network.name_held(key).await.ok()?,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::statement::Timestamp;
    use ed25519_dalek::SigningKey;

    fn record(sequence: u64) -> Record {
        let key = SigningKey::from_bytes(&[7; 32]);
        let publisher = PublisherId::try_from(&key.verifying_key()).unwrap();
        let end: Timestamp = "2126-11-22T18:00:00Z".parse().unwrap();
        let index = Index::new(publisher, Scope::Lan);
        let unsigned =
            crate::card::ipns::Unsigned::new(&publisher, &index, sequence, end, limits::IPNS_TTL);
        unsigned.unwrap().sign(&key).unwrap()
    }

    #[test]
    fn an_old_record_is_no_news_and_the_same_index_under_a_higher_sequence_is() {
        let mut standing = Standing::default();
        standing.see(&record(1));
        standing.see(&record(1));
        assert!(standing.has_seen(&record(1)));
        assert!(!standing.has_seen(&record(2)), "the same index, which was listed anew");
        for sequence in 2..200 {
            standing.see(&record(sequence));
        }
        assert_eq!(standing.seen.len(), limits::NAMES_SEEN);
        assert!(standing.has_seen(&record(199)) && !standing.has_seen(&record(1)));
        let read: Standing =
            serde_json::from_slice(&serde_json::to_vec(&standing).unwrap()).unwrap();
        assert_eq!(read.seen, standing.seen);
    }
}
