//! What the engine has to say: outputs in order, and messages that collect until they are polled.
//!
//! All that is said to one source between two polls goes out as one message, in which a later word on a CID replaces an
//! earlier one; so a source's share here is bounded by the CIDs we may keep at it and the wants it may keep here. What
//! nothing waits for may [linger](limits::LINGER).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use crate::dag::Cid;
use crate::limits;

use super::message::{Control, Entry, Presence, Wantlist};
use super::{Output, SourceId};

#[derive(Debug, Default)]
pub(super) struct Outbox {
    outputs: VecDeque<Output>,
    pending: BTreeMap<SourceId, Pending>,
    urgent: BTreeSet<SourceId>,
    /// Sources with something pending that is not urgent, by when it goes out anyway.
    lingering: BTreeSet<(Instant, SourceId)>,
}

#[derive(Debug, Default)]
struct Pending {
    full: bool,
    /// In the order of the first word on each CID.
    entries: Vec<Entry>,
    places: BTreeMap<Cid, usize>,
    presences: BTreeMap<Cid, Presence>,
    lingers_until: Option<Instant>,
}

impl Outbox {
    pub(super) fn push(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Queues a want or cancel; at once, or when it has lingered from `now`.
    pub(super) fn entry(&mut self, now: Instant, source: SourceId, entry: Entry, at_once: bool) {
        let pending = self.pending.entry(source).or_default();
        match pending.places.get(&entry.cid) {
            Some(place) => pending.entries[*place] = entry,
            None => {
                pending.places.insert(entry.cid, pending.entries.len());
                pending.entries.push(entry);
            }
        }
        self.schedule(now, source, at_once);
    }

    /// Replaces all wants the source knows of us.
    pub(super) fn full(&mut self, now: Instant, source: SourceId, entries: Vec<Entry>) {
        let pending = self.pending.entry(source).or_default();
        pending.full = true;
        pending.places = entries.iter().enumerate().map(|(i, e)| (e.cid, i)).collect();
        pending.entries = entries;
        self.schedule(now, source, true);
    }

    /// Queues an answer to a want, for the next poll.
    pub(super) fn presence(
        &mut self,
        now: Instant,
        source: SourceId,
        cid: Cid,
        presence: Presence,
    ) {
        self.pending.entry(source).or_default().presences.insert(cid, presence);
        self.schedule(now, source, true);
    }

    /// Drops all that is meant for the source but its penalty.
    pub(super) fn forget(&mut self, source: SourceId) {
        self.take(source);
        self.outputs.retain(|output| match output {
            Output::Send { source: s, .. }
            | Output::Lookup { source: s, .. }
            | Output::Serve { source: s, .. }
            | Output::Recall { source: s, .. } => *s != source,
            _ => true,
        });
    }

    /// The next output. What lingers goes out when its time has come by `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        let due = self.lingering.first().filter(|(at, _)| *at <= now).map(|(_, source)| *source);
        let source = self.urgent.first().copied().or(due)?;
        let pending = self.take(source)?;
        let wantlist = (pending.full || !pending.entries.is_empty())
            .then_some(Wantlist { full: pending.full, entries: pending.entries });
        let presences = pending.presences.into_iter().collect();
        Some(Output::Send { source, control: Control { wantlist, presences, pending_bytes: 0 } })
    }

    /// When the first lingering message goes out.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.lingering.first().map(|(at, _)| *at)
    }

    fn schedule(&mut self, now: Instant, source: SourceId, at_once: bool) {
        if at_once {
            self.urgent.insert(source);
        } else if let Some(pending) = self.pending.get_mut(&source)
            && pending.lingers_until.is_none()
        {
            let until = now + limits::LINGER;
            pending.lingers_until = Some(until);
            self.lingering.insert((until, source));
        }
    }

    fn take(&mut self, source: SourceId) -> Option<Pending> {
        let pending = self.pending.remove(&source)?;
        self.urgent.remove(&source);
        if let Some(until) = pending.lingers_until {
            self.lingering.remove(&(until, source));
        }
        Some(pending)
    }
}

#[cfg(test)]
mod tests {
    use super::super::epoch;
    use super::super::message::WantKind;
    use super::*;
    use crate::dag::block::{RAW, cid_v1};

    fn entry(n: u8, cancel: bool) -> Entry {
        let cid = cid_v1(RAW, [n; 32]);
        Entry { cid, kind: WantKind::Block, priority: 1, cancel, send_dont_have: true }
    }

    fn entries(output: Option<Output>) -> Vec<Entry> {
        match output {
            Some(Output::Send { control, .. }) => control.wantlist.unwrap_or_default().entries,
            other => panic!("not a message: {other:?}"),
        }
    }

    #[test]
    fn a_later_word_on_a_cid_replaces_an_earlier_one() {
        let mut out = Outbox::default();
        out.entry(epoch(), 1, entry(1, false), true);
        out.entry(epoch(), 1, entry(2, false), true);
        out.entry(epoch(), 1, entry(1, true), true);
        assert_eq!(entries(out.pop(epoch())), [entry(1, true), entry(2, false)]);
        assert_eq!(out.pop(epoch()), None);
    }

    #[test]
    fn what_lingers_goes_with_what_is_urgent_or_when_its_time_has_come() {
        let mut out = Outbox::default();
        out.entry(epoch(), 1, entry(1, false), false);
        assert_eq!(out.pop(epoch()), None);
        let due = out.next_timeout().expect("lingers");
        assert_eq!(due, epoch() + limits::LINGER);
        assert_eq!(entries(out.pop(due)), [entry(1, false)]);
        assert_eq!(out.next_timeout(), None);

        out.entry(epoch(), 1, entry(1, false), false);
        out.entry(epoch(), 1, entry(2, false), true);
        assert_eq!(entries(out.pop(epoch())).len(), 2);
        assert_eq!(out.next_timeout(), None);
    }

    #[test]
    fn nothing_is_left_for_a_source_that_is_forgotten_but_its_penalty() {
        let mut out = Outbox::default();
        out.entry(epoch(), 1, entry(1, false), true);
        out.push(Output::Lookup { source: 1, cids: Vec::new() });
        let penalty = Output::Penalise { source: 1, fault: super::super::Fault::Unasked };
        out.push(penalty.clone());
        out.forget(1);
        assert_eq!(out.pop(epoch()), Some(penalty));
        assert_eq!(out.pop(epoch() + limits::LINGER), None);
    }
}
