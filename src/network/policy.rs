//! Whom this node may dial, accept and show `lan` content to.
//!
//! One place answers it for the transport (every dial passes [`Policy::may_dial`]), for incoming connections and for
//! the audience of a served block. It knows addresses, not peers' behaviour (that is `peers`). Design section 6:
//! `lan` reaches loopback, link-local, private ranges, the subnets of its own interfaces and `network.lan_ranges`;
//! everything else only if given by hand. `isolated` keeps the same ranges and looks for nobody by itself.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use crate::config::Audience;
use crate::config::network::{Range, is_private, is_unspecified};
use crate::limits;

/// Names of interfaces that lead to containers and virtual machines on this very host: an address there is the same
/// on every host, so telling it to others only makes them dial themselves.
const BRIDGES: [&str; 11] = [
    "docker", "br-", "veth", "virbr", "cni", "flannel", "podman", "lxcbr", "lxdbr", "vmnet", "cali",
];

/// Shared by the transport, the gate and the event loop. Clones share it.
#[derive(Clone)]
pub(super) struct Policy(Arc<Inner>);

struct Inner {
    /// `network.lan_ranges`.
    ranges: Vec<Range>,
    /// What changes while the node runs. The lock is held for look-ups only.
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    subnets: Vec<Range>,
    bridges: Vec<Range>,
    own: HashSet<Multiaddr>,
    addrs: HashSet<Multiaddr>,
    ips: HashSet<IpAddr>,
    peers: HashSet<PeerId>,
}

impl Policy {
    pub(super) fn new(ranges: Vec<Range>) -> Self {
        let policy = Self(Arc::new(Inner { ranges, known: RwLock::default() }));
        policy.read_interfaces();
        policy
    }

    /// Reads the subnets of this host's interfaces again; called when a listen address comes or goes.
    pub(super) fn read_interfaces(&self) {
        let interfaces = match if_addrs::get_if_addrs() {
            Ok(interfaces) => interfaces,
            Err(error) => {
                tracing::warn!(%error, "cannot read this host's interfaces; only private ranges count as LAN");
                return;
            }
        };
        let mut subnets = Vec::new();
        let mut bridges = Vec::new();
        for interface in interfaces.into_iter().take(limits::INTERFACES_MAX) {
            let prefix = match &interface.addr {
                if_addrs::IfAddr::V4(v4) => v4.prefixlen,
                if_addrs::IfAddr::V6(v6) => v6.prefixlen,
            };
            let range = Range::new(interface.ip(), prefix);
            if BRIDGES.iter().any(|bridge| interface.name.starts_with(bridge)) {
                bridges.push(range);
            }
            subnets.push(range);
        }
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        (known.subnets, known.bridges) = (subnets, bridges);
    }

    /// Marks an address, and the peer it names, as given by hand. False when too many are.
    pub(super) fn add_by_hand(&self, addr: &Multiaddr) -> bool {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.addrs.len() >= limits::BY_HAND_MAX {
            return false;
        }
        known.peers.extend(peer_of(addr));
        known.ips.extend(ip_of(addr));
        known.addrs.insert(without_peer(addr));
        true
    }

    /// Marks a peer as given by hand: its address was dialled by hand before its id was known.
    pub(super) fn add_peer_by_hand(&self, peer: PeerId) {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.peers.len() < limits::BY_HAND_MAX {
            known.peers.insert(peer);
        }
    }

