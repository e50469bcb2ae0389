//! Whole nodes on loopback, and raw DHT peers that hold and send what they are told to.

use std::time::{Duration, SystemTime};

use futures::future::LocalBoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use libp2p::kad::store::{MemoryStore, RecordStore as _};
use libp2p::kad::{
    self, Event, InboundRequest, Mode, QueryResult, Quorum, Record as Entry, RecordKey as Key,
};
use libp2p::swarm::{NetworkBehaviour, Swarm, SwarmEvent};
use libp2p::{Multiaddr, identify};
use tokio::time::{sleep, timeout};

use super::{key_of, wall};
use crate::card::index::Scope;
use crate::card::ipns::Record;
use crate::limits;
use crate::network::behaviour::LAN_KAD;
use crate::network::testing::{Node, PATIENCE, eventually, publisher, record, record_until};
use crate::network::{Error, Keypair, policy, transport};

#[derive(NetworkBehaviour)]
struct Protocols {
    identify: identify::Behaviour,
    kad: kad::Behaviour<MemoryStore>,
}

/// A peer of the LAN's DHT that verifies nothing.
struct Raw {
    swarm: Swarm<Protocols>,
    addr: Multiaddr,
    /// GET_VALUE requests it was sent.
    asked: usize,
}

impl Raw {
    async fn new() -> Self {
        let identity = Keypair::generate_ed25519();
        let peer = identity.public().to_peer_id();
        let transport = transport::build(&identity, policy::Policy::new(Vec::new())).unwrap();
        let mut kad =
            kad::Behaviour::with_config(peer, MemoryStore::new(peer), kad::Config::new(LAN_KAD));
        kad.set_mode(Some(Mode::Server));
        let identify = identify::Behaviour::new(identify::Config::new(
            "ipfs/0.1.0".to_owned(),
            identity.public(),
        ));
        let config =
            libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
        let mut swarm = Swarm::new(transport, Protocols { identify, kad }, peer, config);
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let addr = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address.with_p2p(peer).unwrap();
            }
        };
        Self { swarm, addr, asked: 0 }
    }

    /// One that answers with this record.
    async fn with(record: &Record) -> Self {
        let mut raw = Self::new().await;
        let entry = entry(key_of(record.publisher()), record.bytes().to_vec());
        raw.swarm.behaviour_mut().kad.store_mut().put(entry).unwrap();
        raw
    }

    fn has(&mut self, record: &Record) -> bool {
        let held = self.swarm.behaviour_mut().kad.store_mut().get(&key_of(record.publisher()));
        held.is_some_and(|held| held.value == record.bytes()[..])
    }

    /// Does its part as a peer while something happens.
    async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        let work = timeout(PATIENCE, work);
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done.expect("in time"),
                event = self.swarm.select_next_some() => {
                    if let SwarmEvent::Behaviour(ProtocolsEvent::Kad(Event::InboundRequest {
                        request: InboundRequest::GetRecord { .. },
                    })) = event
                    {
                        self.asked += 1;
                    }
                }
            }
        }
    }

    /// Puts anything to a node, and waits until that has looked at it: it acknowledges afterwards, and everything.
    async fn put(&mut self, node: &Node, key: Key, value: Vec<u8>) {
        let peer = node.network.peer_id();
        let kad = &mut self.swarm.behaviour_mut().kad;
        kad.add_address(&peer, policy::without_peer(&node.addr));
        let id = kad.put_record_to(entry(key, value), [peer].into_iter(), Quorum::One);
        let acknowledged = async {
            loop {
                if let SwarmEvent::Behaviour(ProtocolsEvent::Kad(Event::OutboundQueryProgressed {
                    id: ended,
                    result: QueryResult::PutRecord(outcome),
                    ..
                })) = self.swarm.select_next_some().await
                    && ended == id
                {
                    return outcome.map(drop);
                }
            }
        };
        timeout(PATIENCE, acknowledged).await.unwrap().unwrap();
    }
}

fn entry(key: Key, value: Vec<u8>) -> Entry {
    Entry { key, value, publisher: None, expires: None }
}

