//! Whole nodes on loopback: what users of this layer rely on.

use futures::{AsyncWriteExt as _, StreamExt as _};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{Swarm, SwarmEvent};
use libp2p::{Transport as _, identify};
use tokio::time::timeout;

use super::testing::{Node, PATIENCE, blocks, eventually, options, receive, refused, wants};
use super::*;
use crate::config::Visibility;
use crate::config::network::Preset;
use crate::dag::Block;
use crate::dag::block::RAW;
use crate::limits::MIB;

#[tokio::test]
async fn two_nodes_exchange_blocks_of_all_sizes_through_their_stores() {
    let (seeder, fetcher) = (Node::new(&[]).await, Node::new(&[]).await);
    let mut all = blocks(40, MIB);
    all.extend(
        blocks(500, 1000)
            .into_iter()
            .map(|block| Block::new(RAW, [block.data(), &b"s"[..]].concat())),
    );
    all.push(Block::new(RAW, Vec::new()));
    all.push(Block::new(RAW, vec![1; limits::BLOCK_MAX]));
    seeder.hold(&all, Visibility::Lan);
    fetcher.network.connect(seeder.addr.clone()).await.unwrap();
    let mut session = fetcher.network.session(Vec::new()).await.unwrap();
    session.want(wants(&all)).await.unwrap();
    receive(&mut session, &all).await;
    eventually("one peer was asked", || async { session.sources().asked == 1 }).await;
    let status = fetcher.network.status().await.unwrap();
    assert_eq!(status.blocks_in, all.len() as u64);
    drop(session);
    eventually("the session is over and its memory free", || async {
        let status = fetcher.network.status().await.unwrap();
        status.sessions == 0 && status.payload_memory == 0
    })
    .await;
}

#[tokio::test]
async fn the_rendezvous_holds_the_record_and_a_stranger_fetches_by_it() {
    let rendezvous = Node::new(&[]).await;
    let seeder = Node::new(&[&rendezvous]).await;
    let content = blocks(3, 10_000);
    let root = *content[0].cid();
    seeder.hold(&content, Visibility::Lan);
    seeder.network.announce(vec![root]).await.unwrap();
    eventually("the rendezvous holds the provider record", || async {
        rendezvous.network.providers_held(root).await.unwrap() == [seeder.network.peer_id()]
    })
    .await;

    let fetcher = Node::new(&[&rendezvous]).await;
    let mut session = fetcher.network.session(vec![root]).await.unwrap();
    session.want(wants(&content)).await.unwrap();
    receive(&mut session, &content).await;
    let mut providers = fetcher.network.find_providers(root).await.unwrap();
    let found = timeout(PATIENCE, providers.next()).await.unwrap();
    assert_eq!(found, Some(seeder.network.peer_id()));
}

#[tokio::test]
async fn nothing_counts_as_announced_until_a_dht_peer_is_there() {
    let (alone, late) = (Node::new(&[]).await, Node::new(&[]).await);
    let root = *blocks(1, 100)[0].cid();
    alone.network.announce(vec![root]).await.unwrap();
    tokio::time::sleep(2 * dht::TICK).await;
    assert_eq!(alone.network.announced().await.unwrap(), [Announced { cid: root, at: None }]);
    late.network.connect(alone.addr.clone()).await.unwrap();
    eventually("the first DHT peer holds the record", || async {
        late.network.providers_held(root).await.unwrap() == [alone.network.peer_id()]
    })
    .await;
    eventually("and it counts as announced", || async {
        alone.network.announced().await.unwrap()[0].at.is_some()
    })
    .await;
    alone.network.withdraw(vec![root]).await.unwrap();
    eventually("withdrawn", || async { alone.network.announced().await.unwrap().is_empty() }).await;
}

#[tokio::test]
async fn private_blocks_are_not_there_for_peers() {
    let (seeder, fetcher) = (Node::new(&[]).await, Node::new(&[]).await);
    let secret = blocks(1, 100);
    seeder.hold(&secret, Visibility::Private);
    fetcher.network.connect(seeder.addr.clone()).await.unwrap();
    let mut session = fetcher.network.session(Vec::new()).await.unwrap();
    session.want(wants(&secret)).await.unwrap();
    loop {
        match timeout(PATIENCE, session.recv()).await.unwrap().unwrap() {
            Event::Block(_) => panic!("a private block was served"),
            Event::NotHeld(cid) => break assert_eq!(cid, *secret[0].cid()),
            Event::Sources(_) => {}
        }
    }
}

