//! Bitswap 1.2.0 as a pure state machine: what is wanted, of whom it is asked, who is served what.
//!
//! No I/O, no clock, no entropy, and **no block bytes**: the shell (`network`) reads frames with
//! [`decoder::Decoder`], hashes payloads, and tells the [`Engine`] a CID and a length; the engine answers with
//! [`Output`]s that the shell carries out. So all of it runs under a virtual clock in `sim`, and a run is replayed
//! from its seed.
//!
//! | file | does |
//! |---|---|
//! | `wire` | varints, protobuf fields, CIDs |
//! | `message` | the words on the wire and their encoding |
//! | `decoder` | bytes to messages, bounded, payloads in their own buffer |
//! | `engine` | the one public state machine: routes between the parts below |
//! | `wants` | our wants, the sessions they belong to, what each source said of them |
//! | `window` | bytes in flight with one source: bandwidth x delay |
//! | `source` | one source as we fetch from it: conduct and counters |
//! | `picker` | which want is asked of which source |
//! | `prioritise` | wants that go before all others of their session |
//! | `takeover` | a want moves to a source that has it sooner |
//! | `answers` | what follows from a block, a HAVE, a DONT_HAVE |
//! | `retry` | asking again: no progress, end game, search for sources |
//! | `ledger`, `lately` | what peers want of us, and whose turn it is; what went out a moment ago |
//! | `outbox`, `timers` | what is to be said, and when something is due |
//! | `sim` (tests) | many engines under a virtual clock |
//!
//! Not here: streams, peers' addresses, hashing, the disk, UnixFS. Spec: <https://specs.ipfs.tech/bitswap-protocol/>
//! (sections "Bitswap 1.2.0", "Wire format").

pub mod decoder;
pub mod engine;
pub mod message;

mod answers;
mod lately;
mod ledger;
mod outbox;
mod picker;
mod prioritise;
mod retry;
mod source;
mod takeover;
mod timers;
mod wants;
mod window;
mod wire;

#[cfg(test)]
mod sim;

pub use decoder::{Decoded, Decoder};
pub use engine::{Engine, SessionStatus, SourceStatus};
pub use wire::Malformed;

use std::time::Duration;

use crate::dag::Cid;
use crate::limits;

use message::Control;

/// One peer (later also: an HTTP gateway, an upstream hub). Opaque: the shell maps its PeerIds to these.
pub type SourceId = u64;

/// One fetch. The application gives these out.
pub type SessionId = u64;

/// What a source's protocol can do. Bitswap 1.2.0 peers: both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Answers want-have with HAVE or DONT_HAVE.
    pub have: bool,
    /// Understands cancels.
    pub cancel: bool,
}

impl Abilities {
    /// What every Bitswap 1.2.0 peer can do.
    pub const BITSWAP: Self = Self { have: true, cancel: true };
}

/// What a user may set of the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bytes one session may have asked for or hold unwritten.
    pub session_window: usize,
    /// Bytes on their way from the disk to all peers' streams.
    pub serve_total: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { session_window: limits::SESSION_WINDOW, serve_total: limits::SERVE_TOTAL }
    }
}

/// What [`Engine::handle_block`] says of a block that came in whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// Asked of this source and wanted. The bytes go to these sessions; each calls [`Engine::consumed`] once.
    Wanted {
        /// Never empty.
        sessions: Vec<SessionId>,
    },
    /// Was asked of this source, but came elsewhere or was cancelled since. Drop it; the source did nothing wrong.
    Late,
    /// Never asked of this source (also: bytes that hash to something else than asked). Drop it.
    Unasked,
}

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    /// Bytes that are not Bitswap ([`Malformed`]).
    #[error("sent bytes that are not Bitswap")]
    Malformed,
    /// A message or block above the limits.
    #[error("sent a message or block above the limits")]
    Oversized,
    /// A frame that stopped half way. Counted, never punished: links break.
    #[error("stopped in the middle of a message")]
    Stalled,
    /// More than [`limits::UNASKED`] blocks or presences that nobody asked for, wrong bytes among them.
    #[error("sent blocks that were not asked for, or whose bytes were wrong")]
    Unasked,
    /// Took back more HAVEs than [`limits::FALSE_HAVES`] beyond what it delivered.
    #[error("said HAVE for blocks it does not have")]
    FalseHave,
}

/// What the shell must do. Bounded by the state it comes from: one `Lookup` per source, `Serve`s within the serve
/// limits, one `Penalise` per connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Write this on the source's request stream. May need several frames ([`message::encode_control`]).
    Send {
        /// To whom.
        source: SourceId,
        /// Wants, cancels, presences.
        control: Control,
    },
    /// Ask the store which of these we hold and may show this source, then [`Engine::handle_lookup`] with an answer for
    /// each. No second one for the source until then.
    Lookup {
        /// Who wants to know.
        source: SourceId,
        /// At most [`limits::LOOKUP_BATCH`].
        cids: Vec<Cid>,
    },
    /// Load these and write them as one message, then [`Engine::handle_sent`] (or [`Engine::handle_unsent`] for those
    /// that could not be).
    Serve {
        /// To whom.
        source: SourceId,
        /// Together at most [`limits::SERVE_BATCH`] bytes, or one block.
        cids: Vec<Cid>,
    },
    /// The source no longer wants these of an earlier `Serve`: those that are not on the wire yet need not go there. Each
    /// is reported all the same, by [`Engine::handle_sent`] or by [`Engine::handle_unsent`] with `retry`.
    Recall {
        /// Who cancelled.
        source: SourceId,
        /// Never empty.
        cids: Vec<Cid>,
    },
    /// The session can't go on with the sources it has: look for providers of this CID.
    FindProviders {
        /// For whom.
        session: SessionId,
        /// One it waits for; the application may know a better key (the root).
        cid: Cid,
    },
    /// Disconnect the source and refuse it for a while. The engine has forgotten it already and ignores what still
    /// comes from it until [`Engine::handle_disconnected`].
    Penalise {
        /// Whom.
        source: SourceId,
        /// Why.
        fault: Fault,
    },
    /// Every connected source of the session answered DONT_HAVE. Said again only after a change (a HAVE, another
    /// source). The want stays: it may still arrive.
    NotHeld {
        /// For whom.
        session: SessionId,
        /// What nobody has.
        cid: Cid,
    },
}

/// Time as the engine is told it, for tests: the only reading of a clock, as the zero of virtual time.
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "an `Instant` can't be had otherwise")]
fn epoch() -> std::time::Instant {
    static EPOCH: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    *EPOCH.get_or_init(std::time::Instant::now)
}

/// `a / b` as a time, for rates in bytes a second.
fn seconds(bytes: usize, rate: f64) -> Duration {
    Duration::try_from_secs_f64(bytes as f64 / rate).unwrap_or(Duration::MAX)
}
