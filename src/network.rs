//! The node on the wire: libp2p with Bitswap, the LAN's DHT and an address book.
//!
//! [`spawn`] starts it on a thread of its own with a current-thread runtime (design section 6: the same stream moves
//! 1.6 x as much there as on a shared one); [`Network`] is the handle, and [`Session`] one fetch. Nothing blocks on
//! that thread: the store is called and blocks are hashed on threads beside it.
//!
//! It moves blocks and finds peers. What is wanted, what is stored and what may be announced its callers decide;
//! whether a peer may see a block is `config::allows`, asked anew for every block served.
//!
//! # Round trips
//!
//! From a cold start the first block is four round trips away, TCP's own handshake not counted, and each block that is
//! known from one before it one more (counted by `tests/it/round_trips.rs`):
//!
//! 1. which security protocol: two are offered, so the answer must be awaited;
//! 2. TLS 1.3;
//! 3. identify: whether the peer speaks Bitswap, asked before anything is wanted of it. It could be tried at once; a peer
//!    that does not speak it would then cost each fetch a stream and a wait;
//! 4. want and block.
//!
//! Not among them: the muxer, which is asked for by one name, so that what is to be said goes along with the question; and
//! the protocol of the stream for wants and of that for blocks, agreed on while identify is under way (`bitswap::spare`):
//! two round trips less. Of a peer that was given by hand things are wanted at once, without 3.
//!
//! # What bounds it
//!
//! On a link, the link (`examples/swarm`). Without one, the processor: both ends on two cores keep these busy from the
//! first leaf to the last. Sampled while 1 GiB went disk to disk over loopback, in milliseconds of CPU:
//!
//! | receiver | | | sender | |
//! |---|---|---|---|---|
//! | SHA-256 | 495 | | reading the file | 205 |
//! | write, most of it the copy into the page cache | 285 | | socket | 135 |
//! | socket | 110 | | this module's own code | 75 |
//! | AES-GCM | 95 | | AES-GCM | 70 |
//! | copies in memory, half of them TLS's | 95 | | copies | 45 |
//! | this module's own code | 80 | | wakeups and interrupts | 45 |
//! | the fetch: what is asked, the index, sync | 50 | | the rest | 25 |
//! | wakeups and interrupts | 55 | | | |
//! | the rest | 65 | | | |
//!
//! A bare stream, hashed and written, pays for all but the last four lines here and the last three there. A block is
//! written by the thread that hashed it ([`Landing`]), one at a time to a file: each took a twentieth off the time. Hash,
//! cipher and kernel are what they are; what is left to gain is a copy on each side, by decrypting and encrypting in place.
//!
//! | file | does |
//! |---|---|
//! | `start`, `event_loop`, `requests`, `command` | the thread, what wakes it, answers to the handle |
//! | `transport`, `tls`, `muxer` | TCP + TLS or Noise + yamux, QUIC |
//! | `policy`, `gate` | whom to dial, answer, and show what |
//! | `behaviour`, `bitswap`, `pong` | the swarm's protocols; Bitswap's streams; answers to pings |
//! | `transfer`, `fetch`, `session`, `landing` | the exchange's shell, fetches, where their blocks go at once |
//! | `memory`, `pace` | room for payload, rate limits |
//! | `dht`, `records`, `schedule` | announcing, finding, other peers' records |
//! | `names` | publishing, resolving and holding the records of publishers' names |
//! | `attest` | asking peers for what they have about a root or a card, and answering |
//! | `peers`, `connect`, `behind` | the address book, dials by hand, what survives a restart |
//! | `blocks`, `pool`, `offered` | the store, on threads of its own; blocks served from memory |

mod attest;
mod behaviour;
mod behind;
mod bitswap;
mod blocks;
mod command;
mod connect;
mod dht;
mod error;
mod event_loop;
mod fetch;
mod gate;
mod landing;
mod memory;
mod muxer;
mod names;
mod offered;
mod pace;
mod peers;
mod policy;
mod pong;
mod pool;
mod records;
mod requests;
mod schedule;
mod session;
mod start;
mod status;
mod tls;
mod transfer;
mod transport;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use attest::{Attestations, no_attestations};
pub use error::Error;
pub use landing::Landing;
pub use libp2p::identity::Keypair;
pub use libp2p::{Multiaddr, PeerId};
pub use session::{Arrived, Event, Providers, Session};
pub use status::{Announced, Peer, Sources, Status};

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use libp2p::core::{muxing::StreamMuxerBox, transport::Boxed};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::card::did::PublisherId;
use crate::card::ipns;
use crate::config::Visibility;
use crate::config::network::Settings;
use crate::config::rates::Rates;
use crate::dag::{Block, Cid};
use crate::limits;
use crate::store::Store;

use command::Command;
use session::Note;

/// What a node starts with.
pub struct Options {
    /// The node's key; its peer id follows from it.
    pub identity: Keypair,
    /// Preset, ranges, bounds. Its lists of addresses are the caller's to resolve into the two below.
    pub settings: Settings,
    /// How much it may send and receive in a second, until told otherwise.
    pub rates: Rates,
    /// Where to listen; nowhere for a node that only fetches.
    pub listen: Vec<Multiaddr>,
    /// Peers to know from the start, each ending with `/p2p/…`; given by hand.
    pub bootstrap: Vec<Multiaddr>,
    /// What peers are answered that ask for attestations.
    pub attestations: Attestations,
}

