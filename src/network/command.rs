//! What the handle asks of the event loop.

use std::time::Duration;

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, oneshot, watch};

use super::attest::Standing;
use super::session::Delivery;
use super::{Announced, Error, Peer, Sources, Status, connect};
use crate::card::did::PublisherId;
use crate::card::ipns;
use crate::config::rates::Rates;
use crate::dag::Cid;
use crate::exchange::SessionId;

/// One request. A reply that nobody waits for any more is dropped.
pub(super) enum Command {
    ListenAddrs {
        reply: oneshot::Sender<Vec<Multiaddr>>,
    },
    Connect {
        addr: Multiaddr,
        reply: connect::Reply,
    },
    AddBootstrap {
        addr: Multiaddr,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    Announce {
        cids: Vec<Cid>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    Withdraw {
        cids: Vec<Cid>,
    },
    Announced {
        reply: oneshot::Sender<Vec<Announced>>,
    },
    FindProviders {
        cid: Cid,
        found: mpsc::Sender<PeerId>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    ProvidersHeld {
        cid: Cid,
        reply: oneshot::Sender<Vec<PeerId>>,
    },
    PublishName {
        record: Box<ipns::Record>,
        reply: oneshot::Sender<Result<usize, Error>>,
    },
    ResolveName {
        publisher: PublisherId,
        within: Duration,
        reply: oneshot::Sender<Result<Option<ipns::Record>, Error>>,
    },
    NameHeld {
        publisher: PublisherId,
        reply: oneshot::Sender<Option<ipns::Record>>,
    },
    /// Whom there is to ask for attestations; the `first` look of a caller also dials neighbours.
    Attestors {
        first: bool,
        reply: oneshot::Sender<Standing>,
    },
    /// Asks one peer. No reply: it did not answer.
    Ask {
        peer: PeerId,
        cid: Cid,
        reply: oneshot::Sender<Vec<Bytes>>,
    },
    Peers {
        reply: oneshot::Sender<Vec<Peer>>,
    },
    Status {
        reply: oneshot::Sender<Status>,
    },
    Rates {
        reply: oneshot::Sender<Rates>,
    },
    SetRates {
        rates: Rates,
    },
    Stored {
        blocks: Vec<(Cid, usize)>,
    },
    OpenSession {
        hints: Vec<Cid>,
        deliveries: mpsc::Sender<Delivery>,
        counts: watch::Sender<Sources>,
        reply: oneshot::Sender<Result<SessionId, Error>>,
    },
    Want {
        session: SessionId,
        wants: Vec<(Cid, usize)>,
        reply: oneshot::Sender<Result<(), Error>>,
    },
    Prioritise {
        session: SessionId,
        cids: Vec<Cid>,
    },
    Cancel {
        session: SessionId,
        cids: Vec<Cid>,
    },
    Shutdown {
        reply: oneshot::Sender<()>,
    },
}
