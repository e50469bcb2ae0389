//! What a broken or hostile Bitswap peer can do to a running daemon, seen from outside the process.
//!
//! The peer is made by hand (`peer`, `bytes`) and speaks over loopback to the real program. Here: peers that send what
//! nobody may send. `answers`: peers that are asked and answer badly. `requests`: peers that ask badly, or ask and do
//! not listen. Every test ends with an honest client that is served whole.

mod answers;
mod bytes;
mod crowds;
mod peer;
mod requests;
mod shares;

use std::{fs, path::PathBuf};

use modelswarm::{
    dag::{Block, Cid, block::RAW},
    exchange::message::{Presence, WantKind},
};
use serde_json::Value;

use self::peer::{Connection, Peer};
use crate::common::{
    Daemon, Home, PATIENCE,
    files::{self, MIB},
    text, until,
};

/// What a daemon may take more, in bytes of anonymous memory, whatever a peer does: its payload budgets, and room.
const MEMORY: u64 = 80 * MIB as u64;

/// A daemon that serves a small model.
struct Target {
    home: Home,
    daemon: Daemon,
    model: PathBuf,
    release: String,
}

impl Target {
    fn new() -> Self {
        Self::with(3 * MIB + 4096, &[])
    }

    /// With weights of `len` bytes, and more arguments for the daemon.
    fn with(len: usize, more: &[&str]) -> Self {
        let home = Home::new();
        let model = home.beside("model");
        files::model(&model, 1, len);
        let daemon = home.daemon(more);
        let release = text(&home.seed(&model, &[]), "release").to_owned();
        Self { home, daemon, model, release }
    }

    /// The weights' blocks of 1 MiB, as they are on the wire.
    fn leaves(&self) -> Vec<Block> {
        let weights = fs::read(self.model.join("model.safetensors")).expect("made");
        weights.chunks(MIB).map(|chunk| Block::new(RAW, chunk.to_vec())).collect()
    }

    /// A connection that the daemon keeps.
    fn dial(&self, peer: &Peer) -> Connection {
        peer.dial(self.daemon.addr()).expect("the daemon listens")
    }

    /// The peer as `peers` lists it.
    fn listed(&self, peer: &Peer) -> Option<Value> {
        let peers = self.home.ask(&["peers"]);
        let mut list = peers["peers"].as_array().expect("a list").iter();
        list.find(|one| one["peer_id"] == peer.id()).cloned()
    }

    /// Asserts that the daemon ended this connection, said so, and takes no other from this peer.
    #[track_caller]
    fn refuses(&self, peer: &Peer, mut connection: Connection) {
        assert!(connection.ends(), "the daemon keeps a peer that broke the protocol");
        until("the penalty in the log", || {
            let log = self.daemon.log();
            log.lines()
                .any(|line| line.contains("broke the protocol") && line.contains(&peer.id()))
                .then_some(())
        });
        until("a list without the peer", || self.listed(peer).is_none().then_some(()));
        if let Ok(mut again) = peer.dial(self.daemon.addr()) {
            let stream = again.open();
            assert!(again.ends(), "the daemon takes the peer back at once");
            drop(stream);
        }
        assert_eq!(self.listed(peer), None);
    }

    /// Asserts that the daemon lives, is the same process, and serves an honest client all it has.
    #[track_caller]
    fn serves(&self) {
        let client = Home::new();
        let got = client.get(&self.release, &["--peer", self.daemon.addr()]).ok();
        let path = PathBuf::from(text(&got, "path"));
        assert!(files::tree(&path) == files::tree(&self.model), "other bytes came");
        let status = self.home.ask(&["status"]);
        assert_eq!(status["health"]["daemon"], true);
        assert_eq!(status["health"]["pid"], self.daemon.pid());
    }

    /// What the daemon says it has of these, asked by a peer that did nothing wrong.
    fn has(&self, cids: &[Cid]) -> Vec<(Cid, Presence)> {
        let peer = Peer::new();
        let mut connection = self.dial(&peer);
        let heard = connection.heard();
        let mut stream = connection.open().expect("a stream");
        stream.write(&bytes::wants(WantKind::Have, cids)).expect("asked");
        let mut said = Vec::new();
        while said.len() < cids.len() {
            said.extend(bytes::presences(&heard.recv_timeout(PATIENCE).expect("an answer")));
        }
        said
    }
}

