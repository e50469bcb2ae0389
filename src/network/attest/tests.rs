//! Whole nodes on loopback that ask each other, and peers that break the protocol.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use libp2p::PeerId;
use tokio::time::timeout;

use super::answer::{Answerer, Shares};
use super::scripted::{Peer, Script};
use super::{Attestations, wire};
use crate::config::Audience;
use crate::dag::{Block, Cid, block::RAW};
use crate::limits;
use crate::network::blocks::Blocks;
use crate::network::offered::Offered;
use crate::network::pace::Direction;
use crate::network::policy::Policy;
use crate::network::pool::Pool;
use crate::network::testing::{Node, PATIENCE, eventually, wire as sockets};
use crate::store::{self, Store};

fn cid(what: &str) -> Cid {
    *Block::new(RAW, what.to_owned().into_bytes()).cid()
}

/// A node that has these bundles about this CID, for peers of the LAN.
fn about(cid: Cid, bundles: &[&'static str]) -> Attestations {
    let bundles: Vec<Bytes> =
        bundles.iter().map(|one| Bytes::from_static(one.as_bytes())).collect();
    Arc::new(move |asked, audience| {
        let shown = *asked == cid && audience == Audience::LanPeer;
        if shown { bundles.clone() } else { Vec::new() }
    })
}

/// What comes of asking, in the order of peers' ids.
async fn ask(node: &Node, root: Cid, about: Cid) -> Vec<(PeerId, Vec<Bytes>)> {
    let asking = node.network.attestations(root, about);
    let mut answers = timeout(4 * PATIENCE, asking).await.expect("it ends").unwrap();
    answers.sort();
    answers
}

async fn question(about: Cid) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::write_question(&mut bytes, &about, PATIENCE).await.unwrap();
    bytes
}

fn framed(bundles: &[&[u8]]) -> Vec<u8> {
    let frame = |bundle: &&[u8]| {
        let mut buffer = unsigned_varint::encode::usize_buffer();
        [unsigned_varint::encode::usize(bundle.len(), &mut buffer), *bundle].concat()
    };
    bundles.iter().flat_map(frame).collect()
}

// ---- asking

#[tokio::test]
async fn connected_peers_are_asked_and_an_empty_answer_is_an_answer() {
    let (root, card) = (cid("root"), cid("card"));
    let knows = Node::attesting(about(card, &["one", "two"]), &[]).await;
    let knows_not = Node::new(&[]).await;
    let node = Node::new(&[&knows, &knows_not]).await;
    let mut expected = [
        (knows.network.peer_id(), vec![Bytes::from("one"), Bytes::from("two")]),
        (knows_not.network.peer_id(), Vec::new()),
    ];
    expected.sort();
    assert_eq!(ask(&node, root, card).await, expected);
    // Others know what was asked for as little as its asker what they have beside it.
    let nothing: Vec<_> = expected.map(|(peer, _)| (peer, Vec::new())).into();
    assert_eq!(ask(&node, root, root).await, nothing);
}

#[tokio::test]
async fn a_provider_of_the_root_is_found_dialled_and_asked() {
    let root = cid("root");
    let rendezvous = Node::new(&[]).await;
    let provider = Node::attesting(about(root, &["claim"]), &[&rendezvous]).await;
    provider.network.announce(vec![root]).await.unwrap();
    let who = provider.network.peer_id();
    eventually("the rendezvous holds the provider record", || async {
        rendezvous.network.providers_held(root).await.unwrap() == [who]
    })
    .await;
    // Just started: not even connected yet.
    let node = Node::new(&[&rendezvous]).await;
    let answers = ask(&node, root, root).await;
    assert!(answers.contains(&(who, vec![Bytes::from("claim")])), "{answers:?}");
}

#[tokio::test]
async fn with_nobody_to_ask_there_is_no_answer_and_no_error() {
    let node = Node::new(&[]).await;
    assert_eq!(ask(&node, cid("root"), cid("root")).await, []);
    // A provider that is gone, which the rendezvous still names.
    let rendezvous = Node::new(&[]).await;
    let gone = Node::attesting(about(cid("root"), &["claim"]), &[&rendezvous]).await;
    gone.network.announce(vec![cid("root")]).await.unwrap();
    eventually("the record is held", || async {
        !rendezvous.network.providers_held(cid("root")).await.unwrap().is_empty()
    })
    .await;
    let who = gone.network.peer_id();
    gone.stop().await;
    let node = Node::new(&[&rendezvous]).await;
    let answers = ask(&node, cid("root"), cid("root")).await;
    assert!(answers.iter().all(|(peer, bundles)| *peer != who && bundles.is_empty()));
    node.network.shutdown().await;
    let stopped = node.network.attestations(cid("root"), cid("root")).await;
    assert!(matches!(stopped, Err(crate::network::Error::Stopped)));
}

