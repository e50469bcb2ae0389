//! Every bound and protocol constant of the node, in one place.
//!
//! Each says its unit and why it is that number; where a specification sets it, which one. Nothing here reads a
//! setting: what a user may change stands in `config` and is checked against these.

use std::time::Duration;

/// Kibibyte, mebibyte: what sizes below are written in.
pub const KIB: usize = 1024;
/// See [`KIB`].
pub const MIB: usize = 1024 * KIB;

// ---- dag: content ----------------------------------------------------------------------------------------------

/// Bytes of a leaf in profile `unixfs-v1-2025` (IPIP-0499).
pub const CHUNK: usize = MIB;

/// Bytes of the largest block accepted or served: what every Bitswap peer must handle (Bitswap spec, "block sizes").
pub const BLOCK_MAX: usize = 2 * MIB;

// ---- card: signed statements -----------------------------------------------------------------------------------

// ---- exchange: Bitswap as a state machine ----------------------------------------------------------------------

/// Bytes of the largest Bitswap message, its length prefix not counted (Bitswap 1.2.0).
pub const MESSAGE_MAX: usize = 4 * MIB;

// ---- store: the disk -------------------------------------------------------------------------------------------

// ---- network: libp2p -------------------------------------------------------------------------------------------

/// Port of the default `--listen`, TCP and UDP (cli.md, `daemon`).
pub const P2P_PORT: u16 = 8643;

/// Connections held at once unless `network.max_connections` says otherwise: a lab's worth of nodes, 8 MiB of yamux
/// windows each in the ordinary case.
pub const CONNECTIONS_DEFAULT: u32 = 256;

/// The most that `network.max_connections` may be: each costs a file descriptor and several tasks.
pub const CONNECTIONS_MAX: u32 = 4096;

/// Connections of one peer: simultaneous dials make two, TCP and QUIC may make more.
pub const CONNECTIONS_PER_PEER: u32 = 4;

/// Connections being set up at once, each direction. More wait for nothing: the dialler tries again.
pub const CONNECTIONS_PENDING: u32 = 64;

/// Time for TCP, security and muxer negotiation of a connection.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Time a connection without open streams and without wants is kept.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(60);

/// Streams of one yamux connection, both directions. Kubo opens one for each Bitswap message, and fits a block of
/// 256 KiB into its window unread, so this must be above the wants we give a foreign peer; yamux ends the connection
/// of a peer that opens more.
pub const YAMUX_STREAMS: usize = 512;

/// Bytes a yamux connection may send us unread: 256 KiB for each stream (yamux spec), and 64 MiB by which windows
/// may grow: twice the bandwidth-delay product of 1 Gbit/s at 250 ms.
pub const YAMUX_CONNECTION_WINDOW: usize = YAMUX_STREAMS * 256 * KIB + 64 * MIB;

/// Bytes of a yamux data frame (experiments F: 16 KiB, the default, costs a fifth of the throughput).
pub const YAMUX_FRAME: usize = 64 * KIB;

/// Inbound streams of one connection that may be choosing their protocol at once; the swarm drops more, and with
/// them a block each (reference ipfs.md 3.6).
pub const NEGOTIATING_STREAMS: usize = YAMUX_STREAMS;

/// Events a connection may have waiting for the swarm, and commands the swarm for a connection (defaults 7 and 32).
pub const CONNECTION_EVENTS: usize = 64;

/// Interfaces of this host that are looked at.
pub const INTERFACES_MAX: usize = 256;

/// Peers and addresses given by hand.
pub const BY_HAND_MAX: usize = 1024;

/// Addresses kept of one peer.
pub const ADDRS_PER_PEER: usize = 16;

/// Bytes of a multiaddr kept (a DNS name of 253 bytes and a peer id fit).
pub const MULTIADDR_MAX: usize = 512;

/// Addresses this node tells of itself: libp2p-swarm silently drops what exceeds this.
pub const EXTERNAL_ADDRS: usize = 20;

// ---- library, node, gateway, client, cli -----------------------------------------------------------------------
