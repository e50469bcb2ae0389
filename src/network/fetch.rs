//! One fetch, as far as it concerns peers: whom the DHT named, who is being dialled, what its caller is told of that.

use std::collections::{HashMap, HashSet};

use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, watch};

use super::Sources;
use super::session::Delivery;
use crate::dag::Cid;
use crate::limits;

/// The fetch.
pub(super) struct Fetch {
    /// Where its caller receives.
    pub(super) deliveries: mpsc::Sender<Delivery>,
    counts: watch::Sender<Sources>,
    hints: Vec<Cid>,
    found: HashSet<PeerId>,
    /// Found, and not connected.
    waiting: HashMap<PeerId, Waiting>,
    searches: usize,
    /// Size of the routing table when the hints were last looked for.
    table: usize,
}

enum Waiting {
    /// For its turn.
    Queued(Vec<Multiaddr>),
    Dialled,
    Unreachable,
}

impl Fetch {
    /// A fetch that begins while the routing table has this many peers.
    pub(super) fn new(
        mut hints: Vec<Cid>,
        deliveries: mpsc::Sender<Delivery>,
        counts: watch::Sender<Sources>,
        table: usize,
    ) -> Self {
        hints.truncate(limits::SESSION_HINTS);
        Self {
            deliveries,
            counts,
            hints,
            found: HashSet::new(),
            waiting: HashMap::new(),
            searches: 0,
            table,
        }
    }

    /// The CIDs to look for now: the hints, and this one.
    pub(super) fn begin_search(&mut self, cid: Option<Cid>) -> Vec<Cid> {
        let mut cids = self.hints.clone();
        cids.extend(cid.filter(|cid| !self.hints.contains(cid)));
        self.searches += cids.len();
        cids
    }

    pub(super) fn search_finished(&mut self) {
        self.searches = self.searches.saturating_sub(1);
    }

    pub(super) fn is_searching(&self) -> bool {
        self.searches > 0
    }

    /// Whether the routing table has at least doubled since the last search, which then is worth repeating.
    pub(super) fn outgrown(&mut self, table: usize) -> bool {
        let outgrown = !self.is_searching() && table > self.table && table >= 2 * self.table;
        if outgrown {
            self.table = table;
        }
        outgrown
    }

    /// The DHT named a provider that is a source already.
    pub(super) fn found_connected(&mut self, peer: PeerId) {
        if self.found.len() < limits::PROVIDERS_MAX {
            self.found.insert(peer);
        }
    }

    /// The DHT named a provider. One that could not be reached before has another chance.
    pub(super) fn found(&mut self, peer: PeerId, addrs: Vec<Multiaddr>) {
        let again = matches!(self.waiting.get(&peer), Some(Waiting::Unreachable));
        let new = self.found.len() < limits::PROVIDERS_MAX && self.found.insert(peer);
        if new || again {
            self.waiting.insert(peer, Waiting::Queued(addrs));
        }
    }

    /// A peer is connected.
    pub(super) fn reached(&mut self, peer: &PeerId) {
        self.waiting.remove(peer);
    }

    /// A dial reached nobody.
    pub(super) fn unreachable(&mut self, peer: &PeerId) {
        if let Some(waiting) = self.waiting.get_mut(peer) {
            *waiting = Waiting::Unreachable;
        }
    }

    /// Whom to dial now.
    pub(super) fn next_dials(&mut self) -> Vec<(PeerId, Vec<Multiaddr>)> {
        let dialled = self.waiting.values().filter(|one| matches!(one, Waiting::Dialled)).count();
        let room = limits::SESSION_DIALS.saturating_sub(dialled);
        let mut dials = Vec::new();
        for (peer, waiting) in &mut self.waiting {
            if dials.len() == room {
                break;
            }
            if let Waiting::Queued(addrs) = waiting {
                dials.push((*peer, std::mem::take(addrs)));
                *waiting = Waiting::Dialled;
            }
        }
        dials
    }

    /// Tells the caller, if anything changed.
    pub(super) fn publish(&self, asked: usize, connected: usize, reaching: bool, dht_peers: usize) {
        let unreachable =
            self.waiting.values().filter(|one| matches!(one, Waiting::Unreachable)).count();
        let counts = Sources {
            asked,
            connected,
            found: self.found.len(),
            unreachable,
            searching: self.is_searching() || self.waiting.len() > unreachable || reaching,
            dht_peers,
        };
        self.counts.send_if_modified(|old| std::mem::replace(old, counts) != counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch() -> (Fetch, watch::Receiver<Sources>) {
        let (counts, told) = watch::channel(Sources::default());
        (Fetch::new(Vec::new(), mpsc::channel(1).0, counts, 0), told)
    }

    #[test]
    fn providers_are_dialled_a_few_at_once_and_all_in_the_end() {
        let (mut fetch, told) = fetch();
        for _ in 0..3 * limits::SESSION_DIALS {
            fetch.found(PeerId::random(), Vec::new());
        }
        let mut dialled = 0;
        loop {
            let dials = fetch.next_dials();
            if dials.is_empty() {
                break;
            }
            assert!(dials.len() <= limits::SESSION_DIALS);
            assert!(fetch.next_dials().is_empty(), "no more until these have ended");
            dialled += dials.len();
            for (n, (peer, _)) in dials.iter().enumerate() {
                if n % 2 == 0 { fetch.reached(peer) } else { fetch.unreachable(peer) }
            }
        }
        assert_eq!(dialled, 3 * limits::SESSION_DIALS);
        fetch.publish(0, 0, false, 1);
        let counts = *told.borrow();
        assert_eq!((counts.found, counts.unreachable), (dialled, dialled / 2));
        assert!(!counts.searching);
    }

    #[test]
    fn a_provider_named_again_after_a_failed_dial_is_dialled_again() {
        let (mut fetch, _told) = fetch();
        let peer = PeerId::random();
        fetch.found(peer, Vec::new());
        assert_eq!(fetch.next_dials().len(), 1);
        fetch.found(peer, Vec::new());
        assert_eq!(fetch.next_dials().len(), 0, "being dialled");
        fetch.unreachable(&peer);
        fetch.found(peer, Vec::new());
        assert_eq!(fetch.next_dials().len(), 1);
    }

    #[test]
    fn a_search_is_repeated_when_the_routing_table_has_doubled() {
        let (mut fetch, _told) = fetch();
        assert!(!fetch.outgrown(0));
        let grown: Vec<usize> = (0..=20).filter(|table| fetch.outgrown(*table)).collect();
        assert_eq!(grown, [1, 2, 4, 8, 16]);
    }
}
