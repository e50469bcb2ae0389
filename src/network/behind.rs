//! Writing behind: provider records, names' records and the address book go to the store from time to time, and come
//! back at start.
//!
//! All is soft state: losing the last half minute costs a lookup or a dial. Records of names published here are
//! handed over at once, like all of it without a flush.

use std::time::SystemTime;

use libp2p::PeerId;

use super::blocks::Blocks;
use super::peers::SavedPeer;
use super::records::encode_addrs;
use super::{names, records};
use crate::limits;
use crate::store::{self, SoftEntry};

/// What is loaded, or what changed.
#[derive(Default)]
pub(super) struct Soft {
    pub(super) records: Vec<records::Saved>,
    pub(super) names: Vec<names::Saved>,
    pub(super) peers: Vec<(PeerId, SavedPeer)>,
}

/// Everything that was saved and has not expired.
pub(super) async fn load(blocks: &Blocks) -> Soft {
    let load = |store: &store::Store| {
        let now = SystemTime::now();
        let records = logged("provider records", store.load_provider_records(now))
            .into_iter()
            .filter_map(|entry| records::Saved::decode(&entry.key, &entry.value?, entry.expires));
        let names = logged("names' records", store.load_names(now));
        let peers = logged("known peers", store.load_peers(now)).into_iter().filter_map(|entry| {
            Some((PeerId::from_bytes(&entry.key).ok()?, SavedPeer::decode(&entry.value?)?))
        });
        Soft {
            records: records.collect(),
            names: names.iter().filter_map(names::Saved::decode).collect(),
            peers: peers.collect(),
        }
    };
    blocks.run(load).await.unwrap_or_default()
}

/// Saves what changed.
pub(super) async fn save(blocks: &Blocks, changed: Soft) {
    let records: Vec<SoftEntry> = changed
        .records
        .into_iter()
        .map(|saved| {
            let key = saved.encode_key();
            let (value, expires) = match saved.kept {
                Some((addrs, expires)) => (Some(encode_addrs(&addrs)), expires),
                None => (None, SystemTime::UNIX_EPOCH),
            };
            SoftEntry { key, value, expires }
        })
        .collect();
    let names: Vec<SoftEntry> = changed.names.iter().map(names::Saved::encode).collect();
    let peers: Vec<SoftEntry> = changed
        .peers
        .into_iter()
        .map(|(peer, saved)| SoftEntry {
            key: peer.to_bytes(),
            value: Some(saved.encode()),
            expires: saved.seen + limits::PEER_TTL,
        })
        .collect();
    if records.is_empty() && names.is_empty() && peers.is_empty() {
        return;
    }
    let save = move |store: &store::Store| {
        let records = store.save_provider_records(&records);
        records.and(store.save_names(&names)).and(store.save_peers(&peers))
    };
    if let Some(Err(error)) = blocks.run(save).await {
        tracing::warn!(%error, "cannot save records and known peers");
    }
}

fn logged(what: &str, entries: Result<Vec<SoftEntry>, store::Error>) -> Vec<SoftEntry> {
    entries.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot load {what}; starting without them");
        Vec::new()
    })
}
