//! The chain of a repo's cards, and what stops rollback.
//!
//! Two cards of one place are proof that the publisher's key says different things to different people: both are kept,
//! neither is taken for agreed upon, nor what follows from either, and only a card that names both heals it. That holds of
//! the newest place as of every one below it.

use std::collections::{BTreeMap, BTreeSet};

use crate::card::envelope::Verified;
use crate::dag::Cid;

use super::mark::{Fork, Mark};

/// What the user asked for, as far as it says which card is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A repo's name: the newest.
    Newest,
    /// One version of it, by its own name: not which of two cards that both claim it.
    Version,
    /// This very card, by its own id, its release's or its root's.
    Id,
}

impl From<bool> for Asked {
    /// Of whether the id was given.
    fn from(explicit: bool) -> Self {
        if explicit { Self::Id } else { Self::Newest }
    }
}

/// Cards of one chain by place, as far as they are known, and what they settle.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Branch {
    cards: BTreeMap<u64, Cid>,
    settled: BTreeSet<Cid>,
}

impl Branch {
    /// Of cards each of which follows another; every one tells the card before it as well.
    pub fn of<'a>(cards: impl IntoIterator<Item = &'a Verified>) -> Self {
        let mut branch = Self::default();
        for card in cards {
            let statement = card.statement();
            branch.cards.insert(statement.seq, *card.id());
            if let Some(prev) = statement.prev {
                branch.cards.insert(statement.seq.saturating_sub(1), prev);
            }
            branch.settled.extend(&statement.resolves);
        }
        branch
    }

    /// The card of a place.
    pub fn at(&self, seq: u64) -> Option<&Cid> {
        self.cards.get(&seq)
    }

    /// Whether one of the cards settles what this one contradicts.
    pub fn settles(&self, card: &Cid) -> bool {
        self.settled.contains(card)
    }

    /// The lowest place up to `top` for which two chains have different cards.
    fn parting(&self, other: &Self, top: u64) -> Option<u64> {
        let differs = |(seq, card): &(&u64, &Cid)| other.at(**seq).is_some_and(|it| it != *card);
        self.cards.range(..=top).find(differs).map(|(seq, _)| *seq)
    }
}

/// What an accepted card changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// The first card of this repo that is seen: it becomes the mark. With a gap below it (`seq` above 1), say so.
    First {
        /// Cards before it that nobody showed.
        unseen: u64,
    },
    /// The marked card itself.
    Known,
    /// It follows from the marked card, or settles what contradicts that: it becomes the mark.
    Next,
    /// Used because it was asked for; the mark stays, and the user is told why it is no head.
    Explicit(Refusal),
}

impl Admission {
    /// Whether the card becomes the mark.
    pub fn raises_mark(&self) -> bool {
        matches!(self, Self::First { .. } | Self::Next)
    }
}

/// Why a card is not taken for the newest of its repo.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Older than what was seen.
    #[error("this is version {seq} of the repo, and {mark} was seen before (a rollback)")]
    Rollback {
        /// Its place.
        seq: u64,
        /// The mark's.
        mark: u64,
    },
    /// Another card of the same place, or one that follows another.
    #[error("the publisher signed two different cards for version {seq}: {known} and {other}")]
    Fork {
        /// The place that two cards claim.
        seq: u64,
        /// The one that was seen.
        known: Box<Cid>,
        /// The other one.
        other: Box<Cid>,
    },
    /// Cards between are missing.
    #[error(
        "this is version {seq} of the repo, the last one seen is {mark}, and those between are not known"
    )]
    Gap {
        /// Its place.
        seq: u64,
        /// The mark's.
        mark: u64,
    },
}

impl Refusal {
    fn fork(fork: &Fork, other: &Cid) -> Self {
        let known = fork.cards.first().unwrap_or(other);
        Self::Fork { seq: fork.seq, known: (*known).into(), other: (*other).into() }
    }

    fn is_overruled(&self, asked: Asked) -> bool {
        match (self, asked) {
            (_, Asked::Newest) | (Self::Fork { .. }, Asked::Version) => false,
            (_, Asked::Version | Asked::Id) => true,
        }
    }
}

