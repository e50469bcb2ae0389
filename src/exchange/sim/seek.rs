//! Readers that jump ahead in what a session fetches.

use super::tests::blocks;
use super::*;
use crate::limits::MIB;

/// Blocks of the file that is read: 2 GiB.
const FILE: u64 = 2048;

/// Where the reader jumps to, and when.
const FAR: u64 = 2000;
const AFTER: Duration = Duration::from_secs(5);

/// What a jump did.
struct Jump {
    /// From the jump until its block was stored.
    waited: Duration,
    /// What the leecher had asked for by then and not received, in bytes.
    in_flight: usize,
    /// How long the whole fetch took.
    took: Duration,
}

/// A file from seeders with these links (MB/s) and halves of their latency (ms), each of which holds the blocks for which
/// `holds` says so; with or without a jump.
fn fetch(links: &[(f64, u64)], holds: impl Fn(usize, u64) -> bool, jumps: bool) -> Jump {
    let mut sim = Sim::new(11);
    sim.check_every = 20_000;
    let cids = blocks(FILE, MIB);
    let leecher = sim.add(Link::new(1000.0, 0), Conduct::Honest, &[]);
    let sources: Vec<usize> = links
        .iter()
        .enumerate()
        .map(|(n, (rate, latency))| {
            let held: Vec<_> =
                (0..FILE).filter(|i| holds(n, *i)).map(|i| cids[i as usize]).collect();
            sim.add(Link::new(*rate, *latency), Conduct::Honest, &held)
        })
        .collect();
    for source in &sources {
        sim.connect(leecher, *source);
    }
    sim.fetch(leecher, &cids, &sources);
    while sim.now < epoch() + AFTER {
        assert!(sim.step());
    }
    let (from, far) = (sim.now, block(FAR));
    let status = sim.nodes[leecher].engine.session(SESSION).expect("open");
    assert!(sim.nodes[leecher].missing.contains(&far), "the jump is to what is not there yet");
    if jumps {
        let ahead: Vec<Cid> = (FAR..FAR + 8).map(block).collect();
        sim.nodes[leecher].engine.prioritise(from, SESSION, &ahead);
        sim.drive(leecher);
    }
    while sim.nodes[leecher].missing.contains(&far) {
        assert!(sim.step());
    }
    let waited = sim.now - from;
    let took = sim.run(&[leecher], Duration::from_secs(36_000));
    assert_eq!(sim.nodes[leecher].unasked, 0);
    assert!(sim.nodes[leecher].late <= 16, "{} came twice", sim.nodes[leecher].late);
    Jump { waited, in_flight: status.asked_bytes, took }
}

#[test]
fn a_jump_to_the_far_end_waits_for_what_is_in_flight_and_a_round_trip_not_for_all_before_it() {
    let whole = |_, _| true;
    let half = |n, i: u64| i.is_multiple_of(2) == (n == 0) || i == FAR;
    type Case<'a> = (&'a str, &'a [(f64, u64)], &'a dyn Fn(usize, u64) -> bool);
    let cases: [Case; 4] = [
        ("one slow source", &[(1.25, 20)], &whole),
        ("one far source", &[(12.5, 75)], &whole),
        ("a fast and a slow one", &[(12.5, 10), (1.25, 10)], &whole),
        ("two halves", &[(6.25, 10), (6.25, 10)], &half),
    ];
    for (what, links, holds) in cases {
        let plain = fetch(links, holds, false);
        let jump = fetch(links, holds, true);
        let slowest = links.iter().map(|(rate, _)| rate * 1e6).fold(f64::MAX, f64::min);
        let longest = links.iter().map(|(_, half)| Duration::from_millis(*half) * 2).max();
        let rtt = longest.expect("there are links");
        // Each source brings what it owes, then the block; a probe first where sources lack something.
        let most =
            seconds(jump.in_flight + 2 * MIB, slowest) + rtt * 2 + Duration::from_millis(100);
        println!(
            "{what}: {:?} of {most:?} with {} MiB in flight, without {:?}; all {:?}, without {:?}",
            jump.waited,
            jump.in_flight / MIB,
            plain.waited,
            jump.took,
            plain.took
        );
        assert!(jump.waited <= most, "{what}: {:?} > {most:?}", jump.waited);
        assert!(jump.waited < plain.waited / 10, "{what}: {:?}", plain.waited);
        assert!(jump.took <= plain.took.mul_f64(1.05), "{what}: {:?}", jump.took);
    }
}
