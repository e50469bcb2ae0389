//! How much a peer may send on a stream before it is read.
//!
//! Every stream begins with what the specification gives. One that carries payload gets at once what fills the link at
//! a rate that few exceed, by the measured round trip: doubling alone would take half a second at 100 ms. From there it
//! doubles as long as half of it is read within two round trips, as they were measured last: a queue on the way, others'
//! perhaps, has to be filled as the way itself. What windows grow by is bounded for a connection and
//! for all of a node: it is memory that peers may fill.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::limits;

/// What windows have grown by; a connection's part of it.
pub(super) struct Growth {
    own: usize,
    all: Arc<AtomicUsize>,
}

impl Growth {
    /// A connection's, of all that share the counter.
    pub(super) fn new(all: Arc<AtomicUsize>) -> Self {
        Self { own: 0, all }
    }

    /// Up to `bytes` more, as far as there is room.
    fn take(&mut self, bytes: usize) -> usize {
        let own = bytes.min(limits::YAMUX_GROWTH.saturating_sub(self.own));
        let add = |all: usize| all + own.min(limits::YAMUX_GROWTH_ALL.saturating_sub(all));
        let before =
            self.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |all| Some(add(all)));
        let taken = before.map_or(0, |before| add(before) - before);
        self.own += taken;
        taken
    }

    fn give(&mut self, bytes: usize) {
        self.own -= bytes;
        self.all.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Growth {
    fn drop(&mut self) {
        self.give(self.own);
    }
}

/// The receiving side of one stream.
pub(super) struct Window {
    /// Bytes that the peer may still send.
    left: usize,
    /// Bytes that it may have sent and we not read.
    size: usize,
    /// Bytes read so far.
    read: u64,
    /// When it last got more to send.
    updated: Instant,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: limits::YAMUX_WINDOW, size: limits::YAMUX_WINDOW, read: 0, updated: now }
    }

    /// The peer sends this much. False: more than it may.
    pub(super) fn receive(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    /// `bytes` were read and `unread` are left: how many more the peer may send now. None while it is not worth a frame.
    pub(super) fn read(
        &mut self,
        now: Instant,
        (bytes, unread): (usize, usize),
        round_trip: Option<Duration>,
        growth: &mut Growth,
    ) -> Option<u32> {
        let began = self.read < limits::YAMUX_PAYLOAD;
        self.read += bytes as u64;
        let begins = began && self.read >= limits::YAMUX_PAYLOAD;
        let due = self.size - self.left - unread >= self.size / 2;
        if !due && !begins {
            return None;
        }
        if let Some(round_trip) = round_trip {
            let fast = due && now < self.updated + 2 * round_trip;
            let doubled = if fast { 2 * self.size } else { self.size };
            let filling = if begins { filling(round_trip) } else { 0 };
            self.size += growth.take(doubled.max(filling).saturating_sub(self.size));
        }
        let more = self.size - self.left - unread;
        if !due && more < self.size / 2 {
            return None;
        }
        self.left += more;
        self.updated = now;
        u32::try_from(more).ok()
    }

    /// The stream is over: what it grew by is others'.
    pub(super) fn end(self, growth: &mut Growth) {
        growth.give(self.size - limits::YAMUX_WINDOW);
    }
}

/// What fills a link of this round trip, if it is no faster than is thought.
fn filling(round_trip: Duration) -> usize {
    let bytes = round_trip.as_secs_f64() * limits::YAMUX_RATE as f64;
    (bytes as usize).clamp(limits::YAMUX_NEAR, limits::YAMUX_GROWTH / 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::KIB;

    fn growth() -> Growth {
        Growth::new(Arc::default())
    }

    #[test]
    fn a_stream_with_payload_on_a_long_link_gets_all_that_fills_it_at_once() {
        let (now, mut growth) = (Instant::now(), growth());
        let round_trip = Some(Duration::from_millis(100));
        let mut window = Window::new(now);
        assert!(window.receive(8 * KIB));
        assert_eq!(window.read(now, (KIB, 7 * KIB), round_trip, &mut growth), None);
        let more = window.read(now, (7 * KIB, 0), round_trip, &mut growth).unwrap() as usize;
        assert!(more > 12_000_000, "{more}");
        assert!(window.receive(limits::YAMUX_WINDOW - 8 * KIB + more));
        assert!(!window.receive(1), "and not a byte more");
    }

    #[test]
    fn without_a_round_trip_half_a_window_read_is_given_back() {
        let (now, mut growth) = (Instant::now(), growth());
        let mut window = Window::new(now);
        assert!(window.receive(128 * KIB));
        let later = now + Duration::from_secs(1);
        let parts = [(64 * KIB, 64 * KIB), (64 * KIB, 0)];
        let [first, then] = parts.map(|part| window.read(later, part, None, &mut growth));
        assert_eq!((first, then), (None, Some(128 * KIB as u32)));
    }

    #[test]
    fn a_stream_with_payload_from_near_by_has_room_for_a_block_and_more() {
        let (now, mut growth) = (Instant::now(), growth());
        let mut window = Window::new(now);
        assert!(window.receive(64 * KIB));
        let more = window.read(now, (64 * KIB, 0), Some(Duration::from_micros(50)), &mut growth);
        assert_eq!(more, Some((limits::YAMUX_NEAR - limits::YAMUX_WINDOW + 64 * KIB) as u32));
    }

    #[test]
    fn windows_grow_no_further_than_the_connection_and_the_node_allow() {
        let all = Arc::<AtomicUsize>::default();
        let round_trip = Some(Duration::from_secs(10));
        let mut connections = Vec::new();
        for _ in 0..40 {
            let (now, mut growth) = (Instant::now(), Growth::new(Arc::clone(&all)));
            for _ in 0..10 {
                let mut window = Window::new(now);
                for _ in 0..20 {
                    let sent = window.left;
                    assert!(window.receive(sent));
                    window.read(now, (sent, 0), round_trip, &mut growth);
                }
            }
            assert!(growth.own <= limits::YAMUX_GROWTH);
            connections.push(growth);
        }
        assert_eq!(all.load(Ordering::Relaxed), limits::YAMUX_GROWTH_ALL);
        drop(connections);
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }
}
