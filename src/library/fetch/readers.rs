//! Readers of what a fetch brings: what each needs next, and whether anybody wants the rest too.
//!
//! A `get` wants all of a job; a reader wants a stretch of one file, and moves on. While somebody wants all, readers only
//! change the order; a job that has readers alone fetches nothing but what they need. So a `get` that is stopped while
//! somebody reads from it goes on for the reader, and no further.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::jobs::{Follower, Outcome};
use crate::{
    dag::Cid,
    limits,
    rpc::{Code, Failure},
};

/// What a reader needs of one file, most urgent first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    /// The file's root.
    pub file: Cid,
    /// What comes next, and what is read ahead.
    pub range: Range<u64>,
    /// Files that are likely read next: brought as well, as few at a time as are [read ahead](limits::READ_AHEAD_LEAVES).
    pub then: Arc<[Cid]>,
    /// Whether the job brings this file; none while that is not known.
    pub carried: Option<bool>,
}

/// All readers of a job.
#[derive(Debug, Default)]
pub(super) struct Readers {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    needs: BTreeMap<u64, Need>,
    /// Followers that want all of it.
    whole: usize,
    /// Grows with every change.
    version: u64,
    closed: bool,
}

impl Readers {
    /// What all readers need, and the number of this state.
    pub(super) fn needs(&self) -> (u64, Vec<(u64, Need)>) {
        let inner = self.inner();
        (inner.version, inner.needs.iter().map(|(id, need)| (*id, need.clone())).collect())
    }

    /// Whether anybody reads.
    pub(super) fn are_any(&self) -> bool {
        !self.inner().needs.is_empty()
    }

    /// Whether somebody wants all of the job.
    pub(super) fn want_all(&self) -> bool {
        self.inner().whole > 0
    }

    /// Whether nobody is left, and the job is to end in good order.
    pub(super) fn is_closed(&self) -> bool {
        self.inner().closed
    }

    /// Says whether the job brings the file of this need.
    pub(super) fn answer(&self, id: u64, carried: bool) {
        if let Some(need) = self.inner().needs.get_mut(&id) {
            need.carried = Some(carried);
        }
    }

    /// Ends the job in good order.
    pub(super) fn close(&self) {
        self.change(|inner| inner.closed = true);
    }

    pub(super) fn add_whole(&self) {
        self.change(|inner| inner.whole += 1);
    }

    pub(super) fn drop_whole(&self) {
        self.change(|inner| inner.whole -= 1);
    }

    /// Resolves when the state is another than that of this number. Cancel-safe.
    pub(super) async fn changed(&self, since: u64) {
        self.until(|inner| inner.version != since).await;
    }

    /// Resolves when a reader needs something that is not here.
    pub(super) async fn needed(&self) {
        self.until(|inner| !inner.needs.is_empty()).await;
    }

    /// Resolves when the job is to end.
    pub(super) async fn closed(&self) {
        self.until(|inner| inner.closed).await;
    }

    async fn until(&self, is: impl Fn(&Inner) -> bool) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is(&self.inner()) {
                return;
            }
            changed.await;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = {
            let mut inner = self.inner();
            inner.version += 1;
            change(&mut inner)
        };
        self.changed.notify_waiters();
        result
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader's place at a job, which goes on while it is held. Dropped, its need is forgotten.
#[derive(Debug)]
pub(super) struct Seat {
    follower: Follower,
    id: u64,
}

impl Seat {
    /// Takes a place.
    ///
    /// # Errors
    /// Failure (1) if the job has too many readers.
    pub(super) fn take(
        follower: Follower,
        file: Cid,
        range: Range<u64>,
        then: Arc<[Cid]>,
    ) -> Result<Self, Failure> {
        let id = follower.readers().change(|inner| {
            if inner.needs.len() >= limits::READERS {
                return None;
            }
            inner.next += 1;
            inner.needs.insert(inner.next, Need { file, range, then, carried: None });
            Some(inner.next)
        });
        let id = id.ok_or_else(|| {
            Failure::new(Code::Failure, format!("{} readers are at this already", limits::READERS))
                .hint("try again when one of them has ended")
        })?;
        Ok(Self { follower, id })
    }

