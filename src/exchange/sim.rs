//! Many engines under a virtual clock: links with latency and bandwidth, disconnects, slow, stalling and lying peers.
//!
//! All of a run follows from its seed. A failing test prints it; put it into [`ONLY`] to run that one alone.
//! Blocks are a CID and a length here: bytes never pass through an engine, so none are needed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::{Duration, Instant};

use crate::dag::Cid;
use crate::dag::block::{RAW, cid_v1, sha256};
use crate::limits;

use super::message::{Control, Presence};
use super::*;

mod crowds;
mod node;
mod seek;
mod tests;
mod uplink;

use node::{Conduct, Event, Link, Node, Random};
use uplink::{Out, To};

/// The seed to run alone, for looking into a failure.
const ONLY: Option<u64> = None;

/// Providers that a search of the DHT brings.
const PROVIDED: usize = 20;

/// The one session of each node.
const SESSION: SessionId = 1;

/// The seeds a test runs.
fn seeds(count: u64) -> Vec<u64> {
    ONLY.map_or((0..count).collect(), |seed| vec![seed])
}

/// Names the seed if the test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with seed {}: set sim::ONLY to run it alone", self.0);
        }
    }
}

struct Sim {
    now: Instant,
    nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<(Instant, u64)>>,
    events: BTreeMap<u64, Event>,
    next_event: u64,
    next_epoch: u64,
    random: Random,
    steps: u64,
    /// Events between two looks at all invariants.
    check_every: u64,
    /// Of a hundred messages without payload, how many are lost with their stream.
    loss: u64,
    /// And how many are lost without a sign.
    dropped: u64,
    /// How many that were.
    lost: u32,
    config: Config,
}

/// A block that stands for bytes: its CID is the hash of its number.
fn block(number: u64) -> Cid {
    cid_v1(RAW, sha256(&number.to_le_bytes()))
}

impl Sim {
    fn new(seed: u64) -> Self {
        Self {
            now: epoch(),
            nodes: Vec::new(),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            next_event: 0,
            next_epoch: 0,
            random: Random::new(seed),
            steps: 0,
            check_every: 64,
            loss: 0,
            dropped: 0,
            lost: 0,
            config: Config::default(),
        }
    }

    fn add(&mut self, link: Link, conduct: Conduct, holds: &[(Cid, usize)]) -> usize {
        let seed = self.random.next();
        self.nodes.push(Node::new(self.now, Engine::new(self.config, seed), link, conduct, holds));
        self.nodes.len() - 1
    }

    fn at(&mut self, at: Instant, event: Event) {
        let id = self.next_event;
        self.next_event += 1;
        self.events.insert(id, event);
        self.queue.push(Reverse((at, id)));
    }

    fn connect(&mut self, a: usize, b: usize) {
        if self.nodes[a].peers.contains_key(&b) {
            return;
        }
        self.next_epoch += 1;
        for (me, other) in [(a, b), (b, a)] {
            let now = self.now;
            let node = &mut self.nodes[me];
            node.peers.insert(other, self.next_epoch);
            node.engine.handle_connected(now, other as SourceId, Abilities::BITSWAP);
            self.drive(me);
        }
        if self.nodes[a].conduct == Conduct::Floods {
            self.flood(a, b);
        }
        if self.nodes[b].conduct == Conduct::Floods {
            self.flood(b, a);
        }
    }

    fn disconnect(&mut self, a: usize, b: usize) {
        for (me, other) in [(a, b), (b, a)] {
            if let Some(epoch) = self.nodes[me].peers.remove(&other) {
                self.nodes[me].uplink.forget((other, epoch));
                let now = self.now;
                self.nodes[me].engine.handle_disconnected(now, other as SourceId);
                self.nodes[me].asked.retain(|(source, _)| *source != other);
                self.drive(me);
            }
        }
    }

    fn flood(&mut self, from: usize, to: usize) {
        let epoch = self.nodes[from].peers[&to];
        for i in 0..200 {
            let cid = block(1 << 40 | i);
            let at = self.now + Duration::from_millis(i);
            self.at(at, Event::Block { from, to, epoch, cid, len: limits::MIB });
        }
    }

