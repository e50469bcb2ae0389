//! Many that want the same: how near the last of them comes to what the links allow.

use super::tests::blocks;
use super::*;
use crate::limits::MIB;

/// One seeder of 128 MiB and leechers that come together, all with links of 100 Mbit/s up: the time until the last has
/// it, over the time in which the seeder can send it once; copies sent by the seeder; and by all together, over what
/// was needed.
fn flash_crowd(seed: u64, leechers: usize) -> (f64, f64, f64) {
    let cids = blocks(128, MIB);
    let mut sim = Sim::new(seed);
    let link = Link { down: 125e6, ..Link::new(12.5, 5) };
    let seeder = sim.add(link, Conduct::Honest, &cids);
    let leechers: Vec<usize> = (0..leechers).map(|_| sim.add(link, Conduct::Honest, &[])).collect();
    let all: Vec<usize> = (0..sim.nodes.len()).collect();
    for a in &all {
        for b in &all[..*a] {
            sim.connect(*a, *b);
        }
    }
    for leecher in &leechers {
        let others: Vec<usize> = all.iter().filter(|n| *n != leecher).copied().collect();
        sim.fetch(*leecher, &cids, &others);
    }
    let took = sim.run(&leechers, Duration::from_secs(3600));
    let size = (128 * MIB) as f64;
    let sent: u64 = all.iter().map(|n| sim.nodes[*n].served_bytes).sum();
    let copies = sim.nodes[seeder].served_bytes as f64 / size;
    let time = took.as_secs_f64() / seconds(128 * MIB, link.up).as_secs_f64();
    (time, copies, sent as f64 / (size * leechers.len() as f64))
}

#[test]
fn a_flash_crowd_takes_little_more_than_the_seeder_needs_to_send_all_once() {
    for (leechers, most) in [(4, 1.15), (16, 1.3)] {
        let mut runs: Vec<_> = (0..7).map(|seed| flash_crowd(seed, leechers)).collect();
        runs.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
        let shown =
            format!("{leechers} leechers, (time, the seeder's copies, all copies): {runs:.2?}");
        println!("{shown}");
        assert!(runs[3].0 <= most && runs[6].0 <= most * 1.1, "{shown}");
        assert!(
            runs.iter().all(|(_, copies, all)| *copies <= most * 1.1 && *all <= 1.15),
            "{shown}"
        );
        let mut all: Vec<_> = runs.iter().map(|(.., all)| *all).collect();
        all.sort_by(f64::total_cmp);
        assert!(all[3] <= 1.1, "{shown}");
    }
}

/// A crowd of leechers that come within `within`, each on a link of its own kind and known to a few others, of whom a fifth
/// go again; one seeder of 32 MiB. The time until the last that stays has it, over the least that links allow, and what
/// all sent, over what was needed.
fn churning_crowd(seed: u64, leechers: u64, within: Duration) -> (f64, f64) {
    let guard = Seed(seed);
    let cids = blocks(32, MIB);
    let size = 32 * MIB;
    let mut sim = Sim::new(seed);
    sim.check_every = 65_536;
    sim.add(Link::new(12.5, 10), Conduct::Honest, &cids);
    let (mut staying, mut least, mut up) = (Vec::new(), 0_f64, 12.5e6);
    for _ in 0..leechers {
        // lines of homes and labs: 2 to 12 MB/s up, two to ten times that down
        let rate = 2e6 + sim.random.below(10_000_000) as f64;
        let down = rate * (2 + sim.random.below(9)) as f64;
        let latency = Duration::from_millis(2 + sim.random.below(40));
        let node = sim.add(Link { up: rate, down, latency }, Conduct::Honest, &[]);
        let comes = Duration::from_micros(sim.random.below(within.as_micros() as u64 + 1));
        sim.at(epoch() + comes, Event::Join { node, cids: cids.clone() });
        if sim.random.chance(20) {
            let goes = comes + Duration::from_millis(sim.random.below(8_000));
            sim.at(epoch() + goes, Event::Leave { node });
        } else {
            staying.push(node);
            up += rate;
            least = least.max((comes + seconds(size, down)).as_secs_f64());
        }
    }
    let took = sim.run(&staying, Duration::from_secs(3600));
    let needed = (size * staying.len()) as f64;
    least = least.max(size as f64 / 12.5e6).max(needed / up);
    let sent: u64 = sim.nodes.iter().map(|node| node.served_bytes).sum();
    let arrived: u64 = sim.nodes.iter().map(|node| node.wanted * MIB as u64).sum();
    for node in &sim.nodes {
        node.engine.check();
        assert!(node.penalised.is_empty(), "{:?}", node.penalised);
    }
    drop(guard);
    (took.as_secs_f64() / least, sent as f64 / arrived as f64)
}

#[test]
fn hundreds_of_unlike_peers_that_come_and_go_are_done_soon_after_the_links_allow_it() {
    for within in [Duration::ZERO, Duration::from_secs(10)] {
        for seed in seeds(1) {
            let (time, sent) = churning_crowd(seed, 200, within);
            println!(
                "seed {seed}, within {within:?}: {time:.2} x the bound, {sent:.2} x the bytes"
            );
            assert!(time <= 2.3 && sent <= 1.3, "{time:.2}, {sent:.2}");
        }
    }
}