    /// Says what is needed from now on.
    pub(super) fn need(&self, range: Range<u64>) {
        self.follower.readers().change(|inner| {
            if let Some(need) = inner.needs.get_mut(&self.id) {
                need.range = range;
            }
        });
    }

    /// Whether the job brings the file, if that is known by now.
    pub(super) fn is_carried(&self) -> Option<bool> {
        self.follower.readers().inner().needs.get(&self.id)?.carried
    }

    /// What the job ended with, if it has; what is written after this is seen by [`Seat::changed`].
    pub(super) fn ended(&mut self) -> Option<Result<Outcome, Failure>> {
        self.follower.look().outcome.clone()
    }

    /// Whether the job ended to make way for one that brings more.
    pub(super) fn was_superseded(&mut self) -> bool {
        self.follower.look().superseded
    }

    /// Resolves when something was written since [`Seat::ended`], or the job has ended. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        self.follower.changed().await;
    }

    /// Whether this is the job that `other` follows.
    pub(super) fn is_of(&self, other: &Follower) -> bool {
        self.follower.is_of(other)
    }

    /// Payload that the job took from peers.
    pub(super) fn fetched(&mut self) -> u64 {
        self.follower.look().fetched
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.follower.readers().change(|inner| inner.needs.remove(&self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::super::jobs::{Fetches, Job, Key};
    use super::*;
    use crate::rpc::Get;

    /// A job that does nothing, and its follower.
    fn job(fetches: &Fetches, key: Key) -> Follower {
        fetches.join_or_start(key, || {
            |job: Arc<Job>| async move {
                job.readers().closed().await;
                Err(Failure::new(Code::Interrupted, "closed"))
            }
        })
    }

    fn file() -> Cid {
        Cid::default()
    }

    #[tokio::test]
    async fn a_get_that_leaves_readers_behind_goes_on_for_what_they_need_alone() {
        let fetches = Fetches::default();
        let get = job(&fetches, Key::of(&Get::new("a")));
        assert!(get.readers().want_all());
        let seat = Seat::take(get.again(), file(), 5..9, Arc::default()).expect("a place");
        let follower = get.again();
        drop(get);
        assert!(!follower.readers().want_all());
        let (_, needs) = follower.readers().needs();
        assert_eq!(
            needs[0].1,
            Need { file: file(), range: 5..9, then: Arc::default(), carried: None }
        );
        drop(seat);
        assert!(follower.readers().needs().1.is_empty());
    }

    #[tokio::test]
    async fn each_change_of_what_is_needed_wakes_the_work_once() {
        let fetches = Fetches::default();
        let follower = job(&fetches, Key::reading(&Get::new("a")));
        let readers = follower.readers();
        assert!(!readers.want_all(), "readers alone");
        let (before, _) = readers.needs();
        let seat = Seat::take(follower.again(), file(), 0..1, Arc::default()).expect("a place");
        readers.changed(before).await;
        let (seen, _) = readers.needs();
        seat.need(7..8);
        readers.changed(seen).await;
        assert_eq!(readers.needs().1[0].1.range, 7..8);
    }

    #[tokio::test]
    async fn no_more_readers_than_the_bound_take_a_place() {
        let fetches = Fetches::default();
        let follower = job(&fetches, Key::reading(&Get::new("a")));
        let take = || Seat::take(follower.again(), file(), 0..1, Arc::default());
        let mut seats: Vec<Seat> = (0..limits::READERS).map(|_| take().expect("a place")).collect();
        assert_eq!(take().map(drop).map_err(|why| why.code), Err(Code::Failure));
        seats.pop();
        assert!(take().is_ok());
    }

    #[tokio::test]
    async fn readers_that_are_all_gone_let_their_job_end_in_good_order_and_the_next_one_begin() {
        let fetches = Fetches::default();
        let first = job(&fetches, Key::reading(&Get::new("a")));
        drop(first);
        let second = job(&fetches, Key::reading(&Get::new("a")));
        let mut seat = Seat::take(second, file(), 0..1, Arc::default()).expect("a place");
        assert!(seat.ended().is_none());
        drop(seat);
        fetches.wait().await;
    }
}
