//! Our wants: one record per CID that somebody here waits for, and per source what it said of it.
//!
//! A want is **ready** while nobody we count on was asked for it, **outstanding** while somebody was; it leaves when its
//! block arrives or its last session gives it up. What arrived stays on its session's account until it is consumed.
//! Nothing here decides: [`super::picker`] does, over the indexes kept here, so that no event looks at all wants.
//!
//! Invariants (checked by [`Wants::check`] in tests):
//! - `by_cid` and `wants` hold the same wants; each belongs to at least one session, whose `order` holds it.
//! - A source's records are exactly the wants that know it; at most [`limits::SOURCE_WANTS`] (the picker's duty).
//! - A link's `have` and `unsure` hold the ready wants of its session that the source said HAVE to, or was asked about.
//! - A want is paid for by one session from its first ask until it is no longer asked of anybody; a session's `charged`
//!   is the sum of those, its `held` of what arrived unconsumed. A block that another session paid for is held all the
//!   same, so only `charged` is bounded strictly by the session's window.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::dag::Cid;
use crate::limits;

use super::window::Ticket;
use super::{SessionId, SourceId};

/// A want, numbered in the order they came.
pub(super) type WantId = u64;

/// What we know of one source and one want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Asked whether it has it; no answer yet.
    Probing,
    /// Said HAVE.
    Have,
    /// Said DONT_HAVE. The want stays there: it may push HAVE.
    Lacks,
    /// Asked for the block.
    Asked(Ask),
}

/// A block asked of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) ticket: Ticket,
    /// We count on it. Not so when overdue: it may come still, but others are asked.
    pub(super) live: bool,
    /// It had said HAVE.
    pub(super) promised: bool,
}

#[cfg(test)]
impl Known {
    fn is_live(&self) -> bool {
        matches!(self, Known::Asked(ask) if ask.live)
    }
}

#[derive(Debug)]
pub(super) struct Want {
    pub(super) cid: Cid,
    /// Bytes expected.
    pub(super) len: usize,
    /// Who waits, and its place in their order.
    pub(super) sessions: Vec<(SessionId, u64)>,
    pub(super) sources: BTreeMap<SourceId, Known>,
    /// Sources asked and counted on.
    pub(super) live: usize,
    /// Sources that said HAVE and were not asked.
    pub(super) haves: usize,
    /// Sources that said DONT_HAVE.
    lacks: usize,
    asks: usize,
    outstanding_since: Option<Instant>,
    payer: Option<SessionId>,
    /// Sessions told that nobody has it, and their epoch then.
    told: Vec<(SessionId, u64)>,
}

impl Want {
    /// Whether it is on a session's account already.
    pub(super) fn is_paid(&self) -> bool {
        self.payer.is_some()
    }
}

/// A source in a session.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) connected: bool,
    /// Places in the session's order below this are known to the source or were forgotten.
    pub(super) cursor: u64,
    /// Something below the cursor was left out.
    pub(super) forgot: bool,
    pub(super) have: BTreeSet<u64>,
    pub(super) unsure: BTreeSet<u64>,
    pub(super) asked: bool,
    pub(super) answered: bool,
}

#[derive(Debug)]
pub(super) struct Session {
    /// Wants not arrived, by place.
    pub(super) order: BTreeMap<u64, WantId>,
    next_place: u64,
    /// Of these, how many are ready.
    pub(super) ready: usize,
    /// The others, by when they were first asked.
    pub(super) outstanding: BTreeSet<(Instant, WantId)>,
    pub(super) links: BTreeMap<SourceId, Link>,
    /// Of these, how many are connected.
    pub(super) connected: usize,
    pub(super) charged: usize,
    held: BTreeMap<Cid, usize>,
    pub(super) held_bytes: usize,
    /// A source was refused for lack of room since the last [`Wants::unblock`].
    blocked: bool,
    /// Some source lacks something: what is rare goes first.
    pub(super) partial: bool,
    /// Grows with every source that joins, so that "nobody has it" can be said anew.
    epoch: u64,
    pub(super) progress: Instant,
    pub(super) searched: Option<Instant>,
    /// Sources asked or heard that left since.
    pub(super) gone: (usize, usize),
}

