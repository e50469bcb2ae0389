//! What peers may ask of us and in which order they get it.

use super::super::epoch;
use super::super::message::Entry;
use super::*;
use crate::dag::block::{DAG_PB, RAW, cid_v1, sha256};
use crate::limits::MIB;

fn cid(n: u64) -> Cid {
    cid_v1(RAW, sha256(&n.to_le_bytes()))
}

fn want(n: u64, kind: WantKind) -> Entry {
    Entry { cid: cid(n), kind, priority: 1, cancel: false, send_dont_have: true }
}

fn block(n: u64) -> Entry {
    want(n, WantKind::Block)
}

fn have(n: u64) -> Entry {
    want(n, WantKind::Have)
}

fn cancel(n: u64) -> Entry {
    Entry { cancel: true, ..block(n) }
}

/// A ledger and what it says, with a store of (CID number, length).
struct Shop {
    ledger: Ledger,
    out: Outbox,
    store: BTreeMap<Cid, usize>,
}

impl Shop {
    fn new(limit: usize, peers: &[SourceId], store: &[(u64, usize)]) -> Self {
        let mut ledger = Ledger::new(limit);
        for peer in peers {
            ledger.connect(epoch(), *peer);
        }
        let store = store.iter().map(|(n, len)| (cid(*n), *len)).collect();
        Self { ledger, out: Outbox::default(), store }
    }

    fn tell(&mut self, source: SourceId, entries: Vec<Entry>) {
        self.ledger.wantlist(source, Wantlist { full: false, entries }, &mut self.out);
    }

    /// Answers lookups until there are none; the other outputs.
    fn run(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        loop {
            self.ledger.pump(epoch(), &mut self.out);
            self.ledger.check();
            match self.out.pop(epoch()) {
                None => return outputs,
                Some(Output::Lookup { source, cids }) => {
                    let results = cids.iter().map(|c| (*c, self.store.get(c).copied())).collect();
                    self.ledger.lookup(epoch(), source, results, &mut self.out);
                }
                Some(output) => outputs.push(output),
            }
        }
    }

    fn sent(&mut self, source: SourceId, cids: &[Cid]) {
        let bytes = cids.iter().map(|c| self.store[c]).sum();
        self.ledger.sent(epoch() + Duration::from_millis(10), source, cids, bytes);
    }
}

fn serve(source: SourceId, numbers: &[u64]) -> Output {
    Output::Serve { source, cids: numbers.iter().map(|n| cid(*n)).collect() }
}

fn presences(outputs: &[Output]) -> Vec<(Cid, Presence)> {
    let all = outputs.iter().filter_map(|output| match output {
        Output::Send { control, .. } => Some(control.presences.clone()),
        _ => None,
    });
    all.flatten().collect()
}

#[test]
fn a_want_have_is_answered_by_have_or_by_a_small_block_itself() {
    let mut shop = Shop::new(MIB, &[1], &[(1, 1025), (2, 1024)]);
    shop.tell(1, vec![have(1), have(2)]);
    let outputs = shop.run();
    assert!(outputs.contains(&serve(1, &[2])));
    assert_eq!(presences(&outputs), [(cid(1), Presence::Have)]);
    assert_eq!(shop.ledger.status(1).0, 1, "only the block on its way is remembered");
}

#[test]
fn dont_have_is_said_only_where_it_is_asked_for_and_the_want_stays() {
    let mut shop = Shop::new(MIB, &[1], &[]);
    shop.tell(1, vec![block(1), Entry { send_dont_have: false, ..block(2) }, have(3)]);
    let said = presences(&shop.run());
    assert_eq!(said.len(), 2);
    assert!(said.contains(&(cid(1), Presence::DontHave)));
    assert!(said.contains(&(cid(3), Presence::DontHave)));
    assert_eq!(shop.ledger.status(1).0, 3);
}

#[test]
fn what_is_stored_later_is_pushed_to_those_who_may_see_it() {
    let mut shop = Shop::new(16 * MIB, &[1, 2], &[]);
    shop.tell(1, vec![block(1), have(2)]);
    shop.tell(2, vec![block(3)]);
    shop.run();
    shop.store.insert(cid(1), MIB);
    shop.store.insert(cid(2), MIB);
    // 3 is stored, but the lookup does not show it
    shop.ledger.stored(&[(cid(1), MIB), (cid(2), MIB), (cid(3), MIB)], &mut shop.out);
    let outputs = shop.run();
    assert!(outputs.contains(&serve(1, &[1])));
    assert_eq!(presences(&outputs), [(cid(2), Presence::Have)]);
    assert_eq!(shop.ledger.status(2).0, 1);
}

