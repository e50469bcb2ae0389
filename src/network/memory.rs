//! How much block payload may lie in memory: in all, and from one peer.
//!
//! Room is taken before a buffer is allocated and lives as long as the block is in somebody's hands, so a fetcher
//! that writes slowly, or a peer that sends what nobody asked for, slows its own streams down and nothing else.

use std::fmt;
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
    spare: Arc<Mutex<Vec<BytesMut>>>,
}

/// One peer's share of it. Clones share it.
#[derive(Clone)]
pub(super) struct PeerBudget {
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
    spare: Arc<Mutex<Vec<BytesMut>>>,
}

/// Room for one payload; dropped, it is free again.
pub(super) struct Permit {
    spare: Arc<Mutex<Vec<BytesMut>>>,
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Permit")
    }
}

impl Permit {
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
        Self { room, units: bytes / UNIT, spare: Arc::default() }
    }

    /// A new peer's share.
    pub(super) fn peer(&self) -> PeerBudget {
        let own = Semaphore::new(limits::PEER_PAYLOAD / UNIT);
        PeerBudget {
            all: Arc::clone(&self.room),
            own: Arc::new(own),
            spare: Arc::clone(&self.spare),
        }
    }

    /// Bytes taken now.
    pub(super) fn used(&self) -> usize {
        (self.units - self.room.available_permits()) * UNIT
    }
}

impl PeerBudget {
    /// Waits for room for `bytes`, at most [`limits::BLOCK_MAX`]. The peer's own room comes first, so that a peer
    /// over its share holds nothing of the others'.
    pub(super) async fn take(&self, bytes: usize) -> Permit {
        let units = u32::try_from(bytes.div_ceil(UNIT).max(1)).expect("a block has few units");
        let own = Arc::clone(&self.own).acquire_many_owned(units).await;
        let all = Arc::clone(&self.all).acquire_many_owned(units).await;
        Permit {
            spare: Arc::clone(&self.spare),
            _own: own.expect("never closed"),
            _all: all.expect("never closed"),
        }
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

    #[tokio::test]
    async fn a_peer_over_its_share_waits_and_leaves_room_to_others() {
        let budget = Budget::new(2 * limits::PEER_PAYLOAD);
        let (greedy, modest) = (budget.peer(), budget.peer());
        let mut held = Vec::new();
        while let Some(permit) = greedy.take(MIB).now_or_never() {
            held.push(permit);
        }
        assert_eq!(held.len() * MIB, limits::PEER_PAYLOAD);
        assert!(modest.take(MIB).now_or_never().is_some());
        held.pop();
        assert!(greedy.take(MIB).now_or_never().is_some());
    }

    #[tokio::test]
    async fn all_peers_together_stay_within_the_node_s_budget() {
        let budget = Budget::new(4 * MIB);
        let mut held = Vec::new();
        for _ in 0..100 {
            held.extend(budget.peer().take(MIB).now_or_never());
        }
        assert_eq!(held.len(), 4);
        assert_eq!(budget.used(), 4 * MIB);
        held.clear();
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_buffer_is_used_again_unless_somebody_still_holds_its_bytes() {
        let peer = Budget::new(8 * MIB).peer();
        let data = Bytes::from(vec![7; MIB]);
        let held = data.clone();
        peer.take(MIB).await.recycle(data);
        assert_eq!(peer.buffer(MIB).len(), 0, "a clone is still out");
        peer.take(MIB).await.recycle(held);
        assert_eq!(peer.buffer(MIB).len(), MIB);
        assert_eq!(peer.buffer(MIB).len(), 0, "given out once");
    }

    #[tokio::test]
    async fn an_empty_block_takes_room_too() {
        let budget = Budget::new(4 * MIB);
        let _permit = budget.peer().take(0).await;
        assert!(budget.used() > 0);
    }
}
