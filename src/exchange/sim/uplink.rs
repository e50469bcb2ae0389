//! A node's upload, shared as TCP shares a link: in turns among the connections that have something to send.
//!
//! Each connection takes a part of what it is given at once, into buffers that nothing comes back from and that no
//! message overtakes: blocks count as sent when they are in, and a HAVE or a cancel waits behind the payload there. Both
//! are what a crowd's choices go wrong by, so they are here.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::{Duration, Instant};

use super::super::message::Control;
use crate::dag::Cid;
use crate::limits;

/// What goes out of a connection before the next one's turn.
const QUANTUM: usize = 64 * limits::KIB;
/// The longest that may take.
const QUANTUM_TIME: f64 = 0.25;

/// A peer, and which of our connections to it.
pub(super) type To = (usize, u64);

/// What the kernel takes of a connection at once: nothing overtakes it.
const SOCKET: u64 = limits::TCP_UNSENT as u64;
/// What the muxer takes before that: a frame that is being sent, and the next of the stream.
const MUXER: u64 = 2 * limits::YAMUX_FRAME as u64;

/// What has left a node.
pub(super) enum Out {
    /// A block's last byte.
    Block {
        to: To,
        cid: Cid,
        len: usize,
    },
    /// A block is in the buffers.
    Sent {
        to: To,
        cid: Cid,
        len: usize,
    },
    Control {
        to: To,
        control: Control,
    },
    /// Some bytes of a block, after a pause.
    Progress {
        to: To,
    },
}

#[derive(Debug, Default)]
pub(super) struct Uplink {
    lanes: BTreeMap<To, Lane>,
    /// Whose turn it was last, and how much of it goes out now.
    current: Option<(To, u64)>,
    last: To,
}

/// One connection. Positions count payload bytes since it began.
#[derive(Debug, Default)]
struct Lane {
    gone: u64,
    total: u64,
    blocks: VecDeque<Block>,
    controls: VecDeque<(u64, Control)>,
    progress: Option<Instant>,
}

#[derive(Debug)]
struct Block {
    cid: Cid,
    len: usize,
    end: u64,
    sent: bool,
}

impl Uplink {
    pub(super) fn push_block(&mut self, to: To, cid: Cid, len: usize) {
        let lane = self.lanes.entry(to).or_default();
        lane.total += len as u64;
        lane.blocks.push_back(Block { cid, len, end: lane.total, sent: false });
    }

    pub(super) fn push_control(&mut self, to: To, control: Control) {
        let lane = self.lanes.entry(to).or_default();
        let at = lane.total.min(lane.gone + SOCKET);
        lane.controls.push_back((at, control));
    }

    /// Takes back those of these blocks that are in no buffer yet.
    pub(super) fn recall(&mut self, to: To, cids: &[Cid]) -> Vec<Cid> {
        let Some(lane) = self.lanes.get_mut(&to) else { return Vec::new() };
        let taken = lane.gone + SOCKET + MUXER;
        let (mut recalled, mut less) = (Vec::new(), 0);
        lane.blocks.retain_mut(|block| {
            if block.end - block.len as u64 >= taken && cids.contains(&block.cid) {
                recalled.push(block.cid);
                less += block.len as u64;
                return false;
            }
            block.end -= less;
            true
        });
        lane.total -= less;
        recalled
    }

    pub(super) fn forget(&mut self, to: To) {
        self.lanes.remove(&to);
    }

    /// Has the next connection send some of its bytes: how long that takes, unless the link is busy or there are none.
    pub(super) fn begin(&mut self, rate: f64) -> Option<Duration> {
        if self.current.is_some() {
            return None;
        }
        let after = (Bound::Excluded(self.last), Bound::Unbounded);
        let has = |(_, lane): &(&To, &Lane)| lane.gone < lane.total;
        let (to, lane) =
            self.lanes.range(after).find(has).or_else(|| self.lanes.iter().find(has))?;
        let most = (QUANTUM as u64).min((rate * QUANTUM_TIME) as u64).max(1);
        let bytes = most.min(lane.total - lane.gone);
        (self.last, self.current) = (*to, Some((*to, bytes)));
        Some(super::seconds(bytes as usize, rate))
    }

    /// What was begun is out.
    pub(super) fn end(&mut self, now: Instant) -> Vec<Out> {
        let Some((to, bytes)) = self.current.take() else { return Vec::new() };
        let Some(lane) = self.lanes.get_mut(&to) else { return Vec::new() };
        lane.gone += bytes;
        let mut out = Vec::new();
        if lane.progress.is_none_or(|at| now >= at + Duration::from_millis(500)) {
            lane.progress = Some(now);
            out.push(Out::Progress { to });
        }
        out.extend(self.settle(to));
        out
    }

    /// What has left the connection or gone into its buffers by now.
    pub(super) fn settle(&mut self, to: To) -> Vec<Out> {
        let Some(lane) = self.lanes.get_mut(&to) else { return Vec::new() };
        let taken = lane.gone + SOCKET + MUXER;
        let mut out = Vec::new();
        for block in lane.blocks.iter_mut().filter(|block| !block.sent && block.end <= taken) {
            block.sent = true;
            out.push(Out::Sent { to, cid: block.cid, len: block.len });
        }
        while let Some(block) = lane.blocks.pop_front_if(|block| block.end <= lane.gone) {
            out.push(Out::Block { to, cid: block.cid, len: block.len });
        }
        while let Some((_, control)) = lane.controls.pop_front_if(|(at, _)| *at <= lane.gone) {
            out.push(Out::Control { to, control });
        }
        out
    }
}
