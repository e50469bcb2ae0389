//! Wants that go before all others of their session: somebody waits for just these, a reader that has jumped.
//!
//! Those that nobody is asked for yet are picked first by every source that has them or may have them, whatever the order
//! of the rest: in turn, the rarest first, or from a random place. A source that lacked something before is probed for
//! them at once, not when its window of probes comes there. What is asked of a source already stays there: it comes with
//! what is in flight; only where it waits far back in a long queue is the want said again with a higher priority. Not
//! nearer: the block may be on its way, and would come twice.
//!
//! All other wants keep their order, so a fetch takes no longer for it.

use std::time::{Duration, Instant};

use crate::dag::Cid;
use crate::limits;

use super::message::WantKind;
use super::outbox::Outbox;
use super::picker::Picker;
use super::wants::{Known, Want, WantId};
use super::{SessionId, SourceId};

/// An ask that is due later than this is still in its source's queue: a source has about a second of its blocks on their
/// way to us.
const QUEUED: Duration = Duration::from_secs(2);

impl Picker {
    /// Puts these before all other wants of the session, in place of those of an earlier call.
    pub(super) fn prioritise(
        &mut self,
        now: Instant,
        session: SessionId,
        cids: &[Cid],
        out: &mut Outbox,
    ) {
        let mut ids = Vec::new();
        for cid in cids {
            let Some(id) = self.wants.find(cid) else { continue };
            let waits = |want: &Want| want.sessions.iter().any(|(s, _)| *s == session);
            if self.wants.get(id).is_some_and(waits) && !ids.contains(&id) {
                ids.push(id);
            }
            if ids.len() == limits::SESSION_PRIORITISED {
                break;
            }
        }
        let Some(s) = self.wants.sessions.get_mut(&session) else { return };
        let before = std::mem::replace(&mut s.prioritised, ids.clone());
        for id in ids.into_iter().filter(|id| !before.contains(id)) {
            self.say_again(now, id, out);
        }
        self.dirty_session(session);
    }

    /// The first of the session's prioritised wants that nobody is asked for and that this source may be asked for.
    pub(super) fn prioritised(
        &mut self,
        now: Instant,
        session: SessionId,
        source: SourceId,
        out: &mut Outbox,
    ) -> Option<WantId> {
        let from = self.sources.get(&source)?;
        let (partial, abilities) = (from.partial, from.abilities);
        let mut unknown = Vec::new();
        let mut next = None;
        for id in &self.wants.sessions.get(&session)?.prioritised {
            let Some(want) = self.wants.get(*id).filter(|want| want.live == 0) else { continue };
            match want.sources.get(&source) {
                Some(Known::Have) => next = Some(*id),
                Some(Known::Probing) if !partial => next = Some(*id),
                None if partial && abilities.have => unknown.push(*id),
                None if self.has_room(source) => next = Some(*id),
                _ => {}
            }
            if next.is_some() {
                break;
            }
        }
        for id in unknown {
            if self.has_room(source) {
                self.probe_one(now, source, id, out);
            }
        }
        next
    }

    /// What is said of a want's urgency on the wire.
    pub(super) fn priority(&self, id: WantId, want: &Want) -> i32 {
        let rank = want.sessions.iter().filter_map(|(session, _)| {
            let s = self.wants.sessions.get(session)?;
            s.prioritised.iter().position(|other| *other == id)
        });
        let ordinary = || {
            let place = want.sessions.first().map_or(0, |(_, place)| *place);
            usize::try_from(place).unwrap_or(usize::MAX).saturating_add(limits::SESSION_PRIORITISED)
        };
        let behind = rank.min().unwrap_or_else(ordinary);
        i32::MAX - i32::try_from(behind).unwrap_or(i32::MAX - 1)
    }

    fn has_room(&self, source: SourceId) -> bool {
        self.wants.records(source).is_some_and(|r| r.all.len() < limits::SOURCE_WANTS)
    }

