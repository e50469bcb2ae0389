//! How much of what peers send may lie in memory: in all, and on its way in from one peer.
//!
//! Room is taken before a buffer is allocated. A peer's own part follows what is asked of it ([`PeerBudget::expect`])
//! and is free again when the exchange has the block; the node's part lives as long as the block is in somebody's
//! hands. So a fetcher that writes slowly, or a peer that sends what nobody asked for, slows its own streams down and
//! nothing else. Long lists of wants have places of their own.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{self, KIB};

/// Room is counted in units of this many bytes: a small block costs its bookkeeping too.
const UNIT: usize = 4 * KIB;

/// The whole node's share. Clones share it.
#[derive(Clone)]
pub(super) struct Budget {
    room: Arc<Semaphore>,
    units: usize,
    lists: Arc<Semaphore>,
    spare: Arc<Mutex<Vec<BytesMut>>>,
}

/// One peer's share of it. Clones share it.
#[derive(Clone)]
pub(super) struct PeerBudget {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
    /// Units in `own`, taken ones included.
    size: Arc<AtomicUsize>,
    /// Whether anything it sends is worth reading.
    open: Arc<AtomicBool>,
    lists: Arc<Semaphore>,
    own_lists: Arc<Semaphore>,
    spare: Arc<Mutex<Vec<BytesMut>>>,
}

/// Room for one payload; dropped, it is free again.
pub(super) struct Permit {
    spare: Arc<Mutex<Vec<BytesMut>>>,
    own: Option<OwnedSemaphorePermit>,
    _all: OwnedSemaphorePermit,
}

/// A place for a long list; dropped, it is free again.
#[derive(Debug)]
pub(super) struct ListPermit {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

impl Permit {
    /// The exchange knows of the block: it is no longer on its way in.
    pub(super) fn arrived(&mut self) {
        self.own = None;
    }

    /// Gives the payload's buffer back for the next one, if nobody else holds it.
    pub(super) fn recycle(self, data: Bytes) {
        if data.len() >= limits::SPARE_BUFFER_MIN
            && let Ok(buffer) = data.try_into_mut()
        {
            let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
            if spare.len() < limits::SPARE_BUFFERS {
                spare.push(buffer);
            }
        }
    }
}

impl Budget {
    /// Room for `bytes` in all.
    pub(super) fn new(bytes: usize) -> Self {
        let room = Arc::new(Semaphore::new(bytes / UNIT));
        let lists = Arc::new(Semaphore::new(limits::LONG_LISTS));
        Self { room, units: bytes / UNIT, lists, spare: Arc::default() }
    }

    /// A new peer's share. Nothing is expected of it.
    pub(super) fn peer(&self) -> PeerBudget {
        PeerBudget {
            all: Arc::clone(&self.room),
            own: Arc::new(Semaphore::new(0)),
            size: Arc::default(),
            open: Arc::default(),
            lists: Arc::clone(&self.lists),
            own_lists: Arc::new(Semaphore::new(limits::PEER_LONG_LISTS)),
            spare: Arc::clone(&self.spare),
        }
    }

    /// Bytes taken now.
    pub(super) fn used(&self) -> usize {
        (self.units - self.room.available_permits()) * UNIT
    }
}

impl PeerBudget {
    /// Sets what may be on its way in from this peer: the bytes asked of it, and [`limits::PUSHED_PAYLOAD`] for what it
    /// sends of itself; with `None`, nothing. Only the event loop calls this.
    pub(super) fn expect(&self, asked: Option<usize>) {
        self.open.store(asked.is_some(), Ordering::Relaxed);
        let wanted = (asked.unwrap_or(0) + limits::PUSHED_PAYLOAD).div_ceil(UNIT);
        let size = self.size.load(Ordering::Relaxed);
        let new = if wanted > size {
            self.own.add_permits(wanted - size);
            wanted
        } else {
            // What is taken now shrinks later.
            size - self.own.forget_permits(size - wanted)
        };
        self.size.store(new, Ordering::Relaxed);
    }

    /// Waits for room for `bytes`, at most [`limits::BLOCK_MAX`]; `None` if nothing is expected of this peer. Its own
    /// room comes first, so that a peer over its share holds nothing of the others'.
    pub(super) async fn take(&self, bytes: usize) -> Option<Permit> {
        if !self.open.load(Ordering::Relaxed) {
            return None;
        }
        let units = u32::try_from(bytes.div_ceil(UNIT).max(1)).expect("a block has few units");
        let own = Arc::clone(&self.own).acquire_many_owned(units).await;
        let all = Arc::clone(&self.all).acquire_many_owned(units).await;
        Some(Permit {
            spare: Arc::clone(&self.spare),
            own: Some(own.expect("never closed")),
            _all: all.expect("never closed"),
        })
    }

