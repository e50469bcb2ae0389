//! The loop: takes what comes, hands it to the concern it belongs to. Decides nothing, waits for nothing else.

use std::collections::HashSet;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt as _;
use libp2p::core::ConnectedPoint;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{DialError, Swarm, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, mdns};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use super::attest;
use super::behaviour::{AGENT_PREFIX, Behaviour, BehaviourEvent, LAN_KAD};
use super::behind::{self, Soft};
use super::bitswap::{self, StreamEvent};
use super::blocks::Blocks;
use super::command::Command;
use super::connect::Connects;
use super::dht::{self, Dht, Found, Watcher};
use super::memory::Budget;
use super::names::{self, Names};
use super::peers::Peers;
use super::policy::Policy;
use super::session::Note;
use super::transfer::{Action, Transfer};
use crate::config::network::Preset;
use crate::limits;

/// Everything that lives on the network's thread.
pub(super) struct EventLoop {
    pub(super) swarm: Swarm<Behaviour>,
    /// What happened before the loop began.
    pub(super) early: Vec<SwarmEvent<BehaviourEvent>>,
    pub(super) transfer: Transfer,
    pub(super) dht: Dht,
    pub(super) names: Names,
    pub(super) peers: Peers,
    pub(super) connects: Connects,
    pub(super) policy: Policy,
    pub(super) blocks: Blocks,
    pub(super) budget: Budget,
    pub(super) preset: Preset,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) notes: mpsc::Receiver<Note>,
    pub(super) streams: mpsc::Receiver<StreamEvent>,
    /// The task that writes behind.
    pub(super) saving: Option<JoinHandle<()>>,
}

