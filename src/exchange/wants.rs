//! Our wants: one record per CID that somebody here waits for, and per source what it said of it.
//!
//! A want is **ready** while nobody we count on was asked for it, **outstanding** while somebody was; it leaves when its
//! block arrives or its last session gives it up. What arrived stays on its session's account until it is consumed.
//! Nothing here decides: [`super::picker`] does, over the indexes kept here, so that no event looks at all wants.
//!
//! Invariants (checked by [`Wants::check`] in tests):
//! - `by_cid` and `wants` hold the same wants; each belongs to at least one session, whose `order` holds it.
//! - A source's records are exactly the wants that know it; at most [`limits::SOURCE_WANTS`] (the picker's duty).
//! - A link's `have` and `unsure` hold the ready wants of its session that the source said HAVE to, or was asked about;
//!   its `elsewhere` the outstanding ones that it said HAVE to.
//! - A want is paid for by one session from its first ask until it is no longer asked of anybody; a session's `charged`
//!   is the sum of those, its `held` of what arrived unconsumed. A block that another session paid for is held all the
//!   same, so only `charged` is bounded strictly by the session's window.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::dag::Cid;
use crate::limits;

use super::window::Ticket;
use super::{SessionId, SourceId};

#[cfg(test)]
mod check;
mod session;

pub(super) use session::Link;
use session::Session;

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
    /// Bytes of those asked for.
    pub(super) asked_bytes: usize,
    pub(super) sessions: BTreeSet<SessionId>,
}

impl Wants {
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
        let place = s.append(id);
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
                s.hold(now, cid, len);
            }
        }
        (sessions, released)
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
                records.asked_bytes -= want.len;
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
                records.asked_bytes += want.len;
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
        let known = want.sources.get(&source);
        let ready = want.live == 0;
        let have = ready && known == Some(&Known::Have);
        let unsure = ready && known == Some(&Known::Probing);
        let elsewhere = !ready && known == Some(&Known::Have);
        for (session, place) in &want.sessions {
            let Some(link) = self.sessions.get_mut(session).and_then(|s| s.links.get_mut(&source))
            else {
                continue;
            };
            for (set, belongs) in [
                (&mut link.have, have),
                (&mut link.unsure, unsure),
                (&mut link.elsewhere, elsewhere),
            ] {
                if belongs {
                    set.insert(*place);
                } else {
                    set.remove(place);
                }
            }
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
                    records.asked_bytes -= want.len;
                }
            }
            let (source, known) = (*source, *known);
            released.push(Released { source, cid: want.cid, len: want.len, known });
        }
        (want.cid, want.sessions.into_iter().map(|(s, _)| s).collect(), released)
    }
}
