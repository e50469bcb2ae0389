//! The provider records this node keeps for the DHT: a bounded map in memory.
//!
//! Kademlia calls it inside the swarm's poll, so nothing here touches the disk: changes are collected and `dht`
//! writes them behind. Expiry is wall-clock (a record outlives a restart). A provider's addresses are kept once,
//! however many keys it announced. When the map is full, the provider with the most records loses its oldest: a
//! flood costs the flooder. Design section 6.
//!
//! Kademlia has one store for both kinds of records, so the names' records are reached through this one; they are
//! `names`' own.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, SystemTime};

use libp2p::kad::store::{Error, RecordStore, Result};
use libp2p::kad::{ProviderRecord, Record, RecordKey as Key};
use libp2p::{Multiaddr, PeerId};

use super::names::{self, Held};
use crate::limits;

/// The map.
pub(super) struct Records {
    /// Records of names.
    pub(super) names: Held,
    local: PeerId,
    /// Keys this node itself provides; `dht` says which.
    own: HashSet<Key>,
    keys: HashMap<Key, Vec<(PeerId, SystemTime)>>,
    providers: HashMap<PeerId, Provider>,
    total: usize,
    /// Records that differ from what was last written behind.
    changed: HashSet<(Key, PeerId)>,
}

#[derive(Default)]
struct Provider {
    addrs: Vec<Multiaddr>,
    /// Oldest first.
    keys: BTreeSet<(SystemTime, Vec<u8>)>,
}

/// A record as it is written behind and loaded again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) key: Vec<u8>,
    pub(super) provider: PeerId,
    /// `None`: gone.
    pub(super) kept: Option<(Vec<Multiaddr>, SystemTime)>,
}

impl Records {
    pub(super) fn new(local: PeerId, names: Held) -> Self {
        Self {
            names,
            local,
            own: HashSet::new(),
            keys: HashMap::new(),
            providers: HashMap::new(),
            total: 0,
            changed: HashSet::new(),
        }
    }

    /// Keeps a record that a peer sent, its addresses already sanitised, for 48 hours. False if it is refused.
    pub(super) fn insert(
        &mut self,
        key: Key,
        provider: PeerId,
        addrs: Vec<Multiaddr>,
        now: SystemTime,
    ) -> bool {
        self.insert_until(key, provider, addrs, now + limits::RECORD_TTL)
    }

    /// Puts back a record that was saved.
    pub(super) fn restore(&mut self, saved: Saved, now: SystemTime) {
        if let Some((addrs, expires)) = saved.kept
            && expires > now
            && expires <= now + limits::RECORD_TTL + Duration::from_secs(60)
        {
            let key = Key::from(saved.key);
            let mark = (key.clone(), saved.provider);
            if self.insert_until(key, saved.provider, addrs, expires) {
                self.changed.remove(&mark);
            }
        }
    }

    fn insert_until(
        &mut self,
        key: Key,
        provider: PeerId,
        addrs: Vec<Multiaddr>,
        expires: SystemTime,
    ) -> bool {
        if key.as_ref().len() > limits::RECORD_KEY_MAX || provider == self.local {
            return false;
        }
        self.drop_record(&key, &provider);
        if self.keys.get(&key).is_some_and(|held| held.len() >= limits::RECORD_PROVIDERS) {
            return false;
        }
        if self.total >= limits::RECORDS_MAX {
            self.evict();
        }
        self.keys.entry(key.clone()).or_default().push((provider, expires));
        let entry = self.providers.entry(provider).or_default();
        entry.addrs = addrs;
        entry.keys.insert((expires, key.to_vec()));
        self.total += 1;
        self.changed.insert((key, provider));
        true
    }

    /// The providers of a key that are still valid, this node included if it is one.
    pub(super) fn holders(&self, key: &Key, now: SystemTime) -> Vec<PeerId> {
        let own = self.own.contains(key).then_some(self.local);
        let held = self.keys.get(key).into_iter().flatten();
        own.into_iter()
            .chain(held.filter(|(_, expires)| *expires > now).map(|(peer, _)| *peer))
            .collect()
    }

    /// The addresses a provider announced.
    pub(super) fn addrs(&self, provider: &PeerId) -> &[Multiaddr] {
        self.providers.get(provider).map_or(&[], |provider| &provider.addrs)
    }

    /// Drops what has expired.
    pub(super) fn expire(&mut self, now: SystemTime) {
        let expired: Vec<(Key, PeerId)> = self
            .providers
            .iter()
            .flat_map(|(peer, provider)| {
                let old = provider.keys.iter().take_while(|(expires, _)| *expires <= now);
                old.map(|(_, key)| (Key::new(key), *peer))
            })
            .collect();
        for (key, peer) in expired {
            self.drop_record(&key, &peer);
        }
    }

