//! Bounds of the network: `network`.

use std::time::Duration;

use super::{BLOCK_MAX, FOREIGN_WANTS, KIB, MIB, SESSION_WANTS};

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

/// How long a dial of QUIC waits for one of TCP to the same peer: several round trips of a continent. Measured
/// between two network namespaces, 1 GiB takes 1.5 to 1.9 x as long by QUIC.
pub const QUIC_HANDICAP: Duration = Duration::from_millis(250);

/// Time a connection without open streams and without wants is kept.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(60);

/// Streams of one yamux connection, both directions. Kubo opens one for each Bitswap message, and fits a block of
/// 256 KiB into its window unread, so this must be above the wants we give a foreign peer; yamux ends the connection
/// of a peer that opens more.
pub const YAMUX_STREAMS: usize = 512;

/// Bytes that the kernel takes of a connection beyond what is under way (`TCP_NOTSENT_LOWAT`): two frames, so that one
/// is there when the other is gone.
pub const TCP_UNSENT: u32 = 128 * KIB as u32;

/// Bytes that a stream's sender may send before anything is read (yamux specification).
pub const YAMUX_WINDOW: usize = 256 * KIB;

/// Bytes by which the windows of one connection's streams may grow: twice the bandwidth-delay product of 1 Gbit/s at
/// 250 ms.
pub const YAMUX_GROWTH: usize = 64 * MIB;

/// Those of all connections together. Peers that are read slowly may fill that much memory with what they send; none
/// sends what it was not asked for without being dropped.
pub const YAMUX_GROWTH_ALL: usize = 256 * MIB;

/// Bytes read of a stream from which it is thought to carry payload: more than a message that says who a peer is.
pub const YAMUX_PAYLOAD: u64 = 4 * KIB as u64;

/// Bytes a second of the link that a stream with payload is first thought to come through: 1 Gbit/s.
pub const YAMUX_RATE: usize = 125_000_000;

/// Bytes that a stream with payload may have unread at least, however near its peer is: where links are full, queues of
/// others' packets make a way of 0.1 ms one of 100 ms, and this 20 MB/s.
pub const YAMUX_NEAR: usize = 2 * MIB;

/// Bytes of a yamux data frame, its header included (experiments F: 16 KiB, the usual size, costs a fifth of the
/// throughput). Larger ones of peers are read in parts of this size.
pub const YAMUX_FRAME: usize = 64 * KIB;

/// Buffers of read frames that a connection keeps for the next.
pub const YAMUX_SPARE: usize = 4;

/// Frames without data that wait to be sent on a connection; with more, nothing is read until they are.
pub const YAMUX_CONTROL: usize = 1024;

/// Streams that we opened on a connection and the peer has not accepted: what go-yamux queues.
pub const YAMUX_UNACCEPTED: usize = 256;

/// Inbound streams of one connection that may be choosing their protocol at once; the swarm drops more, and with
/// them a block each (reference ipfs.md 3.6).
pub const NEGOTIATING_STREAMS: usize = YAMUX_STREAMS;

/// Events a connection may have waiting for the swarm, and commands the swarm for a connection (defaults 7 and 32).
pub const CONNECTION_EVENTS: usize = 64;

/// Interfaces of this host that are looked at.
pub const INTERFACES_MAX: usize = 256;

/// Events of the swarm kept while a starting node waits for its listen addresses: several for each interface of a
/// large host, and its first neighbours. When they are that many it waits no longer.
pub const EARLY_EVENTS: usize = 4096;

/// Peers and addresses given by hand.
pub const BY_HAND_MAX: usize = 1024;

/// Addresses kept of one peer.
pub const ADDRS_PER_PEER: usize = 16;

/// Bytes of a multiaddr kept, so that all of a peer's fit into one entry of the store.
pub const MULTIADDR_MAX: usize = 224;

/// Addresses this node tells of itself: libp2p-swarm silently drops what exceeds this.
pub const EXTERNAL_ADDRS: usize = 20;

/// Block payload in memory on its way in, in all: received, being hashed, or in a fetcher's hands.
pub const PAYLOAD: usize = 48 * MIB;

/// Payload on its way in from one peer beyond what it is asked for: two blocks, for those that it pushes when it gets
/// what it lacked, that crossed a cancel, or that are longer than thought.
pub const PUSHED_PAYLOAD: usize = 2 * BLOCK_MAX;

