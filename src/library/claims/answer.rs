//! What a peer is told that asks about a root, a release or a card: `/modelswarm/attest/1`.
//!
//! The library's own cards over the root, as far as the peer may see the repo, then claims of the user and of those whom the
//! trust list names. Nothing of strangers is passed on, and of a root that the peer may not see nothing is said at all.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;

use super::kept::{self, Circle, Standing};
use crate::{
    card::{Claim, Identity, claim},
    config::{Audience, Home, allows},
    dag::Cid,
    library::keys::Publishing,
    limits,
    network::Attestations,
    rpc::Failure,
    store::{Store, Tree},
};

/// The function that answers peers of this home. It holds the store, and no network.
pub fn answerer(home: &Home, store: &Store, own: &Publishing) -> Attestations {
    let (home, store, own) = (home.clone(), store.clone(), [own.identity, own.signer.into()]);
    Arc::new(move |about, audience| {
        answer(&home, &store, own, about, audience).unwrap_or_else(|failure| {
            tracing::warn!(%failure, "a peer that asked for attestations got none");
            Vec::new()
        })
    })
}

fn answer(
    home: &Home,
    store: &Store,
    own: [Identity; 2],
    about: &Cid,
    audience: Audience,
) -> Result<Vec<Bytes>, Failure> {
    let named = |tree: &Tree| {
        let cids = [Some(tree.root), tree.release, tree.card];
        cids.iter().flatten().any(|cid| cid.hash() == about.hash())
    };
    let trees: Vec<Tree> = store.trees()?.into_iter().map(|(_, tree)| tree).collect();
    let shown = |tree: &&Tree| allows(tree.visibility, audience);
    let Some(root) = trees.iter().filter(shown).find(|tree| named(tree)).map(|tree| tree.root)
    else {
        return Ok(Vec::new());
    };
    let over = || trees.iter().filter(|tree| tree.root.hash() == root.hash());
    let mut cards: Vec<&Tree> = over().filter(shown).filter(|tree| tree.card.is_some()).collect();
    cards.sort_by_key(|tree| std::cmp::Reverse(tree.seq));
    let mut seen = HashSet::new();
    let ids = cards.into_iter().filter_map(|tree| tree.card).filter(|card| seen.insert(*card));
    let ids: Vec<Cid> = ids.collect();
    let hidden: Vec<Cid> =
        over().filter_map(|tree| tree.card).filter(|card| !ids.contains(card)).collect();
    let mut bundles = Vec::new();
    for id in ids.iter().take(limits::ATTEST_CARDS) {
        bundles.extend(store.card(id)?.map(Bytes::from));
    }
    let circle = Circle::of_home(home, store, own)?;
    let kept = kept::load(store, &circle, &root)?;
    let passed_on = |claim: &&Claim| {
        let standing = circle.standing(claim.endorser());
        // Its subject would tell of a card that the peer may not see.
        let tells = claim.subject().card().is_some_and(|card| hidden.contains(card));
        !tells
            && matches!(standing, Some(Standing::Own | Standing::Listed(_) | Standing::Trusted(_)))
    };
    let claims = claim::current(&kept.claims).into_iter().filter(passed_on);
    bundles.extend(claims.map(|claim| claim.bundle().clone()));
    Ok(bundles)
}
