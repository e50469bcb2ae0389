//! Writing behind: provider records and the address book go to the store from time to time, and come back at start.
//!
//! Both are soft state: losing the last half minute costs a lookup or a dial.

use std::time::SystemTime;

use libp2p::PeerId;

use super::blocks::Blocks;
use super::peers::SavedPeer;
use super::records::{Saved, encode_addrs};
use crate::limits;
use crate::store::SoftEntry;

/// Everything that was saved and has not expired.
pub(super) async fn load(blocks: &Blocks) -> (Vec<Saved>, Vec<(PeerId, SavedPeer)>) {
    let loaded = blocks
        .run(|store| {
            let now = SystemTime::now();
            (store.load_provider_records(now), store.load_peers(now))
        })
        .await;
    let Some((records, peers)) = loaded else { return Default::default() };
    let records = logged("provider records", records)
        .into_iter()
        .filter_map(|entry| Saved::decode(&entry.key, &entry.value?, entry.expires))
        .collect();
    let peers = logged("known peers", peers)
        .into_iter()
        .filter_map(|entry| {
            Some((PeerId::from_bytes(&entry.key).ok()?, SavedPeer::decode(&entry.value?)?))
        })
        .collect();
    (records, peers)
}

/// Saves what changed.
pub(super) async fn save(blocks: &Blocks, records: Vec<Saved>, peers: Vec<(PeerId, SavedPeer)>) {
    let records: Vec<SoftEntry> = records
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
    let peers: Vec<SoftEntry> = peers
        .into_iter()
        .map(|(peer, saved)| SoftEntry {
            key: peer.to_bytes(),
            value: Some(saved.encode()),
            expires: saved.seen + limits::PEER_TTL,
        })
        .collect();
    if records.is_empty() && peers.is_empty() {
        return;
    }
    let saved = blocks
        .run(move |store| store.save_provider_records(&records).and(store.save_peers(&peers)))
        .await;
    if let Some(Err(error)) = saved {
        tracing::warn!(%error, "cannot save provider records and known peers");
    }
}

fn logged(what: &str, entries: Result<Vec<SoftEntry>, crate::store::Error>) -> Vec<SoftEntry> {
    entries.unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot load {what}; starting without them");
        Vec::new()
    })
}