    /// Tells whoever is asked for it, and will not come to it soon, that it is urgent now.
    fn say_again(&mut self, now: Instant, id: WantId, out: &mut Outbox) {
        let Some(want) = self.wants.get(id) else { return };
        for (source, known) in &want.sources {
            let Known::Asked(ask) = known else { continue };
            let Some(s) = self.sources.get(source).filter(|_| ask.live) else { continue };
            if s.window.due(ask.ticket).is_some_and(|due| due > QUEUED) {
                out.entry(now, *source, self.entry(id, WantKind::Block, s.abilities), true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::epoch;
    use super::super::message::{Control, Presence};
    use super::super::{Abilities, Config, Engine, Output};
    use super::*;
    use crate::dag::block::{RAW, cid_v1, sha256};
    use crate::limits::MIB;

    const S: SessionId = 3;

    fn cid(n: u64) -> Cid {
        cid_v1(RAW, sha256(&n.to_le_bytes()))
    }

    fn at(ms: u64) -> Instant {
        epoch() + Duration::from_millis(ms)
    }

    /// An engine whose session wants so many blocks of these sources.
    fn engine(sources: &[SourceId], wants: u64) -> Engine {
        let mut engine = Engine::new(Config::default(), 1);
        engine.open_session(epoch(), S);
        for source in sources {
            engine.handle_connected(epoch(), *source, Abilities::BITSWAP);
            engine.add_source(epoch(), S, *source);
        }
        let wants: Vec<_> = (0..wants).map(|n| (cid(n), MIB)).collect();
        assert_eq!(engine.want(epoch(), S, &wants), wants.len());
        engine
    }

    /// Blocks asked for and probed by what the engine says now, with their priorities.
    fn said(engine: &mut Engine, to: SourceId) -> Vec<(Cid, WantKind, i32)> {
        let mut said = Vec::new();
        while let Some(output) = engine.poll_output() {
            if let Output::Send { source, control } = output
                && source == to
            {
                let entries = control.wantlist.into_iter().flat_map(|list| list.entries);
                let wants = entries.filter(|entry| !entry.cancel);
                said.extend(wants.map(|entry| (entry.cid, entry.kind, entry.priority)));
            }
        }
        engine.check();
        said
    }

    fn asked(engine: &mut Engine, to: SourceId) -> Vec<Cid> {
        let said = said(engine, to).into_iter();
        said.filter(|(_, kind, _)| *kind == WantKind::Block).map(|(cid, ..)| cid).collect()
    }

    fn lacks(engine: &mut Engine, source: SourceId, n: u64) {
        let presences = vec![(cid(n), Presence::DontHave)];
        engine.handle_control(at(1), source, Control { presences, ..Control::default() });
    }

    #[test]
    fn what_is_prioritised_is_asked_next_in_its_own_order_and_then_the_rest_goes_on() {
        let mut engine = engine(&[1], 100);
        assert_eq!(asked(&mut engine, 1), [0, 1, 2, 3].map(cid));
        engine.prioritise(at(1), S, &[cid(90), cid(2), cid(80), cid(1000)]);
        assert_eq!(asked(&mut engine, 1), [], "what is asked stays, and the window is full");
        let mut next = Vec::new();
        for n in 0..4 {
            engine.handle_block(at(10 + n), 1, &cid(n), MIB);
            next.extend(asked(&mut engine, 1));
        }
        assert_eq!(next[..4], [90, 80, 4, 5].map(cid));
    }

    #[test]
    fn a_later_list_takes_the_place_of_an_earlier_one() {
        let mut engine = engine(&[1], 100);
        said(&mut engine, 1);
        engine.prioritise(at(1), S, &[cid(90), cid(91)]);
        engine.prioritise(at(1), S, &[cid(50)]);
        engine.handle_block(at(10), 1, &cid(0), MIB);
        engine.handle_block(at(10), 1, &cid(1), MIB);
        let next = asked(&mut engine, 1);
        assert_eq!(next[0], cid(50));
        assert!(!next.contains(&cid(90)), "{next:?}");
    }

    #[test]
    fn they_go_out_with_priorities_above_all_others() {
        let mut engine = engine(&[1], 100);
        let lowest = said(&mut engine, 1).iter().map(|(.., priority)| *priority).max();
        engine.prioritise(at(1), S, &[cid(90), cid(80)]);
        engine.handle_block(at(10), 1, &cid(0), MIB);
        engine.handle_block(at(10), 1, &cid(1), MIB);
        let next = said(&mut engine, 1);
        assert_eq!((next[0].0, next[1].0), (cid(90), cid(80)));
        assert!(next[0].2 > next[1].2 && Some(next[1].2) > lowest, "{next:?}, {lowest:?}");
    }

    #[test]
    fn a_source_of_which_nothing_is_known_is_asked_for_them_and_not_for_any_at_random() {
        let mut engine = engine(&[1, 2], 10_000);
        engine.prioritise(epoch(), S, &[cid(9_000), cid(9_001), cid(9_002), cid(9_003)]);
        let mut both = Vec::new();
        while let Some(output) = engine.poll_output() {
            if let Output::Send { control, .. } = output {
                let entries = control.wantlist.into_iter().flat_map(|list| list.entries);
                let blocks = entries.filter(|entry| entry.kind == WantKind::Block);
                both.extend(blocks.map(|entry| entry.cid));
            }
        }
        for n in 9_000..9_004 {
            assert_eq!(both.iter().filter(|asked| **asked == cid(n)).count(), 1);
        }
    }

    #[test]
    fn a_source_that_lacks_much_is_probed_for_them_at_once_and_asked_when_it_has_them() {
        let mut engine = engine(&[1], 10_000);
        said(&mut engine, 1);
        lacks(&mut engine, 1, 0);
        said(&mut engine, 1);
        engine.prioritise(at(2), S, &[cid(9_000)]);
        assert_eq!(asked(&mut engine, 1), []);
        engine.handle_timeout(at(40));
        let probed = said(&mut engine, 1);
        assert!(probed.iter().any(|(c, kind, _)| *c == cid(9_000) && *kind == WantKind::Have));
        let presences = vec![(cid(9_000), Presence::Have)];
        engine.handle_control(at(50), 1, Control { presences, ..Control::default() });
        engine.handle_block(at(51), 1, &cid(1), MIB);
        assert_eq!(asked(&mut engine, 1).first(), Some(&cid(9_000)));
    }

    #[test]
    fn only_a_want_that_waits_far_back_at_its_source_is_said_again() {
        let mut engine = engine(&[1], 100);
        said(&mut engine, 1);
        engine.handle_block(at(100), 1, &cid(0), MIB);
        said(&mut engine, 1);
        engine.prioritise(at(101), S, &[cid(1)]);
        assert_eq!(said(&mut engine, 1), [], "it is on its way");

        // One that gives a block each four seconds, and has four more to give.
        let mut engine = self::engine(&[1], 100);
        said(&mut engine, 1);
        engine.handle_block(at(4_000), 1, &cid(0), MIB);
        said(&mut engine, 1);
        engine.prioritise(at(4_001), S, &[cid(3)]);
        let again = said(&mut engine, 1);
        assert_eq!(again, [(cid(3), WantKind::Block, i32::MAX)]);
    }

    #[test]
    fn a_list_longer_than_the_bound_is_cut() {
        let mut engine = engine(&[1], 1000);
        let all: Vec<Cid> = (0..1000).map(cid).collect();
        engine.prioritise(at(1), S, &all);
        said(&mut engine, 1);
    }
}
