//! Starting a node's network: its thread, its sockets, what earlier runs remembered.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::StreamExt as _;
use libp2p::Multiaddr;
use libp2p::core::transport::TransportError;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{self, Swarm, SwarmEvent};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::attest::{self, Answerer};
use super::behaviour::BehaviourEvent;
use super::bitswap::{self, Inbound};
use super::blocks::Blocks;
use super::connect::{Connects, check_dialable, root_cause};
use super::dht::Dht;
use super::event_loop::EventLoop;
use super::landing::Landings;
use super::memory::Budget;
use super::names::{self, Names};
use super::offered::Offered;
use super::peers::Peers;
use super::policy::{Policy, ip_of, peer_of};
use super::pool::{Pool, Threads};
use super::transfer::Transfer;
use super::{Error, Network, Options, behaviour, behind, transport};
use crate::config::network::{Preset, is_unspecified};
use crate::limits;
use crate::store::Store;

/// Starts the thread and waits until every address is listened on.
pub(super) async fn start(options: Options, store: Store) -> Result<Network, Error> {
    if options.settings.preset == Preset::Public {
        return Err(Error::PresetUnsupported { preset: Preset::Public });
    }
    for addr in &options.bootstrap {
        check_dialable(addr)?;
        if peer_of(addr).is_none() {
            return Err(Error::NeedsPeerId { addr: addr.clone() });
        }
    }
    let peer_id = options.identity.public().to_peer_id();
    let (commands, command_queue) = mpsc::channel(limits::COMMANDS);
    let (notes, note_queue) = mpsc::channel(limits::NOTES);
    let landings = Landings::default();
    let (ready, started) = oneshot::channel();
    let offered = Offered::default();
    let shared = (landings.clone(), offered.clone());
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(Error::Start(error.to_string())))),
        };
        let ended = runtime.block_on(async move {
            match assemble(options, store, shared).await {
                Ok((parts, threads)) => {
                    drop(ready.send(Ok(())));
                    Some((parts.into_loop(command_queue, note_queue).run().await, threads))
                }
                Err(error) => {
                    drop(ready.send(Err(error)));
                    None
                }
            }
        });
        // Tasks end with the runtime, then the threads they used: only then is the store nobody's but the caller's.
        drop(runtime);
        if let Some((reply, threads)) = ended {
            for pool in threads {
                pool.wait(limits::SHUTDOWN / 4);
            }
            reply.map(|reply| reply.send(()));
        }
    };
    std::thread::Builder::new()
        .name("network".to_owned())
        .spawn(run)
        .map_err(|error| Error::Start(error.to_string()))?;
    started.await.map_err(|_| Error::Start("its thread ended".to_owned()))??;
    let asks = Arc::new(Semaphore::new(limits::ATTEST_ASKS));
    Ok(Network { peer_id, commands, notes, landings, offered, asks })
}

/// Everything but the handle's queues.
struct Parts {
    swarm: Swarm<behaviour::Behaviour>,
    early: Vec<SwarmEvent<BehaviourEvent>>,
    peers: Peers,
    policy: Policy,
    blocks: Blocks,
    budget: Budget,
    preset: Preset,
    reports: mpsc::Sender<bitswap::StreamEvent>,
    streams: mpsc::Receiver<bitswap::StreamEvent>,
}

impl Parts {
    fn into_loop(
        self,
        commands: mpsc::Receiver<super::command::Command>,
        notes: mpsc::Receiver<super::session::Note>,
    ) -> EventLoop {
        EventLoop {
            dht: Dht::new(*self.swarm.local_peer_id()),
            names: Names::new(Instant::now()),
            transfer: Transfer::new(self.blocks.clone(), self.reports),
            swarm: self.swarm,
            early: self.early,
            peers: self.peers,
            connects: Connects::default(),
            policy: self.policy,
            blocks: self.blocks,
            budget: self.budget,
            preset: self.preset,
            commands,
            notes,
            streams: self.streams,
            saving: None,
        }
    }
}

async fn assemble(
    options: Options,
    store: Store,
    (landings, offered): (Landings, Offered),
) -> Result<(Parts, [Threads; 2]), Error> {
    let start = |error: std::io::Error| Error::Start(error.to_string());
    let Options { identity, settings, rates, listen, bootstrap, attestations } = options;
    let policy = Policy::new(settings.lan_ranges.clone());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (hashing, hash_threads) =
        Pool::new("hash", cores.min(limits::HASH_THREADS), limits::HASH_QUEUE).map_err(start)?;
    let (calls, call_threads) =
        Pool::new("store", limits::STORE_THREADS, limits::STORE_QUEUE).map_err(start)?;
    let blocks = Blocks::new(store, calls, offered);
    let budget = Budget::new(limits::PAYLOAD);
    let (reports, streams) = mpsc::channel(limits::STREAM_EVENTS);
    let inbound = Inbound { events: reports.clone(), hashing, landings };
    let bitswap = bitswap::Behaviour::new(inbound, budget.clone(), rates);
    let answerer = Answerer::new(attestations, blocks.clone(), policy.clone());
    let attest = attest::Behaviour::new(answerer);
    let behaviour =
        behaviour::build(&identity, &settings, policy.clone(), attest, bitswap).map_err(start)?;
    let transport = transport::build(&identity, policy.clone())
        .map_err(|error| Error::Start(error.to_string()))?;
    let config = swarm::Config::with_tokio_executor()
        .with_idle_connection_timeout(limits::IDLE_CONNECTION)
        .with_max_negotiating_inbound_streams(limits::NEGOTIATING_STREAMS)
        // Not `V1Lazy`, though it saves a round trip on each stream: Helia's Bitswap never sees what comes together with
        // the protocol's name, and over QUIC one-way messages are lost. A spare stream does it (`bitswap::spare`).
        .with_per_connection_event_buffer_size(limits::CONNECTION_EVENTS)
        .with_notify_handler_buffer_size(limits::CONNECTION_EVENTS.try_into().expect("not zero"));
    let local = identity.public().to_peer_id();
    let mut swarm = Swarm::new(transport, behaviour, local, config);

    let mut peers = Peers::new(policy.clone());
    let soft = behind::load(&blocks).await;
    let (now, clock) = (Instant::now(), SystemTime::now());
    let records = swarm.behaviour_mut().kad.store_mut();
    soft.records.into_iter().for_each(|saved| records.restore(saved, clock));
    soft.names.into_iter().for_each(|saved| records.names.restore(saved, now, names::wall(clock)));
    peers.restore(soft.peers.into_iter().filter(|(peer, _)| *peer != local).collect(), now);
    for addr in bootstrap.iter().filter(|addr| peer_of(addr) != Some(local)) {
        policy.add_by_hand(addr);
        peers.add_by_hand(addr, now);
    }
    let early = bind(&mut swarm, listen).await?;
    let preset = settings.preset;
    let parts = Parts { swarm, early, peers, policy, blocks, budget, preset, reports, streams };
    Ok((parts, [hash_threads, call_threads]))
}

