//! Which blocks went to somebody a moment ago.
//!
//! In a crowd that fetches the same thing, who has just got a block is about to offer it to the others: sending it to
//! them too is the dearest use of an upload. So such a block lets those go first that nobody was sent, for as long as
//! it takes to arrive there and be asked for. It is a matter of order alone: whoever finds nothing better to send sends
//! it all the same.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::dag::Multihash;
use crate::limits;

/// How long a block counts as just sent: it arrives, is stored and said to be there, and is asked for.
const MOMENT: Duration = Duration::from_secs(2);

/// Blocks by the first bytes of their digests, the last [`limits::LATELY`] of them.
#[derive(Debug, Default)]
pub(super) struct Lately {
    sent: BTreeMap<u64, Instant>,
    order: VecDeque<(Instant, u64)>,
}

impl Lately {
    /// A block goes to somebody.
    pub(super) fn note(&mut self, now: Instant, hash: &Multihash) {
        let key = fingerprint(hash);
        self.sent.insert(key, now);
        self.order.push_back((now, key));
        while let Some((at, key)) = self.order.front().copied() {
            if self.order.len() <= limits::LATELY && now < at + MOMENT {
                break;
            }
            self.order.pop_front();
            if self.sent.get(&key) == Some(&at) {
                self.sent.remove(&key);
            }
        }
    }

    /// Whether it went to somebody within the last moment.
    pub(super) fn has(&self, now: Instant, hash: &Multihash) -> bool {
        self.sent.get(&fingerprint(hash)).is_some_and(|at| now < *at + MOMENT)
    }
}

/// Eight bytes of the digest. Blocks that happen to share them are taken for the same: one waits for its turn, or a block
/// nobody asked for is called late.
pub(super) fn fingerprint(hash: &Multihash) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(hash.digest()) {
        *to = *from;
    }
    u64::from_le_bytes(bytes)
}
