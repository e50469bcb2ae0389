//! Sessions: who waits for which wants, in which order, from which sources, within which window.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::dag::Cid;
use crate::limits;

use super::{SessionId, SourceId, Want, WantId, Wants};

/// A source in a session.
#[derive(Debug, Default)]
pub(in crate::exchange) struct Link {
    pub(in crate::exchange) connected: bool,
    /// Places in the session's order below this are known to the source or were forgotten.
    pub(in crate::exchange) cursor: u64,
    /// Something below the cursor was left out.
    pub(in crate::exchange) forgot: bool,
    pub(in crate::exchange) have: BTreeSet<u64>,
    pub(in crate::exchange) unsure: BTreeSet<u64>,
    /// The source has it, and somebody else is asked for it.
    pub(in crate::exchange) elsewhere: BTreeSet<u64>,
    pub(in crate::exchange) asked: bool,
    pub(in crate::exchange) answered: bool,
}

#[derive(Debug)]
pub(in crate::exchange) struct Session {
    /// Wants not arrived, by place.
    pub(in crate::exchange) order: BTreeMap<u64, WantId>,
    /// Those of them that go before all others, in this order; at most [`limits::SESSION_PRIORITISED`].
    pub(in crate::exchange) prioritised: Vec<WantId>,
    next_place: u64,
    /// Of these, how many are ready.
    pub(in crate::exchange) ready: usize,
    /// The others, by when they were first asked.
    pub(in crate::exchange) outstanding: BTreeSet<(Instant, WantId)>,
    pub(in crate::exchange) links: BTreeMap<SourceId, Link>,
    /// Of these, how many are connected.
    pub(in crate::exchange) connected: usize,
    pub(in crate::exchange) charged: usize,
    pub(super) held: BTreeMap<Cid, usize>,
    pub(in crate::exchange) held_bytes: usize,
    /// A source was refused for lack of room since the last [`Wants::unblock`].
    blocked: bool,
    /// Some source lacks something: what is rare goes first.
    pub(in crate::exchange) partial: bool,
    /// Grows with every source that joins, so that "nobody has it" can be said anew.
    pub(in crate::exchange) epoch: u64,
    pub(in crate::exchange) progress: Instant,
    pub(in crate::exchange) searched: Option<Instant>,
    /// Sources asked or heard that left since.
    pub(in crate::exchange) gone: (usize, usize),
}

impl Wants {
    pub(in crate::exchange) fn open(&mut self, now: Instant, session: SessionId) {
        self.sessions.entry(session).or_insert_with(|| Session {
            order: BTreeMap::new(),
            prioritised: Vec::new(),
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
    pub(in crate::exchange) fn close(&mut self, session: SessionId) {
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
    pub(in crate::exchange) fn join(
        &mut self,
        session: SessionId,
        source: SourceId,
        connected: bool,
    ) -> bool {
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
    pub(in crate::exchange) fn connect(&mut self, session: SessionId, source: SourceId) {
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
    pub(in crate::exchange) fn disconnect(&mut self, source: SourceId) -> Vec<WantId> {
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

    /// The session's copy left memory.
    pub(in crate::exchange) fn consume(&mut self, session: SessionId, cid: &Cid) {
        if let Some(s) = self.sessions.get_mut(&session)
            && let Some(len) = s.held.remove(cid)
        {
            s.held_bytes -= len;
        }
    }

    /// Whether the session has bytes of its window `limit` left for this want; if not, it waits for
    /// [`Self::unblock`].
    pub(in crate::exchange) fn room(
        &mut self,
        session: SessionId,
        id: WantId,
        limit: usize,
    ) -> bool {
        let (Some(want), Some(s)) = (self.wants.get(&id), self.sessions.get_mut(&session)) else {
            return false;
        };
        let used = s.charged + s.held_bytes;
        let room = want.is_paid() || used == 0 || used + want.len <= limit;
        s.blocked |= !room;
        room
    }

    /// Whether somebody was refused [`Self::room`] since this was last called.
    pub(in crate::exchange) fn unblock(&mut self, session: SessionId) -> bool {
        self.sessions.get_mut(&session).is_some_and(|s| std::mem::take(&mut s.blocked))
    }
}

impl Session {
    /// A new want goes last; its place.
    pub(super) fn append(&mut self, id: WantId) -> u64 {
        let place = self.next_place;
        self.next_place += 1;
        self.order.insert(place, id);
        place
    }

    /// A block is the session's until it is consumed.
    pub(super) fn hold(&mut self, now: Instant, cid: Cid, len: usize) {
        self.progress = now;
        self.held_bytes += len;
        if let Some(twice) = self.held.insert(cid, len) {
            self.held_bytes -= twice;
        }
    }

    /// A want is no longer in this session.
    pub(super) fn leave(&mut self, place: u64, id: WantId, want: &Want) {
        self.order.remove(&place);
        self.prioritised.retain(|other| *other != id);
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
                link.elsewhere.remove(&place);
            }
        }
    }
}
