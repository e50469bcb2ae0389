//! The DHT as this node uses it: announcing what the library says, finding providers, answering others.
//!
//! The set of keys to announce is the caller's decision: only content whose visibility allows `Audience::LanDht`
//! belongs in it, nothing here checks that. Kademlia's own republication is off; this announces at once and by
//! [`Schedule`]. With an empty table nothing is sent, so nothing counts as announced. Records of names are not here
//! but in `names`. Design section 6.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant, SystemTime};

use libp2p::kad::{
    AddProviderOk, Behaviour, Event, GetProvidersOk, InboundRequest, QueryId, QueryResult,
    RecordKey as Key,
};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;

use super::Announced;
use super::policy::Policy;
use super::records::Records;
use super::schedule::Schedule;
use crate::dag::Cid;
use crate::exchange::SessionId;
use crate::limits;

type Kademlia = Behaviour<Records>;

/// Who wants to know the providers of a key.
pub(super) enum Watcher {
    /// A caller of `find_providers`; a full or closed channel loses only its own answers.
    Caller(mpsc::Sender<PeerId>),
    /// A fetch.
    Session(SessionId),
}

/// What a query brought to a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A provider, and the addresses known of it.
    Provider { session: SessionId, peer: PeerId, addrs: Vec<Multiaddr> },
    /// One of the session's queries is over.
    Finished { session: SessionId },
}

/// Announcements and queries under way.
pub(super) struct Dht {
    local: PeerId,
    announced: HashMap<Key, Announcement>,
    announcing: HashMap<QueryId, Key>,
    searches: HashMap<QueryId, Search>,
    /// Peers in the routing table, as of the last look.
    table: usize,
    found: VecDeque<Found>,
}

struct Announcement {
    cid: Cid,
    at: Option<SystemTime>,
    schedule: Schedule,
}

struct Search {
    key: Key,
    watchers: Vec<Watcher>,
    found: HashSet<PeerId>,
}

impl Dht {
    pub(super) fn new(local: PeerId) -> Self {
        Self {
            local,
            announced: HashMap::new(),
            announcing: HashMap::new(),
            searches: HashMap::new(),
            table: 0,
            found: VecDeque::new(),
        }
    }

    /// Adds keys to the announce set. False when they do not fit: then none is added.
    pub(super) fn announce(&mut self, cids: Vec<Cid>, now: Instant) -> bool {
        let new = cids.iter().filter(|cid| !self.announced.contains_key(&key_of(cid))).count();
        if self.announced.len() + new > limits::ANNOUNCED_MAX {
            return false;
        }
        for cid in cids {
            let fresh = Announcement { cid, at: None, schedule: Schedule::at_once(now) };
            self.announced.entry(key_of(&cid)).or_insert(fresh);
        }
        true
    }

    /// Takes keys out of it; records at other peers expire by themselves.
    pub(super) fn withdraw(&mut self, kad: &mut Kademlia, cids: &[Cid]) {
        for cid in cids {
            let key = key_of(cid);
            self.announced.remove(&key);
            kad.stop_providing(&key);
        }
    }

    /// The announce set.
    pub(super) fn announced(&self) -> Vec<Announced> {
        self.announced.values().map(|one| Announced { cid: one.cid, at: one.at }).collect()
    }

    /// Peers in the routing table.
    pub(super) fn table(&self) -> usize {
        self.table
    }

    /// Looks for providers of a key. A second search for the same key joins the first. False: too many searches.
    pub(super) fn find(&mut self, kad: &mut Kademlia, cid: &Cid, watcher: Watcher) -> bool {
        let key = key_of(cid);
        if let Some(search) = self.searches.values_mut().find(|search| search.key == key) {
            if search.watchers.len() >= limits::WATCHERS_MAX {
                return false;
            }
            let local = self.local;
            for peer in search.found.iter().filter(|peer| **peer != local) {
                tell(&watcher, *peer, Vec::new(), &mut self.found);
            }
            search.watchers.push(watcher);
            return true;
        }
        if self.searches.len() >= limits::SEARCHES_MAX {
            return false;
        }
        let id = kad.get_providers(key.clone());
        let search = Search { key, watchers: vec![watcher], found: HashSet::new() };
        self.searches.insert(id, search);
        true
    }

    /// Forgets a session's interest; its queries go on for whoever else waits.
    pub(super) fn close_session(&mut self, kad: &mut Kademlia, session: SessionId) {
        self.searches.retain(|id, search| {
            search
                .watchers
                .retain(|watcher| !matches!(watcher, Watcher::Session(one) if *one == session));
            if search.watchers.is_empty()
                && let Some(mut query) = kad.query_mut(id)
            {
                query.finish();
            }
            !search.watchers.is_empty()
        });
    }

