//! Where a fetch wants its blocks at once: on the thread that verified them, while the bytes are in its cache.
//!
//! A fetch that knows beforehand where a block belongs gives its session such a function. It is called for every verified
//! block that comes in, before the exchange hears of it, whoever asked for that one; what it does not know it leaves
//! alone, and the session delivers the block as any other. It may block: the threads are the hash pool's, and a disk that
//! is slow holds up as much payload as there is room for, with or without it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::dag::Block;
use crate::exchange::SessionId;

/// Takes a verified block to its place, if it knows one.
pub type Landing = Arc<dyn Fn(&Block) + Send + Sync>;

/// The functions of all sessions, at most one each. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Landings(Arc<RwLock<HashMap<SessionId, Landing>>>);

impl Landings {
    /// Sets a session's.
    pub(super) fn set(&self, session: SessionId, landing: Landing) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(session, landing);
    }

    /// The session is over. A call that has begun goes on.
    pub(super) fn remove(&self, session: SessionId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }

    /// Offers a block to all.
    pub(super) fn land(&self, block: &Block) {
        let all: Vec<Landing> =
            self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for landing in all {
            landing(block);
        }
    }
}
