//! Every bound and protocol constant of the node, in one place.
//!
//! Each says its unit and why it is that number; where a specification sets it, which one. Nothing here reads a
//! setting: what a user may change stands in `config` and is checked against these.

use std::time::Duration;

/// Kibibyte, mebibyte: what sizes below are written in.
pub const KIB: usize = 1024;
/// See [`KIB`].
pub const MIB: usize = 1024 * KIB;

// ---- config: borders of what a user may set ------------------------------------------------------------------

/// Bytes up to which a block lies in sled itself, unless the user says otherwise. Nodes and small files stay a few
/// sled pages; anything larger makes sled rewrite whole leaves and triples the disk it takes.
pub const INLINE_MAX_DEFAULT: usize = 16 * KIB;

// ---- dag: content ----------------------------------------------------------------------------------------------

/// Bytes of a leaf in profile `unixfs-v1-2025` (IPIP-0499).
pub const CHUNK: usize = MIB;

/// Bytes of the largest block accepted or served: what every Bitswap peer must handle (Bitswap spec, "block sizes").
pub const BLOCK_MAX: usize = 2 * MIB;

/// Links of one file node in profile `unixfs-v1-2025` (IPIP-0499).
pub const FILE_LINKS: usize = 1024;

/// Bytes of the largest serialized directory node in profile `unixfs-v1-2025`; a larger one becomes a HAMT (IPIP-0499).
pub const DIRECTORY_BLOCK_MAX: usize = 256 * KIB;

/// Children of one HAMT shard in profile `unixfs-v1-2025` (IPIP-0499).
pub const HAMT_FANOUT: usize = 256;

/// Children of the widest HAMT shard read: boxo's bound since CVE-2023-23625. Below [`HAMT_FANOUT`] nobody makes any.
pub const HAMT_FANOUT_MAX: usize = 1024;

/// Bytes of one name: what Linux, macOS and Windows file systems can store (`NAME_MAX`).
pub const NAME_MAX: usize = 255;

/// Bytes of a path inside a tree, its slashes counted: the smallest `PATH_MAX` among our platforms (macOS).
pub const PATH_MAX: usize = 1024;

/// Parts of a path inside a tree: far beyond any repo seen, and a bound on what a walk keeps per path.
pub const PATH_DEPTH_MAX: usize = 64;

/// Levels of nodes below a file's root. Balanced files of [`FILE_LINKS`] need 3 for [`FILE_MAX`]; trees of two links
/// each, the thinnest that still make sense, 24.
pub const FILE_DEPTH_MAX: usize = 32;

/// Bytes of the largest file: what ext4 holds. A lying root could otherwise declare 2^63 in a hundred bytes.
pub const FILE_MAX: u64 = 16 << 40;

/// Files in one tree: room above the datasets of a million files that the design names.
pub const TREE_FILES_MAX: u64 = 4 << 20;

/// Nodes and leaves met in one walk, repeats counted: 16 TiB of 1 MiB chunks. Stops a small DAG that repeats its own
/// subtrees exponentially.
pub const TREE_NODES_MAX: u64 = 16 << 20;

/// Inner nodes that a walk asks for at once: enough that a fetch is never latency-bound (256 file nodes name 256 GiB).
pub const WALK_OUTSTANDING: usize = 256;

/// Nodes a walk knows and has not seen, before it stops asking for more at once; about 200 bytes each.
pub const WALK_PENDING: usize = 64 * 1024;

/// Nodes a walk may know and not have seen at all: with [`WALK_PENDING`] respected only hostile trees come here.
pub const WALK_PENDING_MAX: usize = 1024 * 1024;

// ---- card: signed statements -----------------------------------------------------------------------------------

/// Bytes of the largest card payload that is read; provenance section 6 ("non-canonical JSON").
pub const CARD_PAYLOAD_MAX: usize = 4 * MIB;

/// Bytes of the largest payload that is signed. Beyond it the files go to `files.jsonl` (design section 5), so that a
/// card stays one block for Bitswap.
pub const CARD_PAYLOAD_INLINE_MAX: usize = MIB;