/// Payload buffers kept for reuse: a fresh one costs its page faults.
pub const SPARE_BUFFERS: usize = 16;

/// Bytes from which a payload buffer is worth keeping.
pub const SPARE_BUFFER_MIN: usize = 256 * KIB;

/// Threads that hash what arrives: at most this many, and no more than the machine has cores.
pub const HASH_THREADS: usize = 8;

/// Jobs of the hash pool, those that run included; the payload they hold is bounded by [`PAYLOAD`].
pub const HASH_QUEUE: usize = 256;

/// Threads for calls into the store: enough to keep a disk busy while another call waits for it.
pub const STORE_THREADS: usize = 4;

/// Calls into the store that wait or run.
pub const STORE_QUEUE: usize = 64;

/// Blocks served from memory: the newest indexes of this node's publisher, and the ones before, which somebody may just
/// be fetching, with the roots of a lab. Each is at most [`INDEX_MAX`](super::INDEX_MAX) long.
pub const OFFERED_BLOCKS: usize = 8;

/// Commands that wait for the event loop.
pub const COMMANDS: usize = 256;

/// Events of streams that wait for the event loop. Those with payload are bounded by [`PAYLOAD`] too.
pub const STREAM_EVENTS: usize = 1024;

/// Stream requests that wait at a connection.
pub const STREAM_REQUESTS: usize = 16;

/// Frames that wait for a peer's control stream. A peer that lets them pile up is disconnected.
pub const CONTROL_QUEUE: usize = 1024;

/// Bytes of such frames.
pub const CONTROL_QUEUE_BYTES: usize = 16 * MIB;

/// Failed attempts to write wants to a peer before it is disconnected; the wait between them grows by
/// [`CONTROL_RETRY`].
pub const CONTROL_FAILURES: u32 = 3;
/// See [`CONTROL_FAILURES`].
pub const CONTROL_RETRY: Duration = Duration::from_secs(1);

/// How often a payload that comes in slowly is said to be coming.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// How often sessions are told changed counts.
pub const COUNTS_EVERY: Duration = Duration::from_millis(100);

/// Responses that wait for a peer's response stream: each answers a want that is remembered, and the exchange holds
/// back far earlier.
pub const SERVE_QUEUE: usize = FOREIGN_WANTS;

/// Time to agree on the protocol of a stream we open.
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(10);

/// Less than [`STREAM_STEP`] of a begun message in this time: the stream is closed, and it counts against the peer. On our
/// own streams: not one byte taken, and the peer is disconnected.
pub const STREAM_STALL: Duration = Duration::from_secs(30);

/// Bytes of responses remembered as just written, to be written again if the stream turns out to be reset: what its
/// window and the buffers on the way hold at the rates where that matters.
pub const UNCONFIRMED: usize = 4 * MIB;

/// Bytes that count as progress of a message, or all that is left of it: 2 kB a second. A drip would hold its memory
/// for ever.
pub const STREAM_STEP: usize = 64 * KIB;

/// An idle stream to a peer that is not ours is closed after this (Helia aborts one that brings no whole message for
/// 10 s).
pub const FOREIGN_STREAM_IDLE: Duration = Duration::from_secs(5);

/// An idle stream to one of ours.
pub const STREAM_IDLE: Duration = Duration::from_secs(60);

/// Fetches at once.
pub const SESSIONS_MAX: usize = 1024;

/// Root hints a session may start with.
pub const SESSION_HINTS: usize = 16;

/// Providers of a session that are dialled at once; the others wait for one to answer or fail.
pub const SESSION_DIALS: usize = 16;

/// The slowest rate limit, in bytes a second: several times what [`STREAM_STEP`] in [`STREAM_STALL`] asks for, as streams
/// share it.
pub const RATE_MIN: u64 = 16 * KIB as u64;

/// Bytes of a piece that waits for its turn under a rate limit.
pub const PACE_PIECE: usize = 16 * KIB;

/// Time between pings: what `peers` shows as round trip.
pub const PING_EVERY: Duration = Duration::from_secs(15);

/// Ping streams of one connection that are answered: what the ping spec tells the listening side to accept. A further
/// one takes the place of the oldest.
pub const PONG_STREAMS: usize = 2;

/// A ping stream on which nothing moves for this long is dropped: four times the usual interval (rust-libp2p: 15 s,
/// js-libp2p: 10 s).
pub const PONG_IDLE: Duration = Duration::from_secs(60);

