//! Which cards are accepted: the high-water mark of each repo, kept from one fetch to the next.
//!
//! The decisions are `card::policy`'s; this knows the mark and the cards that are here, and keeps what follows. A card
//! that is refused, or used only because its id was given, changes nothing — but a second card of one place is kept with
//! the first, as proof that anybody can check. Design section 5.

use super::{Library, clock, labs, refs::Held, sign};
use crate::{
    card::{
        Verified,
        policy::{Admission, Asked, Branch, Fork, Mark, Refusal, admit, unsettled},
        statement::Status,
    },
    dag::Cid,
    limits,
    rpc::{Code, Contradiction, Failure},
    store::Tree,
};

/// A card as it stands to what is known of its repo.
struct Place {
    mark: Option<Mark>,
    /// The cards that lead to it, the oldest first, and itself.
    path: Vec<Verified>,
    /// The chain that ends at the mark, as far as the decision needs it.
    trunk: Branch,
}

impl Place {
    fn of(library: &Library, card: &Verified) -> Result<Self, Failure> {
        let (publisher, name) = repo(card);
        let mark = library.store().mark(&publisher, &name)?;
        let (mut path, mut trunk) = (vec![card.clone()], Branch::default());
        if let Some(mark) = &mark {
            let seq = card.statement().seq;
            if seq > mark.seq {
                extend(library, &mut path, |oldest| oldest.statement().seq > mark.seq + 1)?;
            }
            let joins = path.last().and_then(|oldest| oldest.statement().prev) == Some(mark.card);
            if seq < mark.seq {
                trunk = walk(library, mark, seq)?;
            } else if !joins && *card.id() != mark.card {
                // It parts from what was accepted: where?
                trunk = walk(library, mark, 1)?;
                extend(library, &mut path, |oldest| {
                    let below = oldest.statement().seq.saturating_sub(1);
                    trunk.at(below).is_some_and(|known| oldest.statement().prev != Some(*known))
                })?;
            }
        }
        path.reverse();
        Ok(Self { mark, path, trunk })
    }

    fn admit(&self, asked: Asked) -> Result<Admission, Refusal> {
        admit(&self.path(), self.mark.as_ref(), &self.trunk, asked)
    }

    fn path(&self) -> Vec<&Verified> {
        self.path.iter().collect()
    }

    /// What is known against a chain that ends with this card.
    fn unsettled(&self) -> Vec<Fork> {
        self.mark
            .as_ref()
            .map(|mark| unsettled(&self.path(), mark, &self.trunk))
            .unwrap_or_default()
    }
}

/// Goes on from the last card to the ones before it, as far as they are here and `on` says so.
fn extend(
    library: &Library,
    path: &mut Vec<Verified>,
    on: impl Fn(&Verified) -> bool,
) -> Result<(), Failure> {
    while path.len() < limits::CHAIN_WALK
        && let Some(oldest) = path.last().filter(|oldest| on(oldest))
        && let Some(prev) = oldest.statement().prev
        && let Some(before) = sign::card_by_id(library, &prev)?
    {
        let follows = before.publisher() == oldest.publisher()
            && before.statement().name == oldest.statement().name
            && before.statement().seq + 1 == oldest.statement().seq;
        if !follows {
            break;
        }
        path.push(before);
    }
    Ok(())
}

/// The accepted chain, from the mark down to a place.
fn walk(library: &Library, mark: &Mark, down_to: u64) -> Result<Branch, Failure> {
    let Some(marked) = sign::card_by_id(library, &mark.card)? else {
        return Ok(Branch::default());
    };
    let mut cards = vec![marked];
    extend(library, &mut cards, |oldest| oldest.statement().seq > down_to + 1)?;
    Ok(Branch::of(&cards))
}

/// Whether a card may be used: told before the bulk of its bytes moves. `asked`: how far the user said which card is meant.
///
/// # Errors
/// Refused (4) for what would be a rollback, a fork or a jump over cards that nobody showed, and for a lab's card that
/// holds no more.
pub(super) fn check(
    library: &Library,
    card: &Verified,
    asked: impl Into<Asked>,
) -> Result<Admission, Failure> {
    labs::standing(library, card)?;
    let (publisher, name) = repo(card);
    let place = Place::of(library, card)?;
    let admission = place.admit(asked.into());
    let refusal = match &admission {
        Ok(Admission::Explicit(refusal)) | Err(refusal) => Some(refusal),
        Ok(_) => None,
    };
    if let Some(Refusal::Fork { .. }) = refusal {
        keep_proof(library, card, &place)?;
    }
    admission.map_err(|refusal| {
        Failure::new(Code::Refused, format!("{publisher}/{name}: {refusal}"))
            .hint("name its CID to use it all the same; modelswarm card log shows the versions that are known")
    })
}

