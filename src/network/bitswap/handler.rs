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
    news: VecDeque<Speaks>,
    speaks: bool,
}

impl Handler {
    pub(super) fn new(
        inbound: Arc<Inbound>,
        link: Arc<Link>,
        requests: mpsc::Receiver<Request>,
    ) -> Self {
        Self { inbound, link, requests, news: VecDeque::new(), speaks: false }
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
    type OutboundOpenInfo = Request;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.link.is_kept()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Request, Speaks>> {
        if let Some(speaks) = self.news.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(speaks));
        }
        match self.requests.poll_recv(cx) {
            Poll::Ready(Some(request)) => {
                let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), request)
                    .with_timeout(limits::STREAM_TIMEOUT);
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
            }
            _ => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol, (), Request>,
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
            }) => drop(request.send(Ok(stream))),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: request, error }) => {
                let error = match error {
                    StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                    StreamUpgradeError::Timeout | StreamUpgradeError::Io(_) => OpenError::Failed,
                    StreamUpgradeError::Apply(never) => match never {},
                };
                drop(request.send(Err(error)));
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
