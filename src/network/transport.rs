//! The transport: TCP with TLS (preferred) or Noise and our yamux, and QUIC; names resolved; every dial through the
//! policy.
//!
//! The gate is outermost, before names are resolved: what it lets through is either an address of this LAN or
//! something a user typed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, Either};
use futures::{AsyncRead, AsyncWrite, FutureExt as _};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::core::upgrade::{
    InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo, Version,
};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Transport, dns, noise, quic, tcp};
use libp2p_tls::TlsStream;

use super::policy::Policy;
use super::{muxer, tls};
use crate::limits;

/// Why the transport cannot be built.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error("cannot configure Noise: {0}")]
    Noise(#[from] noise::Error),
}

/// What a swarm runs on: who the peer is, and its connection.
type Secured = Boxed<(PeerId, StreamMuxerBox)>;

/// Builds the transport of a node.
pub(super) fn build(identity: &Keypair, policy: Policy) -> Result<Secured, Error> {
    let inner = match dns::tokio::Transport::system(direct(identity)?) {
        Ok(named) => named.boxed(),
        // A machine without a resolver still reaches addresses; only names fail there.
        Err(error) => {
            tracing::warn!(%error, "no name resolution: /dns… addresses cannot be dialled");
            direct(identity)?
        }
    };
    Ok(Gate { inner, policy }.boxed())
}

/// TCP and QUIC to addresses.
pub(super) fn direct(identity: &Keypair) -> Result<Secured, Error> {
    let security =
        Security { tls: tls::Config::new(identity)?, noise: noise::Config::new(identity)? };
    let tcp = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true))
        .map(|stream, _| shallow(stream))
        .upgrade(Version::V1Lazy)
        .authenticate(security)
        .multiplex(muxer::Config::default())
        .timeout(limits::HANDSHAKE_TIMEOUT)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let quic = quic::tokio::Transport::new(quic::Config::new(identity))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    Ok(tcp.or_transport(quic).map(|either, _| either.into_inner()).boxed())
}

/// Keeps the kernel from taking more than it can send soon. What it has taken can be neither recalled nor overtaken: a
/// cancel or a HAVE would wait behind megabytes of payload, and blocks would count as sent seconds before they are.
fn shallow(stream: tcp::tokio::TcpStream) -> tcp::tokio::TcpStream {
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(&stream.0).set_tcp_notsent_lowat(limits::TCP_UNSENT)
    {
        tracing::debug!(%error, "the kernel decides how much it takes ahead");
    }
    stream
}

/// TLS, else Noise: offered in this order, and the dialling side's order counts.
#[derive(Clone)]
struct Security {
    tls: tls::Config,
    noise: noise::Config,
}

/// A secured socket of either kind.
type Socket<C> = Either<TlsStream<C>, noise::Output<C>>;

/// Why a connection could not be secured.
#[derive(Debug, thiserror::Error)]
enum Insecure {
    #[error(transparent)]
    Tls(#[from] tls::Error),
    #[error("Noise handshake failed: {0}")]
    Noise(#[from] noise::Error),
}

impl UpgradeInfo for Security {
    type Info = &'static str;
    type InfoIter = std::array::IntoIter<&'static str, 2>;

    fn protocol_info(&self) -> Self::InfoIter {
        [tls::PROTOCOL, "/noise"].into_iter()
    }
}

impl<C> InboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, Socket<C>);
    type Error = Insecure;
    type Future = BoxFuture<'static, Result<Self::Output, Insecure>>;

    fn upgrade_inbound(self, socket: C, info: Self::Info) -> Self::Future {
        async move {
            if info == tls::PROTOCOL {
                let (peer, stream) = self.tls.upgrade_inbound(socket, info).await?;
                Ok((peer, Either::Left(stream)))
            } else {
                let (peer, stream) = self.noise.upgrade_inbound(socket, info).await?;
                Ok((peer, Either::Right(stream)))
            }
        }
        .boxed()
    }
}

impl<C> OutboundConnectionUpgrade<C> for Security
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = (PeerId, Socket<C>);
    type Error = Insecure;
    type Future = BoxFuture<'static, Result<Self::Output, Insecure>>;

    fn upgrade_outbound(self, socket: C, info: Self::Info) -> Self::Future {
        async move {
            if info == tls::PROTOCOL {
                let (peer, stream) = self.tls.upgrade_outbound(socket, info).await?;
                Ok((peer, Either::Left(stream)))
            } else {
                let (peer, stream) = self.noise.upgrade_outbound(socket, info).await?;
                Ok((peer, Either::Right(stream)))
            }
        }
        .boxed()
    }
}

/// How long a dial waits before it begins. All addresses of a peer are dialled at once and the first to answer is
/// used; TCP moves more (see the limit), so that QUIC is for where TCP does not get through.
fn handicap(addr: &Multiaddr) -> Duration {
    if addr.iter().any(|part| part == Protocol::QuicV1) {
        limits::QUIC_HANDICAP
    } else {
        Duration::ZERO
    }
}

/// Lets a dial through only where the policy does, whoever asked for it: Kademlia, mDNS, a peer's gossip or a user.
struct Gate {
    inner: Secured,
    policy: Policy,
}

impl Transport for Gate {
    type Output = (PeerId, StreamMuxerBox);
    type Error = io::Error;
    type ListenerUpgrade = <Secured as Transport>::ListenerUpgrade;
    type Dial = <Secured as Transport>::Dial;

    fn listen_on(
        &mut self,
        id: ListenerId,
        addr: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        self.inner.listen_on(id, addr)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(
        &mut self,
        addr: Multiaddr,
        opts: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        if self.policy.may_dial(&addr) {
            let (wait, dial) = (handicap(&addr), self.inner.dial(addr, opts)?);
            Ok(async move {
                tokio::time::sleep(wait).await;
                dial.await
            }
            .boxed())
        } else {
            Err(TransportError::Other(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "outside this LAN and not given by hand",
            )))
        }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_peers_addresses_the_tcp_ones_are_tried_first() {
        let wait = |addr: &str| handicap(&addr.parse().unwrap());
        assert_eq!(wait("/ip4/10.0.0.1/tcp/8643"), Duration::ZERO);
        assert_eq!(wait("/dns4/example.org/tcp/8643"), Duration::ZERO);
        assert!(wait("/ip4/10.0.0.1/udp/8643/quic-v1") > Duration::ZERO);
    }
}
