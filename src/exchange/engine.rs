//! The one public state machine: inputs in, outputs out, and routing between what we want (`picker`) and what
//! others want of us (`ledger`). It decides nothing itself but who is dropped.
//!
//! Four kinds of method, as in quinn-proto:
//! - **getters** (`&self`);
//! - **inputs**, `handle_*`: what happened in the world;
//! - **commands** of the application: [`Engine::open_session`], [`Engine::want`], …
//! - **outputs**, `poll_*`: what the caller must do.
//!
//! After any inputs and commands, one or a batch of them, the caller
//! 1. calls [`Engine::poll_output`] until it gives `None`, carrying out each output (wants are picked here);
//! 2. asks [`Engine::poll_timeout`] and calls [`Engine::handle_timeout`] when that time has come. A stale timer is
//!    harmless; one forgotten means stalls are not noticed and lingering messages not sent.
//!
//! `now` must not run backwards; if it does, the latest time seen counts. Inputs for a source that is not connected (any
//! more) are ignored, so the caller need not order them against disconnects. Memory: `FOREIGN_WANTS`, `SOURCE_WANTS` and
//! `LATE_MEMORY` entries ([`crate::limits`]) per connected source, `SESSION_WANTS` per session; connections and sessions
//! are the caller's to bound.
//!
//! Use by the stream that reads from a source: while a payload is announced and comes in, [`Engine::handle_progress`];
//! when it is whole and hashed, [`Engine::handle_block`], and on [`Arrival::Wanted`] the bytes go to those sessions. When
//! they are stored, [`Engine::consumed`] by each session and [`Engine::handle_stored`] once.

use std::time::Instant;

use crate::dag::Cid;

use super::ledger::Ledger;
use super::message::Control;
use super::outbox::Outbox;
use super::picker::Picker;
use super::{Abilities, Arrival, Config, Fault, Output, SessionId, SourceId};

pub use super::source::SourceStatus;

/// What `status` shows of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionStatus {
    /// CIDs that did not arrive yet.
    pub wanted: usize,
    /// Of these, how many some source is asked for.
    pub outstanding: usize,
    /// Bytes asked for.
    pub asked_bytes: usize,
    /// Bytes that arrived and are not consumed.
    pub held_bytes: usize,
    /// Sources connected now.
    pub sources: usize,
    /// Sources that were asked for something, ever.
    pub asked: usize,
    /// Sources that answered: HAVE, DONT_HAVE or a block.
    pub answered: usize,
}

/// Bitswap for one node. See the [module](self) for the order of calls.
#[derive(Debug)]
pub struct Engine {
    now: Option<Instant>,
    picker: Picker,
    ledger: Ledger,
    outbox: Outbox,
}