#[test]
fn a_block_stored_while_the_store_is_asked_is_not_missed() {
    let mut shop = Shop::new(MIB, &[1], &[]);
    shop.tell(1, vec![block(1)]);
    let asked = shop.out.pop(epoch());
    assert_eq!(asked, Some(Output::Lookup { source: 1, cids: vec![cid(1)] }));
    shop.store.insert(cid(1), 5);
    shop.ledger.stored(&[(cid(1), 5)], &mut shop.out);
    shop.ledger.lookup(epoch(), 1, vec![(cid(1), None)], &mut shop.out);
    assert_eq!(shop.run(), [serve(1, &[1])]);
}

#[test]
fn a_block_stored_under_another_codec_serves_the_same_multihash() {
    let mut shop = Shop::new(MIB, &[1], &[]);
    shop.tell(1, vec![block(1)]);
    shop.run();
    shop.store.insert(cid(1), 5);
    let other = Cid::new_v1(DAG_PB, *cid(1).hash());
    shop.ledger.stored(&[(other, 5)], &mut shop.out);
    assert_eq!(shop.run(), [serve(1, &[1])]);
}

#[test]
fn the_same_want_again_is_not_served_twice_while_it_is_on_its_way() {
    let mut shop = Shop::new(16 * MIB, &[1], &[(1, MIB)]);
    shop.tell(1, vec![block(1)]);
    shop.tell(1, vec![block(1)]);
    assert_eq!(shop.run(), [serve(1, &[1])]);
    shop.tell(1, vec![block(1)]);
    shop.tell(1, vec![cancel(1)]);
    shop.tell(1, vec![block(1)]);
    assert_eq!(shop.run(), [Output::Recall { source: 1, cids: vec![cid(1)] }]);
    shop.sent(1, &[cid(1)]);
    assert_eq!(shop.ledger.status(1), (0, 0));
    shop.tell(1, vec![block(1)]);
    assert_eq!(shop.run(), [serve(1, &[1])], "it may have lost it since");
}

#[test]
fn a_cancel_beats_a_want_of_the_same_message_and_takes_it_from_the_queue() {
    let mut shop = Shop::new(MIB, &[1], &[(1, MIB), (2, MIB), (3, MIB)]);
    shop.tell(1, vec![cancel(1), block(1), block(2), block(3)]);
    assert_eq!(shop.run(), [serve(1, &[2])]);
    shop.tell(1, vec![cancel(3), cancel(2)]);
    assert_eq!(shop.run(), [Output::Recall { source: 1, cids: vec![cid(2)] }]);
    assert_eq!(shop.ledger.status(1), (0, MIB), "still being written");
    shop.sent(1, &[cid(2)]);
    assert_eq!(shop.run(), []);
}

#[test]
fn a_block_recalled_and_wanted_again_before_it_was_dropped_is_served_again() {
    let mut shop = Shop::new(MIB, &[1], &[(1, MIB)]);
    shop.tell(1, vec![block(1)]);
    assert_eq!(shop.run(), [serve(1, &[1])]);
    shop.tell(1, vec![cancel(1)]);
    shop.tell(1, vec![block(1)]);
    assert_eq!(shop.run(), [Output::Recall { source: 1, cids: vec![cid(1)] }]);
    shop.ledger.unsent(epoch(), 1, vec![cid(1)], true, &mut shop.out);
    assert_eq!(shop.run(), [serve(1, &[1])]);
}

#[test]
fn what_a_reset_may_have_lost_is_served_again_after_all_else() {
    let mut shop = Shop::new(MIB, &[1], &[(1, MIB), (2, MIB)]);
    shop.tell(1, vec![block(1)]);
    assert_eq!(shop.run(), [serve(1, &[1])]);
    shop.sent(1, &[cid(1)]);
    shop.tell(1, vec![block(2)]);
    shop.ledger.lost(1, vec![cid(1)], &mut shop.out);
    assert_eq!(shop.run(), [serve(1, &[2])]);
    shop.sent(1, &[cid(2)]);
    assert_eq!(shop.run(), [serve(1, &[1])]);
}

#[test]
fn a_full_list_replaces_all_wants() {
    let mut shop = Shop::new(MIB, &[1], &[]);
    shop.tell(1, vec![block(1), block(2), block(3)]);
    shop.run();
    let list = Wantlist { full: true, entries: vec![block(3), block(4)] };
    shop.ledger.wantlist(1, list, &mut shop.out);
    shop.run();
    assert_eq!(shop.ledger.status(1).0, 2);
    shop.store = [(cid(1), 5), (cid(3), 5)].into();
    shop.ledger.stored(&[(cid(1), 5), (cid(3), 5)], &mut shop.out);
    assert_eq!(shop.run(), [serve(1, &[3])]);
}

#[test]
fn block_beats_have_for_the_same_cid() {
    let mut shop = Shop::new(MIB, &[1], &[(1, MIB)]);
    shop.tell(1, vec![block(1), have(1)]);
    assert_eq!(shop.run(), [serve(1, &[1])]);
}

