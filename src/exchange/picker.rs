//! Which want is asked of which source, and what follows from the answers.
//!
//! - **Windows.** A source is asked while its [window](super::window) has room, and the session's; so several sources
//!   share a fetch in proportion to what each delivers, without anybody dividing it.
//! - **Order.** Wants go in the order they came while all sources have everything. As soon as one of the session lacks
//!   something, what few have goes first, from a random place, so that leechers come to hold different blocks.
//!   Wants that the session [prioritised](super::prioritise) go before both.
//! - **Who has what.** With more than one source, each is probed with want-have for the next wants in order, a sliding
//!   window. A source that never lacked anything is asked without waiting for its HAVE; one that did, only for HAVEs. Its
//!   wants stay there after DONT_HAVE, since it may push HAVE later, until the block came or room is needed.
//! - **Again.** On DONT_HAVE and disconnect a want is ready again at once; the rest (no progress, end game) is in
//!   [`super::retry`].
//!
//! Events only mark sources as `dirty`; [`Picker::pump`] then fills each of them once, however many events there were.
//! No event looks at all wants: the indexes of [`super::wants`] give the candidates.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::dag::Cid;
use crate::limits;

use super::message::{Entry, WantKind};
use super::outbox::Outbox;
use super::source::Source;
use super::timers::{Timer, Timers};
use super::wants::{Ask, Known, WantId, Wants};
use super::{Abilities, SessionId, SourceId};

/// Wants of one source looked at to find a rare one.
const RARITY_SAMPLE: usize = 16;

#[derive(Debug)]
pub(super) struct Picker {
    pub(super) wants: Wants,
    /// The connected ones.
    pub(super) sources: BTreeMap<SourceId, Source>,
    pub(super) timers: Timers<Timer>,
    pub(super) session_window: usize,
    /// Sources to fill at the next [`Picker::pump`].
    pub(super) dirty: BTreeSet<SourceId>,
    /// Where the pump goes on, so that nobody is always first.
    turn: SourceId,
    random: u64,
}

/// How often the window of a source slides over wants that it lacks.
const SLIDE_EVERY: Duration = Duration::from_secs(1);

/// What to do with a source next.
enum Next {
    Ask(SessionId, WantId),
    Full,
    Nothing,
}

impl Picker {
    pub(super) fn new(session_window: usize, seed: u64) -> Self {
        Self {
            wants: Wants::default(),
            sources: BTreeMap::new(),
            timers: Timers::new(),
            session_window,
            dirty: BTreeSet::new(),
            turn: 0,
            random: seed,
        }
    }

    pub(super) fn connect(&mut self, now: Instant, source: SourceId, abilities: Abilities) {
        self.sources.insert(source, Source::new(now, abilities));
        for session in self.sessions_of(source) {
            self.wants.connect(session, source);
        }
        self.dirty.insert(source);
    }

    pub(super) fn disconnect(&mut self, now: Instant, source: SourceId, out: &mut Outbox) {
        if self.sources.remove(&source).is_none() {
            return;
        }
        self.dirty.remove(&source);
        self.timers.clear(Timer::Source(source));
        for id in self.wants.disconnect(source) {
            self.report_not_held(now, id, out);
        }
        for session in self.sessions_of(source) {
            self.dirty_session(session);
            self.search_if_alone(now, session, out);
            // what everybody else lacks they all have records of: one of them names all candidates
            let rest = self.wants.sessions.get(&session).and_then(|s| {
                s.links.iter().filter(|(_, l)| l.connected).map(|(id, _)| *id).next()
            });
            let lacked = rest.and_then(|rest| self.wants.records(rest)).map(|r| r.lacks.clone());
            for id in lacked.unwrap_or_default() {
                self.report_not_held(now, id, out);
            }
        }
    }

    pub(super) fn add_source(&mut self, session: SessionId, source: SourceId) {
        if self.wants.join(session, source, self.sources.contains_key(&source)) {
            self.dirty_session(session);
        }
    }

