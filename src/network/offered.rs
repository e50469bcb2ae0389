//! Blocks that are served from memory: a few that no tree of the store holds, such as an index that lists nothing.
//!
//! Shared by the handle, which offers them, and by `blocks`, which serves them. Gone with the network.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use crate::config::Visibility;
use crate::dag::{Block, Cid};
use crate::limits;

/// What is offered, the newest last. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Offered(Arc<RwLock<VecDeque<(Block, Visibility)>>>);

impl Offered {
    /// Offers a block from now on. The oldest makes room.
    pub(super) fn add(&self, block: Block, visibility: Visibility) {
        let mut offered = self.0.write().unwrap_or_else(PoisonError::into_inner);
        offered.retain(|(one, _)| one.cid() != block.cid());
        while offered.len() >= limits::OFFERED_BLOCKS {
            offered.pop_front();
        }
        offered.push_back((block, visibility));
    }

    /// An offered block with these bytes, and how far it may go.
    pub(super) fn get(&self, cid: &Cid) -> Option<(Block, Visibility)> {
        let offered = self.0.read().unwrap_or_else(PoisonError::into_inner);
        offered.iter().find(|(block, _)| block.cid().hash() == cid.hash()).cloned()
    }
}
