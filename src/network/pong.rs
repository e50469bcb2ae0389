//! Answers pings: the listening side of `/ipfs/ping/1.0.0` (libp2p ping spec).
//!
//! Not the asking side: round trips are measured by `libp2p-ping`, which answers too, but no longer once the peer has
//! refused one of its own pings. Peers that ping and offer no ping themselves (js-libp2p with identify only) would then
//! take us for dead. So this stands before it in the behaviours, and inbound streams come here.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, FutureExt as _};
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{DeniedUpgrade, ReadyUpgrade};
use libp2p::ping::PROTOCOL_NAME as PROTOCOL;
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
    NetworkBehaviour, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, StreamProtocol};
use tokio::time::timeout;

use crate::limits;

/// Bytes of a ping, and of its answer.
const LEN: usize = 32;

/// The behaviour.
#[derive(Debug, Default)]
pub(super) struct Behaviour;

/// One connection's handler.
#[derive(Default)]
pub(super) struct Handler {
    /// The streams being answered, oldest first; at most [`limits::PONG_STREAMS`].
    streams: VecDeque<BoxFuture<'static, io::Result<()>>>,
}

/// Gives back every ping that comes, until the peer closes the stream or nothing moves for `idle`.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, idle: Duration) -> io::Result<()> {
    let mut ping = [0; LEN];
    loop {
        let mut filled = 0;
        while filled < LEN {
            match timeout(idle, stream.read(&mut ping[filled..])).await?? {
                0 => return timeout(idle, stream.close()).await?,
                read => filled += read,
            }
        }
        let pong = async {
            stream.write_all(&ping).await?;
            stream.flush().await
        };
        timeout(idle, pong).await??;
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), Infallible>> {
        self.streams.retain_mut(|stream| match stream.poll_unpin(cx) {
            Poll::Pending => true,
            Poll::Ready(Ok(())) => false,
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "a ping stream ended");
                false
            }
        });
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, DeniedUpgrade>,
    ) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol: mut stream,
            ..
        }) = event
        {
            // Pings alone do not keep a connection that nobody needs.
            stream.ignore_for_keep_alive();
            // The newest is the one whose answer is waited for.
            if self.streams.len() >= limits::PONG_STREAMS {
                self.streams.pop_front();
            }
            self.streams.push_back(answer(stream, limits::PONG_IDLE).boxed());
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
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

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use libp2p::core::UpgradeInfo;
    use libp2p::core::upgrade::OutboundUpgrade;
    use libp2p::identity::Keypair;
    use libp2p::swarm::handler::OneShotHandler;
    use libp2p::swarm::{Config, NotifyHandler, Stream, Swarm, SwarmEvent};
    use libp2p::{identify, ping};
    use tokio::sync::mpsc;

    use super::super::bitswap::{self, Inbound, StreamEvent};
    use super::super::memory::Budget;
    use super::super::policy::Policy;
    use super::super::pool::Pool;
    use super::super::testing::{PATIENCE, silent, wire};
    use super::super::{behaviour, transport};
    use super::*;
    use crate::config::network::{Preset, Settings};

    // ---- one stream

    #[tokio::test]
    async fn every_ping_of_a_stream_is_given_back_however_it_is_cut_until_it_is_closed() {
        let (mut asking, answering) = wire().await;
        let answering = tokio::spawn(answer(answering, PATIENCE));
        for n in 0..5 {
            let ping: [u8; LEN] = std::array::from_fn(|i| n * 32 + i as u8);
            asking.write_all(&ping[..7]).await.unwrap();
            asking.flush().await.unwrap();
            asking.write_all(&ping[7..]).await.unwrap();
            let mut pong = [0; LEN];
            timeout(PATIENCE, asking.read_exact(&mut pong)).await.unwrap().unwrap();
            assert_eq!(pong, ping);
        }
        asking.write_all(&[1; LEN - 1]).await.unwrap();
        asking.close().await.unwrap();
        assert!(timeout(PATIENCE, answering).await.unwrap().unwrap().is_ok());
        assert_eq!(asking.read(&mut [0; 1]).await.unwrap(), 0, "half a ping has no answer");
    }

    #[tokio::test]
    async fn a_stream_on_which_nothing_moves_is_given_up() {
        let (mut asking, answering) = wire().await;
        asking.write_all(&[1; LEN - 1]).await.unwrap();
        let ended = timeout(PATIENCE, answer(answering, Duration::from_millis(20))).await.unwrap();
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    // ---- whole swarms on loopback

    /// Opens a ping stream, pings once on it, and keeps it open.
    #[derive(Debug)]
    struct Ask;

    /// An answered stream.
    #[derive(Debug)]
    struct Answered(Stream);

    async fn ask(stream: &mut Stream) -> io::Result<()> {
        stream.write_all(&[7; LEN]).await?;
        stream.flush().await?;
        let mut pong = [0; LEN];
        stream.read_exact(&mut pong).await?;
        assert_eq!(pong, [7; LEN]);
        Ok(())
    }

    impl UpgradeInfo for Ask {
        type Info = StreamProtocol;
        type InfoIter = [StreamProtocol; 1];

        fn protocol_info(&self) -> Self::InfoIter {
            [PROTOCOL]
        }
    }

    impl OutboundUpgrade<Stream> for Ask {
        type Output = Answered;
        type Error = io::Error;
        type Future = BoxFuture<'static, io::Result<Answered>>;

        fn upgrade_outbound(self, mut stream: Stream, _: StreamProtocol) -> Self::Future {
            async move {
                ask(&mut stream).await?;
                Ok(Answered(stream))
            }
            .boxed()
        }
    }

    impl From<Infallible> for Answered {
        fn from(never: Infallible) -> Self {
            match never {}
        }
    }

    /// A peer that pings when told to and offers no ping itself.
    #[derive(Default)]
    struct Asker {
        to_ask: VecDeque<PeerId>,
        answered: VecDeque<Answered>,
    }

    impl NetworkBehaviour for Asker {
        type ConnectionHandler = OneShotHandler<DeniedUpgrade, Ask, Answered>;
        type ToSwarm = Answered;

        fn handle_established_inbound_connection(
            &mut self,
            _: ConnectionId,
            _: PeerId,
            _: &Multiaddr,
            _: &Multiaddr,
        ) -> Result<THandler<Self>, ConnectionDenied> {
            let protocol = SubstreamProtocol::new(DeniedUpgrade, ());
            Ok(OneShotHandler::new(protocol, Default::default()))
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
            self.answered.push_back(event.expect("the ping must be answered"));
        }

        fn poll(
            &mut self,
            _: &mut Context<'_>,
        ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
            if let Some(answered) = self.answered.pop_front() {
                return Poll::Ready(ToSwarm::GenerateEvent(answered));
            }
            let Some(peer_id) = self.to_ask.pop_front() else { return Poll::Pending };
            Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::Any, event: Ask })
        }
    }

    #[derive(NetworkBehaviour)]
    struct Minimal {
        identify: identify::Behaviour,
        asker: Asker,
    }

    fn swarm<B: NetworkBehaviour>(identity: &Keypair, behaviour: B) -> Swarm<B> {
        let transport = transport::build(identity, Policy::new(Vec::new())).unwrap();
        let config =
            Config::with_tokio_executor().with_idle_connection_timeout(limits::IDLE_CONNECTION);
        Swarm::new(transport, behaviour, identity.public().to_peer_id(), config)
    }

    /// Our behaviours as they are, and a peer with identify only that has refused our ping; they are connected.
    async fn refused() -> (Swarm<behaviour::Behaviour>, Swarm<Minimal>, mpsc::Receiver<StreamEvent>)
    {
        let identity = Keypair::generate_ed25519();
        let (events, streams) = mpsc::channel(16);
        let (hashing, _threads) = Pool::new("hash", 1, 1).unwrap();
        let bitswap = bitswap::Behaviour::new(
            Inbound { events, hashing, landings: Default::default() },
            Budget::new(limits::PAYLOAD),
            Default::default(),
        );
        let settings = Settings { preset: Preset::Isolated, ..Settings::default() };
        let policy = Policy::new(Vec::new());
        let home = tempfile::tempdir().unwrap();
        let attest = silent(home.path());
        let ours = behaviour::build(&identity, &settings, policy, attest, bitswap).unwrap();
        let mut ours = swarm(&identity, ours);
        ours.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let identity = Keypair::generate_ed25519();
        let config = identify::Config::new("minimal/1".to_owned(), identity.public());
        let minimal =
            Minimal { identify: identify::Behaviour::new(config), asker: Asker::default() };
        let mut peer = swarm(&identity, minimal);
        let refusing = async {
            loop {
                tokio::select! {
                    event = ours.select_next_some() => match event {
                        SwarmEvent::NewListenAddr { address, .. } => peer.dial(address).unwrap(),
                        SwarmEvent::Behaviour(behaviour::BehaviourEvent::Ping(ping::Event {
                            result: Err(ping::Failure::Unsupported),
                            ..
                        })) => return,
                        _ => {}
                    },
                    _ = peer.select_next_some() => {}
                }
            }
        };
        timeout(PATIENCE, refusing).await.expect("our ping must be refused");
        (ours, peer, streams)
    }

    #[tokio::test]
    async fn a_peer_that_refused_our_ping_has_its_own_answered_on_stream_after_stream() {
        let (mut ours, mut peer, _streams) = refused().await;
        let us = *ours.local_peer_id();
        let mut kept = Vec::new();
        let answering = async {
            // none is closed: later streams take the places of earlier ones
            peer.behaviour_mut().asker.to_ask.push_back(us);
            while kept.len() < limits::PONG_STREAMS + 3 {
                tokio::select! {
                    _ = ours.select_next_some() => {}
                    event = peer.select_next_some() => match event {
                        SwarmEvent::Behaviour(MinimalEvent::Asker(answered)) => {
                            kept.push(answered);
                            // one more would take the place of one that is to answer
                            if kept.len() < limits::PONG_STREAMS + 3 {
                                peer.behaviour_mut().asker.to_ask.push_back(us);
                            }
                        }
                        SwarmEvent::ConnectionClosed { cause, .. } => panic!("{cause:?}"),
                        _ => {}
                    }
                }
            }
        };
        timeout(PATIENCE, answering).await.expect("pings must be answered");
        tokio::spawn(ours.for_each(|_| async {}));
        tokio::spawn(peer.for_each(|_| async {}));
        // as many as may stand still answer, the others are gone
        let gone = kept.len() - limits::PONG_STREAMS;
        for (at, Answered(stream)) in kept.iter_mut().enumerate() {
            let asked = timeout(PATIENCE, ask(stream)).await.unwrap();
            assert_eq!(asked.is_err(), at < gone, "stream {at}: {asked:?}");
        }
    }
}
