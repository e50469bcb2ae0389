//! What the engine does in single situations; whole transfers are in `sim`.

use std::time::Duration;

use super::super::message::{Entry, Presence, WantKind, Wantlist};
use super::super::{Output, epoch};
use super::*;
use crate::dag::block::{RAW, cid_v1, sha256};
use crate::limits::{self, MIB};

mod silence;

const S: SessionId = 9;

impl Engine {
    /// Panics if an invariant or a bound does not hold.
    pub(in crate::exchange) fn check(&self) {
        self.picker.wants.check();
        self.ledger.check();
        for (session, s) in &self.picker.wants.sessions {
            let window = self.picker.session_window.max(limits::BLOCK_MAX);
            assert!(s.charged <= window, "session {session} asked {} bytes", s.charged);
            assert!(s.links.len() <= limits::SESSION_SOURCES);
        }
        for (source, s) in &self.picker.sources {
            let records = self.picker.wants.records(*source);
            let live: usize = records.map_or(0, |r| {
                let asks = r.asks.iter().filter(|(_, id)| {
                    matches!(self.picker.wants.known(*id, *source),
                        Some(super::super::wants::Known::Asked(ask)) if ask.live)
                });
                asks.map(|(_, id)| self.picker.wants.get(*id).map_or(0, |w| w.len)).sum()
            });
            assert_eq!(s.window.in_flight(), live, "bytes in flight with {source}");
            assert!(s.late_memory() <= limits::LATE_MEMORY);
        }
    }
}

fn cid(n: u64) -> Cid {
    cid_v1(RAW, sha256(&n.to_le_bytes()))
}

fn cids(range: std::ops::Range<u64>) -> Vec<(Cid, usize)> {
    range.map(|n| (cid(n), MIB)).collect()
}

fn at(ms: u64) -> Instant {
    epoch() + Duration::from_millis(ms)
}

/// An engine with one session and these sources in it, connected.
fn engine(sources: &[SourceId]) -> Engine {
    let mut engine = Engine::new(Config::default(), 1);
    engine.open_session(epoch(), S);
    for source in sources {
        engine.handle_connected(epoch(), *source, Abilities::BITSWAP);
        engine.add_source(epoch(), S, *source);
    }
    engine
}

fn poll(engine: &mut Engine) -> Vec<Output> {
    let outputs = std::iter::from_fn(|| engine.poll_output()).collect();
    engine.check();
    outputs
}

/// Lets time pass up to `ms`, at every timeout on the way.
fn pass(engine: &mut Engine, ms: u64) -> Vec<Output> {
    let mut outputs = poll(engine);
    while let Some(due) = engine.poll_timeout().filter(|due| *due <= at(ms)) {
        engine.handle_timeout(due);
        outputs.extend(poll(engine));
    }
    engine.handle_timeout(at(ms));
    outputs.extend(poll(engine));
    outputs
}

/// What is said to `source` of wants: (CID, kind, cancel).
fn wants(outputs: &[Output], to: SourceId) -> Vec<(Cid, WantKind, bool)> {
    let lists = outputs.iter().filter_map(|output| match output {
        Output::Send { source, control } if *source == to => control.wantlist.as_ref(),
        _ => None,
    });
    lists.flat_map(|list| &list.entries).map(|e| (e.cid, e.kind, e.cancel)).collect()
}

fn asked(outputs: &[Output], to: SourceId) -> Vec<Cid> {
    let all = wants(outputs, to).into_iter();
    all.filter(|(_, kind, cancel)| *kind == WantKind::Block && !cancel).map(|w| w.0).collect()
}

fn cancelled(outputs: &[Output], to: SourceId) -> Vec<Cid> {
    wants(outputs, to).into_iter().filter(|(.., cancel)| *cancel).map(|w| w.0).collect()
}

fn says(engine: &mut Engine, ms: u64, source: SourceId, n: u64, presence: Presence) {
    let presences = vec![(cid(n), presence)];
    engine.handle_control(at(ms), source, Control { presences, ..Control::default() });
}