#[test]
fn higher_priority_goes_first_then_what_came_first() {
    let mut shop = Shop::new(MIB, &[1], &[(1, 600_000), (2, 600_000), (3, 600_000)]);
    shop.tell(1, vec![block(1), block(2), Entry { priority: 5, ..block(3) }]);
    for n in [3, 1, 2] {
        assert_eq!(shop.run(), [serve(1, &[n])]);
        shop.sent(1, &[cid(n)]);
    }
}

#[test]
fn one_want_too_many_takes_the_place_of_a_missing_one_then_of_a_lower_one() {
    let cap = limits::FOREIGN_WANTS as u64;
    let held: Vec<(u64, usize)> = (1..cap + 10).map(|n| (n, MIB)).collect();
    let mut shop = Shop::new(1, &[1], &held);
    shop.tell(1, (0..cap).map(block).collect());
    shop.run();
    assert_eq!(shop.ledger.status(1).0, cap as usize);
    // number 0 is missing
    shop.tell(1, vec![Entry { priority: 0, ..block(cap) }]);
    shop.run();
    assert_eq!(shop.ledger.state(1, &cid(0)), None);
    assert!(shop.ledger.state(1, &cid(cap)).is_some());
    // all are held now: the one of lowest priority gives way to a higher one, not to its like
    shop.tell(1, vec![Entry { priority: 0, ..block(cap + 1) }]);
    assert_eq!(shop.ledger.state(1, &cid(cap + 1)), None);
    shop.tell(1, vec![block(cap + 2)]);
    assert_eq!(shop.ledger.state(1, &cid(cap)), None);
    assert!(shop.ledger.state(1, &cid(cap + 2)).is_some());
    assert_eq!(shop.ledger.status(1).0, cap as usize);
}

#[test]
fn all_is_freed_on_disconnect() {
    let mut shop = Shop::new(8 * MIB, &[1], &[(1, MIB), (2, MIB)]);
    shop.tell(1, vec![block(1), block(2), block(3)]);
    shop.run();
    shop.ledger.disconnect(1);
    shop.ledger.check();
    assert!(shop.ledger.waiting.is_empty() && shop.ledger.turns.is_empty());
    assert_eq!(shop.ledger.serving, 0);
    // what the shell still reports of it is of no consequence
    shop.sent(1, &[cid(1)]);
    shop.ledger.unsent(epoch(), 1, vec![cid(2)], true, &mut shop.out);
    shop.ledger.check();
}

#[test]
fn what_could_not_be_written_is_served_again_or_counts_as_missing() {
    let mut shop = Shop::new(8 * MIB, &[1], &[(1, 5), (2, 5)]);
    shop.tell(1, vec![block(1), block(2)]);
    assert_eq!(shop.run(), [serve(1, &[1, 2])]);
    shop.ledger.unsent(epoch(), 1, vec![cid(1)], true, &mut shop.out);
    shop.ledger.unsent(epoch(), 1, vec![cid(2)], false, &mut shop.out);
    let outputs = shop.run();
    assert!(outputs.contains(&serve(1, &[1])));
    assert_eq!(presences(&outputs), [(cid(2), Presence::DontHave)]);
}

#[test]
fn several_blocks_go_in_one_message_but_never_more_than_it_holds() {
    let small: Vec<(u64, usize)> = (0..1000).map(|n| (n, 3000)).collect();
    let mut shop = Shop::new(64 * MIB, &[1], &small);
    shop.tell(1, (0..1000).map(block).collect());
    let outputs = shop.run();
    assert!(outputs.len() <= 4, "{} messages", outputs.len());

    let big: Vec<(u64, usize)> = (0..20).map(|n| (n, MIB)).collect();
    let mut shop = Shop::new(64 * MIB, &[1], &big);
    shop.tell(1, (0..20).map(block).collect());
    let mut served = 0;
    for _ in 0..20 {
        for output in shop.run() {
            let Output::Serve { cids, .. } = output else { panic!("{output:?}") };
            assert!(cids.len() <= 3);
            served += cids.len();
            // an instant later: a very fast peer
            shop.sent(1, &cids);
        }
    }
    assert_eq!(served, 20);
}