/// Starts a node and returns when every address is listened on. May be called from any runtime.
///
/// # Errors
/// [`Error::ListenTaken`], [`Error::Listen`], [`Error::UnsupportedAddr`], [`Error::NeedsPeerId`],
/// [`Error::PresetUnsupported`], [`Error::Start`].
pub async fn spawn(options: Options, store: Store) -> Result<Network, Error> {
    start::start(options, store).await
}

/// The transport that nodes run on, open to all addresses: what benchmarks measure the exchange against.
///
/// # Errors
/// [`Error::Start`] for a key that TLS or Noise cannot use.
pub fn bare_transport(identity: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, Error> {
    transport::direct(identity).map_err(|error| Error::Start(error.to_string()))
}

/// A running node. Clones share it; without clones and sessions it stops, but only [`Network::shutdown`] waits for
/// that. Every method but [`Network::peer_id`] gives [`Error::Stopped`] once it has stopped.
#[derive(Clone)]
pub struct Network {
    peer_id: PeerId,
    commands: mpsc::Sender<Command>,
    notes: mpsc::Sender<Note>,
    landings: landing::Landings,
    offered: offered::Offered,
    /// Room to ask for attestations.
    asks: Arc<Semaphore>,
}

impl Network {
    /// Who this node is.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Where it listens, ports and interfaces resolved, best first, each with `/p2p/<its id>`. Addresses of container
    /// bridges are left out.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn listen_addrs(&self) -> Result<Vec<Multiaddr>, Error> {
        self.call(|reply| Command::ListenAddrs { reply }).await
    }

    /// Connects to a peer given by hand: it is dialled wherever it is, remembered, and dialled again when lost. Waits
    /// for the connection. The address may leave the peer's id out.
    ///
    /// # Errors
    /// [`Error::Dial`] with the reason, [`Error::UnsupportedAddr`], [`Error::Penalised`], [`Error::TooMany`],
    /// [`Error::Stopped`].
    pub async fn connect(&self, addr: Multiaddr) -> Result<PeerId, Error> {
        self.call(|reply| Command::Connect { addr, reply }).await?
    }

    /// Adds a peer given by hand without waiting for it; it is dialled until it is there.
    ///
    /// # Errors
    /// [`Error::NeedsPeerId`], [`Error::TooMany`], [`Error::Stopped`].
    pub async fn add_bootstrap(&self, addr: Multiaddr) -> Result<(), Error> {
        self.call(|reply| Command::AddBootstrap { addr, reply }).await?
    }

    /// Adds CIDs to the set that this node announces in the LAN's DHT: at once, every 22 hours, and when the first
    /// DHT peers appear. The caller decides the set: only content whose visibility allows `Audience::LanDht`.
    ///
    /// # Errors
    /// [`Error::TooMany`], and then none is added; [`Error::Stopped`].
    pub async fn announce(&self, cids: Vec<Cid>) -> Result<(), Error> {
        self.call(|reply| Command::Announce { cids, reply }).await?
    }

    /// Takes CIDs out of that set. Records that others hold expire within 48 hours.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn withdraw(&self, cids: Vec<Cid>) -> Result<(), Error> {
        self.send(Command::Withdraw { cids }).await
    }

    /// The set, and when each last reached DHT peers.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn announced(&self) -> Result<Vec<Announced>, Error> {
        self.call(|reply| Command::Announced { reply }).await
    }

    /// Looks for providers in the DHT; they come as they are found.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::Stopped`].
    pub async fn find_providers(&self, cid: Cid) -> Result<Providers, Error> {
        let (found, providers) = mpsc::channel(limits::PROVIDERS_MAX);
        self.call(|reply| Command::FindProviders { cid, found, reply }).await??;
        Ok(Providers(providers))
    }

    /// The providers that this node's own part of the DHT names for a CID.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn providers_held(&self, cid: Cid) -> Result<Vec<PeerId>, Error> {
        self.call(|reply| Command::ProvidersHeld { cid, reply }).await
    }

    /// Publishes the record of a publisher's name in the LAN's DHT: holds it, from now on and over restarts until it
    /// ends, and puts it to the peers closest to it, again whenever announcements are repeated. Says how many peers
    /// acknowledged it now (which a peer also does that refuses it): at once 0 with none in the routing table, else
    /// when all have answered, which takes some ten seconds if one is gone.
    ///
    /// # Errors
    /// [`Error::OlderRecord`], [`Error::RecordExpired`], [`Error::OtherDht`], [`Error::TooMany`], and then it is not
    /// held; [`Error::Stopped`].
    pub async fn publish_name(&self, record: ipns::Record) -> Result<usize, Error> {
        let record = Box::new(record);
        self.call(|reply| Command::PublishName { record, reply }).await?
    }

    /// The newest record of a publisher's name that the LAN's DHT or this node holds, neither ended nor signed for
    /// the other DHT. Ends by itself after about [`limits::NAME_RESOLVE_TIME`]. This node holds it then too, and peers
    /// asked that have an older one or none are sent it.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::Stopped`].
    pub async fn resolve_name(
        &self,
        publisher: PublisherId,
    ) -> Result<Option<ipns::Record>, Error> {
        self.resolve_name_within(publisher, limits::NAME_RESOLVE_TIME).await
    }

    /// The same with less time: peers that are gone hold it up no longer than `within`, unless somebody resolves the name
    /// already. Looked at once a second.
    ///
    /// # Errors
    /// As [`Network::resolve_name`].
    pub async fn resolve_name_within(
        &self,
        publisher: PublisherId,
        within: Duration,
    ) -> Result<Option<ipns::Record>, Error> {
        self.call(|reply| Command::ResolveName { publisher, within, reply }).await?
    }

    /// The record of a publisher's name that this node holds, whoever published it; none that has ended.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn name_held(&self, publisher: PublisherId) -> Result<Option<ipns::Record>, Error> {
        self.call(|reply| Command::NameHeld { publisher, reply }).await
    }

    /// Asks peers for the bundles they have about `about`: `root` itself, or a card that is about it. Asked are connected
    /// peers that speak the protocol and providers of `root` that the DHT names, [`limits::ATTEST_PEERS`] at most and all
    /// at once; they learn what is asked for. Waits until each has answered or fallen silent, for
    /// [`limits::ATTEST_TIME`] at the longest, and while [`limits::ATTEST_ASKS`] others ask.
    ///
    /// One entry for each peer that answered, an empty one if it has nothing it may show; none for those that could not
    /// be reached, do not speak the protocol or broke it. The bundles are as the peers sent them, at most
    /// [`limits::ATTEST_BUNDLES`] and [`limits::ATTEST_BYTES`] of each: nothing is known of them but their length.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn attestations(
        &self,
        root: Cid,
        about: Cid,
    ) -> Result<Vec<(PeerId, Vec<Bytes>)>, Error> {
        self.attestations_within(root, about, limits::ATTEST_TIME).await
    }

    /// The same, with what has come by the end of so long.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn attestations_within(
        &self,
        root: Cid,
        about: Cid,
        within: Duration,
    ) -> Result<Vec<(PeerId, Vec<Bytes>)>, Error> {
        let _room = self.asks.acquire().await.map_err(|_| Error::Stopped)?;
        attest::run(self, root, about, within).await
    }

    /// The connected peers.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn peers(&self) -> Result<Vec<Peer>, Error> {
        self.call(|reply| Command::Peers { reply }).await
    }

    /// The rate limits that hold.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn rates(&self) -> Result<Rates, Error> {
        self.call(|reply| Command::Rates { reply }).await
    }

    /// Sets the rate limits; what is under way keeps to them from the next piece on.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn set_rates(&self, rates: Rates) -> Result<(), Error> {
        self.send(Command::SetRates { rates }).await
    }

    /// The node at a glance.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn status(&self) -> Result<Status, Error> {
        self.call(|reply| Command::Status { reply }).await
    }

    /// Says that the store lists these blocks now (CID and bytes): peers that wait for them are told or sent them, as
    /// far as they may see them.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn stored(&self, blocks: Vec<(Cid, usize)>) -> Result<(), Error> {
        self.send(Command::Stored { blocks }).await
    }

    /// Serves a block from memory to whom this visibility allows, until [`limits::OFFERED_BLOCKS`] others were offered
    /// after it: for one that no tree of the store holds.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn offer(&self, block: Block, visibility: Visibility) -> Result<(), Error> {
        let stored = vec![(*block.cid(), block.data().len())];
        self.offered.add(block, visibility);
        self.stored(stored).await
    }

    /// Opens a fetch. `hints`: the CIDs whose providers are looked for at once, so roots and releases (at most
    /// [`limits::SESSION_HINTS`] are used). Peers that are connected, now or later, are sources too.
    ///
    /// # Errors
    /// [`Error::TooMany`], [`Error::Stopped`].
    pub async fn session(&self, hints: Vec<Cid>) -> Result<Session, Error> {
        let (deliveries, events) = mpsc::channel(limits::DELIVERIES);
        let (counts, sources) = watch::channel(Sources { searching: true, ..Sources::default() });
        let id =
            self.call(|reply| Command::OpenSession { hints, deliveries, counts, reply }).await??;
        Ok(Session::new(id, self.clone(), events, sources))
    }

    /// Stops the node: no more connections, address book and records saved, connections closed. Returns when that is
    /// done, after [`limits::SHUTDOWN`] at the latest. Sessions end.
    pub async fn shutdown(&self) {
        // An error means that it had stopped before.
        drop(self.call(|reply| Command::Shutdown { reply }).await);
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Resolves when it has stopped, by [`Network::shutdown`] or by itself.
    pub async fn stopped(&self) {
        self.commands.closed().await;
    }

    async fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).await.map_err(|_| Error::Stopped)
    }

    async fn call<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await?;
        answer.await.map_err(|_| Error::Stopped)
    }
}
