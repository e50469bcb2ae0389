//! The address book: whom this node knows, who was given by hand, who is connected, who is not talked to for a while.
//!
//! It survives a restart (written behind to the store) and is bounded: the peer not seen for longest goes first,
//! never one that is connected or was given by hand. Peers given by hand are dialled again for as long as the node
//! runs, with a back-off that doubles and jitter, so that a rebooted lab does not dial itself down.

use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

use libp2p::swarm::ConnectionId;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};

use super::policy::{Policy, peer_of, without_peer};
use super::records::{decode_addrs, encode_addrs};
use crate::limits;

/// The book.
pub(super) struct Peers {
    policy: Policy,
    book: HashMap<PeerId, Entry>,
    blocked: HashMap<PeerId, Instant>,
}

/// One peer.
pub(super) struct Entry {
    addrs: Vec<Multiaddr>,
    pub(super) by_hand: bool,
    seen: SystemTime,
    pub(super) agent: String,
    pub(super) rtt: Option<Duration>,
    pub(super) connections: Vec<Connection>,
    redial: Option<Redial>,
    changed: bool,
}

/// One connection of a peer.
pub(super) struct Connection {
    id: ConnectionId,
    pub(super) remote: Multiaddr,
    pub(super) dialled: bool,
}

#[derive(Clone, Copy)]
struct Redial {
    at: Instant,
    wait: Duration,
    tried: bool,
}

