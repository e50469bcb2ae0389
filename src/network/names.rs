//! Names in the DHT: publishing records, resolving them, and holding those of others until they end.
//!
//! What a record is and whether it holds is `card::ipns`; which ones are held is [`Held`]. This puts them to the
//! peers closest to their key, by [`Schedule`](super::schedule::Schedule) and whoever published them, so that a name
//! outlives its publisher's absence, and asks others for them. Kademlia's own caching, replication and republication
//! are off, and its filter hands every record that comes in over before it is stored: none is held that was not
//! verified here.
//!
//! One of these, with its [`Held`], belongs to one DHT: a record that was signed for the other one is refused from
//! peers, from the application and from the disk alike, so it is never stored, answered or put there.
//!
//! A peer that refuses a record acknowledges it all the same (Kademlia's answer to a PUT carries no verdict):
//! "took it" means no more than that. IPNS specification, "Record Verification"; libp2p kad-dht, "Entry validation".

mod held;
mod resolve;
mod saved;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant, SystemTime};

use libp2p::PeerId;
use libp2p::kad::{
    Behaviour, Event, GetRecordOk, InboundRequest, K_VALUE, PutRecordError, PutRecordResult,
    QueryId, QueryResult, Quorum, Record as Entry, RecordKey as Key,
};
use tokio::sync::oneshot;

use super::Error;
use super::records::Records;
use crate::card::did::PublisherId;
use crate::card::ipns::{Record, name};
use crate::limits;

pub(super) use held::{Held, key_of, wall};
use held::{Refused, Source};
use resolve::{Reply, Resolve};
pub(super) use saved::Saved;

type Kademlia = Behaviour<Records>;

/// Time over which records sent and verified are counted.
const SECOND: Duration = Duration::from_secs(1);

/// Puts and queries under way.
pub(super) struct Names {
    puts: HashMap<QueryId, Key>,
    /// Who wants to know how many peers took the own record of a name.
    publishing: HashMap<Key, Vec<oneshot::Sender<Result<usize, Error>>>>,
    resolves: HashMap<QueryId, Resolve>,
    corrections: HashSet<QueryId>,
    /// When the second began that the following two count.
    second: Instant,
    /// Puts begun.
    begun: usize,
    /// Records verified, by the peer they came from.
    checked: HashMap<PeerId, usize>,
}