#[tokio::test]
async fn no_more_peers_learn_what_is_asked_for_than_the_bound_says() {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut all = Vec::new();
    for _ in 0..limits::ATTEST_PEERS + 2 {
        let asked = Arc::clone(&asked);
        let count = move |_: &Cid, _| {
            asked.fetch_add(1, Ordering::SeqCst);
            Vec::new()
        };
        all.push(Node::attesting(Arc::new(count), &[]).await);
    }
    let node = Node::new(&[]).await;
    for one in &all {
        node.network.connect(one.addr.clone()).await.unwrap();
    }
    eventually("they have said what they speak", || async {
        let peers = node.network.peers().await.unwrap();
        peers.iter().filter(|peer| peer.bitswap).count() == all.len()
    })
    .await;
    assert_eq!(ask(&node, cid("root"), cid("root")).await.len(), limits::ATTEST_PEERS);
    assert_eq!(asked.load(Ordering::SeqCst), limits::ATTEST_PEERS);
}

#[tokio::test]
async fn peers_that_answer_beyond_the_bounds_or_not_at_all_cost_nothing_but_themselves() {
    let root = cid("root");
    let honest = Node::attesting(about(root, &["claim"]), &[]).await;
    let node = Node::new(&[&honest]).await;
    let mut many = framed(&vec![&b"x"[..]; limits::ATTEST_BUNDLES]);
    many.extend(framed(&[b"one too many"]));
    let half = vec![0; limits::ATTEST_BYTES / 2];
    let large = framed(&[&half, &half, b"x"]);
    let mut liar = framed(&[b"true"]);
    liar.extend(unsigned_varint::encode::u64(1 << 60, &mut [0; 10]).iter());
    let mut peers = Vec::new();
    for script in [Script::Say(many), Script::Say(large), Script::Hang(liar), Script::Hang(vec![])]
    {
        peers.push(Peer::new(script, &node.addr).await);
    }
    // One that falls silent: what it had said is as good as before.
    let mut begun = framed(&[b"whole"]);
    begun.extend([100, 1]);
    let slow = Peer::new(Script::Hang(begun), &node.addr).await;
    let mut expected = [
        (honest.network.peer_id(), vec![Bytes::from("claim")]),
        (slow.id, vec![Bytes::from("whole")]),
    ];
    expected.sort();
    assert_eq!(ask(&node, root, root).await, expected);
    assert_eq!(node.network.status().await.unwrap().connections, 6);
}

// ---- answering

#[tokio::test]
async fn garbage_is_not_answered_and_the_next_question_is() {
    let root = cid("root");
    let node = Node::attesting(about(root, &["claim"]), &[]).await;
    let peer = Peer::new(Script::Say(Vec::new()), &node.addr).await;
    for bytes in [&b"\x05junk!"[..], &[0xff; 200], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01], &[0]] {
        let mut stream = peer.send(bytes).await;
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends");
        assert!(read.is_err() || answer.is_empty(), "{bytes:?} {answer:?}");
    }
    let mut stream = peer.send(&question(root).await).await;
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, framed(&[b"claim"]));
}

#[tokio::test]
async fn an_answerer_that_has_too_much_or_panics_answers_within_the_bounds() {
    let (root, card) = (cid("root"), cid("card"));
    let answer = move |asked: &Cid, _| {
        assert_eq!(*asked, root);
        vec![Bytes::from(vec![1; limits::ATTEST_BYTES / 32]); 200]
    };
    let other = Node::attesting(Arc::new(answer), &[]).await;
    let node = Node::new(&[&other]).await;
    let answers = ask(&node, root, root).await;
    assert_eq!(answers[0].1.len(), 32);
    assert_eq!(ask(&node, root, card).await, [(other.network.peer_id(), Vec::new())]);
}