#[tokio::test]
async fn an_offered_block_is_served_from_memory_to_those_who_may_see_it_until_others_take_its_place()
 {
    let (seeder, fetcher) = (Node::new(&[]).await, Node::new(&[]).await);
    let content = blocks(limits::OFFERED_BLOCKS + 1, 100);
    let (first, later) = content.split_first().unwrap();
    seeder.network.offer(first.clone(), Visibility::Private).await.unwrap();
    fetcher.network.connect(seeder.addr.clone()).await.unwrap();
    let mut session = fetcher.network.session(Vec::new()).await.unwrap();
    session.want(wants(&content[..1])).await.unwrap();
    while !matches!(timeout(PATIENCE, session.recv()).await.unwrap().unwrap(), Event::NotHeld(_)) {}
    seeder.network.offer(first.clone(), Visibility::Lan).await.unwrap();
    receive(&mut session, &content[..1]).await;
    for block in later {
        seeder.network.offer(block.clone(), Visibility::Lan).await.unwrap();
    }
    session.want(wants(later)).await.unwrap();
    receive(&mut session, later).await;
    let mut session = fetcher.network.session(Vec::new()).await.unwrap();
    session.want(wants(&content[..1])).await.unwrap();
    while !matches!(timeout(PATIENCE, session.recv()).await.unwrap().unwrap(), Event::NotHeld(_)) {}
}

#[tokio::test]
async fn a_block_that_is_stored_later_reaches_the_peer_that_waits() {
    let (seeder, fetcher) = (Node::new(&[]).await, Node::new(&[]).await);
    let late = blocks(2, 50_000);
    fetcher.network.connect(seeder.addr.clone()).await.unwrap();
    let mut session = fetcher.network.session(Vec::new()).await.unwrap();
    session.want(wants(&late)).await.unwrap();
    while !matches!(timeout(PATIENCE, session.recv()).await.unwrap().unwrap(), Event::NotHeld(_)) {}
    seeder.hold(&late, Visibility::Lan);
    seeder.network.stored(wants(&late)).await.unwrap();
    receive(&mut session, &late).await;
}

#[tokio::test]
async fn blocks_come_from_several_peers_at_once() {
    let (one, two) = (Node::new(&[]).await, Node::new(&[]).await);
    let all = blocks(32, MIB);
    one.hold(&all[..20], Visibility::Lan);
    two.hold(&all[12..], Visibility::Lan);
    let fetcher = Node::new(&[&one, &two]).await;
    let mut session = fetcher.network.session(Vec::new()).await.unwrap();
    session.want(wants(&all)).await.unwrap();
    receive(&mut session, &all).await;
    let peers = fetcher.network.peers().await.unwrap();
    assert_eq!(peers.len(), 2);
    for peer in peers {
        assert!(peer.bytes_in > 10 * MIB as u64, "both had a part in it: {peer:?}");
        assert!(peer.by_hand && peer.dialled && peer.bitswap);
        assert!(peer.agent.starts_with(behaviour::AGENT_PREFIX));
    }
}

#[tokio::test]
async fn a_fetch_without_any_peer_says_that_there_is_none() {
    let fetcher = Node::new(&[]).await;
    let wanted = blocks(1, 100);
    let session = fetcher.network.session(vec![*wanted[0].cid()]).await.unwrap();
    session.want(wants(&wanted)).await.unwrap();
    eventually("nobody to ask", || async { !session.sources().searching }).await;
    assert_eq!(session.sources(), Sources::default());
}

#[tokio::test]
async fn peers_survive_a_restart_and_are_dialled_again() {
    let (friend, node) = (Node::new(&[]).await, Keypair::generate_ed25519());
    let first = Node::start(tempfile::tempdir().unwrap(), node.clone(), &[]).await;
    first.network.connect(friend.addr.clone()).await.unwrap();
    let home = first.stop().await;
    let second = Node::start(home, node, &[]).await;
    eventually("connected again", || async {
        let peers = second.network.peers().await.unwrap();
        peers.iter().any(|peer| peer.id == friend.network.peer_id() && peer.by_hand)
    })
    .await;
}

#[tokio::test]
async fn provider_records_survive_a_restart() {
    let key = Keypair::generate_ed25519();
    let holder = Node::start(tempfile::tempdir().unwrap(), key.clone(), &[]).await;
    let provider = Node::new(&[&holder]).await;
    let root = *blocks(1, 100)[0].cid();
    provider.network.announce(vec![root]).await.unwrap();
    let held = [provider.network.peer_id()];
    eventually("held", || async { holder.network.providers_held(root).await.unwrap() == held })
        .await;
    let home = holder.stop().await;
    let holder = Node::start(home, key, &[]).await;
    assert_eq!(holder.network.providers_held(root).await.unwrap(), held);
}