#[test]
fn the_only_source_is_asked_for_blocks_in_order_without_probes() {
    let mut engine = engine(&[1]);
    assert_eq!(engine.want(at(0), S, &cids(0..20)), 20);
    let outputs = poll(&mut engine);
    assert_eq!(asked(&outputs, 1), (0..4).map(cid).collect::<Vec<_>>());
    assert_eq!(wants(&pass(&mut engine, 100), 1), []);
    let sessions = vec![S];
    assert_eq!(engine.handle_block(at(110), 1, &cid(0), MIB), Arrival::Wanted { sessions });
    assert!(!asked(&poll(&mut engine), 1).is_empty());
    let status = engine.session(S).expect("open");
    assert_eq!((status.asked, status.answered, status.wanted), (1, 1, 19));
    assert_eq!(engine.expected(1), Some(status.asked_bytes));
}

#[test]
fn others_that_were_asked_get_a_cancel_and_what_they_send_still_is_late_not_a_fault() {
    let mut engine = engine(&[1, 2]);
    engine.want(at(0), S, &cids(0..1));
    // nobody answers: the end game asks both
    let outputs = pass(&mut engine, 2_000);
    assert_eq!((asked(&outputs, 1), asked(&outputs, 2)), (vec![cid(0)], vec![cid(0)]));
    assert!(matches!(engine.handle_block(at(2_000), 2, &cid(0), MIB), Arrival::Wanted { .. }));
    let outputs = poll(&mut engine);
    assert_eq!((cancelled(&outputs, 1), cancelled(&outputs, 2)), (vec![cid(0)], vec![]));
    assert_eq!(engine.handle_block(at(2_100), 1, &cid(0), MIB), Arrival::Late);
    let status = engine.source(1).expect("connected");
    assert_eq!((status.late, status.late_bytes, status.unasked), (1, MIB as u64, 0));
    assert_eq!(poll(&mut engine), []);
}

#[test]
fn what_one_lacks_is_asked_of_another_at_once_and_of_the_first_when_it_says_have() {
    let mut engine = engine(&[1, 2]);
    engine.want(at(0), S, &cids(0..1));
    let outputs = poll(&mut engine);
    let (first, second) = if asked(&outputs, 1).is_empty() { (2, 1) } else { (1, 2) };
    says(&mut engine, 10, first, 0, Presence::DontHave);
    assert_eq!(asked(&poll(&mut engine), second), [cid(0)]);
    engine.handle_disconnected(at(20), second);
    assert_eq!(
        poll(&mut engine).first(),
        Some(&Output::NotHeld { session: S, cid: cid(0) }),
        "nobody is left that might have it"
    );
    says(&mut engine, 30, first, 0, Presence::Have);
    assert_eq!(asked(&poll(&mut engine), first), [cid(0)]);
}

#[test]
fn nobody_has_it_is_said_once_and_again_after_a_change() {
    let mut engine = engine(&[1, 2]);
    engine.want(at(0), S, &cids(0..1));
    pass(&mut engine, 50);
    let not_held = Output::NotHeld { session: S, cid: cid(0) };
    says(&mut engine, 60, 1, 0, Presence::DontHave);
    assert!(!poll(&mut engine).contains(&not_held));
    says(&mut engine, 60, 2, 0, Presence::DontHave);
    let outputs = pass(&mut engine, 80);
    assert!(outputs.contains(&not_held));
    assert!(outputs.contains(&Output::FindProviders { session: S, cid: cid(0) }));
    says(&mut engine, 90, 2, 0, Presence::DontHave);
    assert!(!pass(&mut engine, 5_000).contains(&not_held));
    engine.handle_connected(at(5_000), 3, Abilities::BITSWAP);
    engine.add_source(at(5_000), S, 3);
    pass(&mut engine, 5_100);
    says(&mut engine, 5_100, 3, 0, Presence::DontHave);
    assert!(poll(&mut engine).contains(&not_held));
}

#[test]
fn what_was_asked_of_a_source_that_left_is_asked_of_others_and_of_it_when_it_is_back() {
    let mut engine = engine(&[1]);
    engine.want(at(0), S, &cids(0..4));
    assert_eq!(asked(&poll(&mut engine), 1).len(), 4);
    engine.handle_disconnected(at(10), 1);
    assert_eq!(engine.session(S).expect("open").asked_bytes, 0);
    engine.handle_connected(at(20), 2, Abilities::BITSWAP);
    engine.add_source(at(20), S, 2);
    assert_eq!(asked(&poll(&mut engine), 2).len(), 4);
    engine.handle_disconnected(at(30), 2);
    engine.handle_connected(at(40), 1, Abilities::BITSWAP);
    assert_eq!(asked(&poll(&mut engine), 1).len(), 4);
}