/// Bytes of a Kademlia message: Go reads up to 4 MiB, and an answer of 20 peers with many addresses passes the
/// 16 KiB that libp2p-kad allows by default (kad-dht spec; reference ipfs.md 3.2).
pub const KAD_PACKET: usize = 4 * MIB;

/// Peers asked at once in a lookup (alpha; go-libp2p-kad-dht).
pub const KAD_PARALLELISM: usize = 10;

/// A lookup that has found nothing more for this long is over.
pub const KAD_QUERY_TIMEOUT: Duration = Duration::from_secs(60);

/// Provider records are valid for this long (kad-dht spec, Amino).
pub const RECORD_TTL: Duration = Duration::from_secs(48 * 3600);

/// Bytes of a record's key (kad-dht spec: ADD_PROVIDER keys are at most 80 bytes).
pub const RECORD_KEY_MAX: usize = 80;

/// Provider records held for others: about 10 MiB.
pub const RECORDS_MAX: usize = 32_768;

/// Providers held for one key; an answer carries twenty of them.
pub const RECORD_PROVIDERS: usize = 64;

/// Keys this node announces: 32 a repo (design section 6) for a thousand repos.
pub const ANNOUNCED_MAX: usize = 32_768;

/// Announcements under way at once.
pub const ANNOUNCING_MAX: usize = 16;

/// Records are sent again after this (kad-dht spec, Amino: 22 h).
pub const ANNOUNCE_EVERY: Duration = Duration::from_secs(22 * 3600);

/// After an announcement that reached nobody.
pub const ANNOUNCE_RETRY: Duration = Duration::from_secs(60);

/// Below this many peers in the routing table, announcements are repeated when it doubles (k of Kademlia).
pub const ANNOUNCE_TABLE: usize = 20;

/// Provider searches at once.
pub const SEARCHES_MAX: usize = 256;

/// Those who wait for one search, or for one name to be published or resolved.
pub const WATCHERS_MAX: usize = 64;

/// Providers taken from one search.
pub const PROVIDERS_MAX: usize = 256;

// Names: `network::names`, IPNS records in the DHT.

/// Weight of the names' records that are held, in bytes of memory: some four thousand of our own making
/// ([`NAME_OVERHEAD`] and twice 430 bytes), so one for each publisher of a large site.
pub const NAMES_BYTES: usize = 4 * MIB;

/// What holding one record weighs beside its bytes: its places in three maps.
pub const NAME_OVERHEAD: usize = 512;

/// Records published here that are held whatever others send: a daemon publishes for the people of one machine or lab.
/// All at their largest they weigh less than [`NAMES_BYTES`].
pub const NAMES_OWN_MAX: usize = 128;

/// Of the names that one peer brought, those that are re-broadcast: a flood reaches the next node at this size only,
/// and 256 publishers behind one peer are more than a site has.
pub const NAMES_SPREAD: usize = 256;

/// Records being put to peers at once; each takes a lookup, as an announcement does.
pub const NAME_PUTS: usize = 16;

/// Records that begin to be put in a second: a quarter of what a peer takes from one ([`NAME_CHECKS_PER_PEER`]), so that
/// none of an honest node's is dropped when all are due.
pub const NAME_PUTS_PER_SECOND: usize = 16;

/// Records of one peer that are verified in a second.
pub const NAME_CHECKS_PER_PEER: usize = 64;

/// Records that are verified in a second, of all peers together: at most a twentieth of a core (0.1 ms each).
pub const NAME_CHECKS: usize = 512;

/// Names being resolved at once.
pub const NAME_RESOLVES: usize = 64;

/// A name is resolved with what came until then: a peer that is gone costs a lookup 10 s, and several may be.
pub const NAME_RESOLVE_TIME: Duration = Duration::from_secs(10);

/// Different records that are verified for one name: three times the twenty peers that are asked.
pub const NAME_RESOLVE_CHECKS: usize = 64;

/// Peers that are sent the newest record after a name was resolved: as many as a record is put to (k of Kademlia).
pub const NAME_CORRECTED: usize = 20;

/// Such corrections under way at once; further ones are left out: the next resolve makes up for it.
pub const NAME_CORRECTIONS: usize = 16;

// Attestations: `network::attest`, the protocol `/modelswarm/attest/1`.