    /// Begins the fetch of what `node` does not hold, from these sources.
    fn fetch(&mut self, node: usize, cids: &[(Cid, usize)], sources: &[usize]) {
        let now = self.now;
        let n = &mut self.nodes[node];
        n.missing = cids.iter().map(|(c, _)| *c).filter(|c| !n.store.contains_key(c)).collect();
        let wanted: Vec<_> = cids.iter().filter(|(c, _)| n.missing.contains(c)).copied().collect();
        n.engine.open_session(now, SESSION);
        for source in sources {
            n.engine.add_source(now, SESSION, *source as SourceId);
        }
        assert_eq!(n.engine.want(now, SESSION, &wanted), wanted.len());
        if wanted.is_empty() {
            n.done = Some(now);
        }
        self.drive(node);
    }

    fn latency(&self, a: usize, b: usize) -> Duration {
        self.nodes[a].link.latency + self.nodes[b].link.latency
    }

    /// Carries out what a node's engine wants done.
    fn drive(&mut self, me: usize) {
        while let Some(output) = self.nodes[me].engine.poll_output() {
            self.output(me, output);
        }
        self.watch(me);
        let due = self.nodes[me].engine.poll_timeout();
        if let Some(due) = due
            && self.nodes[me].timer.is_none_or(|at| due < at || at <= self.now)
        {
            let due = due.max(self.now);
            self.nodes[me].timer = Some(due);
            self.at(due, Event::Timeout { node: me });
        }
    }

    fn output(&mut self, me: usize, output: Output) {
        match output {
            Output::Send { source, control } => {
                let to = source as usize;
                let wants = control.wantlist.iter().flat_map(|list| &list.entries);
                let cids: Vec<Cid> = wants.filter(|e| !e.cancel).map(|e| e.cid).collect();
                self.nodes[me].asked.extend(cids.into_iter().map(|cid| (to, cid)));
                let dropped = self.dropped > 0 && self.random.chance(self.dropped);
                self.lost += u32::from(dropped);
                let mute = dropped || self.is_mute(me);
                let epoch = self.nodes[me].peers.get(&to).copied().filter(|_| !mute);
                if epoch.is_some() && self.random.chance(self.loss) {
                    let at = self.now + Duration::from_millis(50);
                    self.at(at, Event::Reset { node: me, source });
                } else if let Some(epoch) = epoch {
                    self.nodes[me].uplink.push_control((to, epoch), control);
                    self.settle(me, (to, epoch));
                }
            }
            Output::Lookup { source, cids } => {
                let at = self.now + Duration::from_micros(200);
                self.at(at, Event::Lookup { node: me, source, cids });
            }
            Output::Serve { source, cids } => self.serve(me, source as usize, cids),
            Output::Recall { source, cids } => {
                let node = &mut self.nodes[me];
                let Some(epoch) = node.peers.get(&(source as usize)) else { return };
                let recalled = node.uplink.recall((source as usize, *epoch), &cids);
                node.engine.handle_unsent(self.now, source, recalled, true);
            }
            Output::FindProviders { session, .. } => {
                assert_eq!(session, SESSION);
                self.nodes[me].searches += 1;
                let at = self.now + Duration::from_millis(500);
                self.at(at, Event::Found { node: me });
            }
            Output::Penalise { source, fault } => {
                self.nodes[me].penalised.insert(source as usize, fault);
                self.disconnect(me, source as usize);
            }
            Output::NotHeld { session, cid } => {
                assert_eq!(session, SESSION);
                self.nodes[me].not_held.insert(cid);
            }
        }
    }

    fn serve(&mut self, me: usize, to: usize, cids: Vec<Cid>) {
        let Some(epoch) = self.nodes[me].peers.get(&to).copied() else { return };
        let node = &mut self.nodes[me];
        let total: usize = cids.iter().map(|cid| node.store[cid]).sum();
        assert!(total <= limits::SERVE_BATCH || cids.len() == 1, "{total} bytes in one message");
        for cid in cids {
            if self.is_mute(me) {
                return;
            }
            let node = &mut self.nodes[me];
            if node.conduct == Conduct::FalseHave {
                node.engine.handle_sent(self.now, to as SourceId, &[cid], 0);
                let presences = vec![(cid, Presence::DontHave)];
                let control = Control { presences, ..Control::default() };
                node.uplink.push_control((to, epoch), control);
                continue;
            }
            let len = node.store[&cid];
            node.served += 1;
            node.uplink.push_block((to, epoch), cid, len);
        }
        self.settle(me, (to, epoch));
    }

