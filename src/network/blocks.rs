//! The store, and what is offered beside it, as the network sees them: who may see what, and blocks to send; every call on its own threads.

use bytes::Bytes;

use super::offered::Offered;
use super::pool::Pool;
use crate::config::{Audience, allows};
use crate::dag::Cid;
use crate::store::{self, Store};

/// The store and the threads that call it. Clones share both.
#[derive(Clone)]
pub(super) struct Blocks {
    store: Store,
    pool: Pool,
    offered: Offered,
}

impl Blocks {
    pub(super) fn new(store: Store, pool: Pool, offered: Offered) -> Self {
        Self { store, pool, offered }
    }

    /// The length of each block that is here and may be shown to this audience.
    pub(super) async fn look_up(
        &self,
        cids: Vec<Cid>,
        audience: Audience,
    ) -> Vec<(Cid, Option<usize>)> {
        let (store, offered) = (self.store.clone(), self.offered.clone());
        let absent: Vec<_> = cids.iter().map(|cid| (*cid, None)).collect();
        let found = self
            .pool
            .run(move || {
                let found = |cid| {
                    let beside = offer(&offered, &cid, audience).map(|data| data.len());
                    (cid, beside.or_else(|| shown(&store, &cid, audience)))
                };
                cids.into_iter().map(found).collect::<Vec<_>>()
            })
            .await;
        found.unwrap_or(absent)
    }

    /// The bytes of each block that is still here and may still be shown.
    pub(super) async fn load(
        &self,
        cids: Vec<Cid>,
        audience: Audience,
    ) -> Vec<(Cid, Option<Bytes>)> {
        let (store, offered) = (self.store.clone(), self.offered.clone());
        let absent: Vec<_> = cids.iter().map(|cid| (*cid, None)).collect();
        let loaded = self
            .pool
            .run(move || {
                cids.into_iter()
                    .map(|cid| {
                        let beside = offer(&offered, &cid, audience);
                        let stored = || {
                            shown(&store, &cid, audience)?;
                            logged(&cid, store.read(cid.hash()))
                        };
                        (cid, beside.or_else(stored))
                    })
                    .collect::<Vec<_>>()
            })
            .await;
        loaded.unwrap_or(absent)
    }

    /// Runs something on the store's threads; `None` if it panicked.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> Option<T> {
        let store = self.store.clone();
        self.pool.run(move || work(&store)).await
    }
}

/// The bytes of a block that is offered to such an audience.
fn offer(offered: &Offered, cid: &Cid, audience: Audience) -> Option<Bytes> {
    let (block, visibility) = offered.get(cid)?;
    allows(visibility, audience).then(|| block.into_data())
}

fn shown(store: &Store, cid: &Cid, audience: Audience) -> Option<usize> {
    let held = logged(cid, store.held(cid.hash()))?;
    allows(held.visibility, audience).then(|| usize::try_from(held.len).ok()).flatten()
}

/// A store that fails has, for a peer, nothing.
fn logged<T>(cid: &Cid, result: Result<Option<T>, store::Error>) -> Option<T> {
    result.unwrap_or_else(|error| {
        tracing::warn!(%cid, %error, "cannot read a block to serve it");
        None
    })
}