/// Bytes of the CID that is asked for: with any hash of 64 bytes a CID has fewer than 80.
pub const ATTEST_CID_MAX: usize = 128;

/// Bundles of one answer (issue 5, point 6).
pub const ATTEST_BUNDLES: usize = 64;

/// Bytes of an answer's bundles together, so of one too (issue 5, point 6).
pub const ATTEST_BYTES: usize = 4 * MIB;

/// Peers that are asked for one thing: a few of each sort, as each learns what is asked for.
pub const ATTEST_PEERS: usize = 8;

/// Of these, peers that are connected and need not be providers, as long as the search may bring providers.
pub const ATTEST_CONNECTED: usize = 4;

/// Things asked for at once; further callers wait. Answers that wait for their caller are at most this many times
/// [`ATTEST_PEERS`] times [`ATTEST_BYTES`], 64 MiB, and that only if every peer sends all it may.
pub const ATTEST_ASKS: usize = 2;

/// Nothing of a question or an answer moves for this long: it is given up. A busy disk on the other side takes seconds.
pub const ATTEST_SILENCE: Duration = Duration::from_secs(10);

/// The most that a question takes, on either side: with [`ATTEST_BYTES`], 70 kB a second. A drip would hold its caller
/// or its place for ever.
pub const ATTEST_TIME: Duration = Duration::from_secs(60);

/// Time for the search for providers: a peer that is gone costs a lookup 10 s.
pub const ATTEST_SEARCH: Duration = Duration::from_secs(12);

/// Time in which a peer that has just connected may yet say what it speaks.
pub const ATTEST_SETTLE: Duration = Duration::from_secs(2);

/// How often a caller looks whether there are more peers to ask.
pub const ATTEST_LOOK: Duration = Duration::from_millis(100);

/// Questions of one peer that are read, wait for their turn or are answered; further streams are dropped. A node asks
/// [`ATTEST_ASKS`] at once, and as much again may be on its way to be given up.
pub const ATTEST_STREAMS: usize = 2 * ATTEST_ASKS;

/// Answers in memory at once, one for each peer: 32 MiB.
pub const ATTEST_ANSWERS: usize = 8;

/// Of the [`STORE_THREADS`], those that may look for answers at once: blocks are served meanwhile.
pub const ATTEST_LOOKUPS: usize = STORE_THREADS / 2;

/// Time between writes of records and peers to the store.
pub const WRITE_BEHIND: Duration = Duration::from_secs(30);

/// Peers remembered.
pub const PEERS_MAX: usize = 1024;

/// Remembered peers that are dialled at the start.
pub const PEERS_DIALLED: usize = 16;

/// Peers of mDNS, less their further addresses, that a fetch dials at its start: half of [`CONNECTIONS_PENDING`], so
/// that providers have room beside them.
pub const NEIGHBOURS_DIALLED: usize = 32;

/// Connected peers up to which those of mDNS stay connected though nothing moves: a lab's worth; beyond it idle ones go.
pub const NEIGHBOURS_KEPT: usize = 64;

/// A peer not seen for this long is forgotten.
pub const PEER_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// First and longest wait before a peer given by hand is dialled again; jitter of a quarter is added.
pub const REDIAL_FIRST: Duration = Duration::from_secs(1);
/// See [`REDIAL_FIRST`].
pub const REDIAL_MAX: Duration = Duration::from_secs(300);

/// A peer that misbehaved is not talked to for this long.
pub const PENALTY: Duration = Duration::from_secs(600);

/// Peers blocked at once; the oldest block goes first.
pub const BLOCKED_MAX: usize = 4096;

/// Calls of `connect` that wait for their connection.
pub const CONNECTS_MAX: usize = 256;

/// Bytes kept of what a peer says it is.
pub const AGENT_MAX: usize = 128;

/// Time a shutdown may take to write behind and close.
pub const SHUTDOWN: Duration = Duration::from_secs(4);

/// Things that one session is told and has not yet read. A session wants at most [`SESSION_WANTS`] blocks, each arrives
/// once and is said at most once to be nowhere.
pub const DELIVERIES: usize = 2 * SESSION_WANTS;

/// What holders of blocks have told the event loop and it has not yet read: far more than the blocks that fit in
/// [`PAYLOAD`] at 4 KiB each, so that giving a block back never has to wait.
pub const NOTES: usize = 65_536;
