//! One name being resolved: the newest of what peers answer, and who has to be told of it.
//!
//! A record that was answered is a stranger's bytes: it is verified under the name asked for, whatever key came with
//! it, and counts as none when it does not hold, has ended or is for the other DHT. Pure; time is an argument.

use std::time::Instant;

use libp2p::PeerId;
use libp2p::kad::RecordKey as Key;
use tokio::sync::oneshot;

use super::held::key_of;
use crate::card::did::PublisherId;
use crate::card::index::Scope;
use crate::card::ipns::Record;
use crate::card::statement::Timestamp;
use crate::limits;
use crate::network::Error;

/// Who waits for the newest record.
pub(super) type Reply = oneshot::Sender<Result<Option<Record>, Error>>;

/// What is known so far.
pub(super) struct Resolve {
    publisher: PublisherId,
    scope: Scope,
    best: Option<Record>,
    /// Peers that answered with the best.
    current: Vec<PeerId>,
    /// Peers that answered with anything else.
    stale: Vec<PeerId>,
    /// Records verified.
    checked: usize,
    /// When it ends with what there is.
    pub(super) until: Instant,
    pub(super) watchers: Vec<Reply>,
}

impl Resolve {
    pub(super) fn new(
        publisher: PublisherId,
        scope: Scope,
        watcher: Reply,
        until: Instant,
    ) -> Self {
        Self {
            publisher,
            scope,
            best: None,
            current: Vec::new(),
            stale: Vec::new(),
            checked: 0,
            until,
            watchers: vec![watcher],
        }
    }

    /// The DHT's key.
    pub(super) fn key(&self) -> Key {
        key_of(&self.publisher)
    }

    /// Takes a peer's answer in.
    pub(super) fn answer(&mut self, peer: PeerId, bytes: Vec<u8>, wall: Timestamp) {
        if self.best.as_ref().is_some_and(|best| best.bytes() == &bytes) {
            self.current.push(peer);
            return;
        }
        let record = (self.checked < limits::NAME_RESOLVE_CHECKS)
            .then(|| Record::verify(&self.publisher, bytes))
            .and_then(Result::ok);
        self.checked += 1;
        let valid = record.filter(|one| one.fits(self.scope) && !one.is_expired(wall));
        if !valid.is_some_and(|record| self.improve(record)) {
            self.stale.push(peer);
        } else {
            self.current.push(peer);
        }
    }

    /// Takes in a record that is held here.
    pub(super) fn hold(&mut self, record: &Record) {
        self.improve(record.clone());
    }

    /// The newest, and the peers that are to be sent it: those that answered with something else, then those of
    /// `without` any.
    pub(super) fn end(
        mut self,
        without: impl IntoIterator<Item = PeerId>,
    ) -> (Option<Record>, Vec<PeerId>, Vec<Reply>) {
        self.stale.extend(without);
        self.stale.truncate(limits::NAME_CORRECTED);
        (self.best, self.stale, self.watchers)
    }

    fn improve(&mut self, record: Record) -> bool {
        let newer = self.best.as_ref().is_none_or(|best| record.is_newer_than(best));
        if newer {
            self.stale.append(&mut self.current);
            self.best = Some(record);
        }
        newer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::testing::{publisher, record, record_until};

    const NOW: i64 = 1_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(seconds).unwrap()
    }

    /// What comes of these answers, one of each peer: the newest, and the numbers of those to be told.
    fn outcome(answers: &[Vec<u8>], held: Option<&Record>) -> (Option<Record>, Vec<usize>) {
        let (reply, _) = oneshot::channel();
        let mut resolve = Resolve::new(publisher(1), Scope::Lan, reply, Instant::now());
        let peers: Vec<PeerId> = answers.iter().map(|_| PeerId::random()).collect();
        for (peer, bytes) in peers.iter().zip(answers) {
            resolve.answer(*peer, bytes.clone(), at(NOW));
        }
        if let Some(held) = held {
            resolve.hold(held);
        }
        let (best, told, watchers) = resolve.end([]);
        assert_eq!(watchers.len(), 1);
        let number = |peer| peers.iter().position(|one| one == peer).unwrap();
        let mut told: Vec<usize> = told.iter().map(number).collect();
        told.sort_unstable();
        (best, told)
    }

    fn bytes(record: &Record) -> Vec<u8> {
        record.bytes().to_vec()
    }

    #[test]
    fn the_newest_wins_in_whatever_order_and_all_others_are_told() {
        let [old, newer, newest] = [1, 2, 3].map(|sequence| record(1, sequence));
        let [one, two, three] = [&old, &newer, &newest].map(bytes);
        for (answers, stale) in [
            ([&one, &two, &three, &three], [0, 1].as_slice()),
            ([&three, &one, &three, &two], &[1, 3]),
            ([&two, &two, &three, &two], &[0, 1, 3]),
        ] {
            let (best, told) = outcome(&answers.map(Clone::clone), None);
            assert_eq!((best.as_ref(), &told[..]), (Some(&newest), stale));
        }
        let (best, told) = outcome(&[two.clone(), one], Some(&newest));
        assert_eq!((best, told), (Some(newest), vec![0, 1]), "the newest is held here");
        let (best, told) = outcome(std::slice::from_ref(&two), Some(&old));
        assert_eq!((best, told), (Some(newer), vec![]), "the one held here is older");
    }

    #[test]
    fn junk_counts_as_nothing_and_its_senders_are_told_better() {
        let good = record(1, 1);
        let junk = [
            b"junk".to_vec(),
            Vec::new(),
            bytes(&record(2, 9)),
            bytes(&record_until(1, Scope::Public, 9, at(2 * NOW))),
            bytes(&record_until(1, Scope::Lan, 9, at(NOW))),
            vec![0; limits::IPNS_RECORD_MAX + 1],
        ];
        assert_eq!(outcome(&junk, None), (None, (0..junk.len()).collect()));
        let answers = [&junk[..], &[bytes(&good)]].concat();
        assert_eq!(outcome(&answers, None), (Some(good), (0..junk.len()).collect()));
    }

    #[test]
    fn no_more_is_verified_and_nobody_more_is_told_than_the_bounds_say() {
        let mut answers = vec![b"junk".to_vec(); limits::NAME_RESOLVE_CHECKS];
        answers.push(bytes(&record(1, 1)));
        let (best, told) = outcome(&answers, None);
        assert_eq!((best, told.len()), (None, limits::NAME_CORRECTED));
        let (best, _) = outcome(&answers[1..], None);
        assert_eq!(best, Some(record(1, 1)));
    }

    #[test]
    fn peers_without_a_record_are_told_after_those_with_a_wrong_one() {
        let (reply, _) = oneshot::channel();
        let mut resolve = Resolve::new(publisher(1), Scope::Lan, reply, Instant::now());
        let [wrong, right, without] = [0; 3].map(|_| PeerId::random());
        resolve.answer(wrong, b"junk".to_vec(), at(NOW));
        resolve.answer(right, bytes(&record(1, 1)), at(NOW));
        assert_eq!(resolve.end([without]).1, [wrong, without]);
    }
}