    /// Whether the node has fallen silent.
    fn is_mute(&self, me: usize) -> bool {
        match self.nodes[me].conduct {
            Conduct::Silent => true,
            Conduct::Stalls(after) => self.nodes[me].served >= after,
            _ => false,
        }
    }

    /// Sends off what is through a connection's buffers, and has the link go on.
    fn settle(&mut self, me: usize, to: To) {
        let out = self.nodes[me].uplink.settle(to);
        self.depart(me, out);
    }

    fn depart(&mut self, me: usize, out: Vec<Out>) {
        let now = self.now;
        for out in out {
            match out {
                Out::Block { to: (to, epoch), cid, len } => {
                    let at = now + self.latency(me, to);
                    self.nodes[me].served_bytes += len as u64;
                    let wrong = self.nodes[me].conduct == Conduct::WrongBytes;
                    let cid = if wrong { block(self.random.next() | 1 << 50) } else { cid };
                    self.at(at, Event::Landing { from: me, to, epoch, cid, len });
                }
                Out::Sent { to: (to, epoch), cid, len } => {
                    self.at(now, Event::Sent { from: me, to, epoch, cid, len });
                }
                Out::Control { to: (to, epoch), control } => {
                    let at = now + self.latency(me, to);
                    self.at(at, Event::Control { from: me, to, epoch, control });
                }
                Out::Progress { to: (to, epoch) } => {
                    let at = now + self.latency(me, to);
                    self.at(at, Event::Progress { from: me, to, epoch });
                }
            }
        }
        let rate = self.nodes[me].link.up;
        if let Some(took) = self.nodes[me].uplink.begin(rate) {
            self.at(now + took, Event::Uploaded { node: me });
        }
    }

    fn is_current(&self, from: usize, to: usize, epoch: u64) -> bool {
        self.nodes[to].peers.get(&from) == Some(&epoch)
    }

    /// One event; false if there is none.
    fn step(&mut self) -> bool {
        let Some(Reverse((at, id))) = self.queue.pop() else { return false };
        let event = self.events.remove(&id).expect("queued");
        self.now = at;
        self.steps += 1;
        let now = self.now;
        let touched = match event {
            Event::Control { from, to, epoch, control } => {
                if self.is_current(from, to, epoch) {
                    self.nodes[to].engine.handle_control(now, from as SourceId, control);
                }
                to
            }
            Event::Progress { from, to, epoch } => {
                if self.is_current(from, to, epoch) {
                    self.nodes[to].engine.handle_progress(now, from as SourceId);
                }
                to
            }
            Event::Landing { from, to, epoch, cid, len } => {
                let n = &mut self.nodes[to];
                let at = now.max(n.down_free + seconds(len, n.link.down));
                n.down_free = at;
                // its bytes share the link with what was there before, so some come all the time
                let mut sign = now;
                while sign < at {
                    self.at(sign, Event::Progress { from, to, epoch });
                    sign += Duration::from_secs(1);
                }
                self.at(at, Event::Block { from, to, epoch, cid, len });
                return true;
            }
            Event::Block { from, to, epoch, cid, len } => {
                if self.is_current(from, to, epoch) {
                    self.arrive(from, to, cid, len);
                }
                to
            }
            Event::Sent { from, to, epoch, cid, len } => {
                if self.is_current(to, from, epoch) {
                    self.nodes[from].engine.handle_sent(now, to as SourceId, &[cid], len);
                }
                from
            }
            Event::Uploaded { node } => {
                let out = self.nodes[node].uplink.end(now);
                self.depart(node, out);
                node
            }
            Event::Lookup { node, source, cids } => {
                let n = &mut self.nodes[node];
                let results = cids.iter().map(|cid| (*cid, n.store.get(cid).copied())).collect();
                n.engine.handle_lookup(now, source, results);
                node
            }
            Event::Stored { node, cid, len } => {
                let n = &mut self.nodes[node];
                n.store.insert(cid, len);
                n.missing.remove(&cid);
                if n.missing.is_empty() && n.done.is_none() {
                    n.done = Some(now);
                }
                n.engine.consumed(now, SESSION, &cid);
                n.engine.handle_stored(now, &[(cid, len)]);
                node
            }
            Event::Reset { node, source } => {
                self.nodes[node].engine.handle_wants_lost(now, source);
                node
            }
            Event::Timeout { node } => {
                let n = &mut self.nodes[node];
                if n.timer == Some(now) {
                    n.timer = None;
                }
                n.engine.handle_timeout(now);
                node
            }
            Event::Connect { a, b } => {
                self.connect(a, b);
                a
            }
            Event::Disconnect { a, b } => {
                self.disconnect(a, b);
                a
            }
            Event::Found { node } => {
                for source in self.provided(node) {
                    let n = &mut self.nodes[node];
                    n.engine.add_source(now, SESSION, source as SourceId);
                    self.connect(node, source);
                }
                node
            }
            Event::Join { node, cids } => {
                let sources = self.provided(node);
                for source in &sources {
                    self.connect(node, *source);
                }
                self.fetch(node, &cids, &sources);
                node
            }
            Event::Leave { node } => {
                self.nodes[node].gone = true;
                for peer in self.nodes[node].peers.keys().copied().collect::<Vec<_>>() {
                    self.disconnect(node, peer);
                }
                node
            }
        };
        self.drive(touched);
        true
    }

