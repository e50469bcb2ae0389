//! What was written becomes durable, and files that are whole get their names: in steps, many at once.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Step, Transfer, write::finish_all};
use crate::{limits, store::Arriving};

impl Transfer<'_> {
    /// Gives files whose every leaf is written their names, many small ones with one flush.
    pub(super) fn finish(&mut self) {
        let enough = self.done.len() >= limits::FETCH_FINISH_FILES
            || (self.queue.is_empty() && self.leaves.is_empty())
            || self.open.len() >= limits::FETCH_OPEN_FILES
            || self.is_time();
        if self.committing || self.done.is_empty() || !enough {
            return;
        }
        let mut plain = Vec::new();
        let mut replacing = Vec::new();
        let (passed, held) =
            self.done.drain(..).partition::<Vec<_>, _>(|index| self.gate.passes(*index));
        self.done = held;
        if passed.is_empty() {
            return;
        }
        for index in passed {
            let Some(file) = self.open.remove(&index) else { continue };
            let place = if self.plan.files[index].replace { &mut replacing } else { &mut plain };
            place.push((index, file));
        }
        self.committing = true;
        let store = self.store.clone();
        self.tasks.spawn_blocking(move || {
            let mut records = finish_all(&store, plain, false)?;
            records.extend(finish_all(&store, replacing, true)?);
            Ok(Step::Finished(records))
        });
    }

    fn is_time(&self) -> bool {
        let readers = self.job.readers();
        // Nothing more comes by itself while nobody wants all.
        let idle = self.asked.is_empty() && !readers.want_all();
        idle || readers.is_closed()
            || self.committed_at.elapsed() >= limits::FETCH_COMMIT_PAUSE
            || self.uncommitted >= limits::FETCH_COMMIT_BYTES
    }

    /// Makes durable what was written since the last time.
    pub(super) fn commit(&mut self) {
        if self.committing || self.uncommitted == 0 || !self.is_time() {
            return;
        }
        self.committing = true;
        self.uncommitted = 0;
        self.committed_at = Instant::now();
        let files: Vec<Arc<Arriving>> =
            self.open.values().filter_map(|file| file.begun().cloned()).collect();
        self.tasks.spawn_blocking(move || {
            for file in files {
                file.commit()?;
            }
            Ok(Step::Committed)
        });
    }
}
