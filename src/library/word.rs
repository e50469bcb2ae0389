//! What a publisher says of files by now: the word of the newest card over them, which need not be the one that they came
//! with. A version is withdrawn or deprecated by a later card over the same files, so an older card of them says nothing
//! of it.
//!
//! Here it is decided which card speaks: of one repo's known cards over one root the newest that was accepted. A newer
//! one that was not (it lies beyond a gap, or another claims its place) can warn, and can't lift a warning.
//! Design section 5.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use super::{Library, chain, note::Note, sign};
use crate::{
    card::{Verified, policy::Admission, statement::Status},
    dag::{Cid, name::escape_sentence},
    limits,
    rpc::Failure,
    store::{Repo, Tree},
};

/// What is remembered of cards that were verified: a card's id is the hash of what it says.
#[derive(Debug, Default)]
pub(super) struct Facts(Mutex<HashMap<Cid, Fact>>);

#[derive(Debug, Clone)]
struct Fact {
    repo: Repo,
    root: Cid,
    seq: u64,
    prev: Option<Cid>,
    status: Status,
}

impl Fact {
    fn of(card: &Verified) -> Self {
        let statement = card.statement();
        Self {
            repo: repo_of(card),
            root: statement.root,
            seq: statement.seq,
            prev: statement.prev,
            status: statement.status,
        }
    }
}

fn repo_of(card: &Verified) -> Repo {
    let statement = card.statement();
    Repo { publisher: statement.publisher.to_string(), name: statement.name.to_string() }
}

/// What a card that is here says; none if it is not, or is damaged: then it says nothing.
fn fact(library: &Library, id: &Cid) -> Option<Fact> {
    let facts = || library.inner.facts.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(fact) = facts().get(id) {
        return Some(fact.clone());
    }
    let card = sign::card_by_id(library, id).unwrap_or_else(|failure| {
        tracing::warn!(%failure, "a card is passed over");
        None
    })?;
    let fact = Fact::of(&card);
    let mut facts = facts();
    if facts.len() >= limits::CARD_FACTS {
        facts.clear();
    }
    facts.insert(*id, fact.clone());
    Some(fact)
}

/// The cards of some repos that are known, and how far they are accepted.
pub(super) struct Words {
    repos: HashMap<Repo, Known>,
}

struct Known {
    cards: HashMap<Cid, Fact>,
    accepted: u64,
}

impl Words {
    /// What is known of all repos of these trees.
    ///
    /// # Errors
    /// As the store fails.
    pub(super) fn of<'a>(
        library: &Library,
        trees: impl IntoIterator<Item = &'a Tree>,
    ) -> Result<Self, Failure> {
        let mut by_repo: HashMap<&Repo, Vec<&Tree>> = HashMap::new();
        for tree in trees {
            if let Some(repo) = &tree.repo {
                by_repo.entry(repo).or_default().push(tree);
            }
        }
        let mut repos = HashMap::new();
        for (repo, trees) in by_repo {
            repos.insert(repo.clone(), Known::of(library, repo, &trees, &[])?);
        }
        Ok(Self { repos })
    }

    /// What the publisher says of a version by now, if it is not in use any more.
    pub(super) fn on(&self, tree: &Tree) -> Option<Status> {
        let known = self.repos.get(tree.repo.as_ref()?)?;
        let (_, fact) = known.speaker(&tree.root)?;
        Some(fact.status).filter(|status| *status != Status::Active)
    }
}

impl Known {
    /// The cards of a repo from the mark down to the oldest of these.
    fn of(
        library: &Library,
        repo: &Repo,
        trees: &[&Tree],
        more: &[&Verified],
    ) -> Result<Self, Failure> {
        let mark = library.store().mark(&repo.publisher, &repo.name)?;
        let mut cards: HashMap<Cid, Fact> =
            more.iter().map(|card| (*card.id(), Fact::of(card))).collect();
        let oldest = trees.iter().filter_map(|tree| tree.seq);
        let oldest = oldest.chain(cards.values().map(|fact| fact.seq)).min().unwrap_or(0);
        let mut next: Vec<Cid> = trees.iter().filter_map(|tree| tree.card).collect();
        next.extend(trees.iter().flat_map(|tree| Note::of(tree).over_too()));
        next.extend(mark.iter().flat_map(|mark| mark.twins.iter().chain([&mark.card])));
        next.extend(cards.values().filter_map(|fact| fact.prev));
        let mut seen: HashSet<Cid> = cards.keys().copied().collect();
        while let Some(id) = next.pop() {
            if seen.len() >= limits::CHAIN_WALK || !seen.insert(id) {
                continue;
            }
            let Some(fact) = fact(library, &id).filter(|fact| fact.repo == *repo) else { continue };
            next.extend(fact.prev.filter(|_| fact.seq > oldest));
            cards.insert(id, fact);
        }
        let accepted = mark.map_or(u64::MAX, |mark| mark.head());
        Ok(Self { cards, accepted })
    }

