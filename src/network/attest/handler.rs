//! Attestations on one connection: takes questions of the peer, opens a stream for each of ours.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol};
use libp2p::{Multiaddr, StreamProtocol};
use tokio::time::timeout;

use super::answer::{Answerer, Shares};
use super::{PROTOCOL, Question, wire};
use crate::dag::Cid;
use crate::limits;

/// One connection's handler.
pub(in super::super) struct Handler {
    answerer: Arc<Answerer>,
    shares: Arc<Shares>,
    remote: Multiaddr,
    questions: VecDeque<Question>,
}

impl Handler {
    pub(super) fn new(answerer: Arc<Answerer>, shares: Arc<Shares>, remote: Multiaddr) -> Self {
        Self { answerer, shares, remote, questions: VecDeque::new() }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Question;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Question;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Question, Infallible>> {
        // Questions come only out of the call below; the connection polls again after it.
        match self.questions.pop_front() {
            Some(question) => Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), question)
                    .with_timeout(limits::STREAM_TIMEOUT),
            }),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, question: Question) {
        self.questions.push_back(question);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Question>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) => self.answerer.take(&self.shares, &self.remote, stream),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: question,
            }) => {
                tokio::spawn(ask(Arc::clone(&self.shares), stream, question));
            }
            // Most often a peer that does not speak it.
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: question, error }) => {
                tracing::debug!(peer = %self.shares.peer, %error, "cannot ask for attestations");
                drop(question);
            }
            _ => {}
        }
    }
}

/// Asks on a stream, and tells the one who wanted to know, for as long as somebody does.
async fn ask(
    shares: Arc<Shares>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    question: Question,
) {
    let Question { cid, mut reply } = question;
    let answer = tokio::select! {
        answer = timeout(limits::ATTEST_TIME, answer_of(&shares, &mut stream, &cid)) => answer,
        () = reply.closed() => return,
    };
    if let Ok(Some(bundles)) = answer {
        // Nobody may wait for it any more.
        let _ = reply.send(bundles);
    }
}

/// What a peer answers; `None` if it did not, or broke the protocol.
async fn answer_of(
    shares: &Shares,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    cid: &Cid,
) -> Option<Vec<Bytes>> {
    let (silence, pace) = (limits::ATTEST_SILENCE, shares.pace());
    let mut bundles = Vec::new();
    let answered = async {
        wire::write_question(stream, cid, silence).await?;
        wire::read_answer(stream, &pace.down, silence, &mut bundles).await
    };
    let Err(error) = answered.await else { return Some(bundles) };
    tracing::debug!(peer = %shares.peer, %error, "no whole answer with attestations");
    // What came whole before the peer fell silent is as good as before.
    (error.kind() != io::ErrorKind::InvalidData && !bundles.is_empty()).then_some(bundles)
}