#[test]
fn a_source_that_does_not_move_is_joined_by_another_one_that_moves_is_not() {
    let mut engine = engine(&[1]);
    engine.want(at(0), S, &cids(0..2));
    poll(&mut engine);
    engine.handle_connected(at(0), 2, Abilities::BITSWAP);
    for second in 1..60 {
        engine.handle_progress(at(second * 1000), 1);
        pass(&mut engine, second * 1000 + 1);
        assert!(!engine.source(1).expect("connected").stalled, "it moves");
    }
    engine.add_source(at(59_500), S, 2);
    // more than 2 can be asked for, so that it is no end game
    engine.want(at(59_500), S, &cids(2..40));
    let asks = asked(&pass(&mut engine, 62_000), 2);
    engine.handle_block(at(63_000), 2, &asks[0], MIB);
    assert!(!asked(&pass(&mut engine, 63_900), 2).contains(&cid(0)));
    assert!(!engine.source(1).expect("connected").stalled);
    pass(&mut engine, 64_500);
    let status = engine.source(1).expect("connected");
    assert!(status.stalled);
    assert_eq!(status.window, limits::SOURCE_WINDOW_MIN);
    for cid in &asks[1..4] {
        engine.handle_block(at(64_600), 2, cid, MIB);
    }
    assert!(asked(&poll(&mut engine), 2).contains(&cid(0)));
    // it may come still
    assert!(matches!(engine.handle_block(at(66_100), 1, &cid(0), MIB), Arrival::Wanted { .. }));
    assert!(!engine.source(1).expect("connected").stalled);
    assert_eq!(cancelled(&poll(&mut engine), 2), [cid(0)]);
}

#[test]
fn a_source_that_sends_what_nobody_asked_for_is_dropped() {
    let mut engine = engine(&[1, 2]);
    engine.want(at(0), S, &cids(0..3));
    poll(&mut engine);
    let bound = u64::from(limits::UNASKED);
    for n in 0..bound {
        assert_eq!(engine.handle_block(at(n), 1, &cid(1000 + n), MIB), Arrival::Unasked);
    }
    assert!(engine.source(1).is_some());
    assert_eq!(engine.handle_block(at(bound), 1, &cid(2000), MIB), Arrival::Unasked);
    let outputs = poll(&mut engine);
    assert!(outputs.contains(&Output::Penalise { source: 1, fault: Fault::Unasked }));
    assert_eq!(asked(&outputs, 2).len(), 3, "its wants are asked of the other");
    assert!(engine.source(1).is_none());
    assert_eq!(engine.handle_block(at(100), 1, &cid(0), MIB), Arrival::Late);
}

#[test]
fn wanted_blocks_from_somebody_who_was_not_asked_are_not_accepted() {
    let mut engine = engine(&[1]);
    engine.handle_connected(at(0), 2, Abilities::BITSWAP);
    engine.want(at(0), S, &cids(0..1));
    poll(&mut engine);
    assert_eq!(engine.handle_block(at(1), 2, &cid(0), MIB), Arrival::Unasked);
}

#[test]
fn malformed_bytes_drop_a_source_at_once_a_broken_frame_does_not() {
    let mut engine = engine(&[1, 2]);
    engine.handle_fault(at(0), 1, Fault::Stalled);
    assert_eq!(poll(&mut engine), []);
    assert_eq!(engine.source(1).expect("connected").faults, 1);
    engine.handle_fault(at(0), 1, Fault::Malformed);
    engine.handle_fault(at(0), 1, Fault::Malformed);
    assert_eq!(poll(&mut engine), [Output::Penalise { source: 1, fault: Fault::Malformed }]);
}

#[test]
fn haves_that_are_always_taken_back_drop_a_source() {
    let mut engine = engine(&[1, 2]);
    engine.want(at(0), S, &cids(0..2));
    let mut penalised = false;
    for round in 0..u64::from(limits::FALSE_HAVES) + 2 {
        pass(&mut engine, round * 30);
        says(&mut engine, round * 30, 1, 1, Presence::Have);
        says(&mut engine, round * 30, 1, 1, Presence::DontHave);
        penalised |=
            poll(&mut engine).contains(&Output::Penalise { source: 1, fault: Fault::FalseHave });
    }
    assert!(penalised);
}