/// Bytes of anonymous memory that a process has now.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).expect("Linux says it");
    kib.parse::<u64>().expect("a number") * 1024
}

#[test]
fn a_peer_that_sends_garbage_is_dropped_and_refused_and_others_are_served() {
    let target = Target::new();
    let garbage = [
        ("a varint without end", vec![0xff; 64]),
        ("noise", files::noise(7, 64 * 1024)),
        ("another protocol", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(9)),
        ("a wire type that does not exist", bytes::frame(&[0x0f, 1, 2, 3])),
        ("a field beyond its message", bytes::frame(&[0x0a, 0x7f, 0])),
        ("a want without a CID", bytes::frame(&bytes::field(1, &bytes::field(1, &[0x10, 1])))),
        ("a want of no CID", bytes::wants_of_bytes(&[vec![9; 36]])),
        ("a block without a prefix", bytes::frame(&bytes::field(3, &bytes::field(2, b"data")))),
    ];
    for (what, garbage) in garbage {
        let peer = Peer::new();
        let connection = target.dial(&peer);
        let mut stream = connection.open().expect("a stream");
        until("the peer in the list", || target.listed(&peer));
        // The first bytes may be enough for the daemon to end the connection before the last are written.
        if let Err(why) = stream.write(&garbage) {
            println!("{what}: {why}");
        }
        target.refuses(&peer, connection);
    }
    target.serves();
}

#[test]
fn a_frame_or_block_announced_over_its_limit_ends_the_peer_and_takes_no_memory() {
    let target = Target::new();
    let before = memory(target.daemon.pid());
    let leaf = &target.leaves()[0];
    let over = [
        bytes::varint(4 * MIB as u64 + 1),
        bytes::varint(3 << 30),
        bytes::varint(u64::MAX),
        bytes::head(leaf.cid(), 2 * MIB + 1),
        bytes::head(leaf.cid(), 4 * MIB - 64),
    ];
    for head in over {
        let peer = Peer::new();
        let connection = target.dial(&peer);
        let mut stream = connection.open().expect("a stream");
        stream.write(&head).expect("written");
        target.refuses(&peer, connection);
        let more = memory(target.daemon.pid()).saturating_sub(before);
        assert!(more < MEMORY, "{more} bytes more");
    }
    target.serves();
}

#[test]
fn blocks_nobody_asked_for_are_never_kept_and_too_many_of_them_end_the_peer() {
    let target = Target::new();
    let peer = Peer::new();
    let mut connection = target.dial(&peer);
    let unasked: Vec<Block> =
        (100..160).map(|seed| Block::new(RAW, files::noise(seed, 50_000))).collect();
    let mut stream = connection.open().expect("a stream");
    let (few, rest) = unasked.split_at(8);
    for block in few {
        stream.write(&bytes::block(block)).expect("a few are forgiven");
    }
    let leaf = &target.leaves()[0];
    stream.write(&bytes::wants(WantKind::Block, &[*leaf.cid()])).expect("asked");
    let mut answer = connection.accept().expect("an answer");
    assert_eq!(answer.block().expect("a message"), *leaf, "served all the same");
    for block in rest {
        if stream.write(&bytes::block(block)).is_err() {
            break;
        }
    }
    target.refuses(&peer, connection);

    let cids: Vec<Cid> = unasked.iter().map(|block| *block.cid()).collect();
    let said = target.has(&cids);
    assert!(said.iter().all(|(_, said)| *said == Presence::DontHave), "kept: {said:?}");
    let stranger = Home::new();
    let other = stranger.daemon(&[]);
    let by = ["--timeout", "2", "--peer", other.addr()];
    for cid in [cids[0], cids[20]] {
        target.home.get(&cid.to_string(), &by).fails(3);
    }
    target.serves();
}