impl Peers {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, book: HashMap::new(), blocked: HashMap::new() }
    }

    /// Marks a peer, by an address that names it, as given by hand: dialled at once and for ever.
    pub(super) fn add_by_hand(&mut self, addr: &Multiaddr, now: Instant) {
        let Some(peer) = peer_of(addr) else { return };
        let entry = self.entry(peer);
        entry.add_addr(without_peer(addr));
        entry.by_hand = true;
        entry.changed = true;
        if entry.connections.is_empty() {
            entry.redial = Some(Redial { at: now, wait: limits::REDIAL_FIRST, tried: false });
        }
    }

    /// Puts back what an earlier run saved. The few seen last are dialled.
    pub(super) fn restore(&mut self, saved: Vec<(PeerId, SavedPeer)>, now: Instant) {
        let mut saved = saved;
        saved.sort_by_key(|(_, one)| std::cmp::Reverse(one.seen));
        for (place, (peer, one)) in saved.into_iter().enumerate().take(limits::PEERS_MAX) {
            if one.by_hand {
                for addr in &one.addrs {
                    self.policy.add_by_hand(addr);
                }
                self.policy.add_peer_by_hand(peer);
            }
            let entry = self.entry(peer);
            entry.seen = entry.seen.max(one.seen);
            entry.by_hand |= one.by_hand;
            for addr in one.addrs {
                entry.add_addr(addr);
            }
            entry.changed = false;
            if entry.by_hand || place < limits::PEERS_DIALLED {
                let first = Redial { at: now, wait: limits::REDIAL_FIRST, tried: false };
                entry.redial.get_or_insert(first);
            }
        }
    }

    /// What changed since the last call, to be written behind.
    pub(super) fn take_changes(&mut self) -> Vec<(PeerId, SavedPeer)> {
        self.book
            .iter_mut()
            .filter(|(_, entry)| entry.changed && !entry.addrs.is_empty())
            .map(|(peer, entry)| {
                entry.changed = false;
                let (addrs, by_hand, seen) = (entry.addrs.clone(), entry.by_hand, entry.seen);
                (*peer, SavedPeer { addrs, by_hand, seen })
            })
            .collect()
    }

    /// A connection stands. Returns whether it is the peer's first.
    pub(super) fn on_connected(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        remote: Multiaddr,
        dialled: bool,
    ) -> bool {
        let by_hand = self.policy.is_by_hand(&peer);
        let entry = self.entry(peer);
        if dialled {
            // Where it was reached is where to look first.
            let addr = without_peer(&remote);
            entry.addrs.retain(|one| *one != addr);
            entry.addrs.insert(0, addr);
            entry.addrs.truncate(limits::ADDRS_PER_PEER);
        }
        entry.by_hand |= by_hand;
        entry.connections.insert(0, Connection { id, remote, dialled });
        entry.redial = None;
        entry.saw();
        entry.connections.len() == 1
    }

    /// A connection is gone. Returns whether it was the peer's last.
    pub(super) fn on_closed(&mut self, peer: &PeerId, id: ConnectionId, now: Instant) -> bool {
        let Some(entry) = self.book.get_mut(peer) else { return false };
        entry.connections.retain(|one| one.id != id);
        let last = entry.connections.is_empty();
        if last {
            entry.saw();
            entry.rtt = None;
            if entry.by_hand {
                let wait = limits::REDIAL_FIRST;
                entry.redial = Some(Redial { at: now + jittered(wait), wait, tried: true });
            }
        }
        last
    }

    /// A dial reached nobody.
    pub(super) fn on_dial_failed(&mut self, peer: &PeerId, now: Instant) {
        let Some(entry) = self.book.get_mut(peer) else { return };
        let Some(redial) = &mut entry.redial else { return };
        if entry.by_hand {
            redial.tried = true;
            redial.at = now + jittered(redial.wait);
            redial.wait = (redial.wait * 2).min(limits::REDIAL_MAX);
        } else {
            entry.redial = None;
        }
    }

    /// What a peer says of itself; returns its addresses as far as they are believed.
    pub(super) fn on_identified(
        &mut self,
        peer: PeerId,
        agent: &str,
        addrs: &[Multiaddr],
    ) -> Vec<Multiaddr> {
        let via = self.remote(&peer);
        let believed = self.policy.sanitise(addrs, via.as_ref());
        let entry = self.entry(peer);
        entry.agent = agent.chars().filter(|c| !c.is_control()).take(limits::AGENT_MAX).collect();
        for addr in &believed {
            entry.add_addr(addr.clone());
        }
        entry.changed = true;
        believed
    }

    pub(super) fn on_ping(&mut self, peer: &PeerId, rtt: Duration) {
        if let Some(entry) = self.book.get_mut(peer) {
            entry.rtt = Some(rtt);
        }
    }

    /// Dials that are due now. Each is counted as failed until it succeeds.
    pub(super) fn due(&mut self, now: Instant) -> Vec<DialOpts> {
        let mut dials = Vec::new();
        for (peer, entry) in &mut self.book {
            let Some(redial) = &mut entry.redial else { continue };
            if redial.at > now || self.blocked.contains_key(peer) {
                continue;
            }
            // Should the swarm say nothing of this dial, it is tried again all the same.
            redial.at = now + 2 * limits::HANDSHAKE_TIMEOUT;
            dials.push(
                DialOpts::peer_id(*peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(entry.addrs.clone())
                    .extend_addresses_through_behaviour()
                    .build(),
            );
        }
        dials
    }

    /// Whether a peer given by hand has not had its first chance yet.
    pub(super) fn is_reaching(&self) -> bool {
        self.book
            .values()
            .any(|entry| entry.redial.is_some_and(|redial| !redial.tried && entry.by_hand))
    }

    /// Blocks a peer for a while; returns whom to unblock to stay within bounds.
    pub(super) fn block(&mut self, peer: PeerId, now: Instant) -> Option<PeerId> {
        let full = self.blocked.len() >= limits::BLOCKED_MAX;
        let oldest = self.blocked.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer);
        let released = oldest.filter(|_| full);
        if let Some(released) = released {
            self.blocked.remove(&released);
        }
        self.blocked.insert(peer, now + limits::PENALTY);
        released
    }

    /// Whose block is over.
    pub(super) fn unblock(&mut self, now: Instant) -> Vec<PeerId> {
        let over: Vec<_> = self
            .blocked
            .iter()
            .filter(|(_, until)| **until <= now)
            .map(|(peer, _)| *peer)
            .collect();
        for peer in &over {
            self.blocked.remove(peer);
        }
        over
    }

    pub(super) fn is_blocked(&self, peer: &PeerId) -> bool {
        self.blocked.contains_key(peer)
    }

    /// Where a peer is connected.
    pub(super) fn remote(&self, peer: &PeerId) -> Option<Multiaddr> {
        let connection = self.book.get(peer)?.connections.first()?;
        Some(connection.remote.clone())
    }

    /// The connected peers.
    pub(super) fn connected(&self) -> impl Iterator<Item = (&PeerId, &Entry)> {
        self.book.iter().filter(|(_, entry)| !entry.connections.is_empty())
    }

    fn entry(&mut self, peer: PeerId) -> &mut Entry {
        if !self.book.contains_key(&peer) && self.book.len() >= limits::PEERS_MAX {
            let idle =
                self.book.iter().filter(|(_, one)| one.connections.is_empty() && !one.by_hand);
            if let Some(oldest) = idle.min_by_key(|(_, one)| one.seen).map(|(peer, _)| *peer) {
                self.book.remove(&oldest);
            }
        }
        self.book.entry(peer).or_insert_with(|| Entry {
            addrs: Vec::new(),
            by_hand: false,
            seen: SystemTime::UNIX_EPOCH,
            agent: String::new(),
            rtt: None,
            connections: Vec::new(),
            redial: None,
            changed: false,
        })
    }
}

impl Entry {
    fn add_addr(&mut self, addr: Multiaddr) {
        if !self.addrs.contains(&addr) && self.addrs.len() < limits::ADDRS_PER_PEER {
            self.addrs.push(addr);
        }
    }

    fn saw(&mut self) {
        self.seen = SystemTime::now();
        self.changed = true;
    }
}

/// A peer as it is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SavedPeer {
    pub(super) addrs: Vec<Multiaddr>,
    pub(super) by_hand: bool,
    pub(super) seen: SystemTime,
}

impl SavedPeer {
    /// One byte of flags, the time seen in seconds, the addresses.
    pub(super) fn encode(&self) -> Vec<u8> {
        let seen = self.seen.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut out = vec![u8::from(self.by_hand)];
        out.extend(seen.to_be_bytes());
        out.extend(encode_addrs(&self.addrs));
        out
    }