#[tokio::test]
async fn quic_carries_the_same() {
    let seeder = Node::new(&[]).await;
    let content = blocks(8, MIB);
    seeder.hold(&content, Visibility::Lan);
    let listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()];
    let fetcher = Node::listening(listen, &[]).await;
    let peer = seeder.network.connect(fetcher.addr.clone()).await.unwrap();
    assert_eq!(peer, fetcher.network.peer_id());
    let mut session = fetcher.network.session(Vec::new()).await.unwrap();
    session.want(wants(&content)).await.unwrap();
    receive(&mut session, &content).await;
}

#[tokio::test]
async fn a_peer_that_speaks_only_noise_is_served() {
    let seeder = Node::new(&[]).await;
    let mut other = Hostile::with_transport(|identity| {
        libp2p::tcp::tokio::Transport::default()
            .upgrade(Version::V1)
            .authenticate(libp2p::noise::Config::new(identity).unwrap())
            .multiplex(muxer::Config::default())
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed()
    });
    other.swarm.dial(seeder.addr.clone()).unwrap();
    let connected = async {
        loop {
            if let SwarmEvent::ConnectionEstablished { .. } = other.swarm.select_next_some().await {
                break;
            }
        }
    };
    timeout(PATIENCE, connected).await.unwrap();
}

// ---- what fails

#[tokio::test]
async fn a_taken_port_is_named() {
    let taken = Node::new(&[]).await;
    let addr = policy::without_peer(&taken.addr);
    let error = refused(options(Keypair::generate_ed25519(), vec![addr.clone()], Vec::new())).await;
    assert!(matches!(&error, Error::ListenTaken { addr: named } if *named == addr), "{error}");
    assert!(error.to_string().contains(&addr.to_string()));

    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let addr: Multiaddr = format!("/ip4/127.0.0.1/udp/{port}/quic-v1").parse().unwrap();
    let error = refused(options(Keypair::generate_ed25519(), vec![addr], Vec::new())).await;
    assert!(matches!(error, Error::ListenTaken { .. }), "{error}");
}

#[tokio::test]
async fn addresses_nobody_speaks_are_refused_with_an_example() {
    let odd: Multiaddr = "/ip4/127.0.0.1/tcp/80/ws".parse().unwrap();
    let error = refused(options(Keypair::generate_ed25519(), vec![odd.clone()], Vec::new())).await;
    assert!(matches!(error, Error::UnsupportedAddr { .. }), "{error}");
    let node = Node::new(&[]).await;
    let error = node.network.connect(odd).await.unwrap_err();
    assert!(matches!(error, Error::UnsupportedAddr { .. }), "{error}");
    let bare: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    assert!(matches!(node.network.add_bootstrap(bare).await, Err(Error::NeedsPeerId { .. })));
}

#[tokio::test]
async fn the_preset_public_is_refused_until_it_exists() {
    let mut options = options(Keypair::generate_ed25519(), Vec::new(), Vec::new());
    options.settings.preset = Preset::Public;
    assert!(matches!(refused(options).await, Error::PresetUnsupported { .. }));
}

#[tokio::test]
async fn a_dial_that_fails_says_why() {
    let (node, other) = (Node::new(&[]).await, Node::new(&[]).await);
    let error = node.network.connect(node.addr.clone()).await.unwrap_err();
    assert!(error.to_string().contains("this node"), "{error}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed: Multiaddr = format!("/ip4/127.0.0.1/tcp/{}", closed.port()).parse().unwrap();
    let error = node.network.connect(closed).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    let wrong = policy::without_peer(&other.addr).with(Protocol::P2p(PeerId::random()));
    let error = node.network.connect(wrong).await.unwrap_err();
    let obtained = other.network.peer_id().to_string();
    assert!(
        matches!(error, Error::Dial { .. }) && error.to_string().contains(&obtained),
        "{error}"
    );
}

#[tokio::test]
async fn a_peer_given_by_hand_that_does_not_speak_bitswap_is_no_source() {
    let identity = Keypair::generate_ed25519();
    let policy = policy::Policy::new(Vec::new());
    let transport = transport::build(&identity, policy).unwrap();
    let behaviour =
        identify::Behaviour::new(identify::Config::new("ipfs/0.1.0".to_owned(), identity.public()));
    let config =
        libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
    let peer = identity.public().to_peer_id();
    let mut other = Swarm::new(transport, behaviour, peer, config);
    other.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let addr = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = other.select_next_some().await {
            break address;
        }
    };
    tokio::spawn(async move { while other.next().await.is_some() {} });
    let node = Node::new(&[]).await;
    node.network.connect(addr).await.unwrap();
    eventually("what it says it is", || async {
        let peers = node.network.peers().await.unwrap();
        peers.iter().any(|one| !one.agent.is_empty() && !one.bitswap)
    })
    .await;
    let session = node.network.session(Vec::new()).await.unwrap();
    session.want(wants(&blocks(1, 100))).await.unwrap();
    assert_eq!(session.sources().connected, 0);
}