impl EventLoop {
    /// Runs until it is told to stop or nobody is left who could tell it; returns whoever waits for the end.
    pub(super) async fn run(mut self) -> Option<oneshot::Sender<()>> {
        for event in std::mem::take(&mut self.early) {
            self.on_swarm(event);
        }
        let mut tick = interval(dht::TICK);
        let mut save = interval(limits::WRITE_BEHIND);
        let mut counts = interval(limits::COUNTS_EVERY);
        counts.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        let stopped = loop {
            let due = self.transfer.timeout();
            let far = Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                count = self.streams.recv_many(&mut batch, 64) => {
                    if count == 0 { break None }
                    for event in batch.drain(..) {
                        self.transfer.on_stream(event);
                    }
                }
                event = self.swarm.select_next_some() => self.on_swarm(event),
                Some(note) = self.notes.recv() => self.on_note(note),
                command = self.commands.recv() => match command {
                    None => break None,
                    Some(Command::Shutdown { reply }) => break Some(reply),
                    Some(command) => self.on_command(command),
                },
                () = sleep_until(due.unwrap_or(far).into()) => self.transfer.on_timeout(),
                _ = tick.tick() => self.on_tick(),
                _ = save.tick() => self.save_behind(),
                _ = counts.tick(), if self.transfer.session_count() > 0 => {
                    self.transfer.publish(self.peers.is_reaching(), self.dht.table());
                }
            }
            self.act();
        };
        self.stop().await;
        stopped
    }

    fn on_note(&mut self, note: Note) {
        match note {
            Note::Consumed(session, cid) => self.transfer.consumed(session, &cid),
            Note::Closed(session) => {
                self.transfer.close_session(session);
                self.dht.close_session(&mut self.swarm.behaviour_mut().kad, session);
            }
        }
    }

    pub(super) fn on_tick(&mut self) {
        let now = Instant::now();
        for dial in self.peers.due(now) {
            self.dial(dial);
        }
        for peer in self.peers.unblock(now) {
            self.swarm.behaviour_mut().blocked.unblock_peer(peer);
        }
        let kad = &mut self.swarm.behaviour_mut().kad;
        self.dht.tick(kad, now);
        self.names.tick(kad, self.dht.table());
    }

    /// Dials a peer. What fails at once is told like what fails later; a peer that is there or being dialled is not.
    pub(super) fn dial(&mut self, dial: DialOpts) {
        let peer = dial.get_peer_id();
        match (self.swarm.dial(dial), peer) {
            (Ok(()) | Err(DialError::DialPeerConditionFalse(_)), _) | (_, None) => {}
            (Err(_), Some(peer)) => self.on_unreachable(&peer),
        }
    }

    /// Hands what changed to a task that writes it; one at a time, so that older never overwrites newer.
    pub(super) fn save_behind(&mut self) {
        if self.saving.as_ref().is_some_and(|saving| !saving.is_finished()) {
            return;
        }
        let (now, records) = (SystemTime::now(), self.swarm.behaviour_mut().kad.store_mut());
        records.expire(now);
        records.names.expire(names::wall(now));
        let (changes, blocks) = (self.changes(), self.blocks.clone());
        self.saving = Some(tokio::spawn(async move { behind::save(&blocks, changes).await }));
    }

    /// What is to be written behind.
    fn changes(&mut self) -> Soft {
        let records = self.swarm.behaviour_mut().kad.store_mut();
        Soft {
            records: records.take_changes(),
            names: records.names.take_changes(),
            peers: self.peers.take_changes(),
        }
    }

    /// Whether a connection to this peer is kept though it is idle: a neighbour's is, as long as there are few.
    fn is_kept(&self, peer: &PeerId) -> bool {
        let neighbours = self.swarm.behaviour().mdns.as_ref();
        let is_neighbour =
            neighbours.is_some_and(|mdns| mdns.discovered_nodes().any(|near| near == peer));
        let few = self.swarm.connected_peers().count() <= limits::NEIGHBOURS_KEPT;
        self.policy.is_by_hand(peer) || (is_neighbour && few)
    }

    /// Dials a peer that mDNS has named, at all the addresses that it knows.
    fn dial_neighbour(&mut self, peer: PeerId) {
        let dial = DialOpts::peer_id(peer).condition(PeerCondition::DisconnectedAndNotDialing);
        self.dial(dial.build());
    }

    /// Dials the peers of this LAN again that are not connected any more. Idle connections end; a fetch also wants
    /// what no DHT lists, and that is found at connected peers alone.
    pub(super) fn dial_neighbours(&mut self) {
        let Some(mdns) = self.swarm.behaviour().mdns.as_ref() else { return };
        let away = mdns.discovered_nodes().filter(|peer| !self.swarm.is_connected(peer));
        let away: HashSet<PeerId> = away.take(limits::NEIGHBOURS_DIALLED).copied().collect();
        away.into_iter().for_each(|peer| self.dial_neighbour(peer));
    }

    fn on_unreachable(&mut self, peer: &PeerId) {
        self.peers.on_dial_failed(peer, Instant::now());
        if !self.swarm.is_connected(peer) {
            self.transfer.on_unreachable(peer);
        }
    }

    /// Saves what is known and says goodbye.
    async fn stop(mut self) {
        let last = async {
            if let Some(saving) = self.saving.take() {
                drop(saving.await);
            }
            let changes = self.changes();
            behind::save(&self.blocks, changes).await;
        };
        drop(timeout(limits::SHUTDOWN / 2, last).await);
        let connected: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closing = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        drop(timeout(limits::SHUTDOWN / 4, closing).await);
    }

    /// Carries out what the concerns ask of the swarm and of each other.
    fn act(&mut self) {
        self.transfer.on_table(self.dht.table());
        loop {
            if let Some(found) = self.dht.poll_found() {
                match found {
                    Found::Provider { session, peer, addrs } => {
                        self.transfer.on_provider(session, peer, addrs);
                    }
                    Found::Finished { session } => self.transfer.on_search_finished(session),
                }
            } else if let Some(action) = self.transfer.poll_action() {
                self.on_action(action);
            } else {
                break;
            }
        }
    }

    fn on_action(&mut self, action: Action) {
        match action {
            Action::Find { session, cid } => {
                let kad = &mut self.swarm.behaviour_mut().kad;
                if !self.dht.find(kad, &cid, Watcher::Session(session)) {
                    self.transfer.on_search_finished(session);
                }
            }
            Action::Dial { peer, addrs } => {
                let dial = DialOpts::peer_id(peer)
                    .condition(PeerCondition::DisconnectedAndNotDialing)
                    .addresses(addrs)
                    .extend_addresses_through_behaviour();
                self.dial(dial.build());
            }
            Action::Penalise { peer, fault } => {
                tracing::info!(%peer, %fault, "a peer broke the protocol; not talking to it for a while");
                if let Some(released) = self.peers.block(peer, Instant::now()) {
                    self.swarm.behaviour_mut().blocked.unblock_peer(released);
                }
                self.swarm.behaviour_mut().blocked.block_peer(peer);
                self.swarm.behaviour_mut().kad.remove_peer(&peer);
            }
            Action::Disconnect { peer } => {
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                if let Some(addr) = self.connects.on_connected(connection_id, peer_id) {
                    self.policy.add_peer_by_hand(peer_id);
                    if let Ok(addr) = addr.with_p2p(peer_id) {
                        self.peers.add_by_hand(&addr, Instant::now());
                    }
                    self.swarm.behaviour_mut().bitswap.assume(&peer_id);
                }
                let dialled = endpoint.is_dialer();
                let remote = match endpoint {
                    ConnectedPoint::Dialer { address, .. } => address,
                    ConnectedPoint::Listener { send_back_addr, .. } => send_back_addr,
                };
                let behaviour = self.swarm.behaviour_mut();
                if let Some(link) = behaviour.bitswap.link(&peer_id) {
                    behaviour.attest.set_pace(&peer_id, &link.pace);
                }
                self.peers.on_connected(peer_id, connection_id, remote, dialled);
                self.transfer.on_reached(&peer_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.peers.on_closed(&peer_id, connection_id, Instant::now());
            }
            SwarmEvent::OutgoingConnectionError { peer_id, connection_id, error } => {
                tracing::debug!(?peer_id, %error, "dial failed");
                self.connects.on_failed(connection_id, &error);
                if let Some(peer) = peer_id {
                    self.on_unreachable(&peer);
                }
            }
            SwarmEvent::NewListenAddr { .. } | SwarmEvent::ExpiredListenAddr { .. } => {
                self.policy.read_interfaces();
                self.tell_addresses();
            }
            SwarmEvent::ListenerClosed { addresses, reason: Err(error), .. } => {
                tracing::warn!(?addresses, %error, "no longer listening");
            }
            _ => {}
        }
    }

    fn on_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Bitswap(bitswap::Event::Connected { peer, link }) => {
                let remote = self.peers.remote(&peer).unwrap_or_else(Multiaddr::empty);
                let audience = self.policy.audience(&peer, &remote);
                self.transfer.on_connected(link, audience, self.is_kept(&peer));
            }
            BehaviourEvent::Bitswap(bitswap::Event::Disconnected { peer, source }) => {
                self.transfer.on_disconnected(&peer, source);
            }
            BehaviourEvent::Kad(event) => {
                let (peers, table) = (&self.peers, self.dht.table());
                let kad = &mut self.swarm.behaviour_mut().kad;
                if let Some(event) = self.names.on_event(kad, event, table) {
                    self.dht.on_event(kad, event, &self.policy, |peer| peers.remote(peer));
                }
                if self.dht.table() > table {
                    self.names.tick(kad, self.dht.table());
                }
            }
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                let believed =
                    self.peers.on_identified(peer_id, &info.agent_version, &info.listen_addrs);
                let behaviour = self.swarm.behaviour_mut();
                if let Some(link) = behaviour.bitswap.link(&peer_id) {
                    link.set_ours(info.agent_version.starts_with(AGENT_PREFIX));
                }
                let attests = info.protocols.contains(&attest::PROTOCOL);
                behaviour.attest.set_speaks(&peer_id, attests);
                if !info.protocols.contains(&bitswap::PROTOCOL) {
                    behaviour.bitswap.deny(&peer_id);
                }
                if info.protocols.contains(&LAN_KAD) && !self.peers.is_blocked(&peer_id) {
                    for addr in believed {
                        behaviour.kad.add_address(&peer_id, addr);
                    }
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(found)) => {
                let peers: HashSet<PeerId> = found.into_iter().map(|(peer, _)| peer).collect();
                for peer in peers {
                    if self.is_kept(&peer) {
                        self.transfer.keep(&peer);
                    }
                    self.dial_neighbour(peer);
                }
            }
            BehaviourEvent::Ping(ping) => {
                if let Ok(rtt) = ping.result {
                    self.peers.on_ping(&ping.peer, rtt);
                }
            }
            _ => {}
        }
    }

    /// Tells others the listen addresses worth telling: in a LAN every one of them is reachable.
    fn tell_addresses(&mut self) {
        let listen: Vec<Multiaddr> = self.swarm.listeners().cloned().collect();
        self.policy.set_own(&listen);
        let wanted = self.policy.external(&listen);
        let told: Vec<Multiaddr> = self.swarm.external_addresses().cloned().collect();
        for addr in told.iter().filter(|addr| !wanted.contains(addr)) {
            self.swarm.remove_external_address(addr);
        }
        for addr in wanted.into_iter().filter(|addr| !told.contains(addr)) {
            self.swarm.add_external_address(addr);
        }
    }
}