/// Files that a card lists itself; more go to `files.jsonl` (design section 5).
pub const CARD_FILES_INLINE_MAX: usize = 4096;

/// Bytes of the largest `card.sigstore.json`: the payload in base64, 4 for 3, and the envelope around it.
pub const CARD_BUNDLE_MAX: usize = CARD_PAYLOAD_MAX / 3 * 4 + 4 * KIB;

/// Levels of nesting in a card's JSON; provenance section 6. Well below what recursion can take.
pub const CARD_DEPTH_MAX: usize = 64;

/// The largest integer that every JSON reader holds exactly (2^53 - 1): sizes, counts and `seq` stay below.
pub const JSON_INT_MAX: u64 = (1 << 53) - 1;

/// Files of one repo: a million-file dataset fits, and its manifest stays under half a gibibyte in memory.
pub const REPO_FILES_MAX: usize = 2 * 1024 * 1024;

/// Bytes of the largest `files.jsonl`: [`REPO_FILES_MAX`] lines of about 256 bytes.
pub const FILES_LIST_MAX: usize = 512 * MIB;

/// Bytes of one file's path inside a repo: what Linux takes for a whole path (PATH_MAX).
pub const REPO_PATH_MAX: usize = 4096;

/// Bytes of one part of such a path: what file systems take for a name (NAME_MAX); provenance section 6.
pub const REPO_PATH_PART_MAX: usize = 255;

/// Bytes of a README's YAML front matter. The longest of the Hub list hundreds of dataset configurations; half a
/// payload leaves room for the rest of the card.
pub const FRONT_MATTER_MAX: usize = 512 * KIB;

/// Levels of nesting in front matter; real cards use about six (`model-index`, `dataset_info`).
pub const FRONT_MATTER_DEPTH_MAX: usize = 32;

/// Scalars, lists and maps in front matter together: bounds memory at about a hundred bytes each.
pub const FRONT_MATTER_NODES_MAX: usize = 65_536;

/// Characters of a repo's name (the Hub's rule is 96 with its owner; cli.md: 80).
pub const REPO_NAME_MAX: usize = 80;

/// Characters of a local alias of a publisher (cli.md).
pub const ALIAS_MAX: usize = 40;

/// Characters of a version (cli.md).
pub const VERSION_MAX: usize = 64;

/// Characters of a REF as typed: a did:key, a name, a version and a path.
pub const REFERENCE_MAX: usize = REPO_PATH_MAX + 512;

/// Bytes of a licence id: the longest SPDX expressions in use have about 100.
pub const LICENSE_MAX: usize = 256;

/// Companion keys of a card: one is used, a rotation needs two.
pub const COMPANION_KEYS_MAX: usize = 16;

/// Cards that one card may say it resolves: forks of one `seq` (issue on provenance).
pub const RESOLVES_MAX: usize = 16;

/// Publishers in the trust list, and ten times what the policy is measured with.
pub const TRUSTED_PUBLISHERS_MAX: usize = 100_000;

// ---- exchange: Bitswap as a state machine ----------------------------------------------------------------------

/// Bytes of the largest Bitswap message, its length prefix not counted (Bitswap 1.2.0).
pub const MESSAGE_MAX: usize = 4 * MIB;

/// Bytes of the longest CID taken from a peer: what boxo takes (digest of 128 bytes and the codes before it).
pub const CID_MAX: usize = 168;

/// Bytes a decoder holds of what it has not understood yet, and so the most of a payload that is copied once.
pub const DECODER_SCRATCH: usize = 4 * KIB;

/// Wants taken from one message; more are dropped, as boxo does ("MaxQueuedWantlistEntriesPerPeer").
pub const MESSAGE_WANTS: usize = 1024;

/// Cancels taken from one message: no peer can have more to cancel than the wants we remember of it, this is four
/// times that.
pub const MESSAGE_CANCELS: usize = 4096;