/// Whether the last card of a path may count as its repo's head. Each card of the path follows the one before it; it begins
/// right after the marked card, or lower where it parts from the marked chain, as far as it is known. `trunk` is the chain
/// that ends at the mark, of the places up to where the path meets it. All are of one publisher and name.
///
/// # Errors
/// [`Refusal`], unless what was `asked` for overrules it.
pub fn admit(
    path: &[&Verified],
    mark: Option<&Mark>,
    trunk: &Branch,
    asked: Asked,
) -> Result<Admission, Refusal> {
    let Some(card) = path.last() else { return Ok(Admission::Known) };
    let (id, seq) = (card.id(), card.statement().seq);
    let Some(mark) = mark else { return Ok(Admission::First { unseen: seq - 1 }) };
    let refusal = if seq <= mark.seq {
        match behind(id, seq, mark, trunk) {
            None => return Ok(Admission::Known),
            Some(refusal) => refusal,
        }
    } else if Branch::of(path.iter().copied()).at(mark.seq).is_none() {
        Refusal::Gap { seq, mark: mark.seq }
    } else {
        match unsettled(path, mark, trunk).first() {
            None => return Ok(Admission::Next),
            Some(fork) => Refusal::fork(fork, fork.cards.get(1).unwrap_or(id)),
        }
    };
    if refusal.is_overruled(asked) { Ok(Admission::Explicit(refusal)) } else { Err(refusal) }
}

/// Why a card up to the mark is no head, unless it is the marked one and nothing contradicts that.
fn behind(id: &Cid, seq: u64, mark: &Mark, trunk: &Branch) -> Option<Refusal> {
    let rollback = Refusal::Rollback { seq, mark: mark.seq };
    let contradictions = mark.contradictions();
    if let Some(fork) = contradictions.iter().find(|fork| fork.seq == seq) {
        let other = fork.cards.iter().skip(1).find(|_| fork.cards.first() == Some(id));
        return Some(Refusal::fork(fork, other.unwrap_or(id)));
    }
    let known = if seq == mark.seq { Some(&mark.card) } else { trunk.at(seq) };
    match known {
        Some(known) if known != id && !trunk.settles(id) => {
            Some(Refusal::Fork { seq, known: (*known).into(), other: (*id).into() })
        }
        Some(known) if known == id && seq == mark.seq => {
            contradictions.first().map(|fork| Refusal::fork(fork, fork.cards.get(1).unwrap_or(id)))
        }
        _ => Some(rollback),
    }
}

