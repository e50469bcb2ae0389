//! Bytes in flight with one source: as many as its bandwidth x delay asks for.
//!
//! After BBR, not after loss: the window is twice the best recent rate times the least recent latency. While a pipe is
//! not full yet a window of twice what it carries doubles each round trip; once it is full the window stays at two pipes
//! full. Latency is from ask to whole block, so even a slow source has two blocks asked, unless that is more than it
//! delivers in [`LONGEST`]; where a small block (a root, a node of a file) had the least, what a large one is longer is
//! added, or a link of long delay would have one block asked and rest until it is whole. [`SLACK`] keeps near links,
//! where scheduling takes longer than the wire, from starving.
//!
//! The queue we cause at the source would raise the least latency as old samples expire, and with it the window, and so
//! on: so at the end of each [`LATENCY_SPAN`] the window is one pipe full only, which drains that queue, until one block
//! that was asked for then has measured the link itself. More than one would cost a link that holds few blocks too much.
//!
//! Invariant: `in_flight` is the sum of the lengths given to [`Window::asked`] and not yet to [`Window::delivered`] (with
//! a ticket that counts) or [`Window::lost`].

use std::time::{Duration, Instant};

use crate::limits;

use super::seconds;

/// Added to the latency: what disk, hash and scheduler take on either side of a near link.
const SLACK: Duration = Duration::from_millis(15);
/// How long a least latency is believed; one to two spans.
const LATENCY_SPAN: Duration = Duration::from_secs(10);
/// The last part of a span, in which the queue drains and a latency is measured.
const DRAIN: Duration = Duration::from_secs(1);
/// How long a best rate is believed; one to two spans.
const RATE_SPAN: Duration = Duration::from_secs(3);
/// Shortest time a rate is taken over: clocks and bursts make less meaningless.
const SHORTEST: Duration = Duration::from_micros(200);
/// The most time a window is worth, over its first block. No link is that long: a latency above it is a queue, most
/// likely in our own link, that several sources keep full together.
const LONGEST: Duration = Duration::from_secs(3);
/// What a source is thought to take for any block before it delivered one.
const UNKNOWN: Duration = Duration::from_millis(500);

/// What is remembered of the moment a block was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    /// When.
    pub(super) since: Instant,
    /// Bytes the source had delivered by then.
    pub(super) delivered: u64,
    /// Bytes asked of it by then, this block's included.
    pub(super) ahead: usize,
}

#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    start: usize,
    in_flight: usize,
    delivered: u64,
    /// Best rates in bytes a second of this span and the one before.
    rates: [f64; 2],
    rates_since: Instant,
    /// There was room that we had nothing to ask for: rates of this span say little.
    starved: bool,
    /// Least latencies of this span and the one before.
    latencies: [Option<Latency>; 2],
    latencies_since: Instant,
    /// This span's is measured.
    measured: bool,
    /// Length of the largest block.
    largest: usize,
}

