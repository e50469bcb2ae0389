//! A want moves from the source that was asked for it to one that would deliver it sooner.
//!
//! In a crowd everybody asks the one seeder for what nobody else has, and a little later somebody else has it. Left where
//! it is, the want costs the seeder's upload a second time. So a source with nothing to do takes over what waits far back
//! in another's queue: the want is cancelled there and asked here. No block comes twice of it, but for what was under way
//! already; that is what tells it from the end game in [`super::retry`].

use std::time::{Duration, Instant};

use crate::limits;

use super::outbox::Outbox;
use super::picker::Picker;
use super::wants::{Ask, Known, WantId};
use super::{SessionId, SourceId};

/// Wants looked at for one to take over.
const SAMPLE: usize = 32;
/// How much sooner it must come, over half the time: below this the cancel is likely to come too late.
const LEAST_GAIN: Duration = Duration::from_millis(100);

impl Picker {
    /// Asks this idle source for a want that it has and that comes later from whoever is asked for it. False: there is
    /// none, or no room.
    pub(super) fn take_over(
        &mut self,
        now: Instant,
        source: SourceId,
        sessions: &[SessionId],
        out: &mut Outbox,
    ) -> bool {
        for session in sessions {
            let Some((id, from, ask)) = self.late_elsewhere(now, *session, source) else {
                continue;
            };
            let Some(want) = self.wants.get(id) else { continue };
            let (cid, len) = (want.cid, want.len);
            let has = ask.promised.then_some(Known::Have);
            if let Some(s) = self.sources.get_mut(&from) {
                s.window.lost(len);
            }
            self.cancel_at(now, from, &cid, true, out);
            self.ask(now, *session, source, id, out);
            self.wants.set(id, from, has);
            if has.is_none()
                && let Some(link) = self.link(*session, from)
            {
                link.forgot = true;
            }
            self.dirty.insert(from);
            return true;
        }
        false
    }

    /// The want of which most time would be saved, and who is asked for it now.
    fn late_elsewhere(
        &mut self,
        now: Instant,
        session: SessionId,
        source: SourceId,
    ) -> Option<(WantId, SourceId, Ask)> {
        let random = self.random();
        let s = self.wants.sessions.get(&session)?;
        let elsewhere = &s.links.get(&source)?.elsewhere;
        let (first, last) = (*elsewhere.first()?, *elsewhere.last()?);
        let pivot = first + random % (last - first + 1);
        let sample = elsewhere.range(pivot..).chain(elsewhere.range(..pivot)).take(SAMPLE);
        let ids = sample.filter_map(|place| s.order.get(place).copied());
        let late = ids.filter_map(|id| {
            let want = self.wants.get(id).filter(|want| want.live == 1)?;
            let (from, ask) = want.sources.iter().find_map(|(from, known)| match known {
                Known::Asked(ask) if ask.live => Some((*from, *ask)),
                _ => None,
            })?;
            let gain = self.gain(now, session, source, from, ask, want.len)?;
            Some((gain, id, from, ask))
        });
        late.max_by_key(|(gain, ..)| *gain).map(|(_, id, from, ask)| (id, from, ask))
    }

    /// What is saved if `to` is asked and not `from`, in time; none if it is not worth it, or there is no room. If `from` can
    /// be asked for something else in its place, nothing is lost however slow `to` is, as long as the cancel is in time.
    fn gain(
        &self,
        now: Instant,
        session: SessionId,
        to: SourceId,
        from: SourceId,
        ask: Ask,
        len: usize,
    ) -> Option<Duration> {
        let link = self.wants.sessions.get(&session)?.links.get(&from)?;
        let busy = !link.have.is_empty();
        let (to, from) = (self.sources.get(&to)?, self.sources.get(&from)?);
        if to.stalled || !to.window.room(len) || !from.abilities.cancel {
            return None;
        }
        let ours = to.window.expected(len);
        let theirs = if from.window.overtaken(ask.ticket, 2 * limits::CHUNK) {
            // It was put behind others there, who knows for how long.
            ours * 2 + now.saturating_duration_since(ask.ticket.since)
        } else {
            from.window.due(ask.ticket)?
        };
        let least = if busy { LEAST_GAIN } else { ours * 3 / 2 + LEAST_GAIN };
        (theirs > least).then(|| theirs.saturating_sub(ours))
    }
}