    fn speaker(&self, root: &Cid) -> Option<(&Cid, &Fact)> {
        let speaks = |fact: &Fact| fact.seq <= self.accepted || fact.status != Status::Active;
        let over = self.cards.iter().filter(|(_, fact)| fact.root == *root && speaks(fact));
        over.max_by_key(|(id, fact)| (fact.seq, fact.status != Status::Active, **id))
    }
}

/// The card that speaks for the files of another one: that one itself, if there is no newer. `later`: one that is known
/// and not here.
fn speaker(
    library: &Library,
    card: &Verified,
    taken: bool,
    later: Option<&Verified>,
) -> Result<Verified, Failure> {
    let repo = repo_of(card);
    let of_repo = library.store().trees_where(|tree| tree.repo.as_ref() == Some(&repo));
    let trees: Vec<Tree> = of_repo.into_iter().map(|(_, tree)| tree).collect();
    let later = later.filter(|later| repo_of(later) == repo);
    let more: Vec<&Verified> = [card].into_iter().chain(later).collect();
    let mut known = Known::of(library, &repo, &trees.iter().collect::<Vec<_>>(), &more)?;
    if taken {
        known.accepted = known.accepted.max(card.statement().seq);
    }
    let Some((id, _)) = known.speaker(&card.statement().root) else { return Ok(card.clone()) };
    match more.into_iter().find(|one| one.id() == id) {
        Some(one) => Ok(one.clone()),
        None => Ok(sign::card_by_id(library, id)?.unwrap_or_else(|| card.clone())),
    }
}

/// What the publisher of a card says of its files by now, if they are not in use any more, and the same in words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Word {
    /// Withdrawn or deprecated.
    pub stated: Option<Status>,
    /// In words; what has ended too.
    pub remarks: Vec<String>,
}

/// The word on a card's files.
///
/// # Errors
/// As the store fails; refused (4) for a damaged card.
pub(super) fn on(library: &Library, card: &Verified) -> Result<Word, Failure> {
    Ok(word(card, &speaker(library, card, false, None)?))
}

/// The card that speaks for the files of this one, which is here.
///
/// # Errors
/// As [`on`].
pub(super) fn newest(library: &Library, card: &Verified) -> Result<Verified, Failure> {
    speaker(library, card, false, None)
}

/// What a person is told of a card besides that its signature is valid: the word on its files, and how it stands to the
/// cards before it. `later`: a card over the same files that its publisher's index lists.
///
/// # Errors
/// As [`on`].
pub(super) fn remarks(
    library: &Library,
    card: &Verified,
    admission: &Admission,
    later: Option<&Verified>,
) -> Result<Vec<String>, Failure> {
    let taken = !matches!(admission, Admission::Explicit(_));
    let mut said = word(card, &speaker(library, card, taken, later)?).remarks;
    let by_itself = chain::remarks(card, &Admission::Known).len();
    said.extend(chain::remarks(card, admission).split_off(by_itself));
    Ok(said)
}

fn word(card: &Verified, speaker: &Verified) -> Word {
    let mut remarks: Vec<String> = chain::remarks(speaker, &Admission::Known)
        .iter()
        .map(|line| escape_sentence(line))
        .collect();
    if speaker.id() != card.id() {
        let version = &card.statement().version;
        remarks.iter_mut().for_each(|line| *line += &format!("; it has the files of {version}"));
    }
    let stated = Some(speaker.statement().status).filter(|status| *status != Status::Active);
    Word { stated, remarks }
}
