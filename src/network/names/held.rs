//! The names' records that this node holds for one DHT: a bounded map in memory.
//!
//! Kademlia asks it inside the swarm's poll, so nothing here touches the disk: changes are collected and written
//! behind (`saved`). Expiry is by the wall clock. Both clocks are arguments.
//!
//! Invariants: every record was verified under the name that it is held for, fits the map's [`Scope`], and takes the
//! place of older ones only. Whoever first brought a name is charged with it, and nobody else later: a peer that
//! sends what others hold cannot draw it into its own lot. When the map is full, the peer whose names weigh most loses
//! its oldest; the records published here are never lost to others. A flood from many identities is not told from
//! many peers (the same holds for provider records).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use libp2p::PeerId;
use libp2p::kad::RecordKey as Key;

use super::saved::Saved;
use crate::card::did::PublisherId;
use crate::card::index::Scope;
use crate::card::ipns::{Record, name};
use crate::card::statement::Timestamp;
use crate::limits;
use crate::network::schedule::Schedule;

/// Who brought a name. The first ones keep it from those below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::network) enum Source {
    /// It was published here.
    Own,
    /// It was resolved here.
    Asked,
    /// A peer put it.
    Peer(PeerId),
}

/// Why a record is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::network) enum Refused {
    /// It is signed for the other DHT.
    OtherDht,
    /// It has ended.
    Expired,
    /// A newer one is held, of this sequence.
    Older { held: u64 },
    /// As many names as may be are published here.
    Full,
}

/// The map.
pub(in crate::network) struct Held {
    scope: Scope,
    names: HashMap<Key, Name>,
    sources: HashMap<Source, Brought>,
    weight: usize,
    /// Counts names as they come.
    order: u64,
    /// Names whose record differs from what was last written behind.
    changed: HashSet<Key>,
}

struct Name {
    record: Record,
    source: Source,
    order: u64,
    schedule: Schedule,
}

/// What one source brought.
#[derive(Default)]
struct Brought {
    weight: usize,
    /// Oldest first.
    names: BTreeMap<u64, Key>,
}

impl Held {
    /// An empty map for one DHT.
    pub(in crate::network) fn new(scope: Scope) -> Self {
        Self {
            scope,
            names: HashMap::new(),
            sources: HashMap::new(),
            weight: 0,
            order: 0,
            changed: HashSet::new(),
        }
    }

    /// The DHT it is for.
    pub(in crate::network) fn scope(&self) -> Scope {
        self.scope
    }

    /// Holds a record, unless a newer one is held. `table`: peers in the routing table. Says whether it is another
    /// one than before.
    ///
    /// # Errors
    /// [`Refused`]; [`Refused::Full`] only to [`Source::Own`].
    pub(in crate::network) fn take(
        &mut self,
        record: Record,
        source: Source,
        table: usize,
        now: Instant,
        wall: Timestamp,
    ) -> Result<bool, Refused> {
        if !record.fits(self.scope) {
            return Err(Refused::OtherDht);
        }
        if record.is_expired(wall) {
            return Err(Refused::Expired);
        }
        let key = key_of(record.publisher());
        let before = self.names.get(&key);
        if let Some(before) = before
            && before.record.is_newer_than(&record)
            && !before.record.is_expired(wall)
        {
            return Err(Refused::Older { held: before.record.sequence() });
        }
        let is_new = before.is_none_or(|before| before.record != record);
        let was_own = before.is_some_and(|before| before.source == Source::Own);
        let own = self.sources.get(&Source::Own).map_or(0, |own| own.names.len());
        if source == Source::Own && !was_own && own >= limits::NAMES_OWN_MAX {
            return Err(Refused::Full);
        }
        let before = self.remove(&key);
        let brought_by = before.as_ref().map(|before| before.source);
        let (source, order) = match &before {
            Some(before) if before.source.keeps_from(&source) => (before.source, before.order),
            _ => (source, self.count()),
        };
        let schedule = match before {
            Some(before) if !is_new => before.schedule,
            _ if source == Source::Own => Schedule::at_once(now),
            _ => Schedule::received(now, table),
        };
        let name = Name { record, source, order, schedule };
        self.make_room(name.weight());
        self.insert(key.clone(), name);
        if is_new || brought_by != Some(source) {
            self.changed.insert(key);
        }
        Ok(is_new)
    }

    /// The record held under a key of the DHT, unless it has ended.
    pub(in crate::network) fn get(&self, key: &Key, wall: Timestamp) -> Option<&Record> {
        self.names.get(key).map(|name| &name.record).filter(|record| !record.is_expired(wall))
    }