/// A want given up or arrived, as one source knew it.
pub(super) struct Released {
    pub(super) source: SourceId,
    pub(super) cid: Cid,
    pub(super) len: usize,
    pub(super) known: Known,
}

#[derive(Debug, Default)]
pub(super) struct Wants {
    wants: BTreeMap<WantId, Want>,
    by_cid: BTreeMap<Cid, WantId>,
    next: WantId,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    records: BTreeMap<SourceId, Records>,
}

/// One source's side of the wants, and the sessions it may be asked for, connected or not.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) all: BTreeSet<WantId>,
    pub(super) lacks: BTreeSet<WantId>,
    pub(super) asks: BTreeSet<(Instant, WantId)>,
    pub(super) sessions: BTreeSet<SessionId>,
}

impl Wants {
    pub(super) fn open(&mut self, now: Instant, session: SessionId) {
        self.sessions.entry(session).or_insert_with(|| Session {
            order: BTreeMap::new(),
            next_place: 0,
            ready: 0,
            outstanding: BTreeSet::new(),
            links: BTreeMap::new(),
            connected: 0,
            charged: 0,
            held: BTreeMap::new(),
            held_bytes: 0,
            blocked: false,
            partial: false,
            epoch: 0,
            progress: now,
            searched: None,
            gone: (0, 0),
        });
    }

    /// Forgets the session; its wants must have been dropped.
    pub(super) fn close(&mut self, session: SessionId) {
        for source in self.sessions.remove(&session).into_iter().flat_map(|s| s.links.into_keys()) {
            if let Some(records) = self.records.get_mut(&source) {
                records.sessions.remove(&session);
                if records.sessions.is_empty() && records.all.is_empty() {
                    self.records.remove(&source);
                }
            }
        }
    }

    /// Makes the source one of the session's. Beyond [`limits::SESSION_SOURCES`] it takes the place of one that is not
    /// connected, if there is one.
    pub(super) fn join(&mut self, session: SessionId, source: SourceId, connected: bool) -> bool {
        let Some(s) = self.sessions.get_mut(&session) else { return false };
        if !s.links.contains_key(&source) {
            if s.links.len() >= limits::SESSION_SOURCES {
                let Some(old) = s.links.iter().find(|(_, l)| !l.connected).map(|(id, _)| *id)
                else {
                    return false;
                };
                let link = s.links.remove(&old).expect("just found");
                s.gone.0 += usize::from(link.asked);
                s.gone.1 += usize::from(link.answered);
                if let Some(records) = self.records.get_mut(&old) {
                    records.sessions.remove(&session);
                    if records.sessions.is_empty() {
                        self.records.remove(&old);
                    }
                }
            }
            s.links.insert(source, Link::default());
            self.records.entry(source).or_default().sessions.insert(session);
        }
        if connected {
            self.connect(session, source);
        }
        true
    }

    /// The source can be asked now.
    pub(super) fn connect(&mut self, session: SessionId, source: SourceId) {
        let Some(s) = self.sessions.get_mut(&session) else { return };
        let Some(link) = s.links.get_mut(&source) else { return };
        if !link.connected {
            link.connected = true;
            s.connected += 1;
            s.epoch += 1;
        }
        // it may know some of our wants from another session
        let known: Vec<WantId> =
            self.records.get(&source).map_or(Vec::new(), |r| r.all.iter().copied().collect());
        for id in known {
            self.index(id, source);
        }
    }

    /// The source is gone, but stays in its sessions should it come back. Returns what it knew.
    pub(super) fn disconnect(&mut self, source: SourceId) -> Vec<WantId> {
        let Some(records) = self.records.get(&source) else { return Vec::new() };
        let ids: Vec<WantId> = records.all.iter().copied().collect();
        let sessions: Vec<SessionId> = records.sessions.iter().copied().collect();
        for id in &ids {
            self.set(*id, source, None);
        }
        for session in sessions {
            if let Some(s) = self.sessions.get_mut(&session)
                && let Some(link) = s.links.get_mut(&source)
                && link.connected
            {
                (link.connected, link.cursor, link.forgot) = (false, 0, false);
                s.connected -= 1;
            }
        }
        if self.records.get(&source).is_some_and(|r| r.sessions.is_empty()) {
            self.records.remove(&source);
        }
        ids
    }