    /// What changed since the last call, to be written behind.
    pub(super) fn take_changes(&mut self) -> Vec<Saved> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|(key, provider)| self.saved(&key, provider)).collect()
    }

    /// Records held of others.
    pub(super) fn len(&self) -> usize {
        self.total
    }

    fn saved(&self, key: &Key, provider: PeerId) -> Saved {
        let held = self.keys.get(key).into_iter().flatten();
        let kept = held
            .into_iter()
            .find(|(peer, _)| *peer == provider)
            .map(|(_, expires)| (self.addrs(&provider).to_vec(), *expires));
        Saved { key: key.to_vec(), provider, kept }
    }

    fn evict(&mut self) {
        let largest = self.providers.iter().max_by_key(|(_, provider)| provider.keys.len());
        let oldest = largest.and_then(|(peer, provider)| {
            provider.keys.first().map(|(_, key)| (Key::new(key), *peer))
        });
        if let Some((key, peer)) = oldest {
            self.drop_record(&key, &peer);
        }
    }

    fn drop_record(&mut self, key: &Key, provider: &PeerId) {
        let Some(held) = self.keys.get_mut(key) else { return };
        let Some(at) = held.iter().position(|(peer, _)| peer == provider) else { return };
        let (_, expires) = held.swap_remove(at);
        if held.is_empty() {
            self.keys.remove(key);
        }
        if let Some(entry) = self.providers.get_mut(provider) {
            entry.keys.remove(&(expires, key.to_vec()));
            if entry.keys.is_empty() {
                self.providers.remove(provider);
            }
        }
        self.total -= 1;
        self.changed.insert((key.clone(), *provider));
    }
}

impl RecordStore for Records {
    type RecordsIter<'a> = std::iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = std::iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, key: &Key) -> Option<Cow<'_, Record>> {
        let record = self.names.get(key, names::wall(SystemTime::now()))?;
        Some(Cow::Owned(names::entry(key.clone(), record)))
    }

    /// Called by Kademlia for what this node puts to others, which it holds: peers' records come through
    /// [`Held::take`].
    fn put(&mut self, record: Record) -> Result<()> {
        if self.names.has(&record.key, &record.value) { Ok(()) } else { Err(Error::ValueTooLarge) }
    }

    /// Names end by themselves.
    fn remove(&mut self, _: &Key) {}

    /// Nothing is republished from here: `names` has its own schedule.
    fn records(&self) -> Self::RecordsIter<'_> {
        std::iter::empty()
    }

    /// Called by Kademlia for this node's own keys only: others' come through [`Records::insert`].
    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        if record.provider != self.local {
            return Err(Error::ValueTooLarge);
        }
        if self.own.len() >= limits::ANNOUNCED_MAX {
            return Err(Error::MaxProvidedKeys);
        }
        self.own.insert(record.key);
        Ok(())
    }

    /// In an order that changes from call to call: an answer carries the first twenty.
    fn providers(&self, key: &Key) -> Vec<ProviderRecord> {
        let mut holders = self.holders(key, SystemTime::now());
        if !holders.is_empty() {
            let turn = rand::random_range(0..holders.len());
            holders.rotate_left(turn);
        }
        holders
            .into_iter()
            .map(|provider| ProviderRecord {
                key: key.clone(),
                provider,
                expires: None,
                addresses: self.addrs(&provider).to_vec(),
            })
            .collect()
    }

    /// Nothing is republished from here: `dht` has its own schedule.
    fn provided(&self) -> Self::ProvidedIter<'_> {
        std::iter::empty()
    }

    fn remove_provider(&mut self, key: &Key, provider: &PeerId) {
        if *provider == self.local {
            self.own.remove(key);
        } else {
            self.drop_record(key, provider);
        }
    }
}

impl Saved {
    /// The entry's key: unique for key and provider.
    pub(super) fn encode_key(&self) -> Vec<u8> {
        let mut out = vec![u8::try_from(self.key.len()).expect("keys are at most 80 bytes")];
        out.extend_from_slice(&self.key);
        out.extend(self.provider.to_bytes());
        out
    }

    /// Reads an entry back; `None` if it is not one of ours.
    pub(super) fn decode(key: &[u8], value: &[u8], expires: SystemTime) -> Option<Self> {
        let (&len, rest) = key.split_first()?;
        let (key, provider) = rest.split_at_checked(usize::from(len))?;
        Some(Self {
            key: key.to_vec(),
            provider: PeerId::from_bytes(provider).ok()?,
            kept: Some((decode_addrs(value)?, expires)),
        })
    }
}