/// All these do their part while something happens.
async fn during<'a, T: 'a>(raws: &'a mut [Raw], work: impl Future<Output = T> + 'a) -> T {
    let mut work: LocalBoxFuture<'a, T> = work.boxed_local();
    for raw in raws {
        work = raw.during(work).boxed_local();
    }
    work.await
}

/// A node that has all of these in its routing table.
async fn node_among(raws: &mut [Raw]) -> Node {
    let node = Node::new(&[]).await;
    for raw in &*raws {
        node.network.add_bootstrap(raw.addr.clone()).await.unwrap();
    }
    let count = raws.len();
    during(raws, in_table(&node, count)).await;
    node
}

async fn in_table(node: &Node, peers: usize) {
    eventually("peers in the routing table", || async {
        node.network.status().await.unwrap().dht_peers >= peers
    })
    .await;
}

async fn holds(node: &Node, record: &Record) {
    eventually("the record is held", || async {
        node.network.name_held(*record.publisher()).await.unwrap().as_ref() == Some(record)
    })
    .await;
}

async fn all_have(raws: &mut [Raw], record: &Record) {
    let told = async {
        while !raws.iter_mut().all(|raw| raw.has(record)) {
            during(raws, sleep(Duration::from_millis(20))).await;
        }
    };
    timeout(PATIENCE, told).await.expect("all have it");
}

async fn resolves(node: &Node, record: &Record) {
    eventually("the name is resolved", || async {
        node.network.resolve_name(*record.publisher()).await.unwrap().as_ref() == Some(record)
    })
    .await;
}

#[tokio::test]
async fn a_name_resolves_for_a_node_that_never_met_its_publisher_after_that_has_gone() {
    let record = record(1, 1);
    let holder = Node::new(&[]).await;
    let publisher = Node::new(&[&holder]).await;
    in_table(&publisher, 1).await;
    assert_eq!(publisher.network.publish_name(record.clone()).await.unwrap(), 1);
    assert_eq!(
        holder.network.name_held(*record.publisher()).await.unwrap(),
        Some(record.clone()),
        "who acknowledged it has it"
    );
    publisher.stop().await;
    let asker = Node::new(&[&holder]).await;
    resolves(&asker, &record).await;
    let stranger = crate::network::testing::publisher(2);
    assert_eq!(asker.network.resolve_name(stranger).await.unwrap(), None);
}

#[tokio::test]
async fn a_record_published_alone_is_held_and_reaches_the_first_peer() {
    let alone = Node::new(&[]).await;
    let record = record(1, 1);
    assert_eq!(alone.network.publish_name(record.clone()).await.unwrap(), 0);
    assert_eq!(alone.network.name_held(publisher(1)).await.unwrap(), Some(record.clone()));
    assert_eq!(alone.network.resolve_name(publisher(1)).await.unwrap(), Some(record.clone()));
    let first = Node::new(&[&alone]).await;
    holds(&first, &record).await;
}

#[tokio::test]
async fn whoever_holds_a_record_sends_it_to_peers_that_come_later_without_its_publisher() {
    let record = record(1, 1);
    let holder = Node::new(&[]).await;
    let publisher = Node::new(&[&holder]).await;
    publisher.network.publish_name(record.clone()).await.unwrap();
    holds(&holder, &record).await;
    publisher.stop().await;
    let late = Node::new(&[&holder]).await;
    holds(&late, &record).await;
}

#[tokio::test]
async fn records_survive_a_restart_of_their_holder() {
    let key = Keypair::generate_ed25519();
    let holder = Node::start(tempfile::tempdir().unwrap(), key.clone(), &[]).await;
    let publisher = Node::new(&[&holder]).await;
    let (others, own) = (record(1, 1), record(2, 1));
    publisher.network.publish_name(others.clone()).await.unwrap();
    holds(&holder, &others).await;
    publisher.stop().await;
    holder.network.publish_name(own.clone()).await.unwrap();

    let home = holder.stop().await;
    let holder = Node::start(home, key, &[]).await;
    for record in [&others, &own] {
        let held = holder.network.name_held(*record.publisher()).await.unwrap();
        assert_eq!(held.as_ref(), Some(record));
    }
    let asker = Node::new(&[&holder]).await;
    resolves(&asker, &others).await;
    resolves(&asker, &own).await;
}

