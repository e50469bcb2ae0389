//! The event loop's answers to the handle's commands.

use std::time::{Instant, SystemTime};

use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};

use super::attest::{Question, Standing};
use super::command::Command;
use super::connect::{self, check_dialable, dial_error};
use super::dht::{Watcher, key_of};
use super::event_loop::EventLoop;
use super::policy::peer_of;
use super::{Error, Peer, Status, names};
use crate::limits;

impl EventLoop {
    /// Answers a command. A caller that no longer waits is no error.
    pub(super) fn on_command(&mut self, command: Command) {
        match command {
            Command::ListenAddrs { reply } => drop(reply.send(self.listen_addrs())),
            Command::Connect { addr, reply } => self.connect(addr, reply),
            Command::AddBootstrap { addr, reply } => drop(reply.send(self.add_bootstrap(&addr))),
            Command::Announce { cids, reply } => {
                let fits = self.dht.announce(cids, Instant::now());
                self.dht.tick(&mut self.swarm.behaviour_mut().kad, Instant::now());
                let max = limits::ANNOUNCED_MAX;
                let full = Error::TooMany { what: "announced CIDs", max };
                drop(reply.send(if fits { Ok(()) } else { Err(full) }));
            }
            Command::Withdraw { cids } => {
                self.dht.withdraw(&mut self.swarm.behaviour_mut().kad, &cids);
            }
            Command::Announced { reply } => drop(reply.send(self.dht.announced())),
            Command::FindProviders { cid, found, reply } => {
                let kad = &mut self.swarm.behaviour_mut().kad;
                let begun = self.dht.find(kad, &cid, Watcher::Caller(found));
                let max = limits::SEARCHES_MAX;
                let full = Error::TooMany { what: "provider searches", max };
                drop(reply.send(if begun { Ok(()) } else { Err(full) }));
            }
            Command::ProvidersHeld { cid, reply } => {
                let records = self.swarm.behaviour_mut().kad.store_mut();
                drop(reply.send(records.holders(&key_of(&cid), SystemTime::now())));
            }
            Command::PublishName { record, reply } => {
                let kad = &mut self.swarm.behaviour_mut().kad;
                self.names.publish(kad, *record, self.dht.table(), reply);
                self.save_behind();
            }
            Command::ResolveName { publisher, within, reply } => {
                self.names.resolve(&mut self.swarm.behaviour_mut().kad, publisher, within, reply);
            }
            Command::NameHeld { publisher, reply } => {
                let held = &self.swarm.behaviour_mut().kad.store_mut().names;
                let record = held.get(&names::key_of(&publisher), names::wall(SystemTime::now()));
                // Nobody may wait for it any more.
                let _ = reply.send(record.cloned());
            }
            Command::Attestors { first, reply } => {
                if first {
                    self.dial_neighbours();
                }
                drop(reply.send(self.attestors()));
            }
            Command::Ask { peer, cid, reply } => self.ask(peer, Question { cid, reply }),
            Command::Peers { reply } => drop(reply.send(self.peer_list())),
            Command::Status { reply } => drop(reply.send(self.status())),
            Command::Rates { reply } => {
                // Nobody may wait for it any more.
                let _ = reply.send(self.swarm.behaviour().bitswap.rates());
            }
            Command::SetRates { rates } => self.swarm.behaviour_mut().bitswap.set_rates(rates),
            Command::Stored { blocks } => self.transfer.on_stored(&blocks),
            Command::OpenSession { hints, deliveries, counts, reply } => {
                let table = self.dht.table();
                let opened = self.transfer.open_session(hints, deliveries, counts, table);
                match reply.send(opened) {
                    Err(Ok(session)) => self.transfer.close_session(session),
                    _ => self.dial_neighbours(),
                }
            }
            Command::Want { session, wants, reply } => {
                drop(reply.send(self.transfer.want(session, &wants)));
            }
            Command::Prioritise { session, cids } => self.transfer.prioritise(session, &cids),
            Command::Cancel { session, cids } => self.transfer.cancel(session, &cids),
            // The loop itself ends on this one.
            Command::Shutdown { reply } => drop(reply),
        }
    }

    /// Whether more peers may be there in a moment.
    fn is_reaching(&self) -> bool {
        self.peers.is_reaching() || self.swarm.behaviour().attest.is_settling()
    }

    fn attestors(&self) -> Standing {
        let attest = &self.swarm.behaviour().attest;
        Standing {
            speakers: attest.speakers().collect(),
            reaching: self.is_reaching(),
            table: self.dht.table(),
        }
    }

