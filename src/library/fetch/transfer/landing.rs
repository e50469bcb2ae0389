//! Blocks that go from the hash straight into their file, on the thread that hashed them.
//!
//! Their bytes are in that core's cache still, and no other thread is woken for them. Only raw leaves of files that are
//! begun land: of all others it takes the tree to say which bytes belong where, and those go the long way through
//! `Transfer::write`. What landed is told when the block is taken from the session.

use std::{
    collections::HashMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock},
};

use super::{
    Step,
    write::{Piece, write_all},
};
use crate::{
    dag::{Block, Cid},
    rpc::Failure,
    store::{Store, TreeId},
};

/// The places of one fetch, bounded by what it asks for at a time.
pub(super) struct Landing {
    store: Store,
    tree: TreeId,
    blocks: Mutex<HashMap<Cid, Awaited>>,
    /// A block was written that another copy of it may wait for.
    written: Condvar,
    /// Held for reading by every landing that is under way; true: no more.
    closed: RwLock<bool>,
}

enum Awaited {
    /// Where it belongs, and how long it must be there.
    Places(Vec<Piece>),
    /// One of its places is not known before it is here.
    Elsewhere,
    /// It is being written.
    Underway,
    /// So many places were written, or the first of them failed.
    Landed { places: usize, step: Result<Step, Failure> },
}

impl Landing {
    pub(super) fn new(store: Store, tree: TreeId) -> Self {
        Self {
            store,
            tree,
            blocks: Mutex::default(),
            written: Condvar::new(),
            closed: RwLock::new(false),
        }
    }

    /// A block is to be asked for, for this place; `None`: a place that is not known before it is here.
    pub(super) fn expect(&self, cid: Cid, place: Option<Piece>) {
        let mut blocks = self.blocks();
        match (blocks.get_mut(&cid), place) {
            // Its other places are written when it is taken.
            (Some(Awaited::Underway | Awaited::Landed { .. } | Awaited::Elsewhere), _) => {}
            (Some(Awaited::Places(places)), Some(place)) => places.push(place),
            (None, Some(place)) => {
                blocks.insert(cid, Awaited::Places(vec![place]));
            }
            (_, None) => {
                blocks.insert(cid, Awaited::Elsewhere);
            }
        }
    }

    /// Writes a verified block to its places, if all of them are known.
    pub(super) fn land(&self, block: &Block) {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        if *closed {
            return;
        }
        let fits = |place: &Piece| place.bytes.len() == block.data().len();
        let mut blocks = self.blocks();
        let places = match blocks.get_mut(block.cid()) {
            // One of another length is for the tree to refuse.
            Some(Awaited::Places(places)) if places.iter().all(fits) => std::mem::take(places),
            // A second copy. Whoever takes it from the session must find what came of the first.
            Some(Awaited::Underway) => {
                let underway = |blocks: &mut HashMap<Cid, Awaited>| {
                    matches!(blocks.get(block.cid()), Some(Awaited::Underway))
                };
                drop(self.written.wait_while(blocks, underway));
                return;
            }
            _ => return,
        };
        blocks.insert(*block.cid(), Awaited::Underway);
        drop(blocks);
        let landed = Awaited::Landed {
            places: places.len(),
            step: write_all(&self.store, self.tree, block, places),
        };
        self.blocks().insert(*block.cid(), landed);
        self.written.notify_all();
    }

    /// The block is taken from the session: how many of its places are written, and what came of it.
    pub(super) fn take(&self, cid: &Cid) -> Option<(usize, Result<Step, Failure>)> {
        match self.blocks().remove(cid) {
            Some(Awaited::Landed { places, step }) => Some((places, step)),
            _ => None,
        }
    }

    /// Waits for those under way; nothing lands after this. Blocks.
    pub(super) fn close(&self) {
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
        self.blocks().clear();
    }

