//! The scenarios, and one repetition of one: everything in it is new, machines, homes and copies.

use std::{fs, path::Path, thread, time::Duration, time::Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    bare, files,
    netns::{self, Machine},
    node::Node,
};

/// Who shares what with whom.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) seeders: u8,
    pub(super) leechers: u8,
    /// What each machine's interface may send, Mbit/s.
    pub(super) rate: u32,
    /// Size of the file, MiB.
    pub(super) size: u64,
    /// One leecher: the least part of the bare streams' rate. Several: the most times the bound.
    pub(super) bar: f64,
}

/// All of them.
pub(super) const ALL: [Scenario; 5] = [
    Scenario {
        name: "one-to-one 100 Mbit/s",
        seeders: 1,
        leechers: 1,
        rate: 100,
        size: 128,
        bar: 0.95,
    },
    Scenario {
        name: "one-to-one 1 Gbit/s",
        seeders: 1,
        leechers: 1,
        rate: 1000,
        size: 1024,
        bar: 0.95,
    },
    Scenario {
        name: "4 seeders of 50 Mbit/s to 1",
        seeders: 4,
        leechers: 1,
        rate: 50,
        size: 128,
        bar: 0.95,
    },
    Scenario { name: "flash crowd 4", seeders: 1, leechers: 4, rate: 100, size: 128, bar: 1.15 },
    Scenario { name: "flash crowd 16", seeders: 1, leechers: 16, rate: 100, size: 128, bar: 1.3 },
];

/// What one repetition showed.
pub(super) struct Outcome {
    /// From the start of the first `get` to the end of the last.
    pub(super) seconds: f64,
    /// Bare streams in the place of the first scenarios, the bound in that of a crowd.
    pub(super) reference: f64,
    /// Part of this machine's CPU time that was used meanwhile, by whomever.
    pub(super) busy: f64,
    /// Of a crowd.
    pub(super) sent: Option<Sent>,
}

/// Bitswap payload that was sent.
pub(super) struct Sent {
    /// By the seeder, in copies of the file.
    pub(super) copies: f64,
    /// By all together, over what the leechers needed.
    pub(super) surplus: f64,
}

impl Scenario {
    /// Whether many leechers start together.
    pub(super) fn is_crowd(&self) -> bool {
        self.leechers > 1
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.size << 20
    }

    /// Runs it once, in a folder that is its own.
    pub(super) fn run(&self, program: &Path, original: &Path, folder: &Path) -> Result<Outcome> {
        let machines =
            netns::machines(self.seeders + self.leechers, &format!("{}mbit", self.rate))?;
        let (seeding, leeching) = machines.split_at(self.seeders.into());
        fs::create_dir(folder)?;
        let mut root = String::new();
        let mut seeders = Vec::new();
        for (n, machine) in seeding.iter().enumerate() {
            let mut node = Node::new(program, machine, folder.join(format!("seeder-{n}")));
            root = seed(&node, original)?;
            node.start_daemon(None)?;
            seeders.push(node);
        }
        let outcome = if self.is_crowd() {
            let leechers = self.join(program, &seeders[0], leeching, folder)?;
            let (seconds, busy) = fetch(&leechers, &[&root], original, folder)?;
            let sent = self.sent(&seeders[0], &leechers)?;
            let bound = self.bytes() as f64 * 8.0 / (f64::from(self.rate) * 1e6);
            Outcome { seconds, reference: bound, busy, sent: Some(sent) }
        } else {
            let reference = bare::measure(seeding, &leeching[0], self.bytes())?;
            let leecher = Node::new(program, &leeching[0], folder.join("leecher"));
            let mut words = vec![root.as_str()];
            for seeder in &seeders {
                words.extend(["--peer", &seeder.address]);
            }
            let (seconds, busy) = fetch(&[leecher], &words, original, folder)?;
            Outcome { seconds, reference, busy, sent: None }
        };
        fs::remove_dir_all(folder)?;
        Ok(outcome)
    }

