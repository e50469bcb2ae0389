//! The exchange's shell: carries the engine's inputs in and its outputs out.
//!
//! It decides nothing about blocks. It maps peers to the engine's sources, keeps each source's writer, hands arrived
//! blocks to their sessions, asks the store on the engine's behalf, and keeps for each session what a user is told:
//! who was asked, who was found, who could not be reached. What needs the swarm comes out as [`Action`]s.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, watch};

use super::bitswap::{Link, StreamEvent, Writer};
use super::blocks::Blocks;
use super::fetch::Fetch;
use super::session::Delivery;
use super::{Error, Sources};
use crate::config::Audience;
use crate::dag::Cid;
use crate::exchange::message::encode_control;
use crate::exchange::{Abilities, Arrival, Config, Engine, Fault, Output, SessionId, SourceId};
use crate::limits;

/// What the event loop must do for the exchange.
#[derive(Debug, PartialEq)]
pub(super) enum Action {
    /// Look for providers of a CID.
    Find { session: SessionId, cid: Cid },
    /// Dial a provider.
    Dial { peer: PeerId, addrs: Vec<Multiaddr> },
    /// Disconnect a peer and refuse it for a while.
    Penalise { peer: PeerId, fault: Fault },
    /// Close a peer's connections: it takes nothing more.
    Disconnect { peer: PeerId },
}

/// Blocks and bytes moved since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) blocks_in: u64,
    pub(super) bytes_in: u64,
    pub(super) blocks_out: u64,
    pub(super) bytes_out: u64,
    pub(super) late: u64,
    pub(super) penalised: u64,
}

/// The shell.
pub(super) struct Transfer {
    engine: Engine,
    blocks: Blocks,
    /// Where tasks of this shell report.
    reports: mpsc::Sender<StreamEvent>,
    sources: HashMap<SourceId, Source>,
    by_peer: HashMap<PeerId, SourceId>,
    sessions: HashMap<SessionId, Fetch>,
    next_session: SessionId,
    actions: VecDeque<Action>,
    pub(super) totals: Totals,
}

struct Source {
    peer: PeerId,
    link: Arc<Link>,
    writer: Writer,
    audience: Audience,
    /// Its connections are kept though they are idle.
    kept: bool,
}

impl Transfer {
    pub(super) fn new(blocks: Blocks, reports: mpsc::Sender<StreamEvent>) -> Self {
        Self {
            engine: Engine::new(Config::default(), rand::random()),
            blocks,
            reports,
            sources: HashMap::new(),
            by_peer: HashMap::new(),
            sessions: HashMap::new(),
            next_session: 1,
            actions: VecDeque::new(),
            totals: Totals::default(),
        }
    }

    // ---- peers

    /// A peer speaks Bitswap: a source for every fetch.
    pub(super) fn on_connected(&mut self, link: Arc<Link>, audience: Audience, kept: bool) {
        let (peer, source, now) = (link.peer, link.source, Instant::now());
        link.set_keep(kept || !self.sessions.is_empty());
        let writer = Writer::spawn(&link, self.reports.clone(), self.blocks.clone(), audience);
        self.by_peer.insert(peer, source);
        self.engine.handle_connected(now, source, Abilities::BITSWAP);
        link.set_known();
        self.sources.insert(source, Source { peer, link, writer, audience, kept });
        for (session, fetch) in &mut self.sessions {
            fetch.reached(&peer);
            self.engine.add_source(now, *session, source);
        }
        self.run(now);
    }

    pub(super) fn on_disconnected(&mut self, peer: &PeerId, source: SourceId) {
        if self.by_peer.get(peer) == Some(&source) {
            self.by_peer.remove(peer);
        }
        if self.sources.remove(&source).is_some() {
            let now = Instant::now();
            self.engine.handle_disconnected(now, source);
            self.run(now);
        }
    }

    /// Keeps a peer's connections though they are idle.
    pub(super) fn keep(&mut self, peer: &PeerId) {
        let source = self.by_peer.get(peer).and_then(|id| self.sources.get_mut(id));
        if let Some(source) = source {
            source.kept = true;
            source.link.set_keep(true);
        }
    }

    /// A peer is there, whether or not it speaks Bitswap: nobody waits for its dial any longer.
    pub(super) fn on_reached(&mut self, peer: &PeerId) {
        self.sessions.values_mut().for_each(|fetch| fetch.reached(peer));
        self.dial_next();
    }

    /// A dial reached nobody.
    pub(super) fn on_unreachable(&mut self, peer: &PeerId) {
        self.sessions.values_mut().for_each(|fetch| fetch.unreachable(peer));
        self.dial_next();
    }

    // ---- streams

