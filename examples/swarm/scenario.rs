//! The scenarios, and one repetition of one: everything in it is new, machines, homes and copies.

use std::{fs, path::Path, thread, time::Duration, time::Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::{
    bare, files,
    link::Link,
    netns,
    node::{Node, Running},
};

/// Time between looks at the daemons of a crowd: each look is a process.
const LOOK: Duration = Duration::from_millis(200);

/// Who shares what with whom.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// How the machines lie to each other.
    shape: Shape,
    /// What each seeder's machine may send, Mbit/s.
    rate: u32,
    /// Size of the file, MiB.
    pub(super) size: u64,
    /// Of a crowd: the most times the bound. Else: the least part of the bare streams' rate.
    pub(super) bar: f64,
}

/// How the machines of a scenario lie to each other.
#[derive(Clone, Copy)]
enum Shape {
    /// One leecher beside some seeders.
    Near { seeders: u8 },
    /// One leecher far from one seeder; the round trip in milliseconds.
    Long { round_trip: u64 },
    /// One seeder and some daemons that begin together; what each of their machines may send, Mbit/s.
    Crowd { leechers: u8, rate: u32, meet: Meet },
}

/// How daemons of a crowd find each other.
#[derive(Clone, Copy, PartialEq)]
enum Meet {
    /// They are told of the seeder and ask the DHT for the others.
    Dht,
    /// They are told of nobody.
    Mdns,
}

/// All of them.
pub(super) const ALL: [Scenario; 9] = [
    Scenario {
        name: "one-to-one 100 Mbit/s",
        shape: Shape::Near { seeders: 1 },
        rate: 100,
        size: 128,
        bar: 0.95,
    },
    Scenario {
        name: "one-to-one 1 Gbit/s",
        shape: Shape::Near { seeders: 1 },
        rate: 1000,
        size: 1024,
        bar: 0.95,
    },
    Scenario {
        name: "long link 100 Mbit/s 50 ms",
        shape: Shape::Long { round_trip: 50 },
        rate: 100,
        size: 128,
        bar: 0.95,
    },
    Scenario {
        name: "long link 1 Gbit/s 100 ms",
        shape: Shape::Long { round_trip: 100 },
        rate: 1000,
        size: 1024,
        bar: 0.9,
    },
    Scenario {
        name: "4 seeders of 50 Mbit/s to 1",
        shape: Shape::Near { seeders: 4 },
        rate: 50,
        size: 128,
        bar: 0.95,
    },
    Scenario {
        name: "flash crowd 4",
        shape: Shape::Crowd { leechers: 4, rate: 100, meet: Meet::Dht },
        rate: 100,
        size: 128,
        bar: 1.15,
    },
    Scenario {
        name: "flash crowd 16",
        shape: Shape::Crowd { leechers: 16, rate: 100, meet: Meet::Dht },
        rate: 100,
        size: 128,
        bar: 1.3,
    },
    Scenario {
        name: "LAN of 4 behind 20 Mbit/s",
        shape: Shape::Crowd { leechers: 4, rate: 1000, meet: Meet::Dht },
        rate: 20,
        size: 128,
        bar: 1.1,
    },
    Scenario {
        name: "LAN of 4 behind 20 Mbit/s, by mDNS",
        shape: Shape::Crowd { leechers: 4, rate: 1000, meet: Meet::Mdns },
        rate: 20,
        size: 128,
        bar: 1.1,
    },
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
    /// The part of the time after which every leecher had sent something on.
    pub(super) passed_on: f64,
}

impl Scenario {
    /// Whether many leechers start together.
    pub(super) fn is_crowd(&self) -> bool {
        matches!(self.shape, Shape::Crowd { .. })
    }

    /// Bytes of the file.
    pub(super) fn bytes(&self) -> u64 {
        self.size << 20
    }

    /// Runs it once, in a folder that is its own.
    pub(super) fn run(&self, program: &Path, original: &Path, folder: &Path) -> Result<Outcome> {
        fs::create_dir(folder)?;
        let run = Run { scenario: self, program, original, folder };
        let outcome = match self.shape {
            Shape::Near { seeders } => run.near(seeders),
            Shape::Long { round_trip } => run.long(Duration::from_millis(round_trip)),
            Shape::Crowd { leechers, rate, meet } => run.crowd(leechers, rate, meet),
        }?;
        fs::remove_dir_all(folder)?;
        Ok(outcome)
    }
}

/// One repetition.
struct Run<'a> {
    scenario: &'a Scenario,
    program: &'a Path,
    original: &'a Path,
    folder: &'a Path,
}

