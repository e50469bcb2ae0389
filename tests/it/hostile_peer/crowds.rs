//! Peers that take more than their share: of connections, streams, memory, time.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use modelswarm::{
    dag::{
        Cid,
        block::{RAW, cid_v1, sha256},
    },
    exchange::message::WantKind,
};

use super::{
    MEMORY, Target, bytes, memory,
    peer::{Connection, Peer, Stream},
};
use crate::common::{files::MIB, number, until};

/// The most memory that the daemon took while an honest client fetched all it has.
pub(super) fn peak_while_serving(target: &Target) -> u64 {
    let (pid, done) = (target.daemon.pid(), AtomicBool::new(false));
    thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(Ordering::Relaxed) {
                peak = memory(pid).max(peak);
                thread::sleep(Duration::from_millis(20));
            }
            peak
        });
        let end = Done(&done);
        target.serves();
        drop(end);
        peak.join().expect("the daemon lives")
    })
}

/// Ends the sampling, also when a test fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn connections_over_the_maximum_are_refused_until_one_leaves() {
    let target = Target::with(MIB, &["--set", "network.max_connections=2"]);
    let leaf = &target.leaves()[0];
    let peers = [Peer::new(), Peer::new(), Peer::new()];
    let mut held: Vec<_> = peers[..2]
        .iter()
        .map(|peer| {
            let connection = target.dial(peer);
            let stream = connection.open().expect("there is room");
            (connection, stream)
        })
        .collect();
    if let Ok(mut surplus) = peers[2].dial(target.daemon.addr()) {
        let stream = surplus.open();
        assert!(surplus.ends(), "one more than the maximum is kept");
        drop(stream);
    }
    assert_eq!(target.home.ask(&["status"])["peers"], 2);
    assert_eq!(target.listed(&peers[2]), None);
    for (connection, stream) in &mut held {
        stream.write(&bytes::wants(WantKind::Block, &[*leaf.cid()])).expect("asked");
        let mut answer = connection.accept().expect("those in place go on");
        assert_eq!(answer.block().expect("a message"), *leaf);
    }
    held.pop();
    held.push(until("room for another", || {
        let connection = peers[2].dial(target.daemon.addr()).ok()?;
        let stream = connection.open().ok()?;
        Some((connection, stream))
    }));
    assert!(held[0].0.is_open());
    held.clear();
    until("an empty list", || (target.home.ask(&["status"])["peers"] == 0).then_some(()));
    target.serves();
}

#[test]
fn many_blocks_announced_and_never_sent_take_no_more_memory_than_a_peer_may() {
    let target = Target::new();
    let before = memory(target.daemon.pid());
    let peer = Peer::new();
    let connection = target.dial(&peer);
    let head = bytes::head(target.leaves()[0].cid(), 2 * MIB);
    // 400 MiB in all. The daemon may end this at any time, which is as good.
    let mut streams = Vec::new();
    while let Ok(mut stream) = connection.open() {
        let written = stream.write(&[&head[..], &[1; 100]].concat());
        streams.push(stream);
        if written.is_err() || streams.len() == 200 {
            break;
        }
    }
    target.serves();
    let more = memory(target.daemon.pid()).saturating_sub(before);
    assert!(more < MEMORY, "{more} bytes more");
}

#[test]
fn streams_without_end_cost_a_peer_its_connection_and_others_nothing() {
    let target = Target::new();
    let before = memory(target.daemon.pid());
    let peer = Peer::new();
    let mut connection = target.dial(&peer);
    let mut streams = Vec::new();
    while let Ok(stream) = connection.open() {
        streams.push(stream);
        assert!(streams.len() < 2000, "no end of streams");
    }
    assert!(connection.ends());
    target.serves();
    let more = memory(target.daemon.pid()).saturating_sub(before);
    assert!(more < MEMORY, "{more} bytes more");
}

/// Writes a message again and again on this many streams while an honest client is served.
fn flood(target: &Target, message: &[u8], streams: usize) {
    let before = memory(target.daemon.pid());
    let peer = Peer::new();
    let connection = target.dial(&peer);
    let open = |_| connection.open().expect("a stream");
    let streams: Vec<Stream> = (0..streams).map(open).collect();
    let once = (streams.len() * message.len()) as u64;
    let done = AtomicBool::new(false);
    let more =
        thread::scope(|scope| {
            let done = &done;
            for mut stream in streams {
                scope.spawn(move || {
                    while !done.load(Ordering::Relaxed) && stream.write(message).is_ok() {}
                });
            }
            let end = Done(done);
            thread::sleep(Duration::from_secs(2));
            let more = peak_while_serving(target).saturating_sub(before);
            drop(end);
            more
        });
    assert!(more < MEMORY, "{more} bytes more");
    if let Some(peer) = target.listed(&peer) {
        // The daemon may close the streams; that each was written to more than once makes it a flood.
        assert!(number(&peer, "bytes_in") > 2 * once, "no flood: {peer}");
    }
}

/// CIDs, as bytes, of which no daemon has the block.
pub(super) fn absent(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|n| cid_v1(RAW, sha256(&n.to_be_bytes())).to_bytes()).collect()
}

#[test]
fn a_flood_of_cancels_costs_bounded_memory_and_holds_up_nobody() {
    flood(&Target::new(), &bytes::cancels(&absent(4096)), 4);
}

#[test]
fn a_flood_of_wants_whose_answers_are_not_read_costs_bounded_memory_and_holds_up_nobody() {
    flood(&Target::new(), &bytes::wants_of_bytes(&absent(1024)), 4);
}

/// A peer that wants all of the weights and never reads what comes.
pub(super) fn deaf(target: &Target, peer: &Peer) -> (Connection, Stream) {
    let mut connection = target.dial(peer);
    let mut stream = connection.open().expect("a stream");
    let cids: Vec<Cid> = target.leaves().iter().map(|leaf| *leaf.cid()).collect();
    assert!(cids.len() >= 100);
    stream.write(&bytes::wants(WantKind::Block, &cids)).expect("asked");
    let response = connection.accept().expect("a response");
    until("the first bytes to it", || {
        target.listed(peer).filter(|one| number(one, "bytes_out") > 100_000)
    });
    (connection, response)
}

#[test]
fn a_peer_that_asks_for_much_and_never_reads_costs_bounded_memory_and_holds_up_nobody() {
    let target = Target::with(100 * MIB, &[]);
    let before = memory(target.daemon.pid());
    let peer = Peer::new();
    let _deaf = deaf(&target, &peer);
    let more = peak_while_serving(&target).saturating_sub(before);
    assert!(more < MEMORY, "{more} bytes more");
    let sent = number(&target.listed(&peer).expect("still there"), "bytes_out");
    assert!(sent < 16 * MIB as u64, "{sent} bytes were written to a peer that reads none");
}
