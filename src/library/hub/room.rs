//! Room for what is fetched because it is read: where the reserve would go, what was only read before makes way, the longest
//! unread first. What is pinned, somebody's own or being read now stays.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::{
    dag::Cid,
    library::{Library, blocking, keep, note::Note, refs::Held},
    limits,
    rpc::{Code, Failure},
    store::{self, Owner},
};

/// Who reads what, by root. What is not in it was not read since the start, or long ago.
#[derive(Debug, Default)]
pub(in crate::library) struct Reads {
    by_root: Mutex<HashMap<Cid, Read>>,
    /// One at a time looks for room.
    making: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone, Copy)]
struct Read {
    readers: usize,
    last: Instant,
}

/// Somebody reads a root until this is dropped.
#[derive(Debug)]
pub(super) struct Reading {
    library: Library,
    root: Cid,
}

impl Reading {
    pub(super) fn begin(library: &Library, root: &Cid) -> Self {
        let mut reads = library.inner.reads.all();
        if reads.len() >= limits::HUB_READS {
            reads.retain(|_, read| read.readers > 0);
        }
        let new = Read { readers: 0, last: Instant::now() };
        reads.entry(*root).or_insert(new).readers += 1;
        drop(reads);
        Self { library: library.clone(), root: *root }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(read) = self.library.inner.reads.all().get_mut(&self.root) {
            *read = Read { readers: read.readers - 1, last: Instant::now() };
        }
    }
}

impl Reads {
    fn all(&self) -> MutexGuard<'_, HashMap<Cid, Read>> {
        self.by_root.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees to it that so many bytes can be written.
///
/// # Errors
/// No space (7) if the reserve would go and nothing is left that may make way; as the store fails.
pub(super) async fn make(library: &Library, needed: u64) -> Result<(), Failure> {
    let reserve = library.inner.config.gateway.reserve;
    let place = library.inner.home.library();
    let free = || {
        let place = place.clone();
        blocking(move || Ok(store::free_space(&place)?))
    };
    let is_enough = |free: u64| free >= needed.saturating_add(reserve);
    if is_enough(free().await?) {
        return Ok(());
    }
    let _one_at_a_time = library.inner.reads.making.lock().await;
    loop {
        let free = free().await?;
        if is_enough(free) {
            return Ok(());
        }
        let Some(held) = longest_unread(library) else {
            return Err(Failure::new(
                Code::NoSpace,
                format!("{free} bytes are free, {needed} may be needed, and {reserve} stay free (gateway.reserve)"),
            )
            .hint("modelswarm ls shows what is kept; modelswarm rm REF forgets a repo"));
        };
        tracing::info!(root = %held.tree.root, "dropped to make room for what is read now");
        keep::forget(library, vec![held]).await?;
    }
}

fn longest_unread(library: &Library) -> Option<Held> {
    let brought = library.store().trees_where(|tree| {
        !tree.pinned && tree.owner == Owner::Library && Note::of(tree).draft.is_none()
    });
    let reads = library.inner.reads.all();
    let is_unread = |root: &Cid| reads.get(root).is_none_or(|read| read.readers == 0);
    let may_go = brought.into_iter().filter(|(_, tree)| is_unread(&tree.root));
    let last = |root: &Cid| reads.get(root).map(|read| read.last);
    let longest = may_go.min_by_key(|(_, tree)| (last(&tree.root), tree.created_at));
    longest.map(|(id, tree)| Held { id, tree })
}
