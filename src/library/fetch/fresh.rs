//! Blocks that came a moment ago for somebody who reads: taken from memory they spare the way over the disk, and a thread.
//!
//! The one used is not taken out: others may read the same. What comes later drives out what came first.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;

use crate::{
    dag::{Block, Cid},
    limits,
};

/// The blocks, of all fetches together.
#[derive(Debug, Default)]
pub(in crate::library) struct Fresh(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    blocks: HashMap<Cid, Bytes>,
    order: VecDeque<Cid>,
    bytes: usize,
}

impl Fresh {
    /// Keeps a verified block for a while.
    pub(super) fn put(&self, block: &Block) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (cid, data) = (*block.cid(), block.data().clone());
        if data.is_empty() || kept.blocks.contains_key(&cid) {
            return;
        }
        kept.bytes += data.len();
        kept.blocks.insert(cid, data);
        kept.order.push_back(cid);
        while kept.bytes > limits::FRESH_BYTES || kept.order.len() > limits::FRESH_BLOCKS {
            let Some(oldest) = kept.order.pop_front() else { break };
            kept.bytes -= kept.blocks.remove(&oldest).map_or(0, |data| data.len());
        }
    }

    /// A block, if it came just now.
    pub(in crate::library) fn get(&self, cid: &Cid) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).blocks.get(cid).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dag::block::RAW;

    #[test]
    fn what_came_first_makes_way_and_no_more_is_kept_than_the_bound() {
        let fresh = Fresh::default();
        let blocks: Vec<Block> =
            (0..40_u8).map(|n| Block::new(RAW, vec![n; limits::FRESH_BYTES / 32])).collect();
        for block in &blocks {
            fresh.put(block);
            fresh.put(block);
        }
        let kept: Vec<bool> = blocks.iter().map(|block| fresh.get(block.cid()).is_some()).collect();
        assert_eq!(kept, [vec![false; 8], vec![true; 32]].concat());
        for n in 0..2 * limits::FRESH_BLOCKS {
            fresh.put(&Block::new(RAW, n.to_be_bytes().to_vec()));
        }
        assert_eq!(fresh.0.lock().expect("whole").order.len(), limits::FRESH_BLOCKS);
        assert_eq!(fresh.0.lock().expect("whole").bytes, 8 * limits::FRESH_BLOCKS);
    }
}
