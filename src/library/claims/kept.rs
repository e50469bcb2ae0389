//! What is kept about a root: one file of bundles, claims first, then cards that somebody offered for it.
//!
//! All of it is verified whenever it is read. Who made a claim decides how many are kept: of the user's own and of those
//! whom the trust list names enough for any use; of strangers a few, the newest, and only while the root is in the
//! library; of those who are blocked none.

use std::{cmp::Reverse, collections::HashSet, sync::PoisonError};

use bytes::Bytes;

use super::super::{Library, sign, trust};
use crate::{
    card::{
        Alias, Claim, Identity, PublisherId, Unverified, Verified, claim,
        trust::{Blocked, TrustList},
    },
    config::Home,
    dag::Cid,
    limits,
    rpc::{Code, Failure},
    store::Store,
};

/// What an endorser is to the user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// The user.
    Own,
    /// An endorser of the trust list.
    Listed(Alias),
    /// A publisher of the trust list: its claims are kept, and count for nothing.
    Trusted(Alias),
    /// Nobody that the list names.
    Unknown,
}

impl Standing {
    /// As answers spell it.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Listed(_) => "listed",
            Self::Trusted(_) => "trusted",
            Self::Unknown => "unknown",
        }
    }

    /// The user's word for it.
    pub(super) fn alias(&self) -> Option<&Alias> {
        match self {
            Self::Listed(alias) | Self::Trusted(alias) => Some(alias),
            Self::Own | Self::Unknown => None,
        }
    }
}

/// Whom the user knows.
pub(super) struct Circle {
    list: TrustList,
    own: Identity,
}

impl Circle {
    pub(super) fn of(library: &Library) -> Result<Self, Failure> {
        Self::of_home(&library.inner.home, library.publisher())
    }

    pub(super) fn of_home(home: &Home, own: &PublisherId) -> Result<Self, Failure> {
        Ok(Self { list: trust::load(home)?, own: own.into() })
    }

    pub(super) fn list(&self) -> &TrustList {
        &self.list
    }

    /// What somebody is to the user; none if blocked.
    pub(super) fn standing(&self, who: &Identity) -> Option<Standing> {
        if self.list.blocked(&Blocked::Publisher(*who)).is_some() {
            return None;
        }
        if *who == self.own {
            return Some(Standing::Own);
        }
        let listed = self.list.endorser(who).map(|one| Standing::Listed(one.alias.clone()));
        let trusted = || self.list.alias_of(who).map(|alias| Standing::Trusted(alias.clone()));
        Some(listed.or_else(trusted).unwrap_or(Standing::Unknown))
    }

    fn knows(&self, who: &Identity) -> bool {
        self.standing(who).is_some_and(|standing| standing != Standing::Unknown)
    }
}

/// Claims about one root and cards offered for it, each verified just now.
#[derive(Debug, Clone, Default)]
pub(in crate::library) struct Found {
    pub(in crate::library) claims: Vec<Claim>,
    pub(in crate::library) cards: Vec<Verified>,
}

impl Found {
    /// Whether this bundle is among them.
    pub(super) fn keeps(&self, bundle: &Bytes) -> bool {
        self.claims.iter().any(|claim| claim.bundle() == bundle)
    }