    fn blocks(&self) -> MutexGuard<'_, HashMap<Cid, Awaited>> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        dag::block::RAW,
        store::{Arriving, Options, Owner, Target},
    };

    const LEN: usize = 64 * 1024;

    fn block(n: u8) -> Block {
        Block::new(RAW, vec![n; LEN])
    }

    /// A file of three blocks that is being fetched, and the landing.
    fn begin(dir: &Path) -> (Landing, Arc<Arriving>) {
        let store = Store::open(&dir.join("store"), Options::new(dir.join("library")));
        let store = store.expect("open");
        let tree = store.reserve().expect("reserve").id();
        let size = 3 * LEN as u64;
        let target = Target { base: dir.join("out"), path: "a".into(), size, owner: Owner::User };
        let (arriving, _) = store.begin_file(tree, target).expect("begun");
        (Landing::new(store, tree), Arc::new(arriving))
    }

    fn piece(arriving: &Arc<Arriving>, at: usize, len: usize) -> Option<Piece> {
        let offset = (at * LEN) as u64;
        Some(Piece { index: 0, arriving: Arc::clone(arriving), offset, bytes: 0..len })
    }

    fn lies(arriving: &Arriving, at: usize, n: u8) -> bool {
        arriving.read_at((at * LEN) as u64, LEN).expect("read") == vec![n; LEN]
    }

    #[test]
    fn a_block_lands_in_every_place_that_was_asked_for_and_is_told_once() {
        let dir = tempfile::tempdir().expect("temp folder");
        let (landing, arriving) = begin(dir.path());
        let block = block(1);
        landing.expect(*block.cid(), piece(&arriving, 0, LEN));
        landing.expect(*block.cid(), piece(&arriving, 2, LEN));
        assert!(landing.take(block.cid()).is_none(), "it has not come");
        landing.expect(*block.cid(), piece(&arriving, 0, LEN));
        landing.expect(*block.cid(), piece(&arriving, 2, LEN));
        landing.land(&block);
        // A place that is asked for after it came is not among those that are written.
        landing.expect(*block.cid(), piece(&arriving, 1, LEN));
        landing.land(&block);
        let (places, step) = landing.take(block.cid()).expect("it landed");
        assert!(matches!(step, Ok(Step::Wrote { bytes, .. }) if bytes == 2 * LEN as u64));
        assert_eq!(places, 2);
        assert!(lies(&arriving, 0, 1) && lies(&arriving, 2, 1) && lies(&arriving, 1, 0));
        assert!(landing.take(block.cid()).is_none());
    }

    #[test]
    fn what_is_not_known_beforehand_or_is_not_as_long_as_its_place_goes_the_long_way() {
        let dir = tempfile::tempdir().expect("temp folder");
        let (landing, arriving) = begin(dir.path());
        let [stranger, partly, longer] = [block(1), block(2), block(3)];
        landing.expect(*partly.cid(), piece(&arriving, 0, LEN));
        landing.expect(*partly.cid(), None);
        landing.expect(*longer.cid(), piece(&arriving, 1, LEN - 1));
        for block in [&stranger, &partly, &longer] {
            landing.land(block);
            assert!(landing.take(block.cid()).is_none());
        }
        assert!((0..3).all(|at| lies(&arriving, at, 0)), "nothing was written");
    }

    #[test]
    fn nothing_lands_in_a_fetch_that_is_over() {
        let dir = tempfile::tempdir().expect("temp folder");
        let (landing, arriving) = begin(dir.path());
        let block = block(1);
        landing.expect(*block.cid(), piece(&arriving, 0, LEN));
        landing.close();
        landing.land(&block);
        assert!(lies(&arriving, 0, 0));
        assert!(Arc::into_inner(arriving).is_some(), "nor is its file held any longer");
    }

    #[test]
    fn copies_that_come_at_once_are_written_once_and_each_finds_it_written() {
        let dir = tempfile::tempdir().expect("temp folder");
        let (landing, arriving) = begin(dir.path());
        let block = block(1);
        landing.expect(*block.cid(), piece(&arriving, 0, LEN));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    landing.land(&block);
                    let blocks = landing.blocks();
                    assert!(matches!(blocks.get(block.cid()), Some(Awaited::Landed { .. })));
                });
            }
        });
        assert!(lies(&arriving, 0, 1));
    }
}
