//! Bounds of the block exchange: `exchange`.

use std::time::Duration;

use super::{KIB, MIB};

/// Bytes of the largest Bitswap message, its length prefix not counted (Bitswap 1.2.0).
pub const MESSAGE_MAX: usize = 4 * MIB;

/// Bytes of the longest CID taken from a peer: what boxo takes (digest of 128 bytes and the codes before it).
pub const CID_MAX: usize = 168;

/// Bytes a decoder holds of what it has not understood yet, and so the most of a payload that is copied once.
pub const DECODER_SCRATCH: usize = 4 * KIB;

/// Wants taken from one message; more are dropped, as boxo does ("MaxQueuedWantlistEntriesPerPeer").
pub const MESSAGE_WANTS: usize = 1024;

/// Cancels taken from one message: no peer can have more to cancel than the wants we remember of it, this is twice
/// that.
pub const MESSAGE_CANCELS: usize = 2048;

/// HAVE and DONT_HAVE taken from one message: twice what we ever ask of one source.
pub const MESSAGE_PRESENCES: usize = 1024;

/// Wants, cancels and presences that a message may hold in memory while it comes in; a longer one needs a
/// [`LONG_LISTS`] place.
pub const SHORT_LIST: usize = 64;

/// Messages with longer lists that may be in memory at once, until the exchange has handled them: up to 0.4 MB each.
pub const LONG_LISTS: usize = 64;

/// Those of one peer; a stream with one more is closed. Peers write their lists one after the other.
pub const PEER_LONG_LISTS: usize = 8;

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

/// Blocks remembered as sent a moment ago: 2 s of a gigabyte a second in blocks of 256 KiB.
pub const LATELY: usize = 8192;

/// CIDs in one question to the store.
pub const LOOKUP_BATCH: usize = 256;

/// Wants of one session; a caller with more hands them over as others arrive. About 0.5 KB each.
pub const SESSION_WANTS: usize = 65_536;

/// Wants of one session that go before its others: the read-ahead of sixteen readers, in blocks of 1 MiB.
pub const SESSION_PRIORITISED: usize = 256;

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

/// Bytes on their way from the disk to all peers' streams (default): what serving costs in memory. As much again is there
/// for peers that have nothing on its way to them.
pub const SERVE_TOTAL: usize = 48 * MIB;

/// No progress for this long with something asked: other sources are asked too.
pub const STALL: Duration = Duration::from_secs(5);

/// A want unanswered this long is sent again if later ones overtook it, or if its source brings nothing while another
/// one that does is asked for it (boxo: 30 s).
pub const RESEND: Duration = Duration::from_secs(30);

/// A source that brings nothing for this long is sent anew what no other is counted on for: a peer may drop a message
/// without a sign (Helia, when its send queue is full). After [`STALL`], so that others are asked first, and after the
/// 5 s within which Helia does not send a block twice.
pub const RESEND_SILENT: Duration = Duration::from_secs(8);

/// The longest time between two of these while the source stays silent; it doubles from [`RESEND_SILENT`].
pub const RESEND_SILENT_MAX: Duration = Duration::from_secs(60);

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