#[tokio::test]
async fn a_newer_record_replaces_what_the_holders_have() {
    let holder = Node::new(&[]).await;
    let publisher = Node::new(&[&holder]).await;
    in_table(&publisher, 1).await;
    for sequence in 1..=3 {
        let record = record(1, sequence);
        assert_eq!(publisher.network.publish_name(record.clone()).await.unwrap(), 1);
        assert_eq!(holder.network.name_held(*record.publisher()).await.unwrap(), Some(record));
    }
    assert_eq!(holder.network.status().await.unwrap().names, 1);
}

#[tokio::test]
async fn what_cannot_be_published_says_why_and_changes_nothing() {
    let node = Node::new(&[]).await;
    let newer = record(1, 2);
    node.network.publish_name(newer.clone()).await.unwrap();
    let error = node.network.publish_name(record(1, 1)).await.unwrap_err();
    assert!(matches!(error, Error::OlderRecord { sequence: 1, held: 2, .. }), "{error}");
    let end = wall(SystemTime::now());
    let ended = record_until(2, Scope::Lan, 1, end);
    let error = node.network.publish_name(ended).await.unwrap_err();
    assert!(matches!(error, Error::RecordExpired { at, .. } if at == end), "{error}");
    let public = record_until(3, Scope::Public, 1, "2126-11-22T18:00:00Z".parse().unwrap());
    let error = node.network.publish_name(public).await.unwrap_err();
    assert!(matches!(error, Error::OtherDht { .. }), "{error}");
    assert_eq!(node.network.name_held(publisher(1)).await.unwrap(), Some(newer));
    assert_eq!(node.network.status().await.unwrap().names, 1);
}

#[tokio::test]
async fn nothing_that_a_stranger_puts_is_stored_but_a_names_newest_record() {
    let end = "2126-11-22T18:00:00Z".parse().unwrap();
    let node = Node::new(&[]).await;
    let mut stranger = Raw::new().await;
    let key = key_of(&publisher(1));
    let good = record(1, 2);
    let mut damaged = good.bytes().to_vec();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let other_space = Key::new(&[b"/pk/", &key.as_ref()[6..]].concat());
    let mut weak = key.to_vec();
    weak[12..].fill(0);
    for (what, key, value) in [
        ("garbage", key.clone(), b"garbage".to_vec()),
        ("nothing", key.clone(), Vec::new()),
        ("a damaged record", key.clone(), damaged),
        ("another's record", key.clone(), record(2, 1).bytes().to_vec()),
        ("more than a record has", key.clone(), [good.bytes(), &vec![0; 11_000][..]].concat()),
        ("the other DHT's", key.clone(), record_until(1, Scope::Public, 9, end).bytes().to_vec()),
        (
            "one that has ended",
            key.clone(),
            record_until(1, Scope::Lan, 9, wall(SystemTime::now())).bytes().to_vec(),
        ),
        ("a record in another name space", other_space, good.bytes().to_vec()),
        ("a record under a bare key", Key::from(key.to_vec().split_off(6)), good.bytes().to_vec()),
        ("a record of a weak key", Key::from(weak), good.bytes().to_vec()),
    ] {
        stranger.put(&node, key, value).await;
        assert_eq!(node.network.status().await.unwrap().names, 0, "{what}");
    }
    stranger.put(&node, key.clone(), good.bytes().to_vec()).await;
    assert_eq!(node.network.name_held(publisher(1)).await.unwrap(), Some(good.clone()));
    stranger.put(&node, key.clone(), record(1, 1).bytes().to_vec()).await;
    stranger.put(&node, key, b"garbage".to_vec()).await;
    assert_eq!(node.network.name_held(publisher(1)).await.unwrap(), Some(good));
}