/// How long a block took from ask to whole, and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Latency {
    took: Duration,
    len: usize,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            size: limits::SOURCE_WINDOW_START,
            start: limits::SOURCE_WINDOW_START,
            in_flight: 0,
            delivered: 0,
            rates: [0.0; 2],
            rates_since: now,
            starved: false,
            latencies: [None; 2],
            latencies_since: now,
            measured: false,
            largest: 0,
        }
    }

    /// Sets the bytes asked of a source of which nothing is known yet.
    pub(super) fn start_with(&mut self, bytes: usize) {
        if self.delivered == 0 && self.in_flight == 0 {
            let bytes = bytes.clamp(limits::SOURCE_WINDOW_MIN, limits::SOURCE_WINDOW_START);
            (self.start, self.size) = (bytes, bytes);
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether `len` more bytes may be asked: one block always may.
    pub(super) fn room(&self, len: usize) -> bool {
        self.in_flight == 0 || self.in_flight + len <= self.size
    }

    pub(super) fn asked(&mut self, now: Instant, len: usize) -> Ticket {
        self.in_flight += len;
        Ticket { since: now, delivered: self.delivered, ahead: self.in_flight }
    }

    /// Bytes asked that are no longer counted on: cancelled, lacked, overdue.
    pub(super) fn lost(&mut self, len: usize) {
        self.in_flight -= len;
    }

    /// Bytes counted on again after [`Self::lost`].
    pub(super) fn found(&mut self, len: usize) {
        self.in_flight += len;
    }

    /// There is room and nothing to ask for.
    pub(super) fn starve(&mut self) {
        self.starved = true;
    }

    /// A block of `len` bytes came. `asked` is what was in flight for it, if that still counted.
    pub(super) fn delivered(
        &mut self,
        now: Instant,
        ticket: Option<Ticket>,
        asked: Option<usize>,
        len: usize,
    ) {
        self.delivered += len as u64;
        self.in_flight -= asked.unwrap_or(0);
        let Some(ticket) = ticket else { return };
        let took = now.saturating_duration_since(ticket.since);
        let rate = (self.delivered - ticket.delivered) as f64 / took.max(SHORTEST).as_secs_f64();
        self.roll(now);
        self.rates[0] = self.rates[0].max(rate);
        let latency = Latency { took, len };
        self.latencies[0] = Some(self.latencies[0].map_or(latency, |least| least.min(latency)));
        self.largest = self.largest.max(len);
        self.measured |= ticket.since >= self.drains_from() && ticket.ahead <= self.size;
        self.resize(now);
    }

    /// No progress: one block, and what was learned is forgotten.
    pub(super) fn stall(&mut self, now: Instant) {
        self.size = limits::SOURCE_WINDOW_MIN;
        self.start = limits::SOURCE_WINDOW_MIN;
        self.rates = [0.0; 2];
        self.rates_since = now;
    }

    /// Bytes a second at its recent best; none before it delivered.
    pub(super) fn rate(&self) -> Option<f64> {
        let rate = self.rates[0].max(self.rates[1]);
        (rate > 0.0).then_some(rate)
    }

    /// How long one more block of `len` bytes would take on top of what is in flight.
    pub(super) fn expected(&self, len: usize) -> Duration {
        match (self.rate(), self.latency()) {
            (Some(rate), Some(latency)) => latency.took + seconds(self.in_flight + len, rate),
            _ => UNKNOWN,
        }
    }

    /// How long what is in flight takes at the source's rate; unknown before it delivered.
    pub(super) fn remaining(&self) -> Option<Duration> {
        self.rate().map(|rate| seconds(self.in_flight, rate))
    }

    /// How long until the block of this ticket comes, if the source delivers in the order it was asked; unknown before it
    /// delivered.
    pub(super) fn due(&self, ticket: Ticket) -> Option<Duration> {
        let since = usize::try_from(self.delivered - ticket.delivered).unwrap_or(usize::MAX);
        self.rate().map(|rate| seconds(ticket.ahead.saturating_sub(since), rate))
    }

    /// Whether the source delivered more since than what it was asked before this block, and `len` bytes on top.
    pub(super) fn overtaken(&self, ticket: Ticket, len: usize) -> bool {
        self.delivered - ticket.delivered > (ticket.ahead + len) as u64
    }

    fn latency(&self) -> Option<Latency> {
        self.latencies.iter().flatten().min().copied()
    }

    /// When the queue begins to drain.
    fn drains_from(&self) -> Instant {
        self.latencies_since + (LATENCY_SPAN - DRAIN)
    }

    /// Begins new spans when it is time.
    fn roll(&mut self, now: Instant) {
        let latency = self.latency().map_or(Duration::ZERO, |latency| latency.took);
        if now >= self.rates_since + RATE_SPAN.max(latency * 8) {
            let kept = if self.starved { self.rates[1] } else { 0.0 };
            self.rates = [0.0, self.rates[0].max(kept)];
            self.rates_since = now;
            self.starved = false;
        }
        if now >= self.latencies_since + LATENCY_SPAN {
            self.latencies = [None, self.latencies[0]];
            self.latencies_since = now;
            self.measured = false;
        }
    }

    fn resize(&mut self, now: Instant) {
        let (Some(rate), Some(latency)) = (self.rate(), self.latency()) else { return };
        let draining = now >= self.drains_from() && !self.measured;
        let pipes = if draining { 1.0 } else { 2.0 };
        let longer = self.largest.saturating_sub(latency.len) as f64;
        let pipe = rate * (latency.took + SLACK).as_secs_f64() + longer;
        // the first window's blocks tell too little one by one
        let warm = if self.delivered < self.start as u64 { self.start } else { 0 };
        let longest = rate * LONGEST.as_secs_f64() + limits::CHUNK as f64;
        self.size = ((pipes * pipe).min(longest) as usize)
            .max(warm)
            .clamp(limits::SOURCE_WINDOW_MIN, limits::SOURCE_WINDOW_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::super::epoch;
    use super::*;
    use crate::limits::MIB;

    /// Keeps the window full on a link of `rate` bytes a second and `rtt`; returns it after `secs`.
    fn run(rate: f64, rtt: Duration, secs: u64) -> (Window, u64) {
        let mut window = Window::new(epoch());
        let delivered = fill(&mut window, epoch(), rate, rtt, secs);
        (window, delivered)
    }

    fn fill(window: &mut Window, start: Instant, rate: f64, rtt: Duration, secs: u64) -> u64 {
        let mut now = start;
        let mut link_free = start;
        let mut flying: std::collections::VecDeque<(Instant, Ticket)> = Default::default();
        while now < start + Duration::from_secs(secs) {
            while window.room(MIB) {
                let ticket = window.asked(now, MIB);
                link_free = link_free.max(now + rtt / 2) + seconds(MIB, rate);
                flying.push_back((link_free + rtt / 2, ticket));
            }
            let (at, ticket) = flying.pop_front().expect("something is in flight");
            now = at;
            window.delivered(now, Some(ticket), Some(MIB), MIB);
        }
        window.delivered
    }

    #[test]
    fn a_long_fat_pipe_is_filled_within_a_few_round_trips() {
        let rate = 125e6;
        let (_, delivered) = run(rate, Duration::from_millis(100), 5);
        assert!(delivered as f64 > 0.9 * rate * 5.0, "{delivered}");
    }

    #[test]
    fn a_link_that_holds_less_than_a_block_stays_full_after_a_small_one() {
        let (rate, rtt, start) = (12.5e6, Duration::from_millis(50), epoch());
        let mut window = Window::new(start);
        // a root, then leaves for half a minute
        let ticket = window.asked(start, 100);
        let begun = start + rtt;
        window.delivered(begun, Some(ticket), Some(100), 100);
        let delivered = fill(&mut window, begun, rate, rtt, 30);
        assert!(delivered as f64 > 0.97 * rate * 30.0, "{delivered}");
    }

    #[test]
    fn a_slow_source_has_about_two_blocks_in_flight_not_more_with_time() {
        let (window, _) = run(1e6, Duration::from_millis(50), 120);
        assert!(window.size() <= 3 * MIB, "{}", window.size());
    }

    #[test]
    fn the_window_does_not_grow_by_the_queue_that_it_causes_itself() {
        let rate = 20e6;
        let (window, _) = run(rate, Duration::from_millis(100), 300);
        let pipe = rate * 0.17;
        assert!(window.size() as f64 <= 3.0 * pipe, "{} > 3 x {pipe}", window.size());
    }

    #[test]
    fn a_link_of_ours_that_many_sources_keep_full_does_not_grow_their_windows() {
        // each block waits 30 s behind those of others
        let (window, _) = run(50e3, Duration::from_secs(30), 600);
        assert_eq!(window.size() / MIB, 1);
    }

    #[test]
    fn a_stall_leaves_one_block() {
        let (mut window, _) = run(125e6, Duration::from_millis(10), 1);
        window.stall(epoch());
        assert_eq!(window.size(), limits::SOURCE_WINDOW_MIN);
        assert_eq!(window.rate(), None);
    }
}
