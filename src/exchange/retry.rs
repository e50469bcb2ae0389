//! Asking again: no progress, wants that were overtaken, end game, the search for more sources.
//!
//! Every limit here is "no progress for N", none a deadline. A source without progress is not dropped: what was asked of
//! it may be asked of others too, it gets nothing new, and its window is one block when it comes back. With a slow source
//! that moves nothing happens, until the end game finds somebody who would have the block much sooner.
//!
//! A source that stays silent is sent its wants again, ever later, since it may never have got them; once per period,
//! however many they are, and later if another source is at them.
//!
//! Duplicates are bounded: a want is asked of [`limits::END_GAME_COPIES`] sources that are counted on at most, and of as
//! many more as have stalled on it.

use std::time::Instant;

use crate::dag::Cid;
use crate::limits;

use super::message::{Entry, WantKind};
use super::outbox::Outbox;
use super::picker::Picker;
use super::timers::Timer;
use super::wants::{Ask, Known, WantId};
use super::{Output, SessionId, SourceId};

/// Wants looked at in one round of an end game.
const END_GAME_SCAN: usize = 256;

/// Doublings of the rest that a stalled source gets: about five minutes.
const MOST_STRIKES: u32 = 6;

impl Picker {
    pub(super) fn timeout(&mut self, now: Instant, out: &mut Outbox) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Source(source) => self.check_source(now, source, out),
                Timer::EndGame(session) => self.end_game(now, session, out),
                Timer::Search(session) => self.check_session(now, session, out),
            }
        }
    }

    /// Bytes come from the source: it is not stalled, and what is asked of it alone is counted on again.
    pub(super) fn progress(&mut self, now: Instant, source: SourceId) {
        let Some(s) = self.sources.get_mut(&source) else { return };
        s.progress = now;
        (s.strikes, s.resends) = (0, 0);
        if !std::mem::take(&mut s.stalled) {
            return;
        }
        self.dirty.insert(source);
        for (id, ask) in self.asks(source) {
            let Some(want) = self.wants.get(id) else { continue };
            let len = want.len;
            if !ask.live && want.live == 0 {
                self.wants.set(id, source, Some(Known::Asked(Ask { live: true, ..ask })));
                if let Some(s) = self.sources.get_mut(&source) {
                    s.window.found(len);
                }
            }
        }
    }

    /// Sends the source all our wants of it anew.
    pub(super) fn resend(&mut self, now: Instant, source: SourceId, out: &mut Outbox) {
        let Some(s) = self.sources.get(&source) else { return };
        let abilities = s.abilities;
        let Some(records) = self.wants.records(source) else { return };
        let entries = records.all.iter().filter_map(|id| {
            let kind = match self.wants.known(*id, source)? {
                Known::Asked(_) => WantKind::Block,
                Known::Probing | Known::Lacks => WantKind::Have,
                Known::Have => return None,
            };
            Some(self.entry(*id, kind, abilities))
        });
        let entries: Vec<Entry> = entries.collect();
        if let Some(s) = self.sources.get_mut(&source) {
            s.expect_again(entries.len());
            s.resent = Some(now);
        }
        out.full(now, source, entries);
    }

    /// Looks for providers, unless it just did.
    pub(super) fn search(&mut self, now: Instant, session: SessionId, cid: Cid, out: &mut Outbox) {
        let Some(s) = self.wants.sessions.get_mut(&session) else { return };
        if s.searched.is_none_or(|at| now >= at + limits::PROVIDER_SEARCH) {
            s.searched = Some(now);
            out.push(Output::FindProviders { session, cid });
        }
    }

    /// Looks for providers if there is nobody to ask.
    pub(super) fn search_if_alone(&mut self, now: Instant, session: SessionId, out: &mut Outbox) {
        let Some(s) = self.wants.sessions.get(&session).filter(|s| s.connected == 0) else {
            return;
        };
        let first = s.order.values().next().and_then(|id| self.wants.get(*id));
        if let Some(cid) = first.map(|want| want.cid) {
            self.search(now, session, cid, out);
        }
    }

    /// Has the session's last wants looked at soon, if there is a choice for them.
    pub(super) fn arm_end_game(&mut self, now: Instant, session: SessionId) {
        let Some(s) = self.wants.sessions.get(&session) else { return };
        if s.ready == 0 && !s.outstanding.is_empty() && s.connected > 1 {
            self.timers.arm(Timer::EndGame(session), now + limits::END_GAME);
        }
    }

    /// Repeats the probes that the source did not answer: its answers may have been lost with a stream.
    fn probe_again(&mut self, now: Instant, source: SourceId, out: &mut Outbox) {
        let Some(abilities) = self.sources.get(&source).map(|s| s.abilities) else { return };
        let Some(records) = self.wants.records(source) else { return };
        for id in &records.all {
            if self.wants.known(*id, source) == Some(Known::Probing) {
                out.entry(now, source, self.entry(*id, WantKind::Have, abilities), false);
            }
        }
    }

    fn asks(&self, source: SourceId) -> Vec<(WantId, Ask)> {
        let Some(records) = self.wants.records(source) else { return Vec::new() };
        let asks =
            records.asks.iter().filter_map(|(_, id)| match self.wants.known(*id, source)? {
                Known::Asked(ask) => Some((*id, ask)),
                _ => None,
            });
        asks.collect()
    }

    fn check_source(&mut self, now: Instant, source: SourceId, out: &mut Outbox) {
        let asks = self.asks(source);
        let Some(s) = self.sources.get_mut(&source) else { return };
        if asks.is_empty() {
            // all of it came elsewhere: one more block is risked, later each time
            let rested = s.progress + limits::STALL * (1 << s.strikes.min(MOST_STRIKES));
            if s.stalled && now < rested {
                self.timers.set(Timer::Source(source), rested);
            } else if std::mem::take(&mut s.stalled) {
                self.dirty.insert(source);
            }
            return;
        }
        let stalls = !s.stalled && now >= s.progress + limits::STALL;
        if stalls {
            s.stalled = true;
            s.strikes += 1;
            s.window.stall(now);
        }
        let mut next = match s.stalled {
            true => now + limits::STALL,
            false => (s.progress + limits::STALL).max(now + limits::STALL / 4),
        };
        let mut again = false;
        for (id, ask) in asks {
            if stalls {
                self.overdue(id, source, ask);
            }
            let alone = self.wants.get(id).is_some_and(|want| want.live == 0);
            let s = self.sources.get(&source);
            match s.and_then(|s| s.resend_at(ask.ticket.since, alone)) {
                Some(due) if due <= now => {
                    again = true;
                    self.overdue(id, source, ask);
                }
                Some(due) => next = next.min(due),
                None => {}
            }
        }
        if again {
            if let Some(s) = self.sources.get_mut(&source) {
                s.resends += 1;
            }
            self.resend(now, source, out);
        }
        self.timers.set(Timer::Source(source), next);
    }

    /// No longer counts on an ask; others may be asked.
    fn overdue(&mut self, id: WantId, source: SourceId, ask: Ask) {
        let Some(want) = self.wants.get(id) else { return };
        let len = want.len;
        let sessions: Vec<SessionId> = want.sessions.iter().map(|(s, _)| *s).collect();
        let was_live = matches!(self.wants.known(id, source), Some(Known::Asked(a)) if a.live);
        self.wants.set(id, source, Some(Known::Asked(Ask { live: false, ..ask })));
        if was_live {
            if let Some(s) = self.sources.get_mut(&source) {
                s.window.lost(len);
            }
            for session in sessions {
                self.dirty_session(session);
            }
        }
    }

    /// Asks a second source for wants that it would deliver much sooner than the one that was asked, or that are late.
    fn end_game(&mut self, now: Instant, session: SessionId, out: &mut Outbox) {
        let Some(s) = self.wants.sessions.get(&session) else { return };
        if s.ready > 0 || s.outstanding.is_empty() || s.connected < 2 {
            return;
        }
        let asked: Vec<WantId> =
            s.outstanding.iter().take(END_GAME_SCAN).map(|(_, id)| *id).collect();
        let sources: Vec<SourceId> =
            s.links.iter().filter(|(_, link)| link.connected).map(|(id, _)| *id).collect();
        let twice = |id: &&WantId| self.wants.get(**id).is_some_and(|want| want.live > 1);
        let mut room = sources.len().max(4).saturating_sub(asked.iter().filter(twice).count());
        for source in sources {
            for id in &asked {
                if room > 0 && self.is_worth_asking(now, *id, source) {
                    room -= 1;
                    self.ask(now, session, source, *id, out);
                }
            }
        }
        self.timers.set(Timer::EndGame(session), now + limits::END_GAME);
    }

    /// Whether `source` has room and would deliver an asked want in less than half the time the asked one still needs,
    /// or the asked one had more than its time.
    fn is_worth_asking(&self, now: Instant, id: WantId, source: SourceId) -> bool {
        let (Some(want), Some(s)) = (self.wants.get(id), self.sources.get(&source)) else {
            return false;
        };
        let known = want.sources.get(&source);
        let may = match known {
            Some(Known::Have) => true,
            Some(Known::Probing) | None => !s.partial,
            Some(Known::Lacks | Known::Asked(_)) => false,
        };
        let full = self.wants.records(source).is_none_or(|r| r.all.len() >= limits::SOURCE_WANTS);
        if !may
            || s.stalled
            || !s.window.room(want.len)
            || (known.is_none() && full)
            || want.live >= limits::END_GAME_COPIES
        {
            return false;
        }
        let ours = s.window.expected(want.len);
        want.sources.iter().any(|(other, known)| {
            let Known::Asked(ask) = known else { return false };
            let Some(other) = self.sources.get(other).filter(|_| ask.live) else { return false };
            let Some(theirs) = other.window.remaining() else {
                return now >= ask.ticket.since + ours * 2;
            };
            let due = other.progress.max(ask.ticket.since) + theirs;
            if due > now { due - now > ours * 2 } else { now - due > ours + limits::END_GAME }
        })
    }

    fn check_session(&mut self, now: Instant, session: SessionId, out: &mut Outbox) {
        let Some(s) = self.wants.sessions.get_mut(&session) else { return };
        let Some(first) = s.order.values().next().copied() else { return };
        for link in s.links.values_mut().filter(|link| link.forgot) {
            // what was forgotten may be there by now
            (link.forgot, link.cursor) = (false, 0);
        }
        let idle = now >= s.progress + limits::PROVIDER_SEARCH;
        let sources: Vec<SourceId> =
            s.links.iter().filter(|(_, link)| link.connected).map(|(id, _)| *id).collect();
        let cid = self.wants.get(first).map(|want| want.cid);
        if let Some(cid) = cid.filter(|_| idle) {
            self.search(now, session, cid, out);
            for source in sources {
                self.probe_again(now, source, out);
            }
        }
        self.dirty_session(session);
        self.timers.set(Timer::Search(session), now + limits::PROVIDER_SEARCH);
    }
}
