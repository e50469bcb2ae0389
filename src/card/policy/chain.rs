//! The chain of a repo's cards and the high-water mark that stops rollback.

use serde::{Deserialize, Serialize};

use crate::card::envelope::Verified;
use crate::dag::Cid;

/// The highest card of one publisher's repo that was accepted as its head. It never falls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Its place in the chain.
    pub seq: u64,
    /// Its id, as text: what keeps two cards of one `seq` apart.
    #[serde(with = "cid_text")]
    pub card: Cid,
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
    #[error(
        "this is version {seq} of the repo, and {mark} was seen before (a rollback); name its CID to use it all the same"
    )]
    Rollback {
        /// Its place.
        seq: u64,
        /// The mark's.
        mark: u64,
    },
    /// Another card of the same place, or one that follows another.
    #[error(
        "the publisher signed two different cards for version {seq}: {known} and {other}; name a CID to choose"
    )]
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
        "this is version {seq} of the repo, the last one seen is {mark}, and those between are not known; name its CID to use it all the same"
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
    if mark.card == *card.id() {
        return Ok(Admission::Known);
    }
    let fork =
        |seq, other: &Cid| Refusal::Fork { seq, known: mark.card.into(), other: (*other).into() };
    let refusal = if seq < mark.seq {
        Refusal::Rollback { seq, mark: mark.seq }
    } else if seq == mark.seq {
        fork(seq, card.id())
    } else if seq - mark.seq > 1 {
        Refusal::Gap { seq, mark: mark.seq }
    } else {
        match statement.prev {
            // A card that settles a fork follows one branch and names the other.
            Some(prev) if prev == mark.card || statement.resolves.contains(&mark.card) => {
                return Ok(Admission::Next);
            }
            Some(other) => fork(mark.seq, &other),
            None => Refusal::Gap { seq, mark: mark.seq },
        }
    };
    if explicit { Ok(Admission::Explicit(refusal)) } else { Err(refusal) }
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
        Mark { seq: card.statement().seq, card: *card.id() }
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
    fn a_mark_is_kept_as_text() {
        let mark = mark(&card(1, None, "1"));
        let json = serde_json::to_string(&mark).unwrap();
        assert_eq!(json, format!(r#"{{"seq":1,"card":"{}"}}"#, mark.card));
        assert_eq!(serde_json::from_str::<Mark>(&json).unwrap(), mark);
    }
}