impl Engine {
    /// An engine that knows nobody. The same inputs with the same `seed` give the same outputs.
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            now: None,
            picker: Picker::new(config.session_window, seed),
            ledger: Ledger::new(config.serve_total),
            outbox: Outbox::default(),
        }
    }

    // ---- getters ---------------------------------------------------------------------------------------------

    /// How a session is doing; none that is not open.
    pub fn session(&self, session: SessionId) -> Option<SessionStatus> {
        let s = self.picker.wants.sessions.get(&session)?;
        Some(SessionStatus {
            wanted: s.order.len(),
            outstanding: s.outstanding.len(),
            asked_bytes: s.charged,
            held_bytes: s.held_bytes,
            sources: s.connected,
            asked: s.gone.0 + s.links.values().filter(|link| link.asked).count(),
            answered: s.gone.1 + s.links.values().filter(|link| link.answered).count(),
        })
    }

    /// How a source is doing; none that is not connected.
    pub fn source(&self, source: SourceId) -> Option<SourceStatus> {
        let s = self.picker.sources.get(&source)?;
        let (wants, serving) = self.ledger.status(source);
        Some(SourceStatus { wants, serving, ..s.status() })
    }

    /// Bytes asked of a source, which may come at any time; none if no want of ours is known to it, so that nothing it
    /// sends is worth reading. As long as it knows one, blocks that it was not asked for may come too, a few at a time: in
    /// place of a HAVE, or pushed after a DONT_HAVE.
    pub fn expected(&self, source: SourceId) -> Option<usize> {
        let records = self.picker.wants.records(source)?;
        (!records.all.is_empty()).then_some(records.asked_bytes)
    }

    // ---- inputs ----------------------------------------------------------------------------------------------

    /// A source can be talked to. Twice without a disconnect counts as a disconnect between.
    pub fn handle_connected(&mut self, now: Instant, source: SourceId, abilities: Abilities) {
        let now = self.at(now);
        self.forget(now, source);
        self.picker.connect(now, source, abilities);
        self.ledger.connect(now, source);
    }

    /// A source is gone. What was asked of it is asked of others; it stays in its sessions should it come back.
    pub fn handle_disconnected(&mut self, now: Instant, source: SourceId) {
        let now = self.at(now);
        self.forget(now, source);
    }

    /// A message less its payload came.
    pub fn handle_control(&mut self, now: Instant, source: SourceId, control: Control) {
        let now = self.at(now);
        if !self.is_connected(source) {
            return;
        }
        let mut fault = None;
        for (cid, presence) in &control.presences {
            fault = self.picker.presence(now, source, cid, *presence, &mut self.outbox).or(fault);
        }
        if let Some(list) = control.wantlist {
            self.ledger.wantlist(source, list, &mut self.outbox);
        }
        if let Some(fault) = fault {
            self.penalise(now, source, fault);
        }
    }

    /// A block came whole: `cid` is its prefix with the hash of its bytes, so wrong bytes are simply another block.
    pub fn handle_block(
        &mut self,
        now: Instant,
        source: SourceId,
        cid: &Cid,
        len: usize,
    ) -> Arrival {
        let now = self.at(now);
        let (arrival, fault) = self.picker.block(now, source, cid, len, &mut self.outbox);
        if let Some(fault) = fault {
            self.penalise(now, source, fault);
        }
        arrival
    }

    /// Bytes of a payload are coming in from this source: it is slow perhaps, but not stalled. To be called when one is
    /// announced and then about every second.
    pub fn handle_progress(&mut self, now: Instant, source: SourceId) {
        let now = self.at(now);
        self.picker.progress(now, source);
    }

    /// A payload came while nothing was [expected](Self::expected) of this source, and was not read.
    pub fn handle_refused(&mut self, now: Instant, source: SourceId) {
        let now = self.at(now);
        let refused = self.picker.sources.get_mut(&source).and_then(|s| s.count_refused());
        if let Some(fault) = refused {
            self.penalise(now, source, fault);
        }
    }

    /// What we wrote to this source may be lost (its request stream was reset): all our wants of it are sent anew.
    pub fn handle_wants_lost(&mut self, now: Instant, source: SourceId) {
        let now = self.at(now);
        self.picker.resend(now, source, &mut self.outbox);
    }

    /// The shell saw the source do wrong. All but [`Fault::Stalled`] is punished.
    pub fn handle_fault(&mut self, now: Instant, source: SourceId, fault: Fault) {
        let now = self.at(now);
        if fault != Fault::Stalled {
            self.penalise(now, source, fault);
        } else if let Some(s) = self.picker.sources.get_mut(&source) {
            s.counts.faults += 1;
        }
    }

    /// The answer to an [`Output::Lookup`]: each CID, and its length if we hold it and may show it to this source. All
    /// of them, best at once: nothing more is asked for this source until then.
    pub fn handle_lookup(
        &mut self,
        now: Instant,
        source: SourceId,
        results: Vec<(Cid, Option<usize>)>,
    ) {
        let now = self.at(now);
        self.ledger.lookup(now, source, results, &mut self.outbox);
    }

    /// Blocks of an [`Output::Serve`] were written, `bytes` in all.
    pub fn handle_sent(&mut self, now: Instant, source: SourceId, cids: &[Cid], bytes: usize) {
        let now = self.at(now);
        if let Some(s) = self.picker.sources.get_mut(&source) {
            s.counts.bytes_out += bytes as u64;
            s.counts.blocks_out += cids.len() as u64;
        }
        self.ledger.sent(now, source, cids, bytes);
    }

    /// Blocks of an [`Output::Serve`] were not written. With `retry` they are served again if still wanted (the stream
    /// was reset, or they were cancelled); without, we could not read them and do not have them.
    pub fn handle_unsent(&mut self, now: Instant, source: SourceId, cids: Vec<Cid>, retry: bool) {
        let now = self.at(now);
        self.ledger.unsent(now, source, cids, retry, &mut self.outbox);
    }

    /// Blocks that were said to be written may not have arrived (the stream was reset): they are served again.
    pub fn handle_responses_lost(&mut self, now: Instant, source: SourceId, cids: Vec<Cid>) {
        self.at(now);
        self.ledger.lost(source, cids, &mut self.outbox);
    }

    /// We hold these blocks (and their lengths) from now on. Peers that wait for one hear of it, if the
    /// [`Output::Lookup`] that this causes says they may.
    pub fn handle_stored(&mut self, now: Instant, cids: &[(Cid, usize)]) {
        self.at(now);
        self.ledger.stored(cids, &mut self.outbox);
    }

    /// The time of [`Self::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.at(now);
        self.picker.timeout(now, &mut self.outbox);
    }

    // ---- commands --------------------------------------------------------------------------------------------

    /// Begins a fetch. Does nothing if it is open.
    pub fn open_session(&mut self, now: Instant, session: SessionId) {
        let now = self.at(now);
        self.picker.wants.open(now, session);
    }

    /// Ends a fetch: what it wanted is cancelled, what it held is off the books.
    pub fn close_session(&mut self, now: Instant, session: SessionId) {
        let now = self.at(now);
        self.picker.close(now, session, &mut self.outbox);
    }

    /// Names a source that may have what the session wants, connected or not yet. It stays with the session over
    /// reconnects. Beyond [`SESSION_SOURCES`](crate::limits::SESSION_SOURCES) connected ones it is ignored.
    pub fn add_source(&mut self, now: Instant, session: SessionId, source: SourceId) {
        self.at(now);
        self.picker.add_source(session, source);
    }

    /// Wants blocks: their CIDs and lengths (1 MiB where unknown), first ones first. Returns how many were taken: a
    /// session has at most [`SESSION_WANTS`](crate::limits::SESSION_WANTS); the rest must be wanted again when some have arrived. Identity CIDs
    /// carry their bytes and must not be wanted.
    pub fn want(&mut self, now: Instant, session: SessionId, cids: &[(Cid, usize)]) -> usize {
        let now = self.at(now);
        self.picker.want(now, session, cids, &mut self.outbox)
    }

    /// Of what the session wants, these go before all else, in this order: somebody waits for them. They take the place of
    /// those of an earlier call; beyond [`SESSION_PRIORITISED`](crate::limits::SESSION_PRIORITISED), and what the session
    /// does not want, is left out. What is asked of a source stays asked there.
    pub fn prioritise(&mut self, now: Instant, session: SessionId, cids: &[Cid]) {
        let now = self.at(now);
        self.picker.prioritise(now, session, cids, &mut self.outbox);
    }

    /// The session no longer wants these.
    pub fn cancel(&mut self, now: Instant, session: SessionId, cids: &[Cid]) {
        let now = self.at(now);
        let ids: Vec<_> = cids.iter().filter_map(|cid| self.picker.wants.find(cid)).collect();
        self.picker.cancel(now, session, ids, &mut self.outbox);
    }

    /// The bytes of an arrived block have left the session's memory (they are written): its window moves on.
    pub fn consumed(&mut self, now: Instant, session: SessionId, cid: &Cid) {
        self.at(now);
        self.picker.consumed(session, cid);
    }

    // ---- outputs ---------------------------------------------------------------------------------------------

    /// The next thing to do. To be called until `None` after inputs and commands.
    pub fn poll_output(&mut self) -> Option<Output> {
        let now = self.now?;
        self.picker.pump(now, &mut self.outbox);
        self.ledger.pump(now, &mut self.outbox);
        self.outbox.pop(now)
    }

    /// When [`Self::handle_timeout`] is due, if ever. To be asked when [`Self::poll_output`] gave `None`.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ledger = self.now.and_then(|now| self.ledger.next_timeout(now));
        self.picker.timers.next().into_iter().chain(self.outbox.next_timeout()).chain(ledger).min()
    }

    // ----------------------------------------------------------------------------------------------------------

    /// The latest time seen.
    fn at(&mut self, now: Instant) -> Instant {
        *self.now.insert(self.now.map_or(now, |latest| latest.max(now)))
    }

    fn is_connected(&self, source: SourceId) -> bool {
        self.picker.sources.contains_key(&source)
    }

    fn penalise(&mut self, now: Instant, source: SourceId, fault: Fault) {
        if self.is_connected(source) {
            self.forget(now, source);
            self.outbox.push(Output::Penalise { source, fault });
        }
    }

    fn forget(&mut self, now: Instant, source: SourceId) {
        self.picker.disconnect(now, source, &mut self.outbox);
        self.ledger.disconnect(source);
        self.outbox.forget(source);
    }
}

#[cfg(test)]
mod tests;