    /// The providers that a search finds: all there are, or some of many.
    fn provided(&mut self, node: usize) -> Vec<usize> {
        let nodes = 0..self.nodes.len();
        let mut found: Vec<usize> = nodes
            .filter(|n| *n != node && !self.nodes[*n].gone)
            .filter(|n| !self.nodes[node].penalised.contains_key(n))
            .collect();
        while found.len() > PROVIDED {
            let at = self.random.below(found.len() as u64) as usize;
            found.swap_remove(at);
        }
        found
    }

    fn arrive(&mut self, from: usize, to: usize, cid: Cid, len: usize) {
        let now = self.now;
        let was_asked = self.nodes[to].asked.contains(&(from, cid));
        let n = &mut self.nodes[to];
        match n.engine.handle_block(now, from as SourceId, &cid, len) {
            Arrival::Wanted { sessions } => {
                assert!(was_asked, "a block was accepted of a node that was not asked for it");
                assert_eq!(sessions, [SESSION]);
                assert!(n.missing.contains(&cid), "a block was accepted that is not wanted");
                n.wanted += 1;
                let at = now + Duration::from_millis(2);
                self.at(at, Event::Stored { node: to, cid, len });
            }
            Arrival::Late => n.late += 1,
            Arrival::Unasked => n.unasked += 1,
        }
    }

    /// The bounds that must hold after every event, and now and then all invariants.
    fn watch(&mut self, me: usize) {
        let n = &self.nodes[me];
        if let Some(session) = n.engine.session(SESSION) {
            assert!(session.asked_bytes <= self.config.session_window);
            assert!(session.held_bytes + session.asked_bytes <= self.config.session_window);
        }
        let mut serving = 0;
        for peer in n.peers.keys() {
            let Some(source) = n.engine.source(*peer as SourceId) else { continue };
            assert!(source.window <= limits::SOURCE_WINDOW_MAX);
            assert!(source.in_flight <= limits::SOURCE_WINDOW_MAX);
            assert!(source.wants <= limits::FOREIGN_WANTS);
            assert!(source.serving <= limits::SERVE_SOURCE);
            serving += source.serving;
        }
        assert!(serving <= self.config.serve_total);
        if self.steps.is_multiple_of(self.check_every) {
            n.engine.check();
        }
    }

    /// Runs until these nodes have all they want; the time the last one took.
    fn run(&mut self, nodes: &[usize], limit: Duration) -> Duration {
        let start = epoch();
        while nodes.iter().any(|n| self.nodes[*n].done.is_none()) {
            assert!(self.step(), "nothing happens any more, and something is missing");
            if self.now >= start + limit {
                for n in nodes {
                    let node = &self.nodes[*n];
                    eprintln!(
                        "node {n}: {} missing, {:?}",
                        node.missing.len(),
                        node.engine.session(SESSION)
                    );
                    for peer in node.peers.keys() {
                        let other = &self.nodes[*peer];
                        let source = node.engine.source(*peer as SourceId);
                        eprintln!("  {peer} {:?} {:?}: {source:?}", other.conduct, other.link);
                    }
                }
                panic!("not done after {limit:?}");
            }
        }
        let done = nodes.iter().filter_map(|n| self.nodes[*n].done).max();
        done.map_or(Duration::ZERO, |at| at - start)
    }
}
