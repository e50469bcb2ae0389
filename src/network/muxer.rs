//! The `/yamux/1.0.0` muxer, our own. Specification: yamux (hashicorp), as libp2p uses it.
//!
//! Why not the crate `yamux`: it opens a stream's window of 256 KiB only by doubling it, which on a link of 1 Gbit/s and
//! 100 ms loses half a second of each transfer (0.85 of what a bare TCP stream brings of 1 GiB; this one: see README,
//! `examples/swarm`); it refuses frames above 1 MiB, which js-libp2p writes; and it copies and allocates per frame. Tests
//! speak with the crate, both ways.
//!
//! | module | |
//! |---|---|
//! | `frame` | headers |
//! | `window` | what a peer may send unread, and how that grows |
//! | `state` | streams, and what frames mean to them |
//! | `connection` | the socket |
//! | `stream` | a stream's handle |
//!
//! Frames move only while the muxer is polled, and all of them then, however many streams wait to be taken: none is
//! dropped, as a dropped stream is a lost message. A peer that breaks the protocol or a bound loses its connection.

mod connection;
mod frame;
mod state;
mod stream;
#[cfg(test)]
mod tests;
mod window;

use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll};

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};

use self::connection::{Connection, lock};
use self::state::State;
use self::stream::Stream;
use self::window::Growth;

/// The protocol as multistream-select names it.
const PROTOCOL: &str = "/yamux/1.0.0";

/// Why a connection is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the connection is closed")]
    Closed,
    #[error(transparent)]
    Io(io::Error),
    #[error("the peer breaks the protocol of streams: {0}")]
    Protocol(&'static str),
    #[error("no more streams may be opened on this connection")]
    TooManyStreams,
}

/// The upgrade, for both directions. Connections of its clones share what windows may grow by.
#[derive(Clone, Default)]
pub(super) struct Config {
    grown: Arc<AtomicUsize>,
}

impl Config {
    fn muxer<C>(&self, socket: C, dialler: bool) -> Muxer<C> {
        let growth = Growth::new(Arc::clone(&self.grown));
        Muxer(Connection::new(socket, State::new(dialler, growth)))
    }
}

impl UpgradeInfo for Config {
    type Info = &'static str;
    type InfoIter = std::iter::Once<Self::Info>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(PROTOCOL)
    }
}

impl<C> InboundConnectionUpgrade<C> for Config
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Muxer<C>;
    type Error = Error;
    type Future = Ready<Result<Muxer<C>, Error>>;

    fn upgrade_inbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.muxer(socket, false)))
    }
}

impl<C> OutboundConnectionUpgrade<C> for Config
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = Muxer<C>;
    type Error = Error;
    type Future = Ready<Result<Muxer<C>, Error>>;

    fn upgrade_outbound(self, socket: C, _: Self::Info) -> Self::Future {
        ready(Ok(self.muxer(socket, true)))
    }
}

/// One multiplexed connection.
pub(super) struct Muxer<C>(Connection<C>);

impl<C> StreamMuxer for Muxer<C>
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let connection = &mut self.get_mut().0;
        let over = connection.poll(cx);
        let mut state = lock(&connection.shared);
        if let Some(id) = state.take_inbound() {
            return Poll::Ready(Ok(Stream::new(id, &connection.shared)));
        }
        state.taker = Some(cx.waker().clone());
        over.map(Err)
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, Error>> {
        let shared = &self.0.shared;
        lock(shared).open(cx).map_ok(|id| Stream::new(id, shared))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.get_mut().0.poll_close(cx)
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Error>> {
        self.get_mut().0.poll(cx).map(Err)
    }
}
