//! A peer for tests that says on attestation streams what it is told to, and asks what it is told to.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{
    Config, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, NotifyHandler, Stream, SubstreamProtocol, Swarm, SwarmEvent, THandler,
    THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol, identify};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::PROTOCOL;
use crate::network::testing::PATIENCE;
use crate::network::{Keypair, policy, transport};

/// What it answers every question with.
#[derive(Debug, Clone)]
pub(super) enum Script {
    /// These bytes, then the end of the stream.
    Say(Vec<u8>),
    /// These bytes, then silence.
    Hang(Vec<u8>),
}

/// Bytes to be sent on a stream of their own, and where that stream then goes.
#[derive(Debug)]
struct Open(Vec<u8>, mpsc::Sender<Stream>);

struct Handler {
    script: Arc<Script>,
    open: VecDeque<Open>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Open;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Open, Infallible>> {
        let Some(open) = self.open.pop_front() else { return Poll::Pending };
        let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), open);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn on_behaviour_event(&mut self, open: Open) {
        self.open.push_back(open);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Open>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: mut stream,
                ..
            }) => {
                let script = Arc::clone(&self.script);
                tokio::spawn(async move {
                    let (Script::Say(bytes) | Script::Hang(bytes)) = &*script;
                    // It does not care what it is asked, nor whether it is heard.
                    let _ = stream.write_all(bytes).await;
                    if let Script::Say(_) = &*script {
                        let _ = stream.close().await;
                        let _ = stream.read_to_end(&mut Vec::new()).await;
                    } else {
                        std::future::pending::<()>().await;
                    }
                });
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: mut stream,
                info: Open(bytes, opened),
            }) => {
                tokio::spawn(async move {
                    let _ = stream.write_all(&bytes).await;
                    let _ = stream.flush().await;
                    let _ = opened.send(stream).await;
                });
            }
            _ => {}
        }
    }
}

struct Scripted {
    script: Arc<Script>,
    open: VecDeque<(PeerId, Open)>,
}

impl NetworkBehaviour for Scripted {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler { script: Arc::clone(&self.script), open: VecDeque::new() })
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.handle_established_inbound_connection(connection, peer, address, address)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(
        &mut self,
        _: PeerId,
        _: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        let Some((peer_id, event)) = self.open.pop_front() else { return Poll::Pending };
        Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::Any, event })
    }
}

#[derive(NetworkBehaviour)]
struct Protocols {
    identify: identify::Behaviour,
    scripted: Scripted,
}

/// The peer; it is connected to one node. Dropped, it goes on answering until the test's runtime ends.
pub(super) struct Peer {
    pub(super) id: PeerId,
    asks: mpsc::Sender<Open>,
}

impl Peer {
    /// One that is connected to a node.
    pub(super) async fn new(script: Script, addr: &Multiaddr) -> Self {
        let identity = Keypair::generate_ed25519();
        let id = identity.public().to_peer_id();
        let transport = transport::build(&identity, policy::Policy::new(Vec::new())).unwrap();
        let config = identify::Config::new("ipfs/0.1.0".to_owned(), identity.public());
        let scripted = Scripted { script: Arc::new(script), open: VecDeque::new() };
        let protocols = Protocols { identify: identify::Behaviour::new(config), scripted };
        let config = Config::with_tokio_executor().with_idle_connection_timeout(6 * PATIENCE);
        let mut swarm = Swarm::new(transport, protocols, id, config);
        swarm.dial(addr.clone()).unwrap();
        let connected = async {
            loop {
                let event = swarm.select_next_some().await;
                // By now each has told the other what it speaks.
                if let SwarmEvent::Behaviour(ProtocolsEvent::Identify(
                    identify::Event::Received { peer_id, .. },
                )) = event
                {
                    return peer_id;
                }
            }
        };
        let node = timeout(PATIENCE, connected).await.expect("connects");
        let (asks, mut asked) = mpsc::channel(1000);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = swarm.select_next_some() => {}
                    Some(open) = asked.recv() => {
                        swarm.behaviour_mut().scripted.open.push_back((node, open));
                    }
                }
            }
        });
        Self { id, asks }
    }

    /// Opens a stream, sends bytes on it, and keeps it open.
    pub(super) async fn send(&self, bytes: &[u8]) -> Stream {
        let (opened, mut stream) = mpsc::channel(1);
        self.asks.send(Open(bytes.to_vec(), opened)).await.expect("it runs");
        timeout(PATIENCE, stream.recv()).await.expect("in time").expect("the node takes it")
    }
}
