//! Bitswap's streams: `/ipfs/bitswap/1.2.0` as a behaviour of its own.
//!
//! It moves messages and decides nothing: every inbound stream has a task that reads it, every peer two tasks that
//! write (control and responses), and what they see goes to the event loop as [`StreamEvent`]s. Payload never passes
//! the swarm. Reading never waits for writing, so two busy peers cannot lock each other up.
//!
//! Why not `libp2p-stream`: it drops inbound streams when its one acceptor lags, and a dropped stream is a lost
//! message (reference ipfs.md 3.6).

mod handler;
mod link;
mod outbound;
mod reader;
mod responses;
mod spare;
mod writer;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::sync::mpsc;

use super::landing::Landings;
use super::memory::{Budget, ListPermit, Permit};
use super::pace::Pace;
use super::pool::Pool;
use crate::config::rates::Rates;
use crate::dag::{Block, Cid};
use crate::exchange::message::Control;
use crate::exchange::{Fault, SourceId};

pub(super) use handler::Handler;
pub(super) use link::Link;
pub(super) use writer::Writer;

/// The protocol; older versions are not spoken (Kubo and Helia both offer this one).
pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/ipfs/bitswap/1.2.0");

/// What the tasks of the exchange's shell report.
#[derive(Debug)]
pub(super) enum StreamEvent {
    /// A message less its payload, and the place of its list if that is long.
    Control { source: SourceId, control: Control, place: Option<ListPermit> },
    /// A payload, hashed.
    Block { source: SourceId, block: Block, permit: Permit },
    /// A payload came although nothing is expected of the peer; it was not read.
    Refused { source: SourceId },
    /// A payload under a prefix that names no block of ours: unknown hash, or not what its CID says.
    Fault { source: SourceId, fault: Fault },
    /// A response was handed to the connection.
    Sent { source: SourceId, cids: Vec<Cid>, bytes: usize },
    /// A response was not: the store has these no more (`retry` false), or the stream broke (`retry` true).
    Unsent { source: SourceId, cids: Vec<Cid>, retry: bool },
    /// The response stream broke: these were written on it last and may be lost.
    ResponsesLost { source: SourceId, cids: Vec<Cid> },
    /// A payload is coming in, slowly.
    Progress { source: SourceId },
    /// The control stream broke: what was written on it last may be lost.
    WantsLost { source: SourceId },
    /// A peer lets its control messages pile up, or takes none, or nothing of a response.
    Stuck { source: SourceId },
    /// What the store has of what a peer asked for, and may show it.
    Looked { source: SourceId, found: Vec<(Cid, Option<usize>)> },
}

impl StreamEvent {
    /// Whom it is about.
    pub(super) fn source(&self) -> SourceId {
        match self {
            Self::Control { source, .. }
            | Self::Block { source, .. }
            | Self::Refused { source }
            | Self::Fault { source, .. }
            | Self::Sent { source, .. }
            | Self::Unsent { source, .. }
            | Self::ResponsesLost { source, .. }
            | Self::Progress { source }
            | Self::WantsLost { source }
            | Self::Stuck { source }
            | Self::Looked { source, .. } => *source,
        }
    }
}

/// What the behaviour tells the event loop.
#[derive(Debug)]
pub(super) enum Event {
    /// A peer speaks Bitswap.
    Connected { peer: PeerId, link: Arc<Link> },
    /// Its last connection is gone.
    Disconnected { peer: PeerId, source: SourceId },
}

/// What every reading task needs.
pub(super) struct Inbound {
    pub(super) events: mpsc::Sender<StreamEvent>,
    pub(super) hashing: Pool,
    pub(super) landings: Landings,
}

/// The behaviour.
pub(super) struct Behaviour {
    inbound: Arc<Inbound>,
    budget: Budget,
    pace: Pace,
    rates: Rates,
    peers: HashMap<PeerId, Peer>,
    /// The next peer's number. Never reused, so that what a task reports late is never laid to another peer.
    next_source: SourceId,
    events: VecDeque<Event>,
}

struct Peer {
    link: Arc<Link>,
    connections: usize,
    told: bool,
}

impl Behaviour {
    pub(super) fn new(inbound: Inbound, budget: Budget, rates: Rates) -> Self {
        Self {
            inbound: Arc::new(inbound),
            budget,
            pace: Pace::default(),
            rates,
            peers: HashMap::new(),
            next_source: 1,
            events: VecDeque::new(),
        }
    }

    /// The link to a connected peer, whether or not it speaks Bitswap.
    pub(super) fn link(&self, peer: &PeerId) -> Option<&Arc<Link>> {
        self.peers.get(peer).map(|peer| &peer.link)
    }

    /// Takes a peer given by hand for one that speaks Bitswap before it says so: what is wanted of it goes out a round
    /// trip earlier.
    pub(super) fn assume(&mut self, peer: &PeerId) {
        self.tell(*peer);
    }

    /// A peer says that it does not.
    pub(super) fn deny(&mut self, peer: &PeerId) {
        if let Some(entry) = self.peers.get_mut(peer)
            && std::mem::take(&mut entry.told)
        {
            let source = entry.link.source;
            self.events.push_back(Event::Disconnected { peer: *peer, source });
        }
    }

    /// Says once that a peer speaks Bitswap.
    fn tell(&mut self, peer: PeerId) {
        if let Some(entry) = self.peers.get_mut(&peer)
            && !std::mem::replace(&mut entry.told, true)
        {
            self.events.push_back(Event::Connected { peer, link: Arc::clone(&entry.link) });
        }
    }

    /// The rates that hold.
    pub(super) fn rates(&self) -> Rates {
        self.rates
    }

    /// From now on, these hold.
    pub(super) fn set_rates(&mut self, rates: Rates) {
        self.rates = rates;
        self.peers.values().for_each(|peer| peer.link.pace.set(&rates));
    }

    fn handler(&mut self, peer: PeerId, connection: ConnectionId) -> Handler {
        let entry = self.peers.entry(peer).or_insert_with(|| {
            let pace = self.pace.peer(&self.rates);
            let link = Arc::new(Link::new(peer, self.next_source, self.budget.peer(), pace));
            self.next_source += 1;
            Peer { link, connections: 0, told: false }
        });
        let requests = entry.link.add_connection(connection);
        Handler::new(Arc::clone(&self.inbound), Arc::clone(&entry.link), requests)
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, connection))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, connection))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                if let Some(peer) = self.peers.get_mut(&established.peer_id) {
                    peer.connections += 1;
                }
            }
            FromSwarm::ConnectionClosed(closed) => {
                let Some(peer) = self.peers.get_mut(&closed.peer_id) else { return };
                peer.link.remove_connection(closed.connection_id);
                peer.connections = peer.connections.saturating_sub(1);
                if peer.connections == 0
                    && let Some(peer) = self.peers.remove(&closed.peer_id)
                    && peer.told
                {
                    let source = peer.link.source;
                    self.events.push_back(Event::Disconnected { peer: closed.peer_id, source });
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        _: ConnectionId,
        handler::Speaks: THandlerOutEvent<Self>,
    ) {
        self.tell(peer);
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // Events come only out of the calls above; the swarm polls again after each, and the event loop the swarm.
        match self.events.pop_front() {
            Some(event) => Poll::Ready(ToSwarm::GenerateEvent(event)),
            None => Poll::Pending,
        }
    }
}