    pub(super) fn want(
        &mut self,
        now: Instant,
        session: SessionId,
        cids: &[(Cid, usize)],
        out: &mut Outbox,
    ) -> usize {
        let taken = cids.iter().take_while(|(c, len)| self.wants.add(session, *c, *len)).count();
        if taken > 0 {
            self.dirty_session(session);
            self.timers.arm(Timer::Search(session), now + limits::PROVIDER_SEARCH);
            self.search_if_alone(now, session, out);
        }
        taken
    }

    pub(super) fn cancel(
        &mut self,
        now: Instant,
        session: SessionId,
        ids: impl IntoIterator<Item = WantId>,
        out: &mut Outbox,
    ) {
        for id in ids {
            let released = self.wants.drop_from(session, id);
            self.release(now, released, None, out);
        }
        self.dirty_session(session);
    }

    pub(super) fn close(&mut self, now: Instant, session: SessionId, out: &mut Outbox) {
        let ids: Vec<WantId> = self
            .wants
            .sessions
            .get(&session)
            .map_or(Vec::new(), |s| s.order.values().copied().collect());
        self.cancel(now, session, ids, out);
        self.wants.close(session);
        self.timers.clear(Timer::Search(session));
        self.timers.clear(Timer::EndGame(session));
    }

    pub(super) fn consumed(&mut self, session: SessionId, cid: &Cid) {
        self.wants.consume(session, cid);
        if self.wants.unblock(session) {
            self.dirty_session(session);
        }
    }

    /// Asks what there is room for. Call it before outputs are taken.
    pub(super) fn pump(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(source) =
            self.dirty.range(self.turn..).next().or(self.dirty.first()).copied()
        {
            self.dirty.remove(&source);
            self.fill(now, source, out);
            self.turn = source.wrapping_add(1);
        }
    }