    /// Reads [`Self::encode`] back.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (flags, rest) = bytes.split_first()?;
        let (seen, rest) = rest.split_first_chunk::<8>()?;
        // A time of the far future would never be forgotten.
        let seen =
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::from_be_bytes(*seen)))?;
        Some(Self {
            addrs: decode_addrs(rest)?,
            by_hand: *flags == 1,
            seen: seen.min(SystemTime::now()),
        })
    }
}

/// A wait and up to a quarter more.
fn jittered(wait: Duration) -> Duration {
    wait + wait.mul_f64(rand::random_range(0.0..0.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> Peers {
        Peers::new(Policy::new(Vec::new()))
    }

    fn addr(peer: PeerId) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/1/p2p/{peer}").parse().unwrap()
    }

    #[test]
    fn a_peer_by_hand_is_dialled_again_ever_more_slowly_until_it_is_there() {
        let (mut peers, peer, start) = (peers(), PeerId::random(), Instant::now());
        peers.add_by_hand(&addr(peer), start);
        assert!(peers.is_reaching());
        let mut now = start;
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert_eq!(peers.due(now).len(), 1);
            assert_eq!(peers.due(now).len(), 0, "one at a time");
            peers.on_dial_failed(&peer, now);
            let at = peers.book[&peer].redial.unwrap().at;
            waits.push(at - now);
            now = at;
        }
        assert!(!peers.is_reaching());
        assert!(waits[0] >= limits::REDIAL_FIRST && waits[0] < 2 * limits::REDIAL_FIRST);
        assert!(waits[11] >= limits::REDIAL_MAX && waits[11] <= limits::REDIAL_MAX.mul_f64(1.25));
        peers.on_connected(peer, ConnectionId::new_unchecked(1), addr(peer), true);
        assert_eq!(peers.due(now + limits::REDIAL_MAX * 2).len(), 0);
        assert!(peers.on_closed(&peer, ConnectionId::new_unchecked(1), now));
        assert_eq!(peers.due(now + limits::REDIAL_FIRST * 2).len(), 1, "lost, so dialled again");
    }

    #[test]
    fn the_book_is_bounded_and_forgets_strangers_before_peers_by_hand() {
        let (mut peers, friend) = (peers(), PeerId::random());
        peers.add_by_hand(&addr(friend), Instant::now());
        for n in 0..limits::PEERS_MAX + 100 {
            let (peer, id) = (PeerId::random(), ConnectionId::new_unchecked(n));
            peers.on_connected(peer, id, addr(peer), true);
            peers.on_closed(&peer, id, Instant::now());
        }
        assert_eq!(peers.book.len(), limits::PEERS_MAX);
        assert!(peers.book.contains_key(&friend));
    }

    #[test]
    fn what_is_saved_comes_back_and_is_dialled() {
        let (mut peers, peer) = (peers(), PeerId::random());
        peers.add_by_hand(&addr(peer), Instant::now());
        let saved = peers.take_changes();
        assert!(peers.take_changes().is_empty());
        let saved: Vec<_> = saved
            .into_iter()
            .map(|(peer, one)| (peer, SavedPeer::decode(&one.encode()).unwrap()))
            .collect();
        let policy = Policy::new(Vec::new());
        let mut again = Peers::new(policy.clone());
        again.restore(saved, Instant::now());
        assert_eq!(again.due(Instant::now()).len(), 1);
        assert!(policy.is_by_hand(&peer));
    }

    #[test]
    fn a_block_ends_by_itself_and_blocks_are_bounded() {
        let (mut peers, peer, now) = (peers(), PeerId::random(), Instant::now());
        assert_eq!(peers.block(peer, now), None);
        assert!(peers.is_blocked(&peer));
        assert!(peers.unblock(now).is_empty());
        assert_eq!(peers.unblock(now + limits::PENALTY), [peer]);
        assert!(!peers.is_blocked(&peer));
        for _ in 0..limits::BLOCKED_MAX {
            assert_eq!(peers.block(PeerId::random(), now), None);
        }
        assert!(peers.block(PeerId::random(), now).is_some());
    }

    #[test]
    fn what_a_peer_says_of_itself_is_cut_and_cleaned() {
        let (mut peers, peer) = (peers(), PeerId::random());
        let far = ["/ip4/8.8.8.8/tcp/1".parse().unwrap(), "/ip4/10.0.0.2/tcp/1".parse().unwrap()];
        let believed = peers.on_identified(peer, &format!("a\u{1b}[2J{}", "x".repeat(999)), &far);
        assert_eq!(believed, far[1..]);
        assert!(peers.book[&peer].agent.starts_with("a[2Jx"));
        assert_eq!(peers.book[&peer].agent.len(), limits::AGENT_MAX);
    }

    proptest::proptest! {
        #[test]
        fn no_saved_bytes_panic(bytes: Vec<u8>) {
            let _ = SavedPeer::decode(&bytes);
        }
    }
}