#[tokio::test]
async fn a_stopped_node_says_so() {
    let node = Node::new(&[]).await;
    let mut session = node.network.session(Vec::new()).await.unwrap();
    node.network.shutdown().await;
    assert!(matches!(node.network.peers().await, Err(Error::Stopped)));
    assert!(timeout(PATIENCE, session.recv()).await.unwrap().is_none());
    node.network.shutdown().await;
}

// ---- hostile peers

/// A libp2p node that speaks Bitswap's name and says what it is told to.
struct Hostile {
    swarm: Swarm<bitswap::Behaviour>,
    _streams: mpsc::Receiver<bitswap::StreamEvent>,
}

impl Hostile {
    fn new() -> Self {
        let policy = policy::Policy::new(Vec::new());
        Self::with_transport(|identity| transport::build(identity, policy).unwrap())
    }

    fn with_transport(transport: impl FnOnce(&Keypair) -> Boxed<(PeerId, StreamMuxerBox)>) -> Self {
        let identity = Keypair::generate_ed25519();
        let transport = transport(&identity);
        let (events, streams) = mpsc::channel(1000);
        let (hashing, _) = pool::Pool::new("hash", 1, 1).unwrap();
        let inbound = bitswap::Inbound { events, hashing, landings: Default::default() };
        let behaviour =
            bitswap::Behaviour::new(inbound, memory::Budget::new(MIB), Default::default());
        let config =
            libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(PATIENCE);
        let peer = identity.public().to_peer_id();
        Self { swarm: Swarm::new(transport, behaviour, peer, config), _streams: streams }
    }

    /// Connects, sends bytes on a Bitswap stream, and waits until the other side has hung up.
    async fn attack(&mut self, victim: &Node, bytes: &[u8]) {
        self.swarm.dial(victim.addr.clone()).unwrap();
        let peer = victim.network.peer_id();
        let attack = async {
            let mut sent = false;
            let (done, mut finished) = mpsc::channel::<()>(1);
            loop {
                tokio::select! {
                    event = self.swarm.select_next_some() => match event {
                        SwarmEvent::ConnectionEstablished { .. } if !sent => {
                            sent = true;
                            let link = Arc::clone(self.swarm.behaviour().link(&peer).unwrap());
                            let (bytes, done) = (bytes.to_vec(), done.clone());
                            tokio::spawn(async move {
                                let mut stream = link.open_stream().await;
                                let _ = stream.write_all(&bytes).await;
                                let _ = stream.flush().await;
                                let _ = done.send(()).await;
                                std::future::pending::<()>().await;
                            });
                        }
                        SwarmEvent::ConnectionClosed { .. } => return,
                        SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error}"),
                        _ => {}
                    },
                    Some(()) = finished.recv() => {}
                }
            }
        };
        timeout(PATIENCE, attack).await.expect("the peer must be dropped");
    }
}

async fn dropped_and_alive(bytes: &[u8]) {
    let victim = Node::new(&[]).await;
    let mut hostile = Hostile::new();
    hostile.attack(&victim, bytes).await;
    assert_eq!(victim.network.status().await.unwrap().penalised, 1);

    // It is not let in again, and others are served.
    let who = *hostile.swarm.local_peer_id();
    let back: Multiaddr = format!("/ip4/127.0.0.1/tcp/1/p2p/{who}").parse().unwrap();
    assert!(
        matches!(victim.network.connect(back).await, Err(Error::Penalised { peer }) if peer == who)
    );
    let content = blocks(2, 1000);
    victim.hold(&content, Visibility::Lan);
    let friend = Node::new(&[&victim]).await;
    let mut session = friend.network.session(Vec::new()).await.unwrap();
    session.want(wants(&content)).await.unwrap();
    receive(&mut session, &content).await;
}

#[tokio::test]
async fn garbage_on_a_bitswap_stream_gets_the_peer_dropped_and_the_node_lives_on() {
    dropped_and_alive(&[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).await;
}

#[tokio::test]
async fn an_oversized_frame_gets_the_peer_dropped_before_it_is_read() {
    // The length of 1 GiB, and nothing of it.
    dropped_and_alive(&[0x80, 0x80, 0x80, 0x80, 0x04]).await;
}

#[tokio::test]
async fn blocks_nobody_asked_for_get_the_peer_dropped() {
    let mut bytes = Vec::new();
    for block in blocks(limits::UNASKED as usize + 50, 100) {
        let prefix = crate::exchange::message::Prefix::from_cid(block.cid());
        let heads = crate::exchange::message::encode_payload_heads(&[(prefix, 100)]).heads;
        bytes.extend_from_slice(&heads[0]);
        bytes.extend_from_slice(block.data());
    }
    dropped_and_alive(&bytes).await;
}
