//! What follows from a source's answers: a block, HAVE, DONT_HAVE, and a want that is over.

use std::time::Instant;

use crate::dag::Cid;

use super::message::{Entry, Presence, WantKind};
use super::outbox::Outbox;
use super::picker::Picker;
use super::wants::{Known, Released, WantId};
use super::{Arrival, Fault, Output, SessionId, SourceId};

impl Picker {
    /// A whole block came.
    pub(super) fn block(
        &mut self,
        now: Instant,
        source: SourceId,
        cid: &Cid,
        len: usize,
        out: &mut Outbox,
    ) -> (Arrival, Option<Fault>) {
        let Some(from) = self.sources.get_mut(&source) else { return (Arrival::Late, None) };
        from.counts.bytes_in += len as u64;
        let wanted = self
            .wants
            .find(cid)
            .filter(|id| self.wants.known(*id, source).is_some() || from.may_be_late(cid));
        let Some(id) = wanted else {
            if from.count_late(cid, len) {
                self.progress(now, source);
                return (Arrival::Late, None);
            }
            return (Arrival::Unasked, from.count_unasked());
        };
        from.counts.blocks_in += 1;
        let (sessions, released) = self.wants.arrive(now, id, len);
        let known = released.iter().find(|r| r.source == source);
        let ask = known.and_then(|r| match r.known {
            Known::Asked(ask) => Some((ask, r.len)),
            _ => None,
        });
        let counted = ask.filter(|(ask, _)| ask.live).map(|(_, len)| len);
        from.window.delivered(now, ask.map(|(ask, _)| ask.ticket), counted, len);
        from.newest_answered = from.newest_answered.max(ask.map(|(ask, _)| ask.ticket.since));
        // asked by want-have and again by want-block, it may come twice
        from.remember_late(cid);
        self.release(now, released, Some(source), out);
        self.progress(now, source);
        for session in &sessions {
            self.answered(*session, source);
        }
        self.dirty.insert(source);
        (Arrival::Wanted { sessions }, None)
    }

    /// HAVE or DONT_HAVE.
    pub(super) fn presence(
        &mut self,
        now: Instant,
        source: SourceId,
        cid: &Cid,
        presence: Presence,
        out: &mut Outbox,
    ) -> Option<Fault> {
        let from = self.sources.get_mut(&source)?;
        let id = self.wants.find(cid);
        let Some((id, known)) = id.and_then(|id| Some((id, self.wants.known(id, source)?))) else {
            return if from.may_be_late(cid) { None } else { from.count_unasked_presence() };
        };
        let mut fault = None;
        let want = self.wants.get(id).expect("just found");
        let sessions: Vec<SessionId> = want.sessions.iter().map(|(s, _)| *s).collect();
        match (presence, known) {
            (Presence::Have, Known::Probing | Known::Lacks) => {
                self.wants.set(id, source, Some(Known::Have));
                self.dirty.insert(source);
            }
            (Presence::Have, Known::Have | Known::Asked(_)) => {}
            (Presence::DontHave, Known::Lacks) => {}
            (Presence::DontHave, Known::Probing | Known::Have | Known::Asked(_)) => {
                from.partial = from.abilities.have;
                let mut promised = known == Known::Have;
                if let Known::Asked(ask) = known {
                    promised = ask.promised;
                    if ask.live {
                        from.window.lost(want.len);
                    }
                }
                if promised {
                    fault = from.count_false_have();
                }
                self.wants.set(id, source, Some(Known::Lacks));
                self.dirty.insert(source);
                for session in &sessions {
                    if let Some(s) = self.wants.sessions.get_mut(session) {
                        s.partial = true;
                    }
                    if matches!(known, Known::Asked(_)) {
                        self.dirty_session(*session);
                    }
                }
                self.report_not_held(now, id, out);
            }
        }
        for session in sessions {
            self.answered(session, source);
        }
        fault
    }

    /// A want is over: cancels it wherever it is unanswered.
    pub(super) fn release(
        &mut self,
        now: Instant,
        released: Vec<Released>,
        giver: Option<SourceId>,
        out: &mut Outbox,
    ) {
        for Released { source, cid, len, known } in released {
            self.dirty.insert(source);
            if Some(source) == giver {
                continue;
            }
            if let Known::Asked(ask) = known
                && ask.live
                && let Some(s) = self.sources.get_mut(&source)
            {
                s.window.lost(len);
            }
            self.cancel_at(now, source, &cid, matches!(known, Known::Asked(_)), out);
        }
    }

    pub(super) fn cancel_at(
        &mut self,
        now: Instant,
        source: SourceId,
        cid: &Cid,
        at_once: bool,
        out: &mut Outbox,
    ) {
        let Some(s) = self.sources.get_mut(&source) else { return };
        s.remember_late(cid);
        if s.abilities.cancel {
            let kind = WantKind::Block;
            let cid = *cid;
            let entry = Entry { cid, kind, priority: 0, cancel: true, send_dont_have: false };
            out.entry(now, source, entry, at_once);
        }
    }

    /// Tells the sessions that have just come to know that nobody has it.
    pub(super) fn report_not_held(&mut self, now: Instant, id: WantId, out: &mut Outbox) {
        let Some(cid) = self.wants.get(id).map(|want| want.cid) else { return };
        for session in self.wants.newly_not_held(id) {
            out.push(Output::NotHeld { session, cid });
            self.search(now, session, cid, out);
        }
    }

    fn answered(&mut self, session: SessionId, source: SourceId) {
        if let Some(link) = self.link(session, source) {
            link.answered = true;
        }
    }
}
