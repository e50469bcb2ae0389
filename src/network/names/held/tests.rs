use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::network::testing::{publisher, record, record_until};
use crate::store::SoftEntry;

/// Peers in the routing table: so many that growing changes nothing.
const TABLE: usize = limits::ANNOUNCE_TABLE;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds).unwrap()
}

/// A map, and the times at which it is used.
struct Fixture {
    held: Held,
    now: Instant,
    wall: Timestamp,
}

impl Fixture {
    fn new() -> Self {
        Self { held: Held::new(Scope::Lan), now: Instant::now(), wall: at(1_000_000) }
    }

    fn take(&mut self, record: &Record, source: Source) -> Result<bool, Refused> {
        self.held.take(record.clone(), source, TABLE, self.now, self.wall)
    }

    fn get(&self, n: u32) -> Option<&Record> {
        self.held.get(&key_of(&publisher(n)), self.wall)
    }

    fn due(&self, now: Instant, table: usize) -> Vec<Key> {
        self.held.due(now, self.wall, table, usize::MAX)
    }

    /// Fresh names of one peer, more than the map has room for.
    fn flood(&mut self, flooder: Source) {
        let room = limits::NAMES_BYTES / limits::NAME_OVERHEAD;
        for n in 0..u32::try_from(room).unwrap() {
            assert_eq!(self.take(&record(10_000 + n, 1), flooder), Ok(true));
        }
        assert!(self.held.weight <= limits::NAMES_BYTES);
        assert!(self.held.len() < room, "it was more than there is room for");
    }
}

fn peer() -> Source {
    Source::Peer(PeerId::random())
}

#[test]
fn a_newer_record_takes_the_place_of_an_older_one_and_never_the_other_way() {
    let mut map = Fixture::new();
    let (old, new) = (record(1, 1), record(1, 2));
    assert_eq!(map.take(&old, peer()), Ok(true));
    assert_eq!(map.take(&new, peer()), Ok(true));
    assert_eq!(map.get(1), Some(&new));
    for source in [Source::Own, Source::Asked, peer()] {
        assert_eq!(map.take(&old, source), Err(Refused::Older { held: 2 }));
        assert_eq!(map.take(&new, source), Ok(false), "the same");
    }
    assert_eq!(map.get(1), Some(&new));
    assert_eq!(map.held.len(), 1);
    assert!(map.held.has(&key_of(&publisher(1)), new.bytes()));
    assert!(!map.held.has(&key_of(&publisher(1)), old.bytes()));
}

#[test]
fn a_record_that_has_ended_is_neither_taken_nor_given_nor_put() {
    let mut map = Fixture::new();
    let ends = record_until(1, Scope::Lan, 1, at(2_000_000));
    assert_eq!(map.take(&ends, Source::Own), Ok(true));
    assert_eq!(map.due(map.now, TABLE).len(), 1);
    map.wall = at(1_999_999);
    assert!(map.get(1).is_some());
    map.held.expire(map.wall);
    assert_eq!(map.held.len(), 1);
    map.wall = at(2_000_000);
    assert_eq!(map.get(1), None);
    assert_eq!(map.due(map.now, TABLE), []);
    assert_eq!(map.take(&ends, peer()), Err(Refused::Expired));
    map.held.take_changes();
    map.held.expire(map.wall);
    assert_eq!((map.held.len(), map.held.weight, map.held.sources.len()), (0, 0, 0));
    let gone = map.held.take_changes();
    assert!(gone.len() == 1 && gone[0].encode().value.is_none(), "and so on the disk: {gone:?}");
}

#[test]
fn a_newer_record_that_has_ended_is_in_nobodys_way() {
    let mut map = Fixture::new();
    map.take(&record_until(1, Scope::Lan, 2, at(2_000_000)), Source::Own).unwrap();
    map.wall = at(2_000_000);
    let older = record(1, 1);
    assert_eq!(map.take(&older, peer()), Ok(true));
    assert_eq!(map.get(1), Some(&older));
}