    /// Adds a want. False if the session has too many or does not exist.
    pub(super) fn add(&mut self, session: SessionId, cid: Cid, len: usize) -> bool {
        let Some(s) = self.sessions.get_mut(&session) else { return false };
        if s.order.len() >= limits::SESSION_WANTS {
            return false;
        }
        let id = *self.by_cid.entry(cid).or_insert(self.next);
        let want = self.wants.entry(id).or_insert_with(|| Want {
            cid,
            len: len.clamp(1, limits::BLOCK_MAX),
            sessions: Vec::new(),
            sources: BTreeMap::new(),
            live: 0,
            haves: 0,
            lacks: 0,
            asks: 0,
            outstanding_since: None,
            payer: None,
            told: Vec::new(),
        });
        if id == self.next {
            self.next += 1;
        }
        if want.sessions.iter().any(|(other, _)| *other == session) {
            return true;
        }
        let place = s.next_place;
        s.next_place += 1;
        s.order.insert(place, id);
        want.sessions.push((session, place));
        match want.outstanding_since {
            Some(since) => {
                s.outstanding.insert((since, id));
            }
            None => s.ready += 1,
        }
        for source in want.sources.keys().copied().collect::<Vec<_>>() {
            self.index(id, source);
        }
        true
    }

    /// The session no longer wants it. If nobody does, all sources that knew are returned.
    pub(super) fn drop_from(&mut self, session: SessionId, id: WantId) -> Vec<Released> {
        let Some(want) = self.wants.get_mut(&id) else { return Vec::new() };
        let Some(at) = want.sessions.iter().position(|(s, _)| *s == session) else {
            return Vec::new();
        };
        if want.sessions.len() == 1 {
            return self.remove(id).2;
        }
        let (_, place) = want.sessions.remove(at);
        want.told.retain(|(s, _)| *s != session);
        let heir = want.sessions[0].0;
        let pays = want.payer == Some(session);
        if pays {
            want.payer = Some(heir);
        }
        let len = want.len;
        if let Some(s) = self.sessions.get_mut(&session) {
            s.leave(place, id, want);
            if pays {
                s.charged -= len;
            }
        }
        if pays && let Some(s) = self.sessions.get_mut(&heir) {
            s.charged += len;
        }
        Vec::new()
    }

    /// Its block came with `len` bytes: who gets it, and who knew of it.
    pub(super) fn arrive(
        &mut self,
        now: Instant,
        id: WantId,
        len: usize,
    ) -> (Vec<SessionId>, Vec<Released>) {
        let (cid, sessions, released) = self.remove(id);
        for session in &sessions {
            if let Some(s) = self.sessions.get_mut(session) {
                s.progress = now;
                s.held_bytes += len;
                if let Some(twice) = s.held.insert(cid, len) {
                    s.held_bytes -= twice;
                }
            }
        }
        (sessions, released)
    }

    /// The session's copy left memory.
    pub(super) fn consume(&mut self, session: SessionId, cid: &Cid) {
        if let Some(s) = self.sessions.get_mut(&session)
            && let Some(len) = s.held.remove(cid)
        {
            s.held_bytes -= len;
        }
    }

    /// Whether the session has bytes of its window `limit` left for this want; if not, it waits for
    /// [`Self::unblock`].
    pub(super) fn room(&mut self, session: SessionId, id: WantId, limit: usize) -> bool {
        let (Some(want), Some(s)) = (self.wants.get(&id), self.sessions.get_mut(&session)) else {
            return false;
        };
        let used = s.charged + s.held_bytes;
        let room = want.is_paid() || used == 0 || used + want.len <= limit;
        s.blocked |= !room;
        room
    }

    /// Whether somebody was refused [`Self::room`] since this was last called.
    pub(super) fn unblock(&mut self, session: SessionId) -> bool {
        self.sessions.get_mut(&session).is_some_and(|s| std::mem::take(&mut s.blocked))
    }

    pub(super) fn find(&self, cid: &Cid) -> Option<WantId> {
        self.by_cid.get(cid).copied()
    }

    pub(super) fn get(&self, id: WantId) -> Option<&Want> {
        self.wants.get(&id)
    }