/// What contradicts a chain that ends with this path and is settled by none of its cards, the lowest place first: what is
/// known against the marked chain, and the place at which the two part. A card settles a place below it by naming all cards
/// that claim it.
pub fn unsettled(path: &[&Verified], mark: &Mark, trunk: &Branch) -> Vec<Fork> {
    let branch = Branch::of(path.iter().copied());
    let mut marked = trunk.clone();
    marked.cards.insert(mark.seq, mark.card);
    let mut places: BTreeMap<u64, Vec<Cid>> =
        mark.contradictions().into_iter().map(|fork| (fork.seq, fork.cards)).collect();
    if let Some((seq, known)) =
        marked.parting(&branch, mark.seq).and_then(|seq| Some((seq, *marked.at(seq)?)))
    {
        places.entry(seq).or_insert_with(|| vec![known]);
    }
    for (seq, cards) in &mut places {
        if let Some(own) = branch.at(*seq).filter(|own| !cards.contains(own)) {
            cards.push(*own);
        }
    }
    let is_settled = |seq: u64, cards: &[Cid]| {
        path.iter().map(|card| card.statement()).any(|statement| {
            statement.seq > seq && cards.iter().all(|card| statement.resolves.contains(card))
        })
    };
    let open = places.into_iter().filter(|(seq, cards)| !is_settled(*seq, cards));
    open.map(|(seq, cards)| Fork { seq, cards }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::envelope::tests::signed_with;
    use crate::limits;

    /// Of one card beside its mark.
    fn admit(card: &Verified, mark: Option<&Mark>, explicit: bool) -> Result<Admission, Refusal> {
        super::admit(&[card], mark, &Branch::default(), explicit.into())
    }

    fn card(seq: u64, prev: Option<&Verified>, version: &str) -> Verified {
        signed_with(|statement| {
            statement.seq = seq;
            statement.prev = prev.map(|prev| *prev.id());
            statement.version = version.parse().unwrap();
        })
    }

    fn mark(card: &Verified) -> Mark {
        Mark::of(card)
    }

    #[test]
    fn the_mark_rises_along_the_chain_and_never_falls() {
        let one = card(1, None, "1");
        let two = card(2, Some(&one), "2");
        let three = card(3, Some(&two), "3");
        assert_eq!(admit(&one, None, false), Ok(Admission::First { unseen: 0 }));
        assert_eq!(admit(&three, None, false), Ok(Admission::First { unseen: 2 }));
        assert_eq!(admit(&two, Some(&mark(&one)), false), Ok(Admission::Next));
        assert_eq!(admit(&two, Some(&mark(&two)), false), Ok(Admission::Known));

        let rollback = Refusal::Rollback { seq: 1, mark: 2 };
        assert_eq!(admit(&one, Some(&mark(&two)), false), Err(rollback.clone()));
        let explicit = admit(&one, Some(&mark(&two)), true).unwrap();
        assert_eq!(explicit, Admission::Explicit(rollback));
        assert!(!explicit.raises_mark());
    }

    #[test]
    fn a_card_beyond_a_gap_does_not_fast_forward_the_mark() {
        let one = card(1, None, "1");
        let far = card(1 << 52, Some(&one), "far");
        let gap = Refusal::Gap { seq: 1 << 52, mark: 1 };
        assert_eq!(admit(&far, Some(&mark(&one)), false), Err(gap.clone()));
        assert!(!admit(&far, Some(&mark(&one)), true).unwrap().raises_mark());
    }

    #[test]
    fn two_cards_of_one_place_are_a_fork() {
        let one = card(1, None, "1");
        let twin = card(1, None, "1b");
        let after_twin = card(2, Some(&twin), "2");
        let fork = Refusal::Fork { seq: 1, known: (*one.id()).into(), other: (*twin.id()).into() };
        assert_eq!(admit(&twin, Some(&mark(&one)), false), Err(fork.clone()));
        assert_eq!(admit(&after_twin, Some(&mark(&one)), false), Err(fork));
        let healed = signed_with(|statement| {
            statement.seq = 2;
            statement.prev = Some(*twin.id());
            statement.resolves = vec![*one.id(), *twin.id()];
        });
        assert_eq!(admit(&healed, Some(&mark(&one)), false), Ok(Admission::Next));
    }

    #[test]
    fn nothing_is_head_on_a_fork_until_one_card_names_every_branch() {
        let one = card(1, None, "1");
        let [a, b, c] = ["a", "b", "c"].map(|version| card(2, Some(&one), version));
        let forked = mark(&a).with_twin(*b.id());
        assert_eq!(forked.with_twin(*b.id()), forked, "known already");
        assert_eq!(forked.with_twin(*a.id()), forked, "no twin of itself");
        assert_eq!((mark(&a).head(), forked.head()), (2, 1));
        for branch in [&a, &b, &c] {
            assert!(matches!(admit(branch, Some(&forked), false), Err(Refusal::Fork { .. })));
            assert!(admit(branch, Some(&forked), true).is_ok());
        }
        assert!(admit(&card(3, Some(&a), "3"), Some(&forked), false).is_err(), "takes no side");
        let heals = |resolves: &[&Verified]| {
            signed_with(|statement| {
                statement.seq = 3;
                statement.prev = Some(*a.id());
                statement.resolves = resolves.iter().map(|card| *card.id()).collect();
            })
        };
        assert!(admit(&heals(&[&a]), Some(&forked), false).is_err(), "it leaves one out");
        assert_eq!(admit(&heals(&[&a, &b]), Some(&forked), false), Ok(Admission::Next));
        let thrice = forked.with_twin(*c.id());
        assert!(admit(&heals(&[&a, &b]), Some(&thrice), false).is_err());
        assert_eq!(admit(&heals(&[&a, &b, &c]), Some(&thrice), false), Ok(Admission::Next));
    }

    #[test]
    fn no_more_twins_are_kept_than_one_card_can_settle() {
        let mut mark = mark(&card(1, None, "1"));
        for n in 0..100 {
            mark = mark.with_twin(crate::dag::block::cid_v1(0x0129, [n; 32]));
        }
        assert_eq!(1 + mark.twins.len(), limits::RESOLVES_MAX);
    }

    #[test]
    fn a_mark_is_kept_as_text() {
        let mark = mark(&card(1, None, "1"));
        let json = serde_json::to_string(&mark).unwrap();
        assert_eq!(json, format!(r#"{{"seq":1,"card":"{}"}}"#, mark.card));
        assert_eq!(serde_json::from_str::<Mark>(&json).unwrap(), mark);
        let forked = mark.with_twin(*card(1, None, "other").id());
        let json = serde_json::to_string(&forked).unwrap();
        assert_eq!(serde_json::from_str::<Mark>(&json).unwrap(), forked);
    }

    /// A chain in which the second place is claimed twice: 1, 2a, 3, and 2b.
    fn forked() -> [Verified; 4] {
        let one = card(1, None, "1");
        let [a, b] = ["2a", "2b"].map(|version| card(2, Some(&one), version));
        let three = card(3, Some(&a), "3");
        [one, a, b, three]
    }

    fn healing(seq: u64, prev: &Verified, resolves: &[&Verified]) -> Verified {
        signed_with(|statement| {
            statement.seq = seq;
            statement.prev = Some(*prev.id());
            statement.version = seq.to_string().parse().unwrap();
            statement.resolves = resolves.iter().map(|card| *card.id()).collect();
        })
    }

    #[test]
    fn a_second_card_of_a_place_below_the_mark_is_a_fork_until_it_is_settled() {
        let [one, a, b, three] = forked();
        let trunk = Branch::of([&one, &a, &three]);
        let fork = Refusal::Fork { seq: 2, known: (*a.id()).into(), other: (*b.id()).into() };
        fn admit(
            card: &Verified,
            mark: &Mark,
            trunk: &Branch,
            asked: Asked,
        ) -> Result<Admission, Refusal> {
            super::admit(&[card], Some(mark), trunk, asked)
        }
        assert_eq!(admit(&b, &mark(&three), &trunk, Asked::Version), Err(fork.clone()));
        let used = admit(&b, &mark(&three), &trunk, Asked::Id);
        assert_eq!(used, Ok(Admission::Explicit(fork.clone())));
        assert_eq!(
            admit(&a, &mark(&three), &trunk, Asked::Newest),
            Err(Refusal::Rollback { seq: 2, mark: 3 })
        );
        // Known from now on: neither is agreed upon, nor what follows.
        let forked = mark(&three).with_fork(2, *a.id(), *b.id());
        assert_eq!((forked.head(), forked.is_agreed()), (1, false));
        for card in [&a, &b, &three, &card(4, Some(&three), "4")] {
            let refused = admit(card, &forked, &trunk, Asked::Newest);
            assert_eq!(refused, Err(fork.clone()), "{}", card.statement().version);
        }
        let heals = healing(4, &three, &[&a, &b]);
        assert!(admit(&healing(4, &three, &[&a]), &forked, &trunk, Asked::Newest).is_err());
        assert_eq!(admit(&heals, &forked, &trunk, Asked::Newest), Ok(Admission::Next));
        let trunk = Branch::of([&one, &a, &three, &heals]);
        let again = admit(&b, &mark(&heals), &trunk, Asked::Newest);
        assert_eq!(again, Err(Refusal::Rollback { seq: 2, mark: 4 }), "it is settled");
    }

    #[test]
    fn whoever_holds_the_other_branch_follows_the_card_that_settles_it() {
        let [one, a, b, three] = forked();
        let (plain, heals) = (card(4, Some(&three), "4"), healing(4, &three, &[&a, &b]));
        let beyond = card(5, Some(&heals), "5");
        let ours = Branch::of([&one, &b]);
        let admit = |path: &[&Verified]| super::admit(path, Some(&mark(&b)), &ours, Asked::Newest);
        let fork = Refusal::Fork { seq: 2, known: (*b.id()).into(), other: (*a.id()).into() };
        assert_eq!(admit(&[&three, &plain]), Err(fork));
        assert_eq!(admit(&[&three, &heals]), Ok(Admission::Next));
        assert_eq!(admit(&[&a, &three, &heals, &beyond]), Ok(Admission::Next));
        assert_eq!(admit(&[&heals]), Err(Refusal::Gap { seq: 4, mark: 2 }));
        // Further down the other branch it is the place where the two part that counts.
        let further = card(3, Some(&b), "3b");
        let ours = Branch::of([&one, &b, &further]);
        let admit =
            |path: &[&Verified]| super::admit(path, Some(&mark(&further)), &ours, Asked::Newest);
        assert_eq!(admit(&[&a, &three, &heals]), Ok(Admission::Next));
        assert!(admit(&[&a, &three, &plain]).is_err());
    }

    #[test]
    fn all_that_is_known_against_a_chain_can_be_settled_by_one_card() {
        let [_, _, _, three] = forked();
        let mut mark = mark(&three);
        for n in 0..100 {
            let [known, other] = [n, n + 100].map(|n| crate::dag::block::cid_v1(0x0129, [n; 32]));
            mark = mark.with_fork(u64::from(n % 3) + 1, known, other);
        }
        let named: usize = mark.contradictions().iter().map(|fork| fork.cards.len()).sum();
        assert!(named <= limits::RESOLVES_MAX);
        let read: Mark = serde_json::from_str(&serde_json::to_string(&mark).unwrap()).unwrap();
        assert_eq!(read, mark);
    }
}
