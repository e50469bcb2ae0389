//! Shares of what all peers have together: a few peers must not hold all of it.

use std::{thread, time::Duration};

use modelswarm::{
    dag::Cid,
    exchange::message::{Control, Presence, encode_control},
};

use super::{
    MEMORY, Target, bytes,
    crowds::{absent, deaf, peak_while_serving},
    memory,
    peer::Peer,
};
use crate::common::{Home, files::MIB};

#[test]
fn many_peers_that_never_read_hold_up_nobody() {
    let target = Target::with(100 * MIB, &[]);
    let before = memory(target.daemon.pid());
    let peers: Vec<Peer> = (0..8).map(|_| Peer::new()).collect();
    let _deaf: Vec<_> = peers.iter().map(|peer| deaf(&target, peer)).collect();
    let more = peak_while_serving(&target).saturating_sub(before);
    assert!(more < MEMORY, "{more} bytes more");
}

#[test]
fn blocks_that_several_peers_announce_and_never_send_do_not_hold_up_a_fetch() {
    let target = Target::new();
    let fetcher = Home::new();
    let daemon = fetcher.daemon(&[]);
    let head = bytes::head(target.leaves()[0].cid(), 2 * MIB);
    let peers: Vec<Peer> = (0..3).map(|_| Peer::new()).collect();
    let mut held = Vec::new();
    for peer in &peers {
        let connection = peer.dial(daemon.addr()).expect("the daemon listens");
        let mut streams = Vec::new();
        // The daemon may end this at any time, which is as good.
        while streams.len() < 20 {
            let Ok(mut stream) = connection.open() else { break };
            drop(stream.write(&head));
            streams.push(stream);
        }
        held.push((connection, streams));
    }
    thread::sleep(Duration::from_millis(500));
    let by = ["--peer", target.daemon.addr(), "--timeout", "15"];
    fetcher.get(&target.release, &by).ok();
    target.serves();
}

#[test]
fn messages_that_stop_before_their_end_on_many_streams_take_bounded_memory() {
    let target = Target::new();
    let before = memory(target.daemon.pid());
    let peer = Peer::new();
    let connection = target.dial(&peer);
    // As many as fit into a stream's first window, so that all of it is sent though the daemon reads no more.
    let cids = absent(2000);
    let presences: Vec<(Cid, Presence)> =
        cids.iter().map(|cid| (Cid::try_from(&cid[..]).expect("a CID"), Presence::Have)).collect();
    // Wants, cancels and presences of one message, as fields in a row.
    let body = |frame: Vec<u8>| {
        let skip = frame.iter().position(|byte| byte & 0x80 == 0).expect("a varint") + 1;
        frame[skip..].to_vec()
    };
    let mut message = body(bytes::cancels(&cids));
    message.extend(body(bytes::wants_of_bytes(&cids[..1024])));
    for some in presences.chunks(1000) {
        let control = Control { presences: some.to_vec(), ..Control::default() };
        message.extend(body(encode_control(&control).concat()));
    }
    let frame = bytes::frame(&message);
    let mut streams = Vec::new();
    while streams.len() < 400 {
        let Ok(mut stream) = connection.open() else { break };
        drop(stream.write(&frame[..frame.len() - 1]));
        streams.push(stream);
    }
    let more = peak_while_serving(&target).saturating_sub(before);
    assert!(more < MEMORY, "{more} bytes more, for {} bytes a stream", frame.len());
}
