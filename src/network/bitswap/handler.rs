//! Bitswap on one connection: takes inbound streams, opens outbound ones, says whether the peer speaks it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::StreamProtocol;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
    ProtocolsChange,
};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
};
use tokio::sync::mpsc;

use super::link::{OpenError, Request};
use super::spare::Spare;
use super::{Inbound, Link, PROTOCOL, reader};
use crate::limits;

/// The peer speaks Bitswap; said once a connection.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Speaks;

/// One connection's handler.
pub(in super::super) struct Handler {
    inbound: Arc<Inbound>,
    link: Arc<Link>,
    requests: mpsc::Receiver<Request>,
    spare: Spare,
    news: VecDeque<Speaks>,
    speaks: bool,
}

impl Handler {
    pub(super) fn new(
        inbound: Arc<Inbound>,
        link: Arc<Link>,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        Self { inbound, link, requests, spare: Spare::Due, news: VecDeque::new(), speaks: false }
    }

    fn speaks(&mut self) {
        if !self.speaks {
            self.speaks = true;
            self.news.push_back(Speaks);
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Speaks;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    /// Whose stream it is; nobody's in particular: the spare one.
    type OutboundOpenInfo = Option<Request>;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.link.is_kept()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Option<Request>, Speaks>> {
        if let Some(speaks) = self.news.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(speaks));
        }
        if self.spare.begin() {
            return open(None);
        }
        self.spare.expire(cx);
        while let Poll::Ready(Some(request)) = self.requests.poll_recv(cx) {
            if let Some(request) = self.spare.give(request) {
                return open(Some(request));
            }
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            (),
            Option<Request>,
        >,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: stream,
                ..
            }) => {
                self.speaks();
                // As many tasks as the muxer admits streams.
                tokio::spawn(reader::run(
                    Arc::clone(&self.inbound),
                    Arc::clone(&self.link),
                    stream,
                ));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream,
                info: request,
            }) => match request {
                Some(request) => drop(request.send(Ok(stream))),
                None => self.spare.opened(Ok(stream)),
            },
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: request, error }) => {
                let error = match error {
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                    StreamUpgradeError::Timeout | StreamUpgradeError::Io(_) => OpenError::Failed,
                    StreamUpgradeError::Apply(never) => match never {},
                };
                match request {
                    Some(request) => drop(request.send(Err(error))),
                    None => self.spare.opened(Err(error)),
                }
            }
            ConnectionEvent::RemoteProtocolsChange(ProtocolsChange::Added(added)) => {
                let mut added = added;
                if added.any(|protocol| *protocol == PROTOCOL) {
                    self.speaks();
                }
            }
            _ => {}
        }
    }
}

/// Asks the connection for a stream.
fn open(
    request: Option<Request>,
) -> Poll<ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, Option<Request>, Speaks>> {
    let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), request)
        .with_timeout(limits::STREAM_TIMEOUT);
    Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
}