    fn ask(&mut self, peer: PeerId, question: Question) {
        let behaviour = self.swarm.behaviour_mut();
        if behaviour.attest.ask(peer, question) {
            let addrs = behaviour.kad.store_mut().addrs(&peer).to_vec();
            let dial = DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(addrs)
                .extend_addresses_through_behaviour();
            self.dial(dial.build());
        }
    }

    fn connect(&mut self, addr: Multiaddr, reply: connect::Reply) {
        let peer = peer_of(&addr);
        if let Some(peer) = peer.filter(|peer| self.peers.is_blocked(peer)) {
            drop(reply.send(Err(Error::Penalised { peer })));
            return;
        }
        if let Err(error) = check_dialable(&addr) {
            drop(reply.send(Err(error)));
            return;
        }
        if !self.policy.add_by_hand(&addr) {
            let full = Error::TooMany { what: "addresses given by hand", max: limits::BY_HAND_MAX };
            drop(reply.send(Err(full)));
            return;
        }
        if peer == Some(*self.swarm.local_peer_id()) {
            let reason = "that is this node itself".to_owned();
            drop(reply.send(Err(Error::Dial { addr, reason })));
            return;
        }
        self.peers.add_by_hand(&addr, Instant::now());
        if let Some(peer) = peer.filter(|peer| self.swarm.is_connected(peer)) {
            drop(reply.send(Ok(peer)));
            return;
        }
        let dial = match peer {
            Some(peer) => DialOpts::peer_id(peer)
                .condition(PeerCondition::Always)
                .addresses(vec![addr.clone()])
                .build(),
            None => DialOpts::unknown_peer_id().address(addr.clone()).build(),
        };
        let id = dial.connection_id();
        match self.swarm.dial(dial) {
            Ok(()) => self.connects.wait(id, addr, reply),
            Err(error) => drop(reply.send(Err(dial_error(addr, &error)))),
        }
    }

    fn add_bootstrap(&mut self, addr: &Multiaddr) -> Result<(), Error> {
        check_dialable(addr)?;
        if peer_of(addr).is_none() {
            return Err(Error::NeedsPeerId { addr: addr.clone() });
        }
        if !self.policy.add_by_hand(addr) {
            return Err(Error::TooMany {
                what: "addresses given by hand",
                max: limits::BY_HAND_MAX,
            });
        }
        self.peers.add_by_hand(addr, Instant::now());
        self.on_tick();
        Ok(())
    }

    fn listen_addrs(&self) -> Vec<Multiaddr> {
        let listen: Vec<Multiaddr> = self.swarm.listeners().cloned().collect();
        let local = *self.swarm.local_peer_id();
        let reachable = self.policy.external(&listen).into_iter();
        reachable.filter_map(|addr| addr.with_p2p(local).ok()).collect()
    }

    fn peer_list(&self) -> Vec<Peer> {
        let list = self.peers.connected().map(|(id, entry)| {
            let link = self.swarm.behaviour().bitswap.link(id);
            let (bytes_in, bytes_out) = link.map_or((0, 0), |link| link.traffic());
            Peer {
                id: *id,
                addrs: entry.connections.iter().map(|one| one.remote.clone()).collect(),
                agent: entry.agent.clone(),
                rtt: entry.rtt,
                dialled: entry.connections.first().is_some_and(|one| one.dialled),
                by_hand: entry.by_hand,
                bitswap: self.transfer.is_source(id),
                bytes_in,
                bytes_out,
            }
        });
        list.collect()
    }

    fn status(&mut self) -> Status {
        let announced = self.dht.announced();
        let totals = self.transfer.totals;
        Status {
            peer_id: *self.swarm.local_peer_id(),
            preset: self.preset,
            listen: self.listen_addrs(),
            connections: self.swarm.connected_peers().count(),
            dht_peers: self.dht.table(),
            reaching: self.is_reaching(),
            sessions: self.transfer.session_count(),
            announced: (announced.len(), announced.iter().filter(|one| one.at.is_some()).count()),
            records: self.swarm.behaviour_mut().kad.store_mut().len(),
            names: self.swarm.behaviour_mut().kad.store_mut().names.len(),
            blocks_in: totals.blocks_in,
            bytes_in: totals.bytes_in,
            blocks_out: totals.blocks_out,
            bytes_out: totals.bytes_out,
            late: totals.late,
            penalised: totals.penalised,
            payload_memory: self.budget.used(),
        }
    }
}