#[test]
fn a_session_without_sources_looks_for_some_now_and_then() {
    let mut engine = engine(&[]);
    engine.want(at(0), S, &cids(0..3));
    let search = Output::FindProviders { session: S, cid: cid(0) };
    assert_eq!(poll(&mut engine), std::slice::from_ref(&search));
    let more = pass(&mut engine, 60_500);
    assert_eq!(more.iter().filter(|o| **o == search).count(), 6);
}

#[test]
fn a_session_never_has_more_asked_and_unwritten_than_its_window() {
    let mut engine = engine(&[]);
    for source in 1..=100 {
        engine.handle_connected(at(0), source, Abilities::BITSWAP);
        engine.add_source(at(0), S, source);
    }
    engine.want(at(0), S, &cids(0..500));
    let outputs = poll(&mut engine);
    let session = |engine: &Engine| engine.session(S).expect("open");
    assert_eq!(session(&engine).asked_bytes, limits::SESSION_WINDOW);
    let all: Vec<(SourceId, Cid)> = (1..=100)
        .flat_map(|source| asked(&outputs, source).into_iter().map(move |cid| (source, cid)))
        .collect();
    assert_eq!(all.len(), 64);
    for (source, cid) in &all {
        engine.handle_block(at(10), *source, cid, MIB);
        let outputs: Vec<Output> = std::iter::from_fn(|| engine.poll_output()).collect();
        assert!((1..=100).all(|s| asked(&outputs, s).is_empty()), "nothing is written yet");
    }
    assert_eq!(session(&engine).held_bytes, limits::SESSION_WINDOW);
    engine.consumed(at(20), S, &all[0].1);
    assert_eq!(session(&engine).asked_bytes, 0);
    let outputs = poll(&mut engine);
    assert_eq!((1..=100).map(|s| asked(&outputs, s).len()).sum::<usize>(), 1);
}

#[test]
fn a_block_two_sessions_want_is_asked_once_and_goes_to_both() {
    let mut engine = engine(&[1]);
    engine.open_session(at(0), 2);
    engine.add_source(at(0), 2, 1);
    engine.want(at(0), S, &cids(0..2));
    engine.want(at(0), 2, &cids(1..3));
    let outputs = poll(&mut engine);
    assert_eq!(asked(&outputs, 1).len(), 3);
    let sessions = vec![S, 2];
    assert_eq!(engine.handle_block(at(10), 1, &cid(1), MIB), Arrival::Wanted { sessions });
    engine.close_session(at(20), S);
    assert_eq!(cancelled(&poll(&mut engine), 1), [cid(0)]);
    assert_eq!(engine.handle_block(at(30), 1, &cid(0), MIB), Arrival::Late);
    let sessions = vec![2];
    assert_eq!(engine.handle_block(at(30), 1, &cid(2), MIB), Arrival::Wanted { sessions });
    assert_eq!(engine.session(S), None);
}

#[test]
fn a_session_that_closes_hands_what_it_paid_for_to_the_other() {
    let mut engine = engine(&[1]);
    engine.open_session(at(0), 2);
    engine.want(at(0), S, &cids(0..2));
    engine.want(at(0), 2, &cids(0..2));
    poll(&mut engine);
    assert_eq!(engine.session(2).expect("open").asked_bytes, 0);
    engine.close_session(at(1), S);
    poll(&mut engine);
    assert_eq!(engine.session(2).expect("open").asked_bytes, 2 * MIB);
}

#[test]
fn cancelled_wants_are_cancelled_at_the_source_and_their_room_is_used() {
    let mut engine = engine(&[1]);
    engine.want(at(0), S, &cids(0..10));
    poll(&mut engine);
    engine.cancel(at(1), S, &[cid(0), cid(1), cid(99)]);
    let outputs = poll(&mut engine);
    assert_eq!(cancelled(&outputs, 1), [cid(0), cid(1)]);
    assert_eq!(asked(&outputs, 1), [cid(4), cid(5)]);
}