/// HAVE and DONT_HAVE taken from one message: eight times what we ever ask of one source.
pub const MESSAGE_PRESENCES: usize = 4096;

/// Bytes of a frame of wants and presences that we write: small, so that a slow peer reads it whole within the 10 s
/// that Helia gives a message.
pub const CONTROL_FRAME: usize = 128 * KIB;

/// Bytes of the largest block sent in answer to a want-have in place of HAVE (boxo: `WantHaveReplaceSize`).
pub const HAVE_REPLACE: usize = 1024;

/// CIDs we keep at one source at a time, wants and known HAVEs together. Kubo and Helia remember 1,024 and drop the
/// rest silently: half of that leaves room for what crosses on the way.
pub const SOURCE_WANTS: usize = 512;

/// When the source lacks this many of them, older ones make room for wants further on.
pub const SOURCE_LACKS: usize = 288;

/// Wants of one peer that we remember (boxo: 1,024). Freed on disconnect (CVE-2023-25568).
pub const FOREIGN_WANTS: usize = 1024;

/// CIDs in one question to the store.
pub const LOOKUP_BATCH: usize = 256;

/// Wants of one session; a caller with more hands them over as others arrive. About 0.5 KB each.
pub const SESSION_WANTS: usize = 65_536;

/// Sources of one session.
pub const SESSION_SOURCES: usize = 256;

/// Bytes a session may have asked for or hold unwritten (default): what a fetch costs in memory, and enough for
/// 1 Gbit/s at 100 ms (12.5 MB) five times over.
pub const SESSION_WINDOW: usize = 64 * MIB;

/// Bytes asked of a source before anything is known of it: four blocks, so that no round trip carries only one.
pub const SOURCE_WINDOW_START: usize = 4 * MIB;

/// Least bytes asked of a source, also after a stall: one block.
pub const SOURCE_WINDOW_MIN: usize = MIB;

/// Most bytes asked of one source: twice 1 Gbit/s at 100 ms, with room.
pub const SOURCE_WINDOW_MAX: usize = 32 * MIB;

/// Bytes of blocks in one message that we write: as many as fit with their heads.
pub const SERVE_BATCH: usize = MESSAGE_MAX - 64 * KIB;

/// Bytes on their way from the disk to one peer's stream: two messages, one being read while one is written.
pub const SERVE_SOURCE: usize = 8 * MIB;

/// Bytes on their way from the disk to all peers' streams (default): what serving costs in memory.
pub const SERVE_TOTAL: usize = 48 * MIB;

/// No progress for this long with something asked: other sources are asked too.
pub const STALL: Duration = Duration::from_secs(5);

/// A want unanswered this long, overtaken by later ones or on a source without progress, is sent again (boxo: 30 s).
pub const RESEND: Duration = Duration::from_secs(30);

/// How long messages that nothing waits for (cancels of HAVEs, probes ahead) collect before they are sent.
pub const LINGER: Duration = Duration::from_millis(20);

/// How often a session that makes no progress asks for more providers.
pub const PROVIDER_SEARCH: Duration = Duration::from_secs(10);

/// How often a session whose last wants are all asked looks for one worth asking twice.
pub const END_GAME: Duration = Duration::from_millis(100);

/// Sources asked for one block at the same time, in the end game.
pub const END_GAME_COPIES: usize = 2;

/// CIDs remembered per source as no longer wanted of it, so that a block that crossed the cancel is known as late.
pub const LATE_MEMORY: usize = 1024;

/// Blocks nobody asked for that a source may send before it is dropped; eight blocks asked for pay for one more. No
/// honest peer sends any.
pub const UNASKED: u32 = 8;

/// HAVEs a source may take back (DONT_HAVE after HAVE) beyond the blocks it delivered. A whole window of them, since
/// garbage collection there does the same.
pub const FALSE_HAVES: u32 = 512;

// ---- store: the disk -------------------------------------------------------------------------------------------

