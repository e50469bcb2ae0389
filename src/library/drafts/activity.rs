//! When a repo was written to last: what is uploaded is signed once its clients have come to rest.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::Own;
use crate::{library::Library, limits};

/// Writes under way and when the last one ended, by repo. It holds the repos that are being written to or wait to be signed.
#[derive(Debug, Default)]
pub struct Activity(Mutex<HashMap<Own, Writes>>);

#[derive(Debug)]
struct Writes {
    under_way: usize,
    last: Instant,
    /// Whether something waits to be signed.
    waits: bool,
    /// When signing it failed last, and why; a write makes it another matter.
    failed: Option<(Instant, String)>,
}

impl Writes {
    fn have_rested(&self, quiet: Duration) -> bool {
        let may_be_tried =
            self.failed.as_ref().is_none_or(|(at, _)| at.elapsed() >= limits::DRAFT_RETRY);
        self.waits && self.under_way == 0 && self.last.elapsed() >= quiet && may_be_tried
    }
}

impl Activity {
    /// Something waits to be signed when this repo has come to rest.
    pub(super) fn committed(&self, own: &Own) {
        self.change(own, |writes| writes.waits = true);
    }

    /// Nothing waits any more.
    pub(super) fn published(&self, own: &Own) {
        self.change(own, |writes| writes.waits = false);
    }

    /// Repos with something to sign that were not written to for so long.
    pub(super) fn rested(&self, quiet: Duration) -> Vec<Own> {
        let all = self.all();
        let rested = all.iter().filter(|(_, writes)| writes.have_rested(quiet));
        rested.map(|(own, _)| own.clone()).collect()
    }

    /// Whether this repo is one of them.
    pub(super) fn has_rested(&self, own: &Own, quiet: Duration) -> bool {
        self.all().get(own).is_some_and(|writes| writes.have_rested(quiet))
    }

    /// It could not be signed.
    pub(super) fn failed(&self, own: &Own, why: String) {
        self.change(own, |writes| writes.failed = Some((Instant::now(), why)));
    }

    /// What could not be signed, and why.
    pub fn failures(&self) -> Vec<(Own, String)> {
        let all = self.all();
        let failed = all.iter().filter(|(_, writes)| writes.waits);
        failed.filter_map(|(own, writes)| Some((own.clone(), writes.failed.clone()?.1))).collect()
    }

    /// Whether nobody writes to this repo now.
    pub(super) fn is_still(&self, own: &Own) -> bool {
        self.all().get(own).is_none_or(|writes| writes.under_way == 0)
    }

    fn change(&self, own: &Own, change: impl FnOnce(&mut Writes)) {
        let mut all = self.all();
        let new = || Writes { under_way: 0, last: Instant::now(), waits: false, failed: None };
        let writes = all.entry(own.clone()).or_insert_with(new);
        change(writes);
        if writes.under_way == 0 && !writes.waits {
            all.remove(own);
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Own, Writes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A write under way; it ends when this is dropped.
#[derive(Debug)]
pub struct Writing {
    library: Library,
    own: Own,
}

/// Begins a write to a repo, of whatever kind.
pub fn writing(library: &Library, own: &Own) -> Writing {
    library.inner.activity.change(own, |writes| writes.under_way += 1);
    Writing { library: library.clone(), own: own.clone() }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.library.inner.activity.change(&self.own, |writes| {
            writes.under_way -= 1;
            writes.last = Instant::now();
            writes.failed = None;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::Kind;

    fn own() -> Own {
        Own { kind: Kind::Model, name: "m".parse().expect("a name") }
    }

    #[test]
    fn a_repo_has_rested_when_something_waits_and_nobody_writes() {
        let activity = Activity::default();
        let rested = || activity.rested(Duration::ZERO);
        activity.change(&own(), |writes| writes.under_way += 1);
        activity.committed(&own());
        assert_eq!(rested(), [], "somebody still writes");
        activity.change(&own(), |writes| writes.under_way -= 1);
        assert_eq!(rested(), [own()]);
        assert_eq!(activity.rested(Duration::from_secs(60)), [], "not for so long");
        activity.published(&own());
        assert_eq!(rested(), []);
        assert!(activity.all().is_empty(), "nothing is kept of a repo at rest");
    }

    #[test]
    fn what_could_not_be_signed_is_said_and_left_alone_for_a_while() {
        let activity = Activity::default();
        activity.committed(&own());
        activity.failed(&own(), "no space".into());
        assert_eq!(activity.rested(Duration::ZERO), [], "not at once again");
        assert_eq!(activity.failures(), [(own(), "no space".to_owned())]);
        activity.change(&own(), |writes| writes.failed = None);
        assert!(activity.has_rested(&own(), Duration::ZERO), "after a write");
        activity.published(&own());
        assert_eq!(activity.failures(), []);
    }
}
