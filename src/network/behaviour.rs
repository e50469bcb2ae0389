//! Everything the swarm runs, in the order in which it may refuse a connection.
//!
//! Putting together and settings only; what the events mean is `event_loop`'s and below.

use std::num::NonZeroUsize;
use std::time::Duration;

use libp2p::allow_block_list::{self, BlockedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::identity::Keypair;
use libp2p::kad::{BucketInserts, Caching, Mode, StoreInserts};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{StreamProtocol, identify, kad, mdns, ping};

use super::gate::Gate;
use super::names::Held;
use super::policy::Policy;
use super::records::Records;
use super::{attest, bitswap, pong};
use crate::card::index::Scope;
use crate::config::network::Settings;
use crate::limits;

/// The DHT of the LAN (kad-dht spec; Kubo's `dht.lan`).
pub(super) const LAN_KAD: StreamProtocol = StreamProtocol::new("/ipfs/lan/kad/1.0.0");

/// What a node says it is. Peers whose agent begins like this are known to keep streams open.
pub(super) const AGENT_PREFIX: &str = "modelswarm/";

/// The behaviours. Those that refuse connections come first, so that none below sees a connection that never stands.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) gate: Gate,
    pub(super) limits: connection_limits::Behaviour,
    pub(super) blocked: allow_block_list::Behaviour<BlockedPeers>,
    /// Before `ping`: of two that offer a protocol, the first gets the inbound streams.
    pub(super) pong: pong::Behaviour,
    /// Outbound only, for the round trip.
    pub(super) ping: ping::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) kad: kad::Behaviour<Records>,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(super) attest: attest::Behaviour,
    pub(super) bitswap: bitswap::Behaviour,
}

/// Builds them for a node.
///
/// # Errors
/// When mDNS cannot open its sockets.
pub(super) fn build(
    identity: &Keypair,
    settings: &Settings,
    policy: Policy,
    attest: attest::Behaviour,
    bitswap: bitswap::Behaviour,
) -> std::io::Result<Behaviour> {
    let local = identity.public().to_peer_id();
    let mdns = if settings.mdns() {
        Some(mdns::tokio::Behaviour::new(mdns::Config::default(), local)?)
    } else {
        None
    };
    let limits = ConnectionLimits::default()
        .with_max_established(Some(settings.max_connections))
        .with_max_established_per_peer(Some(limits::CONNECTIONS_PER_PEER))
        .with_max_pending_incoming(Some(limits::CONNECTIONS_PENDING))
        .with_max_pending_outgoing(Some(limits::CONNECTIONS_PENDING));
    Ok(Behaviour {
        gate: Gate(policy),
        limits: connection_limits::Behaviour::new(limits),
        blocked: allow_block_list::Behaviour::default(),
        pong: pong::Behaviour,
        ping: ping::Behaviour::new(ping::Config::new().with_interval(limits::PING_EVERY)),
        identify: identify::Behaviour::new(
            identify::Config::new("ipfs/0.1.0".to_owned(), identity.public())
                .with_agent_version(format!("{AGENT_PREFIX}{}", env!("CARGO_PKG_VERSION")))
                .with_push_listen_addr_updates(true)
                // Only the chosen addresses: listen addresses would bring the container bridges back.
                .with_hide_listen_addrs(true)
                // Its cache is not sanitised, and joins every dial: a peer's loopback addresses are ours where both
                // listen on the same port, and the first to answer decides the dial. `peers` keeps those believed.
                .with_cache_size(0),
        ),
        kad: kademlia(local),
        mdns: mdns.into(),
        attest,
        bitswap,
    })
}

fn kademlia(local: libp2p::PeerId) -> kad::Behaviour<Records> {
    let mut config = kad::Config::new(LAN_KAD);
    config
        .set_max_packet_size(limits::KAD_PACKET)
        .set_parallelism(NonZeroUsize::new(limits::KAD_PARALLELISM).expect("not zero"))
        .set_query_timeout(limits::KAD_QUERY_TIMEOUT)
        .set_provider_publication_interval(None)
        .set_publication_interval(None)
        .set_replication_interval(None)
        // No life of Kademlia's own on values: a name's record says itself how long it is valid.
        .set_record_ttl(None)
        // Stores nothing: it names the peers asked that had no record, for `names` to correct.
        .set_caching(Caching::Enabled { max_peers: limits::NAME_CORRECTED as u16 })
        .set_record_filtering(StoreInserts::FilterBoth)
        // Peers enter the table when identify says that they serve this DHT, with sanitised addresses.
        .set_kbucket_inserts(BucketInserts::Manual)
        .set_periodic_bootstrap_interval(Some(Duration::from_secs(300)));
    let mut kad =
        kad::Behaviour::with_config(local, Records::new(local, Held::new(Scope::Lan)), config);
    kad.set_mode(Some(Mode::Server));
    kad
}
