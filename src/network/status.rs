//! What the network says of itself and its peers.

use std::time::{Duration, SystemTime};

use libp2p::{Multiaddr, PeerId};

use crate::config::network::Preset;
use crate::dag::Cid;

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub id: PeerId,
    /// Where it is connected, the newest connection first.
    pub addrs: Vec<Multiaddr>,
    /// What it says it is; empty until it has said so.
    pub agent: String,
    /// The latest round trip.
    pub rtt: Option<Duration>,
    /// Whether this node dialled it.
    pub dialled: bool,
    /// Whether it was given by hand.
    pub by_hand: bool,
    /// Whether it speaks Bitswap.
    pub bitswap: bool,
    /// Bytes of Bitswap messages received from it since it connected.
    pub bytes_in: u64,
    /// Bytes of Bitswap messages sent to it.
    pub bytes_out: u64,
}

/// The node at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Who this node is.
    pub peer_id: PeerId,
    /// How far it looks for peers.
    pub preset: Preset,
    /// Where it listens, resolved.
    pub listen: Vec<Multiaddr>,
    /// Peers connected.
    pub connections: usize,
    /// Peers in the DHT's routing table.
    pub dht_peers: usize,
    /// Whether more may be there in a moment: a peer given by hand is being dialled for the first time, or one that has
    /// just connected has yet to say what it speaks.
    pub reaching: bool,
    /// Fetches open.
    pub sessions: usize,
    /// Keys in the announce set, and how many of them have reached the DHT.
    pub announced: (usize, usize),
    /// Provider records held for others.
    pub records: usize,
    /// Records of names held, the own ones among them.
    pub names: usize,
    /// Blocks and their bytes received and wanted, since the start.
    pub blocks_in: u64,
    /// See `blocks_in`.
    pub bytes_in: u64,
    /// Blocks and their bytes sent, since the start.
    pub blocks_out: u64,
    /// See `blocks_out`.
    pub bytes_out: u64,
    /// Blocks that came twice or after a cancel.
    pub late: u64,
    /// Peers that were disconnected for breaking the protocol.
    pub penalised: u64,
    /// Bytes of received payload in memory now.
    pub payload_memory: usize,
}

/// A key of the announce set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The content.
    pub cid: Cid,
    /// When its record last reached DHT peers; `None`: not yet.
    pub at: Option<SystemTime>,
}

/// What a fetch has to draw on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sources {
    /// Peers that were asked for blocks of this fetch.
    pub asked: usize,
    /// Of its sources, those connected now.
    pub connected: usize,
    /// Providers the DHT named.
    pub found: usize,
    /// Of those, the ones no dial has reached.
    pub unreachable: usize,
    /// Whether a search, or a dial, that may bring more is under way.
    pub searching: bool,
    /// Peers in the DHT's routing table: none means nobody to search with.
    pub dht_peers: usize,
}