    pub(super) fn is_by_hand(&self, peer: &PeerId) -> bool {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner).peers.contains(peer)
    }

    /// Learns where this node itself listens.
    pub(super) fn set_own(&self, listen: &[Multiaddr]) {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.own = listen.iter().map(without_peer).collect();
    }

    /// Whether this address may be dialled. Names are dialled only if given by hand: looking one up leaves the LAN.
    /// Where this node itself listens is nobody else: all nodes have loopback, many the same port and the same
    /// container bridge, and a dial of several addresses fails when the first to answer is not the peer.
    pub(super) fn may_dial(&self, addr: &Multiaddr) -> bool {
        let bare = without_peer(addr);
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.own.contains(&bare) {
            return false;
        }
        match ip_of(addr) {
            Some(ip) if is_unspecified(ip) => false,
            Some(ip) if self.is_lan(ip, &known) => true,
            _ => known.addrs.contains(&bare),
        }
    }

    /// Whether a connection from here may be answered at all; who it is, is not known yet.
    pub(super) fn may_answer(&self, remote: &Multiaddr) -> bool {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        ip_of(remote).is_some_and(|ip| self.is_lan(ip, &known) || known.ips.contains(&ip))
    }

    /// Whether a connection may stand, now that the peer is known.
    pub(super) fn may_keep(&self, peer: &PeerId, remote: &Multiaddr) -> bool {
        self.audience(peer, remote) == Audience::LanPeer || self.may_dial(remote)
    }

    /// Whom content goes to over a connection with this remote address.
    pub(super) fn audience(&self, peer: &PeerId, remote: &Multiaddr) -> Audience {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let lan = ip_of(remote).is_some_and(|ip| self.is_lan(ip, &known));
        if lan || known.peers.contains(peer) { Audience::LanPeer } else { Audience::WanPeer }
    }

    /// What is worth keeping of the addresses a peer tells of itself or others, when we talk to it at `via`: those
    /// that may be dialled, and loopback ones only from a peer on this very host.
    pub(super) fn sanitise(&self, addrs: &[Multiaddr], via: Option<&Multiaddr>) -> Vec<Multiaddr> {
        let same_host = via.and_then(ip_of).is_some_and(|ip| ip.to_canonical().is_loopback());
        let mut kept = Vec::new();
        for addr in addrs {
            let loopback = ip_of(addr).is_some_and(|ip| ip.to_canonical().is_loopback());
            let addr = without_peer(addr);
            if kept.len() < limits::ADDRS_PER_PEER
                && addr.len() <= limits::MULTIADDR_MAX
                && (!loopback || same_host)
                && !ip_of(&addr).is_some_and(lacks_interface)
                && self.may_dial(&addr)
                && !kept.contains(&addr)
            {
                kept.push(addr);
            }
        }
        kept
    }

    /// Which listen addresses others are told of: none of container bridges, none that nobody can dial, routable ones
    /// before loopback, and no more than the swarm keeps (it drops further ones without a word).
    pub(super) fn external(&self, listen: &[Multiaddr]) -> Vec<Multiaddr> {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut addrs: Vec<(bool, Multiaddr)> = listen
            .iter()
            .filter_map(|addr| {
                let ip = ip_of(addr)?.to_canonical();
                let bridge = known.bridges.iter().any(|range| range.contains(ip));
                if bridge || is_unspecified(ip) || lacks_interface(ip) {
                    return None;
                }
                Some((ip.is_loopback(), addr.clone()))
            })
            .collect();
        addrs.sort();
        addrs.truncate(limits::EXTERNAL_ADDRS);
        addrs.into_iter().map(|(_, addr)| addr).collect()
    }

    fn is_lan(&self, ip: IpAddr, known: &Known) -> bool {
        is_private(ip) || self.0.ranges.iter().chain(&known.subnets).any(|range| range.contains(ip))
    }
}