/// Bytes of the largest leaf that is copied into the index unless the settings say otherwise. Small files are one
/// leaf: inlined, they cost no open, stat and read each. Above it a copy costs sled 2.4 x its size (design section 4).
pub const STORE_INLINE_MAX: usize = 16 * KIB;

/// Bytes of sled's page cache, which it exceeds: after opening an index of 500,000 chunks (500 GiB) a process has 96 MB
/// of anonymous memory with 8 MiB, 154 MB with 32 MiB. The daemon is to stay under 150 MB.
pub const STORE_CACHE: u64 = 8 * MIB as u64;

/// Blocks in one sled batch. A batch lies in memory whole.
pub const STORE_BATCH_BLOCKS: usize = 1024;

/// Bytes of values in one sled batch, of which one block may be the last.
pub const STORE_BATCH_BYTES: usize = 4 * MIB;

/// Records that one step of `gc` looks at before it lets other writers in.
pub const STORE_GC_STEP: usize = 512;

/// Copies of one block that a read tries before it says "not held".
pub const STORE_COPIES_TRIED: usize = 16;

/// Blocks of arriving files that wait, written but not yet in the index; at this number a write commits by itself.
pub const STORE_PENDING_MAX: usize = 1024;

/// Bytes before, and bytes after, the file's bytes in a leaf (a UnixFS v0 leaf has about 20).
pub const STORE_ENVELOPE_MAX: usize = 255;

/// Trees in one store. A block names the trees that hold it, so this bounds its record too.
pub const STORE_TREES_MAX: usize = 16_384;

/// Bytes of the library's own note on a tree.
pub const STORE_NOTE_MAX: usize = 16 * KIB;

/// Files that reads found changed or missing and that `suspects` remembers.
pub const STORE_SUSPECTS_MAX: usize = 4096;

/// Seconds by which the last change of a file must precede its hashing, so that any later change shows in its ctime:
/// the coarsest time stamp of a file system in use (FAT: 2 s). Design section 4.
pub const STORE_SETTLED_SECS: u64 = 2;

/// Resumable jobs.
pub const STORE_JOBS_MAX: usize = 1024;
/// Bytes of one job's JSON.
pub const STORE_JOB_BYTES: usize = 64 * KIB;

/// Provider records kept over a restart: what the DHT's bounded map holds.
pub const STORE_PROVIDER_RECORDS_MAX: usize = 65_536;
/// Peers kept over a restart.
pub const STORE_PEERS_MAX: usize = 4096;
/// Bytes of the key and of the value of one of them.
pub const STORE_SOFT_BYTES: usize = 4 * KIB;

/// Bytes of a card's bundle, and of a document kept as a plain file.
pub const STORE_RECORD_BYTES: usize = 16 * MIB;

/// Bytes of the command line that the lock file shows.
pub const STORE_LOCK_COMMAND_BYTES: usize = 512;

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

/// Bytes of a multiaddr kept, so that all of a peer's fit into one entry of the store.
pub const MULTIADDR_MAX: usize = 224;

/// Addresses this node tells of itself: libp2p-swarm silently drops what exceeds this.
pub const EXTERNAL_ADDRS: usize = 20;

/// Block payload in memory on its way in, in all: received, being hashed, or in a fetcher's hands.
pub const PAYLOAD: usize = 48 * MIB;

/// The part of [`PAYLOAD`] that one peer may fill: what the exchange asks of one source at most.
pub const PEER_PAYLOAD: usize = 32 * MIB;

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

/// Responses that wait for a peer's response stream; the exchange holds back far earlier.
pub const SERVE_QUEUE: usize = 64;

/// Time to agree on the protocol of a stream we open.
pub const STREAM_TIMEOUT: Duration = Duration::from_secs(10);

/// No byte of a begun message for this long: the stream is closed, and it counts against the peer.
pub const STREAM_STALL: Duration = Duration::from_secs(30);

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

/// Time between pings: what `peers` shows as round trip.
pub const PING_EVERY: Duration = Duration::from_secs(15);

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