/// An answerer that stands still until it is let go, and counts.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Gate {
    fn answerer(self: &Arc<Self>, held: Option<Cid>) -> Attestations {
        let gate = Arc::clone(self);
        Arc::new(move |asked, _| {
            if held.is_none_or(|held| held == *asked) {
                let running = gate.running.fetch_add(1, Ordering::SeqCst) + 1;
                gate.most.fetch_max(running, Ordering::SeqCst);
                let open = gate.open.lock().unwrap();
                drop(gate.opened.wait_while(open, |open| !*open).unwrap());
                gate.running.fetch_sub(1, Ordering::SeqCst);
            }
            vec![Bytes::from("claim")]
        })
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

#[tokio::test]
async fn a_peer_with_hundreds_of_questions_waits_for_itself_and_others_are_answered() {
    let (greedy, modest) = (cid("greedy"), cid("modest"));
    let gate = Arc::new(Gate::default());
    let node = Node::attesting(gate.answerer(Some(greedy)), &[]).await;
    let peer = Peer::new(Script::Say(Vec::new()), &node.addr).await;
    let question = question(greedy).await;
    let mut streams = Vec::new();
    for _ in 0..300 {
        streams.push(peer.send(&question).await);
    }
    eventually("its first question is looked at", || async {
        gate.running.load(Ordering::SeqCst) > 0
    })
    .await;
    let other = Node::new(&[&node]).await;
    assert_eq!(
        ask(&other, modest, modest).await,
        [(node.network.peer_id(), vec![Bytes::from("claim")])]
    );
    assert_eq!(gate.most.load(Ordering::SeqCst), 1, "one at a time");
    gate.open();
    let mut answered = 0;
    for mut stream in streams {
        let mut answer = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends");
        answered += usize::from(read.is_ok() && answer == framed(&[b"claim"]));
    }
    assert_eq!(answered, limits::ATTEST_STREAMS);
}

/// What answers on socket pairs, and the folder of its store.
fn alone(attestations: Attestations) -> (Arc<Answerer>, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(&home.path().join("store"), store::Options::new(home.path())).unwrap();
    let (pool, _) = Pool::new("store", limits::STORE_THREADS, limits::STORE_QUEUE).unwrap();
    let blocks = Blocks::new(store, pool, Offered::default());
    (Arc::new(Answerer::new(attestations, blocks, Policy::new(Vec::new()))), home)
}

async fn answer_of(answerer: &Arc<Answerer>, remote: &str, about: Cid) -> Vec<Bytes> {
    let (mut asking, answering) = sockets().await;
    answerer.take(&Arc::new(Shares::new(PeerId::random())), &remote.parse().unwrap(), answering);
    asking.write_all(&question(about).await).await.unwrap();
    let mut bundles = Vec::new();
    let pace = Direction::default();
    wire::read_answer(&mut asking, &pace, PATIENCE, &mut bundles).await.unwrap();
    bundles
}

#[tokio::test]
async fn whom_an_answer_goes_to_is_decided_as_it_is_for_blocks() {
    let (answerer, _home) = alone(about(cid("root"), &["claim"]));
    let near = answer_of(&answerer, "/ip4/10.0.0.7/tcp/1", cid("root")).await;
    assert_eq!(near, [Bytes::from("claim")]);
    let far = answer_of(&answerer, "/ip4/8.8.8.8/tcp/1", cid("root")).await;
    assert_eq!(far, [] as [Bytes; 0], "LAN content is not for the world");
}

#[tokio::test]
async fn a_crowd_of_peers_leaves_threads_to_those_who_fetch_blocks() {
    let gate = Arc::new(Gate::default());
    let (answerer, _home) = alone(gate.answerer(None));
    let crowd: Vec<_> = (0..20)
        .map(|_| {
            let answerer = Arc::clone(&answerer);
            tokio::spawn(
                async move { answer_of(&answerer, "/ip4/10.0.0.7/tcp/1", cid("root")).await },
            )
        })
        .collect();
    eventually("as many as may are looked for", || async {
        gate.running.load(Ordering::SeqCst) == limits::ATTEST_LOOKUPS
    })
    .await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(gate.most.load(Ordering::SeqCst), limits::ATTEST_LOOKUPS);
    gate.open();
    for one in crowd {
        assert_eq!(one.await.unwrap(), [Bytes::from("claim")]);
    }
}
