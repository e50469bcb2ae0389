//! What can go wrong between a caller and the network.

use libp2p::{Multiaddr, PeerId};

use crate::card::did::PublisherId;
use crate::card::statement::Timestamp;
use crate::config::network::Preset;
use crate::limits;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The node was shut down, or its thread ended.
    #[error("the network is stopped")]
    Stopped,
    /// A port to listen on is in use.
    #[error(
        "cannot listen on {addr}: the port is in use; choose another with --listen, or stop what holds it"
    )]
    ListenTaken {
        /// The address asked for.
        addr: Multiaddr,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {addr}: {reason}")]
    Listen {
        /// The address asked for.
        addr: Multiaddr,
        /// Why.
        reason: String,
    },
    /// An address of a kind that is not spoken here.
    #[error(
        "cannot use {addr}: {reason}; addresses look like /ip4/192.168.1.20/tcp/8643 or /ip4/192.168.1.20/udp/8643/quic-v1"
    )]
    UnsupportedAddr {
        /// The address asked for.
        addr: Multiaddr,
        /// Why.
        reason: String,
    },
    /// A bootstrap peer is known by its id.
    #[error("{addr} names no peer; end it with /p2p/<peer id>")]
    NeedsPeerId {
        /// The address asked for.
        addr: Multiaddr,
    },
    /// A peer could not be reached.
    #[error("cannot connect to {addr}: {reason}")]
    Dial {
        /// The address asked for.
        addr: Multiaddr,
        /// Why.
        reason: String,
    },
    /// A peer that misbehaved is not talked to for a while.
    #[error("{peer} broke the protocol and is blocked for up to {minutes} minutes", minutes = limits::PENALTY.as_secs() / 60)]
    Penalised {
        /// Whom.
        peer: PeerId,
    },
    /// A preset this version cannot run.
    #[error("the network preset {preset} is not available yet; use lan or isolated")]
    PresetUnsupported {
        /// The preset asked for.
        preset: Preset,
    },
    /// A session was handed more wants than it keeps.
    #[error("{open} blocks are wanted already and {max} is the most; hand over more as others arrive", max = limits::SESSION_WANTS)]
    TooManyWants {
        /// Wants that are open now.
        open: usize,
    },
    /// Too much of something at once.
    #[error("too many {what} at once (at most {max})")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// A name's record to be published that was signed for the other DHT.
    #[error(
        "the record of {publisher}'s name was not made for this network's DHT; sign one for it"
    )]
    OtherDht {
        /// Whose name it is.
        publisher: PublisherId,
    },
    /// A name's record to be published that has ended.
    #[error("the record of {publisher}'s name ended at {at}; sign a new one")]
    RecordExpired {
        /// Whose name it is.
        publisher: PublisherId,
        /// When it ended.
        at: Timestamp,
    },
    /// A name's record to be published that a newer one is known of.
    #[error(
        "a newer record of {publisher}'s name is known: its sequence is {held}, that of this one {sequence}; sign one with a higher sequence"
    )]
    OlderRecord {
        /// Whose name it is.
        publisher: PublisherId,
        /// The record's sequence.
        sequence: u64,
        /// That of the newer one; the same if that one ends later.
        held: u64,
    },
    /// The node could not be put together: keys, threads, sockets for mDNS.
    #[error("cannot start the network: {0}")]
    Start(String),
}
