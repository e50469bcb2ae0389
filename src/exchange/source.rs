//! One connected source as we fetch from it: its window, its conduct, its counters.

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

use crate::dag::Cid;
use crate::limits;

use super::lately::fingerprint;
use super::window::Window;
use super::{Abilities, Fault};

/// Doublings of [`limits::RESEND_SILENT`] that are beyond its longest.
const MOST_DOUBLINGS: u32 = 3;

/// What `status` shows of a source.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SourceStatus {
    /// Bytes of blocks that came from it, wanted or not.
    pub bytes_in: u64,
    /// Bytes written to it.
    pub bytes_out: u64,
    /// Wanted blocks that came from it.
    pub blocks_in: u64,
    /// Blocks written to it.
    pub blocks_out: u64,
    /// Blocks that came when they were no longer wanted of it.
    pub late: u64,
    /// Their bytes.
    pub late_bytes: u64,
    /// Blocks that were never asked of it.
    pub unasked: u64,
    /// What it did wrong, all kinds together: broken frames, blocks never asked for, HAVEs taken back.
    pub faults: u64,
    /// Bytes that may be asked of it at a time.
    pub window: usize,
    /// Bytes asked of it and counted on.
    pub in_flight: usize,
    /// Its recent best in bytes a second.
    pub rate: Option<f64>,
    /// Bytes being loaded for it or written to it.
    pub serving: usize,
    /// Wants of it that we remember.
    pub wants: usize,
    /// No progress with something asked of it.
    pub stalled: bool,
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) abilities: Abilities,
    pub(super) window: Window,
    pub(super) stalled: bool,
    /// Last time bytes came, or the first were asked.
    pub(super) progress: Instant,
    /// The latest moment of asking among the blocks that came: asks older than it were overtaken.
    pub(super) newest_answered: Option<Instant>,
    /// It said DONT_HAVE: then it is asked only for what it said HAVE to.
    pub(super) partial: bool,
    /// When its window of probes last slid over what it lacks.
    pub(super) slid: Instant,
    /// Stalls since its last block: how long it rests before it is tried again.
    pub(super) strikes: u32,
    /// When all our wants were last sent to it anew.
    pub(super) resent: Option<Instant>,
    /// How often they were since its last block.
    pub(super) resends: u32,
    /// Which of its sessions is served next.
    pub(super) turn: u64,
    pub(super) counts: SourceStatus,
    late: Late,
    /// Blocks that may come once more each, as they were asked for again.
    asked_again: u64,
    unasked_presences: usize,
    false_haves: u32,
}

impl Source {
    pub(super) fn new(now: Instant, abilities: Abilities) -> Self {
        Self {
            abilities,
            window: Window::new(now),
            stalled: false,
            progress: now,
            newest_answered: None,
            partial: false,
            slid: now,
            strikes: 0,
            resent: None,
            resends: 0,
            turn: 0,
            counts: SourceStatus::default(),
            late: Late::default(),
            asked_again: 0,
            unasked_presences: 0,
            false_haves: 0,
        }
    }

    /// No longer wanted of it; what still comes of it is late.
    pub(super) fn remember_late(&mut self, cid: &Cid) {
        self.late.insert(fingerprint(cid.hash()));
    }

    /// Wants were sent again, though the first ones may have been read: this many blocks may come twice.
    pub(super) fn expect_again(&mut self, wants: usize) {
        self.asked_again += wants as u64;
    }

    /// When the wants are due to be sent again for the sake of one that was asked for at `since`, and that no other source
    /// is counted on for (`alone`) or one is. None while there is no reason to think that it was lost.
    pub(super) fn resend_at(&self, since: Instant, alone: bool) -> Option<Instant> {
        let sent = self.resent.map_or(since, |at| at.max(since));
        if self.stalled {
            let doubled = limits::RESEND_SILENT * (1 << self.resends.min(MOST_DOUBLINGS));
            let silence = doubled.min(limits::RESEND_SILENT_MAX);
            let silence = if alone { silence } else { silence.max(limits::RESEND) };
            return Some(sent.max(self.progress) + silence);
        }
        let overtaken = self.newest_answered.is_some_and(|newest| since < newest);
        overtaken.then(|| sent + limits::RESEND)
    }

    /// Whether something about `cid` may still come.
    pub(super) fn may_be_late(&self, cid: &Cid) -> bool {
        self.late.known.contains(&fingerprint(cid.hash()))
    }

    /// A block that nobody waits for: whether it is late. It is so once.
    pub(super) fn count_late(&mut self, cid: &Cid, len: usize) -> bool {
        let late = self.late.known.remove(&fingerprint(cid.hash()));
        if late {
            self.counts.late += 1;
            self.counts.late_bytes += len as u64;
        }
        late
    }

    /// A payload that nobody read, as nothing was wanted of it: late, if anything still could be.
    pub(super) fn count_refused(&mut self) -> Option<Fault> {
        if self.late.forget_oldest() {
            self.counts.late += 1;
            return None;
        }
        self.count_unasked()
    }

    /// A block never asked of it.
    pub(super) fn count_unasked(&mut self) -> Option<Fault> {
        self.counts.unasked += 1;
        let paid = self.counts.blocks_in / 8 + self.asked_again;
        let over = self.counts.unasked > u64::from(limits::UNASKED) + paid;
        over.then_some(Fault::Unasked)
    }

    /// HAVE or DONT_HAVE for something never asked of it. Cheap, so a message full of them is let pass.
    pub(super) fn count_unasked_presence(&mut self) -> Option<Fault> {
        self.unasked_presences += 1;
        (self.unasked_presences > limits::MESSAGE_PRESENCES).then_some(Fault::Unasked)
    }

    /// DONT_HAVE after HAVE.
    pub(super) fn count_false_have(&mut self) -> Option<Fault> {
        self.false_haves += 1;
        let over =
            u64::from(self.false_haves) > u64::from(limits::FALSE_HAVES) + self.counts.blocks_in;
        over.then_some(Fault::FalseHave)
    }

    pub(super) fn status(&self) -> SourceStatus {
        SourceStatus {
            window: self.window.size(),
            in_flight: self.window.in_flight(),
            rate: self.window.rate(),
            stalled: self.stalled,
            faults: self.counts.faults + self.counts.unasked + u64::from(self.false_haves),
            ..self.counts
        }
    }

    #[cfg(test)]
    pub(super) fn late_memory(&self) -> usize {
        self.late.order.len()
    }
}

/// The last [`limits::LATE_MEMORY`] CIDs no longer wanted, by fingerprint.
#[derive(Debug, Default)]
struct Late {
    known: BTreeSet<u64>,
    order: VecDeque<u64>,
}

impl Late {
    fn insert(&mut self, fingerprint: u64) {
        if !self.known.insert(fingerprint) {
            return;
        }
        if self.order.len() == limits::LATE_MEMORY
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(fingerprint);
    }

    /// False if there is none.
    fn forget_oldest(&mut self) -> bool {
        while let Some(oldest) = self.order.pop_front() {
            if self.known.remove(&oldest) {
                return true;
            }
        }
        false
    }
}
