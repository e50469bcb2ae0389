//! A stream opened before there is anything to say: so that agreeing on its protocol takes no round trip of its own.
//!
//! Each new connection opens one at once, while identify is under way; the first who wants a stream gets it, be it for
//! wants or for blocks. Nobody in time: it is closed, before a peer that does not like idle streams resets it.
//!
//! Not multistream-select's lazy form, which would do the same for every protocol: over QUIC its one-way messages get
//! lost (an ADD_PROVIDER of Kademlia, seen): the sender drops the stream once all is written, and the receiver, whose yes
//! can no longer be said, drops what came with the question.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::AsyncWriteExt as _;
use libp2p::swarm::Stream;
use tokio::time::{Sleep, sleep, timeout};

use super::link::{OpenError, Request};
use crate::limits;

/// The spare stream of one connection.
pub(super) enum Spare {
    /// To be opened.
    Due,
    /// Being opened, perhaps for somebody.
    Opening(Option<Request>),
    /// Open, until then.
    Ready(Stream, Pin<Box<Sleep>>),
    /// Given away, closed, or refused.
    Gone,
}

impl Spare {
    /// Whether it is to be opened now; it counts as being opened from then on.
    pub(super) fn begin(&mut self) -> bool {
        let due = matches!(self, Self::Due);
        if due {
            *self = Self::Opening(None);
        }
        due
    }

    /// Gives it to this request, now or when it is open; gives the request back if there is none to give.
    pub(super) fn give(&mut self, request: Request) -> Option<Request> {
        match std::mem::replace(self, Self::Gone) {
            Self::Ready(stream, _) => {
                drop(request.send(Ok(stream)));
                None
            }
            Self::Opening(None) => {
                *self = Self::Opening(Some(request));
                None
            }
            other => {
                *self = other;
                Some(request)
            }
        }
    }

    /// It is open, or is not to be had.
    pub(super) fn opened(&mut self, stream: Result<Stream, OpenError>) {
        match (std::mem::replace(self, Self::Gone), stream) {
            (Self::Opening(Some(request)), stream) => drop(request.send(stream)),
            (_, Ok(stream)) => {
                *self = Self::Ready(stream, Box::pin(sleep(limits::FOREIGN_STREAM_IDLE)));
            }
            (_, Err(_)) => {}
        }
    }

    /// Closes it when nobody wanted it in time.
    pub(super) fn expire(&mut self, cx: &mut Context<'_>) {
        if let Self::Ready(_, until) = self
            && until.as_mut().poll(cx) == Poll::Ready(())
            && let Self::Ready(mut stream, _) = std::mem::replace(self, Self::Gone)
        {
            tokio::spawn(
                async move { drop(timeout(Duration::from_secs(1), stream.close()).await) },
            );
        }
    }
}