#[test]
fn a_session_takes_no_more_wants_than_its_limit() {
    let mut engine = engine(&[]);
    let many = cids(0..limits::SESSION_WANTS as u64 + 7);
    assert_eq!(engine.want(at(0), S, &many), limits::SESSION_WANTS);
    assert_eq!(engine.want(at(0), 77, &many), 0, "no such session");
}

#[test]
fn never_more_than_the_cap_is_kept_at_a_source_and_the_window_slides() {
    let mut engine = engine(&[1, 2]);
    engine.want(at(0), S, &(0..3000).map(|n| (cid(n), 1000)).collect::<Vec<_>>());
    let outputs = pass(&mut engine, 100);
    for source in [1, 2] {
        let known = wants(&outputs, source).len();
        assert!(known <= 2 * limits::SOURCE_WANTS, "{known}: each probed and then asked at most");
    }
    for cid in asked(&outputs, 1) {
        engine.handle_block(at(200), 1, &cid, 1000);
    }
    assert!(!asked(&pass(&mut engine, 300), 1).is_empty());
}

#[test]
fn wants_beyond_what_a_source_lacks_get_their_turn() {
    let mut engine = engine(&[1]);
    engine.want(at(0), S, &cids(0..2000));
    let (mut seen, mut ms, last) = (0, 0, cid(1999));
    // the source has nothing but the very last one
    while seen < 2000 && ms < 600_000 {
        for (cid, _, cancel) in wants(&pass(&mut engine, ms), 1) {
            if !cancel && cid != last {
                let presences = vec![(cid, Presence::DontHave)];
                engine.handle_control(at(ms), 1, Control { presences, ..Control::default() });
            } else if !cancel {
                seen = 2000;
            }
        }
        ms += 50;
    }
    assert_eq!(seen, 2000);
}

#[test]
fn what_few_have_goes_first_once_somebody_lacks_something() {
    let mut engine = engine(&[1, 2, 3]);
    engine.want(at(0), S, &cids(0..100));
    pass(&mut engine, 30);
    // 2 and 3 are busy elsewhere and have all but the last ten; 1 has everything
    for n in 0..100 {
        says(&mut engine, 40, 1, n, Presence::Have);
        for source in [2, 3] {
            let presence = if n < 90 { Presence::Have } else { Presence::DontHave };
            says(&mut engine, 40, source, n, presence);
        }
    }
    let outputs = poll(&mut engine);
    for source in [2, 3] {
        assert!(asked(&outputs, source).iter().all(|c| (0..90).any(|n| cid(n) == *c)));
    }
    assert_eq!(engine.session(S).expect("open").answered, 3);
}

#[test]
fn the_same_inputs_and_seed_give_the_same_outputs() {
    let run = || {
        let mut engine = engine(&[1, 2, 3]);
        engine.want(at(0), S, &cids(0..300));
        let mut outputs = pass(&mut engine, 50);
        for n in 0..50 {
            says(&mut engine, 60, 2, n, Presence::DontHave);
            says(&mut engine, 60, 3, n, Presence::Have);
        }
        outputs.extend(pass(&mut engine, 20_000));
        outputs
    };
    assert_eq!(run(), run());
}

#[test]
fn a_want_of_a_peer_goes_to_the_store_and_its_block_to_the_peer() {
    let mut engine = engine(&[1]);
    let entry = Entry {
        cid: cid(1),
        kind: WantKind::Block,
        priority: 1,
        cancel: false,
        send_dont_have: true,
    };
    let list = Wantlist { full: false, entries: vec![entry] };
    engine.handle_control(at(0), 1, Control { wantlist: Some(list), ..Control::default() });
    let cids = vec![cid(1)];
    assert_eq!(poll(&mut engine), [Output::Lookup { source: 1, cids: cids.clone() }]);
    engine.handle_lookup(at(1), 1, vec![(cid(1), Some(MIB))]);
    assert_eq!(poll(&mut engine), [Output::Serve { source: 1, cids: cids.clone() }]);
    assert_eq!(engine.source(1).expect("connected").serving, MIB);
    engine.handle_sent(at(2), 1, &cids, MIB + 50);
    let status = engine.source(1).expect("connected");
    assert_eq!((status.serving, status.wants, status.blocks_out), (0, 0, 1));
    assert_eq!(poll(&mut engine), []);
}