/// Remembers that a card was accepted: its publisher can't go back behind it unnoticed.
pub(super) fn accept(library: &Library, card: &Verified) -> Result<(), Failure> {
    let place = Place::of(library, card)?;
    if place.admit(Asked::Id).is_ok_and(|admission| admission.raises_mark()) {
        let (publisher, name) = repo(card);
        library.store().change_mark(&publisher, &name, |now| match now {
            // It rose meanwhile: it would not be right to say from where.
            Some(now) if Some(now) != place.mark.as_ref() => now.clone(),
            _ => Mark::of(card),
        })?;
    }
    Ok(())
}

/// The cards that one which follows this one has to settle between; none if nothing contradicts it.
pub(super) fn contradicting(library: &Library, card: &Verified) -> Result<Vec<Fork>, Failure> {
    Ok(Place::of(library, card)?.unsettled())
}

/// What is known of a chain below a card of it, down to a place.
pub(super) fn below(library: &Library, card: &Verified, down_to: u64) -> Result<Branch, Failure> {
    walk(library, &Mark::of(card), down_to)
}

/// Of versions that a name and version mean, the newest last, those that nothing contradicts.
///
/// # Errors
/// Refused (4) if the newest of them is one of two that claim its place, naming both.
pub(super) fn undisputed(library: &Library, mut found: Vec<Held>) -> Result<Vec<Held>, Failure> {
    let Some(Tree { repo: Some(repo), seq: Some(seq), card: Some(card), .. }) =
        found.last().map(|held| held.tree.clone())
    else {
        return Ok(found);
    };
    let mark = library.store().mark(&repo.publisher, &repo.name)?;
    let known = mark.as_ref().map_or(Ok(Branch::default()), |mark| walk(library, mark, seq))?;
    let contradictions = mark.map(|mark| mark.contradictions()).unwrap_or_default();
    let mut cards: Vec<Cid> =
        contradictions.into_iter().find(|fork| fork.seq == seq).map_or(Vec::new(), |it| it.cards);
    if cards.is_empty() {
        let claims = found.iter().filter(|held| held.tree.seq == Some(seq));
        cards = claims.filter_map(|held| held.tree.card).collect();
        cards.sort_unstable();
        cards.dedup();
        if let Some(settled) = known.at(seq).filter(|known| cards.contains(known)) {
            found.retain(|held| held.tree.seq != Some(seq) || held.tree.card == Some(*settled));
            return Ok(found);
        }
    }
    if cards.len() < 2 || !cards.contains(&card) {
        return Ok(found);
    }
    let both: Vec<String> = cards.iter().map(ToString::to_string).collect();
    let here = found.iter().filter(|held| held.tree.seq == Some(seq));
    let releases: Vec<String> =
        here.filter_map(|held| held.tree.release).map(|release| release.to_string()).collect();
    Err(Failure::new(
        Code::Refused,
        format!(
            "{}/{}: the publisher signed two different cards for version {seq}: {}",
            repo.publisher,
            repo.name,
            both.join(" and ")
        ),
    )
    .hint(format!("name the CID of the one that you want; here are {}", releases.join(" and "))))
}

/// Every place of which publishers are known to have said two things, until they settle it.
pub fn contradictions(library: &Library) -> Result<Vec<Contradiction>, Failure> {
    let marks = library.store().marks()?.into_iter();
    let all = marks.flat_map(|(publisher, name, mark)| of_mark(&publisher, &name, &mark));
    Ok(all.collect())
}

/// The same of one repo.
pub(super) fn of_mark(publisher: &str, name: &str, mark: &Mark) -> Vec<Contradiction> {
    let line = |fork: Fork| Contradiction {
        publisher: publisher.to_owned(),
        name: name.to_owned(),
        seq: fork.seq,
        cards: fork.cards.iter().map(ToString::to_string).collect(),
    };
    mark.contradictions().into_iter().map(line).collect()
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

/// Keeps a card that contradicts what was accepted; of one that follows such a card, that it does.
fn keep_proof(library: &Library, card: &Verified, place: &Place) -> Result<(), Failure> {
    let Some(mark) = &place.mark else { return Ok(()) };
    let (publisher, name) = repo(card);
    let store = library.store();
    let seq = card.statement().seq;
    let mut proven = mark.clone();
    if seq <= mark.seq {
        let known = if seq == mark.seq { Some(&mark.card) } else { place.trunk.at(seq) };
        proven = known.map_or(proven, |known| mark.with_fork(seq, *known, *card.id()));
    } else {
        for fork in place.unsettled() {
            let Some((known, others)) = fork.cards.split_first() else { continue };
            for other in others {
                // What is not here proves nothing to others.
                if store.card(other)?.is_some() {
                    proven = proven.with_fork(fork.seq, *known, *other);
                }
            }
        }
    }
    if proven != *mark {
        if seq <= mark.seq {
            store.save_card(card.id(), card.bundle())?;
        }
        store.change_mark(&publisher, &name, |now| match now {
            Some(now) if now != mark => now.clone(),
            _ => proven,
        })?;
    }
    Ok(())
}

fn repo(card: &Verified) -> (String, String) {
    let statement = card.statement();
    (statement.publisher.to_string(), statement.name.to_string())
}
