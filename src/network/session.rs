//! One fetch, as its caller holds it: wants go in, verified blocks come out.
//!
//! The exchange decides whom to ask; this only hands over. A block brings the room it takes in memory along: as long
//! as the caller keeps it, that much less is asked for. Closing is dropping.

use std::sync::Arc;

use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{mpsc, watch};

use super::landing::Landing;
use super::memory::Permit;
use super::{Command, Error, Network, Sources};
use crate::dag::{Block, Cid};
use crate::exchange::SessionId;

/// A fetch that is under way; dropped, it is over, and what was asked for it is cancelled.
pub struct Session {
    id: SessionId,
    network: Network,
    events: mpsc::Receiver<Delivery>,
    sources: watch::Receiver<Sources>,
}

/// What a fetch is told.
#[derive(Debug)]
pub enum Event {
    /// A block that was wanted.
    Block(Arrived),
    /// Every source answered that it does not have this. The want stays; it is said again only after a change.
    NotHeld(Cid),
    /// The counts changed; those in between may have been left out.
    Sources(Sources),
}

/// What the event loop sends a session. Blocks are bounded by their permits, the rest by the session's wants.
#[derive(Debug)]
pub(super) enum Delivery {
    Block { block: Block, source: PeerId, permit: Arc<Permit> },
    NotHeld(Cid),
}

/// What sessions tell the event loop when they cannot wait: at most one for every block in somebody's hands, and one
/// for every session.
#[derive(Debug)]
pub(super) enum Note {
    Consumed(SessionId, Cid),
    Closed(SessionId),
}

impl Session {
    pub(super) fn new(
        id: SessionId,
        network: Network,
        events: mpsc::Receiver<Delivery>,
        sources: watch::Receiver<Sources>,
    ) -> Self {
        Self { id, network, events, sources }
    }

    /// Wants blocks; each with its length in bytes, [`crate::limits::CHUNK`] if unknown.
    ///
    /// # Errors
    /// [`Error::TooManyWants`], and then none of them is taken; [`Error::Stopped`].
    pub async fn want(&self, wants: Vec<(Cid, usize)>) -> Result<(), Error> {
        let session = self.id;
        self.network.call(|reply| Command::Want { session, wants, reply }).await?
    }

    /// Of what is wanted, these go before all else, in this order, in place of those of an earlier call; at most
    /// [`crate::limits::SESSION_PRIORITISED`].
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn prioritise(&self, cids: Vec<Cid>) -> Result<(), Error> {
        self.network.send(Command::Prioritise { session: self.id, cids }).await
    }

    /// Has blocks taken to their places as soon as they are verified, see [`Landing`]. They are delivered all the same.
    pub fn land(&self, landing: Landing) {
        self.network.landings.set(self.id, landing);
    }

    /// Wants blocks no longer.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn cancel(&self, cids: Vec<Cid>) -> Result<(), Error> {
        self.network.send(Command::Cancel { session: self.id, cids }).await
    }

    /// Connects to a peer given by hand, which then is a source of this and every other fetch.
    ///
    /// # Errors
    /// As [`Network::connect`].
    pub async fn connect(&self, addr: Multiaddr) -> Result<PeerId, Error> {
        self.network.connect(addr).await
    }

    /// The next thing that happened; `None` when the network has stopped. Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            delivery = self.events.recv() => match delivery? {
                Delivery::NotHeld(cid) => Some(Event::NotHeld(cid)),
                Delivery::Block { block, source, permit } => {
                    let notes = self.network.notes.clone();
                    let held = Some((block, permit));
                    Some(Event::Block(Arrived { held, source, session: self.id, notes }))
                }
            },
            Ok(()) = self.sources.changed() => Some(Event::Sources(*self.sources.borrow_and_update())),
        }
    }

    /// The latest counts.
    pub fn sources(&self) -> Sources {
        *self.sources.borrow()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.network.landings.remove(self.id);
        // Fails only when the node has stopped, and its sessions with it: see `limits::NOTES`.
        drop(self.network.notes.try_send(Note::Closed(self.id)));
    }
}

/// A block that was wanted, verified. Dropped, its room in memory is free for the next.
#[derive(Debug)]
pub struct Arrived {
    /// There until `drop` takes it.
    held: Option<(Block, Arc<Permit>)>,
    source: PeerId,
    session: SessionId,
    notes: mpsc::Sender<Note>,
}

impl Arrived {
    /// The block.
    pub fn block(&self) -> &Block {
        &self.held.as_ref().expect("there until drop").0
    }

    /// Its CID.
    pub fn cid(&self) -> &Cid {
        self.block().cid()
    }

    /// Its bytes. Clones of them are not counted once this is dropped: drop them before.
    pub fn data(&self) -> &Bytes {
        self.block().data()
    }

    /// The peer that sent it.
    pub fn source(&self) -> PeerId {
        self.source
    }

    /// Says that the bytes have left memory. The same as dropping it.
    pub fn consumed(self) {}
}

impl Drop for Arrived {
    fn drop(&mut self) {
        let Some((block, permit)) = self.held.take() else { return };
        // Fails only when the node has stopped: see `limits::NOTES`.
        drop(self.notes.try_send(Note::Consumed(self.session, *block.cid())));
        if let Some(permit) = Arc::into_inner(permit) {
            permit.recycle(block.into_data());
        }
    }
}

/// The providers of one CID, as they are found.
pub struct Providers(pub(super) mpsc::Receiver<PeerId>);

impl Providers {
    /// The next one; `None` when the search is over.
    pub async fn next(&mut self) -> Option<PeerId> {
        self.0.recv().await
    }
}