/// Whether nobody can dial it: an IPv6 link-local address means nothing without its interface, which multiaddrs as
/// they are dialled do not name.
fn lacks_interface(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The IP a multiaddr starts with.
pub(super) fn ip_of(addr: &Multiaddr) -> Option<IpAddr> {
    match addr.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The peer a multiaddr ends with.
pub(super) fn peer_of(addr: &Multiaddr) -> Option<PeerId> {
    match addr.iter().last()? {
        Protocol::P2p(peer) => Some(peer),
        _ => None,
    }
}

/// The address without the peer at its end.
pub(super) fn without_peer(addr: &Multiaddr) -> Multiaddr {
    let mut addr = addr.clone();
    if peer_of(&addr).is_some() {
        addr.pop();
    }
    addr
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_internet_is_dialled_only_where_a_user_said_so() {
        let policy = Policy::new(vec!["198.51.100.0/24".parse().unwrap()]);
        let far = addr("/ip4/8.8.8.8/tcp/4001");
        assert!(policy.may_dial(&addr("/ip4/192.168.1.9/tcp/4001")));
        assert!(policy.may_dial(&addr("/ip4/198.51.100.9/tcp/4001")));
        assert!(!policy.may_dial(&far));
        assert!(!policy.may_dial(&addr("/dns4/example.org/tcp/4001")), "a name leads anywhere");
        assert!(!policy.may_dial(&addr("/ip4/0.0.0.0/tcp/4001")));
        let peer = PeerId::random();
        assert!(policy.add_by_hand(&far.clone().with_p2p(peer).unwrap()));
        assert!(policy.may_dial(&far));
        assert!(!policy.may_dial(&addr("/ip4/8.8.8.8/tcp/4002")), "only that address");
        assert!(policy.is_by_hand(&peer));
    }

    #[test]
    fn strangers_from_outside_are_not_answered_and_peers_by_hand_are() {
        let policy = Policy::new(Vec::new());
        let far = addr("/ip4/8.8.8.8/tcp/50000");
        let (friend, stranger) = (PeerId::random(), PeerId::random());
        assert!(!policy.may_answer(&far));
        policy.add_by_hand(&addr("/ip4/8.8.8.8/tcp/4001").with_p2p(friend).unwrap());
        assert!(policy.may_answer(&far));
        assert!(policy.may_keep(&friend, &far));
        assert!(!policy.may_keep(&stranger, &far));
        assert_eq!(policy.audience(&friend, &far), Audience::LanPeer);
        assert_eq!(policy.audience(&stranger, &far), Audience::WanPeer);
    }

    #[test]
    fn loopback_addresses_are_believed_only_from_this_host() {
        let policy = Policy::new(Vec::new());
        let told =
            [addr("/ip4/127.0.0.1/tcp/1"), addr("/ip4/10.0.0.7/tcp/1"), addr("/ip4/9.9.9.9/tcp/1")];
        let near = addr("/ip4/127.0.0.1/tcp/9");
        let far = addr("/ip4/10.0.0.9/tcp/9");
        assert_eq!(policy.sanitise(&told, Some(&near)), told[..2]);
        assert_eq!(policy.sanitise(&told, Some(&far)), told[1..2]);
        assert_eq!(policy.sanitise(&told, None), told[1..2]);
    }

    #[test]
    fn where_this_node_listens_no_peer_is_dialled() {
        let policy = Policy::new(Vec::new());
        let own = addr("/ip6/::1/udp/8643/quic-v1");
        let others = own.clone().with_p2p(PeerId::random()).unwrap();
        assert!(policy.may_dial(&others));
        policy.set_own(std::slice::from_ref(&own));
        assert!(!policy.may_dial(&own));
        assert!(!policy.may_dial(&others), "whoever it is said to be");
        assert!(policy.may_dial(&addr("/ip6/::1/udp/8644/quic-v1")), "another node on this host");
        policy.set_own(&[]);
        assert!(policy.may_dial(&others));
    }

    #[test]
    fn link_local_ipv6_addresses_are_neither_told_nor_believed() {
        let policy = Policy::new(Vec::new());
        let useless = addr("/ip6/fe80::1/tcp/1");
        let fine = addr("/ip4/169.254.0.7/tcp/1");
        let both = [useless, fine.clone()];
        assert_eq!(policy.external(&both), std::slice::from_ref(&fine));
        assert_eq!(policy.sanitise(&both, None), [fine]);
    }

    #[test]
    fn a_peer_cannot_make_us_keep_many_addresses() {
        let policy = Policy::new(Vec::new());
        let told: Vec<_> = (0..5000).map(|i| addr(&format!("/ip4/10.0.0.7/tcp/{i}"))).collect();
        assert_eq!(policy.sanitise(&told, None).len(), limits::ADDRS_PER_PEER);
    }

    #[test]
    fn routable_listen_addresses_are_told_before_loopback_and_no_more_than_the_swarm_keeps() {
        let policy = Policy::new(Vec::new());
        let mut listen = vec![addr("/ip4/127.0.0.1/tcp/1"), addr("/ip4/10.255.0.7/tcp/1")];
        assert_eq!(policy.external(&listen), [listen[1].clone(), listen[0].clone()]);
        listen.extend((0..50).map(|i| addr(&format!("/ip4/10.255.0.8/tcp/{i}"))));
        assert_eq!(policy.external(&listen).len(), limits::EXTERNAL_ADDRS);
    }
}