/// Addresses one after the other, each behind its length in two bytes.
pub(super) fn encode_addrs(addrs: &[Multiaddr]) -> Vec<u8> {
    let mut out = Vec::new();
    for addr in addrs.iter().take(limits::ADDRS_PER_PEER) {
        let bytes = addr.as_ref();
        if let Ok(len) = u16::try_from(bytes.len()) {
            out.extend(len.to_be_bytes());
            out.extend_from_slice(bytes);
        }
    }
    out
}

/// Reads [`encode_addrs`] back.
pub(super) fn decode_addrs(mut bytes: &[u8]) -> Option<Vec<Multiaddr>> {
    let mut addrs = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<2>() {
        let (addr, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        addrs.push(Multiaddr::try_from(addr.to_vec()).ok()?);
        bytes = rest;
    }
    bytes.is_empty().then_some(addrs)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn map(local: PeerId) -> Records {
        Records::new(local, Held::new(crate::card::index::Scope::Lan))
    }

    fn key(n: u32) -> Key {
        Key::from(n.to_be_bytes().to_vec())
    }

    fn addr() -> Vec<Multiaddr> {
        vec!["/ip4/10.0.0.1/tcp/1".parse().unwrap()]
    }

    #[test]
    fn a_record_is_held_until_it_expires_by_the_wall_clock() {
        let mut records = map(PeerId::random());
        let peer = PeerId::random();
        assert!(records.insert(key(1), peer, addr(), NOW));
        let last = NOW + limits::RECORD_TTL - Duration::from_secs(1);
        assert_eq!(records.holders(&key(1), last), [peer]);
        assert_eq!(records.holders(&key(1), NOW + limits::RECORD_TTL), []);
        records.expire(NOW + limits::RECORD_TTL);
        assert_eq!(records.len(), 0);
        assert_eq!(records.addrs(&peer), []);
    }

    #[test]
    fn a_flood_displaces_the_flooder_s_own_records_and_nobody_else_s() {
        let mut records = map(PeerId::random());
        let (quiet, flooder) = (PeerId::random(), PeerId::random());
        records.insert(key(0), quiet, addr(), NOW);
        for n in 1..u32::try_from(limits::RECORDS_MAX).unwrap() + 1000 {
            let at = NOW + Duration::from_millis(u64::from(n));
            assert!(records.insert(key(n), flooder, addr(), at));
        }
        assert_eq!(records.len(), limits::RECORDS_MAX);
        assert_eq!(records.holders(&key(0), NOW), [quiet]);
    }

    #[test]
    fn one_key_has_a_bounded_number_of_providers_and_long_keys_none() {
        let mut records = map(PeerId::random());
        for _ in 0..limits::RECORD_PROVIDERS + 50 {
            records.insert(key(1), PeerId::random(), addr(), NOW);
        }
        assert_eq!(records.holders(&key(1), NOW).len(), limits::RECORD_PROVIDERS);
        let long = Key::from(vec![0; limits::RECORD_KEY_MAX + 1]);
        assert!(!records.insert(long, PeerId::random(), addr(), NOW));
    }

    #[test]
    fn changes_are_told_once_and_come_back_after_a_restart() {
        let local = PeerId::random();
        let mut records = map(local);
        let (stays, goes) = (PeerId::random(), PeerId::random());
        records.insert(key(1), stays, addr(), NOW);
        records.insert(key(1), goes, addr(), NOW);
        records.remove_provider(&key(1), &goes);
        let changes = records.take_changes();
        assert_eq!(changes.len(), 2);
        assert_eq!(records.take_changes(), []);

        let mut again = map(local);
        for saved in changes {
            if let Some((addrs, expires)) = &saved.kept {
                let decoded = Saved::decode(&saved.encode_key(), &encode_addrs(addrs), *expires);
                assert_eq!(decoded.as_ref(), Some(&saved));
                again.restore(decoded.unwrap(), NOW);
            }
        }
        assert_eq!(again.holders(&key(1), NOW), [stays]);
        assert_eq!(again.addrs(&stays), addr());
        assert_eq!(again.take_changes(), [], "what was loaded need not be written again");
    }

    #[test]
    fn only_this_node_s_own_keys_come_in_through_kademlia() {
        let local = PeerId::random();
        let mut records = map(local);
        assert!(records.add_provider(ProviderRecord::new(key(1), local, Vec::new())).is_ok());
        assert!(
            records.add_provider(ProviderRecord::new(key(1), PeerId::random(), addr())).is_err()
        );
        assert_eq!(records.holders(&key(1), NOW), [local]);
        assert_eq!(records.take_changes(), [], "own keys are the library's to remember");
    }

    proptest::proptest! {
        #[test]
        fn no_saved_bytes_panic(key: Vec<u8>, value: Vec<u8>) {
            let _ = Saved::decode(&key, &value, NOW);
        }
    }
}
