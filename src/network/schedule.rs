//! When something is sent again to the peers of the DHT that are closest to its key.
//!
//! Every 22 hours, and again while the routing table is still small and has doubled: what was sent to the only peer
//! known then reaches the ones closest to its key later. Time is an argument. Design section 6.

use std::time::Instant;

use crate::limits;

/// The times of one announcement or record.
#[derive(Debug)]
pub(super) struct Schedule {
    due: Instant,
    /// Peers in the routing table when it was last sent.
    table: usize,
    /// Whether it is being sent.
    running: bool,
}

impl Schedule {
    /// Of something that nobody was sent yet.
    pub(super) fn at_once(now: Instant) -> Self {
        Self { due: now, table: 0, running: false }
    }

    /// Of something that came from a peer, which sends it to those closest to it as far as it knows them. Without
    /// peers of its own this node cannot tell later that there are more: it sends it to the first.
    pub(super) fn received(now: Instant, table: usize) -> Self {
        match table {
            0 => Self::at_once(now),
            _ => Self { due: now + limits::ANNOUNCE_EVERY, table, running: false },
        }
    }

    /// Whether it is to be sent to the closest of a routing table with so many peers.
    pub(super) fn is_due(&self, now: Instant, table: usize) -> bool {
        let small = self.table > 0 && self.table < limits::ANNOUNCE_TABLE;
        table > 0 && !self.running && (now >= self.due || (small && table >= 2 * self.table))
    }

    /// Makes it due.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = now;
    }

    /// It is being sent.
    pub(super) fn begin(&mut self, table: usize) {
        (self.running, self.table) = (true, table);
    }

    /// It was sent, or could not be; `reached`: somebody has it.
    pub(super) fn end(&mut self, now: Instant, reached: bool) {
        self.running = false;
        self.due = now + if reached { limits::ANNOUNCE_EVERY } else { limits::ANNOUNCE_RETRY };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_is_sent_to_the_first_peers_and_every_22_hours() {
        let now = Instant::now();
        let mut schedule = Schedule::at_once(now);
        assert!(!schedule.is_due(now, 0), "nobody is there");
        assert!(schedule.is_due(now, 1));
        schedule.begin(30);
        assert!(!schedule.is_due(now, 30), "it is being sent");
        schedule.end(now, true);
        let last = now + limits::ANNOUNCE_EVERY - Duration::from_secs(1);
        assert!(!schedule.is_due(last, 1000));
        assert!(schedule.is_due(now + limits::ANNOUNCE_EVERY, 30));
        schedule.hurry(now);
        assert!(schedule.is_due(now, 30));
        schedule.end(now, false);
        assert!(schedule.is_due(now + limits::ANNOUNCE_RETRY, 30), "it reached nobody");
    }

    #[test]
    fn it_is_sent_again_while_the_table_is_small_and_has_doubled() {
        let now = Instant::now();
        let mut sent = Schedule::at_once(now);
        sent.begin(3);
        sent.end(now, true);
        for schedule in [sent, Schedule::received(now, 3)] {
            assert!(!schedule.is_due(now, 5));
            assert!(schedule.is_due(now, 6));
        }
        assert!(!Schedule::received(now, limits::ANNOUNCE_TABLE).is_due(now, 1000));
        assert!(Schedule::received(now, 0).is_due(now, 1), "the first peers of all");
    }
}