#[test]
fn a_record_signed_for_the_other_dht_is_refused_from_everywhere() {
    let mut map = Fixture::new();
    let public = record_until(1, Scope::Public, 1, at(2_000_000));
    for source in [Source::Own, Source::Asked, peer()] {
        assert_eq!(map.take(&public, source), Err(Refused::OtherDht));
    }
    let mut other = Held::new(Scope::Public);
    assert_eq!(other.take(record(1, 1), peer(), TABLE, map.now, map.wall), Err(Refused::OtherDht));
    assert_eq!(other.take(public.clone(), peer(), TABLE, map.now, map.wall), Ok(true));

    // From the disk too: as the public DHT's map wrote it, and with its mark forged.
    let mut entry = other.take_changes().remove(0).encode();
    map.held.restore(Saved::decode(&entry).unwrap(), map.now, map.wall);
    entry.key[0] = b'l';
    map.held.restore(Saved::decode(&entry).unwrap(), map.now, map.wall);
    assert_eq!(map.held.len(), 0);
}

#[test]
fn a_flood_displaces_the_flooders_own_records_and_nobody_elses() {
    let mut map = Fixture::new();
    map.take(&record(1, 1), peer()).unwrap();
    map.take(&record(2, 1), Source::Asked).unwrap();
    map.take(&record(3, 1), Source::Own).unwrap();
    map.flood(peer());
    for n in 1..=3 {
        assert!(map.get(n).is_some(), "{n}");
    }
    assert_eq!(map.get(10_000), None, "the flooder's oldest went");
    // What went is gone from the disk too.
    let changes: Vec<SoftEntry> = map.held.take_changes().iter().map(Saved::encode).collect();
    assert_eq!(changes.iter().filter(|one| one.value.is_some()).count(), map.held.len());
}

#[test]
fn a_flooder_cannot_draw_others_names_into_its_own_lot() {
    let mut map = Fixture::new();
    let (quiet, flooder) = (peer(), peer());
    map.take(&record(1, 1), quiet).unwrap();
    map.take(&record(2, 1), Source::Own).unwrap();
    for n in 1..=2 {
        assert_eq!(map.take(&record(n, 1), flooder), Ok(false));
        assert_eq!(map.take(&record(n, 2), flooder), Ok(true), "a newer one is taken from anybody");
    }
    map.flood(flooder);
    assert!(map.get(1).is_some() && map.get(2).is_some());
}

#[test]
fn a_name_that_was_resolved_here_outlives_a_flood_of_the_peer_that_brought_it() {
    let mut map = Fixture::new();
    let flooder = peer();
    map.take(&record(1, 1), flooder).unwrap();
    map.take(&record(2, 1), flooder).unwrap();
    map.held.take_changes();
    map.take(&record(1, 1), Source::Asked).unwrap();
    let changes = map.held.take_changes();
    assert!(
        matches!(&changes[..], [Saved { kept: Some((Source::Asked, _)), .. }]),
        "after a restart too: {changes:?}"
    );
    map.flood(flooder);
    assert!(map.get(1).is_some());
    assert_eq!(map.get(2), None);
}

#[test]
fn names_published_here_are_bounded_by_themselves() {
    let mut map = Fixture::new();
    let most = u32::try_from(limits::NAMES_OWN_MAX).unwrap();
    for n in 0..most {
        map.take(&record(n, 1), Source::Own).unwrap();
    }
    assert_eq!(map.take(&record(most, 1), Source::Own), Err(Refused::Full));
    assert_eq!(map.take(&record(0, 2), Source::Own), Ok(true), "a newer record is no further name");
    assert_eq!(map.take(&record(most, 1), peer()), Ok(true));
    let largest = 2 * limits::IPNS_RECORD_MAX + limits::NAME_OVERHEAD;
    assert!(
        limits::NAMES_OWN_MAX * largest < limits::NAMES_BYTES - largest,
        "there is always room"
    );
}

#[test]
fn records_are_put_when_published_and_others_when_the_table_doubled_or_22_hours_are_over() {
    let mut map = Fixture::new();
    map.held.take(record(1, 1), peer(), 2, map.now, map.wall).unwrap();
    map.held.take(record(2, 1), peer(), 0, map.now, map.wall).unwrap();
    assert_eq!(map.due(map.now, 0), []);
    assert_eq!(map.due(map.now, 3), [key_of(&publisher(2))], "it came before any peer was known");
    map.held.schedule(&key_of(&publisher(2))).unwrap().begin(TABLE);
    assert_eq!(map.due(map.now, 4), [key_of(&publisher(1))]);
    map.take(&record(3, 1), Source::Own).unwrap();
    assert_eq!(map.due(map.now, 4), [key_of(&publisher(3)), key_of(&publisher(1))], "own first");
    map.take(&record(2, 2), peer()).unwrap();
    let later = map.now + limits::ANNOUNCE_EVERY;
    assert_eq!(
        map.due(later, 3).len(),
        3,
        "a newer record is sent though an older one is under way"
    );
    assert_eq!(map.held.due(later, map.wall, 3, 2).len(), 2, "no more than there is room for");
}

