//! What peers want of us, and whose turn it is.
//!
//! A want goes fresh -> looking (the store is asked) -> queued (we hold it) -> serving -> gone, or missing: then it stays
//! until it is cancelled, and is looked up again when its block is stored. A HAVE ends a want-have. At most
//! [`limits::FOREIGN_WANTS`] per peer; one too many takes the place of a missing one, else of a queued one of lower
//! priority, else it is dropped (as boxo does). All of it is freed on disconnect (CVE-2023-25568).
//!
//! Turns are start-time fair queueing: the peer that was given the fewest bytes goes next, and one that comes anew starts
//! where the others are, neither behind nor with a credit. Bytes loaded and not yet written are bounded per peer and in
//! total (a second time as much for first blocks, so that peers that take nothing keep nobody from being served). What a
//! message may hold, and what is loaded ahead, follows the peer's rate.
//!
//! On a link that is full, few peers are served at a time, whole blocks one after another: blocks that are sent to all at
//! once arrive late everywhere, and nobody can pass one on till then.
//!
//! Whether a block may be shown to a peer is not decided here: every answer, also the push of a block stored later, goes
//! through [`Output::Lookup`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::dag::{Cid, Multihash};
use crate::limits;

use super::lately::Lately;
use super::message::{Presence, WantKind, Wantlist};
use super::outbox::Outbox;
use super::{Output, SourceId};

mod peer;

use peer::{Peer, State, Wanted};

/// Time in which each of the peers that are served at a time should get a block.
const SLOT_TIME: Duration = Duration::from_millis(125);
/// Peers served at a time before the rate is known, and the least: one more fills the link while another's block ends
/// and its next is chosen (measured with 100 Mbit/s: one alone leaves a tenth of it unused).
const SLOTS_START: usize = 4;
const SLOTS_MIN: usize = 2;
/// A peer that took nothing for this long is slow.
const SLOW: Duration = Duration::from_secs(1);
/// Bytes of a block that waits for no slot.
const SMALL: usize = 64 * limits::KIB;
/// Time over which the rate of all is measured.
const MEASURED: Duration = Duration::from_millis(250);

/// Peers looked at for one to which something new can be sent.
const TURNS_SAMPLE: usize = 16;

#[derive(Debug)]
pub(super) struct Ledger {
    peers: BTreeMap<SourceId, Peer>,
    /// Who wants what we do not hold, or are looking for. By multihash, since the store holds blocks by it.
    waiting: BTreeMap<Multihash, BTreeSet<(SourceId, Cid)>>,
    /// Peers with something queued and room for it, by what they were given.
    turns: BTreeSet<(u64, SourceId)>,
    /// What the peer served last had been given.
    given: u64,
    serving: usize,
    limit: usize,
    lately: Lately,
    /// Peers with something on its way to them.
    served: BTreeSet<SourceId>,
    throughput: Throughput,
}

/// Bytes that all peers together took, of late.
#[derive(Debug, Default)]
struct Throughput {
    since: Option<Instant>,
    bytes: usize,
    rate: Option<f64>,
}

impl Throughput {
    fn count(&mut self, now: Instant, bytes: usize) {
        let since = *self.since.get_or_insert(now);
        self.bytes += bytes;
        let took = now.saturating_duration_since(since);
        if took >= MEASURED {
            let rate = self.bytes as f64 / took.as_secs_f64();
            self.rate = Some(self.rate.map_or(rate, |old| rate.max(old * 0.5 + rate * 0.5)));
            (self.since, self.bytes) = (Some(now), 0);
        }
    }
}