impl Run<'_> {
    fn near(&self, seeders: u8) -> Result<Outcome> {
        let machines = netns::machines(&vec![self.scenario.rate; usize::from(seeders) + 1])?;
        let (seeding, leeching) = machines.split_at(seeders.into());
        let mut nodes = Vec::new();
        for (n, machine) in seeding.iter().enumerate() {
            nodes.push(self.seeder(Node::new(
                self.program,
                machine,
                self.folder.join(format!("seeder-{n}")),
            ))?);
        }
        let reference = bare::measure(seeding, &leeching[0], self.scenario.bytes())?;
        let leecher = Node::new(self.program, &leeching[0], self.folder.join("leecher"));
        let mut words = vec![nodes[0].0.as_str()];
        for (_, seeder) in &nodes {
            words.extend(["--peer", &seeder.address]);
        }
        let (seconds, busy) = self.fetch(&[leecher], &words, &mut rest)?;
        Ok(Outcome { seconds, reference, busy, sent: None })
    }

    fn long(&self, round_trip: Duration) -> Result<Outcome> {
        let (rate, delay) = (self.scenario.rate, round_trip / 2);
        let machines = netns::apart()?;
        let reference = bare::measure_long(&machines, self.scenario.bytes(), rate, delay)?;
        let [seeding, between, leeching] = &machines;
        let home = self.folder.join("seeder");
        let (root, seeder) = self.seeder(Node::new(self.program, seeding, home))?;
        let (target, id) = seeder.socket()?;
        let link = Link::start(between, target, rate, delay)?;
        let peer = format!("/ip4/{}/tcp/{}/p2p/{id}", link.address.ip(), link.address.port());
        let leecher = Node::new(self.program, leeching, self.folder.join("leecher"));
        let (seconds, busy) = self.fetch(&[leecher], &[&root, "--peer", &peer], &mut rest)?;
        Ok(Outcome { seconds, reference, busy, sent: None })
    }

    fn crowd(&self, leechers: u8, rate: u32, meet: Meet) -> Result<Outcome> {
        let mut rates = vec![rate; usize::from(leechers) + 1];
        rates[0] = self.scenario.rate;
        let machines = netns::machines(&rates)?;
        let node = |machine, name: &str| {
            let node = Node::new(self.program, machine, self.folder.join(name));
            if meet == Meet::Mdns { node.by_mdns() } else { node }
        };
        let (root, seeder) = self.seeder(node(&machines[0], "seeder"))?;
        let mut nodes = Vec::new();
        for (n, machine) in machines[1..].iter().enumerate() {
            let mut node = node(machine, &format!("leecher-{n}"));
            node.start_daemon((meet == Meet::Dht).then_some(seeder.address.as_str()))?;
            nodes.push(node);
        }
        let patience = Instant::now() + Duration::from_secs(60);
        while seeder.run(&["status"])?["peers"].as_u64() < Some(leechers.into()) {
            ensure!(Instant::now() < patience, "the leechers do not connect to the seeder");
            thread::sleep(Duration::from_millis(100));
        }
        let started = Instant::now();
        // When each was first seen to have sent something.
        let mut passed_on = vec![None; nodes.len()];
        let mut look = || {
            thread::sleep(LOOK);
            let waiting = passed_on.iter().position(Option::is_none);
            if let Some(next) = waiting
                && nodes[next].run(&["status"])?["bytes_out"].as_u64() > Some(0)
            {
                passed_on[next] = Some(started.elapsed().as_secs_f64());
            }
            Ok(())
        };
        let (seconds, busy) = self.fetch(&nodes, &[&root], &mut look)?;
        let last = passed_on.into_iter().map(|at| at.unwrap_or(seconds)).fold(0.0, f64::max);
        let bytes = self.scenario.bytes() as f64;
        let copies = report("seeder", &seeder, &seeder, bytes)?;
        let mut all = copies;
        for (n, leecher) in nodes.iter().enumerate() {
            all += report(&format!("leecher {n}"), leecher, &seeder, bytes)?;
        }
        let sent = Sent { copies, surplus: all / nodes.len() as f64, passed_on: last / seconds };
        let reference = bytes * 8.0 / (f64::from(self.scenario.rate) * 1e6);
        Ok(Outcome { seconds, reference, busy, sent: Some(sent) })
    }

    /// Imports the file, unsigned, so that the same content has the same root everywhere, and starts the daemon.
    fn seeder<'a>(&self, mut node: Node<'a>) -> Result<(String, Node<'a>)> {
        let path = self.original.to_str().context("made by us, so it is text")?;
        let answer = node.run(&["seed", "--unsigned", path])?;
        let root = answer["root"].as_str().context("all content has a root")?.to_owned();
        node.start_daemon(None)?;
        Ok((root, node))
    }

    /// Has all of them fetch at once, and looks after them meanwhile; seconds until the last command has ended, and
    /// the CPU's part that was busy. What arrived is compared, then deleted.
    fn fetch(
        &self,
        nodes: &[Node<'_>],
        words: &[&str],
        look: &mut dyn FnMut() -> Result<()>,
    ) -> Result<(f64, f64)> {
        let place = |n: usize| self.folder.join(format!("arrived-{n}"));
        let places: Vec<_> = (0..nodes.len()).map(place).collect();
        let (started, before) = (Instant::now(), cpu_ticks()?);
        let mut running = Vec::new();
        for (node, place) in nodes.iter().zip(&places) {
            let place = place.to_str().context("made by us, so it is text")?;
            running.push(node.start(&[&["get"][..], words, &["-o", place]].concat())?);
        }
        let ended = thread::scope(|scope| {
            let wait = |get: Running| scope.spawn(move || Ok((get.answer()?, started.elapsed())));
            let waiting: Vec<_> = running.into_iter().map(wait).collect();
            while waiting.iter().any(|get| !get.is_finished()) {
                look()?;
            }
            let ended = waiting.into_iter().map(|get| get.join().ok().context("no panic")?);
            ended.collect::<Result<Vec<_>>>()
        })?;
        let after = cpu_ticks()?;
        let seconds = ended.iter().map(|(_, at)| at.as_secs_f64()).fold(0.0, f64::max);
        let each: Vec<_> =
            ended.iter().filter_map(|(answer, _)| answer["seconds"].as_f64()).collect();
        eprintln!("  last after {seconds:.2} s; by their own clocks {each:.2?}");
        let name = self.original.file_name().context("a file has a name")?;
        for place in &places {
            files::compare(self.original, &place.join(name))?;
            fs::remove_dir_all(place)?;
        }
        let [busy, all] = [after[0] - before[0], after[1] - before[1]];
        Ok((seconds, busy as f64 / all.max(1) as f64))
    }
}

/// Leaves the fetches alone for a while.
fn rest() -> Result<()> {
    thread::sleep(LOOK / 10);
    Ok(())
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
