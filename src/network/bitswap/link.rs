//! What the tasks of one connected peer share: a way to open streams, its memory, its counters.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use libp2p::PeerId;
use libp2p::swarm::{ConnectionId, Stream};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::super::memory::PeerBudget;
use super::super::pace::Pace;
use crate::exchange::SourceId;
use crate::limits;

/// A request for a stream, answered by a connection's handler.
pub(in super::super) type Request = oneshot::Sender<Result<Stream, OpenError>>;

/// Why no stream could be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum OpenError {
    #[error("the peer does not speak Bitswap 1.2.0")]
    Unsupported,
    #[error("the peer did not take the stream in time")]
    Failed,
    #[error("the peer is no longer connected")]
    Gone,
}

/// One connected peer.
pub(in super::super) struct Link {
    /// Who it is.
    pub(in super::super) peer: PeerId,
    /// Its number in the exchange, new for every time it connects.
    pub(in super::super) source: SourceId,
    /// Its share of the payload memory.
    pub(super) budget: PeerBudget,
    /// How fast it may be sent to and read from.
    pub(in super::super) pace: Pace,
    /// Whether it runs this program: then idle streams are kept.
    ours: AtomicBool,
    /// Whether its connections are kept although idle: a fetch wants something of it, it was given by hand, or
    /// it is a neighbour and there are few.
    keep: AtomicBool,
    /// Whether the exchange knows it. Until then its streams are not read: what they say would be lost.
    known: watch::Sender<bool>,
    /// It opened a stream: most likely it wants something.
    asks: Notify,
    /// Bytes of Bitswap messages, both ways.
    received: AtomicU64,
    sent: AtomicU64,
    /// The peer's connections, the newest last.
    connections: Mutex<Vec<(ConnectionId, mpsc::Sender<Request>)>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("peer", &self.peer).field("source", &self.source).finish()
    }
}

impl Link {
    pub(super) fn new(peer: PeerId, source: SourceId, budget: PeerBudget, pace: Pace) -> Self {
        Self {
            peer,
            source,
            budget,
            pace,
            ours: AtomicBool::new(false),
            keep: AtomicBool::new(false),
            known: watch::Sender::new(false),
            asks: Notify::new(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            connections: Mutex::default(),
        }
    }

    pub(super) fn add_connection(&self, id: ConnectionId) -> mpsc::Receiver<Request> {
        let (sender, requests) = mpsc::channel(limits::STREAM_REQUESTS);
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push((id, sender));
        requests
    }

    pub(super) fn remove_connection(&self, id: ConnectionId) {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|(one, _)| *one != id);
    }

    #[cfg(test)]
    pub(in super::super) async fn open_stream(&self) -> Stream {
        self.open().await.expect("the peer takes it")
    }

    /// Opens a stream on the newest connection, else on an older one.
    pub(super) async fn open(&self) -> Result<Stream, OpenError> {
        let connections: Vec<_> = {
            let connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
            connections.iter().rev().map(|(_, sender)| sender.clone()).collect()
        };
        let mut last = OpenError::Gone;
        for connection in connections {
            let (request, answer) = oneshot::channel();
            if connection.send(request).await.is_err() {
                continue;
            }
            match answer.await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => {}
            }
        }
        Err(last)
    }

    /// The exchange expects this many bytes of payload; with `None`, no payload at all.
    pub(in super::super) fn expect(&self, asked: Option<usize>) {
        self.budget.expect(asked);
    }

    /// The exchange knows this peer from now on.
    pub(in super::super) fn set_known(&self) {
        self.known.send_replace(true);
    }

    /// Waits until it does. False: the peer was gone before.
    pub(super) async fn wait_known(&self) -> bool {
        let mut known = self.known.subscribe();
        let waited = timeout(limits::STREAM_STALL, known.wait_for(|known| *known)).await;
        matches!(waited, Ok(Ok(_)))
    }

    /// It opened a stream.
    pub(super) fn set_asks(&self) {
        self.asks.notify_one();
    }

    /// Waits until it has opened one since the last time.
    pub(super) async fn asks(&self) {
        self.asks.notified().await;
    }

    pub(in super::super) fn set_ours(&self, ours: bool) {
        self.ours.store(ours, Ordering::Relaxed);
    }

    pub(super) fn stream_idle(&self) -> std::time::Duration {
        if self.ours.load(Ordering::Relaxed) {
            limits::STREAM_IDLE
        } else {
            limits::FOREIGN_STREAM_IDLE
        }
    }

    pub(in super::super) fn set_keep(&self, keep: bool) {
        self.keep.store(keep, Ordering::Relaxed);
    }

    pub(super) fn is_kept(&self) -> bool {
        self.keep.load(Ordering::Relaxed)
    }

    pub(super) fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Bytes received and sent since it connected.
    pub(in super::super) fn traffic(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }
}