impl Ledger {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            peers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            turns: BTreeSet::new(),
            given: 0,
            serving: 0,
            limit,
            lately: Lately::default(),
            served: BTreeSet::new(),
            throughput: Throughput::default(),
        }
    }

    pub(super) fn connect(&mut self, now: Instant, source: SourceId) {
        self.peers.insert(source, Peer::new(now, self.given));
    }

    pub(super) fn disconnect(&mut self, source: SourceId) {
        let Some(peer) = self.peers.get(&source) else { return };
        for cid in peer.wants.keys().copied().collect::<Vec<_>>() {
            self.remove(source, &cid);
        }
        if let Some(peer) = self.peers.remove(&source) {
            self.serving -= peer.serving_bytes;
            self.served.remove(&source);
            self.turns.remove(&(peer.given, source));
        }
    }

    /// Takes in wants and cancels, in this order whatever theirs was: a cancel beats a want of the same message.
    pub(super) fn wantlist(&mut self, source: SourceId, list: Wantlist, out: &mut Outbox) {
        let Some(peer) = self.peers.get(&source) else { return };
        let (cancels, wants): (Vec<_>, Vec<_>) = list.entries.into_iter().partition(|e| e.cancel);
        let mut recalled = Vec::new();
        if list.full {
            let kept: BTreeSet<&Cid> = wants.iter().map(|entry| &entry.cid).collect();
            let gone: Vec<Cid> =
                peer.wants.keys().filter(|cid| !kept.contains(cid)).copied().collect();
            recalled.extend(gone.into_iter().filter(|cid| self.cancel(source, cid)));
        }
        for entry in wants {
            self.add(source, entry.cid, entry.kind, entry.priority, entry.send_dont_have);
        }
        let cancels = cancels.into_iter().map(|entry| entry.cid);
        recalled.extend(cancels.filter(|cid| self.cancel(source, cid)));
        if !recalled.is_empty() {
            out.push(Output::Recall { source, cids: recalled });
        }
        self.ask_store(source, out);
    }

    /// The store's answer, or a part of it. What it was not asked about is ignored: that is an answer to somebody who was
    /// connected before.
    pub(super) fn lookup(
        &mut self,
        now: Instant,
        source: SourceId,
        results: Vec<(Cid, Option<usize>)>,
        out: &mut Outbox,
    ) {
        for (cid, len) in results {
            let Some(peer) = self.peers.get_mut(&source) else { return };
            if !peer.looking.remove(&cid) {
                continue;
            }
            let Some(want) = peer.wants.get_mut(&cid) else { continue };
            let State::Looking { again } = want.state else { continue };
            match len {
                Some(len) if want.kind == WantKind::Have && len > limits::HAVE_REPLACE => {
                    out.presence(now, source, cid, Presence::Have);
                    self.remove(source, &cid);
                }
                Some(len) => self.place(source, cid, State::Queued { len }),
                None if again => self.place(source, cid, State::Fresh),
                None => {
                    if want.send_dont_have && !want.told {
                        want.told = true;
                        out.presence(now, source, cid, Presence::DontHave);
                    }
                    self.place(source, cid, State::Missing);
                }
            }
        }
        self.ask_store(source, out);
    }

    /// These blocks are held now: whoever waits for one is looked up again.
    pub(super) fn stored(&mut self, cids: &[(Cid, usize)], out: &mut Outbox) {
        let mut touched = BTreeSet::new();
        for (cid, _) in cids {
            let Some(waiting) = self.waiting.get(cid.hash()) else { continue };
            for (source, cid) in waiting.clone() {
                let want = self.peers.get_mut(&source).and_then(|peer| peer.wants.get_mut(&cid));
                match want.map(|want| &mut want.state) {
                    Some(State::Looking { again }) => *again = true,
                    Some(State::Missing) => {
                        self.place(source, cid, State::Fresh);
                        touched.insert(source);
                    }
                    _ => {}
                }
            }
        }
        for source in touched {
            self.ask_store(source, out);
        }
    }

    /// Blocks were written.
    pub(super) fn sent(&mut self, now: Instant, source: SourceId, cids: &[Cid], bytes: usize) {
        let Some(peer) = self.peers.get_mut(&source) else { return };
        self.throughput.count(now, bytes);
        let took = now.saturating_duration_since(peer.busy_since).max(Duration::from_millis(1));
        let rate = bytes as f64 / took.as_secs_f64();
        peer.rate = Some(peer.rate.map_or(rate, |old| old * 0.75 + rate * 0.25));
        peer.busy_since = now;
        for cid in cids {
            if self.written(source, cid).is_some()
                && self.state(source, cid) == Some(State::Serving)
            {
                self.remove(source, cid);
            }
        }
        self.offer_turn(source);
    }

    /// Blocks could not be written: they are queued again, or count as missing.
    pub(super) fn unsent(
        &mut self,
        now: Instant,
        source: SourceId,
        cids: Vec<Cid>,
        retry: bool,
        out: &mut Outbox,
    ) {
        for cid in cids {
            let Some(len) = self.written(source, &cid) else { continue };
            if self.state(source, &cid) != Some(State::Serving) {
                continue;
            }
            if retry {
                self.place(source, cid, State::Queued { len });
                continue;
            }
            let want = self.peers.get_mut(&source).and_then(|peer| peer.wants.get_mut(&cid));
            if let Some(want) = want.filter(|want| want.send_dont_have) {
                want.told = true;
                out.presence(now, source, cid, Presence::DontHave);
            }
            self.place(source, cid, State::Missing);
        }
        self.offer_turn(source);
    }

    /// Blocks that were written may be lost: they are wanted again, after all else.
    pub(super) fn lost(&mut self, source: SourceId, cids: Vec<Cid>, out: &mut Outbox) {
        for cid in cids {
            if self.state(source, &cid).is_none() {
                self.add(source, cid, WantKind::Block, i32::MIN, false);
            }
        }
        self.ask_store(source, out);
    }

    /// Gives out turns while there is room.
    pub(super) fn pump(&mut self, now: Instant, out: &mut Outbox) {
        while let Some((given, source)) = self.next_turn(now) {
            let peer = self.peers.get_mut(&source).expect("turns name peers");
            let batch = peer.batch().min(self.limit.saturating_sub(self.serving));
            self.turns.remove(&(given, source));
            peer.has_turn = false;
            if peer.serving.is_empty() {
                peer.busy_since = now;
            }
            let (mut cids, mut bytes, mut new) = (Vec::new(), 0, None);
            while let Some((place, len)) = peer.best(now, &self.lately) {
                let is_new = !self.lately.has(now, place.2.hash());
                if !cids.is_empty() && (bytes + len > batch || new != Some(is_new)) {
                    break;
                }
                new = Some(is_new);
                peer.queued.remove(&place);
                bytes += len;
                if let Some(want) = peer.wants.get_mut(&place.2) {
                    want.state = State::Serving;
                }
                peer.serving.insert(place.2, len);
                self.lately.note(now, place.2.hash());
                cids.push(place.2);
            }
            peer.serving_bytes += bytes;
            self.served.insert(source);
            // an empty block, too, costs a turn
            peer.given += bytes.max(1) as u64;
            self.serving += bytes;
            self.given = given;
            out.push(Output::Serve { source, cids });
            self.offer_turn(source);
        }
    }

    /// The peer whose turn it is, among those that there is room for: the first to which something can be sent that
    /// nobody was sent a moment ago, else the first of all.
    fn next_turn(&self, now: Instant) -> Option<(u64, SourceId)> {
        let best = |source| {
            let peer: &Peer = self.peers.get(source)?;
            let ((.., cid), len) = peer.best(now, &self.lately)?;
            // Those that take nothing must not keep the others from a first block.
            let limit = if peer.serving.is_empty() { 2 * self.limit } else { self.limit };
            let fits = self.serving == 0 || self.serving + len <= limit;
            fits.then(|| !self.lately.has(now, cid.hash()))
        };
        let full = self.active(now).count() >= self.slots();
        let may = |(_, source): &&(u64, SourceId)| {
            !full || self.served.contains(source) || self.is_small(*source)
        };
        let turns = self.turns.iter().take_while(may);
        let mut fitting = turns.filter_map(|turn| Some((turn, best(&turn.1)?))).peekable();
        let first = fitting.peek().map(|(turn, _)| **turn);
        let new = fitting.take(TURNS_SAMPLE).find(|(_, is_new)| *is_new);
        new.map(|(turn, _)| *turn).or(first)
    }

    /// Peers that are being sent something and take it: a slow one does not count, since the link is not full of it.
    fn active(&self, now: Instant) -> impl Iterator<Item = Instant> {
        let served = self.served.iter().filter_map(|source| self.peers.get(source));
        served.map(|peer| peer.busy_since + SLOW).filter(move |until| *until > now)
    }

    /// How many peers are served at a time: as many as get a block each within [`SLOT_TIME`]. The fewer, the sooner the
    /// first of them can pass it on.
    fn slots(&self) -> usize {
        let blocks = |rate: f64| (rate * SLOT_TIME.as_secs_f64()) as usize / limits::CHUNK;
        self.throughput.rate.map_or(SLOTS_START, |rate| blocks(rate).max(SLOTS_MIN))
    }

    fn is_small(&self, source: SourceId) -> bool {
        self.peers.get(&source).is_some_and(|peer| peer.next_len() <= SMALL)
    }

    /// When a peer that waits for its turn may have it though nothing happens.
    pub(super) fn next_timeout(&self, now: Instant) -> Option<Instant> {
        if self.turns.is_empty() { None } else { self.active(now).min() }
    }

    /// Wants remembered and bytes being served.
    pub(super) fn status(&self, source: SourceId) -> (usize, usize) {
        self.peers.get(&source).map_or((0, 0), |peer| (peer.wants.len(), peer.serving_bytes))
    }

    fn state(&self, source: SourceId, cid: &Cid) -> Option<State> {
        Some(self.peers.get(&source)?.wants.get(cid)?.state)
    }

    /// Adds a want, or merges it into the one there is: block beats have, the latest priority counts.
    fn add(
        &mut self,
        source: SourceId,
        cid: Cid,
        kind: WantKind,
        priority: i32,
        send_dont_have: bool,
    ) {
        let Some(peer) = self.peers.get_mut(&source) else { return };
        if let Some(mut want) = peer.wants.get(&cid).copied() {
            peer.unplace(&cid, &want);
            want.kind = want.kind.min(kind);
            want.priority = priority;
            want.send_dont_have |= send_dont_have;
            want.told = false;
            let state = if want.state == State::Missing { State::Fresh } else { want.state };
            peer.wants.insert(cid, want);
            self.place(source, cid, state);
            return;
        }
        if peer.wants.len() >= limits::FOREIGN_WANTS {
            let lower = peer.queued.last().filter(|(Reverse(lowest), ..)| *lowest < priority);
            // of the missing ones, too, the lowest priority goes first
            let Some((.., victim)) = peer.missing.last().or(lower).copied() else { return };
            self.remove(source, &victim);
        }
        let Some(peer) = self.peers.get_mut(&source) else { return };
        let place = peer.next_place;
        peer.next_place += 1;
        // wanted, cancelled and wanted again while it is on its way: not sent twice
        let state = if peer.serving.contains_key(&cid) { State::Serving } else { State::Fresh };
        let want = Wanted { kind, priority, place, send_dont_have, told: false, state };
        peer.wants.insert(cid, want);
        self.place(source, cid, state);
    }

    /// Removes a want: whether its block is on its way to the source.
    fn cancel(&mut self, source: SourceId, cid: &Cid) -> bool {
        let serving = self.state(source, cid) == Some(State::Serving);
        self.remove(source, cid);
        serving
    }

    fn remove(&mut self, source: SourceId, cid: &Cid) {
        let Some(peer) = self.peers.get_mut(&source) else { return };
        if let Some(want) = peer.wants.remove(cid) {
            peer.unplace(cid, &want);
            self.unwait(source, cid);
            self.offer_turn(source);
        }
    }

    /// Moves a want into the place of its new state.
    fn place(&mut self, source: SourceId, cid: Cid, state: State) {
        let Some(peer) = self.peers.get_mut(&source) else { return };
        let Some(mut want) = peer.wants.get(&cid).copied() else { return };
        peer.unplace(&cid, &want);
        want.state = state;
        peer.wants.insert(cid, want);
        let place = (Reverse(want.priority), want.place, cid);
        match state {
            State::Fresh => peer.fresh.insert(place),
            State::Queued { .. } => peer.queued.insert(place),
            State::Missing => peer.missing.insert(place),
            State::Looking { .. } | State::Serving => true,
        };
        if matches!(state, State::Missing | State::Looking { .. }) {
            self.waiting.entry(*cid.hash()).or_default().insert((source, cid));
        } else {
            self.unwait(source, &cid);
        }
        if matches!(state, State::Queued { .. }) {
            self.offer_turn(source);
        }
    }

    fn unwait(&mut self, source: SourceId, cid: &Cid) {
        if let Some(waiting) = self.waiting.get_mut(cid.hash()) {
            waiting.remove(&(source, *cid));
            if waiting.is_empty() {
                self.waiting.remove(cid.hash());
            }
        }
    }

    /// Asks the store for fresh wants, one question at a time.
    fn ask_store(&mut self, source: SourceId, out: &mut Outbox) {
        let Some(peer) = self.peers.get_mut(&source) else { return };
        if !peer.looking.is_empty() || peer.fresh.is_empty() {
            return;
        }
        let cids: Vec<Cid> =
            peer.fresh.iter().take(limits::LOOKUP_BATCH).map(|(.., cid)| *cid).collect();
        peer.looking.extend(&cids);
        for cid in &cids {
            self.place(source, *cid, State::Looking { again: false });
        }
        out.push(Output::Lookup { source, cids });
    }

    /// A block is no longer on its way to the source: its length, if it was.
    fn written(&mut self, source: SourceId, cid: &Cid) -> Option<usize> {
        let peer = self.peers.get_mut(&source)?;
        let len = peer.serving.remove(cid)?;
        peer.serving_bytes -= len;
        self.serving -= len;
        if peer.serving.is_empty() {
            self.served.remove(&source);
        }
        Some(len)
    }

    /// Puts the source into or out of the round, as it has something to be given and room for it.
    fn offer_turn(&mut self, source: SourceId) {
        let Some(peer) = self.peers.get_mut(&source) else { return };
        let able = !peer.queued.is_empty()
            && (peer.serving.is_empty()
                || peer.serving_bytes + peer.next_len() <= peer.ahead()
                    && peer.serving.len() < limits::FOREIGN_WANTS);
        if able && !peer.has_turn {
            peer.given = peer.given.max(self.given);
            self.turns.insert((peer.given, source));
        } else if !able && peer.has_turn {
            self.turns.remove(&(peer.given, source));
        }
        peer.has_turn = able;
    }

    /// Panics if an invariant does not hold.
    #[cfg(test)]
    pub(super) fn check(&self) {
        assert_eq!(self.serving, self.peers.values().map(|p| p.serving_bytes).sum::<usize>());
        assert!(self.serving <= 2 * self.limit.max(limits::BLOCK_MAX));
        for (source, peer) in &self.peers {
            assert!(peer.wants.len() <= limits::FOREIGN_WANTS);
            assert!(peer.serving_bytes <= limits::SERVE_SOURCE);
            assert_eq!(peer.serving_bytes, peer.serving.values().sum::<usize>());
            assert!(peer.looking.len() <= limits::LOOKUP_BATCH);
            assert_eq!(peer.has_turn, self.turns.contains(&(peer.given, *source)));
            let count = |f: fn(&State) -> bool| peer.wants.values().filter(|w| f(&w.state)).count();
            assert_eq!(peer.fresh.len(), count(|s| *s == State::Fresh));
            assert_eq!(peer.missing.len(), count(|s| *s == State::Missing));
            assert_eq!(peer.queued.len(), count(|s| matches!(s, State::Queued { .. })));
        }
        for (source, cid) in self.waiting.values().flatten() {
            assert!(self.peers[source].wants.contains_key(cid));
        }
    }
}

#[cfg(test)]
mod tests;