#[test]
fn a_flood_is_passed_on_at_a_bounded_size() {
    let mut map = Fixture::new();
    let most = u32::try_from(limits::NAMES_SPREAD).unwrap();
    let (flooder, other) = (peer(), peer());
    for n in 0..most + 50 {
        map.take(&record(n, 1), flooder).unwrap();
    }
    map.take(&record(5000, 1), other).unwrap();
    let due = map.due(map.now + limits::ANNOUNCE_EVERY, TABLE);
    assert_eq!(due.len(), limits::NAMES_SPREAD + 1);
    assert!(due.contains(&key_of(&publisher(0))), "the first ones, so that they stay the same");
    assert!(due.contains(&key_of(&publisher(5000))));
}

#[test]
fn changes_are_told_once_and_come_back_after_a_restart() {
    let mut map = Fixture::new();
    let brought = [(1, peer()), (2, Source::Asked), (3, Source::Own)];
    for (n, source) in brought {
        map.take(&record(n, 1), source).unwrap();
        map.take(&record(n, 2), source).unwrap();
    }
    let changes = map.held.take_changes();
    assert_eq!(changes.len(), 3);
    assert_eq!(map.held.take_changes(), []);

    let mut again = Fixture::new();
    for saved in changes {
        let decoded = Saved::decode(&saved.encode());
        assert_eq!(decoded.as_ref(), Some(&saved));
        again.held.restore(saved, again.now, again.wall);
    }
    assert_eq!(again.held.take_changes(), [], "what was loaded need not be written again");
    for (n, source) in brought {
        assert_eq!(again.get(n), Some(&record(n, 2)));
        assert_eq!(again.held.names[&key_of(&publisher(n))].source, source);
    }
    assert_eq!(again.due(again.now, 1).len(), 3, "and is put to the first peers");
}

#[test]
fn what_ended_or_was_damaged_meanwhile_does_not_come_back() {
    let mut map = Fixture::new();
    map.take(&record_until(1, Scope::Lan, 1, at(2_000_000)), peer()).unwrap();
    let good = map.held.take_changes().remove(0).encode();
    assert_eq!(good.expires, UNIX_EPOCH + Duration::from_secs(2_000_001));

    map.wall = at(2_000_000);
    map.held.expire(map.wall);
    map.held.restore(Saved::decode(&good).unwrap(), map.now, map.wall);
    assert_eq!(map.held.len(), 0);

    let value = good.value.clone().unwrap();
    let data = value.windows(4).position(|part| part == b"CTTL" || part == b"cTTL").unwrap();
    let mut flipped = value.clone();
    flipped[data] ^= 1;
    let mut other = good.key.clone();
    other[1..].copy_from_slice(key_of(&publisher(2)).as_ref());
    for (key, value) in [
        (&good.key, flipped),
        (&good.key, value[..value.len() - 1].to_vec()),
        (&good.key, Vec::new()),
        (&other, value.clone()),
        (&good.key[1..].to_vec(), value.clone()),
    ] {
        let entry = SoftEntry { key: key.clone(), value: Some(value), expires: good.expires };
        assert_eq!(Saved::decode(&entry), None, "{entry:?}");
    }
}

#[test]
fn the_wall_clock_of_a_record_is_never_out_of_range() {
    assert_eq!(wall(UNIX_EPOCH - Duration::from_secs(5)), at(0));
    assert_eq!(wall(UNIX_EPOCH + Duration::from_secs(7)), at(7));
    let last = wall(UNIX_EPOCH + Duration::from_secs(1 << 40));
    assert_eq!(last.to_string(), "9999-12-31T23:59:59Z");
}

proptest! {
    #[test]
    fn no_saved_bytes_panic(key: Vec<u8>, value: Vec<u8>, named: bool) {
        let name = [b"l", key_of(&publisher(1)).as_ref()].concat();
        let key = if named { name } else { key };
        let _ = Saved::decode(&SoftEntry { key, value: Some(value), expires: UNIX_EPOCH });
    }
}