    /// What the queries brought to sessions since the last call.
    pub(super) fn poll_found(&mut self) -> Option<Found> {
        self.found.pop_front()
    }

    /// Sends what is due, as many at once as the bound allows.
    pub(super) fn tick(&mut self, kad: &mut Kademlia, now: Instant) {
        self.table = kad.kbuckets().map(|bucket| bucket.num_entries()).sum();
        if self.table == 0 {
            return;
        }
        let room = limits::ANNOUNCING_MAX.saturating_sub(self.announcing.len());
        let table = self.table;
        let due: Vec<Key> = self
            .announced
            .iter()
            .filter(|(_, one)| one.schedule.is_due(now, table))
            .map(|(key, _)| key.clone())
            .take(room)
            .collect();
        for key in due {
            let Some(one) = self.announced.get_mut(&key) else { continue };
            match kad.start_providing(key.clone()) {
                Ok(id) => {
                    one.schedule.begin(table);
                    self.announcing.insert(id, key);
                }
                Err(error) => {
                    tracing::warn!(cid = %one.cid, ?error, "cannot announce");
                    one.schedule.end(now, false);
                }
            }
        }
    }

    /// Takes an event of Kademlia's in. `via` gives the address a peer is connected from.
    pub(super) fn on_event(
        &mut self,
        kad: &mut Kademlia,
        event: Event,
        policy: &Policy,
        via: impl Fn(&PeerId) -> Option<Multiaddr>,
    ) {
        match event {
            Event::InboundRequest {
                request: InboundRequest::AddProvider { record: Some(record) },
            } => {
                // That the provider is the sender, kad has checked.
                let addrs = policy.sanitise(&record.addresses, via(&record.provider).as_ref());
                let now = SystemTime::now();
                if !kad.store_mut().insert(record.key, record.provider, addrs, now) {
                    tracing::debug!(peer = %record.provider, "provider record refused");
                }
            }
            Event::OutboundQueryProgressed { id, result, stats, step } => match result {
                QueryResult::StartProviding(outcome) => {
                    let reached = stats.num_successes() > 0;
                    self.on_announced(id, outcome.is_ok_and(|AddProviderOk { .. }| reached));
                }
                QueryResult::GetProviders(outcome) => {
                    if let Ok(GetProvidersOk::FoundProviders { providers, .. }) = outcome {
                        self.on_providers(kad, id, providers);
                    }
                    if step.last {
                        self.finish(id);
                    }
                }
                _ => {}
            },
            Event::RoutingUpdated { .. } => self.tick(kad, Instant::now()),
            _ => {}
        }
    }

    fn on_announced(&mut self, id: QueryId, reached: bool) {
        let Some(key) = self.announcing.remove(&id) else { return };
        let Some(one) = self.announced.get_mut(&key) else { return };
        one.schedule.end(Instant::now(), reached);
        if reached {
            one.at = Some(SystemTime::now());
        }
    }

    fn on_providers(&mut self, kad: &mut Kademlia, id: QueryId, providers: HashSet<PeerId>) {
        let Some(search) = self.searches.get_mut(&id) else { return };
        for peer in providers {
            if peer == self.local
                || search.found.len() >= limits::PROVIDERS_MAX
                || !search.found.insert(peer)
            {
                continue;
            }
            let addrs = kad.store_mut().addrs(&peer).to_vec();
            for watcher in &search.watchers {
                tell(watcher, peer, addrs.clone(), &mut self.found);
            }
        }
    }

    fn finish(&mut self, id: QueryId) {
        let Some(search) = self.searches.remove(&id) else { return };
        for watcher in search.watchers {
            if let Watcher::Session(session) = watcher {
                self.found.push_back(Found::Finished { session });
            }
        }
    }
}

fn tell(watcher: &Watcher, peer: PeerId, addrs: Vec<Multiaddr>, found: &mut VecDeque<Found>) {
    match watcher {
        Watcher::Caller(caller) => drop(caller.try_send(peer)),
        Watcher::Session(session) => {
            found.push_back(Found::Provider { session: *session, peer, addrs });
        }
    }
}

/// The DHT's key for content: its multihash (libp2p kad-dht spec, "content provider advertisement").
pub(super) fn key_of(cid: &Cid) -> Key {
    Key::from(cid.hash().to_bytes())
}

/// How long until the next look at what is due.
pub(super) const TICK: Duration = Duration::from_secs(1);
