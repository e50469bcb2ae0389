//! Keeping to rates: how long bytes must wait before they may be sent, or the next be read.
//!
//! Each limit is a line in which bytes wait one after the other, whoever's they are, in pieces of at most
//! [`limits::PACE_PIECE`]; so many streams share it evenly and a small file waits for few pieces of a large one. What
//! was not used for a moment may be used at once, no more than [`BURST`] of it: otherwise a rate is honoured over any
//! span. Reading late makes the sender slow down, as its window is not opened again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::rates::{Rate, Rates};
use crate::limits;

/// Time unused that may be made up for.
const BURST: Duration = Duration::from_millis(100);

/// One limit.
#[derive(Debug, Default)]
struct Limit(Mutex<Line>);

#[derive(Debug, Default)]
struct Line {
    rate: Rate,
    /// When all that waits will have gone.
    end: Option<Instant>,
}

impl Line {
    /// Puts bytes at the end of the line; when they may go.
    fn wait(&mut self, now: Instant, bytes: usize) -> Instant {
        let Some(rate) = self.rate.bytes() else { return now };
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let start = self.end.map_or(earliest, |end| end.max(earliest));
        self.end = Some(start + Duration::from_secs_f64(bytes as f64 / rate as f64));
        start.max(now)
    }
}

impl Limit {
    fn set(&self, rate: Rate) {
        let mut line = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if line.rate != rate {
            *line = Line { rate, end: None };
        }
    }

    fn wait(&self, now: Instant, bytes: usize) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wait(now, bytes)
    }

    fn is_set(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rate != Rate::OFF
    }
}

/// Limits of one direction: of all peers, which share the first, and of one.
#[derive(Debug, Default, Clone)]
pub(super) struct Direction {
    all: Arc<Limit>,
    own: Arc<Limit>,
}

impl Direction {
    /// How many of so many bytes may go in one piece: all of them if there is no limit.
    pub(super) fn piece(&self, bytes: usize) -> usize {
        let limited = self.all.is_set() || self.own.is_set();
        if limited { bytes.min(limits::PACE_PIECE) } else { bytes }
    }

    /// Waits until so many bytes may go, or count as gone; whether it had to.
    pub(super) async fn take(&self, bytes: usize) -> bool {
        let now = Instant::now();
        let at = self.all.wait(now, bytes).max(self.own.wait(now, bytes));
        if at > now {
            tokio::time::sleep_until(at.into()).await;
        }
        at > now
    }
}

/// Both directions of the whole node, or of one peer.
#[derive(Debug, Default, Clone)]
pub(super) struct Pace {
    pub(super) up: Direction,
    pub(super) down: Direction,
}

impl Pace {
    /// The pace of a further peer.
    pub(super) fn peer(&self, rates: &Rates) -> Self {
        let share = |all: &Arc<Limit>| Direction { all: Arc::clone(all), own: Arc::default() };
        let peer = Self { up: share(&self.up.all), down: share(&self.down.all) };
        peer.set(rates);
        peer
    }

    /// From now on, these hold.
    pub(super) fn set(&self, rates: &Rates) {
        self.up.all.set(rates.max_up);
        self.down.all.set(rates.max_down);
        self.up.own.set(rates.peer_max_up);
        self.down.own.set(rates.peer_max_down);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{KIB, MIB};

    fn line(rate: u64) -> Line {
        Line { rate: Rate::new(rate).expect("fast enough"), end: None }
    }

    #[test]
    fn a_rate_is_honoured_over_ten_seconds() {
        let start = Instant::now();
        let mut line = line(MIB as u64);
        let (mut now, mut sent) = (start, 0);
        while now < start + Duration::from_secs(10) {
            now = line.wait(now, 64 * KIB);
            sent += 64 * KIB;
        }
        let share = sent as f64 / (10 * MIB) as f64;
        assert!((0.95..=1.05).contains(&share), "{share}");
    }

    #[test]
    fn what_was_not_used_is_made_up_for_only_a_moment() {
        let start = Instant::now();
        let mut line = line(MIB as u64);
        line.wait(start, 64 * KIB);
        let later = start + Duration::from_secs(3600);
        let mut at_once = 0;
        while line.wait(later, 64 * KIB) == later {
            at_once += 64 * KIB;
        }
        assert!(at_once <= 256 * KIB, "{at_once}");
    }

    #[test]
    fn without_a_limit_nothing_waits() {
        let now = Instant::now();
        let mut line = Line::default();
        assert!((0..1000).all(|_| line.wait(now, MIB) == now));
    }

    #[tokio::test]
    async fn peers_share_what_all_may_take() {
        let node = Pace::default();
        let rates =
            Rates { max_up: Rate::new(MIB as u64).expect("fast enough"), ..Rates::default() };
        let (one, other) = (node.peer(&rates), node.peer(&rates));
        let now = Instant::now();
        one.up.all.wait(now, MIB);
        assert!(other.up.all.wait(now, 1) > now + Duration::from_millis(800));
        assert_eq!(other.down.piece(MIB), MIB, "the other way is free");
        assert_eq!(other.up.piece(MIB), limits::PACE_PIECE);
    }
}