    pub(super) fn known(&self, id: WantId, source: SourceId) -> Option<Known> {
        self.wants.get(&id)?.sources.get(&source).copied()
    }

    /// What we know of the source. None: it is in no session.
    pub(super) fn records(&self, source: SourceId) -> Option<&Records> {
        self.records.get(&source)
    }

    /// Notes that `session` pays for an ask that follows, unless somebody does.
    pub(super) fn pay(&mut self, id: WantId, session: SessionId) {
        if let Some(want) = self.wants.get_mut(&id)
            && want.payer.is_none()
            && let Some(s) = self.sessions.get_mut(&session)
        {
            want.payer = Some(session);
            s.charged += want.len;
        }
    }

    /// Sets what a source is known to say of a want; all counts and indexes follow.
    pub(super) fn set(&mut self, id: WantId, source: SourceId, known: Option<Known>) {
        let Some(want) = self.wants.get_mut(&id) else { return };
        let records = self.records.entry(source).or_default();
        let old = match known {
            Some(known) => want.sources.insert(source, known),
            None => want.sources.remove(&source),
        };
        match old {
            Some(Known::Have) => want.haves -= 1,
            Some(Known::Lacks) => {
                want.lacks -= 1;
                records.lacks.remove(&id);
            }
            Some(Known::Asked(ask)) => {
                want.asks -= 1;
                want.live -= usize::from(ask.live);
                records.asks.remove(&(ask.ticket.since, id));
            }
            Some(Known::Probing) | None => {}
        }
        match known {
            Some(Known::Have) => {
                want.haves += 1;
                want.told.clear();
            }
            Some(Known::Lacks) => {
                want.lacks += 1;
                records.lacks.insert(id);
            }
            Some(Known::Asked(ask)) => {
                want.asks += 1;
                want.live += usize::from(ask.live);
                records.asks.insert((ask.ticket.since, id));
            }
            Some(Known::Probing) | None => {}
        }
        match known {
            Some(_) => records.all.insert(id),
            None => records.all.remove(&id),
        };
        if want.asks == 0
            && let Some(payer) = want.payer.take()
            && let Some(s) = self.sessions.get_mut(&payer)
        {
            s.charged -= want.len;
        }
        let was_live = want.outstanding_since.is_some();
        if was_live == (want.live > 0) {
            self.index(id, source);
            return;
        }
        let since = want.sources.values().find_map(|known| match known {
            Known::Asked(ask) if ask.live => Some(ask.ticket.since),
            _ => None,
        });
        for (session, _) in &want.sessions {
            let Some(s) = self.sessions.get_mut(session) else { continue };
            match (want.outstanding_since, since) {
                (None, Some(since)) => {
                    s.ready -= 1;
                    s.outstanding.insert((since, id));
                }
                (Some(since), None) => {
                    s.ready += 1;
                    s.outstanding.remove(&(since, id));
                }
                _ => {}
            }
        }
        want.outstanding_since = since;
        for other in want.sources.keys().copied().chain([source]).collect::<Vec<_>>() {
            self.index(id, other);
        }
    }

    /// Sessions in which every connected source lacks it and that were not told so yet; they count as told now.
    pub(super) fn newly_not_held(&mut self, id: WantId) -> Vec<SessionId> {
        let Some(want) = self.wants.get_mut(&id) else { return Vec::new() };
        let mut news = Vec::new();
        for (session, _) in &want.sessions {
            let Some(s) = self.sessions.get(session) else { continue };
            if s.connected == 0
                || want.lacks < s.connected
                || want.told.contains(&(*session, s.epoch))
                || s.links.iter().any(|(source, link)| {
                    link.connected && want.sources.get(source) != Some(&Known::Lacks)
                })
            {
                continue;
            }
            want.told.retain(|(told, _)| told != session);
            want.told.push((*session, s.epoch));
            news.push(*session);
        }
        news
    }

    /// Puts the want where the source's links look for it.
    fn index(&mut self, id: WantId, source: SourceId) {
        let Some(want) = self.wants.get(&id) else { return };
        let known = want.sources.get(&source).filter(|_| want.live == 0);
        for (session, place) in &want.sessions {
            let Some(link) = self.sessions.get_mut(session).and_then(|s| s.links.get_mut(&source))
            else {
                continue;
            };
            let (have, unsure) = (known == Some(&Known::Have), known == Some(&Known::Probing));
            if have {
                link.have.insert(*place)
            } else {
                link.have.remove(place)
            };
            if unsure {
                link.unsure.insert(*place)
            } else {
                link.unsure.remove(place)
            };
        }
    }

