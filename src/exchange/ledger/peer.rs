//! One peer as the ledger sees it: its wants by state, what is on its way to it, how fast it takes that.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::dag::Cid;
use crate::exchange::lately::Lately;
use crate::exchange::message::WantKind;
use crate::limits;

/// What writing one message should take at the peer's rate.
const BATCH_TIME: Duration = Duration::from_millis(500);
/// Bytes of a message before the rate is known, and the least later on.
const BATCH_START: usize = limits::CHUNK;
/// How far ahead of the peer's stream blocks are loaded: what is on its way can no longer be put behind others.
const AHEAD: Duration = Duration::from_millis(250);

/// Blocks of a peer's queue looked at for a new one.
const QUEUE_SAMPLE: usize = 64;

/// One peer's wants, each in the place of its state, and what is on its way to it.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) wants: BTreeMap<Cid, Wanted>,
    pub(super) next_place: u64,
    pub(super) fresh: BTreeSet<Place>,
    /// What the store is being asked about.
    pub(super) looking: BTreeSet<Cid>,
    pub(super) queued: BTreeSet<Place>,
    pub(super) missing: BTreeSet<Place>,
    pub(super) serving: BTreeMap<Cid, usize>,
    pub(super) serving_bytes: usize,
    pub(super) given: u64,
    pub(super) has_turn: bool,
    /// Bytes a second it takes; none before something was written.
    pub(super) rate: Option<f64>,
    /// Since when something is being written without a pause.
    pub(super) busy_since: Instant,
}

/// Highest priority first, then in the order they came.
pub(super) type Place = (Reverse<i32>, u64, Cid);

#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) kind: WantKind,
    pub(super) priority: i32,
    pub(super) place: u64,
    pub(super) send_dont_have: bool,
    /// DONT_HAVE was said and the want not repeated since.
    pub(super) told: bool,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Fresh,
    /// `again`: the block was stored while the store was being asked.
    Looking {
        again: bool,
    },
    Queued {
        len: usize,
    },
    Serving,
    Missing,
}

impl Peer {
    /// A peer that wants nothing yet, as if it had been given as much as the others.
    pub(super) fn new(now: Instant, given: u64) -> Self {
        Self {
            wants: BTreeMap::new(),
            next_place: 0,
            fresh: BTreeSet::new(),
            looking: BTreeSet::new(),
            queued: BTreeSet::new(),
            missing: BTreeSet::new(),
            serving: BTreeMap::new(),
            serving_bytes: 0,
            given,
            has_turn: false,
            rate: None,
            busy_since: now,
        }
    }

    /// Takes a want out of the place its state has.
    pub(super) fn unplace(&mut self, cid: &Cid, want: &Wanted) {
        let place = (Reverse(want.priority), want.place, *cid);
        match want.state {
            State::Fresh => self.fresh.remove(&place),
            State::Queued { .. } => self.queued.remove(&place),
            State::Missing => self.missing.remove(&place),
            State::Looking { .. } | State::Serving => true,
        };
    }

    /// The block to send next and its length: the first that fits and that nobody was sent a moment ago, else the first.
    pub(super) fn best(&self, now: Instant, lately: &Lately) -> Option<(Place, usize)> {
        let room = self.ahead().saturating_sub(self.serving_bytes).max(self.next_len());
        let mut queued = self.queued.iter().take(QUEUE_SAMPLE);
        let fits = |cid: &Cid| self.queued_len(cid) <= room && !lately.has(now, cid.hash());
        let place = queued.find(|(.., cid)| fits(cid)).or(self.queued.first())?;
        Some((*place, self.queued_len(&place.2)))
    }

    /// Bytes of the block that is first.
    pub(super) fn next_len(&self) -> usize {
        self.queued.first().map_or(0, |(.., cid)| self.queued_len(cid))
    }

    pub(super) fn queued_len(&self, cid: &Cid) -> usize {
        match self.wants.get(cid).map(|want| want.state) {
            Some(State::Queued { len }) => len,
            _ => 0,
        }
    }

    /// Bytes of its next message, within what may be on its way to it.
    pub(super) fn batch(&self) -> usize {
        let by_rate =
            self.rate.map_or(BATCH_START, |rate| (rate * BATCH_TIME.as_secs_f64()) as usize);
        by_rate
            .clamp(BATCH_START, limits::SERVE_BATCH)
            .min(self.ahead().saturating_sub(self.serving_bytes))
    }

    /// Bytes that may be on their way to it.
    pub(super) fn ahead(&self) -> usize {
        let by_rate = self.rate.map_or(0, |rate| (rate * AHEAD.as_secs_f64()) as usize);
        by_rate.clamp(BATCH_START, limits::SERVE_SOURCE)
    }
}