#[test]
fn peers_get_the_same_bytes_however_much_they_ask_for() {
    let store: Vec<(u64, usize)> = (0..3000).map(|n| (n, 500_000)).collect();
    let mut shop = Shop::new(2 * MIB, &[1, 2, 3], &store);
    shop.tell(1, (0..1000).map(block).collect());
    let mut served: BTreeMap<SourceId, usize> = BTreeMap::new();
    let mut flying = std::collections::VecDeque::new();
    for round in 0..300 {
        if round == 100 {
            shop.tell(2, (1000..1200).map(block).collect());
            shop.tell(3, (2000..2400).map(block).collect());
        }
        for output in shop.run() {
            if let Output::Serve { source, cids } = output {
                if round >= 100 {
                    *served.entry(source).or_default() += cids.len();
                }
                flying.push_back((source, cids));
            }
        }
        if let Some((source, cids)) = flying.pop_front() {
            shop.sent(source, &cids);
        }
    }
    let (least, most) = (served.values().min(), served.values().max());
    assert_eq!(served.len(), 3);
    assert!(most.expect("three") - least.expect("three") <= 12, "{served:?}");
}

#[test]
fn what_somebody_was_just_sent_lets_other_blocks_go_first_but_not_for_ever() {
    let mut shop = Shop::new(MIB, &[1, 2], &[(1, MIB), (2, MIB), (3, MIB)]);
    shop.tell(1, vec![block(1), block(2)]);
    assert_eq!(shop.run(), [serve(1, &[1])]);
    shop.tell(2, vec![block(1), block(3)]);
    assert_eq!(shop.run(), [serve(2, &[3])], "1 may soon be had of the other");
    shop.sent(1, &[cid(1)]);
    assert_eq!(shop.run(), [serve(1, &[2])]);
    shop.sent(2, &[cid(3)]);
    assert_eq!(shop.run(), [serve(2, &[1])], "there is nothing else to do");
}

#[test]
fn few_peers_are_served_at_a_time_on_a_slow_link_and_slow_ones_hold_up_nobody() {
    let store: Vec<(u64, usize)> = (0..100).map(|n| (n, MIB)).collect();
    let mut shop = Shop::new(limits::SERVE_TOTAL, &[1, 2, 3], &store);
    shop.ledger.throughput.rate = Some(1e6);
    for peer in 1..=3 {
        shop.tell(peer, (peer * 10..peer * 10 + 5).map(block).collect());
    }
    shop.run();
    let served = |shop: &Shop, peer| shop.ledger.status(peer).1 > 0;
    assert!(served(&shop, 1) && served(&shop, 2) && !served(&shop, 3), "two at a time");
    let due = shop.ledger.next_timeout(epoch()).expect("the third waits");
    shop.ledger.pump(due, &mut shop.out);
    assert!(served(&shop, 3), "those two take nothing");
}

#[test]
fn bytes_on_their_way_stay_within_the_limits() {
    let store: Vec<(u64, usize)> = (0..100).map(|n| (n, 2 * MIB)).collect();
    let peers: Vec<SourceId> = (1..=30).collect();
    let mut shop = Shop::new(20 * MIB, &peers, &store);
    shop.ledger.throughput.rate = Some(1e12);
    for peer in &peers {
        shop.tell(*peer, (0..100).map(block).collect());
    }
    shop.run();
    assert!((38 * MIB..=40 * MIB).contains(&shop.ledger.serving), "first blocks, as much again");
    let each = peers.iter().map(|peer| shop.ledger.status(*peer).1);
    assert!(each.clone().all(|bytes| bytes <= 2 * MIB), "{each:?}");
}

#[test]
fn peers_that_take_nothing_keep_nobody_from_being_served() {
    let store: Vec<(u64, usize)> = (0..100).map(|n| (n, MIB)).collect();
    let mut shop = Shop::new(2 * MIB, &[1, 2, 3], &store);
    for deaf in [1, 2] {
        shop.tell(deaf, (0..50).map(block).collect());
    }
    shop.run();
    assert_eq!(shop.ledger.serving, 2 * MIB, "all there is");
    shop.tell(3, (50..60).map(block).collect());
    for n in 50..60 {
        assert_eq!(shop.run(), [serve(3, &[n])]);
        shop.sent(3, &[cid(n)]);
    }
}

#[test]
fn as_much_is_loaded_ahead_as_the_peer_takes_in_a_quarter_of_a_second() {
    let store: Vec<(u64, usize)> = (0..100).map(|n| (n, MIB)).collect();
    let mut shop = Shop::new(limits::SERVE_TOTAL, &[1], &store);
    shop.tell(1, (0..100).map(block).collect());
    let mut now = epoch();
    let mut flying = std::collections::VecDeque::from(shop.run());
    for _ in 0..20 {
        let Some(Output::Serve { cids, .. }) = flying.pop_front() else { panic!("starved") };
        // sixteen MiB a second
        now += Duration::from_micros(62_500) * u32::try_from(cids.len()).unwrap();
        shop.ledger.sent(now, 1, &cids, cids.len() * MIB);
        flying.extend(shop.run());
    }
    let ahead = shop.ledger.status(1).1;
    assert!((3 * MIB..=5 * MIB).contains(&ahead), "{ahead}");
}
