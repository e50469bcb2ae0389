//! Peers that ask badly, or break off what they asked for.

use std::{io, sync::mpsc::Receiver};

use modelswarm::{
    dag::{
        Block,
        block::{RAW, cid_v1},
    },
    exchange::{
        Decoded,
        message::{Presence, WantKind},
    },
};

use super::{
    Target, bytes,
    peer::{Connection, Peer, Stream},
};
use crate::common::PATIENCE;

/// Asks for a block.
fn ask(connection: &Connection, block: &Block) {
    let mut stream = connection.open().expect("a stream");
    stream.write(&bytes::wants(WantKind::Block, &[*block.cid()])).expect("asked");
}

/// The next block that comes; presences before it are passed over.
fn next_block(heard: &Receiver<Decoded>) -> Block {
    loop {
        let decoded = heard.recv_timeout(PATIENCE).expect("a block");
        if let Some(block) = bytes::blocks(&[decoded]).pop() {
            return block;
        }
    }
}

/// Whether these blocks come, in any order; after a reset others may come again with them.
fn brings(stream: &mut Stream, wanted: &[&Block]) -> bool {
    let mut missing = wanted.to_vec();
    for _ in 0..20 {
        let came = stream.blocks().expect("a message");
        missing.retain(|block| !came.contains(block));
        if missing.is_empty() {
            return true;
        }
    }
    false
}

#[test]
fn a_response_reset_in_the_middle_is_sent_again_whole_on_a_new_stream() {
    let target = Target::new();
    let peer = Peer::new();
    let mut connection = target.dial(&peer);
    let leaves = target.leaves();
    // On streams that are new, then on one that has carried blocks before.
    for (leaf, other) in [(&leaves[0], &leaves[1]), (&leaves[2], &leaves[0])] {
        ask(&connection, leaf);
        for _ in 0..3 {
            let mut torn = connection.accept().expect("a response");
            torn.read(100_000).expect("some of it");
        }
        let mut whole = connection.accept().expect("a response");
        assert!(brings(&mut whole, &[leaf]));
        ask(&connection, other);
        assert!(brings(&mut whole, &[other]), "the stream is used on");
        ask(&connection, leaf);
        whole.read(100_000).expect("some of it");
        drop(whole);
        // A window that has grown may have taken that block whole: it is sent again all the same.
        let mut again = connection.accept().expect("a response");
        assert!(brings(&mut again, &[leaf]));
    }
    assert!(connection.is_open(), "a reset is normal");
    assert!(target.listed(&peer).is_some());
    target.serves();
}

#[test]
fn wants_over_the_cap_are_dropped_and_later_ones_are_answered() {
    let target = Target::new();
    let peer = Peer::new();
    let mut connection = target.dial(&peer);
    let heard = connection.heard();
    let mut stream = connection.open().expect("a stream");
    let absent = |n: u32| cid_v1(RAW, modelswarm::dag::block::sha256(&n.to_be_bytes())).to_bytes();
    let leaves = target.leaves();
    for round in 0..3 {
        // One message, which the program itself would split.
        let cids: Vec<Vec<u8>> = (0..10_000).map(|n| absent(round * 10_000 + n)).collect();
        stream.write(&bytes::wants_of_bytes(&cids)).expect("written");
        let mut said = 0;
        while said < 1024 {
            let presences = bytes::presences(&heard.recv_timeout(PATIENCE).expect("an answer"));
            assert!(presences.iter().all(|(_, said)| *said == Presence::DontHave));
            said += presences.len();
        }
        // A want sent before these were answered might be over the cap, too.
        let leaf = &leaves[round as usize];
        stream.write(&bytes::wants(WantKind::Block, &[*leaf.cid()])).expect("written");
        let came = loop {
            let decoded = heard.recv_timeout(PATIENCE).expect("a block");
            said += bytes::presences(&decoded).len();
            if let Some(block) = bytes::blocks(&[decoded]).pop() {
                break block;
            }
        };
        assert_eq!(came, *leaf);
        assert_eq!(said, 1024, "wants of one message that were taken");
    }
    target.serves();
}

#[test]
fn wants_of_cids_that_no_block_here_can_have_are_passed_over() {
    let target = Target::new();
    let peer = Peer::new();
    let mut connection = target.dial(&peer);
    let heard = connection.heard();
    let mut stream = connection.open().expect("a stream");
    let identity = [&[1, 0x55, 0, 5][..], b"hello"].concat();
    let empty_identity = vec![1, 0x55, 0, 0];
    let long_digest = [&[1, 0x55, 0x13, 100][..], &[7; 100]].concat();
    let sha512 = [&[1, 0x55, 0x13, 64][..], &[7; 64]].concat();
    let strange_codec = [&[1, 0xff, 0xff, 0x03, 0x12, 32][..], &[7; 32]].concat();
    let odd = [identity, empty_identity, long_digest, sha512, strange_codec];
    for _ in 0..3 {
        stream.write(&bytes::wants_of_bytes(&odd)).expect("written");
    }
    let leaf = &target.leaves()[0];
    stream.write(&bytes::wants(WantKind::Block, &[*leaf.cid()])).expect("written");
    assert_eq!(next_block(&heard), *leaf);
    assert!(connection.is_open(), "odd, and no offence");
    target.serves();
}

#[test]
fn a_want_of_a_cid_longer_than_any_ends_the_peer() {
    let target = Target::new();
    for len in [200_u32, 3_000_000] {
        let peer = Peer::new();
        let connection = target.dial(&peer);
        let mut stream = connection.open().expect("a stream");
        let digest = vec![7; len as usize];
        let cid = [&[1, 0x55, 0x12][..], &bytes::varint(len.into()), &digest].concat();
        // It need not be read to its end.
        drop(stream.write(&bytes::wants_of_bytes(&[cid])));
        target.refuses(&peer, connection);
    }
    target.serves();
}

#[test]
fn an_idle_response_stream_to_a_foreign_peer_is_closed_and_the_connection_stays() {
    let target = Target::new();
    let peer = Peer::new();
    let mut connection = target.dial(&peer);
    let leaves = target.leaves();
    ask(&connection, &leaves[0]);
    let mut response = connection.accept().expect("a response");
    assert_eq!(response.block().expect("a message"), leaves[0]);
    let end = response.read(1).expect_err("nothing more was asked for");
    assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof, "closed, neither kept nor reset");
    assert!(connection.is_open());
    ask(&connection, &leaves[1]);
    let mut next = connection.accept().expect("a new stream");
    assert_eq!(next.block().expect("a message"), leaves[1]);
    target.serves();
}
