//! Which cards are accepted: the high-water mark of each repo, kept from one fetch to the next.
//!
//! The decisions are `card::policy`'s; this knows the mark and the cards that are here, and keeps what follows. A card
//! that is refused, or used only because its id was given, changes nothing — but a second card of one place is kept with
//! the first, as proof that anybody can check. Design section 5.

use super::{Library, clock, labs, sign};
use crate::{
    card::{
        Verified,
        policy::{Admission, Mark, Refusal, admit},
        statement::Status,
    },
    limits,
    rpc::{Code, Failure},
    store::Tree,
};

/// Whether a card may be used: told before the bulk of its bytes moves. `explicit`: the user gave the id of it, of its
/// release or of its root.
///
/// # Errors
/// Refused (4) for what would be a rollback, a fork or a jump over cards that nobody showed, and for a lab's card that
/// holds no more.
pub(super) fn check(
    library: &Library,
    card: &Verified,
    explicit: bool,
) -> Result<Admission, Failure> {
    labs::standing(library, card)?;
    let (publisher, name) = repo(card);
    let mark = library.store().mark(&publisher, &name)?;
    let steps = missing(library, card, mark.as_ref())?;
    let mark = steps.iter().fold(mark, |mark, step| Some(raised(mark.as_ref(), step)));
    let admission = admit(card, mark.as_ref(), explicit);
    let refusal = match &admission {
        Ok(Admission::Explicit(refusal)) | Err(refusal) => Some(refusal),
        Ok(_) => None,
    };
    if let Some(Refusal::Fork { .. }) = refusal {
        keep_proof(library, card)?;
    }
    admission.map_err(|refusal| {
        Failure::new(Code::Refused, format!("{publisher}/{name}: {refusal}"))
            .hint("name its CID to use it all the same; modelswarm card log shows the versions that are known")
    })
}

/// Remembers that a card was accepted: its publisher can't go back behind it unnoticed.
pub(super) fn accept(library: &Library, card: &Verified) -> Result<(), Failure> {
    let (publisher, name) = repo(card);
    let mark = library.store().mark(&publisher, &name)?;
    let mut steps = missing(library, card, mark.as_ref())?;
    steps.push(card.clone());
    for step in &steps {
        library.store().change_mark(&publisher, &name, |mark| raised(mark, step))?;
    }
    Ok(())
}

/// What a person is told of a card besides that its signature is valid.
pub(super) fn remarks(card: &Verified, admission: &Admission) -> Vec<String> {
    let statement = card.statement();
    let version = &statement.version;
    let mut said = Vec::new();
    let reason = |word: &str| {
        let field = |name| statement.other.get(name).and_then(|value| value.as_text());
        let why = field("reason").map(|why| format!(": {why}")).unwrap_or_default();
        let instead =
            field("replacedBy").map(|card| format!("; use {card} instead")).unwrap_or_default();
        format!("version {version} is {word} by its publisher{why}{instead}")
    };
    if let Some(expires) = statement.expires.filter(|end| clock::now().is_ok_and(|now| *end <= now))
    {
        said.push(format!(
            "version {version} EXPIRED at {expires}: its publisher stands by it no longer"
        ));
    }
    match statement.status {
        Status::Active => {}
        Status::Deprecated => said.push(reason("DEPRECATED")),
        Status::Withdrawn => said.push(reason("WITHDRAWN")),
    }
    match admission {
        Admission::First { unseen: 0 } | Admission::Known | Admission::Next => {}
        Admission::First { unseen: 1 } => {
            said.push("one version before it was never seen here".into());
        }
        Admission::First { unseen } => {
            said.push(format!("{unseen} versions before it were never seen here"));
        }
        Admission::Explicit(refusal) => said.push(format!("used since you named it: {refusal}")),
    }
    said
}

/// Of these versions of repos, those that were accepted: up to the mark, and below it where two cards contradict.
pub(super) fn is_accepted(library: &Library, tree: &Tree) -> Result<bool, Failure> {
    let (Some(repo), Some(seq)) = (&tree.repo, tree.seq) else { return Ok(true) };
    let mark = library.store().mark(&repo.publisher, &repo.name)?;
    Ok(mark.is_none_or(|mark| seq <= mark.head()))
}

/// The cards between the mark and this one, the oldest first, if all of them are here.
fn missing(
    library: &Library,
    card: &Verified,
    mark: Option<&Mark>,
) -> Result<Vec<Verified>, Failure> {
    let Some(mark) = mark else { return Ok(Vec::new()) };
    let mut steps: Vec<Verified> = Vec::new();
    let mut at = card.clone();
    while at.statement().seq > mark.seq + 1 && steps.len() < limits::CHAIN_WALK {
        let Some(prev) = at.statement().prev else { return Ok(Vec::new()) };
        let Some(before) = sign::card_by_id(library, &prev)? else { return Ok(Vec::new()) };
        let follows = before.publisher() == card.publisher()
            && before.statement().name == card.statement().name
            && before.statement().seq + 1 == at.statement().seq;
        if !follows {
            return Ok(Vec::new());
        }
        steps.push(before.clone());
        at = before;
    }
    steps.reverse();
    Ok(steps)
}

/// The mark after a card: raised if it is the next, else as it is.
fn raised(mark: Option<&Mark>, card: &Verified) -> Mark {
    match (admit(card, mark, true), mark) {
        (Ok(admission), Some(mark)) if !admission.raises_mark() => mark.clone(),
        _ => Mark::of(card),
    }
}

/// Keeps a card that contradicts the marked one.
fn keep_proof(library: &Library, card: &Verified) -> Result<(), Failure> {
    let (publisher, name) = repo(card);
    let store = library.store();
    let mark = store.mark(&publisher, &name)?;
    let twin = mark.is_some_and(|mark| mark.seq == card.statement().seq && mark.card != *card.id());
    if twin {
        store.save_card(card.id(), card.bundle())?;
        store.change_mark(&publisher, &name, |mark| match mark {
            Some(mark) if mark.seq == card.statement().seq => mark.with_twin(*card.id()),
            Some(mark) => mark.clone(),
            None => Mark::of(card),
        })?;
    }
    Ok(())
}

fn repo(card: &Verified) -> (String, String) {
    let statement = card.statement();
    (statement.publisher.to_string(), statement.name.to_string())
}