    /// Takes in what a stream task reports.
    pub(super) fn on_stream(&mut self, event: StreamEvent) {
        let now = Instant::now();
        let source = event.source();
        match event {
            StreamEvent::Control { source, control, place } => {
                self.engine.handle_control(now, source, control);
                drop(place);
            }
            StreamEvent::Block { source, block, mut permit } => {
                permit.arrived();
                let peer = self.sources.get(&source).map(|one| one.peer);
                let len = block.data().len();
                match self.engine.handle_block(now, source, block.cid(), len) {
                    Arrival::Wanted { sessions } => {
                        self.totals.blocks_in += 1;
                        self.totals.bytes_in += len as u64;
                        let permit = Arc::new(permit);
                        for session in sessions {
                            let delivered = self.sessions.get(&session).zip(peer).is_some_and(
                                |(fetch, source)| {
                                    let (block, permit) = (block.clone(), Arc::clone(&permit));
                                    let delivery = Delivery::Block { block, source, permit };
                                    fetch.deliveries.try_send(delivery).is_ok()
                                },
                            );
                            // Its caller is gone: the session's end is on its way.
                            if !delivered {
                                self.engine.consumed(now, session, block.cid());
                            }
                        }
                    }
                    Arrival::Late => {
                        self.totals.late += 1;
                        permit.recycle(block.into_data());
                    }
                    Arrival::Unasked => permit.recycle(block.into_data()),
                }
            }
            StreamEvent::Refused { source } => self.engine.handle_refused(now, source),
            StreamEvent::Fault { source, fault } => self.engine.handle_fault(now, source, fault),
            StreamEvent::Looked { source, found } => self.engine.handle_lookup(now, source, found),
            StreamEvent::Sent { source, cids, bytes } => {
                self.totals.blocks_out += cids.len() as u64;
                self.totals.bytes_out += bytes as u64;
                self.engine.handle_sent(now, source, &cids, bytes);
            }
            StreamEvent::Unsent { source, cids, retry } => {
                self.engine.handle_unsent(now, source, cids, retry);
            }
            StreamEvent::ResponsesLost { source, cids } => {
                self.engine.handle_responses_lost(now, source, cids);
            }
            StreamEvent::Progress { source } => self.engine.handle_progress(now, source),
            StreamEvent::WantsLost { source } => self.engine.handle_wants_lost(now, source),
            StreamEvent::Stuck { source } => self.stuck(source),
        }
        self.run(now);
        self.expect(source);
    }

    /// Blocks are in the store now: peers that wait for them are told, as far as they may be.
    pub(super) fn on_stored(&mut self, blocks: &[(Cid, usize)]) {
        let now = Instant::now();
        self.engine.handle_stored(now, blocks);
        self.run(now);
    }

    pub(super) fn on_timeout(&mut self) {
        let now = Instant::now();
        self.engine.handle_timeout(now);
        self.run(now);
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        self.engine.poll_timeout()
    }

    // ---- sessions

    pub(super) fn open_session(
        &mut self,
        hints: Vec<Cid>,
        deliveries: mpsc::Sender<Delivery>,
        counts: watch::Sender<Sources>,
        table: usize,
    ) -> Result<SessionId, Error> {
        if self.sessions.len() >= limits::SESSIONS_MAX {
            return Err(Error::TooMany { what: "fetches", max: limits::SESSIONS_MAX });
        }
        let (session, now) = (self.next_session, Instant::now());
        self.next_session += 1;
        let fetch = Fetch::new(hints, deliveries, counts, table);
        self.sessions.insert(session, fetch);
        self.engine.open_session(now, session);
        for (id, source) in &self.sources {
            source.link.set_keep(true);
            self.engine.add_source(now, session, *id);
        }
        self.search(session, None);
        self.run(now);
        Ok(session)
    }

    pub(super) fn close_session(&mut self, session: SessionId) {
        if self.sessions.remove(&session).is_none() {
            return;
        }
        let now = Instant::now();
        self.engine.close_session(now, session);
        for source in self.sources.values() {
            source.link.set_keep(source.kept || !self.sessions.is_empty());
        }
        self.run(now);
    }

    pub(super) fn want(&mut self, session: SessionId, wants: &[(Cid, usize)]) -> Result<(), Error> {
        let now = Instant::now();
        let open = self.engine.session(session).map_or(0, |status| status.wanted);
        if open + wants.len() > limits::SESSION_WANTS {
            return Err(Error::TooManyWants { open });
        }
        self.engine.want(now, session, wants);
        self.run(now);
        Ok(())
    }

    pub(super) fn prioritise(&mut self, session: SessionId, cids: &[Cid]) {
        let now = Instant::now();
        self.engine.prioritise(now, session, cids);
        self.run(now);
    }

    pub(super) fn cancel(&mut self, session: SessionId, cids: &[Cid]) {
        let now = Instant::now();
        self.engine.cancel(now, session, cids);
        self.run(now);
    }

    pub(super) fn consumed(&mut self, session: SessionId, cid: &Cid) {
        let now = Instant::now();
        self.engine.consumed(now, session, cid);
        self.run(now);
    }

