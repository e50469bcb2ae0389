//! What is kept about a root: one file of bundles, claims first, then cards that somebody offered for it.
//!
//! All of it is verified whenever it is read. Who made a claim decides how many are kept: of the user's own and of those
//! whom the trust list names enough for any use; of strangers a few, the newest, and only while the root is in the
//! library; of those who are blocked none.

use std::{
    cell::OnceCell,
    cmp::Reverse,
    collections::HashSet,
    sync::{Arc, PoisonError},
};

use bytes::Bytes;

use super::super::{Library, keys::Publishing, labs, sign, trust};
use crate::{
    card::{
        Alias, Claim, Identity, TufId, Unverified, Verified, claim,
        trust::{Blocked, TrustList},
        tuf::Publisher,
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
pub(in crate::library) struct Circle {
    list: Arc<TrustList>,
    /// The key that signs here, and the lab that it signs for.
    own: [Identity; 2],
    /// The labs among the endorsers as far as their roots are here; read when a key is none that is listed itself.
    labs: OnceCell<Vec<Publisher>>,
    store: Option<Store>,
}

impl Circle {
    pub(in crate::library) fn of(library: &Library) -> Result<Self, Failure> {
        let Publishing { identity, signer, .. } = &library.inner.publishing;
        Self::of_home(&library.inner.home, library.store(), [*identity, signer.into()])
    }

    pub(super) fn of_home(home: &Home, store: &Store, own: [Identity; 2]) -> Result<Self, Failure> {
        let (list, store) = (trust::load(home)?, Some(store.clone()));
        Ok(Self { list, own, labs: OnceCell::new(), store })
    }

    /// As whom a key speaks: as itself, or as the listed lab whose newest root names it.
    pub(in crate::library) fn speaks_as(&self, who: &Identity) -> Identity {
        let Some(key) = who.as_key().filter(|_| self.list.endorser(who).is_none()) else {
            return *who;
        };
        let labs = self.labs.get_or_init(|| {
            let ids = self.list.endorsers().iter().filter_map(|one| one.id.as_lab());
            ids.filter_map(|id| self.lab(id)).collect()
        });
        let lab = labs.iter().find(|lab| lab.allowed(key, lab.head().version()));
        lab.map_or(*who, |lab| Identity::Tuf(*lab.id()))
    }

    /// What is known of a lab.
    pub(super) fn lab(&self, id: &TufId) -> Option<Publisher> {
        labs::kept(self.store.as_ref()?, id).ok().flatten()
    }

    /// A card, verified.
    pub(super) fn card(&self, bundle: Bytes) -> Option<Verified> {
        let read = Unverified::from_bundle(bundle);
        read.and_then(|card| card.verify_with(|id| self.lab(id))).ok()
    }

    pub(super) fn list(&self) -> &TrustList {
        &self.list
    }

    /// What somebody is to the user; none if blocked.
    pub(super) fn standing(&self, who: &Identity) -> Option<Standing> {
        let as_whom = self.speaks_as(who);
        if [who, &as_whom].iter().any(|id| self.list.blocked(&Blocked::Publisher(**id)).is_some()) {
            return None;
        }
        if self.own.contains(who) {
            return Some(Standing::Own);
        }
        let listed = self.list.endorser(&as_whom).map(|one| Standing::Listed(one.alias.clone()));
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
                    found.cards.extend(circle.card(bundle).filter(|card| {
                        card.statement().root.hash() == root.hash()
                            && circle.standing(card.publisher()).is_some()
                            && circle.list.blocked(&Blocked::cid(card.id())).is_none()
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
        let own = |claim: &Claim| circle.own.contains(claim.endorser());
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
        let mine = |card: &Verified| Reverse(circle.knows(card.publisher()));
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

/// What is known about a root once something was taken in.
pub(super) struct Taken {
    /// All of it, with what is only to be shown: of strangers about what is not here.
    pub(super) known: Found,
    /// The claims that are kept.
    pub(super) kept: HashSet<Cid>,
}

/// Takes in what somebody answered or a file held about a root: keeps what may be kept.
pub(super) fn take_in(
    library: &Library,
    root: &Cid,
    bundles: Vec<Bytes>,
) -> Result<Taken, Failure> {
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
    let kept = to_keep.claims.iter().map(|claim| *claim.id()).collect();
    Ok(Taken { known: found, kept })
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
    let over = library.store().trees_where(|tree| tree.root.hash() == root.hash());
    if over.is_empty() {
        return Ok(None);
    }
    let mut cards: Vec<Verified> = Vec::new();
    for (_, tree) in &over {
        let card = sign::card_of(library, tree)?;
        cards.extend(card.filter(|card| cards.iter().all(|other| other.id() != card.id())));
    }
    Ok(Some(cards))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::card::PublisherId;
    use crate::card::claim::{Body, Draft, Subject, sign};
    use crate::card::statement::Timestamp;
    use crate::dag::block::{DAG_PB, cid_v1};

    fn root() -> Cid {
        cid_v1(DAG_PB, [5; 32])
    }

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn identity(seed: u8) -> Identity {
        PublisherId::try_from(&key(seed).verifying_key()).expect("a usable key").into()
    }

    /// A claim of this key, so many seconds after 1970; each in a place of its own.
    fn claim(seed: u8, at: i64) -> Claim {
        let result = claim::Measured {
            dataset: format!("d{at}"),
            task: None,
            metric: "m".to_owned(),
            value: "1".to_owned(),
        };
        let draft = Draft {
            subject: Subject::of_root(&root()),
            body: Body::Eval { holds: true, properties: Vec::new(), results: vec![result] },
            made_at: Timestamp::from_unix(at).expect("a time"),
            supersedes: Vec::new(),
            note: None,
        };
        sign(&draft, &key(seed)).expect("signed")
    }

    /// The user has key 1, knows 2 as an endorser and 3 as a publisher, and blocked 4.
    fn circle() -> Circle {
        let mut list = TrustList::default();
        let alias = |text: &str| text.parse().expect("an alias");
        list.add_endorser(alias("evalco"), identity(2), None).expect("added");
        list.add(alias("lab"), identity(3)).expect("added");
        list.block(Blocked::Publisher(identity(4)), None).expect("blocked");
        Circle { list: list.into(), own: [identity(1); 2], labs: OnceCell::new(), store: None }
    }

    fn pruned(claims: Vec<Claim>, strangers: bool) -> Vec<(Identity, i64)> {
        let mut found = Found { claims, cards: Vec::new() };
        found.prune(&circle(), strangers);
        let line = |claim: &Claim| (*claim.endorser(), claim.made_at().expect("dated").unix());
        found.claims.iter().map(line).collect()
    }

    #[test]
    fn of_strangers_the_newest_few_are_kept_and_only_beside_their_files() {
        let claims: Vec<Claim> = (0..40).map(|at| claim(5 + (at % 20) as u8, at)).collect();
        let kept = pruned(claims.clone(), true);
        assert_eq!(kept.len(), limits::CLAIMS_UNKNOWN);
        assert_eq!(kept[0].1, 39);
        assert!(kept.iter().all(|(_, at)| *at >= 40 - limits::CLAIMS_UNKNOWN as i64));
        assert_eq!(pruned(claims, false), []);
    }

    #[test]
    fn strangers_take_no_room_from_those_whom_the_user_knows_nor_these_from_the_user() {
        let mut claims: Vec<Claim> = (100..180).map(|at| claim(2, at)).collect();
        claims.extend((200..220).map(|at| claim(9, at)));
        claims.extend([claim(1, 0), claim(3, 300)]);
        let kept = pruned(claims, true);
        assert_eq!(kept.len(), limits::CLAIMS_KNOWN + limits::CLAIMS_UNKNOWN);
        assert_eq!(kept[0], (identity(1), 0), "the user's own, however old");
        assert_eq!(kept[1], (identity(3), 300));
        let of = |who: Identity| kept.iter().filter(|(endorser, _)| *endorser == who).count();
        assert_eq!((of(identity(2)), of(identity(9))), (limits::CLAIMS_KNOWN - 2, 16));
    }

    #[test]
    fn what_is_about_other_files_or_by_somebody_blocked_or_no_claim_is_left_out() {
        let lines = |claims: &[Claim]| -> Vec<Bytes> {
            claims.iter().map(|claim| claim.bundle().clone()).collect()
        };
        let good = claim(5, 1);
        let mut all = lines(&[good.clone(), good.clone(), claim(4, 2)]);
        all.push(Bytes::from_static(b"nonsense"));
        let found = Found::read(all.clone(), &root(), &circle());
        assert_eq!(found.claims, [good]);
        assert!(Found::read(all, &cid_v1(DAG_PB, [6; 32]), &circle()).claims.is_empty());
    }

    #[test]
    fn all_that_is_kept_of_a_root_fits_into_its_file() {
        let claims = limits::CLAIMS_KNOWN + limits::CLAIMS_UNKNOWN;
        let most = claims * (limits::CLAIM_BUNDLE_MAX + 1)
            + limits::CARDS_OFFERED * (limits::CARD_OFFERED_MAX + 1);
        assert!(most <= limits::STORE_RECORD_BYTES && most <= limits::CLAIMS_FILE_MAX);
        assert!(claims + limits::CARDS_OFFERED <= limits::CLAIMS_LINES_MAX);
    }
}