#[tokio::test]
async fn a_peer_has_a_bounded_number_of_records_verified_in_a_second() {
    let node = Node::new(&[]).await;
    let mut stranger = Raw::new().await;
    // It is connected, then.
    stranger.put(&node, key_of(&publisher(0)), b"garbage".to_vec()).await;
    let peer = node.network.peer_id();
    let count = 20 * u32::try_from(limits::NAME_CHECKS_PER_PEER).unwrap();
    let records: Vec<Record> = (1..=count).map(|n| record(n, 1)).collect();
    let begun = std::time::Instant::now();
    let mut open = std::collections::HashSet::new();
    for record in &records {
        let entry = entry(key_of(record.publisher()), record.bytes().to_vec());
        let kad = &mut stranger.swarm.behaviour_mut().kad;
        open.insert(kad.put_record_to(entry, [peer].into_iter(), Quorum::One));
    }
    let ended = async {
        while !open.is_empty() {
            if let SwarmEvent::Behaviour(ProtocolsEvent::Kad(Event::OutboundQueryProgressed {
                id,
                ..
            })) = stranger.swarm.select_next_some().await
            {
                open.remove(&id);
            }
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
    let names = node.network.status().await.unwrap().names;
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    assert!(names > 0, "some were taken");
    assert!(names <= seconds * limits::NAME_CHECKS_PER_PEER, "{names} in {seconds} s");
}

#[tokio::test]
async fn a_resolve_takes_the_newest_and_sends_it_to_peers_that_have_an_older_one_or_none() {
    let newest = record(1, 2);
    let junk = {
        let mut junk = Raw::new().await;
        let entry = entry(key_of(&publisher(1)), b"junk".to_vec());
        junk.swarm.behaviour_mut().kad.store_mut().put(entry).unwrap();
        junk
    };
    let mut raws =
        [Raw::with(&newest).await, Raw::with(&record(1, 1)).await, Raw::new().await, junk];
    let node = node_among(&mut raws).await;
    assert_eq!(node.network.name_held(publisher(1)).await.unwrap(), None);
    let resolved = during(&mut raws, node.network.resolve_name(publisher(1))).await.unwrap();
    assert_eq!(resolved.as_ref(), Some(&newest));
    assert_eq!(node.network.name_held(publisher(1)).await.unwrap(), resolved, "held here too");
    all_have(&mut raws, &newest).await;
}

#[tokio::test]
async fn a_holder_of_a_newer_record_is_not_talked_out_of_it() {
    let newer = record(1, 2);
    let mut raws = [Raw::with(&record(1, 1)).await];
    let node = node_among(&mut raws).await;
    // Brought by a peer that does not join the table: published, or with more peers, it would be put to the other one.
    let mut bringer = Raw::new().await;
    bringer.swarm.behaviour_mut().kad.set_mode(Some(Mode::Client));
    bringer.put(&node, key_of(&publisher(1)), newer.bytes().to_vec()).await;
    raws[0].put(&node, key_of(&publisher(1)), record(1, 1).bytes().to_vec()).await;
    assert_eq!(node.network.name_held(publisher(1)).await.unwrap(), Some(newer.clone()));
    let resolved = during(&mut raws, node.network.resolve_name(publisher(1))).await;
    assert_eq!(resolved.unwrap(), Some(newer.clone()));
    all_have(&mut raws, &newer).await;
}

#[tokio::test]
async fn a_record_of_the_other_dht_is_not_resolved() {
    let end = "2126-11-22T18:00:00Z".parse().unwrap();
    let mut raws = [Raw::with(&record_until(1, Scope::Public, 1, end)).await];
    let node = node_among(&mut raws).await;
    let resolve = raws[0].during(node.network.resolve_name(publisher(1)));
    assert_eq!(resolve.await.unwrap(), None);
    assert!(raws[0].asked > 0, "it was there");
    assert_eq!(node.network.status().await.unwrap().names, 0);
}

#[tokio::test]
async fn callers_for_one_name_share_one_query() {
    let record = record(1, 1);
    let mut raws = [Raw::with(&record).await];
    let node = node_among(&mut raws).await;
    let network = &node.network;
    // Both ask before the peer can answer: it does nothing but within this very future.
    let both = async {
        tokio::join!(network.resolve_name(publisher(1)), network.resolve_name(publisher(1)))
    };
    let (one, two) = raws[0].during(both).await;
    assert_eq!(one.unwrap().as_ref(), Some(&record));
    assert_eq!(two.unwrap().as_ref(), Some(&record));
    assert_eq!(raws[0].asked, 1);
}
