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
    pub(super) fn new(publisher: PublisherId, scope: Scope, watcher: Reply, now: Instant) -> Self {
        Self {
            publisher,
            scope,
            best: None,
            current: Vec::new(),
            stale: Vec::new(),
            checked: 0,
            until: now + limits::NAME_RESOLVE_TIME,
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
