//! The nodes of a simulation, their links, and what can happen to them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::super::message::Control;
use super::super::{Engine, Fault, SourceId};
use super::uplink::Uplink;
use crate::dag::Cid;

/// xorshift64*: small, and the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// How a node behaves beyond what its engine says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conduct {
    Honest,
    /// After this many blocks it says nothing any more, but stays connected.
    Stalls(u64),
    /// Other bytes than asked for.
    WrongBytes,
    /// HAVE, and DONT_HAVE when asked for the block.
    FalseHave,
    /// Blocks that nobody asked for, a lot.
    Floods,
    /// Never says anything.
    Silent,
}

/// A node's own link to the network: bytes a second, and its half of each path's latency.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) up: f64,
    pub(super) down: f64,
    pub(super) latency: Duration,
}

impl Link {
    /// Symmetric: megabytes a second, milliseconds.
    pub(super) fn new(rate: f64, latency: u64) -> Self {
        Self { up: rate * 1e6, down: rate * 1e6, latency: Duration::from_millis(latency) }
    }
}

pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) conduct: Conduct,
    pub(super) link: Link,
    pub(super) uplink: Uplink,
    pub(super) down_free: Instant,
    pub(super) store: BTreeMap<Cid, usize>,
    /// What it fetches and has not stored.
    pub(super) missing: BTreeSet<Cid>,
    pub(super) done: Option<Instant>,
    pub(super) gone: bool,
    pub(super) peers: BTreeMap<usize, u64>,
    pub(super) timer: Option<Instant>,
    pub(super) served: u64,
    pub(super) served_bytes: u64,
    pub(super) late: u64,
    pub(super) unasked: u64,
    pub(super) wanted: u64,
    pub(super) penalised: BTreeMap<usize, Fault>,
    pub(super) not_held: BTreeSet<Cid>,
    pub(super) searches: u64,
    pub(super) asked: BTreeSet<(usize, Cid)>,
}

#[derive(Debug)]
pub(super) enum Event {
    Control {
        from: usize,
        to: usize,
        epoch: u64,
        control: Control,
    },
    Progress {
        from: usize,
        to: usize,
        epoch: u64,
    },
    /// The last byte is at the receiver's own link.
    Landing {
        from: usize,
        to: usize,
        epoch: u64,
        cid: Cid,
        len: usize,
    },
    Block {
        from: usize,
        to: usize,
        epoch: u64,
        cid: Cid,
        len: usize,
    },
    Sent {
        from: usize,
        to: usize,
        epoch: u64,
        cid: Cid,
        len: usize,
    },
    /// Some bytes are out on the node's link.
    Uploaded {
        node: usize,
    },
    Lookup {
        node: usize,
        source: SourceId,
        cids: Vec<Cid>,
    },
    Stored {
        node: usize,
        cid: Cid,
        len: usize,
    },
    /// The node learns that its messages to the source are lost.
    Reset {
        node: usize,
        source: SourceId,
    },
    Timeout {
        node: usize,
    },
    Connect {
        a: usize,
        b: usize,
    },
    Disconnect {
        a: usize,
        b: usize,
    },
    Found {
        node: usize,
    },
    /// It comes, and fetches what it lacks of these from whom a search finds.
    Join {
        node: usize,
        cids: Vec<(Cid, usize)>,
    },
    /// It goes for good.
    Leave {
        node: usize,
    },
}

impl Node {
    pub(super) fn new(
        now: Instant,
        engine: Engine,
        link: Link,
        conduct: Conduct,
        holds: &[(Cid, usize)],
    ) -> Self {
        Self {
            engine,
            conduct,
            link,
            uplink: Uplink::default(),
            down_free: now,
            store: holds.iter().copied().collect(),
            missing: BTreeSet::new(),
            done: None,
            gone: false,
            peers: BTreeMap::new(),
            timer: None,
            served: 0,
            served_bytes: 0,
            late: 0,
            unasked: 0,
            wanted: 0,
            penalised: BTreeMap::new(),
            not_held: BTreeSet::new(),
            searches: 0,
            asked: BTreeSet::new(),
        }
    }
}
