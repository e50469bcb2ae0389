//! Answering questions: what a peer asks for is looked up on the store's threads, as far as it may see it.
//!
//! A peer has few questions open and one answered at a time, so that a greedy one waits for itself; answers in memory
//! and threads that look for them are few in all. Whatever breaks a bound costs its own stream.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncRead, AsyncWrite};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::super::blocks::Blocks;
use super::super::pace::Pace;
use super::super::policy::Policy;
use super::{Attestations, wire};
use crate::config::Audience;
use crate::dag::Cid;
use crate::limits;

/// What answering takes; one for the node.
pub(in super::super) struct Answerer {
    attestations: Attestations,
    blocks: Blocks,
    policy: Policy,
    /// Answers in memory.
    answers: Semaphore,
    /// Threads that look for them.
    lookups: Semaphore,
}

/// What all connections of a peer share.
pub(super) struct Shares {
    pub(super) peer: PeerId,
    streams: Arc<Semaphore>,
    turn: Semaphore,
    /// How fast it may be sent to and read from; off until it is set.
    pub(super) pace: OnceLock<Pace>,
}

impl Shares {
    pub(super) fn new(peer: PeerId) -> Self {
        let streams = Arc::new(Semaphore::new(limits::ATTEST_STREAMS));
        Self { peer, streams, turn: Semaphore::new(1), pace: OnceLock::new() }
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace.get().cloned().unwrap_or_default()
    }
}

impl Answerer {
    pub(in super::super) fn new(
        attestations: Attestations,
        blocks: Blocks,
        policy: Policy,
    ) -> Self {
        Self {
            attestations,
            blocks,
            policy,
            answers: Semaphore::new(limits::ATTEST_ANSWERS),
            lookups: Semaphore::new(limits::ATTEST_LOOKUPS),
        }
    }

    /// Answers on a stream of a peer that is connected at `remote`, unless it has too many open.
    pub(super) fn take(
        self: &Arc<Self>,
        shares: &Arc<Shares>,
        remote: &Multiaddr,
        mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) {
        let peer = shares.peer;
        let Ok(place) = Arc::clone(&shares.streams).try_acquire_owned() else {
            tracing::debug!(%peer, "too many questions for attestations at once");
            return;
        };
        let audience = self.policy.audience(&peer, remote);
        let (answerer, shares) = (Arc::clone(self), Arc::clone(shares));
        tokio::spawn(async move {
            let answering = answerer.answer(&shares, audience, &mut stream, limits::ATTEST_SILENCE);
            match timeout(limits::ATTEST_TIME, answering).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%peer, %error, "attestations not sent"),
                Err(_) => tracing::debug!(%peer, "attestations taken too slowly"),
            }
            drop(place);
        });
    }

    async fn answer(
        &self,
        shares: &Shares,
        audience: Audience,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        silence: Duration,
    ) -> std::io::Result<()> {
        let cid = wire::read_question(stream, silence).await?;
        let _turn = shares.turn.acquire().await.expect("never closed");
        let _room = self.answers.acquire().await.expect("never closed");
        let bundles = self.look_up(cid, audience).await;
        wire::write_answer(stream, &bundles, &shares.pace().up, silence).await
    }

    async fn look_up(&self, cid: Cid, audience: Audience) -> Vec<Bytes> {
        let _thread = self.lookups.acquire().await.expect("never closed");
        let attestations = Arc::clone(&self.attestations);
        let found = self.blocks.run(move |_| wire::cut(attestations(&cid, audience))).await;
        // One that panics has nothing.
        found.unwrap_or_default()
    }
}
