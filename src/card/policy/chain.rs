//! The chain of a repo's cards and the high-water mark that stops rollback.
//!
//! The mark is the highest card that was accepted. Two cards of one place are proof that the publisher's key says
//! different things to different people: both are kept, neither is the head, and only a card that names both heals it.

use serde::{Deserialize, Serialize};

use crate::card::envelope::Verified;
use crate::dag::Cid;
use crate::limits;

/// The highest card of one publisher's repo that was accepted as its head. It never falls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its place in the chain.
    pub seq: u64,
    /// Its id, as text: what keeps two cards of one `seq` apart.
    #[serde(with = "cid_text")]
    pub card: Cid,
    /// Other cards of that place, by the same key; empty in an honest chain. At most [`limits::RESOLVES_MAX`], as many as
    /// one card can settle.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "cid_list")]
    pub twins: Vec<Cid>,
}

impl Mark {
    /// The mark that a card makes.
    pub fn of(card: &Verified) -> Self {
        Self { seq: card.statement().seq, card: *card.id(), twins: Vec::new() }
    }

    /// The highest place that `main` may stand for: all cards up to there are agreed upon. 0: none is.
    pub fn head(&self) -> u64 {
        if self.twins.is_empty() { self.seq } else { self.seq - 1 }
    }

    /// The mark with the proof that `other` is a second card of its place; the same one if that is known, or no room.
    #[must_use]
    pub fn with_twin(&self, other: Cid) -> Self {
        let mut mark = self.clone();
        if other != mark.card
            && !mark.twins.contains(&other)
            && mark.twins.len() + 1 < limits::RESOLVES_MAX
        {
            mark.twins.push(other);
        }
        mark
    }
}

mod cid_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use crate::card::json::parse_cid;
    use crate::dag::Cid;

    pub(super) fn serialize<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(cid)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cid, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_cid(&text).ok_or_else(|| de::Error::custom("not a CID"))
    }
}

mod cid_list {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de};

    use crate::card::json::parse_cid;
    use crate::dag::Cid;

    pub(super) fn serialize<S: Serializer>(cids: &[Cid], serializer: S) -> Result<S::Ok, S::Error> {
        cids.iter().map(ToString::to_string).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Cid>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let cids: Option<Vec<Cid>> = texts.iter().map(|text| parse_cid(text)).collect();
        cids.ok_or_else(|| de::Error::custom("not a CID"))
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
    /// The next in the chain: it becomes the mark.
    Next,
    /// Used because its id was given; the mark stays, and the user is told why it is no head.
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

/// Whether a verified card may count as its repo's head. The mark must be of the same publisher and name. `explicit`:
/// the user gave this card's, release's or root's own CID.
///
/// # Errors
/// [`Refusal`], unless explicit.
pub fn admit(card: &Verified, mark: Option<&Mark>, explicit: bool) -> Result<Admission, Refusal> {
    let statement = card.statement();
    let seq = statement.seq;
    let Some(mark) = mark else { return Ok(Admission::First { unseen: seq - 1 }) };
    if mark.card == *card.id() && mark.twins.is_empty() {
        return Ok(Admission::Known);
    }
    let fork =
        |seq, other: &Cid| Refusal::Fork { seq, known: mark.card.into(), other: (*other).into() };
    let refusal = if seq < mark.seq {
        Refusal::Rollback { seq, mark: mark.seq }
    } else if seq == mark.seq {
        let other = if mark.card == *card.id() { mark.twins.first() } else { None };
        fork(seq, other.unwrap_or(card.id()))
    } else if seq - mark.seq > 1 {
        Refusal::Gap { seq, mark: mark.seq }
    } else {
        match statement.prev {
            Some(prev) if prev == mark.card && mark.twins.is_empty() => return Ok(Admission::Next),
            // A card that settles a fork follows one branch and names all.
            Some(_) if settles(mark, &statement.resolves) => return Ok(Admission::Next),
            Some(prev) if prev == mark.card => fork(mark.seq, mark.twins.first().unwrap_or(&prev)),
            Some(other) => fork(mark.seq, &other),
            None => Refusal::Gap { seq, mark: mark.seq },
        }
    };
    if explicit { Ok(Admission::Explicit(refusal)) } else { Err(refusal) }
}

/// Whether a card that resolves these names every branch that is known.
fn settles(mark: &Mark, resolves: &[Cid]) -> bool {
    std::iter::once(&mark.card).chain(&mark.twins).all(|card| resolves.contains(card))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::envelope::tests::signed_with;

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
}