impl Names {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            puts: HashMap::new(),
            publishing: HashMap::new(),
            resolves: HashMap::new(),
            corrections: HashSet::new(),
            second: now,
            begun: 0,
            checked: HashMap::new(),
        }
    }

    /// Holds a record as published here and puts it to the closest of `table` peers; the reply comes when that is
    /// over, at once without any.
    pub(super) fn publish(
        &mut self,
        kad: &mut Kademlia,
        record: Record,
        table: usize,
        reply: oneshot::Sender<Result<usize, Error>>,
    ) {
        let (now, wall) = (Instant::now(), wall(SystemTime::now()));
        let key = key_of(record.publisher());
        if self.publishing.get(&key).is_some_and(|those| those.len() >= limits::WATCHERS_MAX) {
            return too_many(reply, "calls to publish a name", limits::WATCHERS_MAX);
        }
        let held = &mut kad.store_mut().names;
        match held.take(record.clone(), Source::Own, table, now, wall) {
            Err(refused) => return drop(reply.send(Err(explain(refused, &record)))),
            Ok(true) => self.puts.retain(|_, one| *one != key),
            Ok(false) => {}
        }
        if let Some(schedule) = held.schedule(&key) {
            schedule.hurry(now);
        }
        self.publishing.entry(key).or_default().push(reply);
        self.tick(kad, table);
    }

    /// Asks the DHT for a publisher's record. A second caller for the same name joins the first.
    pub(super) fn resolve(
        &mut self,
        kad: &mut Kademlia,
        publisher: PublisherId,
        within: Duration,
        reply: Reply,
    ) {
        let key = key_of(&publisher);
        let same = self.resolves.iter().find(|(_, one)| one.key() == key).map(|(id, _)| *id);
        if let Some(one) = same.and_then(|id| self.resolves.get_mut(&id)) {
            if one.watchers.len() < limits::WATCHERS_MAX {
                return one.watchers.push(reply);
            }
            return too_many(reply, "calls to resolve a name", limits::WATCHERS_MAX);
        }
        if self.resolves.len() >= limits::NAME_RESOLVES {
            return too_many(reply, "names being resolved", limits::NAME_RESOLVES);
        }
        let scope = kad.store_mut().names.scope();
        let until = Instant::now() + within.min(limits::NAME_RESOLVE_TIME);
        let resolve = Resolve::new(publisher, scope, reply, until);
        self.resolves.insert(kad.get_record(key), resolve);
    }

    /// Puts what is due, as much as the bounds allow, and ends what takes too long.
    pub(super) fn tick(&mut self, kad: &mut Kademlia, table: usize) {
        let (now, wall) = (Instant::now(), wall(SystemTime::now()));
        if now >= self.second + SECOND {
            (self.second, self.begun) = (now, 0);
            self.checked.clear();
        }
        for (id, _) in self.resolves.iter().filter(|(_, one)| now >= one.until) {
            if let Some(mut query) = kad.query_mut(id) {
                query.finish();
            }
        }
        let room = limits::NAME_PUTS.saturating_sub(self.puts.len());
        let room = room.min(limits::NAME_PUTS_PER_SECOND.saturating_sub(self.begun));
        for key in kad.store_mut().names.due(now, wall, table, room) {
            let Some(record) = kad.store_mut().names.get(&key, wall) else { continue };
            let entry = entry(key.clone(), record);
            let begun = kad.put_record(entry, Quorum::All);
            let Some(schedule) = kad.store_mut().names.schedule(&key) else { continue };
            match begun {
                Ok(id) => {
                    schedule.begin(table);
                    self.puts.insert(id, key);
                    self.begun += 1;
                }
                Err(error) => {
                    tracing::warn!(?error, "cannot put a name's record");
                    schedule.end(now, false);
                }
            }
        }
        // Nobody to send it to, or nothing to send any more.
        let held = &kad.store_mut().names;
        let over: Vec<Key> = self
            .publishing
            .keys()
            .filter(|key| table == 0 || held.get(key, wall).is_none())
            .cloned()
            .collect();
        for key in over {
            self.tell(&key, 0);
        }
    }

    /// Takes an event of Kademlia's in; gives it back if it is not about names.
    pub(super) fn on_event(
        &mut self,
        kad: &mut Kademlia,
        event: Event,
        table: usize,
    ) -> Option<Event> {
        match event {
            Event::InboundRequest {
                request: InboundRequest::PutRecord { source, record: Some(entry), .. },
            } => self.on_put(kad, source, entry, table),
            Event::OutboundQueryProgressed {
                id, result: QueryResult::PutRecord(outcome), ..
            } => self.on_put_ended(kad, id, &outcome),
            Event::OutboundQueryProgressed {
                id,
                result: QueryResult::GetRecord(outcome),
                step,
                ..
            } => {
                let mut without = Vec::new();
                match outcome {
                    Ok(GetRecordOk::FoundRecord(found)) => {
                        // One without a peer is the one held here.
                        if let (Some(peer), Some(resolve)) =
                            (found.peer, self.resolves.get_mut(&id))
                        {
                            resolve.answer(peer, found.record.value, wall(SystemTime::now()));
                        }
                    }
                    Ok(GetRecordOk::FinishedWithNoAdditionalRecord { cache_candidates }) => {
                        without = cache_candidates.into_values().collect();
                    }
                    Err(_) => {}
                }
                if step.last {
                    self.on_resolved(kad, id, without, table);
                }
            }
            other => return Some(other),
        }
        None
    }

    /// A peer's PUT: held if it is a name's newest record, else dropped.
    fn on_put(&mut self, kad: &mut Kademlia, source: PeerId, entry: Entry, table: usize) {
        let held = &mut kad.store_mut().names;
        // Most come again and again.
        if entry.value.len() > limits::IPNS_RECORD_MAX || held.has(&entry.key, &entry.value) {
            return;
        }
        let all: usize = self.checked.values().sum();
        let of_it = self.checked.get(&source).copied().unwrap_or(0);
        if all >= limits::NAME_CHECKS || of_it >= limits::NAME_CHECKS_PER_PEER {
            tracing::debug!(peer = %source, "too many names' records a second");
            return;
        }
        self.checked.insert(source, of_it + 1);
        let Some(publisher) = name::from_dht_key(entry.key.as_ref()) else { return };
        let (now, wall) = (Instant::now(), wall(SystemTime::now()));
        let taken = Record::verify(&publisher, entry.value)
            .map(|record| held.take(record, Source::Peer(source), table, now, wall));
        match taken {
            Ok(Ok(true)) => self.puts.retain(|_, one| *one != entry.key),
            Ok(Ok(false)) => {}
            Ok(Err(refused)) => tracing::debug!(peer = %source, ?refused, "name's record refused"),
            Err(error) => tracing::debug!(peer = %source, %error, "name's record refused"),
        }
    }

    fn on_put_ended(&mut self, kad: &mut Kademlia, id: QueryId, outcome: &PutRecordResult) {
        self.corrections.remove(&id);
        let Some(key) = self.puts.remove(&id) else { return };
        let took = match outcome {
            Ok(_) => K_VALUE.get(),
            Err(
                PutRecordError::QuorumFailed { success, .. }
                | PutRecordError::Timeout { success, .. },
            ) => success.len(),
        };
        if let Some(schedule) = kad.store_mut().names.schedule(&key) {
            schedule.end(Instant::now(), took > 0);
        }
        self.tell(&key, took);
    }

    /// Answers those who asked, holds the newest, and sends it to the peers asked that have another or none.
    fn on_resolved(&mut self, kad: &mut Kademlia, id: QueryId, without: Vec<PeerId>, table: usize) {
        let Some(mut resolve) = self.resolves.remove(&id) else { return };
        let (now, wall) = (Instant::now(), wall(SystemTime::now()));
        let held = &mut kad.store_mut().names;
        if let Some(record) = held.get(&resolve.key(), wall) {
            resolve.hold(record);
        }
        let (best, to_tell, watchers) = resolve.end(without);
        if let Some(record) = &best {
            let key = key_of(record.publisher());
            if let Ok(true) = held.take(record.clone(), Source::Asked, table, now, wall) {
                self.puts.retain(|_, one| *one != key);
            }
            if !to_tell.is_empty() && self.corrections.len() < limits::NAME_CORRECTIONS {
                let entry = entry(key, record);
                let correction = kad.put_record_to(entry, to_tell.into_iter(), Quorum::All);
                self.corrections.insert(correction);
            }
        }
        for watcher in watchers {
            drop(watcher.send(Ok(best.clone())));
        }
    }

    fn tell(&mut self, key: &Key, took: usize) {
        for reply in self.publishing.remove(key).into_iter().flatten() {
            drop(reply.send(Ok(took)));
        }
    }
}

/// What goes to peers and to Kademlia.
pub(super) fn entry(key: Key, record: &Record) -> Entry {
    Entry { key, value: record.bytes().to_vec(), publisher: None, expires: None }
}

fn too_many<T>(reply: oneshot::Sender<Result<T, Error>>, what: &'static str, max: usize) {
    drop(reply.send(Err(Error::TooMany { what, max })));
}

fn explain(refused: Refused, record: &Record) -> Error {
    let publisher = *record.publisher();
    match refused {
        Refused::OtherDht => Error::OtherDht { publisher },
        Refused::Expired => Error::RecordExpired { publisher, at: record.valid_until() },
        Refused::Older { held } => {
            Error::OlderRecord { publisher, sequence: record.sequence(), held }
        }
        Refused::Full => Error::TooMany { what: "names published", max: limits::NAMES_OWN_MAX },
    }
}

#[cfg(test)]
mod tests;