    /// Whether a connected peer speaks Bitswap.
    pub(super) fn is_source(&self, peer: &PeerId) -> bool {
        self.by_peer.contains_key(peer)
    }

    pub(super) fn session_count(&self) -> usize {
        self.sessions.len()
    }

    // ---- providers

    /// The DHT named a provider.
    pub(super) fn on_provider(&mut self, session: SessionId, peer: PeerId, addrs: Vec<Multiaddr>) {
        let Some(fetch) = self.sessions.get_mut(&session) else { return };
        if let Some(source) = self.by_peer.get(&peer) {
            fetch.found_connected(peer);
            let now = Instant::now();
            self.engine.add_source(now, session, *source);
            self.run(now);
        } else {
            fetch.found(peer, addrs);
            self.dial_next();
        }
    }

    /// One of a session's searches is over.
    pub(super) fn on_search_finished(&mut self, session: SessionId) {
        if let Some(fetch) = self.sessions.get_mut(&session) {
            fetch.search_finished();
        }
    }

    /// The routing table has this many peers: a session that searched while it was much smaller searches again.
    pub(super) fn on_table(&mut self, table: usize) {
        let outgrown =
            self.sessions.iter_mut().filter_map(|(id, fetch)| fetch.outgrown(table).then_some(*id));
        for session in outgrown.collect::<Vec<_>>() {
            self.search(session, None);
        }
    }

    /// Tells every session its counts, as far as they changed.
    pub(super) fn publish(&mut self, reaching: bool, dht_peers: usize) {
        for (session, fetch) in &self.sessions {
            let status = self.engine.session(*session);
            let (asked, connected) =
                status.as_ref().map_or((0, 0), |status| (status.asked, status.sources));
            fetch.publish(asked, connected, reaching, dht_peers);
        }
    }

    pub(super) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Looks for providers of the session's roots, and of one more CID.
    fn search(&mut self, session: SessionId, cid: Option<Cid>) {
        if let Some(fetch) = self.sessions.get_mut(&session) {
            let cids = fetch.begin_search(cid).into_iter();
            self.actions.extend(cids.map(|cid| Action::Find { session, cid }));
        }
    }

    /// Dials queued providers, a few at once.
    fn dial_next(&mut self) {
        for fetch in self.sessions.values_mut() {
            let dials = fetch.next_dials().into_iter();
            self.actions.extend(dials.map(|(peer, addrs)| Action::Dial { peer, addrs }));
        }
    }

    fn stuck(&mut self, source: SourceId) {
        if let Some(source) = self.sources.get(&source) {
            self.actions.push_back(Action::Disconnect { peer: source.peer });
        }
    }

    /// Carries out what the engine says.
    fn run(&mut self, now: Instant) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Send { source, control } => {
                    // Before anything can come in answer.
                    self.expect(source);
                    let sent = self
                        .sources
                        .get(&source)
                        .is_none_or(|one| one.writer.send(encode_control(&control)));
                    if !sent {
                        self.stuck(source);
                    }
                }
                Output::Lookup { source, cids } => self.look_up(source, cids),
                Output::Serve { source, cids } => {
                    let one = self.sources.get(&source);
                    if one.is_some_and(|one| !one.writer.serve(cids.clone())) {
                        self.engine.handle_unsent(now, source, cids, false);
                    }
                }
                Output::Recall { source, cids } => {
                    if let Some(one) = self.sources.get(&source) {
                        one.writer.recall(cids);
                    }
                }
                Output::FindProviders { session, cid } => {
                    if self.sessions.get(&session).is_some_and(|fetch| !fetch.is_searching()) {
                        self.search(session, Some(cid));
                    }
                }
                Output::Penalise { source, fault } => {
                    if let Some(source) = self.sources.get(&source) {
                        self.totals.penalised += 1;
                        self.actions.push_back(Action::Penalise { peer: source.peer, fault });
                    }
                }
                Output::NotHeld { session, cid } => {
                    if let Some(fetch) = self.sessions.get(&session) {
                        drop(fetch.deliveries.try_send(Delivery::NotHeld(cid)));
                    }
                }
            }
        }
    }

    /// Lets in from a source what is asked of it.
    fn expect(&self, source: SourceId) {
        if let Some(one) = self.sources.get(&source) {
            one.link.expect(self.engine.expected(source));
        }
    }

    fn look_up(&self, source: SourceId, cids: Vec<Cid>) {
        let Some(one) = self.sources.get(&source) else { return };
        let (blocks, reports, audience) = (self.blocks.clone(), self.reports.clone(), one.audience);
        // One at a time for a source: the engine waits for the answer.
        tokio::spawn(async move {
            let found = blocks.look_up(cids, audience).await;
            drop(reports.send(StreamEvent::Looked { source, found }).await);
        });
    }
}