/// Listens on every address and waits until each is bound, on all interfaces that it means. Gives back what else
/// happened meanwhile, such as neighbours that were found: nobody tells it twice.
async fn bind(
    swarm: &mut Swarm<behaviour::Behaviour>,
    listen: Vec<Multiaddr>,
) -> Result<Vec<SwarmEvent<BehaviourEvent>>, Error> {
    let interfaces = match if_addrs::get_if_addrs() {
        Ok(interfaces) => interfaces,
        Err(error) => return Err(Error::Start(error.to_string())),
    };
    let interfaces: Vec<IpAddr> =
        interfaces.iter().take(limits::INTERFACES_MAX).map(if_addrs::Interface::ip).collect();
    let mut waiting = Vec::new();
    for addr in listen {
        probe(&addr)?;
        match swarm.listen_on(addr.clone()) {
            Ok(id) => waiting.push((id, meant(&addr, &interfaces), addr)),
            Err(error) => match listen_error(addr, &error) {
                // A host without IPv6 has no "every IPv6 interface".
                Error::Listen { addr, reason } if is_every_ipv6(&addr) => {
                    tracing::warn!(%addr, reason, "not listening there");
                }
                error => return Err(error),
            },
        }
    }
    let mut early = Vec::new();
    // An address that this host has no more brings nothing; it may come later.
    let deadline = tokio::time::sleep(Duration::from_secs(2));
    tokio::pin!(deadline);
    while waiting.iter().any(|(_, ips, _)| !ips.is_empty()) && early.len() < limits::EARLY_EVENTS {
        let event = tokio::select! {
            () = &mut deadline => break,
            event = swarm.select_next_some() => event,
        };
        match &event {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                let of_it = waiting.iter_mut().filter(|(id, ..)| id == listener_id);
                of_it.for_each(|(_, ips, _)| ips.retain(|ip| Some(*ip) != ip_of(address)));
            }
            SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. } => {
                if let Some((.., addr)) = waiting.iter().find(|(id, ..)| id == listener_id) {
                    return Err(Error::Listen { addr: addr.clone(), reason: error.to_string() });
                }
            }
            _ => {}
        }
        early.push(event);
    }
    Ok(early)
}

/// The IPs that listening on an address means on a host with these interfaces.
fn meant(addr: &Multiaddr, interfaces: &[IpAddr]) -> Vec<IpAddr> {
    match ip_of(addr) {
        Some(every) if is_unspecified(every) => {
            interfaces.iter().filter(|ip| ip.is_ipv4() == every.is_ipv4()).copied().collect()
        }
        one => one.into_iter().collect(),
    }
}

/// Whether a port is free, asked without the options the transport sets: with those, Linux lets two processes of one
/// user listen on one TCP port and gives each a share of the connections.
fn probe(addr: &Multiaddr) -> Result<(), Error> {
    let mut parts = addr.iter().skip(1);
    let Some(ip) = ip_of(addr) else { return Ok(()) };
    // For every IPv6 interface, the standard library takes the IPv4 port too, and the transport does not.
    if is_every_ipv6(addr) {
        return Ok(());
    }
    let bound = match parts.next() {
        Some(Protocol::Tcp(port)) if port != 0 => {
            TcpListener::bind(SocketAddr::new(ip, port)).map(drop)
        }
        Some(Protocol::Udp(port)) if port != 0 => {
            UdpSocket::bind(SocketAddr::new(ip, port)).map(drop)
        }
        _ => return Ok(()),
    };
    match bound {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Err(Error::ListenTaken { addr: addr.clone() })
        }
        Err(error) => Err(Error::Listen { addr: addr.clone(), reason: error.to_string() }),
        Ok(()) => Ok(()),
    }
}

fn is_every_ipv6(addr: &Multiaddr) -> bool {
    ip_of(addr).is_some_and(|ip| ip.is_ipv6() && is_unspecified(ip))
}

fn listen_error(addr: Multiaddr, error: &TransportError<std::io::Error>) -> Error {
    match error {
        TransportError::MultiaddrNotSupported(_) => {
            Error::UnsupportedAddr { addr, reason: "no transport for such an address".to_owned() }
        }
        TransportError::Other(error) => {
            let reason = root_cause(error);
            // The transport hides the error's kind; the system's words for it do not change.
            if reason.contains("in use") {
                Error::ListenTaken { addr }
            } else {
                Error::Listen { addr, reason }
            }
        }
    }
}
