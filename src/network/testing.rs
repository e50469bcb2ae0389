//! What the tests of this layer share: a socket pair, and whole nodes on loopback with a store of their own.

use std::path::Path;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use libp2p::tcp::tokio::TcpStream;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream as Socket};
use tokio::time::timeout;

use super::blocks::Blocks;
use super::offered::Offered;
use super::policy::Policy;
use super::pool::Pool;
use super::{
    Attestations, Error, Event, Keypair, Multiaddr, Network, Options, Session, attest,
    no_attestations, spawn,
};
use crate::card::did::PublisherId;
use crate::card::index::{Index, Scope};
use crate::card::ipns;
use crate::card::statement::{Kind, Timestamp};
use crate::config::Visibility;
use crate::config::network::{Preset, Settings};
use crate::config::rates::Rates;
use crate::dag::block::RAW;
use crate::dag::block::sha256;
use crate::dag::{Block, Cid};
use crate::limits;
use crate::store::{self, NewBlock, Owner, Store, Tree, TreeState};

/// Long enough for a loaded machine; a test that needs it has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// One end of a connected pair of sockets.
pub(super) type Wire = TcpStream;

/// Two sockets on loopback, connected to each other.
pub(super) async fn wire() -> (Wire, Wire) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (dialled, accepted) = tokio::join!(Socket::connect(address), listener.accept());
    (TcpStream(dialled.unwrap()), TcpStream(accepted.unwrap().0))
}

/// A node with its home.
pub(super) struct Node {
    pub(super) network: Network,
    pub(super) store: Store,
    pub(super) addr: Multiaddr,
    home: TempDir,
}

impl Node {
    /// A node on loopback that knows these peers from the start.
    pub(super) async fn new(bootstrap: &[&Node]) -> Self {
        Self::start(tempfile::tempdir().unwrap(), Keypair::generate_ed25519(), bootstrap).await
    }

    /// A node that comes back to its home, or begins one, on loopback.
    pub(super) async fn start(home: TempDir, identity: Keypair, bootstrap: &[&Node]) -> Self {
        Self::run(home, options(identity, loopback(), addrs(bootstrap))).await
    }

    /// A new node on loopback that answers with these.
    pub(super) async fn attesting(attestations: Attestations, bootstrap: &[&Node]) -> Self {
        let options = options(Keypair::generate_ed25519(), loopback(), addrs(bootstrap));
        Self::run(tempfile::tempdir().unwrap(), Options { attestations, ..options }).await
    }

    /// A new node that listens here.
    pub(super) async fn listening(listen: Vec<Multiaddr>, bootstrap: &[&Node]) -> Self {
        let options = options(Keypair::generate_ed25519(), listen, addrs(bootstrap));
        Self::run(tempfile::tempdir().unwrap(), options).await
    }

    async fn run(home: TempDir, options: Options) -> Self {
        let store = Store::open(
            &home.path().join("store"),
            store::Options::new(home.path().join("library")),
        );
        let store = store.unwrap();
        let network = spawn(options, store.clone()).await.unwrap();
        let addr = network.listen_addrs().await.unwrap().remove(0);
        Self { network, store, addr, home }
    }

    /// Stops the node and gives its home back.
    pub(super) async fn stop(self) -> TempDir {
        self.network.shutdown().await;
        self.home
    }

    /// Puts blocks into the store under a tree of this visibility.
    pub(super) fn hold(&self, blocks: &[Block], visibility: Visibility) {
        let reservation = self.store.reserve().unwrap();
        let new: Vec<_> = blocks.iter().map(NewBlock::node).collect();
        self.store.add_blocks(reservation.id(), &new).unwrap();
        let tree = Tree {
            root: *blocks[0].cid(),
            release: None,
            card: None,
            repo: None,
            kind: Kind::Model,
            version: None,
            seq: None,
            visibility,
            pinned: true,
            location: self.home.path().join("library"),
            owner: Owner::Library,
            state: TreeState::Whole,
            created_at: std::time::SystemTime::UNIX_EPOCH,
            note: None,
        };
        self.store.save_tree(reservation.id(), &tree, &[]).unwrap();
    }
}