/// Those who wait for one search.
pub const WATCHERS_MAX: usize = 64;

/// Providers taken from one search.
pub const PROVIDERS_MAX: usize = 256;

/// Time between writes of records and peers to the store.
pub const WRITE_BEHIND: Duration = Duration::from_secs(30);

/// Peers remembered.
pub const PEERS_MAX: usize = 1024;

/// Remembered peers that are dialled at the start.
pub const PEERS_DIALLED: usize = 16;

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

// ---- library, node, gateway, client, cli -----------------------------------------------------------------------

/// Bytes of the longest line on the control socket: an answer with a listing of some 100,000 files.
pub const CONTROL_LINE_MAX: usize = 32 * MIB;

/// Bytes of the longest path of a Unix socket (`sun_path`, less its closing zero; `man 7 unix`).
pub const SOCKET_PATH_MAX: usize = 107;

/// Clients of the control socket served at once; more wait to be accepted.
pub const CONTROL_CLIENTS: usize = 32;

/// Events of one request that wait for its client; a slow reader slows the work, it does not fill memory.
pub const EVENTS_QUEUED: usize = 64;

/// Folders inside one another in what is seeded: far above any real repo, far below the stack's end.
pub const FOLDER_DEPTH_MAX: usize = 64;

/// Files read at once by an import: enough to keep a disk busy, few enough that their buffers stay small.
pub const HASH_FILES: usize = 8;

/// Bytes read ahead of the hash, twice for each file that is read. Several chunks, so that all cores share one file.
pub const HASH_BATCH: usize = 4 * MIB;

/// How often a file that changes while it is read is started again before the import gives up.
pub const HASH_ATTEMPTS: usize = 3;

/// Pause before connections are accepted again after the system refused one: descriptors come free meanwhile.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Changed or missing files that `status` lists by name; a whole disk gone missing is said in one look.
pub const CHANGED_FILES_LISTED: usize = 1000;

/// CIDs of large files that a repo announces beside its release and root, and how large such a file is, in bytes
/// (design section 6): they are worth finding on their own, and a repo stays a handful of records.
pub const ANNOUNCED_FILES: usize = 30;
/// See [`ANNOUNCED_FILES`].
pub const ANNOUNCED_FILE_MIN: u64 = 64 * MIB as u64;

/// Peers that one fetch may be given by hand and has not yet dialled.
pub const FETCH_PEERS: usize = 64;

/// Warnings that one fetch keeps for its followers.
pub const FETCH_WARNINGS: usize = 16;

/// Leaves of one fetch that are asked for at once: many small files fill a link as one large file does.
pub const FETCH_WANTS: usize = 1024;

/// Blocks written at once by one fetch: writing and hashing of the next overlap, memory stays small.
pub const FETCH_WRITES: usize = 4;

/// Bytes, or seconds, after which a fetch makes durable what it has written: what a power cut can cost.
pub const FETCH_COMMIT_BYTES: u64 = 64 * MIB as u64;
/// See [`FETCH_COMMIT_BYTES`].
pub const FETCH_COMMIT_PAUSE: Duration = Duration::from_secs(1);

/// Small files begun and finished together, with one flush of the index for all.
pub const FETCH_FINISH_FILES: usize = 256;

/// How long a fetch waits for another peer to turn up after all that were asked said they do not have it.
pub const FETCH_LAST_CHANCE: Duration = Duration::from_secs(5);

/// Bytes of the largest file read into memory by a fetch: a card, or a list of files beside it.
pub const FETCH_SMALL_FILE: usize = 256 * MIB;

/// Files that one fetch has open: with a descriptor each, far below the usual limit of 1,024.
pub const FETCH_OPEN_FILES: usize = 512;

/// Bytes of the largest README.md whose front matter is read; the Hub itself refuses larger ones' metadata.
pub const README_MAX: u64 = 8 * MIB as u64;

/// Extents of a file read from the index at once.
pub const EXTENTS_PAGE: usize = 4096;