    /// Waits for a place for a long list of wants or presences; `None` if this peer has all of its own taken. No honest
    /// one does: while it waited unread, its stream would hold more than the list.
    pub(super) async fn take_list(&self) -> Option<ListPermit> {
        let own = Arc::clone(&self.own_lists).try_acquire_owned().ok()?;
        let all = Arc::clone(&self.lists).acquire_owned().await;
        Some(ListPermit { _own: own, _all: all.expect("never closed") })
    }

    /// A buffer for a payload: one that was used before, or an empty one.
    pub(super) fn buffer(&self, bytes: usize) -> BytesMut {
        let spare = if bytes < limits::SPARE_BUFFER_MIN {
            None
        } else {
            self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop()
        };
        spare.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;
    use crate::limits::MIB;

    /// A peer of which this many bytes are asked.
    fn peer(budget: &Budget, asked: usize) -> PeerBudget {
        let peer = budget.peer();
        peer.expect(Some(asked));
        peer
    }

    /// Takes MiB after MiB until it would wait.
    fn fill(peer: &PeerBudget) -> Vec<Permit> {
        std::iter::from_fn(|| peer.take(MIB).now_or_never().flatten()).collect()
    }

    #[tokio::test]
    async fn a_peer_may_send_what_is_asked_of_it_and_little_more_and_leaves_room_to_others() {
        let budget = Budget::new(limits::PAYLOAD);
        let (greedy, modest) = (peer(&budget, 8 * MIB), peer(&budget, MIB));
        let mut held = fill(&greedy);
        assert_eq!(held.len() * MIB, 8 * MIB + limits::PUSHED_PAYLOAD);
        assert!(modest.take(MIB).now_or_never().is_some());
        held.pop();
        assert!(greedy.take(MIB).now_or_never().is_some());
    }

    #[tokio::test]
    async fn nothing_is_taken_from_a_peer_that_was_asked_for_nothing() {
        let budget = Budget::new(limits::PAYLOAD);
        let peer = budget.peer();
        assert!(peer.take(1).await.is_none());
        peer.expect(Some(0));
        assert!(peer.take(1).await.is_some());
        peer.expect(None);
        assert!(peer.take(1).await.is_none());
    }

    #[tokio::test]
    async fn a_peers_room_shrinks_as_what_it_was_asked_for_arrives() {
        let budget = Budget::new(limits::PAYLOAD);
        let peer = peer(&budget, 8 * MIB);
        let mut held = fill(&peer);
        for permit in held.iter_mut().take(8) {
            permit.arrived();
        }
        peer.expect(Some(0));
        assert!(fill(&peer).is_empty(), "the rest fills what it may send of itself");
        held.truncate(8);
        assert_eq!(fill(&peer).len() * MIB, limits::PUSHED_PAYLOAD);
    }

    #[tokio::test]
    async fn all_peers_together_stay_within_the_node_s_budget() {
        let budget = Budget::new(4 * MIB);
        let mut held = Vec::new();
        for _ in 0..100 {
            held.extend(peer(&budget, MIB).take(MIB).now_or_never());
        }
        assert_eq!(held.len(), 4);
        assert_eq!(budget.used(), 4 * MIB);
        held.clear();
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_buffer_is_used_again_unless_somebody_still_holds_its_bytes() {
        let peer = peer(&Budget::new(8 * MIB), 8 * MIB);
        let data = Bytes::from(vec![7; MIB]);
        let held = data.clone();
        peer.take(MIB).await.expect("asked").recycle(data);
        assert_eq!(peer.buffer(MIB).len(), 0, "a clone is still out");
        peer.take(MIB).await.expect("asked").recycle(held);
        assert_eq!(peer.buffer(MIB).len(), MIB);
        assert_eq!(peer.buffer(MIB).len(), 0, "given out once");
    }

    #[tokio::test]
    async fn an_empty_block_takes_room_too() {
        let budget = Budget::new(4 * MIB);
        let _permit = peer(&budget, 0).take(0).await;
        assert!(budget.used() > 0);
    }
}