    /// Asks `source` for a want; its window and the session's pay.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        session: SessionId,
        source: SourceId,
        id: WantId,
        out: &mut Outbox,
    ) {
        let (Some(want), Some(s)) = (self.wants.get(id), self.sources.get_mut(&source)) else {
            return;
        };
        if s.window.in_flight() == 0 {
            s.progress = now;
        }
        let ticket = s.window.asked(now, want.len);
        let promised = want.sources.get(&source) == Some(&Known::Have);
        let abilities = s.abilities;
        out.entry(now, source, self.entry(id, WantKind::Block, abilities), true);
        self.wants.pay(id, session);
        let ask = Ask { ticket, live: true, promised };
        self.wants.set(id, source, Some(Known::Asked(ask)));
        self.timers.arm(Timer::Source(source), now + limits::STALL);
        if let Some(link) = self.link(session, source) {
            link.asked = true;
        }
    }

    /// The line that asks for a want.
    pub(super) fn entry(&self, id: WantId, kind: WantKind, abilities: Abilities) -> Entry {
        let want = self.wants.get(id).expect("callers just found it");
        let priority = self.priority(id, want);
        Entry { cid: want.cid, kind, priority, cancel: false, send_dont_have: abilities.have }
    }

    pub(super) fn sessions_of(&self, source: SourceId) -> Vec<SessionId> {
        self.wants.records(source).map_or(Vec::new(), |r| r.sessions.iter().copied().collect())
    }

    /// All connected sources of the session may have something to do.
    pub(super) fn dirty_session(&mut self, session: SessionId) {
        if let Some(s) = self.wants.sessions.get(&session) {
            self.dirty.extend(s.links.iter().filter(|(_, l)| l.connected).map(|(id, _)| *id));
        }
    }

    /// Fills one source's window, then probes ahead.
    fn fill(&mut self, now: Instant, source: SourceId, out: &mut Outbox) {
        let sessions = self.sessions_of(source);
        let Some(s) = self.sources.get_mut(&source) else { return };
        if sessions.is_empty() || s.stalled {
            return;
        }
        let shared = sessions.iter().filter_map(|id| self.wants.sessions.get(id));
        let most = shared.map(|s| s.connected).max().unwrap_or(1).max(1);
        s.window.start_with(self.session_window / (2 * most));
        loop {
            match self.next(now, source, &sessions, out) {
                Next::Ask(session, id) => self.ask(now, session, source, id, out),
                Next::Full => break,
                Next::Nothing if self.take_over(now, source, &sessions, out) => {}
                Next::Nothing => {
                    if let Some(s) = self.sources.get_mut(&source) {
                        s.window.starve();
                    }
                    for session in &sessions {
                        self.arm_end_game(now, *session);
                    }
                    break;
                }
            }
        }
        for session in sessions {
            self.probe(now, session, source, out);
        }
    }

    fn next(
        &mut self,
        now: Instant,
        source: SourceId,
        sessions: &[SessionId],
        out: &mut Outbox,
    ) -> Next {
        let Some(s) = self.sources.get_mut(&source) else { return Next::Nothing };
        s.turn += 1;
        let first = s.turn as usize % sessions.len();
        for session in sessions[first..].iter().chain(&sessions[..first]) {
            let Some(id) = self.candidate(now, *session, source, out) else { continue };
            let len = self.wants.get(id).map_or(0, |want| want.len);
            if self.sources.get(&source).is_some_and(|s| !s.window.room(len)) {
                return Next::Full;
            }
            if self.wants.room(*session, id, self.session_window) {
                return Next::Ask(*session, id);
            }
        }
        Next::Nothing
    }

    /// The want of this session that this source is best asked for.
    fn candidate(
        &mut self,
        now: Instant,
        session: SessionId,
        source: SourceId,
        out: &mut Outbox,
    ) -> Option<WantId> {
        let partial = self.sources.get(&source)?.partial;
        if self.wants.sessions.get(&session)?.ready == 0 {
            return None;
        }
        if let Some(id) = self.prioritised(now, session, source, out) {
            return Some(id);
        }
        let s = self.wants.sessions.get(&session)?;
        let link = s.links.get(&source)?;
        if (partial || s.partial) && !link.have.is_empty() {
            let place = self.rarest(session, source)?;
            return self.wants.sessions.get(&session)?.order.get(&place).copied();
        }
        if partial {
            return None;
        }
        if s.connected > 1 && self.sources.get(&source)?.counts.blocks_in == 0 {
            return self.anywhere(session, source);
        }
        let known = link.have.first().into_iter().chain(link.unsure.first()).min().copied();
        let new = self.unprobed(now, session, source, out);
        let place = known.into_iter().chain(new).min()?;
        self.wants.sessions.get(&session)?.order.get(&place).copied()
    }

    /// A ready want from a random place, for a source that brought nothing yet: who else has what is not known either, and
    /// leechers that begin together should not all ask for the same.
    fn anywhere(&mut self, session: SessionId, source: SourceId) -> Option<WantId> {
        let random = self.random();
        let s = self.wants.sessions.get(&session)?;
        let (first, last) = (*s.order.first_key_value()?.0, *s.order.last_key_value()?.0);
        let pivot = first + random % (last - first + 1);
        let full = self.wants.records(source)?.all.len() >= limits::SOURCE_WANTS;
        let mut places = s.order.range(pivot..).chain(s.order.range(..pivot));
        let fits = |id: &WantId| {
            let Some(want) = self.wants.get(*id).filter(|want| want.live == 0) else {
                return false;
            };
            match want.sources.get(&source) {
                None => !full,
                Some(known) => matches!(known, Known::Have | Known::Probing),
            }
        };
        places.find(|(_, id)| fits(id)).map(|(_, id)| *id)
    }

    /// Of some wants that the source has, the one that the fewest others have.
    fn rarest(&mut self, session: SessionId, source: SourceId) -> Option<u64> {
        let random = self.random();
        let s = self.wants.sessions.get(&session)?;
        let have = &s.links.get(&source)?.have;
        let (first, last) = (*have.first()?, *have.last()?);
        let pivot = first + random % (last - first + 1);
        let sample = have.range(pivot..).chain(have.range(..pivot)).take(RARITY_SAMPLE);
        let haves = |place: &u64| {
            let id = s.order.get(place).copied();
            id.and_then(|id| self.wants.get(id)).map_or(usize::MAX, |want| want.haves)
        };
        sample.min_by_key(|place| haves(place)).copied()
    }

    /// The first ready want that the source knows nothing of. Wants on the way there that somebody else is asked for are
    /// probed, or left out where the source can't be probed.
    fn unprobed(
        &mut self,
        now: Instant,
        session: SessionId,
        source: SourceId,
        out: &mut Outbox,
    ) -> Option<u64> {
        let abilities = self.sources.get(&source)?.abilities;
        loop {
            let s = self.wants.sessions.get(&session)?;
            let (place, id) = s.order.range(s.links.get(&source)?.cursor..).next()?;
            let (place, id) = (*place, *id);
            if self.wants.known(id, source).is_none() {
                if self.wants.records(source)?.all.len() >= limits::SOURCE_WANTS {
                    return None;
                }
                if self.wants.get(id)?.live == 0 {
                    return Some(place);
                }
                if abilities.have {
                    self.probe_one(now, source, id, out);
                } else {
                    self.link(session, source)?.forgot = true;
                }
            }
            self.link(session, source)?.cursor = place + 1;
        }
    }

    /// Asks ahead who has what, if there is a choice.
    fn probe(&mut self, now: Instant, session: SessionId, source: SourceId, out: &mut Outbox) {
        let Some(s) = self.sources.get(&source) else { return };
        let choice = self.wants.sessions.get(&session).is_some_and(|s| s.connected > 1);
        if !s.abilities.have || !(choice || s.partial) {
            return;
        }
        loop {
            let Some(s) = self.wants.sessions.get(&session) else { return };
            let Some(link) = s.links.get(&source) else { return };
            let Some((place, id)) = s.order.range(link.cursor..).next() else { return };
            let (place, id) = (*place, *id);
            if self.wants.known(id, source).is_none() {
                let Some(records) = self.wants.records(source) else { return };
                // a quarter stays free for asks, those of other sessions among them
                let full = records.all.len() >= limits::SOURCE_WANTS * 3 / 4;
                if full && !self.forget_lacked(now, session, source, out) {
                    return;
                }
                self.probe_one(now, source, id, out);
            }
            let Some(link) = self.link(session, source) else { return };
            link.cursor = place + 1;
        }
    }

    pub(super) fn probe_one(
        &mut self,
        now: Instant,
        source: SourceId,
        id: WantId,
        out: &mut Outbox,
    ) {
        let Some(s) = self.sources.get(&source) else { return };
        out.entry(now, source, self.entry(id, WantKind::Have, s.abilities), false);
        self.wants.set(id, source, Some(Known::Probing));
        for (session, _) in self.wants.get(id).map_or(Vec::new(), |w| w.sessions.clone()) {
            if let Some(link) = self.link(session, source) {
                link.asked = true;
            }
        }
    }

    /// Makes room at a source that lacks nearly all it was asked about, so that the wants further on get their turn; its
    /// links come back to the forgotten ones later. Only when it gives nothing, and in steps while others do.
    fn forget_lacked(
        &mut self,
        now: Instant,
        session: SessionId,
        source: SourceId,
        out: &mut Outbox,
    ) -> bool {
        let Some(records) = self.wants.records(source) else { return false };
        let Some(id) = records.lacks.first().copied() else { return false };
        let lacks = records.lacks.len();
        let idle =
            self.wants.sessions.get(&session).is_some_and(|s| now >= s.progress + SLIDE_EVERY);
        let Some(s) = self.sources.get_mut(&source) else { return false };
        let step = now == s.slid || now >= s.slid + SLIDE_EVERY;
        if lacks < limits::SOURCE_LACKS || s.window.in_flight() > 0 || !(idle || step) {
            return false;
        }
        s.slid = now;
        let want = self.wants.get(id).expect("records name wants");
        let (cid, sessions) = (want.cid, want.sessions.clone());
        self.wants.set(id, source, None);
        self.cancel_at(now, source, &cid, false, out);
        for (session, _) in sessions {
            if let Some(link) = self.link(session, source) {
                link.forgot = true;
            }
        }
        true
    }

    pub(super) fn link(
        &mut self,
        session: SessionId,
        source: SourceId,
    ) -> Option<&mut super::wants::Link> {
        self.wants.sessions.get_mut(&session)?.links.get_mut(&source)
    }

    /// SplitMix64: enough to spread leechers, and a seed replays it.
    pub(super) fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