    /// Whether exactly these bytes are held, so that they need not be verified.
    pub(in crate::network) fn has(&self, key: &Key, bytes: &[u8]) -> bool {
        self.names.get(key).is_some_and(|name| name.record.bytes() == bytes)
    }

    /// Records held.
    pub(in crate::network) fn len(&self) -> usize {
        self.names.len()
    }

    /// Up to `room` names whose record is to be put to the closest peers, the own ones first; of one peer's only those
    /// that it brought first.
    pub(in crate::network) fn due(
        &self,
        now: Instant,
        wall: Timestamp,
        table: usize,
        room: usize,
    ) -> Vec<Key> {
        let mut sources: Vec<_> = self.sources.iter().collect();
        sources.sort_unstable_by_key(|(source, _)| **source);
        let is_due = |key: &&Key| {
            self.names.get(*key).is_some_and(|name| {
                name.schedule.is_due(now, table) && !name.record.is_expired(wall)
            })
        };
        let keys = sources
            .into_iter()
            .flat_map(|(_, brought)| brought.names.values().take(limits::NAMES_SPREAD));
        keys.filter(is_due).take(room).cloned().collect()
    }

    /// When the record of a name is put again.
    pub(in crate::network) fn schedule(&mut self, key: &Key) -> Option<&mut Schedule> {
        self.names.get_mut(key).map(|name| &mut name.schedule)
    }

    /// Drops what has ended.
    pub(in crate::network) fn expire(&mut self, wall: Timestamp) {
        let ended = self.names.iter().filter(|(_, name)| name.record.is_expired(wall));
        let ended: Vec<Key> = ended.map(|(key, _)| key.clone()).collect();
        for key in ended {
            self.drop_name(&key);
        }
    }

    /// Puts back a record that was saved.
    pub(in crate::network) fn restore(&mut self, saved: Saved, now: Instant, wall: Timestamp) {
        if saved.scope == self.scope
            && let Some((source, record)) = saved.kept
            && self.take(record, source, 0, now, wall).is_ok()
        {
            self.changed.remove(&Key::from(saved.key));
        }
    }

    /// What changed since the last call, to be written behind.
    pub(in crate::network) fn take_changes(&mut self) -> Vec<Saved> {
        let changed = std::mem::take(&mut self.changed);
        let saved = |key: Key| {
            let name = self.names.get(&key);
            let kept = name.map(|name| (name.source, name.record.clone()));
            Saved { scope: self.scope, key: key.to_vec(), kept }
        };
        changed.into_iter().map(saved).collect()
    }

    fn count(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    fn insert(&mut self, key: Key, name: Name) {
        let brought = self.sources.entry(name.source).or_default();
        brought.weight += name.weight();
        brought.names.insert(name.order, key.clone());
        self.weight += name.weight();
        self.names.insert(key, name);
    }

    fn remove(&mut self, key: &Key) -> Option<Name> {
        let name = self.names.remove(key)?;
        self.weight -= name.weight();
        if let Some(brought) = self.sources.get_mut(&name.source) {
            brought.weight -= name.weight();
            brought.names.remove(&name.order);
            if brought.names.is_empty() {
                self.sources.remove(&name.source);
            }
        }
        Some(name)
    }

    fn drop_name(&mut self, key: &Key) {
        if self.remove(key).is_some() {
            self.changed.insert(key.clone());
        }
    }

    fn make_room(&mut self, weight: usize) {
        while self.weight + weight > limits::NAMES_BYTES {
            let others = self.sources.iter().filter(|(source, _)| **source != Source::Own);
            let largest = others.max_by_key(|(_, brought)| brought.weight);
            let oldest = largest.and_then(|(_, brought)| brought.names.values().next().cloned());
            // Own ones alone never fill it.
            let Some(key) = oldest else { return };
            self.drop_name(&key);
        }
    }
}

impl Source {
    /// Whether a name that this one brought stays its own when the other brings it too.
    fn keeps_from(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Peer(_), Self::Peer(_))) || self <= other
    }
}

impl Name {
    /// Bytes of memory, about: the record is held as it came and as it was read.
    fn weight(&self) -> usize {
        self.record.bytes().len() + self.record.value().len() + limits::NAME_OVERHEAD
    }
}

/// The DHT's key for a publisher's name.
pub(in crate::network) fn key_of(publisher: &PublisherId) -> Key {
    Key::new(&name::dht_key(publisher))
}

/// The wall clock as records know it. A clock before 1970 ends nothing, one after 9999 everything.
pub(in crate::network) fn wall(now: SystemTime) -> Timestamp {
    const LAST: i64 = 253_402_300_799;
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let seconds = i64::try_from(seconds).unwrap_or(LAST).min(LAST);
    Timestamp::from_unix(seconds).expect("between 1970 and 9999")
}

#[cfg(test)]
mod tests;
