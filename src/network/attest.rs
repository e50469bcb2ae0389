//! Attestations: `/modelswarm/attest/1`, asking peers for the bundles they have about a root or a card, and answering.
//!
//! A question is one CID; the answer are the bundles that the peer may show, at most [`limits::ATTEST_BUNDLES`] and
//! [`limits::ATTEST_BYTES`] together (`wire`). One question a stream. What the bundles say, and whether it holds, nobody
//! here looks at. Peers that do not speak it, such as other IPFS nodes, are not asked.
//!
//! A stream that is dropped because its peer has too many looks, over QUIC, like an empty answer.

mod answer;
mod asking;
mod handler;
mod wire;

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, DialError, FromSwarm, NetworkBehaviour, NotifyHandler,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::sync::oneshot;

use super::pace::Pace;
use crate::config::Audience;
use crate::dag::Cid;
use crate::limits;

pub(super) use answer::Answerer;
use answer::Shares;
pub(super) use asking::{Standing, run};
pub(super) use handler::Handler;

/// The protocol.
pub(super) const PROTOCOL: StreamProtocol = StreamProtocol::new("/modelswarm/attest/1");

/// What this node has about a root or a card and may show to such an audience: bundles, the best first, since an answer
/// is cut to [`limits::ATTEST_BUNDLES`] and [`limits::ATTEST_BYTES`]. Called on threads that may block, a few calls at
/// once, for whatever CID a stranger asks for.
///
/// It lives as long as the network: one that holds a [`super::Network`] keeps it from stopping by itself.
pub type Attestations = Arc<dyn Fn(&Cid, Audience) -> Vec<Bytes> + Send + Sync>;

/// Of a node that has none.
pub fn no_attestations() -> Attestations {
    Arc::new(|_, _| Vec::new())
}

/// What a peer is to be asked. Dropped, the one who wants to know learns that there is no answer.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) cid: Cid,
    pub(super) reply: oneshot::Sender<Vec<Bytes>>,
}

/// The behaviour.
pub(super) struct Behaviour {
    answerer: Arc<Answerer>,
    peers: HashMap<PeerId, Peer>,
    /// Questions to peers that are not connected yet. No more than callers wait for.
    waiting: Vec<(PeerId, Question)>,
    /// Questions to be handed to a connection.
    ready: VecDeque<(PeerId, ConnectionId, Question)>,
}

struct Peer {
    shares: Arc<Shares>,
    /// The newest last.
    connections: Vec<ConnectionId>,
    /// What it said of itself.
    speaks: Option<bool>,
    since: Instant,
}

impl Behaviour {
    pub(super) fn new(answerer: Answerer) -> Self {
        Self {
            answerer: Arc::new(answerer),
            peers: HashMap::new(),
            waiting: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    /// Asks a peer at once or as soon as it is connected. Whether it must be dialled.
    pub(super) fn ask(&mut self, peer: PeerId, question: Question) -> bool {
        self.waiting.retain(|(_, question)| !question.reply.is_closed());
        let known = self.peers.get(&peer);
        match known.and_then(|known| Some((known.speaks, *known.connections.last()?))) {
            // It said that it does not speak it.
            Some((Some(false), _)) => false,
            Some((_, connection)) => {
                self.ready.push_back((peer, connection, question));
                false
            }
            None => {
                self.waiting.push((peer, question));
                true
            }
        }
    }

    /// A peer says what it speaks.
    pub(super) fn set_speaks(&mut self, peer: &PeerId, speaks: bool) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.speaks = Some(speaks);
        }
    }

    /// From now on, a connected peer is sent to and read from at this pace.
    pub(super) fn set_pace(&mut self, peer: &PeerId, pace: &Pace) {
        if let Some(peer) = self.peers.get(peer) {
            // A further connection of a peer brings the same.
            let _ = peer.shares.pace.set(pace.clone());
        }
    }

    /// Connected peers that speak it.
    pub(super) fn speakers(&self) -> impl Iterator<Item = PeerId> {
        let speak = |peer: &Peer| peer.speaks == Some(true) && !peer.connections.is_empty();
        self.peers.iter().filter(move |(_, peer)| speak(peer)).map(|(id, _)| *id)
    }

    /// Whether a peer that has just connected may yet say that it speaks it.
    pub(super) fn is_settling(&self) -> bool {
        self.peers
            .values()
            .any(|peer| peer.speaks.is_none() && peer.since.elapsed() < limits::ATTEST_SETTLE)
    }

    fn handler(&mut self, peer: PeerId, remote: &Multiaddr) -> Handler {
        let entry = self.peers.entry(peer).or_insert_with(|| Peer {
            shares: Arc::new(Shares::new(peer)),
            connections: Vec::new(),
            speaks: None,
            since: Instant::now(),
        });
        Handler::new(Arc::clone(&self.answerer), Arc::clone(&entry.shares), remote.clone())
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, remote))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer, remote))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let (id, connection) = (established.peer_id, established.connection_id);
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.connections.push(connection);
                }
                let asked = self.waiting.extract_if(.., |(peer, _)| *peer == id);
                self.ready.extend(asked.map(|(peer, question)| (peer, connection, question)));
            }
            FromSwarm::ConnectionClosed(closed) => {
                let Some(peer) = self.peers.get_mut(&closed.peer_id) else { return };
                peer.connections.retain(|one| *one != closed.connection_id);
                if peer.connections.is_empty() {
                    self.peers.remove(&closed.peer_id);
                }
            }
            // One that is being dialled already is still being dialled.
            FromSwarm::DialFailure(failure)
                if !matches!(failure.error, DialError::DialPeerConditionFalse(_)) =>
            {
                self.waiting.retain(|(peer, _)| Some(*peer) != failure.peer_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // Questions come only out of the calls above; the event loop polls the swarm after each.
        match self.ready.pop_front() {
            Some((peer_id, connection, event)) => Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(connection),
                event,
            }),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod scripted;
#[cfg(test)]
mod tests;
