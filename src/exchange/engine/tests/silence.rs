//! Sources that stay connected and bring nothing: when they are sent their wants again.

use super::*;

/// Lets time pass; when this source was sent a full list of wants, in ms, and how many were in it.
fn resent(engine: &mut Engine, until: u64, to: SourceId) -> Vec<(u64, usize)> {
    let mut lists = Vec::new();
    let mut note = |engine: &mut Engine, now: Instant| {
        for output in poll(engine) {
            if let Output::Send { source, control: Control { wantlist: Some(list), .. } } = output
                && source == to
                && list.full
            {
                let ms = u64::try_from((now - epoch()).as_millis()).expect("small");
                lists.push((ms, list.entries.len()));
            }
        }
    };
    while let Some(due) = engine.poll_timeout().filter(|due| *due <= at(until)) {
        engine.handle_timeout(due);
        note(engine, due);
    }
    engine.handle_timeout(at(until));
    note(engine, at(until));
    lists
}

fn small(range: std::ops::Range<u64>) -> Vec<(Cid, usize)> {
    range.map(|n| (cid(n), 1000)).collect()
}

#[test]
fn the_only_source_is_sent_its_wants_again_ever_later_while_it_is_silent() {
    let mut engine = engine(&[1]);
    engine.want(at(0), S, &cids(0..3));
    poll(&mut engine);
    let times = [8_000, 24_000, 56_000, 116_000, 176_000];
    assert_eq!(resent(&mut engine, 180_000, 1), times.map(|ms| (ms, 3)));
}

#[test]
fn a_block_ends_the_silence_and_the_next_one_begins_anew() {
    let mut engine = engine(&[1]);
    engine.want(at(0), S, &cids(0..3));
    poll(&mut engine);
    assert_eq!(resent(&mut engine, 30_000, 1), [(8_000, 3), (24_000, 3)]);
    assert!(matches!(engine.handle_block(at(30_000), 1, &cid(1), MIB), Arrival::Wanted { .. }));
    assert_eq!(resent(&mut engine, 60_000, 1), [(38_000, 2), (54_000, 2)]);
}

#[test]
fn a_source_whose_bytes_come_in_is_not_asked_again() {
    let mut engine = engine(&[1]);
    engine.want(at(0), S, &cids(0..3));
    poll(&mut engine);
    for second in 1..120 {
        assert_eq!(resent(&mut engine, second * 1000, 1), []);
        engine.handle_progress(at(second * 1000), 1);
    }
}

#[test]
fn wants_of_different_ages_are_sent_again_together_once_a_period() {
    let mut engine = engine(&[1]);
    for ms in [0, 1_500, 3_000, 4_500] {
        engine.want(at(ms), S, &small(ms..ms + 5));
        assert_eq!(resent(&mut engine, ms, 1), []);
    }
    assert_eq!(resent(&mut engine, 40_000, 1), [(8_000, 20), (24_000, 20)]);
}

#[test]
fn wants_sent_anew_for_another_reason_are_not_sent_again_right_after_it() {
    let mut engine = engine(&[1]);
    engine.want(at(0), S, &cids(0..3));
    poll(&mut engine);
    assert_eq!(resent(&mut engine, 7_000, 1), []);
    engine.handle_wants_lost(at(7_000), 1);
    assert_eq!(resent(&mut engine, 7_000, 1), [(7_000, 3)]);
    assert_eq!(resent(&mut engine, 30_000, 1), [(15_000, 3)]);
}

#[test]
fn a_source_that_answers_every_repetition_is_not_dropped_for_it() {
    let mut engine = engine(&[1]);
    engine.want(at(0), S, &small(0..40));
    poll(&mut engine);
    let sent = 1 + resent(&mut engine, 60_000, 1).len();
    assert_eq!(sent, 4);
    for n in 0..40 {
        let arrival = engine.handle_block(at(60_000), 1, &cid(n), 1000);
        assert!(matches!(arrival, Arrival::Wanted { .. }));
    }
    for _ in 1..sent {
        for n in 0..40 {
            let arrival = engine.handle_block(at(61_000), 1, &cid(n), 1000);
            assert!(!matches!(arrival, Arrival::Wanted { .. }));
        }
    }
    assert_eq!(poll(&mut engine), []);
    assert!(engine.source(1).is_some());
}

#[test]
fn another_source_is_asked_first_and_while_it_moves_the_silent_one_waits_longer() {
    let mut engine = engine(&[1, 2]);
    engine.want(at(0), S, &cids(0..1));
    let outputs = pass(&mut engine, 3_000);
    assert_eq!((asked(&outputs, 1), asked(&outputs, 2)), (vec![cid(0)], vec![cid(0)]));
    let mut again = Vec::new();
    for second in 3..70 {
        again.extend(resent(&mut engine, second * 1000, 1));
        engine.handle_progress(at(second * 1000), 2);
    }
    assert_eq!(again, [(30_000, 1), (60_000, 1)]);
}