    /// The claims about a tree, and about its card as that is.
    pub(in crate::library) fn about<'a>(
        &'a self,
        root: &'a Cid,
        card: Option<&'a Verified>,
    ) -> impl Iterator<Item = &'a Claim> {
        self.claims.iter().filter(move |claim| claim.subject().is_of(root, card))
    }

    /// Of these bundles, what holds and is about the root, by nobody who is blocked. Nothing here costs more than
    /// checking a signature each.
    fn read(bundles: impl IntoIterator<Item = Bytes>, root: &Cid, circle: &Circle) -> Self {
        let mut found = Self::default();
        let mut seen = HashSet::new();
        for bundle in bundles {
            match claim::verify(bundle.clone()) {
                Ok(claim) => {
                    let ours = claim.subject().is_of(root, None)
                        && circle.standing(claim.endorser()).is_some();
                    if ours && seen.insert(*claim.id()) {
                        found.claims.push(claim);
                    }
                }
                Err(claim::Error::Card | claim::Error::TooLarge { .. }) => {
                    let card = Unverified::from_bundle(bundle).and_then(Unverified::verify);
                    found.cards.extend(card.ok().filter(|card| {
                        card.statement().root.hash() == root.hash()
                            && circle.standing(&Identity::from(card.publisher())).is_some()
                            && seen.insert(*card.id())
                    }));
                }
                Err(why) => tracing::debug!(%why, %root, "left out of what is kept"),
            }
        }
        found
    }

    /// Keeps the most useful within the bounds: the user's own first, then what counts, then the newest.
    fn prune(&mut self, circle: &Circle, strangers: bool) {
        let counting: HashSet<Cid> =
            claim::current(&self.claims).into_iter().map(|claim| *claim.id()).collect();
        let own = |claim: &Claim| *claim.endorser() == circle.own;
        self.claims.sort_by_key(|claim| {
            Reverse((own(claim), counting.contains(claim.id()), claim.made_at(), *claim.id()))
        });
        let (mut known, mut unknown) = (0, 0);
        self.claims.retain(|claim| {
            let (count, max) = if circle.knows(claim.endorser()) {
                (&mut known, limits::CLAIMS_KNOWN)
            } else {
                (&mut unknown, if strangers { limits::CLAIMS_UNKNOWN } else { 0 })
            };
            *count += 1;
            *count <= max
        });
        let mine = |card: &Verified| Reverse(circle.knows(&Identity::from(card.publisher())));
        self.cards.retain(|card| card.bundle().len() <= limits::CARD_OFFERED_MAX);
        self.cards
            .sort_by_key(|card| (mine(card), Reverse(card.statement().created_at), *card.id()));
        self.cards.truncate(if strangers { limits::CARDS_OFFERED } else { 0 });
    }

    fn lines(&self) -> Vec<u8> {
        let cards = self.cards.iter().map(Verified::bundle);
        claim::to_jsonl(self.claims.iter().map(Claim::bundle).chain(cards))
    }
}

/// What is kept about a root. What does not hold any more is left out.
pub(super) fn load(store: &Store, circle: &Circle, root: &Cid) -> Result<Found, Failure> {
    let Some(bytes) = store.claims(root)? else { return Ok(Found::default()) };
    let damaged = |why: claim::Error| {
        Failure::new(Code::Failure, format!("what is kept about {root} is damaged: {why}"))
            .hint("remove the file records/claims/ROOT.jsonl in the home's store")
    };
    let lines = claim::from_jsonl(&bytes.into()).map_err(damaged)?;
    Ok(Found::read(lines.into_iter().map(|(_, line)| line), root, circle))
}

/// Takes in what somebody answered or a file held about a root: keeps what may be kept. What is known now, with what is
/// only to be shown.
pub(in crate::library) fn take_in(
    library: &Library,
    root: &Cid,
    bundles: Vec<Bytes>,
) -> Result<Found, Failure> {
    let circle = Circle::of(library)?;
    let here = cards_here(library, root)?;
    let _one_at_a_time = library.inner.claiming.lock().unwrap_or_else(PoisonError::into_inner);
    let kept = load(library.store(), &circle, root)?;
    let before = kept.lines();
    let all = kept.claims.iter().map(Claim::bundle).chain(kept.cards.iter().map(Verified::bundle));
    let mut found = Found::read(all.cloned().chain(bundles), root, &circle);
    // About a card that is here, a claim must be about it as it is; the cards that are here need nobody to offer them.
    found.claims.retain(|claim| {
        let named = claim.subject().card();
        let card = here.iter().flatten().find(|card| named == Some(card.id()));
        claim.subject().is_of(root, card)
    });
    found.cards.retain(|card| !here.iter().flatten().any(|held| held.id() == card.id()));
    found.prune(&circle, true);
    let mut to_keep = found.clone();
    to_keep.prune(&circle, here.is_some());
    let lines = to_keep.lines();
    if lines != before {
        library.store().save_claims(root, &lines)?;
    }
    Ok(found)
}

/// Drops what strangers said about a root that is not in the library any more.
pub(in crate::library) fn forget_strangers(library: &Library, root: &Cid) -> Result<(), Failure> {
    match library.store().claims(root)? {
        Some(_) => take_in(library, root, Vec::new()).map(drop),
        None => Ok(()),
    }
}

/// The cards of the library over a root; none if no version with that root is here.
pub(super) fn cards_here(library: &Library, root: &Cid) -> Result<Option<Vec<Verified>>, Failure> {
    let trees = library.store().trees()?.into_iter().map(|(_, tree)| tree);
    let over: Vec<_> = trees.filter(|tree| tree.root.hash() == root.hash()).collect();
    if over.is_empty() {
        return Ok(None);
    }
    let mut cards: Vec<Verified> = Vec::new();
    for tree in &over {
        let card = sign::card_of(library, tree)?;
        cards.extend(card.filter(|card| cards.iter().all(|other| other.id() != card.id())));
    }
    Ok(Some(cards))
}