    /// Daemons of a crowd, each told of the seeder alone and connected to it.
    fn join<'a>(
        &self,
        program: &'a Path,
        seeder: &Node<'_>,
        machines: &'a [Machine],
        folder: &Path,
    ) -> Result<Vec<Node<'a>>> {
        let mut leechers = Vec::new();
        for (n, machine) in machines.iter().enumerate() {
            let mut node = Node::new(program, machine, folder.join(format!("leecher-{n}")));
            node.start_daemon(Some(&seeder.address))?;
            leechers.push(node);
        }
        let patience = Instant::now() + Duration::from_secs(60);
        while seeder.run(&["status"])?["peers"].as_u64() < Some(self.leechers.into()) {
            ensure!(Instant::now() < patience, "the leechers do not connect to the seeder");
            thread::sleep(Duration::from_millis(100));
        }
        Ok(leechers)
    }

    /// What each daemon sent and received; on stderr, since it is too much for the table.
    fn sent(&self, seeder: &Node<'_>, leechers: &[Node<'_>]) -> Result<Sent> {
        let size = self.bytes() as f64;
        let copies = report("seeder", seeder, seeder, size)?;
        let mut all = copies;
        for (n, leecher) in leechers.iter().enumerate() {
            all += report(&format!("leecher {n}"), leecher, seeder, size)?;
        }
        Ok(Sent { copies, surplus: all / leechers.len() as f64 })
    }
}

/// Imports the file, unsigned, so that the same content has the same root everywhere.
fn seed(node: &Node<'_>, file: &Path) -> Result<String> {
    let path = file.to_str().context("made by us, so it is text")?;
    let answer = node.run(&["seed", "--unsigned", path])?;
    Ok(answer["root"].as_str().context("all content has a root")?.to_owned())
}

/// Has all of them fetch at once; seconds until the last command has ended, and the CPU's part that was busy. What
/// arrived is compared, then deleted.
fn fetch(nodes: &[Node<'_>], words: &[&str], original: &Path, folder: &Path) -> Result<(f64, f64)> {
    let places: Vec<_> = (0..nodes.len()).map(|n| folder.join(format!("arrived-{n}"))).collect();
    let (started, before) = (Instant::now(), cpu_ticks()?);
    let mut running = Vec::new();
    for (node, place) in nodes.iter().zip(&places) {
        let place = place.to_str().context("made by us, so it is text")?;
        running.push(node.start(&[&["get"][..], words, &["-o", place]].concat())?);
    }
    let answers = running.into_iter().map(|get| get.answer()).collect::<Result<Vec<_>>>()?;
    let (seconds, after) = (started.elapsed().as_secs_f64(), cpu_ticks()?);
    let each: Vec<_> = answers.iter().filter_map(|answer| answer["seconds"].as_f64()).collect();
    eprintln!("  last after {seconds:.2} s; by their own clocks {each:.2?}");
    let name = original.file_name().context("a file has a name")?;
    for place in &places {
        files::compare(original, &place.join(name))?;
        fs::remove_dir_all(place)?;
    }
    let [busy, all] = [after[0] - before[0], after[1] - before[1]];
    Ok((seconds, busy as f64 / all.max(1) as f64))
}

/// Ticks of all cores since the machine started: busy, and busy or idle.
fn cpu_ticks() -> Result<[u64; 2]> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    // user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen
    let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).flat_map(str::parse).collect();
    let all: u64 = ticks.iter().sum();
    Ok([all - ticks.iter().skip(3).take(2).sum::<u64>(), all])
}

/// Says what a daemon sent and from whom it received, in copies of the file; gives those sent.
fn report(name: &str, node: &Node<'_>, seeder: &Node<'_>, size: f64) -> Result<f64> {
    let status = node.run(&["status"])?;
    let copies = |value: &Value| value.as_f64().unwrap_or_default() / size;
    let sent = copies(&status["bytes_out"]);
    let answer = node.run(&["peers"])?;
    let peers = answer["peers"].as_array().context("a list of peers")?;
    let is_seeder =
        |peer: &&Value| peer["peer_id"].as_str().is_some_and(|peer| seeder.address.ends_with(peer));
    let received: f64 = peers.iter().map(|peer| copies(&peer["bytes_in"])).sum();
    let direct: f64 = peers.iter().filter(is_seeder).map(|peer| copies(&peer["bytes_in"])).sum();
    let others = (received - direct).max(0.0);
    eprintln!(
        "  {name:<10} {:>2} peers; sent {sent:.2}, received {:.2} from the seeder, {others:.2} from others; {:.1} CPU s",
        peers.len(),
        direct.max(0.0),
        node.cpu_seconds()?
    );
    Ok(sent)
}