fn loopback() -> Vec<Multiaddr> {
    vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()]
}

fn addrs(nodes: &[&Node]) -> Vec<Multiaddr> {
    nodes.iter().map(|node| node.addr.clone()).collect()
}

pub(super) fn options(
    identity: Keypair,
    listen: Vec<Multiaddr>,
    bootstrap: Vec<Multiaddr>,
) -> Options {
    let settings = Settings { preset: Preset::Isolated, ..Settings::default() };
    let (rates, attestations) = (Rates::default(), no_attestations());
    Options { identity, settings, rates, listen, bootstrap, attestations }
}

/// The behaviour of a node that has no attestations.
pub(super) fn silent(home: &Path) -> attest::Behaviour {
    let (pool, _) = Pool::new("store", 1, 1).unwrap();
    let store = Store::open(&home.join("store"), store::Options::new(home)).unwrap();
    let (blocks, policy) = (Blocks::new(store, pool, Offered::default()), Policy::new(Vec::new()));
    attest::Behaviour::new(attest::Answerer::new(no_attestations(), blocks, policy))
}

/// Starts a node that must fail to.
pub(super) async fn refused(options: Options) -> Error {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(&home.path().join("store"), store::Options::new(home.path())).unwrap();
    spawn(options, store).await.err().expect("must be refused")
}

/// Different blocks of one size.
pub(super) fn blocks(count: usize, len: usize) -> Vec<Block> {
    let block = |i: usize| {
        let mut data = vec![u8::try_from(i % 251).unwrap(); len];
        data[..8].copy_from_slice(&i.to_be_bytes());
        Block::new(RAW, data)
    };
    (0..count).map(block).collect()
}

/// What a session wants for blocks.
pub(super) fn wants(blocks: &[Block]) -> Vec<(Cid, usize)> {
    blocks.iter().map(|block| (*block.cid(), block.data().len())).collect()
}

/// A publisher.
pub(super) fn publisher(n: u32) -> PublisherId {
    PublisherId::try_from(&publisher_key(n).verifying_key()).unwrap()
}

fn publisher_key(n: u32) -> SigningKey {
    SigningKey::from_bytes(&sha256(&n.to_be_bytes()))
}

/// A record of that publisher's name, which ends at `end`; what it points to nobody looks at here.
pub(super) fn record_until(n: u32, scope: Scope, sequence: u64, end: Timestamp) -> ipns::Record {
    let index = Index::new(publisher(n), scope);
    let unsigned =
        ipns::Unsigned::new(&publisher(n), &index, sequence, end, limits::IPNS_TTL).unwrap();
    unsigned.sign(&publisher_key(n)).unwrap()
}

/// A record for the LAN's DHT that does not end while a test runs.
pub(super) fn record(n: u32, sequence: u64) -> ipns::Record {
    record_until(n, Scope::Lan, sequence, "2126-11-22T18:00:00Z".parse().unwrap())
}

/// Receives until all these blocks are there, and checks each.
pub(super) async fn receive(session: &mut Session, blocks: &[Block]) {
    let mut missing: std::collections::HashMap<Cid, &Block> =
        blocks.iter().map(|block| (*block.cid(), block)).collect();
    while !missing.is_empty() {
        let event = timeout(PATIENCE, session.recv()).await;
        match event.unwrap_or_else(|_| panic!("{} blocks still missing", missing.len())) {
            Some(Event::Block(arrived)) => {
                let expected = missing.remove(arrived.cid()).expect("wanted, and once");
                assert_eq!(arrived.data(), expected.data());
            }
            Some(_) => {}
            None => panic!("the network stopped"),
        }
    }
}

/// Asks again and again until it is so.
pub(super) async fn eventually<F: Future<Output = bool>>(what: &str, ask: impl Fn() -> F) {
    let asking = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("never so: {what}"));
}