    /// Takes a want out of everything.
    fn remove(&mut self, id: WantId) -> (Cid, Vec<SessionId>, Vec<Released>) {
        let want = self.wants.remove(&id).expect("ids come from `find` or a session's order");
        self.by_cid.remove(&want.cid);
        if let Some(payer) = want.payer.and_then(|payer| self.sessions.get_mut(&payer)) {
            payer.charged -= want.len;
        }
        for (session, place) in &want.sessions {
            if let Some(s) = self.sessions.get_mut(session) {
                s.leave(*place, id, &want);
            }
        }
        let mut released = Vec::with_capacity(want.sources.len());
        for (source, known) in &want.sources {
            if let Some(records) = self.records.get_mut(source) {
                records.all.remove(&id);
                records.lacks.remove(&id);
                if let Known::Asked(ask) = known {
                    records.asks.remove(&(ask.ticket.since, id));
                }
            }
            let (source, known) = (*source, *known);
            released.push(Released { source, cid: want.cid, len: want.len, known });
        }
        (want.cid, want.sessions.into_iter().map(|(s, _)| s).collect(), released)
    }

    /// Panics if an invariant does not hold.
    #[cfg(test)]
    pub(super) fn check(&self) {
        assert_eq!(self.wants.len(), self.by_cid.len());
        let mut charged: BTreeMap<SessionId, usize> = BTreeMap::new();
        for (id, want) in &self.wants {
            assert_eq!(self.by_cid[&want.cid], *id);
            assert!(!want.sessions.is_empty());
            let count = |f: fn(&Known) -> bool| want.sources.values().filter(|k| f(k)).count();
            assert_eq!(want.live, count(Known::is_live));
            assert_eq!(want.asks, count(|k| matches!(k, Known::Asked(_))));
            assert_eq!(want.haves, count(|k| *k == Known::Have));
            assert_eq!(want.lacks, count(|k| *k == Known::Lacks));
            assert_eq!(want.payer.is_some(), want.asks > 0);
            if let Some(payer) = want.payer {
                *charged.entry(payer).or_default() += want.len;
            }
            for (session, place) in &want.sessions {
                let s = &self.sessions[session];
                assert_eq!(s.order[place], *id);
                for (source, link) in &s.links {
                    let known = want.sources.get(source).filter(|_| want.live == 0);
                    assert_eq!(link.have.contains(place), known == Some(&Known::Have));
                    assert_eq!(link.unsure.contains(place), known == Some(&Known::Probing));
                }
            }
            for source in want.sources.keys() {
                assert!(self.records[source].all.contains(id));
            }
        }
        for (id, s) in &self.sessions {
            assert_eq!(s.charged, charged.get(id).copied().unwrap_or(0));
            assert_eq!(s.held_bytes, s.held.values().sum::<usize>());
            assert_eq!(s.connected, s.links.values().filter(|l| l.connected).count());
            let live = |id: &WantId| self.wants[id].live > 0;
            assert_eq!(s.ready, s.order.values().filter(|id| !live(id)).count());
            assert_eq!(s.outstanding.len(), s.order.len() - s.ready);
            assert!(s.outstanding.iter().all(|(_, id)| live(id)));
        }
        for (source, records) in &self.records {
            assert!(records.all.iter().all(|id| self.wants[id].sources.contains_key(source)));
            assert!(records.all.len() <= limits::SOURCE_WANTS);
        }
    }
}

impl Session {
    /// A want is no longer in this session.
    fn leave(&mut self, place: u64, id: WantId, want: &Want) {
        self.order.remove(&place);
        match want.outstanding_since {
            Some(since) => {
                self.outstanding.remove(&(since, id));
            }
            None => self.ready -= 1,
        }
        for source in want.sources.keys() {
            if let Some(link) = self.links.get_mut(source) {
                link.have.remove(&place);
                link.unsure.remove(&place);
            }
        }
    }
}
