//! A held record as it is written behind: who brought it, and its bytes.
//!
//! What comes back is a stranger's as much as what comes from a peer: the record is verified anew, and one that was
//! damaged is none.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use libp2p::PeerId;

use super::held::Source;
use crate::card::index::Scope;
use crate::card::ipns::{Record, name};
use crate::store::SoftEntry;

/// A record as it is written behind and loaded again. Both DHTs' lie in one table, apart by their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::network) struct Saved {
    pub(super) scope: Scope,
    /// The DHT's key for the name.
    pub(super) key: Vec<u8>,
    /// `None`: gone.
    pub(super) kept: Option<(Source, Record)>,
}

impl Saved {
    /// The entry to save.
    pub(in crate::network) fn encode(&self) -> SoftEntry {
        let (value, expires) = match &self.kept {
            None => (None, UNIX_EPOCH),
            Some((source, record)) => {
                let end = u64::try_from(record.valid_until().unix()).unwrap_or(0);
                let value = [&source.encode()[..], record.bytes()].concat();
                // Fractions of its last second count.
                (Some(value), UNIX_EPOCH + Duration::from_secs(end + 1))
            }
        };
        SoftEntry { key: [&[mark(self.scope)], &self.key[..]].concat(), value, expires }
    }

    /// Reads an entry back; `None` if it is damaged: the record is verified anew.
    pub(in crate::network) fn decode(entry: &SoftEntry) -> Option<Self> {
        let (scope, key) = entry.key.split_first()?;
        let scope = Scope::ALL.into_iter().find(|one| mark(*one) == *scope)?;
        let publisher = name::from_dht_key(key)?;
        let (source, record) = Source::decode(entry.value.as_ref()?)?;
        let record = Record::verify(&publisher, Bytes::copy_from_slice(record)).ok()?;
        Some(Self { scope, key: key.to_vec(), kept: Some((source, record)) })
    }
}

fn mark(scope: Scope) -> u8 {
    match scope {
        Scope::Lan => b'l',
        Scope::Public => b'p',
    }
}

impl Source {
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Own => vec![0],
            Self::Asked => vec![1],
            Self::Peer(peer) => {
                let peer = peer.to_bytes();
                let len = u8::try_from(peer.len()).expect("peer ids have some forty bytes");
                [&[2, len], &peer[..]].concat()
            }
        }
    }

    /// Reads it, and gives back what follows.
    fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        match bytes.split_first()? {
            (0, rest) => Some((Self::Own, rest)),
            (1, rest) => Some((Self::Asked, rest)),
            (2, rest) => {
                let (&len, rest) = rest.split_first()?;
                let (peer, rest) = rest.split_at_checked(usize::from(len))?;
                Some((Self::Peer(PeerId::from_bytes(peer).ok()?), rest))
            }
            _ => None,
        }
    }
}
