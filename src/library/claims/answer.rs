//! What a peer is told that asks about a root, a release or a card: `/modelswarm/attest/1`.
//!
//! The library's own cards over the root, as far as the peer may see the repo, then claims of the user and of those whom the
//! trust list names. Nothing of strangers is passed on, and of a root that the peer may not see nothing is said at all.
//!
//! Asked about a lab's first root, the CID in its id: the lab's newest `publisher.json` that is known here, if something of
//! that lab's is here that the peer may see. It proves itself, so whoever starts from the id alone learns which keys count now
//! from anybody, and needs no word of a key that the lab has dropped.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;

use super::kept::{self, Circle, Standing};
use crate::{
    card::{Claim, Identity, TufId, claim, tuf::Publisher},
    config::{Audience, Home, allows},
    dag::Cid,
    library::{keys::Publishing, labs, names},
    limits,
    network::Attestations,
    rpc::Failure,
    store::{Store, Tree},
};

/// The function that answers peers of this home. It holds the store, and no network.
pub fn answerer(home: &Home, store: &Store, own: &Publishing) -> Attestations {
    let (home, store, lab) = (home.clone(), store.clone(), own.lab.clone());
    let own = [own.identity, own.signer.into()];
    Arc::new(move |about, audience| {
        let told = match roots(&store, lab.as_ref(), about, audience) {
            Ok(Some(document)) => Ok(vec![document]),
            Ok(None) => answer(&home, &store, own, about, audience),
            Err(failure) => Err(failure),
        };
        told.unwrap_or_else(|failure| {
            tracing::warn!(%failure, "a peer that asked for attestations got none");
            Vec::new()
        })
    })
}

/// A lab's newest roots, asked for by its id.
fn roots(
    store: &Store,
    own: Option<&Publisher>,
    about: &Cid,
    audience: Audience,
) -> Result<Option<Bytes>, Failure> {
    let Some(id) = TufId::of_cid(about) else { return Ok(None) };
    let Some(lab) = labs::known_by(store, own, &id)? else { return Ok(None) };
    let publisher = Identity::Tuf(id).to_string();
    let of_it = |tree: &Tree| tree.repo.as_ref().is_some_and(|repo| repo.publisher == publisher);
    let is_shown = names::has_published(store, own, &id, audience)?
        || store.trees().iter().any(|(_, tree)| of_it(tree) && allows(tree.visibility, audience));
    Ok(is_shown.then(|| lab.to_document().into()))
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
    let trees: Vec<Tree> = store.trees().into_iter().map(|(_, tree)| tree).collect();
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
    let passed_on = |claim: &Claim| {
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
