//! When something is due, one time per thing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::{SessionId, SourceId};

/// What is looked at again when its time comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Something is asked of this source: does it move?
    Source(SourceId),
    /// All wants of this session are asked: is one worth asking twice?
    EndGame(SessionId),
    /// This session has wants: does it get any?
    Search(SessionId),
}

#[derive(Debug)]
pub(super) struct Timers<T> {
    at: BTreeMap<T, Instant>,
    queue: BTreeSet<(Instant, T)>,
}

impl<T: Ord + Copy> Timers<T> {
    pub(super) fn new() -> Self {
        Self { at: BTreeMap::new(), queue: BTreeSet::new() }
    }

    /// Sets the timer, in place of an earlier one of the same thing.
    pub(super) fn set(&mut self, timer: T, at: Instant) {
        if let Some(old) = self.at.insert(timer, at) {
            self.queue.remove(&(old, timer));
        }
        self.queue.insert((at, timer));
    }

    /// Sets the timer unless it is set.
    pub(super) fn arm(&mut self, timer: T, at: Instant) {
        if !self.at.contains_key(&timer) {
            self.set(timer, at);
        }
    }

    pub(super) fn clear(&mut self, timer: T) {
        if let Some(old) = self.at.remove(&timer) {
            self.queue.remove(&(old, timer));
        }
    }

    /// The first timer due by `now`, which is no longer set then.
    pub(super) fn pop(&mut self, now: Instant) -> Option<T> {
        let (at, timer) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.clear(timer);
        Some(timer)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }
}
