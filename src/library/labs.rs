//! What is known of labs: their roots from the first to the newest, `publisher.json`, kept from one card to the next.
//!
//! A document proves itself (each root is signed by the keys of the one before), so it may come from anybody, and the
//! longest one counts. Two that contradict each other, both duly signed, are refused and the known one stays. What a
//! lab's cards are worth under its newest root is `card::tuf`'s decision. Issue on provenance, point 5.

use std::collections::BTreeMap;

use super::{Library, clock, sign};
use crate::{
    card::{
        TufId, Verified,
        tuf::{Objection, Publisher, Relation, Signed, Standing},
    },
    dag::Cid,
    limits,
    rpc::{Code, Failure},
    store::Store,
};

/// The lab as it is known here.
pub(super) fn known(library: &Library, id: &TufId) -> Result<Option<Publisher>, Failure> {
    known_by(library.store(), library.inner.publishing.lab.as_ref(), id)
}

/// The same of a home whose own lab, as it was told of it, is this one.
pub(super) fn known_by(
    store: &Store,
    own: Option<&Publisher>,
    id: &TufId,
) -> Result<Option<Publisher>, Failure> {
    let own = own.filter(|lab| lab.id() == id);
    Ok(match (own, kept(store, id)?) {
        (Some(own), Some(kept)) if kept.relation_to(own) == Relation::Newer => Some(kept),
        (Some(own), _) => Some(own.clone()),
        (None, kept) => kept,
    })
}

/// The lab as its roots are kept here.
pub(super) fn kept(store: &Store, id: &TufId) -> Result<Option<Publisher>, Failure> {
    let kept = store.document(&document(id))?;
    kept.map(|bytes| Publisher::expect(id, &bytes)).transpose().map_err(|why| {
        Failure::new(Code::Failure, format!("what is kept of {id} is damaged: {why}"))
            .hint("put the home's store/records folder back from a backup")
    })
}

/// The longer of what is known of a lab and what came with a card.
///
/// # Errors
/// Refused (4) if the two contradict each other.
pub(super) fn newest(library: &Library, id: &TufId, came: Publisher) -> Result<Publisher, Failure> {
    let Some(known) = known(library, id)? else { return Ok(came) };
    match came.relation_to(&known) {
        Relation::Newer => Ok(came),
        Relation::Same | Relation::Older | Relation::Unrelated => Ok(known),
        Relation::Fork { version } => Err(Failure::new(
            Code::Refused,
            format!("{id} signed two different roots of version {version}: its keys may be in other hands"),
        )
        .hint("ask the lab by another way, and block it until then: modelswarm trust block")),
    }
}

/// Keeps what came with a card that was verified or under the lab's name, if it is newer than what is known; the newest.
///
/// # Errors
/// As [`newest`]; as the store fails.
pub(super) fn learn(library: &Library, came: Publisher) -> Result<Publisher, Failure> {
    let id = &came.id().to_owned();
    let newest = newest(library, id, came)?;
    let bytes = newest.to_document();
    let store = library.store();
    if store.document(&document(id))?.as_deref() != Some(&bytes[..]) {
        store.save_document(&document(id), &bytes)?;
    }
    Ok(newest)
}

/// How a lab's card holds under its newest root: by itself, or since a later card vouches for it.
///
/// # Errors
/// Refused (4) if it holds no more.
pub(super) fn standing(library: &Library, card: &Verified) -> Result<Standing, Failure> {
    let Some((lab, signed)) = lab_of(library, card)?.zip(card.signed()) else {
        return Ok(Standing::Direct);
    };
    let standing = match lab.standing(&signed, &[]) {
        Err(objection @ Objection::Dropped { .. }) => {
            vouched(library, &lab, card, &signed)?.ok_or(objection)
        }
        standing => standing,
    };
    standing.map_err(|why| {
        let statement = card.statement();
        Failure::new(
            Code::Refused,
            format!("version {} of {}: {why}", statement.version, statement.name),
        )
        .hint("fetch the newest version of its repo first: if the lab still stands by this one, that follows from it")
    })
}

/// Whether a newer root of its lab takes a card's signature no more: it then holds by later cards alone.
pub(super) fn is_overtaken(library: &Library, card: &Verified) -> Result<bool, Failure> {
    let Some((lab, signed)) = lab_of(library, card)?.zip(card.signed()) else { return Ok(false) };
    Ok(lab.standing(&signed, &[]) != Ok(Standing::Direct))
}

/// The lab whose card it is.
pub(super) fn lab_of(library: &Library, card: &Verified) -> Result<Option<Publisher>, Failure> {
    match card.publisher().as_lab() {
        Some(id) => known(library, id),
        None => Ok(None),
    }
}

/// How a card holds by one that follows it: of all that are here, one that holds by itself and whose `prev`s lead back.
fn vouched(
    library: &Library,
    lab: &Publisher,
    card: &Verified,
    signed: &Signed,
) -> Result<Option<Standing>, Failure> {
    let mut cards: BTreeMap<Cid, Signed> = BTreeMap::new();
    for id in library.store().cards()? {
        let Some(held) = sign::card_by_id(library, &id)? else { continue };
        let same =
            held.publisher() == card.publisher() && held.statement().name == card.statement().name;
        if let (true, Some(signed)) = (same, held.signed()) {
            cards.insert(id, signed);
        }
    }
    let holds = |one: &&Signed| lab.standing(one, &[]) == Ok(Standing::Direct);
    for newest in cards.values().filter(holds) {
        let mut chain = vec![newest.clone()];
        while chain.len() < limits::CHAIN_WALK
            && let Some(prev) = chain.last().and_then(|child| child.prev)
            && prev != signed.card
            && let Some(before) = cards.get(&prev)
        {
            chain.push(before.clone());
        }
        chain.reverse();
        if let Ok(standing) = lab.standing(signed, &chain) {
            return Ok(Some(standing));
        }
    }
    Ok(None)
}

/// Warns of roots that their lab should have renewed; that voids no card.
pub(super) fn overdue(library: &Library, card: &Verified) -> Result<Option<String>, Failure> {
    let Some(lab) = lab_of(library, card)? else { return Ok(None) };
    Ok(lab.expired(clock::now()?).map(|since| {
        format!(
            "{} ({}) should have renewed its keys by {since}: it may be out of use, or its news kept from you",
            lab.id(),
            lab.head().content().name
        )
    }))
}

/// By the id alone: letters and digits.
fn document(id: &TufId) -> String {
    format!("lab-{}", id.cid())
}
